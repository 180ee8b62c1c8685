"""How the certified gap fell during a fit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crossent.certificate import TracePoint
from crossent.errors import InputError
from crossent.report._style import BLUE, INK, MUTED, ORANGE, axes_or_new, power_of_ten

__all__ = ["TraceDisplay"]


@dataclass(eq=False)
class TraceDisplay:
    """Relative gap against passes over the data, on a logarithmic axis.

    Without a penalty there is no gap; the norm of the gradient is shown instead.

    Parameters
    ----------
    trace : sequence of TracePoint
    tolerance : float, optional
        Drawn as a line.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    shows_gap_ : bool
        False where the norm of the gradient was drawn.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> trace = [TracePoint(1, 0.1, 2.3, 0.5, 1.0), TracePoint(2, 0.2, 1.9, 1e-7, 1e-4, True)]
    >>> display = TraceDisplay(trace, tolerance=1e-6).plot(ax=Figure().add_subplot())
    >>> display.ax_.get_yscale(), display.shows_gap_
    ('log', True)
    """

    trace: Sequence[TracePoint]
    tolerance: float | None = None
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    shows_gap_: bool = field(default=True, init=False, repr=False)

    figure_size = (4.3, 3.0)

    @classmethod
    def from_estimator(cls, estimator: Any, /, *, ax: Any = None) -> "TraceDisplay":
        """Draw the trace of a fitted estimator that has ``trace_``."""
        if not getattr(estimator, "trace_", None):
            message = (
                f"{type(estimator).__name__} has no `trace_`. Fit a `crossent.SoftmaxRegression`."
            )
            raise InputError(message)
        return cls(list(estimator.trace_), getattr(estimator, "tol", None)).plot(ax=ax)

    def plot(self, ax: Any = None) -> "TraceDisplay":
        """Draw on `ax`, or on a new pyplot figure.

        Points whose value is not finite and positive are left out.
        """
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        passes = np.array([point.passes for point in self.trace], dtype=np.float64)
        values = np.array([point.relative_gap for point in self.trace], dtype=np.float64)
        self.shows_gap_ = bool(np.any(_drawable(values)))
        if not self.shows_gap_:
            values = np.array([point.gradient_norm for point in self.trace], dtype=np.float64)
        certified = np.array([point.certified for point in self.trace], dtype=bool)
        self._draw(passes, values, certified & self.shows_gap_)
        return self

    def _draw(self, passes: Any, values: Any, certified: Any) -> None:
        """Line, certified points, tolerance."""
        shown = _drawable(values)
        name = "relative gap" if self.shows_gap_ else "norm of the gradient"
        unproven = "not certified" if self.shows_gap_ else "after each pass"
        self.ax_.plot(
            passes[shown],
            values[shown],
            "-o",
            color=BLUE,
            markersize=3,
            linewidth=1.2,
            label=unproven,
        )
        marked = shown & certified
        if marked.any():
            self.ax_.plot(
                passes[marked], values[marked], "D", color=ORANGE, markersize=6.5, label="certified"
            )
        if self.shows_gap_ and self.tolerance is not None and self.tolerance > 0:
            self.ax_.axhline(
                self.tolerance, color=MUTED, linestyle="--", linewidth=1, label="tolerance"
            )
        self.ax_.set_yscale("log")
        self.ax_.yaxis.set_major_formatter(power_of_ten)
        self.ax_.yaxis.set_minor_formatter("")
        self.ax_.set_xlim(0, 1.04 * passes.max(initial=1.0))
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        self.ax_.set(xlabel="passes over the training rows", ylabel=name)
        self.ax_.legend(frameon=False, labelcolor=INK)


def _drawable(values: Any) -> Any:
    """Where a logarithmic axis can show the values."""
    return np.isfinite(values) & (values > 0)
