"""Data sets by name: the bundled ones, and MNIST's two where CROSSENT_DATA has them."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from crossent import datasets
from crossent.datasets import images
from crossent.errors import DatasetError

BUNDLED = ["digits", "iris", "wine", "breast_cancer"]


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_set_is_scikit_learns_with_the_scaling_it_states(name):
    source = getattr(sklearn.datasets, f"load_{name}")()

    found = datasets.load(name)

    # Division by 16 is exact, so multiplying back gives the source's numbers.
    factor = {"Pixels are divided by 16.": 16, "Values are used as the source gives them.": 1}
    np.testing.assert_array_equal(
        found.X_train * factor[found.preprocessing], source.data, strict=True
    )
    np.testing.assert_array_equal(found.y_train, source.target)
    assert found.y_train.dtype == np.int64
    assert found.X_test is None
    assert found.y_test is None
    assert found.feature_names == tuple(source.feature_names)
    assert found.class_names == tuple(str(label) for label in source.target_names)


def test_digits_are_images_from_zero_to_one():
    digits = datasets.load("digits")

    assert digits.X_train.max() == 1.0
    assert digits.image_shape == (8, 8)
    # Row-major: the second picture's centre as scikit-learn's own array of images has it.
    np.testing.assert_array_equal(
        16 * digits.X_train[1].reshape(digits.image_shape),
        sklearn.datasets.load_digits().images[1],
    )


@pytest.mark.parametrize("name", BUNDLED)
def test_the_description_is_true_of_the_loaded_set(name):
    assert_described(datasets.load(name))


def assert_described(found):
    facts = datasets.describe(found.name)
    n_test = 0 if found.X_test is None else len(found.X_test)
    assert (facts.n_train, facts.n_features) == found.X_train.shape
    assert facts.n_test == n_test
    assert facts.class_names == found.class_names
    assert len(facts.class_names) == len(found.classes)
    assert facts.image_shape == found.image_shape
    assert facts.preprocessing == found.preprocessing
    assert (facts.summary, facts.licence, facts.source) == (
        found.description,
        found.licence,
        found.source,
    )
    assert len(found.feature_names) == facts.n_features


def test_names_and_descriptions_agree():
    assert [datasets.describe(name).name for name in datasets.names()] == list(datasets.names())
    assert [n for n in datasets.names() if datasets.describe(n).bundled] == BUNDLED


@pytest.mark.parametrize(
    ("wrong", "right"), [("mnits", "mnist"), ("fashion-mnist", "fashion_mnist"), ("Iris", "iris")]
)
def test_an_unknown_name_is_an_error_that_offers_the_nearest(wrong, right):
    for function in (datasets.load, datasets.describe):
        with pytest.raises(DatasetError, match=f"{wrong}.*did you mean '{right}'") as caught:
            function(wrong)
        assert "digits, iris, wine, breast_cancer, mnist, fashion_mnist" in str(caught.value)


def test_a_name_like_no_other_lists_the_names_and_offers_none():
    with pytest.raises(DatasetError) as caught:
        datasets.load("zzzz")

    assert "did you mean" not in str(caught.value)


def idx(array):
    shape = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return shape + array.tobytes()


@pytest.fixture
def small_mnist(tmp_path, monkeypatch):
    """A folder as CROSSENT_DATA names it, with four small files in place of MNIST's."""
    rng = np.random.default_rng(3)
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (20, 2, 3), dtype=np.uint8),
        "train-labels-idx1-ubyte": np.arange(20, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (5, 2, 3), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(5, dtype=np.uint8)[::-1].copy(),
    }
    contents = {file: idx(array) for file, array in arrays.items()}
    sha256 = {file: hashlib.sha256(data).hexdigest() for file, data in contents.items()}
    publication = images.Publication(mirrors=(), sha256=sha256)
    monkeypatch.setitem(images.PUBLICATIONS, "mnist", publication)
    folder = tmp_path / "mnist"
    folder.mkdir()
    for file, data in contents.items():
        (folder / f"{file}.gz").write_bytes(gzip.compress(data))
    monkeypatch.setenv("CROSSENT_DATA", str(tmp_path))
    return folder, arrays


