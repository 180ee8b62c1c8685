"""Which C the scores of the folds speak for."""

from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError

__all__ = ["RULES", "check_scores", "mean_and_error", "select"]

RULES = ("min", "1se")


def mean_and_error(
    scores: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean over the folds, and its standard error, each of shape (k,).

    The error is the folds' standard deviation (divisor K - 1) over √K; NaN for a single fold. It
    treats the folds as independent, which their shared training rows make them only roughly.

    Parameters
    ----------
    scores : ndarray, shape (K, k)
        Higher is better.
    """
    folds = len(scores)
    mean = scores.mean(axis=0)
    if folds < 2:
        return mean, np.full(len(mean), np.nan)
    return mean, scores.std(axis=0, ddof=1) / np.sqrt(folds)


def select(
    mean: npt.NDArray[np.float64], error: npt.NDArray[np.float64], rule: str
) -> tuple[int, int]:
    """Index of the chosen C and of the best mean, in a grid with the strongest penalty first.

    "min" takes the best mean, and of equal ones the strongest penalty. "1se" takes the strongest
    penalty whose mean is not more than the best one's standard error below it.

    References
    ----------
    L. Breiman, J. Friedman, R. Olshen, C. Stone, Classification and Regression Trees, 1984,
    section 3.4.3, for the rule.
    """
    best = int(np.argmax(mean))
    if rule == "min":
        return best, best
    good = mean >= mean[best] - error[best]
    return int(np.flatnonzero(good)[0]), best


def check_scores(scores: npt.NDArray[np.float64], Cs: npt.NDArray[np.float64], name: Any) -> None:
    """No score is NaN, or the choice would be arbitrary."""
    bad = np.argwhere(np.isnan(scores))
    if len(bad):
        fold, k = bad[0]
        message = (
            f"scoring={name!r} gives NaN in fold {fold} for C={Cs[k]:g}. Choose a metric that is "
            "defined on every fold's held-out rows, or other folds."
        )
        raise InputError(message)
