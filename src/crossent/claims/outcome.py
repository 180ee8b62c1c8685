"""What became of a claim when its check and its proof were run."""

import importlib.util
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from crossent.claims._expect import ClaimError
from crossent.claims.claim import Claim, Numbers

__all__ = ["Outcome", "examine"]


@dataclass(frozen=True)
class Outcome:
    """A claim, and what its check computed.

    Attributes
    ----------
    claim : Claim
    numbers : mapping
        Empty if the check failed.
    error : str or None
        Why it failed; None if it did not.
    proof : {"proved", "SymPy is not installed"} or None
        None where there is no proof.
    seconds : float
        Of check and proof together.
    """

    claim: Claim
    numbers: Numbers
    error: str | None
    proof: Literal["proved", "SymPy is not installed"] | None
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether the check, and the proof if there was one to run, went through."""
        return self.error is None

    def as_dict(self) -> dict[str, Any]:
        """All of it in JSON's own types; "inf", "-inf" and "nan" are strings."""
        claim = self.claim
        return {
            "id": claim.id,
            "topic": claim.topic,
            "statement": claim.statement,
            "source": claim.source,
            "verdict": claim.verdict.label,
            "verdict_in_words": claim.verdict.value,
            "answer": claim.answer,
            "correction": claim.correction,
            "holds": self.holds,
            "error": self.error,
            "numbers": _plain(self.numbers),
            "proof": self.proof,
            "seconds": round(self.seconds, 3),
        }


def examine(claim: Claim, /) -> Outcome:
    """Run a claim's check, and its proof where SymPy is installed.

    A value that is not what it must be ends up in `Outcome.error`; any other exception is a
    mistake of ours and is raised.

    Examples
    --------
    >>> from crossent.claims import find
    >>> outcome = examine(find("S34"))
    >>> outcome.holds, outcome.numbers["their difference"]
    (True, 5.0)
    """
    start = time.perf_counter()
    numbers: Numbers = {}
    error = None
    proof: Literal["proved", "SymPy is not installed"] | None = None
    try:
        numbers = claim.check()
        if claim.proof is not None and importlib.util.find_spec("sympy") is None:
            proof = "SymPy is not installed"
        elif claim.proof is not None:
            claim.proof()
            proof = "proved"
    except ClaimError as found:
        numbers, error = {}, str(found)
    return Outcome(claim, numbers, error, proof, time.perf_counter() - start)


def _plain(value: Any) -> Any:
    """The value in JSON's own types."""
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (bool, int, float)) else str(value)
