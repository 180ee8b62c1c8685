"""Prefix codes: words of digits, no word the beginning of another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from crossent.coding.exact import check_radix, exact_probabilities, whole_number
from crossent.errors import CodeError, InputError

__all__ = ["PrefixCode", "canonical_code", "expected_length", "kraft_sum"]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class PrefixCode:
    """A code word of digits 0 … radix - 1 for each symbol 0 … q - 1.

    Attributes
    ----------
    words : tuple of tuple of int
        The word of each symbol. The empty word is allowed for an alphabet of one symbol, which
        says nothing when it comes.
    radix : int
        Size of the channel's alphabet: 2 for bits, 3 for trits.

    Raises
    ------
    InputError
        A word is the beginning of another, or holds something that is not a digit.

    Examples
    --------
    >>> code = PrefixCode(((0,), (1, 0), (1, 1)))
    >>> code.encode([2, 0, 1])
    [1, 1, 0, 1, 0]
    >>> code.decode([1, 1, 0, 1, 0])
    [2, 0, 1]
    """

    words: tuple[tuple[int, ...], ...]
    radix: int = 2

    def __post_init__(self) -> None:
        check_radix(self.radix)
        if not self.words:
            message = "`words` is empty; a code has at least one word."
            raise InputError(message)
        for symbol, word in enumerate(self.words):
            for digit in word:
                whole_number(digit, f"words[{symbol}]", least=0, most=self.radix - 1)
        in_order = sorted((word, symbol) for symbol, word in enumerate(self.words))
        for (word, symbol), (other, follower) in pairwise(in_order):
            if other[: len(word)] == word:
                message = (
                    f"the word of symbol {symbol} is the beginning of that of symbol {follower}; "
                    "such a code cannot be decoded word by word."
                )
                raise InputError(message)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Length of each symbol's word, in digits."""
        return tuple(map(len, self.words))

    @property
    def strings(self) -> tuple[str, ...]:
        """The words as text; digits above 9 are letters. Only up to radix 36."""
        if self.radix > len(_DIGITS):
            message = f"radix {self.radix} has no digits as text; use `words`."
            raise InputError(message)
        return tuple("".join(_DIGITS[digit] for digit in word) for word in self.words)

    def encode(self, symbols: Iterable[int], /) -> list[int]:
        """The words of the symbols, one after the other.

        Raises
        ------
        InputError
            A symbol is not one of 0 … q - 1.
        """
        digits: list[int] = []
        for symbol in symbols:
            if not 0 <= symbol < len(self.words):
                message = f"symbol {symbol} is not one of 0…{len(self.words) - 1}."
                raise InputError(message)
            digits.extend(self.words[symbol])
        return digits

    def decode(self, digits: Iterable[int], /, *, count: int | None = None) -> list[int]:
        """The symbols whose words follow each other in `digits`.

        Parameters
        ----------
        digits : iterable of int
        count : int, optional
            How many symbols there must be; only needed where a word is empty.

        Raises
        ------
        CodeError
            The digits end inside a word, form no word, or are not `count` words.
        InputError
            The code has an empty word and `count` is not given.
        """
        symbol_of = {word: symbol for symbol, word in enumerate(self.words)}
        if () in symbol_of:
            if count is None:
                message = "this code's only word is empty: pass `count`, the number of symbols."
                raise InputError(message)
            symbols, rest = [0] * count, tuple(digits)
        else:
            symbols, rest = self._split(digits, symbol_of)
        if rest:
            message = f"{len(rest)} digits at the end are no whole word of the code."
            raise CodeError(message)
        if count is not None and len(symbols) != count:
            message = f"the digits hold {len(symbols)} symbols, and not {count}."
            raise CodeError(message)
        return symbols

    def _split(
        self, digits: Iterable[int], symbol_of: dict[tuple[int, ...], int]
    ) -> tuple[list[int], tuple[int, ...]]:
        """Symbols, and the digits that are left over at the end or where no word fits any more."""
        longest = max(self.lengths)
        symbols: list[int] = []
        word: tuple[int, ...] = ()
        for digit in digits:
            word = (*word, int(digit))
            if word in symbol_of:
                symbols.append(symbol_of[word])
                word = ()
            elif len(word) >= longest:
                break
        return symbols, word


