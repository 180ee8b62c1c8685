"""What ``crossent rank`` was asked."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossent.errors import InputError

__all__ = ["RankRequest"]


@dataclass(frozen=True)
class RankRequest:
    """The command line, taken apart."""

    file: Path
    left: str | None
    right: str | None
    outcome: str | None
    left_score: str | None
    right_score: str | None
    judge: str | None
    date: str | None
    neutral: str | None
    covariates: tuple[str, ...]
    estimator: dict[str, Any]
    level: float
    unit: str
    top: int
    report: Path | None
    as_json: bool
    command: str

    def completed(self) -> "RankRequest":
        """With the columns of the bundled example, if that is asked for, and all that is needed.

        Raises
        ------
        InputError
            A column that is needed was not named.
        """
        request = self
        if str(self.file) == "football_sample" and not self.file.exists():
            request = self._for_football()
        if not request.left or not request.right:
            message = "--left and --right are needed: the columns of the two items."
            raise InputError(message)
        by_score = request.left_score is not None and request.right_score is not None
        if by_score == (request.outcome is not None):
            message = "Give either --outcome, or --left-score and --right-score."
            raise InputError(message)
        if request.estimator["order_effect"] == "none":
            return replace(request, estimator={**request.estimator, "order_effect": None})
        return request

    def _for_football(self) -> "RankRequest":
        """The example's columns where none are given; its home advantage unless told otherwise."""
        from crossent.datasets import FOOTBALL_SAMPLE  # NumPy, which --help does without

        effect = self.estimator["order_effect"] or "global"
        neutral = None if effect == "none" else self.neutral or "neutral"
        return replace(
            self,
            file=FOOTBALL_SAMPLE,
            left=self.left or "home_team",
            right=self.right or "away_team",
            left_score=self.left_score or (None if self.outcome else "home_score"),
            right_score=self.right_score or (None if self.outcome else "away_score"),
            date=self.date or "date",
            neutral=neutral,
            estimator={**self.estimator, "order_effect": effect},
        )
