"""``crossent code``: labels into a file, out of it, and what they take."""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

import crossent
from crossent.labels import code_lengths, read_header


@pytest.fixture
def coded(run, flower_model):
    """``flowers.cel``: the species of all irises."""
    result = run("code", "encode", "flowers.skops", "flowers.csv", "--output", "flowers.cel")
    assert result.exit_code == 0, result.stderr
    return flower_model


def classes_in(text):
    return [row["class"] for row in csv.DictReader(io.StringIO(text))]


def test_what_was_encoded_is_decoded(run, coded):
    _, names = coded
    result = run("code", "decode", "flowers.skops", "flowers.csv", "flowers.cel")

    assert result.exit_code == 0, result.stderr
    assert classes_in(result.stdout) == names.tolist()


def test_the_receiver_needs_no_column_of_classes(run, coded, write_table):
    X, names = coded
    columns = ["sepal length", "sepal width", "petal length", "petal width"]
    write_table("rows.csv", columns, X.tolist())
    result = run(
        "code", "decode", "flowers.skops", "rows.csv", "flowers.cel", "--output", "names.csv"
    )

    assert result.exit_code == 0, result.stderr
    assert "150 classes written to names.csv" in result.stderr
    assert classes_in(Path("names.csv").read_text()) == names.tolist()


def test_json_lines_hold_the_classes(run, coded):
    _, names = coded
    lines = run("code", "decode", "flowers.skops", "flowers.csv", "flowers.cel", "--json").stdout

    assert [json.loads(line)["class"] for line in lines.splitlines()] == names.tolist()


def test_the_table_is_that_of_the_library(run, run_json, coded):
    X, names = coded
    model = crossent.load("flowers.skops")
    expected = code_lengths(model, X, names)

    found = run_json("code", "table", "flowers.skops", "flowers.csv")
    text = run("code", "table", "flowers.skops", "flowers.csv").stdout

    assert found["rows"] == "150 rows of flowers"
    assert found["file"] is None
    for name, value in found["lengths"].items():
        # Predictions from rows of a table and of an array differ in their last bits at most.
        assert value == pytest.approx(getattr(expected, name), rel=1e-9), name
    lines = {line[:26].strip(): line[26:].split() for line in text.splitlines()}
    # Three equal classes: 150 log2 3 = 237.7 bits.
    assert lines["entropy of the frequencies"] == ["1.5850", "237.7", "30"]
    assert lines["fixed length"] == ["2.0000", "300", "38"]
    wire = Path("flowers.cel").stat().st_size
    assert lines["on the wire"] == [f"{8 * wire / 150:.4f}", str(8 * wire), str(wire)]
    payload = 8 * len(read_header(Path("flowers.cel").read_bytes()).payload)
    assert lines["of it the coded labels"][1] == str(payload)
    assert float(lines["mean -log₂ p of the model"][1]) == pytest.approx(
        model.surprisal(X, names).sum() / math.log(2), abs=0.06
    )


def test_encode_writes_the_file_and_prints_the_table(run, run_json, flower_model):
    record = run_json("code", "encode", "flowers.skops", "flowers.csv", "--output", "a.cel")

    assert record["file"] == "a.cel"
    assert record["lengths"]["wire_bits"] == 8 * Path("a.cel").stat().st_size
    result = run("code", "encode", "flowers.skops", "flowers.csv", "--output", "b.cel", "-q")
    assert "on the wire" in result.stdout
    assert result.stderr == ""
    assert Path("a.cel").read_bytes() == Path("b.cel").read_bytes()


def test_test_rows_of_a_named_set_are_taken_unless_told_otherwise(run, run_json):
    assert run("fit", "iris", "--model", "iris.skops", "--test", "0").exit_code == 0

    record = run_json("code", "table", "iris.skops", "iris", "--part", "all")

    assert record["lengths"]["n_labels"] == 150


def test_rows_of_a_mixed_table_are_coded_with_its_pipeline(run, write_table):
    rng = np.random.default_rng(0)
    sizes = rng.choice(["small", "large", ""], size=200)
    weights = rng.normal(size=200).round(2)
    kinds = np.where((sizes == "large") ^ (weights > 1), "cat", "mouse")
    rows = list(zip(sizes.tolist(), weights.tolist(), kinds.tolist(), strict=True))
    write_table("pets.csv", ["size", "weight", "kind"], rows)
    write_table("unknown.csv", ["weight", "size"], [[row[1], row[0]] for row in rows])
    fitted = run("fit", "pets.csv", "--target", "kind", "--model", "pets.skops", "--test", "0")
    assert fitted.exit_code == 0, fitted.stderr
    coded = run("code", "encode", "pets.skops", "pets.csv", "--output", "pets.cel")
    assert coded.exit_code == 0, coded.stderr

    decoded = run("code", "decode", "pets.skops", "unknown.csv", "pets.cel")

    assert decoded.exit_code == 0, decoded.stderr
    assert classes_in(decoded.stdout) == kinds.tolist()


