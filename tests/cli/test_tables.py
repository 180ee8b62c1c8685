"""Tables of mixed columns, from the file to predictions of another file."""

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import crossent
from crossent.cli import predicting
from crossent.datasets import frames

COLUMNS = ["day", "team", "age", "home", "note", "result"]


def make_rows(n, seed=0):
    """Rows whose class depends on team, age and home."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        team = str(rng.choice(["red", "blue", "green"]))
        age, home = rng.normal(30, 5), bool(rng.integers(2))
        score = (team == "red") * 2 + (age - 30) / 5 + home * 1.5 + rng.normal()
        result = "win" if score > 2 else "draw" if score > 0.5 else "loss"
        day = f"20{10 + i % 15}-0{1 + i % 9}-1{i % 10}"
        cell = "" if i % 17 == 0 else f"{age:.2f}"
        note = f"player {i} of {team} was seen at gate {i % 7} today"
        rows.append([day, team, cell, str(home).upper(), note, result])
    return rows


@pytest.fixture
def season(write_table):
    """``train.csv`` and ``test.csv`` of mixed columns; gives the rows of the second."""
    write_table("train.csv", COLUMNS, make_rows(300))
    rows = make_rows(80, seed=1)
    write_table("test.csv", COLUMNS, rows)
    return rows


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The folder of a model of the season, made once."""
    from typer.testing import CliRunner

    from crossent.cli.app import app

    folder = tmp_path_factory.mktemp("season")
    with (folder / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *make_rows(300)])
    arguments = ["fit", folder / "train.csv", "--test", "0", "--model", folder / "m.skops"]
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.stderr
    return folder


@pytest.fixture
def model(fitted, season):
    """``m.skops``; gives the rows of ``test.csv``."""
    Path("m.skops").write_bytes((fitted / "m.skops").read_bytes())
    return season


