"""Carry a call out on the path that its plan names."""

import torch

from crossent.torch.autograd import differentiable
from crossent.torch.call import Call, Problem
from crossent.torch.checks import check_values
from crossent.torch.engine import Needs
from crossent.torch.plan import Plan, path_named
from crossent.torch.reference import reference
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.rows import put_back, take_rows, used_rows

__all__ = ["run"]


def run(call: Call, problem: Problem, plan: Plan) -> LinearCrossEntropyResult:
    """Outputs of the call; row outputs have shape (n,)."""
    path = path_named(plan.path)
    if path.load is None:
        return _by_reference(call)
    needs = Needs(problem.needs_input, problem.needs_weight, problem.needs_bias)
    at_once = path.gradients_at_once and any(needs) and call.options.reduction != "none"
    return differentiable(call, path.load(), needs, at_once=at_once)


def _by_reference(call: Call) -> LinearCrossEntropyResult:
    if torch.compiler.is_compiling():
        return reference(call)
    check_values(call)
    kept = used_rows(call)
    result = reference(take_rows(call, kept))
    return put_back(result, kept, len(call.input), call.options.reduction)
