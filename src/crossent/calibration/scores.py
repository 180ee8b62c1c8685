"""What a classifier says, as log-probabilities: the caller says what was given, nothing is guessed.

Logits can lie in [0, 1] and sum to 1, so no look at the numbers tells logits from probabilities.
"""

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.functional import log_softmax

__all__ = ["Given", "check_given", "read_scores"]

Given: TypeAlias = Literal["logits", "log_probabilities", "probabilities"]
"""What the numbers are."""

# Probabilities that come from float32 logits over many classes sum to one within about 1e-6·q;
# anything further off than this is a mistake.
_SUM_TOLERANCE = 1e-3


def check_given(given: Any, name: str = "given", /) -> None:
    """Raise an InputError unless `given` is one of the three words."""
    if given not in get_args(Given):
        words = ", ".join(map(repr, get_args(Given)))
        message = f"`{name}` is {given!r}; say what the numbers are: one of {words}."
        raise InputError(message)


def read_scores(
    scores: Any, /, *, given: Given, n_classes: int | None = None, floor: float | None = None
) -> npt.NDArray[np.float64]:
    """Log-probabilities in nats, shape (n, q), from what `given` says that `scores` are.

    Parameters
    ----------
    scores : array-like, shape (n, q); for two classes also (n,)
        One column alone belongs to the second of two classes: the log-odds of it, its probability
        or its log-probability.
    given : {"logits", "log_probabilities", "probabilities"}
    n_classes : int, optional
        q, if it is known.
    floor : float, optional
        Probabilities below it are raised to it, and rows renormalised. Default: left as they are.

    Raises
    ------
    InputError
        An unknown `given`, another shape, NaN or +∞, a row without a finite logit, rows of
        probabilities that do not sum to 1 within 1e-3, a `floor` outside (0, 1/q).

    Examples
    --------
    >>> read_scores([[1.0, 0.0]], given="logits").round(3)
    array([[-0.313, -1.313]])
    >>> read_scores([[1.0, 0.0]], given="probabilities")
    array([[  0., -inf]])
    """
    check_given(given)
    table = _two_columns(_as_numbers(scores), given)
    if table.ndim != 2 or table.shape[1] < 2 or n_classes not in (None, table.shape[1]):
        wanted = "two or more classes" if n_classes is None else f"{n_classes} classes"
        message = (
            f"The {_called(given)} have shape {table.shape}; expected a column for each of "
            f"{wanted}."
        )
        raise InputError(message)
    _check_finite(table, given)
    with np.errstate(divide="ignore"):
        logits = np.log(table) if given == "probabilities" else table
    if given != "logits":
        _check_sums(logits, given)
    log_p = np.asarray(log_softmax(logits))
    return log_p if floor is None else _raised(log_p, floor)


def _as_numbers(scores: Any) -> npt.NDArray[np.float64]:
    """A float64 array."""
    try:
        return np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = f"The scores are not a rectangular array of numbers: {error}."
        raise InputError(message) from error


def _two_columns(table: npt.NDArray[np.float64], given: Given) -> npt.NDArray[np.float64]:
    """One number a row becomes a column for each of two classes."""
    if table.ndim != 1:
        return table
    if given == "logits":
        return np.column_stack([np.zeros(len(table)), table])
    if given == "probabilities":
        return np.column_stack([1 - table, table])
    with np.errstate(all="ignore"):
        return np.column_stack([np.log(-np.expm1(table)), table])


def _called(given: Given) -> str:
    return given.replace("_", "-")


def _check_finite(table: npt.NDArray[np.float64], given: Given) -> None:
    """No NaN, no +∞, no probability outside [0, 1], no row in which every class is excluded."""
    if not len(table):
        message = f"There are no rows of {_called(given)}; give at least one."
        raise InputError(message)
    bad = np.isnan(table) | (table == np.inf)
    fault = "must be numbers; only -inf may stand for an excluded class"
    if given == "probabilities":
        slack = _SUM_TOLERANCE
        bad |= ~((table >= 0) & (table <= 1 + slack))
        fault = "must lie between 0 and 1. If these are logits, say given='logits'"
    if bad.any():
        row, column = np.argwhere(bad)[0]
        message = (
            f"Row {row} column {column} of the {_called(given)} is {table[row, column]}; they "
            f"{fault}."
        )
        raise InputError(message)
    empty = np.flatnonzero((table == -np.inf).all(axis=1))
    if given == "logits" and empty.size:
        message = f"Row {empty[0]} of the logits is -inf in every class, so no class is possible."
        raise InputError(message)


def _check_sums(log_p: npt.NDArray[np.float64], given: Given) -> None:
    """Rows are distributions, within what float32 may have rounded."""
    with np.errstate(over="ignore"):
        sums = np.exp(log_p).sum(axis=1)
    wrong = np.flatnonzero(~(np.abs(sums - 1) <= _SUM_TOLERANCE))
    if wrong.size:
        message = (
            f"Row {wrong[0]} of the {_called(given)} gives probabilities that sum to "
            f"{sums[wrong[0]]:.6g}, not 1. If these are logits, say given='logits'."
        )
        raise InputError(message)


def _raised(log_p: npt.NDArray[np.float64], floor: float) -> npt.NDArray[np.float64]:
    """Probabilities of at least `floor`, renormalised."""
    if not 0 < floor < 1 / log_p.shape[1]:
        message = f"`floor` is {floor}; it must be above 0 and below 1/q = {1 / log_p.shape[1]:g}."
        raise InputError(message)
    return np.asarray(log_softmax(np.maximum(log_p, np.log(floor))))
