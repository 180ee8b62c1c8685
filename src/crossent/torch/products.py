"""Matrix products on CPUs, by the library that uses what the processor has.

`torch.mm` asks MKL, which takes its AVX-512 code on Intel's processors only. oneDNN, the other
library in PyTorch, takes it wherever the instructions are: on AMD's processors with AVX-512 it
multiplies float32 twice as fast, in full float32. PyTorch reaches it through the operator that its
compiler puts into graphs. It makes its result anew, so sums take a pass more, and a result as large
as a tile is in memory beside it.
"""

import functools
import platform
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["ONEDNN", "TORCH", "Products", "products_for"]

_PROCESSOR = Path("/proc/cpuinfo")
_RESULT = 2**18
"""Numbers that are made at a time where they only go elsewhere."""
_TRUSTED = 1e-5
"""Products of numbers near 1, some tens of them, differ by less in float32, whoever makes them."""


class Products(Protocol):
    """Products into memory that is there."""

    name: str
    makes_results: bool
    """Whether a result is made beside the memory that it goes to."""

    def shifted(
        self,
        out: Tensor,
        x: Tensor,
        weight: Tensor,
        alpha: float,
        bias: Tensor | None,
        shift: Tensor | None,
    ) -> None:
        """Write alpha · x weightᵀ + bias − shift into `out`; bias (q,), shift (rows, 1)."""

    def add(self, out: Tensor, a: Tensor, b: Tensor, beta: float = 1.0) -> None:
        """Write beta · out + a b into `out`; beta 0 or 1."""

    def made(self, a: Tensor, b: Tensor) -> Tensor:
        """The product a b in new memory."""


class _Torch:
    """By `torch.mm` and its kin."""

    name = "torch.mm"
    makes_results = False

    def shifted(
        self,
        out: Tensor,
        x: Tensor,
        weight: Tensor,
        alpha: float,
        bias: Tensor | None,
        shift: Tensor | None,
    ) -> None:
        """One call, into memory that holds what is added."""
        if bias is None and shift is None:
            out.addmm_(x, weight.T, beta=0.0, alpha=alpha)
            return
        if bias is not None and shift is not None:
            torch.sub(bias, shift, out=out)
        elif shift is not None:
            out.copy_(shift.neg().expand_as(out))
        elif bias is not None:
            out.copy_(bias.expand_as(out))
        out.addmm_(x, weight.T, alpha=alpha)

    def add(self, out: Tensor, a: Tensor, b: Tensor, beta: float = 1.0) -> None:
        """One call."""
        out.addmm_(a, b, beta=beta)

    def made(self, a: Tensor, b: Tensor) -> Tensor:
        """By `torch.mm`."""
        return torch.mm(a, b)


class _OneDnn:
    """By oneDNN, float32 only."""

    name = "oneDNN"
    makes_results = True

    def shifted(
        self,
        out: Tensor,
        x: Tensor,
        weight: Tensor,
        alpha: float,
        bias: Tensor | None,
        shift: Tensor | None,
    ) -> None:
        """Some classes at a time: the product, and passes over it in cache."""
        if 0 in x.shape or 0 in weight.shape:
            TORCH.shifted(out, x, weight, alpha, bias, shift)
            return
        classes, step = len(weight), max(16, _RESULT // len(x))
        minus = None if shift is None else shift.neg()
        for start in range(0, classes, step):
            span = slice(start, start + step)
            made, own = _product(x, weight[span]), out[:, span]
            if bias is not None:
                torch.add(bias[span], made, alpha=alpha, out=own)
                if minus is not None:
                    own.add_(minus)
            elif minus is not None:
                torch.add(minus, made, alpha=alpha, out=own)
            else:
                torch.mul(made, alpha, out=own)

    def add(self, out: Tensor, a: Tensor, b: Tensor, beta: float = 1.0) -> None:
        """The product, and its sum with what was there."""
        if 0 in a.shape or 0 in b.shape:
            TORCH.add(out, a, b, beta)
        elif beta == 0.0:
            out.copy_(_product(a, b.T))
        else:
            out.add_(_product(a, b.T))

    def made(self, a: Tensor, b: Tensor) -> Tensor:
        """The product alone."""
        empty = 0 in a.shape or 0 in b.shape
        return TORCH.made(a, b) if empty else _product(a, b.T)


TORCH = _Torch()
ONEDNN = _OneDnn()


def products_for(dtype: torch.dtype) -> Products:
    """Who multiplies: oneDNN where it is known to be faster and is there, else `torch.mm`."""
    if dtype == torch.float32 and torch.backends.mkldnn.enabled and _is_faster():
        return ONEDNN
    return TORCH


def _operator() -> Any:
    return torch.ops.mkldnn._linear_pointwise


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """X weightᵀ in new memory, by oneDNN."""
    return _operator()(x, weight, None, "none", [], "")


@functools.cache
def _is_faster() -> bool:
    """Whether this is a processor for which MKL has slower code than oneDNN, and oneDNN answers."""
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return wide and _vendor() == "AuthenticAMD" and _answers()


def _vendor() -> str:
    """Who made the processor, as it says itself; empty where the system does not tell."""
    try:
        lines = _PROCESSOR.read_text("utf-8").splitlines()
    except OSError:
        known = platform.processor()  # Windows: "AMD64 Family 26 ..., AuthenticAMD"
        return known.rsplit(",", 1)[-1].strip()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id"))
    return next(found, "")


def _answers() -> bool:
    """Whether PyTorch was built with the operator, and it multiplies as `torch.mm` does."""
    x = torch.linspace(-1.0, 1.0, 40 * 24).reshape(40, 24)
    w = torch.linspace(2.0, -1.0, 24 * 33).reshape(24, 33)
    try:
        found = _product(x, w.T)
    except (AttributeError, RuntimeError):
        return False
    return bool(torch.allclose(found, x @ w, rtol=_TRUSTED, atol=24 * _TRUSTED))
