"""Structured linear maps: correctness, start values, accuracy against cost, break-even, kernels.

    CROSSENT_DATA=... python -m benchmarks.structured [--quick] [--resume] [--parts NAMES]

NAMES are parts with commas between them, or one of

judged    correctness, accuracy, fried: what a busy machine does not change
timed     times, hadamard, break_even: minutes on a machine that does nothing else

Parts:

correctness   every map against its dense matrix, its adjoint, differences; Hadamard; Hamilton;
              the kernel error of Fastfood features against their number
              starts: rms of outputs for inputs of rms 1: every map, several sizes, 20 seeds
accuracy      test accuracy, parameters and the certificate on MNIST, Fashion-MNIST, letter and
              clinc150, beside dense and low-rank controls
fried         FastfoodFeatures(8192) and a softmax on MNIST and Fashion-MNIST
times         milliseconds at batch 1, 16, 256, 4096 of every row of accuracy
hadamard      the transform as products of small matrices, beside the butterfly
break_even    milliseconds of n x n maps over those of the dense product, over (n, batch)
fried_choice  C and the bandwidth of fried, on training rows alone; runs only when it is named

A part that is named is measured anew, the others stay as they are in the file; with --resume only
the cells that are missing are measured. All runs in one process on one BLAS thread (--threads).
Results go to benchmarks/results/structured.json (structured_quick.json) after every cell, each part
with a stamp of its own. Seconds of judged parts are those of the CPU, summed over threads; only
timed parts have times that are worth comparing.

Maps that are drawn, or whose problem is not convex, are fitted with three seeds; the others have
one answer. Intervals are 95 %: the binomial error of the test rows, and the spread of the seeds.
Times are the least of several runs, in float32.
"""

import argparse
import json
import math
import os
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import scipy.linalg
from benchmarks.softmax_regression import machine
from benchmarks.structured_fits import SHAPES, accuracy, fried, fried_choice
from benchmarks.structured_times import break_even, hadamard, times

from crossent import datasets
from crossent.features import FastfoodFeatures
from crossent.linear_maps import MAP_NAMES, PHM, hadamard_transform, make_map

RESULTS = Path(__file__).parent / "results"
SIZES = ((10, 784), (26, 16), (150, 512), (512, 512), (1000, 300), (5, 7))
# The cells that each part fills.
CELLS = {
    "correctness": ("correctness", "starts", "transforms", "kernel_error"),
    "accuracy": ("accuracy",),
    "fried": ("fried", "fried_default", "fried_control"),
    "fried_choice": ("fried_choice",),
    "times": ("times",),
    "hadamard": ("hadamard",),
    "break_even": ("break_even",),
}
JUDGED = ("correctness", "accuracy", "fried")
TIMED = ("times", "hadamard", "break_even")


class Results:
    """The file, which cells it has, and where each part was measured."""

    def __init__(self, path, threads, data=tuple(SHAPES)):
        self.path, self.threads, self.data, self.part = path, threads, data, ""
        self.found = self.read()

    def read(self):
        """What the file holds now: another process may fill another part meanwhile."""
        return json.loads(self.path.read_text("utf-8")) if self.path.exists() else {}

    def write(self):
        """The file as a whole, so that nobody reads half of it."""
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.found, indent=1) + "\n", "utf-8")
        new.replace(self.path)

    def begin(self, part, *, resume):
        """The cells that follow are of this part; without `resume` none of it is kept."""
        self.part = part
        if not resume:
            for cells in (*CELLS[part], f"stamp {part}"):
                self.found.pop(cells, None)
            self.write()

    def forget(self, cells, key):
        """Measure this cell anew although it may be there."""
        self.found = self.read()
        self.found.get(cells, {}).pop(key, None)
        self.write()

    def has(self, cells, key):
        """Whether the cell is there."""
        return key in self.found.get(cells, {})

    def cell(self, cells, key, make):
        """The cell, made if it is not there, and written at once."""
        if not self.has(cells, key):
            started = time.perf_counter()
            made = make()
            self.found = self.read()
            self.found.setdefault(cells, {})[key] = made
            self.found[f"stamp {self.part}"] = self.stamp()
            self.write()
            print(f"{cells:12} {key:45} {time.perf_counter() - started:7.1f} s", flush=True)
        return self.found[cells][key]

    def stamp(self):
        """Where, when and with what; the highest load of all cells."""
        before = self.found.get(f"stamp {self.part}", {})
        return machine.describe(self.threads) | {
            "date": machine.now(),
            "commit": machine.commit(),
            "load": max(os.getloadavg()[0], before.get("load", 0.0)),
            "are_times_comparable": self.part in TIMED,
            "versions": {p: version(p) for p in ("crossent", "numpy", "scipy", "scikit-learn")},
        }


# correctness and starts


