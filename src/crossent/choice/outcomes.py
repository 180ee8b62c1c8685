"""How a comparison ended: the words and numbers that data use for it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.choice.names import as_columns, factorise, listed
from crossent.errors import InputError

__all__ = ["LEFT", "NEITHER", "OUTCOMES", "RIGHT", "TIE", "OutcomeTable", "read_outcomes"]

OUTCOMES = ("left", "right", "tie", "neither")
LEFT, RIGHT, TIE, NEITHER = range(4)

_WORDS: dict[Any, int] = {
    **dict.fromkeys(("left", "a", "model_a", "model a", "x", "win", "1", "first", "home"), LEFT),
    **dict.fromkeys(
        ("right", "b", "model_b", "model b", "y", "loss", "0", "second", "away"), RIGHT
    ),
    **dict.fromkeys(("tie", "draw", "equal", "0.5", "both", "both_good"), TIE),
    **dict.fromkeys(("neither", "none", "both_bad", "bothbad", "tie (bothbad)"), NEITHER),
}
_NUMBERS = {1.0: LEFT, 0.0: RIGHT, 0.5: TIE}


class OutcomeTable:
    """Outcomes in long form: entry e says that row `row[e]` ended as `outcome[e]`.

    Attributes
    ----------
    outcome : ndarray of int, shape (entries,)
    share : ndarray, shape (entries,), or None
        How often, or with which probability; None: once.
    row : ndarray of int, shape (entries,), or None
        Row of the entry; None: entry e is row e.
    n_rows : int
    """

    def __init__(
        self,
        outcome: npt.NDArray[np.intp],
        n_rows: int,
        share: npt.NDArray[np.float64] | None = None,
        row: npt.NDArray[np.intp] | None = None,
    ) -> None:
        self.outcome = outcome
        self.n_rows = n_rows
        self.share = share
        self.row = row


def read_outcomes(y: Any, n: int, words: Mapping[Any, str] | None) -> OutcomeTable:
    """Outcomes of n rows from words, numbers or counts.

    Parameters
    ----------
    y : None, (n,) or (n, 2…4)
        None: left won everywhere. Words or 1, 0, 0.5. Or counts (or probabilities) of left, right,
        tie, neither, in this order or under these column names.
    n : int
    words : mapping, optional
        Meaning of values that are not understood anyway: value → one of `OUTCOMES`.
    """
    if y is None:
        return OutcomeTable(np.zeros(n, dtype=np.intp), n)
    if hasattr(y, "columns") or np.ndim(y) == 2:
        return _read_counts(y, n)
    codes, values = factorise(y, "y")
    if len(codes) != n:
        message = f"X has {n} rows and y has {len(codes)}; they must be as many."
        raise InputError(message)
    meaning = np.array([_meaning(value, words) for value in values], dtype=np.intp)
    if (meaning < 0).any():
        wrong = int(np.isin(codes, np.flatnonzero(meaning < 0)).argmax())
        message = (
            f"y is {values[codes[wrong]]!r} in row {wrong}; it must be one of {listed(OUTCOMES)}, "
            "or 1, 0, 0.5. Say what other values mean with outcomes={value: 'left', ...}."
        )
        raise InputError(message)
    return OutcomeTable(meaning[codes], n)


def _meaning(value: Any, words: Mapping[Any, str] | None) -> int:
    """Number of the outcome; -1 if unknown."""
    if words is not None and value in words:
        if words[value] not in OUTCOMES:
            message = f"outcomes[{value!r}] is {words[value]!r}; it must be one of {OUTCOMES}."
            raise InputError(message)
        return OUTCOMES.index(words[value])
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower(), -1)
    try:
        return _NUMBERS.get(float(value), -1)
    except (TypeError, ValueError):
        return -1


def _read_counts(y: Any, n: int) -> OutcomeTable:
    """A column per outcome."""
    columns = as_columns(y, "y")
    names = [str(name).strip().lower() for name in getattr(y, "columns", OUTCOMES)]
    if hasattr(y, "columns") and not set(names) <= set(OUTCOMES):
        names = list(OUTCOMES)
    if not 2 <= len(columns) <= 4:
        message = f"y has {len(columns)} columns; expected counts of {listed(OUTCOMES)}."
        raise InputError(message)
    counts = np.zeros((n, 4))
    for name, column in zip(names, columns, strict=False):
        values = np.asarray(column, dtype=np.float64)
        if values.shape != (n,):
            message = f"X has {n} rows and y has {len(values)}; they must be as many."
            raise InputError(message)
        counts[:, OUTCOMES.index(name)] = values
    bad = np.argwhere(~(np.isfinite(counts) & (counts >= 0)))
    if len(bad):
        row, column = bad[0]
        message = (
            f"y counts {counts[row, column]} times {OUTCOMES[column]!r} in row {row}; counts must "
            "be finite and not negative. Drop the row, or mend it."
        )
        raise InputError(message)
    row, outcome = np.nonzero(counts)
    return OutcomeTable(outcome, n, counts[row, outcome], row)
