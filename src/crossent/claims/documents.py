"""About the sources themselves: what is damaged in them, and the standing demand for answers."""

import re
from collections import Counter

from crossent.claims._expect import below, equal
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.claims.registry import all_claims

__all__ = ["CLAIMS", "damage"]

# Beginnings of ∑ (e2 88 91) and of mathematical letters (f0 9d ...) in UTF-8, read as Greek.
_MISREAD = ("\u03b2\u02c6", "\u03c0\u2018")
_DANGLING = (":eqref:", ":numref:", "??")
_LOST = "\ufffd"


def damage(text: str, known: set[str], /) -> list[str]:
    """What is wrong with a text as a text: misread letters, lost ones, references to nothing.

    Parameters
    ----------
    text : str
    known : set of str
        Ids that a reference may name.

    Returns
    -------
    list of str
        Empty for a sound text.

    Examples
    --------
    >>> damage("the derivation of S1", {"S1"})
    []
    >>> damage("see S99 and :eqref:`eq_softmax`", {"S1"})
    [':eqref: is left unresolved', 'S99 is not there']
    """
    found = [f"misread letters at {text.index(pair)}" for pair in _MISREAD if pair in text]
    found += [f"a lost letter at {text.index(_LOST)}"] if _LOST in text else []
    found += [f"{mark} is left unresolved" for mark in _DANGLING if mark in text]
    named = re.findall(r"\bS\d+\b", text)
    return found + [f"{name} is not there" for name in dict.fromkeys(named) if name not in known]


def _read_as_greek(text: str) -> str:
    """UTF-8 read as Windows-1253, whose unused places stand for those of Windows-1252."""
    letters = []
    for byte in text.encode():
        one = bytes([byte])
        try:
            letters.append(one.decode("cp1253"))
        except UnicodeDecodeError:
            letters.append(one.decode("cp1252", errors="ignore"))
    return "".join(letters)


def _sound_texts() -> Numbers:
    garbled = _read_as_greek("∑"), _read_as_greek("𝑝")
    equal("the sum sign, misread", garbled[0], "\u03b2\u02c6\u2018")
    equal("a mathematical p, misread", garbled[1][:2], "\u03c0\u2018")
    claims = all_claims()
    known = {claim.id for claim in claims}
    planted = (*garbled, f"a lost letter {_LOST}", "equation :eqref:`eq_l_cross_entropy`", "see S0")
    equal("planted faults found", [len(damage(text, known)) for text in planted], [1] * 5)
    texts = {c.id: "\n".join((c.statement, c.answer, c.correction or "", c.source)) for c in claims}
    faults = {id: damage(text, known) for id, text in texts.items() if damage(text, known)}
    # This very claim may show what misread letters look like only by their names.
    equal("faults in our own texts", faults, {})
    return {
        "∑ misread, as code points": [f"U+{ord(letter):04X}" for letter in garbled[0]],
        "texts looked at": len(texts),
        "references between them": sum(len(re.findall(r"\bS\d+\b", t)) for t in texts.values()),
        "faults": len(faults),
    }


def _all_answered() -> Numbers:
    claims = all_claims()
    equal("ids", [claim.id for claim in claims], [f"S{n}" for n in range(1, 88)])
    for claim in claims:
        below(f"{claim.id}: 100 below the length of the answer", 100, len(claim.answer))
        equal(f"{claim.id}: has a source", bool(claim.source.strip()), True)
        errs = claim.verdict is Verdict.FALSE
        equal(f"{claim.id}: corrected if false", errs and claim.correction is None, False)
    checks = Counter(claim.check for claim in claims)
    equal("checks that serve two claims", [c.__name__ for c, n in checks.items() if n > 1], [])
    verdicts = Counter(claim.verdict.label for claim in claims)
    return {
        "claims": len(claims),
        **{label: verdicts[label] for label in (v.label for v in Verdict)},
        "with a proof": sum(claim.proof is not None for claim in claims),
        "with a picture": sum(claim.scene is not None for claim in claims),
    }


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="S86",
        topic="documents",
        statement=(
            "The material is damaged: formulae are garbled, pictures are gone, references lead "
            "nowhere, and cells stand in an order in which they cannot run."
        ),
        source="forum; chapter; write-up",
        verdict=Verdict.TRUE,
        answer=(
            "All of it is so. One copy of the forum thread was saved with the wrong alphabet: the "
            "three bytes of the sum sign in UTF-8 were read as three characters of Windows' Greek "
            "code page, first a beta, and mathematical italic letters begin with a pi. Answers "
            "that were photographs are lost with the photographs. The chapter begins in the middle "
            "of a word, and its equation numbers point to equations that are not there. The "
            "write-up uses names before it defines them (S71, S77), and its last comparison is cut "
            "off (S84).\n\n"
            "What is lost cannot be answered; where a statement could be read, it is here. The "
            "check reproduces the garbling, and searches all our own texts for the same faults: "
            "misread or lost letters, unresolved references, claims that are named and do not "
            "exist. The examples in this package's documentation are run by its tests."
        ),
        check=_sound_texts,
    ),
    Claim(
        id="S87",
        topic="documents",
        statement="Where are the solutions? Sorry, we do not provide any.",
        source="forum",
        verdict=Verdict.QUESTION,
        answer=(
            "Here. Each of the 87 statements, exercises, questions and cells has a verdict, an "
            "answer in words and formulae, the corrected statement where the source errs, and a "
            "check: a piece of code that computes the answer with this package's public functions, "
            "compares it with a value found in another way, and returns the numbers that it shows. "
            "A wrong answer breaks the build.\n\n"
            "And a check that could not fail would be worthless. So the tests also do the "
            "opposite: they break the functions that a check uses, one at a time, and demand that "
            "the check notices."
        ),
        check=_all_answered,
    ),
)
