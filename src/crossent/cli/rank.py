"""``crossent rank``: its options. What it does is in `crossent.cli.ranking`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from crossent.cli.messages import Messages
from crossent.cli.outcome import one_line_errors
from crossent.cli.rank_request import RankRequest

__all__ = ["RANK", "rank"]

RANK = """\b
Rank items from comparisons of two, with intervals and a certificate.

\b
Examples:
  crossent rank football_sample --report football.html
  crossent rank votes.csv --left left --right right --outcome winner --judge worker
  crossent rank results.csv --left home_team --right away_team \\
    --left-score home_score --right-score away_score \\
    --order-effect global --neutral neutral --undefined drop --report football.html

A row without an outcome is left out and counted.
"""


def rank(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Table with a header (CSV, TSV, Parquet, Arrow; compressed or not), or "
            "football_sample: South America's national teams, which comes with crossent.",
        ),
    ],
    left: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the first item.")
    ] = None,
    right: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the second item.")
    ] = None,
    outcome: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of the outcome: left, right, tie, neither; 1, 0, 0.5; model_a, model_b; "
            "or the name of the winner.",
        ),
    ] = None,
    left_score: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Instead of an outcome: goals of left.")
    ] = None,
    right_score: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Instead of an outcome: goals of right.")
    ] = None,
    tie: Annotated[
        str, typer.Option(metavar="auto|davidson|half|drop", help="What a tie is.")
    ] = "auto",
    neither: Annotated[
        str, typer.Option(metavar="auto|own|drop", help="What 'neither' is.")
    ] = "auto",
    order_effect: Annotated[
        str | None, typer.Option(metavar="none|global|item", help="Advantage of the left item.")
    ] = None,
    neutral: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="True where the order has no effect.")
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Who judged: standard errors are clustered by it."),
    ] = None,
    date: Annotated[str | None, typer.Option(metavar="COLUMN", help="Date of the row.")] = None,
    half_life: Annotated[
        str | None, typer.Option(metavar="365d", help="Rows lose half their weight in this time.")
    ] = None,
    covariates: Annotated[
        str | None, typer.Option(metavar="COLUMN,…", help="Numbers that speak for the left item.")
    ] = None,
    penalty: Annotated[
        float, typer.Option(help="Ridge on the scores, added to the summed loss.")
    ] = 0.0,
    undefined: Annotated[
        str,
        typer.Option(metavar="raise|components|drop", help="Where no estimate exists."),
    ] = "raise",
    anchor: Annotated[
        str | None, typer.Option(metavar="ITEM", help="Item whose score is 0 [mean is 0].")
    ] = None,
    unit: Annotated[
        str, typer.Option(metavar="elo|logit", help="Elo: 1500 + 400 per odds of 10 to 1.")
    ] = "elo",
    level: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Of the intervals.")] = 0.95,
    top: Annotated[int, typer.Option(min=1, help="Items in the table on the screen.")] = 40,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Where to write the report.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Rank items from comparisons of two."""
    messages = Messages(quiet=quiet)
    with one_line_errors(messages, debug=debug):
        estimator = {
            "ties": tie,
            "neither": neither,
            "order_effect": order_effect,
            "penalty": penalty,
            "undefined": undefined,
            "anchor": anchor,
            "half_life": half_life,
        }
        request = RankRequest(
            file,
            left,
            right,
            outcome,
            left_score,
            right_score,
            judge,
            date,
            neutral,
            tuple(name.strip() for name in covariates.split(",")) if covariates else (),
            estimator,
            level,
            unit,
            top,
            report,
            as_json,
            shlex.join(["crossent", *sys.argv[1:]]),
        )
        from crossent.cli.ranking import run_rank

        code = run_rank(request, messages)
    raise typer.Exit(code)
