from pathlib import Path

import numpy as np
import pytest

from crossent import datasets
from crossent.errors import DatasetError


def written(tmp_path, text):
    path = Path(tmp_path, "table.csv")
    path.write_text(text)
    return path


def test_every_column_of_a_table_without_classes_is_a_feature(tmp_path):
    X, names = datasets.read_csv_features(written(tmp_path, "a,b,c\n1,2,3\n4,5,6.5\n"))

    assert names == ("a", "b", "c")
    np.testing.assert_array_equal(X, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]])


def test_one_column_is_a_table_of_features_but_none_with_classes(tmp_path):
    path = written(tmp_path, "a\n1\n2\n")

    X, names = datasets.read_csv_features(path)
    assert names == datasets.csv_columns(path) == ("a",)
    np.testing.assert_array_equal(X, [[1.0], [2.0]])
    with pytest.raises(DatasetError, match="one column, 'a'"):
        datasets.read_csv(path)


@pytest.mark.parametrize(
    ("last", "words"),
    [("x", "line 3, column 'b' is 'x', not a number"), ("nan", "line 3, column 'b' is nan")],
)
def test_a_bad_cell_in_the_last_column_is_named(tmp_path, last, words):
    with pytest.raises(DatasetError, match=words):
        datasets.read_csv_features(written(tmp_path, f"a,b\n1,2\n3,{last}\n"))


def test_a_table_of_features_without_rows_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="a header and no rows"):
        datasets.read_csv_features(written(tmp_path, "a,b\n"))


def test_columns_include_the_class_and_need_no_rows(tmp_path):
    assert datasets.csv_columns(written(tmp_path, "a,kind\n")) == ("a", "kind")


def test_what_is_a_table_is_told_by_its_first_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("images").write_bytes(b"\0\0\x08\x03")
    Path("iris").write_text("a,b\n1,2\n")

    assert datasets.is_table("./iris")
    for other in ("iris", "images", "absent.csv", "."):
        assert not datasets.is_table(other)
