"""Models without some of the features, and what the data think of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from crossent.errors import InputError
from crossent.inspection.at_optimum import at_optimum, check_kind, distance_to_optimum
from crossent.inspection.summary import FeatureTest
from crossent.linear_model.optimise import Problem, solve
from crossent.linear_model.restating import Restated, restate

__all__ = ["likelihood_ratio_tests", "log_likelihood_null"]

_REFIT_TOL = 1e-10
_REFIT_PASSES = 1000


def likelihood_ratio_tests(
    model: Any,
    X: Any,
    y: Any,
    /,
    *,
    features: Sequence[str] | None = None,
    sample_weight: Any = None,
    offset: Any = None,
) -> tuple[FeatureTest, ...]:
    """Test each feature by fitting the model again without it.

    2 (log-likelihood with − without) is compared with χ² of q − 1 degrees of freedom. Where a
    feature nearly separates classes this is to be trusted more than Wald's test, which loses its
    power there.

    Parameters
    ----------
    model, X, y, sample_weight, offset
        As in `summary`, with "hessian".
    features : sequence of str, optional
        Names as in `Summary.features`; default all but the intercept.

    Raises
    ------
    InputError
        As `summary`; a name that is none of the features.

    Notes
    -----
    Cost: a fit for each feature.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from crossent import SoftmaxRegression
    >>> X, y = load_wine(return_X_y=True)
    >>> model = SoftmaxRegression(C=np.inf, tol=1e-10).fit(X[:, [0, 1]], y)
    >>> for test in likelihood_ratio_tests(model, X[:, [0, 1]], y):
    ...     print(test.feature, round(test.statistic, 1), test.degrees)
    x0 145.7 2
    x1 43.9 2
    """
    posed = restate(model, X, y, sample_weight, offset)
    check_kind(model, posed, "hessian")
    found = at_optimum(posed, None)
    distance_to_optimum(found)
    wanted = posed.feature_names if features is None else list(features)
    unknown = [name for name in wanted if name not in posed.feature_names]
    if unknown:
        message = f"{unknown[0]!r} is none of the features; they are {posed.feature_names[:10]}."
        raise InputError(message)
    return tuple(
        FeatureTest(
            name, 2 * (_log_loss_without(posed, name) - found.rows.log_loss), found.contrasts
        )
        for name in wanted
    )


def log_likelihood_null(posed: Restated) -> float:
    """Log-likelihood without the features."""
    problem = posed.problem
    if problem.offset is None and problem.fit_intercept:
        mass = problem.targets.class_mass(problem.weight)
        held = mass[mass > 0]
        return float(held @ np.log(held / held.sum()))
    n = problem.X.shape[0]
    return -_refitted(_with_columns(problem, np.zeros((n, 1))), posed)


def _log_loss_without(posed: Restated, name: str) -> float:
    """Σ s loss of the best model without one feature."""
    kept = [k for k, other in enumerate(posed.feature_names) if other != name]
    problem = posed.problem
    X = problem.X[:, kept] if kept else np.zeros((problem.X.shape[0], 1))
    return _refitted(_with_columns(problem, X), posed)


def _with_columns(problem: Problem, X: Any) -> Problem:
    """The same rows with other columns; a column of zeros gets a penalty, which costs nothing."""
    low, high = X.min(axis=0), X.max(axis=0)
    dense = [np.asarray(a.todense() if hasattr(a, "todense") else a).ravel() for a in (low, high)]
    empty = X.shape[1] == 1 and not (dense[0].any() or dense[1].any())
    return replace(problem, X=X, column_range=(dense[0], dense[1]), C=1.0 if empty else problem.C)


def _refitted(problem: Problem, posed: Restated) -> float:
    """Σ s loss at the optimum of `problem`."""
    fit = solve(
        problem,
        start=None,
        tol=_REFIT_TOL,
        max_passes=_REFIT_PASSES,
        solver="auto",
        n_threads=None,
        rng=np.random.default_rng(0),
    )
    if not fit.certificate.converged:
        message = f"A model with fewer features did not converge: {fit.certificate.status.value}"
        raise InputError(message)
    weight = float(posed.problem.weight.sum())
    ridge = 0.5 * problem.penalty * float(np.vdot(fit.W, fit.W))
    return weight * (fit.certificate.objective - ridge)
