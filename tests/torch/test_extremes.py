"""Certain, hopeless, excluded and absent: where a careless softmax loses its digits."""

import math

import pytest
import torch

from crossent.torch import explain, linear_cross_entropy, softmax_cross_entropy

ENGINES = ("cpu-blocks", "cpu-held", "cpu-recompute")
every_engine = pytest.mark.parametrize("path", ENGINES)
every_path = pytest.mark.parametrize("path", [*ENGINES, "reference"])


def layer(*logits, dtype=torch.float32):
    """X and W whose logits are the given ones, in a row; both require gradients."""
    W = torch.tensor(logits, dtype=dtype)[:, None].requires_grad_()
    return torch.ones(1, 1, dtype=dtype).requires_grad_(), W


@every_engine
@pytest.mark.parametrize("away", [1.0, 10.0, 30.0, 80.0])
def test_a_loss_near_zero_keeps_its_digits_and_so_does_the_gradient(path, away):
    """Two classes: loss = log1p(e⁻ᵃ), gradient at the label = −1 / (1 + eᵃ), in float32."""
    X, W = layer(away, 0.0)

    loss = linear_cross_entropy(X, W, torch.tensor([0]), path=path)
    loss.backward()

    # exp2 of a rounded exponent: a relative error of 115 · 2⁻²⁴, and a few roundings more.
    tolerance = {"rel": 1e-5 if away > 50 else 3e-6, "abs": 0.0}
    assert loss.item() == pytest.approx(math.log1p(math.exp(-away)), **tolerance)
    expected = 1.0 / (1.0 + math.exp(away))
    assert W.grad[0].item() == pytest.approx(-expected, **tolerance)
    assert W.grad[1].item() == pytest.approx(expected, **tolerance)
    assert X.grad.item() == pytest.approx(-away * expected, **tolerance)


@every_engine
@pytest.mark.parametrize("away", [60.0, 75.0, 100.0, 1000.0, 1e30])
def test_a_hopeless_label_costs_what_it_is_below_the_best_class(path, away):
    """exp(z − z_y) overflows float32 from 88 on; the block is done again."""
    X, W = layer(0.0, -away, -3.0)
    p = 1.0 / (1.0 + math.exp(-3.0))  # of the first class

    loss = linear_cross_entropy(X, W, torch.tensor([1]), path=path)
    loss.backward()

    assert loss.item() == pytest.approx(away - math.log(p), rel=1e-6)
    # 60 nats are 87 powers of two, rounded to 2⁻¹⁸: 3e-6 of an exponential.
    assert W.grad[:, 0].tolist() == pytest.approx([p, -1.0, 1.0 - p], rel=4e-6)


@every_engine
@pytest.mark.parametrize("weight", [1e-15, 1e-30])
def test_a_hopeless_label_of_hardly_any_weight_keeps_its_digits(path, weight):
    """60 nats below, a row's scale is weight · e⁻⁶⁰: below float32's 1e-38, its gradient not."""
    X, W = layer(0.0, -60.0, -3.0)
    weights, p = torch.tensor([weight], dtype=torch.float64), 1.0 / (1.0 + math.exp(-3.0))

    loss = linear_cross_entropy(
        X, W, torch.tensor([1]), sample_weight=weights, reduction="sum", path=path
    )
    loss.backward()

    exact = [weight * share for share in (p, -1.0, 1.0 - p)]
    assert W.grad[:, 0].tolist() == pytest.approx(exact, rel=4e-6, abs=0.0)
    assert X.grad.item() == pytest.approx(60.0 * exact[0] + 57.0 * exact[2], rel=4e-6, abs=0.0)


@every_engine
def test_no_probability_is_above_one_and_no_entropy_below_zero(path):
    """Both are differences of rounded logits here, whose true values are −2e-9 and 4e-8."""
    X, W = layer(40.0, 20.0, -300.0)
    options = {"compute": ["entropy"], "top_k": 1, "chosen": torch.tensor([[0]]), "path": path}

    found = linear_cross_entropy(X, W, torch.tensor([1]), **options)

    assert 0.0 <= found.entropy.item() < 2e-6
    assert -2e-6 < found.top_log_probabilities.item() <= 0.0
    assert -2e-6 < found.chosen_log_probabilities.item() <= 0.0


@every_engine
def test_hopeless_rows_do_not_disturb_the_others(problem, path):
    given = problem("labels", n=200, q=400, dtype=torch.float32, scale=1.0)
    with torch.no_grad():
        given.input[::7] *= 200.0  # logits of some hundreds, in float32
    expected = given.expected("sum")

    loss = given.call(linear_cross_entropy, reduction="sum", path=path)

    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0.0)
    pairs = zip(
        torch.autograd.grad(loss, given.layer),
        torch.autograd.grad(expected, given.layer),
        strict=True,
    )
    for ours, theirs in pairs:
        assert (ours - theirs).norm() < 2e-5 * theirs.norm()


