"""Checks of parameters, classes and offset: each message names the value, the place, the remedy."""

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.linear_model.targets import Targets

__all__ = ["check_classes", "check_parameters", "read_offset"]

_SOLVERS = ("auto", "lbfgs", "newton")


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
    )
    for name, valid, expected in rules:
        if not valid:
            message = f"{name} is {getattr(estimator, name)!r}; it must be {expected}."
            raise InputError(message)


def _is_positive(value: Any) -> bool:
    return isinstance(value, numbers.Real) and float(value) > 0


def _is_count(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and int(value) > 0


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
    values = np.asarray(offset, dtype=np.float64)
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
