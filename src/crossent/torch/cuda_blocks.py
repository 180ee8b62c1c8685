"""How a call is cut up on a GPU so that it fits a budget of memory."""

import math
from dataclasses import dataclass, replace

import torch

from crossent.errors import InputError

__all__ = [
    "CudaSizes",
    "Cut",
    "held_bytes",
    "held_cut",
    "needed_cut",
    "needed_rows_cut",
    "padded_columns",
    "recompute_cut",
    "whole_rows_cut",
]

LEAST_ROWS = 1024
"""With fewer rows at a time the products wait for W, and a fourth product costs less."""
_ROW_STEP = 256
_CLASSES = 8192
"""Classes at a time when logits are made twice: the products are then as fast as whole ones."""
_DEFAULT_BYTES = 2**30
_SHARE_OF_DEVICE = 16
_ALIGNMENT = 8


@dataclass(frozen=True)
class CudaSizes:
    """What the memory of a call depends on.

    Attributes
    ----------
    n_rows, n_features, n_classes : int
    item : int
        Bytes of a number in X and W.
    wide : int
        Bytes of a number in sums of products.
    sums : int
        Numbers per row that each tile of classes leaves.
    """

    n_rows: int
    n_features: int
    n_classes: int
    item: int
    wide: int
    sums: int = 2


@dataclass(frozen=True)
class Cut:
    """Rows and classes at a time, and the bytes that this takes."""

    rows: int
    classes: int
    bytes: int

    def row_blocks(self, n_rows: int) -> list[slice]:
        """Blocks of rows."""
        starts = range(0, max(n_rows, 1), max(self.rows, 1))  # one block, empty, of no rows
        return [slice(start, min(start + self.rows, n_rows)) for start in starts]

    def class_blocks(self, n_classes: int) -> list[slice]:
        """Blocks of classes."""
        starts = range(0, n_classes, self.classes)
        return [slice(start, min(start + self.classes, n_classes)) for start in starts]


def padded_columns(n_classes: int) -> int:
    """Row length of a stored block: aligned, with room for a class beyond the last."""
    return _ALIGNMENT * (n_classes // _ALIGNMENT + 1)


def _budget(wanted: int | None) -> int:
    """What is wanted, else a sixteenth of the device's memory."""
    if wanted is not None:
        return wanted
    if not torch.cuda.is_available():
        return _DEFAULT_BYTES
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    return int(total) // _SHARE_OF_DEVICE


def _sum_bytes(rows: int, sizes: CudaSizes) -> int:
    return rows * math.ceil(sizes.n_classes / 128) * sizes.sums * sizes.wide


def _whole_rows_bytes(rows: int, sizes: CudaSizes, per_logit: int) -> int:
    """A block of logits or exponentials, sums of tiles, X and ∂X of the block, wide ∂W if added."""
    size = rows * padded_columns(sizes.n_classes) * per_logit + _sum_bytes(rows, sizes)
    size += rows * sizes.n_features * (sizes.item + sizes.wide)
    if rows < sizes.n_rows:
        size += sizes.n_classes * sizes.n_features * sizes.wide
    return size


def whole_rows_cut(
    sizes: CudaSizes, wanted: int | None, per_logit: int, least: int | None = None
) -> Cut | None:
    """Blocks of rows with all classes, or None if fewer than `least` rows fit the budget.

    `least` is `LEAST_ROWS` if not given.
    """
    budget, n, q = _budget(wanted), max(sizes.n_rows, 1), sizes.n_classes
    whole = _whole_rows_bytes(n, sizes, per_logit)
    if whole <= budget:
        return Cut(n, q, whole)
    fixed = _whole_rows_bytes(0, sizes, per_logit)
    per_row = _whole_rows_bytes(1, sizes, per_logit) - fixed
    rows = min(n - 1, max(0, budget - fixed) // per_row)
    if rows < min(LEAST_ROWS if least is None else least, n):
        return None
    rows = math.ceil(n / math.ceil(n / rows))  # blocks of nearly equal size
    rows = rows if rows < _ROW_STEP else rows - rows % _ROW_STEP
    return Cut(rows, q, _whole_rows_bytes(rows, sizes, per_logit))


def needed_rows_cut(sizes: CudaSizes, wanted: int | None, per_logit: int) -> Cut:
    """`whole_rows_cut` from one row on, or an error that says how much one row needs."""
    cut = whole_rows_cut(sizes, wanted, per_logit, least=1)
    if cut is None:
        raise InputError(_too_little(wanted, _whole_rows_bytes(1, sizes, per_logit)))
    return cut


def held_bytes(sizes: CudaSizes) -> int:
    """What is held of all rows, in the dtype of the sums."""
    return sizes.n_rows * sizes.n_classes * sizes.wide


def held_cut(sizes: CudaSizes, wanted: int | None) -> Cut | None:
    """Blocks of rows of the gradient beside the logits of all rows; None if there is no room.

    Its bytes are those of both, and of the sums of tiles of all rows.
    """
    held = held_bytes(sizes) + _sum_bytes(sizes.n_rows, sizes)
    cut = whole_rows_cut(replace(sizes, sums=0), _budget(wanted) - held, sizes.item)
    return cut and replace(cut, bytes=cut.bytes + held)


def _too_little(wanted: int | None, least: int) -> str:
    return (
        f"`max_workspace_bytes` is {wanted}; one row at a time needs {least}. Allow at least that."
    )


def _recompute_bytes(rows: int, classes: int, sizes: CudaSizes) -> int:
    """A tile of gradients, sums of tiles, wide ∂X and wide ∂W of the block of classes."""
    size = rows * padded_columns(classes) * sizes.item + _sum_bytes(rows, sizes)
    return size + (sizes.n_rows + classes) * sizes.n_features * sizes.wide


def recompute_cut(sizes: CudaSizes, wanted: int | None) -> Cut | None:
    """Blocks of rows and classes, or None if not even one row fits the budget."""
    budget = _budget(wanted)
    rows, classes = max(sizes.n_rows, 1), min(_CLASSES, sizes.n_classes)
    while True:
        size = _recompute_bytes(rows, classes, sizes)
        if size <= budget:
            return Cut(rows, classes, size)
        if rows == 1 and classes == 1:
            return None
        if rows > LEAST_ROWS or classes == 1:
            rows = max(1, rows // 2)
        else:
            classes = max(1, classes // 2)


def needed_cut(sizes: CudaSizes, wanted: int | None) -> Cut:
    """`recompute_cut`, or an error that says how much one row needs."""
    cut = recompute_cut(sizes, wanted)
    if cut is None:
        raise InputError(_too_little(wanted, _recompute_bytes(1, 1, sizes)))
    return cut
