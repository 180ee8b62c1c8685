"""All bars of the linear cross-entropy in one call: time, memory, options, ignored rows, digits.

    python -m benchmarks.linear_cross_entropy [--rounds 5] [--threads N] [--shapes 2048x512x50257]
    python -m benchmarks.linear_cross_entropy --only options,ignored   # these again
    python -m benchmarks.linear_cross_entropy --table      # the table again, from the results

in the environment of ``make test-torch``. Writes benchmarks/results/linear_cross_entropy.json and
the tables between the marks of docs/linear_cross_entropy.md. What is compared is measured in turns,
round after round, in one process; the best of the rounds counts, and the median is given beside it.
The section for GPUs (benchmarks/linear_cross_entropy_gpu.py) runs where CUDA is.

The yardstick is three ``torch.mm`` of the same shapes into memory that is there already, and one
exp and one multiplication for each logit at the rate that ``torch.exp`` and ``torch.mul`` reach on
an array in cache.
"""

import argparse
import ctypes
import gc
import json
import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.linear_cross_entropy_table import write_tables
from benchmarks.softmax_regression import machine
from torch.nn.functional import linear_cross_entropy as pytorch_loss

from crossent.torch import explain, linear_cross_entropy, products
from crossent.torch.products import products_for

RESULTS = Path(__file__).parent / "results" / "linear_cross_entropy.json"
GPU_RESULTS = Path(__file__).parent / "results" / "linear_cross_entropy_gpu.json"
SHAPES = ((2048, 512, 50257), (1024, 256, 32768), (4096, 1024, 128256))
ACCURACY_SHAPE = (1024, 128, 16384)
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
Call = Callable[[], Any]


