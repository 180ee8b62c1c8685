"""How the limit of a filter gets to an engine, and its bound out of it."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from crossent.errors import InputError
from crossent.torch.engine import Engine

__all__ = ["Filtering", "limited", "no_error", "rows_at_a_time"]

_MOST_ROWS = 128
"""More rows at a time would keep more classes: one row that needs a class keeps it for all."""
_FREE_BYTES = 4 * 2**20


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


def rows_at_a_time(n: int, q: int, item: int, budget: int | None) -> tuple[int, int]:
    """Rows of a block on a CPU, and the bytes that it takes.

    The block of exponentials and a copy of those that stay.

    Raises
    ------
    InputError
        If not even one row fits the budget.
    """
    of_row = 2 * q * item
    if budget is not None and budget < of_row:
        message = (
            f"`max_workspace_bytes` is {budget}; one row at a time needs {of_row}. "
            "Allow at least that."
        )
        raise InputError(message)
    wanted = max(n * q * item // 10, _FREE_BYTES) if budget is None else budget
    rows = max(1, min(_MOST_ROWS, n, wanted // of_row))
    return rows, rows * of_row
