"""Tables of alternatives, one row each: read, checked, and made into rows of a design."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.choice.names import as_columns, factorise, united
from crossent.choice.weights import read_weights
from crossent.errors import InputError

__all__ = ["ChoiceTable", "read_choices"]


@dataclass(frozen=True)
class ChoiceTable:
    """Choice sets, set after set.

    Attributes
    ----------
    rows : ndarray, shape (m, p)
    starts : ndarray of int, shape (sets + 1,)
    counts : ndarray, shape (m,)
    names : list of str
        Of the p coefficients.
    penalised : ndarray of bool, shape (p,)
    kinds : ndarray or None
        Kinds of alternatives.
    source : ndarray of int, shape (m,)
        Row of the user's table; -1 for an outside option.
    n_rows : int
        Rows of the user's table.
    cluster : ndarray of int, shape (sets,), or None
    squares : ndarray, shape (m,)
        Count times the squared weight of the set.
    """

    rows: npt.NDArray[np.float64]
    starts: npt.NDArray[np.intp]
    counts: npt.NDArray[np.float64]
    names: list[str]
    penalised: npt.NDArray[np.bool_]
    kinds: npt.NDArray[Any] | None
    source: npt.NDArray[np.intp]
    n_rows: int
    cluster: npt.NDArray[np.intp] | None
    squares: npt.NDArray[np.float64]

    def cluster_table(self) -> sp.csr_array:
        """Weight with which each cluster chose each row, shape (m, G)."""
        if self.cluster is None:
            message = "Clusters are needed: fit(..., clusters=...), who chose."
            raise InputError(message)
        of = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        return sp.csr_array((self.counts, (np.arange(len(of)), self.cluster[of])))


def read_choices(
    options: Any,
    X: Any,
    y: Any,
    choice_sets: Any,
    *,
    alternatives: Any = None,
    chooser: Any = None,
    available: Any = None,
    sample_weight: Any = None,
    clusters: Any = None,
    kinds: npt.NDArray[Any] | None = None,
) -> ChoiceTable:
    """The user's table, checked; `y` None: nothing was chosen yet. See `ConditionalLogit.fit`."""
    number, _ = factorise(choice_sets, "choice_sets")
    m = len(number)
    features, names = _matrix(X, "X", m)
    kind, kinds = _kinds(alternatives, m, kinds)
    rows, names, penalised = _design(options, features, names, kind, kinds, chooser, m)
    counts = np.zeros(m) if y is None else _counts(y, m)
    present = np.ones(m, dtype=bool) if available is None else np.asarray(available, dtype=bool)
    if present.shape != (m,):
        message = f"available has shape {present.shape}; expected ({m},)."
        raise InputError(message)
    _check_chosen(options, number, counts, present, None if y is None else m)
    order = np.flatnonzero(present)[np.argsort(number[present], kind="stable")]
    rows, counts, source, of = rows[order], counts[order], order, number[order]
    weight = read_weights(sample_weight, m)
    if options.outside:
        rows, counts, source, of = _with_outside(rows, counts, source, of)
    first = np.flatnonzero(np.concatenate([[True], of[1:] != of[:-1]]))
    starts = np.concatenate([first, [len(of)]])
    who = source[first + bool(options.outside)]
    each = np.ones(len(of)) if weight is None else np.repeat(weight[who], np.diff(starts))
    cluster = None if clusters is None else factorise(clusters, "clusters")[0][who]
    return ChoiceTable(
        rows,
        starts,
        counts * each,
        names,
        penalised,
        kinds,
        source,
        m,
        cluster,
        counts * each**2,
    )


def _matrix(X: Any, name: str, m: int) -> tuple[npt.NDArray[np.float64], list[str]]:
    columns = as_columns(X, name)
    labels = [str(label) for label in getattr(X, "columns", range(len(columns)))]
    try:
        values = np.array([np.asarray(column, dtype=np.float64) for column in columns]).T
    except (TypeError, ValueError) as error:
        message = f"{name} must be numbers: {error}"
        raise InputError(message) from error
    if len(columns) == 0:
        values = np.zeros((m, 0))
    if len(values) != m:
        message = f"{name} has {len(values)} rows and choice_sets has {m}; they must be as many."
        raise InputError(message)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        message = f"{name} is {values[row, column]} in row {row}, column {labels[column]!r}."
        raise InputError(message + " Drop the row, or fill in the value.")
    return values, labels


def _kinds(
    alternatives: Any, m: int, known: npt.NDArray[Any] | None
) -> tuple[npt.NDArray[np.intp] | None, npt.NDArray[Any] | None]:
    """Number of each row's kind of alternative, and the kinds."""
    if alternatives is None:
        return None, None
    codes, names = factorise(alternatives, "alternatives")
    if len(codes) != m:
        message = f"alternatives has {len(codes)} rows and choice_sets has {m}."
        raise InputError(message)
    kinds = united(names) if known is None else known
    place = {kind: k for k, kind in enumerate(kinds.tolist())}
    new = next((name for name in names if name not in place), None)
    if new is not None:
        message = f"alternatives has {new!r}, which was not fitted."
        raise InputError(message)
    return np.array([place[name] for name in names], dtype=np.intp)[codes], kinds


