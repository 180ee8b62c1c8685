"""What clones of a classifier say about rows that they were not fitted to."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils.validation import has_fit_parameter

from crossent.errors import InputError
from crossent.linear_model.schema import RangeWarning
from crossent.linear_model.targets import Targets, read_sample_weight

__all__ = ["fitted_clone", "out_of_fold", "take_rows"]


def out_of_fold(
    estimator: Any,
    X: Any,
    y: Any,
    /,
    *,
    targets: Targets,
    cv: Any,
    response: Callable[[Any, Any], npt.NDArray[np.float64]],
    sample_weight: Any = None,
) -> npt.NDArray[np.float64]:
    """The response of a model to each row that was fitted to the other folds' rows.

    Parameters
    ----------
    estimator : classifier
        Cloned for each fold.
    X, y
        As the estimator takes them: arrays, frames, lists, sparse matrices.
    targets : Targets
        What `y` says; its classes are those that every fold's model must know.
    cv : int, splitter or iterable
        Its folds hold out every row exactly once. Splitters get the labels; of distributions, the
        most probable class of each row.
    response : callable
        ``response(fitted, rows)``, an array with one entry for each row.
    sample_weight : array-like, shape (n,), optional

    Raises
    ------
    InputError
        The training rows of a fold lack a class; a row is held out never or twice; weights for an
        estimator that takes none.
    """
    labels = np.asarray(targets.values.argmax(axis=1)).ravel() if targets.soft else targets.values
    n = len(labels)
    weight = None if sample_weight is None else read_sample_weight(sample_weight, n)
    found: npt.NDArray[np.float64] | None = None
    seen = np.zeros(n, dtype=np.intp)
    splits = check_cv(cv, labels, classifier=True).split(np.zeros((n, 1)), labels)
    for number, (train, test) in enumerate(splits):
        part = None if weight is None else weight[train]
        fitted = fitted_clone(estimator, take_rows(X, train), take_rows(y, train), part)
        _check_same_classes(fitted, targets.classes, number)
        with warnings.catch_warnings():
            # A fold's rows lie in the range of the data, if not in that of the other folds.
            warnings.simplefilter("ignore", RangeWarning)
            one = response(fitted, take_rows(X, test))
        if found is None:
            found = np.empty((n, *one.shape[1:]))
        found[test] = one
        seen[test] += 1
    if found is None or (seen != 1).any():
        message = "cv must hold out every row exactly once; use KFold or StratifiedKFold."
        raise InputError(message)
    return found


def fitted_clone(estimator: Any, X: Any, y: Any, weight: Any, /) -> Any:
    """A clone fitted to the rows; InputError if it takes no weights and there are some."""
    fresh = clone(estimator)
    if weight is None:
        return fresh.fit(X, y)
    if not has_fit_parameter(fresh, "sample_weight"):
        message = (
            f"{type(fresh).__name__}.fit takes no `sample_weight`. Leave the weights out, or fit "
            "it yourself to all rows alike."
        )
        raise InputError(message)
    return fresh.fit(X, y, sample_weight=weight)


def take_rows(X: Any, numbers: npt.NDArray[np.intp], /) -> Any:
    """Some rows of an array, a frame of pandas or polars, a list, or any sparse matrix."""
    if hasattr(X, "iloc"):
        return X.iloc[numbers]
    if hasattr(X, "tocsr"):
        return X.tocsr()[numbers]
    return X[numbers] if hasattr(X, "shape") else np.asarray(X)[numbers]


def _check_same_classes(fitted: Any, classes: npt.NDArray[Any], number: int) -> None:
    """Every fold's model knows every class."""
    missing = set(classes.tolist()) - set(fitted.classes_.tolist())
    if missing:
        message = (
            f"The training rows of fold {number} have no class {sorted(missing, key=str)[0]!r}, so "
            "its model says nothing about it. Use fewer folds or stratified ones, or add rows."
        )
        raise InputError(message)
