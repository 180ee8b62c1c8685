"""CSV tables, against values written down by hand or written by pandas."""

import gzip

import numpy as np
import pytest

from crossent.datasets import read_csv
from crossent.errors import DatasetError, InputError


@pytest.fixture
def table(tmp_path):
    def write(content, name="fruit.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def fails_with(path, *words, error=DatasetError, target=None):
    with pytest.raises(error) as caught:
        read_csv(path, target=target)
    for word in [str(path), *words]:
        assert word in str(caught.value)


FRUIT = "weight,width,kind\n192,-8.4,apple\n86,6.2e-1,mandarin\n"


@pytest.mark.parametrize(
    "content",
    [
        FRUIT,
        FRUIT.encode("utf-8-sig"),
        FRUIT.replace("\n", "\r\n"),
        FRUIT.rstrip(),
        gzip.compress(FRUIT.encode(), mtime=0),
        '"weight","width",kind\n\n192, -8.4 ,"apple"\n86,6.2e-1, mandarin\n\n',
    ],
    ids=["plain", "byte-order mark", "Windows", "no last newline", "gzip", "quotes and blanks"],
)
def test_numbers_become_features_and_the_last_column_the_class(table, content):
    found = read_csv(table(content))

    np.testing.assert_array_equal(found.X_train, [[192.0, -8.4], [86.0, 0.62]], strict=True)
    assert found.y_train.tolist() == ["apple", "mandarin"]
    assert found.feature_names == ("weight", "width")
    assert (found.name, found.class_names, found.image_shape) == ("fruit", None, None)
    assert (found.X_test, found.y_test) == (None, None)
    assert found.preprocessing == "Values are used as the source gives them."


@pytest.mark.parametrize(
    ("target", "X", "y", "features"),
    [
        ("a", [[2.0, 3.0], [5.0, 6.0]], [1, 4], ("b", "c")),
        ("b", [[1.0, 3.0], [4.0, 6.0]], [2, 5], ("a", "c")),
        ("c", [[1.0, 2.0], [4.0, 5.0]], [3, 6], ("a", "b")),
    ],
)
def test_any_column_can_be_the_class_and_the_others_keep_their_order(table, target, X, y, features):
    found = read_csv(table("a,b,c\n1,2,3\n4,5,6\n"), target=target)

    np.testing.assert_array_equal(found.X_train, X)
    np.testing.assert_array_equal(found.y_train, np.array(y, np.int64), strict=True)
    assert found.feature_names == features


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["3", "-1", "3"], np.array([3, -1, 3], np.int64)),
        (["007", "7", "7"], np.array(["007", "7", "7"])),  # as integers they would be one class
        (["1.0", "2.0", "1"], np.array(["1.0", "2.0", "1"])),
        (["1_0", "10", "10"], np.array(["1_0", "10", "10"])),
        (["9223372036854775808", "1", "1"], np.array(["9223372036854775808", "1", "1"])),
        (["True", "False", "True"], np.array(["True", "False", "True"])),
        (["Äpfel", "NA", "日本"], np.array(["Äpfel", "NA", "日本"])),
    ],
)
def test_labels_are_integers_only_if_no_text_is_lost(table, cells, labels):
    rows = "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))

    np.testing.assert_array_equal(read_csv(table(f"x,y\n{rows}")).y_train, labels, strict=True)


def test_a_table_written_by_pandas_with_all_digits_gives_the_same_bits_back(table):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    # pandas writes the shortest text that rounds to the number, so reading must give it back.
    X = rng.normal(size=(300, 7)) * 10.0 ** rng.integers(-300, 300, size=(300, 7))
    kinds = rng.choice(["a", "b", "c d"], size=300)
    frame = pandas.DataFrame(X, columns=[f"c{j}" for j in range(7)])
    frame.insert(3, "kind", kinds)

    found = read_csv(table(frame.to_csv(index=False)), target="kind")

    np.testing.assert_array_equal(found.X_train, X, strict=True)
    assert found.y_train.tolist() == kinds.tolist()


