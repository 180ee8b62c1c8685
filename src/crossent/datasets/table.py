"""Numeric CSV tables: a header, numbers, and one column that holds the class."""

import csv
import io
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never

import numpy as np
import numpy.typing as npt

from crossent.datasets._faults import check_header, is_number, malformed, not_utf8, ragged
from crossent.datasets._files import uncompressed
from crossent.datasets.catalogue import UNTOUCHED, nearest
from crossent.datasets.dataset import Dataset
from crossent.errors import DatasetError, InputError
from crossent.typing import FloatArray

__all__ = ["csv_columns", "labels_of", "read_csv", "read_csv_features"]

_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True)
class _Cells:
    """The table's cells: numbers row by row, the target's text, and each row's line."""

    values: "array[float]" = field(default_factory=lambda: array("d"))
    targets: list[str] = field(default_factory=list)
    lines: "array[int]" = field(default_factory=lambda: array("q"))


def read_csv(path: str | os.PathLike[str], /, *, target: str | None = None) -> Dataset:
    r"""Data set from a table of numbers with commas, a header, and a column of classes.

    UTF-8 with or without a byte-order mark; compressed with gzip or not; blank lines are skipped;
    cells may be quoted. Numbers are written with a decimal point.

    Parameters
    ----------
    path : path-like
    target : str, optional
        Name of the column that holds the class; by default the last one.

    Returns
    -------
    Dataset
        X is float64. Labels are int64 if every one is written as an integer, otherwise the
        text of the cells, without surrounding spaces. There is no test set.

    Raises
    ------
    DatasetError
        If the file is absent, empty, damaged or not UTF-8; a name in the header is missing or
        appears twice; a row has too few or too many cells; or a cell is empty, not a number, NaN
        or infinite. The message names line and column.
    InputError
        If there is no column `target`; the message names the nearest one.

    Notes
    -----
    About 5 million cells per second; the memory peak is the text, 8 bytes per number, and as
    much again for a moment.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crossent import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "fruit.csv")
    ...     _ = path.write_text("weight,width,kind\n192,8.4,apple\n86,6.2,mandarin\n")
    ...     fruit = datasets.read_csv(path)
    >>> fruit.X_train
    array([[192. ,   8.4],
           [ 86. ,   6.2]])
    >>> fruit.y_train
    array(['apple', 'mandarin'], dtype='<U8')
    """
    path = Path(path)
    header, position, cells = _parsed(path, target=target)
    features = header[:position] + header[position + 1 :]
    X = _finite(cells, features, path)
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    return Dataset(
        name=name,
        X_train=X,
        y_train=_labels(cells, header[position], path),
        X_test=None,
        y_test=None,
        feature_names=tuple(features),
        class_names=None,
        image_shape=None,
        preprocessing=UNTOUCHED,
        description=f"Table of {len(X)} rows; the class is the column {header[position]!r}.",
        licence="not stated",
        source=str(path),
    )


def read_csv_features(path: str | os.PathLike[str], /) -> tuple[FloatArray, tuple[str, ...]]:
    r"""Numbers and names of the columns of a table without classes.

    As `read_csv`, with every column a feature; one column is enough.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    X : ndarray of float64, shape (n, d)
    names : tuple of str, length d

    Raises
    ------
    DatasetError
        As `read_csv`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crossent import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "fruit.csv")
    ...     _ = path.write_text("weight,width\n192,8.4\n86,6.2\n")
    ...     datasets.read_csv_features(path)
    (array([[192. ,   8.4],
           [ 86. ,   6.2]]), ('weight', 'width'))
    """
    path = Path(path)
    header, _, cells = _parsed(path, labelled=False)
    return _finite(cells, header, path), tuple(header)


def csv_columns(path: str | os.PathLike[str], /) -> tuple[str, ...]:
    r"""Names of the columns of a table, the class among them.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    tuple of str

    Raises
    ------
    DatasetError
        If the file is absent, empty, damaged or not UTF-8, or its header cannot be used.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crossent import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "fruit.csv")
    ...     _ = path.write_text("weight,width,kind\n192,8.4,apple\n")
    ...     datasets.csv_columns(path)
    ('weight', 'width', 'kind')
    """
    path = Path(path)
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        return tuple(_header(reader, path, fewest=1))
    except csv.Error as error:
        raise malformed(reader, path, error) from error


