"""The compiled pass over CSR rows. Importing this loads Numba; compiling waits for a call.

A sparse row times W, and a sparse column times the residuals, are the same sum of dense rows with
the classes contiguous: vectors of classes stay in registers while the non-zeros go by.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from crossent.kernels.dense_entry import record_types, softmax_block, types_of
from crossent.kernels.instructions import VECTOR_BYTES
from crossent.kernels.jit import entry, inner, once
from crossent.kernels.matrices import ask_for
from crossent.kernels.records import Floats, RowSums, Targets
from crossent.kernels.softmax_rows import begin_logits
from crossent.kernels.sparse_tile import sparse_tile

__all__ = ["FEATURES", "VECTOR_BYTES", "add_columns", "pack_transposed", "sparse_row", "sum_rows"]

_STRIP = 8
"""Vectors of classes at once: eight sums are what the latency of a multiply-add asks for."""
FEATURES = 32
"""Features that are turned from one layout to the other at once: four lines of float64."""
_LINE = 8
"""Numbers of float64 in a cache line."""
_TERMS = 256
"""Terms added up in X's type before they go into a float64 sum."""


@inner()
def sparse_row(
    data: Floats, indices: Floats, begin: int, end: int, M: Floats, out: Floats, row: int
) -> None:
    """``out[row] = Σ_t data[t] M[indices[t]]``, in strips of up to 8 vectors of classes."""
    lanes = VECTOR_BYTES // out.itemsize
    vectors = M.shape[1] // lanes
    strips = (vectors + _STRIP - 1) // _STRIP
    first: Any = np.int64(0)
    for left in range(strips, 0, -1):
        wide = (vectors - first + left - 1) // left
        if wide == 1:
            sparse_tile(data, indices, begin, end, M, first, out, row, 1)
        elif wide == 2:
            sparse_tile(data, indices, begin, end, M, first, out, row, 2)
        elif wide == 3:
            sparse_tile(data, indices, begin, end, M, first, out, row, 3)
        elif wide == 4:
            sparse_tile(data, indices, begin, end, M, first, out, row, 4)
        elif wide == 5:
            sparse_tile(data, indices, begin, end, M, first, out, row, 5)
        elif wide == 6:
            sparse_tile(data, indices, begin, end, M, first, out, row, 6)
        elif wide == 7:
            sparse_tile(data, indices, begin, end, M, first, out, row, 7)
        else:
            sparse_tile(data, indices, begin, end, M, first, out, row, 8)
        first += wide


@inner()
def _ask_for_strip(M: Floats, c: int, start: int) -> None:
    """Have a class's next features brought near: hardware does not follow so many streams."""
    for k in range(start, start + FEATURES, _LINE):
        ask_for(M, c, k)


def _pack_transposed(W: Floats, begin: int, end: int, packed: Floats) -> None:
    """``packed[k, c] = W[c, k]`` for features begin … end - 1."""
    for start in range(begin, end, FEATURES):
        stop = min(start + FEATURES, end)
        for c in range(W.shape[0]):
            _ask_for_strip(W, c, stop)
            w = W[c]
            for k in range(start, stop):
                packed[k, c] = w[k]


def _sum_rows(
    indptr: Floats, indices: Floats, data: Floats, row0: int, rows0: int, W: Floats, b: Floats,
    weight: Floats, targets: Targets, offset: Floats, sums: RowSums, R: Floats, at: int,
    block_rows: int,
) -> None:  # fmt: skip
    """Residuals of `rows0` rows from row `row0` of X, into rows of R from `at` on."""
    q = b.shape[0]
    Z = np.zeros((q, block_rows), R.dtype)
    wide = sums.second_moment.shape[1]
    moment = np.zeros((block_rows if wide > 0 else 0, wide), R.dtype)
    work = np.zeros((6, block_rows), R.dtype)
    parts = (work[0], work[1], work[2], work[3], work[4], work[5])
    zero: Any = np.int64(0)
    for row in range(0, rows0, block_rows):
        rows = min(block_rows, rows0 - row)
        begin_logits(Z, zero, rows, b, offset, row)
        for i in range(rows):
            here = row0 + row + i
            sparse_row(data, indices, indptr[here], indptr[here + 1], W, R, at + row + i)
            for c in range(q):
                Z[c, i] += R[at + row + i, c]
        softmax_block(Z, zero, rows, row, weight, targets, sums, moment, parts)
        for i in range(rows):
            for c in range(q):
                R[at + row + i, c] = Z[c, i]


def _add_columns(
    indptr: Floats, indices: Floats, data: Floats, begin: int, end: int, R: Floats,
    work: Floats, sums: Floats, scale: float, G: Floats,
) -> None:  # fmt: skip
    """``G[:, begin:end] += scale · Rᵀ X`` from X's columns; `work` and `sums` are scratch."""
    q = G.shape[0]
    zero: Any = np.int64(0)
    for start in range(begin, end, FEATURES):
        stop = min(start + FEATURES, end)
        for c in range(q):
            _ask_for_strip(G, c, start)
        for k in range(start, stop):
            total = sums[k - start]
            total[:] = 0.0
            for t in range(indptr[k], indptr[k + 1], _TERMS):
                last = min(t + _TERMS, indptr[k + 1])
                sparse_row(data, indices, t, last, R, work, zero)
                for c in range(q):
                    total[c] += work[0, c]
        for c in range(q):
            g = G[c]
            for k in range(start, stop):
                g[k] += scale * sums[k - start, c]


def _index_types() -> tuple[Any, Any]:
    return (
        types.Array(types.int64, 1, "C", readonly=True),
        types.Array(types.int32, 1, "C", readonly=True),
    )


@once
def pack_transposed(dtype: np.dtype[Any]) -> Callable[..., None]:
    """Class-contiguous W, compiled for float32 or float64."""
    matrix = types_of(dtype)["matrix"]
    given = types.Array(types.float64, 2, "C", readonly=True)
    signature = types.void(given, types.int64, types.int64, matrix)
    return entry(_pack_transposed, signature, dtype)


@once
def sum_rows(dtype: np.dtype[Any]) -> Callable[..., None]:
    """Residuals of a chunk of CSR rows, compiled for float32 or float64."""
    t = types_of(dtype)
    targets, sums = record_types(t)
    pointers, places = _index_types()
    whole = types.int64
    values = t["vector"].copy(readonly=True)
    signature = types.void(
        pointers, places, values, whole, whole, t["matrix"], t["vector"], t["vector"], targets,
        t["matrix"], sums, t["matrix"], whole, whole,
    )  # fmt: skip
    return entry(_sum_rows, signature, dtype)


@once
def add_columns(dtype: np.dtype[Any]) -> Callable[..., None]:
    """The gradient for a range of features, compiled for float32 or float64."""
    t = types_of(dtype)
    pointers, places = _index_types()
    values = t["vector"].copy(readonly=True)
    signature = types.void(
        pointers, places, values, types.int64, types.int64, t["matrix"], t["matrix"],
        t["wide_matrix"], types.float64, t["wide_matrix"],
    )  # fmt: skip
    return entry(_add_columns, signature, dtype)
