"""Folders of images: ``training/0…9/*.png`` with ``testing/…``, or ``class/*.jpg``."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.datasets.dataset import Dataset
from crossent.datasets.images import image_rows, pixel_names
from crossent.datasets.table import labels_of
from crossent.errors import DatasetError
from crossent.typing import FloatArray

__all__ = ["holds_images_only", "open_image_folder", "read_images"]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
_TRAINING = ("training", "train")
_TESTING = ("testing", "test", "validation", "valid", "val")
_GREY = {"1", "L", "LA", "La"}
_MOST_THREADS = 8


@dataclass(frozen=True)
class _Files:
    """Images of one set, with the name of the folder that each lies in."""

    paths: list[Path]
    classes: list[str]


def open_image_folder(folder: Path, /, *, size: tuple[int, int] | None) -> Dataset:
    """Data set from a folder of images whose folders are the classes.

    Parameters
    ----------
    folder : Path
        With a folder for each class, or with ``training`` (``train``) and ``testing`` (``test``,
        ``valid``, …) that have them. Hidden files, and files whose names do not end as images' do,
        are passed over, and counted in `Dataset.remarks`.
    size : (int, int) or None
        Height and width to which the images are stretched (Lanczos); None: all have one size.

    Returns
    -------
    Dataset
        Pixels from 0 to 1, float32. Grey if all images are, else red, green and blue beside each
        other; what is transparent counts as it is painted. Cameras' marks of orientation are
        obeyed. Labels are int64 if every folder's name is an integer.

    Raises
    ------
    DatasetError
        There are no images; one does not decode (it is named); they differ in size and no `size`
        is given; or Pillow is not installed.
    """
    parts = {path.name.lower(): path for path in _folders(folder)}
    training = next((parts[name] for name in _TRAINING if name in parts), None)
    testing = next((parts[name] for name in _TESTING if name in parts), None)
    if training is None:
        training, testing = folder, None
    files, skipped = _classified(training)
    test_files, more = _classified(testing) if testing is not None else (None, 0)
    X, shape = read_images(files.paths, size=size)
    X_test = None
    if test_files is not None:
        X_test, test_shape = read_images(
            test_files.paths, size=(shape[0], shape[1]), colours=len(shape) == 3
        )
        if test_shape != shape:
            message = f"{testing}: its images are coloured, those of {training} grey."
            raise DatasetError(message)
    remarks = f"{skipped + more} files that are no images were passed over."
    return Dataset(
        name=folder.resolve().name,
        X_train=X,
        y_train=_labels(files, folder),
        X_test=X_test,
        y_test=None if test_files is None else _labels(test_files, folder),
        feature_names=pixel_names(X.shape[1], shape),
        class_names=None,
        image_shape=shape,
        preprocessing=_preprocessing(size, shape),
        description=f"A folder of {len(X)} images of {shape[0]} by {shape[1]} pixels.",
        licence="not stated",
        source=str(folder),
        remarks=(remarks,) if skipped + more else (),
        names_train=tuple(str(path.relative_to(folder)) for path in files.paths),
        names_test=()
        if test_files is None
        else tuple(str(path.relative_to(folder)) for path in test_files.paths),
    )


def holds_images_only(folder: Path, /) -> list[Path]:
    """The images directly in a folder, if there are any; a folder of classes has none."""
    return [path for path in sorted(folder.iterdir()) if _is_image(path)]


def read_images(
    paths: Sequence[Path], /, *, size: tuple[int, int] | None, colours: bool | None = None
) -> tuple[FloatArray, tuple[int, ...]]:
    """Images as rows of pixels, decoded by several threads.

    Parameters
    ----------
    paths : sequence of Path
    size : (int, int) or None
        Height and width.
    colours : bool, optional
        Whether to keep red, green and blue; by default if any image has them.

    Returns
    -------
    X : ndarray of float32, shape (n, height·width) or (n, height·width·3)
    shape : (height, width) or (height, width, 3)

    Raises
    ------
    DatasetError
        As `open_image_folder`.
    """
    _require_pillow()
    if not paths:
        message = "there are no images to read."
        raise DatasetError(message)
    stop = threading.Event()

    def decode(path: Path) -> npt.NDArray[np.uint8]:
        if stop.is_set():
            return np.zeros((1, 1), dtype=np.uint8)
        try:
            return _decoded(path, size)
        except DatasetError:
            stop.set()  # the first error is enough
            raise

    n_threads = min(_MOST_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(n_threads) as pool:
        images = list(pool.map(decode, paths))
    _check_sizes(images, paths)
    coloured = any(image.ndim == 3 for image in images) if colours is None else colours
    stack = np.stack([_with_colours(image) if coloured else _grey(image) for image in images])
    return image_rows(stack)[0], stack.shape[1:]


def _require_pillow() -> None:
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        message = "Images need Pillow. Install it with `pip install 'crossent[images]'`."
        raise DatasetError(message) from error


def _decoded(path: Path, size: tuple[int, int] | None) -> npt.NDArray[np.uint8]:
    """One image, shape (height, width) or (height, width, 3)."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            image: Any = ImageOps.exif_transpose(file)
            if image.mode.startswith("I;16"):
                image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
            image = image.convert("L" if image.mode in _GREY else "RGB")
            if size is not None and image.size != size[::-1]:
                image = image.resize(size[::-1], Image.Resampling.LANCZOS)
            return np.asarray(image)
    except (
        OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError
    ) as error:  # fmt: skip
        why = "it is no image that Pillow knows" if _is_unknown(error) else str(error)
        message = f"{path}: the image cannot be decoded: {why}. Remove it, or write it again."
        raise DatasetError(message) from error


