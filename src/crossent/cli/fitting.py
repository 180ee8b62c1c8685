"""``crossent fit``: from data to a saved model, an evaluation and a report."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossent.certificate import Certificate, Status
from crossent.cli.files import check_outputs
from crossent.cli.interrupt import PassWatcher, stop_on_interrupt
from crossent.cli.messages import Messages
from crossent.cli.outcome import ExitCode, shown_warnings
from crossent.cli.output import print_json, stdout
from crossent.cli.rows import Split, split_rows
from crossent.cli.summary import certificate_record, certificate_text, evaluation_table
from crossent.datasets import open_dataset
from crossent.inspection import Evaluation, class_frequencies, evaluate
from crossent.linear_model import SoftmaxRegression
from crossent.persistence import save
from crossent.report import ReportDetails, require_matplotlib, write_report

__all__ = ["FitRequest", "run_fit"]


@dataclass(frozen=True)
class FitRequest:
    """What ``crossent fit`` was asked to do.

    Attributes
    ----------
    data : str
    target, test : str or None
    seed : int
        Of the split and of the solver's sampling.
    model, report : Path or None
    estimator : dict
        Arguments of `SoftmaxRegression`.
    as_json : bool
    command : str
        What was typed, for the report.
    """

    data: str
    target: str | None
    test: str | None
    seed: int
    model: Path | None
    report: Path | None
    estimator: dict[str, Any]
    as_json: bool
    command: str


def run_fit(request: FitRequest, messages: Messages) -> ExitCode:
    """Check the paths, read, fit, save, evaluate, report, print."""
    test_file = None if _is_number(request.test) else request.test
    check_outputs(
        {"--model": request.model, "--report": request.report},
        {"DATA": request.data, "--test": test_file},
    )
    if request.report is not None:
        require_matplotlib()
    with messages.moving_line(f"reading {request.data}"):
        data = open_dataset(request.data, target=request.target)
        split = split_rows(data, request.test, target=request.target, seed=request.seed)
    with shown_warnings(messages):
        model = _fit(request, split, messages)
    if request.model is not None:
        save(model, request.model)
    try:
        evaluations = _judge(request, model, split, messages)
    except KeyboardInterrupt:
        if request.model is not None:
            messages.warn(f"the model was saved as {request.model}; the rest was interrupted")
        raise
    _print(request, split, model.certificate_, evaluations)
    return _exit_code(model.certificate_)


def _fit(request: FitRequest, split: Split, messages: Messages) -> SoftmaxRegression:
    """Fit while showing each pass; Ctrl-C stops after the running one."""
    data = split.data
    model = SoftmaxRegression(**request.estimator, random_state=request.seed)

    def announce() -> None:
        messages.say("stopping after this pass; press Ctrl-C again to abort and write nothing")

    with messages.moving_line("fitting") as show, stop_on_interrupt(announce) as stop:
        model.set_callbacks(PassWatcher(show, stop, model.tol))
        model.fit(data.X_train, data.y_train)
    # The arrays have no names; with those of the data set, columns of other tables can be found.
    model.schema_ = replace(model.schema_, names=data.feature_names)
    return model


def _judge(
    request: FitRequest, model: SoftmaxRegression, split: Split, messages: Messages
) -> dict[str, Evaluation]:
    """Evaluate on the training rows, and the test rows if there are any; write the report."""
    data = split.data
    with messages.moving_line("evaluating"), shown_warnings(messages):
        known = class_frequencies(data.y_train, classes=model.classes_)
        found = {"train": evaluate(model, data.X_train, data.y_train, class_frequencies=known)}
        if data.X_test is not None:
            found["test"] = evaluate(model, data.X_test, data.y_test, class_frequencies=known)
        if request.report is not None:
            _report(request.report, model, split, request.command)
    return found


def _report(path: Path, model: SoftmaxRegression, split: Split, command: str) -> None:
    data = split.data
    write_report(
        path,
        model,
        train=(data.X_train, data.y_train),
        test=None if data.X_test is None else (data.X_test, data.y_test),
        details=ReportDetails.from_dataset(data, test_rows=split.sentence, command=command),
    )


def _print(
    request: FitRequest,
    split: Split,
    certificate: Certificate,
    evaluations: dict[str, Evaluation],
) -> None:
    if request.as_json:
        print_json(_record(request, split, certificate, evaluations))
        return
    console = stdout()
    rows, features = split.data.X_train.shape
    q = next(iter(evaluations.values())).n_classes
    console.print(f"{split.data.name}: {rows} rows to fit, {features} features, {q} classes")
    console.print(f"Test: {split.sentence}. {split.data.preprocessing}")
    console.print()
    console.print(certificate_text(certificate))
    console.print()
    console.print(evaluation_table(evaluations))
    console.print()
    console.print(f"Model:  {request.model or 'not saved (no --model was given)'}")
    console.print(f"Report: {request.report or 'not written (no --report was given)'}")


def _record(
    request: FitRequest,
    split: Split,
    certificate: Certificate,
    evaluations: dict[str, Evaluation],
) -> dict[str, Any]:
    """The JSON object; docs/cli.md lists its fields."""
    data = split.data
    return {
        "data": {
            "name": data.name,
            "source": data.source,
            "preprocessing": data.preprocessing,
            "n_features": data.X_train.shape[1],
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


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True
