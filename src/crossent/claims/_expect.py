"""Comparisons of a computed quantity with an independent value.

No ``assert``: these must also hold under ``python -O``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from crossent.errors import CrossentError, InputError

__all__ = ["ClaimError", "below", "close", "equal", "refused", "zero"]


class ClaimError(CrossentError, AssertionError):
    """A claim's check found another value than it must."""


def close(name: str, got: Any, want: Any, /, *, rel: float = 0.0, abs: float = 0.0) -> None:
    """Every entry of `got` is within max(rel · |want|, abs) of `want`; shapes must be the same.

    Infinities are close to themselves only, NaN to nothing. Without tolerances: equal.
    """
    a, b = np.asarray(got, dtype=float), np.asarray(want, dtype=float)
    if a.shape != b.shape:
        message = f"{name}: shape {a.shape}, not {b.shape}."
        raise ClaimError(message)
    with np.errstate(invalid="ignore"):
        near = (a == b) | (np.abs(a - b) <= np.maximum(rel * np.abs(b), abs))
        near &= np.isfinite(b) | (a == b)
    if not near.all():
        message = f"{name}: {_short(got)}, not {_short(want)} (within rel {rel:g}, abs {abs:g})."
        raise ClaimError(message)


def zero(name: str, got: Any, /, *, abs: float) -> None:
    """Every entry of `got` is at most `abs` in size."""
    close(name, got, np.zeros(np.shape(got)), abs=abs)


def equal(name: str, got: Any, want: Any, /) -> None:
    """`got` is `want`; arrays are compared as lists."""
    a, b = (x.tolist() if hasattr(x, "tolist") else x for x in (got, want))
    if a != b:
        message = f"{name}: {_short(a)}, not {_short(b)}."
        raise ClaimError(message)


def below(name: str, got: Any, bound: Any, /) -> None:
    """`got` < `bound`, in every entry."""
    if not np.all(np.less(got, bound)):
        message = f"{name}: {_short(got)} is not below {_short(bound)}."
        raise ClaimError(message)


def refused(name: str, call: Callable[[], Any], /, *words: str) -> str:
    """`call` raises `InputError` with all `words` in its message, which is returned."""
    try:
        value = call()
    except InputError as error:
        absent = [word for word in words if word not in str(error)]
        if absent:
            message = f"{name}: refused without a word of {absent}: {error}"
            raise ClaimError(message) from error
        return str(error)
    message = f"{name}: accepted, with the result {_short(value)}."
    raise ClaimError(message)


def _short(value: Any) -> str:
    """A value in an error message; of an array the first entries."""
    text = np.array2string(value, precision=17) if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
