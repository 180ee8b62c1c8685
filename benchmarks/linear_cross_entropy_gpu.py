"""The section of benchmarks/linear_cross_entropy.py that needs a GPU.

    PYTHONPATH=src python -m benchmarks.linear_cross_entropy_gpu [--rounds 10] [--out FILE]

from the root of the repository, on any machine that has PyTorch, Triton, NumPy and SciPy. Writes
benchmarks/results/linear_cross_entropy_gpu.json, section after section, from which
``python -m benchmarks.linear_cross_entropy --table`` makes the table. What fails is noted with its
reason, and the rest goes on.

First the kernel that stores exponentials against the library's product, then every path that
serves, at the largest shape: that decides between them. Then the grid of shapes, the forward pass
alone, the filtered backward pass on a distribution like a trained model's, memory, and the rivals
that are installed. The yardstick is three library products of the same shapes. Before all,
whether losses and gradients are right on this device; last, whether anything waits for it.
"""

import argparse
import contextlib
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.softmax_regression import machine

from crossent.torch import PATHS, explain, linear_cross_entropy

RESULTS = Path(__file__).parent / "results" / "linear_cross_entropy_gpu.json"
LARGEST = (8192, 2304, 256000)
GRID = [(8192, d, q) for d in (1024, 2048, 4096) for q in (32000, 128256, 151936, 262144)]
FILTER = 2.0**-9
Call = Callable[[], Any]


