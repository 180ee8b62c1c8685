"""What explain() says, and that memory stays within what it says."""

import ctypes
import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from crossent.errors import InputError
from crossent.torch import PATHS, explain, linear_cross_entropy
from crossent.torch.blocks import Sizes, fused_blocks, recompute_blocks
from crossent.torch.call import Options, Problem
from crossent.torch.cuda_machine import DeviceRates, device_seconds, trial
from crossent.torch.machine import Rates, Tile, rates_of, seconds_of
from crossent.torch.overhead import overhead_seconds
from crossent.torch.path import Step
from crossent.torch.plan import make_plan, path_named
from crossent.torch.result import LinearCrossEntropyResult

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
        ({"logit_softcap": 30.0, "label_smoothing": 0.1}, "cpu-blocks", 3, ""),
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
    assert "time: not predicted" in str(plan)


@pytest.mark.parametrize("blocks_of", [fused_blocks, recompute_blocks])
@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("budget", [None, 10**5, 3 * 10**6, 10**8, 10**10])
@pytest.mark.parametrize("converts", [False, True])
@pytest.mark.parametrize(("spare", "results"), [(0, False), (2, False), (0, True), (2, True)])
def test_blocks_fit_their_budget_and_cover_everything(
    blocks_of, threads, budget, converts, spare, results
):
    shapes = ((1, 1, 1), (100, 8, 17), (2048, 512, 50257), (100000, 64, 1000), (20000, 300, 17))
    for n, d, q in shapes:
        sizes = Sizes(n, d, q, 4, converts, threads, spare_tiles=spare, makes_results=results)
        blocks = blocks_of(sizes, budget)
        if blocks is None:
            continue
        widened = 2 * n * d * 4 * converts  # X and ∂X in float32, whatever the blocks
        assert blocks.bytes <= (budget or max(n * q * 4 // 10, 2**22 + widened))
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
def test_memory_stays_within_the_plan_and_a_tenth_of_the_logits(options):
    plan, used = plan_and_memory(**options)

    assert plan.workspace_bytes <= plan.logits_bytes / 10
    assert used <= plan.workspace_bytes + SLACK


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        (torch.float32, {"filter": 1e-3}),
        (torch.float32, {"filter": 0.2}),
        (torch.bfloat16, {"filter": 0.2}),
        (torch.bfloat16, {"filter": 0.2, "max_workspace_bytes": 60 * 10**6}),
        (torch.float32, {"filter": 0.2, "compute": ["entropy"]}),
        (torch.float32, {"path": "reference"}),
    ],
    ids=["filter", "much", "half", "budget", "entropy", "reference"],
)
def test_memory_of_filters_and_of_the_definition_stays_within_the_plan(dtype, options):
    X, W, y = sharp_layer(dtype)
    plan = explain(X, W, y, **options)

    # All tensors made, in this thread: what the system counts holds buffers of the library too,
    # which packs W for a product with all classes.
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        torch.autograd.grad(loss_of(X, W, y, options), (X, W))
    events = profiled.profiler.kineto_results.events()
    made = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    highest = max(itertools.accumulate(size for _, size in made))

    used = highest - W.element_size() * (X.numel() + W.numel())
    # No more, and the plan does not promise much too much either.
    assert used <= plan.workspace_bytes
    assert plan.workspace_bytes < 1.5 * used
    assert plan.workspace_bytes <= options.get("max_workspace_bytes", plan.workspace_bytes)


SLACK = 8e6
"""What is below the threshold of the allocator stays there: 4 MB were seen."""


def loss_of(X, W, y, options):
    result = linear_cross_entropy(X, W, y, **options)
    return getattr(result, "loss", result)


def sharp_layer(dtype):
    n, d, q = 1024, 32, 2**16
    # Logits with a standard deviation of 8: a few classes have nearly all of the probability.
    X = torch.randn(n, d).to(dtype).requires_grad_()
    W = (2**0.5 * torch.randn(q, d)).to(dtype).requires_grad_()
    return X, W, torch.randint(q, (n,))


