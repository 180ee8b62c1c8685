"""What every loader and reader returns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.typing import FloatArray

__all__ = ["Dataset"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows with classes, and what a reader of a report wants to know about them.

    Two data sets are equal only if they are the same object: comparing the arrays is left to
    those who want it.

    Attributes
    ----------
    name : str
    X_train : ndarray, shape (n, d)
        float32 or float64.
    y_train : ndarray, shape (n,)
        Labels: int64, or strings.
    X_test, y_test : ndarray or None
        The test set that comes with the data; None where there is none.
    feature_names : tuple of str, length d
    class_names : tuple of str or None
        Display names of the classes, in the order of the sorted labels; None where the labels
        speak for themselves.
    image_shape : (int, int) or None
        Height and width, if every row is an image with its pixels in row-major order.
    preprocessing : str
        One sentence: what was done to the values of the source.
    description, licence, source : str

    Examples
    --------
    >>> from crossent import datasets
    >>> digits = datasets.load("digits")
    >>> digits.X_train.shape, digits.image_shape, digits.X_test is None
    ((1797, 64), (8, 8), True)
    """

    name: str
    X_train: FloatArray
    y_train: npt.NDArray[Any]
    X_test: FloatArray | None
    y_test: npt.NDArray[Any] | None
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...] | None
    image_shape: tuple[int, int] | None
    preprocessing: str
    description: str
    licence: str
    source: str

    @property
    def classes(self) -> npt.NDArray[Any]:
        """The distinct training labels, sorted, shape (q,)."""
        return np.unique(self.y_train)
