"""The engine for CPUs: library products on blocks that fit the cache, one exp2 per logit.

`statistics_and_gradients` keeps the exponentials E of one block of rows, all classes. While a tile
of E is in cache, it is multiplied by W. When the block's sums are known, each row's scale v is, and
it commutes with both products: ∂X = diag(v) (E W) and ∂W += Eᵀ (diag(v) X).

Where no number per row makes the gradient of E (targets for every class; a cap beside smoothing),
the block's logits are kept instead, and gradient tiles made of them: a second exp2 per logit, and
still three products. `statistics_and_held` keeps the logits of all rows for the backward pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from crossent.errors import InputError
from crossent.torch.blocks import (
    Sizes,
    fused_blocks,
    held_blocks,
    needed_blocks,
    spare_tiles,
)
from crossent.torch.engine import (
    Coefficients,
    Gradients,
    Needs,
    Questions,
    RowLogits,
    Statistics,
    joined,
)
from crossent.torch.gradient_tiles import BlockRows, GradientTiles, HeldRows
from crossent.torch.gradients import LinearSums, Visit, recomputed
from crossent.torch.memory import empty
from crossent.torch.products import products_for
from crossent.torch.sweep import AllRows, RowSweep, all_rows, scratch, swept
from crossent.torch.threads import led
from crossent.torch.tiles import LOG2_E, Tiles, arithmetic_of

__all__ = ["CPU_ENGINE", "CpuEngine", "CpuHeld", "keeps_logits", "sizes_of"]


def sizes_of(logits: RowLogits, threads: int, questions: Questions | None = None) -> Sizes:
    """What the memory of these logits' products depends on."""
    kind = arithmetic_of(logits.input.dtype)
    spare = spare_tiles(
        capped=logits.softcap is not None,
        entropy=questions is not None and questions.entropy,
        keeps_logits=questions is not None and keeps_logits(logits, questions),
    )
    return Sizes(
        n_rows=logits.input.shape[0],
        n_features=logits.input.shape[1] if logits.weight is not None else 0,
        n_classes=max(logits.n_classes, logits.sized_for),
        item=8 if kind == torch.float64 else 4,
        converts=logits.input.dtype != kind,
        threads=threads,
        spare_tiles=spare,
        makes_results=logits.weight is not None and products_for(kind).makes_results,
    )


def keeps_logits(logits: RowLogits, questions: Questions) -> bool:
    """Whether exponentials are not enough for the gradient, so that the logits are kept.

    What targets for every class subtract differs from logit to logit; and with a cap, what
    smoothing subtracts must be multiplied by the cap's slope at every logit.
    """
    capped = logits.softcap is not None and questions.spread is not None
    return questions.targets is not None or capped


class CpuEngine:
    """An `Engine` on CPU tensors of float64, float32, bfloat16 or float16; no state."""

    asynchronous = False

    def statistics(self, logits: RowLogits, questions: Questions, budget: int | None) -> Statistics:
        """Each block of rows through all classes, tile by tile."""
        threads = torch.get_num_threads()
        return led(lambda: _statistics(logits, questions, budget, threads), threads)

    def gradients(
        self, logits: RowLogits, coefficients: Coefficients, needs: Needs, budget: int | None
    ) -> Gradients:
        """Block of classes by block of classes, so that ∂W is written once."""
        threads = torch.get_num_threads()
        blocks = needed_blocks(sizes_of(logits, threads), budget)
        return led(lambda: recomputed(Tiles(logits, blocks), coefficients, needs), threads)

    def statistics_and_gradients(
        self,
        logits: RowLogits,
        questions: Questions,
        coefficients_of: Callable[[Statistics, slice], Coefficients],
        needs: Needs,
        budget: int | None,
    ) -> tuple[Statistics, Gradients]:
        """Three products, or four where the budget is too small to keep a block of rows."""
        n, threads = logits.input.shape[0], torch.get_num_threads()
        blocks = fused_blocks(sizes_of(logits, threads, questions), budget)
        if blocks is None or logits.weight is None:
            found = self.statistics(logits, questions, budget)
            coefficients = coefficients_of(found, slice(0, n))
            return found, self.gradients(logits, coefficients, needs, budget)
        tiles = Tiles(logits, blocks)
        return led(lambda: _Fused(tiles, questions, coefficients_of, needs).run(), threads)

    def statistics_and_held(
        self, logits: RowLogits, questions: Questions, budget: int | None
    ) -> tuple[Statistics, "CpuHeld"]:
        """One product; the logits of all rows are kept in the dtype of the arithmetic."""
        threads = torch.get_num_threads()
        sizes = sizes_of(logits, threads)
        blocks = held_blocks(sizes, budget)
        if blocks is None:
            message = f"`max_workspace_bytes` is {budget}; to hold the logits takes more."
            raise InputError(message)
        return led(lambda: _held(Tiles(logits, blocks), questions), threads)


CPU_ENGINE = CpuEngine()


def _tile_memory(tiles: Tiles, count: int) -> Tensor:
    blocks = tiles.blocks
    shape = (count, blocks.threads, blocks.rows * blocks.classes)
    return torch.empty(shape, dtype=tiles.dtype)


def _statistics(
    logits: RowLogits, questions: Questions, budget: int | None, threads: int
) -> Statistics:
    tiles = Tiles(logits, needed_blocks(sizes_of(logits, threads), budget))
    memory, rows = _tile_memory(tiles, 2), all_rows(tiles, questions)
    found = []
    for number, part in enumerate(rows.parts):
        store, spare = (scratch(tiles, x, part) for x in memory)
        found.append(swept(rows, number, store, spare).statistics())
    return joined(found)


