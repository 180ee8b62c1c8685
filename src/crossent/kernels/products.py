"""The two matrix products of a pass, put together from register tiles.

Arrays: X (rows, d) with unit stride along features, W packed (q, vectors·LANES), Z and R (q, rows)
with a class's rows contiguous, so that the softmax between the products works on vectors of rows.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from crossent.kernels.instructions import CLASSES, ROWS, VECTORS
from crossent.kernels.jit import inner
from crossent.kernels.records import Floats
from crossent.kernels.tiles import dot_tile, outer_tile

__all__ = ["add_gradient", "add_logits"]

_PANEL = 80
"""Vectors of features at once: six classes of W (30 kB with AVX-512) stay in the first cache."""
_LINE = 64
"""Bytes of a cache line."""


@inner()
def _dot(
    X: Floats, i: int, rows: int, W: Floats, c: int, Z: Floats, j: int, first: int, count: int,
    tail: int, ahead: int, stop: int, size: int,
) -> int:  # fmt: skip
    """`dot_tile` for all rows of a block and `size` classes; returns where `ahead` got to."""
    for r in range(0, rows, ROWS):
        here = min(ROWS, rows - r)
        step = _LINE if ahead < stop else 0
        if size == 1:
            dot_tile(X, i + r, here, W, c, Z, j + r, first, count, tail, ahead, step, 1)
        elif size == 2:
            dot_tile(X, i + r, here, W, c, Z, j + r, first, count, tail, ahead, step, 2)
        elif size == 3:
            dot_tile(X, i + r, here, W, c, Z, j + r, first, count, tail, ahead, step, 3)
        elif CLASSES > 3 and size == 4:
            dot_tile(X, i + r, here, W, c, Z, j + r, first, count, tail, ahead, step, 4)
        elif CLASSES > 3 and size == 5:
            dot_tile(X, i + r, here, W, c, Z, j + r, first, count, tail, ahead, step, 5)
        elif CLASSES > 3:
            dot_tile(X, i + r, here, W, c, Z, j + r, first, count, tail, ahead, step, 6)
        ahead += count * step
    return ahead


@inner()
def add_logits(
    X: Floats, i: int, rows: int, W: Floats, Z: Floats, j: int, full: int, tail: int, ahead: int,
    stop: int,
) -> int:  # fmt: skip
    """``Z[:, j:j+rows] += W X[i:i+rows]ᵀ``; up to three columns of Z behind them are spoilt.

    `full` vectors of features, and one that begins at feature `tail` if that is not negative.
    Memory from address `ahead` to `stop` is asked for along the way, a line at each step of a tile;
    returns where that got to.
    """
    q = W.shape[0]
    tiles = (q + CLASSES - 1) // CLASSES
    for first in range(0, full, _PANEL):
        count = min(_PANEL, full - first)
        last = tail if first + count == full else -1
        c: Any = np.int64(0)  # a literal 0 would be a type of its own, compiled apart
        for left in range(tiles, 0, -1):
            size = (q - c + left - 1) // left
            ahead = _dot(X, i, rows, W, c, Z, j, first, count, last, ahead, stop, size)
            c += size
    return ahead


def _outer_of(vectors: int) -> Callable[..., Any]:
    """`outer_tile` for a literal number of vectors and any number of classes."""

    def outer(
        R: Floats, c: int, j: int, X: Floats, i: int, rows: int, first: int, last: int, G: Floats,
        ahead: int, step: int, size: int,
    ) -> None:  # fmt: skip
        if size == 1:
            outer_tile(R, c, j, X, i, rows, first, last, G, ahead, step, 1, vectors)
        elif size == 2:
            outer_tile(R, c, j, X, i, rows, first, last, G, ahead, step, 2, vectors)
        elif size == 3:
            outer_tile(R, c, j, X, i, rows, first, last, G, ahead, step, 3, vectors)
        elif CLASSES > 3 and size == 4:
            outer_tile(R, c, j, X, i, rows, first, last, G, ahead, step, 4, vectors)
        elif CLASSES > 3 and size == 5:
            outer_tile(R, c, j, X, i, rows, first, last, G, ahead, step, 5, vectors)
        elif CLASSES > 3:
            outer_tile(R, c, j, X, i, rows, first, last, G, ahead, step, 6, vectors)

    # Numba names machine code by this and a number that counts up in each process. Code cached by
    # two processes may meet in a third, where one of two functions of one name would serve both.
    outer.__qualname__ = f"outer_{vectors}"
    compiled: Callable[..., Any] = inner()(outer)
    return compiled


_outer_1, _outer_2, _outer_3, _outer_4 = (_outer_of(vectors) for vectors in (1, 2, 3, 4))


@inner()
def add_gradient(
    R: Floats, begin: int, end: int, j: int, X: Floats, i: int, rows: int, G: Floats, lanes: int,
    tail: int, ahead: int, stop: int,
) -> None:  # fmt: skip
    """``G[begin:end] += R[begin:end, j:j+rows] X[i:i+rows]`` for classes begin … end - 1.

    The rows are added up in X's type, at most 256 of them should come at once; G is float64. Its
    last vector of features begins at feature `tail` of X if that is not negative. `ahead` and
    `stop` as for `add_logits`.
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
            step = _LINE if ahead < stop else 0
            if wide == 1:
                _outer_1(R, c, j, X, i, rows, first, last, G, ahead, step, size)
            elif wide == 2:
                _outer_2(R, c, j, X, i, rows, first, last, G, ahead, step, size)
            elif wide == 3:
                _outer_3(R, c, j, X, i, rows, first, last, G, ahead, step, size)
            elif VECTORS > 3:
                _outer_4(R, c, j, X, i, rows, first, last, G, ahead, step, size)
            ahead += rows * step
            c += size
        first += wide
