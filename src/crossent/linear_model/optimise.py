"""From checked arrays to the optimum: source, objective, start, solver, and back to (q, d)."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from crossent.certificate import Certificate, Status, TracePoint
from crossent.errors import InputError
from crossent.kernels import Kernel, choose, problem_of
from crossent.linear_model.targets import Targets
from crossent.objectives import SoftmaxObjective, dual_start, separable, separates
from crossent.objectives.blas import blas_threads
from crossent.solvers import Solution, minimise
from crossent.sources import ArraySource
from crossent.typing import FloatArray

__all__ = ["Fit", "PassCallback", "Problem", "solve", "source_of"]

PassCallback: TypeAlias = Callable[
    [TracePoint, npt.NDArray[np.float64], npt.NDArray[np.float64]], bool
]
"""Called with a TracePoint, W and b over all classes; True asks to stop."""

_HESSIANS: dict[str, Literal["auto", "model", "exact"]] = {
    "auto": "auto",
    "lbfgs": "model",
    "newton": "exact",
}
_BLAS_FEATURES = 1500  # above, the Hessian's model is worth more than one BLAS thread
_MAX_NEWTON = 12_000  # rows of the exact Hessian: 1.2 GB
_MANY_ROWS = 200_000  # from here on a fit begins at that of a share of the rows
_SHARE_OF_ROWS = 16
_ROWS_PER_COEFFICIENT = 20
_ROUGH = 1e-3
_SEPARABLE_LOSS = 0.05  # nats; above it, and with a penalty, separation is not looked for


@dataclass(frozen=True)
class Problem:
    """All that determines the optimum.

    Attributes
    ----------
    X : ndarray or csr_array, shape (n, d)
    targets : Targets
    weight : ndarray, shape (n,)
        Effective weights, not normalised.
    offset : ndarray or None, shape (n, q)
    column_range : (ndarray, ndarray)
    C : float
    fit_intercept : bool
    """

    X: Any
    targets: Targets
    weight: npt.NDArray[np.float64]
    offset: FloatArray | None
    column_range: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
    C: float
    fit_intercept: bool

    @property
    def penalty(self) -> float:
        """λ of the objective over the rows of W.

        1/(C·Σw); twice that for two classes, where scikit-learn penalises the one row w₁ - w₀ and
        symmetric softmax has w₁ = -w₀ at half its length. Classes without rows do not count: they
        change nothing in the fit of the others.
        """
        two = int(np.count_nonzero(self.targets.class_mass(self.weight))) == 2
        return self.penalty_of_scikit_learn * (2.0 if two else 1.0)

    @property
    def penalty_of_scikit_learn(self) -> float:
        """1/(C·Σw); 0 for C = ∞."""
        return 0.0 if np.isinf(self.C) else float(1 / (self.C * self.weight.sum()))


@dataclass(frozen=True)
class Fit:
    """The optimum over all classes: those without rows have W = 0 and b = -inf.

    Attributes
    ----------
    W : ndarray, shape (q, d)
    b : ndarray, shape (q,)
    solution : Solution
    present : ndarray of bool, shape (q,)
    separable : bool or None
        Whether planes separate the training classes; None if that was not decided.
    """

    W: npt.NDArray[np.float64]
    b: npt.NDArray[np.float64]
    solution: Solution
    present: npt.NDArray[np.bool_]
    separable: bool | None

    @property
    def certificate(self) -> Certificate:
        """The solution's."""
        return self.solution.certificate


def solve(
    problem: Problem,
    *,
    start: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None,
    tol: float,
    max_passes: int,
    solver: str,
    n_threads: int | None,
    rng: np.random.Generator,
    callback: PassCallback | None = None,
    thorough: bool = False,
    kernel: Kernel | None = None,
) -> Fit:
    """The optimum of `problem`.

    Parameters
    ----------
    start : (W, b) or None
        Where to begin; None: W = 0 and b the logarithm of the class frequencies.
    solver : {"auto", "lbfgs", "newton"}
    callback : callable, optional
        See `PassCallback`.
    thorough : bool
        See `SoftmaxObjective`.
    kernel : Kernel, optional
        Default: the catalogue's choice.
    """
    present = problem.targets.class_mass(problem.weight) > 0
    source = source_of(problem, present)
    _check_newton(solver, source, problem.fit_intercept)
    objective = SoftmaxObjective(
        source,
        kernel or choose(problem_of(source.X, source.n_classes)),
        penalty=problem.penalty,
        fit_intercept=problem.fit_intercept,
        n_threads=n_threads,
        hessian=_HESSIANS[solver],
        enough=tol,
        thorough=thorough,
    )

    def on_pass(point: TracePoint, w: npt.NDArray[np.float64]) -> bool:
        return callback is not None and callback(
            point, *_all_classes(*objective.unpack(w), present)
        )

    with blas_threads(_blas_limit(n_threads, source, solver)):
        first, spent = _beginning(objective, problem, start, tol, max_passes, solver, rng)
        solution = minimise(
            objective,
            first,
            tol=tol,
            max_passes=max_passes,
            rng=rng,
            callback=on_pass,
            memory=0 if solver == "newton" else 20,
            spent=spent,
        )
        W, b = objective.unpack(solution.w)
        split = _separable(source, solution, W, b, problem)
    if split and problem.penalty == 0:
        certificate = replace(solution.certificate, status=Status.SEPARABLE)
        solution = replace(solution, certificate=certificate)
    return Fit(*_all_classes(W, b, present), solution, present, split)


