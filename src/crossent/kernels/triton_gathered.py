"""A product of which each group of rows takes its own part of the inner dimension.

    out_m = scale_m Σⱼ A_mj B_j  +  Σₛ outer_sm mean_sg        j over what the group g of m keeps

With A = E and B = W this is ∂X of a filter, with A = Eᵀ and B = scaled X its ∂W; the second sum
stands for what was left out, once for each sign.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from triton import language as tl

from crossent.kernels.triton_jit import cdiv, jit
from crossent.kernels.triton_tiles import product

__all__ = ["GatheredShape", "Kept", "StandIn", "gathered_product", "gathered_shape", "kept_lists"]


class GatheredShape(NamedTuple):
    """Rows of a group, columns and inner numbers that one program has at a time."""

    rows: int
    columns: int
    inner: int
    warps: int = 8
    stages: int = 3


class Kept(NamedTuple):
    """What each group keeps: its numbers first, (groups, inner), and how many, (groups,)."""

    numbers: Tensor
    counts: Tensor


class StandIn(NamedTuple):
    """What stands for the rest: outer (2, m) and mean (2, groups, columns)."""

    outer: Tensor
    mean: Tensor


def gathered_shape(x: Tensor) -> GatheredShape:
    """What suits the device and dtype of x."""
    if x.device.type == "cpu":
        return GatheredShape(16, 16, 32)
    major, _ = torch.cuda.get_device_capability(x.device)
    if x.dtype.itemsize <= 2:
        return GatheredShape(128, 256, 64) if major >= 9 else GatheredShape(128, 128, 32)
    return GatheredShape(128, 128, 32)


def kept_lists(kept: Tensor) -> Kept:
    """Numbers of what is True in each row, in order; nothing waits for a count.

    Parameters
    ----------
    kept : Tensor of bool, shape (groups, inner)
    """
    groups, inner = kept.shape
    places = kept.cumsum(dim=1) - 1
    numbers = torch.zeros((groups, inner + 1), dtype=torch.int32, device=kept.device)
    every = torch.arange(inner, dtype=torch.int32, device=kept.device).expand(groups, inner)
    # What is not kept is written one place beyond the end, over and over: nobody reads it.
    numbers.scatter_(1, places.where(kept, inner), every)
    return Kept(numbers, kept.sum(dim=1).to(torch.int32))


@jit
def _kernel(
    a: tl.tensor,
    b: tl.tensor,
    numbers: tl.tensor,
    counts: tl.tensor,
    scale: tl.tensor,
    outer: tl.tensor,
    mean: tl.tensor,
    out: tl.tensor,
    m: tl.tensor,
    columns: tl.tensor,
    groups: tl.tensor,
    numbers_stride: tl.tensor,
    a_row: tl.tensor,
    a_inner: tl.tensor,
    b_stride: tl.tensor,
    out_stride: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    INNER: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    group, tile = tl.program_id(0), tl.program_id(1)
    rows = group * ROWS + tl.arange(0, ROWS)
    cols = tile * COLUMNS + tl.arange(0, COLUMNS)
    row_in, col_in = (rows < m)[:, None], (cols < columns)[None, :]
    count = tl.load(counts + group)
    first = numbers + group.to(tl.int64) * numbers_stride
    total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for start in range(0, count, INNER):
        j = start + tl.arange(0, INNER)
        at = tl.load(first + j, mask=j < count, other=0).to(tl.int64)
        own = j < count
        a_at = rows.to(tl.int64)[:, None] * a_row + at[None, :] * a_inner
        left = tl.load(a + a_at, mask=row_in & own[None, :], other=0.0)
        b_at = at[:, None] * b_stride + cols[None, :]
        right = tl.load(b + b_at, mask=own[:, None] & col_in, other=0.0)
        total = product(left, right, total, PRECISION, tl.float32)
    if scale is not None:
        total *= tl.load(scale + rows, mask=rows < m, other=0.0)[:, None]
    for sign in tl.static_range(2):
        r = tl.load(outer + sign * m + rows, mask=rows < m, other=0.0)[:, None]
        mean_at = (sign * groups + group).to(tl.int64) * columns + cols
        total += r * tl.load(mean + mean_at, mask=cols < columns, other=0.0)[None, :]
    out_at = rows.to(tl.int64)[:, None] * out_stride + cols[None, :]
    tl.store(out + out_at, total.to(out.dtype.element_ty), mask=row_in & col_in)


def gathered_product(
    a: Tensor,
    b: Tensor,
    kept: Kept,
    stand_in: StandIn,
    shape: GatheredShape,
    *,
    rows: int,
    out: Tensor,
    scale: Tensor | None = None,
) -> None:
    """Write the product into `out`.

    Parameters
    ----------
    a : Tensor, shape (m, inner)
        Any strides.
    b : Tensor, shape (inner, columns)
        Rows contiguous.
    kept : Kept
    stand_in : StandIn
    shape : GatheredShape
    rows : int
        Rows of a group.
    out : Tensor, shape (m, columns)
    scale : Tensor of float32, shape (m,), optional
    """
    m, columns = out.shape
    groups = cdiv(m, rows)
    _kernel[(groups, cdiv(columns, shape.columns))](
        a, b, kept.numbers, kept.counts, scale, stand_in.outer, stand_in.mean, out,
        m, columns, groups, kept.numbers.stride(0), a.stride(0), a.stride(1), b.stride(0),
        out.stride(0),
        ROWS=rows, COLUMNS=shape.columns, INNER=shape.inner,
        PRECISION="widened" if a.device.type == "cpu" else "ieee",
        num_warps=shape.warps, num_stages=shape.stages,
    )  # fmt: skip
