"""Paths of all folds, some at a time, sharing the cores."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn import config_context, get_config

from crossent.certificate import Certificate
from crossent.kernels.threads import resolve, run
from crossent.linear_model.folds import Fold, rows_of
from crossent.linear_model.optimise import Problem
from crossent.linear_model.path import Settings, report_point, walk
from crossent.linear_model.scoring import Score
from crossent.objectives.blas import blas_threads

__all__ = ["FoldPaths", "share_cores", "walk_folds"]


_MOST_COPIED = 2e9  # bytes


@dataclass(frozen=True, eq=False)
class FoldPaths:
    """What the folds found; K folds, k values of C.

    Attributes
    ----------
    W : ndarray, shape (K, k, q, d)
    b : ndarray, shape (K, k, q)
        -inf for classes that a fold's training rows lack.
    scores : ndarray, shape (K, k)
        Higher is better.
    certificates : list of list of Certificate
        By fold, then by C.
    """

    W: npt.NDArray[np.float64]
    b: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    certificates: list[list[Certificate]]

    def mean_at(self, k: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """W and b at the k-th C, averaged over the folds that know the class."""
        finite = np.isfinite(self.b[:, k])
        count = np.maximum(finite.sum(axis=0), 1)
        W = self.W[:, k].sum(axis=0) / count[:, None]  # W = 0 where b = -inf
        b = np.where(finite, self.b[:, k], 0.0).sum(axis=0) / count
        return W, np.where(finite.any(axis=0), b, -np.inf)


def share_cores(
    n_jobs: int | None, n_threads: int | None, folds: list[Fold], row_bytes: float
) -> tuple[int, int]:
    """Folds at a time, and threads for each: their product is at most `n_threads`.

    Folds side by side with one thread each waste nothing; threads within a fold wait for each
    other at every product (digits, ten values of C, on 2 cores that other programs kept busy: 1.4 s
    for two folds at a time, 83 s for one with two threads). But each copies its rows.

    Parameters
    ----------
    n_jobs : int or None
        Folds wanted at a time; negative as in joblib; None: while their copies stay below 2 GB.
    n_threads : int or None
        Threads altogether; None: the usable cores.
    row_bytes : float
        Memory of one row of X.
    """
    cores = resolve(n_threads)
    if n_jobs is None:
        copy = row_bytes * max(len(fold.train) for fold in folds)
        wanted = int(_MOST_COPIED // max(copy, 1.0))
    else:
        wanted = joblib.effective_n_jobs(n_jobs)
    jobs = max(1, min(wanted, len(folds), cores))
    return jobs, max(1, cores // jobs)


def _row_bytes(X: Any) -> float:
    """Average over the rows, dense or CSR."""
    size = X.data.nbytes + X.indices.nbytes if sp.issparse(X) else X.nbytes
    return float(size / max(X.shape[0], 1))


def walk_folds(
    problem: Problem,
    folds: list[Fold],
    Cs: npt.NDArray[np.float64],
    settings: Settings,
    score_of: Callable[[Fold], Score],
    *,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> FoldPaths:
    """The path of every fold, scored on its held-out rows.

    Folds run in threads: kernels and BLAS release the interpreter lock, and the rows are shared.
    Each fold copies its own rows once, while it runs. An exception in one, Ctrl-C included, stops
    the others at their next pass.
    """
    jobs, each = share_cores(n_jobs, settings.n_threads, folds, _row_bytes(problem.X))
    settings = replace(settings, n_threads=each)
    q, d = len(problem.targets.classes), problem.X.shape[1]
    shape = (len(folds), len(Cs))
    found = FoldPaths(np.zeros((*shape, q, d)), np.zeros((*shape, q)), np.zeros(shape), [])
    found.certificates.extend([] for _ in folds)
    stopped = threading.Event()
    config = get_config()  # scikit-learn's, which every thread has of its own

    def walk_one(k: int) -> None:
        training = rows_of(problem, folds[k].train, with_X=True)
        score = score_of(folds[k])
        path = walk(training, Cs, settings, lambda _point, _W, _b: stopped.is_set())
        for i, fit in enumerate(path):
            found.W[k, i], found.b[k, i] = fit.W, fit.b
            found.certificates[k].append(fit.certificate)
            if stopped.is_set():
                return
            found.scores[k, i] = score(fit, replace(training, C=float(Cs[i])))
            if verbose:
                report_point(Cs[i], fit, f"fold {k}", f"score {found.scores[k, i]:.6g}")

    def task(k: int) -> None:
        try:
            with config_context(**config):
                walk_one(k)
        except BaseException:
            stopped.set()
            raise

    with blas_threads(each):
        run(task, len(folds), jobs)
    return found
