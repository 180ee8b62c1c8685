"""Columns of a table as numbers, booleans, dates or text: what each cell counts as.

Cells of CSV files are text. `typed_frame` finds out what a whole column holds; the functions
``to_…`` convert a column to a kind that is known, and raise `CellError` for the first cell that
does not fit.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from crossent.datasets.frames import line_of_row
from crossent.errors import DatasetError, InputError

if TYPE_CHECKING:
    import polars

__all__ = [
    "MISSING_MARKS",
    "CellError",
    "to_booleans",
    "to_dates",
    "to_names",
    "to_numbers",
    "to_text",
    "typed_frame",
]

MISSING_MARKS = ("", "na", "n/a", "nan", "null", "none", "?", "-")
"""Cells that count as missing in columns of numbers, booleans and dates, in lower case."""

_BOOLEANS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
_ZONE = r"(Z|[+-]\d{2}:?\d{2})$"
_CLOCK = r"[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?"
_DATE_PATTERN = rf"^\d{{4}}-\d{{2}}-\d{{2}}({_CLOCK})?$"
_LEADING_ZERO = r"^[+-]?0\d"


class CellError(InputError):
    """A cell that does not fit its column.

    Parameters
    ----------
    row : int
        From 0.
    column, fault, remedy : str
    """

    def __init__(self, row: int, column: str, fault: str, remedy: str) -> None:
        super().__init__(f"row {row}, column {column!r} {fault}. {remedy}")
        self.row, self.column, self.fault, self.remedy = row, column, fault, remedy

    def in_file(self, path: str | os.PathLike[str], *, skipped: int = 0) -> DatasetError:
        """The same error with the file and, for CSV, the line; `skipped` rows came before."""
        line = line_of_row(path, self.row + skipped)
        place = f"row {self.row + skipped}" if line is None else f"line {line}"
        message = f"{os.fspath(path)}: {place}, column {self.column!r} {self.fault}. {self.remedy}"
        return DatasetError(message)


def typed_frame(
    frame: "polars.DataFrame", /, *, kinds: Mapping[str, str] | None = None
) -> "polars.DataFrame":
    """Text columns that hold nothing but numbers, booleans or dates, as what they hold.

    A column is of numbers, of booleans (true and false, in any case) or of ISO 8601 dates if all
    of its cells are that do not count as missing (`MISSING_MARKS`). Integers with leading zeros,
    as in postal codes, stay text. If more than half of the cells are numbers, but not all, the
    column is refused: nothing tells a code from a slip.

    Parameters
    ----------
    frame : polars.DataFrame
    kinds : mapping of str to str, optional
        What some columns are: "number", "boolean", "date" or "time", which they are then read as,
        or "category" or "text", which stay text.

    Returns
    -------
    polars.DataFrame
        Numbers as Float64, dates as Datetime in microseconds; text is stripped, and empty cells
        are null.

    Raises
    ------
    CellError
        A column mixes numbers and other text, or has a cell that is not of the kind given.

    Examples
    --------
    >>> import polars
    >>> raw = polars.DataFrame({"a": ["1", "", "2.5"], "b": ["TRUE", "false", "NA"]})
    >>> typed_frame(raw).to_dict(as_series=False)
    {'a': [1.0, None, 2.5], 'b': [True, False, None]}
    """
    import polars

    given = kinds or {}
    return polars.DataFrame([_read_as(s, given.get(s.name)) for s in frame.get_columns()])


def _read_as(series: "polars.Series", kind: str | None) -> "polars.Series":
    """A column as the kind asks for; without one, as what its cells are."""
    import polars

    if kind == "number":
        return to_numbers(series)
    if kind == "boolean":
        return to_booleans(series).cast(polars.Boolean)
    if kind in ("date", "time"):
        return to_dates(series)
    if kind in ("category", "text"):
        return to_names(series)
    return _typed(series) if series.dtype == polars.String else series


def _typed(series: "polars.Series") -> "polars.Series":
    """One text column as what all of its cells are."""
    import polars

    text = to_names(series)
    cells = _without_marks(text)
    known = len(cells) - cells.null_count()
    if not known:
        return text
    numbers = cells.cast(polars.Float64, strict=False)
    n_numbers = len(numbers) - numbers.null_count()
    if n_numbers == known:
        zeros = bool(cells.str.contains(_LEADING_ZERO).any())
        return text if zeros else to_numbers(text)
    if 2 * n_numbers > known:
        row = int((numbers.is_null() & cells.is_not_null()).arg_true()[0])
        fault = f"is {cells[row]!r}, but {n_numbers} of the column's {known} cells are numbers"
        remedy = (
            f"Mend the cell, or say what the column is: --as {series.name}=category, or drop it: "
            f"--drop {series.name}."
        )
        raise CellError(row, series.name, fault, remedy)
    if cells.str.to_lowercase().drop_nulls().is_in(["true", "false"]).all():
        return to_booleans(text).cast(polars.Boolean)
    if cells.drop_nulls().str.contains(_DATE_PATTERN).all():
        return to_dates(text)
    return text


def to_numbers(series: "polars.Series", /) -> "polars.Series":
    """Numbers of any spelling as Float64; missing ones are null.

    Raises
    ------
    CellError
        A cell is no number, or infinite as a float64.
    """
    import polars

    if series.dtype == polars.String or series.dtype in (polars.Categorical, polars.Enum):
        cells = _without_marks(series.cast(polars.String).str.strip_chars())
        numbers = cells.cast(polars.Float64, strict=False)
        _refuse(numbers.is_null() & cells.is_not_null(), cells, "not a number")
    elif series.dtype.is_numeric() or series.dtype in (polars.Boolean, polars.Null):
        numbers = series.cast(polars.Float64)
    elif series.dtype == polars.Duration:
        numbers = series.dt.total_microseconds() / 1e6
    else:
        raise _wrong_type(series, "numbers")
    numbers = numbers.fill_nan(None)
    _refuse(numbers.is_infinite().fill_null(value=False), series, "infinite as a float64")
    return numbers


def to_booleans(series: "polars.Series", /) -> "polars.Series":
    """True and false, or 1 and 0, as Float64; missing ones are null.

    Raises
    ------
    CellError
        A cell is neither.
    """
    import polars

    if series.dtype == polars.Boolean:
        return series.cast(polars.Float64)
    if not (series.dtype in (polars.String, polars.Null) or series.dtype.is_numeric()):
        raise _wrong_type(series, "booleans")
    cells = _without_marks(series.cast(polars.String).str.strip_chars().str.to_lowercase())
    numbers = cells.replace_strict(_BOOLEANS, default=None, return_dtype=polars.Float64)
    _refuse(numbers.is_null() & cells.is_not_null(), series, "neither true nor false")
    return numbers


def to_dates(series: "polars.Series", /) -> "polars.Series":
    """ISO 8601 dates and times as Datetime; a zone is brought to UTC; missing ones are null.

    Raises
    ------
    CellError
        A cell is no such date.
    """
    import polars

    if series.dtype in (polars.Date, polars.Datetime):
        moments = series.cast(polars.Datetime("us")) if series.dtype == polars.Date else series
        return (
            moments.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
            if getattr(moments.dtype, "time_zone", None)
            else moments.cast(polars.Datetime("us"))
        )
    if series.dtype not in (polars.String, polars.Null):
        raise _wrong_type(series, "dates")
    cells = _without_marks(series.cast(polars.String).str.strip_chars())
    plausible = cells.str.contains(_DATE_PATTERN)
    _refuse(~plausible.fill_null(value=True), cells, "not an ISO 8601 date (2026-11-21)")
    moments = _moments(cells)
    _refuse(moments.is_null() & cells.is_not_null(), cells, "not a date of the calendar")
    return moments


def _moments(cells: "polars.Series") -> "polars.Series":
    """Dates and times of the pattern as Datetime in UTC; null where there is no such day."""
    import polars

    def count(text: "polars.Series") -> "polars.Series":
        return text.cast(polars.Int64, strict=False).fill_null(0)

    days = cells.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    rest = cells.str.slice(10)  # T10:30:00.5+02:00, or nothing
    zone = rest.str.extract(_ZONE).fill_null("Z").str.replace("Z", "+0000").str.replace(":", "")
    ahead = count(zone.str.slice(1, 2)) * 60 + count(zone.str.slice(3, 2))
    ahead = ahead * (1 - 2 * zone.str.starts_with("-").cast(polars.Int64))
    clock = rest.str.replace(_ZONE, "").str.slice(1)
    minutes = count(clock.str.slice(0, 2)) * 60 + count(clock.str.slice(3, 2)) - ahead
    seconds = clock.str.slice(6).cast(polars.Float64, strict=False).fill_null(0.0)
    within = minutes * 60_000_000 + (seconds * 1e6).round().cast(polars.Int64)
    return days.cast(polars.Datetime("us")) + within.cast(polars.Duration("us"))


def to_names(series: "polars.Series", /) -> "polars.Series":
    """Names of categories as stripped text; empty cells are null.

    Whole numbers are written without a point, so that 1, 1.0 and "1" are one category.
    """
    import polars

    if series.dtype.is_float():
        whole = series.is_finite() & (series == series.round())
        small = whole & (series.abs() < 1e15)
        integers = series.cast(polars.Int64, strict=False).cast(polars.String)
        return integers.zip_with(
            small.fill_null(value=False), series.fill_nan(None).cast(polars.String)
        )
    if series.dtype.is_nested() or series.dtype in (polars.Binary, polars.Object):
        raise _wrong_type(series, "categories")
    text = series.cast(polars.String).str.strip_chars()
    return text.replace("", None)


def to_text(series: "polars.Series", /) -> "polars.Series":
    """Text for words to be counted in; missing text is empty."""
    return to_names(series).fill_null("")


def _without_marks(text: "polars.Series") -> "polars.Series":
    """Cells that count as missing as null."""
    import polars

    missing = text.str.to_lowercase().is_in(MISSING_MARKS).fill_null(value=True)
    nothing = polars.Series(text.name, [None], dtype=polars.String).new_from_index(0, len(text))
    return nothing.zip_with(missing, text)


def _refuse(wrong: "polars.Series", cells: "polars.Series", what: str) -> None:
    """Raise for the first cell of those that are wrong."""
    if not wrong.any():
        return
    row = int(wrong.arg_true()[0])
    more = int(wrong.sum()) - 1
    others = f" (and {more} more such cells)" if more else ""
    remedy = f"Mend the cell, or leave the column out: --drop {cells.name}."
    raise CellError(row, cells.name, f"is {cells[row]!r}, {what}{others}", remedy)


def _wrong_type(series: "polars.Series", wanted: str) -> InputError:
    message = (
        f"column {series.name!r} is of type {series.dtype}, which cannot be read as {wanted}. "
        f"Convert it, or leave it out: --drop {series.name}."
    )
    return InputError(message)
