"""Carry a call out on the path that its plan names."""

from dataclasses import replace

import torch
from torch import Tensor

from crossent.errors import InputError
from crossent.torch.arguments import problem_of
from crossent.torch.autograd import differentiable
from crossent.torch.call import Call, Problem
from crossent.torch.checks import check_values
from crossent.torch.engine import Needs
from crossent.torch.filter_bound import limited, no_error
from crossent.torch.operators import compiled
from crossent.torch.plan import make_plan, path_named
from crossent.torch.reference import reference
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.rows import put_back, take_rows, used_rows
from crossent.torch.transforms import is_transformed, transformed

__all__ = ["run"]


def run(call: Call) -> LinearCrossEntropyResult:
    """Outputs of the call; row outputs have shape (n,)."""
    problem = problem_of(call)
    needs = Needs(problem.needs_input, problem.needs_weight, problem.needs_bias)
    in_graph, in_transform = torch.compiler.is_compiling(), is_transformed()
    if in_graph or in_transform:
        # PyTorch 2.13 loses second derivatives of functions with rules of their own where a
        # transform stands in a graph.
        if _needs_definition(problem) or (in_graph and in_transform):
            return _without_looking(call)
        return compiled(call, needs) if in_graph else transformed(call, needs)
    path = path_named(make_plan(problem).path)
    if path.load is None:
        # Tensors without values have shapes, which are those that a graph has.
        return compiled(call, needs) if call.input.is_meta else _by_reference(call)
    at_once = path.gradients_at_once and any(needs) and call.options.reduction != "none"
    engine = path.load()
    if call.options.filter is None:
        holds = path.holds and any(needs)
        return differentiable(call, engine, needs, at_once=at_once, holds=holds)
    filtering = limited(engine, call.options.filter)
    result = differentiable(call, filtering, needs, at_once=at_once)
    bound = no_error(call.input) if filtering.bound is None else filtering.bound
    return result._replace(filter_bound=bound)


def _needs_definition(problem: Problem) -> bool:
    """Whether only the definition can serve, as far as can be said before values are there.

    Raises
    ------
    InputError
        If it cannot either.
    """
    options = problem.options
    known_device = problem.device in ("cpu", "cuda", "meta")
    needed = options.path == "reference" or problem.needs_others or not known_device
    if needed and options.filter is not None:
        message = "`filter` goes with gradients of input, weight and bias on a CPU or a GPU only."
        raise InputError(message)
    return needed


def _without_looking(call: Call) -> LinearCrossEntropyResult:
    """By the definition, where nobody may look at values: ignored rows are silenced."""
    kept = used_rows(call, waits=False)
    rows = take_rows(call, kept)
    if kept is not None and call.weight is None:
        rows = replace(rows, input=kept.taken(rows.input))
    result = put_back(
        _defined(rows, None if kept is None else kept.mask), kept, call.options.reduction
    )
    bound = None if call.options.filter is None else no_error(call.input)
    return result._replace(filter_bound=bound)


def _by_reference(call: Call) -> LinearCrossEntropyResult:
    check_values(call)
    kept = used_rows(call, waits=True)
    result = _defined(take_rows(call, kept))
    return put_back(result, kept, call.options.reduction)


def _defined(call: Call, used: Tensor | None = None) -> LinearCrossEntropyResult:
    """By plain operations; autocast has had its say over the layer, and none over the sums."""
    with torch.autocast(call.input.device.type, enabled=False):
        return reference(call, used)
