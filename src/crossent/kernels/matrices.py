"""Matrices inside compiled code: their address, their type, their transposition in registers."""
# ruff: noqa: ARG001  Generators are handed types and contexts that not all need.

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import imputils

from crossent.kernels.instructions import (
    INDEX,
    Lanes,
    View,
    load,
    prefetch,
    shuffle,
    store,
)
from crossent.kernels.jit import instruction

__all__ = ["address_of", "as_rows", "ask_for", "transpose_tile"]


@instruction
def address_of(typingctx: Any, X: Any, row: Any) -> Any:
    """Address of a row of a matrix, in bytes."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return View(context, builder, sig.args[0], args[0]).address(args[1], INDEX(0))

    return types.int64(X, types.int64), codegen


@instruction
def as_rows(typingctx: Any, array: Any) -> Any:
    """The same array as the one type that the products take for X: one type, compiled once."""
    general = types.Array(array.dtype, 2, "A", readonly=True)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        cast = context.cast(builder, args[0], array, general)
        return imputils.impl_ret_borrowed(  # type: ignore[no-untyped-call]
            context, builder, general, cast
        )

    return general(array), codegen


@instruction
def ask_for(typingctx: Any, X: Any, row: Any, column: Any) -> Any:
    """Have the cache line of ``X[row, column]`` brought near; the place need not exist."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        x = View(context, builder, sig.args[0], args[0])
        prefetch(builder, x.address(args[1], builder.mul(args[2], x.column_stride)))
        return context.get_dummy_value()

    return types.void(X, types.int64, types.int64), codegen


def _transposed(builder: ir.IRBuilder, square: list[Any]) -> list[Any]:
    """A square's columns from its rows, by log2(rows) perfect shuffles."""
    n = len(square)
    low = [place for pair in range(n // 2) for place in (pair, n + pair)]
    high = [place + n // 2 for place in low]
    for _ in range(n.bit_length() - 1):
        square = [
            shuffle(builder, square[pair], square[pair + n // 2], order)
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
        lanes = Lanes(P.dtype)
        x, p = (View(context, builder, sig.args[q], args[q]) for q in (0, 3))
        _, row, feature, _, target = args
        start = x.address(row, builder.mul(feature, x.column_stride))
        columns = [
            builder.add(start, builder.mul(INDEX(c), x.column_stride)) for c in range(lanes.count)
        ]
        square = [load(builder, address, lanes.vector, lanes.item) for address in columns]
        feature_byte = builder.mul(feature, INDEX(lanes.item))
        for r, vector in enumerate(_transposed(builder, square)):
            address = p.address(builder.add(target, INDEX(r)), feature_byte)
            store(builder, vector, address, lanes.item)
        return context.get_dummy_value()

    return signature, codegen
