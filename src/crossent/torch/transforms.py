"""The call under ``torch.func`` and forward-mode differentiation.

`torch.func.grad`, `vjp`, `jvp`, `jacrev`, `jacfwd`, `hessian` and `vmap` go through three functions
that have every rule: outputs, their gradients, products of second derivatives. Forward-mode takes
from the same parts: an output moves along tangents by what `second_derivatives` gives to what came
from above for it. `vmap` is a loop over examples: each keeps its own few numbers per row, and no
logits are ever all in memory.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from crossent.torch.call import Call, Options
from crossent.torch.engine import Needs
from crossent.torch.flat import (
    DIFFERENTIABLE,
    TENSORS,
    gradients,
    made_names,
    output_names,
    present,
    second_derivatives,
    values,
)
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.third_order import NO_OTHERS, NO_THIRD

__all__ = ["is_transformed", "transformed"]

_N_TENSORS = len(TENSORS)
_EVERY = Needs(True, True, True)


def is_transformed() -> bool:
    """Whether the call stands inside a transform, or where tensors may have tangents."""
    # The first is what torch.autograd.Function itself asks; neither has a public name.
    active: bool = torch._C._are_functorch_transforms_active()
    return active or torch.autograd.forward_ad._current_level >= 0


def transformed(call: Call, needs: Needs) -> LinearCrossEntropyResult:
    """Outputs of a call that transforms can go on with.

    Parameters
    ----------
    call : Call
    needs : Needs
        Which gradients will be asked for, as far as it can be seen from here.
    """
    asked = _Asked(call.options, needs)
    found = _Values.apply(asked, *(getattr(call, name) for name in TENSORS))
    outputs = dict(zip(output_names(call), found, strict=False))
    names = LinearCrossEntropyResult._fields
    return LinearCrossEntropyResult(*(outputs.get(name) for name in names))


@dataclass(frozen=True)
class _Asked:
    """What is not a tensor: options, and names of what comes from above and of what is wanted."""

    options: Options
    needs: Needs
    above: tuple[str, ...] = ()
    along: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    n_stored: int = 0

    def call(self, tensors: Any) -> Call:
        """The call of these tensors."""
        return Call(**dict(zip(TENSORS, tensors, strict=True)), options=self.options)


class _Rule(torch.autograd.Function):
    """What the three have in common."""

    @classmethod
    def looped(
        cls, info: Any, in_dims: tuple[int | None, ...], *given: Any
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """The function of each example, and the results beside each other."""
        found = [
            cls.apply(
                *(
                    x if dim is None else x.select(dim, number)
                    for x, dim in zip(given, in_dims, strict=True)
                )
            )
            for number in range(info.batch_size)
        ]
        whole = tuple(torch.stack(parts) for parts in zip(*found, strict=True))
        return whole, (0,) * len(whole)


class _Values(_Rule):
    """(what is asked, tensors of the call) → outputs, and what derivatives need of them."""

    @staticmethod
    def forward(asked: _Asked, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        return tuple(values(asked.call(tensors), asked.needs))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.asked, *tensors = inputs
        names = output_names(ctx.asked.call(tensors))
        stored = output[len(names) :]
        fixed = [x for name, x in zip(names, output, strict=False) if name not in DIFFERENTIABLE]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*fixed, *stored)
        ctx.save_for_backward(*tensors, *stored)
        ctx.save_for_forward(*tensors, *stored)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors, stored = _saved(ctx)
        needed = ctx.needs_input_grad[1:]
        if any(needed[3:]):
            raise NotImplementedError(NO_OTHERS)
        call = ctx.asked.call(tensors)
        wanted = present(call, Needs(*needed[:3]))
        pairs = zip(output_names(call), grads, strict=False)
        above = {name: x for name, x in pairs if x is not None}
        found = _gradients(ctx.asked, wanted, tensors, stored, above)
        return (None, *(found.get(name) for name in Needs._fields), *[None] * (_N_TENSORS - 3))

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors, stored = _saved(ctx)
        if any(x is not None for x in tangents[3:]):
            raise NotImplementedError(NO_OTHERS)
        call = ctx.asked.call(tensors)
        along = _named(Needs._fields, tangents[:3])
        names = output_names(call)
        moved: dict[str, Tensor] = {}
        rest = [name for name in names if name in DIFFERENTIABLE]
        kind = torch.promote_types(call.input.dtype, torch.float32)
        if call.options.reduction != "none":
            # The gradient itself can be derived once more, so this can be done twice.
            rest.remove("loss")
            one = torch.ones((), dtype=kind, device=call.input.device)
            found = _gradients(ctx.asked, tuple(along), tensors, stored, {"loss": one})
            terms = [(x * found[name]).sum(dtype=kind) for name, x in along.items()]
            moved["loss"] = torch.stack(terms).sum()
        if rest:
            above = {name: _zeros(call, name, kind) for name in rest}
            moved |= _second(ctx.asked, tensors, stored, above, along)[1]
        return (*(moved.get(name) for name in names), *[None] * len(stored))

    @staticmethod
    def vmap(info: Any, in_dims: Any, *given: Any) -> Any:
        return _Values.looped(info, in_dims, *given)


def _saved(ctx: Any) -> tuple[tuple[Tensor | None, ...], tuple[Tensor, ...]]:
    saved = ctx.saved_tensors
    return saved[:_N_TENSORS], saved[_N_TENSORS:]


def _named(names: tuple[str, ...], given: Any) -> dict[str, Tensor]:
    return {name: x for name, x in zip(names, given, strict=True) if x is not None}


def _zeros(call: Call, name: str, kind: torch.dtype) -> Tensor:
    """What may come from above for a row output."""
    shape = [call.input.shape[0]]
    if name == "top_log_probabilities":
        shape.append(call.options.top_k)
    if name == "chosen_log_probabilities" and call.chosen is not None:
        shape.append(call.chosen.shape[1])
    return torch.zeros(shape, dtype=kind, device=call.input.device)


def _gradients(
    asked: _Asked, wanted: tuple[str, ...], tensors: Any, stored: Any, above: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Gradients by name, of what comes from above by name."""
    if not above or not wanted:
        return {}
    asked = replace(asked, above=tuple(above), wanted=wanted, n_stored=len(stored))
    return dict(
        zip(wanted, _Gradients.apply(asked, *stored, *above.values(), *tensors), strict=True)
    )


