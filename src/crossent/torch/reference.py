"""The definition in plain PyTorch operations, with all logits in memory.

Autograd follows every step, so gradients of any order and with respect to anything are there. The
other paths are tested against it; it serves where they do not.
"""

import math

import torch
from torch import Tensor

from crossent.torch.call import Call, Options
from crossent.torch.engine import known
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.tiles import capped

__all__ = ["accuracy_of", "loss_of_rows", "reduce_rows", "reference", "reference_logits"]


def reference_logits(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, options: Options
) -> Tensor:
    """cap(X Wᵀ + b) / temperature, shape (n, q); in float32 for narrower input."""
    wide = torch.promote_types(input.dtype, torch.float32)
    logits = input.to(wide) if weight is None else input.to(wide) @ weight.to(wide).T
    if bias is not None:
        logits = logits + bias.to(wide)
    cap = options.logit_softcap
    if cap is not None:
        logits = capped(logits, cap)
    return logits / options.temperature if options.temperature != 1.0 else logits


def distributions_of(call: Call, like: Tensor) -> Tensor:
    """The targets before smoothing as one number for each class, shape (n, q)."""
    if call.targets is not None:
        return call.targets.to(like.dtype)
    labels = known(call.labels)
    given = torch.ones_like(labels, dtype=like.dtype)
    if call.label_probabilities is not None:
        given = call.label_probabilities.to(like.dtype)
    absent = labels == call.options.ignored_label
    given = given.masked_fill(absent, 0.0)
    return torch.zeros_like(like).scatter_add(1, labels.masked_fill(absent, 0), given)


def loss_of_rows(call: Call, log_probabilities: Tensor, partition: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's loss with its weight, and the weight that "mean" divides by; shape (n,) each."""
    options, q = call.options, log_probabilities.shape[1]
    targets = distributions_of(call, log_probabilities)
    c = call.class_weight
    weighted = targets if c is None else targets * c.to(targets.dtype)
    weight = weighted.sum(dim=1)
    smooth = weighted * (1.0 - options.label_smoothing)
    if options.label_smoothing > 0.0:
        uniform = targets.new_ones(q) if c is None else c.to(targets.dtype)
        used = (weight >= 0.0) if call.labels is None else _used(call)
        smooth = smooth + uniform * used[:, None] * (options.label_smoothing / q)
    # 0 · (−∞) is 0 here: an excluded class costs nothing where nothing is expected of it.
    terms = torch.where(smooth == 0.0, 0.0, smooth * log_probabilities)
    loss = -terms.sum(dim=1)
    if options.z_loss != 0.0:
        loss = loss + options.z_loss * weight * partition.square()
    if call.sample_weight is not None:
        s = call.sample_weight.to(loss.dtype)
        loss, weight = s * loss, s * weight
    return loss, weight


def _used(call: Call) -> Tensor:
    """Rows with at least one label, shape (n,)."""
    return (known(call.labels) != call.options.ignored_label).any(dim=1)


def reduce_rows(
    losses: Tensor, weights: Tensor, reduction: str, used: Tensor | None = None
) -> Tensor:
    """The rows' losses as asked for; "mean" divides by the sum of the weights.

    Where not even one row is in use of those that `used` (n,) tells, it is NaN with gradient 0.
    """
    if reduction == "none":
        return losses
    total, weight = losses.sum(), weights.sum()
    if reduction == "sum" or used is None:
        return total if reduction == "sum" else total / weight
    some = used.any()
    return (total / weight.where(some, 1.0)).where(some, math.nan)


def accuracy_of(best: Tensor, labels: Tensor, sample_weight: Tensor | None) -> Tensor:
    """Share of the rows, by weight, whose label is the best class."""
    correct = (best == labels[:, 0]).to(torch.float64)
    weight = torch.ones_like(correct) if sample_weight is None else sample_weight.to(torch.float64)
    return (correct * weight).sum() / weight.sum()


def reference(call: Call, used: Tensor | None = None) -> LinearCrossEntropyResult:
    """All outputs of a call whose rows are all in use; row outputs have shape (n,).

    With `used`, shape (n,), the others have no weight.
    """
    options = call.options
    logits = reference_logits(call.input, call.weight, call.bias, options)
    partition = logits.logsumexp(dim=1)
    log_probabilities = logits - partition[:, None]
    losses, weights = loss_of_rows(call, log_probabilities, partition)
    result = LinearCrossEntropyResult(reduce_rows(losses, weights, options.reduction, used))
    extra: dict[str, Tensor] = {}
    if "row_loss" in options.compute:
        extra["row_loss"] = losses
    if "log_partition" in options.compute:
        extra["log_partition"] = partition
    if "entropy" in options.compute:
        # Masked before the product: 0 · (−∞) would be NaN, in the derivative too.
        finite = log_probabilities.masked_fill(log_probabilities == -math.inf, 0.0)
        extra["entropy"] = -(log_probabilities.exp() * finite).sum(dim=1)
    if "accuracy" in options.compute:
        best = logits.detach().argmax(dim=1)
        extra["accuracy"] = accuracy_of(best, known(call.labels), call.sample_weight)
    if options.top_k:
        # A stable sort, because topk gives equal logits in any order.
        order = logits.detach().sort(dim=1, descending=True, stable=True).indices
        extra["top_classes"] = order[:, : options.top_k].contiguous()
        extra["top_log_probabilities"] = log_probabilities.gather(1, extra["top_classes"])
    if call.chosen is not None:
        extra["chosen_log_probabilities"] = log_probabilities.gather(1, call.chosen)
    return result._replace(**extra)
