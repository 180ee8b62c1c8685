"""The optimum for every C of a grid, from the strongest penalty to the weakest."""

import copy
import math
import numbers
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from crossent.certificate import Certificate
from crossent.errors import InputError
from crossent.linear_maps import Dense
from crossent.linear_model.checks import (
    check_magnitudes,
    check_parameters,
    check_targets_given,
    read_features,
)
from crossent.linear_model.optimise import Fit, PassCallback, Problem, solve
from crossent.linear_model.softmax_regression import SoftmaxRegression

__all__ = [
    "Settings",
    "SoftmaxPath",
    "fitted_model",
    "prepare",
    "read_grid",
    "report_point",
    "settings_of",
    "softmax_path",
    "walk",
    "warn_of_unconverged",
]

_WIDEST = (-4.0, 4.0)  # decades of an integer grid, as LogisticRegressionCV has them
_BUILDS_OF_MODELS = 3  # a fit that needed more will not be the last one
_LONGEST_REACH = 2.0  # extrapolation over more than this many of the last steps is a guess

Start = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Settings:
    """How every point of a path is solved.

    Attributes
    ----------
    tol : float
    max_passes : int
    solver : {"auto", "lbfgs", "newton"}
    n_threads : int or None
    seed : int
        Of the generator that every point starts anew, so that no point depends on another's draws.
    """

    tol: float
    max_passes: int
    solver: str
    n_threads: int | None
    seed: int


def settings_of(estimator: SoftmaxRegression) -> Settings:
    """The settings among the parameters of an estimator."""
    return Settings(
        tol=estimator.tol,
        max_passes=estimator.max_iter,
        solver=estimator.solver,
        n_threads=estimator.n_threads,
        seed=int(check_random_state(estimator.random_state).randint(2**31)),
    )


