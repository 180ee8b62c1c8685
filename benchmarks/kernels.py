"""Time of one pass for each kernel, beside the machine's matrix product, NumPy's pass and memory.

Everything that is compared is measured in turns, round after round: a neighbour's load falls
on all alike. Reported: best and median over the rounds, and the spread (quartiles over the median).

    python benchmarks/kernels.py [--rounds 15] [--threads N] [--quick]

writes benchmarks/results/kernels.json.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from crossent.kernels import NUMPY_BLOCKS, PassSums, dense, sparse, threads
from crossent.kernels.elementwise import exp_nonpositive
from crossent.typing import Block

RESULTS = Path(__file__).parent / "results" / "kernels.json"
Call = Callable[[], Any]
_PAUSE_S = 0.1
"""OpenBLAS's idle threads spin for tens of milliseconds after a product; let them fall asleep."""


def in_turns(calls: dict[str, Call], rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of each call, measured in turns; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            time.sleep(_PAUSE_S)
            start = time.perf_counter()
            call()
            if round_ > 0:
                seconds[name].append(time.perf_counter() - start)
    return {name: summary(values) for name, values in seconds.items()}


def summary(values: list[float]) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return {
        "best_s": min(values),
        "median_s": float(middle),
        "spread": float((high - low) / middle),
    }


def sums_for(q: int, d: int) -> PassSums:
    return PassSums(gradient_W=np.zeros((q, d)), gradient_b=np.zeros(q))


def numpy_pass(block: Block, W: np.ndarray, b: np.ndarray, out: PassSums) -> None:
    n = block.X.shape[0]
    for start in range(0, n, NUMPY_BLOCKS.block_rows):
        rows = slice(start, min(start + NUMPY_BLOCKS.block_rows, n))
        part = Block(block.X[rows], block.targets[rows], block.sample_weight[rows], None, start)
        NUMPY_BLOCKS.accumulate(part, W, b, out, None)


@numba.njit(nogil=True, fastmath=True)
def _read(x: np.ndarray) -> Any:
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    return total


def reading(X: np.ndarray, n_threads: int) -> Call:
    """Read X once with all threads: no pass over it can be faster."""
    flat = X.reshape(-1)
    edges = np.linspace(0, flat.size, 4 * n_threads + 1).astype(int)

    def call() -> None:
        threads.run(lambda k: _read(flat[edges[k] : edges[k + 1]]), 4 * n_threads, n_threads)

    return call


def dense_case(
    n: int, d: int, q: int, dtype: Any, order: str, options: argparse.Namespace
) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    X = np.asarray(rng.standard_normal((n, d), dtype=np.float32), dtype, order=order)
    square = rng.standard_normal((2048, 2048)).astype(dtype)
    W, b = rng.standard_normal((q, d)) * 0.05, np.zeros(q)
    block = Block(X, rng.integers(0, q, n), np.full(n, 1 / n), None, 0)
    calls: dict[str, Call] = {
        "pass": lambda: dense.accumulate(block, W, b, sums_for(q, d), options.threads),
        "matrix_product": lambda: square @ square,
    }
    if n * q <= 10**7:
        calls["numpy_pass"] = lambda: numpy_pass(block, W, b, sums_for(q, d))
    if order == "C":
        calls["read_X"] = reading(X, options.threads)
    times = in_turns(calls, 3 if n * d * q > 2e10 else options.rounds)
    flops, product = 4.0 * n * d * q, 2.0 * 2048**3
    return {
        "case": f"{n}×{d} {np.dtype(dtype).name} {order}, q={q}",
        **times,
        "gflop_per_s": {
            "best": flops / times["pass"]["best_s"] / 1e9,
            "median": flops / times["pass"]["median_s"] / 1e9,
        },
        "product_gflop_per_s": {
            "best": product / times["matrix_product"]["best_s"] / 1e9,
            "median": product / times["matrix_product"]["median_s"] / 1e9,
        },
        "share_of_product_rate": {
            kind: flops
            / times["pass"][f"{kind}_s"]
            * times["matrix_product"][f"{kind}_s"]
            / product
            for kind in ("best", "median")
        },
    }


def text_like(n: int, d: int, per_row: int, dtype: Any) -> sp.csr_array:
    """Rows of `per_row` draws from features with Zipf frequencies, as text has."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, d + 1) ** 0.7
    columns = rng.permutation(d)[
        rng.choice(d, size=n * per_row, p=frequency / frequency.sum())
    ].astype(np.int32)
    X = sp.csr_array(
        (rng.uniform(size=columns.size).astype(dtype), columns, np.arange(n + 1) * per_row),
        shape=(n, d),
    )
    X.sum_duplicates()
    return X


def csr_case(n: int, d: int, q: int, dtype: Any, options: argparse.Namespace) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    X = text_like(n, d, 190, dtype)
    W, b = rng.standard_normal((q, d)) * 0.05, np.zeros(q)
    block = Block(X, rng.integers(0, q, n), np.full(n, 1 / n), None, 0)
    transposed, residuals = np.ascontiguousarray(W.T.astype(dtype)), np.ones((n, q), dtype)
    calls: dict[str, Call] = {
        "pass": lambda: sparse.accumulate(block, W, b, sums_for(q, d), options.threads),
        "scipy_forward": lambda: X @ transposed,
        "scipy_backward": lambda: X.T @ residuals,
        "numpy_pass": lambda: NUMPY_BLOCKS.accumulate(block, W, b, sums_for(q, d), None),
    }
    times = in_turns(calls, options.rounds)
    flops = 4.0 * X.nnz * q
    rate = {name: flops / value["median_s"] / 1e9 for name, value in times.items()}
    rate["scipy_forward"] /= 2
    rate["scipy_backward"] /= 2
    both = times["scipy_forward"]["median_s"] + times["scipy_backward"]["median_s"]
    return {
        "case": f"CSR {n}×{d}, {X.nnz} non-zeros, {np.dtype(dtype).name}, q={q}",
        **times,
        "gflop_per_s": rate,
        "times_scipy_products": both / times["pass"]["median_s"],
        "times_numpy_pass": times["numpy_pass"]["median_s"] / times["pass"]["median_s"],
    }


@numba.njit(nogil=True, error_model="numpy", fastmath={"contract"})
def _exponentials(z: np.ndarray, largest: np.ndarray, out: np.ndarray) -> None:
    for c in range(z.shape[0]):
        row, result = z[c], out[c]
        for i in range(z.shape[1]):
            result[i] = exp_nonpositive(row[i] - largest[i])


def exp_case(dtype: Any, options: argparse.Namespace) -> dict[str, Any]:
    """exp(z - m) on a block that stays in the first-level cache, one thread."""
    z = -np.abs(np.random.default_rng(0).standard_normal((32, 128))).astype(dtype) * 10
    largest, out = np.zeros(128, dtype), np.empty_like(z)

    def compiled() -> None:
        for _ in range(500):
            _exponentials(z, largest, out)

    def numpy() -> None:
        for _ in range(500):
            np.exp(np.subtract(z, largest, out=out), out=out)

    times = in_turns({"compiled": compiled, "numpy": numpy}, options.rounds)
    per_element = {name: value["best_s"] / (500 * z.size) * 1e9 for name, value in times.items()}
    return {"case": f"exp(z - m), {np.dtype(dtype).name}, 1 thread", "ns_per_element": per_element}


START = """
import time
start = time.perf_counter()
import numpy as np
from crossent.kernels import PassSums
from crossent.typing import Block
begun = time.perf_counter()
from crossent.kernels import {module}
loaded = time.perf_counter()
import scipy.sparse as sp
X = np.ones((64, 20), np.{dtype})
X = sp.csr_array(X) if "{module}" == "sparse" else X
block = Block(X, np.zeros(64, int), np.full(64, 1 / 64), None, 0)
def go():
    {module}.accumulate(block, np.zeros((3, 20)), np.zeros(3), PassSums(np.zeros((3, 20)),
                        np.zeros(3)), 2)
ready = time.perf_counter()
go()
first = time.perf_counter()
go()
print(loaded - begun, first - ready, time.perf_counter() - first)
"""


def start_case(module: str, dtype: str) -> dict[str, Any]:
    """Seconds until the first pass in a new process: nothing cached, and cached on disk."""
    found = {"case": f"start of the {module} pass, {dtype}"}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "cached"):
            printed = subprocess.run(
                [sys.executable, "-c", START.format(module=module, dtype=dtype)],
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
                capture_output=True, text=True, check=True,
            ).stdout.split()  # fmt: skip
            keys = ("load_numba_s", "first_pass_s", "second_pass_s")
            found[name] = dict(zip(keys, map(float, printed), strict=True))
    return found


def machine() -> dict[str, Any]:
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = lines[0].split(":")[1].strip() if lines else cpu
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent,
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit,
        "cpu": cpu,
        "cores": threads.usable_cores(),
        "load_at_start": os.getloadavg()[0],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
    }


def report(case: dict[str, Any]) -> None:
    line = case["case"]
    if "share_of_product_rate" in case:
        line += (
            f": {case['pass']['best_s'] * 1e3:.2f} ms best, "
            f"{case['pass']['median_s'] * 1e3:.2f} median, "
            f"{case['gflop_per_s']['median']:.0f} GFLOP/s, share of the product's rate "
            f"{case['share_of_product_rate']['median']:.2f} "
            f"({case['share_of_product_rate']['best']:.2f} best to best)"
        )
        for other, words in (("read_X", "reading X"), ("numpy_pass", "NumPy")):
            if other in case:
                line += f", {words} {case[other]['median_s'] * 1e3:.2f} ms"
    elif "times_scipy_products" in case:
        line += (
            f": {case['pass']['median_s'] * 1e3:.2f} ms, "
            f"{case['gflop_per_s']['pass']:.1f} GFLOP/s, "
            f"{case['times_scipy_products']:.1f}× SciPy's two products, "
            f"{case['times_numpy_pass']:.1f}× the NumPy pass"
        )
    else:
        line += f": { ({k: v for k, v in case.items() if k != 'case'}) }"
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=threads.usable_cores())
    parser.add_argument("--quick", action="store_true", help="five rounds, few cases")
    options = parser.parse_args()
    classes = [2, 3, 4, 5, 7, 10, 16, 26, 32, 40, 64]
    if options.quick:
        options.rounds, classes = 5, [2, 10, 64]
    stamp = machine()
    cases = []

    def add(case: dict[str, Any]) -> None:
        report(case)
        cases.append(case)

    with threadpool_limits(options.threads):
        for dtype in (np.float32, np.float64):
            add(exp_case(dtype, options))
        for q in classes:
            add(dense_case(60_000, 784, q, np.float32, "C", options))
        add(dense_case(60_000, 784, 10, np.float32, "F", options))
        add(dense_case(60_000, 784, 10, np.float64, "C", options))
        add(dense_case(1_000_000, 50, 7, np.float32, "C", options))
        add(dense_case(20_000, 16, 26, np.float64, "C", options))
        add(csr_case(10_003, 43_948, 77, np.float32, options))
        add(csr_case(10_003, 43_948, 77, np.float64, options))
        if not options.quick:
            add(dense_case(60_000, 784, 300, np.float32, "C", options))
            add(dense_case(20_000, 300, 10_000, np.float32, "C", options))
    for module in ("dense", "sparse"):
        add(start_case(module, "float32"))
    RESULTS.parent.mkdir(exist_ok=True)
    settings = {"threads": options.threads, "rounds": options.rounds}
    RESULTS.write_text(
        json.dumps({**stamp, **settings, "cases": cases}, indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    print(f"wrote {RESULTS}")


if __name__ == "__main__":
    main()