def gpu_seconds(calls: dict[str, Call], rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of each call by the device's clock, measured in turns; two rounds warm up.

    A call that fails the first time is left out, and said so.
    """
    calls = {name: call for name, call in calls.items() if _runs(name, call)}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 2):
        for name, call in calls.items():
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            end.record()
            torch.cuda.synchronize()
            if round_ > 1:
                seconds[name].append(start.elapsed_time(end) / 1e3)
    return {
        name: {"best_s": min(times), "median_s": float(np.median(times))}
        for name, times in seconds.items()
    }


def _runs(name: str, call: Call) -> bool:
    try:
        call()
        torch.cuda.synchronize()
    except Exception as error:  # whatever others raise must not end the run
        print(f"{name} failed: {type(error).__name__}: {error}"[:300], flush=True)
        torch.cuda.empty_cache()
        return False
    return True


def problem(n: int, d: int, q: int) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    made = {"device": "cuda", "dtype": torch.bfloat16}
    X = torch.randn(n, d, **made).requires_grad_()
    W = (torch.randn(q, d, **made) / d**0.5).requires_grad_()
    return X, W, torch.randint(q, (n,), device="cuda")


def trained_like(n: int, d: int, q: int) -> tuple[Any, Any, Any]:
    """Zipf's frequencies and clusters of topics, so that few classes share most of a row."""
    X, W, _ = problem(n, d, q)
    torch.manual_seed(1)
    topics = torch.randn(64, d, device="cuda", dtype=torch.bfloat16)
    with torch.no_grad():
        X.copy_(topics[torch.randint(64, (n,), device="cuda")] + 0.5 * X)
        W.add_(topics[torch.randint(64, (q,), device="cuda")] * (4.0 / d))
        zipf = -torch.log(torch.arange(1, q + 1, device="cuda", dtype=torch.float32))
        W[:, 0] += (zipf - zipf.mean()).to(W.dtype)
        X[:, 0] = 1.0
        y = torch.cat([_drawn(part, W) for part in X.split(1024)])
    return X, W, y


def _drawn(X: Any, W: Any) -> Any:
    return torch.multinomial((X @ W.T).float().softmax(dim=1), 1)[:, 0]


def products(X: Any, W: Any) -> Call:
    X, W = X.detach(), W.detach()
    Z = torch.empty(len(X), len(W), device="cuda", dtype=X.dtype)
    dX, dW = torch.empty_like(X), torch.empty_like(W)

    def call() -> None:
        torch.mm(X, W.T, out=Z)
        torch.mm(Z, W, out=dX)
        torch.mm(Z.T, X, out=dW)

    return call


def step(loss: Callable[..., Any], X: Any, W: Any, y: Any, **options: Any) -> Call:
    def call() -> None:
        X.grad = W.grad = None
        found = loss(X, W, y, **options)
        getattr(found, "loss", found).backward()

    return call


def serving(X: Any, W: Any, y: Any) -> list[str]:
    """Paths on this device but the definition, which keeps all logits."""
    reasons = explain(X, W, y).reasons
    names = [path.name for path in PATHS if path.name != "reference"]
    return [name for name in names if reasons[name].startswith(("taken", "could serve"))]


def rivals() -> dict[str, Callable[..., Any]]:
    """What is installed of the others, as functions of X, W and y."""
    found: dict[str, Callable[..., Any]] = {}
    with contextlib.suppress(ImportError):
        liger = importlib.import_module("liger_kernel.transformers.functional")
        found["Liger"] = lambda X, W, y: liger.liger_fused_linear_cross_entropy(X, W, y)
    with contextlib.suppress(ImportError):
        cce = importlib.import_module("cut_cross_entropy")
        found["cut-cross-entropy, exact"] = lambda X, W, y: cce.linear_cross_entropy(
            X, W, y, impl="cce_exact"
        )
        found["cut-cross-entropy, filtered"] = lambda X, W, y: cce.linear_cross_entropy(X, W, y)
    if hasattr(torch.nn, "LinearCrossEntropyOptions"):
        pytorch_loss = torch.nn.functional.linear_cross_entropy
        options = torch.nn.LinearCrossEntropyOptions()
        found["PyTorch, chunked"] = lambda X, W, y: pytorch_loss(X, W, y, options=options)
    return found


def exact(shape: tuple[int, int, int], rounds: int, *, with_rivals: bool) -> dict[str, Any]:
    X, W, y = problem(*shape)
    calls = {"three products": products(X, W)}
    for path in serving(X, W, y):
        calls[f"crossent, {path}"] = step(linear_cross_entropy, X, W, y, path=path)
    calls["crossent"] = step(linear_cross_entropy, X, W, y)
    if with_rivals:
        calls |= {name: step(loss, X, W, y) for name, loss in rivals().items()}
    times = gpu_seconds(calls, rounds)
    share = times["three products"]["best_s"] / times["crossent"]["best_s"]
    return {"shape": shape, "times": times, "share_of_three_products": share}


def correct(shape: tuple[int, int, int] = (1000, 320, 5003)) -> dict[str, Any]:
    """Relative errors of loss and gradients of every path against float64, some rows ignored."""
    X, W, y = problem(*shape)
    y[::7] = -100
    wide = [x.detach().double().requires_grad_() for x in (X, W)]
    expected = linear_cross_entropy(*wide, y, path="reference")
    theirs = torch.autograd.grad(expected, wide)
    found: dict[str, Any] = {"shape": shape, "rounding_of_bfloat16": 2.0**-9}
    for path in serving(X, W, y):
        for ignore_index in (None, -100):
            loss = linear_cross_entropy(X, W, y, path=path, ignore_index=ignore_index)
            pairs = zip(torch.autograd.grad(loss, (X, W)), theirs, strict=True)
            errors = [float((a.double() - b).norm() / b.norm()) for a, b in pairs]
            found[f"{path}, ignore_index={ignore_index}"] = {
                "loss": abs(float(loss) / float(expected) - 1.0),
                "gradients": errors,
            }
    return found


def waits(shape: tuple[int, int, int] = (2048, 512, 32000)) -> dict[str, Any]:
    """Whether a step makes the host wait, as PyTorch watches it; whether a graph captures it."""
    X, W, y = problem(*shape)
    call = step(linear_cross_entropy, X, W, y)
    call()
    found: dict[str, Any] = {"step": "nothing waits", "graph": "captured"}
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        call()
    except RuntimeError as error:
        found["step"] = str(error)[:300]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        call()
    torch.cuda.synchronize()
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        graph.replay()
        torch.cuda.synchronize()
    except RuntimeError as error:
        found["graph"] = str(error)[:300]
    return found


def ignored(shape: tuple[int, int, int], rounds: int) -> dict[str, Any]:
    """Three quarters of the rows ignored: left out, which waits once, or silenced."""
    X, W, y = problem(*shape)
    some = y.clone()
    some[torch.rand(len(y), device="cuda") < 0.75] = -100
    calls = {
        "all rows": step(linear_cross_entropy, X, W, y),
        "left out": step(linear_cross_entropy, X, W, some, ignore_index=-100),
        "silenced": step(linear_cross_entropy, X, W, some),
    }
    times = gpu_seconds(calls, rounds)
    faster = times["all rows"]["best_s"] / times["left out"]["best_s"]
    return {"shape": shape, "times": times, "times_faster": faster}


def forward(shape: tuple[int, int, int], rounds: int) -> dict[str, Any]:
    X, W, y = problem(*shape)
    Z = torch.empty(len(X), len(W), device="cuda", dtype=X.dtype)

    def one_product() -> None:
        torch.mm(X.detach(), W.detach().T, out=Z)

    def loss() -> None:
        with torch.no_grad():
            linear_cross_entropy(X, W, y)

    times = gpu_seconds({"one product": one_product, "crossent": loss}, rounds)
    share = times["one product"]["best_s"] / times["crossent"]["best_s"]
    return {"shape": shape, "times": times, "share_of_one_product": share}


def filtered(shape: tuple[int, int, int], rounds: int) -> dict[str, Any]:
    """The filtered pass, its stated bound, and by how much the gradients really differ.

    Gradients are compared with those of float32; what bfloat16 alone makes of them is given too.
    """
    X, W, y = trained_like(*shape)
    wide = [x.detach().float().requires_grad_() for x in (X, W)]
    linear_cross_entropy(*wide, y).backward()
    exact_gradients = [x.grad for x in wide]
    del wide
    linear_cross_entropy(X, W, y).backward()
    rounding = _differences(X, W, exact_gradients)
    X.grad = W.grad = None
    found = linear_cross_entropy(X, W, y, filter=FILTER)
    found.loss.backward()
    differences = _differences(X, W, exact_gradients)
    bound = found.filter_bound.tolist()[:2]
    calls = {
        "exact": step(linear_cross_entropy, X, W, y),
        "filtered": step(linear_cross_entropy, X, W, y, filter=FILTER),
    }
    triples = zip(differences, bound, rounding, strict=True)
    return {
        "shape": shape,
        "filter": FILTER,
        "times": gpu_seconds(calls, rounds),
        "bound": bound,
        "differences": differences,
        "differences_of_exact_bfloat16": rounding,
        "norms": [float(g.norm()) for g in exact_gradients],
        "holds": all(a <= b + 1.5 * c for a, b, c in triples),
    }


def _differences(X: Any, W: Any, exact_gradients: list[Any]) -> list[float]:
    """Frobenius norms, a few rows at a time."""
    squares = []
    for x, g in zip((X, W), exact_gradients, strict=True):
        pairs = zip(x.grad.split(16384), g.split(16384), strict=True)
        squares.append(sum(float((a.float() - b).square().sum()) for a, b in pairs))
    return [square**0.5 for square in squares]


def memory(shape: tuple[int, int, int]) -> dict[str, Any]:
    X, W, y = problem(*shape)
    found: dict[str, Any] = {"shape": shape, "logits_bytes": 2 * len(X) * len(W)}
    for name, loss in {"crossent": linear_cross_entropy, **rivals()}.items():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        if not _runs(name, step(loss, X, W, y)):
            continue
        gradients = sum(x.numel() * x.element_size() for x in (X, W))
        found[name] = torch.cuda.max_memory_allocated() - before - gradients
        X.grad = W.grad = None
    return found


def tried(measured: Call) -> Any:
    """What was measured, or why it was not: the other sections are worth having."""
    try:
        return measured()
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"[:500]}
    finally:
        torch.cuda.empty_cache()


def measure_gpu(rounds: int, out: Path | None = None) -> dict[str, Any]:
    """Everything there is to measure on the first GPU; `out` is written after each section."""
    from benchmarks.linear_cross_entropy_kernel import measure_kernel

    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "capability": list(torch.cuda.get_device_capability()),
        "torch": torch.__version__,
        "date": machine.now(),
        "commit": machine.commit(),
    }

    def grid() -> list[Any]:
        return [tried(lambda s=shape: exact(s, rounds, with_rivals=False)) for shape in GRID]

    sections: dict[str, Call] = {
        "correct": correct,
        "kernel": lambda: measure_kernel(*problem(*LARGEST), gpu_seconds, rounds),
        "largest": lambda: exact(LARGEST, rounds, with_rivals=True),
        "forward": lambda: forward(LARGEST, rounds),
        "filtered": lambda: filtered(LARGEST, rounds),
        "ignored": lambda: ignored(LARGEST, rounds),
        "grid": grid,
        "memory": lambda: memory(LARGEST),
        "waits": waits,  # last: a capture that fails may leave the stream unusable
    }
    for name, measured in sections.items():
        found[name] = tried(measured)
        print(name, json.dumps(found[name]), flush=True)
        if out is not None:
            out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return found


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        return "No CUDA device is here, so the GPU section cannot be measured."
    measure_gpu(given.rounds, given.out)
    return None


if __name__ == "__main__":
    sys.exit(main())
