"""The exact Hessian of a choice model as a solver's metric: factorised, or by conjugate gradients.

Adding the same number to every item of a connected group changes no probability. Along such a
gauge direction e (a 0/1 vector) H e = 0, and H + μ e eᵀ/(eᵀe) is factorised instead: solutions have
no part along e, because gradients have none.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.linalg

__all__ = ["CholeskyMetric", "ConjugateGradientMetric"]

_ROUNDS = 40  # each multiplies the ridge by 10, from 1e-15 of the diagonal on
_DEFINITE = 1e-6  # of the least eigenvalue; ten thousand times what counts as flat
_TOLERANCE = 1e-9  # of the residual of conjugate gradients, relative to the gradient


class CholeskyMetric:
    """H + gauge, factorised.

    Parameters
    ----------
    hessian : ndarray, shape (p, p)
    gauge : ndarray, shape (g, p)
        0/1 rows with disjoint support.
    """

    quality: Literal["exact"] = "exact"
    cost = 1.0  # passes, of the order of; always renewed when steps stop shrinking the decrement

    def __init__(self, hessian: npt.NDArray[np.float64], gauge: npt.NDArray[np.float64], /) -> None:
        self.diagonal = hessian.diagonal()
        self.gauge = gauge
        self.mu = float(self.diagonal.mean()) or 1.0
        full = hessian
        if len(gauge) == 1 and gauge.all():
            full = hessian + self.mu / gauge.size
        elif len(gauge):
            full = hessian + self.mu * (gauge.T / gauge.sum(axis=1)) @ gauge
        self.ridge = 0.0
        for _ in range(_ROUNDS):
            # LAPACK itself: SciPy's checks take ten times as long as 60 columns do.
            ridged = full + self.ridge * np.eye(len(full)) if self.ridge else full
            self.factor, failed = scipy.linalg.lapack.dpotrf(ridged, lower=0, clean=0)
            if not failed:
                return
            # Flat to within rounding: along there a step is shortened instead of infinite.
            self.ridge = max(10 * self.ridge, 1e-15 * self.mu)
        message = "the Hessian of a choice model is not finite"
        raise AssertionError(message)

    def solve(self, gradient: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """``H⁻¹ gradient``, for one gradient or for the columns of a matrix."""
        result: npt.NDArray[np.float64]
        result, _ = scipy.linalg.lapack.dpotrs(self.factor, gradient, lower=0)
        return result

    @property
    def is_certainly_definite(self) -> bool:
        """Whether H, scaled to a unit diagonal, is far from singular off the gauge directions.

        LAPACK's estimate of the inverse's norm is hardly ever below a tenth of it (N. J. Higham,
        Accuracy and Stability of Numerical Algorithms, 2nd ed. 2002, section 15.3).
        """
        if self.ridge or not self.diagonal.all():
            return False
        reciprocal, _ = scipy.linalg.lapack.dpocon(self.factor / np.sqrt(self.diagonal), 1.0)
        return bool(reciprocal > _DEFINITE)

    def inverse_diagonal(self) -> npt.NDArray[np.float64]:
        """The diagonal of `inverse`, for half the work, shape (p,)."""
        upper, _ = scipy.linalg.lapack.dtrtri(np.triu(self.factor), lower=0)
        result: npt.NDArray[np.float64] = np.einsum("ij,ij->i", upper, upper)
        for e in self.gauge:
            result = result - e * e / (self.mu * e.sum())
        return result

    def inverse(self) -> npt.NDArray[np.float64]:
        """The inverse of H off the gauge directions, zero along them, shape (p, p)."""
        upper, _ = scipy.linalg.lapack.dpotri(self.factor, lower=0)
        full: npt.NDArray[np.float64] = np.triu(upper) + np.triu(upper, 1).T
        for e in self.gauge:
            full = full - np.outer(e, e) / (self.mu * e.sum())
        return full


class ConjugateGradientMetric:
    """H + gauge through products with vectors, preconditioned by its diagonal.

    Parameters
    ----------
    product : callable
        v → H v.
    diagonal : ndarray, shape (p,)
    gauge : ndarray, shape (g, p)
    """

    quality: Literal["exact"] = "exact"
    cost = 1.0  # passes, of the order of; always renewed when steps stop shrinking the decrement

    def __init__(
        self,
        product: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
        diagonal: npt.NDArray[np.float64],
        gauge: npt.NDArray[np.float64],
        /,
    ) -> None:
        self.mu = float(diagonal.mean()) if diagonal.any() else 1.0
        self.product = product
        self.gauge = gauge
        self.inverse_diagonal = 1 / np.maximum(diagonal, 1e-12 * self.mu)

    def _times(self, v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        result = self.product(v)
        for e in self.gauge:
            result = result + self.mu * (e @ v) / e.sum() * e
        return result

    def solve(self, gradient: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """``H⁻¹ gradient`` to a relative residual of 1e-9.

        References
        ----------
        M. R. Hestenes, E. Stiefel, Methods of conjugate gradients for solving linear systems,
        J. Res. Nat. Bur. Standards 49, 409-436, 1952.
        """
        x = np.zeros_like(gradient)
        residual = gradient.copy()
        bound = _TOLERANCE * float(np.linalg.norm(gradient))
        towards = self.inverse_diagonal * residual
        direction, energy = towards.copy(), float(residual @ towards)
        for _ in range(10 * len(gradient)):
            if float(np.linalg.norm(residual)) <= bound:
                break
            image = self._times(direction)
            step = energy / float(direction @ image)
            x += step * direction
            residual -= step * image
            towards = self.inverse_diagonal * residual
            energy, before = float(residual @ towards), energy
            direction = towards + energy / before * direction
        return x
