"""Carry a call out on the path that its plan names."""

import torch

from crossent.torch.call import Call
from crossent.torch.checks import check_values
from crossent.torch.plan import Plan, path_named
from crossent.torch.reference import reference
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.rows import put_back, take_rows, used_rows

__all__ = ["run"]


def run(call: Call, plan: Plan) -> LinearCrossEntropyResult:
    """Outputs of the call; row outputs have shape (n,)."""
    path = path_named(plan.path)
    if path.load is None:
        return _by_reference(call)
    message = f"path {path.name!r} has no engine"
    raise AssertionError(message)


def _by_reference(call: Call) -> LinearCrossEntropyResult:
    if torch.compiler.is_compiling():
        return reference(call)
    check_values(call)
    kept = used_rows(call)
    result = reference(take_rows(call, kept))
    return put_back(result, kept, len(call.input), call.options.reduction)
