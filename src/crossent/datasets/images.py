"""Data sets of images: MNIST and Fashion-MNIST by name, or any pair of IDX files."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.datasets._files import verified
from crossent.datasets.catalogue import UNTOUCHED, describe
from crossent.datasets.dataset import Dataset
from crossent.datasets.fetch import cache_folder, fetched
from crossent.datasets.idx import (
    held_out_images_file,
    parse_idx,
    read_idx_pair,
)
from crossent.errors import DatasetError
from crossent.typing import FloatArray

__all__ = ["image_rows", "load_images", "open_images", "pixel_names"]

ENVIRONMENT_VARIABLE = "CROSSENT_DATA"


@dataclass(frozen=True)
class Publication:
    """Where a data set's files are published, and the SHA-256 of their uncompressed content.

    The digests are of the uncompressed bytes, because mirrors compress anew.
    """

    mirrors: tuple[str, ...]
    sha256: dict[str, str]


FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

# MNIST: the bytes with the MD5 sums 6bbc9ace898e44ae57da46a324031adb,
# a25bea736e30d166cdddb491f175f624, 2646ac647ad5339dbf082846283269ea and
# 27ae3e4e09519cfbb04c329615203637 of the original publication. Fashion-MNIST: the content of
# the four files whose MD5 sums its authors list.
PUBLICATIONS = {
    "mnist": Publication(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        sha256=dict(
            zip(
                FILES,
                (
                    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                ),
                strict=True,
            )
        ),
    ),
    "fashion_mnist": Publication(
        mirrors=(
            # A website address of S3, which has no https; the digests make up for it.
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        sha256=dict(
            zip(
                FILES,
                (
                    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                ),
                strict=True,
            )
        ),
    ),
}


def load_images(name: str, data_home: str | os.PathLike[str] | None, /) -> Dataset:
    """MNIST or Fashion-MNIST: from CROSSENT_DATA, else from the cache, else fetched."""
    parts: dict[str, npt.NDArray[Any]] = {}
    for file in FILES:
        path, content = _content(name, file, data_home)
        parts[file] = parse_idx(content, path)
    facts = describe(name)
    X_train, shape, preprocessing = image_rows(parts[FILES[0]])
    X_test, _, _ = image_rows(parts[FILES[2]])
    return Dataset(
        name=name,
        X_train=X_train,
        y_train=parts[FILES[1]].astype(np.int64),
        X_test=X_test,
        y_test=parts[FILES[3]].astype(np.int64),
        feature_names=pixel_names(X_train.shape[1], shape),
        class_names=facts.class_names,
        image_shape=shape,
        preprocessing=preprocessing,
        description=facts.summary,
        licence=facts.licence,
        source=facts.source,
    )


def open_images(path: Path, /) -> Dataset:
    """Data set from an IDX images' file, its labels beside it, and a test pair if there."""
    images, y_train = read_idx_pair(path)
    X_train, shape, preprocessing = image_rows(images)
    X_test = y_test = None
    test_path = held_out_images_file(path)
    if test_path is not None:
        test_images, y_test = read_idx_pair(test_path)
        if test_images.shape[1:] != images.shape[1:]:
            message = (
                f"{test_path}: its images have shape {test_images.shape[1:]}, those of {path} "
                f"{images.shape[1:]}. The files do not belong together."
            )
            raise DatasetError(message)
        X_test, _, _ = image_rows(test_images)
    return Dataset(
        name=path.name.removesuffix(".gz"),
        X_train=X_train,
        y_train=y_train,
        X_test=X_test,
        y_test=y_test,
        feature_names=pixel_names(X_train.shape[1], shape),
        class_names=None,
        image_shape=shape,
        preprocessing=preprocessing,
        description=f"Images from IDX files, {len(X_train)} rows of {X_train.shape[1]} values.",
        licence="not stated",
        source=str(path),
    )


def _content(name: str, file: str, data_home: str | os.PathLike[str] | None) -> tuple[Path, bytes]:
    """Path and verified uncompressed content of one published file."""
    publication = PUBLICATIONS[name]
    sha256 = publication.sha256[file]
    given = _given_folder(name) if data_home is None else None
    if given is not None:
        path = given / f"{file}.gz"
        path = path if path.exists() else given / file
        if not path.exists():
            message = (
                f"{given}: neither '{file}.gz' nor '{file}' is there. Put the four files of "
                f"{name} into this folder, or unset {ENVIRONMENT_VARIABLE} to fetch them."
            )
            raise DatasetError(message)
        return path, verified(path, sha256)
    path = cache_folder(name, data_home) / f"{file}.gz"
    urls = tuple(f"{mirror}{file}.gz" for mirror in publication.mirrors)
    return path, fetched(path, sha256, urls=urls)


def _given_folder(name: str) -> Path | None:
    """The data set's folder in the folder that CROSSENT_DATA names, if it has one."""
    root = os.environ.get(ENVIRONMENT_VARIABLE)
    if not root:
        return None
    if not Path(root).is_dir():
        message = (
            f"{ENVIRONMENT_VARIABLE} is {root!r}, which is not a folder. Set it to the folder "
            f"that holds '{name}', or unset it."
        )
        raise DatasetError(message)
    folder = Path(root, name)
    return folder if folder.is_dir() else None


def image_rows(
    images: npt.NDArray[Any],
) -> tuple[FloatArray, tuple[int, int] | None, str]:
    """Rows (n, d), height and width if they are pictures, and what was done to the values.

    Bytes become float32 from 0 to 1, which is exact to half a unit of float32 and half as large
    as float64; everything else becomes float64 as it stands (float32 stays float32).
    """
    flat = images.reshape(len(images), -1)
    shape = images.shape[1:] if images.ndim == 3 else None
    if images.dtype == np.uint8:
        return np.divide(flat, 255, dtype=np.float32), shape, "Pixels are divided by 255."
    dtype = np.float32 if images.dtype == np.float32 else np.float64
    return flat.astype(dtype), shape, UNTOUCHED


def pixel_names(n_features: int, shape: tuple[int, ...] | None) -> tuple[str, ...]:
    """Name of each column: pixel_row_column, with the colour if there are three; or x0, x1, …."""
    if shape is None:
        return tuple(f"x{j}" for j in range(n_features))
    colours = ("",) if len(shape) == 2 else ("_red", "_green", "_blue")
    return tuple(
        f"pixel_{i}_{j}{c}" for i in range(shape[0]) for j in range(shape[1]) for c in colours
    )
