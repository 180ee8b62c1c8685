"""Arrays in files: embeddings in .npy, .npz and safetensors, mapped into memory if they can be."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.datasets.dataset import Dataset
from crossent.datasets.table import labels_of
from crossent.errors import DatasetError, InputError

__all__ = ["is_array_file", "open_arrays", "read_array", "read_labels"]

_SUFFIXES = (".npy", ".npz", ".safetensors")


def is_array_file(path: str | os.PathLike[str], /) -> bool:
    """Whether a path names a file of arrays, by its suffix.

    Examples
    --------
    >>> is_array_file("train.npy"), is_array_file("train.csv")
    (True, False)
    """
    return Path(path).suffix.lower() in _SUFFIXES


def read_array(
    path: str | os.PathLike[str], /, *, key: str | None = None, ndim: int = 2
) -> npt.NDArray[Any]:
    """One array of a file.

    Parameters
    ----------
    path : path-like
        ``.npy`` and safetensors are mapped: rows are read when they are used. ``.npz`` is read
        whole.
    key : str, optional
        Name of the array in ``.npz`` and safetensors; by default the only one with `ndim` axes.
    ndim : int, default=2

    Returns
    -------
    ndarray
        Of numbers (or, with one axis, of text). bfloat16 becomes float32.

    Raises
    ------
    DatasetError
        The file is absent, empty or damaged, or holds Python objects.
    InputError
        There is no such array, or several that could be meant; the arrays are listed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "x.npz")
    ...     np.savez(path, X=np.eye(2), y=np.array([0, 1]))
    ...     read_array(path).shape, read_array(path, ndim=1).tolist()
    ((2, 2), [0, 1])
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".safetensors":
            return _from_safetensors(path, key, ndim)
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(found, np.ndarray):
            array = found
        else:
            with found:
                # Reading a member costs as much as looking at its shape.
                arrays = {name: found[name] for name in found.files if key in (None, name)}
            array = arrays[_chosen({name: a.shape for name, a in arrays.items()}, key, ndim, path)]
    except (OSError, EOFError, ValueError, struct.error) as error:
        if isinstance(error, InputError | DatasetError):
            raise
        reason = str(getattr(error, "strerror", None) or error).rstrip(".")
        message = f"{path}: cannot be read as an array: {reason}. Write it with numpy.save."
        raise DatasetError(message) from error
    if array.ndim != ndim:
        what = "a row for each example" if ndim == 2 else "a label for each row"
        message = f"{path} has an array of shape {array.shape}; expected {ndim} axes, {what}."
        raise InputError(message)
    if array.dtype.kind not in ("fiub" if ndim == 2 else "fiubU"):
        message = f"{path} holds {array.dtype}, which are no numbers."
        raise InputError(message)
    return array


def _from_safetensors(path: Path, key: str | None, ndim: int) -> npt.NDArray[Any]:
    """A tensor, mapped from the file: its header says where each begins."""
    try:
        import safetensors
    except ImportError as error:
        message = (
            f"{path}: safetensors is not installed. Install it with "
            "`pip install 'crossent[safetensors]'`."
        )
        raise DatasetError(message) from error
    try:
        with safetensors.safe_open(path, framework="np") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        message = f"{path}: the file is damaged: {error}. Copy it again."
        raise DatasetError(message) from error
    name = _chosen(shapes, key, ndim, path)
    return _mapped(path, name)


def _mapped(path: Path, name: str) -> npt.NDArray[Any]:
    """The bytes of one tensor; the library has checked the header."""
    types = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2"}
    types |= {"I8": "i1", "U8": "u1", "BOOL": "?", "BF16": "<u2"}
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        entry = json.loads(file.read(length))[name]
    if entry["dtype"] not in types:
        message = f"{path}: tensor {name!r} is of type {entry['dtype']}. Convert it to float32."
        raise InputError(message)
    shape, start = tuple(entry["shape"]), 8 + length + entry["data_offsets"][0]
    if 0 in shape:
        return np.zeros(shape, types[entry["dtype"]])
    array = np.memmap(path, types[entry["dtype"]], "r", offset=start, shape=shape)
    if entry["dtype"] == "BF16":  # the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _chosen(shapes: dict[str, tuple[int, ...]], key: str | None, ndim: int, path: Path) -> str:
    """Name of the array that is meant."""
    listed = ", ".join(f"{name!r} {shape}" for name, shape in shapes.items()) or "none"
    if key is not None:
        if key not in shapes:
            message = f"{path} has no array {key!r}; it has {listed}."
            raise InputError(message)
        return key
    fitting = [name for name, shape in shapes.items() if len(shape) == ndim]
    if len(fitting) != 1:
        message = (
            f"{path} has {len(fitting)} arrays with {ndim} axes ({listed}). Say which is meant by "
            "its name (--key, --label-key)."
        )
        raise InputError(message)
    return fitting[0]


def read_labels(path: str | os.PathLike[str], /, *, key: str | None = None) -> npt.NDArray[Any]:
    """Labels from an array, or from a text file with one label a line.

    Returns
    -------
    ndarray, shape (n,)
        int64, booleans or text.

    Raises
    ------
    DatasetError, InputError
        As `read_array`; a line is empty.
    """
    path = Path(path)
    if is_array_file(path):
        labels = np.asarray(read_array(path, key=key, ndim=1))
        if labels.dtype.kind == "f":
            whole = labels.astype(np.int64)
            if not np.array_equal(whole, labels):
                row = int(np.flatnonzero(whole != labels)[0])
                message = f"{path}: label {labels[row]} in row {row} is not a whole number."
                raise InputError(message)
            return whole
        return labels.astype(np.int64) if labels.dtype.kind in "iu" else labels
    try:
        cells = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}."
        raise DatasetError(message) from error
    cells = [cell.strip() for cell in cells]
    return labels_of(cells, range(1, len(cells) + 1), "label", path)


def open_arrays(
    rows: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    /,
    *,
    key: str | None = None,
    label_key: str | None = None,
) -> Dataset:
    """Data set from an array of rows and one of labels, which may be in the same file.

    Parameters
    ----------
    rows, labels : path-like
        See `read_array` and `read_labels`.
    key, label_key : str, optional
        Names of the arrays, where a file has several.

    Returns
    -------
    Dataset
        float32 and float64 stay what they are, and mapped; anything else becomes float32.

    Raises
    ------
    DatasetError, InputError
        As `read_array`; or there are not as many labels as rows.
    """
    X, y = read_array(rows, key=key), read_labels(labels, key=label_key)
    if len(X) != len(y):
        message = f"{rows} has {len(X)} rows and {labels} {len(y)} labels; they must be as many."
        raise InputError(message)
    kept = X.dtype in (np.float32, np.float64) and X.dtype.isnative
    return Dataset(
        name=Path(rows).stem,
        X_train=X if kept else X.astype(np.float32),
        y_train=y,
        X_test=None,
        y_test=None,
        feature_names=tuple(f"x{j}" for j in range(X.shape[1])),
        class_names=None,
        image_shape=None,
        preprocessing="Values are used as they are in the file.",
        description=f"An array of {len(X)} rows and {X.shape[1]} columns of {X.dtype}.",
        licence="not stated",
        source=str(rows),
    )
