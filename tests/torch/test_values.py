"""Losses and gradients against PyTorch's own functions in float64, on every path."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from crossent.torch import explain, linear_cross_entropy, softmax_cross_entropy

KINDS = ("labels", "targets", "top-k")
OPTIONS = {
    "plain": {},
    "smoothing": {"label_smoothing": 0.1},
    "z-loss": {"z_loss": 0.03},
    "temperature": {"temperature": 0.7},
    "cap": {"logit_softcap": 2.5},
    "all": {"label_smoothing": 0.2, "z_loss": 0.02, "temperature": 1.7, "logit_softcap": 4.0},
}
# Sums of at most 100 products and 53 exponentials in float64: 2e-13 is a thousand roundings.
TOLERANCE = {"rtol": 2e-13, "atol": 2e-14}


def assert_near(ours, theirs):
    """Entries that are small because large terms cancel are as exact as the largest entry."""
    largest = theirs.abs().max().item()
    torch.testing.assert_close(ours, theirs, rtol=2e-13, atol=2e-13 * largest)


def serving_paths(given, **options):
    """Names of the CPU paths that do not refuse."""
    plan = given.call(explain, **options)
    return [name for name, why in plan.reasons.items() if why.startswith(("taken", "could serve"))]


def gradients(loss, layer):
    return torch.autograd.grad(loss, layer, retain_graph=True)


@pytest.mark.parametrize("weights", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss_and_gradients_are_those_of_the_formula(problem, kind, options, weights, reduction):
    given = problem(kind, weights=weights)
    expected = given.expected(reduction, **options)
    above = torch.arange(1.0, expected.numel() + 1, dtype=torch.float64).reshape(expected.shape)
    expected_gradients = gradients((expected * above).sum(), given.layer)

    paths = serving_paths(given, reduction=reduction, **options)
    assert paths[-1] == "reference"
    assert len(paths) >= 2
    for path in paths:
        loss = given.call(linear_cross_entropy, reduction=reduction, path=path, **options)
        found = gradients((loss * above).sum(), given.layer)

        torch.testing.assert_close(loss, expected, **TOLERANCE)
        for ours, theirs in zip(found, expected_gradients, strict=True):
            assert_near(ours, theirs)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_with_labels_it_is_pytorchs_cross_entropy(problem, reduction, smoothing, weighted):
    given = problem("labels")
    c = torch.rand(53, dtype=torch.float64) if weighted else None
    options = {"weight": c, "reduction": reduction, "label_smoothing": smoothing}
    z = given.logits()

    loss = given.call(linear_cross_entropy, **options)

    torch.testing.assert_close(loss, cross_entropy(z, given.target, **options), **TOLERANCE)


def test_the_mean_over_probabilities_divides_by_the_weights_not_by_the_rows(problem):
    given = problem("targets")
    c = torch.rand(53, dtype=torch.float64)

    ours = given.call(linear_cross_entropy, weight=c)
    pytorchs = cross_entropy(given.logits(), given.target, weight=c)

    rows = len(given.target)
    torch.testing.assert_close(ours * (given.target @ c).sum(), pytorchs * rows, **TOLERANCE)


def test_a_weight_of_two_is_the_same_as_the_row_twice(problem):
    given = problem("labels", ignored=False)
    weight = torch.ones(29, dtype=torch.float64)
    weight[5] = 2.0
    twice = torch.cat([torch.arange(29), torch.tensor([5])])

    weighted = given.call(linear_cross_entropy, sample_weight=weight)
    X, W, b = given.layer
    repeated = linear_cross_entropy(X[twice], W, given.target[twice], linear_bias=b)

    torch.testing.assert_close(weighted, repeated, **TOLERANCE)


def test_top_k_targets_are_the_dense_targets_they_stand_for(problem):
    given = problem("top-k", ignored=False)

    sparse = given.call(linear_cross_entropy)
    dense = linear_cross_entropy(
        given.input, given.linear_weight, given.distributions(), linear_bias=given.linear_bias
    )

    torch.testing.assert_close(sparse, dense, **TOLERANCE)


@pytest.mark.parametrize("shift", [1, 3])
def test_a_shift_lets_each_row_predict_what_comes_later(problem, shift):
    given = problem("labels", n=24)
    X = given.input.reshape(2, 12, 6)
    y = given.target.reshape(2, 12)
    s = torch.rand(2, 12, dtype=torch.float64)
    W = given.linear_weight

    loss = linear_cross_entropy(X, W, y, shift=shift, sample_weight=s)
    rows = linear_cross_entropy(X, W, y, shift=shift, reduction="none")

    early, late = X[:, :-shift].reshape(-1, 6), y[:, shift:].reshape(-1)
    each = cross_entropy(early @ W.T, late, reduction="none")
    kept = (late != -100) * s[:, shift:].reshape(-1)
    torch.testing.assert_close(loss, (each * kept).sum() / kept.sum(), **TOLERANCE)
    assert rows.shape == (2, 12 - shift)


def test_a_subset_of_classes_is_a_smaller_layer(problem):
    given = problem("labels")
    generator = torch.Generator().manual_seed(1)
    classes = torch.randperm(53, generator=generator)[:20]
    y = classes[torch.randint(20, (29,), generator=generator)]
    y[7] = -100
    W, b = given.linear_weight, given.linear_bias
    c = torch.rand(53, dtype=torch.float64)

    found = linear_cross_entropy(
        given.input,
        W,
        y,
        linear_bias=b,
        weight=c,
        classes=classes,
        top_k=2,
        chosen=y[:, None] * 0 + classes[3],
    )
    number = {int(label): place for place, label in enumerate(classes)}
    places = torch.tensor([number.get(int(label), -100) for label in y])
    z = given.logits()[:, classes]

    expected = cross_entropy(z, places, weight=c[classes])
    torch.testing.assert_close(found.loss, expected, **TOLERANCE)
    used = y != -100
    best = classes[z.topk(2, dim=1).indices]
    assert torch.equal(found.top_classes[used], best[used])
    chosen = z.log_softmax(dim=1)[:, 3:4]
    torch.testing.assert_close(found.chosen_log_probabilities[used], chosen[used], **TOLERANCE)
    for ours, theirs in zip(
        gradients(found.loss, given.layer), gradients(expected, given.layer), strict=True
    ):
        torch.testing.assert_close(ours, theirs, **TOLERANCE)


@pytest.mark.parametrize("path", ["cpu-blocks", "cpu-held", "cpu-recompute", "reference"])
def test_a_class_whose_place_in_the_subset_is_ignore_index_is_not_ignored(path):
    generator = torch.Generator().manual_seed(4)
    X = torch.randn(4, 3, dtype=torch.float64, generator=generator)
    W = torch.randn(9, 3, dtype=torch.float64, generator=generator)
    classes, y = torch.tensor([7, 3, 5]), torch.tensor([3, 1, 5, 7])  # 3 stands at place 1

    rows = linear_cross_entropy(
        X, W, y, classes=classes, ignore_index=1, reduction="none", path=path
    )

    expected = cross_entropy(X @ W[classes].T, torch.tensor([1, -1, 2, 0]), ignore_index=-1)
    torch.testing.assert_close(rows.sum() / 3, expected, **TOLERANCE)
    assert rows.tolist().count(0.0) == 1


def test_more_dimensions_in_the_weight_follow_the_rows_as_in_pytorch():
    generator = torch.Generator().manual_seed(3)
    X = torch.randn(7, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    W = torch.randn(9, 2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    b = torch.randn(9, 2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randint(9, (7, 2, 3), generator=generator)
    targets = torch.rand(7, 9, 2, 3, generator=generator, dtype=torch.float64).softmax(dim=1)
    for target in (y, targets):
        theirs = torch.nn.functional.linear_cross_entropy(X, W, target, linear_bias=b)
        ours = linear_cross_entropy(X, W, target, linear_bias=b)

        torch.testing.assert_close(ours, theirs, **TOLERANCE)
        pairs = zip(gradients(ours, (X, W, b)), gradients(theirs, (X, W, b)), strict=True)
        for one, other in pairs:
            torch.testing.assert_close(one, other, **TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_given_logits_have_the_same_loss_and_their_own_gradient(problem, kind, options):
    given = problem(kind, weights=True)
    z = given.logits().detach().requires_grad_()
    reshaped = type(given)(
        z, torch.eye(53, dtype=torch.float64), torch.zeros(53), given.target, given.options
    )
    expected = reshaped.expected(**options)

    for path in ("cpu-recompute", "reference"):
        found = softmax_cross_entropy(z, given.target, path=path, **given.options, **options)

        torch.testing.assert_close(found, expected, **TOLERANCE)
        torch.testing.assert_close(*gradients(found, [z]), *gradients(expected, [z]), **TOLERANCE)


@pytest.mark.parametrize("path", ["cpu-blocks", "cpu-held", "cpu-recompute"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_narrow_input_is_summed_in_float32(problem, dtype, kind, path):
    """Against float64 on the same rounded numbers: only float32 rounding may be left."""
    given = problem(kind, dtype=dtype, weights=True, n=64, q=300)
    expected = given.expected(label_smoothing=0.1)

    loss = given.call(linear_cross_entropy, label_smoothing=0.1, path=path)

    assert loss.dtype == torch.float32
    # 300 exponentials of logits below 20 that carry an error of 20 · 2⁻²⁴ each: 2e-6 at most.
    torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=0.0)
    pairs = zip(gradients(loss, given.layer), gradients(expected, given.layer), strict=True)
    for ours, theirs in pairs:
        assert ours.dtype == dtype
        # Half of the last place of `dtype`, and the float32 arithmetic before it.
        error = (ours.double() - theirs.double()).norm() / theirs.double().norm()
        assert error < 0.6 * torch.finfo(dtype).eps + 2e-6


def test_the_loss_of_equal_logits_is_the_logarithm_of_their_number():
    X, W = torch.zeros(3, 2), torch.ones(1000, 2)

    loss = linear_cross_entropy(X, W, torch.tensor([0, 500, 999]))

    assert loss.item() == pytest.approx(math.log(1000), rel=1e-7)
