"""What autograd may ask: second derivatives, a retained graph, frozen tensors, autocast."""

import weakref

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from crossent.torch import explain, linear_cross_entropy, softmax_cross_entropy

CASES = {
    "labels": ("labels", {}),
    "sum, labels": ("labels", {"reduction": "sum"}),
    "rows": ("labels", {"reduction": "none"}),
    "targets": ("targets", {"label_smoothing": 0.1}),
    "top-k": ("top-k", {"z_loss": 0.1}),
    "options": (
        "labels",
        {"label_smoothing": 0.1, "z_loss": 0.1, "logit_softcap": 2.0, "temperature": 1.5},
    ),
    "outputs": ("labels", {"compute": ("entropy", "log_partition", "row_loss"), "top_k": 2}),
}


def outputs_of(result):
    if isinstance(result, torch.Tensor):
        return result
    wanted = [x for x in result if x is not None and x.requires_grad]
    return tuple(x[~x.isnan()] for x in wanted)


@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES)
def test_first_and_second_derivatives_are_those_of_finite_differences(problem, kind, options):
    given = problem(kind, n=5, d=3, q=6, k=2)

    def function(X, W, b):
        result = linear_cross_entropy(X, W, given.target, linear_bias=b, **given.options, **options)
        return outputs_of(result)

    assert gradcheck(function, given.layer)
    assert gradgradcheck(function, given.layer)


def test_given_logits_have_second_derivatives_too(problem):
    given = problem("labels", n=4, q=5)
    z = given.logits().detach().requires_grad_()

    def function(z):
        return softmax_cross_entropy(z, given.target, z_loss=0.1)

    assert gradcheck(function, [z])
    assert gradgradcheck(function, [z])


def test_the_hessian_times_a_vector_is_p_times_v_minus_its_mean(problem):
    given = problem("labels", n=5, q=7, ignored=False)
    z = given.logits().detach().requires_grad_()
    v = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(4))

    loss = softmax_cross_entropy(z, given.target, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, z, create_graph=True)
    (product,) = torch.autograd.grad((gradient * v).sum(), z)

    p = z.detach().softmax(dim=1)
    expected = p * (v - (p * v).sum(dim=1, keepdim=True))
    torch.testing.assert_close(product, expected, rtol=1e-12, atol=1e-15)


def test_second_derivatives_come_in_blocks_of_rows(problem, monkeypatch):
    given = problem("labels", n=9)

    def product():
        loss = given.call(linear_cross_entropy)
        gradients = torch.autograd.grad(loss, given.layer, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in gradients), given.layer)

    whole = product()
    monkeypatch.setattr("crossent.torch.second_order._BLOCK_BYTES", 53 * 8 * 2)
    for one, other in zip(product(), whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)


def test_there_is_no_third_derivative_without_the_reference(problem):
    given = problem("labels", n=3)
    loss = given.call(linear_cross_entropy)
    first = torch.autograd.grad(loss, given.layer, create_graph=True)
    second = torch.autograd.grad(first[0].square().sum(), given.layer, create_graph=True)

    with pytest.raises(NotImplementedError, match="path='reference'"):
        torch.autograd.grad(second[0].sum(), given.layer)


