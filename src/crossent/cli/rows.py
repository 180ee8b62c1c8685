"""Which rows a command works on: opened by name or path, and split for a test."""

import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.cli.tables import Wanted, labelled_rows
from crossent.datasets import Dataset, Reading, is_table, open_dataset, tables_installed
from crossent.errors import InputError

__all__ = [
    "Part",
    "Split",
    "check_classes_known",
    "feature_names",
    "part_of",
    "select_features",
    "split_rows",
]

_DEFAULT_SHARE = 0.25


@dataclass(frozen=True)
class Split:
    """Data with rows to fit and rows to test.

    Attributes
    ----------
    data : Dataset
        Without test rows if none are wanted.
    kind : {"given", "file", "fraction", "none"}
    sentence : str
        Where the test rows come from.
    """

    data: Dataset
    kind: str
    sentence: str


@dataclass(frozen=True)
class Part:
    """Rows of a data set to evaluate or predict.

    Attributes
    ----------
    X : ndarray, shape (n, d)
    y : ndarray, shape (n,), or None
    sentence : str
        Which rows they are.
    names : tuple of str or None
        Of the rows, such as the files of images.
    """

    X: npt.NDArray[Any]
    y: npt.NDArray[Any] | None
    sentence: str
    names: tuple[str, ...] | None = None


def split_rows(data: Dataset, test: str | None, *, reading: Reading, seed: int) -> Split:
    """Decide which rows test the model.

    Parameters
    ----------
    data : Dataset
    test : str or None
        A share of the rows between 0 and 1 (0: no test), or a file. None: the test set that comes
        with the data, else a quarter of the rows.
    reading : Reading
        How a file is to be read.
    seed : int
        Of the generator that picks the share.
    """
    share = _share(test)
    if share is None and test is not None:
        split = _with_file(data, test, reading)
        check_classes_known(split, test)
        return split
    if share is None and data.X_test is not None:
        check_classes_known(Split(data, "given", ""), f"the test set of {data.name}")
        return Split(data, "given", f"{len(data.X_test)} rows of its own test set")
    if share == 0:
        alone = replace(data, X_test=None, y_test=None)
        return Split(alone, "none", "no rows held out: nothing below says how new rows would fare")
    return _held_out(data, _DEFAULT_SHARE if share is None else share, seed)


def part_of(data: Dataset, part: str, /) -> Part:
    """The rows named by `part`: "train", "test", "all", or "auto": test rows if there are any."""
    if part == "test" and data.X_test is None:
        message = f"{data.name} has no test rows. Use --part all."
        raise InputError(message)
    if data.X_test is None or part == "train":
        which = "training rows" if data.X_test is not None else "rows"
        sentence = f"{len(data.y_train)} {which} of {data.name}"
        return Part(data.X_train, data.y_train, sentence, data.names_train or None)
    if part == "all":
        X = _stacked(data.X_train, data.X_test)
        y = np.concatenate([data.y_train, np.asarray(data.y_test)])
        names = (*data.names_train, *data.names_test)
        return Part(X, y, f"all {len(X)} rows of {data.name}", names or None)
    sentence = f"{len(data.X_test)} test rows of {data.name}"
    return Part(data.X_test, data.y_test, sentence, data.names_test or None)


def _stacked(first: Any, second: Any) -> Any:
    """Two arrays or two frames, one below the other."""
    return first.vstack(second) if hasattr(first, "vstack") else np.concatenate([first, second])


def feature_names(model: Any, /) -> tuple[str, ...] | None:
    """Names of the columns that a model was fitted to; None if they had none."""
    names = getattr(getattr(model, "schema_", None), "names", None)
    if names is None:
        names = getattr(model, "feature_names_in_", None)
    return None if names is None else tuple(map(str, names))


def select_features(
    model: Any, X: npt.NDArray[Any], names: tuple[str, ...], /, *, source: str
) -> npt.NDArray[Any]:
    """The columns that the model was fitted to, in its order, found by their names.

    Where the model knows no names, their number must agree.

    Raises
    ------
    InputError
        A column is missing, or their number differs.
    """
    wanted = feature_names(model)
    if wanted is None:
        if X.shape[1] != model.n_features_in_:
            message = (
                f"{source} has {X.shape[1]} features and the model was fitted to "
                f"{model.n_features_in_}. Give data with the same columns."
            )
            raise InputError(message)
        return X
    return _in_order(X, names, wanted, source, "the model")


