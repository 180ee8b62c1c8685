"""``crossent fit``: from data to a saved model, an evaluation and a report."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from crossent.certificate import Certificate, Status
from crossent.cli.encoding import Encoded, encode, remember
from crossent.cli.files import check_outputs
from crossent.cli.further import (
    Further,
    calibrated,
    calibration_record,
    calibration_text,
    gather_extras,
    suspects_record,
    suspects_text,
)
from crossent.cli.interrupt import PassWatcher, stop_on_interrupt
from crossent.cli.messages import Messages
from crossent.cli.outcome import ExitCode, shown_warnings
from crossent.cli.output import print_json, stdout
from crossent.cli.rows import Split, split_rows
from crossent.cli.summary import (
    certificate_record,
    certificate_text,
    columns_table,
    evaluation_table,
    path_record,
    path_table,
)
from crossent.datasets import Reading, open_dataset
from crossent.inspection import Evaluation, class_frequencies, evaluate
from crossent.linear_model import SoftmaxRegression, SoftmaxRegressionCV
from crossent.persistence import save
from crossent.report import ReportDetails, ReportExtras, require_matplotlib, write_report

__all__ = ["FitRequest", "fit_and_tell", "prepare_outputs", "run_fit"]


@dataclass(frozen=True)
class FitRequest:
    """What ``crossent fit`` was asked to do.

    Attributes
    ----------
    data : str
    reading : Reading
        How a table, or a folder of images, is to be read.
    encoder : dict
        Arguments of `TableEncoder`.
    test : str or None
    seed : int
        Of the split, of folds and of the solver's sampling.
    model, report : Path or None
    estimator : dict
        Arguments of `SoftmaxRegression`; of `SoftmaxRegressionCV` if "Cs" is among them.
    as_json : bool
    command : str
        What was typed, for the report.
    further : Further
        What was asked for besides a fit.
    """

    data: str
    reading: Reading
    encoder: dict[str, Any]
    test: str | None
    seed: int
    model: Path | None
    report: Path | None
    estimator: dict[str, Any]
    as_json: bool
    command: str
    further: Further = field(default_factory=Further)


def run_fit(request: FitRequest, messages: Messages) -> ExitCode:
    """Check the paths, read, fit, save, evaluate, report, print."""
    prepare_outputs(request)
    with messages.moving_line(f"reading {request.data}"):
        data = open_dataset(request.data, reading=request.reading)
        split = split_rows(data, request.test, reading=request.reading, seed=request.seed)
    return fit_and_tell(request, split, messages)


def prepare_outputs(request: FitRequest, labels: str | None = None) -> None:
    """Raise if the model or the report cannot be written, or would overwrite what is read."""
    check_outputs(
        {"--model": request.model, "--report": request.report},
        {"DATA": request.data, "--test": _test_file(request), "--labels": labels},
    )
    if request.report is not None:
        require_matplotlib()


def fit_and_tell(request: FitRequest, split: Split, messages: Messages) -> ExitCode:
    """Fit, calibrate, save, evaluate, report and print."""
    request.further.check(
        soft=split.data.y_train.ndim == 2,
        tested=split.data.X_test is not None,
        reported=request.report is not None,
    )
    with messages.moving_line("encoding"), shown_warnings(messages):
        source = _test_file(request) if split.kind == "file" else request.data
        encoded = encode(split.data, request.encoder, test_source=source or request.data)
    with shown_warnings(messages):
        fitted = _fit(request, encoded, messages)
        complete = fitted.certificate_.status is not Status.INTERRUPTED
        further = request.further if complete else Further()
        classifier = calibrated(further, fitted, encoded, messages)
    model = encoded.model(classifier)
    if request.model is not None:
        save(model, request.model)
    try:
        evaluations = _judge(classifier, encoded, messages)
        with shown_warnings(messages):
            extras = gather_extras(further, classifier, encoded, messages)
        if request.report is not None:
            with messages.moving_line("reporting"), shown_warnings(messages):
                _report(request.report, model, split, encoded, request.command, extras)
    except KeyboardInterrupt:
        if request.model is not None:
            messages.warn(f"the model was saved as {request.model}; the rest was interrupted")
        raise
    _print(request, split, encoded, classifier, evaluations, extras)
    return _exit_code(classifier.certificate_)


def _fit(request: FitRequest, encoded: Encoded, messages: Messages) -> Any:
    """Fit while showing each pass; Ctrl-C stops after the running one, but ends a path of C."""
    data = encoded.data
    kind = SoftmaxRegressionCV if "Cs" in request.estimator else SoftmaxRegression
    model = kind(**request.estimator, random_state=request.seed)
    if data.y_train.ndim == 2:
        model.set_params(classes=list(data.target))

    def announce() -> None:
        messages.say("stopping after this pass; press Ctrl-C again to abort and write nothing")

    if isinstance(model, SoftmaxRegressionCV):
        with messages.moving_line("choosing C by cross-validation"):
            model.fit(data.X_train, data.y_train)  # type: ignore[no-untyped-call]
        remember(model, encoded)
        return model
    with messages.moving_line("fitting") as show, stop_on_interrupt(announce) as stop:
        model.set_callbacks(PassWatcher(show, stop, model.tol))
        model.fit(data.X_train, data.y_train)
    # The arrays have no names; with those of the data set, columns of other tables can be found.
    remember(model, encoded)
    return model


def _judge(model: SoftmaxRegression, encoded: Encoded, messages: Messages) -> dict[str, Evaluation]:
    """Evaluate on the training rows, and the test rows if there are any."""
    data = encoded.data
    with messages.moving_line("evaluating"), shown_warnings(messages):
        known = class_frequencies(data.y_train, classes=model.classes_)
        found = {"train": evaluate(model, data.X_train, data.y_train, class_frequencies=known)}
        if data.X_test is not None:
            found["test"] = evaluate(model, data.X_test, data.y_test, class_frequencies=known)
    return found


def _report(
    path: Path, model: Any, split: Split, encoded: Encoded, command: str, extras: ReportExtras
) -> None:
    """The report takes the rows as they came: it shows them, and encodes them itself."""
    data = split.data
    write_report(
        path,
        model,
        train=(data.X_train, data.y_train),
        test=None if data.X_test is None else (data.X_test, data.y_test),
        details=ReportDetails.from_dataset(encoded.data, test_rows=split.sentence, command=command),
        extras=extras,
    )


def _print(
    request: FitRequest,
    split: Split,
    encoded: Encoded,
    classifier: Any,
    evaluations: dict[str, Evaluation],
    extras: ReportExtras,
) -> None:
    certificate, calibrator = classifier.certificate_, getattr(classifier, "calibrator_", None)
    inner = getattr(classifier, "estimator_", classifier)
    if request.as_json:
        record = _record(request, split, encoded, certificate, evaluations)
        record |= path_record(inner)
        if calibrator is not None:
            record["calibration"] = calibration_record(calibrator)
        if extras.out_of_fold is not None:
            record["suspicious_labels"] = suspects_record(extras, split.data)
        print_json(record)
        return
    console = stdout()
    rows, features = encoded.data.X_train.shape
    q = next(iter(evaluations.values())).n_classes
    console.print(f"{split.data.name}: {rows} rows to fit, {features} features, {q} classes")
    console.print(f"Test: {split.sentence}. {encoded.data.preprocessing}")
    for remark in split.data.remarks:
        console.print(remark)
    if encoded.encoder is not None:
        console.print()
        console.print(columns_table(encoded.encoder))
    console.print()
    if hasattr(inner, "mean_scores_"):
        console.print(path_table(inner))
        console.print()
    console.print(certificate_text(certificate))
    console.print()
    console.print(evaluation_table(evaluations))
    console.print()
    if calibrator is not None:
        console.print(calibration_text(calibrator))
        console.print()
    for line in suspects_text(extras, split.data):
        console.print(line)
    console.print(f"Model:  {request.model or 'not saved (no --model was given)'}")
    console.print(f"Report: {request.report or 'not written (no --report was given)'}")


def _record(
    request: FitRequest,
    split: Split,
    encoded: Encoded,
    certificate: Certificate,
    evaluations: dict[str, Evaluation],
) -> dict[str, Any]:
    """The JSON object; docs/cli.md lists its fields."""
    data = encoded.data
    return {
        "data": {
            "name": data.name,
            "source": data.source,
            "preprocessing": data.preprocessing,
            "n_features": data.X_train.shape[1],
            "remarks": list(data.remarks),
            "columns": [asdict(column) for column in getattr(encoded.encoder, "columns_", ())],
            "test": {"kind": split.kind, "sentence": split.sentence},
        },
        "certificate": certificate_record(certificate),
        **{name: evaluation.as_dict() for name, evaluation in evaluations.items()},
        "model": request.model,
        "report": request.report,
    }


def _exit_code(certificate: Certificate) -> ExitCode:
    if certificate.status is Status.INTERRUPTED:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if certificate.converged else ExitCode.NOT_CONVERGED


def _test_file(request: FitRequest) -> str | None:
    return None if _is_number(request.test) else request.test


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True
