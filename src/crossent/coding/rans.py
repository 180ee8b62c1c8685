"""The entropy coder in plain Python: range asymmetric numeral systems (rANS).

The definition of the format; `crossent.kernels.rans` does the same faster.

A message is one whole number, the *state*. A symbol with count f out of T = 2^b, and with counts
that sum to C before it, is pushed by::

    x ← ⌊x / f⌋ T + C + (x mod f)

which multiplies the state by about T/f, so makes it -log₂(f/T) bits longer. Popping reads
x mod T, which lies in C … C + f - 1 of one symbol alone, and inverts the step. What was pushed last
comes out first, so an encoder works from the last symbol to the first.

The state is kept in 2^31 ≤ x < 2^63: before a push that would leave this range its lowest 32 bits
leave as a word, and after a pop that did leave it the last word comes back. It begins at 2^31,
where the decoder must end again: a check that costs nothing.

The payload is the state, high word first, and then the words, the last one first, as one big-endian
number without zero bytes in front. It is longer than the information in it by at most 39 bits, and
by what the truncations in the formula cost, about 2^b/x of a nat a symbol.

References
----------
J. Duda, "Asymmetric numeral systems: entropy coding combining speed of Huffman coding with
compression rate of arithmetic coding", arXiv:1311.2540 (2013).
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from crossent.coding.exact import check_bytes
from crossent.errors import CodeError

__all__ = ["MISSING_WORD", "START", "WORD_BITS", "payload_of", "pop", "push", "state_and_words"]

START = 1 << 31
"""The smallest state, and the first."""

WORD_BITS = 32

Counts = npt.NDArray[np.uint32]
Words = npt.NDArray[np.uint32]


def push(state: int, symbols: Sequence[int], counts: Counts, bits: int, /) -> tuple[int, list[int]]:
    """Push symbols onto a state, the last symbol first.

    Parameters
    ----------
    state : int
    symbols : sequence of int, length n
    counts : ndarray of uint32, shape (n, q)
        One row for each symbol, of sum 2^bits.
    bits : int

    Returns
    -------
    tuple of (int, list of int)
        The new state, and the words that left it, in the order in which they left.

    Examples
    --------
    >>> push(START, [1, 0], np.array([[3, 1], [2, 2]], dtype=np.uint32), 2)
    (17179869187, [])
    """
    places = np.arange(len(counts)), np.asarray(symbols, dtype=np.int64)
    chosen = counts[places].astype(np.int64)
    starts = np.cumsum(counts, axis=1, dtype=np.int64)[places] - chosen
    words = []
    for count, start in zip(chosen[::-1].tolist(), starts[::-1].tolist(), strict=True):
        if state >= count << (63 - bits):
            words.append(state % 2**WORD_BITS)
            state >>= WORD_BITS
        state = (state // count << bits) + start + state % count
    return state, words


def pop(
    state: int, counts: Counts, bits: int, words: Words, position: int, /
) -> tuple[list[int], int, int]:
    """Pop one symbol for each row of counts.

    Parameters
    ----------
    state : int
    counts : ndarray of uint32, shape (n, q)
        The rows with which the symbols were pushed, in the order of the symbols.
    bits : int
    words : ndarray of uint32
        Words that left the state, the last one first.
    position : int
        Where to read on in `words`.

    Returns
    -------
    tuple of (list of int, int, int)
        The symbols, the new state, the new position.

    Raises
    ------
    CodeError
        A word is missing.

    Examples
    --------
    >>> rows = np.array([[3, 1], [2, 2]], dtype=np.uint32)
    >>> pop(17179869187, rows, 2, np.array([], dtype=np.uint32), 0) == ([1, 0], START, 0)
    True
    """
    symbols = []
    for row, ends in zip(counts, np.cumsum(counts, axis=1, dtype=np.int64), strict=True):
        slot = state % 2**bits
        symbol = int(ends.searchsorted(slot, side="right"))
        count, start = int(row[symbol]), int(ends[symbol]) - int(row[symbol])
        symbols.append(symbol)
        state = count * (state >> bits) + slot - start
        if state < START:
            if position >= len(words):
                raise CodeError(MISSING_WORD)
            state = state << WORD_BITS | int(words[position])
            position += 1
    return symbols, state, position


MISSING_WORD = "the coded data end too early: they are cut off or damaged."


def payload_of(state: int, words: Iterable[npt.ArrayLike], /) -> bytes:
    """The bytes of a final state and of the words that left it before.

    Parameters
    ----------
    state : int
    words : iterable of array_like
        In the order in which they left.

    Returns
    -------
    bytes

    Examples
    --------
    >>> payload_of(START, []).hex()
    '80000000'
    """
    parts = [np.asarray(part, dtype=np.uint32) for part in words]
    last = np.array([state % 2**WORD_BITS, state >> WORD_BITS], dtype=np.uint32)
    stream = np.concatenate([*parts, last])[::-1].astype(">u4").tobytes()
    return stream.lstrip(b"\0")


def state_and_words(payload: bytes, /) -> tuple[int, Words, int]:
    """The state, the words and the position to read on, from what `payload_of` made.

    A first word of 2^31 or more is the whole state, since the high half of a state is less.

    Raises
    ------
    CodeError
        No state is made like this.
    InputError
        `payload` is not bytes.

    Examples
    --------
    >>> state_and_words(bytes.fromhex("80000000"))[0] == START
    True
    """
    payload = check_bytes(payload, "data")
    padding = -len(payload) % 4
    words = np.frombuffer(bytes(padding) + payload, dtype=">u4").astype(np.uint32)
    state, position = 0, 0
    while state < START:
        if position >= len(words):
            raise CodeError(MISSING_WORD)
        state = state << WORD_BITS | int(words[position])
        position += 1
    if payload[:1] == b"\0" or state >= 1 << 63:
        message = "the coded data do not begin as they must: they are damaged."
        raise CodeError(message)
    return state, words, position