def test_mnist_is_read_from_the_folder_of_crossent_data(small_mnist):
    _, arrays = small_mnist

    found = datasets.load("mnist")

    # k / 255 rounded to float32, computed in float64 and rounded once.
    expected = (arrays["train-images-idx3-ubyte"].reshape(20, 6) / 255.0).astype(np.float32)
    np.testing.assert_array_equal(found.X_train, expected, strict=True)
    expected = (arrays["t10k-images-idx3-ubyte"].reshape(5, 6) / 255.0).astype(np.float32)
    np.testing.assert_array_equal(found.X_test, expected, strict=True)
    assert found.y_train.tolist() == list(range(10)) * 2
    assert found.y_test.tolist() == [4, 3, 2, 1, 0]
    assert (found.y_train.dtype, found.y_test.dtype) == (np.int64, np.int64)
    assert found.feature_names == tuple(f"pixel_{i}_{j}" for i in range(2) for j in range(3))
    assert found.image_shape == (2, 3)
    assert found.preprocessing == "Pixels are divided by 255."
    assert found.class_names == tuple("0123456789")


def test_uncompressed_files_are_found_too(small_mnist):
    folder, _ = small_mnist
    expected = datasets.load("mnist").X_train
    for path in list(folder.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()

    np.testing.assert_array_equal(datasets.load("mnist").X_train, expected)


def test_a_file_compressed_anew_is_accepted_because_the_content_counts(small_mnist):
    folder, _ = small_mnist
    path = folder / "t10k-labels-idx1-ubyte.gz"
    before = path.read_bytes()
    path.write_bytes(gzip.compress(gzip.decompress(before), compresslevel=1, mtime=12345))

    assert path.read_bytes() != before
    assert datasets.load("mnist").y_test.tolist() == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("file", images.FILES)
def test_one_changed_pixel_or_label_is_an_error_that_names_the_file(small_mnist, file):
    folder, _ = small_mnist
    path = folder / f"{file}.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 1
    path.write_bytes(gzip.compress(content))

    with pytest.raises(DatasetError, match="SHA-256") as caught:
        datasets.load("mnist")

    assert str(path) in str(caught.value)
    assert hashlib.sha256(content).hexdigest() in str(caught.value)
    assert images.PUBLICATIONS["mnist"].sha256[file] in str(caught.value)


def test_a_missing_file_is_named_with_the_remedy(small_mnist):
    folder, _ = small_mnist
    (folder / "t10k-images-idx3-ubyte.gz").unlink()

    with pytest.raises(DatasetError, match=r"neither 't10k-images-idx3-ubyte\.gz' nor") as caught:
        datasets.load("mnist")

    assert str(folder) in str(caught.value)


def test_a_folder_that_does_not_exist_is_not_passed_over_in_silence(monkeypatch, tmp_path):
    monkeypatch.setenv("CROSSENT_DATA", str(tmp_path / "tpyo"))

    with pytest.raises(DatasetError, match=r"CROSSENT_DATA is '.*tpyo', which is not a folder"):
        datasets.load("mnist")


def real_data(name):
    root = os.environ.get("CROSSENT_DATA")
    return pytest.mark.skipif(
        not root or not Path(root, name).is_dir(), reason=f"CROSSENT_DATA has no {name}"
    )


@pytest.mark.parametrize(
    ("name", "mean", "counts"),
    [
        # Means of the training pixels, and numbers of images per class, as generally published:
        # 0.1307 and 0.2860 are the constants that tutorials subtract.
        pytest.param(
            "mnist",
            0.1307,
            [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
            marks=real_data("mnist"),
        ),
        pytest.param("fashion_mnist", 0.2860, [6000] * 10, marks=real_data("fashion_mnist")),
    ],
)
def test_the_real_sets_have_the_published_means_and_class_counts(name, mean, counts):
    found = datasets.load(name)

    assert_described(found)
    assert found.X_train.dtype == found.X_test.dtype == np.float32
    assert found.X_train.mean(dtype=np.float64) == pytest.approx(mean, abs=5e-5)
    assert np.bincount(found.y_train).tolist() == counts
    assert (found.X_train.min(), found.X_train.max()) == (0.0, 1.0)
