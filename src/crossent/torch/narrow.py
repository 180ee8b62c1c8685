"""∂W in half precision: summed in float32 a block of classes at a time, and rounded once.

The sum of all classes in float32 would be twice the gradient, and more than a small workspace.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from crossent.torch.engine import AtClasses, Coefficients, known
from crossent.torch.memory import empty
from crossent.torch.row_starts import pieces
from crossent.torch.tiles import Tiles, slope_at

__all__ = ["NarrowWeight"]


class _Labelled(NamedTuple):
    """Rows and their numbers at single classes, ordered by blocks of classes.

    Attributes
    ----------
    rows, classes, values : Tensor, shape (m,)
    bounds : list of int
        Where the entries of each block begin, and the end.
    """

    rows: Tensor
    classes: Tensor
    values: Tensor
    bounds: list[int]


class NarrowWeight:
    """∂W, to be made block of classes by block of classes, of all rows each time.

    Parameters
    ----------
    tiles : Tiles
        Of a layer in half precision.
    coefficients : Coefficients
        Of all rows: what is at single classes, and for plain logits what is the same vector for all
        rows, is added before a block is rounded.

    Attributes
    ----------
    total : Tensor, shape (q, d)
        In the dtype of W.
    """

    def __init__(self, tiles: Tiles, coefficients: Coefficients) -> None:
        weight, blocks = known(tiles.logits.weight), tiles.blocks
        self.tiles = tiles
        self.total = empty(weight.shape, weight.dtype)
        shape = (blocks.threads, blocks.classes, weight.shape[1])
        self._sums = list(torch.empty(shape, dtype=tiles.dtype))
        both = (coefficients.labels, coefficients.chosen)
        self._labelled = [_labelled(tiles, at) for at in both if at is not None]
        self._along: tuple[Tensor, Tensor] | None = None
        spread = coefficients.spread
        if spread is not None and tiles.is_plain:
            r = (spread.row / tiles.logits.temperature).to(tiles.dtype)
            self._along = spread.vector.to(tiles.dtype), along_rows(tiles, r)

    def sums(self, chunk: int, thread: int) -> Tensor:
        """Where this thread adds up a block of classes; holds what the last one has left."""
        start, stop = self.tiles.chunks[chunk]
        return self._sums[thread][: stop - start]

    def finish(self, chunk: int, thread: int) -> None:
        """Add the rest to the sums of a block, and round them."""
        start, stop = self.tiles.chunks[chunk]
        sums = self.sums(chunk, thread)
        for at in self._labelled:
            self._add_labelled(sums, at, start, slice(at.bounds[chunk], at.bounds[chunk + 1]))
        if self._along is not None:
            u, along = self._along
            sums.addr_(u[start:stop], along, alpha=-1.0)
        self.total[start:stop] = sums

    def _add_labelled(self, sums: Tensor, at: _Labelled, start: int, own: slice) -> None:
        rows, classes, values = (x[own] for x in at[:3])
        for part in pieces(len(rows), sums.shape[1]):
            x = self.tiles.logits.input.index_select(0, rows[part]).to(sums.dtype)
            sums.index_add_(0, classes[part] - start, x.mul_(values[part, None]))


def along_rows(tiles: Tiles, r: Tensor) -> Tensor:
    """Xᵀr, shape (d,), a few rows at a time."""
    along = torch.zeros(tiles.logits.input.shape[1], dtype=r.dtype)
    for part in pieces(*tiles.logits.input.shape):
        along.addmv_(tiles.rows(part).T, r[part])
    return along


def _labelled(tiles: Tiles, at: AtClasses) -> _Labelled:
    n, k = at.classes.shape
    parts = pieces(n, tiles.logits.input.shape[1])
    slopes = [slope_at(tiles.logits, part, at.classes[part]) for part in parts]
    values = [at.value[part] * slope for part, slope in zip(parts, slopes, strict=True)]
    flat = torch.cat(values).reshape(-1) if values else at.value.reshape(-1)
    classes, order = at.classes.reshape(-1).sort(stable=True)
    starts = torch.tensor([start for start, _ in tiles.chunks] + [tiles.chunks[-1][1]])
    bounds = torch.searchsorted(classes, starts).tolist()  # class −1 stands before the first
    rows = order.div(k, rounding_mode="floor")
    return _Labelled(rows, classes, flat[order].to(tiles.dtype), bounds)