def read_grid(Cs: Any) -> npt.NDArray[np.float64]:
    """Values of C, ascending and different; an integer k stands for k of them, 1e-4 to 1e4.

    Raises
    ------
    InputError
        Not a positive integer, nor numbers above 0; infinity is allowed.
    """
    if isinstance(Cs, numbers.Integral):
        if int(Cs) < 1:
            message = f"Cs is {Cs}; an integer is the number of values and must be at least 1."
            raise InputError(message)
        return np.logspace(*_WIDEST, int(Cs)) if int(Cs) > 1 else np.ones(1)
    try:
        values = np.asarray(Cs, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.zeros((0, 0))
    if values.ndim != 1 or not len(values):
        message = f"Cs must be a number of values or a list of positive numbers; got {Cs!r}."
        raise InputError(message)
    bad = np.flatnonzero(~(values > 0))
    if len(bad):
        message = f"Cs[{bad[0]}] is {values[bad[0]]}; each must be positive (np.inf: no penalty)."
        raise InputError(message)
    return np.unique(values)


def prepare(
    estimator: SoftmaxRegression,
    Cs: npt.NDArray[np.float64],
    X: Any,
    y: Any,
    sample_weight: Any,
    offset: Any,
) -> Problem:
    """Everything checked once for all C; the problem stands at the smallest.

    The estimator learns number and names of the columns.
    """
    estimator.C = float(Cs[0])
    check_parameters(estimator)
    check_targets_given(y)
    X = read_features(estimator, X, reset=True)
    problem = estimator._problem(X, y, sample_weight, offset)
    check_magnitudes(X, problem.column_range, problem.weight, float(Cs[-1]))
    return problem


def walk(
    problem: Problem,
    Cs: npt.NDArray[np.float64],
    settings: Settings,
    callback: PassCallback | None = None,
) -> Iterator[Fit]:
    """The optimum at every C, ascending, each begun where the last two point to.

    W and b are smooth in log C, so the line through the two optima before is a better start than
    the last: on nine values from 1e-4 to 1e4 digits/16 took 71 passes, 91 from the last optimum
    and 183 from zero (digits 0..16: 85, 115, 353; wine: 76, 94, 143; a parabola through three: 83,
    90 and 77). The optimum of all rows is a worse start for a fold than the fold's own path (112,
    177 and 124 passes): at weak penalties they are far apart.

    The model of the Hessian is not handed on from one C to the next. That saves builds, but each
    step is worse until the model is renewed. Digits/16, nine values: 7 builds instead of 9 and 107
    passes instead of 71, the same time; MNIST, 10,000 rows, seven values to C = 100: 11 builds
    instead of 18 and 181 passes instead of 204, 6 % slower, because the cheap first build is among
    those saved. Correcting the old model for the new λ changes that little (96 passes; 12 builds
    and 186 passes). Only on grids much denser than a decade does it pay (digits/16, 25 values: 6
    builds instead of 25, 225 passes instead of 114, half the time). Nor does a second level in the
    first build, where the start is warm: 177 passes, 30 % slower. But once a point has needed the
    Hessian of all directions, the next ones, with weaker penalties, begin with it.
    """
    before: tuple[float, Start] | None = None
    last: tuple[float, Start] | None = None
    thorough = False
    for C in Cs:
        fit = solve(
            replace(problem, C=float(C)),
            start=_reach(before, last, float(C)),
            tol=settings.tol,
            max_passes=settings.max_passes,
            solver=settings.solver,
            n_threads=settings.n_threads,
            rng=np.random.default_rng(settings.seed),
            callback=callback,
            thorough=thorough,
        )
        yield fit
        thorough = thorough or fit.solution.metric_builds > _BUILDS_OF_MODELS
        before, last = last, (float(C), (fit.W, fit.b))


def _reach(
    before: tuple[float, Start] | None, last: tuple[float, Start] | None, C: float
) -> Start | None:
    """W and b at C on the line, in log C, through two optima; the last alone where C is infinite.

    Absent classes have b = -inf in both: the solver leaves them out.
    """
    if last is None:
        return None
    if before is None or math.isinf(C):
        return last[1]
    reach = math.log(C / last[0]) / math.log(last[0] / before[0])
    share = min(reach, _LONGEST_REACH)
    (W, b), (old_W, old_b) = last[1], before[1]
    step = np.subtract(b, old_b, where=np.isfinite(b), out=np.zeros_like(b))
    return W + share * (W - old_W), b + share * step


def _check_dense(linear_map: Any) -> None:
    """Raise for a structured W: the walk starts each fit on a line through two dense ones."""
    if not isinstance(linear_map, Dense) and linear_map != "dense":
        kind = repr(linear_map) if isinstance(linear_map, str) else type(linear_map).__name__
        message = (
            f"softmax_path is for a dense W; the estimator's linear_map is {kind}. Fit a "
            "SoftmaxRegression(linear_map=..., warm_start=True) for one C after the other, or "
            "choose C by sklearn.model_selection.GridSearchCV."
        )
        raise InputError(message)


def fitted_model(
    estimator: SoftmaxRegression, fit: Fit, problem: Problem, frame: Any
) -> SoftmaxRegression:
    """A SoftmaxRegression as if it had been fitted at `problem`, which `estimator` has read.

    Parameters
    ----------
    frame : array-like
        X as the user gave it, for the types of its columns.
    """
    model = copy.copy(estimator)
    model.C = problem.C
    model._keep(fit, problem, frame)
    model.trace_ = list(fit.solution.trace)
    return model


def warn_of_unconverged(certificates: Sequence[tuple[str, Certificate]], stacklevel: int) -> None:
    """One ConvergenceWarning for all fits, naming the worst and its reason.

    Parameters
    ----------
    certificates : sequence of (str, Certificate)
        Each with where it belongs, such as "C=0.1, fold 2".
    """
    failed = [(place, c) for place, c in certificates if not c.converged]
    if not failed:
        return
    place, worst = max(failed, key=lambda item: _badness(item[1]))
    message = (
        f"{len(failed)} of {len(certificates)} fits did not reach the tolerance. The worst, "
        f"{place}: relative gap {worst.relative_gap:.2g} after {worst.passes} passes. "
        f"{worst.status.value}"
    )
    warnings.warn(message, ConvergenceWarning, stacklevel=stacklevel)


def _badness(certificate: Certificate) -> float:
    return math.inf if math.isnan(certificate.relative_gap) else certificate.relative_gap


def report_point(C: float, fit: Fit, *extra: str) -> None:
    """A line about one point of a path, to standard error."""
    certificate = fit.certificate
    words = (
        *extra,
        f"C {C:<10.4g}",
        f"passes {certificate.passes:4d}",
        f"relative gap {certificate.relative_gap:.1e}",
        certificate.status.name.lower().replace("_", " "),
    )
    sys.stderr.write("  ".join(words) + "\n")


@dataclass(frozen=True, eq=False)
class SoftmaxPath:
    """One fitted model for every C of a grid.

    Attributes
    ----------
    Cs : ndarray, shape (k,)
        Ascending: from the strongest penalty to the weakest.
    models : tuple of SoftmaxRegression, length k
        Fitted: they predict, and each has its ``certificate_`` and ``trace_``.
    """

    Cs: npt.NDArray[np.float64]
    models: tuple[SoftmaxRegression, ...]

    @property
    def classes(self) -> npt.NDArray[Any]:
        """The classes, in the order of the rows of coefficients."""
        classes: npt.NDArray[Any] = self.models[0].classes_
        return classes

    @property
    def coefs(self) -> npt.NDArray[np.float64]:
        """``coef_`` of every model, shape (k, q, d), or (k, 1, d) for two classes."""
        return np.stack([model.coef_ for model in self.models])

    @property
    def intercepts(self) -> npt.NDArray[np.float64]:
        """``intercept_`` of every model, shape (k, q), or (k, 1) for two classes."""
        return np.stack([model.intercept_ for model in self.models])

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The certificate of every model."""
        return tuple(model.certificate_ for model in self.models)


def softmax_path(
    X: Any,
    y: Any,
    /,
    *,
    Cs: Any = 10,
    estimator: Any = None,
    sample_weight: Any = None,
    offset: Any = None,
) -> SoftmaxPath:
    """Softmax regression for every C of a grid, each point certified and started from the last.

    Parameters
    ----------
    X : array-like, frame or sparse matrix of shape (n, d)
    y : array-like of shape (n,), or distributions of shape (n, q), dense or sparse
    Cs : int or array-like, default=10
        Values of C, ``np.inf`` among them or not; an integer k stands for k values from 1e-4 to
        1e4, equally spaced in log C. They are sorted, and values that occur twice are fitted once.
    estimator : SoftmaxRegression, optional
        All other settings; its `C` and `warm_start` are not used, and it is not changed.
        ``verbose`` > 0 writes a line per point to standard error.
    sample_weight, offset : array-like, optional
        As in `SoftmaxRegression.fit`.

    Returns
    -------
    SoftmaxPath

    Raises
    ------
    InputError
        As `SoftmaxRegression.fit`; or a value of `Cs` is not positive; or the estimator's W is a
        structured `linear_map`, whose optima are not reached along lines in W.

    Warns
    -----
    ConvergenceWarning
        Once, if any point did not reach `tol`.

    Notes
    -----
    X is read and checked once. Nine values from 1e-4 to 1e4 take 2 to 4 times fewer passes than
    nine separate fits (see `walk`).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from crossent.linear_model import softmax_path
    >>> path = softmax_path(*load_iris(return_X_y=True), Cs=[0.01, 1, 100])
    >>> path.coefs.shape
    (3, 3, 4)
    >>> [bool(certificate.relative_gap < 1e-6) for certificate in path.certificates]
    [True, True, True]
    >>> path.models[1].predict([[5.1, 3.5, 1.4, 0.2]])
    array([0])
    """
    grid = read_grid(Cs)
    if not isinstance(estimator, SoftmaxRegression | None):
        message = (
            f"estimator must be a SoftmaxRegression, whose settings are used; got {estimator!r}."
        )
        raise InputError(message)
    template = SoftmaxRegression() if estimator is None else clone(estimator)
    _check_dense(template.linear_map)
    problem = prepare(template, grid, X, y, sample_weight, offset)
    models = []
    for C, fit in zip(grid.tolist(), walk(problem, grid, settings_of(template)), strict=True):
        models.append(fitted_model(template, fit, replace(problem, C=C), X))
        if template.verbose:
            report_point(C, fit)
    warn_of_unconverged([(f"C={model.C:g}", model.certificate_) for model in models], stacklevel=3)
    return SoftmaxPath(grid, tuple(models))
