"""What compiled entry points are handed: arrays of one fixed type each, made for a chunk of rows.

Fixed types mean that an entry point is compiled once per float type, whatever the caller's
integers, memory orders and kinds of targets. A chunk is small, so its copies are.
"""

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.kernels.sums import PassSums
from crossent.typing import Block

__all__ = [
    "Floats",
    "RowSums",
    "Targets",
    "aligned_zeros",
    "empty_sums",
    "merge",
    "targets_of",
    "weights_of",
]

Floats: TypeAlias = npt.NDArray[Any]
"""An array as compiled functions see it: of float32 or of float64, not both."""

_ALIGNMENT = 64


class Targets(NamedTuple):
    """Targets of a chunk's rows: one kind has rows, the others none.

    Attributes
    ----------
    labels : ndarray, shape (rows,) or (0,), int64
    dense : ndarray, shape (rows, q) or (0, q)
    indptr, indices, data : ndarray
        A CSR matrix; `indptr` has one entry where there is none.
    """

    labels: npt.NDArray[np.int64]
    dense: npt.NDArray[Any]
    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]
    data: npt.NDArray[Any]


class RowSums(NamedTuple):
    """Float64 sums of a chunk; a statistic that is not wanted has no entries.

    Attributes
    ----------
    gradient_W : ndarray, shape (q, packed d)
    gradient_b : ndarray, shape (q,)
    losses, entropies : ndarray, shape (block rows,)
        One sum for each place in a block, so that they add up as vectors.
    mean_probability : ndarray, shape (q,) or (0,)
    second_moment : ndarray, shape (q, packed q) or (0, 0)
    row_curvature : ndarray, shape (rows,) or (0,)
    """

    gradient_W: npt.NDArray[np.float64]
    gradient_b: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]
    entropies: npt.NDArray[np.float64]
    mean_probability: npt.NDArray[np.float64]
    second_moment: npt.NDArray[np.float64]
    row_curvature: npt.NDArray[np.float64]


def aligned_empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Memory that begins at a multiple of 64 bytes, so that no vector lies across cache lines."""
    kind = np.dtype(dtype)
    size = math.prod(shape)
    room = np.empty(size + _ALIGNMENT // kind.itemsize, kind)
    start = (-room.ctypes.data % _ALIGNMENT) // kind.itemsize
    return room[start : start + size].reshape(shape)


def aligned_zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """`aligned_empty`, filled with zeros."""
    array = aligned_empty(shape, dtype)
    array[...] = 0
    return array


def targets_of(block: Block, rows: slice, dtype: np.dtype[Any]) -> Targets:
    """The chunk `rows` of a block's targets, in the fixed types."""
    labels, dense = np.zeros(0, np.int64), np.zeros((0, 0), dtype)
    indptr, indices, data = np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0, dtype)
    targets: Any = block.targets
    if sp.issparse(targets):
        pointers = targets.indptr[rows.start : rows.stop + 1].astype(np.int64)
        part = slice(pointers[0], pointers[-1])
        indptr = pointers - pointers[0]
        indices = targets.indices[part].astype(np.int64)
        data = targets.data[part].astype(dtype)
    elif targets.ndim == 1:
        labels = targets[rows].astype(np.int64)
    else:
        dense = np.array(targets[rows], dtype, order="C")
    return Targets(labels, dense, indptr, indices, data)


def weights_of(block: Block, rows: slice, dtype: np.dtype[Any], largest: float) -> npt.NDArray[Any]:
    """Weights of a chunk over the pass's largest.

    Equal weights become 1 exactly: 1/n, rounded to float32, would scale all sums by the same error.
    """
    return (block.sample_weight[rows] / largest).astype(dtype)


def empty_sums(
    out: PassSums, q: int, width: int, class_width: int, block_rows: int, rows: int
) -> RowSums:
    """Zeros for what `out` wants. `width`: packed features, `class_width`: packed classes."""
    wants_moment = out.second_moment is not None
    return RowSums(
        gradient_W=aligned_zeros((q, width), np.float64),
        gradient_b=np.zeros(q),
        losses=np.zeros(block_rows),
        entropies=np.zeros(block_rows if out.entropy is not None else 0),
        mean_probability=np.zeros(q if out.mean_probability is not None else 0),
        second_moment=aligned_zeros((q, class_width) if wants_moment else (0, 0), np.float64),
        row_curvature=np.zeros(rows if out.row_curvature is not None else 0),
    )


def merge(sums: RowSums, scale: float, first_row: int, out: PassSums) -> None:
    """Add `scale` times a chunk's sums to the pass's; all but the gradient in W."""
    q = sums.gradient_b.shape[0]
    out.gradient_b += scale * sums.gradient_b
    out.loss += scale * sums.losses.sum()
    if out.entropy is not None:
        out.entropy += scale * sums.entropies.sum()
    if out.mean_probability is not None:
        out.mean_probability += scale * sums.mean_probability
    if out.second_moment is not None:
        out.second_moment += scale * sums.second_moment[:, :q]
    if out.row_curvature is not None:
        stop = first_row + sums.row_curvature.shape[0]
        out.row_curvature[first_row:stop] = sums.row_curvature
