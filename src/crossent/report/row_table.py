"""A line for each of some rows: their class, what they were taken for, and what they hold."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from crossent.inspection import SurprisingRow
from crossent.report import html
from crossent.report.encoding import table_cells
from crossent.report.facts import Facts, RowsShown
from crossent.report.surprise import take_rows

__all__ = ["feature_names", "row_table"]

_COLUMNS_SHOWN = 6  # of rows that are not images
_TEXT_WIDTH = 400


def row_table(
    facts: Facts, found: Sequence[SurprisingRow], shown: RowsShown, /, *, soft: bool
) -> str:
    """One line for each row; with its text, its cells, or its values where they are few."""
    header = ["row", "class", "taken for", "surprisal"]
    if soft:
        header = ["row", "class", "its target", "taken for", "excess"]
    names, cells = _cells(facts, [row.row for row in found], shown)
    lines = []
    called = [_called(row.row, shown) for row in found]
    for place, row in enumerate(found):
        bits = f"{row.excess_bits:.1f} bits" if math.isfinite(row.excess) else "infinite"
        lines.append(
            [
                called[place],
                _with_probability(row.target, row.target_probability),
                *([html.percent(row.target_mass)] if soft else []),
                "–"
                if row.target == row.predicted
                else _with_probability(row.predicted, row.predicted_probability),
                bits,
                *(cells[place] if cells else ()),
            ]
        )
    numeric = not (facts.columns or names == ["text"])
    right = range(len(header) - 1, len(header) + (len(names) if numeric else 0))
    numbers = {*([] if _files(shown) else [0]), *([2] if soft else []), *right}
    table = html.table([*header, *(html.data(name, 20) for name in names)], lines, numbers=numbers)
    note = "Behind each class stands the model’s probability of it."
    if not _files(shown):
        counted = "" if shown.names is None else ", as they stand in the data"
        note += f" Rows are counted from 0{counted}."
    return f'{table}<p class="muted">{note}</p>'


def _files(shown: RowsShown) -> bool:
    """Whether the rows have names that are not numbers."""
    return shown.names is not None and len(shown.names) > 0 and isinstance(shown.names[0], str)


def _called(number: int, shown: RowsShown) -> str:
    """Name of a row, or its number, as HTML."""
    if shown.names is None:
        return str(number)
    return html.data(shown.names[number], 40) if _files(shown) else str(int(shown.names[number]))


def _with_probability(name: Any, probability: float) -> str:
    """A class, and the model's probability of it."""
    shown = html.percent(probability) if probability >= 1e-4 else html.scientific(probability)
    return f'{html.data(name, 28)} <span class="muted">({shown})</span>'


def _cells(facts: Facts, numbers: list[int], shown: RowsShown) -> tuple[list[str], list[list[str]]]:
    """Names and HTML of the cells of some rows, a list for each row; empty where they are many."""
    if facts.columns and hasattr(shown.raw, "columns"):
        return table_cells(facts, shown.raw, numbers)
    texts = _texts(shown.raw)
    if texts is not None:
        return ["text"], [[html.data(texts[number], _TEXT_WIDTH)] for number in numbers]
    values = _few_values(facts, numbers, shown.features)
    if values is None:
        return [], []
    names = feature_names(facts, values.shape[1])
    return names, [[html.data(f"{value:.4g}") for value in row] for row in values]


def _texts(raw: Any) -> Any:
    """Rows that are one text each, as a sequence; None for other rows."""
    if hasattr(raw, "columns") or np.ndim(raw) != 1 or not len(raw):
        return None
    listed = raw.tolist() if hasattr(raw, "tolist") else list(raw)
    return listed if isinstance(listed[0], str) else None


def _few_values(facts: Facts, numbers: list[int], features: Any) -> Any:
    """The rows' own values, if they are few numbers."""
    if facts.details.image_shape is not None or facts.shape[1] > _COLUMNS_SHOWN:
        return None
    try:
        return np.asarray(take_rows(features, numbers), dtype=np.float64)
    except (TypeError, ValueError):
        return None  # words, not numbers: the table does without them


def feature_names(facts: Facts, d: int, /) -> list[str]:
    """Names as given, or of the frame, or numbers."""
    given = facts.details.feature_names
    names = given if given is not None else getattr(facts.model, "feature_names_in_", None)
    return [f"column {number}" for number in range(d)] if names is None else list(names)
