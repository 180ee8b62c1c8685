"""One row block through all classes: sums of exponentials and what else was asked for.

Tiles hold t = log₂e · z − shift. The shift of a row is the logit of its label, so that nothing is
searched for first: then the sum over the other classes is Σ exp(z_v − z_y), and the loss its log1p.
Where that overflows, because the label is more than 69 nats below the largest logit, the block is
done again with the largest logit as shift.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from crossent.torch.engine import Questions, Statistics
from crossent.torch.threads import in_threads, over
from crossent.torch.tiles import LOG2_E, Tiles, logits_at, target_tile

__all__ = ["Positions", "RowSweep", "Start", "scratch", "swept"]

_LARGEST_SUM = 2.0**100
"""Above, products of exponentials could overflow in float32 (largest number 2¹²⁸)."""
_SMALLEST_LOG2 = -2000.0
"""2 to this power is 0 in every dtype; stands for −∞ where that would be multiplied by 0."""


class Positions:
    """Where the labels of some rows lie in the tiles, as flat indices for each block of classes.

    Parameters
    ----------
    labels : Tensor of int64, shape (rows, k)
        −1 where there is none.
    chunks : list of (int, int)
    """

    def __init__(self, labels: Tensor, chunks: list[tuple[int, int]]) -> None:
        flat = labels.reshape(-1)
        ordered, order = flat.sort(stable=True)
        starts = torch.tensor([start for start, _ in chunks])
        bounds = [*torch.searchsorted(ordered, starts).tolist(), len(flat)]
        widths = torch.tensor([stop - start for start, stop in chunks])
        chunk = torch.searchsorted(starts, ordered, right=True) - 1
        place = chunk.clamp(min=0)
        row = order.div(max(labels.shape[1], 1), rounding_mode="floor")
        index = row * widths[place] + (ordered - starts[place])
        spans = itertools.pairwise(bounds)
        self._parts = [index[a:b] if b > a else None for a, b in spans]

    def fill(self, tile: Tensor, chunk: int, value: float) -> None:
        """Write `value` where the labels lie; `tile` must be contiguous."""
        index = self._parts[chunk]
        if index is not None:
            tile.view(-1).index_fill_(0, index, value)


class RowSweep:
    """Sums over all classes for the rows of one block.

    Parameters
    ----------
    tiles : Tiles
    questions : Questions
        Of these rows.
    part : slice
        Which rows.
    start : Start
    store : callable
        ``store(chunk, thread)``: a contiguous tile to leave the exponentials in.
    spare : callable
        ``spare(chunk, thread)``: a second one, used where an option needs it.
    sums : list of Tensor, shape (rows, d), or None
        One for each thread, to add the exponentials times W to.
    keeps : bool
        Whether gradients are made of what is left in `store`; then it is times the cap's slope.
    """

    def __init__(
        self,
        tiles: Tiles,
        questions: Questions,
        part: slice,
        start: "Start",
        store: Callable[[int, int], Tensor],
        spare: Callable[[int, int], Tensor],
        sums: list[Tensor] | None = None,
        *,
        keeps: bool = False,
    ) -> None:
        self.tiles, self.questions, self.part = tiles, questions, part
        self.store, self.spare, self.sums = store, spare, sums
        self.x = tiles.rows(part)
        self.label_logits = start.label_logits
        self.shift = (start.shift * LOG2_E).to(tiles.dtype)[:, None]
        n, count = len(start.shift), len(tiles.chunks)
        labels = questions.labels
        self.positions = None if labels is None else Positions(labels, tiles.chunks)
        self.slopes = keeps and tiles.logits.softcap is not None
        self.total = torch.empty((count, n), dtype=tiles.dtype)
        self.moment = torch.empty((count, n), dtype=tiles.dtype)
        self.on_targets = torch.zeros((count, n), dtype=torch.float64)
        self.target_sum = torch.zeros((count, n), dtype=torch.float64)
        self.on_spread = torch.zeros((count, n), dtype=torch.float64)
        self.top: list[tuple[Tensor, Tensor]] = [(self.shift, self.shift)] * count

    def run(self) -> None:
        """Visit every block of classes."""
        threads = self.tiles.blocks.threads
        count = len(self.tiles.chunks)
        if self.sums is None:
            over(count, self._visit, threads)
            return

        def visit_own(thread: int) -> None:
            # Always the same blocks, in the same order: sums over classes depend on the order.
            for chunk in range(thread, count, threads):
                self._visit(chunk, thread)

        in_threads(visit_own, threads)

    def _visit(self, chunk: int, thread: int) -> None:
        tiles, questions = self.tiles, self.questions
        needs_logits = questions.entropy or self.slopes
        kept = self.store(chunk, thread)
        t = self.spare(chunk, thread) if needs_logits else kept
        linear = tiles.logits.weight is not None
        weight = tiles.weight(chunk, thread) if linear else None
        tiles.fill(t, self.x, weight, chunk, self.shift)
        self._read(t, chunk)
        torch.exp2(t, out=kept)
        if self.positions is not None:
            self.positions.fill(kept, chunk, 0.0)
        torch.sum(kept, 1, out=self.total[chunk])
        if questions.entropy:
            finite = t.clamp(min=_SMALLEST_LOG2)
            torch.sum(finite.mul_(kept), 1, out=self.moment[chunk])
        if self.slopes:
            kept.mul_(tiles.slope(t, t, self.shift))
        if self.sums is not None and weight is not None:
            self.sums[thread].addmm_(kept, weight)

    def _read(self, t: Tensor, chunk: int) -> None:
        """What is wanted of the logits themselves."""
        questions, (start, stop) = self.questions, self.tiles.chunks[chunk]
        if questions.top_k:
            self.top[chunk] = _largest(t, questions.top_k, start)
        if questions.targets is not None:
            y = questions.targets[:, start:stop]
            y = target_tile(y, questions.target_weight, (start, stop), t.dtype)
            self.on_targets[chunk] = _weighted_sum(y, t)
            self.target_sum[chunk] = y.sum(dim=1)
        if questions.spread is not None and not self.tiles.is_plain:
            u = questions.spread[start:stop].to(t.dtype)
            self.on_spread[chunk] = _weighted_sum(u, t)

    def is_safe(self, anchored: Tensor) -> bool:
        """Whether the shift was near enough to the largest logit of each row.

        The sum may vanish only beside a label that stands for the shift itself.
        """
        total = self.total.sum(dim=0)
        good = (total <= _LARGEST_SUM) & (anchored | (total >= 1.0 / _LARGEST_SUM))
        return bool(good.all())

    def statistics(self) -> Statistics:
        """The rows' statistics, in nats."""
        questions, tiles = self.questions, self.tiles
        shift = self.shift[:, 0].double()
        total = self.total.double().sum(dim=0)
        found: dict[str, Tensor | None] = {}
        if questions.targets is not None:
            away = shift * self.target_sum.sum(dim=0)
            found["targets_logit"] = (self.on_targets.sum(dim=0) + away) / LOG2_E
        if questions.spread is not None:
            found["spread_logit"] = self._spread_logit(questions.spread, shift)
        if questions.entropy:
            found["mean_logit"] = self._mean_logit(total, shift)
        if questions.chosen is not None:
            found["chosen_logits"] = logits_at(tiles.logits, self.part, questions.chosen)
        if questions.top_k:
            values, classes = _merged(self.top, questions.top_k)
            found["top_logits"] = (values.double() + shift[:, None]) / LOG2_E
            found["top_classes"] = classes
        return Statistics((total.log2() + shift) / LOG2_E, self.label_logits, **found)

    def _spread_logit(self, u: Tensor, shift: Tensor) -> Tensor:
        """u·z; of plain linear logits without looking at any: x·(Wᵀu) + b·u."""
        if not self.tiles.is_plain:
            away = shift * u.sum(dtype=torch.float64)
            return (self.on_spread.sum(dim=0) + away) / LOG2_E
        direction, offset = self.tiles.spread_of(u)
        z = (self.x * direction.to(self.x.dtype)).sum(dim=1, dtype=torch.float64) + offset
        return z / self.tiles.logits.temperature

    def _mean_logit(self, total: Tensor, shift: Tensor) -> Tensor:
        moment = self.moment.double().sum(dim=0)
        if self.label_logits is not None:
            t = self.label_logits * LOG2_E - shift[:, None]
            p = torch.exp2(t)
            total = total + p.sum(dim=1)
            moment = moment + (p * t.clamp(min=_SMALLEST_LOG2)).sum(dim=1)
        return (moment / total + shift) / LOG2_E


