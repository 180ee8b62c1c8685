"""What of a log-loss a calibration could mend, and what it could not."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crossent.calibration.calibrator import check_options, fit_stages
from crossent.calibration.rows import read_rows
from crossent.calibration.scores import Given
from crossent.calibration.stages import Method
from crossent.errors import InputError

__all__ = ["LossSplit", "split_log_loss"]


@dataclass(frozen=True)
class LossSplit:
    """Log-loss = calibration + refinement + the entropy of the targets, in nats.

    Attributes
    ----------
    log_loss : float
        Mean cross-entropy of the scores as they are.
    calibration : float
        What the best map of the family takes off it: the price of probabilities that do not mean
        what they say. In cross-validation it can come out a little below 0: nothing to mend.
    refinement : float
        What stays above the targets' entropy: the classes that the scores do not tell apart.
    target_entropy : float
        Mean entropy of the targets; 0 for labels.
    temperature : float
        Of all rows together.
    """

    log_loss: float
    calibration: float
    refinement: float
    target_entropy: float
    temperature: float


def split_log_loss(
    scores: Any,
    y: Any,
    /,
    *,
    given: Given,
    method: Method = "temperature",
    cv: int | None = 5,
    classes: Any = None,
    sample_weight: Any = None,
    C: float | None = None,
    floor: float | None = None,
) -> LossSplit:
    """Split a mean log-loss into a part that calibration mends and the rest.

    ::

        loss(z) = [ loss(z) − loss(g(z)) ] + [ loss(g(z)) − H(y) ] + H(y),   g the best calibration
                     calibration                refinement

    With `cv` the loss of g(z) is that of rows which g was not fitted to, so that a rich family does
    not flatter itself; None fits and judges on the same rows, and the calibration part is then
    never negative.

    Parameters
    ----------
    scores, y, given, method, classes, sample_weight, C, floor
        As in `calibrate`.
    cv : int or None, default=5
        Folds, drawn with a fixed seed.

    Raises
    ------
    InputError
        As `calibrate`; fewer than two folds or more folds than rows.

    References
    ----------
    E. Berta, D. Holzmüller, M. I. Jordan and F. Bach, "Rethinking early stopping: refine, then
    calibrate", 2025, arXiv:2501.19195.

    Examples
    --------
    Rows with log-odds of 4 of which seven in ten are right: all that is lost but the entropy of
    (0.7, 0.3) is a matter of calibration.

    >>> parts = split_log_loss([4.0] * 10, [1] * 7 + [0] * 3, given="logits", cv=None)
    >>> round(parts.log_loss, 4), round(parts.calibration, 4), round(parts.refinement, 4)
    (1.2181, 0.6073, 0.6109)
    """
    check_options(method, C)
    rows = read_rows(
        scores, y, given=given, classes=classes, sample_weight=sample_weight, floor=floor
    )
    n = len(rows.z)
    if cv is not None and not 2 <= cv <= n:
        message = f"`cv` is {cv}; give a number of folds from 2 to the {n} rows, or None."
        raise InputError(message)
    whole = fit_stages(rows, method, C)
    before = rows.loss(rows.z)
    if cv is None:
        after = rows.loss(whole.map.logits(rows.z))
    else:
        fold = np.random.default_rng(0).permutation(n) % cv
        after = 0.0
        for k in range(cv):
            judged = rows.take(fold == k)
            if judged.total > 0:
                found = fit_stages(rows.take(fold != k), method, C).map
                after += judged.total / rows.total * judged.loss(found.logits(judged.z))
    y_full = rows.distributions
    held = np.where(y_full > 0, y_full, 1.0)
    entropy = float(rows.weight @ -(held * np.log(held)).sum(axis=1)) / rows.total
    return LossSplit(
        log_loss=before,
        calibration=before - after,
        refinement=after - entropy,
        target_entropy=entropy,
        temperature=whole.temperature.temperature,
    )
