"""Confidence against accuracy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crossent.inspection import Predictions, Reliability, predict_rows, reliability
from crossent.inspection.reliability import Binning
from crossent.report._style import BLUE, GREY, INK, MUTED, ORANGE, axes_or_new, data_label, split

__all__ = ["ClassReliabilityDisplay", "ReliabilityDisplay"]

_PANEL_COLUMNS = 3


@dataclass(eq=False)
class ReliabilityDisplay:
    """Top-label reliability diagram of a classifier with any number of classes.

    Parameters
    ----------
    curve : Reliability
        From `crossent.inspection.reliability`.
    before : Reliability, optional
        Of the same rows before calibration, drawn beside it.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=500).fit(X, y)
    >>> display = ReliabilityDisplay.from_estimator(model, X, y, ax=Figure().add_subplot())
    >>> display.ax_.get_xlabel()
    'confidence (probability of the predicted class)'
    """

    curve: Reliability
    before: Reliability | None = None
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    figure_size = (4.3, 4.4)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        /,
        *,
        sample_weight: Any = None,
        n_bins: int | None = None,
        binning: Binning = "equal-mass",
        ax: Any = None,
    ) -> "ReliabilityDisplay":
        """Predict with a classifier, bin, draw."""
        rows = predict_rows(estimator, X, y, sample_weight=sample_weight)
        return cls(reliability(rows, n_bins=n_bins, binning=binning)).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y: Any,
        log_probabilities: Any,
        /,
        *,
        classes: Any,
        sample_weight: Any = None,
        n_bins: int | None = None,
        binning: Binning = "equal-mass",
        ax: Any = None,
    ) -> "ReliabilityDisplay":
        """Bin log-probabilities that are at hand, shape (n, q), and draw."""
        rows = Predictions.from_log_probabilities(
            log_probabilities, y, classes=classes, sample_weight=sample_weight
        )
        return cls(reliability(rows, n_bins=n_bins, binning=binning)).plot(ax=ax)

    def plot(self, ax: Any = None) -> "ReliabilityDisplay":
        """Draw on `ax`, or on a new pyplot figure.

        Bars along the bottom show the share of rows in each bin, a tenth of the height for the
        largest.
        """
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        curve = self.curve
        self.ax_.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1, label="what it should be")
        self._draw_before()
        below_above = np.abs(curve.interval.T - curve.accuracy)
        self.ax_.errorbar(
            curve.confidence,
            curve.accuracy,
            yerr=below_above,
            fmt="o-",
            color=BLUE,
            markersize=4.5,
            linewidth=1.2,
            elinewidth=1,
            capsize=2.5,
            label="accuracy with 95 % interval" if self.before is None else "after, 95 % interval",
        )
        self.ax_.bar(
            curve.confidence,
            0.1 * curve.weight / curve.weight.max(),
            width=0.02,
            color=GREY,
            label="share of the rows",
        )
        self.ax_.set(
            xlim=(0, 1.02),
            ylim=(0, 1.02),
            xlabel="confidence (probability of the predicted class)",
            ylabel="accuracy",
        )
        self.ax_.legend(
            frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderaxespad=0.3
        )
        return self

    def _draw_before(self) -> None:
        """The curve before calibration, if there is one."""
        if self.before is not None:
            self.ax_.plot(
                self.before.confidence,
                self.before.accuracy,
                "s:",
                color=ORANGE,
                markersize=4,
                linewidth=1.2,
                label="before calibration",
            )


@dataclass(eq=False)
class ClassReliabilityDisplay:
    """Reliability of several classes, a small panel each.

    Parameters
    ----------
    curves : sequence of Reliability
        From `crossent.inspection.class_reliability`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    axes_ : ndarray of Axes, shape (curves,)
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from crossent.inspection import class_reliability
    >>> X, y = load_iris(return_X_y=True)
    >>> rows = predict_rows(LogisticRegression(max_iter=500).fit(X, y), X, y)
    >>> curves = [class_reliability(rows, label) for label in range(3)]
    >>> len(ClassReliabilityDisplay(curves).plot(ax=Figure().add_subplot()).axes_)
    3
    """

    curves: Sequence[Reliability]
    ax_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    @property
    def figure_size(self) -> tuple[float, float]:
        """Width and height in inches."""
        return (5.2, 0.4 + 1.75 * math.ceil(len(self.curves) / _PANEL_COLUMNS))

    def plot(self, ax: Any = None) -> "ClassReliabilityDisplay":
        """Draw in the place of `ax`, or on a new pyplot figure."""
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        columns = min(_PANEL_COLUMNS, len(self.curves))
        rows = math.ceil(len(self.curves) / _PANEL_COLUMNS)
        self.axes_ = split(self.ax_, rows, columns, len(self.curves))
        for number, (panel, curve) in enumerate(zip(self.axes_, self.curves, strict=True)):
            panel.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=0.8)
            panel.errorbar(
                curve.confidence,
                curve.accuracy,
                yerr=np.abs(curve.interval.T - curve.accuracy),
                fmt="o-",
                color=BLUE,
                markersize=3,
                linewidth=1,
                elinewidth=0.8,
            )
            panel.set(xlim=(0, 1.02), ylim=(0, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
            panel.set_title(data_label(curve.label, 16), fontsize=9, color=INK, pad=3)
            panel.tick_params(
                labelleft=number % columns == 0, labelbottom=number + columns >= len(self.curves)
            )
        self.axes_[0].set_ylabel("share of the rows")
        self.axes_[-1].set_xlabel("probability of the class")
        return self
