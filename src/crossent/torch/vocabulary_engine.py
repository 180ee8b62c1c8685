"""An engine over several processes, each of which holds some of the classes.

Each process computes the statistics of its own classes with the engine of its device. What it
found is a few numbers per row; all processes exchange these, and each makes the whole's statistics
of them, in the same order, so that all get the same bits. The loss turns them into coefficients,
which serve every process as they are, but for the vectors over the classes and the labels, of
which each takes its own. The gradient of W is then finished; that of X is summed over the
processes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from crossent.errors import InputError
from crossent.torch.engine import (
    AtClasses,
    Coefficients,
    Engine,
    Gradients,
    Needs,
    Questions,
    RowLogits,
    Statistics,
    joined,
)

__all__ = ["Share", "VocabularyEngine"]

_SAME = 1e-2
"""Rows that processes computed each for itself differ by rounding; other rows differ by more."""


@dataclass(frozen=True)
class Share:
    """The classes of one process: ceil(q / ranks) each, the last processes fewer.

    The same cut as that of `torch.chunk` and of a DTensor that is sharded along its rows.

    Attributes
    ----------
    num_classes, rank, ranks : int
    group : ProcessGroup or None
        None for the default group.
    """

    num_classes: int
    rank: int
    ranks: int
    group: Any = None

    @property
    def most(self) -> int:
        """Classes of the first process, which has most."""
        return -(-self.num_classes // self.ranks)

    @property
    def own(self) -> slice:
        """Classes of this process."""
        start = min(self.rank * self.most, self.num_classes)
        return slice(start, min(start + self.most, self.num_classes))

    @property
    def fewest(self) -> int:
        """Classes of the last process, which has fewest."""
        return max(0, self.num_classes - (self.ranks - 1) * self.most)

    def local(self, classes: Tensor) -> Tensor:
        """Numbers among this process's own classes; −1 for any other."""
        mine = (classes >= self.own.start) & (classes < self.own.stop)
        return (classes - self.own.start).where(mine, -1)

    def local_at(self, at: AtClasses) -> AtClasses:
        """Classes and their numbers; those of other processes are none."""
        classes = self.local(at.classes)
        return AtClasses(classes, at.value.where(classes >= 0, 0.0))

    def exchanged(self, message: Tensor) -> Tensor:
        """The message of every process, in the order of their ranks; shape (ranks, ...)."""
        message = message.contiguous()
        found = message.new_empty((self.ranks, *message.shape))
        if message.numel():
            dist.all_gather(list(found.unbind(0)), message, group=self.group)
        return found

    def summed(self, values: Tensor) -> Tensor:
        """The sum over the processes; of half precision in float32, rounded once."""
        wide = values.to(torch.promote_types(values.dtype, torch.float32)).contiguous()
        if wide.numel():
            dist.all_reduce(wide, group=self.group)
        return wide.to(values.dtype)


class VocabularyEngine:
    """An `Engine` for logits of which every process makes its share.

    Parameters
    ----------
    local : Engine
        Of this process's device.
    share : Share
    """

    def __init__(self, local: Engine, share: Share) -> None:
        self.local, self.share = local, share

    @property
    def asynchronous(self) -> bool:
        """As the engine of the device."""
        return self.local.asynchronous

    def statistics(self, logits: RowLogits, questions: Questions, budget: int | None) -> Statistics:
        """One product in each process; 8 bytes a row and number go to every other process."""
        found = self.local.statistics(logits, own_questions(questions, self.share), budget)
        return combined(found, questions.top_k, logits.input, self.share)

    def gradients(
        self, logits: RowLogits, coefficients: Coefficients, needs: Needs, budget: int | None
    ) -> Gradients:
        """Three products in each process; the gradient of the input is summed over them."""
        own = own_coefficients(coefficients, self.share)
        return self._summed(self.local.gradients(logits, own, needs, budget))

    def statistics_and_gradients(
        self,
        logits: RowLogits,
        questions: Questions,
        coefficients_of: Callable[[Statistics, slice], Coefficients],
        needs: Needs,
        budget: int | None,
    ) -> tuple[Statistics, Gradients]:
        """Three products; four where a process has no class, or fewer than are to be named.

        Processes exchange what they know of the same blocks of rows, cut for the largest share.
        """
        logits = replace(logits, sized_for=self.share.most)
        if self.share.fewest < max(1, questions.top_k):
            found = self.statistics(logits, questions, budget)
            coefficients = coefficients_of(found, slice(0, len(logits.input)))
            return found, self.gradients(logits, coefficients, needs, budget)
        parts: list[Statistics] = []

        def own_coefficients_of(found: Statistics, part: slice) -> Coefficients:
            if not parts:
                check_blocks(part, logits.input, self.share)
            whole = combined(found, questions.top_k, logits.input[part], self.share)
            parts.append(whole)
            return own_coefficients(coefficients_of(whole, part), self.share)

        own = own_questions(questions, self.share)
        _, made = self.local.statistics_and_gradients(
            logits, own, own_coefficients_of, needs, budget
        )
        return joined(parts), self._summed(made)

    def _summed(self, made: Gradients) -> Gradients:
        return made if made.input is None else made._replace(input=self.share.summed(made.input))


def own_questions(questions: Questions, share: Share) -> Questions:
    """What a process must find out of its own classes."""
    own, labels, chosen = share.own, questions.labels, questions.chosen
    spread, targets, weight = questions.spread, questions.targets, questions.target_weight
    return replace(
        questions,
        labels=None if labels is None else share.local(labels),
        chosen=None if chosen is None else share.local(chosen),
        spread=None if spread is None else spread[own],
        targets=None if targets is None else targets[:, own],
        target_weight=None if weight is None else weight[own],
        top_k=min(questions.top_k, own.stop - own.start),
    )


