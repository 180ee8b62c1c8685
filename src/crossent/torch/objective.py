"""The loss as coefficients: from the statistics of a row to its loss and its gradient.

Every option of `linear_cross_entropy` is here one number per row, or one vector over the classes:

    loss_i = Σₖ Cᵢₖ (ℓᵢ − z_{i,yₖ}) + rᵢ (|u| ℓᵢ − u·zᵢ) + dᵢ ((c·yᵢ) ℓᵢ − (c ⊙ yᵢ)·zᵢ) + ζᵢ ℓᵢ²

with ℓ the log-partition. For a label y with class weight c_y, row weight s and smoothing ε:
C = s (1 − ε) c_y; r = s ε / q and u = c, or 1 without class weights; ζ = s c_y z_loss. For targets
with a probability for every class, d = s (1 − ε).
"""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossent.torch.call import Call
from crossent.torch.engine import (
    AtClasses,
    Coefficients,
    Dense,
    Entropy,
    Questions,
    Spread,
    Statistics,
    known,
)

__all__ = ["Labels", "RowObjective", "Smoothing", "Targets", "Upstream", "row_objective"]


@dataclass(frozen=True)
class Upstream:
    """Gradients of what the user made of the outputs, each (n,) or (n, m), or None for zero."""

    loss: Tensor | None = None
    log_partition: Tensor | None = None
    entropy: Tensor | None = None
    top: Tensor | None = None
    chosen: Tensor | None = None


_WIDENED = 2**20
"""Numbers that are copied to a wider type at a time."""


class Labels(NamedTuple):
    """Classes (n, k), −1 where there is none, and their coefficients C (n, k)."""

    classes: Tensor
    cost: Tensor


class Smoothing(NamedTuple):
    """The coefficients r (n,), the vector u (q,) and its sum."""

    row: Tensor
    vector: Tensor
    total: Tensor


class Targets(NamedTuple):
    """The coefficients d (n,), the targets y (n, q), c (q,) or None, and c·y (n,)."""

    row: Tensor
    values: Tensor
    weight: Tensor | None
    total: Tensor


