"""Labels to bytes with a model's probabilities, and back with the same model."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.coding import rans
from crossent.coding.quantise import check_precision, quantise_rows
from crossent.coding.symbols import check_end, is_worth_compiling, pop, push
from crossent.errors import CodeError, InputError
from crossent.labels.container import (
    LabelHeader,
    block_hash,
    labels_hash,
    read_header,
    write_file,
)
from crossent.labels.fingerprint import fingerprint
from crossent.linear_model.targets import is_soft, read_targets

__all__ = ["Encoded", "decode_labels", "encode", "encode_labels", "label_numbers"]

_BLOCK_ROWS = 16_384
"""Rows predicted together: a multiple of the 4096 in which `SoftmaxRegression` takes them."""
_BLOCK_ENTRIES = 2**23
"""Probabilities of a block at most: 64 MB."""


def encode_labels(model: Any, X: Any, y: Any, /, *, precision_bits: int | None = None) -> bytes:
    """The classes of rows as bytes, which `decode_labels` gives back to who has model and rows.

    Parameters
    ----------
    model : fitted classifier
        With ``predict_proba`` and ``classes_``: a `SoftmaxRegression`, a pipeline that ends in
        one, or any other of scikit-learn's.
    X : array-like, frame or sparse matrix, shape (n, d)
        What the model predicts from; the receiver needs the same.
    y : array-like, shape (n,)
        The class of each row, one of ``model.classes_``. A class to which the model gives
        probability 0 costs `precision_bits` bits.
    precision_bits : int, optional
        The probabilities are rounded to multiples of 2 to minus this power;
        `crossent.coding.default_precision` of q by default.

    Returns
    -------
    bytes
        Σ -log₂ p bits, with p the rounded probability of each row's class, at most 64 bits and
        0.1 % more, and a frame of 66 bytes and 8 for each block of 16,384 rows.

    Raises
    ------
    InputError
        The model gives no probabilities; y has another length than X, holds distributions or a
        class that the model does not know; `precision_bits` cannot be used.

    Notes
    -----
    A softmax is not the same to the last bit in another library or on another device. So the
    probabilities are rounded to whole counts, and a hash of each block's counts is sent along;
    `decode_labels` refuses where its own differ. Blocks have the same rows on both sides, because
    products of matrices can depend on the number of rows.

    Time: that of ``predict_proba``, and about 0.1 µs a row for q = 10. Memory: a block's
    probabilities, and one 32-bit word a row.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from crossent import SoftmaxRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SoftmaxRegression().fit(X, y)
    >>> coded = encode_labels(model, X, y)
    >>> len(coded), bool((decode_labels(model, X, coded) == y).all())
    (82, True)
    """
    return encode(model, X, y, precision_bits=precision_bits).data


def decode_labels(model: Any, X: Any, data: bytes, /) -> npt.NDArray[Any]:
    """The classes that `encode_labels` coded with the same model and the same rows.

    Parameters
    ----------
    model : fitted classifier
    X : array-like, frame or sparse matrix, shape (n, d)
    data : bytes

    Returns
    -------
    ndarray, shape (n,)
        Of the type of ``model.classes_``.

    Raises
    ------
    CodeError
        The data are of another kind or version, cut off or altered in any bit; were made with
        another model, another number of rows or other rows; or the model's probabilities, though
        from the same model, are not the same here. No label is ever returned then.
    InputError
        The model gives no probabilities, or `data` is not bytes.

    Examples
    --------
    >>> decode_labels(None, [[0.0]], b"not coded labels")
    Traceback (most recent call last):
    ...
    crossent.errors.CodeError: this is no file of coded labels: ...
    """
    header = read_header(data)
    classes = _classes(model)
    _check_match(header, model, X, len(classes))
    compiled = is_worth_compiling(header.n_labels, header.n_classes)
    state, words, position = rans.state_and_words(header.payload)
    labels = np.empty(header.n_labels, dtype=np.int64)
    for rows, expected in zip(
        _blocks(header.n_labels, header.block_rows), header.blocks, strict=True
    ):
        counts = _counts(model, X, rows, header.precision_bits, compiled)
        if block_hash(_as_bytes(counts)) != expected:
            raise CodeError(_other_probabilities(rows))
        labels[rows], state, position = pop(
            state, counts, header.precision_bits, words, position, compiled=compiled
        )
    check_end(state, words, position)
    if labels_hash(labels.astype("<i8").tobytes()) != header.labels:
        message = "the decoded labels do not have the hash that was sent along. Encode again."
        raise CodeError(message)
    return np.asarray(classes[labels])


@dataclass(frozen=True)
class Encoded:
    """Coded labels, and how many bits they should have taken.

    Attributes
    ----------
    data : bytes
        The file.
    payload_bits : int
        Of the coded labels without what surrounds them.
    rounded_bits : float
        Σ -log₂ of the rounded probabilities.
    """

    data: bytes
    payload_bits: int
    rounded_bits: float


def encode(model: Any, X: Any, y: Any, /, *, precision_bits: int | None = None) -> Encoded:
    """`encode_labels`, with the bits that it took. Raises InputError as that does.

    The last block comes first: what the coder is given last is decoded first.
    """
    classes = _classes(model)
    labels = label_numbers(y, classes, rows=_n_rows(X))
    q = len(classes)
    bits = check_precision(precision_bits, q)
    block_rows = _block_rows(q)
    compiled = is_worth_compiling(len(labels), q)
    state, rounded = rans.START, 0.0
    words, hashes = [], []
    for rows in reversed(list(_blocks(len(labels), block_rows))):
        counts = _counts(model, X, rows, bits, compiled)
        hashes.append(block_hash(_as_bytes(counts)))
        state, left = push(state, labels[rows], counts, bits, compiled=compiled)
        words.append(left)
        chosen = counts[np.arange(len(counts)), labels[rows]]
        rounded += float(np.sum(bits - np.log2(chosen.astype(np.float64))))
    header = LabelHeader(
        precision_bits=bits,
        n_classes=q,
        n_labels=len(labels),
        block_rows=block_rows,
        model=fingerprint(model),
        labels=labels_hash(labels.astype("<i8").tobytes()),
        blocks=tuple(reversed(hashes)),
        payload=rans.payload_of(state, words),
    )
    return Encoded(write_file(header), 8 * len(header.payload), rounded)


def label_numbers(y: Any, classes: npt.NDArray[Any], /, *, rows: int) -> npt.NDArray[np.int64]:
    """The place of each row's class among `classes`.

    Raises
    ------
    InputError
        There are not as many as rows; they are distributions; one is not a class of the model.

    Examples
    --------
    >>> label_numbers(["b", "a"], np.array(["a", "b"]), rows=2)
    array([1, 0])
    """
    if is_soft(y):
        message = "y holds distributions; a label is one class for each row. Pass class names."
        raise InputError(message)
    if rows == 0 and len(y) == 0:
        return np.empty(0, dtype=np.int64)
    return np.asarray(read_targets(y, classes, rows=rows).values, dtype=np.int64)


def _classes(model: Any) -> npt.NDArray[Any]:
    """The model's classes, if it gives them probabilities."""
    classes = getattr(model, "classes_", None)
    if classes is None or not hasattr(model, "predict_proba") or isinstance(classes, list):
        message = (
            f"a {type(model).__name__} cannot code labels; expected a fitted classifier of one "
            "output with `classes_` and `predict_proba`."
        )
        raise InputError(message)
    return np.asarray(classes)


