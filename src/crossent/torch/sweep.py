"""One row block through all classes: sums of exponentials and what else was asked for.

Tiles hold t = log₂e · z − shift. The shift of a row is the logit of its label, so that nothing is
searched for first: then the sum over the other classes is Σ exp(z_v − z_y), and the loss its log1p.
Where that overflows, because the label is more than 69 nats below the largest logit, the block is
done again with the largest logit as shift.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from crossent.torch.engine import Questions, Statistics
from crossent.torch.row_starts import Positions, Start, initial_shift
from crossent.torch.threads import in_threads, over
from crossent.torch.tiles import LOG2_E, Tiles, logits_at, target_tile

__all__ = ["AllRows", "RowSweep", "all_rows", "scratch", "swept"]

Keeps = Literal["exponentials", "logits"] | None

_LARGEST_SUM = 2.0**100
"""Above, products of exponentials could overflow in float32 (largest number 2¹²⁸)."""
_ROOM = 2.0**32
"""What a row's scale may be multiplied by, as by a row of X, and not leave the normal numbers."""
_SMALLEST_LOG2 = -2000.0
"""2 to this power is 0 in every dtype; stands for −∞ where that would be multiplied by 0."""


@dataclass(frozen=True)
class AllRows:
    """What the sweeps of all blocks of rows share.

    Attributes
    ----------
    tiles : Tiles
    questions : Questions
        Of all rows.
    parts : list of slice
        The blocks of rows.
    start : Start
        Of all rows.
    positions : Positions or None
        Where labels lie; None without labels.
    """

    tiles: Tiles
    questions: Questions
    parts: list[slice]
    start: Start
    positions: Positions | None


def all_rows(tiles: Tiles, questions: Questions) -> AllRows:
    """Prepare for sweeps: the labels' logits and places, found in one go."""
    parts = tiles.blocks.row_blocks(len(tiles.logits.input))
    labels = questions.labels
    positions = None if labels is None else Positions(labels, parts, tiles.chunks)
    return AllRows(tiles, questions, parts, initial_shift(tiles.logits, questions), positions)