@dataclass(frozen=True)
class RowObjective:
    """The coefficients of the formula above, for n rows; None where a term is absent.

    Attributes
    ----------
    labels : Labels or None
    smoothing : Smoothing or None
    targets : Targets or None
    square : Tensor, shape (n,), or None
        ζ.
    row_weight : Tensor, shape (n,)
        Σⱼ s cⱼ yⱼ, which "mean" divides by the sum of.
    chosen : Tensor, shape (n, m), or None
    top_k : int
    entropy : bool
    """

    labels: Labels | None
    smoothing: Smoothing | None
    targets: Targets | None
    square: Tensor | None
    row_weight: Tensor
    chosen: Tensor | None
    top_k: int
    entropy: bool

    def questions(self) -> Questions:
        """What an engine must find out about each row."""
        return Questions(
            labels=None if self.labels is None else self.labels.classes,
            spread=None if self.smoothing is None else self.smoothing.vector,
            targets=None if self.targets is None else self.targets.values,
            target_weight=None if self.targets is None else self.targets.weight,
            chosen=self.chosen,
            top_k=self.top_k,
            entropy=self.entropy,
        )

    def rows(self, part: slice) -> "RowObjective":
        """The same objective of some of the rows."""
        labels, smoothing, targets = self.labels, self.smoothing, self.targets
        return replace(
            self,
            labels=labels and Labels(labels.classes[part], labels.cost[part]),
            smoothing=smoothing and smoothing._replace(row=smoothing.row[part]),
            targets=targets and _cut_targets(targets, part),
            square=None if self.square is None else self.square[part],
            row_weight=self.row_weight[part],
            chosen=None if self.chosen is None else self.chosen[part],
        )

    def losses(self, statistics: Statistics) -> Tensor:
        """Each row's loss with its weight, shape (n,).

        No term is below 0; rounding may take a difference of equal numbers there.
        """
        partition = statistics.log_partition
        loss = torch.zeros_like(partition)
        if self.labels is not None:
            surprisals = _softplus(_log_others(statistics) - known(statistics.label_logits))
            loss = loss + _times(self.labels.cost, surprisals).sum(dim=1)
        if self.smoothing is not None:
            away = self.smoothing.total * partition - known(statistics.spread_logit)
            loss = loss + _times(self.smoothing.row, away.clamp(min=0.0))
        if self.targets is not None:
            away = _times(self.targets.total, partition) - known(statistics.targets_logit)
            loss = loss + _times(self.targets.row, away.clamp(min=0.0))
        if self.square is not None:
            loss = loss + _times(self.square, partition.square())
        return loss

    def coefficients(self, statistics: Statistics, upstream: Upstream) -> Coefficients:
        """The gradient of the outputs with respect to the logits, row by row."""
        scale: Any = 0.0 if upstream.loss is None else upstream.loss
        total = self._beyond_labels(statistics, scale, upstream)
        labels, smoothing, targets = self.labels, self.smoothing, self.targets
        entropy = None
        if upstream.entropy is not None:
            entropy = Entropy(upstream.entropy, known(statistics.mean_logit))
        at_labels = None
        if labels is not None:
            cost = labels.cost * (scale[:, None] if getattr(scale, "ndim", 0) == 1 else scale)
            at_labels = AtClasses(labels.classes, _at_labels(statistics, cost, total, entropy))
            total = total + cost.sum(dim=1)
        return Coefficients(
            log_partition=statistics.log_partition,
            softmax=total,
            labels=at_labels,
            chosen=_at_chosen(self.chosen, statistics, upstream),
            spread=smoothing and Spread(smoothing.row * scale, smoothing.vector),
            dense=targets and Dense(targets.row * scale, targets.values, targets.weight),
            entropy=entropy,
        )

    def _beyond_labels(self, statistics: Statistics, scale: Any, upstream: Upstream) -> Tensor:
        """What multiplies p_v, but for the labels' own share."""
        partition = statistics.log_partition
        total = torch.zeros_like(partition)
        if self.smoothing is not None:
            total = total + self.smoothing.row * self.smoothing.total * scale
        if self.targets is not None:
            total = total + self.targets.row * self.targets.total * scale
        if self.square is not None:
            total = total + 2.0 * self.square * partition * scale
        if upstream.log_partition is not None:
            total = total + upstream.log_partition
        for values in (upstream.top, upstream.chosen):
            if values is not None:
                total = total - values.sum(dim=1)
        return total


def _at_labels(
    statistics: Statistics, cost: Tensor, beyond: Tensor, entropy: Entropy | None
) -> Tensor:
    """The gradient at the labels, without what is added everywhere; shape (n, k).

    a p − C is formed as (a − C) p − C (1 − p), where a − C is what the other labels and options
    give: no digits are lost when p is close to 1.
    """
    logits = known(statistics.label_logits)
    odds = logits - _log_others(statistics)
    inside = odds.sigmoid()
    others = _sum_of_others(cost) + beyond[:, None]
    label = _times(inside, others) - _times(cost, (-odds).sigmoid())
    if entropy is not None:
        surplus = logits - entropy.mean_logit[:, None]
        label = label - _times(inside, surplus) * entropy.row[:, None]
    return label


def row_objective(call: Call) -> RowObjective:
    """The objective of a call whose rows are all in use; arithmetic in float64 on CPUs."""
    kind = torch.float64 if call.input.device.type == "cpu" else torch.float32
    like: dict[str, Any] = {"dtype": kind, "device": call.input.device}
    options, q = call.options, call.n_classes
    eps = options.label_smoothing
    s = _wide(call.sample_weight, torch.ones(len(call.input), **like))
    c = None if call.class_weight is None else call.class_weight.to(kind)
    labels = targets = smoothing = None
    if call.targets is None:
        classes, given = _label_weights(call, c, like)
        row_weight = s * given.sum(dim=1)
        labels = Labels(classes, s[:, None] * given * (1.0 - eps))
    else:
        total = _weighted_sums(call.targets, c, kind)
        row_weight, targets = s * total, Targets(s * (1.0 - eps), call.targets, c, total)
    if eps > 0.0:
        u = torch.ones(q, **like) if c is None else c
        smoothing = Smoothing(s * (eps / q), u, u.sum())
    return RowObjective(
        labels=labels,
        smoothing=smoothing,
        targets=targets,
        square=None if options.z_loss == 0.0 else row_weight * options.z_loss,
        row_weight=row_weight,
        chosen=call.chosen,
        top_k=options.top_k,
        entropy="entropy" in options.compute,
    )


