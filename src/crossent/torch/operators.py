"""The call as two operators that torch.compile takes as they are, without looking inside.

What stands in a graph must have shapes that depend on shapes only: so ignored rows, whose number is
in the data, are taken out inside the operators and put back before they return. Values are checked
and the path is chosen when the graph runs.
"""

# ruff: noqa: ARG001  Operators and their fake forms have one signature, used or not.

from typing import Any

import torch
from torch import Tensor

from crossent.torch.arguments import problem_of
from crossent.torch.call import Call, Options
from crossent.torch.engine import Engine, Gradients, Needs, Statistics
from crossent.torch.forward import Forward, carry_out, gradients_of, may_wait, whole_input
from crossent.torch.objective import row_objective
from crossent.torch.plan import make_plan, path_named
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.rows import Kept, take_rows, used_rows

__all__ = ["compiled"]

_OUTPUTS = LinearCrossEntropyResult._fields
_STATISTICS = tuple(Statistics.__dataclass_fields__)
_N_GRADIENTS = len(Gradients._fields)


def compiled(call: Call, needs: Needs) -> LinearCrossEntropyResult:
    """Outputs of a call inside torch.compile."""
    options = call.options
    tensors = [
        call.bias,
        call.labels,
        call.label_probabilities,
        call.targets,
        call.class_weight,
        call.sample_weight,
        call.chosen,
    ]
    found = _operator(
        call.input,
        call.weight,
        *tensors,
        options.reduction,
        options.ignore_index,
        options.label_smoothing,
        options.z_loss,
        options.logit_softcap,
        options.temperature,
        ",".join(options.compute),
        options.top_k,
        options.max_workspace_bytes,
        options.path,
        list(needs),
    )
    wanted = _wanted(options, call.chosen)
    outputs = found[: len(_OUTPUTS)]
    pairs = zip(_OUTPUTS, outputs, strict=True)
    return LinearCrossEntropyResult(*(x if name in wanted else None for name, x in pairs))


def _wanted(options: Options, chosen: Tensor | None) -> set[str]:
    """Names of the outputs that a call has."""
    names = {"loss", *options.compute}
    if options.top_k:
        names |= {"top_classes", "top_log_probabilities"}
    if chosen is not None:
        names.add("chosen_log_probabilities")
    return names


def _forward(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    labels: Tensor | None,
    label_probabilities: Tensor | None,
    targets: Tensor | None,
    class_weight: Tensor | None,
    sample_weight: Tensor | None,
    chosen: Tensor | None,
    reduction: str,
    ignore_index: int | None,
    label_smoothing: float,
    z_loss: float,
    logit_softcap: float | None,
    temperature: float,
    compute: str,
    top_k: int,
    max_workspace_bytes: int | None,
    path: str | None,
    needs: list[bool],
) -> list[Tensor]:
    """Outputs, statistics of all rows, gradients; empty where there is none."""
    call = _call_of(locals())
    engine = _engine_of(call)
    wanted = Needs(*needs) if any(needs) and reduction != "none" else None
    forward = carry_out(call, engine, wanted)
    made = forward.gradients
    gradients = Gradients(None, None, None) if made is None else whole_input(forward, made)
    statistics = (getattr(forward.statistics, name) for name in _STATISTICS)
    whole = [_whole(x, forward.kept) for x in statistics]
    return [_or_empty(x, input) for x in (*forward.result, *whole, *gradients)]


def _call_of(given: dict[str, Any]) -> Call:
    names = Options.__dataclass_fields__
    options = {name: value for name, value in given.items() if name in names}
    options["compute"] = tuple(filter(None, options["compute"].split(",")))
    fields = [name for name in Call.__dataclass_fields__ if name in given and name != "options"]
    tensors = {name: given[name] for name in fields}
    return Call(options=Options(**options), **tensors)


def _engine_of(call: Call) -> Engine:
    """The engine of the first path that has one; the definition is no operator."""
    problem = problem_of(call)
    load = path_named(make_plan(problem).path).load
    if load is None:
        message = "the definition does not come here"
        raise AssertionError(message)
    return load()


def _whole(values: Tensor | None, kept: Kept | None) -> Tensor | None:
    return values if values is None or kept is None else kept.spread(values, 0.0)


def _or_empty(x: Tensor | None, like: Tensor) -> Tensor:
    return like.new_empty(0) if x is None else x


_operator: Any = torch.library.custom_op(
    "crossent::linear_cross_entropy", _forward, mutates_args=()
)