class RowSweep:
    """Sums over all classes for the rows of one block.

    Parameters
    ----------
    rows : AllRows
    number : int
        Which block.
    start : Start
        Of its rows.
    store : callable
        ``store(chunk, thread)``: a contiguous tile to leave the exponentials in.
    spare : callable
        ``spare(chunk, thread)``: a second one, used where an option needs it.
    sums : list of Tensor, shape (rows, d), or None
        One for each thread, to add the exponentials times W to.
    keeps : {"exponentials", "logits"} or None
        What gradients are made of afterwards: of what is left in `store`, which is then times the
        cap's slope; or of what is left in `spare`, log₂e · z − shift.
    before : callable, optional
        ``before(chunk, thread)`` uses up what an earlier block has left in `store`.
    """

    def __init__(
        self,
        rows: AllRows,
        number: int,
        start: Start,
        store: Callable[[int, int], Tensor],
        spare: Callable[[int, int], Tensor],
        sums: list[Tensor] | None = None,
        *,
        keeps: Keeps = None,
        before: Callable[[int, int], None] | None = None,
    ) -> None:
        tiles, self.number, self.part = rows.tiles, number, rows.parts[number]
        self.tiles, self.questions = tiles, rows.questions.rows(self.part)
        self.store, self.spare, self.sums, self.before = store, spare, sums, before
        self.positions = rows.positions
        self.x = tiles.rows(self.part)
        self.label_logits = start.label_logits
        self.shift = (start.shift * LOG2_E).to(tiles.dtype)[:, None]
        self.slopes = keeps == "exponentials" and tiles.logits.softcap is not None
        self.needs_logits = self.questions.entropy or self.slopes or keeps == "logits"
        shape = (len(tiles.chunks), len(start.shift))
        self.total = torch.empty(shape, dtype=tiles.dtype)
        self.over_classes = start.shift
        self.moment = torch.empty(shape if self.questions.entropy else 0, dtype=tiles.dtype)
        by_targets = shape if self.questions.targets is not None else 0
        self.on_targets = torch.zeros(by_targets, dtype=torch.float64)
        self.target_sum = torch.zeros(by_targets, dtype=torch.float64)
        by_spread = shape if self.questions.spread is not None else 0
        self.on_spread = torch.zeros(by_spread, dtype=torch.float64)
        self.top: list[tuple[Tensor, Tensor]] = [(self.shift, self.shift)] * shape[0]

    def run(self) -> None:
        """Visit every block of classes."""
        threads = self.tiles.blocks.threads
        count = len(self.tiles.chunks)

        def visit_own(thread: int) -> None:
            # Always the same blocks, in the same order: sums over classes depend on the order.
            for chunk in range(thread, count, threads):
                self._visit(chunk, thread)

        if self.sums is None:
            over(count, self._visit, threads)
        else:
            in_threads(visit_own, threads)
        self.over_classes = self.total.double().sum(dim=0)

    def _visit(self, chunk: int, thread: int) -> None:
        tiles, questions = self.tiles, self.questions
        if self.before is not None:
            self.before(chunk, thread)
        kept = self.store(chunk, thread)
        t = self.spare(chunk, thread) if self.needs_logits else kept
        linear = tiles.logits.weight is not None
        weight = tiles.weight(chunk, thread) if linear else None
        tiles.fill(t, self.x, weight, chunk, self.shift)
        self._read(t, chunk)
        torch.exp2(t, out=kept)
        if self.positions is not None:
            self.positions.fill(kept, self.number, chunk, 0.0)
        torch.sum(kept, 1, out=self.total[chunk])
        if questions.entropy:
            finite = t.clamp(min=_SMALLEST_LOG2)
            torch.sum(finite.mul_(kept), 1, out=self.moment[chunk])
        if self.slopes:
            kept.mul_(tiles.slope(t, t, self.shift))
        if self.sums is not None and weight is not None:
            tiles.products.add(self.sums[thread], kept, weight)

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
        if not self.over_classes.numel():
            return True
        if not float(self.over_classes.max()) <= _LARGEST_SUM:  # not a number neither
            return False
        vanished = self.over_classes < 1.0 / _LARGEST_SUM
        return not bool(vanished.logical_and_(~anchored).any())

    def vanishes(self, scale: Tensor) -> bool:
        """Whether a row's scale is so small, since its exponentials are large, that digits go."""
        least = torch.finfo(self.tiles.dtype).tiny * _ROOM
        small = (scale.abs() < least) & (scale != 0.0)
        return bool(small.logical_and_(self.over_classes > _ROOM).any())

    def statistics(self) -> Statistics:
        """The rows' statistics, in nats."""
        questions, tiles = self.questions, self.tiles
        shift, total = self.shift[:, 0].double(), self.over_classes
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
    rows: AllRows,
    number: int,
    store: Callable[[int, int], Tensor],
    spare: Callable[[int, int], Tensor],
    *,
    sums: list[Tensor] | None = None,
    keeps: Keeps = None,
    before: Callable[[int, int], None] | None = None,
    largest: bool = False,
) -> RowSweep:
    """The sums of a block of rows, done again with the largest logits where that is needed.

    Parameters as those of `RowSweep`; with `largest`, a block that has been swept is done again.
    """
    start = rows.start.rows(rows.parts[number])
    if not largest:
        sweep = RowSweep(rows, number, start, store, spare, sums, keeps=keeps, before=before)
        sweep.run()
        if sweep.is_safe(start.anchored):
            return sweep
    for total in sums or []:
        total.zero_()
    start = start._replace(shift=largest_shift(rows.tiles, rows.parts[number], store))
    sweep = RowSweep(rows, number, start, store, spare, sums, keeps=keeps)
    sweep.run()
    return sweep
