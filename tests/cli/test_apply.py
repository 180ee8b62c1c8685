import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

import crossent


def test_evaluate_agrees_with_what_fit_said_of_the_same_rows(run_json, flowers):
    fitted = run_json("fit", "flowers.csv", "--test", "flowers.csv", "--model", "m.skops")
    found = run_json("evaluate", "m.skops", "flowers.csv")["evaluation"]

    assert found["n_rows"] == 150
    for name in ("cross_entropy", "accuracy", "accuracy_interval", "uniform_baseline"):
        assert found[name] == fitted["test"][name]


def test_evaluate_agrees_with_scikit_learn(run_json, flower_model):
    X, names = flower_model
    found = run_json("evaluate", "flowers.skops", "flowers.csv")["evaluation"]

    model = crossent.load("flowers.skops")
    # Sums of 150 terms in another order.
    assert found["cross_entropy"] == pytest.approx(
        log_loss(names, model.predict_proba(X)), rel=1e-12
    )
    assert found["accuracy"] == pytest.approx(accuracy_score(names, model.predict(X)), rel=1e-12)


def test_evaluate_prints_a_table_and_says_which_rows(run, flower_model):
    text = run("evaluate", "flowers.skops", "flowers.csv").stdout

    assert "150 rows of flowers" in text
    assert "cross-entropy, bits" in text


