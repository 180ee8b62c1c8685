"""Scores with intervals, and the ranks that the data leave open."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from crossent.objectives.blas import blas_for

__all__ = ["ELO_PER_LOGIT", "Ranking", "rank_intervals"]

ELO_PER_LOGIT = 400 / np.log(10)
"""400 points are odds of 10 to 1: A. E. Elo, The Rating of Chessplayers, 1978, section 8.4."""

_DRAWS = 2000
_MAX_WORK = 400_000_000  # draws × pairs; beyond, Bonferroni's bound
_SEED = 20_251_106


@dataclass(frozen=True)
class Ranking:
    """Items from best to worst.

    Attributes
    ----------
    items : ndarray, shape (n,)
    scores, standard_errors, low, high : ndarray, shape (n,)
        In `unit`; `low` and `high` bound the score alone at `level`.
    rank_low, rank_high : ndarray of int, shape (n,)
        All these intervals hold at once with probability `level`.
    counts : dict of str to ndarray, shape (n,)
        "wins", "losses", "ties", "neither" of each item.
    component : ndarray of int, shape (n,)
    level : float
    unit : {"logit", "elo"}
    """

    items: npt.NDArray[Any]
    scores: npt.NDArray[np.float64]
    standard_errors: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    rank_low: npt.NDArray[np.intp]
    rank_high: npt.NDArray[np.intp]
    counts: dict[str, npt.NDArray[np.float64]]
    component: npt.NDArray[np.intp]
    level: float
    unit: str


def rank_intervals(
    scores: npt.NDArray[np.float64],
    covariance: npt.NDArray[np.float64],
    /,
    *,
    level: float = 0.95,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Best and worst rank of each item, valid for all items at once with probability `level`.

    An item ranks below those whose score is significantly higher, where "significantly" is held to
    the `level` quantile of the largest |contrast|/SE over all pairs, found by simulation from the
    normal approximation (fixed seed). Above some 600 items Bonferroni's bound takes its place,
    which makes intervals wider.

    Parameters
    ----------
    scores : ndarray, shape (n,)
    covariance : ndarray, shape (n, n)
    level : float

    Returns
    -------
    lowest, highest : ndarray of int, shape (n,)
        1 is the best rank.

    References
    ----------
    M. Mogstad, J. P. Romano, A. M. Shaikh, D. Wilhelm, Inference for ranks with applications to
    mobility across neighbourhoods and academic achievement across countries, Rev. Econ. Stud. 91,
    476-518, 2024, section 3.2 (without stepwise refinement).

    Examples
    --------
    >>> low, high = rank_intervals(np.array([3.0, 0.1, 0.0]), 0.01 * np.eye(3))
    >>> low.tolist(), high.tolist()
    ([1, 2, 2], [1, 3, 3])
    """
    n = len(scores)
    variance = covariance.diagonal()
    spread = np.sqrt(np.maximum(variance[:, None] + variance - 2 * covariance, 0))
    critical = _critical(covariance, spread, level)
    ahead = scores[:, None] - scores > critical * spread
    np.fill_diagonal(ahead, False)
    return 1 + ahead.sum(axis=0), n - ahead.sum(axis=1)


def _critical(
    covariance: npt.NDArray[np.float64], spread: npt.NDArray[np.float64], level: float
) -> float:
    """Quantile of max |contrast|/SE over all pairs."""
    n = len(covariance)
    pairs = n * (n - 1) / 2
    if pairs * _DRAWS > _MAX_WORK:
        return float(ndtri(1 - (1 - level) / (2 * pairs)))
    with blas_for(n):
        values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0))
    draws = root @ np.random.default_rng(_SEED).standard_normal((n, _DRAWS))
    per_width = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    largest = np.zeros(_DRAWS)
    for item in range(n - 1):  # one row of pairs at a time stays in cache
        of = slice(item + 1, n)
        ratio = np.abs(draws[item] - draws[of]) * per_width[item, of, None]
        np.maximum(largest, ratio.max(axis=0), out=largest)
    return float(np.quantile(largest, level))
