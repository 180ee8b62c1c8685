"""What every loader and reader returns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Dataset"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows with classes, and what a reader of a report wants to know about them.

    Two data sets are equal only if they are the same object: comparing the arrays is left to
    those who want it.

    Attributes
    ----------
    name : str
    X_train : ndarray or polars.DataFrame, shape (n, d)
        float32 or float64; a frame where a table has columns that are no numbers, or gaps.
    y_train : ndarray, shape (n,) or (n, q)
        Labels: int64, booleans or strings; or distributions over the columns of `target`.
    X_test, y_test : as X_train and y_train, or None
        The test set that comes with the data; None where there is none.
    feature_names : tuple of str, length d
    class_names : tuple of str or None
        Display names of the classes, in the order of the sorted labels; None where the labels
        speak for themselves.
    image_shape : (int, int) or (int, int, 3) or None
        Height and width, and 3 for colours, if every row is an image; pixels in row-major order.
    preprocessing : str
        One sentence: what was done to the values of the source.
    description, licence, source : str
    target : tuple of str
        Name of the table's column that holds the class, or of those that hold the classes' votes.
    remarks : tuple of str
        Sentences: what a reader should know, such as how many rows were left out.
    names_train, names_test : tuple of str
        Of the rows, such as the files of images; empty if they have none.
    rows_train, rows_test : ndarray of int, or None
        Numbers of the rows in the source, from 0; None where all of it is there, in its order.

    Examples
    --------
    >>> from crossent import datasets
    >>> digits = datasets.load("digits")
    >>> digits.X_train.shape, digits.image_shape, digits.X_test is None
    ((1797, 64), (8, 8), True)
    """

    name: str
    X_train: Any
    y_train: npt.NDArray[Any]
    X_test: Any
    y_test: npt.NDArray[Any] | None
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...] | None
    image_shape: tuple[int, ...] | None
    preprocessing: str
    description: str
    licence: str
    source: str
    target: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    names_train: tuple[str, ...] = ()
    names_test: tuple[str, ...] = ()
    rows_train: npt.NDArray[np.intp] | None = None
    rows_test: npt.NDArray[np.intp] | None = None

    @property
    def classes(self) -> npt.NDArray[Any]:
        """The distinct training labels, sorted, or the names of the target columns, shape (q,)."""
        return np.unique(self.y_train) if self.y_train.ndim == 1 else np.array(self.target)
