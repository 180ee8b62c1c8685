"""What is wrong with a text table, found by reading it line by line, and named by its line."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from crossent.errors import DatasetError

__all__ = ["check_header", "find_fault", "is_number", "malformed", "not_utf8", "ragged"]


def not_utf8(path: Path, line: int, byte: int, position: int, start: bytes) -> DatasetError:
    """Error for the first byte that is not UTF-8; `start` is what the file begins with."""
    guess = " (it begins as UTF-16 does)" if start in (b"\xff\xfe", b"\xfe\xff") else ""
    message = (
        f"{path}: line {line} is not UTF-8: byte 0x{byte:02x} at position {position}{guess}. "
        "Save the table as 'CSV UTF-8'."
    )
    return DatasetError(message)


def find_fault(stream: IO[bytes], path: Path, /, *, delimiter: str) -> None:
    """Read a text table line by line and raise for the first fault; nothing if there is none.

    Faults are bytes that are not UTF-8, quotes that make no sense, and rows with another number
    of cells than the header.
    """
    reader = csv.reader(_decoded_lines(stream, path), delimiter=delimiter, strict=True)
    width, begins = 0, 1  # the line on which the row that is being read begins
    try:
        for row in reader:
            width = width or len(row)
            if row and len(row) != width:
                raise ragged(path, reader.line_num, len(row), width)
            begins = reader.line_num + 1
    except csv.Error as error:
        if reader.line_num == begins or "end of data" not in str(error):
            raise malformed(reader, path, error) from error
        message = f"{path}: a quote that opens on line {begins} is never closed. Close it."
        raise DatasetError(message) from error


def _decoded_lines(stream: IO[bytes], path: Path) -> Iterator[str]:
    """The lines as text; a byte that is not UTF-8 is named by its line and position."""
    start, position = b"", 0
    for number, line in enumerate(stream, start=1):
        start = start or line[:2]
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            place = position + error.start
            raise not_utf8(path, number, line[error.start], place, start) from error
        position += len(line)


def ragged(path: Path, line: int, cells: int, width: int) -> DatasetError:
    """Error for a row with another number of cells than the header."""
    message = (
        f"{path}: line {line} has {cells} cells, the header has {width}. Check its commas and "
        "quotes."
    )
    return DatasetError(message)


def check_header(header: list[str], path: Path, /, *, fewest: int) -> list[str]:
    """The names of a table's columns, if there are enough, all different and no row of numbers."""
    if len(header) < fewest:
        message = (
            f"{path}: the header has one column, {header[0]!r}; a table needs a feature and a "
            "class, separated by commas (not by semicolons or tabs)."
        )
        raise DatasetError(message)
    for column, name in enumerate(header):
        if not name:
            message = (
                f"{path}: column {column + 1} has no name in the header. Name it, or leave it out "
                "(pandas: to_csv(..., index=False))."
            )
            raise DatasetError(message)
        if name in header[:column]:
            first = header.index(name) + 1
            message = (
                f"{path}: columns {first} and {column + 1} are both called {name!r}. Rename one."
            )
            raise DatasetError(message)
    # pandas names nameless columns 0, 1, 2, …; any other header of numbers is a row of data.
    if header != [str(j) for j in range(len(header))] and all(map(is_number, header)):
        message = (
            f"{path}: the first line holds only numbers ({', '.join(header[:2])}, …), and must "
            "name the columns. Put a header above it."
        )
        raise DatasetError(message)
    return header


def malformed(reader: Any, path: Path, error: csv.Error) -> DatasetError:
    """Error for quotes and line ends that make no sense."""
    message = f"{path}: line {reader.line_num} is not valid CSV: {error}. Check its quotes."
    return DatasetError(message)


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, by the rule of the table."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
