"""SoftmaxRegression with W as a structured linear map: which map, where to begin, how it ends."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.certificate import Status, TracePoint
from crossent.errors import InputError
from crossent.kernels import choose, problem_of
from crossent.linear_maps import (
    MAP_NAMES,
    CostReport,
    Dense,
    StructuredMap,
    check_map_name,
    cost_report,
    is_faster_than_dense,
    make_map,
)
from crossent.linear_model.optimise import (
    Fit,
    PassCallback,
    Problem,
    _all_classes,
    _blas_limit,
    solve,
    source_of,
)
from crossent.linear_model.prediction import linear_logits
from crossent.objectives import separates
from crossent.objectives.blas import blas_threads
from crossent.objectives.structured import StructuredObjective
from crossent.solvers import Solution, minimise

__all__ = ["estimator_logits", "report_of", "resolve_map", "solve_with_map"]

_BLOCK_ROWS = 4096
_NO_LOGIT = 1e-3  # nats; logits that differ by less are those of W = 0
_SEPARABLE_LOSS = 0.05  # nats, as for a dense W


def resolve_map(
    linear_map: Any, shape: tuple[int, int], rng: np.random.Generator, /
) -> StructuredMap | None:
    """The map that an estimator's `linear_map` stands for; None for a dense W.

    Raises
    ------
    InputError
        A name that there is not, the nearest being offered; something that is no map; a map of
        another shape than (classes with rows, features).
    """
    if isinstance(linear_map, str):
        check_map_name(linear_map)
        return None if linear_map == "dense" else make_map(linear_map, shape, rng=rng)
    if not isinstance(linear_map, StructuredMap):
        message = (
            f"linear_map is {linear_map!r}; it must be a crossent.linear_maps map, or one of "
            f"{', '.join(map(repr, MAP_NAMES))}."
        )
        raise InputError(message)
    if linear_map.shape != shape:
        message = (
            f"linear_map has shape {linear_map.shape}; the data ask for {shape}: one row per class "
            "that has rows of positive weight, one column per feature."
        )
        raise InputError(message)
    return None if isinstance(linear_map, Dense) else linear_map


def solve_with_map(
    estimator: Any,
    problem: Problem,
    *,
    start: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None,
    rng: np.random.Generator,
    callback: PassCallback | None,
) -> tuple[Fit, dict[str, Any]]:
    """The fit of an estimator, and its attributes ``linear_map_`` and ``theta_`` if W has any.

    Parameters
    ----------
    estimator : SoftmaxRegression
        Its parameters, and at a warm start its previous map and θ.
    start : (W, b) or None
        Where to begin, over all classes.
    """
    present = problem.targets.class_mass(problem.weight) > 0
    linear_map = resolve_map(estimator.linear_map, (int(present.sum()), problem.X.shape[1]), rng)
    if linear_map is None:
        fit = solve(
            problem,
            start=start,
            tol=estimator.tol,
            max_passes=estimator.max_iter,
            solver=estimator.solver,
            n_threads=estimator.n_threads,
            rng=rng,
            callback=callback,
        )
        return fit, {}
    _check_solver(estimator.solver)
    linear_map, theta = _beginning(estimator, linear_map, start, present, problem.column_range, rng)
    objective = StructuredObjective(
        source := source_of(problem, present),
        choose(problem_of(source.X, source.n_classes)),
        linear_map,
        penalty=problem.penalty_of_scikit_learn,
        fit_intercept=problem.fit_intercept,
        n_threads=estimator.n_threads,
    )
    b = _first_intercept(problem, start, present)
    with blas_threads(_blas_limit(estimator.n_threads, source, "auto")):
        solution = _minimised(
            objective, objective.pack(theta, b), estimator, present, rng, callback
        )
    W, b = objective.unpack(solution.w)
    theta, _ = objective.split(solution.w)
    split = _separated(objective, solution, W, b)
    if split and objective.penalty == 0:
        solution = _with_status(solution, Status.SEPARABLE)
    fit = Fit(*_all_classes(W, b, present), solution, present, split)
    return fit, {"linear_map_": linear_map, "theta_": theta}


def _check_solver(solver: str) -> None:
    if solver == "newton":
        message = (
            "solver='newton' is for a dense W. With a linear_map leave solver='auto'; it uses the "
            "exact Hessian of the map's parameters where the data are small."
        )
        raise InputError(message)


def _beginning(
    estimator: Any,
    linear_map: StructuredMap,
    start: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None,
    present: npt.NDArray[np.bool_],
    column_range: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    rng: np.random.Generator,
) -> tuple[StructuredMap, npt.NDArray[np.float64]]:
    """The map and θ to begin with: the zero start, or the previous fit's.

    At a warm start the previous θ with its permutations and signs, if the previous map was of this
    kind and these sizes; else the projection of the previous W.
    """
    if start is None:
        return linear_map, linear_map.zero_start(rng)
    previous = getattr(estimator, "linear_map_", None)
    if type(previous) is type(linear_map) and previous.shape == linear_map.shape:
        try:
            loaded, theta = linear_map.load_state(previous.state(estimator.theta_))
        except InputError:  # of other options, such as another rank
            pass
        else:
            return loaded, _revived(loaded, theta, column_range, rng)
    theta = linear_map.from_dense(start[0][present])
    return linear_map, _revived(linear_map, theta, column_range, rng)


def _revived(
    linear_map: StructuredMap,
    theta: npt.NDArray[np.float64],
    column_range: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """θ; the zero start where W(θ) hardly moves a logit and is not linear in θ.

    A penalty that is strong enough draws all factors to zero, and constant columns do: a saddle,
    from which no later fit would come away though its penalty were weak (digits, rank 4, C = 1e-6
    and then 1: objective 2.30 in place of 0.18). Both starts have W = 0 then, so nothing is lost.
    """
    if linear_map.is_linear_in_parameters:
        return theta
    lowest, highest = column_range
    largest = np.abs(linear_map.to_dense(theta)) @ np.maximum(highest - lowest, 0)
    return theta if largest.max() > _NO_LOGIT else linear_map.zero_start(rng)


def _first_intercept(
    problem: Problem,
    start: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None,
    present: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """The previous one, or the logarithm of the class frequencies; centred."""
    mass = problem.targets.class_mass(problem.weight)[present]
    b = np.log(mass / mass.sum())
    if start is not None:
        b = np.where(np.isfinite(start[1][present]), start[1][present], b)
    return np.asarray(b - b.mean())


def _minimised(
    objective: StructuredObjective,
    first: npt.NDArray[np.float64],
    estimator: Any,
    present: npt.NDArray[np.bool_],
    rng: np.random.Generator,
    callback: PassCallback | None,
) -> Solution:
    """The solver's answer; where the problem is not convex, it is said to be a local one."""

    def on_pass(point: TracePoint, w: npt.NDArray[np.float64]) -> bool:
        return callback is not None and callback(
            point, *_all_classes(*objective.unpack(w), present)
        )

    solution = minimise(
        objective,
        first,
        tol=estimator.tol,
        max_passes=estimator.max_iter,
        rng=rng,
        callback=on_pass,
    )
    if objective.linear_map.is_linear_in_parameters:
        return solution
    certificate = replace(solution.certificate, kind="local")
    if certificate.status is Status.STATIONARY:
        certificate = replace(certificate, status=Status.LOCAL_OPTIMUM)
    return replace(solution, certificate=certificate)