def _label_weights(call: Call, c: Tensor | None, like: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Labels, −1 where there is none, and cⱼ yⱼ of each, both (n, k).

    A label out of range, which only GPUs let come here, counts NaN.
    """
    labels = known(call.labels)
    is_none = labels == call.options.ignored_label
    is_class = ~is_none & (labels >= 0) & (labels < call.n_classes)
    classes = labels.where(is_class, -1)
    given = _wide(call.label_probabilities, torch.ones(labels.shape, **like))
    if c is not None:
        given = given * c[classes.clamp(min=0)]
    return classes, given.where(is_class, math.nan).where(~is_none, 0.0)


def _cut_targets(targets: Targets, part: slice) -> Targets:
    row, values, total = (x[part] for x in (targets.row, targets.values, targets.total))
    return Targets(row, values, targets.weight, total)


def _weighted_sums(targets: Tensor, c: Tensor | None, kind: torch.dtype) -> Tensor:
    """c·y of each row, shape (n,); a few rows at a time are widened."""
    if c is None:
        return targets.sum(dim=1, dtype=kind)
    size = max(1, _WIDENED // max(targets.shape[1], 1))
    parts = [part.to(kind) @ c for part in targets.split(size)]
    return torch.cat(parts) if parts else targets.new_zeros(0, dtype=kind)


def _wide(values: Tensor | None, otherwise: Tensor) -> Tensor:
    return otherwise if values is None else values.to(otherwise.dtype)


def _softplus(x: Tensor) -> Tensor:
    """log(1 + eˣ) without loss at either end; PyTorch's own is the identity above 20."""
    return torch.logaddexp(x, torch.zeros_like(x))


def _times(factor: Tensor, values: Tensor) -> Tensor:
    """The product, and 0 where the factor is 0 though the value is infinite."""
    return (factor * values).where(factor != 0.0, 0.0)


def _log_others(statistics: Statistics) -> Tensor:
    """Log of the sum of exp(z) over all classes but one label, for each label; shape (n, k)."""
    rest, z = statistics.log_rest[:, None], known(statistics.label_logits)
    if z.shape[1] == 1:
        return rest.expand_as(z)
    before, after = z.logcumsumexp(dim=1), z.flip(1).logcumsumexp(dim=1).flip(1)
    none = torch.full_like(rest, -math.inf)
    before = torch.cat([none, before[:, :-1]], dim=1)
    after = torch.cat([after[:, 1:], none], dim=1)
    return rest.logaddexp(before).logaddexp(after)


def _sum_of_others(values: Tensor) -> Tensor:
    """Row sums without each entry itself, added up and not subtracted; shape (n, k)."""
    if values.shape[1] == 1:
        return torch.zeros_like(values)
    none = torch.zeros_like(values[:, :1])
    before, after = values.cumsum(dim=1), values.flip(1).cumsum(dim=1).flip(1)
    return torch.cat([none, before[:, :-1]], 1) + torch.cat([after[:, 1:], none], 1)


def _at_chosen(
    chosen: Tensor | None, statistics: Statistics, upstream: Upstream
) -> AtClasses | None:
    """Classes whose own log-probability has a gradient, and that gradient."""
    pairs = [(chosen, upstream.chosen), (statistics.top_classes, upstream.top)]
    kept = [(known(classes), values) for classes, values in pairs if values is not None]
    if not kept:
        return None
    return AtClasses(torch.cat([c for c, _ in kept], 1), torch.cat([v for _, v in kept], 1))