def _check_match(header: LabelHeader, model: Any, X: Any, q: int) -> None:
    """Raise CodeError unless the labels were coded with this model and as many rows."""
    if header.n_classes != q or header.model != fingerprint(model):
        message = (
            f"the labels were coded with another model (fingerprint {header.model.hex()}, "
            f"{header.n_classes} classes; this one has {fingerprint(model).hex()} and {q} "
            "classes). Give the model that they were coded with."
        )
        raise CodeError(message)
    n = _n_rows(X)
    if header.n_labels != n:
        message = (
            f"{header.n_labels} labels were coded and X has {n} rows. Give the rows that they were "
            "coded with, in the same order."
        )
        raise CodeError(message)


def _other_probabilities(rows: slice) -> str:
    return (
        f"the model's probabilities for rows {rows.start} to {rows.stop - 1} are not those that "
        "the labels were coded with, so nothing can be decoded. Either the rows are other ones or "
        "in another order, or the same model computes differently here: decode with the same "
        "versions of the libraries, on the same kind of machine, and with the same type of X."
    )


def _block_rows(q: int) -> int:
    """Rows of a block for q classes."""
    return min(max(_BLOCK_ENTRIES // q, 1), _BLOCK_ROWS)


def _blocks(n: int, block_rows: int) -> Iterator[slice]:
    return (slice(at, min(at + block_rows, n)) for at in range(0, n, block_rows))


def _counts(model: Any, X: Any, rows: slice, bits: int, compiled: bool) -> npt.NDArray[np.uint32]:
    """The rounded probabilities of some rows."""
    part = X.iloc[rows] if hasattr(X, "iloc") else X[rows]
    probabilities = np.asarray(model.predict_proba(part))
    expected = (rows.stop - rows.start, len(model.classes_))
    if probabilities.shape != expected:
        message = (
            f"the model's probabilities for {expected[0]} rows and {expected[1]} classes have "
            f"shape {probabilities.shape}; it must be {expected}. Check `predict_proba`."
        )
        raise InputError(message)
    return quantise_rows(probabilities, bits, compiled=compiled)


def _as_bytes(counts: npt.NDArray[np.uint32]) -> bytes:
    return counts.astype("<u4", copy=False).tobytes()


def _n_rows(X: Any) -> int:
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)
