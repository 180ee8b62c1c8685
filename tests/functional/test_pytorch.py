"""Agreement with PyTorch: its automatic differentiation, and its mean over labels."""

import math

import pytest

from crossent.functional import softmax_cross_entropy, softmax_cross_entropy_gradient

INF = math.inf


@pytest.mark.torch
def test_gradients_are_those_of_automatic_differentiation():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    generator = torch.Generator().manual_seed(0)
    z = torch.randn((6, 4), generator=generator, dtype=torch.float64)
    z[2, 1] = -INF
    y = torch.softmax(torch.randn((6, 4), generator=generator, dtype=torch.float64), -1)
    y[2] = torch.tensor([0.5, 0.0, 0.25, 0.25], dtype=torch.float64)
    options = {"sample_weight": [1, 2, 3, 0, 1, 2], "class_weight": [1.0, 2.0, 0.5, 1.0]}

    z.requires_grad_()
    softmax_cross_entropy(z, y, **options).backward()

    actual = softmax_cross_entropy_gradient(z.detach(), y, **options)
    torch.testing.assert_close(actual, z.grad, rtol=0, atol=1e-15)
    assert float(actual.abs().max()) > 0.05


@pytest.mark.torch
def test_the_mean_over_labels_is_that_of_pytorch():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    z = torch.randn((6, 4), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.tensor([0, 3, -100, 1, 1, 2])
    c = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)

    expected = torch.nn.functional.cross_entropy(z, labels, weight=c)

    actual = softmax_cross_entropy(z, labels, class_weight=c, ignore_index=-100)
    torch.testing.assert_close(actual, expected, rtol=1e-14, atol=0)
