"""Steps of the intercept alone, W being held: what makes the gap formula valid.

With ρ = Σ s_i (p_i - y_i) and p̄ = Σ s_i p_i the Hessian in b is diag(p̄) - Σ s_i p_i p_iᵀ. Up to
some thousand classes it is formed, and the step is Newton's. Above, b += log(ȳ/p̄), which takes
diag(p̄) for it, and from the second step on what the ones before have shown.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.kernels import PassSums

__all__ = ["InterceptSteps", "intercept_step"]

_LEAST_SHARE = 0.001  # κ_j; less would make steps of rounding
_MEMORY = 5


class InterceptSteps:
    """Steps one after the other, W being held; from the second on, with what they have shown.

    The Hessian in b of very many classes is nearly diagonal, κ_j p̄_j. What is lacking, log(ȳ/p̄)
    over κ, is made small as a fixed point is found by Anderson's acceleration (J. ACM 12, 1965):
    the next step is the one whose combination with the last ones' would have left the least. On
    2000 classes each leaves a thirtieth of what is lacking; logarithms alone leave nine tenths.

    Parameters
    ----------
    share : ndarray, shape (q,), optional
        κ, or a guess of it; default 1.
    """

    def __init__(self, share: npt.NDArray[np.float64] | None = None) -> None:
        self._share: Any = 1.0 if share is None else np.clip(share, _LEAST_SHARE, 1.0)
        self._last: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None
        self._moved: list[npt.NDArray[np.float64]] = []
        self._changed: list[npt.NDArray[np.float64]] = []

    def after(self, sums: PassSums) -> npt.NDArray[np.float64]:
        """What to add to b after a pass there, as `intercept_step`."""
        if sums.second_moment is not None or sums.mean_probability is None:
            return intercept_step(sums)
        lacking = _lacking(sums.mean_probability, sums.gradient_b) / self._share
        lacking -= lacking.mean()
        step = lacking
        if self._last is not None:
            before, moved = self._last
            self._moved = [*self._moved, moved][-_MEMORY:]
            self._changed = [*self._changed, lacking - before][-_MEMORY:]
            moves, changes = np.column_stack(self._moved), np.column_stack(self._changed)
            weights = np.linalg.lstsq(changes, lacking, rcond=1e-10)[0]
            step = lacking - (moves + changes) @ weights
        step = _bounded(step)
        self._last = lacking, step
        return step


def intercept_step(sums: PassSums) -> npt.NDArray[np.float64]:
    """What to add to b after a pass there; at most one nat of difference between classes.

    Nothing after a pass without `mean_probability`.
    """
    mean, residual = sums.mean_probability, sums.gradient_b
    if mean is None:
        return np.zeros_like(residual)
    if sums.second_moment is not None:
        step = _newton(mean, sums.second_moment, residual)
    else:
        step = _lacking(mean, residual)
    return _bounded(step)


def _lacking(
    mean: npt.NDArray[np.float64], residual: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """log(ȳ/p̄), centred; 0 for a class of no probability."""
    with np.errstate(divide="ignore", invalid="ignore"):
        lacking = np.log(mean - residual) - np.log(mean)
    lacking[~np.isfinite(lacking)] = 0.0
    return np.asarray(lacking - lacking.mean())


def _bounded(step: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Centred, and no more than a nat between the largest and the smallest."""
    step = step - step.mean()
    return np.asarray(step * min(1.0, 1.0 / max(float(np.ptp(step)), 1e-300)))


def _newton(
    mean: npt.NDArray[np.float64],
    second_moment: npt.NDArray[np.float64],
    residual: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    hessian = np.diag(mean) - second_moment
    hessian += mean.max() / len(mean)  # along (1, …, 1), where it is singular
    return np.asarray(-np.linalg.solve(hessian, residual))