def _is_unknown(error: Exception) -> bool:
    return type(error).__name__ == "UnidentifiedImageError"


def _check_sizes(images: Sequence[npt.NDArray[np.uint8]], paths: Sequence[Path]) -> None:
    """All images have one size."""
    first = images[0].shape[:2]
    for image, path in zip(images, paths, strict=True):
        if image.shape[:2] != first:
            height, width = image.shape[:2]
            message = (
                f"{path} has {height} by {width} pixels, and {paths[0]} {first[0]} by {first[1]}. "
                "Say to which size all are to be brought: --image-size HEIGHTxWIDTH."
            )
            raise DatasetError(message)


def _with_colours(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def _grey(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Luma of ITU-R 601-2, as Pillow has it."""
    if image.ndim == 2:
        return image
    from PIL import Image

    return np.asarray(Image.fromarray(image).convert("L"))


def _folders(folder: Path) -> list[Path]:
    return [
        path for path in sorted(folder.iterdir()) if path.is_dir() and path.name[:1] not in "._"
    ]


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith((".", "_"))
    return path.is_file() and path.suffix.lower() in _SUFFIXES and not hidden


def _classified(folder: Path) -> tuple[_Files, int]:
    """Images of each class's folder, and how many other files there are."""
    found, skipped = _Files([], []), 0
    for inner in _folders(folder):
        for path in sorted(inner.rglob("*")):
            if _is_image(path):
                found.paths.append(path)
                found.classes.append(inner.name)
            else:
                skipped += path.is_file() and not path.name.startswith(".")
    if not found.paths:
        message = (
            f"{folder}: no folder in it holds images ({', '.join(sorted(_SUFFIXES))}). Put the "
            "images of each class into a folder with its name."
        )
        raise DatasetError(message)
    return found, skipped


def _labels(files: _Files, folder: Path) -> npt.NDArray[Any]:
    """The folders' names; int64 if all are integers."""
    return labels_of(files.classes, range(len(files.classes)), "folder", folder)


def _preprocessing(size: tuple[int, int] | None, shape: tuple[int, ...]) -> str:
    grey = "grey" if len(shape) == 2 else "red, green and blue"
    stretched = "" if size is None else f"Images are stretched to {size[0]} by {size[1]} pixels. "
    return f"{stretched}Pixels ({grey}) are divided by 255."
