"""``crossent probe``: a linear probe on embeddings, its penalty chosen on a certified path."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from crossent.cli.messages import Messages
from crossent.cli.outcome import one_line_errors

__all__ = ["PROBE", "probe"]

PROBE = """\b
Fit a linear probe to embeddings, and choose C on a path of certified fits.

\b
Examples:
  crossent probe train.npy --labels y.npy --test test.npy --test-labels t.npy --report probe.html
  crossent probe clip.npz --key features --label-key y --Cs 0.01,0.1,1,10

Arrays come from .npy, .npz or .safetensors; labels also from a text file with one a line. Each C is
fitted to all folds but one and judged on that one; the best is then fitted to all training rows.
"""


def probe(
    rows: Annotated[Path, typer.Argument(metavar="TRAIN", help="Array with a row per example.")],
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its labels [in the same file].")
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rows to test with [a quarter of each class]."),
    ] = None,
    test_labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Their labels [in the same file].")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Name of the array of rows in a file.")] = None,
    label_key: Annotated[str | None, typer.Option(help="Name of the array of labels.")] = None,
    Cs: Annotated[
        str,
        typer.Option(
            "--Cs", help="Values of C, or how many from 1e-4 to 1e4; one value: no path is walked."
        ),
    ] = "10",
    cv: Annotated[int, typer.Option(min=2, help="Folds.")] = 5,
    rule: Annotated[
        str, typer.Option(help="min: the best mean; 1se: the strongest within one error of it.")
    ] = "min",
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to save the model.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Where to write the report.")
    ] = None,
    tol: Annotated[float, typer.Option(help="Certified relative gap of every fit.")] = 1e-6,
    max_iter: Annotated[int, typer.Option(min=1, help="Most passes of every fit.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the split, the folds and the solver.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads [all].")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback.")] = False,
) -> None:
    """Linear probe with the path of C."""
    messages = Messages(quiet=quiet)
    with one_line_errors(messages, debug=debug):
        from crossent.cli.fitting import FitRequest, fit_and_tell, prepare_outputs
        from crossent.cli.options import command_line, path_options
        from crossent.cli.rows import Split, check_classes_known, split_rows
        from crossent.datasets import Reading, open_arrays

        estimator = {"tol": tol, "max_iter": max_iter, "n_threads": threads}
        estimator |= path_options(Cs, cv=cv, rule=rule, seed=seed)
        request = FitRequest(
            data=str(rows),
            reading=Reading(),
            encoder={},
            test=None if test is None else str(test),
            seed=seed,
            model=model,
            report=report,
            estimator=estimator,
            as_json=as_json,
            command=command_line(),
        )
        prepare_outputs(request, str(labels) if labels is not None else None)
        with messages.moving_line(f"reading {rows}"):
            data = open_arrays(rows, labels or rows, key=key, label_key=label_key)
            if test is None:
                split = split_rows(data, None, reading=Reading(), seed=seed)
            else:
                other = open_arrays(test, test_labels or test, key=key, label_key=label_key)
                split = Split(
                    replace(data, X_test=other.X_train, y_test=other.y_train),
                    "file",
                    f"{len(other.y_train)} rows of {test.name}",
                )
                check_classes_known(split, str(test))
        code = fit_and_tell(request, split, messages)
    raise typer.Exit(code)
