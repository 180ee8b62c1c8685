"""``crossent claims``: the list, one answer, a topic, JSON, and wrong names."""

import dataclasses
import re

import pytest

from crossent import claims
from crossent.claims import ClaimError, all_claims, registry


def test_the_list_has_a_line_for_each_claim_of_80_columns_at_most(run):
    result = run("claims")

    assert result.exit_code == 0
    ids = re.findall(r"^  (S\d+) ", result.stdout, flags=re.M)
    assert sorted(ids) == sorted(claim.id for claim in all_claims())
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "  S34  false     Show that g is translation invariant" in result.stdout


def test_one_claim_shows_statement_verdict_correction_answer_and_numbers(run):
    result = run("claims", "s34")

    text = " ".join(result.stdout.split())
    assert result.exit_code == 0
    assert result.stderr == ""
    for part in (
        "S34 log-partition",
        "claim Show that g is translation invariant",
        "source exercise 6.2; forum",
        "verdict False as it stands.",
        "correct g(x + b) = g(x) + b",
        "log Σ_i exp(x_i + b) = log( e^b Σ_i exp(x_i) ) = b + g(x).",
        "(it is translation equivariant)",
        "g(1, 2, 3) and g(6, 7, 8): 3.407605964, 8.407605964",
        "their difference: 5",
        "Proved with SymPy: Adding b to all logits: g(x + b) = g(x) + b, and the softmax stays.",
    ):
        assert part in text
    assert max(map(len, result.stdout.splitlines())) <= 88  # a displayed line may need it


def test_several_ids_and_a_topic_can_be_asked_for_together(run_json):
    found = [
        record["id"] for record in run_json("claims", "S1", "34", "--topic", "codes")["claims"]
    ]

    assert found == ["S1", "S34", "S51", "S52", "S53", "S54"]


def test_json_of_all_has_every_id_with_verdict_and_numbers(run_json):
    records = run_json("claims")["claims"]

    assert [record["id"] for record in records] == [f"S{n}" for n in range(1, 88)]
    for record in records:
        assert record["holds"] is True
        assert record["error"] is None
        assert record["verdict"] in ("true", "true if", "false", "question", "exercise", "unknown")
        assert record["numbers"]
    by_id = {record["id"]: record for record in records}
    assert by_id["S34"]["numbers"]["their difference"] == 5.0
    assert by_id["S18"]["numbers"]["log(softmax(0, -800)), class 2"] == "-inf"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["S88"], "there is no claim 'S88'. Near to it: S87, S86, S85."),
        (["S1", "softmin"], "there is no claim 'softmin'. The word is in S43."),
        (["--topic", "codex"], "there is no topic 'codex'. The topics are: likelihood,"),
    ],
)
def test_a_wrong_name_is_answered_with_near_ones(run, arguments, words):
    result = run("claims", *arguments)

    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_failed_check_is_shown_and_ends_with_1(run, monkeypatch, options):
    def differs():
        message = "g(1, 2, 3): 3.0, not 3.4."
        raise ClaimError(message)

    broken = dataclasses.replace(claims.find("S34"), check=differs)
    monkeypatch.setattr(registry, "all_claims", lambda: (broken,))
    result = run("claims", "S34", *options)

    assert result.exit_code == 1
    assert "g(1, 2, 3): 3.0, not 3.4." in result.stdout
    assert "the checks of these claims failed: S34" in result.stderr