def test_numbers_of_classes_come_back_as_numbers(run):
    assert run("fit", "digits", "--model", "d.skops").exit_code == 0
    assert run("code", "encode", "d.skops", "digits", "--output", "d.cel").exit_code == 0

    found = classes_in(run("code", "decode", "d.skops", "digits", "d.cel").stdout)

    assert len(found) == 1797
    assert set(found) == set(map(str, range(10)))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-1], "damaged or cut off"),
        (lambda data: data[:30] + bytes([data[30] ^ 1]) + data[31:], "damaged or cut off"),
        (lambda _: b"species\nsetosa\n", "no file of coded labels"),
        (lambda _: b"", "no file of coded labels"),
    ],
)
def test_a_damaged_file_is_one_line_on_stderr_and_nothing_on_stdout(run, coded, damage, words):
    Path("flowers.cel").write_bytes(damage(Path("flowers.cel").read_bytes()))
    result = run("code", "decode", "flowers.skops", "flowers.csv", "flowers.cel")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: flowers.cel: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_another_model_and_other_rows_are_refused(run, coded, write_table):
    X, names = coded
    columns = ["sepal length", "sepal width", "petal length", "petal width", "species"]
    swapped = [[*x, name] for x, name in zip(X[::-1].tolist(), names, strict=True)]
    write_table("swapped.csv", columns, swapped)
    write_table("short.csv", columns, swapped[1:])
    assert run("fit", "flowers.csv", "--test", "0", "-C", "3", "--model", "o.skops").exit_code == 0

    for model, data, words in [
        ("o.skops", "flowers.csv", "coded with another model"),
        ("flowers.skops", "swapped.csv", "rows 0 to 149 are not those"),
        ("flowers.skops", "short.csv", "150 labels were coded and X has 149 rows"),
    ]:
        result = run("code", "decode", model, data, "flowers.cel", "--output", "names.csv")
        assert result.exit_code == 1
        assert words in result.stderr
        assert not Path("names.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("encode", "flowers.skops", "flowers.csv", "--output", "no/a.cel"), "does not exist"),
        (
            ("encode", "flowers.skops", "flowers.csv", "--output", "flowers.csv"),
            "same file as DATA",
        ),
        (("encode", "flowers.csv", "flowers.csv", "--output", "a.cel"), "flowers.csv"),
        (("decode", "flowers.skops", "flowers.csv", "absent.cel"), "absent.cel: No such file"),
        (("table", "flowers.skops", "flowers.csv", "--part", "rest"), "`--part` is 'rest'"),
        (("table", "flowers.skops", "absent.csv"), "absent.csv"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run, flower_model, arguments, words):
    result = run("code", *arguments)

    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("a.cel").exists()


def test_a_class_that_the_model_does_not_know_is_named(run, flower_model, write_table):
    X, names = flower_model
    columns = ["sepal length", "sepal width", "petal length", "petal width", "species"]
    rows = [[*x, name] for x, name in zip(X.tolist(), names.tolist(), strict=True)]
    rows[3][-1] = "rosa"
    write_table("roses.csv", columns, rows)

    result = run("code", "encode", "flowers.skops", "roses.csv", "--output", "a.cel")

    assert result.exit_code == 1
    assert "'rosa' in row 3" in result.stderr
    assert not Path("a.cel").exists()


def test_help_shows_examples(run):
    assert "crossent code encode digits.skops digits" in run("code", "--help").stdout
    assert "crossent code encode" in run("--help").stdout
    for command in ("encode", "decode", "table"):
        assert f"crossent code {command}" in run("code", command, "--help").stdout


def test_files_of_the_command_line_and_of_the_library_are_the_same(run, coded):
    X, names = coded
    model = crossent.load("flowers.skops")

    np.testing.assert_array_equal(
        crossent.decode_labels(model, X, Path("flowers.cel").read_bytes()), names
    )
