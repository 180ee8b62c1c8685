"""Probabilities as exact fractions, so that expected lengths and Kraft sums are exact too."""

import math
import numbers
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from crossent.errors import InputError

__all__ = [
    "check_bytes",
    "check_radix",
    "exact_probabilities",
    "integer_weights",
    "whole_number",
]

_TOLERANCE = 1e-6
"""Of sums of floats, as in `crossent.functional`."""


def exact_probabilities(probabilities: Any, /) -> tuple[Fraction, ...]:
    """Probabilities as fractions that sum to exactly 1.

    Parameters
    ----------
    probabilities : sequence of Fraction, int or float
        Whole numbers and fractions must sum to exactly 1. With a float among them the sum may be
        off by 1e-6: each float is the dyadic fraction that it is, and all are divided by their
        exact sum.

    Returns
    -------
    tuple of Fraction

    Raises
    ------
    InputError
        There are none, one is negative or not a finite number, or they do not sum to 1.

    Examples
    --------
    >>> exact_probabilities([0.5, 0.25, Fraction(1, 4)])
    (Fraction(1, 2), Fraction(1, 4), Fraction(1, 4))
    """
    values = probabilities.tolist() if hasattr(probabilities, "tolist") else list(probabilities)
    if not values:
        message = "`probabilities` is empty; at least one symbol is needed."
        raise InputError(message)
    fractions = tuple(_fraction(value, place) for place, value in enumerate(values))
    total = sum(fractions, Fraction(0))
    if total == 1:
        return fractions
    if all(isinstance(value, numbers.Rational) for value in values):
        message = f"`probabilities` sum to {total}; fractions must sum to exactly 1."
        raise InputError(message)
    if abs(total - 1) > _TOLERANCE:
        message = (
            f"`probabilities` sum to {float(total):.9g}; they must sum to 1 within "
            f"{_TOLERANCE:g}. Divide them by their sum."
        )
        raise InputError(message)
    return tuple(value / total for value in fractions)


def integer_weights(probabilities: Sequence[Fraction], /) -> list[int]:
    """Whole numbers in the proportions of the fractions: much faster to add and to compare.

    Examples
    --------
    >>> integer_weights([Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)])
    [3, 2, 1]
    """
    denominator = math.lcm(*(value.denominator for value in probabilities))
    return [value.numerator * (denominator // value.denominator) for value in probabilities]


def check_radix(radix: int, /) -> int:
    """`radix` as an integer, if it is one and at least 2. Raises InputError otherwise."""
    return whole_number(radix, "radix", least=2)


def whole_number(value: Any, name: str, /, *, least: int, most: int | None = None) -> int:
    """`value` as an integer in `least` … `most`.

    Raises
    ------
    InputError
        It is not a whole number, or out of range.

    Examples
    --------
    >>> whole_number(3, "radix", least=2)
    3
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if whole and least <= int(value) and (most is None or int(value) <= most):
        return int(value)
    limits = f"at least {least}" if most is None else f"from {least} to {most}"
    message = f"`{name}` is {value!r}; it must be a whole number {limits}."
    raise InputError(message)


def check_bytes(data: Any, name: str, /) -> bytes:
    """`data` as bytes, if that is what they are.

    Raises
    ------
    InputError
        They are text, a number, a list or nothing.

    Examples
    --------
    >>> check_bytes(bytearray(b"abc"), "data")
    b'abc'
    """
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    message = (
        f"`{name}` is a {type(data).__name__}; it must be bytes. Read files with mode 'rb', or "
        "with pathlib's `read_bytes`."
    )
    raise InputError(message)


def _fraction(value: Any, place: int) -> Fraction:
    """One probability, checked."""
    good = isinstance(value, numbers.Rational) or (
        isinstance(value, numbers.Real) and math.isfinite(value)
    )
    if not good or value < 0:
        message = (
            f"`probabilities` entry {place} is {value!r}; probabilities must be finite numbers "
            "that are not negative."
        )
        raise InputError(message)
    return Fraction(value)
