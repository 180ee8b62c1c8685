"""One way to carry a call out, as data: what it refuses, what it costs, where its engine is."""

from collections.abc import Callable
from dataclasses import dataclass

from crossent.torch.call import Problem
from crossent.torch.engine import Engine

__all__ = ["Cost", "Path"]


@dataclass(frozen=True)
class Cost:
    """What a path needs for one forward and backward pass.

    Attributes
    ----------
    products : float
        Matrix products of 2·n·d·q operations each.
    workspace_bytes : int
        Memory beside inputs, outputs and gradients, at its highest.
    blocks : dict of str to int
        Sizes of the blocks it works in, for the reader.
    """

    products: float
    workspace_bytes: int
    blocks: dict[str, int]


@dataclass(frozen=True)
class Path:
    """One way to compute loss and gradients.

    Attributes
    ----------
    name, description : str
    refusal : callable
        ``refusal(problem)``: the reason why it does not serve, as a sentence, or None.
    cost : callable
        ``cost(problem)``, asked only where it serves.
    load : callable
        ``load()`` imports and returns its `Engine`; None for the reference, which is plain
        PyTorch operations that autograd follows.
    gradients_at_once : bool
        Whether the loss's gradients are made in the forward pass.
    seconds : callable or None
        ``seconds(problem, cost)`` predicts the time, from a short trial on this machine.
    """

    name: str
    description: str
    refusal: Callable[[Problem], str | None]
    cost: Callable[[Problem], Cost]
    load: Callable[[], Engine] | None
    gradients_at_once: bool = False
    seconds: Callable[[Problem, Cost], float] | None = None
