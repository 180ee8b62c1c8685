"""Data sets from tables of mixed columns: which column is the class, and which rows have one."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from crossent.datasets.catalogue import UNTOUCHED
from crossent.datasets.columns import CellError, to_names, to_numbers, typed_frame
from crossent.datasets.dataset import Dataset
from crossent.datasets.frames import line_of_row, read_frame
from crossent.datasets.reading import Reading
from crossent.datasets.table import labels_of
from crossent.errors import DatasetError, InputError

if TYPE_CHECKING:
    import polars

__all__ = ["number_matrix", "read_table", "table_targets", "target_names"]

_SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".csv", ".tsv", ".tab", ".txt", ".parquet")


def read_table(path: Path, reading: Reading, /) -> Dataset:
    """Data set from a table; a frame of typed columns unless all of them are numbers.

    Raises
    ------
    DatasetError
        The file cannot be read; a column mixes numbers and text; a row has no class or no votes
        and was not to be left out. The message names the line.
    InputError
        A column that was named is not there.
    """
    frame = read_frame(path)
    targets = target_names(tuple(frame.columns), reading, path)
    _check_named(frame.columns, reading, targets, path)
    y, labelled = table_targets(frame, targets, reading, path)
    features = frame.drop(*targets, *reading.drop)
    if not features.width:
        message = f"{path} has no column beside the class; a table needs a feature and a class."
        raise DatasetError(message)
    try:
        features = typed_frame(features, kinds=reading.kinds)
    except CellError as error:
        raise error.in_file(path) from error
    if not labelled.all():
        features, y = features.filter(labelled), y[labelled]
    dropped = int((~labelled).sum())
    X = features if reading.kinds else _numbers_alone(features)
    what = "the classes are the columns " if reading.target_columns else "the class is the column "
    return Dataset(
        name=_stem(path),
        X_train=X,
        y_train=y,
        X_test=None,
        y_test=None,
        feature_names=tuple(features.columns),
        class_names=targets if reading.target_columns else None,
        image_shape=None,
        preprocessing=UNTOUCHED,
        description=f"Table of {len(features)} rows; {what}{', '.join(map(repr, targets))}.",
        licence="not stated",
        source=str(path),
        target=targets,
        remarks=(f"{dropped} rows without a class were left out.",) if dropped else (),
        rows_train=np.flatnonzero(labelled) if dropped else None,
    )


def target_names(columns: tuple[str, ...], reading: Reading, path: Path) -> tuple[str, ...]:
    """Names of the column, or the columns, that hold the class."""
    wanted = reading.target_columns or (reading.target or columns[-1],)
    for name in wanted:
        _find(name, columns, path)
    if len(set(wanted)) < len(wanted) or (reading.target_columns and len(wanted) < 2):
        message = "--target-columns must name at least two columns, each once."
        raise InputError(message)
    return wanted


def _check_named(
    columns: Sequence[str], reading: Reading, targets: tuple[str, ...], path: Path
) -> None:
    """Whatever is named exists, and the class is not left out."""
    for name in (*reading.kinds, *reading.drop):
        _find(name, tuple(columns), path)
        if name in targets:
            message = f"{name!r} is the class; it cannot be left out or encoded."
            raise InputError(message)


def _find(name: str, columns: tuple[str, ...], path: Path) -> None:
    if name in columns:
        return
    close = difflib.get_close_matches(name, columns, n=1)
    offer = f"; did you mean {close[0]!r}?" if close else "."
    shown = columns if len(columns) <= 40 else (*columns[:20], "…", *columns[-19:])
    message = f"{path} has no column {name!r}{offer} Its columns are {', '.join(shown)}."
    raise InputError(message)


def table_targets(
    frame: "polars.DataFrame", targets: tuple[str, ...], reading: Reading, path: Path
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Labels (n,) or distributions (n, q), and which rows have one.

    Rows without are refused unless `reading` says to leave them out; what stands in y for them
    is then of no meaning.
    """
    if reading.target_columns:
        y, labelled, fault = _distributions(frame, targets, path)
    else:
        y, labelled, fault = _labels(frame.get_column(targets[0]), path)
    if not labelled.all() and not reading.drop_unlabelled:
        row = int(np.flatnonzero(~labelled)[0])
        line = line_of_row(path, row)
        place = f"row {row}" if line is None else f"line {line}"
        message = (
            f"{path}: {place}, {fault}; {int((~labelled).sum())} of {len(labelled)} rows are like "
            "that. Every row needs a class: fill it, or leave those rows out: --drop-unlabelled."
        )
        raise DatasetError(message)
    if not labelled.any():
        message = f"{path}: no row has a class."
        raise DatasetError(message)
    return y, labelled


