"""``crossent code``: its commands and options. What they do is in `crossent.cli.label_files`."""

from pathlib import Path
from typing import Annotated

import typer

from crossent.cli.messages import Messages
from crossent.cli.outcome import one_line_errors

__all__ = ["CODE", "code"]

CODE = """\b
Send labels with a model, in as many bits as its cross-entropy says.

\b
Examples:
  crossent code encode digits.skops digits --output digits.cel
  crossent code decode digits.skops digits digits.cel --output classes.csv
  crossent code table digits.skops digits

Sender and receiver need the same model file and the same rows in the same order. A file that is
damaged, or was made with another model or other rows, is refused and never decoded wrongly.
"""

_ENCODE = """\b
Code the classes of rows, and say what they take.

\b
Example:
  crossent code encode flowers.skops flowers.csv --output flowers.cel
"""

_DECODE = """\b
The classes that were coded, one a line. DATA need not have a column of classes.

\b
Example:
  crossent code decode flowers.skops flowers_without_class.csv flowers.cel
"""

_TABLE = """\b
What the classes of rows take, one way and another.

\b
Example:
  crossent code table digits.skops digits
"""

code = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A file that crossent fit has written.")
]
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="Rows, as for crossent evaluate: a name or a file.", show_default=False
    ),
]
LabelFile = Annotated[
    Path, typer.Argument(metavar="LABELS", help="A file that crossent code encode has written.")
]
Target = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of the table that holds the class [the one of the training table].",
    ),
]
PartOption = Annotated[
    str,
    typer.Option(
        metavar="auto|train|test|all",
        help="Rows of a data set that has test rows; auto: the test rows.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@code.command(help=_ENCODE)
def encode(
    model: ModelFile,
    data: Data,
    output: Annotated[
        Path, typer.Option(metavar="FILE.cel", help="Where to write.", show_default=False)
    ],
    target: Target = None,
    part: PartOption = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Code the classes of rows."""
    messages = Messages(quiet=quiet)
    with one_line_errors(messages, debug=debug):
        from crossent.cli.label_files import run_encode

        run_encode(model, data, messages, output=output, target=target, part=part, as_json=as_json)


@code.command(help=_TABLE)
def table(
    model: ModelFile,
    data: Data,
    target: Target = None,
    part: PartOption = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """What the classes of rows take."""
    messages = Messages(quiet=quiet)
    with one_line_errors(messages, debug=debug):
        from crossent.cli.label_files import run_encode

        run_encode(model, data, messages, output=None, target=target, part=part, as_json=as_json)


@code.command(help=_DECODE)
def decode(
    model: ModelFile,
    data: Data,
    labels: LabelFile,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Where to write [stdout].")
    ] = None,
    part: PartOption = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line instead of CSV.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """The classes that were coded."""
    messages = Messages(quiet=quiet)
    with one_line_errors(messages, debug=debug):
        from crossent.cli.label_files import run_decode

        run_decode(model, data, labels, messages, output=output, part=part, as_json=as_json)
