"""Checks of the parameters of the estimators."""

import numbers
from collections.abc import Mapping
from typing import Any

from crossent.choice.dates import read_half_life
from crossent.errors import InputError

__all__ = ["check_options"]

_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "ties": ("auto", "davidson", "half", "drop"),
    "neither": ("auto", "own", "drop"),
    "order_effect": (None, "global", "item"),
    "undefined": ("raise", "components", "drop"),
    "unranked": ("absent", "last"),
}


def check_options(estimator: Any, /) -> None:
    """Each parameter alone; the message names its value and what it may be."""
    for name, allowed in _CHOICES.items():
        value = getattr(estimator, name, allowed[0])
        if value not in allowed:
            message = f"{name} is {value!r}; it must be one of {', '.join(map(repr, allowed))}."
            raise InputError(message)
    for name, least in (("penalty", 0.0), ("tol", 1e-300), ("max_iter", 1)):
        value = getattr(estimator, name)
        if not (isinstance(value, numbers.Real) and least <= float(value) < float("inf")):
            message = f"{name} is {value!r}; it must be a finite number of at least {least:g}."
            raise InputError(message)
    if getattr(estimator, "half_life", None) is not None:
        read_half_life(estimator.half_life)
