"""The register tile of sparse products: a sum of dense rows, chosen and weighted by non-zeros."""
# ruff: noqa: ARG001  Generators are handed types and contexts that not all need.

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from crossent.kernels.instructions import (
    INDEX,
    VECTOR_BYTES,
    Lanes,
    View,
    broadcast,
    load,
    loop,
    multiply_add,
    store,
)
from crossent.kernels.jit import instruction

__all__ = ["sparse_tile"]


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
        lanes = Lanes(out.dtype)
        m, target = (View(context, builder, sig.args[p], args[p]) for p in (4, 6))
        values, places = (
            builder.ptrtoint(context.make_array(sig.args[p])(context, builder, args[p]).data, INDEX)
            for p in (0, 1)
        )
        _, _, start, stop, _, first_vector, _, target_row, _ = args
        first_byte = builder.mul(first_vector, INDEX(VECTOR_BYTES))
        index_type = ir.IntType(indices.dtype.bitwidth)
        index_bytes = INDEX(indices.dtype.bitwidth // 8)
        offsets = [INDEX(v * VECTOR_BYTES) for v in range(vectors.literal_value)]

        def body(step: Any, sums: Sequence[Any]) -> list[Any]:
            t = builder.add(start, step)
            value_at = builder.add(values, builder.mul(t, INDEX(lanes.item)))
            x = broadcast(builder, load(builder, value_at, lanes.element, lanes.item), lanes.vector)
            place_at = builder.add(places, builder.mul(t, index_bytes))
            place = load(builder, place_at, index_type, indices.dtype.bitwidth // 8)
            address = m.address(builder.sext(place, INDEX), first_byte)
            return [
                multiply_add(
                    builder,
                    x,
                    load(builder, builder.add(address, offset), lanes.vector, VECTOR_BYTES),
                    total,
                )
                for offset, total in zip(offsets, sums, strict=True)
            ]

        zeros = [lanes.zero] * len(offsets)
        sums = loop(builder, builder.sub(stop, start), zeros, body)
        address = target.address(target_row, first_byte)
        for offset, total in zip(offsets, sums, strict=True):
            store(builder, total, builder.add(address, offset), VECTOR_BYTES)
        return context.get_dummy_value()

    return signature, codegen
