"""Comparisons of two items, read once, checked once, and reduced to counts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.choice.dates import decay_weights
from crossent.choice.names import as_columns, factorise_together
from crossent.choice.outcomes import LEFT, OUTCOMES, RIGHT, OutcomeTable, read_outcomes
from crossent.choice.weights import read_weights
from crossent.errors import InputError

__all__ = ["Cells", "Comparisons", "merge_cells", "read_comparisons", "reduce_to_cells"]

_DENSE_KEYS = 8  # tables of up to so many times the rows are counted, larger ones sorted
_ALWAYS_DENSE = 1_000_000


@dataclass(frozen=True)
class Comparisons:
    """One entry per comparison (several for rows of counts).

    Attributes
    ----------
    items : ndarray, shape (n_items,)
    left, right : ndarray of int, shape (rows,)
    table : OutcomeTable
    weight : ndarray, shape (rows,), or None
        None: 1 each.
    order : ndarray, shape (rows,), or None
        Strength of the order effect for the left item: 1 at home, 0 on neutral ground.
    covariates : ndarray, shape (rows, r), or None
    """

    items: npt.NDArray[Any]
    left: npt.NDArray[np.intp]
    right: npt.NDArray[np.intp]
    table: OutcomeTable
    weight: npt.NDArray[np.float64] | None = None
    order: npt.NDArray[np.float64] | None = None
    covariates: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Cells:
    """Comparisons under the same conditions, counted.

    Attributes
    ----------
    left, right : ndarray of int, shape (C,)
    order : ndarray, shape (C,)
    covariates : ndarray, shape (C, r), or None
    counts : ndarray, shape (4, C)
        Weight of each outcome, in the order of `OUTCOMES`.
    squares : ndarray, shape (4, C)
        Sums of squared weights, for the sandwich covariance.
    cell_of_entry : ndarray of int, shape (entries,), or None
        If asked for; entries as in the outcome table.
    swapped : ndarray of bool, shape (entries,), or None
        Entries whose items were exchanged to meet others of their pair.
    """

    left: npt.NDArray[np.intp]
    right: npt.NDArray[np.intp]
    order: npt.NDArray[np.float64]
    covariates: npt.NDArray[np.float64] | None
    counts: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    cell_of_entry: npt.NDArray[np.intp] | None = None
    swapped: npt.NDArray[np.bool_] | None = None

    def faded(self, factor: float) -> "Cells":
        """The same with every weight multiplied by `factor`."""
        return replace(self, counts=factor * self.counts, squares=factor**2 * self.squares)

    def renamed(self, number: npt.NDArray[np.intp]) -> "Cells":
        """The same with item i numbered ``number[i]``."""
        return replace(self, left=number[self.left], right=number[self.right])


def read_comparisons(
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    order: Any = None,
    covariates: Any = None,
    dates: Any = None,
    half_life: Any = None,
    outcomes: Any = None,
) -> Comparisons:
    """Check what a user gave; see `BradleyTerry.fit`. The message of an error names the row."""
    columns = as_columns(X, "X", width=2)
    (left, right), items = factorise_together(columns, ("the left item", "the right item"))
    n = len(left)
    if n == 0:
        message = "X has no rows; at least one comparison is needed."
        raise InputError(message)
    same = left == right
    if same.any():
        row = int(same.argmax())
        message = f"Row {row} compares {items.tolist()[left[row]]!r} with itself. Drop the row."
        raise InputError(message)
    weight = read_weights(sample_weight, n)
    if half_life is not None:
        faded = decay_weights(dates, half_life, n)
        weight = faded if weight is None else weight * faded
    return Comparisons(
        items,
        left,
        right,
        read_outcomes(y, n, outcomes),
        weight,
        _numbers(order, n, "order"),
        _numbers(covariates, n, "covariates", columns=True),
    )


def _numbers(value: Any, n: int, name: str, *, columns: bool = False) -> Any:
    """Finite numbers, one row per comparison; None stays None."""
    if value is None:
        return None
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = f"{name} must be numbers: {error}"
        raise InputError(message) from error
    if columns and array.ndim == 1:
        array = array[:, None]
    if array.ndim != 1 + columns or len(array) != n:
        message = f"{name} has shape {array.shape}; expected {n} rows, as many as X."
        raise InputError(message)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        message = (
            f"{name} is {array[tuple(bad[0])]} in row {bad[0][0]}; it must be finite. Fill it "
            "in, or drop the row."
        )
        raise InputError(message)
    return array


def reduce_to_cells(data: Comparisons, *, ordered: bool, locate: bool = False) -> Cells:
    """Count equal comparisons.

    Without an order effect (`ordered` False, or order 0) and covariates, "a against b" and "b
    against a" are one cell. With covariates every row is a cell of its own.

    Cost: a few passes over the rows; no sorting while the pairs fit a table of 8 times the rows.
    """
    table = data.table
    share, row = table.share, table.row
    left, right = (data.left, data.right) if row is None else (data.left[row], data.right[row])
    outcome, swapped = table.outcome, None
    order = None if data.order is None or not ordered else data.order
    if data.covariates is None and order is None and not locate and data.weight is None:
        n = len(data.items)
        if share is None and n * n * len(OUTCOMES) <= _DENSE_KEYS * len(left):
            return _counted(left, right, outcome, n, ordered=ordered)
    if data.covariates is not None:
        inverse = np.arange(table.n_rows) if row is None else row
        n_cells = table.n_rows
        first: list[Any] = [data.left, data.right, np.ones(n_cells) if order is None else order]
    else:
        place = None if order is None else (order if row is None else order[row])
        swapped = _to_swap(left, right, place, ordered=ordered)
        if swapped is not None:
            left, right = np.where(swapped, right, left), np.where(swapped, left, right)
            outcome = np.where(swapped & (outcome <= RIGHT), RIGHT + LEFT - outcome, outcome)
        *first, inverse, n_cells = _unite(left, right, place, len(data.items))
    weight = None if data.weight is None else (data.weight if row is None else data.weight[row])
    counts, squares = _count(inverse, outcome, n_cells, share, weight)
    used = counts.any(axis=0)
    renumber = np.cumsum(used) - 1
    a, b, strength = first
    return Cells(
        a[used],
        b[used],
        np.asarray(strength, dtype=np.float64)[used],
        None if data.covariates is None else data.covariates[used],
        counts[:, used],
        squares[:, used],
        renumber[inverse] if locate else None,
        swapped,
    )


def _to_swap(
    left: npt.NDArray[np.intp],
    right: npt.NDArray[np.intp],
    order: npt.NDArray[np.float64] | None,
    *,
    ordered: bool,
) -> npt.NDArray[np.bool_] | None:
    """Where items change places so that equal comparisons meet; None: nowhere.

    On neutral ground (order 0) "a against b" is "b against a", whatever the model.
    """
    if not ordered:
        return left > right
    return None if order is None else (left > right) & (order == 0)


def _counted(
    left: npt.NDArray[np.intp],
    right: npt.NDArray[np.intp],
    outcome: npt.NDArray[np.intp],
    n: int,
    *,
    ordered: bool,
) -> Cells:
    """Cells of rows of weight 1: one count of all, and pairs meet in the table, not row by row."""
    key = outcome * (n * n) + left * n + right
    table = np.bincount(key, minlength=len(OUTCOMES) * n * n).reshape(len(OUTCOMES), n, n)
    met = table.any(axis=0)
    a, b = np.nonzero(met if ordered else np.triu(met | met.T))
    counts = table[:, a, b].astype(np.float64)
    if not ordered:
        counts += table[[RIGHT, LEFT, *range(RIGHT + 1, len(OUTCOMES))]][:, b, a]
    return Cells(a, b, np.ones(len(a)), None, counts, counts)


def _unite(
    left: npt.NDArray[np.intp],
    right: npt.NDArray[np.intp],
    order: npt.NDArray[np.float64] | None,
    n: int,
) -> tuple[Any, ...]:
    """Left, right and order of each possible cell, the cell of each entry, and their number."""
    values, level = _levels(order)
    key = (left * n + right) * len(values) + level
    size = n * n * len(values)
    if size <= max(_DENSE_KEYS * len(left), _ALWAYS_DENSE):
        present = np.bincount(key, minlength=size) > 0
        distinct, inverse = np.flatnonzero(present), (np.cumsum(present) - 1)[key]
    else:
        distinct, inverse = np.unique(key, return_inverse=True)
    pair = distinct // len(values)
    return pair // n, pair % n, values[distinct % len(values)], inverse, len(distinct)


def _levels(order: npt.NDArray[np.float64] | None) -> tuple[npt.NDArray[np.float64], Any]:
    """Different strengths of the order effect, and the number of each entry's."""
    if order is None:
        return np.ones(1), 0
    number = order.astype(np.intp)
    if number.min() >= 0 and number.max() <= 1 and (number == order).all():  # no need to sort
        return np.array([0.0, 1.0]), number
    return np.unique(order, return_inverse=True)