def plan_and_memory(**options):
    """The plan of a call, and the bytes that it took beside its gradients at its highest."""
    X, W, y = sharp_layer(torch.float32)
    plan = explain(X, W, y, **options)
    # Threads, code, and the buffers that the library's products keep, are there after a first call.
    torch.autograd.grad(loss_of(X, W, y, options), (X, W))
    gradients = 4 * (X.numel() + W.numel())

    # What earlier tests freed goes back to the system, so that it is not used unseen.
    ctypes.CDLL(None).malloc_trim(0)
    CLEAR.write_text("5")
    before = resident_bytes()
    torch.autograd.grad(loss_of(X, W, y, options), (X, W))
    return plan, peak_bytes() - before - gradients


def test_half_precision_of_a_filter_counts_its_wider_copies():
    n, d, q = 256, 64, 4096
    y = torch.zeros(n, dtype=torch.int64)

    def workspace(dtype, **options):
        X, W = (torch.zeros(size, d, dtype=dtype, requires_grad=True) for size in (n, q))
        return explain(X, W, y, filter=0.1, **options).workspace_bytes

    # X, W, ∂X and ∂W in float32, and a zero bias.
    wide = 4 * (2 * (n + q) * d + q)
    assert workspace(torch.bfloat16) - workspace(torch.float32) == wide
    with pytest.raises(InputError, match=r"needs \d+") as caught:
        workspace(torch.bfloat16, max_workspace_bytes=wide)
    needed = int(re.search(r"needs (\d+)", str(caught.value))[1])
    assert needed > wide
    assert workspace(torch.bfloat16, max_workspace_bytes=needed) == needed


def problem_of_size(n, d, q, **changes):
    problem = Problem(
        n_rows=n,
        n_features=d,
        n_classes=q,
        dtype="float32",
        device="cpu",
        needs_input=True,
        needs_weight=True,
        needs_bias=False,
        needs_others=False,
        has_targets=False,
        n_labels=1,
        options=Options(),
    )
    return replace(problem, **changes)


@pytest.mark.parametrize("path", PATHS, ids=[path.name for path in PATHS])
def test_the_steps_of_every_path_make_up_its_products(path):
    wanted = itertools.product(
        (False, True), (False, True), ("mean", "none"), ("float32", "bfloat16"), (0, 64)
    )
    seen = 0
    for x, w, reduction, dtype, d in wanted:
        options = Options(
            reduction=reduction,
            path=path.name,
            filter=0.1 if path.name.endswith("filtered") else None,
            max_workspace_bytes=2**30,
        )
        problem = problem_of_size(
            3000,
            d,
            20_000,
            dtype=dtype,
            device="cuda" if path.name.startswith("cuda") else "cpu",
            needs_input=x,
            needs_weight=w and d > 0,
            options=options,
        )
        if path.refusal(problem) is not None:
            continue
        seen += 1
        cost = path.cost(problem)
        steps = path.steps(problem, cost)
        assert sum(step.products for step in steps) == cost.products
        # X and W at least are read; what is wanted is written.
        least = 2 * (d * (3000 + 20_000) if d else 3000 * 20_000)
        written = 2 * d * (3000 * x + 20_000 * (w and d > 0))
        assert sum(step.traffic for step in steps) >= least + written
    assert seen >= 4


