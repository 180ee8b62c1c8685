"""How a call is cut into blocks of rows and classes so that it fits a budget of memory."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from crossent.errors import InputError

__all__ = [
    "Blocks",
    "Sizes",
    "fused_blocks",
    "held_blocks",
    "least_bytes",
    "needed_blocks",
    "recompute_blocks",
    "spare_tiles",
]

TILE_BYTES = 2**20
"""One thread's logits at a time: they stay in its own cache between product and exponential."""
LEAST_TILE_BYTES = 2**15
"""A product of a smaller tile takes less time than the calls around it."""
LEAST_SPARE_BYTES = 2**18
"""A dozen operations on a smaller tile take less time than the calls around them."""
LEAST_FUSED_ROWS = 48
"""With fewer rows at a time the products wait for W, and a fourth product costs less."""
WIDE_FEATURES = 128
"""From here on twice as many rows, where products make results: they are so fast that the way of ∂W
to memory and back is what takes time. With fewer features it is the exponentials."""
MOST_ROWS = 512
"""More rows at a time gain nothing: W is read seldom enough."""
SHARE = 11
"""Of the logits' bytes: with what the allocator holds besides, a tenth is not passed."""
ROW_UNIT = 16
"""Products of 93 rows take longer than those of 96: rows come in multiples of this."""
FREE_BYTES = 4 * 2**20
"""What is used without being asked even where a tenth of the logits is less."""


@dataclass(frozen=True)
class Sizes:
    """What the memory of a call depends on; `item` is the bytes of a number in the arithmetic."""

    n_rows: int
    n_features: int
    n_classes: int
    item: int
    converts: bool
    """Input in half precision, of which blocks are converted, and ∂W summed in float32."""
    threads: int
    spare_tiles: int = 0
    """Tiles of each thread beside the block of rows; see `spare_tiles`."""
    makes_results: bool = False
    """Whether products are made beside the memory that they go to; see `products.Products`."""


