"""The public function against torch.nn.functional, for every path."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from crossent.torch import PATHS, explain, linear_cross_entropy

every_path = pytest.mark.parametrize("path", [path.name for path in PATHS])


def problem(n=13, d=5, q=17, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(n, d, generator=generator, dtype=dtype)
    W = torch.randn(q, d, generator=generator, dtype=dtype)
    b = torch.randn(q, generator=generator, dtype=dtype)
    y = torch.randint(q, (n,), generator=generator)
    return X, W, b, y


@every_path
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_loss_is_pytorchs(path, reduction):
    X, W, b, y = problem()
    y[3] = -100

    ours = linear_cross_entropy(X, W, y, linear_bias=b, reduction=reduction, path=path)

    torch.testing.assert_close(ours, cross_entropy(X @ W.T + b, y, reduction=reduction))


def test_the_plan_says_its_path_and_why():
    X, W, _, y = problem()

    plan = explain(X, W, y)

    assert plan.path in str(plan)
    assert set(plan.reasons) == {path.name for path in PATHS}
