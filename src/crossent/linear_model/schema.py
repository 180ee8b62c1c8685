"""What the training data looked like, kept with the model and compared with what it is given."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.errors import InputError
from crossent.kernels import threads

__all__ = ["RangeWarning", "Schema", "column_range", "locate_not_finite"]

_MARGIN = 0.5
_EFFECT = 1.0
_LARGE_BYTES = 4_000_000
_LONG_ROW = 3000  # numbers
_CACHE_BYTES = 500_000


class RangeWarning(UserWarning):
    """Rows lie far outside the range of the training data."""


@dataclass(frozen=True)
class Schema:
    """Names, types and ranges of the training data's columns.

    Attributes
    ----------
    names : tuple of str or None
        Column names, if the data had any.
    dtypes : tuple of str
        One per column of a frame; a single one for an array.
    minimum, maximum : ndarray, shape (d,)
        Smallest and largest value of each column.
    target : tuple of str
        Column of the table that held the class, or columns that held the votes for each; empty
        if the classes did not come from a table.
    image_shape : tuple of int or None
        Height and width, and 3 for colours, if every row was an image.
    """

    names: tuple[str, ...] | None
    dtypes: tuple[str, ...]
    minimum: npt.NDArray[np.float64]
    maximum: npt.NDArray[np.float64]
    target: tuple[str, ...] = ()
    image_shape: tuple[int, ...] | None = None

    def rows_out_of_range(self, X: Any, *, margin: float = 0.0) -> npt.NDArray[np.bool_]:
        """Which rows have a value outside [minimum - margin·width, maximum + margin·width].

        Columns that were constant in training are passed over: they carry no coefficient.

        Parameters
        ----------
        X : ndarray or sparse array, shape (n, d)
        margin : float
            In widths (maximum - minimum) of the column.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        low, high = self._limits(margin)
        lowest, highest = column_range(X)
        suspects = np.flatnonzero((lowest < low) | (highest > high))
        if not len(suspects):
            return np.zeros(X.shape[0], dtype=bool)
        columns = X[:, suspects]
        values = columns.toarray() if sp.issparse(columns) else columns
        outside = (values < low[suspects]) | (values > high[suspects])
        return np.asarray(outside.any(axis=1))

    def _limits(self, margin: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        width = self.maximum - self.minimum
        slack = np.where(width > 0, margin * width, np.inf)
        return self.minimum - slack, self.maximum + slack

    def _beyond(self, X: Any, columns: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """How far the values of some columns lie outside their ranges, shape (n, len(columns))."""
        part = X[:, columns]
        values = np.asarray(part.toarray() if sp.issparse(part) else part, dtype=np.float64)
        return values - np.clip(values, self.minimum[columns], self.maximum[columns])

    def warn_if_out_of_range(self, X: Any, W: npt.NDArray[np.float64]) -> None:
        """Warn with the share of rows that lie far outside the range, to an effect.

        That is: half a range's width or more outside in some column, and what lies beyond the
        ranges moves the difference of two logits by more than one nat under W (q, d). A grey pixel
        where there was never one is common and harmless; pixels in other units are not.
        """
        low, high = self._limits(_MARGIN)
        lowest, highest = column_range(X)
        suspects = np.flatnonzero((lowest < low) | (highest > high))
        if not len(suspects):
            return
        outside = self.rows_out_of_range(X, margin=_MARGIN)
        rows = np.flatnonzero(outside)
        outside[rows] = np.ptp(self._beyond(X[rows], suspects) @ W[:, suspects].T, axis=1) > _EFFECT
        if not outside.any():
            return
        column = int(suspects[0])
        name = f"column {column}" if self.names is None else f"column {self.names[column]!r}"
        message = (
            f"{outside.mean():.1%} of the rows ({outside.sum()} of {len(outside)}) lie far outside "
            f"the range of the training data: {name} was between {self.minimum[column]:.6g} and "
            f"{self.maximum[column]:.6g} and is now between {lowest[column]:.6g} and "
            f"{highest[column]:.6g}. Check units and encoding: the model extrapolates there."
        )
        warnings.warn(message, RangeWarning, stacklevel=4)  # who called the estimator


def column_range(X: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Smallest and largest value of each column, two arrays of shape (d,); NaN where NaN is."""
    if X.shape[0] == 0:
        return np.full(X.shape[1], np.inf), np.full(X.shape[1], -np.inf)
    if sp.issparse(X):
        lowest, highest = X.min(axis=0).toarray().ravel(), X.max(axis=0).toarray().ravel()
    elif X.flags.c_contiguous and X.nbytes > _LARGE_BYTES:
        lowest, highest = _range_of_rows(X)
    else:
        lowest, highest = X.min(axis=0), X.max(axis=0)
    return lowest.astype(np.float64), highest.astype(np.float64)


def _range_of_rows(X: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """`column_range` of C-ordered rows, read once.

    Some rows at a time are laid end to end: NumPy compares two long rows in vector instructions,
    and makes a call for each short one (1,000,000 × 50: 190 ms otherwise).
    """
    n, d = X.shape
    together = max(_LONG_ROW // max(d, 1), 1)
    step = max(_CACHE_BYTES // (X.itemsize * together * max(d, 1)), 1) * together
    starts = range(0, n, step)
    found: list[Any] = [None] * len(starts)

    def task(k: int) -> None:
        block = X[starts[k] : starts[k] + step]
        whole = len(block) // together * together
        rows = block[:whole].reshape(-1, together * d)
        parts = [block[whole:]]
        if whole:
            parts += [rows.min(axis=0).reshape(-1, d), rows.max(axis=0).reshape(-1, d)]
        both = np.concatenate(parts)
        found[k] = both.min(axis=0), both.max(axis=0)

    threads.run(task, len(starts), threads.resolve(None))
    lowest, highest = zip(*found, strict=True)
    return np.min(lowest, axis=0), np.max(highest, axis=0)


def locate_not_finite(
    X: Any,
    lowest: npt.NDArray[np.float64],
    highest: npt.NDArray[np.float64],
    names: Any = None,
) -> None:
    """Raise if a column's range is not finite, naming the first such value's row and column."""
    bad = np.flatnonzero(~(np.isfinite(lowest) & np.isfinite(highest)))
    if X.shape[0] == 0 or not len(bad):
        return
    columns = X[:, bad]
    values = columns.toarray() if sp.issparse(columns) else np.asarray(columns)
    row, position = np.argwhere(~np.isfinite(values))[0]
    value = values[row, position]
    kind = "NaN" if np.isnan(value) else "inf"
    name = "" if names is None else f" ({names[bad[position]]!r})"
    message = (
        f"Input X contains {kind}: {value} in row {row}, column {bad[position]}{name}. Remove or "
        "impute such values, for instance with sklearn.impute.SimpleImputer in a pipeline."
    )
    raise InputError(message)
