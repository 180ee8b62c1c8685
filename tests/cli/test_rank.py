"""``crossent rank`` on small tables; what it prints is what `BradleyTerry` says."""

import gzip
import re
from pathlib import Path

import numpy as np
import polars
import pytest

from crossent.choice import ELO_PER_LOGIT, BradleyTerry
from crossent.datasets import load_football_sample

VOTES = [
    *[("a", "b", "left", "ann")] * 3,
    *[("b", "a", "left", "bob")] * 2,
    *[("b", "c", "tie", "ann")] * 2,
    *[("c", "b", "right", "cid")] * 2,
    *[("c", "a", "left", "bob")] * 2,
    ("a", "c", "left", "cid"),
    ("c", "b", "left", "bob"),
    ("a", "b", "tie", "cid"),
]
ARGUMENTS = ["rank", "votes.csv", "--left", "x", "--right", "y", "--outcome", "who"]


@pytest.fixture
def votes(write_table):
    write_table("votes.csv", ["x", "y", "who", "judge"], VOTES)
    X = [v[:2] for v in VOTES]
    return X, [v[2] for v in VOTES], [v[3] for v in VOTES]


def test_the_json_holds_the_scores_of_the_estimator(votes, run_json):
    X, y, judge = votes
    found = run_json(*ARGUMENTS, "--judge", "judge")
    model = BradleyTerry().fit(X, y, clusters=judge)
    table = model.ranking(unit="elo", covariance="clustered")

    assert [item["item"] for item in found["items"]] == table.items.tolist()
    np.testing.assert_allclose([i["score"] for i in found["items"]], table.scores, rtol=1e-12)
    np.testing.assert_allclose(
        [i["standard_error"] for i in found["items"]], table.standard_errors, rtol=1e-9
    )
    assert found["tie"] == pytest.approx(model.tie_)
    assert found["log_likelihood"] == pytest.approx(model.log_likelihood_)
    assert found["certificate"]["status"] == "stationary"
    assert sum(i["wins"] for i in found["items"]) == y.count("left") + y.count("right")


def test_the_table_has_a_line_per_item_and_the_certificate(votes, run):
    result = run(*ARGUMENTS, "--unit", "logit")
    X, y, _ = votes
    model = BradleyTerry().fit(X, y)

    assert result.exit_code == 0, result.stderr
    for item, score in zip(model.items_.tolist(), model.scores_.tolist(), strict=True):
        assert re.search(rf"{item} +{score:.3f} ", result.stdout)
    assert "Certificate: stationary" in result.stdout
    assert f"{len(y)} comparisons" in result.stdout


def test_scores_of_games_and_neutral_ground(write_table, run_json):
    games = [
        ("a", "b", 2, 1, "FALSE"), ("b", "a", 0, 0, "FALSE"), ("a", "b", 0, 3, "TRUE"),
        ("b", "a", 1, 0, "FALSE"), ("a", "b", 1, 0, "TRUE"), ("b", "a", 0, 2, "FALSE"),
        ("a", "b", 5, 2, "FALSE"), ("a", "b", "", "", "FALSE"),
    ]  # fmt: skip
    write_table("games.csv", ["home", "away", "hg", "ag", "neutral"], games)
    found = run_json(
        *("rank", "games.csv", "--left", "home", "--right", "away", "--left-score", "hg"),
        *("--right-score", "ag", "--order-effect", "global", "--neutral", "neutral"),
    )
    played = games[:-1]
    y = ["left" if g[2] > g[3] else "right" if g[2] < g[3] else "tie" for g in played]
    order = [0.0 if g[4] == "TRUE" else 1.0 for g in played]
    model = BradleyTerry(order_effect="global").fit([g[:2] for g in played], y, order=order)

    assert found["rows_without_outcome"] == 1
    assert found["order_effect"] == pytest.approx(model.order_effect_)
    apart = found["items"][0]["score"] - found["items"][1]["score"]
    assert apart == pytest.approx(ELO_PER_LOGIT * abs(model.scores_[0] - model.scores_[1]))


def test_the_winner_may_be_named(votes, write_table, run_json):
    named = [(a, b, a if w == "left" else b if w == "right" else w) for a, b, w, _ in VOTES]
    write_table("named.csv", ["x", "y", "who"], named)
    plain = run_json(*ARGUMENTS)
    found = run_json("rank", "named.csv", *ARGUMENTS[2:])

    assert [i["score"] for i in found["items"]] == [i["score"] for i in plain["items"]]


def test_dates_fade_and_covariates_have_coefficients(write_table, run_json):
    rows = [(*v, f"2025-01-{k + 1:02d}", ((-1) ** k) * (k % 3)) for k, v in enumerate(VOTES)]
    write_table("votes.csv", ["x", "y", "who", "judge", "day", "length"], rows)
    found = run_json(*ARGUMENTS, "--date", "day", "--half-life", "7d", "--covariates", "length")
    model = BradleyTerry(half_life=7).fit(
        [r[:2] for r in rows],
        [r[2] for r in rows],
        dates=[r[4] for r in rows],
        covariates=[r[5] for r in rows],
    )

    assert found["covariates"]["length"] == pytest.approx(model.coef_[0])
    assert found["comparisons"] == pytest.approx(model.n_comparisons_)