def map_errors(name, shape):
    """Largest errors relative to the size of the terms, in float64."""
    rng = np.random.default_rng(0)
    linear_map = make_map(name, shape, rng=rng)
    theta = rng.standard_normal(linear_map.n_parameters)
    X, G = rng.standard_normal((20, shape[1])), rng.standard_normal((20, shape[0]))
    W = linear_map.to_dense(theta)
    size = np.linalg.norm(W) * np.linalg.norm(X, axis=1).max()
    image = linear_map.apply(theta, X)
    forward = float(np.vdot(image, G))
    backward = float(np.vdot(X, linear_map.adjoint(theta, G)))
    direction = rng.standard_normal(len(theta))
    slope = float(linear_map.gradient(theta, X, G) @ direction)

    def value(t):
        return float(np.vdot(linear_map.apply(theta + t * direction, X), G))

    # W is a polynomial of degree three at most: Richardson's combination has no truncation error.
    near, far = (value(0.1) - value(-0.1)) / 0.2, (value(0.2) - value(-0.2)) / 0.4
    terms = np.linalg.norm(linear_map.gradient(theta, X, G)) * np.linalg.norm(direction)
    return {
        "apply": float(np.abs(image - X @ W.T).max() / size),
        "adjoint": abs(forward - backward) / (size * np.linalg.norm(G)),
        "gradient": abs((4 * near - far) / 3 - slope) / float(terms),
    }


def transforms():
    """Hadamard against SciPy's matrix, quaternions against Hamilton's product."""
    rng = np.random.default_rng(1)
    errors = []
    for bits in range(13):
        n = 2**bits
        X = rng.standard_normal((4, n))
        exact = X @ scipy.linalg.hadamard(n) / math.sqrt(n)
        errors.append(float(np.abs(hadamard_transform(X) - exact).max()))
    a, b = rng.standard_normal((2, 4))
    product = [a[0] * b[0] - a[1:] @ b[1:], *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))]
    found = PHM((4, 4), algebra="quaternion").apply(a, b[None])[0]
    return {"hadamard": max(errors), "hamilton": float(np.abs(found - product).max())}


def kernel_error(n_components):
    """Root mean square error of the Gaussian kernel over pairs of MNIST images, ten draws."""
    X = datasets.load("mnist").X_test[:200].astype(np.float64)
    squares = ((X[:, None] - X) ** 2).sum(axis=2)
    upper = np.triu_indices(len(X), 1)
    errors = []
    for seed in range(10):
        features = FastfoodFeatures(n_components, dtype=np.float64, random_state=seed).fit(X)
        phi = features.transform(X)
        exact = np.exp(-squares / (2 * features.bandwidth_**2))
        errors.append(np.mean((phi @ phi.T - exact)[upper] ** 2))
    return float(np.sqrt(np.mean(errors)))


def start_rms(name, shape):
    """Smallest, mean and largest output rms over 20 seeds for white inputs of rms 1."""
    found, rows = [], max(4000, 100_000 // max(shape))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        linear_map = make_map(name, shape, rng=rng)
        theta = linear_map.start(rng)
        image = linear_map.apply(theta, rng.standard_normal((rows, shape[1])))
        found.append(float(np.sqrt(np.mean(image**2))))
    return {"least": min(found), "mean": float(np.mean(found)), "most": max(found)}


def correctness(results, quick):
    for name in MAP_NAMES:
        for shape in SIZES[:2] if quick else SIZES:
            key = f"{name} {shape[0]}x{shape[1]}"
            results.cell("correctness", key, lambda n=name, s=shape: map_errors(n, s))
            results.cell("starts", key, lambda n=name, s=shape: start_rms(n, s))
    results.cell("transforms", "errors", transforms)
    for n in (256, 1024) if quick else (128, 512, 2048, 8192):
        results.cell("kernel_error", str(n), lambda n=n: kernel_error(n))


PARTS = {
    "correctness": correctness,
    "accuracy": accuracy,
    "fried": fried,
    "times": times,
    "hadamard": hadamard,
    "break_even": break_even,
    "fried_choice": fried_choice,
}
GROUPS = {"judged": JUDGED, "timed": TIMED, "all": (*JUDGED, *TIMED)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--resume", action="store_true", help="keep the cells that are there")
    parser.add_argument("--parts", default="all", help="judged, timed, all, or names")
    parser.add_argument("--data", default=",".join(SHAPES), help="of the part accuracy")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    parts = GROUPS.get(options.parts, options.parts.split(","))
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    name = "structured_quick.json" if options.quick else "structured.json"
    results = Results(RESULTS / name, options.threads, options.data.split(","))
    from threadpoolctl import threadpool_limits

    with threadpool_limits(options.threads):
        for part in parts:
            results.begin(part, resume=options.resume)
            PARTS[part](results, options.quick)


if __name__ == "__main__":
    main()
