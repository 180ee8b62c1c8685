"""Calibration, wrong labels, the learning curve and intervals on the command line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import crossent
from crossent.calibration import Calibrated


@pytest.fixture
def votes(write_table):
    """Rows of three overlapping classes, of which row 3 has a wrong label."""
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    X = np.array([[0, 0], [3, 0], [0, 3]])[y] + rng.normal(size=(240, 2))
    names = np.array(["a", "b", "c"])[y]
    X[3], names[3] = (4, -2), "c"
    rows = [[*x, name] for x, name in zip(X.round(6).tolist(), names, strict=True)]
    write_table("votes.csv", ["u", "v", "class"], rows)
    return "votes.csv"


def test_a_calibrated_fit_is_saved_evaluated_and_reported(run_json, votes):
    found = run_json(
        "fit", votes, "--model", "m.skops", "--report", "r.html", "--calibrate", "vector"
    )

    model = crossent.load("m.skops")
    assert isinstance(model, Calibrated)
    assert found["calibration"]["method"] == "vector"
    assert found["calibration"]["temperature"] == pytest.approx(
        model.calibrator_.temperature.temperature
    )
    assert found["calibration"]["log_loss_after"] <= found["calibration"]["log_loss_before"]
    assert found["certificate"]["converged"]
    page = Path("r.html").read_text("utf-8")
    assert "Calibrated SoftmaxRegression" in page
    again = run_json("evaluate", "m.skops", votes)
    assert 0 < again["calibration_errors"]["expected"] < 0.2
    assert again["certificate"]["converged"]


def test_predictions_of_a_calibrated_model_are_the_calibrated_ones(run, votes):
    run("fit", votes, "--model", "m.skops", "--calibrate", "temperature", "--test", "0")

    lines = run("predict", "m.skops", votes, "--json").stdout.splitlines()

    first_row = Path(votes).read_text("utf-8").splitlines()[1].split(",")[:2]
    expected = crossent.load("m.skops").predict_proba([list(map(float, first_row))])[0]
    first = json.loads(lines[0])["probabilities"]
    assert list(first.values()) == pytest.approx(expected, rel=1e-12)


def test_wrong_labels_are_printed_and_reported(run, run_json, votes):
    result = run("fit", votes, "--test", "0", "--label-errors", "--report", "r.html")

    assert result.exit_code == 0
    assert re.search(
        r"Suspicious labels of training rows.*\n  row 3: c, looks like b", result.stdout
    )
    assert "Suspicious labels" in Path("r.html").read_text("utf-8")
    record = run_json("fit", votes, "--test", "0", "--label-errors")
    assert record["suspicious_labels"][0]["row"] == 3


def test_what_was_not_found_is_not_printed_as_numbers(run, write_table):
    rows = [[x, "a" if x < 0 else "b"] for x in (-3, -2, -1.5, -1, 1, 1.5, 2, 3) for _ in range(5)]
    write_table("easy.csv", ["x", "class"], rows)
    asked = ("--test", "0", "--label-errors", "--calibrate", "temperature")
    result = run("fit", "easy.csv", *asked)

    assert "Suspicious labels of training rows: none." in result.stdout
    # Every row is right, so that no best temperature exists, and no interval of it.
    assert "temperature 1; cross-entropy there" in result.stdout
    assert "nan" not in result.stdout


def test_the_learning_curve_and_intervals_stand_in_the_report(run, votes):
    result = run(
        "fit", votes, "--C", "inf", "--learning-curve", "--intervals", "--report", "r.html"
    )

    assert result.exit_code == 0, result.stderr
    page = Path("r.html").read_text("utf-8")
    assert "Would more rows help?" in page
    assert "How sure the coefficients are" in page
    assert "inverse of the exact Hessian" in page
    penalised = run("fit", votes, "--intervals", "--report", "s.html")
    assert penalised.exit_code == 0
    assert "penalised likelihood" in Path("s.html").read_text("utf-8")


def test_a_saved_model_is_calibrated_on_other_rows(run, run_json, votes):
    run("fit", votes, "--model", "m.skops", "--C", "100", "--test", "0")

    found = run_json("calibrate", "m.skops", votes, "--model", "n.skops", "--method", "matrix")
    text = run("calibrate", "n.skops", votes, "--model", "o.skops").stdout

    assert found["calibration"]["method"] == "matrix"
    assert isinstance(crossent.load("n.skops"), Calibrated)
    assert "Calibrated on these rows: temperature" in text
    assert not isinstance(crossent.load("o.skops").estimator_, Calibrated)


def test_what_cannot_be_done_is_said_before_the_fit(run, votes):
    for options, words in (
        (["--calibrate", "platt"], "--calibrate platt: choose one of temperature"),
        (["--learning-curve"], "give --report"),
        (["--intervals"], "give --report"),
        (["--learning-curve", "--report", "r.html", "--test", "0"], "needs rows to test with"),
    ):
        result = run("fit", votes, *options)
        assert result.exit_code == 1
        assert words in result.stderr
    assert not Path("r.html").exists()


def test_separable_classes_get_no_intervals_and_the_rest_of_the_report(run, write_table):
    rows = [[k, "low" if k < 10 else "high"] for k in range(20)]
    write_table("split.csv", ["x", "class"], rows)

    result = run(
        "fit", "split.csv", "--C", "inf", "--test", "0", "--intervals", "--report", "r.html"
    )

    assert "no intervals of the coefficients: Planes separate" in result.stderr
    assert Path("r.html").exists()


def test_a_calibrated_model_is_exported_with_the_calibration_in_its_weights(run, votes):
    safetensors = pytest.importorskip("safetensors.numpy")
    run("fit", votes, "--model", "m.skops", "--calibrate", "vector", "--test", "0")

    result = run("export", "m.skops", "m.safetensors")

    assert result.exit_code == 0, result.stderr
    folded = crossent.load("m.skops").folded()
    tensors = safetensors.load_file("m.safetensors")
    assert any(
        tensor.shape == folded.coef_.shape and np.allclose(tensor, folded.coef_, rtol=1e-12)
        for tensor in tensors.values()
    )
