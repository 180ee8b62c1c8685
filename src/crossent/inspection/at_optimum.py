"""What the rows say about a fitted softmax regression's coefficients, and when they say nothing."""

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.linalg

from crossent.certificate import Status
from crossent.errors import InputError
from crossent.linear_model.optimise import source_of
from crossent.linear_model.restating import Restated
from crossent.objectives.blas import blas_for
from crossent.objectives.information import (
    Features,
    Information,
    determined_by_others,
    information,
)

__all__ = ["AtOptimum", "Units", "at_optimum", "check_kind", "distance_to_optimum"]

Units: TypeAlias = npt.NDArray[np.intp] | Literal["rows"] | None
"""What is independent, for the covariance of the score: see `information`."""

_MAX_COEFFICIENTS = 3000
_FAR = 0.3  # standard errors from the optimum; further off, the errors describe another point
_NOTHING = 1e-24  # of the largest curvature of a standardised column: rounding of a constant one


@dataclass(frozen=True)
class AtOptimum:
    """What the rows say at the model's coefficients.

    u are the raw coefficients relative to the first class, (q − 1, size), intercept first;
    `curvature` is the Hessian with the penalty, in the coordinates of `features`.
    """

    rows: Information
    features: Features
    u: npt.NDArray[np.float64]
    gradient: npt.NDArray[np.float64]
    curvature: npt.NDArray[np.float64]

    @property
    def contrasts(self) -> int:
        """Q − 1."""
        return len(self.u)


def at_optimum(posed: Restated, units: Units) -> AtOptimum:
    """Score and Hessian, after a look at whether the Hessian can be inverted."""
    problem = posed.problem
    source = source_of(problem, posed.present)
    W, b = posed.W[posed.present], posed.b[posed.present]
    features = _features(source.X, source.sample_weight, problem.fit_intercept)
    size = (source.n_classes - 1) * features.size
    if size > _MAX_COEFFICIENTS:
        message = (
            f"{size} coefficients are too many for a covariance matrix (limit "
            f"{_MAX_COEFFICIENTS}). Use fewer columns or classes, or the bootstrap."
        )
        raise InputError(message)
    total = float(problem.weight.sum())
    with blas_for(size):
        rows = information(source, W, b, features, total=total, units=units)
    u = W[1:] - W[0]
    if problem.fit_intercept:
        u = np.column_stack([b[1:] - b[0], u])
    ridge = _ridge(posed, features, source.n_classes)
    standardised = np.linalg.solve(features.back, u.T).T
    gradient = rows.score + ridge @ standardised.ravel()
    curvature = rows.hessian + ridge
    _check_determined(curvature, features, posed.feature_names)
    return AtOptimum(rows, features, u, gradient, curvature)


def _features(X: Any, weight: npt.NDArray[np.float64], intercept: bool) -> Features:
    """Centres and spreads of the columns, as weighted; 1 for a constant column."""
    squares = X.multiply(X) if hasattr(X, "multiply") else X * X
    mean = np.asarray(weight @ X, dtype=np.float64).ravel()
    second = np.asarray(weight @ squares, dtype=np.float64).ravel()
    centre = mean if intercept else np.zeros_like(mean)
    spread = np.sqrt(np.maximum(second - centre**2, 0.0))
    return Features(centre, np.where(spread > 1e-9 * np.sqrt(second), spread, 1.0), intercept)


def _ridge(posed: Restated, features: Features, q: int) -> npt.NDArray[np.float64]:
    """Second derivative of S (λ/2) ‖W‖² with Σ_j W_j = 0, in the coordinates of `features`."""
    strength = posed.problem.penalty * float(posed.problem.weight.sum())
    one = np.concatenate([np.zeros(int(features.intercept)), features.scale**-2.0])
    between = np.eye(q - 1) - 1 / q
    return np.asarray(strength * np.kron(between, np.diag(one)))


def _check_determined(
    curvature: npt.NDArray[np.float64], features: Features, names: list[str]
) -> None:
    """Refuse coefficients that the rows say nothing about."""
    diagonal = curvature.diagonal()
    constant = np.flatnonzero(diagonal <= _NOTHING * diagonal.max(initial=0.0))
    flat = np.union1d(determined_by_others(curvature), constant)
    if not flat.size:
        return
    columns = np.unique(flat % features.size) - features.intercept
    # A constant column and the intercept determine each other: the column is what can be dropped.
    shown = [names[k] for k in columns.tolist() if k >= 0] or ["(intercept)"]
    message = (
        f"The rows do not determine the coefficients of {', '.join(map(repr, shown[:5]))}"
        f"{f' and {len(shown) - 5} more' if len(shown) > 5 else ''}: the columns are constant, or "
        "sums of other columns. Drop them."
    )
    raise InputError(message)


def distance_to_optimum(found: AtOptimum) -> float:
    """The distance to the optimum in standard errors; InputError if it is large."""
    factor = scipy.linalg.cho_factor(found.curvature, lower=True)
    step = scipy.linalg.cho_solve(factor, found.gradient)
    distance = math.sqrt(max(float(found.gradient @ step), 0.0))
    if not distance <= _FAR:
        message = (
            f"The coefficients are {distance:.3g} standard errors from the optimum for these rows. "
            "Give the rows, weights and offset that the model was fitted to, and fit it with a "
            "smaller `tol`, such as 1e-10."
        )
        raise InputError(message)
    return distance


def check_kind(model: Any, posed: Restated, covariance: str) -> None:
    """Refuse what the theory does not hold for."""
    penalised = posed.problem.penalty > 0
    status = model.certificate_.status
    if penalised and covariance != "penalised":
        message = (
            f"The model has a penalty (C = {model.C:g}), which pulls its coefficients towards 0: "
            "errors, intervals and tests of maximum likelihood do not hold for it. Fit it with "
            "C=np.inf, or ask for covariance='penalised', the spread of the posterior."
        )
    elif not penalised and covariance == "penalised":
        message = "The model has no penalty; ask for covariance='hessian' or 'sandwich'."
    elif not penalised and (model.separable_ or status is Status.SEPARABLE):
        message = (
            "Planes separate the classes, so the likelihood has no finite optimum and its "
            "coefficients have no errors. Fit with a finite C and ask for covariance='penalised', "
            "or leave out the columns that separate."
        )
    elif not model.certificate_.converged:
        message = f"The fit did not converge, so its errors would mislead. {status.value}"
    elif covariance == "hessian" and model.class_weight is not None:
        message = (
            "With class weights the loss is no likelihood, and the inverse Hessian no covariance. "
            "Ask for covariance='sandwich'."
        )
    else:
        return
    raise InputError(message)
