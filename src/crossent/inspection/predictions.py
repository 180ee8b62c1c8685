"""A classifier's log-probabilities for some rows, beside what the rows should have been."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.inspection.targets import labels_and_targets, row_weights

__all__ = ["Predictions", "log_probabilities", "predict_rows"]

# Probabilities that come from float32 logits over many classes sum to one within about 1e-6·q;
# anything further off than this is a mistake (logits, or probabilities that were not logged).
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Predictions:
    """Log-probabilities and targets of n rows over q classes; all inspections start here.

    Attributes
    ----------
    log_probabilities : ndarray of float64, shape (n, q)
        In nats; −∞ where a class is excluded.
    classes : ndarray, shape (q,)
    labels : ndarray of intp, shape (n,)
        Number of each row's class; for distributions, of the class with the largest mass.
    targets : ndarray of float64, shape (n, q), or None
        Distributions, if the rows came with distributions.
    sample_weight : ndarray of float64, shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])
    >>> rows = Predictions.from_log_probabilities(np.log(p), ["a", "c"], classes=["a", "b", "c"])
    >>> rows.surprisal / np.log(2)
    array([1., 3.])
    """

    log_probabilities: npt.NDArray[np.float64]
    classes: npt.NDArray[Any]
    labels: npt.NDArray[np.intp]
    targets: npt.NDArray[np.float64] | None
    sample_weight: npt.NDArray[np.float64]

    @classmethod
    def from_log_probabilities(
        cls, log_probabilities: Any, y: Any, /, *, classes: Any, sample_weight: Any = None
    ) -> "Predictions":
        """Predictions from numbers that are already at hand, from whatever model.

        Parameters
        ----------
        log_probabilities : array-like, shape (n, q)
            In nats. Each row's exponentials must sum to 1 within 1e-3.
        y : array-like, shape (n,) or (n, q)
            Class names or distributions.
        classes : array-like, shape (q,)
        sample_weight : array-like, shape (n,), optional

        Raises
        ------
        InputError
            Shapes that do not fit, NaN, rows that are not log-probabilities, a class in `y` that
            is not in `classes`, unusable weights, no rows.
        """
        names = np.asarray(classes)
        table = _checked(np.asarray(log_probabilities, dtype=np.float64), names.size)
        labels, targets = labels_and_targets(y, names)
        if labels.size != table.shape[0]:
            message = (
                f"X has {table.shape[0]} rows and y has {labels.size}. They must be as many, in "
                "the same order."
            )
            raise InputError(message)
        return cls(table, names, labels, targets, row_weights(sample_weight, labels.size))

    @property
    def surprisal(self) -> npt.NDArray[np.float64]:
        """Cross-entropy of each row, in nats, shape (n,): −Σⱼ yⱼ log pⱼ, with 0·∞ = 0."""
        if self.targets is None:
            return -_picked(self.log_probabilities, self.labels)
        held = self.targets > 0
        terms = np.multiply(
            self.targets, self.log_probabilities, out=np.zeros_like(self.targets), where=held
        )
        return np.asarray(-terms.sum(axis=1))

    @property
    def target_entropy(self) -> npt.NDArray[np.float64]:
        """Entropy of each row's target, in nats, shape (n,): no model does better. 0 for labels."""
        if self.targets is None:
            return np.zeros(self.labels.size)
        held = np.where(self.targets > 0, self.targets, 1.0)
        return np.asarray(-(held * np.log(held)).sum(axis=1))

    @property
    def predicted(self) -> npt.NDArray[np.intp]:
        """Number of the most probable class, shape (n,); the first of those that tie."""
        return np.asarray(np.argmax(self.log_probabilities, axis=1))

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """Probability of the predicted class, shape (n,)."""
        return np.asarray(np.exp(self.log_probabilities.max(axis=1)))

    @property
    def hits(self) -> npt.NDArray[np.float64]:
        """Target mass on the predicted class, shape (n,): 1 or 0 for labels."""
        if self.targets is None:
            return np.asarray(self.predicted == self.labels, dtype=np.float64)
        return _picked(self.targets, self.predicted)


def predict_rows(model: Any, X: Any, y: Any, /, *, sample_weight: Any = None) -> Predictions:
    """Predictions of a fitted classifier, beside the targets.

    Parameters
    ----------
    model : classifier
        Fitted; with ``classes_`` and ``predict_log_proba`` or ``predict_proba``.
    X : array-like, shape (n, d)
        Whatever the model takes.
    y : array-like, shape (n,) or (n, q)
        Class names, or distributions over ``model.classes_``, dense or sparse.
    sample_weight : array-like, shape (n,), optional

    Raises
    ------
    InputError
        The model is not fitted or gives no probabilities; see also
        `Predictions.from_log_probabilities`.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> X, y = [[0], [0], [0], [0]], ["a", "a", "b", "c"]
    >>> predict_rows(DummyClassifier().fit(X, y), X, y).confidence
    array([0.5, 0.5, 0.5, 0.5])
    """
    if not hasattr(model, "classes_"):
        message = (
            f"{type(model).__name__} has no `classes_`. Fit it first; it must be a classifier."
        )
        raise InputError(message)
    return Predictions.from_log_probabilities(
        log_probabilities(model, X), y, classes=model.classes_, sample_weight=sample_weight
    )


def log_probabilities(model: Any, X: Any) -> npt.NDArray[np.float64]:
    """What a model says, from ``predict_log_proba``, which loses least, else the other's log."""
    with np.errstate(divide="ignore"):  # log 0 = −∞ is what we want
        if hasattr(model, "predict_log_proba"):
            return np.asarray(model.predict_log_proba(X), dtype=np.float64)
        if hasattr(model, "predict_proba"):
            return np.log(np.asarray(model.predict_proba(X), dtype=np.float64))
    message = (
        f"{type(model).__name__} gives no probabilities (`predict_proba`). Wrap it in "
        "`sklearn.calibration.CalibratedClassifierCV`, or use a model that does."
    )
    raise InputError(message)


def _picked(
    table: npt.NDArray[np.float64], columns: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """One entry of each row, shape (n,)."""
    return np.asarray(table[np.arange(columns.size), columns])


def _checked(table: npt.NDArray[np.float64], n_classes: int) -> npt.NDArray[np.float64]:
    """The table, if every row is the logarithm of a distribution."""
    if table.ndim != 2 or table.shape[1] != n_classes:
        message = (
            f"The log-probabilities have shape {table.shape}; one column for each of the "
            f"{n_classes} classes is needed."
        )
        raise InputError(message)
    if table.shape[0] == 0:
        message = "There are no rows to evaluate. Give at least one."
        raise InputError(message)
    with np.errstate(over="ignore"):
        sums = np.exp(table).sum(axis=1)
    wrong = np.flatnonzero(~(np.abs(sums - 1) <= _SUM_TOLERANCE))
    if wrong.size:
        message = (
            f"Row {wrong[0]} of the log-probabilities gives probabilities that sum to "
            f"{sums[wrong[0]]:.6g}, not 1. Pass log-probabilities, not logits or probabilities "
            "(`crossent.functional.log_softmax` turns logits into log-probabilities)."
        )
        raise InputError(message)
    return table
