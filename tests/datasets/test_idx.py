"""IDX files written by hand, byte by byte, as the format's description says."""

import gzip
import struct

import numpy as np
import pytest

from crossent.datasets import read_idx, read_idx_pair
from crossent.datasets.idx import held_out_images_file, labels_file
from crossent.errors import DatasetError


def idx(code, shape, payload):
    """Bytes of an IDX file: magic, big-endian sizes, values."""
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + payload


# Code, struct's letter for the big-endian value, dtype, and values that no other reading of the
# bytes gives: both signs, both ends of the range, and asymmetric bytes.
DTYPES = [
    (0x08, "B", np.uint8, [0, 1, 200, 255]),
    (0x09, "b", np.int8, [-128, -1, 3, 127]),
    (0x0B, "h", np.int16, [-32768, -2, 258, 32767]),
    (0x0C, "i", np.int32, [-(2**31), -2, 0x01020304, 2**31 - 1]),
    (0x0D, "f", np.float32, [-1.5, 0.0, 2.0**-126, 3.0e38]),
    (0x0E, "d", np.float64, [-1.5, 0.1, 5e-324, 1.7e308]),
]


@pytest.fixture
def write(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(("code", "letter", "dtype", "values"), DTYPES)
def test_every_dtype_is_read_big_endian_and_returned_native(
    write, code, letter, dtype, values, compress
):
    path = write("file", compress(idx(code, (4,), struct.pack(f">4{letter}", *values))))

    found = read_idx(path)

    np.testing.assert_array_equal(found, np.array(values, dtype=dtype), strict=True)
    assert found.dtype.isnative
    assert found.flags.writeable


def test_the_two_images_of_the_format_description_are_rows_of_consecutive_bytes(write):
    # Header 00 00 08 03, sizes 2, 2, 3 and the bytes 0..11.
    path = write("x", bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, *range(12)]))

    expected = [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]
    np.testing.assert_array_equal(read_idx(path), np.array(expected, np.uint8), strict=True)


@pytest.mark.parametrize("n_dimensions", [0, 1, 2, 5, 64])
def test_any_number_of_dimensions_up_to_numpys_limit_is_read(write, n_dimensions):
    shape = (1,) * n_dimensions

    found = read_idx(write("x", idx(8, shape, b"\x07")))

    assert found.shape == shape
    assert found.item() == 7


def test_no_rows_are_an_array_without_rows(write):
    assert read_idx(write("x", idx(8, (0, 3), b""))).shape == (0, 3)


GOOD = idx(8, (2, 3), bytes(range(6)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["empty", "0 bytes"]),
        (b"\x00\x00\x08", ["not an IDX file", "00 00 08"]),
        (b"\x00\x01" + GOOD[2:], ["not an IDX file", "00 01 08 02"]),
        (b"\x00\x00\x0a" + GOOD[3:], ["not an IDX file", "00 00 0a 02"]),
        (b"label,pixel\n1,2\n", ["not an IDX file", "6c 61 62 65"]),
        (GOOD[:9], ["header", "2 dimensions", "9 bytes"]),
        (b"\x00\x00\x08\xff" + bytes(2000), ["header", "255 dimensions"]),
        (GOOD[:-1], ["truncated", "(2, 3)", "18 bytes", "found 17"]),
        (GOOD + b"\x00", ["trailing bytes", "18 bytes", "found 19"]),
        (idx(8, (2**32 - 1,) * 3, b""), ["truncated", "found 16"]),
        (gzip.compress(GOOD, mtime=0)[:-9], ["gzip", "truncated"]),
        (gzip.compress(b"", mtime=0), ["0 bytes"]),
        (gzip.compress(GOOD, mtime=0)[:-8] + bytes(8), ["gzip", "damaged"]),
        (gzip.compress(GOOD, mtime=0) + b"x", ["gzip", "damaged"]),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it_and_what_was_found(write, data, words):
    path = write("train-images.gz", data)

    with pytest.raises(DatasetError) as caught:
        read_idx(path)

    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_every_truncation_and_every_flipped_bit_of_a_gzip_file_is_refused_or_harmless(write):
    # gzip checks the content with CRC-32, which finds every single flipped bit; flips in the time,
    # flags and name of its header change nothing that is read.
    whole = gzip.compress(idx(8, (40,), bytes(range(40))), mtime=0)
    expected = np.arange(40, dtype=np.uint8)
    refused = 0
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        try:
            np.testing.assert_array_equal(read_idx(write("x", bytes(data))), expected)
        except DatasetError:
            refused += 1
    for length in range(len(whole)):
        with pytest.raises(DatasetError):
            read_idx(write("x", whole[:length]))

    assert refused >= 8 * (len(whole) - 10)  # everything behind the header of ten bytes


def test_an_absent_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere.*No such file"):
        read_idx(tmp_path / "nowhere")


def test_a_pair_is_found_by_name_whether_compressed_or_not(write):
    images = write("train-images-idx3-ubyte", idx(8, (2, 1, 2), bytes([1, 2, 3, 4])))
    write("train-labels-idx1-ubyte.gz", gzip.compress(idx(8, (2,), bytes([9, 250]))))

    X, y = read_idx_pair(images)

    np.testing.assert_array_equal(X, np.array([[[1, 2]], [[3, 4]]], np.uint8), strict=True)
    np.testing.assert_array_equal(y, np.array([9, 250], np.int64), strict=True)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("letters-test-images-idx3-ubyte", "letters-test-labels-idx1-ubyte.gz"),
    ],
)
def test_the_labels_file_follows_from_the_images_file(write, images, labels):
    expected = write(labels, b"x")

    assert labels_file(expected.with_name(images)) == expected


@pytest.mark.parametrize("word", ["t10k", "test"])
def test_the_test_images_are_those_beside_the_training_images(write, word):
    train = write("train-images-idx3-ubyte", b"x")
    assert held_out_images_file(train) is None

    test = write(f"{word}-images-idx3-ubyte.gz", b"x")

    assert held_out_images_file(train) == test
    assert held_out_images_file(test) is None


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (idx(8, (3, 2), bytes(6)), idx(8, (2,), bytes(2)), ["3 images", "2 labels"]),
        (idx(8, (2,), bytes(2)), idx(8, (2,), bytes(2)), ["two dimensions", "(2,)"]),
        (idx(8, (2, 2), bytes(4)), idx(8, (2, 1), bytes(2)), ["one dimension", "(2, 1)"]),
        (idx(8, (1, 1), bytes(1)), idx(0x0E, (1,), bytes(8)), ["integers", "float64"]),
        (idx(8, (0, 4), b""), idx(8, (0,), b""), ["no pixels", "(0, 4)"]),
    ],
)
def test_files_that_do_not_belong_together_are_refused(write, images, labels, words):
    paths = write("train-images", images), write("train-labels", labels)

    with pytest.raises(DatasetError) as caught:
        read_idx_pair(*paths)

    for word in words:
        assert word in str(caught.value)


def test_images_without_labels_name_the_file_that_is_missing(write):
    with pytest.raises(DatasetError, match=r"train-labels-idx1-ubyte: no such file"):
        read_idx_pair(write("train-images-idx3-ubyte", GOOD))
    with pytest.raises(DatasetError, match="needs 'images' in the name"):
        read_idx_pair(write("pictures", GOOD))
