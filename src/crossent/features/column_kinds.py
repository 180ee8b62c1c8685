"""What kind of column each is, and why: read off its type and its values, or said by the user."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossent.datasets import to_booleans, to_dates, to_names, to_numbers, to_text
from crossent.errors import InputError

if TYPE_CHECKING:
    import polars

__all__ = ["KINDS", "Column", "choose_kinds", "column_names", "prepared"]

KINDS = ("number", "boolean", "category", "date", "time", "text", "drop")
"""What a column can be: ``date`` is of days, ``time`` of days with hours."""

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAYS_PER_YEAR = 365.2425
_MICROSECONDS_PER_DAY = 86_400_000_000

# A column of words is text rather than categories if its cells are sentences (three words or 30
# characters on average) and at least one in ten is unlike all others.
_TEXT_WORDS, _TEXT_CHARACTERS, _TEXT_DIFFERENT = 3.0, 30.0, 0.1
# Short words that hardly ever repeat are names or numbers of the rows: nothing can be learned.
_IDENTIFIER_DIFFERENT, _IDENTIFIER_ROWS = 0.9, 30


@dataclass(frozen=True)
class Column:
    """What a column of a table is taken for.

    Attributes
    ----------
    name : str
    kind : str
        One of `KINDS`.
    reason : str
        Why, in words.
    missing : int
        Cells without a value among the training rows.
    different : int
        Different values among the training rows.
    """

    name: str
    kind: str
    reason: str
    missing: int
    different: int


def choose_kinds(
    frame: "polars.DataFrame", kinds: Mapping[str, str] | None, drop: Sequence[str]
) -> list[Column]:
    """Kind of every column, in their order.

    Raises
    ------
    InputError
        `kinds` or `drop` names no column, or no kind; a column is of a type that has no kind;
        or nothing is left.
    """
    given = dict(kinds or {}) | dict.fromkeys(drop, "drop")
    for name, kind in given.items():
        if name not in frame.columns:
            close = difflib.get_close_matches(name, frame.columns, n=1)
            offer = f"; did you mean {close[0]!r}?" if close else "."
            message = f"there is no column {name!r} to take as {kind!r}{offer}"
            raise InputError(message)
        if kind not in KINDS:
            message = f"column {name!r} cannot be a {kind!r}; it can be {', '.join(KINDS)}."
            raise InputError(message)
    columns = [_described(series, given.get(series.name)) for series in frame.get_columns()]
    if all(column.kind == "drop" for column in columns):
        reasons = "; ".join(f"{column.name}: {column.reason}" for column in columns)
        message = f"no column is left to learn from ({reasons}). Say what one is: --as NAME=KIND."
        raise InputError(message)
    return columns


def _described(series: "polars.Series", given: str | None) -> Column:
    kind, reason = (given, "as told") if given is not None else _guess(series)
    missing = series.null_count() + (int(series.is_nan().sum()) if series.dtype.is_float() else 0)
    countable = not (series.dtype.is_nested() or str(series.dtype) in ("Object", "Binary"))
    different = series.drop_nulls().n_unique() if countable else 0
    return Column(series.name, kind, reason, missing, different)


def _guess(series: "polars.Series") -> tuple[str, str]:
    """Kind and reason from type and values."""
    import polars

    dtype = series.dtype
    if series.null_count() == len(series):
        return "drop", "no row has a value"
    if dtype == polars.Boolean:
        return "boolean", "true and false"
    if dtype.is_numeric() or dtype == polars.Duration:
        return "number", "all cells are numbers"
    if dtype == polars.Date:
        return "date", "dates"
    if dtype == polars.Datetime:
        moments = series.drop_nulls()
        whole = bool((moments == moments.dt.truncate("1d")).all())
        return ("date", "dates") if whole else ("time", "dates with times of day")
    if dtype in (polars.Categorical, polars.Enum):
        return "category", "a column of categories"
    if dtype == polars.String:
        return _guess_of_words(to_names(series))
    message = (
        f"column {series.name!r} is of type {dtype}, which has no encoding. Convert it, or leave "
        f"it out: --drop {series.name}."
    )
    raise InputError(message)


def _guess_of_words(words: "polars.Series") -> tuple[str, str]:
    """Text, categories, or names of rows."""
    cells = words.drop_nulls()
    if not len(cells):
        return "drop", "no row has a value"
    different = cells.n_unique()
    share = different / len(cells)
    n_words = float((cells.str.count_matches(r"\s+") + 1).mean())  # type: ignore[arg-type]
    n_characters = float(cells.str.len_chars().mean())  # type: ignore[arg-type]
    sentences = n_words >= _TEXT_WORDS or n_characters >= _TEXT_CHARACTERS
    if sentences and share >= _TEXT_DIFFERENT and different > 1:
        return "text", f"{n_words:.1f} words a cell, {share:.0%} of the cells differ"
    if share > _IDENTIFIER_DIFFERENT and len(cells) >= _IDENTIFIER_ROWS:
        return "drop", f"names of rows: {share:.0%} of the cells differ"
    if different == 1 and len(cells) == len(words):
        return "drop", "every row has the same value"
    return "category", f"{different} different values"


def prepared(frame: "polars.DataFrame", columns: Sequence[Column]) -> "polars.DataFrame":
    """The columns as scikit-learn's transformers are to see them, named by `column_names`.

    Numbers, booleans and years are Float64 with NaN for what is missing; categories, months,
    weekdays and hours are text or null; text is never null.

    Raises
    ------
    CellError, InputError
        A cell does not fit its column's kind.
    """
    import polars

    found: list[polars.Series] = []
    for column in columns:
        if column.kind == "drop":
            continue
        series = frame.get_column(column.name)
        if column.kind in ("number", "boolean"):
            read = to_numbers if column.kind == "number" else to_booleans
            found.append(read(series).fill_null(float("nan")))
        elif column.kind == "category":
            found.append(to_names(series))
        elif column.kind == "text":
            found.append(to_text(series))
        else:
            found.extend(_calendar(to_dates(series), column))
    return polars.DataFrame(found)


def column_names(column: Column) -> tuple[str, ...]:
    """Names of what `prepared` makes of a column."""
    if column.kind in ("date", "time"):
        parts = ("year", "month", "weekday") + (("hour",) if column.kind == "time" else ())
        return tuple(f"{column.name}: {part}" for part in parts)
    return () if column.kind == "drop" else (column.name,)


def _calendar(moments: "polars.Series", column: Column) -> "list[polars.Series]":
    """Year with its fraction, month, weekday and, for times, hour."""
    import polars

    days = moments.dt.epoch("us") / _MICROSECONDS_PER_DAY
    parts = [
        (1970 + days / _DAYS_PER_YEAR).fill_null(float("nan")),
        _named(moments.dt.month(), _MONTHS),
        _named(moments.dt.weekday(), _WEEKDAYS),
    ]
    if column.kind == "time":
        parts.append(moments.dt.hour().cast(polars.String).str.zfill(2))
    return [part.alias(name) for part, name in zip(parts, column_names(column), strict=True)]


def _named(numbers: "polars.Series", names: Sequence[str]) -> "polars.Series":
    """Names for numbers that begin with 1; null stays null."""
    import polars

    return numbers.replace_strict(
        list(range(1, len(names) + 1)), list(names), default=None, return_dtype=polars.String
    )
