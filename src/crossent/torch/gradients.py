"""From gradients with respect to logits to those of X, W and b, block by block.

What is the same number at every class of a row, or the same vector in every row, is never added to
a tile: it is a product of two vectors, and is added at the end.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from crossent.torch.engine import AtClasses, Coefficients, Gradients, Needs, known
from crossent.torch.sweep import Positions
from crossent.torch.threads import in_threads, over
from crossent.torch.tiles import LOG2_E, Tiles, slope_at, target_tile

__all__ = ["LinearSums", "recomputed"]


class LinearSums:
    """∂X, ∂W and ∂b as they grow.

    Parameters
    ----------
    tiles : Tiles
        Of logits with a weight.
    needs : Needs
        Which of the three are wanted.
    """

    def __init__(self, tiles: Tiles, needs: Needs) -> None:
        self.tiles, self.needs = tiles, needs
        n, d = tiles.logits.input.shape
        q = tiles.logits.n_classes
        self.input = torch.empty((n if needs.input else 0, d), dtype=tiles.dtype)
        self.weight = torch.empty((q if needs.weight else 0, d), dtype=tiles.dtype)
        self.bias = torch.zeros(q if needs.bias else 0, dtype=tiles.dtype)
        self._written = False
        self._spread: tuple[Tensor, Tensor, Tensor] | None = None

    def add_rows(
        self,
        part: slice,
        x: Tensor,
        store: Callable[[int, int], Tensor],
        scale: Tensor,
        products: list[Tensor] | None,
    ) -> None:
        """Add a block of rows: tiles G, row scales v, and G W summed over the classes.

        ∂X = diag(v) (G W), ∂W += Gᵀ (diag(v) X), ∂b += Gᵀ v.
        """
        v = scale.to(self.tiles.dtype)
        if products is not None:
            total = self.input[part]
            torch.mul(products[0], v[:, None], out=total)
            for product in products[1:]:
                total.addcmul_(product, v[:, None])
        if self.needs.weight or self.needs.bias:
            scaled = x * v[:, None] if self.needs.weight else x
            self._add_classes(store, scaled, v)
        self._written = True

    def _add_classes(self, store: Callable[[int, int], Tensor], scaled: Tensor, v: Tensor) -> None:
        threads, chunks = self.tiles.blocks.threads, self.tiles.chunks
        first = not self._written

        def visit(chunk: int, thread: int) -> None:
            start, stop = chunks[chunk]
            tile = store(chunk, thread)
            if self.needs.weight and first:
                torch.mm(tile.T, scaled, out=self.weight[start:stop])
            elif self.needs.weight:
                self.weight[start:stop].addmm_(tile.T, scaled)
            if self.needs.bias:
                self.bias[start:stop].addmv_(tile.T, v)

        over(len(chunks), visit, threads)

    def add_rank_one(self, part: slice, x: Tensor, coefficients: Coefficients) -> None:
        """Add what is at single classes, and for plain logits what is the same vector for all."""
        for at in (coefficients.labels, coefficients.chosen):
            if at is not None:
                self._add_at(part, x, at)
        spread = coefficients.spread
        if spread is None or not self.tiles.is_plain:
            return
        r = (spread.row / self.tiles.logits.temperature).to(self.tiles.dtype)
        if self.needs.input:
            direction, _ = self.tiles.spread_of(spread.vector)
            self.input[part].addr_(r, direction.to(r.dtype), alpha=-1.0)
        before = self._spread
        along = torch.mv(x.T, r) if before is None else before[1] + torch.mv(x.T, r)
        total = r.sum() if before is None else before[2] + r.sum()
        self._spread = spread.vector.to(r.dtype), along, total

    def _add_at(self, part: slice, x: Tensor, at: AtClasses) -> None:
        slope = slope_at(self.tiles.logits, part, at.classes)
        for classes, values in zip(at.classes.unbind(1), (at.value * slope).unbind(1), strict=True):
            value = values.where(classes >= 0, 0.0).to(self.tiles.dtype)
            index = classes.clamp(min=0)
            if self.needs.input:
                rows = known(self.tiles.logits.weight).index_select(0, index)
                self.input[part].addcmul_(rows.to(value.dtype), value[:, None])
            if self.needs.weight:
                self.weight.index_add_(0, index, x * value[:, None])
            if self.needs.bias:
                self.bias.index_add_(0, index, value)

    def finished(self) -> Gradients:
        """The gradients, in the dtypes of X, W and b."""
        logits = self.tiles.logits
        if self._spread is not None:
            u, along, total = self._spread
            if self.needs.weight:
                self.weight.addr_(u, along, alpha=-1.0)
            if self.needs.bias:
                self.bias.sub_(u * total)
        weight = known(logits.weight)
        if not self._written:
            self.weight.zero_()
        return Gradients(
            self.input.to(logits.input.dtype) if self.needs.input else None,
            self.weight.to(weight.dtype) if self.needs.weight else None,
            self.bias.to(known(logits.bias).dtype) if self.needs.bias else None,
        )


def recomputed(tiles: Tiles, coefficients: Coefficients, needs: Needs) -> Gradients:
    """Gradients from logits made once more; with given logits, ∂/∂logits itself."""
    parts = tiles.blocks.row_blocks(tiles.logits.input.shape[0])
    if tiles.logits.weight is None:
        return Gradients(_of_given(tiles, coefficients, parts), None, None)
    sums = LinearSums(tiles, needs)
    n, d = tiles.logits.input.shape
    threads = tiles.blocks.threads
    maker = _GradientTiles(tiles, coefficients, parts)
    rest = (max(threads - 1, 0), n if needs.input else 0, d)
    inputs = [sums.input.zero_(), *torch.zeros(rest, dtype=tiles.dtype)]

    def visit_all(thread: int) -> None:
        for chunk in range(thread, len(tiles.chunks), threads):
            start, stop = tiles.chunks[chunk]
            weight = tiles.weight(chunk, thread)
            for number, part in enumerate(parts):
                x = tiles.rows(part)
                tile = maker.make(x, weight, chunk, thread, number)
                if needs.input:
                    inputs[thread][part].addmm_(tile, weight)
                if needs.weight:
                    out = sums.weight[start:stop]
                    out.addmm_(tile.T, x, beta=0.0 if number == 0 else 1.0)
                if needs.bias:
                    sums.bias[start:stop].add_(tile.sum(dim=0))

    in_threads(visit_all, threads)
    for other in inputs[1:] if needs.input else []:
        sums.input.add_(other)
    sums._written = bool(parts)
    for number, part in enumerate(parts):
        sums.add_rank_one(part, tiles.rows(part), maker.rows[number])
    return sums.finished()


class _GradientTiles:
    """∂/∂s of one block of rows and classes at a time, without what is added at the end."""

    def __init__(self, tiles: Tiles, coefficients: Coefficients, parts: list[slice]) -> None:
        self.tiles = tiles
        self.parts = parts
        self.rows = [coefficients_of_rows(coefficients, part) for part in parts]
        labels = [None if c.labels is None else c.labels.classes for c in self.rows]
        self.positions = [None if x is None else Positions(x, tiles.chunks) for x in labels]
        shape = (tiles.blocks.threads, tiles.blocks.rows * tiles.blocks.classes)
        self.scratch = torch.empty((2, *shape), dtype=tiles.dtype)
        self.is_capped = tiles.logits.softcap is not None

    def make(
        self, x: Tensor, weight: Tensor | None, chunk: int, thread: int, number: int
    ) -> Tensor:
        """The tile; it is overwritten by the next one of this thread."""
        coefficients, kind = self.rows[number], self.tiles.dtype
        start, stop = self.tiles.chunks[chunk]
        width = stop - start
        tile, other = (m[thread][: len(x) * width].view(len(x), width) for m in self.scratch)
        shift = (coefficients.log_partition * LOG2_E).to(kind)[:, None]
        self.tiles.fill(tile, x, weight, chunk, shift)
        torch.exp2(tile, out=other)
        positions = self.positions[number]
        if positions is not None:
            positions.fill(other, chunk, 0.0)
        self._scale(other, tile, coefficients)
        self._subtract(other, coefficients, chunk)
        if self.is_capped:
            other.mul_(self.tiles.slope(tile, tile, shift))
        if self.tiles.logits.temperature != 1.0:
            other.mul_(1.0 / self.tiles.logits.temperature)
        return other

    def _scale(self, p: Tensor, t: Tensor, coefficients: Coefficients) -> None:
        """Multiply p by its coefficient; that of the entropy depends on the logit."""
        a = coefficients.softmax
        entropy = coefficients.entropy
        if entropy is None:
            p.mul_(a.to(p.dtype)[:, None])
            return
        # a − η (z − mean) with z = t / log₂e + log_partition; p is 0 where t is −∞.
        slope = (-entropy.row / LOG2_E).to(p.dtype)[:, None]
        at_zero = a - entropy.row * (coefficients.log_partition - entropy.mean_logit)
        factor = t.clamp(min=-2000.0).mul_(slope).add_(at_zero.to(p.dtype)[:, None])
        p.mul_(factor)

    def _subtract(self, p: Tensor, coefficients: Coefficients, chunk: int) -> None:
        span = slice(*self.tiles.chunks[chunk])
        dense, spread = coefficients.dense, coefficients.spread
        if dense is not None:
            chunk_span = self.tiles.chunks[chunk]
            y = target_tile(dense.targets[:, span], dense.weight, chunk_span, p.dtype)
            p.addcmul_(y, dense.row.to(p.dtype)[:, None], value=-1.0)
        if spread is not None and not self.tiles.is_plain:
            u = spread.vector[span].to(p.dtype)
            p.addr_(spread.row.to(p.dtype), u, alpha=-1.0)


def _of_given(tiles: Tiles, coefficients: Coefficients, parts: list[slice]) -> Tensor:
    """∂/∂logits, shape (n, q), in the dtype of the logits."""
    logits = tiles.logits.input
    out = torch.empty_like(logits, memory_format=torch.contiguous_format)
    maker = _GradientTiles(tiles, coefficients, parts)
    threads = tiles.blocks.threads

    def visit_all(thread: int) -> None:
        for chunk in range(thread, len(tiles.chunks), threads):
            span = slice(*tiles.chunks[chunk])
            for number, part in enumerate(parts):
                out[part, span] = maker.make(tiles.rows(part), None, chunk, thread, number)

    in_threads(visit_all, threads)
    for number, part in enumerate(parts):
        for at in (maker.rows[number].labels, maker.rows[number].chosen):
            if at is not None:
                value = (at.value * slope_at(tiles.logits, part, at.classes)).where(
                    at.classes >= 0, 0.0
                )
                out[part].scatter_add_(1, at.classes.clamp(min=0), value.to(out.dtype))
    return out


def coefficients_of_rows(coefficients: Coefficients, part: slice) -> Coefficients:
    """The coefficients of some of the rows."""
    c = coefficients
    return Coefficients(
        log_partition=c.log_partition[part],
        softmax=c.softmax[part],
        labels=c.labels and AtClasses(c.labels.classes[part], c.labels.value[part]),
        chosen=c.chosen and AtClasses(c.chosen.classes[part], c.chosen.value[part]),
        spread=c.spread and c.spread._replace(row=c.spread.row[part]),
        dense=c.dense and c.dense._replace(row=c.dense.row[part], targets=c.dense.targets[part]),
        entropy=c.entropy and type(c.entropy)(*(x[part] for x in c.entropy)),
    )
