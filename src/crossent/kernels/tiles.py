"""Register tiles of the two products of a pass.

A tile keeps all that it adds up in vector registers: `dot_tile` makes the logits of four rows and
up to six classes, `outer_tile` the gradient of up to six classes and four vectors of features.

A row is cut into vectors. If they do not come out even, the last vector is the row's last numbers
and overlaps the one before; W is packed with zeros in the overlap (`crossent.kernels.packing`), and
of the gradient the overlap is thrown away. So no load ever leaves its row and none needs a mask.
Rows have at least one vector's features, or are padded to that.
"""
# ruff: noqa: ARG001  Generators are handed types and contexts that not all need.

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from crossent.kernels.instructions import (
    INDEX,
    ROWS,
    VECTOR_BYTES,
    Lanes,
    View,
    add_to,
    broadcast,
    load,
    loop,
    multiply_add,
    prefetch,
    sum_four,
)
from crossent.kernels.jit import instruction

__all__ = ["dot_tile", "outer_tile"]


def _dot_sums(
    builder: ir.IRBuilder, lanes: Lanes, rows: list[Any], classes: list[Any], where: Sequence[Any]
) -> list[Any]:
    """Sums of products of rows and classes, a vector each; `where`: `dot_tile`'s last arguments."""
    first, count, tail, ahead, stride = where
    width = INDEX(VECTOR_BYTES)
    first_byte = builder.mul(first, width)

    def step(x_byte: Any, w_byte: Any, sums: Sequence[Any]) -> list[Any]:
        xs = [load(builder, builder.add(p, x_byte), lanes.vector, lanes.item) for p in rows]
        out = list(sums)
        for a, p in enumerate(classes):
            w = load(builder, builder.add(p, w_byte), lanes.vector, VECTOR_BYTES)
            for r in range(ROWS):
                out[a * ROWS + r] = multiply_add(builder, xs[r], w, out[a * ROWS + r])
        return out

    def body(index: Any, sums: Sequence[Any]) -> list[Any]:
        byte = builder.add(first_byte, builder.mul(index, width))
        prefetch(builder, builder.add(ahead, builder.mul(index, stride)))
        return step(byte, byte, sums)

    sums = loop(builder, count, [lanes.zero] * (ROWS * len(classes)), body)
    has_tail = builder.zext(builder.icmp_signed(">=", tail, INDEX(0)), INDEX)
    tail_byte = builder.mul(tail, INDEX(lanes.item))
    end_byte = builder.mul(builder.add(first, count), width)
    return loop(builder, has_tail, sums, lambda _, now: step(tail_byte, end_byte, now))


@instruction
def dot_tile(
    typingctx: Any, X: Any, i: Any, rows: Any, W: Any, c: Any, Z: Any, j: Any,
    first: Any, count: Any, tail: Any, ahead: Any, stride: Any, classes: Any,
) -> Any:  # fmt: skip
    """``Z[c+a, j+r] += Σ_k X[i+r, k] W[c+a, k]`` for four rows r and literally `classes` a.

    k runs through vectors `first` … `first + count - 1`, and, if `tail` is not negative, through
    the row's last vector, which begins at feature `tail` and is vector `first + count` of W. From
    row `rows` on the last row is read again: Z must have room for four. At each step the cache
    line at address `ahead` is asked for, and `ahead` moves on by `stride`.
    """
    whole = types.int64
    signature = types.void(X, whole, whole, W, whole, Z, *[whole] * 6, classes)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        lanes = Lanes(Z.dtype)
        x, w, z = (View(context, builder, sig.args[p], args[p]) for p in (0, 3, 5))
        _, row, n_rows, _, klass, _, column, *where, _ = args
        last = builder.sub(n_rows, INDEX(1))
        row_starts = []
        for r in range(ROWS):
            inside = builder.icmp_signed("<", INDEX(r), n_rows)
            here = builder.add(row, builder.select(inside, INDEX(r), last))
            row_starts.append(x.address(here, INDEX(0)))
        numbers = [builder.add(klass, INDEX(a)) for a in range(classes.literal_value)]
        class_starts = [w.address(number, INDEX(0)) for number in numbers]
        sums = _dot_sums(builder, lanes, row_starts, class_starts, where)
        column_byte = builder.mul(column, INDEX(lanes.item))
        for a, number in enumerate(numbers):
            total = sum_four(builder, sums[a * ROWS : (a + 1) * ROWS])
            add_to(builder, z.address(number, column_byte), total, lanes.four)
        return context.get_dummy_value()

    return signature, codegen


