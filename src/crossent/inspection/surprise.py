"""The rows that a classifier found hardest to believe: often wrong labels."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.inspection.predictions import Predictions, predict_rows

__all__ = ["SurprisingRow", "surprising_rows", "top_losses"]


@dataclass(frozen=True)
class SurprisingRow:
    """One row, and what the model thought of it.

    Attributes
    ----------
    row : int
        Its number, from 0.
    surprisal : float
        −Σⱼ yⱼ log pⱼ, in nats; infinite if the row's class has probability 0.
    excess : float
        Surprisal less the entropy of the row's target, in nats: KL(y ‖ p). The same as
        `surprisal` for labels.
    target : class name
        The row's class; for distributions the class with the largest mass.
    target_mass : float
        The target's mass on it; 1 for labels.
    target_probability : float
        The model's probability of it.
    predicted : class name
        The most probable class.
    predicted_probability : float
    """

    row: int
    surprisal: float
    excess: float
    target: Any
    target_mass: float
    target_probability: float
    predicted: Any
    predicted_probability: float

    @property
    def surprisal_bits(self) -> float:
        """The surprisal in bits: what it costs to send the row's class with this model."""
        return self.surprisal / math.log(2)

    @property
    def excess_bits(self) -> float:
        """The excess in bits."""
        return self.excess / math.log(2)


def surprising_rows(
    rows: Predictions, /, *, k: int = 10, among: npt.NDArray[np.intp] | None = None
) -> tuple[SurprisingRow, ...]:
    """The k rows of positive weight with the largest excess surprisal, largest first.

    Distributions are ranked by KL(y ‖ p), not by surprisal: an ambiguous target is no surprise.
    Rows that tie stay in their order. Weights decide only whether a row takes part. `among` are the
    numbers of the rows to choose from, default all.

    Raises
    ------
    InputError
        `k` below 0.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]])
    >>> rows = Predictions.from_log_probabilities(np.log(p), ["a"] * 3, classes=["a", "b"])
    >>> [(found.row, found.predicted, found.surprisal_bits) for found in surprising_rows(rows, k=1)]
    [(1, 'b', 2.0)]
    """
    if k < 0:
        message = f"`k` is {k}; give the number of rows to show, 0 or more."
        raise InputError(message)
    excess = rows.surprisal - rows.target_entropy
    ranked = np.argsort(-excess, kind="stable")
    counted = rows.sample_weight > 0
    if among is not None:
        counted &= np.isin(np.arange(counted.size), among)
    chosen = ranked[counted[ranked]][:k]
    return tuple(_surprising_row(rows, row, float(excess[row])) for row in chosen.tolist())


def top_losses(
    model: Any, X: Any, y: Any, /, *, k: int = 10, sample_weight: Any = None
) -> tuple[SurprisingRow, ...]:
    """The k rows that surprise the model most; see `surprising_rows`.

    Parameters and errors are those of `crossent.inspection.evaluate`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> (worst,) = top_losses(LogisticRegression(max_iter=500).fit(X, y), X, y, k=1)
    >>> worst.row, worst.target, worst.predicted
    (83, 1, 2)
    """
    return surprising_rows(predict_rows(model, X, y, sample_weight=sample_weight), k=k)


def _surprising_row(rows: Predictions, row: int, excess: float) -> SurprisingRow:
    """The record of one row."""
    label, predicted = int(rows.labels[row]), int(rows.predicted[row])
    names = rows.classes.tolist()
    log_p = rows.log_probabilities[row]
    return SurprisingRow(
        row=row,
        surprisal=float(rows.surprisal[row]),
        excess=excess,
        target=names[label],
        target_mass=1.0 if rows.targets is None else float(rows.targets[row, label]),
        target_probability=math.exp(log_p[label]),
        predicted=names[predicted],
        predicted_probability=min(1.0, math.exp(log_p[predicted])),
    )
