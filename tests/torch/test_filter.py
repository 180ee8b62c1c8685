"""The filtered backward: what it drops, its bound, and what it keeps exact."""

import math
import re

import pytest
import torch

from crossent.errors import InputError
from crossent.torch import PATHS, explain, linear_cross_entropy
from crossent.torch.filtering import LEVELS, first_dropped_level, levels_of, select

FILTERED = [path.name for path in PATHS if path.name.endswith("filtered")]
every_path = pytest.mark.parametrize("path", FILTERED)
EXACT = 3e-6
"""What float32 rounding leaves of gradients whose terms are summed in another order."""


def sharp(n=70, d=16, q=400, scale=1.9, dtype=torch.float32):
    """Like a trained model: a few classes are likely in a row, which ones depends on the topic."""
    generator = torch.Generator().manual_seed(4)
    topics = torch.randn(3, d, generator=generator, dtype=torch.float64)
    X = topics.repeat_interleave(math.ceil(n / 3), dim=0)[:n]
    X = X + 0.2 * torch.randn(n, d, generator=generator, dtype=torch.float64)
    W = scale * torch.randn(q, d, generator=generator, dtype=torch.float64)
    b = -torch.arange(1.0, q + 1, dtype=torch.float64).log()
    y = torch.multinomial((X @ W.T + b).softmax(dim=1), 1, generator=generator)[:, 0]
    y[7] = -100
    layer = [x.to(dtype).requires_grad_() for x in (X, W, b)]
    return *layer, y


def filtered(path, limit, problem, **options):
    X, W, b, y = problem
    found = linear_cross_entropy(X, W, y, linear_bias=b, filter=limit, path=path, **options)
    return found, torch.autograd.grad(found.loss, (X, W, b), retain_graph=True)


def exact(problem, **options):
    """Loss and gradients by the definition, in float64."""
    *layer, y = problem
    X, W, b = (x.detach().double().requires_grad_() for x in layer)
    loss = linear_cross_entropy(X, W, y, linear_bias=b, path="reference", **options)
    return loss, torch.autograd.grad(loss, (X, W, b))


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({}, 0.01),
        ({}, 0.3),
        ({"label_smoothing": 0.1}, 0.3),
        ({"temperature": 0.8}, 0.01),
        ({"z_loss": 0.01}, 0.3),
        ({"reduction": "sum"}, 0.3),
    ],
    ids=str,
)
@every_path
def test_errors_stay_below_the_bound_and_the_bound_is_of_their_size(path, options, limit):
    problem = sharp()
    loss, theirs = exact(problem, **options)

    found, ours = filtered(path, limit, problem, **options)

    assert found.loss.item() == pytest.approx(loss.item(), rel=1e-6)
    errors = [(a - b).norm().item() for a, b in zip(ours, theirs, strict=True)]
    rounding = [EXACT * b.norm().item() for b in theirs]
    for error, bound, noise in zip(errors, found.filter_bound.tolist(), rounding, strict=True):
        assert error <= bound + noise
    if limit >= 0.3:
        # Something was left out, and the bound is no empty promise either.
        assert errors[0] > 10 * rounding[0]
        assert found.filter_bound[0].item() < 100 * errors[0]


@every_path
def test_the_sums_over_the_rows_are_exact_so_that_rare_classes_are_still_pushed_down(path):
    """They are ∂b, and the column of ∂W that belongs to a feature that is always 1."""
    X, W, b, y = sharp()
    with torch.no_grad():
        X[:, 3] = 1.0
    _, (_, theirs, of_bias) = exact((X, W, b, y))

    found, (_, ours, bias) = filtered(path, 0.3, (X, W, b, y))

    assert found.filter_bound[1] > 0.0
    assert found.filter_bound[2] == 0.0
    assert (bias - of_bias).norm() <= EXACT * of_bias.norm()
    assert (ours[:, 3] - theirs[:, 3]).norm() <= EXACT * theirs[:, 3].norm()
    # Not so the others: something was left out.
    assert (ours - theirs).norm() > 100 * EXACT * theirs.norm()
    # A class that all blocks drop would have no gradient at all without the correction.
    assert (ours.norm(dim=1) > 0.0).all()


