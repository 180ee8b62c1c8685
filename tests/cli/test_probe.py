import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.model_selection import StratifiedKFold
from tests.cli.test_bad_input import assert_one_error

from crossent import SoftmaxRegressionCV, load


@pytest.fixture
def embeddings():
    """Arrays of three clusters, in several files; gives X, y and test rows."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 8))
    y = rng.integers(0, 3, 240)
    X = (centres[y] + rng.normal(size=(240, 8))).astype(np.float32)
    np.save("x.npy", X[:180])
    np.save("y.npy", y[:180])
    np.save("t.npy", X[180:])
    np.save("ty.npy", y[180:])
    np.savez("all.npz", X=X, y=y)
    save_file({"X": X, "y": y}, "all.safetensors")
    return X, y


TESTED = ("probe", "x.npy", "--labels", "y.npy", "--test", "t.npy", "--test-labels", "ty.npy")


def test_a_probe_is_the_cross_validated_model_of_the_same_arrays(run_json, embeddings):
    X, y = embeddings
    record = run_json(*TESTED, "--Cs", "0.01,0.1,1,10", "--model", "p.skops")

    folds = StratifiedKFold(5, shuffle=True, random_state=0)  # picked as test rows are
    peer = SoftmaxRegressionCV(Cs=[0.01, 0.1, 1, 10], cv=folds).fit(X[:180], y[:180])
    assert record["path"]["C"] == peer.C_
    np.testing.assert_allclose(record["path"]["mean_scores"], peer.mean_scores_, rtol=1e-5)
    assert record["test"]["accuracy"] == pytest.approx(peer.score(X[180:], y[180:]), rel=1e-12)
    assert record["train"]["n_rows"] == 180
    assert load("p.skops").C_ == peer.C_


def test_the_report_has_the_path(run, embeddings):
    result = run(*TESTED, "--Cs", "3", "--report", "r.html")

    assert result.exit_code == 0, result.stderr
    page = Path("r.html").read_text("utf-8")
    assert "How strong a penalty?" in page
    assert "was chosen" in page
    assert "held-out cross-entropy" in result.stdout


@pytest.mark.parametrize("file", ["all.npz", "all.safetensors"])
def test_rows_and_labels_may_share_a_file_and_a_quarter_is_held_out(run_json, embeddings, file):
    record = run_json("probe", file, "--Cs", "0.1,1", "--rule", "1se")

    assert record["train"]["n_rows"] + record["test"]["n_rows"] == 240
    assert record["data"]["test"]["kind"] == "fraction"


def test_one_value_of_c_walks_no_path(run_json, embeddings):
    record = run_json(*TESTED, "--Cs", "0.5,")

    assert "path" not in record
    assert record["certificate"]["converged"]


def test_a_saved_probe_predicts_another_array(run, embeddings):
    X, _ = embeddings
    run(*TESTED, "--Cs", "0.1,1", "--model", "p.skops", "-q")
    lines = run("predict", "p.skops", "t.npy", "--json").stdout.splitlines()

    model = load("p.skops")
    expected = model.predict(X[180:]).tolist()
    assert [json.loads(line)["class"] for line in lines] == expected


def test_arrays_that_do_not_fit_are_refused(run, embeddings):
    np.save("wide.npy", np.zeros((60, 9), dtype=np.float32))
    np.save("nan.npy", np.full((180, 8), np.nan, dtype=np.float32))

    assert_one_error(run("probe", "x.npy", "--labels", "ty.npy"), "180 rows", "60 labels")
    assert_one_error(run("probe", "x.npy"), "has an array of shape (180, 8)", "1 axes")
    assert_one_error(run("probe", "gone.npy"), "gone.npy")
    assert_one_error(run("probe", "nan.npy", "--labels", "y.npy"), "NaN", "row 0")
    assert_one_error(
        run("probe", "x.npy", "--labels", "y.npy", "--test", "wide.npy", "--test-labels",
            "ty.npy"), "9", "8",
    )  # fmt: skip
    assert_one_error(run(*TESTED, "--Cs", "no"), "--Cs no")
    assert_one_error(run(*TESTED, "--rule", "max"), "--rule max")
    assert_one_error(run("fit", "x.npy"), "crossent probe x.npy")


def test_a_class_that_only_test_rows_have_is_found_before_the_fit(run, embeddings):
    np.save("ty.npy", np.full(60, 9))

    assert_one_error(run(*TESTED), "t.npy: row 0 has class 9")
