"""A call as flat lists of tensors: what operators of a graph, and transforms, take and give.

Three functions of a call, each from tensors to tensors: its outputs with all that derivatives need
of them, its gradients, and products of its second derivatives. What is in the lists follows from
the options and from which tensors are there; nothing in them is absent or empty.
"""

from dataclasses import replace

import torch
from torch import Tensor

from crossent.errors import InputError
from crossent.torch.arguments import problem_of
from crossent.torch.call import Call
from crossent.torch.engine import Engine, Gradients, Needs, Statistics
from crossent.torch.filter_bound import limited, no_error
from crossent.torch.forward import Forward, carry_out, gradients_of, may_wait, whole_input
from crossent.torch.objective import row_objective
from crossent.torch.plan import make_plan, path_named
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.rows import take_rows, used_rows
from crossent.torch.second_order import second_order

__all__ = [
    "DIFFERENTIABLE",
    "TENSORS",
    "gradients",
    "gradients_like",
    "made_names",
    "output_names",
    "second_derivatives",
    "values",
    "values_like",
]

TENSORS = (
    "input",
    "weight",
    "bias",
    "labels",
    "label_probabilities",
    "targets",
    "class_weight",
    "sample_weight",
    "chosen",
)
"""The tensors of a `Call`, in order; the layer first."""

DIFFERENTIABLE = (
    "loss",
    "row_loss",
    "log_partition",
    "entropy",
    "top_log_probabilities",
    "chosen_log_probabilities",
)
"""Outputs that have derivatives."""


def output_names(call: Call) -> tuple[str, ...]:
    """Fields of the result that the call asks for."""
    options = call.options
    wanted = {
        "loss": True,
        **dict.fromkeys(options.compute, True),
        "top_classes": options.top_k > 0,
        "top_log_probabilities": options.top_k > 0,
        "chosen_log_probabilities": call.chosen is not None,
        "filter_bound": options.filter is not None,
    }
    return tuple(name for name in LinearCrossEntropyResult._fields if wanted.get(name))


def statistic_names(call: Call) -> tuple[str, ...]:
    """Fields of the statistics that the call asks for."""
    options = call.options
    best = options.top_k > 0 or "accuracy" in options.compute
    wanted = {
        "log_rest": True,
        "label_logits": call.labels is not None,
        "spread_logit": options.label_smoothing > 0.0,
        "targets_logit": call.targets is not None,
        "mean_logit": "entropy" in options.compute,
        "chosen_logits": call.chosen is not None,
        "top_logits": best,
        "top_classes": best,
    }
    return tuple(name for name in Statistics.__dataclass_fields__ if wanted[name])


def made_names(call: Call, needs: Needs) -> tuple[str, ...]:
    """Gradients that the forward pass makes: of the loss, if one number comes from above for it."""
    if call.options.reduction == "none":
        return ()
    return present(call, needs)


def present(call: Call, needs: Needs) -> tuple[str, ...]:
    """Parts of the layer that are there and need a gradient."""
    return tuple(name for name in Needs._fields if getattr(needs, name) and _of(call, name))


def _of(call: Call, name: str) -> bool:
    return getattr(call, name) is not None


def _engine_of(call: Call, needs: Needs) -> Engine:
    """The engine of the first path that has one; the definition does not come here."""
    problem = replace(
        problem_of(call),
        needs_input=needs.input,
        needs_weight=needs.weight,
        needs_bias=needs.bias,
        needs_others=False,
    )
    plan = make_plan(problem)
    load = path_named(plan.path).load
    if load is None:
        message = (
            "inside torch.compile and torch.func the definition is taken with path='reference' "
            f"only, and nothing else serves this call: {plan}"
        )
        raise InputError(message)
    limit = call.options.filter
    return load() if limit is None else limited(load(), limit)


def values(call: Call, needs: Needs) -> list[Tensor]:
    """Outputs, statistics of all rows, and the gradients that are made at once."""
    engine = _engine_of(call, needs)
    made = made_names(call, needs)
    forward = carry_out(call, engine, needs if made else None)
    result = forward.result
    if call.options.filter is not None:
        bound = getattr(engine, "bound", None)
        result = result._replace(filter_bound=no_error(call.input) if bound is None else bound)
    outputs = [getattr(result, name) for name in output_names(call)]
    kept = forward.kept
    statistics = [getattr(forward.statistics, name) for name in statistic_names(call)]
    if kept is not None:
        statistics = [kept.spread(x, 0.0) for x in statistics]
    found = forward.gradients
    gradients = [] if found is None else _listed(whole_input(forward, found), made)
    return [x.contiguous() for x in (*outputs, *statistics, *gradients)]


