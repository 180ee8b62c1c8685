"""How X and W are handed to a kernel: as they are, or as tensor descriptors."""

from typing import Any

from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from crossent.kernels.triton_jit import TileShape

__all__ = ["operands"]

_ALIGNMENT = 16
"""Bytes that the bulk copy engine wants addresses and strides to be multiples of."""


def _is_aligned(x: Tensor) -> bool:
    start, step = int(x.data_ptr()), int(x.stride(0) * x.element_size())
    return start % _ALIGNMENT == 0 and step % _ALIGNMENT == 0


def operands(x: Tensor, w: Tensor | None, shape: TileShape) -> tuple[Any, Any, bool]:
    """X and W for a kernel's product, and whether they are descriptors.

    Descriptors serve where the shape asks for them and both matrices are aligned for them.
    """
    wanted = w is not None and shape.descriptors and min(len(x), len(w), x.shape[1]) > 0
    if w is None or not (wanted and _is_aligned(x) and _is_aligned(w)):
        return x, w, False
    features = shape.features
    return (
        TensorDescriptor.from_tensor(x, [shape.rows, features]),
        TensorDescriptor.from_tensor(w, [shape.classes, features]),
        True,
    )