def test_nameless_columns_that_pandas_numbers_are_accepted(table):
    assert read_csv(table("0,1,2\n0.5,1.5,1\n2.5,3.5,0\n")).feature_names == ("0", "1")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("", ["is empty"]),
        ("  ", ["is empty"]),
        ("red", ["'red', not a number"]),
        ("NA", ["'NA', not a number"]),
        ("1_000", ["'1_000', not a number"]),
        ('"1,5"', ["'1,5', not a number"]),
        ("nan", ["nan", "first of 1"]),
        ("-inf", ["-inf", "first of 1"]),
        ("1e999", ["inf", "first of 1"]),
    ],
)
@pytest.mark.parametrize(("column", "name"), [(0, "weight"), (2, "height")])
def test_a_cell_that_is_no_finite_number_is_named_by_line_and_column(
    table, cell, words, column, name
):
    row = ["1", "2", "3", "pear"]
    row[column] = cell
    # The target stands between the features, and a blank line is counted but not read.
    order = [0, 1, 3, 2]
    header = ["weight", "width", "height", "kind"]
    lines = [",".join(line[j] for j in order) for line in (header, ["4", "5", "6", "fig"], row)]
    path = table(lines[0] + "\n\n" + "\n".join(lines[1:]) + "\n")

    fails_with(path, "line 4", repr(name), *words, target="kind")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["empty"]),
        ("\n \n", ["empty"]),
        ("x,y\n", ["no rows"]),
        ("x,y\n1,2\n1\n", ["line 3 has 1 cells", "has 2"]),
        ("x,y\n1,2,3\n", ["line 2 has 3 cells", "has 2"]),
        ("x;y\n1;2\n", ["one column", "'x;y'", "semicolons"]),
        ("x,y,x\n1,2,3\n", ["columns 1 and 3", "'x'", "Rename"]),
        (",x,y\n0,1,2\n", ["column 1 has no name", "index=False"]),
        ("1.5,2.5,0\n1,2,1\n", ["only numbers", "1.5, 2.5", "header"]),
        ("x,y\n1,\n", ["line 2", "'y'", "empty", "class"]),
        ("x,y\n1,a\n2,NaN\n", ["line 3", "'y'", "'NaN'", "class"]),
        ('x,y\n1,"a\n2,b\n', ["line 3", "not valid CSV"]),
        ('x,y\n1,"a"b\n', ["line 2", "not valid CSV"]),
        ("x,y\n1,é\n".encode("latin-1"), ["line 2", "0xe9", "position 6", "UTF-8"]),
        ("x,y\n1,2\n".encode("utf-16"), ["line 1", "UTF-16"]),
        (gzip.compress(b"x,y\n1,2\n", mtime=0)[:-3], ["gzip", "truncated"]),
    ],
)
def test_a_table_that_cannot_be_read_is_an_error_that_says_where_and_why(table, content, words):
    fails_with(table(content), *words)


def test_all_bad_numbers_are_counted_and_the_first_in_reading_order_is_named(table):
    path = table("a,b,y\n1,2,0\n3,inf,0\nnan,4,1\n")

    fails_with(path, "line 3", "'b'", "inf", "first of 2")


def test_an_unknown_target_lists_the_columns_and_offers_the_nearest(table):
    path = table(FRUIT)

    fails_with(
        path,
        "no column 'Kinds'",
        "did you mean 'kind'?",
        "weight, width, kind",
        error=InputError,
        target="Kinds",
    )
    fails_with(path, "no column 'zzz'.", error=InputError, target="zzz")


def test_a_long_list_of_columns_is_shortened(table):
    header = ",".join(f"pixel{j}" for j in range(784))
    path = table(f"{header}\n{','.join('0' * 784)}\n")

    with pytest.raises(InputError) as caught:
        read_csv(path, target="label")

    assert "pixel0, pixel1" in str(caught.value)
    assert "…" in str(caught.value)
    assert "pixel783" in str(caught.value)
    assert len(str(caught.value)) < 700 + len(str(path))


def test_lines_are_counted_as_an_editor_counts_them_when_cells_hold_newlines(table):
    fails_with(table('x,y\n1,"a\nb"\nbad,c\n'), "line 4", "'bad'")
