"""``crossent evaluate``: a saved model on labelled rows."""

from dataclasses import asdict
from pathlib import Path

from crossent.cli.messages import Messages
from crossent.cli.models import labelled, load_classifier
from crossent.cli.outcome import shown_warnings
from crossent.cli.output import print_json, stdout
from crossent.cli.summary import certificate_record, certificate_text, evaluation_table
from crossent.cli.tables import cells_named
from crossent.datasets import Reading
from crossent.inspection import (
    CalibrationErrors,
    calibration_errors,
    classifier_of,
    predict_rows,
)
from crossent.inspection import evaluation as judge

__all__ = ["run_evaluate"]


def run_evaluate(
    model_file: Path,
    data: str,
    messages: Messages,
    *,
    reading: Reading,
    part: str,
    as_json: bool,
) -> None:
    """Print cross-entropy and accuracy of a saved model on labelled rows."""
    with messages.moving_line(f"reading {data}"), shown_warnings(messages):
        model = load_classifier(model_file)
        rows = labelled(model, data, reading, part)
        with cells_named(data):
            found = predict_rows(model, rows.X, rows.y)
    evaluation = judge(found)
    errors = calibration_errors(found)
    certificate = getattr(classifier_of(model), "certificate_", None)
    if as_json:
        record = None if certificate is None else certificate_record(certificate)
        print_json(
            {
                "rows": rows.sentence,
                "evaluation": evaluation.as_dict(),
                "calibration_errors": asdict(errors),
                "certificate": record,
            }
        )
        return
    console = stdout()
    console.print(f"{model_file} on {rows.sentence}")
    console.print()
    console.print(evaluation_table({"": evaluation}))
    console.print()
    console.print(_calibration(errors))
    if certificate is not None and not certificate.converged:
        console.print()
        console.print(certificate_text(certificate))


def _calibration(errors: CalibrationErrors) -> str:
    """One line: how far probabilities and frequencies are apart, and by chance."""
    return (
        f"Calibration error: {100 * errors.expected:.2f} % in {errors.n_bins} bins of equal mass "
        f"({100 * errors.chance_expected:.2f} % by chance alone); of each class's own probability "
        f"{100 * errors.classwise:.2f} % ({100 * errors.chance_classwise:.2f} %)"
    )