def test_the_report_is_one_file_that_names_items_safely(write_table, run):
    nasty = [(a.replace("a", "<script>a"), b.replace("a", "<script>a"), w) for a, b, w, _ in VOTES]
    write_table("votes.csv", ["x", "y", "who"], nasty)
    result = run(*ARGUMENTS, "--report", "out.html")

    assert result.exit_code == 0, result.stderr
    text = Path("out.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;a" in text
    for heading in ("Scores", "Ranks", "Who beats whom", "Calibration", "Most surprising results"):
        assert f"<h2>{heading}</h2>" in text
    assert text.count("<svg") == 4
    assert not re.search(r"(src|href)\s*=\s*.(https?:)?//|url\(.?http|@import", text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([("z", "a", "left", "ann")], "'z' never lost.*--penalty.*--undefined components"),
        ([("a", "a", "left", "ann")], "line 16 compares 'a' with itself. Drop"),
        ([("a", "b", "dunno", "ann")], "y is 'dunno' in line 16"),
        ([("a", "", "left", "ann")], "'y' is empty in line 16. Fill"),
        ([("a", "b", "left", "")], "'judge' is empty in line 16. Fill"),
        ([("a", "b")], "line 16 has 2 cells and the header has 4"),
    ],
)
def test_bad_rows_are_one_line_on_stderr(change, message, write_table, run):
    write_table("votes.csv", ["x", "y", "who", "judge"], [*VOTES, *change])
    result = run(*ARGUMENTS, "--judge", "judge")

    assert result.exit_code == 1
    assert re.search(message, " ".join(result.stderr.split()))
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--left", "xx"], "no column 'xx'"),
        (["--left-score", "x"], "either --outcome, or --left-score"),
        (["--half-life", "7d"], "needs --date"),
        (["--half-life", "7d", "--date", "judge"], "is no date"),
        (["--covariates", "judge"], "must be a number"),
        (["--neutral", "judge", "--order-effect", "global"], "must be true or false"),
        (["--tie", "maybe"], "ties is 'maybe'"),
    ],
)
def test_options_that_cannot_be_used_are_said(arguments, message, votes, run):
    if "--left-score" in arguments:
        arguments = [*arguments, "--right-score", "y"]
    result = run(*ARGUMENTS, *arguments)

    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())


def test_an_item_without_a_score_is_listed(votes, write_table, run_json):
    write_table("votes.csv", ["x", "y", "who", "judge"], [*VOTES, ("z", "a", "left", "ann")])
    found = run_json(*ARGUMENTS, "--undefined", "drop")

    assert found["without_score"] == ["z"]
    assert [i["item"] for i in found["items"]] != []


def test_a_date_that_cannot_be_read_is_shown_with_its_line(write_table, run):
    rows = [("a", "b", "left", "2020-01-01"), ("b", "a", "left", "yesterday")]
    write_table("votes.csv", ["x", "y", "who", "day"], rows)
    result = run(*ARGUMENTS, "--date", "day", "--half-life", "30d")

    assert result.exit_code == 1
    assert "dates is 'yesterday' in line 3" in " ".join(result.stderr.split())


@pytest.mark.parametrize("form", ["gz", "tsv", "semicolon", "parquet"])
def test_tables_of_other_forms_say_the_same(form, votes, run_json):
    plain = run_json(*ARGUMENTS)
    text = Path("votes.csv").read_text(encoding="utf-8")
    if form == "gz":
        Path("other").write_bytes(gzip.compress(text.encode()))
    elif form == "parquet":
        polars.read_csv("votes.csv").write_parquet("other")
    else:
        Path("other").write_text(text.replace(",", {"tsv": "\t", "semicolon": ";"}[form]))
    found = run_json("rank", "other", *ARGUMENTS[2:])

    assert len(found["items"]) == 3
    assert found["items"] == plain["items"]


def test_the_bundled_football_matches_need_no_option(run_json):
    matches = load_football_sample()
    model = BradleyTerry(order_effect="global")
    model.fit(matches.teams, matches.outcomes, order=matches.home)
    found = run_json("rank", "football_sample")

    assert found["comparisons"] == 769
    assert found["order_effect"] == pytest.approx(model.order_effect_, rel=1e-12)
    assert found["order_effect"] > 0.5
    assert found["log_likelihood"] == pytest.approx(model.log_likelihood_, rel=1e-12)
    plain = run_json("rank", "football_sample", "--order-effect", "none")
    assert plain["order_effect"] is None
    assert plain["log_likelihood"] < found["log_likelihood"] - 10


def test_the_advice_speaks_of_the_penalty(votes, run_json):
    words = " ".join(run_json(*ARGUMENTS)["certificate"]["in_words"])

    assert "--penalty" in words
    assert "`C`" not in words


def test_surprises_are_named_by_their_line(votes, run):
    result = run(*ARGUMENTS, "--report", "out.html")

    assert result.exit_code == 0, result.stderr
    text = Path("out.html").read_text(encoding="utf-8")
    section = text.split("<h2>Most surprising results</h2>")[1]
    lines = [int(n) for n in re.findall(r"<tr><td[^>]*>(\d+)</td>", section)]
    assert "counted from 0" not in section
    assert lines
    assert 2 <= min(lines) <= max(lines) <= len(VOTES) + 1
