"""How much each row alone holds up some direction of the Hessian: its leverage."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

from crossent.kernels import threads
from crossent.objectives.curvature import gram
from crossent.objectives.factorisation import factorise
from crossent.typing import RowSource

__all__ = ["leverages"]

_BLOCK_ROWS = 1 << 16
_CHUNK_ROWS = 1024  # of projected rows, in a cache
_RIDGE = 1e-9  # of a column's own curvature: what is nearer to dependent is rounding


def leverages(
    source: RowSource,
    row_curvature: npt.NDArray[np.float64],
    *,
    penalty: float,
    n_threads: int | None = None,
) -> npt.NDArray[np.float64]:
    """ℓ_i = s_i c_i (x_i - x̄)ᵀ H₁⁻¹ (x_i - x̄), with H₁ = Σ s_i c_i (x_i - x̄)(x_i - x̄)ᵀ + λI.

    They lie between 0 and 1 and sum to at most d. A row that alone has a column, or a combination
    of columns, has leverage 1. A sample drawn in proportion to them keeps every direction's
    curvature within a factor near 1, whichever rows it hangs on: with m rows some √(d log d / m)
    (Drineas, Mahoney, Muthukrishnan, SIAM J. Matrix Anal. Appl. 30, 2008). On MNIST at C = 10⁴,
    20,000 rows drawn by curvature alone did not converge in 43 metrics; drawn so, 4 were enough.

    Parameters
    ----------
    source : RowSource
        Of dense rows.
    row_curvature : ndarray, shape (n,)
        The c_i ≥ 0, not all zero.
    penalty : float
        λ ≥ 0.

    Notes
    -----
    Cost: 3·n·d² flops and two readings of X.
    """
    share = source.sample_weight * row_curvature
    total = max(float(share.sum()), 1e-300)
    d = source.n_features
    centre, first = np.zeros(d), np.zeros((d, d))
    for block in source.blocks(_BLOCK_ROWS):
        centre += (_of(block, share) / total).astype(block.X.dtype) @ block.X
    for block in source.blocks(_BLOCK_ROWS):
        first += gram(block.X, _of(block, share).astype(block.X.dtype), centre, n_threads)
    to_unit = _whitening(first, penalty)
    found = np.empty(source.n_rows)
    for block in source.blocks(_BLOCK_ROWS):
        rows = slice(block.first_row, block.first_row + block.X.shape[0])
        _squared_lengths(block.X, centre, to_unit, found[rows], n_threads)
    return np.asarray(found * share)


def _of(block: Any, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return values[block.first_row : block.first_row + block.X.shape[0]]


def _whitening(first: npt.NDArray[np.float64], penalty: float) -> npt.NDArray[np.float64]:
    """T with TᵀH₁T = I, upper triangular."""
    diagonal = np.einsum("ii->i", first)
    diagonal += penalty + _RIDGE * diagonal
    scale = 1.0 / np.sqrt(np.maximum(diagonal, 1e-300))
    factor, _ = factorise(scale[:, None] * first * scale, np.float64)
    inverse, _ = scipy.linalg.lapack.dtrtri(np.tril(factor), lower=1)
    return np.asarray((inverse * scale).T)


def _squared_lengths(
    X: Any,
    centre: npt.NDArray[np.float64],
    to_unit: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
    n_threads: int | None,
) -> None:
    """‖Tᵀ(x_i - x̄)‖² of each row."""
    shift, T = centre.astype(X.dtype), to_unit.astype(X.dtype)

    def task(k: int) -> None:
        rows = slice(k * _CHUNK_ROWS, (k + 1) * _CHUNK_ROWS)
        Z = (X[rows] - shift) @ T
        out[rows] = np.einsum("ij,ij->i", Z, Z)

    threads.run(task, -(-len(X) // _CHUNK_ROWS), threads.resolve(n_threads))