class _Gradients(_Rule):
    """(what is asked, what was stored, what comes from above, tensors of the call) → gradients."""

    @staticmethod
    def forward(asked: _Asked, *given: Tensor) -> tuple[Tensor, ...]:
        tensors, stored, above = _parted(asked, given)
        call = asked.call(tensors)
        made = made_names(call, asked.needs)
        return tuple(gradients(call, list(stored), made, above, asked.wanted))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG004
        ctx.asked, *given = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given)
        ctx.save_for_forward(*given)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        asked = ctx.asked
        tensors, stored, above = _parted(asked, ctx.saved_tensors)
        along = _named(asked.wanted, grads)
        of_layer, of_above = _second(asked, tensors, stored, above, along) if along else ({}, {})
        return (
            *[None] * (1 + asked.n_stored),
            *(of_above.get(name) for name in asked.above),
            *(of_layer.get(name) for name in Needs._fields),
            *[None] * (_N_TENSORS - 3),
        )

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        asked = ctx.asked
        tensors, stored, above = _parted(asked, ctx.saved_tensors)
        start = asked.n_stored + len(asked.above)
        along = _named(Needs._fields, tangents[start : start + 3])
        moved = _named(asked.above, tangents[asked.n_stored : start])
        total = _second(asked, tensors, stored, above, along)[0] if along else {}
        more = _gradients(asked, asked.wanted, tensors, stored, moved)
        sums = {name: total[name] + more[name] for name in total.keys() & more.keys()}
        found = {**total, **more, **sums}
        return tuple(found.get(name) for name in asked.wanted)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *given: Any) -> Any:
        return _Gradients.looped(info, in_dims, *given)


def _parted(asked: _Asked, given: Any) -> tuple[Any, Any, dict[str, Tensor]]:
    """Tensors of the call, what was stored, and what comes from above by name."""
    start = asked.n_stored + len(asked.above)
    above = dict(zip(asked.above, given[asked.n_stored : start], strict=True))
    return given[start : start + _N_TENSORS], given[: asked.n_stored], above


def _second(
    asked: _Asked, tensors: Any, stored: Any, above: dict[str, Tensor], along: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What ⟨along, gradients⟩ gives the layer and what came from above, by name."""
    names = present(asked.call(tensors), _EVERY)
    asked = replace(asked, above=tuple(above), along=tuple(along), n_stored=len(stored))
    found = _Second.apply(asked, *stored, *above.values(), *tensors, *along.values())
    layer, rest = found[: len(names)], found[len(names) :]
    return dict(zip(names, layer, strict=True)), dict(zip(above, rest, strict=True))


class _Second(_Rule):
    """(what is asked, as above, cotangents) → what they give the layer and what came from above."""

    @staticmethod
    def forward(asked: _Asked, *given: Tensor) -> tuple[Tensor, ...]:
        tensors, stored, above = _parted(asked, given)
        along = dict(zip(asked.along, given[len(given) - len(asked.along) :], strict=True))
        return tuple(second_derivatives(asked.call(tensors), list(stored), above, along))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        raise NotImplementedError(NO_THIRD)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        raise NotImplementedError(NO_THIRD)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *given: Any) -> Any:
        return _Second.looped(info, in_dims, *given)
