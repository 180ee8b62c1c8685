"""How the limit of a filter gets to an engine, and its bound out of it."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from crossent.torch.engine import Engine

__all__ = ["Filtering", "limited", "no_error"]


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
