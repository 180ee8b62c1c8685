"""Maps from a classifier's scores to probabilities that mean what they say."""

import math
import numbers
import warnings
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from crossent.calibration.rows import Rows, centred, read_rows
from crossent.calibration.scores import Given, read_scores
from crossent.calibration.stages import (
    STAGES,
    Map,
    Method,
    Stage,
    add_stage,
    choose_strength,
    first_stage,
)
from crossent.calibration.temperature import Temperature, warn_of_no_optimum
from crossent.errors import InputError
from crossent.functional import log_softmax

__all__ = ["Calibrator", "calibrate", "check_options"]


@dataclass(frozen=True)
class Calibrator:
    """A fitted map from scores to calibrated log-probabilities.

    With z the scores as logits that sum to zero over the classes: ``softmax(slope ∘ z + bias)``,
    for the method "matrix" with ``mixing @ z`` added.

    Attributes
    ----------
    method : {"temperature", "bias-corrected", "vector", "matrix"}
    given : {"logits", "log_probabilities", "probabilities"}
        What the scores are.
    classes : ndarray, shape (q,)
    slope, bias : ndarray, shape (q,)
    mixing : ndarray, shape (q, q), or None
    temperature : Temperature
        Of the first stage; for the method "temperature" the whole answer.
    strengths : tuple of float
        C of each later stage; 0 where cross-validation found that it only adds noise.
    floor : float or None
    log_loss_before, log_loss_after : float
        Mean cross-entropy of the rows calibrated on, in nats; the second is never the larger.
    """

    method: Method
    given: Given
    classes: npt.NDArray[Any]
    slope: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    mixing: npt.NDArray[np.float64] | None
    temperature: Temperature
    strengths: tuple[float, ...]
    floor: float | None
    log_loss_before: float
    log_loss_after: float

    def log_probabilities(self, scores: Any, /) -> npt.NDArray[np.float64]:
        """Calibrated log-probabilities in nats, shape (n, q).

        A class of probability 0 keeps it.

        Raises
        ------
        InputError
            Numbers that are not what `given` says; for vector and matrix scaling a class of
            probability 0, whose logit would be multiplied by others.
        """
        log_p = read_scores(scores, given=self.given, n_classes=len(self.classes), floor=self.floor)
        z, excluded = centred(log_p)
        _check_excluded(excluded, self.method)
        logits = Map(self.slope, self.bias, self.mixing).logits(z)
        if excluded is not None:
            logits = np.where(excluded, -np.inf, logits)
        return np.asarray(log_softmax(logits))

    def probabilities(self, scores: Any, /) -> npt.NDArray[np.float64]:
        """Calibrated probabilities, shape (n, q)."""
        return np.asarray(np.exp(self.log_probabilities(scores)))

    def coefficients(
        self, W: npt.NDArray[np.float64], b: npt.NDArray[np.float64], /
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """A linear model's W (q, d) and b (q,) with the map in them: it is linear in W x + b.

        Classes with b = -inf keep it. The calibrator must have no `floor`, which is not linear.
        """
        assert self.floor is None
        possible = np.isfinite(b)
        W = np.where(possible[:, None], W - W[possible].mean(axis=0), 0.0)
        shifted = np.where(possible, b - b[possible].mean(), 0.0)
        A = np.diag(self.slope) if self.mixing is None else np.diag(self.slope) + self.mixing
        return A @ W, np.where(possible, A @ shifted + self.bias, -np.inf)


def calibrate(
    scores: Any,
    y: Any,
    /,
    *,
    given: Given,
    method: Method = "temperature",
    classes: Any = None,
    sample_weight: Any = None,
    C: float | None = None,
    floor: float | None = None,
) -> Calibrator:
    """Fit a map from scores to probabilities on rows that the classifier was not fitted to.

    All methods are softmax regression on the logits z (made to sum to zero in each row, so that
    only the probabilities count), in stages that begin with the best temperature 1/β:

    ========================  ==========================  ===========================
    method                    ζ                           penalised
    ========================  ==========================  ===========================
    ``"temperature"``         β z                         nothing
    ``"bias-corrected"``      (β + d) z + c               c, d (one number)
    ``"vector"``              (β + d) ∘ z + c             c, d (one a class)
    ``"matrix"``              the vector's ζ + M z + e    M, e
    ========================  ==========================  ===========================

    Each stage minimises (1/S) Σᵢ sᵢ lossᵢ + (1/2CS) Σ (what it adds)², where β z, or if that is
    larger z/rms(z), stands for z, and √q M for M. It ends at the stage before if nothing is gained,
    so the loss on these rows never rises, and classes without rows here keep finite logits.

    Parameters
    ----------
    scores : array-like, shape (n, q); for two classes also (n,)
        What a classifier said about rows that it was not fitted to.
    y : array-like, shape (n,) or (n, q)
        Class names, or distributions over the classes.
    given : {"logits", "log_probabilities", "probabilities"}
        What `scores` are; never guessed.
    method : {"temperature", "bias-corrected", "vector", "matrix"}
    classes : array-like, shape (q,), optional
        Names of the columns; default 0…q−1.
    sample_weight : array-like, shape (n,), optional
    C : float, optional
        Inverse strength of the ridge of every stage. Default: for each stage the best of 0, 0.001,
        0.01, 0.1, 1 and 10 by five-fold cross-validation on these rows; 0 leaves it out.
    floor : float, optional
        Probabilities below it are raised to it before anything else, here and in the calibrator.
        Without it a row whose own class has probability 0 is refused, and for vector and matrix
        scaling any probability of 0.

    Returns
    -------
    Calibrator

    Raises
    ------
    InputError
        As `fit_temperature`; an unknown `method`, a `C` that is not positive.

    Warns
    -----
    CalibrationWarning
        If there is no best temperature; see `Temperature`.

    Notes
    -----
    Cost: a temperature takes 4 to 8 passes of O(n q); vector scaling 30 fits of a few O(n q²)
    steps, matrix scaling as many softmax regressions with q features besides.

    References
    ----------
    A. Alexandari, A. Kundaje and A. Shrikumar, "Maximum likelihood with bias-corrected calibration
    is hard-to-beat at label shift adaptation", 2020, arXiv:1901.06852 (bias-corrected); C. Guo et
    al., "On calibration of modern neural networks", 2017, arXiv:1706.04599 (temperature, vector,
    matrix); M. Kull et al., "Beyond temperature scaling", 2019, arXiv:1910.12656 (a penalty on
    what is off the diagonal). Shrinking each stage to the one before is ours.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z = 2 * rng.standard_normal((2000, 3))
    >>> y = (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)  # drawn from softmax(z / 2)
    >>> found = calibrate(z, y, given="logits")
    >>> round(found.temperature.temperature, 2)
    1.91
    >>> found.log_loss_after < found.log_loss_before
    True
    """
    check_options(method, C)
    rows = read_rows(
        scores, y, given=given, classes=classes, sample_weight=sample_weight, floor=floor
    )
    stage = fit_stages(rows, method, C)
    warn_of_no_optimum(stage.temperature, stacklevel=3)
    if not stage.converged:
        message = "A stage of the calibration did not reach its tolerance; its loss is no larger."
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return Calibrator(
        method=method,
        given=given,
        classes=rows.classes,
        slope=stage.map.slope,
        bias=stage.map.bias,
        mixing=stage.map.mixing,
        temperature=stage.temperature,
        strengths=stage.strengths,
        floor=floor,
        log_loss_before=stage.temperature.log_loss_before,
        log_loss_after=rows.loss(stage.map.logits(rows.z)),
    )


def fit_stages(rows: Rows, method: Method, C: float | None, /) -> Stage:
    """All stages of a method."""
    _check_excluded(rows.excluded, method)
    stage = first_stage(rows)
    kinds = STAGES[method]
    for number, kind in enumerate(kinds):
        strength = C
        if C is None:
            strength = choose_strength(rows, kinds[: number + 1], stage.strengths)
        assert strength is not None
        stage = add_stage(rows, stage, kind, C=strength)
    return stage


def check_options(method: Any, C: Any, /) -> None:
    """Raise an InputError for an unknown method or a C that cannot be used."""
    if method not in get_args(Method):
        words = ", ".join(map(repr, get_args(Method)))
        message = f"`method` is {method!r}; it must be one of {words}."
        raise InputError(message)
    number = isinstance(C, numbers.Real) and 0 < float(C) < math.inf
    if C is not None and not number:
        message = f"`C` is {C!r}; it must be a positive number, or None to have it chosen."
        raise InputError(message)


def _check_excluded(excluded: npt.NDArray[np.bool_] | None, method: Method) -> None:
    """Vector and matrix scaling need a finite logit for every class."""
    if excluded is None or method in ("temperature", "bias-corrected"):
        return
    row, label = np.argwhere(excluded)[0]
    message = (
        f"Row {row} has probability 0 for class number {label}, so its logit is -inf and "
        f"{method} scaling cannot use it. Pass floor=1e-6, say, or method='temperature'."
    )
    raise InputError(message)
