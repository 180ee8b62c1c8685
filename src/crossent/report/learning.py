"""Loss against the number of rows to fit to."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crossent.inspection import LearningCurve
from crossent.report._style import BLUE, GREY, MUTED, axes_or_new

__all__ = ["LearningCurveDisplay"]


@dataclass(eq=False)
class LearningCurveDisplay:
    """Cross-entropy of models fitted to more and more rows, on these rows and on others.

    Parameters
    ----------
    curve : LearningCurve
        From `crossent.inspection.learning_curve`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from crossent.inspection import learning_curve
    >>> X, y = load_digits(return_X_y=True)
    >>> curve = learning_curve(
    ...     LogisticRegression(C=0.01, max_iter=300),
    ...     (X[:900], y[:900]),
    ...     (X[900:], y[900:]),
    ...     shares=(0.1, 1),
    ... )
    >>> display = LearningCurveDisplay(curve).plot(ax=Figure().add_subplot())
    >>> display.ax_.get_xlabel()
    'rows fitted to'
    """

    curve: LearningCurve
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    figure_size = (4.6, 3.3)

    def plot(self, ax: Any = None) -> "LearningCurveDisplay":
        """Draw on `ax`, or on a new pyplot figure.

        Infinite losses are left out; the band is 1.96 standard errors of the test loss wide to
        each side.
        """
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        n = np.array(self.curve.n_rows, dtype=np.float64)
        own = _finite([one.cross_entropy for one in self.curve.train])
        other = _finite([one.cross_entropy for one in self.curve.test])
        error = _finite([1.96 * one.cross_entropy_standard_error for one in self.curve.test])
        self.ax_.plot(n, other, "-o", color=BLUE, markersize=4.5, linewidth=1.6, label="test rows")
        self.ax_.fill_between(n, other - error, other + error, color=BLUE, alpha=0.15, linewidth=0)
        self.ax_.plot(
            n, own, "-o", color=GREY, markersize=3.5, linewidth=1.2, label="rows fitted to"
        )
        uniform = self.curve.test[-1].uniform_baseline
        if uniform < 1.5 * np.nanmax(other, initial=0.0):
            self.ax_.axhline(
                uniform, color=MUTED, linestyle="--", linewidth=1, label="knowing nothing"
            )
        self.ax_.set_xscale("log")
        self.ax_.set_xticks(n, [f"{rows:,}" for rows in self.curve.n_rows], rotation=30)
        self.ax_.minorticks_off()
        self.ax_.set(xlabel="rows fitted to", ylabel="cross-entropy in nats")
        self.ax_.set_ylim(bottom=0)
        self.ax_.legend(frameon=False)
        return self


def _finite(values: list[float]) -> Any:
    """Infinite values become NaN, which is not drawn."""
    array = np.array(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)
