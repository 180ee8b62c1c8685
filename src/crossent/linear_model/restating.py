"""The problem that a fitted model solved, posed again from its rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from crossent.errors import InputError
from crossent.linear_model.checks import read_features
from crossent.linear_model.optimise import Problem
from crossent.linear_model.softmax_regression import SoftmaxRegression

__all__ = ["Restated", "restate"]


@dataclass(frozen=True)
class Restated:
    """A problem and the coefficients that a model has for it.

    Attributes
    ----------
    problem : Problem
    W : ndarray, shape (q, d)
    b : ndarray, shape (q,)
        −∞ for classes without rows.
    present : ndarray of bool, shape (q,)
    feature_names : list of str
    """

    problem: Problem
    W: npt.NDArray[np.float64]
    b: npt.NDArray[np.float64]
    present: npt.NDArray[np.bool_]
    feature_names: list[str]


def restate(model: Any, X: Any, y: Any, sample_weight: Any, offset: Any, /) -> Restated:
    """Check the rows as `fit` did, and take the coefficients as they are.

    Raises
    ------
    InputError
        Another kind of model, one with a structured W, or rows that `fit` would refuse or that
        have other columns.
    """
    if not isinstance(model, SoftmaxRegression):
        message = (
            f"A {type(model).__name__} has no likelihood that is known here. Fit a "
            "crossent.SoftmaxRegression; of one with a chosen C, a SoftmaxRegression with that C."
        )
        raise InputError(message)
    check_is_fitted(model)
    if hasattr(model, "linear_map_"):
        message = (
            f"The model's W is a {type(model.linear_map_).__name__}, whose problem is one in its "
            "parameters and not in W. Fit a SoftmaxRegression with linear_map='dense'."
        )
        raise InputError(message)
    known = model.schema_.names
    features = read_features(model, X, reset=False)
    problem = model._problem(features, y, sample_weight, offset)
    if problem.targets.classes.tolist() != model.classes_.tolist():
        found, wanted = problem.targets.classes.tolist(), model.classes_.tolist()
        message = (
            f"y has the classes {found[:10]} and the model {wanted[:10]}. Give the rows that the "
            "model was fitted to."
        )
        raise InputError(message)
    W, b = model._symmetric()
    names = [f"x{k}" for k in range(W.shape[1])] if known is None else [str(name) for name in known]
    return Restated(problem, W, b, problem.targets.class_mass(problem.weight) > 0, names)
