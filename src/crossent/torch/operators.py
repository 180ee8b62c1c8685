"""The call as operators that torch.compile takes as they are, without looking inside.

One gives the outputs, one their gradients, one products of second derivatives; each has a fake form
and the derivative that autograd knows of it is the next. What stands in a graph must have shapes
that depend on shapes only: so ignored rows, whose number is in the data, are taken out inside and
put back before anything is returned. Values are checked and the path is chosen when the graph runs.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossent.torch.call import Call, Options
from crossent.torch.engine import Needs
from crossent.torch.flat import (
    DIFFERENTIABLE,
    TENSORS,
    gradients,
    gradients_like,
    made_names,
    output_names,
    present,
    second_derivatives,
    values,
    values_like,
)
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.third_order import NO_OTHERS, linear_in_cotangents

__all__ = ["compiled"]

_NAME = "crossent::linear_cross_entropy"
_OPTIONS = {
    "reduction": "str",
    "ignore_index": "int?",
    "label_smoothing": "float",
    "z_loss": "float",
    "logit_softcap": "float?",
    "temperature": "float",
    "compute": "str",
    "top_k": "int",
    "filter": "float?",
    "max_workspace_bytes": "int?",
    "path": "str?",
}
"""Fields of `Options` with their types; names of outputs are one string, with commas between."""

_TAGS = tuple(tag for tag in [getattr(torch.Tag, "cudagraph_unsafe", None)] if tag is not None)
"""With a filter, or `ignore_index` on a GPU, the host reads numbers of the device: so what is made
into a CUDA graph stops before and goes on after."""

_OPTIONAL = dict.fromkeys(TENSORS[1:], "Tensor?")
_CALL = ", ".join(
    f"{kind} {name}"
    for name, kind in {"input": "Tensor", **_OPTIONAL, **_OPTIONS, "needs": "bool[]"}.items()
)
_N_TENSORS = len(TENSORS)


def compiled(call: Call, needs: Needs) -> LinearCrossEntropyResult:
    """Outputs of a call inside torch.compile."""
    tensors = [getattr(call, name) for name in TENSORS]
    options = {**vars(call.options), "compute": ",".join(call.options.compute)}
    found = _operator(*tensors, *(options[name] for name in _OPTIONS), list(needs))
    outputs = dict(zip(output_names(call), found, strict=False))
    return LinearCrossEntropyResult(
        *(outputs.get(name) for name in LinearCrossEntropyResult._fields)
    )


def _call_of(given: tuple[Any, ...]) -> tuple[Call, Needs]:
    """The call that stands in the arguments of an operator, and which gradients may be asked."""
    options = dict(zip(_OPTIONS, given[_N_TENSORS:-1], strict=True))
    options["compute"] = _split(options["compute"])
    tensors = dict(zip(TENSORS, given[:_N_TENSORS], strict=True))
    return Call(**tensors, options=Options(**options)), Needs(*given[-1])


def _split(names: str) -> tuple[str, ...]:
    return tuple(names.split(",")) if names else ()


def _defined(name: str, arguments: str, function: Any, fake: Any) -> Any:
    """An operator with its fake form; both take what `arguments` says, in order."""
    made = torch.library.custom_op(
        name, function, mutates_args=(), schema=f"({arguments}) -> Tensor[]", tags=_TAGS
    )
    made.register_fake(fake)
    return made


_operator = _defined(
    _NAME,
    _CALL,
    lambda *given: values(*_call_of(given)),
    lambda *given: values_like(*_call_of(given)),
)


def _gradients(
    stored: list[Tensor], above: list[Tensor], names: str, wanted: str, *given: Any
) -> list[Tensor]:
    call, needs = _call_of(given)
    from_above = dict(zip(_split(names), above, strict=True))
    return gradients(call, stored, made_names(call, needs), from_above, _split(wanted))


_gradient_operator = _defined(
    f"{_NAME}_backward",
    f"Tensor[] stored, Tensor[] above, str names, str wanted, {_CALL}",
    _gradients,
    lambda _, __, ___, wanted, *given: gradients_like(_call_of(given)[0], _split(wanted)),
)


def _second(
    stored: list[Tensor],
    above: list[Tensor],
    names: str,
    cotangents: list[Tensor],
    of: str,
    *given: Any,
) -> list[Tensor]:
    from_above = dict(zip(_split(names), above, strict=True))
    along = dict(zip(_split(of), cotangents, strict=True))
    return second_derivatives(_call_of(given)[0], stored, from_above, along)


def _second_like(_: Any, above: list[Tensor], __: str, ___: Any, ____: str, *given: Any) -> Any:
    call, _needs = _call_of(given)
    layer = gradients_like(call, present(call, Needs(True, True, True)))
    return [*layer, *(torch.empty_like(x) for x in above)]


_second_operator = _defined(
    f"{_NAME}_second",
    f"Tensor[] stored, Tensor[] above, str names, Tensor[] cotangents, str of, {_CALL}",
    _second,
    _second_like,
)


_scale = torch.library.custom_op(
    f"{_NAME}_scale",
    lambda scale, *_: scale.clone(),
    mutates_args=(),
    schema="(Tensor scale, Tensor input, Tensor? weight, Tensor? bias) -> Tensor",
)
"""What comes from above, as it is. The layer stands beside it so that a graph knows: the gradients
that it multiplies depend on the layer, though they were made before. Without it PyTorch would not
notice that a second derivative is asked of a compiled graph, which has none."""

_scale.register_fake(lambda scale, *_: torch.empty_like(scale))


def _keep_forward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    """What the derivative of the outputs needs."""
    call, _ = _call_of(inputs)
    names = output_names(call)
    fixed = [x for name, x in zip(names, output, strict=False) if name not in DIFFERENTIABLE]
    stored = output[len(names) :]
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*fixed, *stored)
    ctx.options = inputs[_N_TENSORS:]
    ctx.save_for_backward(*inputs[:_N_TENSORS], *stored)


def _derivative(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    saved = ctx.saved_tensors  # once: what recomputes them allows no second look
    tensors, stored = saved[:_N_TENSORS], list(saved[_N_TENSORS:])
    given = (*tensors, *ctx.options)
    call, needs = _call_of(given)
    if any(ctx.needs_input_grad[3:_N_TENSORS]):
        raise NotImplementedError(NO_OTHERS)
    wanted = present(call, Needs(*(bool(x) for x in ctx.needs_input_grad[:3])))
    pairs = zip(output_names(call), grads, strict=False)
    above = {name: x for name, x in pairs if x is not None}
    total: dict[str, Tensor] = {}
    made = made_names(call, needs)
    if "loss" in above and set(wanted) <= set(made) and not torch.is_grad_enabled():
        scale = _scale(above.pop("loss"), *tensors[:3])
        at_once = dict(zip(made, stored[-len(made) :], strict=True))
        total = {name: at_once[name] * scale.to(at_once[name].dtype) for name in wanted}
    if above:
        names, listed = ",".join(above), ",".join(wanted)
        found = _gradient_operator(stored, list(above.values()), names, listed, *given)
        more = dict(zip(wanted, found, strict=True))
        total = {name: x + total[name] if name in total else x for name, x in more.items()}
    layer = [total.get(name) for name in Needs._fields]
    return (*layer, *[None] * (len(given) - len(layer)))


_operator.register_autograd(_derivative, setup_context=_keep_forward)


def _keep_gradients(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:  # noqa: ARG001
    """What the derivative of the gradients needs."""
    stored, above, names, wanted, *given = inputs
    ctx.set_materialize_grads(False)
    ctx.rest = (names, wanted, given[_N_TENSORS:])
    ctx.counts = (len(stored), len(above))
    ctx.save_for_backward(*stored, *above, *given[:_N_TENSORS])


@dataclass(frozen=True)
class _Products:
    """Products with first and second derivatives, for tensors of the parts of the layer in order.

    `given` is the call as an operator takes it; what comes from above has these `names`.
    """

    stored: list[Tensor]
    above: list[Tensor]
    names: tuple[str, ...]
    given: tuple[Any, ...]

    @property
    def layer(self) -> tuple[str, ...]:
        """Parts of the layer that are there."""
        return present(_call_of(self.given)[0], Needs(True, True, True))

    def second(self, cotangents: Any) -> tuple[list[Tensor], list[Tensor]]:
        """What ⟨cotangents, gradients⟩ gives the layer, and what came from above."""
        of, along = _held(self.layer, cotangents)
        names = ",".join(self.names)
        found = _second_operator(self.stored, self.above, names, along, of, *self.given)
        return found[: len(self.layer)], found[len(self.layer) :]

    def first(self, above: Any) -> list[Tensor]:
        """Gradients of the layer."""
        names, values = _held(self.names, above)
        wanted: list[Tensor] = _gradient_operator(
            self.stored, values, names, ",".join(self.layer), *self.given
        )
        return wanted


def _held(names: tuple[str, ...], values: Any) -> tuple[str, list[Tensor]]:
    """What is not None, and its names in one string."""
    pairs = [(name, x) for name, x in zip(names, values, strict=True) if x is not None]
    return ",".join(name for name, _ in pairs), [x for _, x in pairs]


def _derivative_of_gradients(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    n_stored, n_above = ctx.counts
    names, wanted, options = ctx.rest
    saved = list(ctx.saved_tensors)
    stored, above = saved[:n_stored], saved[n_stored : n_stored + n_above]
    given = (*saved[n_stored + n_above :], *options)
    products = _Products(stored, above, _split(names), given)
    of_layer: Any = [None] * len(products.layer)
    of_above: Any = [None] * n_above
    if any(x is not None for x in grads):
        along = dict(zip(_split(wanted), grads, strict=True))
        of_layer, of_above = linear_in_cotangents(
            products.second,
            products.first,
            [x for x in given[:3] if x is not None],
            above,
            [along.get(name) for name in products.layer],
        )
    found = dict(zip(products.layer, of_layer, strict=True))
    layer = [found.get(name) for name in Needs._fields]
    rest = [None] * (len(given) - len(layer))
    return ([None] * n_stored, list(of_above), None, None, *layer, *rest)


_gradient_operator.register_autograd(_derivative_of_gradients, setup_context=_keep_gradients)
