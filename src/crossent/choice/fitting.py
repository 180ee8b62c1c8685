"""From choice sets to coefficients: solve, and prove that the solution exists."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from crossent.certificate import Certificate, TracePoint
from crossent.choice.existence import describe_direction
from crossent.errors import InputError
from crossent.objectives.blas import blas_for
from crossent.objectives.choice import ChoiceObjective
from crossent.objectives.choice_existence import flat_columns, recession_direction
from crossent.objectives.choice_metric import CholeskyMetric
from crossent.objectives.choice_sets import ChoiceSets
from crossent.solvers import minimise

__all__ = ["Fitted", "Model", "fit_choices"]

_UNUSED = np.random.default_rng(0)  # exact metrics draw nothing


@dataclass(frozen=True)
class Model:
    """What is to be fitted.

    Attributes
    ----------
    sets : ChoiceSets
    penalty : float
        Adds (penalty/2) Σ w_j² over the penalised coefficients to the *sum* of the losses.
    penalised : ndarray of bool, shape (p,)
    gauge : ndarray, shape (g, p)
    exists : bool
        Whether the existence of the optimum is known already.
    """

    sets: ChoiceSets
    penalty: float
    penalised: npt.NDArray[np.bool_]
    gauge: npt.NDArray[np.float64]
    exists: bool

    def objective(self) -> ChoiceObjective:
        """What is minimised: the mean loss and its share of the penalty."""
        return ChoiceObjective(
            self.sets,
            penalty=self.penalty / self.sets.total,
            penalised=self.penalised,
            gauge=self.gauge,
        )


@dataclass(frozen=True)
class Fitted:
    """The coefficients and where they come from."""

    model: Model
    objective: ChoiceObjective
    w: npt.NDArray[np.float64]
    certificate: Certificate
    trace: tuple[TracePoint, ...]

    # In files the objective is left out: the model has all that it is made of.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "objective"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, objective=state["model"].objective())

    @property
    def log_likelihood(self) -> float:
        """Σ n log p in nats, without the penalty."""
        ridge = 0.5 * self.objective.penalty * float(np.sum(self.w[self.model.penalised] ** 2))
        return -self.objective.total * (self.certificate.objective - ridge)


def fit_choices(
    model: Model,
    names: Callable[[], Sequence[str]],
    *,
    start: npt.NDArray[np.float64] | None = None,
    tol: float,
    max_passes: int,
) -> Fitted:
    """Fit, and raise where there is no optimum; `names` gives the coefficients' for messages.

    Where connectivity does not decide, the solution proves its own existence (see
    `ChoiceObjective.proves_existence`); only if it does not, a linear program looks for a direction
    in which the likelihood grows for ever.

    Raises
    ------
    InputError
        The optimum does not exist or is not unique; the message names coefficients and remedies.

    Warns
    -----
    ConvergenceWarning
        If `tol` was not reached.
    """
    with blas_for(model.sets.n_parameters):
        fitted = _fit(model, names, start, tol, max_passes)
    if not fitted.certificate.converged:
        warnings.warn(fitted.certificate.status.value, ConvergenceWarning, stacklevel=4)
    return fitted


def _fit(
    model: Model,
    names: Callable[[], Sequence[str]],
    start: npt.NDArray[np.float64] | None,
    tol: float,
    max_passes: int,
) -> Fitted:
    """`fit_choices` without the warning."""
    started = time.perf_counter()
    objective = model.objective()
    start = np.zeros(model.sets.n_parameters) if start is None else start
    if not model.exists:
        _check_unique(objective, start, names)
    solution = minimise(
        objective,
        start,
        tol=tol,
        max_passes=max_passes,
        rng=_UNUSED,
        spent=(objective.passes, time.perf_counter() - started),
    )
    if not (model.exists or objective.proves_existence(solution.w)):
        free = np.ones(len(solution.w), bool) if model.penalty == 0 else ~model.penalised
        direction = recession_direction(model.sets, free)
        if direction is not None:
            raise InputError(describe_direction(direction, names()))
    return Fitted(model, objective, solution.w, solution.certificate, solution.trace)


def _check_unique(
    objective: ChoiceObjective,
    start: npt.NDArray[np.float64],
    names: Callable[[], Sequence[str]],
) -> None:
    """Refuse coefficients that the data say nothing about.

    The metric at `start` is needed for the first step anyway, and mostly settles it.
    """
    metric = objective.exact_metric(start)
    if isinstance(metric, CholeskyMetric) and metric.is_certainly_definite:
        return
    hessian = objective.hessian(np.zeros(objective.n_parameters))
    flat = flat_columns(hessian, objective.gauge)
    if len(flat):
        called = names()
        more = f" and {len(flat) - 5} more" if len(flat) > 5 else ""
        message = (
            f"The data do not determine {', '.join(called[j] for j in flat[:5])}{more}: another "
            "combination of coefficients has the same effect. Drop constant or repeated columns."
        )
        raise InputError(message)