def _side_by_side(
    tiles: Tiles, memory: Tensor, part: slice, height: int | None = None
) -> Callable[[int, int], Tensor]:
    """Tiles for all classes side by side in `memory`, each contiguous.

    Each has room for `height` rows, so that a tile of one block of rows lies where that of another
    lay.
    """
    rows = part.stop - part.start
    height = rows if height is None else height
    spans = [(height * start, stop - start) for start, stop in tiles.chunks]
    views = [memory[at : at + rows * width].view(rows, width) for at, width in spans]
    return lambda chunk, _thread: views[chunk]


@dataclass(frozen=True)
class CpuHeld:
    """The logits of all rows, each block's tiles side by side."""

    tiles: Tiles
    rows: list[HeldRows]

    def gradients(self, coefficients: Coefficients, needs: Needs) -> Gradients:
        """Two products; block of classes by block of classes."""
        threads = self.tiles.blocks.threads
        return led(lambda: recomputed(self.tiles, coefficients, needs, self.rows), threads)


def _held(tiles: Tiles, questions: Questions) -> tuple[Statistics, CpuHeld]:
    rows, q = all_rows(tiles, questions), tiles.logits.n_classes
    memory = empty(len(tiles.logits.input) * q, tiles.dtype)
    exponentials = _tile_memory(tiles, 1)[0]
    found, held = [], []
    for number, part in enumerate(rows.parts):
        own = _side_by_side(tiles, memory[part.start * q : part.stop * q], part)
        store = scratch(tiles, exponentials, part)
        sweep = swept(rows, number, store, own, keeps="logits")
        found.append(sweep.statistics())
        held.append(HeldRows(own, sweep.shift))
    return joined(found), CpuHeld(tiles, held)


class _Fused:
    """One block of rows at a time, used for both gradients before it goes.

    Parameters
    ----------
    tiles : Tiles
    questions : Questions
    coefficients_of : callable
    needs : Needs
    """

    def __init__(
        self,
        tiles: Tiles,
        questions: Questions,
        coefficients_of: Callable[[Statistics, slice], Coefficients],
        needs: Needs,
    ) -> None:
        self.tiles, self.coefficients_of, self.needs = tiles, coefficients_of, needs
        self.rows: AllRows = all_rows(tiles, questions)
        self.sums = LinearSums(tiles, needs)
        self.memory = empty(tiles.blocks.rows * tiles.logits.n_classes, tiles.dtype)
        keeps = keeps_logits(tiles.logits, questions)
        self.maker = GradientTiles(tiles, self.rows.positions) if keeps else None
        spare = 0 if keeps else sizes_of(tiles.logits, 1, questions).spare_tiles
        self.spare = _tile_memory(tiles, 1)[0] if spare else None
        self.pending: Visit | None = None

    def run(self) -> tuple[Statistics, Gradients]:
        """Statistics and gradients of all rows."""
        found, coefficients = [], []
        for number in range(len(self.rows.parts)):
            step = self._from_exponentials if self.maker is None else self._from_logits
            statistics, own = step(number)
            found.append(statistics)
            coefficients.append(own)
        self.sums.add_rank_one(coefficients, self.pending)
        return joined(found), self.sums.finished()

    def _products(self, rows: int) -> list[Tensor]:
        """For each thread a place for products with W."""
        d = self.tiles.logits.input.shape[1] if self.needs.input else 0
        return list(torch.zeros((self.tiles.blocks.threads, rows, d), dtype=self.tiles.dtype))

    def _from_exponentials(self, number: int) -> tuple[Statistics, Coefficients]:
        """The gradient is one number per row times E.

        E is multiplied by the rows of X when the next block of rows comes by.
        """
        part, tiles = self.rows.parts[number], self.tiles
        products = self._products(part.stop - part.start) if self.needs.input else None
        store = _side_by_side(tiles, self.memory, part, tiles.blocks.rows)
        spare = store if self.spare is None else scratch(tiles, self.spare, part)
        sweep_with = partial(
            swept, self.rows, number, store, spare, sums=products, keeps="exponentials"
        )
        sweep = sweep_with(before=self.pending)
        found = sweep.statistics()
        coefficients = self.coefficients_of(found, part)
        scale = self._scale(sweep, coefficients)
        if sweep.vanishes(scale):
            sweep = sweep_with(largest=True)
            scale = self._scale(sweep, coefficients)
        if products is not None:
            self.sums.add_input(part, scale, products)
        self.pending = self.sums.adds_classes(sweep.x, store, scale)
        return found, coefficients

    def _scale(self, sweep: RowSweep, coefficients: Coefficients) -> Tensor:
        """What exponentials times this are the gradient of the logits; shape (rows,)."""
        away = sweep.shift[:, 0].double() / LOG2_E - coefficients.log_partition
        return coefficients.softmax * torch.exp(away) / self.tiles.logits.temperature

    def _from_logits(self, number: int) -> tuple[Statistics, Coefficients]:
        """The gradient is made of the block's logits, tile by tile."""
        if self.maker is None:
            message = "nothing makes gradient tiles"
            raise AssertionError(message)
        part = self.rows.parts[number]
        own = _side_by_side(self.tiles, self.memory, part)
        store = scratch(self.tiles, self.maker.scratch[0], part)
        sweep = swept(self.rows, number, store, own, keeps="logits")
        found = sweep.statistics()
        coefficients = self.coefficients_of(found, part)
        block = BlockRows(number, sweep.x, coefficients, HeldRows(own, sweep.shift))
        products = self._products(len(sweep.x))
        self.sums.add_made(self.maker, [block], [[product] for product in products])
        if self.needs.input:
            torch.sum(torch.stack(products), 0, out=self.sums.input[part])
        return found, coefficients
