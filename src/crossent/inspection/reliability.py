"""Do the probabilities mean what they say: confidence against accuracy, in bins."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.inspection.evaluation import wilson_interval
from crossent.inspection.predictions import Predictions

__all__ = [
    "Binning",
    "CalibrationErrors",
    "Reliability",
    "calibration_errors",
    "class_reliability",
    "reliability",
]

Binning: TypeAlias = Literal["equal-mass", "equal-width"]


@dataclass(frozen=True)
class Reliability:
    """Confidence (the probability of the predicted class) against accuracy, in B bins.

    Of one class: its probability against its share of the rows. Empty bins are left out, so B may
    be smaller than the number asked for.

    Attributes
    ----------
    confidence : ndarray, shape (B,)
        Mean confidence of the bin's rows.
    accuracy : ndarray, shape (B,)
        Share of them that is right; for target distributions the mean mass on the prediction.
    interval : ndarray, shape (B, 2)
        Wilson's 95 % interval of the accuracy.
    weight : ndarray, shape (B,)
        The bin's share of all rows; sums to 1.
    count : ndarray of intp, shape (B,)
        Rows of positive weight.
    binning : {"equal-mass", "equal-width"}
    n_bins : int
        Bins asked for.
    expected_calibration_error : float
        Σ_b weight_b |accuracy_b − confidence_b|: depends on the binning, and is above 0 for
        perfect probabilities too, by about `chance_level`.
    chance_level : float
        What the calibration error of perfectly calibrated probabilities would be on average, to
        the normal approximation: Σ_b weight_b √(2/π) σ_b, σ_b² the variance of the bin's accuracy.
    label : class name or None
        The class that the curve is about; None: the predicted one of each row.
    """

    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    interval: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    count: npt.NDArray[np.intp]
    binning: Binning
    n_bins: int
    expected_calibration_error: float
    chance_level: float
    label: Any = None

    @property
    def maximum_calibration_error(self) -> float:
        """Largest |accuracy_b − confidence_b|; says little where a bin holds few rows."""
        return float(np.abs(self.accuracy - self.confidence).max())

    @property
    def root_mean_square_error(self) -> float:
        """√(Σ_b weight_b (accuracy_b − confidence_b)²)."""
        return math.sqrt(float(self.weight @ (self.accuracy - self.confidence) ** 2))

    @property
    def debiased_root_mean_square_error(self) -> float:
        """The same, less what chance adds: accuracy_b (1 − accuracy_b) / (count_b − 1) in each bin.

        0 where no more is left than chance would give; bins of one row count nothing.

        References
        ----------
        A. Kumar, P. Liang and T. Ma, "Verified uncertainty calibration", 2019, arXiv:1909.10155,
        section 4.
        """
        squares = (self.accuracy - self.confidence) ** 2
        several = self.count > 1
        noise = self.accuracy * (1 - self.accuracy) / np.maximum(self.count - 1, 1)
        total = float(self.weight[several] @ (squares - noise)[several])
        return math.sqrt(max(total, 0.0))


def reliability(
    rows: Predictions, /, *, n_bins: int | None = None, binning: Binning = "equal-mass"
) -> Reliability:
    """Top-label reliability curve and expected calibration error.

    Parameters
    ----------
    rows : Predictions
    n_bins : int, optional
        Default: one for each 20 rows, at least 3 and at most 15.
    binning : {"equal-mass", "equal-width"}
        Bins that hold equal weight (rows with the same confidence stay together), or bins of
        equal width on [0, 1]. Equal mass keeps every bin's accuracy about equally certain.

    Returns
    -------
    Reliability

    Raises
    ------
    InputError
        `n_bins` below 1 or an unknown `binning`.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks",
    2017, arXiv:1706.04599, equation 3 (equal width); K. Nguyen and B. O'Connor, "Posterior
    calibration and exploratory analysis for natural language processing models", 2015,
    arXiv:1508.05154 (equal mass).

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.8, 0.2]] * 4 + [[0.6, 0.4]] * 4)
    >>> y = [0, 0, 0, 1, 0, 0, 1, 1]
    >>> curve = reliability(
    ...     Predictions.from_log_probabilities(np.log(p), y, classes=[0, 1]), n_bins=2
    ... )
    >>> curve.confidence.round(6), curve.accuracy
    (array([0.6, 0.8]), array([0.5 , 0.75]))
    >>> round(curve.expected_calibration_error, 6)
    0.075
    """
    wanted = _n_bins(rows, n_bins, binning)
    used = rows.sample_weight > 0
    confidence = np.minimum(rows.confidence[used], 1.0)  # exp(log p) may exceed 1 by rounding
    return _curve(confidence, rows.hits[used], rows.sample_weight[used], wanted, binning)


def class_reliability(
    rows: Predictions,
    label: Any,
    /,
    *,
    n_bins: int | None = None,
    binning: Binning = "equal-mass",
) -> Reliability:
    """Reliability curve of one class: its probability against its share of the rows.

    Parameters
    ----------
    rows : Predictions
    label : class name
        One of ``rows.classes``.
    n_bins, binning
        As in `reliability`.

    Raises
    ------
    InputError
        As `reliability`; a `label` that is none of the classes.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.8, 0.2]] * 5 + [[0.3, 0.7]] * 5)
    >>> y = ["a"] * 4 + ["b"] + ["a"] * 2 + ["b"] * 3
    >>> rows = Predictions.from_log_probabilities(np.log(p), y, classes=["a", "b"])
    >>> class_reliability(rows, "b", n_bins=2).accuracy
    array([0.2, 0.6])
    """
    wanted = _n_bins(rows, n_bins, binning)
    names = rows.classes.tolist()
    if label not in names:
        message = f"{label!r} is none of the {len(names)} classes."
        raise InputError(message)
    return _class_curve(rows, names.index(label), wanted, binning)


@dataclass(frozen=True)
class CalibrationErrors:
    """Distances between probabilities and frequencies; each depends on the binning it names.

    Attributes
    ----------
    binning : {"equal-mass", "equal-width"}
    n_bins : int
    expected : float
        Top-label: Σ_b weight_b |accuracy_b − confidence_b|.
    maximum, root_mean_square, debiased_root_mean_square : float
        Of the same bins; see `Reliability`.
    classwise : float
        Mean over the classes of the expected error of each class's own probability.
    chance_expected, chance_classwise : float
        What `expected` and `classwise` would be on average for perfect probabilities.
    """

    binning: Binning
    n_bins: int
    expected: float
    maximum: float
    root_mean_square: float
    debiased_root_mean_square: float
    classwise: float
    chance_expected: float
    chance_classwise: float


def calibration_errors(
    rows: Predictions, /, *, n_bins: int | None = None, binning: Binning = "equal-mass"
) -> CalibrationErrors:
    """The family of expected calibration errors with one stated binning.

    Parameters and errors are those of `reliability`.

    Notes
    -----
    Cost: a sort of every column, O(q n log n). A proper score, such as the log-loss, needs no bins;
    see `crossent.calibration.split_log_loss`.

    References
    ----------
    As `reliability`; for the classes M. Kull et al., "Beyond temperature scaling", 2019,
    arXiv:1910.12656, equation 2.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.8, 0.2]] * 4 + [[0.6, 0.4]] * 4)
    >>> rows = Predictions.from_log_probabilities(
    ...     np.log(p), [0, 0, 0, 1, 0, 0, 1, 1], classes=[0, 1]
    ... )
    >>> found = calibration_errors(rows, n_bins=2)
    >>> round(found.expected, 4), round(found.maximum, 4), round(found.classwise, 4)
    (0.075, 0.1, 0.075)
    """
    top = reliability(rows, n_bins=n_bins, binning=binning)
    classes = [_class_curve(rows, label, top.n_bins, binning) for label in range(rows.classes.size)]
    return CalibrationErrors(
        binning=binning,
        n_bins=top.n_bins,
        expected=top.expected_calibration_error,
        maximum=top.maximum_calibration_error,
        root_mean_square=top.root_mean_square_error,
        debiased_root_mean_square=top.debiased_root_mean_square_error,
        classwise=float(np.mean([curve.expected_calibration_error for curve in classes])),
        chance_expected=top.chance_level,
        chance_classwise=float(np.mean([curve.chance_level for curve in classes])),
    )


def _class_curve(rows: Predictions, label: int, n_bins: int, binning: Binning) -> Reliability:
    """The curve of the class of this number."""
    used = rows.sample_weight > 0
    probability = np.minimum(np.exp(rows.log_probabilities[used, label]), 1.0)
    held = rows.labels == label if rows.targets is None else rows.targets[:, label]
    hits = np.asarray(held, dtype=np.float64)[used]
    curve = _curve(probability, hits, rows.sample_weight[used], n_bins, binning)
    return replace(curve, label=rows.classes.tolist()[label])


def _n_bins(rows: Predictions, n_bins: int | None, binning: Binning) -> int:
    """How many bins; InputError if that or the binning cannot be used."""
    n = rows.labels.size
    if binning not in get_args(Binning):
        message = f"`binning` is {binning!r}; use 'equal-mass' or 'equal-width'."
        raise InputError(message)
    wanted = max(3, min(15, n // 20)) if n_bins is None else n_bins
    if wanted < 1:
        message = f"`n_bins` is {n_bins}; give at least 1."
        raise InputError(message)
    return wanted


def _curve(
    confidence: npt.NDArray[np.float64],
    hits: npt.NDArray[np.float64],
    sample_weight: npt.NDArray[np.float64],
    n_bins: int,
    binning: Binning,
) -> Reliability:
    """Bins of equal mass or width, and what is in them; all weights are positive."""
    weight = sample_weight / sample_weight.sum()
    bins = _bin_numbers(confidence, weight, n_bins, binning)
    return _summary(bins, confidence, hits, weight, n_bins, binning)


def _bin_numbers(
    confidence: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    n_bins: int,
    binning: Binning,
) -> npt.NDArray[np.intp]:
    """Bin of each row, numbered from 0 without holes, shape (n,)."""
    if binning == "equal-width":
        raw = np.minimum((confidence * n_bins).astype(np.intp), n_bins - 1)
    else:
        values, place = np.unique(confidence, return_inverse=True)
        mass = np.bincount(place, weight, minlength=values.size)
        middle = np.cumsum(mass) - mass / 2
        raw = np.minimum((middle * n_bins).astype(np.intp), n_bins - 1)[place]
    return np.unique(raw, return_inverse=True)[1]


def _summary(
    bins: npt.NDArray[np.intp],
    confidence: npt.NDArray[np.float64],
    hits: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    n_bins: int,
    binning: Binning,
) -> Reliability:
    """Means per bin, and the two errors; `weight` sums to one."""
    mass = np.bincount(bins, weight).astype(np.float64)
    mean_confidence = np.bincount(bins, weight * confidence) / mass
    accuracy = np.clip(np.bincount(bins, weight * hits) / mass, 0, 1)
    squares = np.bincount(bins, weight**2)
    variance = np.bincount(bins, weight**2 * confidence * (1 - confidence)) / mass**2
    intervals = [
        wilson_interval(float(share), float(rows))
        for share, rows in zip(accuracy, mass**2 / squares, strict=True)
    ]
    return Reliability(
        confidence=mean_confidence,
        accuracy=accuracy,
        interval=np.array(intervals),
        weight=mass,
        count=np.bincount(bins),
        binning=binning,
        n_bins=n_bins,
        expected_calibration_error=float(mass @ np.abs(accuracy - mean_confidence)),
        chance_level=float(mass @ np.sqrt(variance)) * math.sqrt(2 / math.pi),
    )
