"""A table of comparisons as ``crossent rank`` reads it: columns of words."""

import csv
import difflib
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from crossent.datasets import read_frame, to_names
from crossent.datasets._streams import uncompressed_stream
from crossent.datasets.frames import is_text_table
from crossent.errors import DatasetError, InputError

__all__ = ["Columns", "read_words"]

_MISSING = frozenset(("", "na", "nan", "null", "none"))
_TRUE = frozenset(("true", "t", "yes", "y", "1"))
_FALSE = frozenset(("false", "f", "no", "n", "0"))
_DELIMITERS = ",\t;|"


@dataclass(frozen=True)
class Columns:
    """Named columns of a table, as words.

    Attributes
    ----------
    words : dict of str to list of str
    lines : ndarray of int
        Line of the file that each row ends on; its number where the file has no lines.
    unit : {"line", "row"}
        What `lines` counts.
    """

    words: dict[str, list[str]]
    lines: npt.NDArray[np.intp]
    unit: str = "line"

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """A column as numbers; NaN where the cell is empty. Raises InputError for other words."""
        values = np.empty(len(self.lines))
        for row, word in enumerate(self.words[name]):
            try:
                values[row] = np.nan if word.strip().lower() in _MISSING else float(word)
            except ValueError:
                raise InputError(self._wrong(name, row, "a number")) from None
        return values

    def filled(self, name: str) -> list[str]:
        """A column of names, of which none may be empty."""
        words = [word.strip() for word in self.words[name]]
        if "" in words:
            place = f"{self.unit} {self.lines[words.index('')]}"
            message = f"Column {name!r} is empty in {place}. Fill the cell, or drop the row."
            raise InputError(message)
        return words

    def flags(self, name: str) -> npt.NDArray[np.bool_]:
        """A column of yes and no."""
        values = np.empty(len(self.lines), dtype=bool)
        for row, word in enumerate(self.words[name]):
            low = word.strip().lower()
            if low not in _TRUE and low not in _FALSE:
                raise InputError(self._wrong(name, row, "true or false"))
            values[row] = low in _TRUE
        return values

    def rows(self, kept: npt.NDArray[np.bool_]) -> "Columns":
        """Some of the rows."""
        chosen = np.flatnonzero(kept).tolist()
        words = {name: [column[k] for k in chosen] for name, column in self.words.items()}
        return Columns(words, self.lines[kept], self.unit)

    def _wrong(self, name: str, row: int, expected: str) -> str:
        word = self.words[name][row]
        place = f"{self.unit} {self.lines[row]}"
        return f"Column {name!r} is {word!r} in {place}; it must be {expected}. Mend the cell."


def read_words(path: Path, names: Sequence[str]) -> Columns:
    """The named columns of a table with a header.

    Text (comma, semicolon, tab or bar; compressed or not) needs nothing but Python; Parquet and
    Arrow are read by `crossent.datasets`.

    Raises
    ------
    InputError
        No such column (with the closest name there is), or a line with too few or too many cells.
    DatasetError
        The file is absent, empty, damaged or not UTF-8.
    """
    found = _text_words(path, names) if is_text_table(path) else _frame_words(path, names)
    if not len(found.lines):
        message = f"{path} has a header and no rows; at least one comparison is needed."
        raise InputError(message)
    return found


def _text_words(path: Path, names: Sequence[str]) -> Columns:
    """Columns of a text table."""
    cells: list[list[str]] = [[] for _ in names]
    lines = []
    with uncompressed_stream(path) as stream:
        rows = _text_rows(stream, path)
        header = [name.strip() for name in next(rows, (0, []))[1]]
        places = [_place(name, header, path) for name in names]
        for line, row in rows:
            if len(row) != len(header):
                message = (
                    f"{path}: line {line} has {len(row)} cells and the header has "
                    f"{len(header)}. Mend the line, or quote cells that contain commas."
                )
                raise InputError(message)
            for column, place in zip(cells, places, strict=True):
                column.append(row[place])
            lines.append(line)
    return Columns(dict(zip(names, cells, strict=True)), np.array(lines, dtype=np.intp))


def _text_rows(stream: IO[bytes], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of each row, separated as the header is."""
    try:
        with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            first = text.readline()
            delimiter = max(_DELIMITERS, key=first.count)
            reader = csv.reader(itertools.chain([first], text), delimiter=delimiter)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 ({error}). Save the table as 'CSV UTF-8'."
        raise DatasetError(message) from error
    except csv.Error as error:
        message = f"{path}: line {reader.line_num} cannot be read: {error}. Check its quotes."
        raise DatasetError(message) from error


def _frame_words(path: Path, names: Sequence[str]) -> Columns:
    """Columns of a Parquet or Arrow table."""
    frame = read_frame(path)
    for name in names:
        _place(name, frame.columns, path)
    words = {name: to_names(frame[name]).fill_null("").to_list() for name in names}
    return Columns(words, np.arange(len(frame)), "row")


def _place(name: str, header: Sequence[str], path: Path) -> int:
    if header.count(name) > 1:
        message = f"{path} has two columns called {name!r}. Rename one."
        raise InputError(message)
    if name in header:
        return header.index(name)
    close = difflib.get_close_matches(name, header, n=1)
    offer = f" (there is {close[0]!r})" if close else f"; there are {', '.join(header[:12])}"
    message = f"{path} has no column {name!r}{offer}."
    raise InputError(message)
