"""Logits held on a GPU from the forward to the backward pass, run in Triton's interpreter."""

from dataclasses import replace

import pytest
import torch

from crossent.errors import InputError
from crossent.torch import explain, linear_cross_entropy
from crossent.torch.call import Options, Problem
from crossent.torch.plan import make_plan

pytest.importorskip("triton")

HELD = {"path": "cuda-held"}
OPTIONS = {
    "plain": {},
    "smoothing": {"label_smoothing": 0.1},
    "cap and smoothing": {"logit_softcap": 2.5, "label_smoothing": 0.1, "temperature": 0.7},
    "z-loss": {"z_loss": 0.02},
}


def relative_error(ours, theirs):
    return ((ours.double() - theirs).norm() / theirs.norm()).item()


@pytest.fixture
def products(monkeypatch):
    """The number of products that made logits; a list of one number."""
    from crossent.torch import cuda

    made, product = [0], cuda.wide_product

    def counting(a, b):
        made[0] += 1
        return product(a, b)

    monkeypatch.setattr(cuda, "wide_product", counting)
    return made


@pytest.mark.parametrize("kind", ["labels", "targets", "top-k"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_gradients_of_each_row_are_those_of_the_formula_without_a_second_product_of_logits(
    problem, products, kind, options
):
    given = problem(kind, dtype=torch.float32, weights=True)
    expected = given.expected("none", **options)
    n = len(given.input)
    upstream = torch.linspace(-1.0, 2.0, n), torch.linspace(3.0, 0.5, n)
    plan = given.call(explain, reduction="none", **HELD, **options)

    rows = given.call(linear_cross_entropy, reduction="none", **HELD, **options)

    assert (plan.path, plan.products) == ("cuda-held", 3.0)
    # Logits are sums of 6 products and a bias, at most 20: 20 · 2⁻²⁴ off, and so exponentials.
    assert relative_error(rows, expected) <= 1e-6
    for above in (*upstream, upstream[0]):  # the graph is used again, with other gradients
        ours = torch.autograd.grad(rows @ above, given.layer, retain_graph=True)
        theirs = torch.autograd.grad(expected @ above.double(), given.layer, retain_graph=True)
        for mine, their in zip(ours, theirs, strict=True):
            assert relative_error(mine, their) <= 2e-6
    assert products[0] == 1


@pytest.mark.parametrize("ignore_index", [None, -100], ids=["silenced", "left out"])
def test_other_outputs_and_ignored_rows_are_served(problem, products, ignore_index):
    given = problem("labels", dtype=torch.float64)
    chosen = torch.stack([torch.full_like(given.target, 7), given.target.clamp(min=0)], dim=1)
    options = {
        "compute": ("entropy", "log_partition", "row_loss"),
        "top_k": 2,
        "chosen": chosen,
        "ignore_index": ignore_index,
    }
    found = given.call(linear_cross_entropy, **HELD, **options)
    plain = given.call(linear_cross_entropy, path="reference", **options)

    def combined(result, scale):
        terms = [result.loss, result.row_loss, result.entropy, result.log_partition]
        terms += [result.top_log_probabilities, result.chosen_log_probabilities]
        return sum(scale**i * x.nan_to_num().sum() for i, x in enumerate(terms))

    for scale in (0.3, -2.0, 0.3):
        ours = torch.autograd.grad(combined(found, scale), given.layer, retain_graph=True)
        theirs = torch.autograd.grad(combined(plain, scale), given.layer, retain_graph=True)
        for mine, their in zip(ours, theirs, strict=True):
            assert relative_error(mine, their) <= 1e-11
    assert not ours[0][given.target == -100].any()
    assert products[0] == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(problem, dtype):
    given = problem("labels", dtype=dtype, n=33, q=130)
    above = torch.linspace(0.5, 2.0, 33)
    expected = given.expected("none")

    rows = given.call(linear_cross_entropy, reduction="none", **HELD)

    assert relative_error(rows, expected) <= 2e-6
    ours = torch.autograd.grad(rows @ above, given.layer)
    theirs = torch.autograd.grad(expected @ above.double(), given.layer)
    for mine, their in zip(ours, theirs, strict=True):
        # The gradient of a logit is rounded, then the product; the interpreter cuts bits off.
        assert relative_error(mine, their) <= 1.1 * torch.finfo(dtype).eps


def test_a_budget_cuts_the_gradient_into_blocks_of_rows(problem, products, monkeypatch):
    monkeypatch.setattr("crossent.torch.cuda_blocks.LEAST_ROWS", 8)
    given = problem("labels", n=61, q=90, dtype=torch.float32, weights=True)
    whole = given.call(explain, reduction="none", **HELD)
    budget = whole.workspace_bytes - 8_000
    asked = {"reduction": "none", "max_workspace_bytes": budget, **HELD}
    plan = given.call(explain, **asked)

    rows = given.call(linear_cross_entropy, **asked)

    assert 8 <= plan.blocks["rows"] < whole.blocks["rows"] == 61
    assert 4 * 61 * 90 < plan.workspace_bytes <= budget
    ours = torch.autograd.grad(rows.sum(), given.layer)
    theirs = torch.autograd.grad(given.expected("none").sum(), given.layer)
    for mine, their in zip(ours, theirs, strict=True):
        assert relative_error(mine, their) <= 2e-6
    assert products[0] == 1


def test_without_room_it_says_how_much_the_logits_take(problem):
    given = problem("labels", n=61, q=90, dtype=torch.float32)

    with pytest.raises(InputError, match=f"To hold the logits takes {4 * 61 * 90} bytes"):
        given.call(linear_cross_entropy, max_workspace_bytes=4 * 61 * 90, **HELD)


# A first pass with the label's logit as shift overflows; it is then done again.
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_a_label_far_below_the_largest_logit_keeps_its_digits(problem):
    given = problem("labels", dtype=torch.float32, scale=20.0, ignored=False)
    with torch.no_grad():
        given.target[:] = given.logits().argmin(dim=1)
    theirs = torch.autograd.grad(given.expected("none").sum(), given.layer)

    rows = given.call(linear_cross_entropy, reduction="none", **HELD)

    # Logits of some thousand, rounded to 2⁻²⁴ of that, stand in an exponent.
    for mine, their in zip(torch.autograd.grad(rows.sum(), given.layer), theirs, strict=True):
        assert relative_error(mine, their) <= 2e-3


def test_a_tensor_changed_between_the_passes_is_noticed(problem):
    given = problem("labels", dtype=torch.float32)
    rows = given.call(linear_cross_entropy, reduction="none", **HELD)
    with torch.no_grad():
        given.linear_weight.add_(1.0)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        rows.sum().backward()


def on_cuda(**options):
    return Problem(
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
        options=Options(**options),
    )


def test_on_a_gpu_logits_are_held_where_that_saves_a_product_and_there_is_room():
    size = 4 * 8192 * 256_000
    room = 16 * 2**30

    taken = make_plan(on_cuda(reduction="none", max_workspace_bytes=room))
    of_rows = make_plan(on_cuda(compute=("row_loss",), max_workspace_bytes=room))

    assert taken.path == of_rows.path == "cuda-held"
    assert taken.products == 3.0
    # The logits in float32, and their gradient in bfloat16.
    assert 1.5 * size < taken.workspace_bytes < 1.6 * size
    small = make_plan(on_cuda(reduction="none", max_workspace_bytes=2**33))
    assert small.path == "cuda-recompute"
    assert f"takes {size} bytes" in small.reasons["cuda-held"]
    assert make_plan(on_cuda(reduction="none")).path == "cuda-recompute"
    plain = make_plan(on_cuda(max_workspace_bytes=room))
    assert plain.path == "cuda-exponentials"
    assert "one number" in plain.reasons["cuda-held"]
    idle = replace(on_cuda(reduction="none"), needs_input=False, needs_weight=False)
    assert "No gradient" in make_plan(idle).reasons["cuda-held"]
