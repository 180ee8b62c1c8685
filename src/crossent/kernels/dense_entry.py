"""The compiled pass over dense rows. Importing this loads Numba; compiling waits for a call."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from crossent.kernels.instructions import ROWS, VECTOR_BYTES
from crossent.kernels.jit import entry, inner, once
from crossent.kernels.matrices import address_of, as_rows, transpose_tile
from crossent.kernels.products import add_gradient, add_logits
from crossent.kernels.records import Floats, RowSums, Targets
from crossent.kernels.softmax_rows import (
    begin_logits,
    curvatures,
    entropies,
    exponentials,
    losses,
    maxima,
    mean_terms,
    residuals,
    transpose_probabilities,
)
from crossent.kernels.targets_rows import gaps, subtract_targets

__all__ = [
    "ROWS",
    "VECTOR_BYTES",
    "add_block_gradient",
    "record_types",
    "softmax_block",
    "sum_rows",
    "types_of",
]

_SMALL_GAP = 128
"""Bytes between rows up to which the next block is asked for ahead, gaps and all."""


@inner()
def _copy_rows(X: Floats, start: int, rows: int, P: Floats, lanes: int) -> None:
    """``P[:rows, :d] = X[start:start+rows]``, by squares in registers if X's columns allow it."""
    d = X.shape[1]
    squares_down, squares_across = 0, 0
    if X.strides[0] == X.itemsize:
        squares_down, squares_across = rows // lanes * lanes, d // lanes * lanes
    for k in range(0, squares_across, lanes):
        for i in range(0, squares_down, lanes):
            transpose_tile(X, start + i, k, P, i)
    for i in range(rows):
        for k in range(squares_across if i < squares_down else 0, d):
            P[i, k] = X[start + i, k]


@inner()
def _next_block(X: Floats, row: int, block_rows: int, copied: bool) -> tuple[int, int]:
    """Addresses between which the next block lies, if its rows follow each other in memory."""
    zero: Any = np.int64(0)
    gap = X.strides[0] - X.shape[1] * X.itemsize
    if copied or gap < 0 or gap >= _SMALL_GAP or row >= X.shape[0]:
        return zero, zero
    return address_of(X, row), address_of(X, min(row + block_rows, X.shape[0]))


@inner()
def softmax_block(
    Z: Floats,
    j: int,
    rows: int,
    row: int,
    weight: Floats,
    targets: Targets,
    sums: RowSums,
    moment: Floats,
    work: tuple[Floats, ...],
) -> None:
    """Logits in Z become weighted residuals s (p - y); losses and statistics are added up."""
    largest, position, rest, gap, entropy, scale = work
    s = weight[row : row + rows]
    maxima(Z, j, rows, largest, position)
    gaps(Z, j, rows, row, targets, largest, gap)
    if sums.entropies.shape[0] > 0:
        entropies(Z, j, rows, largest, entropy)
    exponentials(Z, j, rows, largest, position, rest)
    losses(rows, s, gap, rest, entropy, sums.losses, sums.entropies)
    if sums.row_curvature.shape[0] > 0:
        curvatures(Z, j, rows, position, rest, sums.row_curvature[row:], scale)
    if sums.second_moment.shape[0] > 0:
        transpose_probabilities(Z, j, rows, rest, moment)
    residuals(Z, j, rows, s, rest, scale)
    if sums.mean_probability.shape[0] > 0:
        mean_terms(Z, j, rows, sums.mean_probability)
    if sums.second_moment.shape[0] > 0:
        lanes = VECTOR_BYTES // Z.itemsize
        zero: Any = np.int64(0)
        P = as_rows(moment)
        add_gradient(
            Z, zero, Z.shape[0], j, P, zero, rows, sums.second_moment, lanes, zero - 1, zero, zero
        )
    subtract_targets(Z, j, rows, row, targets, s, position, rest)
    mean_terms(Z, j, rows, sums.gradient_b)


