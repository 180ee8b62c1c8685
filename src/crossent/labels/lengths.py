"""What labels cost: with a model, with their frequencies, with nothing, and compressed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.coding import digits_needed
from crossent.coding.compressors import gzip_bytes, zstd_bytes
from crossent.functional import entropy
from crossent.labels.transmission import Encoded, encode, label_numbers

__all__ = ["CodeLengths", "code_lengths"]


@dataclass(frozen=True)
class CodeLengths:
    """Bits of all labels together, one way and another.

    Attributes
    ----------
    n_labels, n_classes : int
    wire_bits : int
        The file that `encode_labels` makes, with all that surrounds the labels.
    payload_bits : int
        The coded labels in it.
    rounded_bits : float
        Σ -log₂ of the rounded probabilities: what the coder was asked for.
    model_bits : float
        Σ -log₂ p with the model's own probabilities, n times its cross-entropy; inf if it gives
        one of the labels none.
    frequency_bits : float
        n times the entropy of the classes' frequencies among these labels. A code for it would
        have to send the frequencies too.
    fixed_bits : int
        ⌈log₂ q⌉ bits a label.
    gzip_bits : int
        The label file, one label after the other in as few bytes as hold q - 1, after gzip -9.
    zstd_bits : int or None
        The same after zstd -19; None if that library is not installed.
    """

    n_labels: int
    n_classes: int
    wire_bits: int
    payload_bits: int
    rounded_bits: float
    model_bits: float
    frequency_bits: float
    fixed_bits: int
    gzip_bits: int
    zstd_bits: int | None

    def rows(self) -> list[tuple[str, float | None, float | None]]:
        """Name, bits in all and bits for each label (None if there is no label) of each way."""
        ways = [
            ("on the wire", self.wire_bits),
            ("of it the coded labels", self.payload_bits),
            ("mean -log₂ p of the model", self.model_bits),
            ("entropy of the frequencies", self.frequency_bits),
            ("fixed length", self.fixed_bits),
            ("gzip -9 of the label file", self.gzip_bits),
            ("zstd -19 of the label file", self.zstd_bits),
        ]
        n = self.n_labels
        return [(name, bits, bits / n if n and bits is not None else None) for name, bits in ways]


def code_lengths(model: Any, X: Any, y: Any, /, *, encoded: Encoded | None = None) -> CodeLengths:
    """What it takes to send the classes of rows, with a model and in other ways.

    Parameters
    ----------
    model : fitted classifier
    X : array-like, frame or sparse matrix, shape (n, d)
    y : array-like, shape (n,)
        As in `encode_labels`.
    encoded : Encoded, optional
        The labels as they were coded; they are coded here by default.

    Returns
    -------
    CodeLengths

    Raises
    ------
    InputError
        As `encode_labels`.

    Notes
    -----
    The model itself is not counted: both sides have it already. For rows that it was fitted to
    the figure is too good.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from crossent import SoftmaxRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> lengths = code_lengths(SoftmaxRegression().fit(X, y), X, y)
    >>> lengths.fixed_bits, round(lengths.frequency_bits, 1), lengths.payload_bits
    (300, 237.7, 64)
    """
    encoded = encode(model, X, y) if encoded is None else encoded
    classes = np.asarray(model.classes_)
    n = int(X.shape[0]) if hasattr(X, "shape") else len(X)
    labels = label_numbers(y, classes, rows=n)
    file = labels.astype(_smallest_type(len(classes))).tobytes()
    zstd = zstd_bytes(file)
    return CodeLengths(
        n_labels=len(labels),
        n_classes=len(classes),
        wire_bits=8 * len(encoded.data),
        payload_bits=encoded.payload_bits,
        rounded_bits=encoded.rounded_bits,
        model_bits=_model_bits(model, X, labels),
        frequency_bits=_frequency_bits(labels, len(classes)),
        fixed_bits=len(labels) * digits_needed(len(classes)),
        gzip_bits=8 * len(gzip_bytes(file)),
        zstd_bits=None if zstd is None else 8 * len(zstd),
    )


def _model_bits(model: Any, X: Any, labels: npt.NDArray[np.int64]) -> float:
    """Σ -log₂ p of the labels."""
    if not len(labels):
        return 0.0
    log_probabilities = model.predict_log_proba(X)
    chosen = log_probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.sum(chosen) / np.log(2)) + 0.0


def _frequency_bits(labels: npt.NDArray[np.int64], q: int) -> float:
    """Entropy of the frequencies, times the number of labels."""
    if not len(labels):
        return 0.0
    frequencies = np.bincount(labels, minlength=q) / len(labels)
    return float(len(labels) * entropy(frequencies, base=2))


def _smallest_type(q: int) -> np.dtype[Any]:
    """The smallest unsigned type that holds q - 1, little-endian."""
    return np.dtype(np.min_scalar_type(q - 1)).newbyteorder("<")
