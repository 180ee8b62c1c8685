"""What watches a fit: lines for `verbose`, and scikit-learn's callbacks."""

import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from crossent.certificate import TracePoint

__all__ = ["CallbackSupport", "PassReporter", "metadata", "with_callbacks"]

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupport
    from sklearn.callback import with_callbacks
except ImportError:  # scikit-learn before 1.9 has no callbacks

    class CallbackSupport:  # type: ignore[no-redef]
        """Nothing to support."""

    def with_callbacks(method: Any) -> Any:
        """Leave the method as it is."""
        return method


FloatMatrix: TypeAlias = npt.NDArray[np.float64]


class PassReporter:
    """Hears of every pass; keeps the trace, prints, and asks the callbacks whether to stop.

    Parameters
    ----------
    estimator : estimator
        Its ``trace_`` grows by a TracePoint per pass, for callbacks to read.
    data : dict
        X, y and metadata, handed on to the callbacks.
    verbose : int
        0: silent; 1: every tenth pass; 2: every pass. To standard error.
    attributes : callable
        The fitted attributes at (W, b): scikit-learn makes an estimator of them for callbacks
        that score it.
    """

    def __init__(
        self,
        estimator: Any,
        data: dict[str, Any],
        verbose: int,
        attributes: Callable[[FloatMatrix, FloatMatrix], dict[str, Any]],
    ) -> None:
        self.estimator = estimator
        self.data = data
        self.verbose = verbose
        self.stopped = False
        self.attributes = attributes
        estimator.trace_ = []
        self.context: Any = None
        if getattr(estimator, "_skl_callbacks", None):
            self.context = estimator._init_callback_context(max_subtasks=None)
            self.context.call_on_fit_task_begin(estimator=estimator, **data)

    def __call__(self, point: TracePoint, W: FloatMatrix, b: FloatMatrix) -> bool:
        """Whether a callback asked to stop."""
        self.estimator.trace_.append(point)
        if self.verbose > 1 or (self.verbose == 1 and (point.certified or point.passes % 10 == 1)):
            proof = "certified" if point.certified else "estimated"
            sys.stderr.write(
                f"pass {point.passes:4d}  {point.seconds:8.2f} s  objective {point.objective:.10g}"
                f"  relative gap {point.relative_gap:.2e} ({proof})\n"
            )
        if self.context is not None:
            task = self.context.subcontext(task_name="pass")
            task.call_on_fit_task_begin(estimator=self.estimator, **self.data)
            self.stopped |= bool(
                task.call_on_fit_task_end(
                    estimator=self.estimator,
                    **self.data,
                    reconstruction_attributes=lambda: self.attributes(W, b),
                )
            )
        return self.stopped

    def close(self) -> None:
        """The fit is over."""
        if self.context is not None:
            self.context.call_on_fit_task_end(
                estimator=self.estimator, **self.data, reconstruction_attributes={}
            )


def metadata(sample_weight: Any, offset: Any) -> dict[str, Any] | None:
    """Training metadata as scikit-learn's callbacks expect them."""
    given = {"sample_weight": sample_weight, "offset": offset}
    return {name: value for name, value in given.items() if value is not None} or None
