"""A call carried out by an engine: outputs, and what the backward pass needs of them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crossent.torch.call import Call, Options
from crossent.torch.checks import check_values
from crossent.torch.engine import (
    Engine,
    Gradients,
    Held,
    HoldingEngine,
    Needs,
    RowLogits,
    Statistics,
    known,
)
from crossent.torch.objective import RowObjective, Upstream, row_objective
from crossent.torch.reference import accuracy_of, reduce_rows
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.rows import Kept, put_back, take_rows, used_rows

__all__ = [
    "Forward",
    "carry_out",
    "gradients_of",
    "logits_of",
    "may_wait",
    "upstream_of",
    "whole_input",
]


_EVERY = slice(None)


@dataclass
class Forward:
    """What is left of a forward pass.

    Attributes
    ----------
    call : Call
        With all rows, detached from autograd.
    kept : Kept or None
        The rows that are not ignored; None for all.
    objective, statistics
        Of the rows that are computed.
    result : LinearCrossEntropyResult
        Of all rows.
    gradients : Gradients or None
        Of the loss, if they were made at once; taken away by whoever uses them up.
    held : Held or None
        The logits, if they were to be held.
    """

    call: Call
    kept: Kept | None
    objective: RowObjective
    statistics: Statistics
    result: LinearCrossEntropyResult
    gradients: Gradients | None
    held: Held | None = None


def logits_of(call: Call, rows: Call) -> RowLogits:
    """How the engine makes the logits of `rows`, some rows of `call`."""
    return RowLogits(
        input=rows.input,
        weight=call.weight,
        bias=call.bias,
        softcap=call.options.logit_softcap,
        temperature=call.options.temperature,
    )


def carry_out(call: Call, engine: Engine, needs: Needs | None, *, holds: bool = False) -> Forward:
    """Outputs of a call; with `needs`, the loss's gradients in the same go; or logits held."""
    call = _detached(call)
    check_values(call)
    kept = used_rows(call, waits=may_wait(call, engine))
    rows = take_rows(call, kept)
    options = _with_best(call.options)
    objective = row_objective(replace(rows, options=options))
    logits, budget = logits_of(call, rows), options.max_workspace_bytes
    gradients, held = None, None

    def settled(found: Statistics, part: slice) -> Statistics:
        return found if kept is None else kept.settled(call, found, part)

    with torch.autocast(call.input.device.type, enabled=False):
        if holds and isinstance(engine, HoldingEngine):
            statistics, held = engine.statistics_and_held(logits, objective.questions(), budget)
        elif needs is None:
            statistics = settled(engine.statistics(logits, objective.questions(), budget), _EVERY)
        else:
            share = _share(objective.row_weight, kept)
            share = torch.ones_like(share) if options.reduction == "sum" else share
            upstream = Upstream(loss=share)
            statistics, gradients = engine.statistics_and_gradients(
                logits,
                objective.questions(),
                lambda found, part: objective.rows(part).coefficients(
                    settled(found, part), upstream
                ),
                needs,
                budget,
            )
            statistics = settled(statistics, _EVERY)
    result = _outputs(rows, objective, statistics)
    result = put_back(result, kept, options.reduction)
    return Forward(call, kept, objective, statistics, result, gradients, held)


def may_wait(call: Call, engine: Engine) -> bool:
    """Whether the host may look at which rows are ignored.

    Where that waits for a device, only if the caller named `ignore_index`.
    """
    return not engine.asynchronous or call.options.ignore_index is not None


def _share(row_weight: Tensor, kept: Kept | None) -> Tensor:
    """What a mean multiplies the sum by, shape (); 0 for the gradient of a mean over no rows."""
    share = 1.0 / row_weight.sum()
    if kept is None or kept.numbers is not None:
        return share
    return share.where(kept.mask.any(), 0.0)


def _detached(call: Call) -> Call:
    tensors = {name: value for name, value in vars(call).items() if isinstance(value, Tensor)}
    return replace(call, **{name: value.detach() for name, value in tensors.items()})