def in_turns(calls: dict[str, Call], rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of each call, measured in turns; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if round_ > 0:
                seconds[name].append(time.perf_counter() - start)
    return {
        name: {"best_s": min(times), "median_s": float(np.median(times))}
        for name, times in seconds.items()
    }


def problem(n: int, d: int, q: int, seed: int = 0) -> tuple[Any, Any, Any]:
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(n, d, generator=generator).requires_grad_()
    W = (torch.randn(q, d, generator=generator) / d**0.5).requires_grad_()
    return X, W, torch.randint(q, (n,), generator=generator)


def step(loss: Callable[..., Any], X: Any, W: Any, y: Any, **options: Any) -> Call:
    """A forward and backward pass that leaves fresh gradients, as a training step does."""
    others = [x for x in options.values() if isinstance(x, torch.Tensor) and x.requires_grad]

    def call() -> None:
        for x in (X, W, *others):
            x.grad = None
        found = loss(X, W, y, **options)
        getattr(found, "loss", found).backward()

    return call


def yardstick(n: int, d: int, q: int, X: Any, W: Any) -> dict[str, Call]:
    X, W = X.detach(), W.detach()
    Z, dX, dW = torch.empty(n, q), torch.empty(n, d), torch.empty(q, d)

    def products() -> None:
        torch.mm(X, W.T, out=Z)
        torch.mm(Z, W, out=dX)
        torch.mm(Z.T, X, out=dW)

    return {"three products": products}


def elementwise_rates() -> dict[str, float]:
    """Seconds per number of exp, exp2 and a product, on 2¹⁸ numbers in cache, all threads."""
    x, out = torch.randn(2**18), torch.empty(2**18)
    operations: dict[str, Call] = {
        "exp": lambda: torch.exp(x, out=out),
        "exp2": lambda: torch.exp2(x, out=out),
        "multiply": lambda: torch.mul(x, x, out=out),
    }

    def many(operation: Call) -> Call:
        return lambda: [operation() for _ in range(50)]

    times = in_turns({name: many(f) for name, f in operations.items()}, 20)
    return {name: t["best_s"] / 50 / x.numel() for name, t in times.items()}


def by_torch(call: Call) -> Call:
    """The call with `torch.mm` for its products, whatever the processor."""

    def measured() -> None:
        before, products._is_faster = products._is_faster, lambda: False
        try:
            call()
        finally:
            products._is_faster = before

    return measured


def speed(shape: tuple[int, int, int], rounds: int) -> dict[str, Any]:
    n, d, q = shape
    X, W, y = problem(n, d, q)
    options = torch.nn.LinearCrossEntropyOptions()
    calls = {
        **yardstick(n, d, q, X, W),
        "crossent": step(linear_cross_entropy, X, W, y),
        "crossent by torch.mm": by_torch(step(linear_cross_entropy, X, W, y)),
        "crossent, low memory": step(linear_cross_entropy, X, W, y, path="cpu-recompute"),
        "PyTorch, plain": step(pytorch_loss, X, W, y),
        "PyTorch, chunked": step(pytorch_loss, X, W, y, options=options),
    }
    times = in_turns(calls, rounds)
    rates = elementwise_rates()
    limit = times["three products"]["best_s"] + n * q * (rates["exp"] + rates["multiply"])
    strict = times["three products"]["best_s"] + n * q * (rates["exp2"] + rates["multiply"])
    ours = times["crossent"]["best_s"]
    plan = explain(X, W, y)
    return {
        "shape": shape,
        "times": times,
        "ns_per_number": {name: 1e9 * rate for name, rate in rates.items()},
        "limit_s": limit,
        "share_of_limit": limit / ours,
        "share_of_limit_with_exp2": strict / ours,
        "share_by_torch": limit / times["crossent by torch.mm"]["best_s"],
        "products_by": products_for(torch.float32).name,
        "times_chunked": times["PyTorch, chunked"]["best_s"] / ours,
        "plan": {"path": plan.path, "blocks": plan.blocks, "predicted_s": plan.predicted_seconds},
    }


def with_options(shape: tuple[int, int, int], rounds: int) -> dict[str, Any]:
    """What each option costs beside the plain call; they are measured in turns with it."""
    n, d, q = shape
    X, W, y = problem(n, d, q)
    generator = torch.Generator().manual_seed(1)
    c, s = torch.rand(q, generator=generator), torch.rand(n, generator=generator)
    b = torch.randn(q, generator=generator).requires_grad_()
    cases: dict[str, dict[str, Any]] = {
        "class weights": {"weight": c},
        "row weights": {"sample_weight": s},
        "smoothing": {"label_smoothing": 0.1},
        "smoothing and class weights": {"label_smoothing": 0.1, "weight": c},
        "z-loss": {"z_loss": 1e-4},
        "temperature": {"temperature": 0.7},
        "bias": {"linear_bias": b},
        "log-partition and row losses": {"compute": ("log_partition", "row_loss")},
        "accuracy": {"compute": ("accuracy",)},
        "entropy": {"compute": ("entropy",)},
        "softcap": {"logit_softcap": 30.0},
    }
    plain = step(linear_cross_entropy, X, W, y)
    extra = {
        name: beside(plain, step(linear_cross_entropy, X, W, y, **case), rounds)
        for name, case in cases.items()
    }
    return {"shape": shape, "extra": extra}


def beside(plain: Call, other: Call, rounds: int) -> float:
    """How much longer the other call takes: the median over pairs that follow each other.

    Between pairs the machine may become slower or faster by more than an option costs.
    """
    ratios = []
    for round_ in range(rounds + 1):
        times = []
        for call in (plain, other):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        if round_ > 0:
            ratios.append(times[1] / times[0])
    return float(np.median(ratios)) - 1.0


def with_combinations(shape: tuple[int, int, int], rounds: int) -> dict[str, Any]:
    """Calls whose gradient is not a number per row times exponentials, or not known in time."""
    n, d, q = shape
    X, W, y = problem(n, d, q)
    generator = torch.Generator().manual_seed(1)
    above = torch.rand(n, generator=generator)
    room = {"max_workspace_bytes": 4 * n * q + 2**28}
    capped = {"logit_softcap": 30.0, "label_smoothing": 0.1}
    entropy = {"compute": ("entropy",)}

    def loss(total: Call, *tensors: Any, **options: Any) -> Any:
        return total(linear_cross_entropy(*tensors, **options))

    def rows(**options: Any) -> Call:
        kind = {"reduction": "none", **options}
        return step(partial(loss, lambda found: (found * above).sum()), X, W, y, **kind)

    def with_entropy(**options: Any) -> Call:
        total = partial(loss, lambda found: found.loss - 0.01 * found.entropy.mean())
        return step(total, X, W, y, **entropy, **options)

    cases: dict[str, tuple[Call, dict[str, Any]]] = {
        "plain": (step(linear_cross_entropy, X, W, y), {}),
        "softcap and smoothing": (step(linear_cross_entropy, X, W, y, **capped), capped),
        "rows, logits held": (rows(**room), {"reduction": "none", **room}),
        "rows": (rows(), {"reduction": "none"}),
        "entropy in the loss, logits held": (with_entropy(**room), {**entropy, **room}),
        "entropy in the loss, low memory": (
            with_entropy(path="cpu-recompute"),
            {**entropy, "path": "cpu-recompute"},
        ),
        "PyTorch, rows": (
            step(lambda *xs: (pytorch_loss(*xs, reduction="none") * above).sum(), X, W, y),
            {},
        ),
    }
    times = in_turns({name: call for name, (call, _) in cases.items()}, rounds)
    plain = times["plain"]["best_s"]
    plans = {name: explain(X, W, y, **options) for name, (_, options) in cases.items()}
    return {
        "shape": shape,
        "times": times,
        "over_plain": {name: t["best_s"] / plain for name, t in times.items()},
        "products": {name: plan.products for name, plan in plans.items()},
        "paths": {name: plan.path for name, plan in plans.items()},
    }


def with_ignored_rows(shape: tuple[int, int, int], rounds: int) -> dict[str, Any]:
    X, W, y = problem(*shape)
    some = y.clone()
    some[torch.rand(len(y), generator=torch.Generator().manual_seed(2)) < 0.75] = -100
    calls = {
        "all rows": step(linear_cross_entropy, X, W, y),
        "a quarter": step(linear_cross_entropy, X, W, some),
    }
    times = in_turns(calls, rounds)
    share = float((some == -100).double().mean())
    faster = times["all rows"]["best_s"] / times["a quarter"]["best_s"]
    return {"shape": shape, "ignored": share, "times": times, "times_faster": faster}


def memory(shape: tuple[int, int, int]) -> dict[str, Any]:
    """Highest resident memory of a step beyond what was there and the gradients, by /proc."""
    if not CLEAR.exists():
        return {"shape": shape, "measured": False}
    n, d, q = shape
    X, W, y = problem(n, d, q)
    options = torch.nn.LinearCrossEntropyOptions()
    found: dict[str, Any] = {"shape": shape, "measured": True, "logits_bytes": 4 * n * q}
    for name, call in {
        "crossent": step(linear_cross_entropy, X, W, y),
        "crossent, low memory": step(
            linear_cross_entropy, X, W, y, path="cpu-recompute", max_workspace_bytes=2**23
        ),
        "PyTorch, chunked": step(pytorch_loss, X, W, y, options=options),
    }.items():
        call()  # threads and code are loaded
        X.grad = W.grad = None
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what was freed must not be used unseen
        CLEAR.write_text("5")
        before = _status("VmRSS")
        call()
        found[name] = _status("VmHWM") - before - 4 * (n + q) * d
    return found


def _status(name: str) -> int:
    match = re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text())
    return 1024 * int(match[1]) if match else 0


