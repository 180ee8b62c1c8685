"""Rows are called by their place in the user's file, and folds are picked at random."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import crossent

WRONG = 200  # the row with a wrong label


@pytest.fixture
def votes(write_table):
    """Rows of two classes, of which one has a wrong label, and every seventh none."""
    rng = np.random.default_rng(0)
    y = np.arange(240) % 2
    x = 4 * y + rng.normal(size=240)
    names = np.array(["a", "b"])[y].astype(object)
    x[WRONG], names[WRONG] = 9, "a"
    rows = [[round(float(value), 6), name] for value, name in zip(x, names, strict=True)]
    write_table("whole.csv", ["x", "class"], rows)
    gaps = [[value, "" if k % 7 == 0 else name] for k, (value, name) in enumerate(rows)]
    write_table("gaps.csv", ["x", "class"], gaps)
    return x


@pytest.mark.parametrize(
    "asked", [("whole.csv", "--test", "0.1"), ("gaps.csv", "--drop-unlabelled", "--test", "0")]
)
def test_a_suspicious_row_is_called_by_its_number_in_the_file(run, run_json, votes, asked):
    options = (*asked, "--label-errors")
    record = run_json("fit", *options)
    result = run("fit", *options, "--report", "r.html")

    assert record["suspicious_labels"][0]["row"] == WRONG
    assert f"row {WRONG}: a, looks like b" in result.stdout
    page = Path("r.html").read_text("utf-8")
    assert f'<td class="number">{WRONG}</td><td><bdi>a</bdi>' in page
    assert "as they stand in the data" in page


def test_a_surprising_test_row_is_called_by_its_number_in_its_own_file(run, votes):
    run(
        "fit", "whole.csv", "--test", "gaps.csv", "--drop-unlabelled", "--report", "r.html"
    )  # fmt: skip

    page = Path("r.html").read_text("utf-8")
    surprising = page[page.index("The most surprising rows") :]
    assert f'<tbody><tr><td class="number">{WRONG}</td>' in surprising


def test_a_class_that_only_test_rows_have_is_named_with_its_row_in_the_file(run, votes):
    text = Path("gaps.csv").read_text("utf-8").splitlines()
    text[30] = "1.5,z"  # the header is line 0
    Path("gaps.csv").write_text("\n".join(text), "utf-8")

    result = run("fit", "whole.csv", "--test", "gaps.csv", "--drop-unlabelled")

    assert result.exit_code == 1
    assert "row 29 has class 'z'" in result.stderr


def test_suspicious_images_are_called_by_their_files(run, run_json):
    rng = np.random.default_rng(0)
    for k in range(60):
        shade = (40 if k % 2 else 200) + rng.integers(-20, 20, (4, 4))
        name = "dark" if k % 2 else "light"
        Path(f"shades/{name}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(shade.astype(np.uint8)).save(f"shades/{name}/{k:02}.png")
    Path("shades/dark/31.png").rename("shades/light/31.png")

    found = run_json("fit", "shades", "--label-errors")["suspicious_labels"]
    result = run("fit", "shades", "--label-errors", "--report", "r.html")

    assert found[0]["file"] == "light/31.png"
    assert "  light/31.png: light, looks like dark" in result.stdout
    assert "<bdi>light/31.png</bdi>" in Path("r.html").read_text("utf-8")


def test_a_sorted_file_is_calibrated_as_a_shuffled_one(run_json, write_table):
    # The label's dependence on x turns around half-way: a fold of neighbouring rows is unlike the
    # others, and a model of those would be found to be far too sure of itself.
    rng = np.random.default_rng(1)
    n = 1200
    x = rng.normal(size=n)
    slope = np.where(np.arange(n) < n // 2, 3.0, -1.0)
    y = rng.random(n) < 1 / (1 + np.exp(-slope * x))
    rows = [[round(float(v), 6), "yes" if label else "no"] for v, label in zip(x, y, strict=True)]
    write_table("sorted.csv", ["x", "class"], rows)
    write_table("shuffled.csv", ["x", "class"], [rows[k] for k in rng.permutation(n)])
    asked = ("--calibrate", "temperature", "--test", "0")

    one, other = (run_json("fit", f, *asked)["calibration"] for f in ("sorted.csv", "shuffled.csv"))

    # Two sets of random folds differ by far less than the standard error; sorted folds give 1.5.
    low, high = other["temperature_interval"]
    assert low < one["temperature"] < high
    assert one["log_loss_before"] == pytest.approx(other["log_loss_before"], abs=2e-3)


def test_a_path_of_c_can_be_calibrated_reported_saved_and_exported(run, run_json, votes):
    asked = ("--calibrate", "temperature", "--Cs", "0.001,1", "--cv", "3", "--seed", "7")
    record = run_json("fit", "whole.csv", *asked, "--model", "m.skops", "--report", "r.html")
    printed = run("fit", "whole.csv", *asked).stdout
    run("export", "m.skops", "m.safetensors")

    assert record["path"]["C"] == 1
    assert record["calibration"]["temperature"] > 0
    assert "chosen" in printed
    assert "How strong a penalty?" in Path("r.html").read_text("utf-8")
    model = crossent.load("m.skops")
    assert (model.cv.n_splits, model.cv.shuffle, model.cv.random_state) == (5, True, 7)
    assert (model.estimator_.cv.n_splits, model.estimator_.cv.random_state) == (3, 7)
    coef = load_file("m.safetensors")["coef"]
    np.testing.assert_allclose(coef[1] - coef[0], model.folded().coef_[0], rtol=1e-12)