def _beginning(
    objective: SoftmaxObjective,
    problem: Problem,
    start: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None,
    tol: float,
    max_passes: int,
    solver: str,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float64], tuple[int, float]]:
    """Where the solver begins, and the passes and seconds that it took to find that."""
    began = time.perf_counter()
    mass = problem.targets.class_mass(problem.weight)
    present = mass > 0
    if start is None and solver == "auto":
        dual = dual_start(objective, tol=tol, max_epochs=max_passes - 2, rng=rng)
        if dual is not None:
            return dual.w, (objective.passes + dual.epochs, time.perf_counter() - began)
        few = _fit_of_few_rows(problem, present, objective, max_passes, rng)
        if few is not None:
            first = _start(objective, mass[present], _rows((few.W, few.b), present))
            passes = math.ceil(few.certificate.passes / _SHARE_OF_ROWS)
            return first, (passes, time.perf_counter() - began)
    rows = None if start is None else _rows(start, present)
    return _start(objective, mass[present], rows), (0, 0.0)


def _fit_of_few_rows(
    problem: Problem,
    present: npt.NDArray[np.bool_],
    objective: SoftmaxObjective,
    max_passes: int,
    rng: np.random.Generator,
) -> Fit | None:
    """A rough fit to one row in sixteen, at the same λ; None where the rows are not many.

    From its optimum the whole takes 5 passes in place of 10 (1,000,000×50, q = 7). One row of
    every sixteen consecutive ones, whichever, so that sorted rows do no harm.
    """
    n, d = problem.X.shape
    size = int(present.sum()) * (d + problem.fit_intercept)
    if problem.penalty == 0 or n < max(_MANY_ROWS, _ROWS_PER_COEFFICIENT * _SHARE_OF_ROWS * size):
        return None
    firsts = np.arange(0, n - _SHARE_OF_ROWS + 1, _SHARE_OF_ROWS)
    rows = firsts + rng.integers(_SHARE_OF_ROWS, size=len(firsts))
    targets = replace(problem.targets, values=problem.targets.values[rows])
    weight = problem.weight[rows]
    few = replace(
        problem,
        X=problem.X[rows],
        targets=targets,
        weight=weight,
        offset=None if problem.offset is None else problem.offset[rows],
        C=problem.C * float(problem.weight.sum() / weight.sum()),
    )
    return solve(
        few,
        start=None,
        tol=_ROUGH,
        max_passes=max_passes,
        solver="auto",
        n_threads=objective.n_threads,
        rng=rng,
        kernel=objective.kernel,
    )


def _blas_limit(n_threads: int | None, source: ArraySource, solver: str) -> int | None:
    """One BLAS thread, beside the kernels' own, unless its matrices are very large."""
    if n_threads is not None or solver == "newton" or source.n_features > _BLAS_FEATURES:
        return n_threads
    return 1


def source_of(problem: Problem, present: npt.NDArray[np.bool_]) -> ArraySource:
    """The rows, with targets over the classes that are `present`, shape (q,)."""
    values = problem.targets.values
    offset = problem.offset
    if not present.all():
        if problem.targets.soft:
            values = values[:, np.flatnonzero(present)]
        else:
            values = (np.cumsum(present) - 1)[values]
            values = np.maximum(values, 0)  # rows of weight 0 may have an absent class
        offset = None if offset is None else offset[:, present]
    return ArraySource(
        problem.X,
        values,
        problem.weight / problem.weight.sum(),
        int(present.sum()),
        offset,
        problem.column_range,
    )


def _check_newton(solver: str, source: ArraySource, fit_intercept: bool) -> None:
    size = source.n_classes * (source.n_features + fit_intercept)
    if solver == "newton" and size > _MAX_NEWTON:
        message = (
            f"solver='newton' factorises a Hessian of {size} rows; the limit is {_MAX_NEWTON}. "
            "Use solver='auto'."
        )
        raise InputError(message)


def _rows(
    start: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]], present: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return start[0][present], start[1][present]


def _start(
    objective: SoftmaxObjective,
    mass: npt.NDArray[np.float64],
    given: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None,
) -> npt.NDArray[np.float64]:
    """Centred over the classes, where the optimum lies."""
    if given is None:
        W = np.zeros((objective.source.n_classes, objective.source.n_features))
        b = np.log(mass / mass.sum())
    else:
        W, b = given
        b = np.where(np.isfinite(b), b, np.log(mass / mass.sum()))
        W = W - W.mean(axis=0)
    return objective.pack(W, b - b.mean())


def _separable(
    source: ArraySource,
    solution: Solution,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    problem: Problem,
) -> bool | None:
    """Looked for where it matters: without a penalty, or where the loss has almost vanished."""
    certificate = solution.certificate
    if certificate.status in (Status.NOT_FINITE, Status.INTERRUPTED):
        return None
    loss = certificate.objective - 0.5 * problem.penalty * float(np.vdot(W, W))
    if problem.penalty > 0 and loss > _SEPARABLE_LOSS:
        return None
    block = source.take(slice(None), source.dtype)
    if source.offset is None and separates(block, W, b):
        return True
    if problem.penalty > 0:
        return None
    return separable(block, n_classes=source.n_classes, fit_intercept=problem.fit_intercept)


def _all_classes(
    W: npt.NDArray[np.float64], b: npt.NDArray[np.float64], present: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    all_W = np.zeros((len(present), W.shape[1]))
    all_b = np.full(len(present), -np.inf)
    all_W[present], all_b[present] = W, b
    return all_W, all_b
