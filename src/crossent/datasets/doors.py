"""The two ways in: a data set by its name, and whatever a name or a path stands for."""

import os
from dataclasses import replace
from pathlib import Path

from crossent.datasets._arrow import require_tables, tables_installed
from crossent.datasets._files import first_bytes
from crossent.datasets.array_files import is_array_file
from crossent.datasets.bundled import load_bundled
from crossent.datasets.catalogue import describe, names, nearest
from crossent.datasets.dataset import Dataset
from crossent.datasets.image_folders import open_image_folder
from crossent.datasets.images import load_images, open_images
from crossent.datasets.reading import Reading
from crossent.datasets.table import read_csv
from crossent.datasets.tabular import read_table
from crossent.errors import DatasetError, InputError

__all__ = ["is_table", "load", "open_dataset"]


def load(name: str, /, *, data_home: str | os.PathLike[str] | None = None) -> Dataset:
    """A named data set.

    "digits", "iris", "wine" and "breast_cancer" come with scikit-learn and have no test set.
    "mnist" and "fashion_mnist" are read from the folder that the environment variable
    ``CROSSENT_DATA`` names (``mnist/train-images-idx3-ubyte.gz`` and so on), else from the cache,
    else fetched; the SHA-256 of every file's uncompressed content is verified each time.

    Parameters
    ----------
    name : str
        One of `crossent.datasets.names`.
    data_home : path-like, optional
        Folder for fetched files, in which each data set has a folder of its own; ``CROSSENT_DATA``
        is then not looked at. By default the user's cache folder for crossent.

    Returns
    -------
    Dataset
        Labels are int64. Pixels are divided by their largest value (digits: 16, float64;
        the others: 255, float32), and `Dataset.preprocessing` says so.

    Raises
    ------
    DatasetError
        If the name is unknown, a file is damaged, or fetching fails; the message says what to do.

    Examples
    --------
    >>> from crossent import datasets
    >>> iris = datasets.load("iris")
    >>> iris.X_train.shape, iris.class_names
    ((150, 4), ('setosa', 'versicolor', 'virginica'))
    """
    return load_bundled(name) if describe(name).bundled else load_images(name, data_home)


def open_dataset(
    name_or_path: str | os.PathLike[str],
    /,
    *,
    target: str | None = None,
    reading: Reading | None = None,
    data_home: str | os.PathLike[str] | None = None,
) -> Dataset:
    """The data set that a name, a CSV table's path or an IDX images' path stands for.

    Parameters
    ----------
    name_or_path : str or path-like
        A name that `load` takes (a file of the same name is reached as ``./iris``); the path
        of an IDX file of images, whose labels are found beside it (``train-images…`` →
        ``train-labels…``) as is a test pair (``t10k-images…`` or ``test-images…``); a folder
        of images whose folders are the classes, in ``training`` and ``testing`` or not; or the
        path of a table: CSV or TSV, compressed or not, Parquet or Arrow. What a file is, is read
        from its first bytes.
    target : str, optional
        Name of the table's target column; by default the last one. Only for tables.
    reading : Reading, optional
        What else is to be known about a table; `target` may be said there as well.
    data_home : path-like, optional
        As for `load`.

    Returns
    -------
    Dataset
        Of a table with columns that are no numbers, or gaps, the rows are a polars frame: see
        `crossent.features.TableEncoder`.

    Raises
    ------
    DatasetError
        If there is neither a data set nor a file of that name, or the file cannot be read.
    InputError
        If `target` is given for data without columns to choose from, or names none of them.

    Examples
    --------
    >>> from crossent import datasets
    >>> datasets.open_dataset("wine").X_train.shape
    (178, 13)
    """
    how = reading or Reading()
    how = how if target is None else replace(how, target=target)
    if name_or_path in names():
        _refuse_options(how, f"the data set {name_or_path!r}")
        return load(str(name_or_path), data_home=data_home)
    path = Path(name_or_path)
    if path.is_dir():
        _refuse_options(how, f"the folder {path}")
        return open_image_folder(path, size=how.image_size)
    if not path.exists():
        raise DatasetError(_absence(str(name_or_path), path))
    if is_array_file(path):
        message = f"{path} is a file of arrays, which has no classes. Use: crossent probe {path}"
        raise DatasetError(message)
    if first_bytes(path, 2) == b"\x00\x00":
        _refuse_options(how, f"the images in {path}")
        return open_images(path)
    if tables_installed():
        return read_table(path, how)
    if how != Reading(target=how.target):
        require_tables()
    return read_csv(path, target=how.target)


def is_table(name_or_path: str | os.PathLike[str], /) -> bool:
    """Whether `open_dataset` would read this as a table: a file that is not one of images.

    Examples
    --------
    >>> from crossent import datasets
    >>> datasets.is_table("iris")
    False
    """
    if name_or_path in names() or not os.path.isfile(name_or_path):
        return False
    return not is_array_file(name_or_path) and first_bytes(Path(name_or_path), 2) != b"\x00\x00"


def _refuse_options(reading: Reading, subject: str) -> None:
    """Refuse a target column, and whatever else is about columns, where there are none."""
    if reading.target is not None:
        message = (
            f"target={reading.target!r} was given, but {subject} has its own labels; a target "
            "column is chosen only in a table. Leave it out."
        )
        raise InputError(message)
    if reading.is_of_tables:
        message = f"columns were named, but {subject} has none to choose from. Leave them out."
        raise InputError(message)


def _absence(word: str, path: Path) -> str:
    """Message for a name that is neither a data set nor a file, with the nearest ones."""
    if path.name == word and not path.suffix:
        offer = nearest(word, names())
        return (
            f"{word!r} is neither a data set nor a file{offer} The data sets are "
            f"{', '.join(names())}; anything else is taken as a path."
        )
    if not path.parent.is_dir():
        return f"{word}: no such file: the folder {str(path.parent)!r} does not exist."
    beside = tuple(sorted(entry.name for entry in path.parent.iterdir() if entry.is_file()))
    return f"{word}: no such file{nearest(path.name, beside)}"
