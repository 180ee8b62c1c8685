"""``crossent claims``: statements and exercises of the softmax chapter, answered and checked."""

from typing import Annotated

import typer

from crossent.cli.messages import Messages
from crossent.cli.outcome import ExitCode, one_line_errors

__all__ = ["CLAIMS", "claims"]

CLAIMS = """\b
Statements and exercises on softmax and cross-entropy: answered, and checked by running code.

\b
Examples:
  crossent claims                     list of all, in one line each
  crossent claims S34                 one of them: answer and numbers, computed now
  crossent claims --topic gradient    all of one topic
  crossent claims --json              everything, for programs

With --json every check is run, which takes some ten seconds; infinities and NaN are strings there.
The exit code is 1 if a check fails.
"""


def claims(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="S1 to S87.", show_default=False),
    ] = None,
    topic: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="All claims of a topic.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON to stdout instead of text.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """List claims, or show them with the numbers that their checks compute."""
    messages = Messages()
    failed: list[str] = []
    with one_line_errors(messages, debug=debug):
        from crossent.claims import all_claims, find, of_topic
        from crossent.cli.claim_text import print_examined, print_list, print_records

        chosen = [find(name) for name in ids or ()] + list(of_topic(topic) if topic else ())
        if as_json:
            failed = print_records(chosen or all_claims())
        elif chosen:
            failed = print_examined(chosen)
        else:
            print_list(all_claims())
    if failed:
        messages.error(f"the checks of these claims failed: {', '.join(failed)}")
        raise typer.Exit(ExitCode.ERROR)
