"""Symbols to bytes at the length that their probabilities ask for, and back."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from crossent.coding import rans
from crossent.coding.exact import whole_number
from crossent.coding.packing import check_symbols
from crossent.coding.quantise import MOST_BITS
from crossent.errors import CodeError, InputError

__all__ = [
    "check_end",
    "decode_in_turn",
    "decode_symbols",
    "encode_symbols",
    "ideal_bits",
    "is_worth_compiling",
    "pop",
    "push",
]

Counts = npt.NDArray[np.uint32]
Symbols = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]

_ENTRIES_AT_ONCE = 2**22
"""Counts of a block of rows."""
_COMPILED_FROM = 2**18
"""Entries of counts; plain Python takes 0.1 s to decode as many in rows of ten."""
_COMPILED_FROM_ROWS = 2**16


def encode_symbols(symbols: Any, counts: Any, /) -> bytes:
    """Symbols as bytes: -log₂(c/2^b) bits each, and at most 39 bits more in all.

    Parameters
    ----------
    symbols : array_like of int, shape (n,)
        In 0 … q - 1.
    counts : array_like of int, shape (n, q), or (q,) for all symbols
        As from `quantise`: at least 1, every row of the same sum 2^b, b ≤ 28.

    Returns
    -------
    bytes
        Neither the counts nor the number of symbols is in it: the receiver must know both.

    Raises
    ------
    InputError
        A symbol is not in the alphabet, or the counts are not like that.

    Notes
    -----
    The excess over `ideal_bits` is at most 39 bits plus what the coder's truncations cost: for ten
    classes 2e-8 of the length with b = 20, and 2e-5 with b = 28. Long inputs are coded by compiled
    loops, about 0.015 µs a symbol for q = 10 (``benchmarks/results/coding.json``). Memory: one word
    of 32 bits a symbol.

    Examples
    --------
    >>> from crossent.coding import quantise
    >>> trits = np.random.default_rng(0).integers(0, 3, size=1000)
    >>> counts = quantise([1 / 3, 1 / 3, 1 / 3])
    >>> coded = encode_symbols(trits, counts)
    >>> len(coded), round(ideal_bits(trits, counts) / 8, 1)
    (202, 198.1)
    >>> bool((decode_symbols(coded, counts, count=1000) == trits).all())
    True
    """
    rows, bits = _check_counts(counts)
    values = check_symbols(symbols, rows.shape[-1])
    rows = _for_each_symbol(rows, len(values))
    compiled = is_worth_compiling(len(values), rows.shape[1])
    state, words = rans.START, []
    for part in reversed(_blocks(*rows.shape)):
        state, left = push(state, values[part], rows[part], bits, compiled=compiled)
        words.append(left)
    return rans.payload_of(state, words)


def decode_symbols(data: bytes, counts: Any, /, *, count: int | None = None) -> Symbols:
    """The symbols that `encode_symbols` coded with the same counts.

    Parameters
    ----------
    data : bytes
    counts : array_like of int, shape (n, q), or (q,) for all symbols
    count : int, optional
        Number of symbols; needed where one row of counts serves all.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    CodeError
        The data are too short, too long, or do not lead back to the coder's first state. Most
        damage is noticed so, but not all: a file needs a checksum, as `crossent.labels` has it.
    InputError
        The counts cannot be used; `count` is missing, no whole number, or contradicts them; `data`
        are no bytes.

    Examples
    --------
    >>> from crossent.coding import quantise
    >>> counts = quantise([[0.9, 0.1], [0.2, 0.8]])
    >>> decode_symbols(encode_symbols([0, 1], counts), counts)
    array([0, 1])
    """
    rows, bits = _check_counts(counts)
    if count is None and rows.ndim == 1:
        message = "one row of `counts` serves all symbols: pass `count`, their number."
        raise InputError(message)
    n = len(rows) if count is None else whole_number(count, "count", least=0)
    rows = _for_each_symbol(rows, n)
    compiled = is_worth_compiling(*rows.shape)
    state, words, position = rans.state_and_words(data)
    symbols = np.empty(len(rows), dtype=np.int64)
    for part in _blocks(*rows.shape):
        symbols[part], state, position = pop(
            state, rows[part], bits, words, position, compiled=compiled
        )
    check_end(state, words, position)
    return symbols


def decode_in_turn(
    data: bytes, counts_after: Callable[[Sequence[int]], Any], /, *, count: int
) -> Symbols:
    """The symbols that `encode_symbols` coded, where each one's counts depend on those before it.

    So a text comes back from a model that predicts every letter from the letters before.

    Parameters
    ----------
    data : bytes
    counts_after : callable
        Takes the list of symbols decoded so far and gives the row of counts, shape (q,), with
        which the next one was encoded: the same to the last count, or all that follows is lost.
    count : int
        Number of symbols.

    Returns
    -------
    ndarray of int64, shape (count,)

    Raises
    ------
    CodeError
        As `decode_symbols`.
    InputError
        A row of counts cannot be used, `count` is no whole number, or `data` are no bytes.

    Examples
    --------
    >>> def counts_after(symbols):  # what came last probably comes again
    ...     return [1, 3] if symbols and symbols[-1] == 1 else [3, 1]
    >>> message = [0, 0, 1, 1, 1]
    >>> coded = encode_symbols(message, [counts_after(message[:i]) for i in range(5)])
    >>> decode_in_turn(coded, counts_after, count=5)
    array([0, 0, 1, 1, 1])
    """
    state, words, position = rans.state_and_words(data)
    symbols: list[int] = []
    for _ in range(whole_number(count, "count", least=0)):
        row, bits = _check_counts(counts_after(symbols))
        row = _for_each_symbol(row, 1)
        found, state, position = rans.pop(state, row, bits, words, position)
        symbols += found
    check_end(state, words, position)
    return np.array(symbols, dtype=np.int64)


def ideal_bits(symbols: Any, counts: Any, /) -> float:
    """Σ -log₂(c/2^b): the bits that the counts ask for, without those of a coder.

    Parameters
    ----------
    symbols, counts : array_like
        As in `encode_symbols`.

    Returns
    -------
    float

    Raises
    ------
    InputError
        As in `encode_symbols`.

    Examples
    --------
    >>> ideal_bits([0, 0, 1], [3, 1])
    2.830...
    """
    rows, bits = _check_counts(counts)
    values = check_symbols(symbols, rows.shape[-1])
    rows = _for_each_symbol(rows, len(values))
    chosen = rows[np.arange(len(values)), values].astype(np.float64)
    return float(np.sum(bits - np.log2(chosen)))


def is_worth_compiling(n: int, q: int, /) -> bool:
    """Whether the compiled loops are to be used for n rows of q counts.

    Examples
    --------
    >>> is_worth_compiling(100, 10), is_worth_compiling(1_000_000, 10)
    (False, True)
    """
    return n >= _COMPILED_FROM_ROWS or n * q >= _COMPILED_FROM


def push(
    state: int, symbols: Symbols, counts: Counts, bits: int, /, *, compiled: bool
) -> tuple[int, Words]:
    """`rans.push`, by the compiled loop or in plain Python; nothing is checked.

    Examples
    --------
    >>> rows = np.array([[3, 1], [2, 2]], dtype=np.uint32)
    >>> push(rans.START, np.array([1, 0]), rows, 2, compiled=False)[0]
    17179869187
    """
    if not compiled:
        state, left = rans.push(state, symbols.tolist(), counts, bits)
        return state, np.array(left, dtype=np.uint32)
    from crossent.kernels.rans import encode_rows

    out = np.empty(len(symbols), dtype=np.uint32)
    rows = np.ascontiguousarray(counts)
    state, written = encode_rows(rows.dtype)(symbols, rows, bits, np.uint64(state), out)
    return int(state), out[:written].copy()


def pop(
    state: int, counts: Counts, bits: int, words: Words, position: int, /, *, compiled: bool
) -> tuple[Symbols, int, int]:
    """`rans.pop`, by the compiled loop or in plain Python.

    Raises CodeError where a word is missing.

    Examples
    --------
    >>> rows = np.array([[3, 1], [2, 2]], dtype=np.uint32)
    >>> pop(17179869187, rows, 2, np.array([], dtype=np.uint32), 0, compiled=False)[0]
    array([1, 0])
    """
    if not compiled:
        found, state, position = rans.pop(state, counts, bits, words, position)
        return np.array(found, dtype=np.int64), state, position
    from crossent.kernels.rans import decode_rows

    symbols = np.empty(len(counts), dtype=np.int64)
    rows = np.ascontiguousarray(counts)
    decode = decode_rows(rows.dtype)
    state, position = decode(rows, bits, np.uint64(state), words, position, symbols)
    if position > len(words):
        raise CodeError(rans.MISSING_WORD)
    return symbols, int(state), int(position)


def check_end(state: int, words: Words, position: int, /) -> None:
    """Raise CodeError unless the decoder stands where the encoder began.

    Examples
    --------
    >>> check_end(rans.START, np.array([], dtype=np.uint32), 0)
    """
    if position != len(words) or state != rans.START:
        message = (
            "the coded data do not end where the coder began: they are damaged, or were coded "
            "with other counts."
        )
        raise CodeError(message)


def _check_counts(counts: Any) -> tuple[Counts, int]:
    """Counts as uint32, and the bits of their sum."""
    rows = np.asarray(counts)
    if rows.ndim not in (1, 2) or rows.dtype.kind not in "iu" or rows.shape[-1] == 0:
        message = (
            f"`counts` has shape {rows.shape} and dtype {rows.dtype}; it must hold whole numbers, "
            "in one row for all symbols or one for each. Use `quantise`."
        )
        raise InputError(message)
    if rows.size == 0:
        return rows.astype(np.uint32), 0
    table = rows.reshape(-1, rows.shape[-1])
    total = int(table[0].sum(dtype=np.int64))
    bits = max(total.bit_length() - 1, 0)
    if table.dtype.itemsize == 8 and table.max() > 1 << MOST_BITS:  # their sum could run over
        bad = int(np.argmax(table.max(axis=1) > 1 << MOST_BITS))
    else:
        bad = 0 if total != 1 << bits or bits > MOST_BITS else _bad_row(table, total)
    if bad >= 0:
        low, found = int(table[bad].min()), sum(table[bad].tolist())
        wrong = f"holds {low}; every count must be at least 1"
        if low >= 1:
            wrong = f"sums to {found}; all rows must sum to one power of two, at most 2^{MOST_BITS}"
        message = f"`counts` row {bad} {wrong}. Use `quantise`."
        raise InputError(message)
    return rows.astype(np.uint32, copy=False), bits


def _bad_row(table: npt.NDArray[Any], total: int) -> int:
    """The first row with a count below 1 or another sum; -1 if there is none."""
    if table.dtype == np.uint32 and is_worth_compiling(*table.shape):
        from crossent.kernels.rans import find_bad_row

        return int(find_bad_row(table.dtype)(np.ascontiguousarray(table), total))
    bad = (table < 1).any(axis=1) | (table.sum(axis=1, dtype=np.int64) != total)
    return int(np.argmax(bad)) if bad.any() else -1


def _for_each_symbol(rows: Counts, n: int) -> Counts:
    """A row for each of n symbols."""
    if rows.ndim == 1:
        return cast(Counts, np.broadcast_to(rows, (n, len(rows))))
    if len(rows) != n:
        message = f"there are {n} symbols and {len(rows)} rows of `counts`."
        raise InputError(message)
    return rows


def _blocks(n: int, q: int) -> list[slice]:
    """Rows to work on at once."""
    size = max(_ENTRIES_AT_ONCE // q, 1)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
