"""Claims on a terminal, in a file, and as JSON."""

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from crossent.claims import Claim, Outcome, Verdict, examine
from crossent.claims.layout import number_in_words, paragraphs, proved
from crossent.cli.output import print_json, stdout

__all__ = ["print_examined", "print_list", "print_records"]

_WIDEST = 80  # lines of prose longer than this are hard to read, however wide the terminal
_EMPHASIS = re.compile(r"\*([^*\n]+)\*")
_STYLES = {
    Verdict.TRUE: "green",
    Verdict.TRUE_IF: "yellow",
    Verdict.FALSE: "red",
    Verdict.QUESTION: "blue",
    Verdict.EXERCISE: "blue",
    Verdict.UNKNOWN: "magenta",
}


def print_list(claims: Sequence[Claim], /) -> None:
    """Id, verdict and the beginning of the statement, a line each, by topic."""
    console = _console()
    for topic in dict.fromkeys(claim.topic for claim in claims):
        console.print(Text(topic, "bold"))
        for claim in claims:
            if claim.topic == topic:
                console.print(_line(claim, console.width))
        console.print()
    console.print("crossent claims S34 shows an answer, with numbers that are computed then.")


def print_examined(claims: Iterable[Claim], /) -> list[str]:
    """Answers with their numbers; the ids of those whose check failed."""
    console = _console()
    failed = []
    for claim in claims:
        outcome = examine(claim)
        for part in _parts(outcome):
            console.print(part)
        if not outcome.holds:
            failed.append(claim.id)
    return failed


def print_records(claims: Iterable[Claim], /) -> list[str]:
    """All of it as one JSON object; the ids of those whose check failed."""
    outcomes = [examine(claim) for claim in claims]
    print_json({"claims": [outcome.as_dict() for outcome in outcomes]})
    return [outcome.claim.id for outcome in outcomes if not outcome.holds]


def _line(claim: Claim, width: int) -> Text:
    line = Text.assemble(f"  {claim.id:<5}", (f"{claim.verdict.label:<10}", _STYLES[claim.verdict]))
    line.append(" ".join(claim.statement.split()))
    line.truncate(width, overflow="ellipsis")
    return line


def _prose(text: str) -> Text:
    """Text in which a word between asterisks is emphasised."""
    parts = _EMPHASIS.split(text)
    styled = ((part, "italic" if place % 2 else "") for place, part in enumerate(parts))
    return Text.assemble(*styled)


def _console() -> Console:
    console = stdout()
    console.width = min(console.width, _WIDEST)
    return console


def _parts(outcome: Outcome) -> Iterator[RenderableType]:
    """Head, statement, verdict, answer, numbers."""
    claim = outcome.claim
    yield Rule(f"{claim.id}  {claim.topic}", align="left", style="dim")
    yield _fields(
        ("claim", _prose(claim.statement)),
        ("source", Text(claim.source)),
        ("verdict", Text(claim.verdict.value, f"bold {_STYLES[claim.verdict]}")),
        ("correct", _prose(claim.correction) if claim.correction else None),
    )
    for paragraph in paragraphs(claim.answer):
        yield Text()
        if paragraph.displayed:
            formula = Text(paragraph.text, "bold", no_wrap=True, overflow="ignore")
            yield Padding(formula, (0, 0, 0, 4), expand=False)
        else:
            yield _prose(paragraph.text)
    yield Text()
    if outcome.error is not None:
        yield Text(f"The check FAILED: {outcome.error}", "bold red")
    else:
        yield Text("Computed now:")
        yield from (_number(name, value) for name, value in outcome.numbers.items())
        yield from _closing(outcome)
    yield Text()


def _fields(*rows: tuple[str, Text | None]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    for name, text in rows:
        if text is not None:
            table.add_row(name, text)
    return table


def _number(name: str, value: object) -> Padding:
    """A name and its value, on two lines where one is too short."""
    text = number_in_words(value)
    between = ": " if len(name) + len(text) <= _WIDEST - 6 else ":\n    "
    return Padding(Text.assemble(name, between, (text, "bold")), (0, 0, 0, 2), expand=False)


def _closing(outcome: Outcome) -> Iterator[Text]:
    """How much was done."""
    yield Text(f"All compared with independent values in {outcome.seconds:.2f} s.", "dim")
    if outcome.proof == "proved":
        yield Text(f"Proved with SymPy: {proved(outcome.claim)}", "dim")
    elif outcome.proof is not None:
        yield Text("For the proof: pip install 'crossent[symbolic]'", "dim")