def _labels(
    series: "polars.Series", path: Path
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], str]:
    """Labels: int64 if all are integers, booleans if the column is of booleans, else text."""
    names = to_names(series)
    missing = names.is_null() | names.str.to_lowercase().is_in(["nan"]).fill_null(value=False)
    labelled = ~missing.to_numpy()
    first = names.to_list()[int(np.argmin(labelled))]
    found = "is empty" if first is None else f"is {first!r}"
    fault = f"column {series.name!r} (the class) {found}"
    if str(series.dtype) == "Boolean":
        return series.fill_null(value=False).to_numpy(), labelled, fault
    cells = names.filter(~missing).to_list()
    if not cells:
        return np.array([""] * len(names)), labelled, fault
    known = labels_of(cells, range(len(cells)), series.name, path)
    y = np.zeros(len(names), dtype=known.dtype)
    y[labelled] = known
    return y, labelled, fault


def _distributions(
    frame: "polars.DataFrame", targets: tuple[str, ...], path: Path
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], str]:
    """Counts or probabilities divided by their sum."""
    try:
        columns = [to_numbers(frame.get_column(name)) for name in targets]
    except CellError as error:
        raise error.in_file(path) from error
    votes = np.column_stack([column.to_numpy() for column in columns])
    if (votes < 0).any():
        row, column = np.argwhere(votes < 0)[0]
        fault = f"is {votes[row, column]:g}"
        remedy = "Votes and probabilities must not be negative."
        raise CellError(int(row), targets[column], fault, remedy).in_file(path)
    known = ~np.isnan(votes).any(axis=1)
    sums = np.where(known, votes.sum(axis=1), 0)
    labelled = sums > 0
    first = int(np.argmin(labelled))
    fault = "the votes are all 0" if known[first] else "a vote is missing"
    return votes / np.where(labelled, sums, 1)[:, None], labelled, fault


def _numbers_alone(features: "polars.DataFrame") -> Any:
    """An array if every column is of numbers and none is missing; else the frame."""
    numeric = all(dtype.is_numeric() for dtype in features.dtypes)
    if not numeric or any(features.null_count().row(0)):
        return features
    X = features.to_numpy()
    X = X.astype(np.float32 if X.dtype == np.float32 else np.float64, order="C", copy=False)
    return X if np.isfinite(X).all() else features


def number_matrix(frame: "polars.DataFrame", names: Sequence[str], /) -> npt.NDArray[np.float64]:
    """Columns as an array of float64, shape (n, d), in the order of `names`.

    Raises
    ------
    CellError
        A cell is missing, no number or infinite.
    """
    columns = [to_numbers(frame.get_column(name)) for name in names]
    for column in columns:
        if column.null_count():
            row = int(column.is_null().arg_true()[0])
            remedy = "The model was fitted to numbers without gaps: fill the cell, or leave it out."
            raise CellError(row, column.name, "is empty or missing", remedy)
    return np.column_stack([column.to_numpy() for column in columns])


def _stem(path: Path) -> str:
    """The file's name without what says how it is written."""
    name = path.name
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name
