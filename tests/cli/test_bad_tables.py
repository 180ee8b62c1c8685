"""Tables, images and votes that cannot be used: one line that names the place and the remedy."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_bad_input import assert_one_error

GOOD = [["red", 1.5, "a"], ["blue", 2.5, "b"]] * 10


@pytest.fixture
def mixed(write_table):
    """``t.csv`` with a category, a number and the class."""
    write_table("t.csv", ["colour", "size", "kind"], GOOD)


def lines(*extra):
    text = "colour,size,kind\n" + "".join(f"{c},{s},{k}\n" for c, s, k in GOOD)
    return text + "".join(line + "\n" for line in extra)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (lines("red,1"), ["t.csv: line 22 has 2 cells", "the header has 3"]),
        (lines("red,1,a,b"), ["t.csv: line 22 has 4 cells"]),
        (lines('red,1,"a'), ["t.csv: line 22", "not valid CSV", "quotes"]),
        (lines("rot,1,ä").encode("latin-1"), ["line 22 is not UTF-8", "0xe4", "CSV UTF-8"]),
        (lines().encode("utf-16"), ["line 1 is not UTF-8", "UTF-16"]),
        ("a,b,a\n1,2,3\n", ["columns 1 and 3 are both called 'a'"]),
        (lines("red,big,a"), ["line 22, column 'size' is 'big'", "20 of the column's 21 cells",
                              "--as size=category"]),
        (lines("red,inf,a"), ["line 22, column 'size' is 'inf', infinite"]),
        (lines("red,2,"), ["line 22, column 'kind' (the class) is empty", "1 of 21 rows",
                           "--drop-unlabelled"]),
        (lines("red,2,nan", "red,2,"), ["line 22", "'nan'", "2 of 22 rows"]),
        ("kind\na\nb\n", ["no column beside the class"]),
        ("when,kind\n" + "2024-02-30,a\n2024-01-01,b\n" * 9, ["line 2, column 'when'",
                                                              "not a date of the calendar"]),
    ],
)  # fmt: skip
def test_a_faulty_table_is_refused_with_its_line(run, text, words):
    Path("t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    result = run("fit", "t.csv", "--model", "m.skops")

    assert_one_error(result, *words)
    assert not Path("m.skops").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--as", "color=text"], ["no column 'color'", "did you mean 'colour'"]),
        (["--as", "colour=words"], ["'words'", "category"]),
        (["--as", "colour"], ["--as 'colour'", "COLUMN=KIND"]),
        (["--as", "colour=number"], ["line 2, column 'colour' is 'red', not a number"]),
        (["--as", "size=boolean"], ["line 2, column 'size' is '1.5', neither true nor false"]),
        (["--drop", "sise"], ["no column 'sise'", "did you mean 'size'"]),
        (["--drop", "kind"], ["'kind' is the class"]),
        (["--drop", "size", "--drop", "colour"], ["no column beside the class"]),
        (["--target-columns", "size"], ["at least two columns"]),
        (["--target-columns", "size,colour", "--target", "kind"], ["exclude each other"]),
        (["--target-columns", "size,sizes"], ["no column 'sizes'"]),
        (["--Cs", "many"], ["--Cs many"]),
        (["--Cs", "0,1"], ["Cs[0] is 0.0"]),
    ],
)
def test_options_that_do_not_fit_the_table_are_refused(run, mixed, options, words):
    assert_one_error(run("fit", "t.csv", *options), *words)


def test_rows_without_a_class_are_left_out_on_demand_and_counted(run, run_json):
    Path("t.csv").write_text(lines("red,2,", "blue,3,"))
    record = run_json("fit", "t.csv", "--drop-unlabelled", "--test", "0", "--model", "m.skops")

    assert record["train"]["n_rows"] == 20
    assert record["data"]["remarks"] == ["2 rows without a class were left out."]
    assert_one_error(run("evaluate", "m.skops", "t.csv"), "line 22", "2 of 22 rows")
    found = run_json("evaluate", "m.skops", "t.csv", "--drop-unlabelled")
    assert found["evaluation"]["n_rows"] == 20
    assert "(2 without a class were left out)" in found["rows"]


def test_the_rows_that_stay_keep_their_own_classes(run_json):
    text = lines()
    header, rest = text.split("\n", 1)
    Path("gap.csv").write_text(f"{header}\nred,9,\n{rest}")
    Path("t.csv").write_text(text)

    dropped = run_json("fit", "gap.csv", "--drop-unlabelled", "--test", "0")["certificate"]

    expected = run_json("fit", "t.csv", "--test", "0")["certificate"]["objective"]
    assert dropped["objective"] == pytest.approx(expected, rel=1e-6)  # both within the tolerance


def test_predict_leaves_the_surprisal_of_rows_without_a_class_empty(run, mixed):
    run("fit", "t.csv", "--test", "0", "--model", "m.skops", "-q")
    Path("new.csv").write_text("colour,size,kind\nred,1,\nblue,2,b\n")
    result = run("predict", "m.skops", "new.csv")

    rows = [line.split(",") for line in result.stdout.splitlines()]
    assert rows[1][1:3] == ["", ""]
    assert float(rows[2][2]) > 0
    assert "1 of 2 rows have a class that the model does not know" in result.stderr


VOTES = "x,no,yes\n" + "1,2,3\n2,4,1\n" * 10


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("3,0,0\n", ["line 22, the votes are all 0", "1 of 21 rows", "--drop-unlabelled"]),
        ("3,,1\n", ["line 22, a vote is missing"]),
        ("3,-1,2\n", ["line 22, column 'no' is -1", "must not be negative"]),
        ("3,x,2\n", ["line 22, column 'no' is 'x', not a number"]),
    ],
)
def test_votes_that_say_nothing_are_refused(run, extra, words):
    Path("v.csv").write_text(VOTES + extra)

    assert_one_error(run("fit", "v.csv", "--target-columns", "no,yes"), *words)


def test_rows_without_votes_are_left_out_on_demand(run_json):
    Path("v.csv").write_text(VOTES + "3,0,0\n")
    record = run_json("fit", "v.csv", "--target-columns", "no,yes", "--drop-unlabelled")

    assert record["data"]["remarks"] == ["1 rows without a class were left out."]


def test_a_class_of_the_test_rows_that_no_training_row_has_is_found_before_the_fit(run, mixed):
    Path("test.csv").write_text(lines("red,1,c", "red,2,d"))
    result = run("fit", "t.csv", "--test", "test.csv", "--model", "m.skops")

    assert_one_error(result, "test.csv: row 20 has class 'c'", "2 rows of 2 such classes")
    assert not Path("m.skops").exists()


def test_evaluate_names_a_class_that_the_model_does_not_know(run, mixed):
    run("fit", "t.csv", "--test", "0", "--model", "m.skops", "-q")
    Path("test.csv").write_text(lines("red,1,c"))

    assert_one_error(run("evaluate", "m.skops", "test.csv"), "row 20 has class 'c'", "'a', 'b'")


def test_a_table_that_lacks_a_column_of_the_model_is_refused(run, mixed):
    run("fit", "t.csv", "--test", "0", "--model", "m.skops", "-q")
    Path("new.csv").write_text("color,size\nred,1\n")

    assert_one_error(run("predict", "m.skops", "new.csv"), "no column 'colour'", "there is 'color'")


def test_a_faulty_cell_of_the_test_file_is_named_by_its_line(run, mixed):
    Path("test.csv").write_text(lines("red,huge,a"))

    assert_one_error(
        run("fit", "t.csv", "--test", "test.csv"), "test.csv: line 22, column 'size' is 'huge'"
    )


@pytest.fixture
def without_tables(monkeypatch):
    """As if polars and pyarrow were not installed."""
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)


def test_without_the_extra_numbers_are_fitted_all_the_same(run, run_json, flowers, without_tables):
    fitted = run_json("fit", "flowers.csv", "--test", "flowers.csv", "--model", "m.skops")
    found = run_json("evaluate", "m.skops", "flowers.csv")["evaluation"]

    assert found["cross_entropy"] == fitted["test"]["cross_entropy"]
    assert len(run("predict", "m.skops", "flowers.csv").stdout.splitlines()) == 151


def test_without_the_extra_words_and_options_say_what_to_install(run, mixed, without_tables):
    assert_one_error(run("fit", "t.csv"), "line 2, column 'colour'", "crossent[tables]")
    assert_one_error(run("fit", "t.csv", "--drop", "colour"), "crossent[tables]")


@pytest.mark.parametrize("cell", ["", "NA", "inf", "x"])
def test_a_model_of_numbers_refuses_new_rows_with_gaps_by_their_line(run, flower_model, cell):
    Path("new.csv").write_text(
        "sepal length,sepal width,petal length,petal width\n1,2,3,4\n1,2," + cell + ",4\n"
    )

    assert_one_error(
        run("predict", "flowers.skops", "new.csv"), "new.csv: line 3, column 'petal length'"
    )


# Images


def images(folder, size=(4, 4)):
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for row in range(6):
            pixels = rng.integers(0, 200, size, dtype=np.uint8) + (55 if label == "dog" else 0)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{row}.png")


def test_a_folder_of_images_is_fitted_and_predicted_with_the_names_of_the_files(run, run_json):
    images(Path("pets"))
    record = run_json("fit", "pets", "--image-size", "3x2", "--model", "m.skops", "--test", "0")

    assert record["data"]["n_features"] == 6
    assert record["train"]["n_rows"] == 12
    assert run_json("evaluate", "m.skops", "pets")["evaluation"]["n_rows"] == 12
    first = run("predict", "m.skops", "pets").stdout.splitlines()[:2]
    assert first[0] == "file,class,target,surprisal,probability_cat,probability_dog"
    assert first[1].startswith("cat/0.png,")
    alone = run("predict", "m.skops", "pets/dog").stdout.splitlines()
    assert alone[0] == "file,class,probability_cat,probability_dog"
    assert len(alone) == 7


def test_an_image_that_does_not_decode_is_named(run):
    images(Path("pets"))
    Path("pets/dog/3.png").write_bytes(b"no image")

    assert_one_error(run("fit", "pets"), "pets/dog/3.png: the image cannot be decoded")


def test_images_of_several_sizes_need_a_size(run):
    images(Path("pets"))
    Image.fromarray(np.zeros((2, 9), dtype=np.uint8)).save("pets/dog/3.png")

    assert_one_error(run("fit", "pets"), "3.png has 2 by 9 pixels", "--image-size")
    assert run("fit", "pets", "--image-size", "4").exit_code == 0


@pytest.mark.parametrize("size", ["0", "axb", "5x", "99999"])
def test_a_size_that_makes_no_sense_is_refused(run, size):
    images(Path("pets"))
    result = run("fit", "pets", "--image-size", size)
    if size == "5x":
        assert result.exit_code == 0  # a square
    else:
        assert_one_error(result, f"--image-size {size}", "4096")


def test_a_model_of_a_table_is_no_model_of_images(run, mixed):
    images(Path("pets"))
    run("fit", "t.csv", "--test", "0", "--model", "m.skops", "-q")

    assert_one_error(run("predict", "m.skops", "pets/dog"), "not fitted to images")


# Export


@pytest.mark.skipif(os.name != "posix", reason="needs /proc")
@pytest.mark.parametrize("suffix", ["onnx", "safetensors", "md"])
def test_an_export_where_nobody_may_write_is_refused(run, mixed, suffix):
    run("fit", "t.csv", "--test", "0", "--model", "m.skops", "-q")

    assert_one_error(run("export", "m.skops", f"/proc/m.{suffix}"), f"/proc/m.{suffix}")
    assert_one_error(run("export", "m.skops", f"no/such/m.{suffix}"), "does not exist")


def test_an_export_must_say_what_it_is(run, mixed):
    run("fit", "t.csv", "--test", "0", "--model", "m.skops", "-q")

    assert_one_error(run("export", "m.skops", "m.pmml"), ".onnx, .safetensors or .md")


def test_text_cannot_be_exported_to_onnx(run, write_table):
    rows = [[f"question {i} about {k} things", k] for i, k in enumerate(["cats", "dogs"] * 20)]
    write_table("q.csv", ["question", "kind"], rows)
    run("fit", "q.csv", "--test", "0", "--model", "m.skops", "-q")

    assert_one_error(run("export", "m.skops", "m.onnx"), "'question' is text", "--drop")
    assert not Path("m.onnx").exists()