def _count(
    cell: npt.NDArray[np.intp],
    outcome: npt.NDArray[np.intp],
    n_cells: int,
    share: npt.NDArray[np.float64] | None,
    weight: npt.NDArray[np.float64] | None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weights and squared weights of each (outcome, cell), shape (4, C)."""
    key = outcome * n_cells + cell
    size = len(OUTCOMES) * n_cells
    once = None if share is None and weight is None else _product(share, weight)
    counts = np.bincount(key, weights=once, minlength=size).astype(np.float64)
    counts = counts.reshape(len(OUTCOMES), n_cells)
    if weight is None:
        return counts, counts
    squares = np.bincount(key, weights=_product(share, weight * weight), minlength=size)
    return counts, squares.astype(np.float64).reshape(len(OUTCOMES), n_cells)


def _product(share: Any, weight: Any) -> Any:
    if share is None:
        return weight
    return share if weight is None else share * weight


def merge_cells(parts: Sequence[Cells], n_items: int, *, ordered: bool) -> Cells:
    """Cells of several batches of comparisons as one; items are numbered alike in all.

    Cells with covariates stay apart, the others meet their like.
    """
    joined = Cells(
        np.concatenate([part.left for part in parts]),
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.order for part in parts]),
        None
        if parts[0].covariates is None
        else np.concatenate([np.asarray(part.covariates) for part in parts]),
        np.concatenate([part.counts for part in parts], axis=1),
        np.concatenate([part.squares for part in parts], axis=1),
    )
    if joined.covariates is not None:
        return joined
    left, right = joined.left, joined.right
    counts, squares = joined.counts, joined.squares
    swapped = _to_swap(left, right, joined.order, ordered=ordered)
    if swapped is not None:
        left, right = np.where(swapped, right, left), np.where(swapped, left, right)
        other = [RIGHT, LEFT, *range(RIGHT + 1, len(OUTCOMES))]
        counts = np.where(swapped, counts[other], counts)
        squares = np.where(swapped, squares[other], squares)
    a, b, strength, inverse, n_cells = _unite(left, right, joined.order, n_items)
    sums = [
        np.array([np.bincount(inverse, weights=row, minlength=n_cells) for row in table])
        for table in (counts, squares)
    ]
    used = sums[0].sum(axis=0) > 0
    return Cells(a[used], b[used], strength[used], None, sums[0][:, used], sums[1][:, used])
