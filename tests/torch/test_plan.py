"""What explain() says, and that memory stays within what it says."""

import re
from pathlib import Path

import pytest
import torch

from crossent.torch import PATHS, explain, linear_cross_entropy
from crossent.torch.blocks import Sizes, fused_blocks, recompute_blocks

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def wide(**options):
    """A plan for 2048 × 512 × 50257 float32, from shapes alone."""
    X = torch.empty(2048, 512, device="meta", requires_grad=True)
    W = torch.empty(50257, 512, device="meta", requires_grad=True)
    return X, W, torch.zeros(2048, dtype=torch.int64, device="meta")


@pytest.fixture
def layer():
    X = torch.zeros(2048, 512, requires_grad=True)
    W = torch.zeros(50257, 512, requires_grad=True)
    return X, W, torch.zeros(2048, dtype=torch.int64)


def test_a_plan_says_path_cost_and_every_reason(layer):
    plan = explain(*layer)

    text = str(plan)
    assert plan.path == "cpu-blocks"
    assert plan.products == 3
    assert plan.flops == 3 * 2 * 2048 * 512 * 50257
    assert plan.logits_bytes == 4 * 2048 * 50257
    assert 0 < plan.workspace_bytes <= plan.logits_bytes / 10
    assert plan.predicted_seconds > 0
    assert set(plan.reasons) == {path.name for path in PATHS}
    for part in ("cpu-blocks", "3 matrix products", "taken.", "reference: could serve"):
        assert part in text


@pytest.mark.parametrize(
    ("options", "path", "products", "reason"),
    [
        ({"reduction": "none"}, "cpu-recompute", 4, "gives each row a gradient"),
        ({"max_workspace_bytes": 10**6}, "cpu-recompute", 4, "too little"),
        ({"logit_softcap": 30.0}, "cpu-blocks", 3, ""),
        ({"logit_softcap": 30.0, "label_smoothing": 0.1}, "cpu-recompute", 4, "cap"),
        ({"label_smoothing": 0.1, "z_loss": 1e-4, "temperature": 2.0}, "cpu-blocks", 3, ""),
        ({"path": "reference"}, "reference", 3, "`path` asks for"),
    ],
)
def test_options_change_the_path_only_with_a_reason(layer, options, path, products, reason):
    plan = explain(*layer, **options)

    assert (plan.path, plan.products) == (path, products)
    assert reason in plan.reasons["cpu-blocks"]


def test_a_device_without_an_engine_is_served_by_the_definition():
    plan = explain(*wide())

    assert plan.path == "reference"
    assert "on meta" in plan.reasons["cpu-blocks"]
    assert plan.predicted_seconds is None


@pytest.mark.parametrize("blocks_of", [fused_blocks, recompute_blocks])
@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("budget", [None, 10**5, 3 * 10**6, 10**8, 10**10])
@pytest.mark.parametrize("converts", [False, True])
def test_blocks_fit_their_budget_and_cover_everything(blocks_of, threads, budget, converts):
    for n, d, q in ((1, 1, 1), (100, 8, 17), (2048, 512, 50257), (100000, 64, 1000)):
        sizes = Sizes(n, d, q, item=4, converts=converts, threads=threads)
        blocks = blocks_of(sizes, budget)
        if blocks is None:
            continue
        assert blocks.bytes <= (budget or max(n * q * 4 // 10, 2**22))
        assert blocks.threads <= threads
        rows, chunks = blocks.row_blocks(n), blocks.chunks(q)
        assert rows[0].start == 0
        assert rows[-1].stop == n
        assert max(part.stop - part.start for part in rows) <= blocks.rows
        assert chunks[0][0] == 0
        assert chunks[-1][1] == q
        assert max(b - a for a, b in chunks) <= blocks.classes


def peak_bytes() -> int:
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())[1])


def resident_bytes() -> int:
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", STATUS.read_text())[1])


@pytest.mark.skipif(not CLEAR.exists(), reason="/proc of Linux counts the memory")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"path": "cpu-recompute", "max_workspace_bytes": 3 * 2**20},
        {"label_smoothing": 0.1},
        {"logit_softcap": 20.0, "compute": ["entropy"], "top_k": 3},
    ],
    ids=["blocks", "recompute", "smoothing", "outputs"],
)
def test_memory_stays_within_the_plan(options):
    n, d, q = 1024, 32, 2**16
    X, W = torch.randn(n, d, requires_grad=True), torch.randn(q, d, requires_grad=True)
    y = torch.randint(q, (n,))
    plan = explain(X, W, y, **options)
    linear_cross_entropy(X[:64], W[:64], y[:64] % 64, **options)  # threads and code are loaded
    gradients = 4 * (n + q) * d

    CLEAR.write_text("5")
    before = resident_bytes()
    result = linear_cross_entropy(X, W, y, **options)
    torch.autograd.grad(getattr(result, "loss", result), (X, W))
    used = peak_bytes() - before

    assert plan.workspace_bytes <= plan.logits_bytes / 10
    # What is below the threshold of the allocator stays there: 4 MB were seen.
    assert used <= plan.workspace_bytes + gradients + 8e6