def test_a_small_budget_means_few_rows_at_a_time_and_sums_stay_exact():
    problem = X, W, b, y = sharp()
    with torch.no_grad():
        X[:, 3] = 1.0  # so that this column of ∂W is a sum over the rows
    with pytest.raises(InputError, match=r"one row at a time needs") as caught:
        filtered("cpu-filtered", 0.3, problem, max_workspace_bytes=60_000)
    budget = int(re.search(r"needs (\d+)", str(caught.value))[1]) + 10_000
    plan = explain(X, W, y, linear_bias=b, filter=0.3, max_workspace_bytes=budget)
    _, theirs = exact(problem)

    found, ours = filtered("cpu-filtered", 0.3, problem, max_workspace_bytes=budget)

    # Some twenty blocks, each with a matrix of rank one of its own.
    assert 2 <= plan.blocks["rows"] <= 4
    assert plan.workspace_bytes <= budget
    for mine, their in ((ours[2], theirs[2]), (ours[1][:, 3], theirs[1][:, 3])):
        assert (mine - their).norm() <= EXACT * their.norm()
    for mine, their, bound in zip(ours[:2], theirs[:2], found.filter_bound[:2], strict=True):
        error = (mine - their).norm()
        assert 100 * EXACT * their.norm() < error <= bound
        assert bound < 100 * error


@pytest.mark.parametrize("limit", [0.2, 0.004])
@every_path
def test_rows_still_sum_to_zero_over_the_classes(path, limit):
    """With W all ones, ∂X is what each row's gradient sums to: p sums to 1, and so does y."""
    X, _, b, y = sharp()
    b = (b.detach() * 3.0).requires_grad_()  # a few classes have nearly all the probability
    ones = torch.ones(400, 16, requires_grad=True)

    found, (of_x, _, _) = filtered(path, limit, (X, ones, b, y))

    assert found.filter_bound[0] > 0.0
    # Each sum is of entries of at most 1 / n, in float32.
    assert of_x.abs().amax() <= 20 * 2.0**-24 / len(X) * 16


@every_path
def test_leaving_out_classes_with_equal_weights_does_not_change_the_gradient_of_the_input(path):
    """Five classes share 0.9 of the probability; the others, all alike, can go without an error."""
    X, W, b, y = sharp(q=200, scale=0.02)
    with torch.no_grad():
        W[5:] = 0.05 * torch.arange(16.0) - 0.4
        b[:5], b[5:] = 0.0, math.log(0.1 / 0.9 * 5 / 195)
        X.mul_(0.2)
    y = y % 5
    _, (theirs, _, _) = exact((X, W, b, y))

    found, (ours, _, _) = filtered(path, 0.15, (X, W, b, y))

    assert found.filter_bound[0] > 100 * EXACT * theirs.norm()
    assert (ours - theirs).norm() <= EXACT * theirs.norm()


@every_path
def test_flat_distributions_are_not_filtered(path):
    X, W, b, y = sharp(scale=0.001)
    flat = torch.zeros_like(b).requires_grad_()

    found, ours = filtered(path, 2.0**-9, (X, W, flat, y))
    _, theirs = exact((X, W, flat, y))

    assert found.filter_bound.tolist() == [0.0, 0.0, 0.0]
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() <= EXACT * b.norm()


@pytest.mark.parametrize(
    "options", [{"logit_softcap": 5.0}, {"logit_softcap": 5.0, "label_smoothing": 0.1}], ids=str
)
@every_path
def test_where_an_option_does_not_allow_it_the_gradient_is_exact(path, options):
    problem = sharp()
    _, theirs = exact(problem, **options)

    found, ours = filtered(path, 0.3, problem, **options)

    assert found.filter_bound.tolist() == [0.0, 0.0, 0.0]
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() <= EXACT * b.norm()


@every_path
def test_a_limit_of_zero_drops_nothing(path):
    found, ours = filtered(path, 0.0, sharp())
    _, theirs = exact(sharp())

    assert found.filter_bound.tolist() == [0.0, 0.0, 0.0]
    assert (ours[1] - theirs[1]).norm() <= EXACT * theirs[1].norm()


@every_path
def test_weights_of_rows_and_several_labels_are_served(path):
    X, W, b, y = sharp()
    generator = torch.Generator().manual_seed(2)
    s = torch.rand(70, generator=generator)
    labels = torch.stack([y.clamp(min=0), (y + 5) % 400], dim=1)
    given = {"target_probabilities": torch.rand(70, 2, generator=generator), "sample_weight": s}
    loss, theirs = exact((X, W, b, labels), **given)

    found, ours = filtered(path, 0.1, (X, W, b, labels), **given)

    assert found.loss.item() == pytest.approx(loss.item(), rel=1e-6)
    assert found.filter_bound[0] > 0.0
    for a, b, bound in zip(ours, theirs, found.filter_bound.tolist(), strict=True):
        assert (a - b).norm().item() <= bound + EXACT * b.norm().item()


