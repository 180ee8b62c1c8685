"""Steps of the intercept alone, W being held: what makes the gap formula valid.

With ρ = Σ s_i (p_i - y_i) and p̄ = Σ s_i p_i the Hessian in b is diag(p̄) - Σ s_i p_i p_iᵀ. Up to
some thousand classes it is formed, and the step is Newton's. Above, b += log(ȳ/p̄), which takes
diag(p̄) for it.
"""

import numpy as np
import numpy.typing as npt

from crossent.kernels import PassSums

__all__ = ["intercept_step"]


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
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.log(mean - residual) - np.log(mean)
        step[~np.isfinite(step)] = 0.0
    step -= step.mean()
    step *= min(1.0, 1.0 / max(float(np.ptp(step)), 1e-300))
    return step


def _newton(
    mean: npt.NDArray[np.float64],
    second_moment: npt.NDArray[np.float64],
    residual: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    hessian = np.diag(mean) - second_moment
    hessian += mean.max() / len(mean)  # along (1, …, 1), where it is singular
    return np.asarray(-np.linalg.solve(hessian, residual))