def own_coefficients(coefficients: Coefficients, share: Share) -> Coefficients:
    """The gradient at a process's own classes."""
    own, c = share.own, coefficients
    dense = c.dense
    if dense is not None:
        weight = None if dense.weight is None else dense.weight[own]
        dense = dense._replace(targets=dense.targets[:, own], weight=weight)
    return replace(
        c,
        labels=c.labels and share.local_at(c.labels),
        chosen=c.chosen and share.local_at(c.chosen),
        spread=c.spread and c.spread._replace(vector=c.spread.vector[own]),
        dense=dense,
    )


def combined(found: Statistics, top_k: int, rows: Tensor, share: Share) -> Statistics:
    """The statistics of all classes, from what each process found of its own; float64.

    Parameters
    ----------
    found : Statistics
        Of this process's classes.
    top_k : int
        How many of the largest logits are wanted of all classes.
    rows : Tensor, shape (n, d)
        The input; the processes see that it is the same.
    share : Share
    """
    sent = _columns(found, top_k, rows, share)
    widths = [x.shape[1] for x in sent.values()]
    message = torch.cat([x.double() for x in sent.values()], dim=1)
    pieces = share.exchanged(message).split(widths, dim=2)
    parts = dict(zip(sent, pieces, strict=True))
    rest = parts["log_rest"][..., 0].logsumexp(dim=0)
    whole: dict[str, Tensor] = {"log_rest": _where_rows_agree(rest, parts["mark"], share)}
    for name in ("label_logits", "chosen_logits"):
        if name in parts:  # −∞ from all processes but one
            whole[name] = parts[name].amax(dim=0)
    for name in ("spread_logit", "targets_logit"):
        if name in parts:
            whole[name] = parts[name][..., 0].sum(dim=0)
    if "mean_logit" in parts:
        whole["mean_logit"] = _mean_logit(parts)
    if top_k:
        logits, classes = _largest(parts["top_logits"], parts["top_classes"], top_k)
        whole |= {"top_logits": logits, "top_classes": classes}
    return Statistics(**whole)


def _columns(found: Statistics, top_k: int, rows: Tensor, share: Share) -> dict[str, Tensor]:
    """What is sent of each row, each (n, some)."""
    sent = {name: x for name, x in vars(found).items() if x is not None}
    sent = {name: x if x.ndim == 2 else x[:, None] for name, x in sent.items()}
    if top_k:
        missing = top_k - sent["top_logits"].shape[1]
        pad = torch.nn.functional.pad
        sent["top_logits"] = pad(sent["top_logits"], (0, missing), value=-torch.inf)
        classes = sent["top_classes"] + share.own.start
        sent["top_classes"] = pad(classes, (0, missing), value=share.num_classes)
    return sent | {"mark": rows[:, :1]}


def _mean_logit(parts: dict[str, Tensor]) -> Tensor:
    """p·z of all classes: those of the processes, by their shares of the probability."""
    partition = parts["log_rest"][..., 0]
    if "label_logits" in parts:
        partition = partition.logaddexp(parts["label_logits"].logsumexp(dim=2))
    share = (partition - partition.logsumexp(dim=0)).exp()
    # A process with excluded classes only has no mean; its share is 0.
    return (share * parts["mean_logit"][..., 0]).where(share != 0.0, 0.0).sum(dim=0)


def _largest(logits: Tensor, classes: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of all processes, each (ranks, n, k); of equals the lower class first."""
    flat = [x.movedim(0, 1).flatten(1) for x in (logits, classes)]
    by_class = flat[1].argsort(dim=1)
    values, numbers = (x.gather(1, by_class) for x in flat)
    order = values.argsort(dim=1, descending=True, stable=True)[:, :k]
    return values.gather(1, order), numbers.gather(1, order).long()


def _where_rows_agree(log_rest: Tensor, marks: Tensor, share: Share) -> Tensor:
    """Unchanged if all processes have the same rows; else an error, or NaN on a GPU.

    Compares the first feature of each row, `marks` (ranks, n, 1).
    """
    if not marks.numel():
        return log_rest
    marks = marks[..., 0].nan_to_num()
    away = (marks - marks[0]).abs().amax(dim=0)
    agree = away <= _SAME * marks.abs().amax()
    if marks.device.type != "cpu":
        return log_rest.where(agree, torch.nan)
    if bool(agree.all()):
        return log_rest
    row = int((~agree).nonzero()[0])
    message = (
        f"`input` row {row} is not the same on the {share.ranks} ranks of the group; each must be "
        "given the same rows, and only slices of the weight differ."
    )
    raise InputError(message)


def check_blocks(part: slice, rows: Tensor, share: Share) -> None:
    """Processes work in the same blocks of rows; looked at on CPUs only.

    Raises
    ------
    InputError
        If they do not: they would exchange numbers of different rows.
    """
    if rows.device.type != "cpu":
        return
    sizes = share.exchanged(torch.tensor([part.stop, len(rows)]))
    if bool((sizes == sizes[0]).all()):
        return
    message = (
        f"the ranks work in blocks of {sizes[:, 0].tolist()} of {sizes[:, 1].tolist()} rows; they "
        "must have the same rows, `max_workspace_bytes` and torch.get_num_threads()."
    )
    raise InputError(message)
