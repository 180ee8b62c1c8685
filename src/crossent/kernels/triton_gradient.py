"""Gradients with respect to logits, tile by tile, from a few numbers per row; ready for products.

    g_iv = (a_i − η_i t_iv) 2ᵗ       with t = log₂e · z − shift, if v is no label of row i
    g_iv = its own value             at a label
    and in both cases + value at chosen classes − d_i c_v y_iv − r_i u_v

times the slope of the cap, 1 / temperature and a gain. Every term is in one pass, so that g is
rounded once.
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

__all__ = ["RowNumbers", "logit_gradients"]


class RowNumbers(NamedTuple):
    """The gradient of n rows; floats in the arithmetic's dtype, None where a term is absent.

    Attributes
    ----------
    shift : Tensor, shape (n,)
        In units of log 2.
    softmax : Tensor, shape (n,)
        a.
    slope : Tensor, shape (n,), or None
        η.
    labels, label_values : Tensor, shape (n, k), or None
        Classes, −1 for none, and the gradient there.
    chosen, chosen_values : Tensor, shape (n, m), or None
        Classes, repeated or not, and what is added there.
    spread, vector : Tensor, shapes (n,) and (q,), or None
        r and u.
    dense, targets : Tensor, shapes (n,) and (n, q), or None
        d and y.
    target_weight : Tensor, shape (q,), or None
        c; None for ones.
    """

    shift: Tensor
    softmax: Tensor
    slope: Tensor | None = None
    labels: Tensor | None = None
    label_values: Tensor | None = None
    chosen: Tensor | None = None
    chosen_values: Tensor | None = None
    spread: Tensor | None = None
    vector: Tensor | None = None
    dense: Tensor | None = None
    targets: Tensor | None = None
    target_weight: Tensor | None = None

    def of_classes(self, span: slice) -> "RowNumbers":
        """The same for some of the classes; class numbers stay."""

        def cut(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[..., span]

        return self._replace(
            vector=cut(self.vector),
            targets=cut(self.targets),
            target_weight=cut(self.target_weight),
        )


@jit
def _at_classes(
    g: tl.tensor,
    classes: tl.tensor,
    values: tl.tensor,
    count: tl.tensor,
    rows: tl.tensor,
    cols: tl.tensor,
    column: tl.tensor,
    n: tl.tensor,
    CLASSES: tl.constexpr,
    ADDS: tl.constexpr,
) -> tl.tensor:
    """Write or add a value at classes of each row; a tile that holds none is only asked."""
    for j in range(count):
        at = rows.to(tl.int64) * count + j
        which = tl.load(classes + at, mask=rows < n, other=-1)
        inside = (which >= column) & (which < column + CLASSES)
        if tl.max(inside.to(tl.int32), axis=0) > 0:
            value = tl.load(values + at, mask=rows < n, other=0.0)[:, None]
            hit = is_at(which, cols)
            g = tl.where(hit, g + value, g) if ADDS else tl.where(hit, value, g)
    return g


@jit
def _kernel(
    x: tl.tensor,
    w: tl.tensor,
    bias: tl.tensor,
    numbers: tl.tensor,
    gain: tl.tensor,
    shift: tl.tensor,
    softmax: tl.tensor,
    slope: tl.tensor,
    labels: tl.tensor,
    label_values: tl.tensor,
    chosen: tl.tensor,
    chosen_values: tl.tensor,
    spread: tl.tensor,
    vector: tl.tensor,
    dense: tl.tensor,
    targets: tl.tensor,
    c: tl.tensor,
    out: tl.tensor,
    n: tl.tensor,
    q: tl.tensor,
    d: tl.tensor,
    n_labels: tl.tensor,
    n_chosen: tl.tensor,
    first_class: tl.tensor,
    x_stride: tl.tensor,
    w_stride: tl.tensor,
    y_stride: tl.tensor,
    out_stride: tl.tensor,
    CAPPED: tl.constexpr,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
    FEATURES: tl.constexpr,
    GROUP: tl.constexpr,
    DESCRIPTORS: tl.constexpr,
    PRECISION: tl.constexpr,
    KIND: tl.constexpr,
) -> None:
    row_tile, column_tile = place(tl.program_id(0), n, q, ROWS, CLASSES, GROUP)
    row, column = row_tile * ROWS, column_tile * CLASSES
    rows, cols = row + tl.arange(0, ROWS), column + tl.arange(0, CLASSES)
    inside, known = rows < n, cols < q
    tile = logit_tile(
        x, w, row, column, n, q, d, x_stride, w_stride, ROWS, CLASSES, FEATURES, DESCRIPTORS,
        PRECISION, KIND,
    )  # fmt: skip
    own_shift = tl.load(shift + rows, mask=inside, other=0.0)
    t = shifted(tile, bias, own_shift, numbers, cols, q, CAPPED)
    factor = tl.load(softmax + rows, mask=inside, other=0.0)[:, None]
    if slope is not None:
        # 2 to the power −2000 is 0 in every dtype: stands for −∞ where 0 · (−∞) would be.
        finite = tl.maximum(t, -2000.0)
        factor = factor - tl.load(slope + rows, mask=inside, other=0.0)[:, None] * finite
    g = factor * tl.exp2(t)
    every = cols + first_class
    if labels is not None:
        g = _at_classes(g, labels, label_values, n_labels, rows, every, column + first_class, n,
                        CLASSES, False)  # fmt: skip
    if chosen is not None:
        g = _at_classes(g, chosen, chosen_values, n_chosen, rows, every, column + first_class, n,
                        CLASSES, True)  # fmt: skip
    if spread is not None:
        u = tl.load(vector + cols, mask=known, other=0.0).to(KIND)[None, :]
        g -= tl.load(spread + rows, mask=inside, other=0.0)[:, None] * u
    if dense is not None:
        y = target_tile(targets, c, rows, cols, n, q, y_stride, KIND)
        g -= tl.load(dense + rows, mask=inside, other=0.0)[:, None] * y
    if CAPPED:
        g *= capped_slope(tl.where(known[None, :], t, 0.0), own_shift, numbers)
    g *= tl.load(gain)
    out_at = rows.to(tl.int64)[:, None] * out_stride + cols[None, :]
    both = inside[:, None] & known[None, :]
    tl.store(out + out_at, g.to(out.dtype.element_ty), mask=both)


def logit_gradients(
    logits: KernelLogits,
    numbers: RowNumbers,
    shape: TileShape,
    *,
    out: Tensor,
    gain: Tensor,
    first_class: int = 0,
) -> None:
    """Write gain / temperature times the gradient into `out`; one product.

    Parameters
    ----------
    logits : KernelLogits
        Of all classes, or of consecutive ones: then `vector` and `targets` are theirs too.
    numbers : RowNumbers
        Class numbers count from the first of all classes.
    shape : TileShape
    out : Tensor, shape (n, q)
        May be the given logits themselves.
    gain : Tensor, shape ()
        On the device; keeps gradients in the range of float16.
    first_class : int
        Number of the first class of `logits`.
    """
    x, w, y = leading(logits.input), logits.weight, numbers.targets
    n, q, kind = len(x), logits.n_classes, numbers.shift.dtype
    w = None if w is None else leading(w)
    y = None if y is None else leading(y)
    given_x, given_w, descriptors = operands(x, w, shape)

    if n == 0:
        return
    _kernel[(cdiv(n, shape.rows) * cdiv(q, shape.classes),)](
        given_x, given_w, flat(logits.bias), numbers_of(logits, kind),
        (gain / logits.temperature).to(kind), *map(flat, numbers[:9]), flat(numbers.dense), y,
        flat(numbers.target_weight), out,
        n, q, x.shape[1], _count(numbers.labels), _count(numbers.chosen), first_class,
        x.stride(0), 0 if w is None else w.stride(0), 0 if y is None else y.stride(0),
        out.stride(0),
        CAPPED=logits.softcap is not None,
        ROWS=shape.rows, CLASSES=shape.classes, FEATURES=shape.features, GROUP=shape.group,
        DESCRIPTORS=descriptors, PRECISION=precision_of(x),
        KIND=tl.float64 if kind == torch.float64 else tl.float32,
        num_warps=shape.warps, num_stages=shape.stages,
    )  # fmt: skip


def _count(classes: Tensor | None) -> int:
    return 0 if classes is None else classes.shape[1]
