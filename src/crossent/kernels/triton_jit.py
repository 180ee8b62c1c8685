"""What the Triton kernels share: the compiler, sizes of tiles, where logits come from.

With ``TRITON_INTERPRET=1`` in the environment when Triton is first imported, the same kernels run
on CPU tensors, slowly: this is how they are tested without a GPU. They use products, loads, stores
and conversions, no locks and no atomic sums, so that equal calls give equal bits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
import triton
from torch import Tensor

__all__ = [
    "LOG2_E",
    "KernelLogits",
    "TileShape",
    "cdiv",
    "flat",
    "jit",
    "leading",
    "numbers_of",
    "precision_of",
    "product_shape",
    "reading_shape",
]

LOG2_E = 1.0 / math.log(2.0)


def jit(function: Callable[..., Any]) -> Any:
    """A function of Triton's language, compiled when it is launched."""
    return triton.jit(function)


def cdiv(a: int, b: int) -> int:
    """How many blocks of b hold a."""
    return -(-a // b)


class KernelLogits(Protocol):
    """How logits come about: z = cap(X Wᵀ + b) / temperature; `weight` None if input holds them."""

    @property
    def input(self) -> Tensor:
        """(n, d), or (n, q) without a weight."""

    @property
    def weight(self) -> Tensor | None:
        """(q, d)."""

    @property
    def bias(self) -> Tensor | None:
        """(q,)."""

    @property
    def softcap(self) -> float | None:
        """Of cap(s) = softcap · tanh(s / softcap)."""

    @property
    def temperature(self) -> float:
        """What logits are divided by."""

    @property
    def n_classes(self) -> int:
        """Number of classes, q."""


@dataclass(frozen=True)
class TileShape:
    """Rows, classes and features that one program has at a time, and what the compiler is told.

    `group` is how many tiles of rows go through the classes together, so that W is read seldom.
    """

    rows: int
    classes: int
    features: int
    group: int = 8
    warps: int = 8
    stages: int = 3
    descriptors: bool = False
    """Load tiles of X and W through tensor descriptors (the bulk copy engine of Hopper)."""


class _Shapes(NamedTuple):
    product: TileShape
    reading: TileShape


_HOPPER = _Shapes(
    TileShape(256, 128, 64, group=16, warps=8, stages=3, descriptors=True),
    TileShape(4, 1024, 1, group=1, warps=8, stages=1),
)
_OTHERS = _Shapes(
    TileShape(128, 128, 32, group=8, warps=8, stages=3),
    TileShape(4, 1024, 1, group=1, warps=8, stages=1),
)
_INTERPRETED = _Shapes(TileShape(16, 32, 16), TileShape(16, 32, 1))


def _shapes(x: Tensor) -> _Shapes:
    if x.device.type == "cpu":
        return _INTERPRETED
    major, _ = torch.cuda.get_device_capability(x.device)
    return _HOPPER if major >= 9 else _OTHERS


def product_shape(x: Tensor) -> TileShape:
    """Tiles of kernels that multiply X and W; half the size where numbers take four bytes."""
    shape = _shapes(x).product
    if x.dtype.itemsize <= 2 or x.device.type == "cpu":
        return shape
    return TileShape(128, 128, 32, group=shape.group, warps=8, stages=3)


def reading_shape(x: Tensor) -> TileShape:
    """Tiles of kernels that read logits from memory."""
    return _shapes(x).reading


def precision_of(x: Tensor) -> str:
    """How products of float32 are made: as PyTorch is told to make its own."""
    if x.device.type == "cpu":
        return "widened"
    exact = torch.get_float32_matmul_precision() == "highest"
    return "ieee" if exact or x.dtype != torch.float32 else "tf32"


def numbers_of(logits: KernelLogits, kind: torch.dtype) -> Tensor:
    """log₂e / temperature and the cap (0 for none), where a kernel can read them; shape (2,).

    A number that a kernel is given as such would be rounded to float32. Filled on the device: a
    copy from the host would wait.
    """
    numbers = torch.empty(2, dtype=kind, device=logits.input.device)
    numbers[0].fill_(LOG2_E / logits.temperature)
    numbers[1].fill_(0.0 if logits.softcap is None else logits.softcap)
    return numbers


def flat(values: Tensor | None) -> Tensor | None:
    """The same, its numbers one after the other, or None."""
    return None if values is None else values.contiguous()


def leading(x: Tensor) -> Tensor:
    """A matrix whose rows are contiguous, x itself where they are."""
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()
