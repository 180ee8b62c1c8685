"""Rows held in memory: dense or CSR, with labels or distributions as targets."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.typing import Block, FloatArray

__all__ = ["ArraySource"]


@dataclass(frozen=True)
class ArraySource:
    """Rows of a dense array or of a ``scipy.sparse.csr_array``.

    Attributes
    ----------
    X : ndarray or csr_array, shape (n, d)
        float32 or float64, finite.
    targets : ndarray or csr_array
        Labels 0…q-1 (n,), or distributions (n, q) whose rows sum to 1.
    sample_weight : ndarray, shape (n,)
        float64, not negative, sum 1.
    n_classes : int
    offset : ndarray or None, shape (n, q)
    column_range : (ndarray, ndarray), shapes (d,)
        Smallest and largest value of each column.
    """

    X: Any
    targets: Any
    sample_weight: npt.NDArray[np.float64]
    n_classes: int
    offset: FloatArray | None
    column_range: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.X.shape[0])

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return int(self.X.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of X."""
        dtype: np.dtype[Any] = self.X.dtype
        return dtype

    @property
    def offset_width(self) -> float:
        """Largest max_j - min_j over the rows of the offset; 0 without one."""
        return 0.0 if self.offset is None else float(np.ptp(self.offset, axis=1).max())

    def blocks(self, rows: int | None, /) -> Iterator[Block]:
        """Consecutive blocks of at most `rows` rows; all rows are one block where that is None."""
        size = self.n_rows if rows is None else rows
        for start in range(0, self.n_rows, max(size, 1)):
            yield self._block(slice(start, min(start + size, self.n_rows)), start)

    def take(self, rows: npt.NDArray[np.intp] | slice, dtype: npt.DTypeLike, /) -> Block:
        """The given rows as one block, X cast to `dtype`."""
        block = self._block(rows, 0)
        return replace(block, X=block.X.astype(dtype, copy=False))

    def _block(self, rows: Any, first_row: int) -> Block:
        # All rows of a sparse X are the same object at every pass: a kernel keeps what it derives
        # from a matrix for as long as the object lives.
        whole = isinstance(rows, slice) and rows.indices(self.n_rows) == (0, self.n_rows, 1)
        return Block(
            X=self.X if whole else self.X[rows],
            targets=self.targets[rows],
            sample_weight=self.sample_weight[rows],
            offset=None if self.offset is None else self.offset[rows],
            first_row=first_row,
        )
