"""Do the probabilities mean what they say: confidence against accuracy, in bins."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.inspection.evaluation import wilson_interval
from crossent.inspection.predictions import Predictions

__all__ = ["Binning", "Reliability", "reliability"]

Binning: TypeAlias = Literal["equal-mass", "equal-width"]


@dataclass(frozen=True)
class Reliability:
    """Confidence (the probability of the predicted class) against accuracy, in B bins.

    Empty bins are left out, so B may be smaller than the number asked for.

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
    n = rows.labels.size
    if binning not in get_args(Binning):
        message = f"`binning` is {binning!r}; use 'equal-mass' or 'equal-width'."
        raise InputError(message)
    wanted = max(3, min(15, n // 20)) if n_bins is None else n_bins
    if wanted < 1:
        message = f"`n_bins` is {n_bins}; give at least 1."
        raise InputError(message)
    used = rows.sample_weight > 0
    confidence = np.minimum(rows.confidence[used], 1.0)  # exp(log p) may exceed 1 by rounding
    weight = rows.sample_weight[used] / rows.sample_weight[used].sum()
    bins = _bin_numbers(confidence, weight, wanted, binning)
    return _summary(bins, confidence, rows.hits[used], weight, wanted, binning)


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
