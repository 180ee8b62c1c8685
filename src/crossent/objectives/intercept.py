"""Steps of the intercept alone, W being held: what makes the gap formula valid.

With ρ = Σ s_i (p_i - y_i) and p̄ = Σ s_i p_i the Hessian in b is diag(p̄) - Σ s_i p_i p_iᵀ. Up to
some thousand classes it is formed, and the step is Newton's. Above, b += log(ȳ/p̄), which takes
diag(p̄) for it, and then the same divided by what the last step taught: with very many classes the
Hessian is nearly diagonal, and p̄_j - Σ_i s_i p_ij² is κ_j p̄_j with a κ_j that two steps show.
"""

import numpy as np
import numpy.typing as npt

from crossent.kernels import PassSums

__all__ = ["InterceptSteps", "intercept_step"]

_LEAST_SHARE = 0.1  # κ_j; a class that the model is surer of on its own rows than 0.9 is rare
_CLEARLY = 0.3  # times the root mean square: a step whose effect on its own class is seen


class InterceptSteps:
    """Steps one after the other, W being held; each learns from the last.

    2000 classes, whose κ is 0.1 to 0.3: logarithms leave nine tenths of what is lacking, the steps
    after the first on average a fifth.
    """

    def __init__(self) -> None:
        self._last: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None
        self._share: npt.NDArray[np.float64] | None = None

    def after(self, sums: PassSums) -> npt.NDArray[np.float64]:
        """What to add to b after a pass there, as `intercept_step`."""
        step = intercept_step(sums)
        if sums.second_moment is not None or sums.mean_probability is None:
            return step
        lacking = _lacking(sums.mean_probability, sums.gradient_b)
        if self._last is not None:
            step = self._learnt(lacking, *self._last)
        self._last = lacking, step
        return step

    def _learnt(
        self,
        lacking: npt.NDArray[np.float64],
        before: npt.NDArray[np.float64],
        moved: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """The step with κ from what `moved` has changed; a plain one if that has helped nothing.

        Classes that hardly moved show others' steps more than their own: they keep their κ, at
        first that of all classes together.
        """
        if not float(lacking @ lacking) < float(before @ before):
            self._share = None
            return _bounded(lacking)
        changed = before - lacking
        if self._share is None:
            self._share = np.full_like(lacking, float(changed @ moved) / float(moved @ moved))
        clear = np.abs(moved) > _CLEARLY * np.sqrt(np.mean(moved**2))
        self._share[clear] = changed[clear] / moved[clear]
        self._share = np.clip(self._share, _LEAST_SHARE, 1.0)
        return _bounded(lacking / self._share)


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
