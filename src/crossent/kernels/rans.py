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

from crossent.kernels.jit import entry, once

__all__ = ["decode_rows", "encode_rows", "find_bad_row"]

Words = npt.NDArray[np.uint32]
Symbols = npt.NDArray[np.int64]

_CHUNK = 64
"""Counts that are added up at once, as vectors, on the way to a symbol among many."""


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


def _find_bad_row(counts: Words, total: Any) -> Any:
    """The first row with a count of 0 or another sum than `total`; -1 if there is none."""
    for i in range(counts.shape[0]):
        row = counts[i]
        found = np.uint64(0)
        zeros = np.uint64(0)
        for count in row:
            found += np.uint64(count)
            zeros += np.uint64(count == 0)
        if (found != np.uint64(total)) | (zeros > np.uint64(0)):
            return i
    return np.int64(-1)


@once
def find_bad_row(dtype: np.dtype[Any]) -> Callable[..., int]:
    """The check of rows of counts, compiled for counts of 32 bits."""
    return entry(_find_bad_row, types.int64(_array(types.uint32, 2), types.int64), dtype)


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


def _pair() -> Any:
    """Numba's type of a state and a number of words."""
    pair: Any = types.Tuple
    return pair((types.uint64, types.int64))


def _array(kind: Any, dimensions: int) -> Any:
    """Numba's type of a contiguous array."""
    return types.Array(kind, dimensions, "C")
