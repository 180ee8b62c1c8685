"""Pieces that the kernels are made of: which tile a program has, its logits, what of them counts.

Tiles hold t = log₂e · z − shift, so that exp2 gives the exponentials.
"""

from triton import language as tl

from crossent.kernels.triton_jit import jit

__all__ = [
    "capped_slope",
    "is_at",
    "logit_tile",
    "place",
    "product",
    "shifted",
    "tanh",
    "target_tile",
]


@jit
def place(
    number: tl.tensor,
    n: tl.tensor,
    q: tl.tensor,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
    GROUP: tl.tensor,
) -> tl.tensor:
    """Tile of rows and tile of classes of a program; `GROUP` tiles of rows go side by side."""
    tiles = tl.cdiv(n, ROWS)
    per_group = GROUP * tl.cdiv(q, CLASSES)
    first = (number // per_group) * GROUP
    size = tl.minimum(tiles - first, GROUP)
    within = number % per_group
    return first + within % size, within // size


@jit
def logit_tile(
    x: tl.tensor,
    w: tl.tensor,
    row: tl.tensor,
    column: tl.tensor,
    n: tl.tensor,
    q: tl.tensor,
    d: tl.tensor,
    x_stride: tl.tensor,
    w_stride: tl.tensor,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
    FEATURES: tl.constexpr,
    DESCRIPTORS: tl.constexpr,
    PRECISION: tl.constexpr,
    KIND: tl.constexpr,
) -> tl.tensor:
    """X Wᵀ of some rows and classes, from (row, column) on; or read from x where w is None."""
    rows = row + tl.arange(0, ROWS)
    cols = column + tl.arange(0, CLASSES)
    if w is None:
        at = rows.to(tl.int64)[:, None] * x_stride + cols[None, :]
        tile = tl.load(x + at, mask=(rows < n)[:, None] & (cols < q)[None, :], other=0.0).to(KIND)
    else:
        tile = tl.zeros((ROWS, CLASSES), dtype=KIND)
        for start in range(0, d, FEATURES):
            if DESCRIPTORS:
                a = x.load([row, start])
                b = w.load([column, start])
            else:
                features = start + tl.arange(0, FEATURES)
                inside = (features < d)[None, :]
                x_at = rows.to(tl.int64)[:, None] * x_stride + features[None, :]
                w_at = cols.to(tl.int64)[:, None] * w_stride + features[None, :]
                a = tl.load(x + x_at, mask=(rows < n)[:, None] & inside, other=0.0)
                b = tl.load(w + w_at, mask=(cols < q)[:, None] & inside, other=0.0)
            tile = product(a, tl.trans(b), tile, PRECISION, KIND)
    return tile


@jit
def product(
    a: tl.tensor, b: tl.tensor, tile: tl.tensor, PRECISION: tl.constexpr, KIND: tl.constexpr
) -> tl.tensor:
    """A B + tile. Triton's interpreter multiplies the bits of bfloat16, hence "widened" there."""
    if PRECISION == "widened":
        tile = tl.dot(a.to(KIND), b.to(KIND), tile, input_precision="ieee", out_dtype=KIND)
    else:
        tile = tl.dot(a, b, tile, input_precision=PRECISION, out_dtype=KIND)
    return tile


@jit
def tanh(s: tl.tensor) -> tl.tensor:
    """From the exponential of −|s|, which cannot overflow; absolute error of a few roundings."""
    e = tl.exp2(tl.abs(s) * -2.8853900817779268)  # 2 log₂e
    t = (1.0 - e) / (1.0 + e)
    return tl.where(s < 0.0, -t, t)


@jit
def shifted(
    tile: tl.tensor,
    bias: tl.tensor,
    shift: tl.tensor,
    numbers: tl.tensor,
    cols: tl.tensor,
    q: tl.tensor,
    CAPPED: tl.constexpr,
) -> tl.tensor:
    """Turn X Wᵀ into t; −∞ beyond the last class."""
    scale = tl.load(numbers)
    if bias is not None:
        tile += tl.load(bias + cols, mask=cols < q, other=0.0).to(tile.dtype)[None, :]
    if CAPPED:
        cap = tl.load(numbers + 1)
        tile = tl.where(tile == float("-inf"), tile, tanh(tile / cap) * cap)
    t = tile * scale - shift[:, None]
    return tl.where((cols < q)[None, :], t, float("-inf"))


@jit
def capped_slope(t: tl.tensor, shift: tl.tensor, numbers: tl.tensor) -> tl.tensor:
    """Derivative of the cap at logits that stand in a tile as t: 1 − (cap(s) / cap)².

    0 for an excluded class, whose t is −∞.
    """
    share = (t + shift[:, None]) / (tl.load(numbers) * tl.load(numbers + 1))
    share = tl.maximum(share, -1.0)
    return 1.0 - share * share


@jit
def target_tile(
    y: tl.tensor,
    c: tl.tensor,
    rows: tl.tensor,
    cols: tl.tensor,
    n: tl.tensor,
    q: tl.tensor,
    stride: tl.tensor,
    KIND: tl.constexpr,
) -> tl.tensor:
    """C ⊙ y of some rows and classes; c None for ones."""
    inside = (rows < n)[:, None] & (cols < q)[None, :]
    at = rows.to(tl.int64)[:, None] * stride + cols[None, :]
    tile = tl.load(y + at, mask=inside, other=0.0).to(KIND)
    if c is not None:
        tile *= tl.load(c + cols, mask=cols < q, other=0.0).to(KIND)[None, :]
    return tile


@jit
def is_at(classes: tl.tensor, cols: tl.tensor) -> tl.tensor:
    """Where each row's class, (rows,), is in the tile; −1 is nowhere."""
    return cols[None, :] == classes[:, None]
