"""Rows of a table as a fitted model wants them, whole or piece by piece."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.datasets import (
    CellError,
    Reading,
    number_matrix,
    read_frame,
    table_targets,
    target_names,
    typed_frame,
)
from crossent.errors import InputError

__all__ = ["Wanted", "cells_named", "labelled_rows", "rows_wanted", "wanted_by"]


@dataclass(frozen=True)
class Wanted:
    """Which columns a model was fitted to, and as what it takes them.

    Attributes
    ----------
    names : tuple of str
    form : {"numbers", "cells", "typed"}
        An array of numbers; a frame whose cells the model reads itself; or a frame of typed
        columns.
    by : str
        Who wants them, for messages.
    """

    names: tuple[str, ...]
    form: str
    by: str = "the model"


def wanted_by(model: Any, names: tuple[str, ...] | None) -> Wanted | None:
    """What a fitted model wants of a table; `names` are those of its schema.

    None if it knows no names: then only the number of columns can be compared.
    """
    encoder = model.steps[0][1] if hasattr(model, "steps") else model
    if hasattr(encoder, "columns_"):
        used = tuple(column.name for column in encoder.columns_ if column.kind != "drop")
        return Wanted(used, "cells")
    if hasattr(model, "feature_names_in_"):
        return Wanted(tuple(map(str, model.feature_names_in_)), "typed")
    return None if names is None else Wanted(names, "numbers")


@dataclass(frozen=True)
class Labelled:
    """Rows of a table with their classes.

    Attributes
    ----------
    X : ndarray or frame, shape (n, d)
    y : ndarray, shape (n,) or (n, q)
    rows : ndarray of int, shape (n,)
        Their numbers in the table.
    dropped : int
        Rows that were left out for want of a class.
    """

    X: Any
    y: npt.NDArray[Any]
    rows: npt.NDArray[np.intp]
    dropped: int


def labelled_rows(path: Any, reading: Reading, wanted: Wanted, /) -> Labelled:
    """The rows of a table that have a class."""
    frame = read_frame(path)
    y, labelled = table_targets(
        frame, target_names(tuple(frame.columns), reading, path), reading, path
    )
    X = rows_wanted(frame, wanted, source=str(path))
    dropped = int((~labelled).sum())
    kept = np.flatnonzero(labelled)
    return Labelled(X[kept], y[kept], kept, dropped) if dropped else Labelled(X, y, kept, 0)


def rows_wanted(frame: Any, wanted: Wanted, *, source: str, skipped: int = 0) -> Any:
    """The wanted columns of a frame, in their order; `skipped` rows of the file came before.

    Raises
    ------
    InputError
        A column is missing; the nearest one is named.
    DatasetError
        A cell does not fit; its line is named.
    """
    missing = [name for name in wanted.names if name not in frame.columns]
    if missing:
        close = difflib.get_close_matches(missing[0], frame.columns, n=1)
        offer = f" (there is {close[0]!r})" if close else ""
        message = (
            f"{source} has no column {missing[0]!r}{offer}; {len(missing)} of the "
            f"{len(wanted.names)} features of {wanted.by} are missing. Give data with the same "
            "columns."
        )
        raise InputError(message)
    with cells_named(source, skipped=skipped):
        if wanted.form == "numbers":
            return number_matrix(frame, wanted.names)
        chosen = frame.select(wanted.names)
        return typed_frame(chosen) if wanted.form == "typed" else chosen


@contextmanager
def cells_named(source: str, *, skipped: int = 0) -> Iterator[None]:
    """Errors about a cell get the file and the line."""
    try:
        yield
    except CellError as error:
        raise error.in_file(source, skipped=skipped) from error


def reading_of(model: Any, reading: Reading) -> Reading:
    """The reading, with the target that the model remembers where none is named."""
    if reading.target or reading.target_columns:
        return reading
    target = getattr(getattr(model, "schema_", None), "target", ())
    if len(target) > 1:
        return replace(reading, target_columns=tuple(target))
    return replace(reading, target=target[0]) if target else reading
