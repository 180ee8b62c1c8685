"""The section of benchmarks/linear_cross_entropy.py that needs a GPU.

First every path that serves, at the largest shape: that decides between them. Then the grid of
shapes, the forward pass alone, the filtered backward pass on a distribution like a trained model's,
and the rivals that are installed. The yardstick is three library products of the same shapes.
"""

import contextlib
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import linear_cross_entropy as pytorch_loss

from crossent.errors import InputError
from crossent.torch import PATHS, explain, linear_cross_entropy

LARGEST = (8192, 2304, 256000)
GRID = [(8192, d, q) for d in (1024, 2048, 4096) for q in (32000, 128256, 151936, 262144)]
FILTER = 2.0**-9
Call = Callable[[], Any]


def gpu_seconds(calls: dict[str, Call], rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of each call by the device's clock, measured in turns; two rounds warm up."""
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
    """The filtered pass, its stated bound, and by how much the gradients really differ."""
    X, W, y = trained_like(*shape)
    found = linear_cross_entropy(X, W, y, filter=FILTER)
    found.loss.backward()
    gradients = [x.grad.float() for x in (X, W)]
    X.grad = W.grad = None
    linear_cross_entropy(X, W, y).backward()
    pairs = zip(gradients, (X, W), strict=True)
    differences = [float((a - x.grad.float()).norm() / x.grad.float().norm()) for a, x in pairs]
    rows = float((gradients[0] - X.grad.float()).norm(dim=1).max())
    calls = {
        "exact": step(linear_cross_entropy, X, W, y),
        "filtered": step(linear_cross_entropy, X, W, y, filter=FILTER),
    }
    return {
        "shape": shape,
        "filter": FILTER,
        "times": gpu_seconds(calls, rounds),
        "bound": float(found.filter_bound.max()),
        "largest_row_difference": rows,
        "relative_differences": differences,
    }


def memory(shape: tuple[int, int, int]) -> dict[str, Any]:
    X, W, y = problem(*shape)
    found: dict[str, Any] = {"shape": shape, "logits_bytes": 2 * len(X) * len(W)}
    for name, loss in {"crossent": linear_cross_entropy, **rivals()}.items():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(loss, X, W, y)()
        gradients = sum(x.numel() * x.element_size() for x in (X, W))
        found[name] = torch.cuda.max_memory_allocated() - before - gradients
        X.grad = W.grad = None
    return found


def measure_gpu(rounds: int) -> dict[str, Any]:
    """Everything there is to measure on the first GPU."""
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "capability": list(torch.cuda.get_device_capability()),
        "largest": exact(LARGEST, rounds, with_rivals=True),
        "forward": forward(LARGEST, rounds),
    }
    try:
        found["filtered"] = filtered(LARGEST, rounds)
    except InputError as error:
        found["filtered"] = {"refused": str(error)}
    found["grid"] = [exact(shape, rounds, with_rivals=False) for shape in GRID]
    found["memory"] = memory(LARGEST)
    return found
