"""``crossent evaluate``: a saved model on labelled rows."""

from pathlib import Path

from crossent.cli.messages import Messages
from crossent.cli.models import labelled, load_classifier
from crossent.cli.outcome import shown_warnings
from crossent.cli.output import print_json, stdout
from crossent.cli.summary import certificate_record, certificate_text, evaluation_table
from crossent.cli.tables import cells_named
from crossent.datasets import Reading
from crossent.inspection import classifier_of, evaluate

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
            evaluation = evaluate(model, rows.X, rows.y)
    certificate = getattr(classifier_of(model), "certificate_", None)
    if as_json:
        record = None if certificate is None else certificate_record(certificate)
        print_json(
            {"rows": rows.sentence, "evaluation": evaluation.as_dict(), "certificate": record}
        )
        return
    console = stdout()
    console.print(f"{model_file} on {rows.sentence}")
    console.print()
    console.print(evaluation_table({"": evaluation}))
    if certificate is not None and not certificate.converged:
        console.print()
        console.print(certificate_text(certificate))
