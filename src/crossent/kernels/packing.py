"""How a row of d features is cut into vectors, and W with it.

Two ways. *Overlapping*: the last vector is the row's last numbers and overlaps the one before; X
is read where it lies. *Padded*: rows are copied to blocks whose width is a whole number of vectors;
for data in Fortran order, which must be transposed anyway, and for rows shorter than a vector.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.kernels.records import aligned_zeros

__all__ = ["Packing", "packing_of"]


@dataclass(frozen=True)
class Packing:
    """Vectors of one row.

    Attributes
    ----------
    d : int
        Features.
    lanes : int
        Numbers in a vector.
    copied : bool
        Padded if true, overlapping if false.
    """

    d: int
    lanes: int
    copied: bool

    @property
    def vectors(self) -> int:
        """Vectors of a row."""
        return -(-self.d // self.lanes)

    @property
    def width(self) -> int:
        """Numbers in a packed row."""
        return self.vectors * self.lanes

    @property
    def full(self) -> int:
        """Vectors at multiples of their length."""
        return self.vectors if self.copied else self.d // self.lanes

    @property
    def tail(self) -> int:
        """First feature of the overlapping vector; -1 if there is none."""
        return -1 if self.full == self.vectors else self.d - self.lanes

    @property
    def _pieces(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """(packed, plain) columns of what lies at multiples of a vector, and of the rest."""
        if self.copied:
            return (slice(0, self.d), slice(0, self.d)), (slice(0, 0), slice(0, 0))
        whole = self.full * self.lanes
        left = self.d - whole
        return (slice(0, whole), slice(0, whole)), (
            slice(self.width - left, self.width),
            slice(whole, self.d),
        )

    def pack(self, W: npt.NDArray[np.float64], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """W (q, d) in the packed layout, zeros in overlap and padding."""
        packed = aligned_zeros((W.shape[0], self.width), dtype)
        for there, here in self._pieces:
            packed[:, there] = W[:, here]
        return packed

    def add_unpacked(
        self, packed: npt.NDArray[np.float64], scale: float, out: npt.NDArray[np.float64]
    ) -> None:
        """Add `scale` times a packed gradient to `out` (q, d)."""
        for there, here in self._pieces:
            out[:, here] += scale * packed[:, there]


def packing_of(X: npt.NDArray[Any], lanes: int) -> Packing:
    """Overlapping if features are contiguous and a row fills a vector, else padded."""
    contiguous = X.strides[1] == X.itemsize or X.shape[1] == 1
    return Packing(X.shape[1], lanes, not contiguous or X.shape[1] < lanes)