def _with_best(options: Options) -> Options:
    """The accuracy needs the best class."""
    return replace(options, top_k=1) if _only_for_accuracy(options) else options


def _only_for_accuracy(options: Options) -> bool:
    return "accuracy" in options.compute and options.top_k == 0


def _outputs(
    rows: Call, objective: RowObjective, statistics: Statistics
) -> LinearCrossEntropyResult:
    """All outputs, of the rows that are kept; in float32, or float64 if the input is.

    Copies: what the user does to them must not reach the backward pass.
    """
    options = rows.options
    kind = torch.promote_types(rows.input.dtype, torch.float32)
    losses = objective.losses(statistics)
    partition = statistics.log_partition
    result = LinearCrossEntropyResult(
        reduce_rows(losses, objective.row_weight, options.reduction).to(kind, copy=True)
    )
    extra: dict[str, Tensor] = {}
    if "row_loss" in options.compute:
        extra["row_loss"] = losses.to(kind, copy=True)
    if "log_partition" in options.compute:
        extra["log_partition"] = partition.to(kind, copy=True)
    if "entropy" in options.compute:
        # Rounding may take a difference of two large numbers below 0, where no entropy is.
        extra["entropy"] = (
            (partition - known(statistics.mean_logit)).clamp(min=0.0).to(kind, copy=True)
        )
    if "accuracy" in options.compute:
        best = known(statistics.top_classes)[:, 0]
        extra["accuracy"] = accuracy_of(best, known(rows.labels), rows.sample_weight)
    if options.top_k:
        away = known(statistics.top_logits) - partition[:, None]
        extra["top_classes"] = known(statistics.top_classes).clone()
        extra["top_log_probabilities"] = away.clamp(max=0.0).to(kind, copy=True)
    if rows.chosen is not None:
        away = known(statistics.chosen_logits) - partition[:, None]
        extra["chosen_log_probabilities"] = away.clamp(max=0.0).to(kind, copy=True)
    return result._replace(**extra)


def upstream_of(forward: Forward, grads: LinearCrossEntropyResult) -> Upstream:
    """What the user's gradients mean for the rows that are kept."""
    weight = forward.objective.row_weight

    def rows(values: Tensor | None) -> Tensor | None:
        if values is None:
            return None
        values = values.to(weight.dtype)
        return values if forward.kept is None else forward.kept.taken(values)

    reduction = forward.call.options.reduction
    loss: Tensor | None = None
    if grads.loss is not None:
        loss = rows(grads.loss) if reduction == "none" else grads.loss.to(weight.dtype)
        if reduction == "mean" and loss is not None:
            loss = loss * _share(weight, forward.kept)
    own = rows(grads.row_loss)
    if own is not None:
        loss = own if loss is None else own + loss
    return Upstream(
        loss=loss,
        log_partition=rows(grads.log_partition),
        entropy=rows(grads.entropy),
        top=rows(grads.top_log_probabilities),
        chosen=rows(grads.chosen_log_probabilities),
    )


def gradients_of(
    forward: Forward, engine: Engine, grads: LinearCrossEntropyResult, needs: Needs
) -> Gradients:
    """Gradients of all rows, from logits held or made once more; engine's dtypes."""
    call = forward.call
    rows = take_rows(call, forward.kept)
    coefficients = forward.objective.coefficients(forward.statistics, upstream_of(forward, grads))
    logits, budget = logits_of(call, rows), call.options.max_workspace_bytes
    with torch.autocast(call.input.device.type, enabled=False):
        if forward.held is not None:
            return forward.held.gradients(coefficients, needs)
        return engine.gradients(logits, coefficients, needs, budget)


def whole_input(forward: Forward, gradients: Gradients) -> Gradients:
    """The same with zeros for ignored rows."""
    if forward.kept is None or gradients.input is None:
        return gradients
    if forward.kept.numbers is None:
        return gradients  # silenced rows have no weight: engines give them zeros
    return gradients._replace(input=forward.kept.spread(gradients.input, 0.0))