def _listed(found: Gradients, names: tuple[str, ...]) -> list[Tensor]:
    return [getattr(found, name) for name in names]


def values_like(call: Call, needs: Needs) -> list[Tensor]:
    """Shapes and dtypes of `values`."""
    x, k = call.input, call.options.top_k
    n, best = x.shape[0], max(k, 1)
    kind, wide = torch.promote_types(x.dtype, torch.float32), torch.float64
    m = 0 if call.chosen is None else call.chosen.shape[1]
    outputs = {
        "loss": (kind, (n,) if call.options.reduction == "none" else ()),
        "accuracy": (wide, ()),
        "top_classes": (torch.int64, (n, k)),
        "top_log_probabilities": (kind, (n, k)),
        "chosen_log_probabilities": (kind, (n, m)),
        "filter_bound": (wide, (3,)),
    }
    statistics = {
        "label_logits": (wide, (n, 0 if call.labels is None else call.labels.shape[1])),
        "chosen_logits": (wide, (n, m)),
        "top_logits": (wide, (n, best)),
        "top_classes": (torch.int64, (n, best)),
    }
    kinds = [outputs.get(name, (kind, (n,))) for name in output_names(call)]
    kinds += [statistics.get(name, (wide, (n,))) for name in statistic_names(call)]
    made = gradients_like(call, made_names(call, needs))
    return [*(x.new_empty(shape, dtype=dtype) for dtype, shape in kinds), *made]


def gradients_like(call: Call, names: tuple[str, ...]) -> list[Tensor]:
    """Shapes and dtypes of gradients of these parts of the layer."""
    layer = [getattr(call, name) for name in names]
    return [torch.empty_like(x, memory_format=torch.contiguous_format) for x in layer]


def _forward_of(call: Call, engine: Engine | None, statistics: list[Tensor]) -> Forward:
    """The forward pass from the statistics that it left."""
    waits = engine is None or may_wait(call, engine)
    kept = used_rows(call, waits=waits)
    cut = statistics if kept is None else [kept.taken(x) for x in statistics]
    found = Statistics(**dict(zip(statistic_names(call), cut, strict=True)))
    objective = row_objective(take_rows(call, kept))
    return Forward(call, kept, objective, found, LinearCrossEntropyResult(call.input), None)


def gradients(
    call: Call,
    stored: list[Tensor],
    made: tuple[str, ...],
    above: dict[str, Tensor],
    names: tuple[str, ...],
) -> list[Tensor]:
    """Gradients of the parts of the layer in `names`.

    Parameters
    ----------
    call : Call
    stored : list of Tensor
        What `values` gave beside the outputs: statistics, and the gradients named by `made`.
    made : tuple of str
    above : dict of str to Tensor
        What comes from above, for at least one output.
    names : tuple of str
    """
    count = len(statistic_names(call))
    at_once = dict(zip(made, stored[count:], strict=True))
    total: list[Tensor] = []
    if "loss" in above and all(name in at_once for name in names):
        scale = above["loss"]
        total = [at_once[name] * scale.to(at_once[name].dtype) for name in names]
        above = {name: x for name, x in above.items() if name != "loss"}
    if above:
        needs = Needs(*(name in names for name in Needs._fields))
        engine = _engine_of(call, needs)
        forward = _forward_of(call, engine, stored[:count])
        found = gradients_of(forward, engine, LinearCrossEntropyResult(**_all(above)), needs)
        more = _listed(whole_input(forward, found), names)
        total = [x + y for x, y in zip(total, more, strict=True)] if total else more
    return [x.contiguous() for x in total]


def _all(above: dict[str, Tensor]) -> dict[str, Tensor | None]:
    return {name: above.get(name) for name in LinearCrossEntropyResult._fields}


def second_derivatives(
    call: Call, stored: list[Tensor], above: dict[str, Tensor], cotangents: dict[str, Tensor]
) -> list[Tensor]:
    """Gradients of ⟨cotangents, gradients⟩: of the parts of the layer, and of `above`."""
    statistics = stored[: len(statistic_names(call))]
    forward = _forward_of(call, None, statistics)
    given = Gradients(*(cotangents.get(name) for name in Gradients._fields))
    first, of_above = second_order(forward, LinearCrossEntropyResult(**_all(above)), given)
    layer = _listed(first, present(call, Needs(True, True, True)))
    return [x.contiguous() for x in (*layer, *(getattr(of_above, name) for name in above))]
