"""A table of comparisons as ``crossent rank`` reads it: columns of words."""

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError

__all__ = ["Columns", "read_words"]

_MISSING = frozenset(("", "na", "nan", "null", "none"))
_TRUE = frozenset(("true", "t", "yes", "y", "1"))
_FALSE = frozenset(("false", "f", "no", "n", "0"))


@dataclass(frozen=True)
class Columns:
    """Named columns of a table, as words.

    Attributes
    ----------
    words : dict of str to list of str
    lines : ndarray of int
        Line of the file that each row begins on.
    """

    words: dict[str, list[str]]
    lines: npt.NDArray[np.intp]

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """A column as numbers; NaN where the cell is empty. Raises InputError for other words."""
        values = np.empty(len(self.lines))
        for row, word in enumerate(self.words[name]):
            try:
                values[row] = np.nan if word.strip().lower() in _MISSING else float(word)
            except ValueError:
                raise InputError(self._wrong(name, row, "a number")) from None
        return values

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
        return Columns(words, self.lines[kept])

    def _wrong(self, name: str, row: int, expected: str) -> str:
        word = self.words[name][row]
        return f"Column {name!r} is {word!r} in line {self.lines[row]}; it must be {expected}."


def read_words(path: Path, names: Sequence[str]) -> Columns:
    """The named columns of a CSV file with a header.

    Raises
    ------
    InputError
        No such column (with the closest name there is), or a line with too few cells.
    OSError
        The file cannot be read.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        places = [_place(name, header, path) for name in names]
        cells: list[list[str]] = [[] for _ in names]
        lines = []
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                message = (
                    f"{path}: line {reader.line_num} has {len(row)} cells and the header has "
                    f"{len(header)}. Mend the line, or quote cells that contain commas."
                )
                raise InputError(message)
            for column, place in zip(cells, places, strict=True):
                column.append(row[place])
            lines.append(reader.line_num)
    if not lines:
        message = f"{path} has a header and no rows; at least one comparison is needed."
        raise InputError(message)
    return Columns(dict(zip(names, cells, strict=True)), np.array(lines))


def _place(name: str, header: Sequence[str], path: Path) -> int:
    if name in header:
        return header.index(name)
    close = difflib.get_close_matches(name, header, n=1)
    offer = f" (there is {close[0]!r})" if close else f"; there are {', '.join(header[:12])}"
    message = f"{path} has no column {name!r}{offer}."
    raise InputError(message)
