"""A fitted model as one file: sealed, written in one step, and loaded without running code.

A model file is a skops file (a zip archive with a JSON schema and NumPy arrays) with one member
more, ``crossent.json``, which says which version wrote it, and a seal in the archive's comment:
the SHA-256 of every byte before it. Loading checks the seal first, so that truncation and any
flipped bit, also in parts of a zip archive that no reader looks at, is found before anything is
interpreted. The seal is no signature: against a forger stands that skops builds only the types
listed here and those that it trusts by default (NumPy's, SciPy's and scikit-learn's own).
"""

import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import sklearn
import skops
import skops.io
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from skops.io.exceptions import UnsupportedTypeException, UntrustedTypesFoundException

from crossent import __version__
from crossent.errors import InputError, ModelFileError
from crossent.persistence.likeness import difference
from crossent.persistence.writing import write_atomically

__all__ = ["FORMAT", "TRUSTED", "load", "save"]

FORMAT = 1
"""Number of the file format: raised when an older crossent could not read a newer file."""

TRUSTED = (
    "crossent.calibration.calibrated.Calibrated",
    "crossent.calibration.calibrator.Calibrator",
    "crossent.calibration.temperature.Temperature",
    "crossent.certificate.Certificate",
    "crossent.certificate.TracePoint",
    "crossent.choice.alternatives.ChoiceTable",
    "crossent.choice.bradley_terry.BradleyTerry",
    "crossent.choice.comparisons.Cells",
    "crossent.choice.comparisons.Comparisons",
    "crossent.choice.conditional_logit.ConditionalLogit",
    "crossent.choice.design.PairDesign",
    "crossent.choice.fitting.Fitted",
    "crossent.choice.fitting.Model",
    "crossent.choice.outcomes.OutcomeTable",
    "crossent.choice.pair_fit.PairFit",
    "crossent.choice.plackett_luce.PlackettLuce",
    "crossent.choice.plackett_luce.RankingFit",
    "crossent.choice.rankings.Stages",
    "crossent.features.column_kinds.Column",
    "crossent.features.fastfood.FastfoodFeatures",
    "crossent.features.table_encoder.TableEncoder",
    "crossent.linear_maps.block_diagonal.BlockDiagonal",
    "crossent.linear_maps.block_diagonal.Monarch",
    "crossent.linear_maps.dense.Dense",
    "crossent.linear_maps.dense.LowRank",
    "crossent.linear_maps.fastfood.Fastfood",
    "crossent.linear_maps.phm.PHM",
    "crossent.linear_maps.toeplitz.Circulant",
    "crossent.linear_maps.toeplitz.Toeplitz",
    "crossent.linear_maps.toeplitz_like.ToeplitzLike",
    "crossent.linear_model.softmax_regression.SoftmaxRegression",
    "crossent.linear_model.softmax_regression_cv.SoftmaxRegressionCV",
    "crossent.linear_model.schema.Schema",
    "crossent.objectives.choice_sets.ChoiceSets",
    "crossent.objectives.choice_sets.Layer",
    "crossent.objectives.choice_sets.LocalRows",
)
"""Our types that a model file may hold. Names, because naming them needs no import.

A `Status` is in a file only as its name inside a Certificate, which converts it itself: skops
cannot rebuild an enum's member, and the sentence that is its value may be reworded.
"""

_OTHERS = (
    "numpy.dtype",  # scikit-learn's imputers keep one; it is read off an empty array
    # What `cv` may be; these hold nothing but numbers, and skops does not list them.
    "sklearn.model_selection._split.GroupKFold",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.RepeatedKFold",
    "sklearn.model_selection._split.RepeatedStratifiedKFold",
    "sklearn.model_selection._split.ShuffleSplit",
    "sklearn.model_selection._split.StratifiedGroupKFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.StratifiedShuffleSplit",
    "sklearn.model_selection._split.TimeSeriesSplit",
)
_HEADER = "crossent.json"
_SEAL = b"crossent sha256 "
_DIGEST_LENGTH = 64
_DAMAGED = "Copy it again from where it was saved, or fit and save the model again."
_FOREIGN = "Give a file that `crossent.save` wrote."

