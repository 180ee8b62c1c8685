"""From what users pass as y to labels or distributions, and the weight of every row."""

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from crossent.errors import InputError

__all__ = [
    "Targets",
    "as_distributions",
    "as_numbers",
    "effective_weights",
    "is_soft",
    "read_names",
    "read_sample_weight",
    "read_targets",
]

_SUM_TOLERANCE = 1e-6
_SUM_TOLERANCE_SINGLE = 1e-4


@dataclass(frozen=True)
class Targets:
    """Targets of n rows over q classes.

    Attributes
    ----------
    classes : ndarray, shape (q,)
    values : ndarray or csr_array
        Labels 0…q-1, shape (n,); or distributions, shape (n, q), rows summing to 1 exactly.
    """

    classes: npt.NDArray[Any]
    values: Any

    @property
    def soft(self) -> bool:
        """Whether the targets are distributions."""
        return bool(self.values.ndim == 2)

    def class_mass(self, weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Σ_i weight_i y_i, shape (q,)."""
        if self.soft:
            return np.asarray(weight @ self.values)
        mass = np.bincount(self.values, weights=weight, minlength=len(self.classes))
        return mass.astype(np.float64, copy=False)


def is_soft(y: Any) -> bool:
    """Whether `y` holds a distribution per row rather than one class per row."""
    shape = y.shape if hasattr(y, "shape") else np.asarray(y).shape
    return len(shape) == 2 and (shape[1] != 1 or sp.issparse(y))


def read_targets(y: Any, classes: Any = None, *, rows: int) -> Targets:
    """Class names become labels; distributions are checked and renormalised.

    Parameters
    ----------
    y : array-like, frame or sparse array
        Class names, shape (n,); or distributions, shape (n, q).
    classes : array-like, optional
        All classes, in the order wanted; without it the sorted names, the frame's columns, or
        0…q-1.
    rows : int
        How many there must be.

    Raises
    ------
    InputError
        Another number of rows; a name that is not among `classes`, NaN or missing; a row that is
        negative, not finite, or does not sum to 1 within 1e-6 (float32: 1e-4).
    """
    targets = _read(y, classes)
    found = targets.values.shape[0]
    if found != rows:
        message = f"X has {rows} rows and y has {found}; they must be as many."
        raise InputError(message)
    return targets


def _read(y: Any, classes: Any) -> Targets:
    """The targets, however many."""
    known = None if classes is None else _check_classes(classes)
    if is_soft(y):
        values = as_distributions(y)
        columns = getattr(y, "columns", None)
        if known is None:
            known = np.arange(values.shape[1]) if columns is None else np.asarray(list(columns))
        if len(known) != values.shape[1]:
            message = (
                f"y has {values.shape[1]} columns for {len(known)} classes. Pass one column per "
                "class, in the order of `classes`."
            )
            raise InputError(message)
        return Targets(known, values)
    names = read_names(y)
    if names.dtype.kind not in "iub":  # whole numbers always are classes
        check_classification_targets(names)
    if known is None:
        return Targets(*_sorted_classes(names))
    return Targets(known, class_numbers(names, known))


def _sorted_classes(names: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """The sorted names and each row's place among them; whole numbers are counted, not sorted."""
    if names.dtype.kind in "iu" and len(names):
        lowest, highest = int(names.min()), int(names.max())
        if highest - lowest < len(names) and max(-lowest, highest) < 2**62:
            place = names.astype(np.int64) - lowest
            found = np.bincount(place) > 0
            classes = (np.flatnonzero(found) + lowest).astype(names.dtype)
            return classes, (np.cumsum(found) - 1)[place]
    classes, labels = np.unique(names, return_inverse=True)
    return classes, labels


def read_names(y: Any) -> npt.NDArray[Any]:
    """One name per row, all text or all finite numbers; an error shows the first that is neither.

    Arrays of objects that are numbers become arrays of numbers.
    """
    names: npt.NDArray[Any] = column_or_1d(y, warn=True)
    bad, fault = np.zeros(len(names), dtype=bool), "class names must be text or finite numbers"
    if names.dtype.kind == "O":
        text = np.array([isinstance(name, str) for name in names], dtype=bool)
        if text.any():
            bad, fault = ~text, "the other class names are text, so all must be"
        else:
            bad = np.array([not isinstance(name, numbers.Real) for name in names], dtype=bool)
            names = names if bad.any() else np.array(names.tolist())
    if names.dtype.kind == "f":
        bad = ~np.isfinite(names)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        message = (
            f"y contains {_kind(names[row])}: {names.tolist()[row]!r} in row {row}; {fault}. Drop "
            "such rows, or name their class."
        )
        raise InputError(message)
    return names


def _kind(value: Any) -> str:
    """NaN, inf, or the type, for messages."""
    if isinstance(value, numbers.Real) and not np.isfinite(float(value)):
        return "NaN" if np.isnan(float(value)) else "inf"
    return type(value).__name__


def _check_classes(classes: Any) -> npt.NDArray[Any]:
    known = np.asarray(classes)
    try:
        different = len(np.unique(known)) == known.size
    except TypeError:  # text and numbers do not sort
        different = False
    if known.ndim != 1 or not different:
        message = f"`classes` must be a list of different names of one type; got {classes!r}."
        raise InputError(message)
    return known


def class_numbers(names: npt.NDArray[Any], known: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """The position of each name among `known`; an error names the first stranger."""
    order = np.argsort(known, kind="stable")
    try:
        place = np.searchsorted(known[order], names)
    except TypeError:
        place = np.full(len(names), len(known))
    labels = order[np.minimum(place, len(known) - 1)]
    strange = np.flatnonzero(known[labels] != names)
    if len(strange):
        row = int(strange[0])
        shown = ", ".join(repr(name) for name in known[:10].tolist())
        message = (
            f"y has the class {names[row : row + 1].tolist()[0]!r} in row {row}, which is not "
            f"among the {len(known)} known classes ({shown}{', …' if len(known) > 10 else ''})."
        )
        raise InputError(message)
    return labels


def as_distributions(y: Any) -> Any:
    """Rows of probabilities, float64, as an ndarray or csr_array whose rows sum to 1."""
    if sp.issparse(y):
        values = sp.csr_array(y, dtype=np.float64, copy=True)
        values.sum_duplicates()
        entries, sums = values.data, np.asarray(values.sum(axis=1)).ravel()
    else:
        try:
            values = np.array(y, dtype=np.float64)
        except (TypeError, ValueError) as error:
            message = (
                "y has several columns, so each row must be a distribution over the classes, in "
                f"numbers: {error}"
            )
            raise InputError(message) from error
        entries, sums = values, values.sum(axis=1)
    bad = ~((entries >= 0) & np.isfinite(entries))
    if bad.any():
        _raise_bad_entry(values, entries, bad)
    single = np.dtype(getattr(y, "dtype", np.float64)) == np.float32 if _has_dtype(y) else False
    tolerance = _SUM_TOLERANCE_SINGLE if single else _SUM_TOLERANCE
    off = np.flatnonzero(np.abs(sums - 1) > tolerance)
    if len(off):
        message = (
            f"y row {off[0]} sums to {sums[off[0]]:.6g}; rows of distributions must sum to 1 "
            f"within {tolerance:g}. Divide each row by its sum, or pass class names."
        )
        raise InputError(message)
    if sp.issparse(values):
        values.data /= np.repeat(sums, np.diff(values.indptr))
        return values
    return values / sums[:, None]


def _has_dtype(y: Any) -> bool:
    return isinstance(getattr(y, "dtype", None), np.dtype)


def _raise_bad_entry(values: Any, entries: Any, bad: npt.NDArray[np.bool_]) -> None:
    """Name the first entry that is negative or not finite."""
    if sp.issparse(values):
        position = int(np.flatnonzero(bad)[0])
        row = int(np.searchsorted(values.indptr, position, side="right")) - 1
        column, value = int(values.indices[position]), entries[position]
    else:
        row, column = (int(k) for k in np.argwhere(bad)[0])
        value = entries[row, column]
    fault = "is negative" if np.isfinite(value) else f"contains {_kind(value)}"
    message = (
        f"y {fault}: {value} in row {row}, column {column}. Rows of y are distributions: entries "
        "must be probabilities between 0 and 1."
    )
    raise InputError(message)


def effective_weights(
    targets: Targets, sample_weight: Any, class_weight: Any, n: int
) -> tuple[npt.NDArray[np.float64], Targets]:
    """w_i = s_i Σ_j c_j y_ij per row, and the targets tilted by c, renormalised.

    ``Σ_i s_i Σ_j -c_j y_ij log p_ij`` is ``Σ_i w_i loss_i`` with those targets.
    """
    weight = read_sample_weight(sample_weight, n)
    if class_weight is None:
        return weight, targets
    per_class = _class_weights(targets, class_weight, weight)
    if not targets.soft:
        return weight * per_class[targets.values], targets
    tilted = targets.values * per_class
    sums = np.asarray(tilted.sum(axis=1)).ravel()
    scale = 1 / np.where(sums > 0, sums, 1.0)
    values = (
        tilted.multiply(scale[:, None]).tocsr() if sp.issparse(tilted) else tilted * scale[:, None]
    )
    empty = np.flatnonzero(sums == 0)
    if len(empty) and not sp.issparse(values):
        values[empty] = targets.values[empty]  # of weight 0
    return weight * sums, Targets(targets.classes, values)


def read_sample_weight(sample_weight: Any, n: int) -> npt.NDArray[np.float64]:
    """One weight per row, float64: finite, not negative, not all zero."""
    if sample_weight is None:
        return np.ones(n)
    weight = as_numbers(sample_weight, "sample_weight")
    if weight.ndim == 0:
        weight = np.full(n, float(weight))
    if weight.shape != (n,):
        message = f"sample_weight has shape {weight.shape}; expected one weight per row, ({n},)."
        raise InputError(message)
    bad = np.flatnonzero(~((weight >= 0) & np.isfinite(weight)))
    if len(bad):
        message = (
            f"sample_weight[{bad[0]}] is {weight[bad[0]]}; weights must be finite and not negative."
        )
        raise InputError(message)
    if not weight.any():
        message = "sample_weight is zero for every row; at least one row must count."
        raise InputError(message)
    return weight


def as_numbers(values: Any, name: str) -> npt.NDArray[np.float64]:
    """A copy in float64; an error names what was to be numbers."""
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = f"{name} must hold numbers: {error}."
        raise InputError(message) from error


def _class_weights(
    targets: Targets, class_weight: Any, weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """One weight per class. "balanced": every class gets the same share of Σ w."""
    q = len(targets.classes)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            message = f"class_weight is {class_weight!r}; use a dict, 'balanced' or None."
            raise InputError(message)
        mass = targets.class_mass(weight)
        present = mass > 0
        return np.where(present, weight.sum() / (present.sum() * np.where(present, mass, 1)), 0.0)
    if not isinstance(class_weight, dict):
        message = f"class_weight must be a dict, 'balanced' or None; got {class_weight!r}."
        raise InputError(message)
    per_class = np.ones(q)
    position = {name: j for j, name in enumerate(targets.classes.tolist())}
    for name, value in class_weight.items():
        if name not in position:
            message = f"class_weight names the class {name!r}, which is not among the classes."
            raise InputError(message)
        if not (isinstance(value, numbers.Real) and 0 <= float(value) < np.inf):
            message = (
                f"class_weight[{name!r}] is {value!r}; weights must be finite and not negative."
            )
            raise InputError(message)
        per_class[position[name]] = value
    return per_class
