"""What is known of each row before its logits are made: where its labels lie, and its shift."""

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from crossent.torch.engine import Questions, RowLogits
from crossent.torch.tiles import logits_at

__all__ = ["Positions", "Start", "initial_shift", "pieces"]

_GATHERED = 2**16
"""Numbers of rows of W that are gathered at a time."""


def pieces(n_rows: int, n_features: int) -> list[slice]:
    """Rows a few at a time, where a row of W is gathered for each."""
    size = max(1, _GATHERED // max(n_features, 1))
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


class Positions:
    """Where the labels of all rows lie in the tiles, as flat indices for each tile.

    Parameters
    ----------
    labels : Tensor of int64, shape (n, k)
        −1 where there is none.
    parts : list of slice
        Blocks of rows.
    chunks : list of (int, int)
        Blocks of classes.
    """

    def __init__(self, labels: Tensor, parts: list[slice], chunks: list[tuple[int, int]]) -> None:
        n, k = labels.shape
        starts = torch.tensor([start for start, _ in chunks])
        widths = torch.tensor([stop - start for start, stop in chunks])
        firsts = torch.tensor([part.start for part in parts])
        rows = torch.arange(n).repeat_interleave(k)
        block = torch.searchsorted(firsts, rows, right=True) - 1
        flat = labels.reshape(-1).contiguous()
        chunk = torch.searchsorted(starts, flat, right=True) - 1  # −1 for no label
        place = chunk.clamp(min=0)
        index = (rows - firsts[block]) * widths[place] + (flat - starts[place])
        self._count = len(chunks)
        tile = (block * self._count + chunk).where(chunk >= 0, -1)
        ordered, order = tile.sort(stable=True)
        names = torch.arange(len(parts) * self._count + 1)
        bounds = torch.searchsorted(ordered, names).tolist()
        index = index[order]
        self._tiles = [index[a:b] if b > a else None for a, b in itertools.pairwise(bounds)]

    def fill(self, tile: Tensor, block: int, chunk: int, value: float) -> None:
        """Write `value` where the labels lie; `tile` must be contiguous."""
        index = self._tiles[block * self._count + chunk]
        if index is not None:
            tile.view(-1).index_fill_(0, index, value)


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

    def rows(self, part: slice) -> "Start":
        """The same of some of the rows."""
        labels = self.label_logits
        return Start(
            self.shift[part], self.anchored[part], None if labels is None else labels[part]
        )


def initial_shift(logits: RowLogits, questions: Questions) -> Start:
    """A logit of each row that is probably not far below the largest.

    That of its likeliest label, else of the first class; 0 where neither is finite.
    """
    n = len(logits.input)
    likely = None
    if questions.labels is not None and questions.labels.shape[1]:
        likely = _logits_at(logits, questions.labels)
        z = likely.amax(dim=1)
    elif questions.targets is not None:
        best = questions.targets.argmax(dim=1, keepdim=True)
        z = _logits_at(logits, best)[:, 0]
    else:
        z = torch.full((n,), -math.inf, dtype=torch.float64)
    found = z.isfinite()
    if not bool(found.all()):
        first = torch.zeros((n, 1), dtype=torch.int64)
        z = z.where(found, _logits_at(logits, first)[:, 0])
        z = z.where(z.isfinite(), 0.0)
    return Start(z, found, likely)


def _logits_at(logits: RowLogits, classes: Tensor) -> Tensor:
    """Z at some classes of every row, (n, k), a few rows at a time."""
    n = len(logits.input)
    parts = pieces(n, logits.input.shape[1] if logits.weight is not None else 1)
    found = [logits_at(logits, part, classes[part]) for part in parts]
    return torch.cat(found) if found else torch.zeros(classes.shape, dtype=torch.float64)
