"""How fast this machine's processor is, by a short trial, so that a plan can predict a time.

The trial does on a few tiles what a path does on all of them, and takes some hundredths of a second
for each size of tile, once.
"""

import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from crossent.torch.path import Step
from crossent.torch.products import products_for
from crossent.torch.threads import in_threads, led

__all__ = ["Rates", "Tile", "exponentiate", "rates_of", "seconds_of"]

_MOST_FEATURES = 384
_MOST_BYTES = 2**26
_TRIALS = 3
_LEAST_SECONDS = 3e-3


class Tile(NamedTuple):
    """What one thread multiplies at a time.

    Attributes
    ----------
    rows, classes, width : int
        Products of (rows, width) by (width, classes), and of the same shapes for the gradients.
    item : int
        Bytes of a number.
    threads : int
        Threads that work at the same time, each on a tile of its own; 0 where PyTorch divides one
        tile among its own.
    """

    rows: int
    classes: int
    width: int
    item: int
    threads: int


class Rates(NamedTuple):
    """What a machine does in a second, and what it takes to make a byte of new memory usable."""

    operations: float
    logits: float
    bytes: float
    new_byte_seconds: float


def seconds_of(steps: Sequence[Step], n_features: int, n_logits: float, rates: Rates) -> float:
    """Σ over the steps of work and of waiting for memory; a core does one of the two at a time."""
    products = sum(step.products for step in steps) * 2.0 * n_logits * n_features
    logits = sum(step.visits for step in steps) * n_logits
    moved, new = sum(step.traffic for step in steps), sum(step.new for step in steps)
    work = products / rates.operations + logits / rates.logits
    return work + moved / rates.bytes + new * rates.new_byte_seconds


def rates_of(tile: Tile, touch: "Touch | None" = None, new: int = 2**25) -> Rates:
    """The rates for tiles of this size.

    Parameters
    ----------
    tile : Tile
        Its width counts up to 384: wider products are as fast.
    touch : callable, optional
        ``touch(tile)``: what is done with each logit beside the products.
    new : int
        Bytes of the arrays that are made anew.
    """
    known = tile._replace(width=max(1, min(tile.width, _MOST_FEATURES)))
    known = known._replace(rows=max(1, tile.rows), classes=max(1, tile.classes))
    size = 2 ** min(max(new, 2**16).bit_length(), _MOST_BYTES.bit_length())
    moved, fresh = _memory_rates(torch.get_num_threads(), size)
    return Rates(*_tile_rates(known, touch or exponentiate), moved, fresh)


Touch = Callable[[Tensor], object]


def exponentiate(tile: Tensor) -> None:
    """What the paths in blocks do with each logit: set to its shift, exponentiated, summed."""
    tile.copy_(torch.zeros((len(tile), 1), dtype=tile.dtype).expand_as(tile))
    torch.exp2(tile, out=tile)
    torch.sum(tile, 1)


@functools.cache
def _tile_rates(tile: Tile, touch: Touch) -> tuple[float, float]:
    """Operations and logits a second, of all threads together."""
    dtype = torch.float64 if tile.item == 8 else torch.float32
    rows, classes, width, own = tile.rows, tile.classes, tile.width, max(1, tile.threads)
    w = torch.zeros((classes, width), dtype=dtype)
    x = torch.zeros((rows, width), dtype=dtype)
    tiles = torch.zeros((own, rows, classes), dtype=dtype)
    of_x, of_w = (torch.zeros((own, size, width), dtype=dtype) for size in (rows, classes))

    library, shift = products_for(dtype), torch.zeros((rows, 1), dtype=dtype)

    def multiply(i: int) -> None:
        library.shifted(tiles[i], x, w, 1.0, None, shift)
        library.add(of_x[i], tiles[i], w)
        library.add(of_w[i], tiles[i].T, x)

    logits = float(own) * rows * classes
    products = _best(multiply, tile.threads)
    touched = _best(lambda i: touch(tiles[i]), tile.threads)
    return 3 * 2.0 * logits * width / products, logits / touched


def _best(operation: Callable[[int], object], threads: int) -> float:
    """Seconds of an operation in the fastest of some trials, all threads at once.

    It is repeated until handing it to threads no longer counts.
    """

    def trial(repeats: int) -> float:
        def task(thread: int) -> None:
            for _ in range(repeats):
                operation(thread)

        start = time.perf_counter()
        if threads:
            in_threads(task, threads)
        else:
            task(0)
        return (time.perf_counter() - start) / repeats

    def trials() -> float:
        trial(1)
        repeats = max(1, math.ceil(_LEAST_SECONDS / trial(1)))
        return min(trial(repeats) for _ in range(_TRIALS))

    return led(trials, threads) if threads else trials()


@functools.cache
def _memory_rates(threads: int, size: int) -> tuple[float, float]:
    """Bytes a second that a copy moves, and seconds for a byte of an array of `size` made anew."""
    del threads  # PyTorch's own; the rates are those of this number
    source, target = (torch.zeros(_MOST_BYTES, dtype=torch.uint8) for _ in range(2))
    given, old = source[:size], target[:size]
    copied = _least(lambda: target.copy_(source))
    anew = _least(given.clone) - _least(lambda: old.copy_(given))
    return 2.0 * _MOST_BYTES / copied, max(0.0, anew) / size


def _least(operation: Callable[[], object]) -> float:
    """Seconds of the fastest of some trials of what takes long enough."""
    found = []
    for _ in range(_TRIALS):
        start = time.perf_counter()
        operation()
        found.append(time.perf_counter() - start)
    return min(found)
