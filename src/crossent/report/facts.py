"""All numbers of a report, worked out before a line of it is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.certificate import Certificate, TracePoint
from crossent.errors import InputError
from crossent.inspection import (
    Evaluation,
    Predictions,
    class_frequencies,
    classifier_of,
    encoded_rows,
    encoder_of,
    evaluation,
    predict_rows,
)
from crossent.report._style import clean
from crossent.report.details import ReportDetails
from crossent.report.extras import ReportExtras

__all__ = ["Facts", "RowsShown", "gather"]


@dataclass(frozen=True)
class RowsShown:
    """Rows as they came, as the classifier at the end of a pipeline gets them, and their names."""

    raw: Any
    features: Any
    names: Sequence[str] | npt.NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Facts:
    """What the sections of a report are written from.

    Attributes
    ----------
    model : classifier
        Of a pipeline, the last step; of a calibrated classifier, the one that was calibrated.
    details : ReportDetails
    certificate : Certificate or None
    trace : sequence of TracePoint
        Empty if the model has none.
    names : list of str
        Of the classes, as shown.
    train, test : Predictions
        With the classes' names as shown; `test` is None without test rows.
    train_result, test_result : Evaluation
    train_shown, judged_shown : RowsShown
        Rows to show; `judged_shown` are the test rows if there are any.
    shape : (n, d)
        Of the training rows.
    feature_scale : ndarray, shape (d,), or None
        Standard deviations of the training rows' columns, if they are numbers.
    columns : sequence
        What the columns of a table were taken for, where the model has an encoder.
    calibrator : Calibrator or None
        What the classifier was calibrated with.
    uncalibrated : Predictions or None
        The judged rows without that.
    out_of_fold : Predictions or None
        The training rows, predicted by models of the others.
    extras : ReportExtras
    """

    model: Any
    details: ReportDetails
    certificate: Certificate | None
    trace: Sequence[TracePoint]
    names: list[str]
    train: Predictions
    test: Predictions | None
    train_result: Evaluation
    test_result: Evaluation | None
    train_shown: RowsShown
    judged_shown: RowsShown
    shape: tuple[int, int]
    feature_scale: Any
    columns: Sequence[Any] = ()
    calibrator: Any = None
    uncalibrated: Predictions | None = None
    out_of_fold: Predictions | None = None
    extras: ReportExtras = field(default_factory=ReportExtras)

    @property
    def judged(self) -> Predictions:
        """The rows that the pictures are of: test rows if there are any."""
        return self.train if self.test is None else self.test

    @property
    def judged_result(self) -> Evaluation:
        """The evaluation of `judged`."""
        return self.train_result if self.test_result is None else self.test_result

    @property
    def judged_name(self) -> str:
        """What to call them: "test" or "training"."""
        return "training" if self.test is None else "test"

    @property
    def title(self) -> str:
        """Of the page."""
        if self.details.title is not None:
            return clean(self.details.title)
        data = f" on {clean(self.details.data_name)}" if self.details.data_name else ""
        kind = type(self.model).__name__
        return f"{kind if self.calibrator is None else f'Calibrated {kind}'}{data}"


def gather(
    model: Any,
    train: tuple[Any, ...],
    test: tuple[Any, ...] | None,
    details: ReportDetails,
    extras: ReportExtras,
) -> Facts:
    """Predict and evaluate both sets of rows; `train` and `test` are (X, y[, sample_weight])."""
    pipeline, raw_train, raw = model, train, train if test is None else test
    predictor = classifier_of(pipeline)
    calibrator = getattr(predictor, "calibrator_", None)
    model = predictor if calibrator is None else predictor.estimator_
    train, test = _encoded(pipeline, train, "train"), _encoded(pipeline, test, "test")
    if details.feature_names is None and predictor is not pipeline:
        details = replace(details, feature_names=_names_of_features(pipeline))
    names = _class_names(model, details)
    shown = np.array(names, dtype=object)
    train_rows, test_rows = _rows(predictor, train), _rows(predictor, test)
    known = class_frequencies(
        train[1], classes=model.classes_, sample_weight=train[2] if len(train) > 2 else None
    )
    return Facts(
        model=model,
        details=details,
        certificate=getattr(model, "certificate_", None),
        trace=list(getattr(model, "trace_", ())),
        names=names,
        train=replace(train_rows, classes=shown),
        test=None if test is None else replace(test_rows, classes=shown),
        train_result=evaluation(train_rows, class_frequencies=known),
        test_result=None if test is None else evaluation(test_rows, class_frequencies=known),
        train_shown=_shown(raw_train, train, train_rows, details.train_names),
        judged_shown=_shown(raw, train, train_rows, details.train_names)
        if test is None
        else _shown(raw, test, test_rows, details.test_names),
        shape=(train_rows.labels.size, _n_features(model, train[0])),
        feature_scale=_standard_deviations(train[0]),
        columns=getattr(encoder_of(pipeline), "columns_", ()),
        calibrator=calibrator,
        uncalibrated=_uncalibrated(predictor, calibrator, train if test is None else test, shown),
        out_of_fold=_renamed(extras.out_of_fold, model.classes_, shown),
        extras=extras,
    )


def _shown(
    raw: Any, encoded: Any, rows: Predictions, names: Sequence[str] | npt.NDArray[np.intp] | None
) -> RowsShown:
    """Rows to show; InputError unless there is a name for each, or none at all."""
    if names is not None and len(names) != rows.labels.size:
        message = (
            f"There are {len(names)} names for {rows.labels.size} rows; `train_names` and "
            "`test_names` need one for each row."
        )
        raise InputError(message)
    return RowsShown(raw[0], encoded[0], names)


def _uncalibrated(
    predictor: Any, calibrator: Any, given: tuple[Any, ...], shown: Any
) -> Predictions | None:
    """The judged rows before calibration."""
    if calibrator is None:
        return None
    rows = Predictions.from_log_probabilities(
        predictor.uncalibrated_log_proba(given[0]),
        given[1],
        classes=predictor.classes_,
        sample_weight=given[2] if len(given) == 3 else None,
    )
    return replace(rows, classes=shown)


def _renamed(rows: Predictions | None, classes: Any, shown: Any) -> Predictions | None:
    """Out-of-fold predictions under the names shown; InputError if they are of other classes."""
    if rows is None:
        return None
    if rows.classes.tolist() != np.asarray(classes).tolist():
        message = "`out_of_fold` holds predictions for other classes than the model's."
        raise InputError(message)
    return replace(rows, classes=shown)


def _encoded(pipeline: Any, given: Any, name: str) -> Any:
    """The rows as the classifier at the end of a pipeline gets them."""
    if given is None:
        return None
    if not isinstance(given, tuple) or len(given) not in (2, 3):
        message = f"`{name}` must be (X, y) or (X, y, sample_weight)."
        raise InputError(message)
    return (encoded_rows(pipeline, given[0]), *given[1:])


def _names_of_features(pipeline: Any) -> list[str] | None:
    """Names of what the last step of a pipeline gets, if the steps before can tell."""
    try:
        return [str(name) for name in pipeline[:-1].get_feature_names_out()]
    except (AttributeError, ValueError):
        return None


def _rows(model: Any, given: tuple[Any, ...] | None) -> Any:
    """Predictions for one set of rows, or None."""
    if given is None:
        return None
    return predict_rows(
        model, given[0], given[1], sample_weight=given[2] if len(given) == 3 else None
    )


def _class_names(model: Any, details: ReportDetails) -> list[str]:
    """Names to show, in the order of the model's classes."""
    q = len(model.classes_)
    if details.class_names is None:
        return [clean(name) for name in model.classes_.tolist()]
    if len(details.class_names) != q:
        message = (
            f"`class_names` has {len(details.class_names)} names, but the model has {q} classes. "
            "Give one for each, in the order of `classes_`."
        )
        raise InputError(message)
    return [clean(name) for name in details.class_names]


def _n_features(model: Any, X: Any) -> int:
    """As the model says, else as the rows have."""
    known = getattr(model, "n_features_in_", None)
    return int(known if known is not None else np.shape(X)[1])


def _standard_deviations(X: Any) -> Any:
    """Of the columns, shape (d,); None where they are not numbers."""
    if hasattr(X, "toarray"):  # sparse: E x² − (E x)², without making X dense
        mean, square = np.asarray(X.mean(axis=0)), np.asarray(X.multiply(X).mean(axis=0))
        return np.sqrt(np.maximum(square - mean**2, 0)).ravel()
    try:
        table = np.asarray(X, dtype=getattr(X, "dtype", np.float64))
        return table.std(axis=0, dtype=np.float64)
    except (TypeError, ValueError):
        return None
