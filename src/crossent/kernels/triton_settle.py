"""Multiply rows of stored exponentials by a number each, where one is marked."""

from torch import Tensor
from triton import language as tl

from crossent.kernels.triton_jit import TileShape, cdiv, jit
from crossent.kernels.triton_tiles import place

__all__ = ["scale_rows"]


@jit
def _kernel(
    e: tl.tensor,
    factor: tl.tensor,
    marked: tl.tensor,
    n: tl.tensor,
    q: tl.tensor,
    e_stride: tl.tensor,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
    GROUP: tl.constexpr,
) -> None:
    row_tile, column_tile = place(tl.program_id(0), n, q, ROWS, CLASSES, GROUP)
    if tl.load(marked + row_tile) == 0:
        return
    rows, cols = row_tile * ROWS + tl.arange(0, ROWS), column_tile * CLASSES + tl.arange(0, CLASSES)
    both = (rows < n)[:, None] & (cols < q)[None, :]
    at = rows.to(tl.int64)[:, None] * e_stride + cols[None, :]
    f = tl.load(factor + rows, mask=rows < n, other=0.0)[:, None]
    # 0 times an exponential that overflowed is 0: such a row has no weight.
    old = tl.where(f == 0.0, 0.0, tl.load(e + at, mask=both, other=0.0).to(f.dtype))
    scaled = old * f
    tl.store(e + at, scaled.to(e.dtype.element_ty), mask=both)


def scale_rows(e: Tensor, factor: Tensor, marked: Tensor, shape: TileShape) -> None:
    """Multiply rows by their factors, in place.

    Parameters
    ----------
    e : Tensor, shape (n, q)
    factor : Tensor, shape (n,)
    marked : Tensor of int32, shape (tiles of rows,)
        Only tiles with a number other than 0 are touched, see `redo_rows`; nothing waits for it.
    shape : TileShape
    """
    n, q = e.shape
    if n == 0:
        return
    _kernel[(cdiv(n, shape.rows) * cdiv(q, shape.classes),)](
        e, factor.contiguous(), marked, n, q, e.stride(0),
        ROWS=shape.rows, CLASSES=shape.classes, GROUP=shape.group, num_warps=shape.warps,
    )  # fmt: skip
