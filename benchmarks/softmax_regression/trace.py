"""Watching SciPy's L-BFGS from outside: which iterate had which quality, and when.

scikit-learn and scikit-learn-intelex both call ``scipy.optimize.minimize``. While a `Watch` is
active, that function gets a callback that stores iterates; the time it takes is not charged to the
solver. One fit then serves every level of quality, and a fit at its cap still counts for what it
reached.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize

__all__ = ["Iterate", "Watch"]

_GROWTH = 1.3  # between iterates that are kept anyway: the curve of the figure
_AFTER = 2  # iterates kept after a level is crossed: float32 values may cross too early


@dataclass(frozen=True)
class Iterate:
    """An iterate on disk; `value` is the solver's own opinion of the objective there."""

    iteration: int
    seconds: float
    value: float
    file: Path

    def parameters(self, q: int, layout: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """W of shape (q, d) and b of shape (q,)."""
        x = np.load(self.file)
        if layout == "sklearn":
            table = x.reshape(q, -1, order="F")
            return table[:, :-1], table[:, -1]
        table = x.reshape(q, -1)  # oneDAL: the intercept comes first
        return table[:, 1:], table[:, 0]


class Watch:
    """Context in which a fit by SciPy's L-BFGS is watched.

    Parameters
    ----------
    folder : Path
        For the iterates.
    values : sequence of float
        Values of the objective whose first crossings are kept; the fit is stopped a little after
        the smallest.
    cap_s : float
        Time after which it is stopped.
    """

    def __init__(self, folder: Path, values: Sequence[float], cap_s: float) -> None:
        self.folder = folder
        self.levels = sorted(values, reverse=True)
        self.cap_s = cap_s
        self.iterates: list[Iterate] = []
        self.layout = "sklearn"
        self.capped = False
        self.iterations = 0
        self._next, self._more = 1, 0
        self._paused = 0.0

    def __enter__(self) -> "Watch":
        self._minimize: Callable[..., Any] = scipy.optimize.minimize
        scipy.optimize.minimize = self._watched
        self._start = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._start - self._paused
        scipy.optimize.minimize = self._minimize

    def _watched(self, function: Any, x0: Any, **options: Any) -> Any:
        if "daal4py" in getattr(function, "__module__", ""):
            self.layout = "onedal"
        return self._minimize(function, x0, **{**options, "callback": self._callback})

    def _callback(self, intermediate_result: Any) -> None:  # SciPy looks at the parameter's name
        entered = time.perf_counter()
        seconds = entered - self._start - self._paused
        self.iterations += 1
        value = float(intermediate_result.fun)
        while self.levels and value <= self.levels[0]:
            self.levels.pop(0)
            self._more = 1 + _AFTER
        finished = not self.levels and self._more == 1
        self.capped = seconds > self.cap_s and not finished
        if self._more > 0 or self.iterations >= self._next or self.capped:
            self._keep(intermediate_result.x, seconds, value)
        self._paused += time.perf_counter() - entered
        if finished or self.capped:
            raise StopIteration

    def _keep(self, x: npt.NDArray[Any], seconds: float, value: float) -> None:
        self._more = max(self._more - 1, 0)
        if self.iterations >= self._next:
            self._next = int(self.iterations * _GROWTH) + 1
        file = self.folder / f"iterate_{self.iterations:06d}.npy"
        np.save(file, x)
        self.iterates.append(Iterate(self.iterations, seconds, value, file))
