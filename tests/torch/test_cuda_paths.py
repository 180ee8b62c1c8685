"""The paths for GPUs against PyTorch's own functions in float64; without a GPU, interpreted."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import log_softmax

from crossent.errors import InputError
from crossent.torch import explain, linear_cross_entropy, softmax_cross_entropy
from crossent.torch.call import Options, Problem
from crossent.torch.cuda_blocks import CudaSizes, padded_columns, recompute_cut, whole_rows_cut
from crossent.torch.plan import make_plan

pytest.importorskip("triton")

CUDA = ("cuda-exponentials", "cuda-library", "cuda-recompute")
KINDS = ("labels", "targets", "top-k")
OPTIONS = {
    "plain": {},
    "smoothing": {"label_smoothing": 0.1},
    "temperature": {"temperature": 0.7},
    "cap": {"logit_softcap": 2.5},
    "all": {"label_smoothing": 0.2, "z_loss": 0.02, "temperature": 1.7, "logit_softcap": 4.0},
}
every_path = pytest.mark.parametrize("path", CUDA)
# A first pass with the label's logit as shift may overflow; it is then done again.
overflows = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")


def serves(path, given, **options):
    try:
        given.call(explain, path=path, **options)
    except InputError:
        return False
    return True


def relative_error(ours, theirs):
    return ((ours.double() - theirs).norm() / theirs.norm()).item()


def check(given, path, rtol_loss, rtol_gradient, budget=None, **options):
    """Loss and gradients of the path against the formula, by relative errors."""
    expected = given.expected(**options)
    loss = given.call(linear_cross_entropy, path=path, max_workspace_bytes=budget, **options)
    assert relative_error(loss, expected) <= rtol_loss
    theirs = torch.autograd.grad(expected, given.layer)
    for mine, their in zip(torch.autograd.grad(loss, given.layer), theirs, strict=True):
        assert relative_error(mine, their) <= rtol_gradient


@pytest.mark.parametrize("weights", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
@every_path
def test_loss_and_gradients_are_those_of_the_formula(problem, path, kind, options, weights):
    given = problem(kind, dtype=torch.float32, weights=weights)
    if not serves(path, given, **options):
        pytest.skip("another path serves this")

    # Logits are sums of 6 products and a bias, at most 20: 20 · 2⁻²⁴ off, and so exponentials.
    check(given, path, 1e-6, 2e-6, **options)


@pytest.mark.parametrize("reduction", ["sum", "none"])
@every_path
def test_other_reductions_take_what_comes_from_above(problem, path, reduction):
    given = problem("labels", dtype=torch.float32, weights=True)
    if not serves(path, given, reduction=reduction):
        pytest.skip("another path serves this")
    expected = given.expected(reduction)
    above = torch.arange(1.0, expected.numel() + 1).reshape(expected.shape)

    loss = given.call(linear_cross_entropy, reduction=reduction, path=path)

    assert relative_error(loss, expected) <= 1e-6
    theirs = torch.autograd.grad((expected * above).sum(), given.layer)
    ours = torch.autograd.grad((loss * above).sum(), given.layer)
    for mine, their in zip(ours, theirs, strict=True):
        assert relative_error(mine, their) <= 2e-6


@pytest.mark.parametrize("kind", KINDS)
def test_float64_keeps_its_digits_on_the_librarys_path(problem, kind):
    check(problem(kind, weights=True), "cuda-library", 2e-13, 2e-13, **OPTIONS["all"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_path
def test_half_precision_is_rounded_once_or_twice_and_its_loss_not_at_all(
    problem, path, dtype, kind
):
    given = problem(kind, dtype=dtype, weights=True, n=33, q=130)
    if not serves(path, given):
        pytest.skip("another path serves this")

    # The gradient of a logit is rounded, then the product. The interpreter cuts bits off where a
    # GPU rounds to nearest, so eps and not eps / 2; stored exponentials are multiplied by rounded
    # rows besides.
    check(given, path, 2e-6, 1.1 * torch.finfo(dtype).eps)


@pytest.mark.parametrize(
    "sizes", [(1, 1, 1), (15, 17, 31), (16, 16, 32), (17, 15, 33), (33, 1, 65)]
)
@every_path
def test_sizes_around_the_edges_of_tiles(problem, path, sizes):
    n, d, q = sizes
    given = problem("labels", n=n, d=d, q=q, dtype=torch.float32, ignored=False)
    if q > 1:
        check(given, path, 1e-6, 3e-6, temperature=1.3)
    else:
        loss = given.call(linear_cross_entropy, path=path)
        assert loss.item() == 0.0
        assert all(not g.any() for g in torch.autograd.grad(loss, given.layer))


@overflows
@every_path
def test_a_label_far_below_the_largest_logit_is_exact(path):
    W = torch.tensor([[0.0], [300.0], [299.0], [-1.0]], requires_grad=True)
    X = torch.tensor([[1.0], [0.5], [-1.0]], requires_grad=True)
    y = torch.tensor([0, 0, 3])
    z = X.detach().double() @ W.detach().double().T
    p = z.softmax(dim=1) - torch.nn.functional.one_hot(y, 4)

    rows = linear_cross_entropy(X, W, y, path="cuda-recompute", reduction="none")
    loss = linear_cross_entropy(X, W, y, path=path, reduction="sum")
    of_x, of_w = torch.autograd.grad(loss, [X, W])

    expected = -log_softmax(z, dim=1).gather(1, y[:, None])[:, 0]
    assert expected[0] > 300.0
    torch.testing.assert_close(rows.double(), expected, rtol=1e-6, atol=0.0)
    torch.testing.assert_close(loss.double(), expected.sum(), rtol=1e-6, atol=0.0)
    # In row 0 the classes 1 and 2 keep float32's 300 · 2⁻²⁴ of error in their exponents.
    assert relative_error(of_x, p @ W.detach().double()) < 3e-5
    assert relative_error(of_w, p.T @ X.detach().double()) < 3e-5


@every_path
def test_a_loss_near_zero_keeps_its_digits(path):
    X = torch.ones(2, 1, requires_grad=True)
    W = torch.tensor([[30.0], [0.0], [1.0]], requires_grad=True)

    loss = linear_cross_entropy(X, W, torch.tensor([0, 0]), path=path)
    of_x, of_w = torch.autograd.grad(loss, [X, W])

    odds = math.exp(-30.0) + math.exp(-29.0)
    assert loss.item() == pytest.approx(math.log1p(odds), rel=1e-5)
    # ∂/∂z = (p_0 − 1, p_1, p_2), each row a half of the mean
    p = torch.tensor([-odds, math.exp(-30.0), math.exp(-29.0)], dtype=torch.float64) / (1 + odds)
    torch.testing.assert_close(of_w[:, 0].double(), p, rtol=1e-5, atol=0.0)
    expected = (p @ W.detach().double()[:, 0] / 2).expand(2)
    torch.testing.assert_close(of_x[:, 0].double(), expected, rtol=1e-5, atol=0.0)


@every_path
def test_excluded_classes_take_no_part(problem, path):
    given = problem("labels", dtype=torch.float32)
    bias = given.linear_bias.detach().clone()
    bias[[1, 40]] = -math.inf
    given.target[given.target == 1] = 2
    given.target[given.target == 40] = 3
    kept = torch.tensor([v for v in range(53) if v not in (1, 40)])

    loss = linear_cross_entropy(
        given.input, given.linear_weight, given.target, linear_bias=bias, path=path
    )
    smaller = linear_cross_entropy(
        given.input, given.linear_weight, given.target, linear_bias=bias, path=path, classes=kept
    )

    assert loss.item() == pytest.approx(smaller.item(), rel=1e-6)
    of_w = torch.autograd.grad(loss, given.linear_weight)[0]
    assert not of_w[[1, 40]].any()
    assert of_w.isfinite().all()


@overflows
@every_path
def test_a_target_on_an_excluded_class_costs_infinitely_much(path):
    X, W = torch.ones(2, 1), torch.ones(3, 1)
    bias = torch.tensor([0.0, -math.inf, 0.0])

    loss = linear_cross_entropy(X, W, torch.tensor([1, 0]), linear_bias=bias, path=path)

    assert loss.item() == math.inf


@pytest.mark.filterwarnings("ignore:All-NaN slice encountered:RuntimeWarning")
@every_path
def test_a_row_with_nan_makes_the_loss_nan(problem, path):
    given = problem("labels", dtype=torch.float32)
    with torch.no_grad():
        given.input[1, 1] = math.nan

    assert math.isnan(given.call(linear_cross_entropy, path=path).item())


@every_path
def test_rows_of_weight_zero_have_no_gradient(problem, path):
    given = problem("labels", dtype=torch.float32)
    s = torch.ones(29)
    s[[4, 20]] = 0.0

    loss = given.call(linear_cross_entropy, sample_weight=s, path=path)

    of_x = torch.autograd.grad(loss, given.input, retain_graph=True)[0]
    assert not of_x[[4, 20]].any()
    assert of_x[5].any()
    given.options["sample_weight"] = s
    check(given, path, 1e-6, 2e-6)


@every_path
def test_all_rows_ignored_is_a_mean_over_nothing(path):
    X, W = torch.ones(3, 2, requires_grad=True), torch.ones(4, 2, requires_grad=True)
    y = torch.full((3,), -100)

    total = linear_cross_entropy(X, W, y, reduction="sum", path=path) if path != CUDA[2] else None
    mean = linear_cross_entropy(X, W, y, path=path)

    assert math.isnan(mean.item())
    if total is not None:
        assert total.item() == 0.0
        assert not torch.autograd.grad(total, W)[0].any()


@every_path
def test_outputs_without_logits_and_their_gradients(problem, path):
    given = problem("labels", dtype=torch.float32, ignored=False)
    chosen = torch.stack([given.target, torch.full_like(given.target, 7), given.target], dim=1)
    wanted = ("row_loss", "log_partition", "entropy", "accuracy")

    found = given.call(
        linear_cross_entropy, compute=wanted, top_k=3, chosen=chosen, path=path, temperature=0.8
    )

    z = given.logits(temperature=0.8)
    logs = log_softmax(z, dim=1)
    entropy = -(logs.exp() * logs).sum(dim=1)
    best = logs.topk(3, dim=1)
    pairs = [
        (found.row_loss, -logs.gather(1, given.target[:, None])[:, 0]),
        (found.log_partition, z.logsumexp(dim=1)),
        (found.entropy, entropy),
        (found.top_log_probabilities, best.values),
        (found.chosen_log_probabilities, logs.gather(1, chosen)),
    ]
    assert torch.equal(found.top_classes, best.indices)
    assert found.accuracy.item() == (best.indices[:, 0] == given.target).double().mean()
    for ours, theirs in pairs:
        torch.testing.assert_close(ours.double(), theirs, rtol=2e-6, atol=2e-6)
    ours = sum((a * a.detach().sin()).sum() for a, _ in pairs)
    theirs = sum((b * a.detach().double().sin()).sum() for a, b in pairs)
    grads = zip(
        torch.autograd.grad(ours, given.layer),
        torch.autograd.grad(theirs, given.layer),
        strict=True,
    )
    for mine, their in grads:
        assert relative_error(mine, their) <= 5e-6


@every_path
def test_of_equal_logits_the_lower_class_comes_first(path):
    W = torch.zeros(70, 1)
    W[[69, 33, 5]] = 1.0

    found = linear_cross_entropy(torch.ones(1, 1), W, torch.tensor([33]), top_k=5, path=path)

    assert found.top_classes.tolist() == [[5, 33, 69, 0, 1]]


@every_path
def test_a_budget_cuts_the_work_and_changes_only_roundings(problem, path, monkeypatch):
    given = problem("top-k", n=61, q=90, dtype=torch.float32)
    monkeypatch.setattr("crossent.torch.cuda_blocks.LEAST_ROWS", 8)
    budget = 20_000
    plan = given.call(explain, path=path, max_workspace_bytes=budget)
    assert plan.blocks["rows"] < 61 or plan.blocks["classes"] < 90
    assert plan.workspace_bytes <= budget

    check(given, path, 1e-6, 2e-6, budget, **OPTIONS["smoothing"])


@every_path
def test_too_small_a_budget_says_what_one_row_needs(problem, path):
    given = problem("labels", dtype=torch.float32)
    with pytest.raises(InputError, match=r"one row at a time needs|does not serve this call"):
        given.call(linear_cross_entropy, path=path, max_workspace_bytes=10)


@every_path
def test_equal_calls_give_equal_bits(problem, path):
    given = problem("top-k", dtype=torch.bfloat16)

    def once():
        loss = given.call(linear_cross_entropy, path=path)
        return [loss, *torch.autograd.grad(loss, given.layer)]

    assert all(torch.equal(a, b) for a, b in zip(once(), once(), strict=True))


@every_path
def test_inputs_need_not_be_contiguous(problem, path):
    given = problem("labels", dtype=torch.float32)
    X = given.input.detach().repeat_interleave(2, dim=1)[:, ::2].requires_grad_()
    W = given.linear_weight.detach().T.contiguous().T.requires_grad_()
    moved = replace(given, input=X, linear_weight=W)
    assert not X.is_contiguous()
    assert not W.is_contiguous()

    check(moved, path, 1e-6, 2e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_given_logits_on_the_librarys_path(problem, kind, options):
    given = problem(kind, weights=True)
    z = given.logits().detach().requires_grad_()
    layer = torch.eye(53, dtype=torch.float64), torch.zeros(53, dtype=torch.float64)
    expected = type(given)(z, *layer, given.target, given.options).expected(**options)

    found = softmax_cross_entropy(z, given.target, path="cuda-library", **given.options, **options)

    torch.testing.assert_close(found, expected, rtol=2e-13, atol=0.0)
    ours, theirs = torch.autograd.grad(found, z)[0], torch.autograd.grad(expected, z)[0]
    assert relative_error(ours, theirs) <= 2e-13


def on_cuda(**changes):
    problem = Problem(
        n_rows=8192,
        n_features=2304,
        n_classes=256_000,
        dtype="bfloat16",
        device="cuda",
        needs_input=True,
        needs_weight=True,
        needs_bias=False,
        needs_others=False,
        has_targets=False,
        n_labels=1,
        options=Options(max_workspace_bytes=8 * 2**30),
    )
    return replace(problem, **changes)


def test_on_a_gpu_the_plan_is_three_products_without_logits():
    plan = make_plan(on_cuda())

    assert plan.path == "cuda-exponentials"
    assert plan.products == 3.0
    assert plan.blocks["rows"] == 8192
    # Two bytes for each logit and little more: the logits themselves are nowhere.
    assert 8192 * 256_000 * 2 < plan.workspace_bytes < 8192 * 256_000 * 2 * 1.15


def test_on_a_gpu_the_plan_falls_back_with_a_reason():
    assert make_plan(on_cuda(dtype="float16")).path == "cuda-library"
    assert make_plan(on_cuda(dtype="float64", n_rows=256)).path == "cuda-library"
    assert make_plan(on_cuda(has_targets=True)).path == "cuda-library"
    assert make_plan(on_cuda(options=Options(reduction="none"))).path == "cuda-recompute"
    assert make_plan(on_cuda(n_features=0)).path == "cuda-library"
    assert make_plan(on_cuda(n_features=0)).products == 0.0
    small = make_plan(on_cuda(options=Options(max_workspace_bytes=2**28)))
    assert small.path == "cuda-recompute"
    assert small.products == 4.0
    assert small.workspace_bytes <= 2**28
    assert "too small" in small.reasons["cuda-exponentials"]


def test_on_a_gpu_less_memory_means_blocks_of_rows():
    plan = make_plan(on_cuda(options=Options(max_workspace_bytes=2**32)))

    assert plan.path == "cuda-exponentials"
    assert 1024 <= plan.blocks["rows"] < 8192


@pytest.mark.parametrize("budget", [10**6, 10**7, 10**8, 10**9])
def test_blocks_fit_their_budget_and_hold_something(budget):
    sizes = CudaSizes(5000, 64, 40_000, item=2, wide=4)
    for cut in (whole_rows_cut(sizes, budget, 2), recompute_cut(sizes, budget)):
        if cut is not None:
            assert 1 <= cut.rows <= 5000
            assert 1 <= cut.classes <= 40_000
            assert cut.bytes <= budget
            assert cut.row_blocks(5000)[-1].stop == 5000


@pytest.mark.parametrize("q", [1, 7, 8, 9, 256_000])
def test_stored_rows_are_aligned_and_have_a_column_to_spare(q):
    assert padded_columns(q) % 8 == 0
    assert q < padded_columns(q) <= q + 8