def _largest(t: Tensor, k: int, start: int) -> tuple[Tensor, Tensor]:
    """Up to k largest entries of each row and their classes."""
    if k == 1:
        values, places = t.max(dim=1, keepdim=True)  # the first of equals
    else:
        values, places = t.topk(min(k, t.shape[1]), dim=1)
    return values, places + start


def _merged(parts: list[tuple[Tensor, Tensor]], k: int) -> tuple[Tensor, Tensor]:
    """The k largest of all blocks, of equals the lower class first."""
    values = torch.cat([v for v, _ in parts], dim=1)
    classes = torch.cat([c for _, c in parts], dim=1)
    by_class = classes.argsort(dim=1)
    values, classes = values.gather(1, by_class), classes.gather(1, by_class)
    order = values.argsort(dim=1, descending=True, stable=True)[:, :k]
    return values.gather(1, order), classes.gather(1, order)


def _weighted_sum(weights: Tensor, t: Tensor) -> Tensor:
    """Σ weights · t of each row; 0 · (−∞) is 0. Float64, from sums of one tile in t's dtype."""
    product = weights * t
    total = product.sum(dim=1)
    if bool(total.isnan().any()):
        total = product.masked_fill_((weights == 0.0).expand_as(t), 0.0).sum(dim=1)
    return total.double()


