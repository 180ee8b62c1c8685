"""From the kernels' partial sums to what is known of each row. Nothing here waits for the GPU.

The shift of a row is the logit of its label, so that the loss near zero keeps its digits. Where
sums overflow with it, because the label is far below the largest logit, the tiles of such rows are
made again with the largest logit as shift; all others end at once, without anybody asking.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from crossent.kernels.triton_exponentials import Asked, Partial, exponentials, redo_rows
from crossent.kernels.triton_jit import LOG2_E, TileShape, product_shape, reading_shape
from crossent.torch.engine import Questions, RowLogits, Statistics, known
from crossent.torch.tiles import arithmetic_of, logits_at

__all__ = ["RowSums", "row_sums", "shape_for"]

_LARGEST_SUM = 2.0**100
"""Above, products of exponentials could overflow in float32 and bfloat16."""
_EVERY = slice(None)


class RowSums(NamedTuple):
    """What is known of the rows, the shift of their exponentials in units of log 2, (n,), and the
    sums of exponentials over each tile of classes, (tiles, n).
    """

    statistics: Statistics
    shift: Tensor
    tile_totals: Tensor


def shape_for(logits: RowLogits) -> TileShape:
    """Tiles that suit: those of a product, or of reading given logits."""
    return reading_shape(logits.input) if logits.weight is None else product_shape(logits.input)


class _Start(NamedTuple):
    shift: Tensor
    anchored: Tensor
    label_logits: Tensor | None


def _start(logits: RowLogits, questions: Questions) -> _Start:
    """The likeliest label's logit of each row, or 0; whether it is one; all labels' logits."""
    label_logits = None
    if questions.labels is not None and questions.labels.shape[1]:
        label_logits = logits_at(logits, _EVERY, questions.labels)
        z = label_logits.amax(dim=1)
    elif questions.targets is not None:
        best = questions.targets.argmax(dim=1, keepdim=True)
        z = logits_at(logits, _EVERY, best)[:, 0]
    else:
        n = len(logits.input)
        z = logits.input.new_full((n,), -math.inf, dtype=torch.float64)
    found = z.isfinite()
    return _Start(z.where(found, 0.0), found & (questions.targets is None), label_logits)


def row_sums(
    logits: RowLogits, questions: Questions, shape: TileShape, stored: Tensor | None = None
) -> RowSums:
    """Statistics of all rows of `logits`; `stored` receives the exponentials.

    Parameters
    ----------
    logits : RowLogits
    questions : Questions
    shape : TileShape
    stored : Tensor, shape (n, q), optional

    Returns
    -------
    RowSums
    """
    kind = arithmetic_of(logits.input.dtype)
    start = _start(logits, questions)
    shift = (start.shift * LOG2_E).to(kind)
    labels = questions.labels if start.label_logits is not None else None
    asked = Asked(
        labels=labels,
        spread=questions.spread,
        targets=questions.targets,
        target_weight=questions.target_weight,
        moment=questions.entropy,
        top_k=questions.top_k,
    )
    partial = exponentials(logits, shift, asked, shape, stored=stored)
    total = partial.total.sum(dim=0, dtype=torch.float64)
    enough = start.anchored | (total >= 1.0 / _LARGEST_SUM)
    unsafe = ~((total <= _LARGEST_SUM) & enough)
    largest = partial.largest.amax(dim=0) + shift
    shift = torch.where(unsafe, largest.where(largest.isfinite(), 0.0), shift)
    exponentials(
        logits, shift, asked, shape, stored=stored, before=partial, redo=redo_rows(unsafe, shape)
    )
    return RowSums(
        _statistics(logits, questions, partial, shift, start.label_logits), shift, partial.total
    )


def _statistics(
    logits: RowLogits,
    questions: Questions,
    partial: Partial,
    shift: Tensor,
    label_logits: Tensor | None,
) -> Statistics:
    away = shift.double()
    total = partial.total.sum(dim=0, dtype=torch.float64)
    found: dict[str, Tensor | None] = {}

    def logit_sum(sums: Tensor | None, weight: Tensor) -> Tensor:
        return (known(sums).sum(dim=0, dtype=torch.float64) + away * weight) / LOG2_E

    if questions.targets is not None:
        weight = _target_sums(questions.targets, questions.target_weight)
        found["targets_logit"] = logit_sum(partial.targets, weight)
    if questions.spread is not None:
        weight = questions.spread.sum(dtype=torch.float64)
        found["spread_logit"] = logit_sum(partial.spread, weight)
    if questions.entropy:
        moment = known(partial.moment).sum(dim=0, dtype=torch.float64)
        found["mean_logit"] = _mean_logit(total, moment, away, label_logits)
    if questions.chosen is not None:
        found["chosen_logits"] = logits_at(logits, _EVERY, questions.chosen)
    if questions.top_k:
        values, classes = _largest(partial, questions.top_k)
        found["top_logits"] = (values.double() + away[:, None]) / LOG2_E
        found["top_classes"] = classes.long().clamp(max=logits.n_classes - 1)
    if questions.labels is not None and label_logits is None:
        label_logits = logits_at(logits, _EVERY, questions.labels)
    return Statistics((total.log2() + away) / LOG2_E, label_logits, **found)


def _target_sums(targets: Tensor, c: Tensor | None) -> Tensor:
    """c·y of each row, shape (n,), float64."""
    if c is None:
        return targets.sum(dim=1, dtype=torch.float64)
    kind = arithmetic_of(targets.dtype)
    return torch.cat([y.to(kind) @ c.to(kind) for y in targets.split(256)]).double()


def _mean_logit(
    total: Tensor, moment: Tensor, shift: Tensor, label_logits: Tensor | None
) -> Tensor:
    """p·z, labels included."""
    if label_logits is not None:
        t = label_logits * LOG2_E - shift[:, None]
        p = torch.exp2(t)
        total = total + p.sum(dim=1)
        moment = moment + (p * t).where(p > 0.0, 0.0).sum(dim=1)
    return (moment / total + shift) / LOG2_E


def _largest(partial: Partial, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of all tiles; tiles and what they found are ordered, so a stable sort is."""
    values, classes = known(partial.top_values), known(partial.top_classes)
    values, classes = (x.permute(1, 0, 2).flatten(1) for x in (values, classes))
    order = values.argsort(dim=1, descending=True, stable=True)[:, :k]
    return values.gather(1, order), classes.gather(1, order)
