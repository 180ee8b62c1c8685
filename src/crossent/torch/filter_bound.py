"""How the limit of a filter gets to an engine, and its bound out of it."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from crossent.errors import InputError
from crossent.torch.engine import Engine

__all__ = [
    "CLASSES",
    "PENDING",
    "FilterSizes",
    "Filtering",
    "limited",
    "no_error",
    "rows_at_a_time",
]

_MOST_ROWS = 128
"""More rows at a time would keep more classes: one row that needs a class keeps it for all."""
_FREE_BYTES = 4 * 2**20
CLASSES = 2048
"""Classes whose rows of W are gathered and multiplied at a time."""
PENDING = 8
"""Matrices of rank one that are put in place together."""
_SPAN, _LEVELS = 4096, 32
"""Classes that are compared at a time, and the levels they are sorted into; see filtering.py."""
_PER_CLASS = 12


@runtime_checkable
class Filtering(Protocol):
    """What an engine that filters has besides."""

    bound: Tensor | None
    """After gradients were made: Frobenius norms that errors of ∂X, ∂W and ∂b stay below, (3,)."""

    def with_limit(self, limit: float) -> "FilteringEngine":
        """An engine of the same kind, for one call, that may drop this much probability a row."""


class FilteringEngine(Engine, Filtering, Protocol):
    """Both in one."""


def limited(engine: Engine, limit: float) -> FilteringEngine:
    """The filtering engine of a path, with its limit."""
    if not isinstance(engine, Filtering):
        message = "this path does not filter"
        raise AssertionError(message)
    return engine.with_limit(limit)


def no_error(like: Tensor) -> Tensor:
    """The bound of gradients that nothing was left out of; shape (3,)."""
    return torch.zeros(3, dtype=torch.float64, device=like.device)


@dataclass(frozen=True)
class FilterSizes:
    """What the memory of a filter on a CPU depends on.

    The library's own buffers are not counted: it may pack W for the product with all classes.

    Attributes
    ----------
    n_rows, n_features, n_classes : int
    item : int
        Bytes of a number in the arithmetic.
    widens : bool
        Input in half precision, which is widened, and whose gradients are summed in float32.
    entropy : bool
        Asked for: then logits and exponentials are needed at the same time.
    """

    n_rows: int
    n_features: int
    n_classes: int
    item: int
    widens: bool
    entropy: bool

    @property
    def per_row(self) -> int:
        """Bytes for each row of a block.

        Its exponentials, a part of them multiplied or gathered, its masses, and rows of X and ∂X
        scaled.
        """
        whole = (3 if self.entropy else 1) * self.n_classes
        numbers = whole + min(self.n_classes, _SPAN) + 4 * (_LEVELS + self.n_features)
        return numbers * self.item

    @property
    def fixed(self) -> int:
        """Bytes that no smaller block saves.

        X, W, ∂X and ∂W in the arithmetic, where input is narrower. Rows of W and ∂W that are
        gathered. Numbers per class: those of the choice, and three times what waits to be put in
        place of what was left out.
        """
        d, q = self.n_features, self.n_classes
        numbers = 2 * min(q, CLASSES) * d + (_PER_CLASS + 3 * PENDING) * q
        numbers += 2 * (self.n_rows + q) * d + q if self.widens else 0
        return numbers * self.item


def rows_at_a_time(sizes: FilterSizes, budget: int | None) -> tuple[int, int]:
    """Rows of a block on a CPU, and the bytes that it takes.

    Raises
    ------
    InputError
        If not even one row fits the budget.
    """
    fixed, of_row = sizes.fixed, sizes.per_row
    if budget is not None and budget < fixed + of_row:
        message = (
            f"`max_workspace_bytes` is {budget}; one row at a time needs {fixed + of_row}. "
            "Allow at least that."
        )
        raise InputError(message)
    tenth = sizes.n_rows * sizes.n_classes * sizes.item // 10
    wanted = max(tenth, _FREE_BYTES) if budget is None else budget - fixed
    rows = max(1, min(_MOST_ROWS, sizes.n_rows, wanted // of_row))
    return rows, fixed + rows * of_row
