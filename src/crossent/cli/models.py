"""A saved model, and the rows of any data set as it wants them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.cli.rows import Part, feature_names, part_of, select_features
from crossent.cli.tables import Wanted, labelled_rows, reading_of, rows_wanted, wanted_by
from crossent.datasets import (
    Reading,
    csv_columns,
    holds_images_only,
    is_array_file,
    is_table,
    open_dataset,
    pixel_names,
    read_array,
    read_csv_features,
    read_frame,
    read_images,
    tables_installed,
)
from crossent.errors import InputError
from crossent.inspection import classifier_of
from crossent.persistence import load

__all__ = [
    "in_the_models_terms",
    "labelled",
    "load_classifier",
    "reading_for",
    "rows_alone",
    "wanted_of",
    "whole_rows",
]


def load_classifier(path: Path, /) -> Any:
    """The fitted classifier, or pipeline that ends in one, in a model file."""
    model = load(path)
    if not (hasattr(model, "classes_") and hasattr(model, "predict_log_proba")):
        message = (
            f"{path} holds a {type(model).__name__}, which is not a fitted classifier with "
            "probabilities. Give a model that `crossent fit` has written."
        )
        raise InputError(message)
    return model


def wanted_of(model: Any, data: str) -> Wanted | None:
    """What the model wants of a table; None for data and models without names of columns."""
    if not (is_table(data) and tables_installed()):
        return None
    return wanted_by(model, feature_names(model))


def reading_for(model: Any, reading: Reading) -> Reading:
    """The reading, with the target and the size of images that the model remembers."""
    classifier = classifier_of(model)
    shape = getattr(getattr(classifier, "schema_", None), "image_shape", None)
    if shape is not None and reading.image_size is None:
        reading = replace(reading, image_size=tuple(shape[:2]))
    return reading_of(classifier, reading)


def _image_shape(model: Any) -> tuple[int, ...]:
    """Height and width, and 3 for colours, of the images that a model was fitted to."""
    shape = getattr(getattr(classifier_of(model), "schema_", None), "image_shape", None)
    if shape is None:
        message = "the model was not fitted to images: it cannot say what a folder of images shows."
        raise InputError(message)
    return tuple(shape)


def labelled(model: Any, data: str, reading: Reading, part: str) -> Part:
    """Rows with their classes, the columns as the model wants them."""
    wanted = wanted_of(model, data)
    if wanted is not None and part == "test":
        message = f"{_stem(data)} has no test rows. Use --part all."
        raise InputError(message)
    if wanted is not None:
        found = labelled_rows(Path(data), reading_for(model, reading), wanted)
        sentence = f"{len(found.y)} rows of {_stem(data)}"
        sentence += f" ({found.dropped} without a class were left out)" if found.dropped else ""
        return Part(found.X, in_the_models_terms(model, found.y), sentence)
    if is_table(data):
        reading = reading_for(model, reading)
    else:
        remembered = reading_for(model, Reading()).image_size
        reading = replace(reading, image_size=reading.image_size or remembered)
    opened = open_dataset(data, reading=reading)
    rows = part_of(opened, part)
    X = select_features(model, rows.X, opened.feature_names, source=data)
    return replace(rows, X=X, y=in_the_models_terms(model, rows.y))


def whole_rows(model: Any, data: str, reading: Reading, part: str) -> Part:
    """Rows with their classes, or without where a table or a folder does not have them."""
    if Path(data).is_dir() and (files := holds_images_only(Path(data))):
        shape = _image_shape(model)
        X, _ = read_images(files, size=(shape[0], shape[1]), colours=len(shape) == 3)
        X = select_features(model, X, pixel_names(X.shape[1], shape), source=data)
        return Part(X, None, data, tuple(path.name for path in files))
    if is_array_file(data):
        X = read_array(data)
        columns = tuple(f"x{j}" for j in range(X.shape[1]))
        return Part(select_features(model, X, columns, source=data), None, data)
    if reading.target is not None or not is_table(data):
        return labelled(model, data, reading, part)
    header = csv_columns(data)
    names = feature_names(model)
    last = len(header) == model.n_features_in_ if names is None else header[-1] in names
    target = reading_for(model, reading).target
    if not last and (target is None or target in header):
        return labelled(model, data, reading, part)
    X, found = read_csv_features(data)
    return Part(select_features(model, X, found, source=data), None, Path(data).name)


def rows_alone(model: Any, data: str, part: str) -> Any:
    """Rows as the model wants them, without their classes, which need not be there."""
    wanted = wanted_of(model, data)
    if wanted is not None:
        return rows_wanted(read_frame(data), wanted, source=data)
    return whole_rows(model, data, Reading(), part).X


def in_the_models_terms(model: Any, y: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
    """Cells "True" and "False" as booleans, and booleans as cells, if the model's classes are."""
    if y is None or y.ndim != 1:
        return y
    if y.dtype == np.bool_ and model.classes_.dtype.kind == "U":
        return np.where(y, "True", "False")
    if model.classes_.dtype != np.bool_ or not np.isin(y, ["True", "False"]).all():
        return _of_one_type(model, y)
    return np.asarray(y == "True")


def _of_one_type(model: Any, y: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers as text, where the model's classes are text: a part of a table may have no other."""
    if y.dtype.kind in "iu" and model.classes_.dtype.kind == "U":
        return y.astype(str)
    return y


def _stem(data: str) -> str:
    name = Path(data).name
    for suffix in (".gz", ".bz2", ".xz", ".zst", ".lz4", ".csv", ".tsv"):
        name = name.removesuffix(suffix)
    return name
