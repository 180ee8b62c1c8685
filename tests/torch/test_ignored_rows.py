"""Ignored rows: left out where the host may look, silenced where that would wait for a GPU.

The paths for GPUs run in Triton's interpreter here; what a GPU would wait for is seen as a number
that PyTorch reads from a tensor.
"""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from crossent.torch import explain, linear_cross_entropy, softmax_cross_entropy
from crossent.torch.call import Options, Problem
from crossent.torch.plan import make_plan

pytest.importorskip("triton")

CUDA = ("cuda-exponentials", "cuda-library", "cuda-recompute")
every_path = pytest.mark.parametrize("path", CUDA)
# A row without weight may hold anything.
nan_is_read = pytest.mark.filterwarnings("ignore:.*NaN slice.*:RuntimeWarning")
invalid_is_read = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
every_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


class Waits(TorchDispatchMode):
    """Notes the operations whose answer the host needs."""

    NAMES = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "_unique2", "masked_select")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in self.NAMES:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def as_on_gpu(monkeypatch):
    """Values are looked at on CPUs only; here nobody does."""
    monkeypatch.setattr("crossent.torch.forward.check_values", lambda _: None)


def gradients(given, path, **options):
    """The loss and its gradients; the graph is kept, so that 1 need not be told from 2."""
    loss = given.call(linear_cross_entropy, path=path, **options)
    above = torch.linspace(1.0, 2.0, max(loss.numel(), 1)).view(loss.shape)
    return loss.detach(), torch.autograd.grad((loss * above).sum(), given.layer, retain_graph=True)


@every_path
def test_on_the_default_path_nothing_waits_for_the_device(problem, path, as_on_gpu):
    given = problem("labels", dtype=torch.float32, weights=True)

    with Waits() as waits:
        gradients(given, path, label_smoothing=0.1, z_loss=0.1)
    with Waits() as others:
        found = given.call(linear_cross_entropy, path=path, compute=["entropy"], top_k=2)
        torch.autograd.grad(found.entropy.nansum(), given.layer, retain_graph=True)
    with Waits() as one:
        gradients(given, path, ignore_index=-100)

    assert waits.found == []
    assert others.found == []
    assert sorted(set(one.found)) == ["_local_scalar_dense", "nonzero"]


@every_reduction
@every_path
def test_silenced_rows_change_nothing_but_rounding(problem, path, reduction):
    given = problem("labels", dtype=torch.float32, weights=True)
    options = {"reduction": reduction, "label_smoothing": 0.1, "z_loss": 0.02}
    if path == "cuda-exponentials" and reduction == "none":
        pytest.skip("another path serves this")

    loss, made = gradients(given, path, **options)
    again, left_out = gradients(given, path, ignore_index=-100, **options)

    # 53 exponentials of logits of at most 20, each 20 · 2⁻²⁴ off.
    torch.testing.assert_close(loss, again, rtol=2e-6, atol=0.0)
    for ours, theirs in zip(made, left_out, strict=True):
        assert (ours - theirs).norm() <= 2e-6 * theirs.norm()
    assert not made[0][[2, 28]].any()


@nan_is_read
@every_reduction
@pytest.mark.parametrize("ignore_index", [None, -100])
@every_path
def test_what_stands_in_an_ignored_row_does_not_matter(problem, path, ignore_index, reduction):
    given = problem("labels", dtype=torch.float32)
    options = {"reduction": reduction, "ignore_index": ignore_index}
    if path == "cuda-exponentials" and reduction == "none":
        pytest.skip("another path serves this")
    loss, expected = gradients(given, path, **options)
    with torch.no_grad():
        given.input[2] = math.nan
        given.input[28] = math.inf

    again, found = gradients(given, path, **options)

    assert torch.equal(loss, again)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


@nan_is_read
@invalid_is_read
@pytest.mark.parametrize("ignore_index", [None, -100])
@pytest.mark.parametrize("z_loss", [0.0, 0.1])
def test_what_stands_in_an_ignored_row_of_logits_does_not_matter(problem, ignore_index, z_loss):
    given = problem("labels")
    z = given.logits().detach().requires_grad_()
    options = {"path": "cuda-library", "ignore_index": ignore_index, "z_loss": z_loss}

    def step():
        found = softmax_cross_entropy(z, given.target, compute=["entropy"], **options)
        total = found.loss + found.entropy.nansum()
        return found.loss.item(), torch.autograd.grad(total, z)[0]

    loss, expected = step()
    with torch.no_grad():
        z[2], z[28] = math.nan, math.inf
    again, found = step()

    assert loss == again
    assert torch.equal(found, expected)
    assert not found[[2, 28]].any()


@every_path
def test_second_derivatives_leave_silenced_rows_out(problem, path):
    given = problem("labels", dtype=torch.float32)
    if path == "cuda-exponentials":
        pytest.skip("the same as for the other paths, which are faster here")

    def product(**options):
        found = given.call(linear_cross_entropy, path=path, top_k=2, **options)
        total = found.loss + found.top_log_probabilities.nansum()
        first = torch.autograd.grad(total, given.layer, create_graph=True)
        return torch.autograd.grad(sum((g * g.detach()).sum() for g in first), given.layer)

    for ours, theirs in zip(product(), product(ignore_index=-100), strict=True):
        assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


@every_path
def test_a_mean_over_silenced_rows_only_is_not_a_number_and_has_no_gradient(problem, path):
    given = problem("labels", dtype=torch.float32)
    given.target.fill_(-100)

    loss, made = gradients(given, path, label_smoothing=0.1)

    assert loss.isnan()
    assert not any(g.any() for g in made)


@every_path
def test_a_label_out_of_range_that_nobody_looked_at_is_nan(problem, path, as_on_gpu):
    given = problem("labels", dtype=torch.float32, weights=True)
    given.target[[4, 9]] = torch.tensor([53, -7])

    loss, made = gradients(given, path)
    rows = given.call(
        linear_cross_entropy, path="cuda-recompute", reduction="none", label_smoothing=0.1
    )

    assert loss.isnan()
    assert made[1].isnan().any()
    assert rows.isnan().nonzero()[:, 0].tolist() == [4, 9]


@every_path
def test_a_chosen_class_out_of_range_that_nobody_looked_at_is_nan(problem, path, as_on_gpu):
    given = problem("labels", dtype=torch.float32, ignored=False)
    chosen = torch.stack([given.target, torch.full_like(given.target, 53)], dim=1)

    found = given.call(linear_cross_entropy, path=path, chosen=chosen).chosen_log_probabilities

    assert found[:, 0].isfinite().all()
    assert found[:, 1].isnan().all()


def test_the_plan_says_what_becomes_of_ignored_rows(problem):
    def on_gpu(**options):
        return make_plan(
            Problem(
                8192, 1024, 32000, "bfloat16", "cuda", True, True, False, False, False, 1,
                Options(max_workspace_bytes=2**31, **options),
            )
        )  # fmt: skip

    assert "nothing waits" in on_gpu().ignored_rows
    assert "waits once" in on_gpu(ignore_index=-100).ignored_rows
    assert "waits once" in on_gpu(filter=0.1).ignored_rows
    plan = problem("labels").call(explain)
    assert plan.ignored_rows == "left out before the products"
    assert plan.ignored_rows in str(plan)
    assert "none" in problem("targets").call(explain).ignored_rows
