"""Watching a fit: each pass is shown, and Ctrl-C asks for a stop after the running pass."""

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from crossent.certificate import TracePoint

__all__ = ["PassWatcher", "StopRequest", "progress_line", "stop_on_interrupt"]


@dataclass
class StopRequest:
    """Whether somebody has asked for a stop."""

    asked: bool = False


@contextmanager
def stop_on_interrupt(on_ask: Callable[[], None]) -> Iterator[StopRequest]:
    """Inside, the first Ctrl-C calls `on_ask` and sets the request; the second one aborts.

    Outside the main thread Python hands no signals out, and nothing is changed.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        request.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        on_ask()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class PassWatcher:
    """A scikit-learn fit callback: shows each pass, and stops the fit when asked to.

    Attributes
    ----------
    show : callable
        Takes the text of the progress line.
    request : StopRequest
    tol : float
        The relative gap at which the fit will end, for the line.
    """

    show: Callable[[str], None]
    request: StopRequest
    tol: float

    def setup(self, estimator: Any, context: Any) -> None:
        """Nothing to prepare."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing to clean up."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Nothing to do before a pass."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:  # noqa: ARG002
        """Show the pass that just ended; True asks for a stop."""
        trace = getattr(estimator, "trace_", None)
        if trace:
            self.show(progress_line(trace[-1], tol=self.tol))
        return self.request.asked


def progress_line(point: TracePoint, /, *, tol: float) -> str:
    """One pass in one line.

    Examples
    --------
    >>> progress_line(TracePoint(12, 1.5, 0.2325, 3.1e-5, 0.001), tol=1e-6)
    'pass 12, objective 0.2325 nats, relative gap 3.1e-05 (ends at 1e-06), 1.5 s'
    """
    if math.isnan(point.relative_gap):
        distance = f"gradient norm {point.gradient_norm:.1e}"
    elif math.isinf(point.relative_gap):
        distance = f"no bound on the gap yet (ends at {tol:g})"
    else:
        distance = f"relative gap {point.relative_gap:.1e} (ends at {tol:g})"
    return (
        f"pass {point.passes}, objective {point.objective:.6g} nats, {distance}, "
        f"{point.seconds:.1f} s"
    )
