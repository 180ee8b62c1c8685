"""Whole counts from probabilities. Importing this loads Numba; compiling waits for a call.

What `crossent.coding.quantise` defines, to the bit: sums from left to right, nothing fused. Rows of
few classes are worked on side by side, a class's entries in one row of scratch, so that they become
vectors, and the largest remainders are found by counting how many are larger. That grows with the
square of the classes; rows of many are taken one by one, and their remainders thrown into bins.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from crossent.kernels.jit import entry, inner, once
from crossent.kernels.records import Floats

__all__ = ["rows_quantiser"]

Words = npt.NDArray[np.uint32]

_SIDE_BY_SIDE = 128
"""Rows that are worked on together."""
_FEW_CLASSES = 32
_BINS = 1024


@inner(exact=True)
def _shares(
    p: Floats, free: float, whole: Floats, remainder: Floats, left: Floats, off: Floats
) -> None:
    """Whole part and remainder of each class's share of `free`, and what is left of it.

    `off` is how far a sum is from 1: NaN if an entry is, and at least 1 if one is negative.
    """
    q, rows = p.shape
    total, negative = np.zeros(rows), np.zeros(rows)
    for j in range(q):
        own = p[j]
        for i in range(rows):
            total[i] += own[i]
            negative[i] += 1.0 if own[i] < 0.0 else 0.0
    for i in range(rows):
        off[i] = abs(total[i] - 1.0) + negative[i]
    left[:] = free
    for j in range(q):
        own, down, rest = p[j], whole[j], remainder[j]
        for i in range(rows):
            share = own[i] / total[i] * free
            floor = np.floor(share)
            down[i] = floor
            rest[i] = share - floor
            left[i] -= floor


@inner(exact=True)
def _round_up_the_largest(
    p: Floats, remainder: Floats, left: Floats, rank: Floats, whole: Floats
) -> None:
    """One more to the `left` classes with the largest remainders."""
    q, rows = p.shape
    over = -left
    for j in range(q):
        own, place = remainder[j], rank[j]
        place[:] = 0.0
        for k in range(q):
            other = remainder[k]
            for i in range(rows):
                place[i] += 1.0 if other[i] > own[i] else 0.0
        for i in range(rows):
            over[i] += 1.0 if place[i] < left[i] else 0.0
    for i in range(rows):
        if over[i] > 0.0:  # equal remainders stand where only some of them can go up
            _break_ties(p[:, i], remainder[:, i], rank[:, i])
    for j in range(q):
        place, down = rank[j], whole[j]
        for i in range(rows):
            down[i] += 1.0 if place[i] < left[i] else 0.0


@inner()
def _break_ties(p: Floats, remainder: Floats, rank: Floats) -> None:
    """Among equal remainders the larger probability comes first, then the first class."""
    for j in range(p.shape[0]):
        for k in range(p.shape[0]):
            before = (p[k] > p[j]) | ((p[k] == p[j]) & (k < j))
            if (remainder[k] == remainder[j]) & before:
                rank[j] += 1.0


def _few_classes(P: Floats, bits: Any, tolerance: float, counts: Words) -> Any:
    """Fill `counts`, rows side by side; the first row that is no distribution, or -1."""
    n, q = P.shape
    p = np.ones((q, _SIDE_BY_SIDE))
    whole, remainder, rank = np.empty_like(p), np.empty_like(p), np.empty_like(p)
    left, off = np.empty(_SIDE_BY_SIDE), np.empty(_SIDE_BY_SIDE)
    for start in range(0, n, _SIDE_BY_SIDE):
        rows = min(_SIDE_BY_SIDE, n - start)
        for i in range(rows):
            for j in range(q):
                p[j, i] = P[start + i, j]
        _shares(p, float((1 << bits) - q), whole, remainder, left, off)
        for i in range(rows):
            if not off[i] <= tolerance:
                return start + i
        _round_up_the_largest(p, remainder, left, rank, whole)
        for i in range(rows):
            for j in range(q):
                counts[start + i, j] = np.uint32(np.int64(whole[j, i])) + np.uint32(1)
    return -1


@inner(exact=True)
def _round_up_by_bins(p: Floats, remainder: Floats, left: Any, bins: Any, c: Words) -> None:
    """One more to the `left` classes with the largest remainders, which are counted in `bins`."""
    edge, taken = _BINS, 0
    while edge > 0 and taken + bins[edge - 1] <= left:
        edge -= 1
        taken += bins[edge]
    for j in range(remainder.shape[0]):
        c[j] += np.uint32(np.int64(remainder[j] * _BINS) >= edge)
    if taken == left:
        return
    members = np.empty(bins[edge - 1], np.int64)
    found = 0
    for j in range(remainder.shape[0]):
        if np.int64(remainder[j] * _BINS) == edge - 1:
            members[found] = j
            found += 1
    members = members[np.argsort(-p[members], kind="mergesort")]  # stable: the first of equals
    members = members[np.argsort(-remainder[members], kind="mergesort")]
    for j in members[: left - taken]:
        c[j] += np.uint32(1)


def _many_classes(P: Floats, bits: Any, tolerance: float, counts: Words) -> Any:
    """Fill `counts` row by row; the first row that is no distribution, or -1."""
    n, q = P.shape
    free = float((1 << bits) - q)
    remainder, bins = np.empty(q), np.empty(_BINS, np.int64)
    for row in range(n):
        p, c = P[row], counts[row]
        total, negative = 0.0, 0
        for j in range(q):
            total += p[j]
            negative += p[j] < 0.0
        if not abs(total - 1.0) + negative <= tolerance:
            return row
        bins[:] = 0
        left = free
        for j in range(q):
            share = p[j] / total * free
            floor = np.floor(share)
            remainder[j] = share - floor
            c[j] = np.uint32(np.int64(floor)) + np.uint32(1)
            left -= floor
            bins[np.int64(remainder[j] * _BINS)] += 1
        _round_up_by_bins(p, remainder, np.int64(left), bins, c)
    return -1


def rows_quantiser(n_classes: int) -> Callable[..., int]:
    """What fills counts from rows of probabilities; for few and for many classes another one.

    It takes P (n, q), bits, tolerance and counts (n, q), and gives the number of the first row that
    is no distribution within the tolerance, or -1.
    """
    dtype = np.dtype(np.uint32)
    return _for_few(dtype) if n_classes <= _FEW_CLASSES else _for_many(dtype)


@once
def _for_few(dtype: np.dtype[Any]) -> Callable[..., int]:
    return entry(_few_classes, _signature(), dtype, exact=True)


@once
def _for_many(dtype: np.dtype[Any]) -> Callable[..., int]:
    return entry(_many_classes, _signature(), dtype, exact=True)


def _signature() -> Any:
    rows, counts = (types.Array(kind, 2, "C") for kind in (types.float64, types.uint32))
    return types.int64(rows, types.int64, types.float64, counts)
