"""How well each C predicted held-out rows."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.report._style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    axes_or_new,
    data_label,
    power_of_ten,
)

__all__ = ["PathDisplay"]

_ATTRIBUTES = ("Cs_", "scores_", "mean_scores_", "standard_errors_", "C_", "best_index_")
_LOG_LOSS = "held-out cross-entropy in nats"


@dataclass(eq=False)
class PathDisplay:
    """Held-out score against C: every fold, their mean, and its standard error.

    The log-loss is drawn as cross-entropy, so that lower is better; other scores as they are.
    ``C = inf`` stands at the right end of the axis.

    Parameters
    ----------
    Cs : array-like, shape (k,)
        Ascending.
    scores : array-like, shape (folds, k)
        Higher is better.
    C : float
        The chosen one.
    best_index : int
        Of the best mean score.
    score_name : str, optional
        Of the vertical axis; None: the scores are minus the cross-entropy in nats.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_iris
    >>> from crossent import SoftmaxRegressionCV
    >>> model = SoftmaxRegressionCV(Cs=[0.01, 1, 100], rule="1se").fit(*load_iris(return_X_y=True))
    >>> display = PathDisplay.from_estimator(model, ax=Figure().add_subplot())
    >>> display.ax_.get_xscale(), display.ax_.get_xlabel()
    ('log', 'C (penalty: strong on the left)')
    """

    Cs: npt.ArrayLike
    scores: npt.ArrayLike
    C: float
    best_index: int
    score_name: str | None = None
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    figure_size = (4.6, 3.3)

    @classmethod
    def from_estimator(cls, estimator: Any, /, *, ax: Any = None) -> "PathDisplay":
        """Draw the scores of a fitted `crossent.SoftmaxRegressionCV`."""
        if not all(hasattr(estimator, name) for name in _ATTRIBUTES):
            message = (
                f"{type(estimator).__name__} has no `scores_` of folds along `Cs_`. Fit a "
                "`crossent.SoftmaxRegressionCV`."
            )
            raise InputError(message)
        scoring = estimator.scoring
        name = None if scoring in (None, "neg_log_loss") else _name(scoring)
        display = cls(
            estimator.Cs_, estimator.scores_, estimator.C_, int(estimator.best_index_), name
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> "PathDisplay":
        """Draw on `ax`, or on a new pyplot figure."""
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        places = _places(np.asarray(self.Cs, dtype=np.float64))
        scores = np.asarray(self.scores, dtype=np.float64)
        values = -scores if self.score_name is None else scores
        mean = values.mean(axis=0)
        self.ax_.plot(places, values.T, color=GREY, linewidth=0.7, alpha=0.7)
        self.ax_.lines[0].set_label("each fold")
        self.ax_.plot(places, mean, "-o", color=BLUE, markersize=3.5, linewidth=1.6, label="mean")
        if len(values) > 1:
            error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
            self.ax_.fill_between(
                places,
                mean - error,
                mean + error,
                color=BLUE,
                alpha=0.15,
                linewidth=0,
                label="± standard error",
            )
            self._limit(mean, error)
        self._choice(places, mean)
        self._axes(places)
        return self

    def _limit(self, mean: npt.NDArray[np.float64], error: npt.NDArray[np.float64]) -> None:
        """What a mean must reach to be within one standard error of the best."""
        best, width = mean[self.best_index], error[self.best_index]
        worse = best + width if self.score_name is None else best - width
        self.ax_.axhline(worse, color=MUTED, linestyle=":", linewidth=1, label="best ± one error")

    def _choice(self, places: npt.NDArray[np.float64], mean: npt.NDArray[np.float64]) -> None:
        """The chosen C, as a line to the axis and a diamond."""
        chosen = int(np.flatnonzero(np.asarray(self.Cs) == self.C)[0])
        self.ax_.axvline(places[chosen], color=ORANGE, linestyle="--", linewidth=1)
        self.ax_.plot(
            places[chosen],
            mean[chosen],
            "D",
            color=ORANGE,
            markersize=6.5,
            label=f"chosen: C = {self.C:.4g}",
        )

    def _axes(self, places: npt.NDArray[np.float64]) -> None:
        """Scale, ticks and words."""
        self.ax_.set_xscale("log")
        self.ax_.xaxis.set_major_formatter(power_of_ten)
        self.ax_.xaxis.set_minor_formatter("")
        if np.isinf(np.asarray(self.Cs)[-1]):
            last = np.floor(np.log10(places[-2])) if len(places) > 1 else -1.0
            ticks = 10.0 ** np.arange(np.ceil(np.log10(places[0])), last + 1)
            names = [power_of_ten(tick) for tick in ticks]
            self.ax_.set_xticks([*ticks, places[-1]], [*names, "∞"])
        name = _LOG_LOSS if self.score_name is None else data_label(self.score_name, 48)
        self.ax_.set(xlabel="C (penalty: strong on the left)", ylabel=name)
        self.ax_.legend(frameon=False, labelcolor=INK, fontsize="small")


def _places(Cs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where each C stands; an infinite one a decade, or the grid's last step, further right."""
    if not np.isinf(Cs[-1]):
        return Cs
    finite = Cs[:-1]
    if not len(finite):
        return np.ones(1)
    step = finite[-1] / finite[-2] if len(finite) > 1 else 10.0
    return np.append(finite, finite[-1] * max(step, 10.0))


def _name(scoring: Any) -> str:
    """Of a scorer, by its name or that of the function."""
    if isinstance(scoring, str):
        return scoring
    inner = getattr(scoring, "_score_func", scoring)
    return str(getattr(inner, "__name__", type(inner).__name__))
