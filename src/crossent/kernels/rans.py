"""The inner loops of the entropy coder. Importing this loads Numba; compiling waits for a call.

The format is that of `crossent.coding.rans`, which does the same in plain Python. The state is one
64-bit word between 2^31 and 2^63, and 32 bits at a time leave or enter it, so a symbol moves one
word at most.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from crossent.kernels.jit import entry, inner, once
from crossent.kernels.records import Floats

__all__ = ["decode_rows", "encode_rows", "quantise_rows"]

Words = npt.NDArray[np.uint32]
Symbols = npt.NDArray[np.int64]

_CHUNK = 64
"""Counts that are added up at once, as vectors, on the way to a symbol among many."""

_SIDE_BY_SIDE = 128
"""Rows that are quantised together."""


def _encode_rows(symbols: Symbols, counts: Words, bits: Any, state: Any, out: Words) -> Any:
    """Push symbols onto the state, the last first; words that leave it are written to `out`.

    Returns the state and the number of words, at most one for each symbol.
    """
    written = 0
    shift = np.uint64(bits)
    limit = np.uint64(63 - bits)
    for i in range(symbols.shape[0] - 1, -1, -1):
        row = counts[i]
        symbol = symbols[i]
        start = np.uint64(0)
        for count in row[:symbol]:
            start += np.uint64(count)
        count = np.uint64(row[symbol])
        if state >= count << limit:
            out[written] = np.uint32(state & np.uint64(0xFFFFFFFF))
            written += 1
            state = state >> np.uint64(32)
        quotient = state // count
        state = (quotient << shift) + (state - quotient * count) + start
    return state, written


def _decode_rows(
    counts: Words, bits: Any, state: Any, words: Words, position: Any, out: Symbols
) -> Any:
    """Pop one symbol for each row of counts; words are read from `words[position]` on.

    Returns the state and the new position; a position beyond the end says that a word was missing.
    """
    shift = np.uint64(bits)
    mask = (np.uint64(1) << shift) - np.uint64(1)
    n_symbols = counts.shape[1]
    for i in range(counts.shape[0]):
        row = counts[i]
        slot = state & mask
        start = np.uint64(0)
        symbol = 0
        while n_symbols - symbol > _CHUNK:
            total = np.uint64(0)
            for count in row[symbol : symbol + _CHUNK]:
                total += np.uint64(count)
            if slot < start + total:
                break
            start += total
            symbol += _CHUNK
        count = np.uint64(row[symbol])
        while slot >= start + count:
            start += count
            symbol += 1
            count = np.uint64(row[symbol])
        out[i] = symbol
        state = count * (state >> shift) + (slot - start)
        if state < np.uint64(0x80000000):
            if position >= words.shape[0]:
                return state, words.shape[0] + 1
            state = state << np.uint64(32) | np.uint64(words[position])
            position += 1
    return state, position


def _quantise_rows(P: Floats, bits: Any, counts: Words) -> None:
    """`crossent.coding.quantise` of each row: sums from left to right, nothing fused.

    Rows are worked on side by side, a class's in one row of scratch, so that they become vectors.
    """
    n, q = P.shape
    p = np.ones((q, _SIDE_BY_SIDE))
    whole, remainder, rank = np.empty_like(p), np.empty_like(p), np.empty_like(p)
    left = np.empty(_SIDE_BY_SIDE)
    for start in range(0, n, _SIDE_BY_SIDE):
        rows = min(_SIDE_BY_SIDE, n - start)
        for i in range(rows):
            for j in range(q):
                p[j, i] = P[start + i, j]
        _shares(p, float((1 << bits) - q), whole, remainder, left)
        _round_up_the_largest(p, remainder, left, rank, whole)
        for i in range(rows):
            for j in range(q):
                counts[start + i, j] = np.uint32(np.int64(whole[j, i])) + np.uint32(1)


@inner(exact=True)
def _shares(p: Floats, free: float, whole: Floats, remainder: Floats, left: Floats) -> None:
    """Whole part and remainder of each class's share of `free`, and what is left of it."""
    q, rows = p.shape
    total = np.zeros(rows)
    for j in range(q):
        own = p[j]
        for i in range(rows):
            total[i] += own[i]
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


@once
def encode_rows(dtype: np.dtype[Any]) -> Callable[..., tuple[int, int]]:
    """The encoder of rows of counts, compiled for counts of 32 bits."""
    counts, symbols = _array(types.uint32, 2), _array(types.int64, 1)
    result: Any = _pair()
    signature = result(symbols, counts, types.int64, types.uint64, _array(types.uint32, 1))
    return entry(_encode_rows, signature, dtype, exact=True)


@once
def decode_rows(dtype: np.dtype[Any]) -> Callable[..., tuple[int, int]]:
    """The decoder of rows of counts, compiled for counts of 32 bits."""
    counts, symbols = _array(types.uint32, 2), _array(types.int64, 1)
    result: Any = _pair()
    words = _array(types.uint32, 1)
    signature = result(counts, types.int64, types.uint64, words, types.int64, symbols)
    return entry(_decode_rows, signature, dtype, exact=True)


@once
def quantise_rows(dtype: np.dtype[Any]) -> Callable[..., None]:
    """The quantiser of rows of probabilities, compiled for counts of 32 bits."""
    signature = types.void(_array(types.float64, 2), types.int64, _array(types.uint32, 2))
    return entry(_quantise_rows, signature, dtype, exact=True)


def _pair() -> Any:
    """Numba's type of a state and a number of words."""
    pair: Any = types.Tuple
    return pair((types.uint64, types.int64))


def _array(kind: Any, dimensions: int) -> Any:
    """Numba's type of a contiguous array."""
    return types.Array(kind, dimensions, "C")
