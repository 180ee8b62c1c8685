"""The softmax loss for PyTorch: a layer of a quarter-million classes without its logits.

`linear_cross_entropy` is the loss of the logits X Wᵀ + b with its gradients; the logits are never
all in memory. `LinearCrossEntropy` is the module of it, `softmax_cross_entropy` the loss of logits
that are there already. `explain` says how a call would be computed. `StructuredLinear` is a layer
whose matrix is one of `crossent.linear_maps` (linear_maps.py, linear_maps_products.py).

How the parts fit, for those who add a path::

    arguments.py   what the user gave → Call: flat rows, one form of target (arguments.as_call)
    plan.py        Problem → Plan: the first Path of PATHS that does not refuse
                   cpu_steps.py, cuda_steps.py: what a path moves; machine.py, cuda_machine.py,
                   overhead.py: how fast that is here
    run.py         takes the path: the definition, an engine, or inside torch.compile an operator
    forward.py     drops ignored rows, asks the engine, makes the outputs
    objective.py   the loss: statistics of a row → its loss; its gradient as a few numbers per row
    engine.py      the seam: an Engine computes statistics, gradients, or both in one go
    cpu.py         the engine for CPUs: blocks.py sizes, row_starts.py labels, tiles.py logits,
                   sweep.py sums over classes, gradient_tiles.py and gradients.py products,
                   narrow.py those of half precision,
                   products.py who multiplies, threads.py who does what, memory.py where
    cuda.py        the engines for GPUs: cuda_blocks.py sizes, cuda_statistics.py sums over classes,
                   cuda_numbers.py and cuda_products.py gradients, kernels in kernels/triton_*.py
    filtered.py    gradients without unlikely classes, and their bound; cuda_filtered.py on GPUs
    autograd.py    what autograd knows; second_order.py second derivatives, third_order.py their end
    flat.py        the call as lists of tensors: for operators.py, which stands in the graphs of
                   torch.compile, and transforms.py, for torch.func and forward mode
    reference.py   the definition in plain operations: what every engine is tested against
    vocabulary_parallel.py, vocabulary_engine.py   the same with classes divided among processes

An engine sees logits and per-row numbers, and no option of the loss. To add one, write a class with
the three functions of `engine.Engine` (a fourth, `engine.HoldingEngine`, if it can hold logits for
the backward pass; inner loops in `crossent.kernels`), and put a `Path` into
`plan.PATHS`: a name, a sentence, ``refusal(problem)`` with the reason why it does not serve a
problem (or None), ``cost(problem)``, ``load()``, which imports the engine, and ``steps(problem,
cost)``: what it multiplies and moves, of which the time is predicted. Tests that run over `PATHS`
then cover it. What the gradient of every feature looks like stands in `engine.py`; the
labels of a row are kept out of its sum of exponentials there, so that a loss near zero and the
gradient at the label keep all their digits.
"""

import importlib
from typing import TYPE_CHECKING, Any

from crossent.torch.linear import explain, linear_cross_entropy
from crossent.torch.logits import softmax_cross_entropy
from crossent.torch.module import LinearCrossEntropy
from crossent.torch.path import Cost, Path, Step
from crossent.torch.plan import PATHS, Plan
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.vocabulary_parallel import (
    vocabulary_parallel_linear_cross_entropy,
    vocabulary_slice,
)

if TYPE_CHECKING:
    from crossent.torch.linear_maps import StructuredLinear
    from crossent.torch.linear_maps_products import product

__all__ = [
    "PATHS",
    "Cost",
    "LinearCrossEntropy",
    "LinearCrossEntropyResult",
    "Path",
    "Plan",
    "Step",
    "StructuredLinear",
    "explain",
    "linear_cross_entropy",
    "product",
    "softmax_cross_entropy",
    "vocabulary_parallel_linear_cross_entropy",
    "vocabulary_slice",
]

_LATER = {
    "StructuredLinear": "crossent.torch.linear_maps",
    "product": "crossent.torch.linear_maps_products",
}
"""Fetched on first use: the loss needs no array-API library, these do."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    message = f"module 'crossent.torch' has no attribute {name!r}"
    raise AttributeError(message)
