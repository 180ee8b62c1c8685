"""Vector instructions for the tiles: what LLVM's builder has no single word for.

Code generated here is for vectors as wide as this machine's registers: a compiler that is left to
itself keeps neither the sums of a tile in registers nor the width.
"""

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils

__all__ = [
    "CLASSES",
    "INDEX",
    "ROWS",
    "VECTORS",
    "VECTOR_BYTES",
    "Lanes",
    "View",
    "add_to",
    "broadcast",
    "load",
    "loop",
    "multiply_add",
    "prefetch",
    "shuffle",
    "store",
    "sum_four",
]

INDEX = ir.IntType(64)
"""Type of indices and addresses."""


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
CLASSES = 6 if _REGISTERS == 32 else 3
"""Classes of a tile at most: its sums, and what they are made of, must fit the registers."""
VECTORS = 4 if _REGISTERS == 32 else 3
"""Vectors of features of an `outer_tile` at most."""


def _element(dtype: Any) -> ir.Type:
    return ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()


class View:
    """Address arithmetic on a two-dimensional Numba array inside generated code."""

    def __init__(self, context: Any, builder: ir.IRBuilder, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self.builder = builder
        self.data = builder.ptrtoint(array.data, INDEX)
        self.row_stride = builder.extract_value(array.strides, 0)
        self.column_stride = builder.extract_value(array.strides, 1)

    def address(self, row: Any, byte_offset: Any) -> Any:
        """Address of a row, moved by `byte_offset`."""
        b = self.builder
        return b.add(self.data, b.add(b.mul(row, self.row_stride), byte_offset))


def load(builder: ir.IRBuilder, address: Any, kind: ir.Type, align: int) -> Any:
    """Read a number or vector from an address that is a multiple of `align`."""
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=align)


def store(builder: ir.IRBuilder, value: Any, address: Any, align: int) -> None:
    """Write a number or vector to an address that is a multiple of `align`."""
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=align)


def add_to(builder: ir.IRBuilder, address: Any, value: Any, kind: ir.Type) -> None:
    """Add a vector to memory, aligned to its elements."""
    align = 4 if isinstance(kind.element, ir.FloatType) else 8
    store(builder, builder.fadd(load(builder, address, kind, align), value), address, align)


def prefetch(builder: ir.IRBuilder, address: Any) -> None:
    """Ask for a cache line to be brought to the second-level cache."""
    byte = ir.IntType(8).as_pointer()
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    insert: Any = cgutils.get_or_insert_function
    function = insert(builder.module, kind, "llvm.prefetch.p0i8")
    pointer = builder.inttoptr(address, byte)
    builder.call(function, [pointer, number(0), number(2), number(1)])  # read, level 2, data


def broadcast(builder: ir.IRBuilder, scalar: Any, vector: ir.VectorType) -> Any:
    """Fill a vector with one number."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


def shuffle(builder: ir.IRBuilder, a: Any, b: Any, order: Sequence[int]) -> Any:
    """Pick the numbers `order` from two vectors laid end to end."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order))
    return builder.shuffle_vector(a, b, mask)


def multiply_add(builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, fused where the machine can."""
    return builder.fadd(builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])


def loop(
    builder: ir.IRBuilder, count: Any, start: Sequence[Any], body: Callable[..., list[Any]]
) -> list[Any]:
    """``for i in range(count): state = body(i, state)`` with the state in registers."""
    entry = builder.block
    head = builder.append_basic_block("tile.loop")
    done = builder.append_basic_block("tile.done")
    nonempty = builder.icmp_signed(">", count, INDEX(0))
    builder.cbranch(nonempty, head, done)
    builder.position_at_end(head)
    index = builder.phi(INDEX)
    index.add_incoming(INDEX(0), entry)
    state = [builder.phi(value.type) for value in start]
    for phi, value in zip(state, start, strict=True):
        phi.add_incoming(value, entry)
    after = body(index, state)
    following = builder.add(index, INDEX(1))
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


def sum_four(builder: ir.IRBuilder, vectors: Sequence[Any]) -> Any:
    """The sums of four vectors' lanes, as one vector of four.

    Shuffles stay inside groups of four lanes until the vectors are merged: two or three
    instructions an addition instead of a tree for each vector.
    """
    n = vectors[0].type.count
    if n == 2:
        pairs = [
            builder.fadd(shuffle(builder, a, b, [0, 2]), shuffle(builder, a, b, [1, 3]))
            for a, b in (vectors[:2], vectors[2:])
        ]
        return shuffle(builder, pairs[0], pairs[1], [0, 1, 2, 3])

    def spread(pattern: Sequence[int]) -> list[int]:
        return [4 * g + (p if p < 4 else n + p - 4) for g in range(n // 4) for p in pattern]

    a, b = (
        builder.fadd(
            shuffle(builder, x, y, spread([0, 4, 1, 5])),
            shuffle(builder, x, y, spread([2, 6, 3, 7])),
        )
        for x, y in (vectors[:2], vectors[2:])
    )
    total = builder.fadd(
        shuffle(builder, a, b, spread([0, 1, 4, 5])), shuffle(builder, a, b, spread([2, 3, 6, 7]))
    )
    while n > 4:
        n //= 2
        total = builder.fadd(
            shuffle(builder, total, total, range(n)),
            shuffle(builder, total, total, range(n, 2 * n)),
        )
    return total


class Lanes:
    """IR types and sizes of the vectors of one float type."""

    def __init__(self, dtype: Any) -> None:
        self.element = _element(dtype)
        self.item = dtype.bitwidth // 8
        self.count = VECTOR_BYTES // self.item
        self.vector = ir.VectorType(self.element, self.count)
        self.zero = ir.Constant(self.vector, [0.0] * self.count)
        self.four = ir.VectorType(self.element, ROWS)
        self.wide = ir.VectorType(ir.DoubleType(), self.count)
