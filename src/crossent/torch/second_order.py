"""Products of the loss's Hessian with vectors, a block of rows at a time.

Each block is differentiated twice through its definition in plain operations: of a softmax,
p ⊙ (v − p·v), and whatever the options add to it. At most one block's logits are in memory.
"""

from dataclasses import replace

import torch
from torch import Tensor

from crossent.torch.call import Call
from crossent.torch.engine import Gradients, known
from crossent.torch.forward import Forward
from crossent.torch.reference import reference
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.rows import Kept, take_rows

__all__ = ["second_order"]

_BLOCK_BYTES = 2**25
"""Logits of one block; the operations keep about ten arrays of this size."""


def second_order(
    forward: Forward, grads: LinearCrossEntropyResult, cotangents: Gradients
) -> tuple[Gradients, LinearCrossEntropyResult]:
    """Gradients of ⟨cotangents, gradients of the call⟩.

    Parameters
    ----------
    forward : Forward
    grads : LinearCrossEntropyResult
        What came from above when the gradients were made.
    cotangents : Gradients
        What comes from above now.

    Returns
    -------
    Gradients
        With respect to X, W and b.
    LinearCrossEntropyResult
        With respect to `grads`.
    """
    forward = _counted(forward)
    rows = _plain(take_rows(forward.call, forward.kept), forward)
    above = _Above(forward, grads)
    shared = [_leaf(x) for x in (rows.weight, rows.bias) if x is not None]
    sums = [torch.zeros_like(x) for x in shared]
    inputs = []
    size = max(1, _BLOCK_BYTES // (rows.n_classes * rows.input.element_size()))
    for start in range(0, len(rows.input), size):
        part = slice(start, start + size)
        x = _leaf(rows.input[part])
        with torch.enable_grad():
            total = above.total(_cut(rows, part, x, shared), part)
            made = torch.autograd.grad(total, [x, *shared], create_graph=True)
            firsts = _by_name(rows, made)
            inner = _inner(firsts, _of_part(cotangents, forward.kept, part))
        leaves = [x, *shared, *above.leaves]
        seconds = torch.autograd.grad(inner, leaves, allow_unused=True)
        inputs.append(_or_zero(seconds[0], x))
        for old, new in zip([*sums, *above.sums], seconds[1:], strict=True):
            if new is not None:
                old.add_(new)
    whole = torch.cat(inputs) if inputs else rows.input
    if forward.kept is not None:
        whole = forward.kept.spread(whole, 0.0)
    weight = None if rows.weight is None else sums[0]
    bias = None if rows.bias is None else sums[-1]
    return Gradients(whole, weight, bias), above.result()


def _counted(forward: Forward) -> Forward:
    """With ignored rows left out, where they were silenced; waits for a GPU."""
    kept = forward.kept
    if kept is None or kept.numbers is not None:
        return forward
    kept, top = kept.counted(), forward.statistics.top_classes
    top = None if top is None else kept.taken(top)
    return replace(forward, kept=kept, statistics=replace(forward.statistics, top_classes=top))


def _plain(rows: Call, forward: Forward) -> Call:
    """The call that gives every row output that can have a gradient."""
    chosen = [x for x in (forward.statistics.top_classes, rows.chosen) if x is not None]
    options = replace(
        rows.options,
        reduction="none",
        compute=("row_loss", "log_partition", "entropy"),
        top_k=0,
    )
    return replace(rows, options=options, chosen=torch.cat(chosen, 1) if chosen else None)


def _leaf(x: Tensor) -> Tensor:
    return x.detach().requires_grad_()


def _or_zero(x: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if x is None else x


def _cut(rows: Call, part: slice, x: Tensor, shared: list[Tensor]) -> Call:
    def of(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[part]

    return replace(
        rows,
        input=x,
        weight=None if rows.weight is None else shared[0],
        bias=None if rows.bias is None else shared[-1],
        labels=of(rows.labels),
        label_probabilities=of(rows.label_probabilities),
        targets=of(rows.targets),
        sample_weight=of(rows.sample_weight),
        chosen=of(rows.chosen),
    )


def _of_part(cotangents: Gradients, kept: Kept | None, part: slice) -> list[Tensor | None]:
    rows = cotangents.input
    if rows is not None:
        rows = rows[part] if kept is None else kept.taken_part(rows, part)
    return [rows, cotangents.weight, cotangents.bias]


def _by_name(rows: Call, made: tuple[Tensor, ...]) -> Gradients:
    weight = None if rows.weight is None else made[1]
    return Gradients(made[0], weight, None if rows.bias is None else made[-1])


def _inner(firsts: Gradients, cotangents: list[Tensor | None]) -> Tensor:
    pairs = zip(firsts, cotangents, strict=True)
    terms = [(known(first) * other).sum() for first, other in pairs if other is not None]
    return torch.stack(terms).sum()


class _Above:
    """What came from above, as leaves whose gradients are summed up over the blocks."""

    names = ("loss", "row_loss", "log_partition", "entropy")

    def __init__(self, forward: Forward, grads: LinearCrossEntropyResult) -> None:
        self.forward = forward
        self.given = {name: x for name, x in grads._asdict().items() if x is not None}
        self.by_name = {name: _leaf(x) for name, x in self.given.items()}
        self.leaves = list(self.by_name.values())
        self.sums = [torch.zeros_like(x) for x in self.leaves]

    def total(self, rows: Call, part: slice) -> Tensor:
        """Σ of the block's outputs times what came from above."""
        found = reference(rows)
        terms = [known(found.row_loss).sum() * 0.0]
        for name, leaf in self.by_name.items():
            terms.append((self._output(name, found) * self._share(name, leaf, part)).sum())
        return torch.stack(terms).sum()

    def _output(self, name: str, found: LinearCrossEntropyResult) -> Tensor:
        k = self._top_count()
        if name == "top_log_probabilities":
            return known(found.chosen_log_probabilities)[:, :k]
        if name == "chosen_log_probabilities":
            return known(found.chosen_log_probabilities)[:, k:]
        return known(getattr(found, "row_loss" if name == "loss" else name))

    def _top_count(self) -> int:
        top = self.forward.statistics.top_classes
        return 0 if top is None else int(top.shape[1])

    def _share(self, name: str, leaf: Tensor, part: slice) -> Tensor:
        """What multiplies the output of each row of the part."""
        reduction = self.forward.call.options.reduction
        if name == "loss" and reduction != "none":
            weight = self.forward.objective.row_weight.sum()
            return leaf / weight.to(leaf.dtype) if reduction == "mean" else leaf
        kept = self.forward.kept
        return leaf[part] if kept is None else kept.taken_part(leaf, part)

    def result(self) -> LinearCrossEntropyResult:
        """The summed gradients, None where nothing came from above."""
        sums = dict(zip(self.by_name, self.sums, strict=True))
        names = LinearCrossEntropyResult._fields
        return LinearCrossEntropyResult(*(sums.get(name) for name in names))