def test_bytes_moved_are_those_counted_by_hand():
    problem = problem_of_size(1000, 16, 3000, options=Options(path="cpu-blocks"))
    x, w, e = 4 * 1000 * 16, 4 * 3000 * 16, 4 * 1000 * 3000
    rows = make_plan(problem).blocks["rows"]
    blocks = -(-1000 // rows)
    # X once; W for each block; E written and read; ∂X written; ∂W written, and added to.
    by_hand = x + blocks * w + 2 * e + x + (2 * blocks - 1) * w
    assert blocks > 1
    assert make_plan(problem).traffic_bytes == by_hand
    frozen = replace(problem, needs_weight=False)
    assert make_plan(frozen).traffic_bytes == by_hand - (2 * blocks - 1) * w

    again = replace(problem, options=Options(path="cpu-recompute"))
    plan = make_plan(again)
    rows, classes = plan.blocks["rows"], plan.blocks["classes"]
    by_hand = x + -(-1000 // rows) * w + 2 * w + -(-3000 // classes) * 3 * x
    assert plan.traffic_bytes == by_hand


class _Counting(TorchDispatchMode):
    """Counts arrays of `size` numbers that operations read, write, and write anew."""

    def __init__(self, size):
        super().__init__()
        self.size, self.moved, self.new = size, 0.0, 0.0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if not function.is_view:
            given = self.arrays((args, kwargs)) if "zeros_like" not in str(function) else []
            own = {x.untyped_storage().data_ptr() for x in given}
            for x in [*given, *self.arrays(made)]:
                self.moved += x.element_size() / 4
            for x in self.arrays(made):
                anew = x.untyped_storage().data_ptr() not in own
                self.new += x.element_size() / 4 * anew
        return made

    def arrays(self, values):
        tensors = [x for x in tree_leaves(values) if isinstance(x, torch.Tensor)]
        whole = [x for x in tensors if x.numel() == self.size]
        # Not a single number, expanded.
        return [x for x in whole if x.untyped_storage().nbytes() >= self.size * x.element_size()]


def test_bytes_moved_by_the_definition_are_those_of_its_operations():
    n, d, q = 40, 8, 300
    X, W = torch.randn(n, d, requires_grad=True), torch.randn(q, d, requires_grad=True)
    problem = problem_of_size(n, d, q, options=Options(path="reference"))
    path = path_named("reference")
    steps = path.steps(problem, path.cost(problem))

    with _Counting(n * q) as forward:
        loss = linear_cross_entropy(X, W, torch.zeros(n, dtype=torch.int64), path="reference")
    with _Counting(n * q) as backward:
        torch.autograd.grad(loss, (X, W))

    layer = (n + q) * d
    # Within the one operation logsumexp: a difference, exponentials and a sum; a mask has a byte
    # a number.
    assert forward.moved + 5 == pytest.approx((steps[0].traffic / 4 - layer) / (n * q), abs=0.6)
    assert forward.new + 1 == pytest.approx(steps[0].new / 4 / (n * q), abs=0.3)
    assert backward.moved == pytest.approx((steps[1].traffic / 4 - 2 * layer) / (n * q), abs=0.3)
    assert backward.new == pytest.approx((steps[1].new / 4 - layer) / (n * q), abs=0.3)


def test_a_time_on_a_processor_is_work_and_waiting_together():
    steps = (Step(2.0, 1.0, 3e9, 1e9), Step(1.0, 0.5, 1e9, 0.0))
    rates = Rates(operations=1e11, logits=2e9, bytes=2e10, new_byte_seconds=1e-10)

    # 3 products of 2·10⁸·50 operations, 1.5 visits of 10⁸ logits, 4 GB moved, 1 GB new.
    expected = 3 * 1e10 / 1e11 + 1.5e8 / 2e9 + 4e9 / 2e10 + 0.1
    assert seconds_of(steps, 50, 1e8, rates) == pytest.approx(expected)


def test_a_time_on_a_device_is_the_longer_of_products_and_bytes_of_each_step():
    rates = DeviceRates(operations=1e14, bytes=1e12)
    products, copies = Step(2.0, traffic=1e9), Step(0.1, traffic=4e9)

    # 2·10⁸·50 = 10¹⁰ operations take 0.1 ms.
    assert device_seconds((products,), 50, 1e8, rates) == pytest.approx(1e-3)
    assert device_seconds((copies,), 50, 1e8, rates) == pytest.approx(4e-3)
    assert device_seconds((products, copies), 50, 1e8, rates) == pytest.approx(5e-3)


def test_exponentials_on_a_large_gpu_take_little_more_than_three_products():
    problem = problem_of_size(
        8192,
        2304,
        256_000,
        dtype="bfloat16",
        device="cuda",
        options=Options(max_workspace_bytes=16 * 2**30),
    )
    rates = DeviceRates(operations=790e12, bytes=4.0e12)
    plan = make_plan(problem)
    three = plan.flops / 790e12

    def seconds(name):
        path = path_named(name)
        given = replace(problem, options=replace(problem.options, path=name))
        return device_seconds(path.steps(given, path.cost(given)), 2304, 8192 * 256e3, rates)

    assert three == pytest.approx(36.7e-3, rel=1e-2)
    assert three < seconds("cuda-exponentials") < 1.02 * three
    # Logits of 8.4 GB are read twice and their gradient is written: 21 GB at 4 TB/s.
    assert seconds("cuda-library") - seconds("cuda-exponentials") == pytest.approx(5.2e-3, rel=0.05)
    assert seconds("cuda-recompute") > 4 / 3 * three


def test_a_trial_divides_what_was_done_by_its_time():
    done = []

    def timer(operation):
        operation()
        done.append(operation)
        return 0.5 * len(done)

    rates = trial(torch.device("cpu"), torch.float32, 24, timer, rows=8, classes=16, copied=10**6)

    assert len(done) == 2
    assert rates == DeviceRates(2.0 * 8 * 16 * 24 / 0.5, 2e6 / 1.0)


def test_rates_of_a_processor_are_those_of_its_operations(monkeypatch):
    """The clock is not asked: each trial takes a second here, whatever runs beside this test."""
    tried = []

    def second(operation, threads):
        operation(threads - 1)
        tried.append(operation)
        return 1.0

    monkeypatch.setattr("crossent.torch.machine._best", second)
    rates = rates_of(Tile(64, 511, 37, 4, 3))

    assert len(tried) == 2
    assert rates.operations == 3 * 2.0 * 3 * 64 * 511 * 37
    assert rates.logits == 3 * 64 * 511
    assert rates.bytes > 0
    assert rates.new_byte_seconds >= 0


def test_the_fixed_cost_grows_with_the_blocks_of_rows(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("crossent.torch.overhead.time.perf_counter", lambda: clock[0])

    def run(call):
        """2 ms and 1 ms a row."""
        clock[0] += 2e-3 + 1e-3 * len(call.input)
        return LinearCrossEntropyResult(call.input.sum() + call.weight.sum())

    one, five = (
        overhead_seconds(run, "any", "float32", blocks=blocks, rows=3, filters=False)
        for blocks in (1, 5)
    )

    # One row takes 3 ms, four blocks of three rows 14 ms: each block after the first 11 / 3 ms.
    assert one == pytest.approx(3e-3)
    assert five == pytest.approx(3e-3 + 4 * 11e-3 / 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "time: about"),
        ({"max_workspace_bytes": 10**6}, "time: about"),
        ({"path": "reference"}, "time: about"),
        ({"filter": 0.1}, "time: at most about"),
    ],
    ids=["blocks", "recompute", "reference", "filter"],
)
def test_every_path_on_cpus_predicts_the_time_of_its_steps(monkeypatch, options, words):
    monkeypatch.setattr("crossent.torch.machine._tile_rates", lambda *_: (1e10, 1e8))
    monkeypatch.setattr("crossent.torch.machine._memory_rates", lambda *_: (1e9, 1e-10))
    monkeypatch.setattr("crossent.torch.plan.overhead_seconds", lambda *_, **__: 0.5)
    n, d, q = 256, 64, 8192
    X, W = (torch.ones(size, d, requires_grad=True) for size in (n, q))

    plan = explain(X, W, torch.zeros(n, dtype=torch.int64), **options)

    work = plan.flops / 1e10 + plan.traffic_bytes / 1e9 + 0.5
    visits = {"cpu-recompute": 2, "reference": 0}.get(plan.path, 1)
    rest = plan.predicted_seconds - work - visits * n * q / 1e8
    # What is left is for memory that is new: workspace and gradients at least.
    assert rest >= 1e-10 * (plan.workspace_bytes if visits else plan.logits_bytes)
    assert rest < 1e-9 * (plan.workspace_bytes + 20 * plan.logits_bytes)
    assert words in str(plan)
    assert "traffic: " in str(plan)


def test_what_was_tried_once_is_not_tried_again(layer, monkeypatch):
    first = explain(*layer).predicted_seconds

    def again(*_):
        raise AssertionError

    for name in ("_best", "_least"):
        monkeypatch.setattr(f"crossent.torch.machine.{name}", again)
    assert explain(*layer).predicted_seconds == first


def test_in_the_interpreter_no_time_is_predicted():
    pytest.importorskip("triton")
    X, W = torch.ones(4, 2, requires_grad=True), torch.ones(5, 2, requires_grad=True)
    plan = explain(X, W, torch.zeros(4, dtype=torch.int64), path="cuda-exponentials")

    assert plan.predicted_seconds is None
    assert "time: not predicted" in str(plan)
    assert plan.traffic_bytes > 0
