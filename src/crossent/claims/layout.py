"""How an answer's text is built, and how its numbers are written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossent.claims.claim import Claim, Number

__all__ = ["Paragraph", "number_in_words", "paragraphs", "proved"]


@dataclass(frozen=True)
class Paragraph:
    """Part of an answer.

    Attributes
    ----------
    text : str
    displayed : bool
        Formulae or a table, whose lines and spaces stay as they are; otherwise prose.
    """

    text: str
    displayed: bool


def paragraphs(answer: str, /) -> Iterator[Paragraph]:
    r"""The parts of an answer, which blank lines separate; what is indented by four is displayed.

    Examples
    --------
    >>> list(paragraphs("Since\n\n    1 + 1 = 2"))
    [Paragraph(text='Since', displayed=False), Paragraph(text='1 + 1 = 2', displayed=True)]
    """
    for part in answer.split("\n\n"):
        lines = part.split("\n")
        displayed = all(line.startswith("    ") for line in lines)
        text = "\n".join(line[4:] for line in lines) if displayed else part
        yield Paragraph(text, displayed)


def number_in_words(value: Number | Any, /, *, digits: int = 10) -> str:
    """A number, a text, or a list of them, with at most so many digits each.

    Examples
    --------
    >>> number_in_words([1 / 3, 5, float("inf"), "2/5"])
    '0.3333333333, 5, inf, 2/5'
    >>> number_in_words([[1.0, 2.0], [3.0, -0.0]], digits=4)
    '(1, 2), (3, 0)'
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, str | bool | int):
        return str(value)
    if isinstance(value, Sequence):
        parts = (number_in_words(item, digits=digits) for item in value)
        nested = (isinstance(item, Sequence) and not isinstance(item, str) for item in value)
        pairs = zip(parts, nested, strict=True)
        return ", ".join(f"({part})" if inner else part for part, inner in pairs)
    return f"{value + 0.0:.{digits}g}"  # -0.0 + 0.0 is 0.0


def proved(claim: Claim, /) -> str:
    """What a claim's proof proves, in its own words; empty without one."""
    return "" if claim.proof is None else (claim.proof.__doc__ or "").split("\n\n")[0].strip()
