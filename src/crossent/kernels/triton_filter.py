"""Passes over stored exponentials that decide what can be left out, and what it sums to."""

from typing import NamedTuple

import torch
from torch import Tensor
from triton import language as tl

from crossent.kernels.triton_jit import cdiv, jit
from crossent.kernels.triton_tiles import product

__all__ = ["FilterShape", "Peaks", "column_peaks", "dropped_columns", "level_masses"]

_SPLITS = 16
"""Parts that a long loop is cut into, so that there are programs enough for a GPU."""


class FilterShape(NamedTuple):
    """Rows that drop the same classes, and classes that one program reads at a time."""

    rows: int
    classes: int


class Peaks(NamedTuple):
    """Of each group of rows: largest probability, and sums by sign; (groups, q), (2, groups, q)."""

    largest: Tensor
    sums: Tensor


@jit
def _tile(
    e: tl.tensor,
    rows: tl.tensor,
    cols: tl.tensor,
    n: tl.tensor,
    q: tl.tensor,
    stride: tl.tensor,
) -> tl.tensor:
    inside = (rows < n)[:, None] & (cols < q)[None, :]
    at = rows.to(tl.int64)[:, None] * stride + cols[None, :]
    return tl.load(e + at, mask=inside, other=0.0)


@jit
def _peaks_kernel(
    e: tl.tensor,
    probability: tl.tensor,
    scale: tl.tensor,
    largest: tl.tensor,
    sums: tl.tensor,
    n: tl.tensor,
    q: tl.tensor,
    stride: tl.tensor,
    groups: tl.tensor,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
) -> None:
    group, tile = tl.program_id(0), tl.program_id(1)
    rows, cols = group * ROWS + tl.arange(0, ROWS), tile * CLASSES + tl.arange(0, CLASSES)
    values = _tile(e, rows, cols, n, q, stride).to(tl.float32)
    p = tl.load(probability + rows, mask=rows < n, other=0.0)[:, None]
    v = tl.load(scale + rows, mask=rows < n, other=0.0)[:, None]
    at = group.to(tl.int64) * q + cols
    tl.store(largest + at, tl.max(values * p, axis=0), mask=cols < q)
    tl.store(sums + at, tl.sum(values * tl.maximum(v, 0.0), axis=0), mask=cols < q)
    other = at + groups.to(tl.int64) * q
    tl.store(sums + other, tl.sum(values * tl.minimum(v, 0.0), axis=0), mask=cols < q)