def canonical_code(lengths: Sequence[int], /, *, radix: int = 2) -> PrefixCode:
    """The prefix code with these word lengths whose words are in numerical order.

    Shorter words come first and words of equal length in the order of the symbols, each the
    smallest number that is still free. So the lengths alone tell both sides the code.

    Parameters
    ----------
    lengths : sequence of int
        At least 1 each; 0 only for an alphabet of one symbol.
    radix : int, default 2

    Returns
    -------
    PrefixCode

    Raises
    ------
    InputError
        The Kraft sum exceeds 1, so that no prefix code has these lengths.

    References
    ----------
    L. G. Kraft, "A device for quantizing, grouping, and coding amplitude-modulated pulses", MIT
    (1949).

    Examples
    --------
    >>> canonical_code([2, 1, 2]).strings
    ('10', '0', '11')
    """
    total = kraft_sum(lengths, radix=radix)
    if total > 1:
        message = (
            f"lengths {tuple(lengths)} have the Kraft sum {total}; above 1 there is no uniquely "
            "decodable code. Make words longer."
        )
        raise InputError(message)
    words: list[tuple[int, ...]] = [()] * len(lengths)
    number, length = 0, 0
    for symbol in sorted(range(len(lengths)), key=lambda symbol: lengths[symbol]):
        number *= radix ** (lengths[symbol] - length)
        length = lengths[symbol]
        words[symbol] = _as_digits(number, length, radix)
        number += 1
    return PrefixCode(tuple(words), radix)


def kraft_sum(lengths: Sequence[int], /, *, radix: int = 2) -> Fraction:
    """Kraft sum Σ radix^(-length), exact.

    At most 1 for every uniquely decodable code; where it is, some prefix code has these lengths.

    Parameters
    ----------
    lengths : sequence of int
        Lengths of words, at least 0.
    radix : int, default 2

    Returns
    -------
    Fraction

    References
    ----------
    B. McMillan, "Two inequalities implied by unique decipherability", IRE Trans. Inf. Theory 2
    (1956), doi:10.1109/TIT.1956.1056818.

    Examples
    --------
    >>> kraft_sum([1, 2, 2]), kraft_sum([1, 1, 2])
    (Fraction(1, 1), Fraction(5, 4))
    """
    check_radix(radix)
    if len(lengths) == 0:
        message = "`lengths` is empty; at least one word is needed."
        raise InputError(message)
    checked = [whole_number(length, "lengths", least=0) for length in lengths]
    return sum((Fraction(1, radix**length) for length in checked), Fraction(0))


def expected_length(probabilities: Any, lengths: Sequence[int], /) -> Fraction:
    """Expected length Σ p · length of a word, in digits, exact.

    Parameters
    ----------
    probabilities : sequence of Fraction, int or float
        As in `exact_probabilities`.
    lengths : sequence of int
        ``code.lengths`` of a `PrefixCode`, or any others.

    Returns
    -------
    Fraction
        For the best code between the entropy in digits and that plus 1.

    Raises
    ------
    InputError
        There are not as many lengths as probabilities, or the probabilities cannot be used.

    Examples
    --------
    >>> expected_length([Fraction(1, 3)] * 3, [1, 2, 2])
    Fraction(5, 3)
    """
    exact = exact_probabilities(probabilities)
    if len(lengths) != len(exact):
        message = f"there are {len(exact)} `probabilities` and {len(lengths)} `lengths`."
        raise InputError(message)
    checked = [whole_number(length, "lengths", least=0) for length in lengths]
    return sum((p * length for p, length in zip(exact, checked, strict=True)), Fraction(0))


def _as_digits(number: int, length: int, radix: int) -> tuple[int, ...]:
    """The lowest `length` digits of a number, the most significant first."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, radix)
        digits.append(digit)
    return tuple(reversed(digits))
