"""Damage in texts, planted and found."""

import pytest

from crossent.claims import all_claims
from crossent.claims.documents import damage

KNOWN = {"S1", "S73"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("\u03b2\u02c6\u2018 y log p", "misread letters at 0"),
        ("the vector \u03c0\u2018\u009c", "misread letters at 11"),
        ("a lost letter: \ufffd", "a lost letter at 15"),
        ("by :eqref:`eq_l_cross_entropy`", ":eqref: is left unresolved"),
        ("by :numref:`sec_softmax`", ":numref: is left unresolved"),
        ("by equation ??", "?? is left unresolved"),
        ("as in S88", "S88 is not there"),
    ],
)
def test_each_kind_of_damage_is_named(text, fault):
    assert damage(text, KNOWN) == [fault]


def test_a_sound_text_has_none_even_with_greek_letters_and_known_ids():
    assert damage("By S73, Σ p log p = -H(p), whatever β and π are; see S1.", KNOWN) == []


def test_a_reference_is_reported_once():
    assert damage("S5, again S5", KNOWN) == ["S5 is not there"]


@pytest.mark.parametrize("claim", all_claims(), ids=lambda claim: claim.id)
def test_statement_answer_and_correction_are_sound(claim):
    known = {other.id for other in all_claims()}
    texts = (claim.statement, claim.answer, claim.correction or "", claim.source)

    assert [fault for text in texts for fault in damage(text, known)] == []
