"""Products of the loss's Hessian with vectors, a block of rows at a time.

The gradient with respect to a row's logits, and how it moves when they move along u::

    g = α p − τ + κ − η p ⊙ (z − p·z)                     p = softmax(z)
    ġ = α̇ p + α ṗ − η (ṗ ⊙ (z − p·z) + p ⊙ (u − ṁ))       ṗ = p ⊙ (u − p·u),  ṁ = ṗ·z + p·u

with τ what is expected of the row, κ what came from above for single log-probabilities, η for the
entropy; α sums up what multiplies p, and moves only with a z-loss. The layer adds the product rule,
the cap its second derivative. Seven products where all is wanted; the logits of one block are in
memory, in some ten arrays.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crossent.torch.call import Call
from crossent.torch.engine import AtClasses, Coefficients, Gradients, Statistics, known
from crossent.torch.forward import Forward, upstream_of
from crossent.torch.gradient_tiles import coefficients_of_rows
from crossent.torch.objective import RowObjective, row_objective
from crossent.torch.reference import reference_logits
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.rows import Kept, take_rows
from crossent.torch.tiles import target_tile

__all__ = ["second_order"]

_BLOCK_BYTES = 2**25
"""Logits of one block."""


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
        With respect to `grads`, which is how the outputs move along `cotangents`; None where
        nothing came from above.
    """
    forward = _counted(forward)
    rows, found = take_rows(forward.call, forward.kept), forward.statistics
    upstream = upstream_of(forward, grads)
    coefficients = forward.objective.coefficients(found, upstream)
    curvature = _curvature(forward.objective, upstream.loss)
    layer = _Layer(rows, cotangents, forward.kept)
    moves: list[LinearCrossEntropyResult] = []
    size = max(1, _BLOCK_BYTES // (rows.n_classes * layer.dtype.itemsize))
    with torch.no_grad(), torch.autocast(rows.input.device.type, enabled=False):
        for start in range(0, max(len(rows.input), 1), size):
            part = slice(start, start + size)
            block = layer.block(part, found.log_partition[part])
            own = coefficients_of_rows(coefficients, part)
            bend = None if curvature is None else curvature[part]
            layer.add(part, block, _gradient(block, own), _change(block, own, bend))
            moves.append(_moves(block, forward.objective.rows(part), _cut(found, part), grads))
    return layer.finished(), _of_grads(forward, grads, moves)


def _counted(forward: Forward) -> Forward:
    """With ignored rows left out, where they were silenced; waits for a GPU."""
    kept = forward.kept
    if kept is None or kept.numbers is not None:
        return forward
    kept = kept.counted()
    given = {name: x for name, x in vars(forward.statistics).items() if x is not None}
    statistics = replace(forward.statistics, **{name: kept.taken(x) for name, x in given.items()})
    objective = row_objective(take_rows(forward.call, kept))
    return replace(forward, kept=kept, statistics=statistics, objective=objective)


def _cut(found: Statistics, part: slice) -> Statistics:
    given = {name: x for name, x in vars(found).items() if x is not None}
    return replace(found, **{name: x[part] for name, x in given.items()})


def _curvature(objective: RowObjective, loss: Tensor | None) -> Tensor | None:
    """How fast α moves with the log-partition, (n,): 2 ζ, times what came from above."""
    if objective.square is None or loss is None:
        return None
    return 2.0 * objective.square * loss


@dataclass(frozen=True)
class _Block:
    """What a few rows are, and how they move; (rows, q) each, `along` = p·u (rows, 1).

    z is 0 where a class is excluded: its p is 0 too. `slope` and `bend` are ∂z/∂s and ∂²z/∂s² of
    the cap, `direction` is that of s; None where there is no cap.
    """

    x: Tensor
    p: Tensor
    z: Tensor
    u: Tensor
    along: Tensor
    direction: Tensor
    slope: Tensor | None
    bend: Tensor | None


class _Layer:
    """The layer and the cotangents in the dtype of the arithmetic, and what becomes of them."""

    def __init__(self, rows: Call, cotangents: Gradients, kept: Kept | None) -> None:
        self.rows, self.kept = rows, kept
        self.dtype = torch.promote_types(rows.input.dtype, torch.float32)
        self.weight, self.bias = self._wide(rows.weight), self._wide(rows.bias)
        self.of_input = cotangents.input
        self.of_weight = self._wide(cotangents.weight)
        self.of_bias = self._wide(cotangents.bias)
        self._inputs: list[Tensor] = []
        self._weight = None if self.weight is None else torch.zeros_like(self.weight)
        self._bias = None if self.bias is None else torch.zeros_like(self.bias)

    def _wide(self, x: Tensor | None) -> Tensor | None:
        return None if x is None else x.to(self.dtype)

    def _direction_of_input(self, part: slice) -> Tensor | None:
        values = self.of_input
        if values is None:
            return None
        own = values[part] if self.kept is None else self.kept.taken_part(values, part)
        return own.to(self.dtype)

    def block(self, part: slice, log_partition: Tensor) -> _Block:
        """Logits and probabilities of some rows, and where they move."""
        options = self.rows.options
        x = self.rows.input[part].to(self.dtype)
        z = reference_logits(x, self.weight, self.bias, options)
        p = (z - log_partition.to(z.dtype)[:, None]).exp()
        z = z.masked_fill(z == -math.inf, 0.0)
        direction = self._direction(part, x, z)
        slope = bend = None
        u = direction / options.temperature
        if options.logit_softcap is not None:
            share = z * (options.temperature / options.logit_softcap)
            slope = (1.0 - share.square()) / options.temperature
            bend = share * slope * (-2.0 / options.logit_softcap)
            u = direction * slope
        along = (p * u).sum(dim=1, keepdim=True)
        return _Block(x, p, z, u, along, direction, slope, bend)

    def _direction(self, part: slice, x: Tensor, like: Tensor) -> Tensor:
        """Of X Wᵀ + b along the cotangents."""
        total = torch.zeros_like(like)
        of_input = self._direction_of_input(part)
        if of_input is not None:
            total += of_input if self.weight is None else of_input @ self.weight.T
        if self.of_weight is not None:
            total.addmm_(x, self.of_weight.T)
        if self.of_bias is not None:
            total += self.of_bias
        return total

    def add(self, part: slice, block: _Block, gradient: Tensor, change: Tensor) -> None:
        """Sum up what the gradient of some rows' logits, and its change, give the layer."""
        temperature = self.rows.options.temperature
        if block.slope is None or block.bend is None:
            change, gradient = change / temperature, gradient / temperature
        else:
            change = change * block.slope + gradient * block.bend * block.direction
            gradient = gradient * block.slope
        of_input = change if self.weight is None else change @ self.weight
        if self.of_weight is not None:
            of_input.addmm_(gradient, self.of_weight)
        self._inputs.append(of_input.to(self.rows.input.dtype))
        if self._weight is not None:
            self._weight.addmm_(change.T, block.x)
            moved = self._direction_of_input(part)
            if moved is not None:
                self._weight.addmm_(gradient.T, moved)
        if self._bias is not None:
            self._bias += change.sum(dim=0)

    def finished(self) -> Gradients:
        """Gradients of X, W and b in their dtypes."""
        rows = self.rows
        whole = torch.cat(self._inputs)
        if self.kept is not None:
            whole = self.kept.spread(whole, 0.0)
        sums = ((self._weight, rows.weight), (self._bias, rows.bias))
        weight, bias = (None if x is None else x.to(known(like).dtype) for x, like in sums)
        return Gradients(whole, weight, bias)


def _gradient(block: _Block, own: Coefficients) -> Tensor:
    """g, with the labels' own values, which no digits are lost in."""
    g = block.p * _column(own.softmax, block)
    if own.entropy is not None:
        away = block.z - _column(own.entropy.mean_logit, block)
        g = g - block.p * away * _column(own.entropy.row, block)
    if own.labels is not None:
        none = g.new_zeros((len(g), 1))
        classes, value = own.labels.classes, own.labels.value.to(g.dtype)
        places = classes.where(classes >= 0, g.shape[1])
        g = torch.cat([g, none], dim=1).scatter_(1, places, value)[:, :-1]
    if own.chosen is not None:
        g = g.scatter_add(1, own.chosen.classes.clamp(min=0), _held(own.chosen).to(g.dtype))
    if own.spread is not None:
        g = g.addr(own.spread.row.to(g.dtype), own.spread.vector.to(g.dtype), alpha=-1.0)
    if own.dense is not None:
        y = target_tile(own.dense.targets, own.dense.weight, (0, g.shape[1]), g.dtype)
        g = g - y * _column(own.dense.row, block)
    return g


def _change(block: _Block, own: Coefficients, curvature: Tensor | None) -> Tensor:
    """ġ; `curvature` is what α moves by with the log-partition."""
    p, z, u, along = block.p, block.z, block.u, block.along
    moved = p * (u - along)
    change = moved * _column(own.softmax, block)
    if curvature is not None:
        change = change + p * (along * _column(curvature, block))
    if own.entropy is not None:
        mean = (moved * z).sum(dim=1, keepdim=True) + along
        bent = moved * (z - _column(own.entropy.mean_logit, block)) + p * (u - mean)
        change = change - bent * _column(own.entropy.row, block)
    return change


def _column(values: Tensor, block: _Block) -> Tensor:
    return values.to(block.p.dtype)[:, None]


def _held(at: AtClasses) -> Tensor:
    return at.value.where(at.classes >= 0, 0.0)


def _moves(
    block: _Block, objective: RowObjective, statistics: Statistics, grads: LinearCrossEntropyResult
) -> LinearCrossEntropyResult:
    """How each row's outputs move, for those that something came from above for; (rows, ...)."""
    along = block.along[:, 0]
    found = LinearCrossEntropyResult(block.p)._asdict() | {"loss": None}
    if grads.loss is not None or grads.row_loss is not None:
        found["loss"] = found["row_loss"] = _moved_loss(block, objective, statistics)
    if grads.log_partition is not None:
        found["log_partition"] = along
    if grads.entropy is not None:
        found["entropy"] = -(block.p * (block.u - block.along) * block.z).sum(dim=1)
    pairs = {"top": statistics.top_classes, "chosen": objective.chosen}
    for kind, classes in pairs.items():
        name = f"{kind}_log_probabilities"
        if getattr(grads, name) is not None:
            found[name] = block.u.gather(1, known(classes).clamp(min=0)) - block.along
    return LinearCrossEntropyResult(**found)


def _moved_loss(block: _Block, objective: RowObjective, statistics: Statistics) -> Tensor:
    """Each row's loss moves by this, (rows,)."""
    u, along = block.u, block.along[:, 0]
    total = torch.zeros_like(along)
    labels, smoothing, targets = objective.labels, objective.smoothing, objective.targets
    if labels is not None:
        away = block.along - u.gather(1, labels.classes.clamp(min=0))
        total = total + (labels.cost.to(u.dtype) * away).sum(dim=1)
    if smoothing is not None:
        away = smoothing.total.to(u.dtype) * along - u @ smoothing.vector.to(u.dtype)
        total = total + smoothing.row.to(u.dtype) * away
    if targets is not None:
        y = target_tile(targets.values, targets.weight, (0, u.shape[1]), u.dtype)
        away = targets.total.to(u.dtype) * along - (y * u).sum(dim=1)
        total = total + targets.row.to(u.dtype) * away
    if objective.square is not None:
        partition = statistics.log_partition.to(u.dtype)
        total = total + 2.0 * objective.square.to(u.dtype) * partition * along
    return total


def _of_grads(
    forward: Forward, grads: LinearCrossEntropyResult, moves: list[LinearCrossEntropyResult]
) -> LinearCrossEntropyResult:
    """The moves of all rows, in the shape and dtype of what came from above."""
    found: dict[str, Tensor] = {}
    reduction, kept = forward.call.options.reduction, forward.kept
    for name, above in grads._asdict().items():
        if above is None:
            continue
        values = torch.cat([getattr(part, name) for part in moves])
        if name == "loss" and reduction != "none":
            weight = forward.objective.row_weight.sum()
            share = weight.new_ones(()) if reduction == "sum" or not len(values) else 1.0 / weight
            values = values.sum() * share
        elif kept is not None:
            values = kept.spread(values, 0.0)
        found[name] = values.to(above.dtype)
    return LinearCrossEntropyResult(*(found.get(name) for name in grads._fields))
