"""The two matrix products of a pass, put together from register tiles.

Arrays: X (rows, d) with unit stride along features, W packed (q, vectors·LANES), Z and R (q, rows)
with a class's rows contiguous, so that the softmax between the products works on vectors of rows.
"""
# ruff: noqa: ARG001  Generators are handed types and contexts that not all need.

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.core import imputils

from crossent.kernels.jit import inner, instruction
from crossent.kernels.records import Floats
from crossent.kernels.tiles import CLASSES, ROWS, VECTORS, dot_tile, outer_tile

__all__ = ["add_gradient", "add_logits", "as_rows"]

_PANEL = 80
"""Vectors of features at once: five classes of W (25 kB with AVX-512) stay in the first cache."""


@instruction
def as_rows(typingctx: Any, array: Any) -> Any:
    """The same array as the one type that the products take for X: one type, compiled once."""
    general = types.Array(array.dtype, 2, "A", readonly=True)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        cast = context.cast(builder, args[0], array, general)
        return imputils.impl_ret_borrowed(  # type: ignore[no-untyped-call]
            context, builder, general, cast
        )

    return general(array), codegen


@inner()
def _dot(
    X: Floats,
    i: int,
    rows: int,
    W: Floats,
    c: int,
    Z: Floats,
    j: int,
    first: int,
    count: int,
    tail: int,
    size: int,
) -> None:
    """`dot_tile` for all rows of a block and `size` classes."""
    for r in range(0, rows, ROWS):
        here = min(ROWS, rows - r)
        if size == 1:
            dot_tile(X, i + r, here, W, c, Z, j + r, first, count, tail, 1)
        elif size == 2:
            dot_tile(X, i + r, here, W, c, Z, j + r, first, count, tail, 2)
        elif size == 3:
            dot_tile(X, i + r, here, W, c, Z, j + r, first, count, tail, 3)
        elif CLASSES > 3 and size == 4:
            dot_tile(X, i + r, here, W, c, Z, j + r, first, count, tail, 4)
        elif CLASSES > 3:
            dot_tile(X, i + r, here, W, c, Z, j + r, first, count, tail, 5)


@inner()
def add_logits(
    X: Floats, i: int, rows: int, W: Floats, Z: Floats, j: int, full: int, tail: int
) -> None:
    """``Z[:, j:j+rows] += W X[i:i+rows]ᵀ``; up to three columns of Z behind them are spoilt.

    `full` vectors of features, and one that begins at feature `tail` if that is not negative.
    """
    q = W.shape[0]
    tiles = (q + CLASSES - 1) // CLASSES
    for first in range(0, full, _PANEL):
        count = min(_PANEL, full - first)
        last = tail if first + count == full else -1
        c: Any = np.int64(0)  # a literal 0 would be a type of its own, compiled apart
        for left in range(tiles, 0, -1):
            size = (q - c + left - 1) // left
            _dot(X, i, rows, W, c, Z, j, first, count, last, size)
            c += size


def _outer_of(vectors: int) -> Callable[..., Any]:
    """`outer_tile` for a literal number of vectors and any number of classes."""

    @inner()
    def outer(
        R: Floats,
        c: int,
        j: int,
        X: Floats,
        i: int,
        rows: int,
        first: int,
        last: int,
        G: Floats,
        size: int,
    ) -> None:
        if size == 1:
            outer_tile(R, c, j, X, i, rows, first, last, G, 1, vectors)
        elif size == 2:
            outer_tile(R, c, j, X, i, rows, first, last, G, 2, vectors)
        elif size == 3:
            outer_tile(R, c, j, X, i, rows, first, last, G, 3, vectors)
        elif CLASSES > 3 and size == 4:
            outer_tile(R, c, j, X, i, rows, first, last, G, 4, vectors)
        elif CLASSES > 3:
            outer_tile(R, c, j, X, i, rows, first, last, G, 5, vectors)

    return outer


_outer_1, _outer_2, _outer_3, _outer_4 = (_outer_of(vectors) for vectors in (1, 2, 3, 4))


@inner()
def add_gradient(
    R: Floats,
    begin: int,
    end: int,
    j: int,
    X: Floats,
    i: int,
    rows: int,
    G: Floats,
    lanes: int,
    tail: int,
) -> None:
    """``G[begin:end] += R[begin:end, j:j+rows] X[i:i+rows]`` for classes begin … end - 1.

    The rows are added up in X's type, at most 256 of them should come at once; G is float64. Its
    last vector of features begins at feature `tail` of X if that is not negative.
    """
    q = end - begin
    vectors = G.shape[1] // lanes
    tiles = (q + CLASSES - 1) // CLASSES
    panels = (vectors + VECTORS - 1) // VECTORS
    first: Any = np.int64(0)
    for panels_left in range(panels, 0, -1):
        wide = (vectors - first + panels_left - 1) // panels_left
        last = (first + wide - 1) * lanes
        if panels_left == 1 and tail >= 0:
            last = tail
        c = begin
        for left in range(tiles, 0, -1):
            size = (end - c + left - 1) // left
            if wide == 1:
                _outer_1(R, c, j, X, i, rows, first, last, G, size)
            elif wide == 2:
                _outer_2(R, c, j, X, i, rows, first, last, G, size)
            elif wide == 3:
                _outer_3(R, c, j, X, i, rows, first, last, G, size)
            elif VECTORS > 3:
                _outer_4(R, c, j, X, i, rows, first, last, G, size)
            c += size
        first += wide
