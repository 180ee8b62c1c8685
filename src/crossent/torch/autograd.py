"""What autograd knows of a call: gradients made in the forward pass, and derivatives of those.

The forward pass makes the gradients of the loss at once (three products in all). Backward hands
them out, multiplied by what comes from above; where the graph is retained, copies of them, so that
nothing is shared with what the user has got and a second pass gives the same bits.
"""

from typing import Any

import torch
from torch import Tensor

from crossent.torch.call import Call
from crossent.torch.engine import Engine, Gradients, Needs
from crossent.torch.forward import Forward, carry_out, gradients_of, whole_input
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.second_order import second_order
from crossent.torch.third_order import linear_in_cotangents

__all__ = ["differentiable"]


def differentiable(
    call: Call, engine: Engine, needs: Needs, *, at_once: bool, holds: bool = False
) -> LinearCrossEntropyResult:
    """Outputs of a call that autograd can go back from.

    Parameters
    ----------
    call : Call
    engine : Engine
    needs : Needs
        Which gradients may be asked for.
    at_once : bool
        Make the loss's gradients in the forward pass.
    holds : bool
        Hold the logits for the backward pass.
    """
    tensors = (call.input, call.weight, call.bias)
    return LinearCrossEntropyResult(*_Loss.apply(*tensors, call, engine, needs, at_once, holds))


class _Loss(torch.autograd.Function):
    """(X, W, b) → the fields of a `LinearCrossEntropyResult`."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        call: Call,
        engine: Engine,
        needs: Needs,
        at_once: bool,
        holds: bool,
    ) -> tuple[Tensor | None, ...]:
        forward = carry_out(call, engine, needs if at_once else None, holds=holds)
        ctx.set_materialize_grads(False)
        # All that is read again: so it is noticed if somebody has written to it.
        ctx.save_for_backward(input, weight, bias, *_others(call))
        ctx.forward_pass, ctx.engine, ctx.needs = forward, engine, needs
        result = forward.result
        integers = [x for x in (result.accuracy, result.top_classes) if x is not None]
        ctx.mark_non_differentiable(*integers)
        forward.result = LinearCrossEntropyResult(result.loss.detach())  # no circle through ctx
        return tuple(result)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        forward: Forward = ctx.forward_pass
        above = LinearCrossEntropyResult(*grads)
        saved = ctx.saved_tensors[:3]  # says so if the graph is gone
        if torch.is_grad_enabled():
            made = _Gradient.apply(*saved, forward, ctx.engine, ctx.needs, *grads)
            return (*made, None, None, None, None, None)
        made = _taken(forward, above)
        rest = above if made is None else above._replace(loss=None)
        if made is None or any(x is not None for x in rest):
            more = gradients_of(forward, ctx.engine, rest, ctx.needs)
            made = more if made is None else _sum(made, more)
        if not _graph_is_kept():
            ctx.forward_pass = None  # nobody comes again, though the loss may be kept
        return (*whole_input(forward, made), None, None, None, None, None)


def _others(call: Call) -> list[Tensor | None]:
    return [
        call.labels,
        call.label_probabilities,
        call.targets,
        call.class_weight,
        call.sample_weight,
        call.chosen,
    ]


def _taken(forward: Forward, above: LinearCrossEntropyResult) -> Gradients | None:
    """The gradients that the forward pass made, times what comes from above, if there are any.

    Multiplied in place, and not at all by 1, where they are handed out for good.
    """
    made, grad = forward.gradients, above.loss
    if made is None or grad is None:
        return None
    if _graph_is_kept():
        return Gradients(*(None if x is None else x * grad.to(x.dtype) for x in made))
    forward.gradients = None
    if grad.device.type == "cpu" and float(grad) == 1.0:
        return made
    return Gradients(*(None if x is None else x.mul_(grad.to(x.dtype)) for x in made))


def _graph_is_kept() -> bool:
    """Whether another backward pass may come; PyTorch has no public name for it."""
    ask = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    return True if ask is None else bool(ask())


def _sum(a: Gradients, b: Gradients) -> Gradients:
    pairs = zip(a, b, strict=True)
    return Gradients(*(y if x is None else x if y is None else x + y for x, y in pairs))


class _Gradient(torch.autograd.Function):
    """(X, W, b, what comes from above) → gradients of X, W and b, once more differentiable."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        forward: Forward,
        engine: Engine,
        needs: Needs,
        *grads: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        above = LinearCrossEntropyResult(*grads)
        made = whole_input(forward, gradients_of(forward, engine, above, needs))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(input, weight, bias, *grads)
        ctx.forward_pass, ctx.engine = forward, engine
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        input, weight, bias, *grads = ctx.saved_tensors
        n_grads = len(grads)
        if all(x is None for x in cotangents):
            return (None,) * (6 + n_grads)
        forward, engine = ctx.forward_pass, ctx.engine

        def second(along: Any) -> tuple[Any, Any]:
            above = LinearCrossEntropyResult(*grads)
            return second_order(forward, above, Gradients(*along))

        def first(above: Any) -> Any:
            every = Needs(*(x is not None for x in (input, weight, bias)))
            given = LinearCrossEntropyResult(*above)
            return whole_input(forward, gradients_of(forward, engine, given, every))

        of_layer, of_grads = linear_in_cotangents(
            second, first, (input, weight, bias), grads, cotangents
        )
        return (*of_layer, None, None, None, *of_grads)
