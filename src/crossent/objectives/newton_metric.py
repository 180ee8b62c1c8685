"""The Hessian with all its q² blocks, factorised.

    H = Σ ω_i (diag(p_i) - p_i p_iᵀ) ⊗ v_i v_iᵀ + λ,    v_i = (1, x_i - x̄),

the covariance of the label between brackets. Adding one vector to all rows of W and one number to
all of b changes no probability, so the last class is left out: for rows that sum to zero, with
u_j = w_j - w_q,

    H w = g   ⟺   (F' + λ (I - 11ᵀ/q)) u = g_1 … g_{q-1},    F' the sum above without class q,

and in the direction of equal rows there is the penalty alone. The blocks are those of D. Böhning,
Multinomial logistic regression algorithm, Ann. Inst. Statist. Math. 44, 1992.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.objectives.curvature import exact_hessian
from crossent.objectives.factorisation import Factor, factorise, solve_with
from crossent.typing import Block, FloatArray

__all__ = ["NewtonMetric", "definite", "newton_metric"]

_RIDGE = 1e-12  # relative to the variance: keeps the model definite when λ = 0


@dataclass(frozen=True)
class NewtonMetric:
    """The exact Hessian, factorised.

    Attributes
    ----------
    n_classes : int
    centre : ndarray or None, shape (d,)
        x̄; None without an intercept.
    varies : ndarray, shape (d',)
        The columns that are not constant.
    scale : ndarray, shape (d',)
        Reciprocal spreads of these; the factor is over the scaled coordinates.
    flat : ndarray, shape (d,)
        Curvature along equal rows: λ, more where rounding in the gradient would be felt, and
        infinite for λ = 0, where there is no gradient along them.
    factor : tuple
        Cholesky factor over (class, 1 + d') or (class, d'), without the last class.
    sampled : bool
        Whether not all rows were used.
    cost : float
        Of building it, in passes over the data; 0 where it is wanted at every step anyway.
    """

    n_classes: int
    centre: npt.NDArray[np.float64] | None
    varies: npt.NDArray[np.intp]
    scale: npt.NDArray[np.float64]
    flat: npt.NDArray[np.float64]
    factor: Factor
    sampled: bool
    cost: float

    @property
    def quality(self) -> Literal["exact", "sampled", "model"]:
        """Exact if all rows were used."""
        return "sampled" if self.sampled else "exact"

    def solve(self, gradient: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """``H⁻¹ gradient``. Cost: 2·((q - 1)·(1 + d'))² flops."""
        q, d = self.n_classes, len(self.flat)
        inner = gradient[: q * d].reshape(q, d)
        if self.centre is None:
            return self._without_last(inner).ravel()
        gradient_b = gradient[q * d :]
        gradient_b = gradient_b - gradient_b.mean()
        both = np.hstack([gradient_b[:, None], inner - np.outer(gradient_b, self.centre)])
        step = self._without_last(both)
        step_b = step[:, 0] - step[:, 1:] @ self.centre
        return np.concatenate([step[:, 1:].ravel(), step_b - step_b.mean()])

    def _without_last(self, gradient: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The solution in (b̃, W), shape (q, 1 + d), or (q, d) in W alone."""
        q, shift = len(gradient), gradient.shape[1] - len(self.flat)
        columns = np.concatenate([np.arange(shift), shift + self.varies])
        scale = np.concatenate([np.ones(shift), self.scale])
        mean = gradient.mean(axis=0)
        apart = gradient - mean
        step = np.zeros_like(gradient)
        step[:, shift:] = apart[:, shift:] / self.flat  # of constant columns
        right = (apart[:-1, columns] * scale).ravel()
        step[:-1, columns] = solve_with(self.factor, right).reshape(q - 1, -1) * scale
        step[-1, columns] = 0.0
        step -= step.mean(axis=0)
        step[:, shift:] += mean[shift:] / self.flat
        return step


def newton_metric(
    block: Block,
    p: FloatArray,
    centre: npt.NDArray[np.float64] | None,
    *,
    penalty: float,
    n_rows: int,
    n_threads: int | None,
) -> NewtonMetric:
    """The Hessian over the rows of `block`.

    Parameters
    ----------
    p : ndarray, shape (rows, q)
        Their probabilities.
    centre : ndarray or None, shape (d,)
        x̄; None without an intercept.
    penalty : float
        λ ≥ 0.
    n_rows : int
        Rows of the data that `block` is a sample of.
    n_threads : int, optional
        Default: all cores that the process may use.

    Notes
    -----
    Cost for m rows: m·((q-1)·(1+d))² flops, half of them from 24 columns on, and a third of the
    cube to factorise. Memory: one matrix of ((q-1)·(1+d))² numbers, and as many again while it is
    factorised; in float64, above 2000 rows in the type of X.
    """
    X = block.X.toarray() if sp.issparse(block.X) else block.X
    q = p.shape[1]
    centred = X if centre is None else X - centre.astype(X.dtype)
    mean_square = np.einsum("ij,ij->j", centred, centred, dtype=np.float64) / max(len(X), 1)
    noise = 100 * float(np.finfo(X.dtype).eps) * (0.0 if centre is None else np.abs(centre))
    varies = np.flatnonzero(mean_square > noise**2)  # what constant columns vary by is rounding
    scale = 1.0 / np.sqrt(mean_square[varies] + penalty)
    features = _columns(centred, varies) * scale.astype(X.dtype)
    if centre is not None:
        features = np.hstack([np.ones((len(X), 1), dtype=X.dtype), features])
    hessian = exact_hessian(p[:, :-1], features, block.sample_weight, n_threads)
    largest = float(hessian.diagonal().max(initial=0.0))
    ridge = definite(penalty, mean_square * largest)
    _add_penalty(hessian, ridge[varies] * scale * scale, q, centre is not None)
    cost = len(X) * len(hessian) / (4 * n_rows)  # m·(qk)² flops against 4·n·k·q
    factor = factorise(hessian, X.dtype, n_threads)
    flat = ridge if penalty > 0 else np.full_like(ridge, np.inf)
    return NewtonMetric(q, centre, varies, scale, flat, factor, len(X) < n_rows, cost)


def _columns(X: FloatArray, which: npt.NDArray[np.intp]) -> FloatArray:
    """Those columns; X itself where they are all."""
    return X if len(which) == X.shape[1] else X[:, which]


def definite(penalty: float, variance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """λ and a ridge far below each column's own variance: columns may differ by any factor."""
    return np.asarray(np.maximum(penalty + _RIDGE * variance, 1e-300))


def _add_penalty(
    hessian: FloatArray,
    penalty: npt.NDArray[np.float64],
    q: int,
    fit_intercept: bool,
) -> None:
    """Add (I - 11ᵀ/q) ⊗ diag(penalty), which leaves the intercepts out."""
    k = len(penalty) + fit_intercept
    blocks = hessian.reshape(q - 1, k, q - 1, k)
    inner = np.arange(fit_intercept, k)
    for j in range(q - 1):
        blocks[j, inner, :, inner] -= (penalty / q)[:, None]
        blocks[j, inner, j, inner] += penalty
