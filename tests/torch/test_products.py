"""Products by oneDNN: the same numbers as torch.mm's, wherever blocks of logits are multiplied."""

import pytest
import torch

from crossent.torch import explain, linear_cross_entropy, products
from crossent.torch.products import ONEDNN, TORCH, products_for

IS_FASTER = products._is_faster  # fixtures replace it
PATHS = ("cpu-blocks", "cpu-held", "cpu-recompute", "cpu-filtered")
OPTIONS = {
    "plain": {},
    "smoothing": {"label_smoothing": 0.1, "temperature": 0.7},
    "cap": {"logit_softcap": 3.0},
    "cap and smoothing": {"logit_softcap": 3.0, "label_smoothing": 0.1, "z_loss": 0.01},
    "rows": {"reduction": "none"},
}
SHAPES = ((7, 5, 3), (1, 1, 1), (96, 33, 17), (2, 300, 1), (40, 1, 9))


def matrices(n, d, q):
    generator = torch.Generator().manual_seed(n + d + q)
    return [torch.randn(shape, generator=generator) for shape in ((n, d), (q, d), (q,), (n, 1))]


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("with_shift", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_both_libraries_write_the_shifted_product(shape, with_bias, with_shift, monkeypatch):
    x, w, bias, shift = matrices(*shape)
    bias, shift = bias if with_bias else None, shift if with_shift else None
    expected = 1.5 * (x.double() @ w.double().T)
    expected = expected if bias is None else expected + bias
    expected = expected if shift is None else expected - shift
    monkeypatch.setattr(products, "_RESULT", 40)  # several results, one after the other

    for library in (TORCH, ONEDNN):
        out = torch.full((len(x), len(w)), torch.nan)
        library.shifted(out, x, w, 1.5, bias, shift)
        # A sum of d products, each near 1, by float32.
        torch.testing.assert_close(out.double(), expected, rtol=0.0, atol=1e-6 * shape[1])


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("beta", [0.0, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_both_libraries_add_a_product_of_turned_matrices_too(shape, beta):
    n, d, q = shape
    x, w, _, _ = matrices(n, d, q)
    tile = x @ w.T
    for a, b in ((tile, w), (tile.T, x)):
        before = torch.ones(len(a), d) if beta else torch.full((len(a), d), torch.nan)
        expected = a.double() @ b.double() + (before.double() if beta else 0.0)
        for library in (TORCH, ONEDNN):
            out = before.clone()
            library.add(out, a, b, beta)
            torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-4)
            alone = library.made(a, b).double() + (1.0 if beta else 0.0)
            torch.testing.assert_close(alone, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("sizes", [(0, 4, 5), (3, 0, 5)])
def test_products_over_nothing_are_what_is_added(sizes):
    n, d, q = sizes
    out = torch.full((n, q), torch.nan)
    ONEDNN.shifted(out, torch.ones(n, d), torch.ones(q, d), 2.0, None, torch.full((n, 1), 3.0))
    assert torch.equal(out, torch.full((n, q), -3.0))

    total = torch.ones(q, d)
    ONEDNN.add(total, torch.ones(q, n), torch.ones(n, d), 1.0)
    assert torch.equal(total, torch.full((q, d), 1.0 + n))


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", ["labels", "targets", "top-k"])
@pytest.mark.parametrize("path", PATHS)
def test_loss_and_gradients_are_those_of_the_formula(problem, threads, path, kind, options):
    if path in ("cpu-blocks", "cpu-filtered") and "reduction" in options:
        pytest.skip("this path makes gradients before what comes from above is known")
    options = {**options, "filter": 0.0} if path == "cpu-filtered" else options
    threads(2)
    given = problem(kind, n=70, d=9, q=150, dtype=torch.float32, weights=True)
    formula = {name: x for name, x in options.items() if name not in ("filter", "reduction")}
    reduction = options.get("reduction", "mean")
    theirs = given.expected(reduction, **formula)
    expected = torch.autograd.grad(theirs.sum(), given.layer)

    found = given.call(linear_cross_entropy, path=path, **options)
    ours = getattr(found, "loss", found)
    made = torch.autograd.grad(ours.sum(), given.layer)

    # Logits of some tens, rounded to 2⁻²⁴ of that, in sums of products.
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-7)
    for one, other in zip(made, expected, strict=True):
        atol = 3e-5 * other.abs().max().item()
        torch.testing.assert_close(one, other, rtol=0.0, atol=atol)


@pytest.mark.usefixtures("onednn")
def test_half_precision_is_multiplied_in_float32_by_onednn_too(problem):
    given = problem("labels", n=60, d=8, q=120, dtype=torch.bfloat16)
    wide = [x.detach().float().requires_grad_() for x in given.layer]
    theirs = linear_cross_entropy(*wide[:2], given.target, linear_bias=wide[2])
    ours = given.call(linear_cross_entropy)

    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0.0)
    made, expected = torch.autograd.grad(ours, given.layer), torch.autograd.grad(theirs, wide)
    for x, y in zip(made, expected, strict=True):
        torch.testing.assert_close(x.float(), y, rtol=2.0**-8, atol=1e-6)


@pytest.mark.usefixtures("onednn")
def test_equal_calls_give_equal_bits(problem, threads):
    threads(3)
    given = problem("labels", n=300, d=16, q=3000, dtype=torch.float32)

    def once():
        loss = given.call(linear_cross_entropy, path="cpu-blocks")
        return [loss.detach(), *torch.autograd.grad(loss, given.layer)]

    first = once()
    for _ in range(4):
        assert all(torch.equal(one, other) for one, other in zip(once(), first, strict=True))


@pytest.mark.usefixtures("onednn")
def test_plans_count_what_products_make_beside_their_memory():
    X = torch.empty(1024, 256, requires_grad=True)
    W = torch.empty(32768, 256, requires_grad=True)
    y = torch.zeros(1024, dtype=torch.int64)
    for options in ({}, {"max_workspace_bytes": 2 * 10**7}, {"reduction": "none"}):
        plan = explain(X, W, y, **options)
        rows, classes, threads = (plan.blocks[k] for k in ("rows", "classes", "threads"))
        beside = 4 * threads * classes * (256 + rows)
        kept = 4 * rows * 32768 if plan.path == "cpu-blocks" else 4 * 2 * threads * rows * classes
        assert plan.workspace_bytes >= kept + beside
        assert plan.workspace_bytes <= options.get("max_workspace_bytes", plan.logits_bytes // 10)


@pytest.mark.parametrize(
    ("capability", "vendor", "answers", "expected"),
    [
        ("AVX512", "AuthenticAMD", True, ONEDNN),
        ("AVX512", "GenuineIntel", True, TORCH),
        ("AVX2", "AuthenticAMD", True, TORCH),
        ("AVX512", "AuthenticAMD", False, TORCH),
    ],
)
def test_onednn_multiplies_where_the_other_library_leaves_instructions_unused(
    monkeypatch, capability, vendor, answers, expected
):
    monkeypatch.setattr(products, "_is_faster", IS_FASTER.__wrapped__)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(products, "_vendor", lambda: vendor)
    monkeypatch.setattr(products, "_answers", lambda: answers)

    assert products_for(torch.float32) is expected
    assert products_for(torch.float64) is TORCH


@pytest.mark.usefixtures("onednn")
def test_who_switches_onednn_off_does_not_get_it():
    assert products_for(torch.float32) is ONEDNN
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        assert products_for(torch.float32) is TORCH
    finally:
        torch._C._set_mkldnn_enabled(before)


def test_the_processors_maker_is_read_where_the_system_tells(monkeypatch, tmp_path):
    told = tmp_path / "cpuinfo"
    told.write_text("processor : 0\nvendor_id\t: AuthenticAMD\nmodel name : A B C\n", "utf-8")
    monkeypatch.setattr(products, "_PROCESSOR", told)
    assert products._vendor() == "AuthenticAMD"

    monkeypatch.setattr(products, "_PROCESSOR", tmp_path / "none")
    monkeypatch.setattr(products.platform, "processor", lambda: "AMD64 Family 26, AuthenticAMD")
    assert products._vendor() == "AuthenticAMD"


def test_an_operator_that_is_missing_or_wrong_is_not_used(monkeypatch):
    def missing():
        raise AttributeError

    monkeypatch.setattr(products, "_operator", missing)
    assert not products._answers()
    monkeypatch.setattr(products, "_operator", lambda: lambda x, w, *_: 2.0 * (x @ w.T))
    assert not products._answers()
    monkeypatch.setattr(products, "_operator", lambda: lambda x, w, *_: x @ w.T)
    assert products._answers()