def _in_order(
    X: npt.NDArray[Any],
    names: tuple[str, ...],
    wanted: tuple[str, ...],
    source: str,
    wanted_by: str,
) -> npt.NDArray[Any]:
    """The wanted columns of X, in the order wanted."""
    missing = [name for name in wanted if name not in names]
    if missing:
        close = difflib.get_close_matches(missing[0], names, n=1)
        offer = f" (there is {close[0]!r})" if close else ""
        message = (
            f"{source} has no column {missing[0]!r}{offer}; {len(missing)} of the {len(wanted)} "
            f"features of {wanted_by} are missing. Give data with the same columns."
        )
        raise InputError(message)
    if names == wanted:
        return X
    return X[:, [names.index(name) for name in wanted]]


def _share(test: str | None) -> float | None:
    """The share that `test` names; None if it is no number."""
    try:
        share = float(test or "")
    except ValueError:
        return None
    if not 0 <= share < 1:
        message = f"--test {test}: a share of the rows must be at least 0 and less than 1."
        raise InputError(message)
    return share


def _with_file(data: Dataset, path: str, reading: Reading) -> Split:
    """Test rows from a file like the training data's."""
    if is_table(path) and tables_installed():
        form = "numbers" if isinstance(data.X_train, np.ndarray) else "cells"
        wanted = Wanted(data.feature_names, form, data.name)
        named = reading if reading.target_columns else replace(reading, target=data.target[0])
        found = labelled_rows(path, named, wanted)
        sentence = f"{len(found.y)} rows of {Path(path).name}"
        sentence += f" ({found.dropped} without a class were left out)" if found.dropped else ""
        return _tested(data, sentence, X=found.X, y=found.y, rows=found.rows, names=())
    shape = data.image_shape
    size = (shape[0], shape[1]) if shape is not None and os.path.isdir(path) else None
    other = open_dataset(path, reading=replace(reading, image_size=size))
    X = _in_order(other.X_train, other.feature_names, data.feature_names, path, data.name)
    sentence = f"{len(other.y_train)} rows of {Path(path).name}"
    return _tested(data, sentence, X=X, y=other.y_train, rows=None, names=other.names_train)


def _tested(data: Dataset, sentence: str, *, X: Any, y: Any, rows: Any, names: Any) -> Split:
    """The data with test rows from a file."""
    whole = replace(data, X_test=X, y_test=y, rows_test=rows, names_test=names)
    return Split(whole, "file", sentence)


def check_classes_known(split: Split, source: str, /) -> None:
    """Raise an InputError if the test rows have a class that no training row has."""
    y = np.asarray(split.data.y_test)
    if y.ndim != 1 or split.data.y_train.ndim != 1:
        return
    unknown = ~np.isin(y, split.data.y_train)
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        place = row if split.data.rows_test is None else int(split.data.rows_test[row])
        n_classes = len(np.unique(y[unknown]))
        message = (
            f"{source}: row {place} has class {y[row].item()!r}, which no training row has "
            f"({unknown.sum()} rows of {n_classes} such classes). A model gives such a class no "
            "probability: leave those rows out, or add training rows."
        )
        raise InputError(message)


def _held_out(data: Dataset, share: float, seed: int) -> Split:
    """Hold out a share of each class, at least one row of each and never all."""
    rng = np.random.default_rng(seed)
    names = data.y_train if data.y_train.ndim == 1 else data.classes[data.y_train.argmax(axis=1)]
    classes, labels, counts = np.unique(names, return_inverse=True, return_counts=True)
    if counts.min() < 2 and data.y_train.ndim == 1:
        lonely = classes[counts.argmin()]
        message = (
            f"Class {lonely} has a single row, which cannot be both fitted and tested. "
            "Add rows, leave the class out, or fit without a test: --test 0."
        )
        raise InputError(message)
    test = np.zeros(labels.size, dtype=bool)
    for label, count in enumerate(counts):
        size = min(max(round(share * count), 1), count - 1)
        test[rng.permutation(np.flatnonzero(labels == label))[:size]] = True
    X, y = data.X_train, data.y_train
    fit, held = np.flatnonzero(~test), np.flatnonzero(test)  # frames take numbers of rows
    known = np.arange(labels.size) if data.rows_train is None else data.rows_train
    named = np.array(data.names_train, dtype=object)
    split = replace(
        data,
        X_train=X[fit],
        y_train=y[fit],
        X_test=X[held],
        y_test=y[held],
        rows_train=known[fit],
        rows_test=known[held],
        names_train=tuple(named[fit]) if named.size else (),
        names_test=tuple(named[held]) if named.size else (),
    )
    sentence = f"{test.sum()} rows held out, {share:g} of each class, seed {seed}"
    return Split(split, "fraction", sentence)
