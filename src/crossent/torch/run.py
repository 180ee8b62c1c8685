"""Carry a call out on the path that its plan names."""

import torch

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

__all__ = ["run"]


def run(call: Call) -> LinearCrossEntropyResult:
    """Outputs of the call; row outputs have shape (n,)."""
    problem = problem_of(call)
    if torch.compiler.is_compiling():
        return _in_graph(call, problem)
    path = path_named(make_plan(problem).path)
    if path.load is None:
        return _by_reference(call)
    needs = Needs(problem.needs_input, problem.needs_weight, problem.needs_bias)
    at_once = path.gradients_at_once and any(needs) and call.options.reduction != "none"
    engine = path.load()
    if call.options.filter is None:
        return differentiable(call, engine, needs, at_once=at_once)
    filtering = limited(engine, call.options.filter)
    result = differentiable(call, filtering, needs, at_once=at_once)
    bound = no_error(call.input) if filtering.bound is None else filtering.bound
    return result._replace(filter_bound=bound)


def _in_graph(call: Call, problem: Problem) -> LinearCrossEntropyResult:
    """While a graph is being recorded; plans are made when it runs."""
    if call.options.filter is not None:
        message = "`filter` is not served inside torch.compile; call it outside, or leave it off."
        raise InputError(message)
    if call.options.path == "reference" or problem.needs_others:
        return _defined(call)
    return compiled(call, Needs(problem.needs_input, problem.needs_weight, problem.needs_bias))


def _by_reference(call: Call) -> LinearCrossEntropyResult:
    check_values(call)
    kept = used_rows(call, waits=True)
    result = _defined(take_rows(call, kept))
    return put_back(result, kept, call.options.reduction)


def _defined(call: Call) -> LinearCrossEntropyResult:
    """By plain operations; autocast has had its say over the layer, and none over the sums."""
    with torch.autocast(call.input.device.type, enabled=False):
        return reference(call)