@dataclass(frozen=True)
class Blocks:
    """Rows and classes of a block, threads, and the bytes that this takes."""

    rows: int
    classes: int
    threads: int
    bytes: int

    def chunks(self, n_classes: int) -> list[tuple[int, int]]:
        """First and last-plus-one class of each block."""
        starts = range(0, n_classes, self.classes)
        return [(start, min(start + self.classes, n_classes)) for start in starts]

    def row_blocks(self, n_rows: int) -> list[slice]:
        """Blocks of rows of nearly equal size, in multiples of what the products like."""
        count = max(1, math.ceil(n_rows / self.rows))
        unit = ROW_UNIT if self.rows % ROW_UNIT == 0 else 1
        units = math.ceil(n_rows / unit)
        bounds = [min(units * i // count * unit, n_rows) for i in range(count + 1)]
        return [slice(a, b) for a, b in itertools.pairwise(bounds)]


def spare_tiles(*, capped: bool, entropy: bool, keeps_logits: bool) -> int:
    """Tiles of each thread that a call has beside its block of rows.

    With a cap the logits and their exponentials are there at the same time; for the entropy their
    products too. Where logits are kept, two of which gradients are made, and products of logits.
    """
    return 3 if keeps_logits else 2 if entropy else int(capped)


def budget_of(sizes: Sizes, wanted: int | None) -> int:
    """Bytes to use: what is wanted, else a tenth of the logits, and enough where that is little."""
    if wanted is not None:
        return wanted
    least = FREE_BYTES + _widened_numbers(sizes) * sizes.item
    return max(sizes.n_rows * sizes.n_classes * sizes.item // SHARE, least)


def _widened_numbers(sizes: Sizes) -> int:
    """In half precision X and ∂X in the arithmetic, where blocks of classes come one by one."""
    return 2 * sizes.n_rows * sizes.n_features if sizes.converts else 0


def _classes_for(rows: int, sizes: Sizes, threads: int, tile: int = TILE_BYTES) -> int:
    """Classes of a block: a tile fits the cache, and every thread has as many blocks."""
    most = max(16, min(4096, tile // (sizes.item * max(rows, 1))))
    if sizes.makes_results:
        most = max(16, min(most, 2 * tile // (sizes.item * (sizes.n_features + rows))))
    count = math.ceil(sizes.n_classes / most)
    count = max(1, math.ceil(count / threads)) * threads
    return max(1, min(sizes.n_classes, 16 * math.ceil(sizes.n_classes / count / 16)))


def _result_numbers(rows: int, classes: int, sizes: Sizes) -> int:
    """What a thread's products hold beside the memory that they go to, at their highest.

    ∂W of a block of classes, and the tile that it is made of, turned; or the rows' products with W.
    The tile of logits is smaller.
    """
    if not sizes.makes_results:
        return 0
    return max(classes * (sizes.n_features + rows), rows * sizes.n_features)


def _fused_bytes(rows: int, sizes: Sizes, threads: int, tile: int) -> int:
    """Exponentials of a block of rows, sums of each thread, converted blocks."""
    classes = _classes_for(rows, sizes, threads, tile)
    numbers = rows * sizes.n_classes + (threads + 3) * rows * sizes.n_features
    numbers += sizes.spare_tiles * threads * rows * classes
    numbers += threads * _result_numbers(rows, classes, sizes)
    if sizes.converts:
        numbers += threads * classes * sizes.n_features + sizes.n_classes * sizes.n_features
    return numbers * sizes.item


def _tile_bytes(sizes: Sizes, budget: int, threads: int) -> int:
    """A tile's size: beside what else is as large there must be room for rows.

    But not by tiny tiles. Where products make results, larger ones spare passes over these.
    """
    if sizes.makes_results:
        share = budget // (13 * threads * (1 + sizes.spare_tiles))
        return max(LEAST_SPARE_BYTES, min(4 * TILE_BYTES, share))
    if sizes.spare_tiles == 0:
        return TILE_BYTES
    return max(LEAST_SPARE_BYTES, min(TILE_BYTES, budget // (6 * sizes.spare_tiles * threads)))


def fused_blocks(sizes: Sizes, wanted: int | None) -> Blocks | None:
    """Blocks for three products, or None if the budget is too small for enough rows."""
    budget = budget_of(sizes, wanted)
    most = min(MOST_ROWS, max(sizes.n_rows, 1))
    for threads in range(sizes.threads, 0, -1):
        tile = _tile_bytes(sizes, budget, threads)
        fixed = _fused_bytes(0, sizes, threads, tile)
        per_row = (_fused_bytes(64, sizes, threads, tile) - fixed) / 64
        rows = int(min(most, max(0.0, budget - fixed) // per_row))
        while rows > 0 and _fused_bytes(rows, sizes, threads, tile) > budget:
            rows -= 1
        waits = sizes.makes_results and sizes.n_features >= WIDE_FEATURES
        if rows >= min(LEAST_FUSED_ROWS * (1 + waits), most):
            rows = rows - rows % 16 if 16 < rows < most else rows
            classes = _classes_for(rows, sizes, threads, tile)
            size = _fused_bytes(rows, sizes, threads, tile)
            return Blocks(rows, classes, threads, size)
    return None


def held_blocks(sizes: Sizes, wanted: int | None) -> Blocks | None:
    """Blocks for logits of which all are kept, or None if the budget has no room for them.

    Without a budget, what it takes.
    """
    logits = sizes.n_rows * sizes.n_classes * sizes.item
    rest = None if wanted is None else wanted - logits
    blocks = recompute_blocks(sizes, rest) if rest is None or rest > 0 else None
    return None if blocks is None else replace(blocks, bytes=blocks.bytes + logits)


def _recompute_bytes(rows: int, classes: int, sizes: Sizes, threads: int) -> int:
    """Two tiles and a scaled block of rows for each thread, and sums of all but the first.

    In half precision W and ∂W of a block of classes for each thread, and X and ∂X in float32.
    """
    numbers = threads * (2 * rows * classes + rows * sizes.n_features)
    numbers += threads * _result_numbers(rows, classes, sizes)
    numbers += (threads - 1) * sizes.n_rows * sizes.n_features
    if sizes.converts:
        numbers += threads * 2 * classes * sizes.n_features
    return (numbers + _widened_numbers(sizes)) * sizes.item


def recompute_blocks(sizes: Sizes, wanted: int | None) -> Blocks | None:
    """Blocks for four products, or None if not even one row fits the budget.

    All threads on smaller tiles rather than few on large ones, as long as a tile repays its call.
    """
    budget = budget_of(sizes, wanted)
    for least in (LEAST_TILE_BYTES, 0):
        for threads in range(sizes.threads, 0, -1):
            for rows, tile in _shrinking(sizes, least):
                classes = _classes_for(rows, sizes, threads, tile)
                size = _recompute_bytes(rows, classes, sizes, threads)
                if size <= budget:
                    return Blocks(rows, classes, threads, size)
    return None


def _shrinking(sizes: Sizes, least: int) -> Iterator[tuple[int, int]]:
    """Rows and bytes of a tile, from large to small."""
    rows, tile = min(256, max(sizes.n_rows, 1)), TILE_BYTES
    while tile > least:
        yield rows, tile
        if rows == 1 and tile <= 16 * sizes.item:
            return
        if tile // 2 > least:
            yield rows, tile // 2
        rows, tile = max(1, rows // 2), max(16 * sizes.item, tile // 4)


def least_bytes(sizes: Sizes) -> int:
    """The smallest workspace that serves: one row and 16 classes at a time."""
    return _recompute_bytes(1, min(16, sizes.n_classes), sizes, 1)


def needed_blocks(sizes: Sizes, wanted: int | None) -> Blocks:
    """`recompute_blocks`, or an error that says how much one row needs."""
    blocks = recompute_blocks(sizes, wanted)
    if blocks is None:
        message = (
            f"`max_workspace_bytes` is {wanted}; one row at a time needs {least_bytes(sizes)}. "
            "Allow at least that."
        )
        raise InputError(message)
    return blocks