def _design(
    options: Any,
    features: npt.NDArray[np.float64],
    names: list[str],
    kind: npt.NDArray[np.intp] | None,
    kinds: npt.NDArray[Any] | None,
    chooser: Any,
    m: int,
) -> tuple[npt.NDArray[np.float64], list[str], npt.NDArray[np.bool_]]:
    """Columns for shared and specific features, features of the chooser, and constants."""
    specific = {str(name) for name in options.specific}
    unknown = sorted(specific.difference(names))
    if unknown:
        message = f"specific has {unknown[0]!r}, which is no column of X: {names}."
        raise InputError(message)
    shared = [j for j, name in enumerate(names) if name not in specific]
    columns, labels = [features[:, shared]], [names[j] for j in shared]
    if kind is None or kinds is None:
        if specific or chooser is not None or options.intercepts:
            message = "specific, chooser and intercepts need `alternatives`, the kind of each row."
            raise InputError(message)
        return columns[0], labels, np.ones(len(labels), dtype=bool)
    member = kind[:, None] == np.arange(len(kinds))
    free = _free_kinds(options, kinds)
    for j, name in enumerate(names):
        if name in specific:
            columns.append(features[:, [j]] * member)
            labels += [f"{name}:{one}" for one in kinds]
    if chooser is not None:
        values, chooser_names = _matrix(chooser, "chooser", m)
        for j, name in enumerate(chooser_names):
            columns.append(values[:, [j]] * member[:, free])
            labels += [f"{name}:{kinds[k]}" for k in free]
    penalised = [True] * len(labels)
    if options.intercepts:
        columns.append(member[:, free].astype(np.float64))
        labels += [f"intercept:{kinds[k]}" for k in free]
    penalised += [False] * (len(labels) - len(penalised))
    return np.hstack(columns), labels, np.array(penalised, dtype=bool)


def _free_kinds(options: Any, kinds: npt.NDArray[Any]) -> list[int]:
    """Kinds that get their own coefficients: all but the base."""
    if options.base is None:
        return list(range(0 if options.outside else 1, len(kinds)))
    if options.base not in kinds.tolist():
        message = f"base is {options.base!r}; it must be one of {kinds.tolist()}."
        raise InputError(message)
    return [k for k, name in enumerate(kinds.tolist()) if name != options.base]


def _counts(y: Any, m: int) -> npt.NDArray[np.float64]:
    counts = np.asarray(y, dtype=np.float64)
    if counts.shape != (m,):
        message = f"y has shape {counts.shape}; expected ({m},): 1 for the alternative chosen."
        raise InputError(message)
    bad = ~(np.isfinite(counts) & (counts >= 0))
    if bad.any():
        row = int(bad.argmax())
        message = (
            f"y is {counts[row]} in row {row}; it must be 1, 0 or a count. Mend it, or drop the "
            "set."
        )
        raise InputError(message)
    return counts


def _check_chosen(
    options: Any,
    number: npt.NDArray[np.intp],
    counts: npt.NDArray[np.float64],
    present: npt.NDArray[np.bool_],
    m: int | None,
) -> None:
    """No set is empty; what was chosen could be chosen; something was chosen."""
    if not len(number):
        message = "X has no rows; at least one choice set is needed."
        raise InputError(message)
    sizes = np.bincount(number, weights=present)
    if (sizes == 0).any():
        row = int(np.flatnonzero(number == int(sizes.argmin()))[0])
        message = f"The choice set of row {row} is empty: nothing in it is available. Drop it."
        raise InputError(message)
    if m is None:
        return
    wrong = (counts > 0) & ~present
    if wrong.any():
        message = f"Row {int(wrong.argmax())} was chosen but was not available. Mend one of them."
        raise InputError(message)
    chosen = np.bincount(number, weights=counts)
    if not options.outside and (chosen == 0).any():
        row = int(np.flatnonzero(number == int((chosen == 0).argmax()))[0])
        message = (
            f"Nothing was chosen from the set of row {row}. Drop it, or set outside=True if people "
            "may choose nothing."
        )
        raise InputError(message)


def _with_outside(
    rows: npt.NDArray[np.float64],
    counts: npt.NDArray[np.float64],
    source: npt.NDArray[np.intp],
    of: npt.NDArray[np.intp],
) -> tuple[Any, Any, Any, Any]:
    """A row of zeros before each set, chosen where nothing else is."""
    n_sets = int(of.max()) + 1
    left = (np.bincount(of, weights=counts, minlength=n_sets) == 0).astype(np.float64)
    order = np.argsort(np.concatenate([np.arange(n_sets), of]), kind="stable")
    return (
        np.concatenate([np.zeros((n_sets, rows.shape[1])), rows])[order],
        np.concatenate([left, counts])[order],
        np.concatenate([np.full(n_sets, -1), source])[order],
        np.concatenate([np.arange(n_sets), of])[order],
    )
