"""Each mistake ends in one line that names value, place and remedy; no file is touched."""

import gzip
import json
import pickle
from pathlib import Path

import pytest

import crossent


def assert_one_error(result, *words, code=1):
    """The command failed with one line on stderr that has all the words, and no traceback."""
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0], lines[0]


def contents():
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


@pytest.fixture
def refused(run):
    """Run a command that must fail with one error, and leave every file as it was."""

    def call(arguments, *words):
        before = contents()
        assert_one_error(run(*arguments), *words)
        assert contents() == before

    return call


# What is fitted


def test_an_unknown_data_set_offers_the_nearest(refused):
    refused(["fit", "irsi", "--model", "m.skops"], "'irsi'", "did you mean 'iris'")


def test_an_absent_file_is_named(refused):
    refused(["fit", "flower.csv"], "flower.csv: no such file")


def test_an_unknown_target_column_offers_the_nearest(refused, flowers):
    refused(
        ["fit", "flowers.csv", "--target", "spieces", "--model", "m.skops"],
        "'spieces'",
        "did you mean 'species'",
    )


def test_one_class_only_is_refused(refused, write_table):
    write_table("t.csv", ["x", "kind"], [[1, "a"], [2, "a"], [3, "a"], [4, "a"]])
    refused(["fit", "t.csv", "--model", "m.skops"], "class", "a")


def test_a_class_with_one_row_cannot_be_split_and_the_remedy_works(refused, run, write_table):
    write_table("t.csv", ["x", "kind"], [[1, "a"], [2, "a"], [3, "b"]])

    refused(["fit", "t.csv"], "Class b", "--test 0")
    assert run("fit", "t.csv", "--test", "0").exit_code == 0


@pytest.mark.parametrize("cell", ["inf", "-inf", "1e999", "three"])
def test_a_cell_that_is_no_finite_number_is_named_by_line_and_column(refused, write_table, cell):
    write_table("t.csv", ["x", "z", "kind"], [[1, 2, "a"], [3, cell, "b"], [5, 6, "a"]])
    refused(["fit", "t.csv"], "t.csv", "line 3", "'z'")


def test_an_empty_file_is_refused(refused):
    Path("t.csv").write_text("")
    refused(["fit", "t.csv"], "t.csv", "empty")


def test_a_truncated_gzip_file_is_refused(refused, flowers):
    packed = gzip.compress(Path("flowers.csv").read_bytes())
    Path("t.csv.gz").write_bytes(packed[:-20])
    refused(["fit", "t.csv.gz"], "t.csv.gz", "truncated")


def test_a_test_file_without_one_of_the_columns_is_refused(refused, flowers, write_table):
    columns = ["sepal length", "sepal width", "petal lenght", "petal width", "species"]
    write_table("test.csv", columns, [[5, 3, 1, 0.2, "setosa"]])
    refused(
        ["fit", "flowers.csv", "--test", "test.csv", "--model", "m.skops"],
        "test.csv has no column 'petal length'",
        "'petal lenght'",
    )


@pytest.mark.parametrize("share", ["1", "1.5", "-0.1", "nan"])
def test_an_impossible_share_is_refused(refused, share):
    refused(["fit", "iris", f"--test={share}"], f"--test {share}", "less than 1")


@pytest.mark.parametrize(
    "option", [["--C", "0"], ["--C", "-1"], ["--C", "nan"], ["--tol", "0"], ["--tol", "-1"]]
)
def test_an_impossible_value_of_an_option_is_refused(refused, option):
    refused(["fit", "iris", "--model", "m.skops", *option], option[0].strip("-"))


@pytest.mark.parametrize(
    "option",
    [["--max-iter", "0"], ["--threads", "0"], ["--seed", "-1"], ["--C", "much"], ["--tollerance"]],
)
def test_a_command_line_that_makes_no_sense_is_a_usage_error(run, option):
    result = run("fit", "iris", *option)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert option[0] in result.stderr


# Where it is written


@pytest.fixture
def no_fit(monkeypatch):
    """Fail the test if a fit begins."""
    from crossent.linear_model import SoftmaxRegression

    def fit(*_arguments, **_options):
        pytest.fail("the fit began before the paths were checked")

    monkeypatch.setattr(SoftmaxRegression, "fit", fit)


