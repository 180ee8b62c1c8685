"""What ``crossent fit`` does beyond one fit: calibration, and parts of the report that refit."""

import math
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
from sklearn.base import clone

from crossent.calibration import Calibrated, Calibrator, Method
from crossent.cli.encoding import Encoded
from crossent.cli.messages import Messages
from crossent.cli.options import shuffled_folds
from crossent.datasets import Dataset
from crossent.errors import InputError
from crossent.inspection import (
    SurprisingRow,
    learning_curve,
    out_of_fold_predictions,
    summary,
    suspicious_labels,
)
from crossent.linear_model import SoftmaxRegression
from crossent.report import ReportExtras

__all__ = [
    "Further",
    "calibrated",
    "calibration_record",
    "calibration_text",
    "gather_extras",
    "suspects_record",
    "suspects_text",
]

_PRINTED = 10
_FOLDS = 5


@dataclass(frozen=True)
class Further:
    """What was asked for besides a fit.

    Attributes
    ----------
    calibrate : str or None
        A method of `crossent.calibration.calibrate`.
    label_errors, learning_curve, intervals : bool
    seed : int
        Of the folds.
    """

    calibrate: str | None = None
    label_errors: bool = False
    learning_curve: bool = False
    intervals: bool = False
    seed: int = 0

    def check(self, *, soft: bool, tested: bool, reported: bool) -> None:
        """Raise an InputError before the fit for what cannot be done after it."""
        if self.calibrate is not None and self.calibrate not in get_args(Method):
            words = ", ".join(get_args(Method))
            message = f"--calibrate {self.calibrate}: choose one of {words}."
            raise InputError(message)
        if (self.learning_curve or self.intervals) and not reported:
            option = "--learning-curve" if self.learning_curve else "--intervals"
            message = f"{option} is a part of the report; give --report FILE.html too."
            raise InputError(message)
        if self.learning_curve and not tested:
            message = "--learning-curve needs rows to test with; leave out --test 0."
            raise InputError(message)
        if self.label_errors and soft:
            message = "--label-errors looks for wrong labels, and these targets are distributions."
            raise InputError(message)


def calibrated(further: Further, classifier: Any, encoded: Encoded, messages: Messages) -> Any:
    """The classifier, or it inside a `Calibrated` whose map was fitted out of fold.

    After a path of C the folds' models have the C that was chosen.
    """
    if further.calibrate is None:
        return classifier
    plain = getattr(classifier, "model_", classifier)
    plain.set_callbacks()  # the folds' clones would report their passes as those of the fit
    folds = shuffled_folds(_FOLDS, further.seed)
    model = Calibrated(plain, given="logits", method=further.calibrate, cv=folds, refit=False)
    with messages.moving_line("calibrating"):
        model.fit(encoded.data.X_train, encoded.data.y_train)
    model.estimator = model.estimator_ = classifier  # with its path, which reports show
    return model


def gather_extras(
    further: Further, model: Any, encoded: Encoded, messages: Messages
) -> ReportExtras:
    """The parts asked for; what cannot be had is said, and left out."""
    classifier = model.estimator_ if isinstance(model, Calibrated) else model
    data, rows, curve, found = encoded.data, None, None, None
    if further.label_errors:
        with messages.moving_line("looking for wrong labels"):
            rows = out_of_fold_predictions(
                _fresh(classifier),
                data.X_train,
                data.y_train,
                cv=shuffled_folds(_FOLDS, further.seed),
            )
    if further.learning_curve:
        with messages.moving_line("fitting to fewer rows"):
            curve = learning_curve(
                _fresh(classifier), (data.X_train, data.y_train), (data.X_test, data.y_test)
            )
    if further.intervals:
        try:
            found = _summary(classifier, encoded)
        except InputError as error:
            messages.warn(f"no intervals of the coefficients: {error}")
    return ReportExtras(rows, curve, found)


def _fresh(classifier: Any) -> SoftmaxRegression:
    """One fit's model, with the C that was chosen if there was a choice, and no callbacks."""
    plain = clone(getattr(classifier, "model_", classifier))
    plain.set_callbacks()
    return plain  # type: ignore[no-any-return]


def _summary(classifier: Any, encoded: Encoded) -> Any:
    """From the Hessian without a penalty, from that of the posterior with one."""
    plain = getattr(classifier, "model_", classifier)
    kind = "hessian" if np.isinf(plain.C) else "penalised"
    return summary(plain, encoded.data.X_train, encoded.data.y_train, covariance=kind)  # type: ignore[arg-type]


def calibration_text(calibrator: Calibrator, /) -> str:
    """One line."""
    found = calibrator.temperature
    low, high = found.interval()
    known = f" (95 % interval {low:.4g} to {high:.4g})" if math.isfinite(high) else ""
    later = "" if calibrator.method == "temperature" else f", then {calibrator.method} scaling"
    if calibrator.strengths and not any(calibrator.strengths):
        later = f"; {calibrator.method} scaling was found to gain nothing"
    return (
        f"Calibrated out of fold: temperature {found.temperature:.4g}{known}{later}; "
        f"cross-entropy there {calibrator.log_loss_before:.4f}, now "
        f"{calibrator.log_loss_after:.4f} nats"
    )


def calibration_record(calibrator: Calibrator, /) -> dict[str, Any]:
    """Its numbers."""
    found = calibrator.temperature
    return {
        "method": calibrator.method,
        "temperature": found.temperature,
        "temperature_interval": found.interval(),
        "strengths": calibrator.strengths,
        "log_loss_before": calibrator.log_loss_before,
        "log_loss_after": calibrator.log_loss_after,
    }


def suspects_text(extras: ReportExtras, data: Dataset, /) -> list[str]:
    """The most suspicious labels, a line each; nothing if they were not looked for.

    A row is called by its file, or by its number in the table it is from.
    """
    if extras.out_of_fold is None:
        return []
    found = suspicious_labels(extras.out_of_fold, k=_PRINTED)
    if not found:
        return ["Suspicious labels of training rows: none."]
    lines = [f"Suspicious labels of training rows, the first {len(found)}:"]
    for row in found:
        place = _place(row.row, data)
        called = place.get("file", f"row {place['row']}")
        lines.append(
            f"  {called}: {row.target}, looks like {row.predicted} ({row.surprisal_bits:.1f} bits)"
        )
    return lines


def suspects_record(extras: ReportExtras, data: Dataset, /) -> list[dict[str, Any]]:
    """The same as records, twenty of them."""
    if extras.out_of_fold is None:
        return []
    rows: tuple[SurprisingRow, ...] = suspicious_labels(extras.out_of_fold)
    return [asdict(row) | _place(row.row, data) for row in rows]


def _place(number: int, data: Dataset) -> dict[str, Any]:
    """Where the source has a training row: its number there, and its file if it has one."""
    row = number if data.rows_train is None else int(data.rows_train[number])
    return {"row": row} | ({"file": data.names_train[number]} if data.names_train else {})
