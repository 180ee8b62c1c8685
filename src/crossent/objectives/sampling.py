"""Which rows a model of the Hessian is built from."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.typing import Block, RowSource

__all__ = ["positive_rows", "rows_for_metric", "sample_size"]

_SAMPLED_ROWS = 20_000
_ROWS_PER_FEATURE = 12  # fewer make a sampled Gram matrix too noisy (MNIST: 64 passes, 70 at 10)
_FEW_ROWS = 8_000
_UNIFORM_SHARE = 0.3
_RARE_SHARE = 0.3  # of sparse rows; 12 rows per feature then leave each column more than 3
_LEVERAGE_SHARE = 0.7
_UNIFORM_BESIDE_LEVERAGE = 0.1
_BLOCK_ROWS = 1 << 16


def sample_size(source: RowSource, *, exact: bool = False) -> int:
    """How many rows a metric is built from: all up to 20,000, else 12 per feature or 8,000.

    An exact Hessian gets 20,000, whatever the features: noise costs passes.
    """
    if source.n_rows <= _SAMPLED_ROWS:
        return source.n_rows
    small = exact or source.n_features * source.n_classes <= 2000
    wanted = _SAMPLED_ROWS if small else _ROWS_PER_FEATURE * source.n_features
    return min(source.n_rows, max(_FEW_ROWS, min(wanted, 4 * _SAMPLED_ROWS)))


def positive_rows(source: RowSource, rows: slice) -> slice | npt.NDArray[np.intp]:
    """Those of `rows` that have weight: what the others hold, however large, must not be felt."""
    positive = source.sample_weight[rows] > 0
    return rows if positive.all() else np.arange(source.n_rows)[rows][positive]


def rows_for_metric(
    source: RowSource,
    row_curvature: npt.NDArray[np.float64] | None,
    rng: np.random.Generator,
    dtype: npt.DTypeLike,
    *,
    leverages: npt.NDArray[np.float64] | None = None,
) -> Block:
    """All rows of positive weight, or a sample of them, reweighted.

    The sample is drawn with probability ∝ s_i c_i, mixed with s_i and with leverages, where they
    are given; of sparse rows, with their shares of the columns.

    Uniform sampling fails near separability, where few rows carry all the curvature. And a column
    that few rows have, such as a rare category, is in no sample drawn without regard to columns:
    the model would see no curvature in it, and steps along it would be held by the penalty alone.

    Parameters
    ----------
    source : RowSource
    row_curvature : ndarray or None, shape (n,)
        The c_i; None asks for all rows.
    rng : numpy.random.Generator
    dtype : dtype
        Of the rows.
    leverages : ndarray, shape (n,), optional
        For an exact Hessian; see `sample_size`.
    """
    size = sample_size(source, exact=leverages is not None)
    if row_curvature is None or size == source.n_rows:
        return source.take(positive_rows(source, slice(None)), dtype)
    weight = source.sample_weight
    share = weight * row_curvature
    total = share.sum()
    if leverages is None:
        shares, rare = _shares_of_columns(source), _RARE_SHARE
        uniform = _UNIFORM_SHARE
    else:
        shares, rare = leverages / max(leverages.sum(), 1e-300), _LEVERAGE_SHARE
        uniform = _UNIFORM_BESIDE_LEVERAGE
    chance = uniform * weight
    if shares is None:
        rare = 0.0
    else:
        chance += rare * shares
    if total > 0:
        chance += (1 - uniform - rare) * share / total
    cumulated = np.cumsum(chance)
    # Systematic sampling: one uniform number, equal steps along the cumulated chances.
    steps = (np.arange(size) + rng.random()) * (cumulated[-1] / size)
    rows = np.minimum(np.searchsorted(cumulated, steps), source.n_rows - 1)
    rows, counts = np.unique(rows, return_counts=True)
    block = source.take(rows, dtype)
    return Block(
        X=block.X,
        targets=block.targets,
        sample_weight=counts * weight[rows] * (cumulated[-1] / (size * chance[rows])),
        offset=block.offset,
        first_row=0,
    )


def _shares_of_columns(source: RowSource) -> npt.NDArray[np.float64] | None:
    """(1/d) Σ_j s_i |x_ij| / Σ_k s_k |x_kj|, shape (n,), of sparse rows; None for dense ones.

    For columns of 0 and 1 that is the leverage of a row if columns were orthogonal; magnitudes
    in place of squares do not overflow. Sums to 1, or less if columns are empty.
    """
    if not sp.issparse(source.take(slice(0, 1), source.dtype).X):
        return None
    d = source.n_features
    sums = np.zeros(d)
    for magnitudes, weight in _magnitudes(source):
        sums += weight @ magnitudes
    inverse = np.divide(1 / d, sums, out=np.zeros(d), where=sums > 1e-300)
    parts = [weight * (magnitudes @ inverse) for magnitudes, weight in _magnitudes(source)]
    return np.concatenate(parts)


def _magnitudes(source: RowSource) -> Iterator[tuple[Any, npt.NDArray[np.float64]]]:
    """|x_ij| and s_i of block after block."""
    for block in source.blocks(_BLOCK_ROWS):
        yield abs(block.X), block.sample_weight
