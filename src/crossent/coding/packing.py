"""Fixed-length codes for blocks: five trits in a byte, and PAM-3's three bits in two trits."""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from crossent.coding.exact import check_radix, whole_number
from crossent.errors import CodeError, InputError

__all__ = [
    "PAM3_SPARE",
    "check_symbols",
    "digits_needed",
    "pack_blocks",
    "packing_efficiency",
    "pam3_decode",
    "pam3_encode",
    "unpack_blocks",
]

PAM3_SPARE: Final = (1, 1)
"""The one of the nine pairs of levels that stands for no value."""

_MOST_BITS = 63
"""Of a block's word: what fits a 64-bit integer."""


def digits_needed(n_words: int, /, *, radix: int = 2) -> int:
    """Least number k of digits with radixᵏ ≥ n_words: the length of a fixed-length code.

    Counted in whole numbers, so that exact powers come out right.

    Parameters
    ----------
    n_words : int
        Words to tell apart, at least 1.
    radix : int, default 2

    Returns
    -------
    int

    Raises
    ------
    InputError
        If an argument is not a whole number in its range.

    Examples
    --------
    >>> digits_needed(9, radix=3), digits_needed(10, radix=3)
    (2, 3)
    """
    n_words, radix = whole_number(n_words, "n_words", least=1), check_radix(radix)
    digits, reach = 0, 1
    while reach < n_words:
        digits, reach = digits + 1, reach * radix
    return digits


def packing_efficiency(n_symbols: int, block_length: int, /, *, radix: int = 2) -> float:
    """Share of the channel's capacity that blocks of fixed length use.

    ::

        n log q / (k log radix)        k = digits_needed(qⁿ, radix)

    Parameters
    ----------
    n_symbols : int
        Size q of the source's alphabet, at least 2.
    block_length : int
        Symbols in a block, n.
    radix : int, default 2
        Size of the channel's alphabet.

    Returns
    -------
    float
        In (0, 1]; 1 where qⁿ is a power of the radix.

    Raises
    ------
    InputError
        If an argument is not a whole number in its range.

    Examples
    --------
    Five trits in a byte, 11 bits in 7 trits, and PAM-3's three bits in two trits:

    >>> round(packing_efficiency(3, 5), 4), round(packing_efficiency(2, 11, radix=3), 4)
    (0.9906, 0.9915)
    >>> round(packing_efficiency(2, 3, radix=3), 4)
    0.9464
    """
    n_symbols = whole_number(n_symbols, "n_symbols", least=2)
    block_length = whole_number(block_length, "block_length", least=1)
    digits = digits_needed(n_symbols**block_length, radix=radix)
    return block_length * math.log(n_symbols) / (digits * math.log(radix))