@pytest.mark.parametrize("path", ["cpu-blocks", "cpu-held", "cpu-recompute"])
def test_a_retained_graph_gives_the_same_bits_again_and_shares_nothing(problem, path):
    given = problem("labels", dtype=torch.float32)
    loss = given.call(linear_cross_entropy, path=path)

    loss.backward(retain_graph=True)
    first = [x.grad.clone() for x in given.layer]
    for x in given.layer:
        x.grad.zero_()  # in place: nothing that the graph holds may change
    loss.backward(retain_graph=True)
    second = [x.grad.clone() for x in given.layer]
    loss.backward()

    for x, one, other in zip(given.layer, first, second, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(x.grad, one + one)


def test_without_retaining_a_second_pass_is_refused(problem):
    loss = problem("labels").call(linear_cross_entropy)
    loss.backward()

    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@pytest.mark.parametrize("retain", [False, True])
def test_what_comes_from_above_multiplies_the_gradients(problem, retain):
    given = problem("labels")
    plain = torch.autograd.grad(given.call(linear_cross_entropy), given.layer)

    loss = -2.5 * given.call(linear_cross_entropy)
    scaled = torch.autograd.grad(loss, given.layer, retain_graph=retain)

    for one, other in zip(scaled, plain, strict=True):
        torch.testing.assert_close(one, -2.5 * other, rtol=1e-15, atol=0.0)


@pytest.mark.parametrize("options", [{}, {"logit_softcap": 2.0}, {"temperature": 0.5}], ids=str)
@pytest.mark.parametrize("frozen", ["input", "linear_weight", "linear_bias"])
@pytest.mark.parametrize("path", ["cpu-blocks", "cpu-held", "cpu-recompute"])
def test_what_is_frozen_gets_no_gradient_and_its_product_is_skipped(problem, frozen, path, options):
    given = problem("labels")
    whole = given.call(explain, path=path, **options).products
    plain = dict(
        zip(
            ("input", "linear_weight", "linear_bias"),
            torch.autograd.grad(given.expected(**options), given.layer),
            strict=True,
        )
    )
    getattr(given, frozen).requires_grad_(False)

    given.call(linear_cross_entropy, path=path, **options).backward()

    assert getattr(given, frozen).grad is None
    for name, expected in plain.items():
        if name != frozen:
            # Block sums in another order.
            torch.testing.assert_close(getattr(given, name).grad, expected, rtol=1e-12, atol=1e-15)
    saved = whole - given.call(explain, path=path).products
    assert saved == (0 if frozen == "linear_bias" else 1)


@pytest.mark.parametrize("name", ["sample_weight", "weight", "target"])
def test_what_was_written_to_before_the_backward_pass_is_noticed(problem, name):
    given = problem("labels", weights=True)
    loss = given.call(linear_cross_entropy, reduction="none")
    written = given.target if name == "target" else given.options[name]
    written.zero_()

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.sum().backward()


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_loss_that_is_kept_after_its_backward_pass_keeps_no_input(problem, reduction):
    given = problem("labels")
    X = given.input * 1.0
    alive = weakref.ref(X.untyped_storage())
    loss = linear_cross_entropy(X, given.linear_weight, given.target, reduction=reduction)
    del X

    held = alive() is not None
    loss.sum().backward()

    assert held
    assert alive() is None


def test_without_gradients_there_is_one_product(problem):
    given = problem("labels")

    with torch.no_grad():
        plan = given.call(explain)
        loss = given.call(linear_cross_entropy)

    assert plan.products == 1
    assert not loss.requires_grad
    torch.testing.assert_close(loss, given.expected().detach(), rtol=1e-13, atol=0.0)


def test_gradients_reach_targets_and_weights_through_the_definition(problem):
    given = problem("targets", weights=True)
    s = given.options["sample_weight"].requires_grad_()
    y = given.target.requires_grad_()

    plan = given.call(explain)
    ours = torch.autograd.grad(given.call(linear_cross_entropy), [s, y])
    theirs = torch.autograd.grad(given.expected(), [s, y])

    assert plan.path == "reference"
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("path", ["cpu-blocks", "cpu-held", "cpu-recompute", "reference"])
def test_autocast_takes_the_layers_type_and_returns_its_gradients_in_float32(problem, path):
    given = problem("labels", dtype=torch.float32)
    halves = [x.detach().bfloat16() for x in given.layer]
    options = {"path": path, "z_loss": 0.1, "label_smoothing": 0.1, "logit_softcap": 3.0}
    expected = linear_cross_entropy(*halves[:2], given.target, linear_bias=halves[2], **options)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = given.call(linear_cross_entropy, **options)
    loss.backward()

    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
    assert {x.grad.dtype for x in given.layer} == {torch.float32}


@pytest.mark.parametrize("path", ["cpu-blocks", "cpu-held", "cpu-recompute"])
def test_the_same_call_gives_the_same_bits(problem, threads, path):
    given = problem("labels", n=120, d=16, q=3000, dtype=torch.float32)
    threads(3)
    workspace = None if path == "cpu-held" else 10**6

    def once():
        loss = given.call(linear_cross_entropy, path=path, max_workspace_bytes=workspace)
        return [loss.detach(), *torch.autograd.grad(loss, given.layer)]

    first = once()
    for _ in range(5):
        assert all(torch.equal(one, other) for one, other in zip(once(), first, strict=True))


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("path", ["cpu-blocks", "cpu-held", "cpu-recompute"])
@pytest.mark.parametrize("kind", ["labels", "targets"])
def test_the_number_of_threads_changes_nothing_but_rounding(problem, threads, count, path, kind):
    given = problem(kind, n=150, d=8, q=2500)
    options = {"path": path, "max_workspace_bytes": 10**7, "compute": ["entropy"], "top_k": 3}
    alone = given.call(linear_cross_entropy, **options)
    expected = torch.autograd.grad(alone.loss + alone.entropy.nansum(), given.layer)
    threads(count)

    together = given.call(linear_cross_entropy, **options)
    found = torch.autograd.grad(together.loss + together.entropy.nansum(), given.layer)

    assert torch.get_num_threads() == count
    assert given.call(explain, **options).blocks["threads"] == count
    assert torch.equal(together.top_classes, alone.top_classes)
    torch.testing.assert_close(together.loss, alone.loss, rtol=1e-13, atol=0.0)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)
