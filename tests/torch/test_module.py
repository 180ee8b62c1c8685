"""The module: its own weight or a shared one, trained."""

import math
import subprocess
import sys

import pytest
import torch
from torch.nn.functional import cross_entropy

from crossent.torch import LinearCrossEntropy


def test_the_module_is_a_linear_layer_and_its_loss():
    torch.manual_seed(0)
    head = LinearCrossEntropy(6, 11, bias=True, label_smoothing=0.1, dtype=torch.float64)
    X = torch.randn(9, 6, dtype=torch.float64)
    y = torch.arange(9)

    loss = head(X, y)

    expected = cross_entropy(head.linear(X), y, label_smoothing=0.1)
    torch.testing.assert_close(loss, expected, rtol=1e-13, atol=0.0)
    assert [name for name, _ in head.named_parameters()] == ["linear.weight", "linear.bias"]


def test_tensors_of_a_call_go_through():
    head = LinearCrossEntropy(2, 5)
    found = head(torch.ones(3, 2), torch.arange(3), chosen=torch.ones(3, 1, dtype=torch.int64))

    assert found.chosen_log_probabilities.shape == (3, 1)


def test_a_shared_weight_learns_from_both_of_its_uses():
    torch.manual_seed(0)
    embedding = torch.nn.Embedding(13, 4, dtype=torch.float64)
    head = LinearCrossEntropy(4, 13, linear_weight=embedding.weight, shift=1)
    model = torch.nn.ModuleDict({"embedding": embedding, "head": head})
    tokens = torch.randint(13, (2, 7))

    head(embedding(tokens), tokens).backward()

    W = embedding.weight.detach().requires_grad_()
    logits = W[tokens[:, :-1]] @ W.T
    cross_entropy(logits.reshape(-1, 13), tokens[:, 1:].reshape(-1)).backward()
    torch.testing.assert_close(embedding.weight.grad, W.grad, rtol=1e-12, atol=1e-16)
    assert len(list(model.parameters())) == 1


def test_class_weights_move_with_the_module_and_stand_in_its_state():
    head = LinearCrossEntropy(2, 3, weight=torch.tensor([1.0, 2.0, 3.0]))

    head.double()

    assert head.weight.dtype == torch.float64
    assert "weight" in head.state_dict()
    assert head(torch.ones(1, 2, dtype=torch.float64), torch.tensor([1])).dtype == torch.float64


def test_a_step_of_training_lowers_the_loss():
    torch.manual_seed(0)
    head = LinearCrossEntropy(8, 20)
    X, y = torch.randn(50, 8), torch.randint(20, (50,))
    optimiser = torch.optim.SGD(head.parameters(), lr=1.0)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = head(X, y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.7 * losses[0]


def test_the_module_shows_the_options_it_has():
    shown = repr(LinearCrossEntropy(2, 3, z_loss=0.1, shift=1))

    assert "z_loss=0.1" in shown
    assert "shift=1" in shown
    assert "temperature" not in shown


def test_the_loss_loads_no_array_library():
    """It is measured on machines that have PyTorch, Triton, NumPy and SciPy."""
    code = (
        "import sys; sys.modules['array_api_compat'] = None\n"
        "import crossent.torch as ours, torch\n"
        "X = torch.ones(2, 3)\n"
        "print(ours.linear_cross_entropy(X, X, torch.tensor([0, 1])).item())"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert float(made.stdout) == pytest.approx(math.log(2.0), rel=1e-6)
