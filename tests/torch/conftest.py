"""Problems of all kinds, and the loss written out with PyTorch's own functions in float64."""

import os
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

# Before Triton is imported: without a GPU its kernels run in the interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from torch.nn.functional import log_softmax

KINDS = ("labels", "targets", "top-k")


@dataclass
class Problem:
    """Tensors of a call; `options` are keyword arguments that hold tensors."""

    input: Any
    linear_weight: Any
    linear_bias: Any
    target: Any
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def layer(self):
        return self.input, self.linear_weight, self.linear_bias

    def call(self, function, **options):
        given = {"linear_bias": self.linear_bias, **self.options, **options}
        return function(self.input, self.linear_weight, self.target, **given)

    def logits(self, softcap=None, temperature=1.0):
        """In float64, whatever the dtype of the problem; differentiable."""
        z = self.input.double() @ self.linear_weight.double().T + self.linear_bias.double()
        return (z if softcap is None else softcap * torch.tanh(z / softcap)) / temperature

    def distributions(self, ignore_index=-100):
        """The targets as one number for each class, in float64; zeros in an ignored row."""
        y, q = self.target, len(self.linear_weight)
        if y.is_floating_point():
            return y.double()
        y = y[:, None] if y.ndim == 1 else y
        p = self.options.get("target_probabilities", torch.ones(y.shape)).double()
        p = torch.where(y == ignore_index, 0.0, p)
        return torch.zeros(len(y), q, dtype=torch.float64).scatter_add(1, y.clamp(min=0), p)

    def expected_rows(self, label_smoothing=0.0, z_loss=0.0, logit_softcap=None, temperature=1.0):
        """Each row's loss and weight, from log_softmax, by the formula of the documentation."""
        z = self.logits(logit_softcap, temperature)
        y = self.distributions()
        q = y.shape[1]
        c = self.options.get("weight", torch.ones(q)).double()
        s = self.options.get("sample_weight", torch.ones(len(y))).double()
        used = y.sum(dim=1, keepdim=True) > 0
        t = (1 - label_smoothing) * y + label_smoothing / q * used.double()
        w = y @ c
        rows = -(t * c * log_softmax(z, dim=1)).sum(dim=1) + z_loss * w * z.logsumexp(1) ** 2
        return s * rows, s * w

    def expected(self, reduction="mean", **options):
        rows, weights = self.expected_rows(**options)
        if reduction == "none":
            return rows
        return rows.sum() / (weights.sum() if reduction == "mean" else 1.0)


def make_problem(
    kind="labels", n=29, d=6, q=53, dtype=torch.float64, weights=False, ignored=True, scale=1.0, k=4
):
    """A problem from fixed random numbers, whose layer requires gradients."""
    generator = torch.Generator().manual_seed(20267)

    def normal(*shape):
        made = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
        return made.to(dtype).requires_grad_()

    layer = normal(n, d), normal(q, d), normal(q)
    options = {}
    y = torch.randint(q, (n,), generator=generator)
    if kind == "labels" and ignored:
        y[[2, n - 1]] = -100
    if kind == "targets":
        y = torch.randn(n, q, generator=generator, dtype=torch.float64).softmax(dim=1).to(dtype)
    if kind == "top-k":
        y = torch.rand(n, q, generator=generator).topk(k, dim=1).indices
        probabilities = torch.rand(n, k, generator=generator, dtype=torch.float64).to(dtype)
        options["target_probabilities"] = probabilities
        if ignored:
            y[2] = -100
            y[4, 1] = -100
    if weights:
        options["weight"] = torch.rand(q, generator=generator, dtype=torch.float64).to(dtype)
        options["sample_weight"] = torch.rand(n, generator=generator, dtype=torch.float64).to(dtype)
    return Problem(*layer, y, options)


@pytest.fixture(autouse=True)
def _products_of_torch(request, monkeypatch):
    """Plans that are the same on every processor: oneDNN only where a test asks for it."""
    if "onednn" not in request.fixturenames:
        monkeypatch.setattr("crossent.torch.products._is_faster", lambda: False)


@pytest.fixture
def onednn(monkeypatch):
    """Products of float32 by oneDNN, whatever the processor."""
    from crossent.torch import products

    if not products._answers():
        pytest.skip("this PyTorch does not have oneDNN's operator")
    monkeypatch.setattr("crossent.torch.products._is_faster", lambda: True)


@pytest.fixture
def problem():
    """The function that makes problems."""
    return make_problem


@pytest.fixture
def threads():
    """``threads(2)``: let PyTorch use two threads in this test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
