"""The solvers, each set up as its authors advise; every one minimises the objective of `objective`.

A solver is a function of a job, the data and a recorder; it records points: a time and the (W, b)
that was reached by then. It imports its library itself, so that `worker` can run in environments
that have only some of them.

Fits are timed in a process that has fitted before (a few rows and iterations are enough to load
code; crossent's first fit, of the whole data, is recorded as "cold"). A fit shorter than a second
is repeated until a second has passed, and its median counts.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.softmax_regression.cases import LEVELS
from benchmarks.softmax_regression.data import Data
from benchmarks.softmax_regression.objective import objectives
from benchmarks.softmax_regression.recorder import Job, Recorder
from benchmarks.softmax_regression.trace import Watch

__all__ = ["SOLVERS"]

_WARM_ROWS = 500
_LONG_S = 15  # crossent's first fit is repeated only if it was shorter


def crossent(job: Job, data: Data, record: Recorder) -> None:
    """SoftmaxRegression at tol = each level: charged until it has *proved* the level."""
    from crossent.linear_model import SoftmaxRegression

    C = job.Cs[0]

    def fit(tol: float) -> Any:
        return SoftmaxRegression(C=C, tol=tol).fit(data.X, data.targets)

    seconds, _, model = _timed(lambda: fit(LEVELS[-1]), repeat=False)
    record.memory()
    record.point(C, seconds, model.coef_, model.intercept_, kind="cold", **_certified(model))
    if seconds > _LONG_S:  # what loading code took is lost in it
        _crossent_fit(record, C, LEVELS[-1], seconds, [seconds] * 3, model)
        return
    quick = seconds < 5
    for tol in reversed(LEVELS) if quick else LEVELS[-1:]:
        seconds, spread, model = _timed(lambda tol=tol: fit(tol))
        _crossent_fit(record, C, tol, seconds, spread, model)


def _crossent_fit(
    record: Recorder, C: float, tol: float, seconds: float, spread: list[float], model: Any
) -> None:
    """A fit and, at the last level, its trace."""
    facts = {**_certified(model), "tol": tol, "spread_s": spread}
    record.point(C, seconds, model.coef_, model.intercept_, kind="fit", **facts)
    if tol == LEVELS[-1]:
        for at in model.trace_:
            record.value(C, at.seconds, at.objective, iteration=at.passes, gap=at.relative_gap)


def _certified(model: Any) -> dict[str, Any]:
    certificate = model.certificate_
    return {
        "passes": certificate.passes,
        "certified_gap": certificate.relative_gap,
        "status": certificate.status.name,
    }


def crossent_path(job: Job, data: Data, record: Recorder) -> None:
    """softmax_path over all C at once; each C is charged an equal share."""
    from crossent.linear_model import SoftmaxRegression, softmax_path

    settings = SoftmaxRegression(tol=LEVELS[-1])
    seconds = 0.0
    for kind in ("cold", "fit"):
        if seconds <= _LONG_S:  # else what loading code took is lost in it
            seconds, spread, path = _timed(
                lambda: softmax_path(data.X, data.targets, Cs=job.Cs, estimator=settings),
                repeat=False,
            )
            record.memory()
        share = seconds / len(job.Cs)
        for C, model in zip(job.Cs, path.models, strict=True):
            facts = {**_certified(model), "tol": LEVELS[-1], "spread_s": spread}
            record.point(C, share, model.coef_, model.intercept_, kind=kind, **facts)


def reference(job: Job, data: Data, record: Recorder) -> None:
    """The optimum of every C, as precisely as asked."""
    import warnings

    from crossent.linear_model import SoftmaxRegression

    model = SoftmaxRegression(
        tol=job.options["tol"], max_iter=job.options["passes"], warm_start=True
    )
    for C in job.Cs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what was reached is judged afterwards
            model.set_params(C=C).fit(data.X, data.targets)
        seconds = model.certificate_.seconds
        facts = _certified(model)
        record.point(C, seconds, model.coef_, model.intercept_, kind="reference", **facts)


def sklearn_lbfgs(job: Job, data: Data, record: Recorder) -> None:
    """scikit-learn's default solver."""
    from sklearn.linear_model import LogisticRegression

    _lbfgs(job, data, record, LogisticRegression)


def sklearnex_lbfgs(job: Job, data: Data, record: Recorder) -> None:
    """The same with the loss and gradient of oneDAL; dense rows and labels only."""
    from sklearnex.linear_model import LogisticRegression

    _lbfgs(job, data, record, LogisticRegression)


