"""What the columns of a table were taken for, and their cells as they came."""

from typing import Any

from crossent.datasets import as_frame
from crossent.report import html
from crossent.report.facts import Facts

__all__ = ["columns", "table_cells"]

_COLUMNS_SHOWN = 6
_COLUMNS_LISTED = 200
_CELL_WIDTH = 160

_ENCODINGS = {
    "number": "standardised; the median where missing",
    "boolean": "0 and 1; the more frequent where missing",
    "category": "a number for each value, 0 or 1; rare and new ones share one",
    "date": "year with its fraction, standardised; month and weekday as categories",
    "time": "as a date, and the hour as a category",
    "text": "TF-IDF of words and of characters",
    "drop": "left out",
}


def columns(facts: Facts, /) -> str:
    """A line for each column of the table; empty where there was none."""
    if not facts.columns:
        return ""
    rows = [
        [
            html.data(column.name),
            "left out" if column.kind == "drop" else html.escaped(column.kind),
            html.data(column.reason),
            html.integer(column.different),
            html.integer(column.missing),
            html.data(_ENCODINGS[column.kind], 100),
        ]
        for column in facts.columns[:_COLUMNS_LISTED]
    ]
    header = ["column", "taken as", "because", "different values", "missing", "becomes"]
    left = len(facts.columns) - len(rows)
    more = f"<p>The first {_COLUMNS_LISTED} of {len(facts.columns)} columns.</p>" if left else ""
    text = (
        f"<p>Columns of the table beside the class: {html.integer(len(facts.columns))}. They "
        f"became {html.integer(facts.shape[1])} numbers. Values and gaps are counted among the "
        "training rows.</p>"
    )
    return html.section("The columns", text + more + html.table(header, rows, numbers=(3, 4)))


def table_cells(facts: Facts, table: Any, rows: list[int], /) -> tuple[list[str], list[list[str]]]:
    """Names of the first columns that the model uses, text before the others, and the rows' cells.

    Returns
    -------
    names : list of str
    cells : list of list of str
        As HTML, a list for each of the rows.
    """
    used = [column for column in facts.columns if column.kind != "drop"]
    used.sort(key=lambda column: column.kind != "text")
    names = [column.name for column in used[:_COLUMNS_SHOWN]]
    chosen = as_frame(table).select(names)[rows]
    return names, [[_cell(value) for value in row] for row in chosen.rows()]


def _cell(value: Any) -> str:
    """One cell as it came; numbers with the digits that matter."""
    if value is None or value != value:  # NaN
        return "–"
    if isinstance(value, float):
        return html.data(f"{value:.6g}")
    return html.data(str(value).removesuffix(" 00:00:00"), _CELL_WIDTH)
