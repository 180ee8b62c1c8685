"""The gradient with respect to the logits before cap and temperature, ∂/∂s, tile by tile.

From logits that are made again, or that the forward pass has left.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from crossent.torch.engine import AtClasses, Coefficients
from crossent.torch.row_starts import Positions
from crossent.torch.tiles import LOG2_E, Tiles, target_tile

__all__ = ["BlockRows", "GradientTiles", "HeldRows", "coefficients_of_rows"]


@dataclass(frozen=True)
class HeldRows:
    """Logits of a block of rows that are there already: log₂e · z − shift.

    Attributes
    ----------
    tile : callable
        ``tile(chunk, thread)``.
    shift : Tensor, shape (rows, 1)
    """

    tile: Callable[[int, int], Tensor]
    shift: Tensor


@dataclass(frozen=True)
class BlockRows:
    """A block of rows whose ∂/∂s is made.

    Attributes
    ----------
    number : int
    x : Tensor, shape (rows, d)
        Or given logits.
    coefficients : Coefficients
    held : HeldRows or None
        None where the logits are to be made again.
    """

    number: int
    x: Tensor
    coefficients: Coefficients
    held: HeldRows | None = None


class GradientTiles:
    """∂/∂s of one block of rows and classes at a time, without what is added at the end.

    Parameters
    ----------
    tiles : Tiles
    positions : Positions or None
        Where labels lie in the tiles.
    """

    def __init__(self, tiles: Tiles, positions: Positions | None) -> None:
        self.tiles, self.positions = tiles, positions
        shape = (tiles.blocks.threads, tiles.blocks.rows * tiles.blocks.classes)
        self.scratch = torch.empty((2, *shape), dtype=tiles.dtype)
        self.is_capped = tiles.logits.softcap is not None

    def make(self, rows: BlockRows, weight: Tensor | None, chunk: int, thread: int) -> Tensor:
        """The tile; it is overwritten by the next one of this thread."""
        start, stop = self.tiles.chunks[chunk]
        n, width = len(rows.x), stop - start
        tile, other = (m[thread][: n * width].view(n, width) for m in self.scratch)
        shift = self._fill(tile, rows, weight, chunk, thread)
        torch.exp2(tile, out=other)
        if self.positions is not None:
            self.positions.fill(other, rows.number, chunk, 0.0)
        self._scale(other, tile, rows.coefficients)
        self._subtract(other, rows.coefficients, chunk)
        if self.is_capped:
            other.mul_(self.tiles.slope(tile, tile, shift))
        if self.tiles.logits.temperature != 1.0:
            other.mul_(1.0 / self.tiles.logits.temperature)
        return other

    def _fill(
        self, tile: Tensor, rows: BlockRows, weight: Tensor | None, chunk: int, thread: int
    ) -> Tensor:
        """Write log₂ p into the tile; returns log₂e times the log-partition, (rows, 1)."""
        partition, held = rows.coefficients.log_partition[:, None] * LOG2_E, rows.held
        shift = partition.to(tile.dtype)
        if held is None:
            self.tiles.fill(tile, rows.x, weight, chunk, shift)
        else:
            away = (partition - held.shift.double()).to(tile.dtype)
            torch.sub(held.tile(chunk, thread), away, out=tile)
        return shift

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