def _fake(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    labels: Tensor | None,
    label_probabilities: Tensor | None,
    targets: Tensor | None,
    class_weight: Tensor | None,
    sample_weight: Tensor | None,
    chosen: Tensor | None,
    *options: Any,
) -> list[Tensor]:
    """Shapes and dtypes of what `_forward` returns."""
    reduction, _, smoothing, _, _, _, compute, top_k, _, _, needs = options
    n, compute = input.shape[0], compute.split(",")
    kind = torch.promote_types(input.dtype, torch.float32)
    wide = torch.float64
    k = top_k or int("accuracy" in compute)
    m = None if chosen is None else chosen.shape[1]
    at_once = any(needs) and reduction != "none"

    def new(dtype: torch.dtype, *shape: Any, when: bool = True) -> Tensor:
        return input.new_empty(shape if when else (0,), dtype=dtype if when else input.dtype)

    outputs = [
        new(kind, n) if reduction == "none" else new(kind),
        *(new(kind, n, when=name in compute) for name in _OUTPUTS[1:4]),
        new(torch.float64, when="accuracy" in compute),
        new(torch.int64, n, top_k, when=top_k > 0),
        new(kind, n, top_k, when=top_k > 0),
        new(kind, n, m, when=m is not None),
        new(kind, when=False),
    ]
    statistics = [
        new(wide, n),
        new(wide, n, 0 if labels is None else labels.shape[1], when=labels is not None),
        new(wide, n, when=smoothing > 0.0),
        new(wide, n, when=targets is not None),
        new(wide, n, when="entropy" in compute),
        new(wide, n, m, when=m is not None),
        new(wide, n, k, when=k > 0),
        new(torch.int64, n, k, when=k > 0),
    ]
    like = (input, weight, bias)
    gradients = [
        torch.empty_like(x, memory_format=torch.contiguous_format)
        if at_once and needed and x is not None
        else input.new_empty(0)
        for x, needed in zip(like, needs, strict=True)
    ]
    return [*outputs, *statistics, *gradients]


_operator.register_fake(_fake)


def _backward(
    statistics: list[Tensor],
    above: list[Tensor | None],
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    labels: Tensor | None,
    label_probabilities: Tensor | None,
    targets: Tensor | None,
    class_weight: Tensor | None,
    sample_weight: Tensor | None,
    chosen: Tensor | None,
    reduction: str,
    ignore_index: int | None,
    label_smoothing: float,
    z_loss: float,
    logit_softcap: float | None,
    temperature: float,
    compute: str,
    top_k: int,
    max_workspace_bytes: int | None,
    path: str | None,
    needs: list[bool],
) -> list[Tensor]:
    """Gradients of X, W and b for what comes from above; empty where not needed."""
    call = _call_of(locals())
    engine = _engine_of(call)
    kept = used_rows(call, waits=may_wait(call, engine))
    cut = [x if kept is None or not x.numel() else kept.taken(x) for x in statistics]
    given = [number == 0 or x.numel() > 0 for number, x in enumerate(statistics)]
    pairs = zip(cut, given, strict=True)
    found = Statistics(*(x if is_given else None for x, is_given in pairs))
    objective = row_objective(take_rows(call, kept))
    result = LinearCrossEntropyResult(input)
    forward = Forward(call, kept, objective, found, result, None)
    grads = LinearCrossEntropyResult(*above)
    made = gradients_of(forward, engine, grads, Needs(*needs))
    return [_or_empty(x, input) for x in whole_input(forward, made)]


_backward_operator: Any = torch.library.custom_op(
    "crossent::linear_cross_entropy_backward", _backward, mutates_args=()
)


def _backward_fake(
    statistics: list[Tensor],
    above: list[Tensor | None],
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *rest: Any,
) -> list[Tensor]:
    needs = rest[-1]
    return [
        torch.empty_like(x, memory_format=torch.contiguous_format)
        if needed and x is not None
        else input.new_empty(0)
        for x, needed in zip((input, weight, bias), needs, strict=True)
    ]


_backward_operator.register_fake(_backward_fake)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.set_materialize_grads(False)
    tensors, ctx.options = inputs[:9], inputs[9:]
    ctx.save_for_backward(*tensors, *output[len(_OUTPUTS) :])


def _derivative(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    tensors, rest = saved[:9], list(saved[9:])
    statistics, made = rest[:-_N_GRADIENTS], rest[-_N_GRADIENTS:]
    # An output that was not wanted is empty, and so is what comes from above.
    above = [None if x is None or x.numel() == 0 else x for x in grads[: len(_OUTPUTS)]]
    needs = ctx.options[-1]
    total: list[Tensor | None] = [None] * _N_GRADIENTS
    if ctx.options[0] != "none" and above[0] is not None:
        scale = above[0]
        total = [
            x * scale.to(x.dtype) if needed else None for x, needed in zip(made, needs, strict=True)
        ]
        above[0] = None
    if any(x is not None for x in above):
        more = _backward_operator(statistics, above, *tensors, *ctx.options)
        total = [
            None if not needed else x if old is None else old + x
            for old, x, needed in zip(total, more, needs, strict=True)
        ]
    return (*total, *[None] * (len(tensors) - 3 + len(ctx.options)))


_operator.register_autograd(_derivative, setup_context=_setup_context)
