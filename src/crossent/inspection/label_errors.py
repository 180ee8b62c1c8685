"""Labels that a model does not believe: surprisal out of fold, and the confident joint."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import _num_samples

from crossent.errors import InputError
from crossent.inspection.predictions import Predictions, log_probabilities
from crossent.inspection.surprise import SurprisingRow, surprising_rows
from crossent.linear_model.cross_fitting import out_of_fold
from crossent.linear_model.targets import read_targets

__all__ = ["ConfidentJoint", "confident_joint", "out_of_fold_predictions", "suspicious_labels"]

_CHUNK = 4_000_000  # entries of the tables that are held at a time


def out_of_fold_predictions(
    model: Any, X: Any, y: Any, /, *, cv: Any = 5, sample_weight: Any = None
) -> Predictions:
    """Predictions for every row by a model that did not see it.

    A model believes the labels that it was fitted to; whoever looks for wrong ones must ask models
    that were fitted to the other rows.

    Parameters
    ----------
    model : classifier
        Cloned for each fold; need not be fitted.
    X : array-like, frame or sparse matrix of shape (n, d), or whatever the model takes
    y : array-like of shape (n,), or distributions of shape (n, q)
    cv : int, splitter or iterable, default=5
        Must hold out every row exactly once. A number means stratified folds.
    sample_weight : array-like of shape (n,), optional
        Used in the fits and kept with the predictions.

    Returns
    -------
    Predictions
        In the order of the rows; `Predictions.surprisal` ranks them by how little their labels are
        believed.

    Raises
    ------
    InputError
        The training rows of a fold lack a class; a row is not held out exactly once; the model
        gives no probabilities.

    Notes
    -----
    Cost: one fit a fold.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> y[7] = 2  # a setosa
    >>> rows = out_of_fold_predictions(LogisticRegression(max_iter=500), X, y)
    >>> int(rows.surprisal.argmax())
    7
    """
    targets = read_targets(y, getattr(model, "classes", None), rows=_num_samples(X))
    found = out_of_fold(
        model, X, y, targets=targets, cv=cv, response=log_probabilities, sample_weight=sample_weight
    )
    given = targets.values if targets.soft else targets.classes[targets.values]
    return Predictions.from_log_probabilities(
        found, given, classes=targets.classes, sample_weight=sample_weight
    )


@dataclass(frozen=True)
class ConfidentJoint:
    """How often rows of one label are confidently another class.

    A row counts as class j if its probability of j is at least `thresholds[j]`, the mean
    probability of j among the rows labelled j; of several such classes the most probable counts,
    and a row without one counts nowhere.

    Attributes
    ----------
    counts : ndarray of float64, shape (q, q)
        ``counts[i, j]``: rows (their weight) labelled i and confidently j.
    thresholds : ndarray, shape (q,)
        ∞ for a class without rows, which no row can then be.
    class_mass : ndarray, shape (q,)
        Rows (their weight) of each label.
    classes : ndarray, shape (q,)
    suspects : ndarray of intp
        Rows of positive weight that are confidently another class than their label, the one with
        the largest surprisal first.
    """

    counts: npt.NDArray[np.float64]
    thresholds: npt.NDArray[np.float64]
    class_mass: npt.NDArray[np.float64]
    classes: npt.NDArray[Any]
    suspects: npt.NDArray[np.intp]

    @property
    def joint(self) -> npt.NDArray[np.float64]:
        """Estimated P(label i, true class j), shape (q, q).

        `counts`, each row scaled to the share of its label. A label without confident rows is
        taken as right.
        """
        totals = self.counts.sum(axis=1, keepdims=True)
        shares = np.where(totals > 0, self.counts, np.eye(len(totals)))
        mass = self.class_mass / self.class_mass.sum()
        return np.asarray(shares / shares.sum(axis=1, keepdims=True) * mass[:, np.newaxis])

    @property
    def noise(self) -> npt.NDArray[np.float64]:
        """Estimated P(label i | true class j), shape (q, q); columns sum to 1, or are 0."""
        joint = self.joint
        totals = joint.sum(axis=0)
        return np.asarray(joint / np.where(totals > 0, totals, 1.0))

    @property
    def estimated_error_share(self) -> float:
        """Estimated share of wrong labels: 1 − Σᵢ joint[i, i]."""
        return max(0.0, 1.0 - float(np.trace(self.joint)))


def confident_joint(rows: Predictions, /) -> ConfidentJoint:
    """Count labels against the classes that a model is confident of.

    Parameters
    ----------
    rows : Predictions
        Out of fold, or of a model fitted to other rows; with labels.

    Raises
    ------
    InputError
        The targets are distributions.

    Notes
    -----
    One pass over the probabilities, in chunks: O(n q) time, no table of n × q besides.

    References
    ----------
    C. G. Northcutt, L. Jiang and I. L. Chuang, "Confident learning: estimating uncertainty in
    dataset labels", J. Artif. Intell. Res. 70, 2021, doi:10.1613/jair.1.12125, equations 1 to 3.
    The suspects are ranked by surprisal.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.9, 0.1], [0.4, 0.6]])
    >>> rows = Predictions.from_log_probabilities(np.log(p), [0, 0, 1, 1, 1], classes=[0, 1])
    >>> found = confident_joint(rows)
    >>> found.counts
    array([[1., 0.],
           [1., 2.]])
    >>> found.suspects
    array([3])
    """
    if rows.targets is not None:
        message = "The confident joint needs labels; these rows have distributions as targets."
        raise InputError(message)
    q = rows.classes.size
    mass = np.bincount(rows.labels, rows.sample_weight, minlength=q).astype(np.float64)
    own = rows.sample_weight * np.exp(-rows.surprisal)
    with np.errstate(divide="ignore", invalid="ignore"):
        thresholds = np.bincount(rows.labels, own, minlength=q) / mass
    thresholds[~(mass > 0)] = np.inf
    confident = _confident_classes(rows.log_probabilities, thresholds)
    held = confident >= 0
    cells = rows.labels[held] * q + confident[held]
    counts = np.bincount(cells, rows.sample_weight[held], minlength=q * q)
    other = np.flatnonzero(held & (confident != rows.labels) & (rows.sample_weight > 0))
    order = np.argsort(-rows.surprisal[other], kind="stable")
    return ConfidentJoint(
        counts=counts.reshape(q, q).astype(np.float64),
        thresholds=thresholds,
        class_mass=mass,
        classes=rows.classes,
        suspects=other[order],
    )


def suspicious_labels(rows: Predictions, /, *, k: int = 20) -> tuple[SurprisingRow, ...]:
    """The k most surprising rows among those that are confidently another class.

    Of hard but rightly labelled rows there are fewer among them than among the most surprising
    rows as such (`surprising_rows`).

    Parameters and errors are those of `confident_joint` and `surprising_rows`.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.9, 0.1], [0.4, 0.6]])
    >>> rows = Predictions.from_log_probabilities(np.log(p), [0, 0, 1, 1, 1], classes=[0, 1])
    >>> [(found.row, found.target, found.predicted) for found in suspicious_labels(rows)]
    [(3, 1, 0)]
    """
    return surprising_rows(rows, k=k, among=confident_joint(rows).suspects)


def _confident_classes(
    log_p: npt.NDArray[np.float64], thresholds: npt.NDArray[np.float64]
) -> npt.NDArray[np.intp]:
    """The most probable class above its threshold, shape (n,); −1 where there is none."""
    n, q = log_p.shape
    found = np.empty(n, dtype=np.intp)
    # A class all of whose rows have one probability must reach its own mean of it.
    least = thresholds * (1 - 1e-12)
    for start in range(0, n, max(1, _CHUNK // q)):
        p = np.exp(log_p[start : start + max(1, _CHUNK // q)])
        p[p < least] = -1.0
        best = p.argmax(axis=1)
        best[p[np.arange(len(p)), best] < 0] = -1
        found[start : start + len(p)] = best
    return found