def _parsed(
    path: Path, *, target: str | None = None, labelled: bool = True
) -> tuple[list[str], int, _Cells]:
    """Header, number of the target column (the header's length if there is none), and cells."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = _header(reader, path, fewest=2 if labelled else 1)
        position = _position(header, target, path) if labelled else len(header)
        return header, position, _cells(reader, header, position, path)
    except csv.Error as error:
        raise malformed(reader, path, error) from error


def _text(path: Path) -> str:
    """The file's text; the place of the first byte that is not UTF-8 is named."""
    data = uncompressed(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise not_utf8(path, line, data[error.start], error.start, data[:2]) from error
    if not text.strip():
        message = f"{path}: the table is empty. It needs a header and rows."
        raise DatasetError(message)
    return text


def _header(reader: Any, path: Path, *, fewest: int) -> list[str]:
    """Column names from the first line that is not blank, checked."""
    header = next([name.strip() for name in row] for row in reader if row)
    return check_header(header, path, fewest=fewest)


def _position(header: list[str], target: str | None, path: Path) -> int:
    """Number of the target column."""
    if target is None:
        return len(header) - 1
    if target not in header:
        message = (
            f"{path} has no column {target!r}{nearest(target, tuple(header))} "
            f"Its columns are {_shortened(header)}."
        )
        raise InputError(message)
    return header.index(target)


def _shortened(words: list[str]) -> str:
    """The words, or the first and last of them if there are more than 40."""
    if len(words) > 40:
        words = [*words[:20], "…", *words[-19:]]
    return ", ".join(words)


def _cells(reader: Any, header: list[str], position: int, path: Path) -> _Cells:
    """All rows, converted as they are read; `position` beyond the header: there are no targets."""
    cells = _Cells()
    width = len(header)
    features = header[:position] + header[position + 1 :]
    for row in reader:
        if not row:
            continue
        if len(row) != width:
            raise ragged(path, reader.line_num, len(row), width)
        cells.lines.append(reader.line_num)
        if position < width:
            cells.targets.append(row.pop(position).strip())
        try:
            cells.values.extend(map(float, row))
        except ValueError:
            _refuse_cell(row, features, cells.lines[-1], path)
        # float() takes "1_000", which no table means as a number.
        if "_" in "".join(row):
            _refuse_cell(row, features, cells.lines[-1], path)
    if not cells.lines:
        message = f"{path}: the table has a header and no rows."
        raise DatasetError(message)
    return cells


def _refuse_cell(row: list[str], features: list[str], line: int, path: Path) -> Never:
    """Raise for the first cell of a row that is not a number."""
    column = next(j for j, cell in enumerate(row) if not is_number(cell))
    found = f"is {row[column]!r}, not a number" if row[column].strip() else "is empty"
    message = (
        f"{path}: line {line}, column {features[column]!r} {found}. Features must be numbers with "
        "a decimal point: fill, encode or drop it; if it is the class, name it as the target. "
        "(With `pip install 'crossent[tables]'` gaps and words are encoded.)"
    )
    raise DatasetError(message)


def _finite(cells: _Cells, features: list[str], path: Path) -> npt.NDArray[np.float64]:
    """X of shape (n, d); NaN, infinities and numbers beyond float64 are refused by their place."""
    X = np.array(cells.values).reshape(-1, len(features))
    if np.isfinite(X).all():
        return X
    rows, columns = np.nonzero(~np.isfinite(X))
    message = (
        f"{path}: line {cells.lines[rows[0]]}, column {features[columns[0]]!r} is "
        f"{X[rows[0], columns[0]]} as a float64 (the first of {len(rows)} such cells). Fill or "
        "drop missing and infinite values."
    )
    raise DatasetError(message)


def _labels(cells: _Cells, target: str, path: Path) -> npt.NDArray[Any]:
    """Labels, shape (n,): int64 if every cell is an integer as Python writes it, else text.

    So "007" and "1.0" stay what they are, and no two different texts become one class.
    """
    return labels_of(cells.targets, cells.lines, target, path)


def labels_of(
    targets: Sequence[str], lines: Sequence[int], target: str, path: Path, /
) -> npt.NDArray[Any]:
    """Labels from the cells of the column `target`, which stand on `lines`; see `_labels`."""
    missing = next((i for i, cell in enumerate(targets) if cell.lower() in ("", "nan")), None)
    if missing is not None:
        found = f"is {targets[missing]!r}" if targets[missing] else "is empty"
        message = (
            f"{path}: line {lines[missing]}, column {target!r} (the class) {found}. Every "
            "row needs a class: fill it, or drop the row."
        )
        raise DatasetError(message)
    try:
        numbers = {cell: int(cell) for cell in set(targets)}
    except ValueError:
        return np.array(targets)
    if all(str(k) == cell and _INT64.min <= k <= _INT64.max for cell, k in numbers.items()):
        return np.array([numbers[cell] for cell in targets], dtype=np.int64)
    return np.array(targets)