def accuracy(shape: tuple[int, int, int]) -> dict[str, Any]:
    """Errors against float64 on the same float32 numbers, beside those that rounding makes.

    "rounded": the exact gradients, rounded. "products": the exact gradient of the logits, rounded,
    and then the library's float32 products, without which there is no gradient in float32.
    """
    found: dict[str, Any] = {"shape": shape}
    for name, sharpness in (("usual", 1.0), ("sharp", 8.0), ("hopeless labels", 40.0)):
        X, W, y = problem(*shape)
        with torch.no_grad():
            X.mul_(sharpness)
            if name == "sharp":  # labels that are often the best class: p_y near 1
                y = (X @ W.T).argmax(dim=1)
        wide = [x.detach().double() for x in (X, W)]
        Z = wide[0] @ wide[1].T
        rows = Z.logsumexp(dim=1) - Z.gather(1, y[:, None])[:, 0]
        G = Z.softmax(dim=1)
        G[torch.arange(len(y)), y] -= 1.0
        G /= len(y)
        exact = (G @ wide[1], G.T @ wide[0])
        rounded_G = G.float()
        products = (rounded_G @ W.detach(), rounded_G.T @ X.detach())
        loss = linear_cross_entropy(X, W, y)
        loss.backward()
        ours = (X.grad, W.grad)
        theirs = torch.autograd.grad(pytorch_loss(X, W, y), (X, W))
        found[name] = {
            "loss": abs(loss.item() / rows.mean().item() - 1.0),
            "gradients": [_error(a, b) for a, b in zip(ours, exact, strict=True)],
            "pytorch": [_error(a, b) for a, b in zip(theirs, exact, strict=True)],
            "products": [_error(a, b) for a, b in zip(products, exact, strict=True)],
            "rounded": [_error(b.float(), b) for b in exact],
        }
    return found


