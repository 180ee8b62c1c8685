"""Which classes are taken for which."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.inspection.predictions import Predictions, predict_rows

__all__ = ["ConfusedPair", "Confusion", "confusion", "most_confused"]


@dataclass(frozen=True)
class ConfusedPair:
    """One way of being wrong: rows of class `true` for which `predicted` was most probable.

    Attributes
    ----------
    true, predicted : class names
    count : float
        Rows; their weight if weights were given; target mass for distributions.
    share : float
        Of all rows of class `true`.
    """

    true: Any
    predicted: Any
    count: float
    share: float


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix.

    Attributes
    ----------
    counts : ndarray of float64, shape (q, q)
        ``counts[i, j]``: rows of class i for which class j was most probable; their weight, or
        target mass, where those were given.
    classes : ndarray, shape (q,)

    Examples
    --------
    >>> import numpy as np
    >>> table = Confusion(np.array([[3.0, 2.0], [0.0, 7.0]]), np.array(["cat", "dog"]))
    >>> table.most_confused()
    (ConfusedPair(true='cat', predicted='dog', count=2.0, share=0.4),)
    """

    counts: npt.NDArray[np.float64]
    classes: npt.NDArray[Any]

    @property
    def row_shares(self) -> npt.NDArray[np.float64]:
        """Counts over the number of rows of the true class, shape (q, q); 0 for absent classes."""
        totals = self.counts.sum(axis=1, keepdims=True)
        shares: npt.NDArray[np.float64] = self.counts / np.where(totals > 0, totals, 1.0)
        return shares

    def most_confused(self, min_count: float = 1, /) -> tuple[ConfusedPair, ...]:
        """Wrong pairs with at least `min_count` rows, most frequent first; ties in class order."""
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        flat = np.argsort(-wrong, axis=None, kind="stable")
        true, predicted = np.unravel_index(flat, wrong.shape)
        names, shares = self.classes.tolist(), self.row_shares
        return tuple(
            ConfusedPair(names[i], names[j], float(wrong[i, j]), float(shares[i, j]))
            for i, j in zip(true.tolist(), predicted.tolist(), strict=True)
            if wrong[i, j] > 0 and wrong[i, j] >= min_count
        )


def confusion(rows: Predictions, /) -> Confusion:
    """Confusion matrix of predictions: true classes down, predicted classes across.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    >>> rows = Predictions.from_log_probabilities(np.log(p), [0, 1, 1], classes=[0, 1])
    >>> confusion(rows).counts
    array([[1., 0.],
           [1., 1.]])
    """
    q = rows.classes.size
    if rows.targets is None:
        cells = rows.labels * q + rows.predicted
        flat = np.bincount(cells, rows.sample_weight, minlength=q * q)
        return Confusion(flat.reshape(q, q).astype(np.float64), rows.classes)
    by_prediction = np.zeros((q, q))
    np.add.at(by_prediction, rows.predicted, rows.sample_weight[:, np.newaxis] * rows.targets)
    return Confusion(by_prediction.T.copy(), rows.classes)


def most_confused(
    model: Any, X: Any, y: Any, /, *, min_count: float = 1, sample_weight: Any = None
) -> tuple[ConfusedPair, ...]:
    """Pairs of classes that are confused in at least `min_count` rows, most frequent first.

    Parameters and errors are those of `crossent.inspection.evaluate`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> pair, *rest = most_confused(LogisticRegression(max_iter=500).fit(X, y), X, y)
    >>> (pair.true, pair.predicted, pair.count)
    (1, 2, 3.0)
    """
    return confusion(predict_rows(model, X, y, sample_weight=sample_weight)).most_confused(
        min_count
    )
