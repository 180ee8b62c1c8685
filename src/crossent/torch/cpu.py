"""The engine for CPUs: library products on blocks that fit the cache, one exp2 per logit.

`statistics_and_gradients` keeps the exponentials E of one block of rows, all classes. While a tile
of E is in cache, it is multiplied by W. When the block's sums are known, each row's scale v is, and
it commutes with both products: ∂X = diag(v) (E W) and ∂W += Eᵀ (diag(v) X).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from crossent.torch.blocks import Sizes, fused_blocks, needed_blocks
from crossent.torch.engine import (
    Coefficients,
    Gradients,
    Needs,
    Questions,
    RowLogits,
    Statistics,
    joined,
)
from crossent.torch.gradients import LinearSums, recomputed
from crossent.torch.sweep import scratch, swept
from crossent.torch.threads import in_threads, led
from crossent.torch.tiles import LOG2_E, Tiles, arithmetic_of, target_tile

__all__ = ["CPU_ENGINE", "CpuEngine", "needs_logits_again", "sizes_of"]


def sizes_of(logits: RowLogits, threads: int, questions: Questions | None = None) -> Sizes:
    """What the memory of these logits' products depends on."""
    entropy = questions is not None and questions.entropy
    kind = arithmetic_of(logits.input.dtype)
    return Sizes(
        n_rows=logits.input.shape[0],
        n_features=logits.input.shape[1] if logits.weight is not None else 0,
        n_classes=logits.n_classes,
        item=8 if kind == torch.float64 else 4,
        converts=logits.input.dtype != kind,
        threads=threads,
        second_tile=entropy or logits.softcap is not None,
    )


def needs_logits_again(logits: RowLogits, questions: Questions) -> bool:
    """Whether exponentials are not enough for the gradient, so that a fourth product is needed.

    With a cap, what is subtracted from p must be multiplied by the cap's slope at every logit.
    """
    subtracts = questions.targets is not None or questions.spread is not None
    return logits.weight is None or (logits.softcap is not None and subtracts)


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
        """Three products, or four where an option asks for the logits a second time."""
        n, threads = logits.input.shape[0], torch.get_num_threads()
        blocks = fused_blocks(sizes_of(logits, threads, questions), budget)
        if blocks is None or needs_logits_again(logits, questions):
            found = self.statistics(logits, questions, budget)
            coefficients = coefficients_of(found, slice(0, n))
            return found, self.gradients(logits, coefficients, needs, budget)
        tiles = Tiles(logits, blocks)
        return led(lambda: _fused(tiles, questions, coefficients_of, needs), threads)


CPU_ENGINE = CpuEngine()


def _statistics(
    logits: RowLogits, questions: Questions, budget: int | None, threads: int
) -> Statistics:
    blocks = needed_blocks(sizes_of(logits, threads), budget)
    tiles = Tiles(logits, blocks)
    memory = torch.empty((2, blocks.threads, blocks.rows * blocks.classes), dtype=tiles.dtype)
    parts = [
        swept(tiles, questions, part, scratch(tiles, memory[0], part), memory[1])
        for part in blocks.row_blocks(logits.input.shape[0])
    ]
    return joined([sweep.statistics() for sweep in parts])


def _kept(tiles: Tiles, memory: Tensor, part: slice) -> Callable[[int, int], Tensor]:
    """Tiles for all classes side by side in `memory`, each contiguous."""
    rows = part.stop - part.start
    spans = [(rows * start, rows * stop, stop - start) for start, stop in tiles.chunks]
    views = [memory[a:b].view(rows, width) for a, b, width in spans]
    return lambda chunk, _thread: views[chunk]


def _fused(
    tiles: Tiles,
    questions: Questions,
    coefficients_of: Callable[[Statistics, slice], Coefficients],
    needs: Needs,
) -> tuple[Statistics, Gradients]:
    """Exponentials of one block of rows at a time, used for both gradients before they go."""
    blocks, logits = tiles.blocks, tiles.logits
    n, d = logits.input.shape
    memory = torch.empty(blocks.rows * logits.n_classes, dtype=tiles.dtype)
    second = blocks.rows * blocks.classes if sizes_of(logits, 1, questions).second_tile else 0
    spare = torch.empty((blocks.threads, second), dtype=tiles.dtype)
    dense = questions.targets is not None
    sums = LinearSums(tiles, needs)
    parts = []
    for part in blocks.row_blocks(n):
        store = _kept(tiles, memory, part)
        rows = part.stop - part.start
        products = None
        if needs.input and not dense:
            products = list(torch.zeros((blocks.threads, rows, d), dtype=tiles.dtype))
        sweep = swept(tiles, questions, part, store, spare, sums=products, keeps=True)
        found = sweep.statistics()
        coefficients = coefficients_of(found, part)
        scale = coefficients.softmax * torch.exp(
            sweep.shift[:, 0].double() / LOG2_E - coefficients.log_partition
        )
        if dense:
            products = _subtracted(tiles, store, scale, coefficients, needs)
            scale = torch.ones_like(scale)
        sums.add_rows(part, sweep.x, store, scale / logits.temperature, products)
        sums.add_rank_one(part, sweep.x, coefficients)
        parts.append(found)
    return joined(parts), sums.finished()


def _subtracted(
    tiles: Tiles,
    store: Callable[[int, int], Tensor],
    scale: Tensor,
    coefficients: Coefficients,
    needs: Needs,
) -> list[Tensor] | None:
    """Turn stored exponentials into p − y, in place; products with W of each thread, if wanted."""
    dense = coefficients.dense
    if dense is None:
        message = "dense targets without their coefficients"
        raise AssertionError(message)
    v, g = scale.to(tiles.dtype)[:, None], dense.row.to(tiles.dtype)[:, None]
    threads, d = tiles.blocks.threads, tiles.logits.input.shape[1]
    products = torch.zeros((threads, len(v), d if needs.input else 0), dtype=tiles.dtype)

    def visit_all(thread: int) -> None:
        for chunk in range(thread, len(tiles.chunks), threads):
            tile = store(chunk, thread).mul_(v)
            span = tiles.chunks[chunk]
            y = target_tile(dense.targets[:, slice(*span)], dense.weight, span, tile.dtype)
            tile.addcmul_(y, g, value=-1.0)
            if needs.input:
                products[thread].addmm_(tile, tiles.weight(chunk, thread))

    in_threads(visit_all, threads)
    return list(products) if needs.input else None