def _sum_rows(
    X: Floats, W: Floats, b: Floats, weight: Floats, targets: Targets, offset: Floats,
    sums: RowSums, Z: Floats, j: int, block_rows: int, full: int, tail: int, copied: bool,
    fused: bool,
) -> None:  # fmt: skip
    """Pass over the rows of X.

    If `fused`, Z (q, at least block_rows + 3) is room for a block's logits and the gradient in
    W is added up; else Z's columns from j on become all rows' residuals and it is not.
    """
    n = X.shape[0]
    q = W.shape[0]
    zero: Any = np.int64(0)
    lanes = VECTOR_BYTES // Z.itemsize
    padded = np.zeros((block_rows if copied else 0, W.shape[1]), Z.dtype)
    wide = sums.second_moment.shape[1]
    moment = np.zeros((block_rows if wide > 0 else 0, wide), Z.dtype)
    work = np.zeros((6, block_rows), Z.dtype)
    parts = (work[0], work[1], work[2], work[3], work[4], work[5])
    for row in range(0, n, block_rows):
        rows = min(block_rows, n - row)
        at = j if fused else j + row
        begin_logits(Z, at, rows, b, offset, row)
        source, first = X, row
        if copied:
            _copy_rows(X, row, rows, padded, lanes)
            source, first = as_rows(padded), zero
        ahead, stop = _next_block(X, row + rows, block_rows, copied)
        ahead = add_logits(source, first, rows, W, Z, at, full, tail, ahead, stop)
        softmax_block(Z, at, rows, row, weight, targets, sums, moment, parts)
        if fused:
            G = sums.gradient_W
            add_gradient(Z, zero, q, at, source, first, rows, G, lanes, tail, ahead, stop)


def _add_block_gradient(
    R: Floats, begin: int, end: int, X: Floats, G: Floats, tail: int, rows_at_once: int
) -> None:
    """``G[begin:end] += R[begin:end, :n] X`` for all n rows of X."""
    zero: Any = np.int64(0)
    lanes = VECTOR_BYTES // R.itemsize
    for row in range(0, X.shape[0], rows_at_once):
        rows = min(rows_at_once, X.shape[0] - row)
        add_gradient(R, begin, end, row, X, row, rows, G, lanes, tail, zero, zero)


def types_of(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Numba's types of what entry points are handed, for arithmetic in `dtype`."""
    kind = types.float32 if dtype.itemsize == 4 else types.float64
    return {
        "X": types.Array(kind, 2, "A", readonly=True),
        "vector": types.Array(kind, 1, "C"),
        "matrix": types.Array(kind, 2, "C"),
        "wide_vector": types.Array(types.float64, 1, "C"),
        "wide_matrix": types.Array(types.float64, 2, "C"),
        "whole_vector": types.Array(types.int64, 1, "C"),
    }


def record_types(t: dict[str, Any]) -> tuple[Any, Any]:
    """Numba's types of `Targets` and `RowSums`."""
    whole, wide = t["whole_vector"], t["wide_vector"]
    record: Any = types.NamedTuple
    targets = record([whole, t["matrix"], whole, whole, t["vector"]], Targets)
    sums = record([t["wide_matrix"], wide, wide, wide, wide, t["wide_matrix"], wide], RowSums)
    return targets, sums


@once
def sum_rows(dtype: np.dtype[Any]) -> Callable[..., None]:
    """The pass over a chunk of dense rows, compiled for float32 or float64."""
    t = types_of(dtype)
    targets, sums = record_types(t)
    whole, flag = types.int64, types.boolean
    signature = types.void(
        t["X"], t["matrix"], t["vector"], t["vector"], targets, t["matrix"], sums, t["matrix"],
        whole, whole, whole, whole, flag, flag,
    )  # fmt: skip
    return entry(_sum_rows, signature, dtype)


@once
def add_block_gradient(dtype: np.dtype[Any]) -> Callable[..., None]:
    """The second product alone, for a range of classes, compiled for float32 or float64."""
    t = types_of(dtype)
    whole = types.int64
    signature = types.void(t["matrix"], whole, whole, t["X"], t["wide_matrix"], whole, whole)
    return entry(_add_block_gradient, signature, dtype)
