"""All claims, in order; found by id and by topic."""

import importlib
import pkgutil
import re
from functools import cache
from pathlib import Path

from crossent.claims.claim import Claim
from crossent.errors import InputError

__all__ = ["all_claims", "find", "of_topic", "topics"]

_OFFERED = 3


@cache
def all_claims() -> tuple[Claim, ...]:
    """Every claim, S1 first.

    Examples
    --------
    >>> all_claims()[0].id
    'S1'
    """
    folder = str(Path(__file__).parent)
    modules = (
        importlib.import_module(f"crossent.claims.{module.name}")
        for module in pkgutil.iter_modules([folder])
        if not module.name.startswith("_")
    )
    claims = (claim for module in modules for claim in getattr(module, "CLAIMS", ()))
    return tuple(sorted(claims, key=_number))


def topics() -> tuple[str, ...]:
    """Names of the topics, in the order of their first claims."""
    return tuple(dict.fromkeys(claim.topic for claim in all_claims()))


def of_topic(topic: str) -> tuple[Claim, ...]:
    """The claims of one topic.

    Raises
    ------
    InputError
        If there is no such topic; the message lists them.
    """
    found = tuple(claim for claim in all_claims() if claim.topic == topic)
    if not found:
        message = f"there is no topic {topic!r}. The topics are: {', '.join(topics())}."
        raise InputError(message)
    return found


def find(id: str) -> Claim:
    """The claim with this id; "s24" and "24" mean S24.

    Raises
    ------
    InputError
        If there is none; the message offers the nearest ids.

    Examples
    --------
    >>> find("s34").id
    'S34'
    """
    wanted = id.strip().upper().removeprefix("S").lstrip("0")
    claims = all_claims()
    for claim in claims:
        if claim.id.removeprefix("S") == wanted:
            return claim
    message = f"there is no claim {id!r}. {_offer(id, claims)}"
    raise InputError(message)


def _offer(id: str, claims: tuple[Claim, ...]) -> str:
    """The nearest ids, or the claims that mention the word."""
    digits = re.search(r"\d+", id)
    if digits:
        nearest = sorted(claims, key=lambda claim: abs(_number(claim) - int(digits.group())))
        return f"Near to it: {_ids(nearest)}. They run from {claims[0].id} to {claims[-1].id}."
    word = id.strip().lower()
    mentions = [c for c in claims if len(word) > 2 and word in f"{c.topic} {c.statement}".lower()]
    if mentions:
        return f"The word is in {_ids(mentions)}."
    return f"Ids run from {claims[0].id} to {claims[-1].id}; topics are {', '.join(topics())}."


def _ids(claims: list[Claim]) -> str:
    return ", ".join(claim.id for claim in claims[:_OFFERED])


def _number(claim: Claim) -> int:
    return int(claim.id.removeprefix("S"))