# What zipfile, json, skops and NumPy raise for contents that make no sense to them: a damaged or
# forged file, or one whose classes have since changed.
_CONTENT_ERRORS = (
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,  # also recursion, encryption, and compression that zipfile does not know
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def save(model: BaseEstimator, path: str | os.PathLike[str], /) -> None:
    """Write a model to one file, which `load` gives back with every fitted value bit-equal.

    The file appears under its name complete or not at all: it is written beside the place,
    flushed to the disk, and renamed. An existing file is replaced only then. Callbacks are not
    part of a model and are left out.

    Parameters
    ----------
    model : scikit-learn estimator
        A `crossent.SoftmaxRegression`, or a pipeline or other scikit-learn estimator with one
        inside.
    path : path-like
        By custom it ends in ``.skops``.

    Raises
    ------
    InputError
        If the model is no estimator; if it holds something that cannot be saved or that `load`
        would refuse, such as a function of your own; if a value would not come back to the
        bit, which is tried before anything is written; or if `path` is something other than a file.
    OSError
        If the file cannot be written; what stood there before is unharmed.

    See Also
    --------
    load

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import crossent
    >>> from sklearn.linear_model import LogisticRegression
    >>> model = LogisticRegression().fit([[0.0], [1.0], [3.0]], ["no", "no", "yes"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.skops")
    ...     crossent.save(model, path)
    ...     again = crossent.load(path)
    >>> again.predict([[2.5]])
    array(['yes'], dtype='<U3')
    """
    if not isinstance(model, BaseEstimator):
        message = (
            f"a {type(model).__name__} cannot be saved; expected a scikit-learn estimator such as "
            "crossent.SoftmaxRegression."
        )
        raise InputError(message)
    model = _without_callbacks(model)
    data = _sealed(_archive(model), _header(model))
    _try_out(data, model)
    write_atomically(path, data)


def load(path: str | os.PathLike[str], /) -> Any:
    """The model in a file that `save` wrote.

    No code from the file is run: its schema is read, every type in it is compared with the
    list of those trusted, and only then are objects built.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    scikit-learn estimator
        As it was saved.

    Raises
    ------
    ModelFileError
        If the file is empty, truncated or has a flipped bit; was written in another format
        (the message says by which version); is a pickle, another zip archive or a skops file
        that is not ours; or holds types that are not trusted, which are named.
    FileNotFoundError, IsADirectoryError, PermissionError
        If the file cannot be opened.

    Warns
    -----
    sklearn.exceptions.InconsistentVersionWarning
        If scikit-learn's own estimators in the file were saved with another version of it.

    See Also
    --------
    save
    """
    path = Path(path)
    return _opened(path.read_bytes(), path)


def _archive(model: BaseEstimator) -> bytes:
    """The model as skops writes it, refused if `load` would refuse it."""
    try:
        archive: bytes = skops.io.dumps(model, compression=zipfile.ZIP_DEFLATED)
        foreign = _foreign_types(archive)
    except (UnsupportedTypeException, RecursionError, TypeError, ValueError) as error:
        message = f"the {type(model).__name__} holds something that cannot be saved: {error}"
        raise InputError(message) from error
    if foreign:
        message = (
            f"the {type(model).__name__} holds types that are not trusted in a model file: "
            f"{', '.join(foreign)}. Take them out of the model; what can be saved is made of "
            "crossent's, scikit-learn's, SciPy's and NumPy's types."
        )
        raise InputError(message)
    return archive


def _try_out(data: bytes, model: BaseEstimator) -> None:
    """Refuse a model that its file does not give back: skops loses a few things without a word.

    In skops 0.16 the key False of a dictionary comes back as True, 1 and "1" as one key, and a
    member of a string enum as a string.
    """
    name = type(model).__name__
    try:
        place = difference(_opened(data, Path(name)), model, name)
    except ModelFileError as error:
        message = f"the {name} cannot be saved, because it could not be loaded: {error.__cause__}"
        raise InputError(message) from error
    if place is not None:
        message = (
            f"{place} would not come back from a file as it is. Keys of dictionaries must be "
            "strings or numbers (0 and 1 for False and True, which are equal to them), and types "
            "Python's or NumPy's own."
        )
        raise InputError(message)


def _without_callbacks(model: BaseEstimator) -> BaseEstimator:
    """A shallow copy without scikit-learn's callbacks, which are foreign types and of no use.

    So it is for the steps of a pipeline.
    """
    attributes = {key: value for key, value in vars(model).items() if key != "_skl_callbacks"}
    if isinstance(model, Pipeline):
        attributes["steps"] = [
            (name, _without_callbacks(step) if isinstance(step, BaseEstimator) else step)
            for name, step in model.steps
        ]
    bare: BaseEstimator = object.__new__(type(model))
    vars(bare).update(attributes)
    return bare


def _foreign_types(archive: bytes) -> list[str]:
    """Names of the archive's types that are neither ours nor trusted by skops."""
    found = skops.io.get_untrusted_types(data=archive)
    return sorted(set(found) - {*TRUSTED, *_OTHERS})


def _header(model: BaseEstimator) -> bytes:
    """The member that says what wrote the file."""
    kind = type(model)
    facts = {
        "format": FORMAT,
        "crossent": __version__,
        "model": f"{kind.__module__}.{kind.__qualname__}",
        "libraries": {
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "scipy": scipy.__version__,
            "skops": skops.__version__,
        },
    }
    return json.dumps(facts, indent=2).encode()


def _sealed(archive: bytes, header: bytes) -> bytes:
    """The archive with the header as one more member, and the digest of everything at its end.

    Every format keeps this: the last 64 bytes are the SHA-256, in hexadecimal, of all others.
    """
    buffer = io.BytesIO(archive)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as members:
        members.writestr(_HEADER, header)
        members.comment = _SEAL + b"0" * _DIGEST_LENGTH
    return _with_digest(buffer.getvalue()[:-_DIGEST_LENGTH])


def _with_digest(content: bytes) -> bytes:
    """Bytes followed by their SHA-256 in hexadecimal."""
    return content + hashlib.sha256(content).hexdigest().encode()


def _opened(data: bytes, path: Path) -> Any:
    """The model in the bytes of a file; `path` is for messages."""
    if not data:
        message = f"{path}: the file is empty (0 bytes). {_DAMAGED}"
        raise ModelFileError(message)
    if not data[:-_DIGEST_LENGTH].endswith(_SEAL):
        message = f"{path}: {_unsealed(data)}"
        raise ModelFileError(message)
    if _with_digest(data[:-_DIGEST_LENGTH]) != data:
        message = (
            f"{path}: the model file is damaged: its {len(data)} bytes do not have the SHA-256 "
            f"that it was sealed with. {_DAMAGED}"
        )
        raise ModelFileError(message)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as members:
            header = json.loads(members.read(_HEADER))
        written, version = header["format"], header["crossent"]
    except _CONTENT_ERRORS as error:
        message = f"{path}: the model file has no readable header ({error}). {_FOREIGN}"
        raise ModelFileError(message) from error
    if written != FORMAT:
        message = (
            f"{path}: written by crossent {version} in format {written}; this is crossent "
            f"{__version__}, which reads format {FORMAT}. Use crossent {version}, or fit and save "
            "again."
        )
        raise ModelFileError(message)
    return _rebuilt(data, version, path)


def _rebuilt(data: bytes, version: str, path: Path) -> Any:
    """The object in a sealed archive, if all its types are trusted."""
    try:
        return skops.io.loads(data, trusted=[*TRUSTED, *_OTHERS])
    except UntrustedTypesFoundException as error:
        foreign = ", ".join(_foreign_types(data))
        message = (
            f"{path}: the file holds types that are not trusted: {foreign}. Nothing was loaded. "
            f"{_FOREIGN}"
        )
        raise ModelFileError(message) from error
    except _CONTENT_ERRORS as error:
        message = (
            f"{path}: the model, written by crossent {version}, cannot be rebuilt by crossent "
            f"{__version__} ({type(error).__name__}: {error}). Use crossent {version}, or fit and "
            "save again."
        )
        raise ModelFileError(message) from error


def _unsealed(data: bytes) -> str:
    """What a file without our seal seems to be, and what to do."""
    begins = data[:8].hex(" ")
    # The first byte of every pickle since protocol 2, followed by the protocol.
    if data[0] == 0x80:
        return (
            "this is a pickle (or joblib) file. It is not opened, because opening a pickle runs "
            f"whatever code is in it. {_FOREIGN}"
        )
    if not data.startswith(b"PK\x03\x04"):
        return f"not a model file: it begins with the bytes {begins}. {_FOREIGN}"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as members:
            names = set(members.namelist())
    except _CONTENT_ERRORS as error:
        return (
            f"the model file is damaged or truncated: it ends after {len(data)} bytes without its "
            f"seal ({error}). {_DAMAGED}"
        )
    if _HEADER in names:
        return f"the model file is damaged: its seal is gone or was altered. {_DAMAGED}"
    if "schema.json" in names:
        return f"a skops file, but not one that crossent wrote. {_FOREIGN}"
    return f"a zip archive, but not a model file. {_FOREIGN}"
