"""Register tiles of the two products of a pass, written as vector instructions.

A tile keeps all that it adds up in vector registers. `dot_tile` makes the logits of four rows and
up to five classes, `outer_tile` the gradient of up to five classes and four vectors of features;
`transpose_tile` turns a small square, for data in Fortran order. They are generated as LLVM
vectors, as wide as this machine's registers, because a compiler that is left to itself keeps
neither the accumulators nor the width.

A row is cut into vectors. If they do not come out even, the last vector is the row's last numbers
and overlaps the one before; W is packed with zeros in the overlap (`crossent.kernels.packing`), and
of the gradient the overlap is thrown away. So no load ever leaves its row and none needs a mask.
Rows have at least one vector's features, or are padded to that.
"""
# ruff: noqa: ARG001  Generators are handed types and contexts that not all need.

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types

from crossent.kernels.jit import instruction

__all__ = ["CLASSES", "ROWS", "VECTORS", "VECTOR_BYTES", "dot_tile", "outer_tile",
           "sparse_tile", "transpose_tile"]  # fmt: skip

_INDEX = ir.IntType(64)


def _registers() -> tuple[int, int]:
    """Bytes of a vector register and their number: AVX-512, AVX, NEON, SSE."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f", False):
        return 64, 32
    if features.get("avx", False):
        return 32, 16
    return 16, 32 if features.get("neon", False) else 16


VECTOR_BYTES, _REGISTERS = _registers()
ROWS = 4
"""Rows of a `dot_tile`."""
CLASSES = 5 if _REGISTERS == 32 else 3
"""Classes of a tile at most: its sums, and what they are made of, must fit the registers."""
VECTORS = 4 if _REGISTERS == 32 else 3
"""Vectors of features of an `outer_tile` at most."""


def _element(dtype: Any) -> ir.Type:
    return ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()


class _View:
    """Address arithmetic on a two-dimensional Numba array inside generated code."""

    def __init__(self, context: Any, builder: ir.IRBuilder, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self.builder = builder
        self.data = builder.ptrtoint(array.data, _INDEX)
        self.row_stride = builder.extract_value(array.strides, 0)
        self.column_stride = builder.extract_value(array.strides, 1)

    def address(self, row: Any, byte_offset: Any) -> Any:
        """Address of a row, moved by `byte_offset`."""
        b = self.builder
        return b.add(self.data, b.add(b.mul(row, self.row_stride), byte_offset))


def _load(builder: ir.IRBuilder, address: Any, kind: ir.Type, align: int) -> Any:
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=align)


def _store(builder: ir.IRBuilder, value: Any, address: Any, align: int) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=align)


def _add_to(builder: ir.IRBuilder, address: Any, value: Any, kind: ir.Type) -> None:
    """Add a vector to memory, aligned to its elements."""
    align = 4 if isinstance(kind.element, ir.FloatType) else 8
    _store(builder, builder.fadd(_load(builder, address, kind, align), value), address, align)


def _broadcast(builder: ir.IRBuilder, scalar: Any, vector: ir.VectorType) -> Any:
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


def _shuffle(builder: ir.IRBuilder, a: Any, b: Any, order: Sequence[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order))
    return builder.shuffle_vector(a, b, mask)


def _multiply_add(builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, fused where the machine can."""
    return builder.fadd(builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])


def _loop(
    builder: ir.IRBuilder, count: Any, start: Sequence[Any], body: Callable[..., list[Any]]
) -> list[Any]:
    """``for i in range(count): state = body(i, state)`` with the state in registers."""
    entry = builder.block
    head = builder.append_basic_block("tile.loop")
    done = builder.append_basic_block("tile.done")
    nonempty = builder.icmp_signed(">", count, _INDEX(0))
    builder.cbranch(nonempty, head, done)
    builder.position_at_end(head)
    index = builder.phi(_INDEX)
    index.add_incoming(_INDEX(0), entry)
    state = [builder.phi(value.type) for value in start]
    for phi, value in zip(state, start, strict=True):
        phi.add_incoming(value, entry)
    after = body(index, state)
    following = builder.add(index, _INDEX(1))
    last = builder.block
    index.add_incoming(following, last)
    for phi, value in zip(state, after, strict=True):
        phi.add_incoming(value, last)
    builder.cbranch(builder.icmp_signed("<", following, count), head, done)
    builder.position_at_end(done)
    result = [builder.phi(value.type) for value in start]
    for phi, value, final in zip(result, start, after, strict=True):
        phi.add_incoming(value, entry)
        phi.add_incoming(final, last)
    return result


