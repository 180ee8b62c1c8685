"""The Triton kernels against their definitions in float64, in the interpreter or on a GPU."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

from crossent.kernels.triton_exponentials import Asked, exponentials, redo_rows
from crossent.kernels.triton_filter import (
    FilterShape,
    column_peaks,
    dropped_columns,
    level_masses,
)
from crossent.kernels.triton_gathered import (
    GatheredShape,
    StandIn,
    gathered_product,
    kept_lists,
)
from crossent.kernels.triton_gradient import RowNumbers, logit_gradients
from crossent.kernels.triton_jit import LOG2_E, TileShape
from crossent.kernels.triton_settle import scale_rows
from crossent.torch.engine import RowLogits

TILE = TileShape(16, 32, 16, group=3)
DESCRIPTORS = TileShape(16, 32, 16, group=3, descriptors=True)
EDGES = [(1, 1, 1), (16, 16, 32), (17, 15, 31), (33, 40, 65)]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def random(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).to(DEVICE)


def make(n, d, q, dtype=torch.float32, softcap=None, given=False):
    bias = random(q, seed=3, dtype=dtype)
    x = random(n, q if given else d, seed=1, dtype=dtype)
    w = None if given else random(q, d, seed=2, dtype=dtype)
    return RowLogits(x, w, bias, softcap, 1.3)


def logits_of(row_logits):
    """In float64, in units of log 2."""
    x, w = row_logits.input.double(), row_logits.weight
    s = (x if w is None else x @ w.double().T) + row_logits.bias.double()
    cap = row_logits.softcap
    z = s if cap is None else cap * torch.tanh(s / cap)
    return z / row_logits.temperature * LOG2_E


def bound(row_logits):
    """How far a float32 logit can be off: d + 4 roundings of at most the sum of absolute terms."""
    x, w = row_logits.input.double().abs(), row_logits.weight
    s = (x if w is None else x @ w.double().abs().T) + row_logits.bias.double().abs()
    terms = 1 if w is None else w.shape[1]
    eps = 2.0**-53 if row_logits.input.dtype == torch.float64 else 2.0**-24
    return (terms + 6) * eps * (s.amax() / row_logits.temperature * LOG2_E + 2.0)


def first_logit(t, kind):
    return t[:, 0].to(kind)


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("shape", [TILE, DESCRIPTORS], ids=["pointers", "descriptors"])
@pytest.mark.parametrize("sizes", EDGES)
def test_sums_and_stored_exponentials_are_those_of_the_definition(sizes, shape, softcap):
    n, d, q = sizes
    logits = make(n, d, q, softcap=softcap)
    t = logits_of(logits)
    shift = first_logit(t, torch.float32)
    labels = torch.stack([torch.arange(n) % q, torch.full((n,), -1)], dim=1).to(DEVICE)
    u, y, c = random(q, seed=4).abs(), random(n, q, seed=5).abs(), random(q, seed=6).abs()
    stored = torch.full((n, q + 3), 7.0, device=DEVICE)

    found = exponentials(
        logits, shift, Asked(labels, u, y, c, moment=True), shape, stored=stored[:, :q]
    )

    t = t - shift.double()[:, None]
    e = t.exp2().scatter(1, labels[:, :1], 0.0)
    off = bound(logits)
    # An error δ of t changes 2ᵗ by δ log 2 of itself, and t itself by δ; sums of q add q roundings.
    relative = off + q * 2.0**-24
    for ours, terms in [
        (found.total, e),
        (found.moment, e * t),
        (found.spread, u.double() * t),
        (found.targets, (c * y).double() * t),
    ]:
        allowed = 4 * relative * (terms.abs().sum(dim=1) + e.sum(dim=1) + (u.amax() + y.amax()) * q)
        assert ((ours.double().sum(dim=0) - terms.sum(dim=1)).abs() <= allowed).all()
    assert ((found.largest.amax(dim=0).double() - t.amax(dim=1)).abs() <= off).all()
    slope = 1.0 if softcap is None else 1 - ((t + shift.double()[:, None]) * 1.3 / LOG2_E / 2) ** 2
    assert ((stored[:, :q].double() - e * slope).abs() <= 4 * off * e + 1e-30).all()
    assert (stored[:, q:] == 7.0).all()
    assert (stored[:, :q].gather(1, labels[:, :1]) == 0.0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("given", [False, True], ids=["product", "given"])
def test_other_dtypes_are_summed_in_their_arithmetic(dtype, given):
    logits = make(17, 15, 65, dtype=dtype, given=given)
    t = logits_of(logits)
    shift = first_logit(t, torch.float64 if dtype == torch.float64 else torch.float32)

    found = exponentials(logits, shift, Asked(), TILE)

    e = (t - shift.double()[:, None]).exp2().sum(dim=1)
    eps = 2.0**-53 if dtype == torch.float64 else 2.0**-24
    error = (found.total.double().sum(dim=0) - e).abs() / e
    assert error.amax() <= bound(logits) + 65 * eps


def test_the_largest_are_found_in_order_across_tiles():
    logits = make(17, 15, 100)
    t = logits_of(logits)
    shift = torch.zeros(17, device=DEVICE)

    found = exponentials(logits, shift, Asked(top_k=4), TILE)

    values = found.top_values.permute(1, 0, 2).reshape(17, -1)
    classes = found.top_classes.permute(1, 0, 2).reshape(17, -1)
    best = values.topk(4, dim=1)
    assert torch.equal(classes.gather(1, best.indices).long(), t.topk(4, dim=1).indices)


def test_only_marked_rows_are_made_again():
    logits = make(40, 8, 50)
    shift = torch.zeros(40, device=DEVICE)
    first = exponentials(logits, shift, Asked(), TILE)
    before = first.total.clone()
    unsafe = torch.zeros(40, dtype=torch.bool, device=DEVICE)
    unsafe[20] = True
    redo = redo_rows(unsafe, TILE)

    exponentials(logits, torch.full_like(shift, -1.0), Asked(), TILE, before=first, redo=redo)

    assert redo.tolist() == [0, 1, 0]
    assert torch.equal(first.total[:, :16], before[:, :16])
    assert torch.equal(first.total[:, 32:], before[:, 32:])
    # A shift of −1 in units of log 2 doubles every exponential.
    torch.testing.assert_close(first.total[:, 16:32], 2.0 * before[:, 16:32])


@pytest.mark.parametrize("given", [False, True], ids=["product", "given"])
@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("sizes", EDGES)
def test_gradients_are_those_of_the_definition(sizes, softcap, given):
    n, d, q = sizes
    logits = make(n, d, q, softcap=softcap, given=given)
    t = logits_of(logits)
    shift = first_logit(t, torch.float32)
    a, eta, r, dense = (random(n, seed=10 + i) for i in range(4))
    labels = (torch.arange(n) % q)[:, None].to(DEVICE)
    chosen = torch.stack([labels[:, 0], (labels[:, 0] + 1) % q, labels[:, 0]], dim=1)
    at, more = random(n, 1, seed=20), random(n, 3, seed=21)
    u, c, y = random(q, seed=22), random(q, seed=23), random(n, q, seed=24)
    numbers = RowNumbers(shift, a, eta, labels, at, chosen, more, r, u, dense, y, c)
    out = torch.empty(n, q, device=DEVICE)

    gain = torch.tensor(4.0, device=DEVICE)
    logit_gradients(logits, numbers, TILE, out=out, gain=gain)

    away = t - shift.double()[:, None]
    p = (a[:, None] - eta[:, None] * away) * away.exp2()
    g = p.scatter(1, labels, at.double()).scatter_add(1, chosen, more.double())
    g = g - dense[:, None] * c * y - r[:, None] * u
    share = 0.0 if softcap is None else t * 1.3 / LOG2_E / softcap
    expected = g * (1 - share**2) * 4.0 / 1.3
    largest = (p.abs() + 1.0 + away.abs().exp2()).amax()
    assert (out.double() - expected).abs().amax() <= 20 * bound(logits) * largest


def test_gradients_of_some_classes_are_columns_of_the_whole():
    logits = make(17, 15, 80)
    shift = torch.zeros(17, device=DEVICE)
    labels = torch.arange(17, device=DEVICE)[:, None] * 4
    u, y = random(80, seed=1), random(17, 80, seed=2)
    numbers = RowNumbers(
        shift, shift + 1, None, labels, random(17, 1), None, None, shift + 1, u, shift + 1, y, u
    )
    gain = torch.tensor(1.0, device=DEVICE)
    whole, part = torch.empty(17, 80, device=DEVICE), torch.empty(17, 30, device=DEVICE)
    logit_gradients(logits, numbers, TILE, out=whole, gain=gain)
    span = slice(25, 55)
    own = RowLogits(logits.input, logits.weight[span], logits.bias[span], None, 1.3)

    logit_gradients(
        own, numbers.of_classes(span), TILE, out=part, gain=gain, first_class=span.start
    )

    # The order of the 15 products of a logit may differ with the tile that it is in.
    torch.testing.assert_close(part, whole[:, span], rtol=1e-5, atol=1e-5)


def test_given_logits_may_be_overwritten_by_their_gradient():
    logits = make(17, 0, 40, given=True)
    shift = torch.zeros(17, device=DEVICE)
    gain = torch.tensor(1.0, device=DEVICE)
    beside = torch.empty_like(logits.input)
    logit_gradients(logits, RowNumbers(shift, shift + 1), TILE, out=beside, gain=gain)

    logit_gradients(logits, RowNumbers(shift, shift + 1), TILE, out=logits.input, gain=gain)

    assert torch.equal(logits.input, beside)


def test_marked_rows_are_scaled_and_a_factor_of_zero_clears_infinity():
    e = torch.ones(40, 50, device=DEVICE)
    e[20] = math.inf
    factor = torch.ones(40, device=DEVICE)
    factor[20], factor[17] = 0.0, 3.0

    scale_rows(e, factor, redo_rows(factor != 1.0, TILE), TILE)

    assert (e[20] == 0.0).all()
    assert (e[17] == 3.0).all()
    assert (e[:16] == 1.0).all()
    assert (e[32:] == 1.0).all()


def test_offsets_beyond_two_to_the_31_are_right():
    """Two rows whose stored exponentials lie 2³¹ numbers apart; pages between are never touched."""
    logits = make(2, 8, 40, dtype=torch.bfloat16)
    step = 2**31 + 64
    memory = torch.empty(step + 40, dtype=torch.bfloat16, device=DEVICE)
    stored = torch.as_strided(memory, (2, 40), (step, 1))
    t = logits_of(logits)
    shift = first_logit(t, torch.float32)

    exponentials(logits, shift, Asked(), TILE, stored=stored)

    expected = (t - shift.double()[:, None]).exp2()
    # bfloat16 has 8 bits; the interpreter cuts the others off.
    torch.testing.assert_close(stored.double(), expected, rtol=2.0**-7, atol=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_passes_of_the_filter_are_sums_and_maxima_of_groups(dtype):
    n, q, groups = 37, 90, 3
    e = random(n, q, seed=1).abs().to(dtype)
    probability, scale = random(n, seed=2).abs(), random(n, seed=3)
    signs = torch.stack([scale.clamp(min=0.0), scale.clamp(max=0.0)])
    shape = FilterShape(16, 32)
    level = (torch.arange(groups * q, device=DEVICE) % 17).to(torch.int8).view(groups, q)
    dropped = (torch.arange(3 * n, device=DEVICE) % 3 == 0).to(torch.int8).view(3, n)

    peaks = column_peaks(e, probability, scale, shape)
    masses = level_masses(e, level, 16, shape)
    columns = dropped_columns(e, scale, dropped, shape)

    # Sums of at most 90 float32 numbers below 4: 90 roundings of 360 · 2⁻²⁴ are an upper bound.
    near = {"rtol": 1e-6, "atol": 90 * 360 * 2.0**-24 / 10}
    p = torch.nn.functional.pad(e.float() * probability[:, None], (0, 0, 0, 11))
    torch.testing.assert_close(peaks.largest, p.view(groups, 16, q).amax(dim=1), rtol=1e-6, atol=0)
    g = torch.nn.functional.pad(e.float() * signs[:, :, None], (0, 0, 0, 11))
    torch.testing.assert_close(peaks.sums, g.view(2, groups, 16, q).sum(dim=2), **near)
    of_row = level[torch.arange(n, device=DEVICE) // 16]
    expected = [(e.float() * (of_row == name)).sum(dim=1) for name in range(1, 17)]
    torch.testing.assert_close(masses, torch.stack(expected, dim=1), **near)
    gone = dropped[torch.arange(q, device=DEVICE) // 32].T.float()
    expected = (e.float() * gone * signs[:, :, None]).sum(dim=1)
    torch.testing.assert_close(columns, expected, **near)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gathered_product_takes_what_its_group_keeps_and_adds_the_stand_in(dtype, transposed):
    m, inner, columns, groups = 37, 90, 20, 3
    a = random(inner, m, seed=1, dtype=dtype).T if transposed else random(m, inner, dtype=dtype)
    b = random(inner, columns, seed=2, dtype=dtype)
    keep = random(groups, inner, seed=3) > 0.5
    keep[1] = False
    stand_in = StandIn(random(2, m, seed=4), random(2, groups, columns, seed=5))
    scale, out = random(m, seed=6), torch.empty(m, columns, device=DEVICE)
    kept = kept_lists(keep)

    gathered_product(a, b, kept, stand_in, GatheredShape(16, 16, 32), rows=16, out=out, scale=scale)

    group = torch.arange(m, device=DEVICE) // 16
    expected = scale[:, None] * ((a.float() * keep[group]) @ b.float())
    for sign in range(2):
        expected += stand_in.outer[sign][:, None] * stand_in.mean[sign][group]
    assert kept.counts.tolist() == keep.sum(dim=1).tolist()
    assert kept.numbers[0, : kept.counts[0]].tolist() == keep[0].nonzero()[:, 0].tolist()
    # 90 products below 16, times 4: their float32 roundings stay far below 1e-4.
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)


COMPILE = Path(__file__).with_name("compile_kernels.py")


@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles_for_gpus_that_are_not_here(capability, tmp_path):
    """The interpreter takes what the compiler would not; compiling needs no device."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, str(COMPILE), str(capability)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    kernels = json.loads(done.stdout)
    assert len(kernels) >= (10 if capability == 90 else 2)
    for name, facts in kernels.items():
        assert facts["spilled_bytes"] == 0, name
        if capability == 90 and name.endswith("descriptors"):
            assert facts["wgmma"] > 0, name
            assert facts["bulk_copies"] > 0, name