def _outer_sums(
    builder: ir.IRBuilder, lanes: Lanes, rows: Any, residuals: list[Any], features: list[Any],
    row_stride: Any, ahead: Any, stride: Any,
) -> list[Any]:  # fmt: skip
    """Sums over the rows of residual times feature: a vector for each pair of addresses."""

    def body(index: Any, sums: Sequence[Any]) -> list[Any]:
        down = builder.mul(index, row_stride)
        along = builder.mul(index, INDEX(lanes.item))
        prefetch(builder, builder.add(ahead, builder.mul(index, stride)))
        xs = [load(builder, builder.add(p, down), lanes.vector, lanes.item) for p in features]
        out = list(sums)
        for a, p in enumerate(residuals):
            scalar = load(builder, builder.add(p, along), lanes.element, lanes.item)
            r = broadcast(builder, scalar, lanes.vector)
            for v, x in enumerate(xs):
                at = a * len(xs) + v
                out[at] = multiply_add(builder, r, x, out[at])
        return out

    return loop(builder, rows, [lanes.zero] * (len(residuals) * len(features)), body)


@instruction
def outer_tile(
    typingctx: Any, R: Any, c: Any, j: Any, X: Any, i: Any, rows: Any, first: Any, last: Any,
    G: Any, ahead: Any, stride: Any, classes: Any, vectors: Any,
) -> Any:  # fmt: skip
    """``G[c+a, k] += Σ_r R[c+a, j+r] X[i+r, k]`` over `rows` rows r, for literally `classes` a.

    k runs through literally `vectors` vectors from vector `first`; the last of them begins at
    feature `last` of X. The sum over the rows is made in X's type and added to G in G's, float64.
    At each row a cache line is asked for, as in `dot_tile`.
    """
    n_classes, n_vectors = classes.literal_value, vectors.literal_value
    whole = types.int64
    signature = types.void(R, whole, whole, X, *[whole] * 4, G, whole, whole, classes, vectors)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        lanes = Lanes(R.dtype)
        r, x, g = (View(context, builder, sig.args[p], args[p]) for p in (0, 3, 8))
        _, klass, column, _, row, n_rows, begin, last_at, _, ahead, stride, _, _ = args
        begin_byte = builder.mul(begin, INDEX(VECTOR_BYTES))
        offsets = [builder.add(begin_byte, INDEX(v * VECTOR_BYTES)) for v in range(n_vectors - 1)]
        offsets.append(builder.mul(last_at, INDEX(lanes.item)))
        column_byte = builder.mul(column, INDEX(lanes.item))
        numbers = [builder.add(klass, INDEX(a)) for a in range(n_classes)]
        residuals = [r.address(number, column_byte) for number in numbers]
        features = [x.address(row, offset) for offset in offsets]
        sums = _outer_sums(builder, lanes, n_rows, residuals, features, x.row_stride, ahead, stride)
        g_byte = builder.mul(begin, INDEX(lanes.count * 8))
        for a, number in enumerate(numbers):
            start = g.address(number, g_byte)
            for v in range(n_vectors):
                total = sums[a * n_vectors + v]
                if lanes.item == 4:
                    total = builder.fpext(total, lanes.wide)
                address = builder.add(start, INDEX(v * lanes.count * 8))
                add_to(builder, address, total, lanes.wide)
        return context.get_dummy_value()

    return signature, codegen
