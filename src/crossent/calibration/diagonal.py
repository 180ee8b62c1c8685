"""A slope and a bias for each class, as a solver sees it.

    f(c, d) = (1/S) Σᵢ sᵢ [ logsumexp(ζᵢ) − yᵢ·ζᵢ ] + (λ/2) (‖c‖² + ‖d‖²),

    ζᵢⱼ = (β + dⱼ) zᵢⱼ + cⱼ,    with one d for all classes or one for each.

The penalty is on all that is added to β, so that f is strongly convex: there is a minimum even
where β alone has none, and f − f* ≤ ‖∇f‖² / (2λ) proves how close one is.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.linalg

from crossent.calibration.rows import Rows
from crossent.certificate import Certificate

__all__ = ["DiagonalObjective"]


@dataclass(frozen=True)
class _Newton:
    """The exact Hessian, factorised."""

    factor: tuple[npt.NDArray[np.float64], bool]
    quality: Literal["exact", "sampled", "model"] = "exact"
    cost: float = 1.0

    def solve(self, gradient: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """``H⁻¹ gradient``."""
        return np.asarray(scipy.linalg.cho_solve(self.factor, gradient))


class DiagonalObjective:
    """f above, of the vector (c, d).

    Parameters
    ----------
    rows : Rows
    slope : float
        β.
    penalty : float
        λ > 0.
    per_class : bool
        Whether d is of shape (q,), for vector scaling, or one number, for a bias-corrected
        temperature.
    """

    resolution = 1e-14  # rounding of the value, relative to it

    def __init__(self, rows: Rows, *, slope: float, penalty: float, per_class: bool) -> None:
        self.rows = rows
        self.slope = slope
        self.penalty = penalty
        self.per_class = per_class
        self.share = rows.weight / rows.total
        self.passes = 0

    @property
    def n_parameters(self) -> int:
        """2q, or q + 1."""
        q = len(self.rows.classes)
        return 2 * q if self.per_class else q + 1

    def unpack(
        self, w: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Slope β + d and bias c of each class, both of shape (q,)."""
        q = len(self.rows.classes)
        return np.full(q, self.slope) + w[q:], w[:q]

    def logits(self, w: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """ζ, shape (n, q)."""
        slope, bias = self.unpack(w)
        return self.rows.z * slope + bias

    def value_and_gradient(
        self, w: npt.NDArray[np.float64], /
    ) -> tuple[float, npt.NDArray[np.float64]]:
        """Value and gradient at `w`. Cost: O(n q)."""
        self.passes += 1
        logits = self.logits(w)
        residual = self._probabilities(logits) - self.rows.distributions
        residual *= self.share[:, np.newaxis]
        by_slope = np.einsum("ij,ij->j", residual, self.rows.z)
        if not self.per_class:
            by_slope = by_slope.sum(keepdims=True)
        gradient = np.concatenate([residual.sum(axis=0), by_slope]) + self.penalty * w
        value = self.rows.loss(logits) + 0.5 * self.penalty * float(w @ w)
        return value, gradient

    def _probabilities(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.exp(self.rows.log_probabilities(logits))

    def metric(self, w: npt.NDArray[np.float64], rng: np.random.Generator, /) -> _Newton:
        """The exact Hessian at `w`; nothing is drawn from `rng`. Cost: O(n q²)."""
        del rng
        p = self._probabilities(self.logits(w))
        weighted = self.share[:, np.newaxis] * p
        slope = p * self.rows.z
        both = np.hstack([p, slope])
        hessian = -both.T @ (self.share[:, np.newaxis] * both)
        q = p.shape[1]
        first, second = np.arange(q), np.arange(q, 2 * q)
        hessian[first, first] += weighted.sum(axis=0)
        cross = np.einsum("ij,ij->j", weighted, self.rows.z)
        hessian[first, second] += cross
        hessian[second, first] += cross
        hessian[second, second] += np.einsum("ij,ij,ij->j", weighted, self.rows.z, self.rows.z)
        if not self.per_class:
            all_slopes = np.eye(q + 1, 2 * q)
            all_slopes[q, q:] = 1
            hessian = all_slopes @ hessian @ all_slopes.T
        hessian[np.diag_indices_from(hessian)] += self.penalty
        return _Newton(scipy.linalg.cho_factor(hessian, lower=True))

    def relative_gap(self, value: float, gradient: npt.NDArray[np.float64], /) -> float:
        """``‖∇f‖² / (2λ)`` over the value less itself."""
        gap = float(gradient @ gradient) / (2 * self.penalty)
        return gap / (value - gap) if value > gap else math.inf

    def refine(self) -> bool:
        """There is nothing more precise than float64."""
        return False

    def certify(
        self, w: npt.NDArray[np.float64], /
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Certificate]:
        """`w`, the gradient and the certificate there; nothing is without penalty."""
        value, gradient = self.value_and_gradient(w)
        norm = float(np.linalg.norm(gradient))
        gap, relative = norm**2 / (2 * self.penalty), self.relative_gap(value, gradient)
        return w, gradient, Certificate("gap", value, gap, relative, norm)