def _sum_four(builder: ir.IRBuilder, vectors: Sequence[Any]) -> Any:
    """The sums of four vectors' lanes, as one vector of four.

    Shuffles stay inside groups of four lanes until the vectors are merged: two or three
    instructions an addition instead of a tree for each vector.
    """
    n = vectors[0].type.count
    if n == 2:
        pairs = [
            builder.fadd(_shuffle(builder, a, b, [0, 2]), _shuffle(builder, a, b, [1, 3]))
            for a, b in (vectors[:2], vectors[2:])
        ]
        return _shuffle(builder, pairs[0], pairs[1], [0, 1, 2, 3])

    def spread(pattern: Sequence[int]) -> list[int]:
        return [4 * g + (p if p < 4 else n + p - 4) for g in range(n // 4) for p in pattern]

    a, b = (
        builder.fadd(
            _shuffle(builder, x, y, spread([0, 4, 1, 5])),
            _shuffle(builder, x, y, spread([2, 6, 3, 7])),
        )
        for x, y in (vectors[:2], vectors[2:])
    )
    total = builder.fadd(
        _shuffle(builder, a, b, spread([0, 1, 4, 5])), _shuffle(builder, a, b, spread([2, 3, 6, 7]))
    )
    while n > 4:
        n //= 2
        total = builder.fadd(
            _shuffle(builder, total, total, range(n)),
            _shuffle(builder, total, total, range(n, 2 * n)),
        )
    return total


class _Lanes:
    """IR types and sizes of the vectors of one float type."""

    def __init__(self, dtype: Any) -> None:
        self.element = _element(dtype)
        self.item = dtype.bitwidth // 8
        self.count = VECTOR_BYTES // self.item
        self.vector = ir.VectorType(self.element, self.count)
        self.zero = ir.Constant(self.vector, [0.0] * self.count)
        self.four = ir.VectorType(self.element, ROWS)
        self.wide = ir.VectorType(ir.DoubleType(), self.count)


def _dot_sums(
    builder: ir.IRBuilder, lanes: _Lanes, rows: list[Any], classes: list[Any], where: Sequence[Any]
) -> list[Any]:
    """Sums of products of rows and classes, a vector each; `where`: first, count, tail as below."""
    first, count, tail = where
    width = _INDEX(VECTOR_BYTES)
    first_byte = builder.mul(first, width)

    def step(x_byte: Any, w_byte: Any, sums: Sequence[Any]) -> list[Any]:
        xs = [_load(builder, builder.add(p, x_byte), lanes.vector, lanes.item) for p in rows]
        out = list(sums)
        for a, p in enumerate(classes):
            w = _load(builder, builder.add(p, w_byte), lanes.vector, VECTOR_BYTES)
            for r in range(ROWS):
                out[a * ROWS + r] = _multiply_add(builder, xs[r], w, out[a * ROWS + r])
        return out

    def body(index: Any, sums: Sequence[Any]) -> list[Any]:
        byte = builder.add(first_byte, builder.mul(index, width))
        return step(byte, byte, sums)

    sums = _loop(builder, count, [lanes.zero] * (ROWS * len(classes)), body)
    has_tail = builder.zext(builder.icmp_signed(">=", tail, _INDEX(0)), _INDEX)
    tail_byte = builder.mul(tail, _INDEX(lanes.item))
    end_byte = builder.mul(builder.add(first, count), width)
    return _loop(builder, has_tail, sums, lambda _, now: step(tail_byte, end_byte, now))


@instruction
def dot_tile(
    typingctx: Any, X: Any, i: Any, rows: Any, W: Any, c: Any, Z: Any, j: Any,
    first: Any, count: Any, tail: Any, classes: Any,
) -> Any:  # fmt: skip
    """``Z[c+a, j+r] += Σ_k X[i+r, k] W[c+a, k]`` for four rows r and literally `classes` a.

    k runs through vectors `first` … `first + count - 1`, and, if `tail` is not negative, through
    the row's last vector, which begins at feature `tail` and is vector `first + count` of W. From
    row `rows` on the last row is read again: Z must have room for four.
    """
    whole = types.int64
    signature = types.void(X, whole, whole, W, whole, Z, whole, whole, whole, whole, classes)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        lanes = _Lanes(Z.dtype)
        x, w, z = (_View(context, builder, sig.args[p], args[p]) for p in (0, 3, 5))
        _, row, n_rows, _, klass, _, column, *where, _ = args
        last = builder.sub(n_rows, _INDEX(1))
        row_starts = []
        for r in range(ROWS):
            inside = builder.icmp_signed("<", _INDEX(r), n_rows)
            here = builder.add(row, builder.select(inside, _INDEX(r), last))
            row_starts.append(x.address(here, _INDEX(0)))
        numbers = [builder.add(klass, _INDEX(a)) for a in range(classes.literal_value)]
        class_starts = [w.address(number, _INDEX(0)) for number in numbers]
        sums = _dot_sums(builder, lanes, row_starts, class_starts, where)
        column_byte = builder.mul(column, _INDEX(lanes.item))
        for a, number in enumerate(numbers):
            total = _sum_four(builder, sums[a * ROWS : (a + 1) * ROWS])
            _add_to(builder, z.address(number, column_byte), total, lanes.four)
        return context.get_dummy_value()

    return signature, codegen


def _outer_sums(
    builder: ir.IRBuilder, lanes: _Lanes, rows: Any, residuals: list[Any], features: list[Any],
    row_stride: Any,
) -> list[Any]:  # fmt: skip
    """Sums over the rows of residual times feature: a vector for each pair of addresses."""

    def body(index: Any, sums: Sequence[Any]) -> list[Any]:
        down = builder.mul(index, row_stride)
        along = builder.mul(index, _INDEX(lanes.item))
        xs = [_load(builder, builder.add(p, down), lanes.vector, lanes.item) for p in features]
        out = list(sums)
        for a, p in enumerate(residuals):
            scalar = _load(builder, builder.add(p, along), lanes.element, lanes.item)
            r = _broadcast(builder, scalar, lanes.vector)
            for v, x in enumerate(xs):
                at = a * len(xs) + v
                out[at] = _multiply_add(builder, r, x, out[at])
        return out

    return _loop(builder, rows, [lanes.zero] * (len(residuals) * len(features)), body)


@instruction
def outer_tile(
    typingctx: Any, R: Any, c: Any, j: Any, X: Any, i: Any, rows: Any, first: Any, last: Any,
    G: Any, classes: Any, vectors: Any,
) -> Any:  # fmt: skip
    """``G[c+a, k] += Σ_r R[c+a, j+r] X[i+r, k]`` over `rows` rows r, for literally `classes` a.

    k runs through literally `vectors` vectors from vector `first`; the last of them begins at
    feature `last` of X. The sum over the rows is made in X's type and added to G in G's, float64.
    """
    n_classes, n_vectors = classes.literal_value, vectors.literal_value
    whole = types.int64
    signature = types.void(R, whole, whole, X, whole, whole, whole, whole, G, classes, vectors)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        lanes = _Lanes(R.dtype)
        r, x, g = (_View(context, builder, sig.args[p], args[p]) for p in (0, 3, 8))
        _, klass, column, _, row, n_rows, begin, last_at, *_ = args
        begin_byte = builder.mul(begin, _INDEX(VECTOR_BYTES))
        offsets = [builder.add(begin_byte, _INDEX(v * VECTOR_BYTES)) for v in range(n_vectors - 1)]
        offsets.append(builder.mul(last_at, _INDEX(lanes.item)))
        column_byte = builder.mul(column, _INDEX(lanes.item))
        numbers = [builder.add(klass, _INDEX(a)) for a in range(n_classes)]
        residuals = [r.address(number, column_byte) for number in numbers]
        features = [x.address(row, offset) for offset in offsets]
        sums = _outer_sums(builder, lanes, n_rows, residuals, features, x.row_stride)
        g_byte = builder.mul(begin, _INDEX(lanes.count * 8))
        for a, number in enumerate(numbers):
            start = g.address(number, g_byte)
            for v in range(n_vectors):
                total = sums[a * n_vectors + v]
                if lanes.item == 4:
                    total = builder.fpext(total, lanes.wide)
                address = builder.add(start, _INDEX(v * lanes.count * 8))
                _add_to(builder, address, total, lanes.wide)
        return context.get_dummy_value()

    return signature, codegen


@instruction
def sparse_tile(
    typingctx: Any, data: Any, indices: Any, begin: Any, end: Any, M: Any, first: Any,
    out: Any, row: Any, vectors: Any,
) -> Any:  # fmt: skip
    """``out[row, c] = Σ_t data[t] M[indices[t], c]`` for t from `begin` to `end` - 1.

    c runs through literally `vectors` vectors from vector `first`; rows of M and `out` are aligned.
    """
    whole = types.int64
    signature = types.void(data, indices, whole, whole, M, whole, out, whole, vectors)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        lanes = _Lanes(out.dtype)
        m, target = (_View(context, builder, sig.args[p], args[p]) for p in (4, 6))
        values, places = (
            builder.ptrtoint(
                context.make_array(sig.args[p])(context, builder, args[p]).data, _INDEX
            )
            for p in (0, 1)
        )
        _, _, start, stop, _, first_vector, _, target_row, _ = args
        first_byte = builder.mul(first_vector, _INDEX(VECTOR_BYTES))
        index_type = ir.IntType(indices.dtype.bitwidth)
        index_bytes = _INDEX(indices.dtype.bitwidth // 8)
        offsets = [_INDEX(v * VECTOR_BYTES) for v in range(vectors.literal_value)]

        def body(step: Any, sums: Sequence[Any]) -> list[Any]:
            t = builder.add(start, step)
            value_at = builder.add(values, builder.mul(t, _INDEX(lanes.item)))
            x = _broadcast(
                builder, _load(builder, value_at, lanes.element, lanes.item), lanes.vector
            )
            place_at = builder.add(places, builder.mul(t, index_bytes))
            place = _load(builder, place_at, index_type, indices.dtype.bitwidth // 8)
            address = m.address(builder.sext(place, _INDEX), first_byte)
            return [
                _multiply_add(
                    builder,
                    x,
                    _load(builder, builder.add(address, offset), lanes.vector, VECTOR_BYTES),
                    total,
                )
                for offset, total in zip(offsets, sums, strict=True)
            ]

        zeros = [lanes.zero] * len(offsets)
        sums = _loop(builder, builder.sub(stop, start), zeros, body)
        address = target.address(target_row, first_byte)
        for offset, total in zip(offsets, sums, strict=True):
            _store(builder, total, builder.add(address, offset), VECTOR_BYTES)
        return context.get_dummy_value()

    return signature, codegen


def _transposed(builder: ir.IRBuilder, square: list[Any]) -> list[Any]:
    """A square's columns from its rows, by log2(rows) perfect shuffles."""
    n = len(square)
    low = [place for pair in range(n // 2) for place in (pair, n + pair)]
    high = [place + n // 2 for place in low]
    for _ in range(n.bit_length() - 1):
        square = [
            _shuffle(builder, square[pair], square[pair + n // 2], order)
            for pair in range(n // 2)
            for order in (low, high)
        ]
    return square


@instruction
def transpose_tile(typingctx: Any, X: Any, i: Any, k: Any, P: Any, j: Any) -> Any:
    """``P[j+r, k+c] = X[i+r, k+c]`` for a vector's length of rows r and features c.

    X has unit stride along rows, P along features.
    """
    signature = types.void(X, types.int64, types.int64, P, types.int64)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        lanes = _Lanes(P.dtype)
        x, p = (_View(context, builder, sig.args[q], args[q]) for q in (0, 3))
        _, row, feature, _, target = args
        start = x.address(row, builder.mul(feature, x.column_stride))
        columns = [
            builder.add(start, builder.mul(_INDEX(c), x.column_stride)) for c in range(lanes.count)
        ]
        square = [_load(builder, address, lanes.vector, lanes.item) for address in columns]
        feature_byte = builder.mul(feature, _INDEX(lanes.item))
        for r, vector in enumerate(_transposed(builder, square)):
            address = p.address(builder.add(target, _INDEX(r)), feature_byte)
            _store(builder, vector, address, lanes.item)
        return context.get_dummy_value()

    return signature, codegen
