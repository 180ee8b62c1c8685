"""Ignored rows: taken out before anything is multiplied, or silenced; and put back into outputs.

How many rows are left is in the data. A device that works on while the host goes on would have to
be waited for; where that is not wanted, ignored rows stay as rows of zeros without weight.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from crossent.torch.call import Call
from crossent.torch.engine import Statistics
from crossent.torch.result import LinearCrossEntropyResult

__all__ = ["Kept", "put_back", "take_rows", "used_rows"]


class Kept(NamedTuple):
    """The rows that have a label.

    Attributes
    ----------
    numbers : Tensor of int64, or None
        Which they are; the others are left out.
    mask : Tensor of bool, shape (n,)
        Where they are. Without `numbers` the others are computed as rows of zeros.
    """

    numbers: Tensor | None
    mask: Tensor

    def taken(self, values: Tensor) -> Tensor:
        """Of values of all rows, (n, ...), those of the rows that are computed."""
        if self.numbers is not None:
            return values.index_select(0, self.numbers)
        return values.where(self._beside(values), 0)

    def taken_part(self, values: Tensor, part: slice) -> Tensor:
        """Of values of all rows those of some rows that are computed."""
        if self.numbers is not None:
            return values.index_select(0, self.numbers[part])
        return values[part].where(self._beside(values)[part], 0)

    def spread(self, values: Tensor, fill: float) -> Tensor:
        """Values of the rows that were computed, and `fill` in the others; shape (n, ...)."""
        if self.numbers is None:
            return values.where(self._beside(values), fill)
        shape = (len(self.mask), *values.shape[1:])
        whole = torch.full(shape, fill, dtype=values.dtype, device=values.device)
        return whole.index_copy(0, self.numbers, values)

    def counted(self) -> "Kept":
        """The same with numbers; waits for a GPU."""
        return Kept(self.mask.nonzero()[:, 0], self.mask)

    def settled(self, call: Call, found: Statistics, part: slice) -> Statistics:
        """Statistics that no ignored row of given logits has a NaN in; such rows have no weight."""
        if self.numbers is not None or call.weight is not None:
            return found
        fields = {name: x for name, x in vars(found).items() if x is not None}
        mask = {name: self._beside(x)[part] for name, x in fields.items()}
        return replace(found, **{name: x.where(mask[name], 0) for name, x in fields.items()})

    def _beside(self, values: Tensor) -> Tensor:
        return self.mask.view(-1, *[1] * (values.ndim - 1))


def used_rows(call: Call, *, waits: bool) -> Kept | None:
    """The rows that have a label, or None if all have.

    With `waits` the host looks, which waits for a GPU; else the answer is never None.
    """
    if call.labels is None:
        return None
    used = (call.labels != call.options.ignored_label).any(dim=1)
    if not waits:
        return Kept(None, used)
    return None if bool(used.all()) else Kept(used.nonzero()[:, 0], used)


def take_rows(call: Call, kept: Kept | None) -> Call:
    """The call with these rows only, or with the others silenced."""
    if kept is None:
        return call
    if kept.numbers is None:
        return _silenced(call, kept)

    def cut(x: Tensor | None) -> Tensor | None:
        return None if x is None else kept.taken(x)

    return replace(
        call,
        input=kept.taken(call.input),
        labels=cut(call.labels),
        label_probabilities=cut(call.label_probabilities),
        targets=cut(call.targets),
        sample_weight=cut(call.sample_weight),
        chosen=cut(call.chosen),
    )


def _silenced(call: Call, kept: Kept) -> Call:
    """Ignored rows without weight, and their input 0 where products are made of it.

    Given logits are not copied: what an ignored row holds then stays in that row.
    """
    weight = call.sample_weight
    if weight is None:
        weight = torch.ones(len(call.input), dtype=torch.float32, device=call.input.device)
    return replace(
        call,
        input=call.input if call.weight is None else kept.taken(call.input),
        sample_weight=kept.taken(weight),
    )


_FILL = {
    "row_loss": 0.0,
    "log_partition": math.nan,
    "entropy": math.nan,
    "top_classes": -1,
    "top_log_probabilities": math.nan,
    "chosen_log_probabilities": math.nan,
}


def put_back(
    result: LinearCrossEntropyResult, kept: Kept | None, reduction: str
) -> LinearCrossEntropyResult:
    """Outputs of all n rows; ignored rows have none."""
    if kept is None:
        return result
    fields = {name: getattr(result, name) for name in _FILL}
    whole = {name: None if x is None else kept.spread(x, _FILL[name]) for name, x in fields.items()}
    if reduction == "none":
        whole["loss"] = kept.spread(result.loss, 0.0)
    return result._replace(**whole)