@pytest.mark.parametrize("option", ["--model", "--report"])
def test_an_output_in_a_folder_that_does_not_exist_is_found_before_the_fit(refused, no_fit, option):
    refused(["fit", "iris", option, "no/such/folder/file"], "no/such/folder", "does not exist")


@pytest.mark.parametrize("option", ["--model", "--report"])
def test_an_output_that_is_a_folder_is_found_before_the_fit(refused, no_fit, option):
    Path("results").mkdir()
    refused(["fit", "iris", option, "results"], "results is a folder")


@pytest.mark.parametrize("option", ["--model", "--report"])
def test_an_output_where_nobody_may_write_is_found_before_the_fit(refused, no_fit, option):
    # Not even root may create files in Linux's /proc; elsewhere there is no such folder.
    refused(["fit", "iris", option, "/proc/crossent.out"], "/proc")


def test_model_and_report_cannot_be_the_same_file(refused, no_fit):
    refused(["fit", "iris", "--model", "out", "--report", "./out"], "--report", "--model")


@pytest.mark.parametrize("option", ["--model", "--report"])
def test_the_data_are_not_overwritten(refused, no_fit, flowers, option):
    refused(["fit", "flowers.csv", option, "./flowers.csv"], option, "DATA")


def test_an_old_model_survives_a_fit_that_fails(refused, flower_model, write_table):
    write_table("t.csv", ["x", "kind"], [[1, "a"], [2, "a"]])
    refused(["fit", "t.csv", "--model", "flowers.skops", "--test", "0"], "class")
    crossent.load("flowers.skops")


# What is applied


def spoiled(kind):
    good = Path("flowers.skops").read_bytes()
    middle = len(good) // 2
    return {
        "empty": b"",
        "truncated": good[:middle],
        "bit-flipped": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        "pickle": pickle.dumps({"coef_": 1}),
        "text": b"no model at all",
    }[kind]


@pytest.mark.parametrize("command", ["evaluate", "predict"])
@pytest.mark.parametrize("kind", ["empty", "truncated", "bit-flipped", "pickle", "text"])
def test_a_file_that_is_no_sound_model_is_refused(refused, flower_model, command, kind):
    Path("bad.skops").write_bytes(spoiled(kind))
    refused([command, "bad.skops", "flowers.csv"], "bad.skops")


def test_an_absent_model_is_named(refused):
    refused(["predict", "m.skops", "iris"], "m.skops: No such file or directory")


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_rows_without_one_of_the_model_s_columns_are_refused(
    refused, flower_model, write_table, command
):
    write_table("few.csv", ["sepal length", "sepal width", "species"], [[5, 3, "setosa"]])
    refused([command, "flowers.skops", "few.csv"], "few.csv", "'petal length'", "2 of the 4")


def test_images_of_another_size_are_refused(refused, flower_model):
    refused(["predict", "flowers.skops", "digits"], "digits")


def test_a_class_that_the_model_does_not_know_is_named(refused, flower_model, write_table):
    columns = ["sepal length", "sepal width", "petal length", "petal width", "species"]
    write_table("new.csv", columns, [[5, 3, 1, 0.2, "setosa"], [5, 3, 1, 0.2, "rosa canina"]])
    refused(["evaluate", "flowers.skops", "new.csv"], "rosa canina")


def test_predictions_do_not_overwrite_model_or_data(refused, flower_model):
    for path in ("flowers.skops", "flowers.csv"):
        refused(["predict", "flowers.skops", "flowers.csv", "--output", path], "--output", path)


def test_test_rows_are_refused_where_there_are_none(refused, flower_model):
    refused(["evaluate", "flowers.skops", "flowers.csv", "--part", "test"], "--part all")


# How it is told


def test_debug_shows_the_traceback_before_the_line(run):
    result = run("fit", "irsi", "--debug")

    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")


def test_an_error_leaves_stdout_empty_also_with_json(run):
    result = run("fit", "irsi", "--json")

    assert result.stdout == ""
    with pytest.raises(json.JSONDecodeError):
        json.loads(result.stdout)


def test_no_colours_where_no_terminal_is(run, monkeypatch):
    monkeypatch.delenv("NO_COLOR")

    assert "\x1b" not in run("fit", "irsi").stderr
    assert "\x1b" not in run("datasets").stdout
