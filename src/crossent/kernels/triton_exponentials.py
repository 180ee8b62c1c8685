"""One product: exponentials of shifted logits and what each row's statistics need, no logits.

Each program has a tile of rows and classes. It writes partial sums of its own, which are added up
afterwards, so that the order of the sums, and with it every bit, is always the same.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from triton import language as tl

from crossent.kernels.triton_jit import (
    KernelLogits,
    TileShape,
    cdiv,
    flat,
    jit,
    leading,
    numbers_of,
    precision_of,
)
from crossent.kernels.triton_launch import operands
from crossent.kernels.triton_tiles import (
    capped_slope,
    is_at,
    logit_tile,
    place,
    shifted,
    target_tile,
)

__all__ = ["Asked", "Partial", "exponentials", "redo_rows"]


class Asked(NamedTuple):
    """What is wanted beside the sums.

    Attributes
    ----------
    labels : Tensor of int64, shape (n, k), or None
        Classes left out of all sums and stored as 0; −1 for none.
    spread : Tensor, shape (q,), or None
        u: asks for Σ u t.
    targets : Tensor, shape (n, q), or None
        y: asks for Σ c y t.
    target_weight : Tensor, shape (q,), or None
        c; None for ones.
    moment : bool
        Asks for Σ t eᵗ.
    top_k : int
    """

    labels: Tensor | None = None
    spread: Tensor | None = None
    targets: Tensor | None = None
    target_weight: Tensor | None = None
    moment: bool = False
    top_k: int = 0


class Partial(NamedTuple):
    """Sums over the classes of each tile, (tiles, n); with t in units of log 2.

    Attributes
    ----------
    total : Tensor
        Σ 2ᵗ over what is no label.
    largest : Tensor
        Largest t, labels included.
    moment, spread, targets : Tensor or None
    top_values, top_classes : Tensor, shape (tiles, n, top_k), or None
    """

    total: Tensor
    largest: Tensor
    moment: Tensor | None
    spread: Tensor | None
    targets: Tensor | None
    top_values: Tensor | None
    top_classes: Tensor | None


@jit
def _without_labels(
    values: tl.tensor,
    labels: tl.tensor,
    n_labels: tl.tensor,
    rows: tl.tensor,
    cols: tl.tensor,
    column: tl.tensor,
    n: tl.tensor,
    CLASSES: tl.constexpr,
) -> tl.tensor:
    """Zero at the labels; a tile that holds none is only asked."""
    for j in range(n_labels):
        label = tl.load(labels + rows.to(tl.int64) * n_labels + j, mask=rows < n, other=-1)
        inside = (label >= column) & (label < column + CLASSES)
        if tl.max(inside.to(tl.int32), axis=0) > 0:
            values = tl.where(is_at(label, cols), 0.0, values)
    return values


@jit
def _weighted_sum(weights: tl.tensor, t: tl.tensor) -> tl.tensor:
    """Σ weights · t over the classes; 0 · (−∞) is 0."""
    return tl.sum(weights * tl.where(weights == 0.0, 0.0, t), axis=1)


@jit
def _write_top(
    t: tl.tensor,
    values: tl.tensor,
    classes: tl.tensor,
    at: tl.tensor,
    inside: tl.tensor,
    cols: tl.tensor,
    q: tl.tensor,
    TOP: tl.constexpr,
) -> None:
    """The largest entries of each row, of equals the lower class first."""
    free = tl.broadcast_to((cols < q)[None, :], t.shape)
    for j in tl.static_range(TOP):
        best = tl.max(tl.where(free, t, float("-inf")), axis=1)
        found = tl.where(free & (t == best[:, None]), cols[None, :], 2147483647)
        which = tl.min(found, axis=1)
        tl.store(values + at * TOP + j, best, mask=inside)
        tl.store(classes + at * TOP + j, which, mask=inside)
        free = free & (cols[None, :] != which[:, None])


@jit
def _kernel(
    x: tl.tensor,
    w: tl.tensor,
    bias: tl.tensor,
    shift: tl.tensor,
    numbers: tl.tensor,
    labels: tl.tensor,
    u: tl.tensor,
    y: tl.tensor,
    c: tl.tensor,
    redo: tl.tensor,
    stored: tl.tensor,
    total: tl.tensor,
    largest: tl.tensor,
    moment: tl.tensor,
    spread: tl.tensor,
    targets: tl.tensor,
    top_values: tl.tensor,
    top_classes: tl.tensor,
    n: tl.tensor,
    q: tl.tensor,
    d: tl.tensor,
    n_labels: tl.tensor,
    x_stride: tl.tensor,
    w_stride: tl.tensor,
    y_stride: tl.tensor,
    stored_stride: tl.tensor,
    CAPPED: tl.constexpr,
    SLOPE: tl.constexpr,
    TOP: tl.constexpr,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
    FEATURES: tl.constexpr,
    GROUP: tl.constexpr,
    DESCRIPTORS: tl.constexpr,
    PRECISION: tl.constexpr,
    KIND: tl.constexpr,
) -> None:
    row_tile, column_tile = place(tl.program_id(0), n, q, ROWS, CLASSES, GROUP)
    if redo is not None:  # noqa: SIM102 - decided while compiling
        if tl.load(redo + row_tile) == 0:
            return
    row, column = row_tile * ROWS, column_tile * CLASSES
    rows, cols = row + tl.arange(0, ROWS), column + tl.arange(0, CLASSES)
    inside, at = rows < n, column_tile.to(tl.int64) * n + rows
    tile = logit_tile(
        x, w, row, column, n, q, d, x_stride, w_stride, ROWS, CLASSES, FEATURES, DESCRIPTORS,
        PRECISION, KIND,
    )  # fmt: skip
    own_shift = tl.load(shift + rows, mask=inside, other=0.0)
    t = shifted(tile, bias, own_shift, numbers, cols, q, CAPPED)
    tl.store(largest + at, tl.max(t, axis=1), mask=inside)
    if TOP > 0:
        _write_top(t, top_values, top_classes, at, inside, cols, q, TOP)
    if u is not None:
        weights = tl.load(u + cols, mask=cols < q, other=0.0).to(KIND)[None, :]
        tl.store(spread + at, _weighted_sum(tl.broadcast_to(weights, t.shape), t), mask=inside)
    if y is not None:
        weights = target_tile(y, c, rows, cols, n, q, y_stride, KIND)
        tl.store(targets + at, _weighted_sum(weights, t), mask=inside)
    e = tl.exp2(t)
    if labels is not None:
        e = _without_labels(e, labels, n_labels, rows, cols, column, n, CLASSES)
    tl.store(total + at, tl.sum(e, axis=1), mask=inside)
    if moment is not None:
        tl.store(moment + at, _weighted_sum(e, t), mask=inside)
    if stored is not None:
        if SLOPE:
            e *= capped_slope(tl.where(e == 0.0, 0.0, t), own_shift, numbers)
        e_at = rows.to(tl.int64)[:, None] * stored_stride + cols[None, :]
        both = inside[:, None] & (cols < q)[None, :]
        tl.store(stored + e_at, e.to(stored.dtype.element_ty), mask=both)


def exponentials(
    logits: KernelLogits,
    shift: Tensor,
    asked: Asked,
    shape: TileShape,
    *,
    stored: Tensor | None = None,
    before: Partial | None = None,
    redo: Tensor | None = None,
) -> Partial:
    """Partial sums of t = log₂e · z − shift and its exponentials, one product.

    Parameters
    ----------
    logits : KernelLogits
    shift : Tensor, shape (n,)
        In units of log 2, float64 for float64 logits and float32 otherwise.
    asked : Asked
    shape : TileShape
    stored : Tensor, shape (n, q), optional
        Receives the exponentials, 0 at labels, times the slope of the cap.
    before : Partial, optional
        What an earlier call returned; only tiles of rows marked in `redo` are made again.
    redo : Tensor of int32, shape (tiles of rows,), optional
        See `redo_rows`. Nothing waits for it: unmarked programs end at once.

    Returns
    -------
    Partial
    """
    x, w, shift = leading(logits.input), logits.weight, shift.contiguous()
    n, q, kind = len(x), logits.n_classes, shift.dtype
    w = None if w is None else leading(w)
    given_x, given_w, descriptors = operands(x, w, shape)
    partial = _empty(asked, n, cdiv(q, shape.classes), shift) if before is None else before
    y, labels = asked.targets, asked.labels
    y = None if y is None else leading(y)
    if n == 0:
        return partial
    _kernel[(cdiv(n, shape.rows) * cdiv(q, shape.classes),)](
        given_x, given_w, flat(logits.bias), shift, numbers_of(logits, kind),
        flat(labels),
        flat(asked.spread), y,
        flat(asked.target_weight), redo, stored, *partial,
        n, q, x.shape[1], 0 if labels is None else labels.shape[1],
        x.stride(0), 0 if w is None else w.stride(0),
        0 if y is None else y.stride(0), 0 if stored is None else stored.stride(0),
        CAPPED=logits.softcap is not None,
        SLOPE=logits.softcap is not None, TOP=asked.top_k,
        ROWS=shape.rows, CLASSES=shape.classes, FEATURES=shape.features, GROUP=shape.group,
        DESCRIPTORS=descriptors, PRECISION=precision_of(x),
        KIND=tl.float64 if kind == torch.float64 else tl.float32,
        num_warps=shape.warps, num_stages=shape.stages,
    )  # fmt: skip
    return partial


def _empty(asked: Asked, n: int, tiles: int, like: Tensor) -> Partial:
    def new(wanted: object, *more: int, kind: torch.dtype = like.dtype) -> Tensor | None:
        return torch.empty((tiles, n, *more), dtype=kind, device=like.device) if wanted else None

    k = asked.top_k
    return Partial(
        total=like.new_empty((tiles, n)),
        largest=like.new_empty((tiles, n)),
        moment=new(asked.moment),
        spread=new(asked.spread is not None),
        targets=new(asked.targets is not None),
        top_values=new(k, k),
        top_classes=new(k, k, kind=torch.int32),
    )


def redo_rows(unsafe: Tensor, shape: TileShape) -> Tensor:
    """Which tiles of rows hold a row that is marked; int32, shape (tiles of rows,)."""
    tiles = cdiv(len(unsafe), shape.rows)
    padded = torch.zeros(tiles * shape.rows, dtype=torch.bool, device=unsafe.device)
    padded[: len(unsafe)] = unsafe
    return padded.view(tiles, shape.rows).any(dim=1).to(torch.int32)
