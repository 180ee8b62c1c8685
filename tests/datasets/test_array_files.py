import numpy as np
import pytest
from safetensors.numpy import save_file

from crossent.datasets import open_arrays, read_array, read_labels
from crossent.errors import DatasetError, InputError

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 1, 1, 0])


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    np.savez(tmp_path / "xy.npz", rows=X, labels=Y)
    save_file({"rows": X, "labels": Y}, tmp_path / "xy.safetensors")
    return tmp_path


@pytest.mark.parametrize(
    ("rows", "labels"),
    [("x.npy", "y.npy"), ("xy.npz", "xy.npz"), ("xy.safetensors", "xy.safetensors")],
)
def test_rows_and_labels_are_found(folder, rows, labels):
    data = open_arrays(folder / rows, folder / labels)

    np.testing.assert_array_equal(data.X_train, X)
    assert data.X_train.dtype == np.float32
    assert data.y_train.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("file", ["x.npy", "xy.safetensors"])
def test_large_arrays_are_mapped_and_not_read(folder, file):
    assert isinstance(read_array(folder / file), np.memmap)


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint8, np.float64])
def test_numbers_of_other_types_keep_their_value(tmp_path, dtype):
    save_file({"x": X.astype(dtype)}, tmp_path / "x.safetensors")
    np.save(tmp_path / "x.npy", X.astype(dtype))
    np.save(tmp_path / "y.npy", Y)

    for file in ("x.safetensors", "x.npy"):
        data = open_arrays(tmp_path / file, tmp_path / "y.npy")
        np.testing.assert_array_equal(data.X_train, X)
        assert data.X_train.dtype == (np.float64 if dtype == np.float64 else np.float32)


def test_bfloat16_becomes_float32(tmp_path):
    import ml_dtypes

    values = np.array([[1.5, -2.0], [0.15625, 3e38]], dtype=ml_dtypes.bfloat16)
    save_file({"x": values}, tmp_path / "x.safetensors")

    np.testing.assert_array_equal(read_array(tmp_path / "x.safetensors"), values.astype(np.float32))


def test_an_array_may_be_named(folder):
    np.savez(folder / "two.npz", a=X, b=2 * X)

    assert read_array(folder / "two.npz", key="b")[0, 1] == 2
    with pytest.raises(InputError, match=r"2 arrays with 2 axes \('a' \(4, 3\), 'b'"):
        read_array(folder / "two.npz")
    with pytest.raises(InputError, match="no array 'c'"):
        read_array(folder / "two.npz", key="c")


def test_labels_may_be_lines_of_text(tmp_path):
    (tmp_path / "y.txt").write_text("cat\n dog \ncat\n")
    (tmp_path / "n.txt").write_text("3\n1\n")

    assert read_labels(tmp_path / "y.txt").tolist() == ["cat", "dog", "cat"]
    assert read_labels(tmp_path / "n.txt").tolist() == [3, 1]


def test_labels_are_whole_numbers(tmp_path):
    np.save(tmp_path / "y.npy", np.array([0.0, 2.0]))
    assert read_labels(tmp_path / "y.npy").dtype == np.int64

    np.save(tmp_path / "y.npy", np.array([0.0, 0.5]))
    with pytest.raises(InputError, match=r"0\.5 in row 1"):
        read_labels(tmp_path / "y.npy")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.npy", b"", "cannot be read"),
        ("x.npy", b"\x93NUMPY broken", "cannot be read"),
        ("x.safetensors", b"\xff" * 30, "damaged"),
        ("x.npz", b"PK broken", "cannot be read"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DatasetError, match=words) as caught:
        read_array(tmp_path / name)
    assert name in str(caught.value)


def test_python_objects_are_not_loaded(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[{}]], dtype=object), allow_pickle=True)

    with pytest.raises(DatasetError, match="cannot be read"):
        read_array(tmp_path / "x.npy")


def test_shapes_that_make_no_sense_are_refused(folder):
    with pytest.raises(InputError, match=r"shape \(4,\); expected 2 axes"):
        read_array(folder / "y.npy")
    np.save(folder / "short.npy", Y[:3])
    with pytest.raises(InputError, match=r"4 rows and .* 3 labels"):
        open_arrays(folder / "x.npy", folder / "short.npy")
    with pytest.raises(DatasetError, match=r"gone\.npy"):
        read_array(folder / "gone.npy")
    np.save(folder / "words.npy", np.array([["a"]]))
    with pytest.raises(InputError, match="no numbers"):
        read_array(folder / "words.npy")