def read_predictions(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_predict_writes_class_probabilities_and_surprisal_of_each_row(run, flower_model):
    X, names = flower_model
    rows = read_predictions(run("predict", "flowers.skops", "flowers.csv").stdout)

    model = crossent.load("flowers.skops")
    p = np.array([[float(row[f"probability_{name}"]) for name in model.classes_] for row in rows])
    assert [row["class"] for row in rows] == model.predict(X).tolist()
    assert [row["target"] for row in rows] == names.tolist()
    # exp of the log-probabilities: two roundings, and decimals that lose nothing.
    np.testing.assert_allclose(p, model.predict_proba(X), rtol=1e-14)
    right = p[np.arange(150), np.searchsorted(model.classes_, names)]
    surprisal = np.array([float(row["surprisal"]) for row in rows])
    # −log p from a rounded p: an absolute error of one rounding, 1.1e-16, and then some.
    np.testing.assert_allclose(surprisal, -np.log(right), rtol=1e-14, atol=1e-15)


def test_json_lines_hold_the_same_as_the_table(run, flower_model):
    table = read_predictions(run("predict", "flowers.skops", "flowers.csv").stdout)
    lines = run("predict", "flowers.skops", "flowers.csv", "--json").stdout.splitlines()

    assert len(lines) == len(table) == 150
    for line, row in zip(map(json.loads, lines), table, strict=True):
        assert line["class"] == row["class"]
        assert line["target"] == row["target"]
        assert line["surprisal"] == float(row["surprisal"])
        for name, p in line["probabilities"].items():
            assert p == float(row[f"probability_{name}"])


def test_a_table_without_classes_is_predicted_without_surprisal(run, flower_model, write_table):
    X, _ = flower_model
    columns = ["sepal length", "sepal width", "petal length", "petal width"]
    write_table("new.csv", columns, X.tolist())
    rows = read_predictions(run("predict", "flowers.skops", "new.csv").stdout)

    assert [row["class"] for row in rows] == crossent.load("flowers.skops").predict(X).tolist()
    assert "surprisal" not in rows[0]
    assert "target" not in rows[0]


def test_columns_are_found_by_their_names_in_whatever_order(run, flower_model, write_table):
    X, _ = flower_model
    columns = ["petal width", "petal length", "sepal width", "sepal length"]
    write_table("new.csv", columns, X[:, ::-1].tolist())
    rows = read_predictions(run("predict", "flowers.skops", "new.csv").stdout)

    assert [row["class"] for row in rows] == crossent.load("flowers.skops").predict(X).tolist()


def test_rows_far_from_the_training_data_are_warned_of_on_stderr(run, flower_model, write_table):
    columns = ["sepal length", "sepal width", "petal length", "petal width"]
    write_table("new.csv", columns, [[5.0, 3.0, 1.5, 0.2], [5000, 3.0, 1.5, 0.2]])
    result = run("predict", "flowers.skops", "new.csv")

    assert result.exit_code == 0
    assert len(read_predictions(result.stdout)) == 2
    warning = next(line for line in result.stderr.splitlines() if line.startswith("warning: "))
    assert "50" in warning
    assert "'sepal length'" in warning


def test_output_goes_to_the_file_and_leaves_stdout_empty(run, flower_model):
    printed = run("predict", "flowers.skops", "flowers.csv").stdout
    result = run("predict", "flowers.skops", "flowers.csv", "--output", "classes.csv")

    assert result.stdout == ""
    assert Path("classes.csv").read_text("utf-8") == printed
    assert "classes.csv" in result.stderr
    again = run("predict", "flowers.skops", "flowers.csv", "--output", "classes.csv", "--quiet")
    assert again.stderr == ""


def test_a_named_data_set_without_test_rows_is_taken_whole(run, run_json):
    run("fit", "iris", "--model", "m.skops", "--quiet")
    record = run_json("evaluate", "m.skops", "iris")

    assert record["evaluation"]["n_rows"] == 150
    assert record["rows"] == "150 rows of iris"


def test_images_with_a_test_pair_are_tested_on_it(run_json):
    rng = np.random.default_rng(0)
    for part, n in (("train", 60), ("t10k", 20)):
        labels = np.arange(n, dtype=np.uint8) % 3
        images = rng.integers(0, 30, (n, 2, 3), dtype=np.uint8)
        images[np.arange(n), 0, labels] = 255
        header = b"\0\0\x08\x03" + np.array([n, 2, 3], ">i4").tobytes()
        Path(f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = b"\0\0\x08\x01" + np.array([n], ">i4").tobytes()
        Path(f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())

    fitted = run_json("fit", "train-images-idx3-ubyte", "--model", "m.skops")
    evaluated = run_json("evaluate", "m.skops", "train-images-idx3-ubyte")
    everything = run_json("evaluate", "m.skops", "train-images-idx3-ubyte", "--part", "all")

    assert fitted["data"]["test"]["kind"] == "given"
    assert fitted["train"]["n_rows"] == 60
    assert fitted["test"]["n_rows"] == evaluated["evaluation"]["n_rows"] == 20
    assert fitted["test"]["cross_entropy"] == evaluated["evaluation"]["cross_entropy"]
    assert fitted["test"]["accuracy"] == 1.0  # the brightest pixel is the class
    assert everything["evaluation"]["n_rows"] == 80


def test_a_row_whose_class_the_model_does_not_know_is_predicted_without_surprisal(run, flowers):
    run("fit", "flowers.csv", "--test", "0", "--model", "m.skops")
    rows = Path("flowers.csv").read_text().splitlines()
    strange = rows[1].rsplit(",", 1)[0] + ",rosa canina"
    Path("new.csv").write_text("\n".join([rows[0], rows[1], strange]) + "\n")

    result = run("predict", "m.skops", "new.csv")

    assert result.exit_code == 0
    known, unknown = csv.DictReader(io.StringIO(result.stdout))
    assert float(known["surprisal"]) > 0
    assert unknown["surprisal"] == ""
    assert unknown["target"] == "rosa canina"
    assert unknown["class"] == known["class"]
    assert "1 of 2 rows have a class" in " ".join(result.stderr.split())


def test_true_and_false_in_a_table_are_the_classes_of_a_model_of_booleans(run, flowers):
    rows = [line.split(",") for line in Path("flowers.csv").read_text().splitlines()]
    first = rows[1][-1]
    table = [rows[0], *([*row[:-1], str(row[-1] == first)] for row in rows[1:])]
    Path("bool.csv").write_text("\n".join(",".join(row) for row in table) + "\n")
    X = np.array([row[:-1] for row in rows[1:]], dtype=float)
    model = crossent.SoftmaxRegression().fit(X, np.array([row[-1] == first for row in rows[1:]]))
    crossent.save(model, "m.skops")

    result = run("evaluate", "m.skops", "bool.csv", "--json")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["evaluation"]["accuracy"] == 1