@every_path
def test_gradients_of_both_signs_keep_the_bound_and_the_column_sums(path):
    """A z-loss on a log-partition below 0 turns the sign of a row's probabilities around."""
    X, W, b, y = sharp()
    low = (b.detach() - 40.0).requires_grad_()
    mixed = torch.cat([X.detach()[:35], 3 * X.detach()[35:]]).requires_grad_()
    _, theirs = exact((mixed, W, low, y), z_loss=0.05)

    found, ours = filtered(path, 0.2, (mixed, W, low, y), z_loss=0.05)

    for a, b, bound in zip(ours, theirs, found.filter_bound.tolist(), strict=True):
        assert (a - b).norm().item() <= bound + EXACT * b.norm().item()
    assert found.filter_bound[2] == 0.0


@every_path
def test_other_outputs_are_exact_and_so_are_their_gradients(path):
    problem = sharp()
    X, W, b, _ = problem

    found, _ = filtered(path, 0.3, problem, compute=("log_partition", "entropy"))
    of_w = torch.autograd.grad(found.log_partition[:7].sum(), W)[0]

    z = X.double() @ W.double().T + b.double()
    expected = torch.autograd.grad(z.logsumexp(dim=1)[:7].sum(), W)[0]
    assert (of_w - expected).norm() <= EXACT * expected.norm()
    p = z[:7].softmax(dim=1)
    entropy = -(p * p.log()).sum(dim=1)
    torch.testing.assert_close(found.entropy[:7].double(), entropy, rtol=1e-5, atol=1e-5)


@every_path
def test_half_precision_adds_its_own_rounding_and_nothing_else(path):
    problem = sharp(dtype=torch.bfloat16)
    loss, theirs = exact(problem)

    found, ours = filtered(path, 0.3, problem)

    assert found.loss.item() == pytest.approx(loss.item(), rel=1e-5)
    assert found.filter_bound[0] > 0.0
    for a, b, bound in zip(ours, theirs, found.filter_bound.tolist(), strict=True):
        # Exponentials, scaled rows and the result: three roundings of bfloat16 at most, which the
        # interpreter cuts off.
        assert (a - b).norm().item() <= bound + 3 * 2.0**-8 * b.norm().item()


@every_path
def test_equal_calls_give_equal_bits(path):
    first, second = (filtered(path, 0.1, sharp())[1] for _ in range(2))

    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_gradient_of_each_row_is_not_known_before_the_backward_pass():
    X, W, b, y = sharp()
    with pytest.raises(InputError, match="bound of a filter"):
        linear_cross_entropy(X, W, y, linear_bias=b, filter=0.1, reduction="none")


def test_the_plan_names_the_filter_only_if_it_is_asked_for():
    X, W, _, y = sharp()

    assert explain(X, W, y, filter=0.1).path == "cpu-filtered"
    assert "not asked for" in explain(X, W, y).reasons["cpu-filtered"]


@pytest.mark.parametrize("limit", [-0.1, 1.5, math.nan])
def test_a_limit_is_a_probability(limit):
    X, W, _, y = sharp()
    with pytest.raises(InputError, match="filter"):
        linear_cross_entropy(X, W, y, filter=limit)


def test_levels_are_half_octaves_below_the_limit():
    peak = torch.tensor([0.5, 0.2500001, 0.25, 0.2, 0.125, 1e-30, 0.0, math.nan])

    levels = levels_of(peak, 0.25)

    assert levels.tolist() == [0, 0, 1, 1, 3, LEVELS, LEVELS, LEVELS]


def test_the_lowest_level_that_no_row_minds_is_the_first_to_go():
    masses = torch.zeros(2, LEVELS)
    masses[0, [3, 10, 20]] = torch.tensor([0.5, 0.04, 0.02])
    masses[1, 4] = 0.01

    first, dropped = first_dropped_level(masses, 0.1)

    assert first.item() == 5  # levels count from 1; the fourth holds 0.5
    torch.testing.assert_close(dropped, torch.tensor([0.06, 0.01]), rtol=2e-4, atol=0.0)


@pytest.mark.parametrize("limit", [1e-4, 1e-2, 0.2])
def test_no_row_loses_more_than_the_limit_and_nearly_as_much_is_used(limit):
    generator = torch.Generator().manual_seed(8)
    z = 4.0 * torch.randn(40, 9000, generator=generator, dtype=torch.float64)
    z[:, 200:] -= 14.0
    p = z.softmax(dim=1)

    chosen = select(p * 3.0, torch.full((40,), 1 / 3.0, dtype=torch.float64), limit)

    lost = p[:, ~chosen.kept].sum(dim=1)
    assert (lost <= limit).all()
    torch.testing.assert_close(chosen.dropped, lost, rtol=2e-4, atol=1e-12)
    assert 0 < int(chosen.kept.sum()) <= 0.6 * 9000


def test_rows_with_nan_drop_nothing():
    e = torch.rand(3, 50)
    e[1, 4] = math.nan

    assert select(e, torch.full((3,), 1e-3), 0.1).kept.all()
