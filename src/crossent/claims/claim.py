"""What a claim is: a statement, what is true about it, and a computation that shows it."""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Claim", "Number", "Numbers", "Verdict"]

Number: TypeAlias = float | int | str | Sequence[Any]
Numbers: TypeAlias = Mapping[str, Number]


class Verdict(enum.StrEnum):
    """What is to be said of a statement, as the sentence that a reader sees.

    Examples
    --------
    >>> str(Verdict.TRUE_IF), Verdict.TRUE_IF.label
    ('True under a condition that the source leaves out.', 'true if')
    """

    TRUE = "True."
    TRUE_IF = "True under a condition that the source leaves out."
    FALSE = "False as it stands."
    QUESTION = "A question; the answer follows."
    EXERCISE = "An exercise; the solution follows."
    UNKNOWN = "Cannot be settled from what the source says."

    @property
    def label(self) -> str:
        """One or two words for tables and JSON."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement, exercise, question or piece of code, answered and checked.

    Attributes
    ----------
    id : str
        "S1" to "S87".
    topic : str
        One of `crossent.claims.topics`.
    statement : str
        What is claimed or asked, in our words.
    source : str
        Where it stands: a section or an exercise of the chapter, the forum, or the write-up.
    verdict : Verdict
    answer : str
        Plain words and formulae; a blank line between paragraphs.
    check : callable
        Computes the answer with crossent's public functions, compares it with independent values,
        raises `ClaimError` at the first that differs, and returns the numbers worth showing.
    correction : str or None
        The statement as it should read, where the source errs.
    proof : callable or None
        Proves the answer with SymPy, or raises `ClaimError`. Where a proof is short.
    scene : callable or None
        Draws the claim: returns a matplotlib figure.
    """

    id: str
    topic: str
    statement: str
    source: str
    verdict: Verdict
    answer: str
    check: Callable[[], Numbers]
    correction: str | None = None
    proof: Callable[[], None] | None = None
    scene: Callable[[], Any] | None = None
