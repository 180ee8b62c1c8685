"""From gradients with respect to logits to those of X, W and b, block by block.

What is the same number at every class of a row, or the same vector in every row, is never added to
a tile: it is a product of two vectors, and is added at the end.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from crossent.torch.engine import AtClasses, Coefficients, Gradients, Needs, Spread, known
from crossent.torch.gradient_tiles import (
    BlockRows,
    GradientTiles,
    HeldRows,
    coefficients_of_rows,
)
from crossent.torch.memory import empty
from crossent.torch.narrow import NarrowWeight, along_rows
from crossent.torch.row_starts import Positions, pieces
from crossent.torch.threads import in_threads, over
from crossent.torch.tiles import Tiles, slope_at

__all__ = ["LinearSums", "Visit", "recomputed"]

Visit = Callable[[int, int], None]
"""What is done for a block of classes by a thread: ``visit(chunk, thread)``."""


class LinearSums:
    """∂X, ∂W and ∂b as they grow.

    Parameters
    ----------
    tiles : Tiles
        Of logits with a weight.
    needs : Needs
        Which of the three are wanted.
    narrow : NarrowWeight or None
        Makes ∂W instead, where all rows come to each block of classes.
    """

    def __init__(self, tiles: Tiles, needs: Needs, narrow: NarrowWeight | None = None) -> None:
        self.tiles, self.narrow = tiles, narrow
        self.needs = needs if narrow is None else needs._replace(weight=False)
        n, d = tiles.logits.input.shape
        q = tiles.logits.n_classes
        self.input = empty((n if needs.input else 0, d), tiles.dtype)
        self.weight = empty((q if self.needs.weight else 0, d), tiles.dtype)
        self.bias = torch.zeros(q if needs.bias else 0, dtype=tiles.dtype)
        self.written = False

    def add_input(self, part: slice, scale: Tensor, products: Sequence[Tensor]) -> None:
        """∂X of a block of rows, diag(v) (G W), from G W of each thread's classes."""
        v, total = scale.to(self.tiles.dtype)[:, None], self.input[part]
        torch.mul(products[0], v, out=total)
        for product in products[1:]:
            total.addcmul_(product, v)

    def adds_classes(
        self, x: Tensor, store: Callable[[int, int], Tensor], scale: Tensor
    ) -> Visit | None:
        """What adds a block of rows to ∂W and ∂b for a block of classes; None if none is wanted.

        With tiles G and row scales v: ∂W += Gᵀ (diag(v) X), ∂b += Gᵀ v.
        """
        v, needs, chunks = scale.to(self.tiles.dtype), self.needs, self.tiles.chunks
        if not (needs.weight or needs.bias):
            return None
        scaled, beta = x * v[:, None] if needs.weight else x, float(self.written)
        products = self.tiles.products
        self.written = True

        def visit(chunk: int, thread: int) -> None:
            start, stop = chunks[chunk]
            tile = store(chunk, thread)
            if needs.weight:
                products.add(self.weight[start:stop], tile.T, scaled, beta)
            if needs.bias:
                self.bias[start:stop].addmv_(tile.T, v)

        return visit

    def add_rank_one(self, blocks: Sequence[Coefficients], last: Visit | None = None) -> None:
        """Add what is at single classes, and for plain logits what is the same vector for all.

        Of all rows at once; `blocks` are the coefficients of consecutive blocks of them. `last` is
        done for each block of classes before.
        """
        spread = _joined_spread([c.spread for c in blocks])
        visits = [] if last is None else [last]
        if spread is not None and self.tiles.is_plain:
            visits.append(self._adds_spread(spread))

        def visit(chunk: int, thread: int) -> None:
            for each in visits:
                each(chunk, thread)

        if visits:
            over(len(self.tiles.chunks), visit, self.tiles.blocks.threads)
        for name in ("labels", "chosen"):
            at = _joined_at([getattr(c, name) for c in blocks])
            if at is not None:
                self._add_at(at)

    def _adds_spread(self, spread: Spread) -> Visit:
        """What adds −r uᵀ times X to ∂W, and its sum to ∂b; ∂X gets its part at once."""
        tiles, needs = self.tiles, self.needs
        u, r = spread.vector, (spread.row / tiles.logits.temperature).to(tiles.dtype)
        if needs.input:
            direction, _ = tiles.spread_of(u)
            self.input.addr_(r, direction.to(r.dtype), alpha=-1.0)
        u, along = u.to(r.dtype), along_rows(tiles, r) if needs.weight else r

        def visit(chunk: int, thread: int) -> None:
            del thread
            span = slice(*tiles.chunks[chunk])
            if needs.weight:
                self.weight[span].addr_(u[span], along, alpha=-1.0)
            if needs.bias:
                self.bias[span].sub_(u[span] * r.sum())

        return visit

    def _add_at(self, at: AtClasses) -> None:
        for part in pieces(*self.tiles.logits.input.shape):
            x = self.tiles.rows(part)
            slope = slope_at(self.tiles.logits, part, at.classes[part])
            value = (at.value[part] * slope).where(at.classes[part] >= 0, 0.0)
            columns = at.classes[part].clamp(min=0).unbind(1), value.to(x.dtype).unbind(1)
            for classes, values in zip(*columns, strict=True):
                self._add_column(part, x, classes, values)

    def _add_column(self, part: slice, x: Tensor, classes: Tensor, values: Tensor) -> None:
        if self.needs.input:
            rows = known(self.tiles.logits.weight).index_select(0, classes)
            self.input[part].addcmul_(rows.to(values.dtype), values[:, None])
        if self.needs.weight:
            self.weight.index_add_(0, classes, x * values[:, None])
        if self.needs.bias:
            self.bias.index_add_(0, classes, values)

    def finished(self) -> Gradients:
        """The gradients, in the dtypes of X, W and b."""
        logits, narrow = self.tiles.logits, self.narrow
        kind = known(logits.weight).dtype
        if not self.written:
            self.weight.zero_()
        weight = self.weight.to(kind) if self.needs.weight else None
        return Gradients(
            self.input.to(logits.input.dtype) if self.needs.input else None,
            weight if narrow is None else narrow.total,
            self.bias.to(known(logits.bias).dtype) if self.needs.bias else None,
        )

    def add_made(
        self,
        maker: GradientTiles,
        blocks: Sequence[BlockRows],
        products: Sequence[Sequence[Tensor]],
    ) -> None:
        """Add blocks of rows, of which `maker` makes ∂/∂s tile by tile.

        Block of classes by block of classes, so that ∂W of one is added to while it is in cache.

        Parameters
        ----------
        maker : GradientTiles
        blocks : sequence of BlockRows
        products : sequence of sequence of Tensor, shape (rows, d)
            For each thread and block: what to add ∂/∂s times W to. Not used where ∂X is not wanted.
        """
        tiles, needs, first, narrow = self.tiles, self.needs, not self.written, self.narrow
        threads = tiles.blocks.threads
        reads_weight = needs.input or any(block.held is None for block in blocks)

        def visit_all(thread: int) -> None:
            for chunk in range(thread, len(tiles.chunks), threads):
                start, stop = tiles.chunks[chunk]
                weight = tiles.weight(chunk, thread) if reads_weight else None
                total = self.weight[start:stop]
                total = total if narrow is None else narrow.sums(chunk, thread)
                for place, block in enumerate(blocks):
                    tile = maker.make(block, weight, chunk, thread)
                    if needs.input:
                        tiles.products.add(products[thread][place], tile, known(weight))
                    if needs.weight or narrow is not None:
                        beta = 0.0 if first and place == 0 else 1.0
                        tiles.products.add(total, tile.T, block.x, beta)
                    if needs.bias:
                        self.bias[start:stop].add_(tile.sum(dim=0))
                if narrow is not None:
                    narrow.finish(chunk, thread)

        in_threads(visit_all, threads)
        self.written = True