def _lbfgs(job: Job, data: Data, record: Recorder, estimator: Callable[..., Any]) -> None:
    """One watched fit for each C; where fits are short, unwatched ones up to the crossings too."""
    X, y, weight = _weighted_rows(data)
    _warm_up(X, y, weight, lambda *rows: estimator(max_iter=3).fit(*rows))
    for number, C in enumerate(job.Cs):
        optimum = job.optima[number]
        folder = record.subfolder(f"C{number}")
        with Watch(
            folder, [optimum * (1 + level) for level in (*LEVELS, 2e-7)], job.cap_s
        ) as watch:
            model = estimator(C=C, tol=1e-13, max_iter=1_000_000).fit(X, y, weight)
        record.memory()
        facts = {"iterations": watch.iterations, "capped": watch.capped}
        record.point(C, watch.seconds, model.coef_, model.intercept_, kind="end", **facts)
        for at in watch.iterates:
            W, b = at.parameters(len(model.classes_), watch.layout)
            facts = {"iteration": at.iteration, "own_value": at.value}
            record.point(C, at.seconds, W, b, kind="iterate", **facts)
        if job.options.get("refit"):
            options = [{"tol": 1e-4, "max_iter": 100}]
            options += [{"tol": 1e-13, "max_iter": k} for k in _crossings(watch, optimum)]
            _fits(record, C, X, y, weight, estimator, options)


def _crossings(watch: Watch, optimum: float) -> list[int]:
    """Iterations at which the levels were first reached."""
    found = []
    for level in LEVELS:
        reached = [at.iteration for at in watch.iterates if at.value <= optimum * (1 + level)]
        found += reached[:1]
    return found


def _fits(
    record: Recorder,
    C: float,
    X: Any,
    y: Any,
    weight: Any,
    estimator: Callable[..., Any],
    options: list[dict[str, Any]],
) -> None:
    for chosen in options:
        seconds, spread, model = _timed(
            lambda chosen=chosen: estimator(C=C, **chosen).fit(X, y, weight)
        )
        facts = {**chosen, "spread_s": spread, "iterations": int(np.max(model.n_iter_))}
        record.point(C, seconds, model.coef_, model.intercept_, kind="fit", **facts)


def _newton(job: Job, data: Data, record: Recorder, solver: str) -> None:
    """A ladder of tolerances, until the last level is reached or the time is up.

    `max_iter` stays at its default, 100: newton-cholesky falls back to L-BFGS where it fails.
    """
    from sklearn.linear_model import LogisticRegression

    X, y, weight = _weighted_rows(data)
    _warm_up(X, y, weight, lambda *rows: LogisticRegression(solver=solver, max_iter=2).fit(*rows))
    C, spent = job.Cs[0], 0.0
    for tol in (1e-2, 1e-4, 1e-6, 1e-8):
        options = {"solver": solver, "tol": tol}
        seconds, spread, model = _timed(
            lambda options=options: LogisticRegression(C=C, **options).fit(X, y, weight)
        )
        record.memory()
        facts = {"tol": tol, "spread_s": spread, "iterations": int(np.max(model.n_iter_))}
        record.point(C, seconds, model.coef_, model.intercept_, kind="fit", **facts)
        spent += seconds
        value = objectives(data.X, data.targets, [_float64(model.coef_, model.intercept_)], C)[0]
        if value <= job.optima[0] * (1 + LEVELS[-1]) or spent + seconds > job.cap_s:
            break


def sklearn_newton_cholesky(job: Job, data: Data, record: Recorder) -> None:
    """scikit-learn's Newton with the full Hessian: for few features times classes."""
    _newton(job, data, record, "newton-cholesky")


def sklearn_newton_cg(job: Job, data: Data, record: Recorder) -> None:
    """scikit-learn's truncated Newton."""
    _newton(job, data, record, "newton-cg")


