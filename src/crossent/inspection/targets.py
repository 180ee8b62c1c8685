"""What the rows should have been: labels or distributions, checked against a model's classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError

__all__ = ["labels_and_targets", "row_weights"]

_NAMES_SHOWN = 10


def labels_and_targets(
    y: Any, classes: npt.NDArray[Any], /
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64] | None]:
    """Class number of each row, and its distribution if `y` holds distributions.

    Parameters
    ----------
    y : array-like or sparse, shape (n,) or (n, q)
        Class names, or a distribution over the classes per row. A frame's columns are put in the
        order of `classes` by their names.
    classes : ndarray, shape (q,)
        The model's classes.

    Returns
    -------
    labels : ndarray of intp, shape (n,)
        For distributions the class with the largest mass; the first of those that tie.
    targets : ndarray of float64, shape (n, q), or None
        None if `y` holds class names.

    Raises
    ------
    InputError
        A class that the model does not know; rows that are not distributions; wrong shape.
    """
    dense = y.toarray() if hasattr(y, "toarray") else y
    array = np.asarray(dense)
    if array.ndim == 1:
        return _class_numbers(array, classes), None
    if array.ndim != 2 or array.shape[1] != classes.size:
        message = (
            f"y has shape {array.shape}. Give one class name per row, shape (n,), or a "
            f"distribution over the model's classes per row, shape (n, {classes.size})."
        )
        raise InputError(message)
    targets = _distributions(_in_class_order(array, y, classes))
    return np.argmax(targets, axis=1), targets


def row_weights(sample_weight: Any, n_rows: int, /) -> npt.NDArray[np.float64]:
    """Row weights as given, shape (n,), or ones; InputError if they cannot be used."""
    if sample_weight is None:
        return np.ones(n_rows)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n_rows,):
        message = (
            f"`sample_weight` has shape {weights.shape}; give one weight for each of the "
            f"{n_rows} rows."
        )
        raise InputError(message)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if bad.size:
        message = (
            f"`sample_weight` row {bad[0]} is {weights[bad[0]]}; weights must be finite and not "
            "negative. Use 0 to leave a row out."
        )
        raise InputError(message)
    if not weights.sum() > 0:
        message = "`sample_weight` is 0 in every row, so there is nothing to evaluate."
        raise InputError(message)
    return weights


def _class_numbers(labels: npt.NDArray[Any], classes: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Position of each label in `classes`, shape (n,)."""
    number_of = {name: number for number, name in enumerate(classes.tolist())}
    values = labels.tolist()
    numbers = np.fromiter((number_of.get(value, -1) for value in values), np.intp, len(values))
    unknown = np.flatnonzero(numbers < 0)
    if unknown.size:
        first = values[unknown[0]]
        n_rows = sum(values[row] == first for row in unknown)
        message = (
            f"y row {unknown[0]} has class {first!r}, which the model was not fitted with; "
            f"it knows {_listing(list(number_of))}. Leave out the {n_rows} row(s) of class "
            f"{first!r}, or fit the model again with rows of that class."
        )
        raise InputError(message)
    return numbers


def _listing(names: Sequence[Any]) -> str:
    """Some names, and how many there are beside them."""
    shown = ", ".join(repr(name) for name in names[:_NAMES_SHOWN])
    rest = len(names) - _NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def _in_class_order(
    targets: npt.NDArray[Any], y: Any, classes: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Columns of a frame by class name; an array's, or an unnamed frame's, as they stand."""
    columns = getattr(y, "columns", None)
    if columns is None:
        return targets
    names = [str(column) for column in columns]
    wanted = [str(name) for name in classes.tolist()]
    place = {name: position for position, name in enumerate(names)}
    if set(names) == set(wanted):
        return targets[:, [place[name] for name in wanted]]
    if names == [str(number) for number in range(len(names))]:
        return targets
    missing = next(name for name in wanted if name not in place)
    message = (
        f"y has no column named {missing!r}; its columns are {_listing(names)}. "
        "Name the columns of target distributions after the model's classes."
    )
    raise InputError(message)


def _distributions(array: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Rows that sum to exactly one, or an InputError that names the first row that cannot."""
    tolerance = 1e-4 if array.dtype in (np.float16, np.float32) else 1e-6
    targets = array.astype(np.float64)
    wrong = np.argwhere(~(np.isfinite(targets) & (targets >= 0)))
    if wrong.size:
        row, column = wrong[0]
        message = (
            f"y row {row} column {column} is {targets[row, column]}; the entries of a distribution "
            "must be finite and not negative."
        )
        raise InputError(message)
    sums = targets.sum(axis=1)
    off = np.flatnonzero(np.abs(sums - 1) > tolerance)
    if off.size:
        message = (
            f"y row {off[0]} sums to {sums[off[0]]:.6g}; rows must sum to 1 within {tolerance:g}. "
            "Normalise them, or pass class names."
        )
        raise InputError(message)
    normalised: npt.NDArray[np.float64] = targets / sums[:, np.newaxis]
    return normalised