class Start(NamedTuple):
    """Where the sums of some rows start.

    Attributes
    ----------
    shift : Tensor of float64, shape (rows,)
        In nats.
    anchored : Tensor of bool, shape (rows,)
        Whether it is the logit of a label, or of the likeliest class of a target.
    label_logits : Tensor of float64, shape (rows, k), or None
    """

    shift: Tensor
    anchored: Tensor
    label_logits: Tensor | None


def initial_shift(tiles: Tiles, questions: Questions, part: slice) -> Start:
    """A logit of each row that is probably not far below the largest.

    That of its likeliest label, else of the first class; 0 where neither is finite.
    """
    first = torch.zeros((tiles.logits.input[part].shape[0], 1), dtype=torch.int64)
    likely = None
    if questions.labels is not None and questions.labels.shape[1]:
        likely = logits_at(tiles.logits, part, questions.labels)
        z = likely.amax(dim=1)
    elif questions.targets is not None:
        best = questions.targets.argmax(dim=1, keepdim=True)
        z = logits_at(tiles.logits, part, best)[:, 0]
    else:
        z = torch.full((len(first),), -math.inf, dtype=torch.float64)
    found = z.isfinite()
    if not bool(found.all()):
        z = z.where(found, logits_at(tiles.logits, part, first)[:, 0])
        z = z.where(z.isfinite(), 0.0)
    return Start(z, found, likely)


def largest_shift(tiles: Tiles, part: slice, store: Callable[[int, int], Tensor]) -> Tensor:
    """The largest logit of each row; 0 where there is none. One product."""
    x = tiles.rows(part)
    none = torch.zeros((len(x), 1), dtype=tiles.dtype)
    found = torch.full((tiles.blocks.threads, len(x)), -math.inf, dtype=tiles.dtype)

    def visit(chunk: int, thread: int) -> None:
        tile = store(chunk, thread)
        linear = tiles.logits.weight is not None
        weight = tiles.weight(chunk, thread) if linear else None
        tiles.fill(tile, x, weight, chunk, none)
        torch.maximum(found[thread], tile.amax(dim=1), out=found[thread])

    over(len(tiles.chunks), visit, tiles.blocks.threads)
    largest = found.amax(dim=0).double() / LOG2_E
    return largest.where(largest.isfinite(), 0.0)


def scratch(tiles: Tiles, memory: Tensor, part: slice) -> Callable[[int, int], Tensor]:
    """Tiles that each thread writes over again; `memory` has one row for each thread."""
    rows = part.stop - part.start

    def tile(chunk: int, thread: int) -> Tensor:
        start, stop = tiles.chunks[chunk]
        return memory[thread][: rows * (stop - start)].view(rows, stop - start)

    return tile


def swept(
    tiles: Tiles,
    questions: Questions,
    part: slice,
    store: Callable[[int, int], Tensor],
    spare: Tensor,
    *,
    sums: list[Tensor] | None = None,
    keeps: bool = False,
) -> RowSweep:
    """The sums of a block of rows, done again with the largest logits where that is needed.

    Parameters
    ----------
    tiles : Tiles
    questions : Questions
        Of all rows.
    part : slice
    store, sums, keeps
        As in `RowSweep`.
    spare : Tensor, shape (threads, size)
        Where an option needs a second tile.
    """
    own = questions.rows(part)
    start = initial_shift(tiles, own, part)
    second = scratch(tiles, spare, part)
    sweep = RowSweep(tiles, own, part, start, store, second, sums, keeps=keeps)
    sweep.run()
    if sweep.is_safe(start.anchored):
        return sweep
    for total in sums or []:
        total.zero_()
    start = start._replace(shift=largest_shift(tiles, part, store))
    sweep = RowSweep(tiles, own, part, start, store, second, sums, keeps=keeps)
    sweep.run()
    return sweep