def pack_blocks(symbols: Any, n_symbols: int, block_length: int, /) -> bytes:
    """Symbols in words of fixed length: a block is one number in as few whole bits as all need.

    Parameters
    ----------
    symbols : array_like of int, shape (n,)
        In 0 … n_symbols - 1.
    n_symbols : int
        Size q of the alphabet, at least 2.
    block_length : int
        Symbols in a block. The last block is filled up with zeros.

    Returns
    -------
    bytes
        ``digits_needed(q**block_length)`` bits a block, most significant first; the last byte is
        filled up with zeros.

    Raises
    ------
    InputError
        A symbol is not in the alphabet, or a block needs more than 63 bits.

    Examples
    --------
    Five trits in a byte, because 3⁵ = 243 ≤ 256:

    >>> list(pack_blocks([2, 2, 2, 2, 2, 1], 3, 5))
    [242, 81]
    """
    bits = _word_bits(n_symbols, block_length)
    values = check_symbols(symbols, n_symbols)
    padded = np.zeros(-(-len(values) // block_length) * block_length, dtype=np.int64)
    padded[: len(values)] = values
    numbers = padded.reshape(-1, block_length) @ _places(n_symbols, block_length)
    each_bit = numbers[:, None] >> np.arange(bits)[::-1] & 1
    return np.packbits(each_bit.astype(np.uint8).ravel()).tobytes()


def unpack_blocks(
    data: bytes, n_symbols: int, block_length: int, /, *, count: int
) -> npt.NDArray[np.int64]:
    """The symbols that `pack_blocks` packed.

    Parameters
    ----------
    data : bytes
    n_symbols, block_length : int
        As they were packed.
    count : int
        Number of symbols: the data do not say where the filling begins.

    Returns
    -------
    ndarray of int64, shape (count,)

    Raises
    ------
    CodeError
        The data are longer or shorter than `count` symbols, hold a word that stands for no block,
        or their filling is not zero.

    Examples
    --------
    >>> unpack_blocks(bytes([242, 81]), 3, 5, count=6)
    array([2, 2, 2, 2, 2, 1])
    """
    bits = _word_bits(n_symbols, block_length)
    count = whole_number(count, "count", least=0)
    blocks = -(-count // block_length)
    expected = -(-blocks * bits // 8)
    if len(data) != expected:
        message = f"{count} symbols take {expected} bytes; there are {len(data)}."
        raise CodeError(message)
    stream = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    words = stream[: blocks * bits].reshape(blocks, bits).astype(np.int64)
    numbers = words @ (np.int64(1) << np.arange(bits, dtype=np.int64)[::-1])
    symbols = numbers[:, None] // _places(n_symbols, block_length) % n_symbols
    impossible = np.flatnonzero(numbers >= n_symbols**block_length)
    if len(impossible):
        block = int(impossible[0])
        message = f"the word of block {block}, {numbers[block]}, stands for no block of symbols."
        raise CodeError(message)
    if symbols.ravel()[count:].any() or stream[blocks * bits :].any():
        message = "the filling after the last symbol is not zero: the data are damaged."
        raise CodeError(message)
    return np.asarray(symbols.ravel()[:count])


def pam3_encode(values: Any, /) -> npt.NDArray[np.int8]:
    """Pairs of levels -1, 0, 1 for values 0 … 7: three bits in two symbols of PAM-3.

    ::

        k ↦ (k div 3 - 1, k mod 3 - 1)

    Parameters
    ----------
    values : array_like of int, shape (n,)
        In 0 … 7.

    Returns
    -------
    ndarray of int8, shape (n, 2)
        Eight of the nine pairs; `PAM3_SPARE` is left.

    Raises
    ------
    InputError
        A value is not in 0 … 7.

    Examples
    --------
    >>> pam3_encode([0, 4, 7]).tolist()
    [[-1, -1], [0, 0], [1, 0]]
    """
    digits = np.stack(np.divmod(check_symbols(values, 8), 3), axis=-1)
    return np.asarray(digits - 1, dtype=np.int8)


def pam3_decode(levels: Any, /) -> npt.NDArray[np.int64]:
    """The values 0 … 7 of pairs of levels.

    Parameters
    ----------
    levels : array_like of int, shape (n, 2)
        Each -1, 0 or 1.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    InputError
        `levels` has another shape, or a level that PAM-3 does not have.
    CodeError
        The spare pair occurs.

    Examples
    --------
    >>> pam3_decode([[-1, -1], [0, 0], [1, 0]])
    array([0, 4, 7])
    """
    pairs = np.asarray(levels)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        message = f"`levels` has shape {pairs.shape}; it must be (n, 2), a pair for each value."
        raise InputError(message)
    digits = check_symbols(pairs.ravel(), 3, first=-1).reshape(-1, 2) + 1
    values = digits @ np.array([3, 1])
    spare = np.flatnonzero(values == 8)
    if len(spare):
        message = f"pair {int(spare[0])} is {PAM3_SPARE}, which stands for no value."
        raise CodeError(message)
    return np.asarray(values, dtype=np.int64)


def check_symbols(symbols: Any, n_symbols: int, /, *, first: int = 0) -> npt.NDArray[np.int64]:
    """`symbols` as int64, if they are whole numbers `first` … `first` + `n_symbols` - 1.

    Raises
    ------
    InputError
        Naming the first entry that is not.

    Examples
    --------
    >>> check_symbols([2, 0], 3)
    array([2, 0])
    """
    n_symbols = whole_number(n_symbols, "n_symbols", least=1)
    values = np.asarray(symbols)
    if values.size == 0:
        values = values.astype(np.int64)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        message = (
            f"`symbols` has shape {values.shape} and dtype {values.dtype}; it must be a list or "
            "one-dimensional array of whole numbers."
        )
        raise InputError(message)
    bad = np.flatnonzero((values < first) | (values >= first + n_symbols))
    if len(bad):
        message = (
            f"symbol {int(bad[0])} is {values[bad[0]]}; it must be in "
            f"{first}…{first + n_symbols - 1}."
        )
        raise InputError(message)
    return values.astype(np.int64)


def _word_bits(n_symbols: int, block_length: int) -> int:
    """Bits of a block's word, checked."""
    n_symbols = whole_number(n_symbols, "n_symbols", least=2)
    block_length = whole_number(block_length, "block_length", least=1)
    bits = digits_needed(n_symbols**block_length)
    if bits > _MOST_BITS:
        message = (
            f"a block of {block_length} symbols out of {n_symbols} needs {bits} bits; at most "
            f"{_MOST_BITS} are served. Use shorter blocks."
        )
        raise InputError(message)
    return bits


def _places(n_symbols: int, block_length: int) -> npt.NDArray[np.int64]:
    """What each symbol of a block counts in the block's number."""
    return np.int64(n_symbols) ** np.arange(block_length, dtype=np.int64)[::-1]
