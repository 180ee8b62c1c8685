"""What ``crossent rank`` was asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["RankRequest"]


@dataclass(frozen=True)
class RankRequest:
    """The command line, taken apart."""

    file: Path
    left: str
    right: str
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
