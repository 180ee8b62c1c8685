"""The Fisher information of a structured model's parameters, as a metric for the solver.

With A_i the derivative of the logits of row i by w = (θ, b), the Hessian of a model whose logits
are linear in w is

    H = Σ s_i A_iᵀ (diag p_i - p_i p_iᵀ) A_i + λ = Σ s_i E_j[r_ij r_ijᵀ] + λ

with r_ij = A_iᵀ (p_i - e_j), the label j drawn from p_i: the Fisher information. Summed over all
labels it is exact; one drawn label a row makes it unbiased, at the cost of a gradient per row.
Where the logits are not linear in w, it is the Gauss-Newton matrix, which is positive definite even
where the Hessian is not.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp

from crossent.kernels import probabilities
from crossent.objectives.factorisation import factorise
from crossent.typing import Block, FloatArray, LinearMap, RowSource

__all__ = ["DiagonalMetric", "FisherMetric", "build_fisher_metric"]

Factor: TypeAlias = tuple[FloatArray, bool]

_MAX_EXACT_ROWS = 20_000  # pairs of row and label: then all of them are taken
_MAX_FACTORED = 5000  # parameters of a factorised metric; above it is diagonal
_ROWS_PER_PARAMETER = 4
_FEW_ROWS, _MANY_ROWS = 4000, 10_000
_DIAGONAL_ENTRIES = 4e8  # of r, all rows: a second or two; more parameters get fewer rows
_LEAST_ROWS = 256
_CHUNK = 8_000_000  # entries of r held at a time
_RIDGE = 1e-10  # relative to each variance: keeps the model definite for λ = 0
_DAMPING = 0.1  # likewise, where factors can trade their sizes and W is far from linear in θ:
# low rank on MNIST took 248 passes, 286 with a tenth of it, and did not end in 600 without


@dataclass(frozen=True)
class FisherMetric:
    """A factorised Fisher information.

    Attributes
    ----------
    factor : tuple
        Cholesky factor over (θ, b) in units of `scale`.
    scale : ndarray, shape (p,)
        Reciprocal roots of the diagonal.
    quality : {"exact", "sampled", "model"}
        Of all rows and labels, or of a sample; "model" where it is not the Hessian.
    cost : float
        Of building it, in passes over the data.
    """

    factor: Factor
    scale: npt.NDArray[np.float64]
    quality: Literal["exact", "sampled", "model"]
    cost: float

    def solve(self, gradient: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """``H⁻¹ gradient``. Cost: 2·p² flops."""
        solved = scipy.linalg.cho_solve(self.factor, gradient * self.scale, check_finite=False)
        return np.asarray(solved * self.scale, dtype=np.float64)


@dataclass(frozen=True)
class DiagonalMetric:
    """The diagonal of the Fisher information, for many parameters.

    Attributes
    ----------
    diagonal : ndarray, shape (p,)
    cost : float
        Of building it, in passes over the data.
    """

    diagonal: npt.NDArray[np.float64]
    cost: float

    @property
    def quality(self) -> Literal["exact", "sampled", "model"]:
        """A model."""
        return "model"

    def solve(self, gradient: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """``gradient / diagonal``."""
        return gradient / self.diagonal


def build_fisher_metric(
    source: RowSource,
    linear_map: LinearMap,
    theta: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    *,
    penalty: float,
    fit_intercept: bool,
    rng: np.random.Generator,
) -> FisherMetric | DiagonalMetric:
    """The Fisher information at (θ, b), factorised up to 5000 parameters, else its diagonal.

    Parameters
    ----------
    source : RowSource
    linear_map : LinearMap
        W(θ) of shape (q, d).
    theta, b : ndarray, shapes (p,) and (q,)
    penalty : float
        λ ≥ 0, on θ.
    fit_intercept : bool
    rng : numpy.random.Generator
        For rows and labels, where n·q > 20,000.

    Notes
    -----
    Cost: 4·(p + q) rows, 4000 to 10,000, of a gradient each, m·(p + q)² flops for their products
    and (p + q)³/3 to factorise; 4000 rows for a diagonal, fewer above 100,000 parameters.
    """
    q, n = source.n_classes, source.n_rows
    size = linear_map.n_parameters + q * fit_intercept
    whole = n * q <= _MAX_EXACT_ROWS
    factored = size <= _MAX_FACTORED
    block, labels, weight = _pairs(source, linear_map.to_dense(theta), b, size, whole, rng)
    sums = np.zeros((size, size)) if factored else np.zeros(size)
    for rows in _chunks(len(weight), size):
        r = _row_gradients(linear_map, theta, block, labels[rows], rows, fit_intercept)
        r *= np.sqrt(weight[rows]).astype(r.dtype)[:, None]
        sums += r.T @ r if factored else np.einsum("ij,ij->j", r, r, dtype=np.float64)
    curvature = sums.diagonal().copy() if factored else sums
    convex = linear_map.is_linear_in_parameters
    ridge = _added(curvature, linear_map.n_parameters, penalty, _RIDGE if convex else _DAMPING)
    cost = len(weight) * (size if factored else 1) * size / (4 * n * q * source.n_features)
    if not factored:
        return DiagonalMetric(curvature + ridge, cost)
    scale = 1.0 / np.sqrt(curvature + ridge)
    sums[np.diag_indices(size)] += ridge
    if fit_intercept:  # along (1, …, 1) the loss is flat
        flat = float(np.trace(sums[-q:, -q:])) / q**2
        sums[-q:, -q:] += flat
    factor = factorise(scale[:, None] * sums * scale, block.X.dtype)
    quality: Literal["exact", "sampled", "model"] = (
        ("exact" if whole else "sampled") if convex else "model"
    )
    return FisherMetric(factor, scale, quality, cost)


def _added(
    curvature: npt.NDArray[np.float64], p: int, penalty: float, share: float
) -> npt.NDArray[np.float64]:
    """λ on θ, and a share of each variance, or of a ten-thousand-millionth of the mean one."""
    least = max(_RIDGE * float(curvature.mean()), 1e-300)
    ridge: npt.NDArray[np.float64] = share * np.maximum(curvature, least)
    ridge[:p] += penalty
    return ridge


def _pairs(
    source: RowSource,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    size: int,
    whole: bool,
    rng: np.random.Generator,
) -> tuple[Block, FloatArray, npt.NDArray[np.float64]]:
    """Rows, what stands in place of p_i - e_j for each pair, and the weight of each pair.

    All pairs are listed label by label, so that pair k belongs to row k mod n.
    """
    q = source.n_classes
    if whole:
        block = source.take(slice(None), np.float64)
        p = probabilities(block, W, b)
        each = (p[None] - np.eye(q)[:, None]).reshape(-1, q)
        return block, each, (p * block.sample_weight[:, None]).T.ravel()
    m = min(source.n_rows, _rows_wanted(size))
    cumulated = np.cumsum(source.sample_weight)
    steps = (np.arange(m) + rng.random()) * (cumulated[-1] / m)
    chosen = np.minimum(np.searchsorted(cumulated, steps), source.n_rows - 1)
    block = source.take(chosen, source.dtype)
    residual = probabilities(block, W, b)
    drawn = (residual.cumsum(axis=1) < rng.random((m, 1))).sum(axis=1)
    residual[np.arange(m), np.minimum(drawn, q - 1)] -= 1.0
    return block, residual, np.full(m, cumulated[-1] / m)


def _rows_wanted(size: int) -> int:
    """Rows of a sample, by the number of parameters."""
    if size <= _MAX_FACTORED:
        return max(_FEW_ROWS, min(_ROWS_PER_PARAMETER * size, _MANY_ROWS))
    return max(_LEAST_ROWS, min(_FEW_ROWS, int(_DIAGONAL_ENTRIES / size)))


def _chunks(pairs: int, size: int) -> list[slice]:
    step = max(1, _CHUNK // max(size, 1))
    return [slice(begin, min(begin + step, pairs)) for begin in range(0, pairs, step)]


def _row_gradients(
    linear_map: LinearMap,
    theta: npt.NDArray[np.float64],
    block: Block,
    residual: FloatArray,
    pairs: slice,
    fit_intercept: bool,
) -> FloatArray:
    """The r of some pairs, shape (pairs, p + q)."""
    X = block.X[np.arange(pairs.start, pairs.stop) % block.X.shape[0]]
    dense = X.toarray() if sp.issparse(X) else X
    by_theta = linear_map.row_gradients(theta, dense, residual)
    return np.hstack([by_theta, residual]) if fit_intercept else by_theta
