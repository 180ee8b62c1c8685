"""How the loss falls with more rows to fit to."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.utils.validation import _num_samples

from crossent.errors import InputError
from crossent.inspection.evaluation import Evaluation, evaluate, evaluation
from crossent.inspection.predictions import Predictions, predict_rows
from crossent.linear_model.cross_fitting import take_rows
from crossent.linear_model.schema import RangeWarning
from crossent.linear_model.targets import read_targets

__all__ = ["LearningCurve", "learning_curve"]

_SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)


@dataclass(frozen=True)
class LearningCurve:
    """Evaluations of models that were fitted to more and more rows, each set holding the last.

    Attributes
    ----------
    n_rows : tuple of int
        Ascending.
    train : tuple of Evaluation
        Of each model on its own rows.
    test : tuple of Evaluation
        Of each model on the same other rows.
    last_gain : float
        By how much the test loss fell per doubling of the rows at the end, in nats.
    last_gain_standard_error : float
        Of `last_gain`, as the test rows vary: from the differences of the rows' own losses.
    """

    n_rows: tuple[int, ...]
    train: tuple[Evaluation, ...]
    test: tuple[Evaluation, ...]
    last_gain: float
    last_gain_standard_error: float


def learning_curve(
    model: Any,
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    /,
    *,
    shares: Sequence[float] = _SHARES,
    seed: int = 0,
) -> LearningCurve:
    """Fit clones to shares of the training rows and evaluate them on rows of their own and others.

    Each share has its part of every class, at least one row of it.

    Parameters
    ----------
    model : classifier
        Cloned; need not be fitted.
    train, test : (X, y)
    shares : sequence of float, default=(0.05, 0.1, 0.2, 0.4, 0.7, 1)
        Two or more, above 0 and at most 1. Shares that come to the same rows are fitted once.
    seed : int, default=0
        Of the order of the rows.

    Returns
    -------
    LearningCurve

    Raises
    ------
    InputError
        Shares outside (0, 1]; all shares come to the same rows; `evaluate`'s.

    Notes
    -----
    Cost: a fit for each share, by default together that of 2.4 fits to all rows.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_digits(return_X_y=True)
    >>> model = LogisticRegression(C=0.01, max_iter=300)
    >>> curve = learning_curve(model, (X[:900], y[:900]), (X[900:], y[900:]), shares=(0.1, 1))
    >>> curve.n_rows, curve.test[0].cross_entropy > curve.test[1].cross_entropy
    ((94, 900), True)
    """
    X, y = train
    targets = read_targets(y, getattr(model, "classes", None), rows=_num_samples(X))
    labels = np.asarray(targets.values.argmax(axis=1)).ravel() if targets.soft else targets.values
    chosen = _nested(labels, _checked(shares), np.random.default_rng(seed))
    own: list[Evaluation] = []
    other: list[Predictions] = []
    for rows in chosen:
        some = take_rows(X, rows), take_rows(y, rows)
        fitted = clone(model).fit(*some)
        own.append(evaluate(fitted, *some))
        with warnings.catch_warnings():
            # Few rows have a narrow range; only that of all rows is news.
            if len(rows) < len(labels):
                warnings.simplefilter("ignore", RangeWarning)
            other.append(predict_rows(fitted, *test))
    sizes = tuple(len(rows) for rows in chosen)
    doublings = math.log2(sizes[-1] / sizes[-2])
    with np.errstate(invalid="ignore"):  # an infinite loss makes the gain infinite or NaN
        gains = (other[-2].surprisal - other[-1].surprisal) / doublings
        error = float(gains.std(ddof=1)) / math.sqrt(gains.size) if gains.size > 1 else math.nan
    return LearningCurve(
        sizes, tuple(own), tuple(map(evaluation, other)), float(gains.mean()), error
    )


def _checked(shares: Sequence[float]) -> list[float]:
    """Ascending, without repetitions."""
    wanted = sorted(set(map(float, shares)))
    if len(wanted) < 2 or not (wanted[0] > 0 and wanted[-1] <= 1):
        message = f"`shares` is {shares!r}; give two or more numbers above 0 and at most 1."
        raise InputError(message)
    return wanted


def _nested(
    labels: npt.NDArray[np.intp], shares: list[float], rng: np.random.Generator
) -> list[npt.NDArray[np.intp]]:
    """Row numbers of each share, ascending, each set holding the one before."""
    order = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    sets = [
        np.sort(np.concatenate([part[: math.ceil(share * len(part))] for part in order]))
        for share in shares
    ]
    kept = [rows for k, rows in enumerate(sets) if k == 0 or len(rows) > len(sets[k - 1])]
    if len(kept) < 2:
        message = f"All of `shares` come to the same {len(sets[0])} rows; there are too few rows."
        raise InputError(message)
    return kept
