"""How far derivatives go: second ones move with their cotangents, and with nothing else.

Products with the Hessian are linear in the vectors they are made of. That derivative is there, and
``torch.autograd.functional.hvp`` needs it; it takes first and second derivatives only. A third one,
with respect to the layer, is an error, raised when it is asked for and not before.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["NO_OTHERS", "NO_THIRD", "linear_in_cotangents"]

NO_THIRD = (
    "linear_cross_entropy has first and second derivatives; for a third, take path='reference'."
)
NO_OTHERS = (
    "a gradient of targets or weights is wanted, which only the definition has; take "
    "path='reference'."
)

List = Sequence[Tensor | None]
Second = Callable[[List], tuple[List, List]]
"""From cotangents to what they give the layer, and what came from above."""


def linear_in_cotangents(
    second: Second, first: Callable[[List], List], layer: List, above: List, cotangents: List
) -> tuple[List, List]:
    """``second(cotangents)``, for autograd.

    Parameters
    ----------
    second : callable
    first : callable
        The gradients of the layer that something from above gives: the transpose of `second`'s
        second half.
    layer, above : sequence of Tensor or None
        What `second` also depends on: deriving by it is an error.
    cotangents : sequence of Tensor or None
    """
    if not torch.is_grad_enabled():
        return second(cotangents)
    fixed = _Fixed.apply(*layer, *above)
    found = _Second.apply(second, first, len(layer), len(above), *fixed, *cotangents)
    return found[: len(layer)], found[len(layer) :]


class _Fixed(torch.autograd.Function):
    """Tensors as they are; that a derivative comes back is an error."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor | None) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)
        return tuple(None if x is None else x.view_as(x) for x in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        raise NotImplementedError(NO_THIRD)


class _Second(torch.autograd.Function):
    """(layer, above, cotangents) → what `second` says."""

    @staticmethod
    def forward(
        ctx: Any,
        second: Second,
        first: Callable[[List], List],
        n_layer: int,
        n_above: int,
        *tensors: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)
        ctx.functions, ctx.counts = (second, first), (n_layer, n_above)
        # The functions hold these too; here it is noticed if somebody has written to them.
        ctx.save_for_backward(*tensors[: n_layer + n_above])
        of_layer, of_above = second(tensors[n_layer + n_above :])
        return (*of_layer, *of_above)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise NotImplementedError(NO_THIRD)
        _, (second, first) = ctx.saved_tensors, ctx.functions
        n_layer, n_above = ctx.counts
        from_layer = _made(lambda along: second(along)[0], grads[:n_layer])
        total = _sum(from_layer, _made(first, grads[n_layer:]))
        wanted = ctx.needs_input_grad[-n_layer:]
        pairs = itertools.zip_longest(total, wanted)
        kept = (x if need else None for x, need in pairs)
        return (*(None,) * (4 + n_layer + n_above), *kept)


def _made(function: Callable[[List], List], given: List) -> List:
    """What the function gives the layer; nothing where it is given nothing."""
    return function(given) if any(x is not None for x in given) else ()


def _sum(a: List, b: List) -> List:
    pairs = itertools.zip_longest(a, b)
    return [y if x is None else x if y is None else x + y for x, y in pairs]
