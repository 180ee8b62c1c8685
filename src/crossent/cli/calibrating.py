"""``crossent calibrate``: a saved model, calibrated on rows that it was not fitted to."""

from pathlib import Path
from typing import Annotated

import typer

from crossent.cli.messages import Messages
from crossent.cli.outcome import one_line_errors

__all__ = ["CALIBRATE", "calibrate"]

CALIBRATE = """\b
Calibrate a saved model on labelled rows that it was not fitted to, and save it again.

\b
Examples:
  crossent calibrate digits.skops more_digits.csv --model digits_calibrated.skops
  crossent calibrate flowers.skops new.csv --method vector --model flowers2.skops

Temperature scaling divides all logits by one number and changes no prediction; the other methods
also move the classes. A model that was calibrated before is calibrated anew.
"""


def calibrate(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A file that crossent fit has written.")
    ],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Labelled rows, as for crossent evaluate.")
    ],
    output: Annotated[
        Path, typer.Option("--model", metavar="FILE", help="Where to save the calibrated model.")
    ],
    method: Annotated[
        str, typer.Option(help="temperature, bias-corrected, vector or matrix.")
    ] = "temperature",
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column that holds the class.")
    ] = None,
    part: Annotated[
        str, typer.Option(help="Rows of a data set: auto (its test rows), train, test or all.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback.")] = False,
) -> None:
    """Calibrate a saved model."""
    messages = Messages(quiet=quiet)
    with one_line_errors(messages, debug=debug):
        _run(model, data, output, messages, method=method, target=target, part=part, json=as_json)


def _run(
    model_file: Path,
    data: str,
    output: Path,
    messages: Messages,
    *,
    method: str,
    target: str | None,
    part: str,
    json: bool,
) -> None:
    """Load, calibrate the last step, save, print."""
    from crossent.calibration import Calibrated
    from crossent.cli.files import check_outputs
    from crossent.cli.further import calibration_record, calibration_text
    from crossent.cli.models import labelled, load_classifier
    from crossent.cli.options import read_options
    from crossent.cli.outcome import shown_warnings
    from crossent.cli.output import print_json, stdout
    from crossent.cli.tables import cells_named
    from crossent.inspection import classifier_of, encoded_rows
    from crossent.persistence import save

    check_outputs({"--model": output}, {"DATA": data})
    with messages.moving_line(f"reading {data}"), shown_warnings(messages):
        whole = load_classifier(model_file)
        rows = labelled(whole, data, read_options(target), part)
        inner = classifier_of(whole)
        inner = inner.estimator_ if isinstance(inner, Calibrated) else inner
        with cells_named(data):
            X = encoded_rows(whole, rows.X)
        fitted = Calibrated(inner, given="logits", method=method, cv="prefit").fit(X, rows.y)
    if hasattr(whole, "steps"):
        whole.steps[-1] = (whole.steps[-1][0], fitted)
        fitted = whole
    save(fitted, output)
    calibrator = classifier_of(fitted).calibrator_
    if json:
        record = {"rows": rows.sentence, "calibration": calibration_record(calibrator)}
        print_json(record | {"model": output})
        return
    console = stdout()
    console.print(f"{model_file} on {rows.sentence}")
    console.print(calibration_text(calibrator).replace("out of fold", "on these rows", 1))
    console.print(f"Model:  {output}")
