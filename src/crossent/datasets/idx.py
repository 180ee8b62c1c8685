"""The IDX format of MNIST: arrays of any number of dimensions, big-endian.

A file is four bytes (0, 0, code of the dtype, number of dimensions), the sizes as unsigned
32-bit integers, and the values in row-major order; possibly compressed with gzip.

References
----------
Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits (1998),
http://yann.lecun.com/exdb/mnist/, section "File formats".
"""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.datasets._files import uncompressed
from crossent.errors import DatasetError

__all__ = ["held_out_images_file", "labels_file", "parse_idx", "read_idx", "read_idx_pair"]

_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_MAX_DIMENSIONS = 64
"""NumPy's limit (NPY_MAXDIMS since 2.0)."""


def read_idx(path: str | os.PathLike[str], /) -> npt.NDArray[Any]:
    """Array in an IDX file, compressed with gzip or not.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    ndarray
        uint8, int8, int16, int32, float32 or float64 in the machine's byte order, of the shape
        that the file states; writable.

    Raises
    ------
    DatasetError
        If the file is absent, empty or damaged as gzip, does not begin as IDX does, or holds
        fewer or more bytes than its header states.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crossent import datasets
    >>> header = bytes([0, 0, 0x08, 2, 0, 0, 0, 2, 0, 0, 0, 3])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "six.idx")
    ...     _ = path.write_bytes(header + bytes(range(6)))
    ...     datasets.read_idx(path)
    array([[0, 1, 2],
           [3, 4, 5]], dtype=uint8)
    """
    path = Path(path)
    return parse_idx(uncompressed(path), path)


def parse_idx(data: bytes, path: Path, /) -> npt.NDArray[Any]:
    """Array in the bytes of an uncompressed IDX file; `path` is for messages."""
    if len(data) < 4 or data[:2] != b"\x00\x00" or data[2] not in _DTYPES:
        codes = ", ".join(f"{code:02x}" for code in _DTYPES)
        message = (
            f"{path}: not an IDX file: it begins with the bytes {data[:4].hex(' ')}, expected "
            f"00 00, one of {codes}, and the number of dimensions. Give a file in the format of "
            "MNIST's images."
        )
        raise DatasetError(message)
    dtype, n_dimensions = _DTYPES[data[2]], data[3]
    start = 4 + 4 * n_dimensions
    if len(data) < start or n_dimensions > _MAX_DIMENSIONS:
        message = (
            f"{path}: the IDX header is damaged: it states {n_dimensions} dimensions (at most "
            f"{_MAX_DIMENSIONS} are possible), so {start} bytes of header, and the file has "
            f"{len(data)} bytes. Copy or download it again."
        )
        raise DatasetError(message)
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", n_dimensions, offset=4))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        state = "is truncated" if len(data) < expected else "has trailing bytes"
        message = (
            f"{path}: the IDX file {state}: shape {shape} of {dtype.name} makes {expected} bytes "
            f"with the header, found {len(data)}. Copy or download it again."
        )
        raise DatasetError(message)
    values = np.frombuffer(data, dtype, math.prod(shape), offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def read_idx_pair(
    images: str | os.PathLike[str], labels: str | os.PathLike[str] | None = None, /
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Images and their labels from two IDX files.

    Parameters
    ----------
    images : path-like
        An array with at least two dimensions, the first of which counts the rows.
    labels : path-like, optional
        An array of integers with one dimension. By default the file beside `images` with
        "labels" for "images" and "idx1" for "idx3" in its name, with or without ``.gz``.

    Returns
    -------
    images : ndarray, shape (n, ...)
        As in the file.
    labels : ndarray, shape (n,)
        int64.

    Raises
    ------
    DatasetError
        If a file is absent or damaged, has the wrong number of dimensions or dtype, or the
        files differ in the number of rows.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crossent import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "train-images-idx3-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 3, *[0, 0, 0, 2] * 3, *range(8)]))
    ...     beside = path.with_name("train-labels-idx1-ubyte")
    ...     _ = beside.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 3]))
    ...     images, labels = datasets.read_idx_pair(path)
    >>> images.shape, labels
    ((2, 2, 2), array([7, 3]))
    """
    images_path = Path(images)
    image_array = read_idx(images_path)
    labels_path = labels_file(images_path) if labels is None else Path(labels)
    label_array = read_idx(labels_path)
    _check_pair(image_array, label_array, (images_path, labels_path))
    return image_array, label_array.astype(np.int64)


def _check_pair(
    images: npt.NDArray[Any], labels: npt.NDArray[Any], paths: tuple[Path, Path]
) -> None:
    """Refuse images and labels that do not fit each other."""
    images_path, labels_path = paths
    if images.ndim < 2:
        message = (
            f"{images_path}: images need at least two dimensions (rows and pixels), found shape "
            f"{images.shape}. Give the images' file; the labels' file is found beside it."
        )
        raise DatasetError(message)
    if labels.ndim != 1 or labels.dtype.kind not in "ui":
        message = (
            f"{labels_path}: labels must be integers in one dimension, found {labels.dtype} of "
            f"shape {labels.shape}."
        )
        raise DatasetError(message)
    if len(images) != len(labels):
        message = (
            f"{images_path} holds {len(images)} images and {labels_path} holds {len(labels)} "
            "labels; each image needs one. The files do not belong together."
        )
        raise DatasetError(message)
    if not images.size:
        message = f"{images_path}: there are no pixels: the images' shape is {images.shape}."
        raise DatasetError(message)


def labels_file(images: Path, /) -> Path:
    """The labels' file beside an images' file: train-images-idx3… → train-labels-idx1…."""
    name = images.name
    if "images" not in name:
        message = (
            f"{images}: the labels' file cannot be found, because the rule needs 'images' in the "
            "name ('train-images-idx3-ubyte.gz' has its labels in 'train-labels-idx1-ubyte.gz'). "
            "Rename the two files."
        )
        raise DatasetError(message)
    wanted = _renamed(images, ("images", "labels"), ("idx3", "idx1"))
    found = _with_or_without_gz(wanted)
    if found is None:
        message = f"{wanted}: no such file; it should hold the labels of {images}."
        raise DatasetError(message)
    return found


def held_out_images_file(images: Path, /) -> Path | None:
    """The test images' file beside train-images…: t10k-images… or test-images…, if there."""
    for word in ("t10k", "test"):
        wanted = _renamed(images, ("train", word))
        if wanted != images and (found := _with_or_without_gz(wanted)) is not None:
            return found
    return None


def _renamed(path: Path, *changes: tuple[str, str]) -> Path:
    """Path with words in its name exchanged."""
    name = path.name
    for old, new in changes:
        name = name.replace(old, new)
    return path.with_name(name)


def _with_or_without_gz(path: Path) -> Path | None:
    """The path, or the same with .gz put on or taken off, whichever is a file."""
    name = path.name
    other = name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz"
    return next((p for p in (path, path.with_name(other)) if p.is_file()), None)
