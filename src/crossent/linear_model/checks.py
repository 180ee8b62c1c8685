"""Checks of what a fit is given: each message names the value, the place and the remedy."""

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils.validation import validate_data

from crossent.errors import InputError
from crossent.linear_model.targets import Targets, as_numbers

__all__ = [
    "check_classes",
    "check_magnitudes",
    "check_parameters",
    "check_targets_given",
    "read_features",
    "read_offset",
]

_SOLVERS = ("auto", "lbfgs", "newton")
_LARGEST = {"float32": 1e15, "float64": 1e100}  # sums of squares stay far from overflow


def check_parameters(estimator: Any) -> None:
    """Each parameter of a SoftmaxRegression alone."""
    rules = (
        ("C", _is_positive(estimator.C), "a positive number or np.inf"),
        ("tol", _is_positive(estimator.tol), "a positive number"),
        ("max_iter", _is_count(estimator.max_iter), "a positive integer"),
        ("solver", estimator.solver in _SOLVERS, "one of " + ", ".join(map(repr, _SOLVERS))),
        (
            "n_threads",
            estimator.n_threads is None or _is_count(estimator.n_threads),
            "a positive integer or None",
        ),
        ("verbose", isinstance(estimator.verbose, numbers.Integral), "0, 1 or 2"),
    )
    for name, valid, expected in rules:
        if not valid:
            message = f"{name} is {getattr(estimator, name)!r}; it must be {expected}."
            raise InputError(message)


def _is_positive(value: Any) -> bool:
    return isinstance(value, numbers.Real) and float(value) > 0


def _is_count(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and int(value) > 0


def check_targets_given(y: Any) -> None:
    """Classes or distributions were passed at all."""
    if y is None:
        message = "requires y to be passed, but the target y is None: pass the classes of the rows."
        raise InputError(message)


def check_classes(targets: Targets, weight: npt.NDArray[np.float64], *, given: bool) -> None:
    """At least two classes have weight; classes that were not `given` but inferred all have."""
    present = targets.class_mass(weight) > 0
    if present.sum() < 2:
        names = targets.classes[present].tolist()
        message = (
            f"Only one class has rows of positive weight: {names}. A classifier needs at least two "
            "classes; check y, sample_weight and class_weight."
        )
        raise InputError(message)
    if not given and not targets.soft and not present.all():
        name = targets.classes[~present].tolist()[0]
        message = (
            f"All rows of class {name!r} have weight 0, so nothing is known about it. Drop those "
            "rows, or pass `classes` to give it probability 0."
        )
        raise InputError(message)


def read_offset(offset: Any, n: int, q: int) -> npt.NDArray[np.float64] | None:
    """Finite, shape (n, q); for two classes (n,) is the offset of the second's log-odds."""
    if offset is None:
        return None
    values = as_numbers(offset, "offset")
    if q == 2 and values.shape in ((n,), (n, 1)):
        values = np.column_stack([np.zeros(n), values.ravel()])
    if values.shape != (n, q):
        message = f"offset has shape {values.shape}; expected ({n}, {q}), one column per class."
        raise InputError(message)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        message = (
            f"offset is {values[row, column]} in row {row}, column {column}; it must be finite."
        )
        raise InputError(message)
    return values


def read_features(estimator: Any, X: Any, *, reset: bool) -> Any:
    """X as scikit-learn takes it, dense or as a csr_array, float32 or float64; NaN is let through.

    `reset` records names and number of the columns; otherwise they are compared.
    """
    try:
        X = validate_data(
            estimator,
            X,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
            reset=reset,
        )
    except ValueError as error:
        if "could not convert string" in str(error):
            raise InputError(_text_in(X)) from error
        raise
    return sp.csr_array(X) if sp.issparse(X) else X


def _text_in(X: Any) -> str:
    """A message that names the first text in X that is not a number."""
    table = np.asarray(X)
    row, column = np.argwhere(np.frompyfunc(_is_text, 1, 1)(table).astype(bool))[0]
    names = getattr(X, "columns", None)
    name = "" if names is None else f" ({names[column]!r})"
    return (
        f"X holds text: {table[row, column]!s:.40} in row {row}, column {column}{name}. Encode "
        "such columns as numbers, for instance with sklearn.preprocessing.OneHotEncoder, or drop "
        "them."
    )


def _is_text(value: Any) -> bool:
    """Whether it is text that is no number."""
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def check_magnitudes(
    X: Any,
    column_range: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    weight: npt.NDArray[np.float64],
    C: float,
) -> None:
    """Nothing overflows: not the squares of X, not the sum of the weights, not λ = 1/(C·Σw)."""
    largest = np.maximum(-column_range[0], column_range[1])
    limit = _LARGEST[X.dtype.name]
    if largest.max() > limit:
        column = int(largest.argmax())
        message = (
            f"X reaches {largest[column]:.3g} in column {column}; squares of {X.dtype} above "
            f"{limit:g} overflow. Divide the column by its scale."
        )
        raise InputError(message)
    with np.errstate(over="ignore"):
        total = float(weight.sum())
    if not (np.isfinite(total) and C * total > 1e-300 and (np.isinf(C) or C * total < 1e300)):
        message = (
            f"The penalty 1/(C·Σ sample_weight) is out of range: C is {C:g} and the weights sum "
            f"to {total:g}. Divide the weights by their mean; C=np.inf means no penalty."
        )
        raise InputError(message)
