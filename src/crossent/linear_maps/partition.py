"""Columns dealt out to blocks whose widths differ by one at most."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crossent.typing import FloatArray

__all__ = ["Partition"]


@dataclass(frozen=True)
class Partition:
    """`size` columns in `parts` consecutive blocks; the first size mod parts are one wider.

    Attributes
    ----------
    size : int
    parts : int
        At most `size`.
    """

    size: int
    parts: int

    @property
    def width(self) -> int:
        """Width of the widest block."""
        return -(-self.size // self.parts)

    @property
    def widths(self) -> npt.NDArray[np.intp]:
        """Width of every block."""
        narrow, wide = divmod(self.size, self.parts)
        return np.where(np.arange(self.parts) < wide, narrow + 1, narrow)

    @property
    def used(self) -> npt.NDArray[np.bool_]:
        """(parts, width): False where the padding is."""
        return np.asarray(np.arange(self.width) < self.widths[:, None])

    @property
    def is_even(self) -> bool:
        """Whether all blocks have one width."""
        return self.size % self.parts == 0

    def split(self, X: FloatArray) -> FloatArray:
        """(n, size) to (n, parts, width), padded with zeros."""
        n = len(X)
        if self.is_even:
            return X.reshape(n, self.parts, self.width)
        result = np.zeros((n, self.parts, self.width), dtype=X.dtype)
        wide = self.size % self.parts
        border = wide * self.width
        result[:, :wide] = X[:, :border].reshape(n, wide, self.width)
        result[:, wide:, :-1] = X[:, border:].reshape(n, self.parts - wide, self.width - 1)
        return result

    def join(self, blocks: FloatArray) -> FloatArray:
        """(n, parts, width) to (n, size); what stands in the padding is dropped."""
        n = len(blocks)
        if self.is_even:
            return blocks.reshape(n, self.size)
        wide = self.size % self.parts
        return np.concatenate(
            [blocks[:, :wide].reshape(n, -1), blocks[:, wide:, :-1].reshape(n, -1)], axis=1
        )
