"""Logits of some rows and classes at a time, in units of log 2 and shifted, ready for exp2.

PyTorch's exp2 is as exact as its exp and four times as fast on the machine this was measured on,
and the factor 1 / log 2 comes free with the product.
"""

import math

import torch
from torch import Tensor

from crossent.torch.blocks import Blocks
from crossent.torch.engine import RowLogits, known
from crossent.torch.products import products_for
from crossent.torch.threads import over

__all__ = [
    "LOG2_E",
    "Tiles",
    "arithmetic_of",
    "capped",
    "logits_at",
    "slope_at",
    "target_tile",
]

LOG2_E = 1.0 / math.log(2.0)


def arithmetic_of(dtype: torch.dtype) -> torch.dtype:
    """The dtype that products of this one are made in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


class Tiles:
    """The logits, block of classes by block of classes.

    Parameters
    ----------
    logits : RowLogits
    blocks : Blocks

    Attributes
    ----------
    dtype : torch.dtype
        Of the arithmetic.
    chunks : list of (int, int)
        First and last-plus-one class of each block.
    products : Products
        Who multiplies.
    """

    def __init__(self, logits: RowLogits, blocks: Blocks) -> None:
        self.logits = logits
        self.blocks = blocks
        self.dtype = arithmetic_of(logits.input.dtype)
        self.chunks = blocks.chunks(logits.n_classes)
        self.products = products_for(self.dtype)
        self.scale = LOG2_E / logits.temperature
        weight = logits.weight
        self.converts = weight is not None and weight.dtype != self.dtype
        bias = logits.bias
        # With a cap the product makes 2 s / softcap, of which tanh is taken.
        factor = self.scale if logits.softcap is None else 2.0 / logits.softcap
        self.factor = factor
        self.bias = None if bias is None else bias.to(self.dtype) * factor
        self._excluded = self._excluded_classes()
        self._one = torch.ones((), dtype=self.dtype)
        self._weights = None if weight is None else [weight[a:b] for a, b in self.chunks]
        self._spread: tuple[Tensor, float] | None = None
        self._buffers: list[Tensor] = []
        if weight is not None and self.converts:
            shape = (blocks.threads, blocks.classes, weight.shape[1])
            self._buffers = list(torch.empty(shape, dtype=self.dtype))

    def _excluded_classes(self) -> Tensor | None:
        """Where the bias is −∞, which the cap must not bring back; None if nowhere or no cap."""
        if self.logits.softcap is None or self.bias is None:
            return None
        excluded = self.bias == -math.inf
        return excluded if bool(excluded.any()) else None

    def rows(self, part: slice) -> Tensor:
        """Some rows of X in the dtype of the arithmetic; of given logits, the slice itself."""
        rows = self.logits.input[part]
        return rows if self.logits.weight is None else rows.to(self.dtype)

    def weight(self, chunk: int, thread: int) -> Tensor:
        """W of a block of classes, in the dtype of the arithmetic."""
        if self._weights is None:
            message = "given logits have no weight"
            raise AssertionError(message)
        part = self._weights[chunk]
        return self._buffers[thread][: len(part)].copy_(part) if self.converts else part

    @property
    def is_plain(self) -> bool:
        """Whether z is linear in W and X, without a cap: then rank-one terms need no logits."""
        return self.logits.weight is not None and self.logits.softcap is None

    def spread_of(self, u: Tensor) -> tuple[Tensor, float]:
        """Wᵀu, shape (d,), in float64 from products of one block, and b·u; for plain logits."""
        if self._spread is None:
            u = u.to(self.dtype)
            shape = (len(self.chunks), self.logits.input.shape[1])
            parts = torch.empty(shape, dtype=self.dtype)

            def visit(chunk: int, thread: int) -> None:
                span = slice(*self.chunks[chunk])
                torch.mv(self.weight(chunk, thread).T, u[span], out=parts[chunk])

            over(len(self.chunks), visit, self.blocks.threads)
            bias = self.logits.bias
            terms = 0.0 if bias is None else float((bias.double() * u).where(u != 0.0, 0.0).sum())
            self._spread = parts.double().sum(dim=0), terms
        return self._spread

    def fill(
        self, out: Tensor, x: Tensor, weight: Tensor | None, chunk: int, shift: Tensor
    ) -> None:
        """Write log₂e · z − shift of these rows into `out`; shift has shape (rows, 1)."""
        start, stop = self.chunks[chunk]
        bias = None if self.bias is None else self.bias[start:stop]
        if self.logits.softcap is not None:
            self._fill_capped(out, x, weight, bias, (start, stop), shift)
        elif weight is not None:
            self.products.shifted(out, x, weight, self.scale, bias, shift)
        else:
            torch.add(-shift, x[:, start:stop], alpha=self.scale, out=out)
            if bias is not None:
                out.add_(bias)

    def _fill_capped(
        self,
        out: Tensor,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        span: tuple[int, int],
        shift: Tensor,
    ) -> None:
        cap = self.logits.softcap or 1.0
        excluded = None if self._excluded is None else self._excluded[slice(*span)]
        if weight is None:
            torch.mul(x[:, slice(*span)], self.factor, out=out)
            excluded = out == -math.inf
            if bias is not None:
                out.add_(bias)
        else:
            self.products.shifted(out, x, weight, self.factor, bias, None)
        _tanh_of_half_(out)
        torch.add(-shift, out, alpha=cap * self.scale, out=out)
        if excluded is not None:
            out.masked_fill_(excluded, -math.inf)

    def slope(self, out: Tensor, tile: Tensor, shift: Tensor) -> Tensor:
        """Derivative of the cap at the logits that stand in `tile`, into `out`: 1 − (cap(s)/cap)².

        A tile holds log₂e · cap(s) / temperature − shift. 0 for an excluded class.
        """
        largest = (self.logits.softcap or 1.0) * self.scale
        torch.add(tile, shift, out=out)
        if self._excluded is not None or self.logits.weight is None:
            out.clamp_(min=-largest)
        return torch.addcmul(self._one, out, out, value=-1.0 / largest**2, out=out)


def _tanh_of_half_(x: Tensor) -> Tensor:
    """tanh(x / 2) in place, from e = exp(x) − 1: e / (e + 2) = 1 / (1 + 2 / e).

    Within four roundings, as exact near 0 as elsewhere, in less than half the time of PyTorch's
    tanh. Beyond ±40 it is ±1 in float64 too.
    """
    return x.clamp_(-40.0, 40.0).expm1_().reciprocal_().mul_(2.0).add_(1.0).reciprocal_()


def logits_at(logits: RowLogits, part: slice, classes: Tensor) -> Tensor:
    """Z at some classes of some rows, (rows, k), in float64 from products in the input's dtype.

    −∞ where the class is −1, NaN beyond the last, which only GPUs let come here.
    """
    index = classes.clamp(min=0, max=logits.n_classes - 1)
    if logits.weight is None:
        z = logits.input[part].gather(1, index).double()
    else:
        kind = arithmetic_of(logits.input.dtype)
        x = logits.input[part].to(kind)
        columns = [
            (x * logits.weight.index_select(0, c).to(kind)).sum(dim=1, dtype=torch.float64)
            for c in index.unbind(dim=1)
        ]
        z = torch.stack(columns, dim=1) if columns else x.new_zeros(index.shape).double()
    if logits.bias is not None:
        z = z + known(logits.bias)[index].double()
    if logits.softcap is not None:
        z = capped(z, logits.softcap)
    z = (z / logits.temperature).where(classes >= 0, -math.inf)
    return z.where(classes < logits.n_classes, math.nan)


def capped(s: Tensor, cap: float) -> Tensor:
    """The cap of s, softcap · tanh(s / softcap); −∞ stays, since it excludes a class."""
    return (cap * torch.tanh(s / cap)).where(s != -math.inf, s)


def slope_at(logits: RowLogits, part: slice, classes: Tensor) -> Tensor | float:
    """∂z/∂s at some classes of some rows, s the logit before cap and temperature; (rows, k).

    0 where the class is −1 or excluded.
    """
    if logits.softcap is None:
        return 1.0 / logits.temperature
    share = logits_at(logits, part, classes) * logits.temperature / logits.softcap
    return (1.0 - share.clamp(min=-1.0).square()) / logits.temperature


def target_tile(
    targets: Tensor, weight: Tensor | None, span: tuple[int, int], dtype: torch.dtype
) -> Tensor:
    """C ⊙ y for the classes of a span, of which `targets` holds the columns."""
    y = targets.to(dtype)
    return y if weight is None else y * weight[slice(*span)].to(dtype)
