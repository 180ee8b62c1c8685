"""Every claim is there, is answered, and holds."""

import ast
import json
import re
from pathlib import Path

import pytest

from crossent import claims
from crossent.claims import Claim, ClaimError, Verdict, all_claims, examine
from crossent.claims.layout import number_in_words

CLAIMS = {claim.id: claim for claim in all_claims()}
every_claim = pytest.mark.parametrize("id", CLAIMS)
every_proof = pytest.mark.parametrize("id", [c.id for c in CLAIMS.values() if c.proof])

# The chapter's exercises with all their parts, and the claims that solve them.
EXERCISES = {
    "1.1": "S26",
    "1.2": "S27",
    "2.1": "S51",
    "2.2": "S52",
    "3": "S54",
    "4.1": "S55",
    "4.2": "S56",
    "5.1": "S38",
    "5.2": "S39",
    "5.3": "S40",
    "5.4": "S41",
    "5.5": "S43",
    "5.6": "S44",
    "6.1": "S33",
    "6.2": "S34",
    "6.3": "S35",
    "6.4": "S36",
    "7.1": "S58",
    "7.2": "S59",
    "7.3": "S60",
}


def test_all_87_are_there_once_and_in_order():
    assert [claim.id for claim in all_claims()] == [f"S{n}" for n in range(1, 88)]


@every_claim
def test_the_check_holds(id, examined):
    outcome = examined(id)

    assert outcome.error is None
    assert outcome.numbers, "a check must show what it computed"
    assert all(number_in_words(value) for value in outcome.numbers.values())


@every_proof
def test_the_proof_goes_through(id, examined):
    assert examined(id).proof == "proved"


@every_claim
def test_the_text_is_complete(id):
    claim = CLAIMS[id]
    texts = (claim.statement, claim.answer, claim.source, claim.correction or "-")

    for text in texts:
        assert text == text.strip() != ""
        assert not re.search(r"[^\S\n]{2}", re.sub(r"^    .*$", "", text, flags=re.M)), text
    assert claim.statement[-1] in ".?", "a statement is a sentence"
    assert len(claim.answer) > 200
    if claim.verdict is Verdict.FALSE:
        assert claim.correction


@every_claim
def test_displayed_lines_fit_a_terminal(id):
    displayed = [line for line in CLAIMS[id].answer.split("\n") if line.startswith("    ")]

    assert max(map(len, displayed), default=0) <= 84  # four of them are the indent


@pytest.mark.parametrize(("exercise", "id"), EXERCISES.items())
def test_every_part_of_every_exercise_has_its_claim(exercise, id):
    number = exercise.split(".")[0]
    source = CLAIMS[id].source

    assert re.search(rf"exercise {re.escape(exercise)}\b|exercise {number}\b", source), source


@pytest.mark.parametrize(("exercise", "id"), EXERCISES.items())
def test_every_exercise_has_a_fault_of_the_functional_floor_to_notice(exercise, id):
    """`make mutants` shows that the check notices it."""
    lines = (Path(__file__).parents[1] / "mutants.txt").read_text("utf-8").splitlines()
    node = f"tests/claims/test_claims.py::test_the_check_holds[{id}]"

    assert any(x.startswith("src/crossent/functional/") and x.endswith(node) for x in lines)


def test_checks_do_not_use_assert_which_vanishes_under_O():
    folder = Path(claims.__file__).parent
    statements = [
        f"{path.name}:{node.lineno}"
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assert)
    ]

    assert statements == []


@every_claim
def test_an_outcome_is_json(id, examined):
    record = examined(id).as_dict()

    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["verdict"] in {verdict.label for verdict in Verdict}


def test_a_failed_check_is_an_outcome_and_another_error_is_not():
    def differs():
        message = "log-partition: 3.0, not 3.4."
        raise ClaimError(message)

    def mistaken():
        raise ZeroDivisionError

    made_up = {
        "id": "S0",
        "topic": "none",
        "statement": "1 = 2.",
        "source": "nowhere",
        "verdict": Verdict.FALSE,
        "answer": "No.",
    }
    outcome = examine(Claim(**made_up, check=differs))
    unproved = examine(Claim(**made_up, check=lambda: {"one": 1}, proof=differs))

    for found in (outcome, unproved):
        assert not found.holds
        assert found.error == "log-partition: 3.0, not 3.4."
        assert found.as_dict()["numbers"] == {}
        assert found.proof is None
    with pytest.raises(ZeroDivisionError):
        examine(Claim(**made_up, check=mistaken))


def test_without_sympy_a_proof_is_said_to_be_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    assert examine(CLAIMS["S34"]).proof == "SymPy is not installed"
