"""One way to carry a call out, as data: what it refuses, what it costs, where its engine is."""

from collections.abc import Callable
from dataclasses import dataclass

from crossent.torch.call import Problem
from crossent.torch.engine import Engine

__all__ = ["Cost", "Path", "Step"]


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
class Step:
    """A part of a call, by what it asks of a machine; a call is the sum of its steps.

    Attributes
    ----------
    products : float
        Matrix products of 2·n·d·q operations each.
    visits : float
        How often each of the n·q logits is worked on in cache: made, exponentiated, summed up.
    traffic : float
        Bytes that move between memory and processor: what is larger than its cache, each time it is
        read or written.
    new : float
        Bytes of memory that are written for the first time, which the system must find first.
    """

    products: float = 0.0
    visits: float = 0.0
    traffic: float = 0.0
    new: float = 0.0


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
    steps : callable
        ``steps(problem, cost)``: what the call consists of, for bytes moved and time.
    gradients_at_once : bool
        Whether the loss's gradients are made in the forward pass.
    holds : bool
        Whether logits are held for the backward pass; its engine is an `engine.HoldingEngine`.
    seconds : callable or None
        ``seconds(problem, cost, steps)`` predicts the time of the steps from a short trial on this
        machine; None where nothing can be tried.
    at_most : bool
        Whether the data may let it do with less than it says.
    """

    name: str
    description: str
    refusal: Callable[[Problem], str | None]
    cost: Callable[[Problem], Cost]
    load: Callable[[], Engine] | None
    steps: Callable[[Problem, Cost], tuple[Step, ...]]
    gradients_at_once: bool = False
    holds: bool = False
    seconds: Callable[[Problem, Cost, tuple[Step, ...]], float | None] | None = None
    at_most: bool = False
