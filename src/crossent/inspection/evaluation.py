"""Accuracy and cross-entropy of a classifier, with intervals and baselines."""

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.inspection.predictions import Predictions, predict_rows
from crossent.inspection.targets import labels_and_targets, row_weights

__all__ = ["Evaluation", "class_frequencies", "evaluate", "evaluation", "wilson_interval"]

_LOG_2 = math.log(2)


@dataclass(frozen=True)
class Evaluation:
    """How well a classifier does on n rows with weights s, S = Σ s.

    Entropies are means over the rows, in nats; divide by log 2 for bits (`as_dict` has both).

    Attributes
    ----------
    n_rows, n_classes : int
    accuracy : float
        Σ sᵢ aᵢ / S, where aᵢ is 1 if the most probable class is the right one, else 0. For target
        distributions aᵢ is the target's mass on the most probable class: the accuracy to expect
        of labels drawn from the targets.
    accuracy_interval : (float, float)
        Wilson's 95 % interval, with S²/Σ s² for the number of rows. For distributions it is
        conservative, because aᵢ varies no more than a coin with the same mean.
    cross_entropy : float
        −Σᵢ sᵢ Σⱼ yᵢⱼ log pᵢⱼ / S. Infinite if a row's class has probability 0.
    cross_entropy_standard_error : float
        Of the mean over rows; NaN for one row or an infinite mean.
    uniform_baseline : float
        log q: cross-entropy of a model that knows nothing.
    frequency_baseline : float
        Cross-entropy of a model that gives every row the class frequencies in
        `frequencies_from`. Infinite if a class of these rows has frequency 0 there.
    frequencies_from : {"training rows", "these rows"}
    target_entropy : float
        Mean entropy of the targets: the floor that no model gets below; 0 for labels.
    soft_targets : bool
        Whether the targets were distributions.
    """

    n_rows: int
    n_classes: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    cross_entropy: float
    cross_entropy_standard_error: float
    uniform_baseline: float
    frequency_baseline: float
    frequencies_from: str
    target_entropy: float
    soft_targets: bool

    @property
    def divergence(self) -> float:
        """Mean Kullback-Leibler divergence KL(y ‖ p), in nats: cross-entropy less the floor."""
        return self.cross_entropy - self.target_entropy

    def as_dict(self) -> dict[str, Any]:
        """All numbers by name; those in nats a second time in bits, as ``<name>_bits``."""
        record = asdict(self) | {"divergence": self.divergence}
        in_nats = (
            "cross_entropy",
            "cross_entropy_standard_error",
            "uniform_baseline",
            "frequency_baseline",
            "target_entropy",
            "divergence",
        )
        return record | {f"{name}_bits": record[name] / _LOG_2 for name in in_nats}


def evaluate(
    model: Any,
    X: Any,
    y: Any,
    /,
    *,
    sample_weight: Any = None,
    class_frequencies: npt.ArrayLike | None = None,
) -> Evaluation:
    """Accuracy with an interval, and cross-entropy beside two baselines, in nats.

    Parameters
    ----------
    model : classifier
        Fitted; with ``classes_`` and ``predict_log_proba`` or ``predict_proba``.
    X : array-like, shape (n, d)
    y : array-like, shape (n,) or (n, q)
        Class names, or distributions over ``model.classes_``.
    sample_weight : array-like, shape (n,), optional
    class_frequencies : array-like, shape (q,), optional
        Frequencies of the classes among the *training* rows, for the second baseline (see
        `class_frequencies`). Without them those of these rows stand in, which no model could know.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        A class in `y` that the model does not know (the message names it and its first row),
        rows that are not distributions, shapes that do not fit, unusable weights, no rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> result = evaluate(LogisticRegression(max_iter=500).fit(X, y), X, y)
    >>> f"{result.accuracy:.3f} from {result.accuracy_interval[0]:.3f}"
    '0.973 from 0.933'
    >>> f"{result.cross_entropy:.2f} nats, of {result.uniform_baseline:.2f} with no knowledge"
    '0.12 nats, of 1.10 with no knowledge'
    """
    rows = predict_rows(model, X, y, sample_weight=sample_weight)
    return evaluation(rows, class_frequencies=class_frequencies)


