"""One number for all logits: the temperature, by Newton's method in the inverse temperature.

In β = 1/T the loss is convex, in T it is not: codes that walk along T can leave T > 0, or fly off.
"""

import math
import warnings
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from crossent.calibration.rows import Rows, read_rows
from crossent.calibration.scores import Given

__all__ = ["CalibrationWarning", "Temperature", "fit_temperature", "newton", "warn_of_no_optimum"]

_STEPS = 200  # bisection alone needs 60


class CalibrationWarning(UserWarning):
    """The rows to calibrate on have no optimum; the sentence says what was done instead."""


@dataclass(frozen=True)
class Temperature:
    """The temperature that makes logits / T predict some rows best, and how sure it is.

    Attributes
    ----------
    inverse_temperature : float
        β = 1/T ≥ 0: above 1 the probabilities were not sure enough, below 1 too sure. 0 where no
        positive temperature beats equal probabilities.
    standard_error : float
        Of β: √(Σ sᵢ² gᵢ²) / Σ sᵢ Var_pᵢ(zᵢ), with gᵢ = E_pᵢ[z] − yᵢ·z. It stays right where the
        temperature alone does not make the model true, and where targets are means of several
        votes. NaN at the ends β = 0 and "separable".
    hessian_standard_error : float
        1 / √(Σ sᵢ Var_pᵢ(zᵢ)): the textbook value if every row is one label drawn from p. For
        labels from the true model the two agree.
    log_loss_before, log_loss_after : float
        Mean cross-entropy at β = 1 and at β, in nats; the second is never the larger.
    weight : float
        S = Σ sᵢ.
    steps : int
        Newton's, each one pass over the rows.
    separable : bool
        Whether every row's target is its most probable class, so that the loss falls for ever as
        T goes to 0. Then β is left at 1.
    """

    inverse_temperature: float
    standard_error: float
    hessian_standard_error: float
    log_loss_before: float
    log_loss_after: float
    weight: float
    steps: int
    separable: bool

    @property
    def temperature(self) -> float:
        """T = 1/β: above 1 the probabilities were too sure. Infinite for β = 0."""
        return 1 / self.inverse_temperature if self.inverse_temperature > 0 else math.inf

    @property
    def temperature_standard_error(self) -> float:
        """Of T to first order: that of β times T²; NaN for β = 0."""
        beta = self.inverse_temperature
        return self.standard_error / beta**2 if beta > 0 else math.nan

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Interval of T: the ends of the normal interval of β, inverted; ∞ where that reaches 0."""
        half = NormalDist().inv_cdf((1 + level) / 2) * self.standard_error
        low, high = self.inverse_temperature - half, self.inverse_temperature + half
        return 1 / high, 1 / low if low > 0 else math.inf

    @property
    def likelihood_ratio(self) -> float:
        """2 S (loss before − loss after): compared with χ² of 1 degree it tests T = 1."""
        return 2 * self.weight * (self.log_loss_before - self.log_loss_after)

    @property
    def p_value(self) -> float:
        """Of the likelihood-ratio test of T = 1; for rows that are one label each."""
        return float(chi2.sf(self.likelihood_ratio, 1))


def fit_temperature(
    scores: Any,
    y: Any,
    /,
    *,
    given: Given,
    classes: Any = None,
    sample_weight: Any = None,
    floor: float | None = None,
) -> Temperature:
    """The temperature T with the smallest mean cross-entropy of softmax(z / T).

    Minimises over β = 1/T ≥ 0

        f(β) = (1/S) Σᵢ sᵢ [ logsumexp(β zᵢ) − β yᵢ·zᵢ ],
        f'(β) = (1/S) Σᵢ sᵢ (E_pᵢ[z] − yᵢ·zᵢ),    f''(β) = (1/S) Σᵢ sᵢ Var_pᵢ(zᵢ),

    by Newton's method inside a bracket of the root of f'. It ends where a step is below 1e-12 β.

    Parameters
    ----------
    scores : array-like, shape (n, q); for two classes also (n,)
        What a classifier said about rows that it was not fitted to.
    y : array-like, shape (n,) or (n, q)
        Class names, or distributions over the classes.
    given : {"logits", "log_probabilities", "probabilities"}
        What `scores` are; never guessed.
    classes : array-like, shape (q,), optional
        Names of the columns; default 0…q−1.
    sample_weight : array-like, shape (n,), optional
    floor : float, optional
        Probabilities below it are raised to it before anything else.

    Returns
    -------
    Temperature

    Raises
    ------
    InputError
        Numbers that are not what `given` says, targets or weights that cannot be used, a row whose
        own class has probability 0: no temperature makes it possible, `floor` does.

    Warns
    -----
    CalibrationWarning
        If there is no finite optimum with T > 0; see `Temperature.separable`.

    Notes
    -----
    Cost: O(n q) a step; 4 to 8 steps are usual.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks",
    2017, arXiv:1706.04599, section 4.2; H. White, "Maximum likelihood estimation of misspecified
    models", Econometrica 50, 1982, doi:10.2307/1912526 (the standard error).

    Examples
    --------
    Ten rows with log-odds of 4, seven of them right: the odds should have been 7 to 3.

    >>> found = fit_temperature([4.0] * 10, [1] * 7 + [0] * 3, given="logits")
    >>> round(found.temperature, 6), round(4 / math.log(7 / 3), 6)
    (4.72089, 4.72089)
    """
    rows = read_rows(
        scores, y, given=given, classes=classes, sample_weight=sample_weight, floor=floor
    )
    found = newton(rows)
    warn_of_no_optimum(found, stacklevel=3)
    return found


def warn_of_no_optimum(found: Temperature, /, *, stacklevel: int) -> None:
    """A CalibrationWarning if there is no finite optimum with T > 0."""
    if found.separable:
        message = (
            "Every row's class is the most probable one, so the loss falls for ever as the "
            "temperature goes to 0. The temperature is left at 1; calibrate on more rows."
        )
        warnings.warn(message, CalibrationWarning, stacklevel=stacklevel)
    elif found.inverse_temperature == 0:
        message = (
            "No positive temperature predicts these rows better than equal probabilities of all "
            "classes (T = ∞), which are used. Check that `classes` names the columns in order."
        )
        warnings.warn(message, CalibrationWarning, stacklevel=stacklevel)


def newton(rows: Rows, /) -> Temperature:
    """`fit_temperature` of rows that have been read, without the warning."""
    end = _end(rows)
    beta, steps = (end, 1) if end is not None else _root(rows)
    before, after = rows.loss(rows.z), rows.loss(beta * rows.z)
    if not after <= before:  # rounding at the optimum
        beta, after = 1.0, before
    gradients, variances = _derivatives(rows, beta)
    information = float(rows.weight @ variances)
    error = robust = math.nan
    if end is None and information > 0:
        error = 1 / math.sqrt(information)
        robust = float(np.linalg.norm(rows.weight * gradients)) / information
    return Temperature(
        inverse_temperature=beta,
        standard_error=robust,
        hessian_standard_error=error,
        log_loss_before=before,
        log_loss_after=after,
        weight=rows.total,
        steps=steps,
        separable=end == 1.0 and information > 0,
    )


def _end(rows: Rows) -> float | None:
    """β where there is no root with 0 < β < ∞: 0, or 1 for separable rows. None if there is."""
    below = rows.z.max(axis=1, where=rows.possible, initial=-np.inf) - rows.target_logit
    if np.all(below[rows.weight > 0] <= 0):
        return 1.0  # or all logits are equal, and any β does
    slope = float(rows.weight @ _derivatives(rows, 0.0)[0])
    return 0.0 if slope >= 0 else None


def _root(rows: Rows) -> tuple[float, int]:
    """The root of f' and the number of passes; Newton's method kept inside a bracket."""
    low, high, beta = 0.0, math.inf, 1.0
    for step in range(1, _STEPS + 1):
        gradients, variances = _derivatives(rows, beta)
        slope, curvature = float(rows.weight @ gradients), float(rows.weight @ variances)
        low, high = (beta, high) if slope < 0 else (low, beta)
        move = -slope / curvature if curvature > 0 else math.inf
        if abs(move) <= 1e-12 * beta:
            return beta + move, step
        if math.isfinite(high) and high - low <= 4e-16 * high:
            return beta, step
        beta = _inside(beta, beta + move, low, high)
    return beta, _STEPS


def _inside(here: float, wanted: float, low: float, high: float) -> float:
    """Newton's point if it lies in the bracket, at most ten times as far; else halve or double."""
    if low < wanted < min(high, 10 * here):
        return wanted
    if math.isinf(high):
        return 10 * here
    return (low + high) / 2 if low > 0 else min(here, high) / 10


def _derivatives(
    rows: Rows, beta: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """E_p[z] − y·z and Var_p(z) of each row at β; excluded classes count nothing."""
    p = np.exp(rows.log_probabilities(beta * rows.z))
    mean = np.einsum("ij,ij->i", p, rows.z)
    centred = rows.z - mean[:, np.newaxis]
    return mean - rows.target_logit, np.einsum("ij,ij,ij->i", p, centred, centred)