def _error(found: Any, exact: Any) -> float:
    return float((found.double() - exact).norm() / exact.norm())


def stamp(threads: int) -> dict[str, Any]:
    packages = ("crossent", "torch", "numpy")
    return {
        **machine.describe(threads),
        "date": machine.now(),
        "commit": machine.commit(),
        "load": list(os.getloadavg()),
        "versions": {name: version(name) for name in packages},
    }


Sections = dict[str, Callable[[], Any]]


def sections_of(shapes: list[tuple[int, int, int]], rounds: int) -> Sections:
    """What is measured, by name."""
    return {
        "speed": lambda: [speed(shape, rounds) for shape in shapes],
        "options": lambda: with_options(shapes[0], rounds),
        "combinations": lambda: with_combinations(shapes[0], rounds),
        "ignored": lambda: with_ignored_rows(shapes[0], rounds),
        "memory": lambda: [memory(shape) for shape in shapes],
        "accuracy": lambda: accuracy(ACCURACY_SHAPE),
    }


def measure(sections: Sections, rounds: int, threads: int, found: dict[str, Any]) -> None:
    """Measure the sections, and write them into `found` with when and where."""
    for name, section in sections.items():
        found[name] = section()
        found.setdefault("stamps", {})[name] = {**stamp(threads), "rounds": rounds}
        print(name, json.dumps(found[name]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--shapes", default=",".join("x".join(map(str, s)) for s in SHAPES))
    parser.add_argument("--only", help="sections to measure again, with commas between")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="write the tables only")
    given = parser.parse_args()
    if not given.table:
        torch.set_num_threads(given.threads)
        shapes = [tuple(map(int, shape.split("x"))) for shape in given.shapes.split(",")]
        sections = sections_of(shapes, given.rounds)
        found: dict[str, Any] = {}
        if given.only:
            sections = {name: sections[name] for name in given.only.split(",")}
            found = json.loads(given.out.read_text("utf-8"))
        measure(sections, given.rounds, given.threads, found)
        given.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if torch.cuda.is_available() and not given.table:
        from benchmarks.linear_cross_entropy_gpu import measure_gpu

        measure_gpu(given.rounds, GPU_RESULTS)
    if given.out == RESULTS:
        found = json.loads(RESULTS.read_text("utf-8"))
        if GPU_RESULTS.exists():
            found["gpu"] = json.loads(GPU_RESULTS.read_text("utf-8"))
        write_tables(found)


if __name__ == "__main__":
    sys.exit(main())