def predictions(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_fit_says_what_each_column_was_taken_for(run, run_json, season):
    text = run("fit", "train.csv", "--test", "test.csv").stdout
    record = run_json("fit", "train.csv", "--test", "test.csv")

    kinds = {column["name"]: column["kind"] for column in record["data"]["columns"]}
    assert kinds == {
        "day": "date", "team": "category", "age": "number", "home": "boolean", "note": "text",
    }  # fmt: skip
    assert record["data"]["columns"][2]["missing"] == 18  # 300 rows, every 17th from the first
    for line in ("team     category", "age      number", "note     text"):
        assert line in text
    assert record["certificate"]["converged"]
    assert record["test"]["n_rows"] == 80
    assert record["test"]["cross_entropy"] < 0.75 * record["test"]["frequency_baseline"]


def test_a_saved_model_judges_a_new_file_as_fit_did_without_being_told_the_target(
    run, run_json, season
):
    fitted = run_json("fit", "train.csv", "--test", "test.csv", "--model", "m.skops")
    result = run("evaluate", "m.skops", "test.csv", "--json")

    assert result.stderr == ""  # no warnings
    found = json.loads(result.stdout)["evaluation"]
    assert found["cross_entropy"] == fitted["test"]["cross_entropy"]
    assert found["accuracy"] == fitted["test"]["accuracy"]


def test_the_model_remembers_a_target_that_is_not_the_last_column(run, run_json, write_table):
    rows = [[row[5], row[1], row[2]] for row in make_rows(100)]
    write_table("t.csv", ["result", "team", "age"], rows)
    run("fit", "t.csv", "--target", "result", "--test", "0", "--model", "m.skops")

    assert run_json("evaluate", "m.skops", "t.csv")["evaluation"]["n_rows"] == 100
    first = predictions(run("predict", "m.skops", "t.csv").stdout)[0]
    assert first["target"] == rows[0][0]
    assert crossent.load("m.skops")[-1].schema_.target == ("result",)


def test_predictions_of_a_table_are_those_of_the_pipeline(run, model):
    rows = predictions(run("predict", "m.skops", "test.csv").stdout)

    frame = pl.read_csv("test.csv")
    pipeline = crossent.load("m.skops")
    p = np.array([[float(row[f"probability_{c}"]) for c in pipeline.classes_] for row in rows])
    np.testing.assert_allclose(p, pipeline.predict_proba(frame), rtol=1e-12)
    assert [row["target"] for row in rows] == [row[5] for row in model]
    right = p[np.arange(80), np.searchsorted(pipeline.classes_, frame["result"].to_numpy())]
    surprisal = [float(row["surprisal"]) for row in rows]
    np.testing.assert_allclose(surprisal, -np.log(right), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("form", ["csv.gz", "tsv", "parquet", "arrow"])
def test_other_formats_give_the_same_predictions(run, model, form):
    reference = run("predict", "m.skops", "test.csv").stdout
    frame = pl.read_csv("test.csv", try_parse_dates=True)
    path = Path(f"new.{form}")
    if form == "csv.gz":
        path.write_bytes(gzip.compress(Path("test.csv").read_bytes()))
    elif form == "tsv":
        frame.write_csv(path, separator="\t")
    elif form == "parquet":
        frame.write_parquet(path)
    else:
        frame.write_ipc(path)

    assert run("predict", "m.skops", path).stdout == reference


def test_a_table_is_predicted_piece_by_piece(run, model, monkeypatch):
    whole = run("predict", "m.skops", "test.csv").stdout
    monkeypatch.setattr(frames, "_BLOCK_BYTES", 1000)
    pieces = list(frames.stream_frames("test.csv"))

    assert len(pieces) > 4
    found = run("predict", "m.skops", "test.csv").stdout
    run("predict", "m.skops", "test.csv", "--output", "p.csv", "-q")
    assert Path("p.csv").read_text() == found
    # A product of a few rows may sum in another order than one of all: some roundings of float64.
    ours, theirs = (pl.read_csv(io.StringIO(text)) for text in (found, whole))
    assert_frame_equal(ours, theirs, rel_tol=1e-12, abs_tol=0.0)


def test_pieces_of_many_classes_hold_few_rows_and_say_the_same(run, model, monkeypatch):
    whole = json_lines(run("predict", "m.skops", "test.csv", "--json"))
    monkeypatch.setattr(predicting, "_PIECE_NUMBERS", 20)  # six rows of three classes
    pieces = [len(piece) for piece in predicting._pieces("test.csv", 3)]
    few = json_lines(run("predict", "m.skops", "test.csv", "--json"))

    assert pieces[0] == 6
    assert sum(pieces) == len(whole) == len(few)
    for one, other in zip(whole, few, strict=True):
        assert one["class"] == other["class"]
        # A product of other blocks rounds otherwise: some units in the last place.
        assert list(other["probabilities"].values()) == pytest.approx(
            list(one["probabilities"].values()), rel=1e-13
        )


def json_lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_faulty_cell_late_in_a_table_is_named_by_its_line(run, model, write_table, monkeypatch):
    model[60][2] = "many"
    write_table("bad.csv", COLUMNS, model)
    monkeypatch.setattr(frames, "_BLOCK_BYTES", 1000)
    result = run("predict", "m.skops", "bad.csv", "--output", "p.csv")

    assert result.exit_code == 1
    assert "bad.csv: line 62, column 'age' is 'many', not a number" in result.stderr
    assert not Path("p.csv").exists()


def test_gaps_new_categories_and_other_columns_are_no_obstacle(run, model, write_table):
    rows = [["x", *row[:5]] for row in model]
    for row in rows:
        row[2], row[3], row[4] = "violet", "", ""
    write_table("new.csv", ["id", *COLUMNS[:5]], rows)
    result = run("predict", "m.skops", "new.csv")

    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert len(predictions(result.stdout)) == 80


def test_options_overrule_what_is_found(run_json, season):
    record = run_json(
        "fit", "train.csv", "--test", "0", "--drop", "note", "--as", "age=category", "--as",
        "day=drop", "--min-frequency", "2",
    )  # fmt: skip

    kinds = {column["name"]: column["kind"] for column in record["data"]["columns"]}
    assert kinds == {"day": "drop", "team": "category", "age": "category", "home": "boolean"}


def test_a_table_of_numbers_without_gaps_is_fitted_as_it_stands(run_json, flowers):
    X, names = flowers
    record = run_json("fit", "flowers.csv", "--test", "0", "--tol", "1e-9")

    assert record["data"]["columns"] == []
    peer = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=500).fit(X, names)
    minimum = log_loss(names, peer.predict_proba(X)) + np.sum(peer.coef_**2) / (2 * 150)
    assert record["certificate"]["objective"] == pytest.approx(minimum, rel=2e-9)


def test_a_pipeline_of_scikit_learn_that_was_fitted_to_a_frame_is_applied_without_warnings(
    run, flowers
):
    X, names = flowers
    columns = ["sepal length", "sepal width", "petal length", "petal width"]
    frame = pl.DataFrame(X, schema=columns)
    pipeline = make_pipeline(StandardScaler(), crossent.SoftmaxRegression()).fit(frame, names)
    crossent.save(pipeline, "p.skops")

    result = run("evaluate", "p.skops", "flowers.csv", "--json")

    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    found = json.loads(result.stdout)["evaluation"]["accuracy"]
    assert found == pytest.approx(pipeline.score(frame, names), rel=1e-12)
    assert run("predict", "p.skops", "flowers.csv").stderr == ""


def test_a_text_column_alone_is_enough(run_json, write_table):
    rng = np.random.default_rng(0)
    words = {"fruit": ["apple", "pear", "plum"], "tool": ["hammer", "saw", "drill"]}
    rows = [
        [" ".join(rng.choice(words[kind], 3)) + f" number {i} please", kind]
        for i, kind in enumerate(["fruit", "tool"] * 40)
    ]
    write_table("t.csv", ["question", "kind"], rows)

    assert run_json("fit", "t.csv")["test"]["accuracy"] == 1


# Votes


def votes(n=200):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    p = 1 / (1 + np.exp(-2 * x))
    counts = rng.binomial(10, p)
    return [[f"{x[i]:.4f}", 10 - counts[i], counts[i]] for i in range(n)]


def test_votes_are_fitted_as_distributions_and_the_floor_is_shown(run, run_json, write_table):
    rows = votes()
    write_table("v.csv", ["x", "no", "yes"], rows)
    record = run_json("fit", "v.csv", "--target-columns", "no,yes", "--test", "0", "--model", "m")

    y = np.array([[row[1], row[2]] for row in rows]) / 10
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = -np.nansum(np.where(y > 0, y * np.log(y), 0), axis=1).mean()
    train = record["train"]
    assert train["soft_targets"] is True
    assert train["target_entropy"] == pytest.approx(floor, rel=1e-12)
    assert train["divergence"] == pytest.approx(train["cross_entropy"] - floor, rel=1e-9)
    assert train["divergence"] > 0
    X = np.array([[float(row[0])] for row in rows])
    peer = crossent.SoftmaxRegression(classes=["no", "yes"]).fit(X, y)
    assert record["certificate"]["objective"] == pytest.approx(
        peer.certificate_.objective, rel=1e-6
    )
    text = run("fit", "v.csv", "--target-columns", "no,yes", "--test", "0").stdout
    assert "of the targets themselves" in text
    assert "KL divergence" in text


def test_votes_are_remembered_and_need_no_column_to_predict(run, run_json, write_table):
    write_table("v.csv", ["x", "no", "yes"], votes())
    run("fit", "v.csv", "--target-columns", "no,yes", "--test", "0", "--model", "m.skops")
    write_table("new.csv", ["x"], [[row[0]] for row in votes(5)])

    evaluation = run_json("evaluate", "m.skops", "v.csv")["evaluation"]
    assert evaluation["soft_targets"] is True
    assert list(predictions(run("predict", "m.skops", "new.csv").stdout)[0]) == [
        "class", "probability_no", "probability_yes",
    ]  # fmt: skip


def test_probabilities_are_as_good_as_counts(run_json, write_table):
    counted = votes()
    write_table("v.csv", ["x", "no", "yes"], counted)
    write_table("p.csv", ["x", "no", "yes"], [[x, a / 10, b / 10] for x, a, b in counted])
    arguments = ("--target-columns", "no,yes", "--test", "0")

    first = run_json("fit", "v.csv", *arguments)["certificate"]["objective"]
    second = run_json("fit", "p.csv", *arguments)["certificate"]["objective"]

    assert first == pytest.approx(second, rel=1e-12)


# The report


def test_the_report_lists_the_columns_and_shows_the_cells_of_surprising_rows(run, season):
    result = run("fit", "train.csv", "--test", "test.csv", "--report", "r.html")

    assert result.exit_code == 0, result.stderr
    page = Path("r.html").read_text("utf-8")
    assert "<h2>The columns</h2>" in page
    assert "TF-IDF of words and of characters" in page
    assert "was seen at gate" in page  # the text of a row
    assert "team = red" in page  # a weight by the words of the table


def test_the_report_of_votes_shows_the_floor(run, write_table):
    write_table("v.csv", ["x", "no", "yes"], votes())
    run("fit", "v.csv", "--target-columns", "no,yes", "--test", "0", "--report", "r.html")

    page = Path("r.html").read_text("utf-8")
    assert "entropy of the targets, H(y)" in page
    assert "KL(y ‖ p)" in page


def test_the_path_of_c_is_chosen_printed_and_reported(run, run_json, flowers):
    arguments = ("fit", "flowers.csv", "--Cs", "0.01,1,100", "--cv", "3", "--model", "m.skops")
    record = run_json(*arguments, "--report", "r.html")

    path = record["path"]
    assert path["Cs"] == [0.01, 1, 100]
    assert path["C"] == path["Cs"][int(np.argmax(path["mean_scores"]))]
    assert path["largest_relative_gap"] < 1e-6
    assert "How strong a penalty?" in Path("r.html").read_text("utf-8")
    assert "chosen" in run(*arguments).stdout
    assert run("evaluate", "m.skops", "flowers.csv").exit_code == 0
