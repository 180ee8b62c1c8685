"""Older comparisons count less: weights that halve with every half-life."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError

__all__ = ["decay_factor", "decay_weights", "read_dates", "read_half_life"]

_DAYS = {"d": 1.0, "w": 7.0, "m": 365.25 / 12, "y": 365.25}


def read_half_life(value: Any, /) -> float:
    """Days from a number of days or text like "365d", "26w", "6m", "2y".

    Examples
    --------
    >>> read_half_life("2w"), read_half_life(30)
    (14.0, 30.0)
    """
    found = re.fullmatch(r"\s*([0-9.]+(?:e-?\d+)?)\s*([dwmy]?)\s*", str(value), flags=re.IGNORECASE)
    try:
        days = float(found[1]) * _DAYS[found[2].lower() or "d"] if found else 0.0
    except ValueError:
        days = 0.0
    if not 0 < days < np.inf:
        message = f"half_life is {value!r}; it must be a positive number of days, or like '365d'."
        raise InputError(message)
    return days


def read_dates(dates: Any, n: int) -> npt.NDArray[np.float64]:
    """Days since 1970 of each row, shape (n,); numbers are taken as days.

    Raises
    ------
    InputError
        A date cannot be read; the message names row and value.
    """
    if dates is None:
        message = "half_life needs `dates`, one for each row. Pass them, or half_life=None."
        raise InputError(message)
    values = np.asarray(dates)
    if values.shape != (n,):
        message = f"dates has shape {values.shape}; expected ({n},), one for each row."
        raise InputError(message)
    days = _as_days(values)
    bad = ~np.isfinite(days)
    if bad.any():
        row = int(bad.argmax())
        message = (
            f"dates is {values.tolist()[row]!r} in row {row}, which is no date. Write it as "
            "2026-07-19, or drop the row."
        )
        raise InputError(message)
    return days


def _as_days(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Days since 1970; NaN where it cannot be read."""
    if values.dtype.kind in "iuf":
        return values.astype(np.float64)
    if values.dtype.kind != "M":
        try:
            values = values.astype("datetime64[s]")
        except (TypeError, ValueError):
            values = np.array([_one_date(value) for value in values.tolist()])
    missing = np.isnat(values)
    days = values.astype("datetime64[s]").astype(np.int64) / 86_400.0
    return np.where(missing, np.nan, days)


def _one_date(value: Any) -> np.datetime64:
    try:
        return np.datetime64(value, "s")
    except (TypeError, ValueError):
        return np.datetime64("NaT", "s")


def decay_weights(dates: Any, half_life: Any, n: int) -> npt.NDArray[np.float64]:
    """``2^(-(latest - date)/half_life)``, shape (n,).

    Examples
    --------
    >>> decay_weights(["2025-01-01", "2025-01-11"], "10d", 2).tolist()
    [0.5, 1.0]
    """
    days = read_dates(dates, n)
    weights: npt.NDArray[np.float64] = decay_factor(days.max() - days, half_life)
    return weights


def decay_factor(age: Any, half_life: Any, /) -> Any:
    """``2^(-age/half_life)`` for ages in days.

    Examples
    --------
    >>> decay_factor(20.0, "10d")
    0.25
    """
    return 2.0 ** (-age / read_half_life(half_life))
