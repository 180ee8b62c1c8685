"""Names to numbers: items, outcomes, judges."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.choice.arrow_names import arrow_codes
from crossent.errors import InputError

__all__ = [
    "as_columns",
    "factorise",
    "factorise_together",
    "listed",
    "read_clusters",
    "united",
]

_SPREAD = 4  # integers in a range up to so many times their number are counted, not sorted


def listed(names: Sequence[Any], /, at_most: int = 8) -> str:
    """Names for a message: the first few, and how many more.

    Examples
    --------
    >>> listed(["a", "b", "c"], 2)
    "'a', 'b' and 1 more"
    """
    shown = ", ".join(repr(name) for name in names[:at_most])
    rest = len(names) - at_most
    return shown if rest <= 0 else f"{shown} and {rest} more"


def as_columns(X: Any, name: str, /, width: int | None = None) -> list[Any]:
    """The columns of a frame, a list of rows or a matrix; `width` is how many there must be."""
    if hasattr(X, "columns"):
        columns = [X[label] for label in X.columns]
    elif isinstance(X, list) and {*map(type, X)} <= {list, tuple} and len({*map(len, X)}) == 1:
        columns = [_objects(list(column)) for column in zip(*X, strict=True)]
    else:
        _refuse_ragged(X, name)
        table = np.asarray(X, dtype=None if hasattr(X, "dtype") else object)
        if table.ndim != 2:
            message = f"{name} has shape {table.shape}; expected two dimensions, a row per case."
            raise InputError(message)
        columns = list(table.T)
    if width is not None and len(columns) != width:
        message = f"{name} has {len(columns)} columns; expected {width}."
        raise InputError(message)
    return columns


def _refuse_ragged(X: Any, name: str) -> None:
    """Name the first row of a list that is shorter or longer than row 0."""
    if not isinstance(X, list) or not all(isinstance(row, list | tuple) for row in X):
        return
    for row, cells in enumerate(X):
        if len(cells) != len(X[0]):
            message = (
                f"{name} has {len(cells)} values in row {row} and {len(X[0])} in row 0. Give every "
                "row as many."
            )
            raise InputError(message)


def factorise(column: Any, name: str, /) -> tuple[npt.NDArray[np.intp], list[Any]]:
    """Numbers 0…u-1 of the values of a column, and the u values in order of first appearance.

    Arrow's hash table is used for pandas' strings, pandas' own where the column has one
    (`factorize`), counting for integers, a dictionary for all else.

    Raises
    ------
    InputError
        A value is missing; the message names its row.
    """
    if (found := arrow_codes([column])) is not None:
        (codes,), values = found
        _refuse_missing(codes < 0, name)
        return codes, values
    if hasattr(column, "factorize"):
        codes, values = column.factorize()
        _refuse_missing(np.asarray(codes) < 0, name)
        return np.asarray(codes, dtype=np.intp), values.tolist()
    array = column if isinstance(column, np.ndarray) else None
    if array is not None and array.dtype.kind in "iu" and array.size:
        return _factorise_integers(array)
    values = _as_list(column)
    table = {value: number for number, value in enumerate(dict.fromkeys(values))}
    if any(value is None or value != value for value in table):  # NaN is not itself
        _refuse_missing(np.array([value is None or value != value for value in values]), name)
    codes = np.fromiter(map(table.__getitem__, values), dtype=np.intp, count=len(values))
    return codes, list(table)


def _as_list(column: Any) -> list[Any]:
    """The values as Python's own numbers and strings."""
    if isinstance(column, list) and {*map(type, column)} == {str}:
        return column
    values = column.to_list() if hasattr(column, "to_list") else np.asarray(column).tolist()
    return list(values)


def _refuse_missing(missing: npt.NDArray[np.bool_], name: str) -> None:
    if missing.any():
        row = int(missing.argmax())
        message = f"{name} is missing in row {row}. Drop the row, or fill in the name."
        raise InputError(message)


def _factorise_integers(array: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], list[Any]]:
    """Numbers in the order of the integers."""
    lowest, highest = int(array.min()), int(array.max())
    if highest - lowest > _SPREAD * array.size + 1000:
        values, codes = np.unique(array, return_inverse=True)
        return codes.astype(np.intp), values.tolist()
    shifted = array.astype(np.intp) - lowest
    present = np.bincount(shifted) > 0
    place = np.cumsum(present) - 1
    return place[shifted], (np.flatnonzero(present) + lowest).tolist()


def factorise_together(
    columns: Sequence[Any], names: Sequence[str], /
) -> tuple[list[npt.NDArray[np.intp]], npt.NDArray[Any]]:
    """Numbers of the values of several columns in one list, sorted where they can be compared.

    Examples
    --------
    >>> codes, items = factorise_together([["b", "a"], ["c", "c"]], ["left", "right"])
    >>> [c.tolist() for c in codes], items.tolist()
    ([[1, 0], [2, 2]], ['a', 'b', 'c'])
    """
    joined = arrow_codes(columns)
    if joined is not None:
        codes, strings = joined
        for code, name in zip(codes, names, strict=True):
            _refuse_missing(code < 0, name)
        items = united(strings)
        number = _places(strings, items)
        return [number[code] for code in codes], items
    found = [factorise(column, name) for column, name in zip(columns, names, strict=True)]
    items = united(*(values for _, values in found))
    return [_places(values, items)[code] for code, values in found], items


def _places(values: Sequence[Any], items: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Where each value stands among the items."""
    place = {item: number for number, item in enumerate(items.tolist())}
    return np.array([place[value] for value in values], dtype=np.intp)


def read_clusters(clusters: Any, n: int, /) -> npt.NDArray[np.intp]:
    """Number of the cluster of each of n rows, at least two different ones."""
    codes, names = factorise(clusters, "clusters")
    if len(codes) != n or len(names) < 2:
        message = (
            f"clusters has {len(codes)} rows and {len(names)} different values; expected {n} "
            "rows and at least two clusters."
        )
        raise InputError(message)
    return codes


def united(*lists: Sequence[Any]) -> npt.NDArray[Any]:
    """All values of the lists once, sorted where they can be compared, shape (u,)."""
    values: list[Any] = list(dict.fromkeys(value for one in lists for value in one))
    with contextlib.suppress(TypeError):  # values of different types stay in order of appearance
        values.sort()
    return _as_array(values)


def _as_array(values: list[Any]) -> npt.NDArray[Any]:
    """An array of one type if they have one, else of objects."""
    if len({type(value) for value in values}) == 1 and isinstance(values[0], str | int | float):
        return np.array(values)
    return _objects(values)


def _objects(values: list[Any]) -> npt.NDArray[Any]:
    result = np.empty(len(values), dtype=object)
    result[:] = values
    return result