def _joined_at(parts: Sequence[AtClasses | None]) -> AtClasses | None:
    found = [at for at in parts if at is not None]
    if not found:
        return None
    return AtClasses(torch.cat([at.classes for at in found]), torch.cat([at.value for at in found]))


def _joined_spread(parts: Sequence[Spread | None]) -> Spread | None:
    found = [spread for spread in parts if spread is not None]
    return found[0]._replace(row=torch.cat([spread.row for spread in found])) if found else None


def recomputed(
    tiles: Tiles,
    coefficients: Coefficients,
    needs: Needs,
    held: Sequence[HeldRows] | None = None,
) -> Gradients:
    """Gradients from logits made once more, or held; with given logits, ∂/∂logits itself."""
    parts = tiles.blocks.row_blocks(tiles.logits.input.shape[0])
    maker = GradientTiles(tiles, _positions(tiles, coefficients, parts))
    rows = [coefficients_of_rows(coefficients, part) for part in parts]
    blocks = [
        BlockRows(i, tiles.rows(part), c, None if held is None else held[i])
        for i, (part, c) in enumerate(zip(parts, rows, strict=True))
    ]
    if tiles.logits.weight is None:
        return Gradients(_of_given(tiles, coefficients, maker, blocks, parts), None, None)
    by_chunks = tiles.converts and needs.weight
    sums = LinearSums(tiles, needs, NarrowWeight(tiles, coefficients) if by_chunks else None)
    n, d = tiles.logits.input.shape
    rest = (max(tiles.blocks.threads - 1, 0), n if needs.input else 0, d)
    inputs = [sums.input.zero_(), *torch.zeros(rest, dtype=tiles.dtype)]
    sums.add_made(maker, blocks, [[total[part] for part in parts] for total in inputs])
    for other in inputs[1:] if needs.input else []:
        sums.input.add_(other)
    sums.add_rank_one([coefficients])
    return sums.finished()


def _positions(tiles: Tiles, coefficients: Coefficients, parts: list[slice]) -> Positions | None:
    labels = coefficients.labels
    return None if labels is None else Positions(labels.classes, parts, tiles.chunks)


def _of_given(
    tiles: Tiles,
    coefficients: Coefficients,
    maker: GradientTiles,
    blocks: Sequence[BlockRows],
    parts: Sequence[slice],
) -> Tensor:
    """∂/∂logits, shape (n, q), in the dtype of the logits."""
    logits = tiles.logits.input
    out = torch.empty_like(logits, memory_format=torch.contiguous_format)
    threads = tiles.blocks.threads

    def visit_all(thread: int) -> None:
        for chunk in range(thread, len(tiles.chunks), threads):
            span = slice(*tiles.chunks[chunk])
            for part, block in zip(parts, blocks, strict=True):
                out[part, span] = maker.make(block, None, chunk, thread)

    in_threads(visit_all, threads)
    for at in (coefficients.labels, coefficients.chosen):
        if at is not None:
            slope = slope_at(tiles.logits, slice(None), at.classes)
            value = (at.value * slope).where(at.classes >= 0, 0.0)
            out.scatter_add_(1, at.classes.clamp(min=0), value.to(out.dtype))
    return out
