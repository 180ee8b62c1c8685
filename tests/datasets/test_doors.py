"""What the command line hands on: a name, a table's path, or the path of IDX images."""

import gzip
import struct

import numpy as np
import pytest

from crossent import datasets
from crossent.datasets import open_dataset
from crossent.errors import DatasetError, InputError


def idx(values, code=8):
    array = np.asarray(values)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype({8: ">u1", 0x0B: ">i2", 0x0D: ">f4"}[code]).tobytes()


@pytest.fixture
def pair(tmp_path):
    """Three images of 2 by 2 pixels with their labels; returns the images' path."""
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.arange(12).reshape(3, 2, 2) * 5)))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx([4, 0, 4])))
    return path


def test_a_name_opens_the_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iris").write_text("x,y\n1,2\n")

    assert open_dataset("iris").X_train.shape == (150, 4)
    assert open_dataset("./iris").X_train.tolist() == [[1.0]]


def test_a_table_is_read_whatever_its_name(tmp_path):
    for name in ("t.csv", "t.csv.gz", "t.txt", "table"):
        path = tmp_path / name
        data = b"kind,x\nb,1\na,2\n"
        path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)

        found = open_dataset(path, target="kind")

        assert found.X_train.tolist() == [[1.0], [2.0]]
        assert found.y_train.tolist() == ["b", "a"]
        assert open_dataset(str(path), target="kind").source == str(path)


def test_images_are_divided_by_255_and_their_labels_found(pair):
    found = open_dataset(pair)

    # 5 k / 255 = k / 51
    expected = (np.arange(12).reshape(3, 4) / 51).astype(np.float32)
    np.testing.assert_array_equal(found.X_train, expected, strict=True)
    assert found.y_train.tolist() == [4, 0, 4]
    assert (found.X_test, found.y_test) == (None, None)
    assert found.image_shape == (2, 2)
    assert found.feature_names == ("pixel_0_0", "pixel_0_1", "pixel_1_0", "pixel_1_1")
    assert found.preprocessing == "Pixels are divided by 255."
    assert found.class_names is None
    assert found.name == "train-images-idx3-ubyte"


def test_a_test_pair_beside_the_training_pair_is_the_test_set(pair, tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(np.full((1, 2, 2), 255)))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx([9]))

    found = open_dataset(pair)

    np.testing.assert_array_equal(found.X_test, np.ones((1, 4), np.float32), strict=True)
    assert found.y_test.tolist() == [9]


def test_test_images_of_another_size_or_without_labels_are_refused(pair, tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((1, 2, 3))))
    with pytest.raises(DatasetError, match="t10k-labels-idx1-ubyte: no such file"):
        open_dataset(pair)

    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx([1]))
    with pytest.raises(DatasetError, match=r"\(2, 3\).*\(2, 2\)"):
        open_dataset(pair)


@pytest.mark.parametrize(("code", "dtype"), [(0x0B, np.float64), (0x0D, np.float32)])
def test_values_that_are_not_bytes_are_used_as_they_stand(tmp_path, code, dtype):
    (tmp_path / "images").write_bytes(idx([[300, -2], [1, 0]], code))
    (tmp_path / "labels").write_bytes(idx([1, 0]))

    found = open_dataset(tmp_path / "images")

    np.testing.assert_array_equal(found.X_train, np.array([[300, -2], [1, 0]], dtype), strict=True)
    assert found.image_shape is None
    assert found.feature_names == ("x0", "x1")
    assert found.preprocessing == "Values are used as the source gives them."


@pytest.mark.parametrize("name", ["iris", "pair"])
def test_a_target_column_is_refused_where_there_is_no_choice(name, pair):
    with pytest.raises(InputError, match="target='species' was given"):
        open_dataset(pair if name == "pair" else name, target="species")


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("mnits", ["neither a data set nor a file", "did you mean 'mnist'?", "breast_cancer"]),
        ("frut.csv", ["frut.csv: no such file", "did you mean 'fruit.csv'?"]),
        ("nowhere/fruit.csv", ["no such file", "'nowhere' does not exist"]),
        ("folder", ["no folder in it holds images"]),
        ("empty.csv", ["empty", "0 bytes"]),
        ("cut.gz", ["gzip", "truncated"]),
    ],
)
def test_what_cannot_be_opened_is_an_error_with_a_remedy(tmp_path, monkeypatch, word, parts):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fruit.csv").write_text("x,y\n1,2\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.csv").touch()
    (tmp_path / "cut.gz").write_bytes(gzip.compress(idx([[1, 2]]))[:-4])

    with pytest.raises(DatasetError) as caught:
        open_dataset(word)

    for part in parts:
        assert part in str(caught.value)


def test_the_module_offers_what_it_says():
    assert {"load", "names", "describe", "open_dataset", "read_csv", "read_idx"} <= set(
        datasets.__all__
    )