@jit
def _levels_kernel(
    e: tl.tensor,
    level: tl.tensor,
    out: tl.tensor,
    n: tl.tensor,
    q: tl.tensor,
    stride: tl.tensor,
    per_split: tl.tensor,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
    LEVELS: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    group, split = tl.program_id(0), tl.program_id(1)
    rows, names = group * ROWS + tl.arange(0, ROWS), 1 + tl.arange(0, LEVELS)
    total = tl.zeros((ROWS, LEVELS), dtype=tl.float32)
    first = split * per_split
    for start in range(0, per_split, CLASSES):
        cols = first + start + tl.arange(0, CLASSES)
        own = cols < tl.minimum(q, first + per_split)
        values = _tile(e, rows, tl.where(own, cols, q), n, q, stride)
        at = group.to(tl.int64) * q + cols
        of = tl.load(level + at, mask=own, other=0).to(tl.int32)
        belongs = tl.where(of[:, None] == names[None, :], 1.0, 0.0).to(values.dtype)
        total = product(values, belongs, total, PRECISION, tl.float32)
    at = (split.to(tl.int64) * n + rows)[:, None] * LEVELS + tl.arange(0, LEVELS)[None, :]
    tl.store(out + at, total, mask=(rows < n)[:, None])


@jit
def _dropped_kernel(
    e: tl.tensor,
    scale: tl.tensor,
    dropped: tl.tensor,
    out: tl.tensor,
    n: tl.tensor,
    q: tl.tensor,
    stride: tl.tensor,
    per_split: tl.tensor,
    splits: tl.tensor,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
) -> None:
    tile, split = tl.program_id(0), tl.program_id(1)
    cols = tile * CLASSES + tl.arange(0, CLASSES)
    above = tl.zeros((CLASSES,), dtype=tl.float32)
    below = tl.zeros((CLASSES,), dtype=tl.float32)
    for start in range(0, per_split, ROWS):
        rows = split * per_split + start + tl.arange(0, ROWS)
        own = rows < tl.minimum(n, (split + 1) * per_split)
        gone = tl.load(dropped + tile.to(tl.int64) * n + rows, mask=own, other=0) != 0
        v = tl.where(gone, tl.load(scale + rows, mask=own, other=0.0), 0.0)[:, None]
        values = _tile(e, tl.where(own, rows, n), cols, n, q, stride).to(tl.float32)
        above += tl.sum(values * tl.maximum(v, 0.0), axis=0)
        below += tl.sum(values * tl.minimum(v, 0.0), axis=0)
    at = split.to(tl.int64) * q + cols
    tl.store(out + at, above, mask=cols < q)
    tl.store(out + splits.to(tl.int64) * q + at, below, mask=cols < q)


def column_peaks(e: Tensor, probability: Tensor, scale: Tensor, shape: FilterShape) -> Peaks:
    """What each group of rows gives a class at most, and altogether.

    Parameters
    ----------
    e : Tensor, shape (n, q)
    probability, scale : Tensor of float32, shape (n,)
        Probabilities are ``probability[:, None] * e``, gradients ``scale[:, None] * e``.
    shape : FilterShape
    """
    n, q = e.shape
    groups = cdiv(n, shape.rows)
    largest = e.new_empty((groups, q), dtype=torch.float32)
    sums = e.new_empty((2, groups, q), dtype=torch.float32)
    _peaks_kernel[(groups, cdiv(q, shape.classes))](
        e, probability, scale, largest, sums, n, q, e.stride(0), groups,
        ROWS=shape.rows, CLASSES=shape.classes,
    )  # fmt: skip
    return Peaks(largest, sums)


def level_masses(e: Tensor, level: Tensor, count: int, shape: FilterShape) -> Tensor:
    """Sums of each row over the classes of levels 1…count; (n, count), float32.

    Parameters
    ----------
    e : Tensor, shape (n, q)
    level : Tensor of int8, shape (groups, q)
    count : int
        A power of two, 16 at least.
    shape : FilterShape
    """
    n, q = e.shape
    groups = cdiv(n, shape.rows)
    per_split = shape.classes * cdiv(cdiv(q, shape.classes), _SPLITS)
    splits = cdiv(q, per_split)
    out = e.new_empty((splits, n, count), dtype=torch.float32)
    _levels_kernel[(groups, splits)](
        e, level, out, n, q, e.stride(0), per_split,
        ROWS=shape.rows, CLASSES=shape.classes, LEVELS=count,
        PRECISION="widened" if e.device.type == "cpu" else "ieee",
    )  # fmt: skip
    return out.sum(dim=0)


def dropped_columns(e: Tensor, scale: Tensor, dropped: Tensor, shape: FilterShape) -> Tensor:
    """Sums over the rows that a tile of classes drops, by sign; (2, q), float32.

    Parameters
    ----------
    e : Tensor, shape (n, q)
    scale : Tensor of float32, shape (n,)
    dropped : Tensor of int8, shape (tiles of classes, n)
    shape : FilterShape
    """
    n, q = e.shape
    per_split = shape.rows * cdiv(cdiv(n, shape.rows), _SPLITS)
    splits = cdiv(n, per_split)
    out = e.new_empty((2, splits, q), dtype=torch.float32)
    _dropped_kernel[(cdiv(q, shape.classes), splits)](
        e, scale, dropped, out, n, q, e.stride(0), per_split, splits,
        ROWS=shape.rows, CLASSES=shape.classes,
    )  # fmt: skip
    return out.sum(dim=1)