def evaluation(
    rows: Predictions, /, *, class_frequencies: npt.ArrayLike | None = None
) -> Evaluation:
    """`evaluate` for predictions that are already at hand.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.5, 0.5], [0.75, 0.25]])
    >>> rows = Predictions.from_log_probabilities(np.log(p), [1, 1], classes=[0, 1])
    >>> evaluation(rows).as_dict()["cross_entropy_bits"]
    1.5
    """
    weights = rows.sample_weight / rows.sample_weight.sum()
    accuracy = min(float(weights @ rows.hits), 1.0)  # rounded weights may sum to 1 + 2e-16
    surprisal = rows.surprisal
    # A row of weight 0 must not turn an infinite surprisal into NaN.
    mean = float(weights[weights > 0] @ surprisal[weights > 0])
    observed = _mass(rows.labels, rows.targets, weights, rows.classes.size)
    given = observed if class_frequencies is None else _checked(class_frequencies, observed.size)
    return Evaluation(
        n_rows=rows.labels.size,
        n_classes=rows.classes.size,
        accuracy=accuracy,
        accuracy_interval=wilson_interval(accuracy, 1 / float(weights @ weights)),
        cross_entropy=mean,
        cross_entropy_standard_error=_standard_error(surprisal, weights, mean),
        uniform_baseline=math.log(rows.classes.size),
        frequency_baseline=_cross_entropy(observed, given),
        frequencies_from="these rows" if class_frequencies is None else "training rows",
        target_entropy=float(weights @ rows.target_entropy),
        soft_targets=rows.targets is not None,
    )


def class_frequencies(
    y: Any, /, *, classes: npt.ArrayLike, sample_weight: Any = None
) -> npt.NDArray[np.float64]:
    """Weighted share of each class, shape (q,), from class names or distributions.

    Examples
    --------
    >>> class_frequencies(["a", "b", "a", "a"], classes=["a", "b", "c"])
    array([0.75, 0.25, 0.  ])
    """
    names = np.asarray(classes)
    labels, targets = labels_and_targets(y, names)
    weights = row_weights(sample_weight, labels.size)
    return _mass(labels, targets, weights / weights.sum(), names.size)


def wilson_interval(share: float, n: float, /, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share seen in n independent rows.

    With z the normal quantile of (1 + confidence)/2, the two solutions π of
    (share − π)² = z² π (1 − π) / n. Inside [0, 1], and not empty at a share of 0 or 1.

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927,
    doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> low, high = wilson_interval(0.9, 100)
    >>> f"{low:.4f} {high:.4f}"
    '0.8256 0.9448'
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def _mass(
    labels: npt.NDArray[np.intp],
    targets: npt.NDArray[np.float64] | None,
    weights: npt.NDArray[np.float64],
    n_classes: int,
) -> npt.NDArray[np.float64]:
    """Weighted mass of each class, shape (q,)."""
    if targets is None:
        return np.bincount(labels, weights, minlength=n_classes).astype(np.float64)
    return np.asarray(weights @ targets)


def _cross_entropy(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    """H(p, q) in nats, with 0·∞ = 0; +∞ where q is 0 and p is not."""
    held = p > 0
    with np.errstate(divide="ignore"):
        return float(-(p[held] @ np.log(q[held]))) + 0.0  # + 0.0: no minus zero


def _standard_error(
    surprisal: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], mean: float
) -> float:
    """Of the weighted mean; weights sum to one. n/(n−1) makes it the textbook value if equal."""
    used = weights > 0
    n = int(used.sum())
    if n < 2 or not math.isfinite(mean):
        return math.nan
    parts = weights[used] * (surprisal[used] - mean)
    return math.sqrt(float(parts @ parts) * n / (n - 1))


def _checked(frequencies: npt.ArrayLike, n_classes: int) -> npt.NDArray[np.float64]:
    """The class frequencies, scaled to sum to one."""
    given = np.asarray(frequencies, dtype=np.float64)
    if given.shape != (n_classes,):
        message = (
            f"`class_frequencies` has shape {given.shape}; give one share for each of the "
            f"{n_classes} classes."
        )
        raise InputError(message)
    if not (np.all(given >= 0) and math.isfinite(given.sum()) and given.sum() > 0):
        message = f"`class_frequencies` must be finite, not negative and not all 0; got {given}."
        raise InputError(message)
    return np.asarray(given / given.sum())
