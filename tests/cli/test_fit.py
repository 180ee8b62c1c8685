import json
import math
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss

import crossent
from crossent.linear_model import RangeWarning


def test_the_fit_is_certified_to_the_tolerance_asked_for(run_json):
    certificate = run_json("fit", "iris", "--tol", "1e-8")["certificate"]

    assert certificate["status"] == "converged"
    assert certificate["converged"] is True
    assert 0 < certificate["relative_gap"] <= 1e-8
    assert certificate["passes"] > 1
    assert len(certificate["in_words"]) >= 3


def test_the_objective_is_the_one_that_scikit_learn_minimises(run_json):
    X, y = load_iris(return_X_y=True)
    C = 0.5
    found = run_json("fit", "iris", "--test", "0", "--C", C, "--tol", "1e-9")["certificate"]

    peer = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=500).fit(X, y)
    loss = log_loss(y, peer.predict_proba(X))
    minimum = loss + np.sum(peer.coef_**2) / (2 * C * len(y))
    # Ours is certified to 1e-9 of the minimum, the peer's is above it by less than that.
    assert found["objective"] == pytest.approx(minimum, rel=2e-9)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--no-intercept"], {"fit_intercept": False}),
        (["--class-weight", "balanced"], {"class_weight": "balanced"}),
        (["-C", "inf"], {"C": math.inf}),
        (["--max-iter", "77", "--threads", "1"], {"max_iter": 77, "n_threads": 1}),
        (["--tol", "1e-5", "--seed", "3"], {"tol": 1e-5, "random_state": 3}),
    ],
)
def test_options_reach_the_estimator(run, options, settings):
    run("fit", "iris", "--model", "m.skops", "--quiet", *options)

    parameters = crossent.load("m.skops").get_params()
    assert {name: parameters[name] for name in settings} == settings


def test_without_a_test_set_a_quarter_of_each_class_is_held_out_and_said_so(run, run_json):
    record = run_json("fit", "iris")

    # 12.5 of each class's 50 rows: 12, because Python rounds halves to even numbers.
    assert record["test"]["n_rows"] == 36
    assert record["train"]["n_rows"] == 114
    assert record["data"]["test"]["kind"] == "fraction"
    assert "0.25 of each class, seed 0" in run("fit", "iris").stdout


def test_the_seed_decides_which_rows_are_held_out(run_json):
    first, again, other = (
        run_json("fit", "iris", "--seed", seed)["test"]["cross_entropy"] for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def test_scores_are_those_of_the_saved_model_on_the_given_test_file(run_json, write_table):
    X, y = load_digits(return_X_y=True)
    names = np.array([f"digit {label}" for label in y])
    columns = [f"pixel {j}" for j in range(64)]
    for path, rows in (("train.csv", slice(0, 1000)), ("test.csv", slice(1000, None))):
        table = [[*x, name] for x, name in zip(X[rows].tolist(), names[rows], strict=True)]
        write_table(path, [*columns, "name"], table)

    record = run_json(
        "fit", "train.csv", "--target", "name", "--test", "test.csv", "--model", "m.skops"
    )

    model = crossent.load("m.skops")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RangeWarning)  # a few pixels are darker than ever before
        p = model.predict_proba(X[1000:])
    test = record["test"]
    nats = log_loss(names[1000:], p)
    assert test["n_rows"] == 797
    # Sums of 797 terms in another order: a few hundred roundings of 1e-16.
    assert test["cross_entropy"] == pytest.approx(nats, rel=1e-12)
    assert test["cross_entropy_bits"] == pytest.approx(nats / math.log(2), rel=1e-12)
    predicted = model.classes_[p.argmax(axis=1)]
    assert test["accuracy"] == pytest.approx(accuracy_score(names[1000:], predicted), rel=1e-12)
    assert test["uniform_baseline"] == pytest.approx(math.log(10), rel=1e-15)
    shares = np.array([np.mean(names[:1000] == name) for name in model.classes_])
    known = log_loss(names[1000:], np.tile(shares, (797, 1)))
    assert test["frequency_baseline"] == pytest.approx(known, rel=1e-12)
    assert record["train"]["cross_entropy"] < test["cross_entropy"] < known


def test_a_test_file_with_its_columns_in_another_order_gives_the_same_scores(
    run_json, flowers, write_table
):
    X, names = flowers
    columns = ["species", "petal width", "petal length", "sepal width", "sepal length"]
    shuffled = [[name, *x[::-1]] for x, name in zip(X.tolist(), names, strict=True)]
    write_table("other.csv", columns, shuffled)

    options = ("fit", "flowers.csv", "--target", "species", "--test")
    assert run_json(*options, "other.csv")["test"] == run_json(*options, "flowers.csv")["test"]


