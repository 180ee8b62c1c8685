"""The documentation page of the claims: ``python -m crossent.claims.page [FOLDER]``.

Writes ``claims.md`` and the figures ``claims/S72.svg``, … into the folder, by default ``docs``.
Every check is run for it.
"""

import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from crossent.claims._expect import ClaimError
from crossent.claims.claim import Claim, Verdict
from crossent.claims.layout import number_in_words, paragraphs, proved
from crossent.claims.outcome import Outcome, examine
from crossent.claims.registry import all_claims, topics

__all__ = ["figure", "main", "page"]

_DIGITS = 6
_FIGURES = "claims"
_INTRODUCTION = """\
# Claims

What a textbook chapter on softmax regression states, what its exercises ask, what its readers asked
each other for years, and what a well-known write-up of the loss does in code: {count} items, each
with a verdict, an answer, and numbers. Nothing here is typed in by hand: this page is written by
`python -m crossent.claims.page`, which runs every check, and the tests fail if page and checks
part. `crossent claims S34` shows the same on a terminal.

In all of them o are the logits, p = softmax(o) the probabilities, y the label as a one-hot vector
or a distribution, q the number of classes, and log the natural logarithm, so that losses are in
nats. Classes are numbered from 1, as in the chapter.
"""


def page(outcomes: Sequence[Outcome], /) -> str:
    """The whole page, as Markdown.

    Raises
    ------
    ClaimError
        If a check failed: there is nothing to print then.
    """
    for outcome in outcomes:
        if outcome.error is not None:
            message = f"{outcome.claim.id}: {outcome.error}"
            raise ClaimError(message)
    of_topic = {
        topic: [outcome for outcome in outcomes if outcome.claim.topic == topic]
        for topic in topics()
    }
    parts = [_INTRODUCTION.format(count=len(outcomes)), _contents(of_topic)]
    for topic, members in of_topic.items():
        parts.append(f"## {topic.capitalize()}\n")
        parts += ["\n".join(_section(outcome)) for outcome in members]
    return "\n".join(parts)


def figure(claim: Claim, /) -> str:
    """The claim's figure as SVG: text stays text, and the same figure gives the same file.

    Raises
    ------
    CrossentError
        If matplotlib is not installed.
    """
    if claim.scene is None:
        message = f"{claim.id} has no figure."
        raise ValueError(message)
    drawn = claim.scene()
    # Imported after the scene, which says what to install if it is missing.
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": claim.id}):
        drawn.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Write page and figures into the folder that the first argument names."""
    folder = Path(arguments[0] if arguments else "docs")
    (folder / _FIGURES).mkdir(parents=True, exist_ok=True)
    text = page([examine(claim) for claim in all_claims()])
    (folder / "claims.md").write_text(text, "utf-8")
    for claim in all_claims():
        if claim.scene is not None:
            (folder / _FIGURES / f"{claim.id}.svg").write_text(figure(claim), "utf-8")


def _contents(of_topic: dict[str, list[Outcome]]) -> str:
    """A table of the topics with links, and one of the verdicts."""
    rows = ["| topic | claims |", "|---|---|"]
    for topic, members in of_topic.items():
        links = " ".join(_link(outcome.claim.id) for outcome in members)
        rows.append(f"| {topic} | {links} |")
    counts = [
        (verdict, sum(o.claim.verdict is verdict for ms in of_topic.values() for o in ms))
        for verdict in Verdict
    ]
    tally = ", ".join(f"{count} {verdict.label}" for verdict, count in counts)
    return "\n".join([*rows, "", f"By verdict: {tally}.", ""])


def _section(outcome: Outcome) -> Iterator[str]:
    """Heading, statement, verdict, answer, figure and numbers of one claim."""
    claim = outcome.claim
    yield f'<a id="{claim.id.lower()}"></a>\n'
    yield f"### {claim.id}: {claim.verdict.label}\n"
    yield f"> {_prose(claim.statement)}\n>\n> *({claim.source})*\n"
    yield f"**{claim.verdict.value}**" + (
        f" Correct is: {_prose(claim.correction)}\n" if claim.correction else "\n"
    )
    for paragraph in paragraphs(claim.answer):
        if paragraph.displayed:
            yield f"```text\n{paragraph.text}\n```\n"
        else:
            yield _prose(paragraph.text) + "\n"
    if claim.scene is not None:
        yield f"![{claim.id}]({_FIGURES}/{claim.id}.svg)\n"
    yield "| computed | |\n|---|---|"
    for name, value in outcome.numbers.items():
        yield f"| {_cell(name)} | {_cell(number_in_words(value, digits=_DIGITS))} |"
    yield f"\nProved with SymPy: {_prose(proved(claim))}\n" if claim.proof is not None else ""


def _prose(text: str) -> str:
    """A paragraph in one line: a line break before a minus sign would make a list of it."""
    one_line = " ".join(text.split()).replace("<", "&lt;")
    return re.sub(r"\bS(\d+)\b", lambda found: _link(found.group()), one_line)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _link(id: str) -> str:
    return f"[{id}](#{id.lower()})"


if __name__ == "__main__":
    main(sys.argv[1:])
