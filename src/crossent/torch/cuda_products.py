"""Library products on GPUs, and the gradients that grow out of them."""

from typing import NamedTuple

import torch
from torch import Tensor

from crossent.torch.engine import AtClasses, Gradients, Needs, RowLogits, known
from crossent.torch.products import products_for

__all__ = ["LinearGradients", "RankOne", "split_in_two", "wide_product", "wide_vector_product"]

_CLASSES = 16384
"""Classes at a time where products are added up, so that the summand is small beside the sum."""


class RankOne(NamedTuple):
    """The same vector over the classes, (q,), times a number for each row, (n,)."""

    row: Tensor
    vector: Tensor


def wide_product(a: Tensor, b: Tensor) -> Tensor:
    """A B; of half precision in float32, without rounding in between."""
    if a.device.type == "cpu":
        wide = torch.promote_types(a.dtype, torch.float32)
        return products_for(wide).made(a.to(wide), b.to(wide))
    if a.dtype not in (torch.bfloat16, torch.float16):
        return a @ b
    return torch.mm(a, b, out_dtype=torch.float32)


def split_in_two(v: Tensor, dtype: torch.dtype) -> Tensor:
    """Columns whose sum is v to twice the digits of `dtype`; shape (n, 2)."""
    first = v.to(dtype)
    return torch.stack([first, (v - first.to(v.dtype)).to(dtype)], dim=1)


def wide_vector_product(a: Tensor, v: Tensor) -> Tensor:
    """A v; v counts with twice the digits of A's dtype."""
    return wide_product(a, split_in_two(v, a.dtype)).sum(dim=1)


def _times(product: Tensor, back: Tensor | None) -> Tensor:
    return product if back is None else product.mul_(back)


class LinearGradients:
    """∂X, ∂W and ∂b, a block of rows at a time.

    Parameters
    ----------
    logits : RowLogits
        With a weight.
    needs : Needs
        Which of the three are wanted.
    at_once : bool
        Whether there is only one block: then ∂W is one product, in its own dtype.
    classes : int
        Classes at a time where products are added up.
    """

    def __init__(
        self, logits: RowLogits, needs: Needs, *, at_once: bool, classes: int = _CLASSES
    ) -> None:
        self.logits, self.needs, self.classes = logits, needs, classes
        x, w = logits.input, known(logits.weight)
        self.kind = torch.float64 if x.dtype == torch.float64 else torch.float32
        # Sums of float16 could leave its range before the gain is taken out.
        self.at_once = at_once and x.dtype != torch.float16
        self.input = x.new_empty(x.shape if needs.input else (0,), dtype=self.kind)
        adds = needs.weight and not self.at_once
        self.weight = w.new_zeros(w.shape if adds else (0,), dtype=self.kind)
        self.bias = w.new_zeros(len(w) if needs.bias else 0, dtype=self.kind)

    def add_rows(
        self,
        part: slice,
        g: Tensor,
        scale: Tensor | None = None,
        *,
        gain: Tensor | None = None,
        needs: Needs | None = None,
    ) -> None:
        """Rows of the gradient, diag(scale) G / gain with G of shape (rows, q).

        With `needs`, of these gradients only.
        """
        needs = self.needs if needs is None else needs
        x, w = self.logits.input[part], known(self.logits.weight)
        back = None if gain is None else (1.0 / gain).to(self.kind)
        if needs.input:
            product = wide_product(g, w)
            product = product if scale is None else product.mul_(scale[:, None])
            self.input[part] = _times(product, back)
        if needs.weight:
            self._add_weight(g, x if scale is None else (x * scale[:, None]).to(x.dtype), back)
        if needs.bias:
            ones = g.new_ones(len(g), dtype=self.kind) if scale is None else scale
            self.bias += _times(wide_vector_product(g.T, ones), back)

    def _add_weight(self, g: Tensor, x: Tensor, back: Tensor | None) -> None:
        if self.at_once:
            self.weight = torch.mm(g.T, x)
            return
        for start in range(0, g.shape[1], self.classes):
            span = slice(start, start + self.classes)
            if g.dtype == self.kind and back is None:
                self.weight[span].addmm_(g[:, span].T, x)
            else:
                self.weight[span] += _times(wide_product(g[:, span].T, x), back)

    def add_some_classes(self, part: slice, g: Tensor, scale: Tensor, kept: Tensor) -> None:
        """Rows of the gradient, diag(scale) G, of which only the classes `kept` are multiplied.

        ∂b gets the sums of all classes.
        """
        x, w = self.logits.input[part], known(self.logits.weight)
        scaled = (x * scale[:, None]).to(x.dtype)
        if self.needs.input:
            self.input[part] = 0.0
        for own in kept.split(self.classes):
            some = g.index_select(1, own)
            if self.needs.input:
                self.input[part] += wide_product(some, w.index_select(0, own))
            if self.needs.weight:
                self.weight.index_add_(0, own, wide_product(some.T, scaled))
        if self.needs.input:
            self.input[part] *= scale[:, None]
        if self.needs.bias:
            self.bias += wide_vector_product(g.T, scale)

    def add_at(self, part: slice, at: AtClasses) -> None:
        """Values at single classes of these rows; class −1 for none. In a fixed order on CPUs."""
        x, w = self.logits.input[part], known(self.logits.weight)
        for classes, values in zip(at.classes.unbind(1), at.value.unbind(1), strict=True):
            value = values.where(classes >= 0, 0.0).to(self.kind)
            index = classes.clamp(min=0)
            if self.needs.input:
                self.input[part] += w.index_select(0, index).to(self.kind) * value[:, None]
            if self.needs.weight:
                self.weight.index_add_(0, index, x.to(self.kind) * value[:, None])
            if self.needs.bias:
                self.bias.index_add_(0, index, value)

    def subtract(self, rank_one: RankOne) -> None:
        """Take off the same vector in every row, times that row's number; after all rows."""
        x, w = self.logits.input, known(self.logits.weight)
        r, u = rank_one.row.to(self.kind), rank_one.vector.to(self.kind)
        if self.needs.input:
            self.input.addr_(r, wide_vector_product(w.T, u), alpha=-1.0)
        if self.needs.weight:
            along = wide_vector_product(x.T, r)
            self.weight.addr_(u.to(self.weight.dtype), along.to(self.weight.dtype), alpha=-1.0)
        if self.needs.bias:
            self.bias.sub_(u * r.sum())

    def finished(self) -> Gradients:
        """The gradients, in the dtypes of X, W and b."""
        logits, needs = self.logits, self.needs
        return Gradients(
            self.input.to(logits.input.dtype) if needs.input else None,
            self.weight.to(known(logits.weight).dtype) if needs.weight else None,
            self.bias.to(known(logits.bias).dtype) if needs.bias else None,
        )