@every_path
def test_an_excluded_class_has_no_probability_and_no_gradient(path):
    X, W = layer(0.0, 0.0, 0.0, dtype=torch.float64)
    b = torch.tensor([0.0, -math.inf, math.log(3.0)], dtype=torch.float64, requires_grad=True)

    found = linear_cross_entropy(
        X, W, torch.tensor([0]), linear_bias=b, compute=["entropy"], top_k=3, path=path
    )
    (found.loss + 0.0 * found.entropy.sum()).backward()

    assert found.loss.item() == pytest.approx(math.log(4.0), rel=1e-14)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert found.entropy.item() == pytest.approx(entropy, rel=1e-14)
    assert found.top_classes.tolist() == [[2, 0, 1]]
    assert found.top_log_probabilities[0, 2].item() == -math.inf
    assert b.grad.tolist() == pytest.approx([-0.75, 0.0, 0.75], rel=1e-14)
    assert W.grad[:, 0].tolist() == pytest.approx([-0.75, 0.0, 0.75], rel=1e-14)


@every_path
def test_the_entropy_of_an_excluded_class_has_a_gradient(path):
    X, W = layer(0.3, 5.0, 0.1, dtype=torch.float64)
    b = torch.tensor([0.0, -math.inf, 0.0], dtype=torch.float64)
    y = torch.tensor([0])

    found = linear_cross_entropy(X, W, y, linear_bias=b, compute=["entropy"], path=path)
    alone = linear_cross_entropy(X, W[[0, 2]], y, compute=["entropy"], path="reference")

    (ours,) = torch.autograd.grad(found.entropy.sum(), W)
    (theirs,) = torch.autograd.grad(alone.entropy.sum(), W)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-16)


@every_path
@pytest.mark.parametrize("entropy", [0.0, 0.3])
def test_a_cap_does_not_bring_an_excluded_class_back(problem, path, entropy):
    """cap(−∞) would be −cap: a class that fills the vocabulary up would get a probability."""
    given = problem("labels", n=12, q=9)
    b = given.linear_bias.detach().clone()
    b[[2, 7]] = -math.inf
    kept = torch.tensor([v for v in range(9) if v not in (2, 7)])
    y = kept[given.target.clamp(min=0) % 7]
    options = {"logit_softcap": 1.5, "compute": ["entropy"], "path": path}
    layer = given.input, given.linear_weight

    def total(found):
        return found.loss + entropy * found.entropy.sum()

    whole = total(linear_cross_entropy(*layer, y, linear_bias=b, **options))
    smaller = total(linear_cross_entropy(*layer, y, linear_bias=b, classes=kept, **options))

    torch.testing.assert_close(whole, smaller, rtol=1e-13, atol=0.0)
    pairs = zip(torch.autograd.grad(whole, layer), torch.autograd.grad(smaller, layer), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("path", ["cpu-recompute", "reference"])
def test_a_cap_does_not_bring_an_excluded_given_logit_back(path):
    z = torch.tensor([[1.0, -math.inf, 2.0]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0])

    loss = softmax_cross_entropy(z, y, logit_softcap=3.0, path=path)
    loss.backward()

    capped = 3.0 * torch.tanh(torch.tensor([1.0, 2.0], dtype=torch.float64) / 3.0)
    p = capped.softmax(dim=0)
    slope = 1.0 - (capped / 3.0) ** 2
    assert loss.item() == pytest.approx(-p[0].log().item(), rel=1e-14)
    expected = [(p[0] - 1.0) * slope[0], 0.0, p[1] * slope[1]]
    assert z.grad[0].tolist() == pytest.approx([float(x) for x in expected], rel=1e-13)


@every_path
def test_a_label_that_is_excluded_costs_infinity(path):
    X, W = layer(0.0, 0.0, 0.0)
    b = torch.tensor([0.0, -math.inf, 0.0])
    options = {"linear_bias": b, "reduction": "sum", "path": path}

    assert linear_cross_entropy(X, W, torch.tensor([1]), **options).item() == math.inf
    smooth = linear_cross_entropy(X, W, torch.tensor([0]), label_smoothing=0.1, **options)
    assert smooth.item() == math.inf


@every_engine
def test_targets_may_give_nothing_to_an_excluded_class(path):
    X, W = layer(0.0, 0.0, 0.0, dtype=torch.float64)
    b = torch.tensor([0.0, -math.inf, 0.0], dtype=torch.float64)
    y = torch.tensor([[0.5, 0.0, 0.5]], dtype=torch.float64)

    loss = linear_cross_entropy(X, W, y, linear_bias=b, path=path)

    assert loss.item() == pytest.approx(math.log(2.0), rel=1e-14)


@every_path
def test_a_mean_over_no_rows_is_not_a_number_and_has_no_gradient(path):
    X, W = layer(1.0, 2.0)
    ignored = torch.tensor([-100])
    options = {"path": path, "label_smoothing": 0.1}

    mean = linear_cross_entropy(X, W, ignored, **options)
    total = linear_cross_entropy(X, W, ignored, reduction="sum", **options)
    found = linear_cross_entropy(X, W, ignored, top_k=2, compute=["entropy"], **options)
    (gradient,) = torch.autograd.grad(mean, W)

    assert math.isnan(mean.item())
    assert total.item() == 0.0
    assert gradient.tolist() == [[0.0], [0.0]]
    assert found.top_classes.tolist() == [[-1, -1]]
    assert found.entropy.isnan().all()


@every_path
def test_what_stands_in_an_ignored_row_does_not_matter(problem, path):
    given = problem("labels", dtype=torch.float64)
    expected = torch.autograd.grad(given.call(linear_cross_entropy, path=path), given.layer)
    with torch.no_grad():
        given.input[2] = math.nan
        given.input[28] = math.inf

    found = torch.autograd.grad(given.call(linear_cross_entropy, path=path), given.layer)

    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)
    assert (found[0][[2, 28]] == 0.0).all()