def cyanure(job: Job, data: Data, record: Recorder) -> None:
    """cyanure; its automatic choice is QNing-MISO on all the cases here.

    On texts that choice stops a tenth above the optimum, with an intercept; QNing-ISTA arrives.

    Its C++ cannot be watched or stopped: ten epochs are timed first, and as many are asked for as
    the cap allows. Its trace of times and values is recorded. In float32 those values are too rough
    for the last level, and the gap for stopping there; then shorter fits find a time for it. If
    float32 stops short of the level, float64 is tried: its authors say that it converges further.
    """
    probe, _, _ = _timed(lambda: _cyanure(job, data, data.X, 10), repeat=False)
    epochs = min(max(int(job.cap_s / probe), 1), 500) * 10
    model, value = _cyanure_point(job, data, data.X, epochs, record)
    info = model.optimization_info_[0]
    short = value / job.optima[0] - 1 > LEVELS[-1]
    if short and info[0].max() < epochs and data.X.dtype == np.float32:
        _cyanure_point(job, data, data.X.astype(np.float64), epochs, record)
    elif not short:
        start, end = _cyanure_span(info[:, info[0] > 0], value, job.optima[0])
        while start < 0.95 * end:
            _, value = _cyanure_point(job, data, data.X, start, record)
            if value <= job.optima[0] * (1 + LEVELS[-1]):
                break
            start = max(start + 10, (start + end) // 20 * 10)


def _cyanure_span(info: Any, value: float, optimum: float) -> tuple[int, int]:
    """Epochs: the guess of when the last level was reached, and the end; the same if it is known.

    The guess is linear in the logarithm of the quality from 1e-4, which float32 still shows.
    """
    end = int(info[0, -1])
    off = info[1, -1] - value
    if abs(off) <= LEVELS[-1] / 10 * optimum:
        return end, end
    reached = info[0, (info[1] - off) / optimum - 1 <= 1e-4]
    last = max(value / optimum - 1, 1e-10)
    share = np.log(1e-4 / LEVELS[-1]) / np.log(1e-4 / last)
    return int(reached[0] + min(share, 1) * (end - reached[0])) // 10 * 10, end


def _cyanure(job: Job, data: Data, X: Any, epochs: int) -> Any:
    from cyanure.estimators import Classifier

    return Classifier(
        loss="multiclass-logistic", penalty="l2", lambda_1=1 / (job.Cs[0] * X.shape[0]), tol=1e-6,
        max_iter=epochs, duality_gap_interval=10, n_threads=job.threads, verbose=False,
        solver=job.options.get("solver", "auto"),
    ).fit(X, data.targets)  # fmt: skip


def _cyanure_point(
    job: Job, data: Data, X: Any, epochs: int, record: Recorder
) -> tuple[Any, float]:
    """A fit, its trace, and the judge's value."""
    C = job.Cs[0]
    seconds, spread, model = _timed(lambda: _cyanure(job, data, X, epochs))
    record.memory()
    info = model.optimization_info_[0]
    info = info[:, info[0] > 0]
    facts = {"passes": int(info[0, -1]), "spread_s": spread, "certified_gap": float(info[3, -1])}
    facts |= {"capped": bool(info[0, -1] >= epochs), "dtype": str(X.dtype)}
    record.point(C, seconds, model.coef_.T, model.intercept_.ravel(), kind="end", **facts)
    before = max(seconds - float(info[5, -1]), 0.0)  # conversion of the data
    for epoch, value, at in info[[0, 1, 5]].T:
        record.value(C, before + float(at), float(value), iteration=int(epoch))
    W, b = _float64(model.coef_.T, model.intercept_.ravel())
    return model, float(objectives(data.X, data.targets, [(W, b)], C)[0])


def cyanure_path(job: Job, data: Data, record: Recorder) -> None:
    """A fit of `cyanure` for every C."""
    for C, optimum in zip(job.Cs, job.optima, strict=True):
        cyanure(replace(job, Cs=(C,), optima=(optimum,)), data, record)


def adelie(job: Job, data: Data, record: Recorder) -> None:
    """The ridge part of adelie's group elastic net; its loss is divided by q."""
    import adelie as ad

    X = np.asfortranarray(data.X, dtype=np.float64)
    n, d = X.shape
    q, C = data.n_classes, job.Cs[0]
    glm = ad.glm.multinomial(np.eye(q)[data.targets], dtype=np.float64)

    def fit(tol: float) -> Any:
        return ad.grpnet(
            X=X, glm=glm, alpha=0.0, lmda_path=[1 / (C * n * q)], penalty=np.ones(d), tol=tol,
            irls_tol=tol, early_exit=False, progress_bar=False, n_threads=job.threads,
        )  # fmt: skip

    fit(1e-1)
    spent = 0.0
    for tol in (1e-3, 1e-5, 1e-7, 1e-9):
        seconds, spread, state = _timed(lambda tol=tol: fit(tol), repeat=False)
        W, b = state.betas[-1].toarray().reshape(d, q).T, np.asarray(state.intercepts[-1])
        record.memory()
        record.point(C, seconds, W, b, kind="fit", tol=tol, spread_s=spread)
        spent += seconds
        if spent + 3 * seconds > job.cap_s:
            break


def _weighted_rows(data: Data) -> tuple[Any, npt.NDArray[np.intp], Any]:
    """Rows, labels and weights; a distribution becomes q rows with its entries as weights."""
    if data.targets.ndim == 1:
        return data.X, data.targets, None
    n, q = data.targets.shape
    return np.repeat(data.X, q, axis=0), np.tile(np.arange(q), n), data.targets.ravel()


def _warm_up(X: Any, y: Any, weight: Any, fit: Callable[..., Any]) -> None:
    """A fit to few rows of at least two classes, so that all code is loaded."""
    rows = slice(0, _WARM_ROWS)
    fit(X[rows], y[rows], None if weight is None else weight[rows])


def _timed(fit: Callable[[], Any], *, repeat: bool = True) -> tuple[float, list[float], Any]:
    """Median time, (min, median, max), and the last model."""
    times: list[float] = []
    while not times or (repeat and sum(times) < 1 and len(times) < 200):
        start = time.perf_counter()
        model = fit()
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    return median, [min(times), median, max(times)], model


def _float64(W: Any, b: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return np.asarray(W, np.float64), np.asarray(b, np.float64)


SOLVERS: dict[str, Callable[[Job, Data, Recorder], None]] = {
    function.__name__: function
    for function in (
        crossent, crossent_path, reference, sklearn_lbfgs, sklearnex_lbfgs, sklearn_newton_cholesky,
        sklearn_newton_cg, cyanure, cyanure_path, adelie,
    )
}  # fmt: skip
