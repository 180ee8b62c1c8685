"""Carry a call out on the path that its plan names."""

from dataclasses import replace

import torch

from crossent.torch.arguments import problem_of
from crossent.torch.autograd import differentiable
from crossent.torch.call import Call
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
    by_definition = call.options.path == "reference" or problem.needs_others
    if torch.compiler.is_compiling():
        # PyTorch 2.13 loses second derivatives of functions with rules of their own there.
        by_definition = by_definition or is_transformed()
        return _without_looking(call) if by_definition else compiled(call, needs)
    if is_transformed():
        return _without_looking(call) if by_definition else transformed(call, needs)
    path = path_named(make_plan(problem).path)
    if path.load is None:
        return _by_reference(call)
    needs = Needs(problem.needs_input, problem.needs_weight, problem.needs_bias)
    at_once = path.gradients_at_once and any(needs) and call.options.reduction != "none"
    engine = path.load()
    if call.options.filter is None:
        holds = path.holds and any(needs)
        return differentiable(call, engine, needs, at_once=at_once, holds=holds)
    filtering = limited(engine, call.options.filter)
    result = differentiable(call, filtering, needs, at_once=at_once)
    bound = no_error(call.input) if filtering.bound is None else filtering.bound
    return result._replace(filter_bound=bound)


def _without_looking(call: Call) -> LinearCrossEntropyResult:
    """By the definition, where nobody may look at values: ignored rows are silenced."""
    kept = used_rows(call, waits=False)
    rows = take_rows(call, kept)
    if kept is not None and call.weight is None:
        rows = replace(rows, input=kept.taken(rows.input))
    result = _defined(rows)
    return put_back(result, kept, call.options.reduction)


def _by_reference(call: Call) -> LinearCrossEntropyResult:
    check_values(call)
    kept = used_rows(call, waits=True)
    result = _defined(take_rows(call, kept))
    return put_back(result, kept, call.options.reduction)


def _defined(call: Call) -> LinearCrossEntropyResult:
    """By plain operations; autocast has had its say over the layer, and none over the sums."""
    with torch.autocast(call.input.device.type, enabled=False):
        return reference(call)
