"""How good a fold's model is on the rows held out: log-loss, or one of scikit-learn's scorers."""

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import get_scorer

from crossent.errors import InputError
from crossent.linear_model.folds import Fold, held_out_rows, log_loss_score
from crossent.linear_model.optimise import Fit, Problem
from crossent.linear_model.path import fitted_model
from crossent.linear_model.softmax_regression import SoftmaxRegression
from crossent.linear_model.targets import read_sample_weight

__all__ = ["LOG_LOSS", "Score", "log_loss_of", "read_scorer", "scorer_of"]

Score: TypeAlias = Callable[[Fit, Problem], float]
"""Score of a fit at the problem's C; higher is better."""

LOG_LOSS = "neg_log_loss"


def read_scorer(scoring: Any, *, soft: bool, offset: Any, sample_weight: Any) -> Any:
    """The scorer that `scoring` names; None for the log-loss.

    Raises
    ------
    InputError
        No such scorer; or one that cannot know the distributions, the offset or the weights.
    """
    if scoring is None or scoring == LOG_LOSS:
        return None
    try:
        scorer = get_scorer(scoring)
    except (ValueError, TypeError) as error:
        message = (
            f"scoring is {scoring!r}; it must be None (log-loss), a name from "
            "sklearn.metrics.get_scorer_names() or a callable scorer(estimator, X, y)."
        )
        raise InputError(message) from error
    remedy = "Use scoring=None, the log-loss."
    if soft and isinstance(scoring, str):
        message = f"scoring={scoring!r} compares classes, and y holds distributions. {remedy}"
        raise InputError(message)
    if offset is not None:
        message = f"scoring={scoring!r} predicts without the offset. {remedy}"
        raise InputError(message)
    if sample_weight is not None and not _takes_weights(scorer):
        message = f"scoring={scoring!r} takes no sample_weight and would ignore yours. {remedy}"
        raise InputError(message)
    return scorer


def _takes_weights(scorer: Any) -> bool:
    """Whether the metric of a scorer, or a function in place of one, takes `sample_weight`."""
    parameters = inspect.signature(getattr(scorer, "_score_func", scorer)).parameters
    any_keyword = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return "sample_weight" in parameters or any_keyword


def log_loss_of(problem: Problem, fold: Fold) -> Score:
    """Minus the cross-entropy of the fold's held-out rows, which are copied here, once."""
    held_out = held_out_rows(problem, fold)

    def score(fit: Fit, _problem: Problem) -> float:
        return log_loss_score(held_out, fit)

    return score


def scorer_of(
    scorer: Any,
    problem: Problem,
    fold: Fold,
    *,
    estimator: SoftmaxRegression,
    y: Any,
    sample_weight: Any,
) -> Score:
    """A scikit-learn scorer on the fold's held-out rows, with the weights that the user gave.

    Weights of classes are left to the metric: "balanced" accuracy would count them twice.
    """
    X = problem.X[fold.test]
    nameless = _without_names(estimator)
    given = y if sp.issparse(y) else np.asarray(y)
    targets = problem.targets
    truth = given[fold.test] if targets.soft else targets.classes[targets.values[fold.test]]
    weights = {}
    if sample_weight is not None:
        whole = read_sample_weight(sample_weight, problem.X.shape[0])
        weights["sample_weight"] = whole[fold.test]

    def score(fit: Fit, at: Problem) -> float:
        return float(scorer(fitted_model(nameless, fit, at, X), X, truth, **weights))

    return score


def _without_names(estimator: SoftmaxRegression) -> SoftmaxRegression:
    """The estimator for arrays: it would warn that they have no column names."""
    nameless = SoftmaxRegression(**estimator.get_params())
    nameless.n_features_in_ = estimator.n_features_in_
    return nameless