def test_the_summary_goes_to_stdout_and_names_what_was_written(run):
    result = run("fit", "iris", "--model", "m.skops", "--report", "r.html")

    assert result.exit_code == 0, result.stderr
    for text in ("certified", "It is proven", "cross-entropy, nats", "cross-entropy, bits"):
        assert text in result.stdout
    assert "of knowing nothing, nats" in result.stdout
    assert "95 % interval" in result.stdout
    assert "m.skops" in result.stdout
    assert "r.html" in result.stdout
    assert Path("r.html").read_text("utf-8").lstrip().lower().startswith("<!doctype html>")
    assert crossent.load("m.skops").certificate_.converged


def test_the_summary_shows_the_numbers_of_the_json_object(run, run_json):
    rows = {line[:40].strip(): line[40:].split() for line in run("fit", "wine").stdout.splitlines()}
    record = run_json("fit", "wine")

    for name, row in (
        ("cross_entropy", "cross-entropy, nats"),
        ("cross_entropy_bits", "cross-entropy, bits"),
        ("frequency_baseline", "of the class frequencies, nats"),
        ("uniform_baseline", "of knowing nothing, nats"),
    ):
        assert rows[row] == [f"{record[part][name]:.4f}" for part in ("train", "test")]
    accuracies = [100 * record[part]["accuracy"] for part in ("train", "test")]
    assert rows["accuracy"] == f"{accuracies[0]:.2f} % {accuracies[1]:.2f} %".split()


def test_the_report_is_of_the_same_rows_and_says_where_they_are_from(run, monkeypatch):
    given = {}
    monkeypatch.setattr(
        "crossent.cli.fitting.write_report",
        lambda path, model, **rest: given.update(rest, path=path, model=model),
    )
    assert run("fit", "iris", "--report", "r.html").exit_code == 0

    assert given["path"] == Path("r.html")
    assert given["model"].certificate_.converged
    assert [len(part) for part in given["train"]] == [114, 114]
    assert [len(part) for part in given["test"]] == [36, 36]
    assert given["details"].test_rows.startswith("36 rows held out")
    assert given["details"].class_names == ("setosa", "versicolor", "virginica")


def test_json_is_one_line_and_quiet_leaves_stderr_empty(run):
    result = run("fit", "iris", "--json", "--quiet")

    assert result.stdout.count("\n") == 1
    assert json.loads(result.stdout)["model"] is None
    assert result.stderr == ""


def test_a_fit_that_runs_out_of_passes_is_saved_and_exits_with_3(run):
    result = run("fit", "wine", "--max-iter", "2", "--model", "m.skops", "--json")

    assert result.exit_code == 3
    assert json.loads(result.stdout)["certificate"]["status"] == "max_passes"
    assert "warning: " in result.stderr
    assert not crossent.load("m.skops").certificate_.converged


INTERRUPTED = """
import signal, sys
from crossent.cli import interrupt, main

presses = [signal.SIGINT] * int(sys.argv.pop(1))
original = interrupt.PassWatcher.on_fit_task_end


def with_ctrl_c(watcher, estimator, context):
    if len(estimator.trace_) == 2:
        while presses:
            signal.raise_signal(presses.pop())
    return original(watcher, estimator, context)


interrupt.PassWatcher.on_fit_task_end = with_ctrl_c
main()
"""


def fit_with_ctrl_c(presses):
    """Fit in a new process that gets SIGINT during its second pass."""
    options = ["fit", "digits", "--model", "m.skops", "--json"]
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(presses), *options],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_ctrl_c_ends_the_fit_after_the_pass_and_keeps_the_model_marked_as_not_converged():
    done = fit_with_ctrl_c(presses=1)

    assert done.returncode == 130, done.stderr
    record = json.loads(done.stdout)
    assert record["certificate"]["status"] == "interrupted"
    assert record["certificate"]["converged"] is False
    assert record["certificate"]["passes"] <= 6  # the certificate takes up to four
    assert "stopping after this pass" in done.stderr
    assert "Traceback" not in done.stderr

    model = crossent.load("m.skops")
    assert model.certificate_.status is crossent.Status.INTERRUPTED
    digits = crossent.datasets.load("digits")
    # Two passes are no optimum, but a model that knows nothing is right one time in ten.
    assert np.mean(model.predict(digits.X_train) == digits.y_train) > 0.5


def test_a_second_ctrl_c_aborts_and_leaves_no_file():
    done = fit_with_ctrl_c(presses=2)

    assert done.returncode == 130
    assert done.stdout == ""
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(Path().iterdir()) == []
