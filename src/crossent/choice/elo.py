"""Elo ratings: one pass of stochastic gradient descent on Bradley and Terry's loss."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from crossent.choice.comparisons import read_comparisons
from crossent.choice.outcomes import LEFT, NEITHER, RIGHT
from crossent.choice.ranks import ELO_PER_LOGIT
from crossent.errors import InputError

__all__ = ["elo_ratings"]


def elo_ratings(
    X: Any,
    y: Any = None,
    *,
    k: float = 32.0,
    initial: float = 1500.0,
    home_advantage: float = 0.0,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Items and their Elo ratings after all comparisons, in the order of the rows.

    A comparison with result s for the left item (1, 0, or ½ for a tie) changes

        r_left ← r_left + k (s - e),   r_right ← r_right - k (s - e),   e = σ((r_left - r_right)/c),

    with c = 400/ln 10. In logits θ = r/c this is θ ← θ - (k/c) ∇loss: a gradient step of length k/c
    on that comparison's cross-entropy s·log e + (1 - s)·log(1 - e), negated. Unlike the fit of
    `BradleyTerry` the result depends on the order of the rows and never settles; it has no
    existence problem, because it never arrives.

    Parameters
    ----------
    X : array-like or frame of shape (n, 2)
    y : array-like of shape (n,), optional
        As in `BradleyTerry.fit`, one outcome a row.
    k : float
        Points at stake.
    initial : float
        Rating of an item before its first comparison.
    home_advantage : float
        Points added to the left item when the expectation is computed.

    Returns
    -------
    items : ndarray, shape (n_items,)
    ratings : ndarray, shape (n_items,)

    References
    ----------
    A. E. Elo, The Rating of Chessplayers, Past and Present, 1978, chapter 1.

    Examples
    --------
    >>> items, ratings = elo_ratings([["ann", "bob"], ["ann", "bob"]], ["left", "tie"])
    >>> items.tolist(), ratings.round(2).tolist()
    (['ann', 'bob'], [1514.53, 1485.47])
    """
    data = read_comparisons(X, y)
    table = data.table
    if table.row is not None or (table.outcome == NEITHER).any():
        message = "Elo needs one outcome a row, and has none for 'neither'. Drop such rows."
        raise InputError(message)
    results = np.select([table.outcome == LEFT, table.outcome == RIGHT], [1.0, 0.0], 0.5)
    ratings = [float(initial)] * len(data.items)
    rows = zip(data.left.tolist(), data.right.tolist(), results.tolist(), strict=True)
    for left, right, result in rows:
        ahead = (ratings[left] + home_advantage - ratings[right]) / ELO_PER_LOGIT
        change = k * (result - float(expit(ahead)))
        ratings[left] += change
        ratings[right] -= change
    return data.items, np.array(ratings)