@every_path
def test_a_nan_stays_in_its_row(problem, path):
    given = problem("labels", ignored=False)
    expected = given.expected("none").detach()
    with torch.no_grad():
        given.input[5, 3] = math.nan

    with torch.no_grad():
        rows = given.call(linear_cross_entropy, reduction="none", path=path)

    assert rows[5].isnan()
    others = torch.arange(29) != 5
    torch.testing.assert_close(rows[others], expected[others], rtol=1e-13, atol=0.0)


@every_path
def test_one_class_costs_nothing_and_teaches_nothing(path):
    X = torch.randn(4, 3, requires_grad=True)
    W = torch.randn(1, 3, requires_grad=True)

    found = linear_cross_entropy(
        X, W, torch.zeros(4, dtype=torch.int64), compute=["entropy"], path=path
    )
    found.loss.backward()

    assert found.loss.item() == 0.0
    assert (found.entropy <= 1e-15).all()  # a difference of two equal logits
    assert (X.grad == 0.0).all()
    assert (W.grad == 0.0).all()


@every_path
def test_one_class_costs_nothing_with_smoothing_either(path):
    generator = torch.Generator().manual_seed(0)
    X, W, b = (torch.randn(shape, generator=generator) for shape in ((40, 7), (1, 7), (1,)))
    y = torch.zeros(40, dtype=torch.int64)

    rows = linear_cross_entropy(
        X, W, y, linear_bias=b, label_smoothing=0.5, reduction="none", path=path
    )

    assert (rows >= 0.0).all()  # what rounding leaves of a difference has no sign
    assert (rows <= 40 * 2.0**-24).all()


@every_path
def test_no_rows_have_a_sum_of_zero(path):
    X, W = torch.zeros(0, 3), torch.ones(5, 3, requires_grad=True)

    loss = linear_cross_entropy(X, W, torch.zeros(0, dtype=torch.int64), reduction="sum", path=path)
    loss.backward()

    assert loss.item() == 0.0
    assert (W.grad == 0.0).all()


@every_engine
def test_strides_do_not_matter(problem, path):
    given = problem("labels")
    expected = given.call(linear_cross_entropy, path=path)
    W = given.linear_weight.detach().T.contiguous().T
    X = torch.stack([given.input.detach()] * 2, dim=2)[:, :, 0]
    y = torch.stack([given.target] * 3, dim=1)[:, 1]
    assert not any(x.is_contiguous() for x in (W, X, y))

    loss = linear_cross_entropy(X, W, y, linear_bias=given.linear_bias, path=path)

    torch.testing.assert_close(loss, expected, rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@every_engine
def test_float32_losses_are_exact_to_a_millionth(problem, path, scale):
    given = problem("labels", n=300, d=64, q=2000, dtype=torch.float32, scale=scale / 8)

    loss = given.call(linear_cross_entropy, path=path)

    torch.testing.assert_close(loss.double(), given.expected(), rtol=1e-6, atol=0.0)


def test_more_logits_than_32_bits_can_count():
    """2.15e9 logits; every row is the same, so the loss has a closed form."""
    n, q = 2**17, 2**14 + 2
    z = torch.linspace(-2.0, 2.0, q)
    X, W = torch.ones(n, 1), z[:, None]
    y = torch.zeros(n, dtype=torch.int64)
    y[-1] = q - 1
    expected = z.double().logsumexp(0) - z[y].double().mean()
    assert explain(X, W, y).logits_bytes > 4 * 2**31

    loss = linear_cross_entropy(X, W, y, path="cpu-recompute")

    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_given_logits_of_half_precision_are_summed_in_float32():
    z = torch.zeros(2, 70000, dtype=torch.float16, requires_grad=True)

    loss = softmax_cross_entropy(z, torch.tensor([3, 69999]))
    loss.backward()

    assert loss.item() == pytest.approx(math.log(70000), rel=1e-6)
    assert z.grad.dtype == torch.float16
    assert z.grad[0, 3].item() == -0.5
