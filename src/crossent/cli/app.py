"""The commands and their options; what they do is in the modules beside this one.

Those modules are imported inside the commands, because ``crossent --help`` should not wait for
scikit-learn.
"""

import enum
from pathlib import Path
from typing import Annotated

import typer

from crossent.cli import texts
from crossent.cli.calibrating import CALIBRATE, calibrate
from crossent.cli.claims import CLAIMS, claims
from crossent.cli.coding import CODE, code
from crossent.cli.messages import Messages
from crossent.cli.outcome import one_line_errors
from crossent.cli.probe import PROBE, probe
from crossent.cli.rank import RANK, rank

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class ClassWeight(enum.StrEnum):
    """Values of ``--class-weight``."""

    BALANCED = "balanced"


class PartName(enum.StrEnum):
    """Values of ``--part``."""

    AUTO = "auto"
    TRAIN = "train"
    TEST = "test"
    ALL = "all"


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Name of a data set (see crossent datasets); a table (CSV, TSV, Parquet, Arrow; "
        "compressed or not); a folder of images; or a file of images in IDX format.",
        show_default=False,
    ),
]
ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A file that crossent fit has written.")
]
Target = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Column of the table that holds the class [last one]."),
]
RememberedTarget = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of the table that holds the class [the one of the training table].",
    ),
]
TargetColumns = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,…",
        help="Columns that hold counts or probabilities, one for each class, instead of --target.",
    ),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--as",
        metavar="COLUMN=KIND",
        help="What a column is: number, boolean, category, date, time, text or drop. "
        "May be given again.",
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option("--drop", metavar="COLUMN", help="Leave a column out. May be given again."),
]
DropUnlabelled = Annotated[
    bool,
    typer.Option("--drop-unlabelled", help="Leave out rows without a class, or without votes."),
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        metavar="HEIGHT[xWIDTH]", help="Bring images of a folder to this size [their own]."
    ),
]
PartOption = Annotated[
    PartName, typer.Option(help="Rows of a data set that has test rows; auto: the test rows.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        from crossent import __version__

        typer.echo(f"crossent {__version__}")
        raise typer.Exit


@app.callback(help=texts.CROSSENT)
def crossent(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Softmax regression, fitted to a certified optimum."""


@app.command(help=texts.FIT)
def fit(
    data: Data,
    target: Target = None,
    target_columns: TargetColumns = None,
    kinds: Kinds = None,
    drop: Drop = None,
    drop_unlabelled: DropUnlabelled = False,
    min_frequency: Annotated[
        int, typer.Option(min=1, help="Categories with fewer training rows share a column.")
    ] = 5,
    image_size: ImageSize = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to save the model.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Where to write the report.")
    ] = None,
    C: Annotated[
        float,
        typer.Option("--C", "-C", help="Weight of the data against the penalty; inf: no penalty."),
    ] = 1.0,
    Cs: Annotated[
        str | None,
        typer.Option(
            "--Cs",
            help="Choose C by cross-validation: the values, or how many from 1e-4 to 1e4.",
        ),
    ] = None,
    cv: Annotated[int, typer.Option(min=2, help="Folds of --Cs.")] = 5,
    tol: Annotated[
        float, typer.Option(help="Relative gap to the optimum at which the fit ends.")
    ] = 1e-6,
    max_iter: Annotated[
        int, typer.Option(min=1, help="Most passes before the closing certificate.")
    ] = 1000,
    test: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|SHARE",
            help="Rows to test with: a file like DATA, or a share of each class (0: none) "
            "[the data's own test set, else 0.25].",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the split, the folds and the solver.")
    ] = 0,
    no_intercept: Annotated[
        bool, typer.Option("--no-intercept", help="Fit without intercepts.")
    ] = False,
    class_weight: Annotated[
        ClassWeight | None, typer.Option(help="balanced: every class counts the same.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads to compute with [all].")
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="Calibrate out of fold: temperature, bias-corrected, vector or matrix.",
        ),
    ] = None,
    label_errors: Annotated[
        bool, typer.Option("--label-errors", help="Look for wrong labels, with five more fits.")
    ] = False,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Report fits to fewer rows too.")
    ] = False,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Report intervals of the coefficients.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fit, certify, test, save and report."""
    messages = Messages(quiet=quiet)
    with one_line_errors(messages, debug=debug):
        from crossent.cli.fitting import FitRequest, run_fit
        from crossent.cli.further import Further
        from crossent.cli.options import command_line, path_options, read_options

        reading = read_options(
            target, target_columns, kinds, drop, drop_unlabelled=drop_unlabelled, size=image_size
        )
        estimator = {
            "C": C,
            "tol": min(tol, 1e-9) if intervals else tol,  # errors are those of the optimum
            "max_iter": max_iter,
            "fit_intercept": not no_intercept,
            "class_weight": class_weight and class_weight.value,
            "n_threads": threads,
        }
        if Cs is not None:
            estimator = {name: value for name, value in estimator.items() if name != "C"}
            estimator |= path_options(Cs, cv=cv, rule="min", seed=seed)
        command = command_line()
        encoder = {"kinds": dict(reading.kinds), "min_frequency": min_frequency}
        further = Further(calibrate, label_errors, learning_curve, intervals, seed)
        request = FitRequest(
            data, reading, encoder, test, seed, model, report, estimator, as_json, command, further
        )
        code = run_fit(request, messages)
    raise typer.Exit(code)


@app.command(help=texts.EVALUATE)
def evaluate(
    model: ModelFile,
    data: Data,
    target: RememberedTarget = None,
    target_columns: TargetColumns = None,
    drop_unlabelled: DropUnlabelled = False,
    part: PartOption = PartName.AUTO,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Evaluate a saved model on labelled rows."""
    messages = Messages(quiet=quiet)
    with one_line_errors(messages, debug=debug):
        from crossent.cli.evaluating import run_evaluate
        from crossent.cli.options import read_options

        reading = read_options(target, target_columns, drop_unlabelled=drop_unlabelled)
        run_evaluate(model, data, messages, reading=reading, part=part.value, as_json=as_json)


class Precision(enum.StrEnum):
    """Values of ``--dtype``."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


@app.command(help=texts.EXPORT)
def export(
    model: ModelFile,
    output: Annotated[
        Path,
        typer.Argument(metavar="OUTPUT", help="FILE.onnx, FILE.safetensors or FILE.md (a card)."),
    ],
    dtype: Annotated[
        Precision | None,
        typer.Option(help="Of the numbers [ONNX: float32, safetensors: float64]."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="Labelled rows to evaluate on, for a card.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(metavar="NAME", help="Licence to name in a card.")
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """A saved model in another form."""
    messages = Messages(quiet=quiet)
    with one_line_errors(messages, debug=debug):
        from crossent.cli.exporting import run_export

        precision = None if dtype is None else dtype.value
        run_export(model, output, messages, dtype=precision, data=data, licence=licence)


@app.command(help=texts.PREDICT)
def predict(
    model: ModelFile,
    data: Data,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Where to write [stdout].")
    ] = None,
    target: RememberedTarget = None,
    part: PartOption = PartName.AUTO,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line instead of CSV.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Classes and probabilities of rows."""
    messages = Messages(quiet=quiet)
    with one_line_errors(messages, debug=debug):
        from crossent.cli.options import read_options
        from crossent.cli.predicting import run_predict

        run_predict(
            model,
            data,
            messages,
            reading=read_options(target),
            part=part.value,
            output=output,
            as_json=as_json,
        )


@app.command()
def datasets(
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the data sets that DATA can name."""
    with one_line_errors(Messages(), debug=debug):
        from crossent.cli.listing import run_datasets

        run_datasets(as_json=as_json)


app.command(help=RANK)(rank)
app.command(help=CALIBRATE)(calibrate)
app.command(help=PROBE)(probe)
app.add_typer(code, name="code", help=CODE)
app.command(help=CLAIMS)(claims)
