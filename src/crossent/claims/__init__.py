"""The statements, exercises and questions about softmax and cross-entropy, answered by code.

Each of the 87 claims says what is true and brings a check that computes it with the package's own
public functions.
"""

from crossent.claims._expect import ClaimError
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.claims.outcome import Outcome, examine
from crossent.claims.registry import all_claims, find, of_topic, topics

__all__ = [
    "Claim",
    "ClaimError",
    "Numbers",
    "Outcome",
    "Verdict",
    "all_claims",
    "examine",
    "find",
    "of_topic",
    "topics",
]