def _with_status(solution: Solution, status: Status) -> Solution:
    return replace(solution, certificate=replace(solution.certificate, status=status))


def _separated(
    objective: StructuredObjective,
    solution: Solution,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
) -> bool | None:
    """True if this W separates the classes; whether another of its kind would is not examined."""
    certificate = solution.certificate
    theta, _ = objective.split(solution.w)
    loss = certificate.objective - 0.5 * objective.penalty * float(theta @ theta)
    source = objective.source
    if not loss <= _SEPARABLE_LOSS or source.offset_width > 0:
        return None
    return True if separates(source.take(slice(None), source.dtype), W, b) else None


def estimator_logits(estimator: Any, X: Any, /) -> npt.NDArray[np.float64]:
    """``X Wᵀ + b`` in float64, shape (n, q), W with rows that sum to zero.

    Through the map if there is one and it is estimated to be faster for so many rows; otherwise,
    and for sparse X, through ``coef_``, in which it is multiplied out.
    """
    W, b = estimator._symmetric()
    linear_map = getattr(estimator, "linear_map_", None)
    rows = min(X.shape[0], _BLOCK_ROWS)
    if (
        linear_map is None
        or linear_map.shape != W.shape  # classes without rows are not in the map
        or sp.issparse(X)
        or not is_faster_than_dense(linear_map, rows)
    ):
        return linear_logits(X, W, b)
    logits = np.empty((X.shape[0], len(W)))
    for begin in range(0, X.shape[0], _BLOCK_ROWS):
        part = slice(begin, begin + _BLOCK_ROWS)
        logits[part] = linear_map.apply(estimator.theta_, X[part].astype(np.float64, copy=False))
    logits -= logits.mean(axis=1, keepdims=True)
    logits += b
    return logits


def report_of(estimator: Any, batch: int, /) -> CostReport:
    """Costs of the estimator's map, or of its W as a dense map."""
    linear_map = getattr(estimator, "linear_map_", None)
    if linear_map is None:
        W, _ = estimator._symmetric()
        return cost_report(Dense(W.shape), W.ravel(), batch=batch)
    return cost_report(linear_map, estimator.theta_, batch=batch)
