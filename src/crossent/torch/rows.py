"""Ignored rows are taken out before anything is multiplied, and put back into the outputs."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from crossent.torch.call import Call
from crossent.torch.result import LinearCrossEntropyResult

__all__ = ["put_back", "spread_rows", "take_rows", "used_rows"]


def used_rows(call: Call) -> Tensor | None:
    """Numbers of the rows that have a label, or None if all have; waits for a GPU."""
    if call.labels is None:
        return None
    used = (call.labels != call.options.ignore_index).any(dim=1)
    return None if bool(used.all()) else used.nonzero()[:, 0]


def take_rows(call: Call, kept: Tensor | None) -> Call:
    """The call with these rows only."""
    if kept is None:
        return call

    def cut(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.index_select(0, kept)

    return replace(
        call,
        input=call.input.index_select(0, kept),
        labels=cut(call.labels),
        label_probabilities=cut(call.label_probabilities),
        targets=cut(call.targets),
        sample_weight=cut(call.sample_weight),
        chosen=cut(call.chosen),
    )


def spread_rows(values: Tensor, kept: Tensor, n: int, fill: float) -> Tensor:
    """`values` at the rows `kept` of n rows, `fill` in the others; shape (n, ...)."""
    whole = torch.full((n, *values.shape[1:]), fill, dtype=values.dtype, device=values.device)
    return whole.index_copy(0, kept, values)


_FILL = {
    "row_loss": 0.0,
    "log_partition": math.nan,
    "entropy": math.nan,
    "top_classes": -1,
    "top_log_probabilities": math.nan,
    "chosen_log_probabilities": math.nan,
}


def put_back(
    result: LinearCrossEntropyResult, kept: Tensor | None, n: int, reduction: str
) -> LinearCrossEntropyResult:
    """Outputs of all n rows; nothing was computed for those that were left out."""
    if kept is None:
        return result
    fields = {name: getattr(result, name) for name in _FILL}
    whole = {
        name: None if x is None else spread_rows(x, kept, n, _FILL[name])
        for name, x in fields.items()
    }
    if reduction == "none":
        whole["loss"] = spread_rows(result.loss, kept, n, 0.0)
    return result._replace(**whole)
