"""Folds of the rows: read, checked, fitted along the path and scored on what was held out."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.model_selection import check_cv

from crossent.errors import InputError
from crossent.functional import log_softmax
from crossent.linear_model.optimise import Fit, Problem
from crossent.linear_model.prediction import linear_logits, row_surprisal
from crossent.linear_model.targets import Targets

__all__ = ["Fold", "HeldOut", "held_out_rows", "log_loss_score", "read_folds", "rows_of"]

Indices: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """Rows to fit to and rows to score on.

    Attributes
    ----------
    train, test : ndarray of int
    known : ndarray of bool, shape (q,)
        Classes that a training row of positive weight has.
    unseen : ndarray of bool, shape (q,)
        Classes that are not known and that a held-out row of positive weight has.
    """

    train: Indices
    test: Indices
    known: npt.NDArray[np.bool_]
    unseen: npt.NDArray[np.bool_]


def read_folds(cv: Any, problem: Problem, groups: Any) -> list[Fold]:
    """The folds of a splitter, a number of folds, or an iterable of (train, test).

    Splitters get the labels; of distributions, the most probable class of each row.

    Raises
    ------
    InputError
        A fold is empty, has rows that do not exist, no weight in its held-out rows, or fewer than
        two classes in its training rows.
    """
    labels = _labels(problem.targets)
    splitter = check_cv(cv, labels, classifier=True)
    pairs = list(splitter.split(problem.X, labels, groups))
    if not pairs:
        message = "cv gives no folds; pass a number of folds, a splitter or (train, test) pairs."
        raise InputError(message)
    return [
        _checked(_rows(train, k, problem), _rows(test, k, problem), k, problem)
        for k, (train, test) in enumerate(pairs)
    ]


def _labels(targets: Targets) -> Indices:
    """The most probable class of each row, as a number."""
    if not targets.soft:
        return np.asarray(targets.values)
    return np.asarray(targets.values.argmax(axis=1)).ravel()


def _rows(rows: Any, k: int, problem: Problem) -> Indices:
    """Row numbers of one side of fold `k`, given as such or as a mask."""
    n = problem.X.shape[0]
    given = np.asarray(rows)
    if given.dtype == bool and given.shape == (n,):
        given = np.flatnonzero(given)
    if given.ndim != 1 or not len(given) or given.dtype.kind not in "iu":
        message = f"cv: fold {k} must be two non-empty lists of row numbers or masks of {n} rows."
        raise InputError(message)
    outside = given[(given < -n) | (given >= n)]
    if len(outside):
        message = f"cv: fold {k} names row {outside[0]}; there are {n} rows."
        raise InputError(message)
    return given.astype(np.intp, copy=False)


def _checked(train: Indices, test: Indices, k: int, problem: Problem) -> Fold:
    """The fold, if something can be fitted and something scored."""
    fitted = rows_of(problem, train)
    known = fitted.targets.class_mass(fitted.weight) > 0
    if known.sum() < 2:
        names = problem.targets.classes[known].tolist()
        message = (
            f"The training rows of fold {k} have only one class of positive weight: {names}. Use "
            "folds that keep several classes together, such as StratifiedKFold(shuffle=True)."
        )
        raise InputError(message)
    held_out = rows_of(problem, test)
    mass = held_out.targets.class_mass(held_out.weight)
    if not mass[known].any():
        names = problem.targets.classes[mass > 0].tolist()
        message = (
            f"The held-out rows of fold {k} have no weight in any class of its training rows (they "
            f"have {names}), so nothing can be scored. Use folds that spread the classes."
        )
        raise InputError(message)
    return Fold(train, test, known, (mass > 0) & ~known)


def rows_of(problem: Problem, rows: Indices, *, with_X: bool = False) -> Problem:
    """The problem of some of the rows; X is copied only where it is asked for."""
    return replace(
        problem,
        X=problem.X[rows] if with_X else problem.X,
        targets=Targets(problem.targets.classes, problem.targets.values[rows]),
        weight=problem.weight[rows],
        offset=None if problem.offset is None else problem.offset[rows],
    )


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows, with what their loss is made of.

    Attributes
    ----------
    X : ndarray or csr_array, shape (m, d)
    values : ndarray or csr_array
        Labels (m,), or the part of each distribution (m, q) that known classes have.
    weight : ndarray, shape (m,)
        Sum 1 over the known part.
    offset : ndarray or None, shape (m, q)
    """

    X: Any
    values: Any
    weight: npt.NDArray[np.float64]
    offset: Any


def held_out_rows(problem: Problem, fold: Fold) -> HeldOut:
    """What of the held-out rows the fold's model can know.

    A class that the training rows lack has probability 0, and its loss is infinite for every C. Any
    floor ε under the probabilities would add -log ε times that mass, the same for every C. So what
    is left out here cannot change which C is best.
    """
    rows = fold.test
    if not problem.targets.soft:
        rows = rows[fold.known[problem.targets.values[rows]]]
    part = rows_of(problem, rows, with_X=True)
    values, weight = part.targets.values, part.weight
    total = float(weight.sum())
    if part.targets.soft and not fold.known.all():
        keep = fold.known.astype(np.float64)
        values = values.multiply(keep).tocsr() if sp.issparse(values) else values * keep
        total = float(weight @ np.asarray(values.sum(axis=1)).ravel())
    return HeldOut(part.X, values, weight / total, part.offset)


def log_loss_score(held_out: HeldOut, fit: Fit) -> float:
    """Minus the weighted mean cross-entropy of the held-out rows, in nats."""
    logits = linear_logits(held_out.X, fit.W, fit.b)
    if held_out.offset is not None:
        logits = logits + held_out.offset
    return -float(held_out.weight @ row_surprisal(log_softmax(logits), held_out.values))
