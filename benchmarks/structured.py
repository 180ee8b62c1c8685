"""Structured linear maps: correctness, start values, accuracy against cost, break-even, kernels.

    CROSSENT_DATA=... python -m benchmarks.structured [--quick] [--resume] [--parts accuracy,…]

Everything runs in one process on one BLAS thread (--threads). Results go to
benchmarks/results/structured.json (structured_quick.json) after every cell, so that --resume goes
on where a run ended. Parts:

correctness  every map against its dense matrix, its adjoint, differences; Hadamard; Hamilton;
             the kernel error of Fastfood features against their number
starts       rms of outputs for inputs of rms 1: every map, several sizes, 20 seeds
accuracy     test accuracy, parameters, milliseconds at batch 1, 16, 256, 4096 and the certificate,
             on MNIST, Fashion-MNIST, letter, clinc150, beside dense and low-rank controls
fried        FastfoodFeatures(8192) and a softmax on MNIST and Fashion-MNIST
break_even   milliseconds of n x n maps over those of the dense product, over (n, batch)

Maps that are drawn, or whose problem is not convex, are fitted with three seeds; the others have
one answer. Intervals are 95 %: the binomial error of the test rows, and the spread of the seeds.
Times are the least of several runs, in float32.
"""

import argparse
import json
import math
import os
import time
import warnings
from functools import partial
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import scipy.linalg
from benchmarks.softmax_regression import machine
from sklearn.exceptions import ConvergenceWarning

from crossent import SoftmaxRegression, datasets
from crossent.features import FastfoodFeatures
from crossent.linear_maps import MAP_NAMES, PHM, Dense, hadamard_transform, make_map
from crossent.linear_model import RangeWarning

RESULTS = Path(__file__).parent / "results"
BATCHES = (1, 16, 256, 4096)
SEEDS = (0, 1, 2)
C = {"mnist": 1.0, "fashion_mnist": 1.0, "letter": 1.0, "clinc150": 10.0}
FRIED_C = {"mnist": 100.0, "fashion_mnist": 10.0}
SIZES = ((10, 784), (26, 16), (150, 512), (512, 512), (1000, 300), (5, 7))
CELLS_N = (64, 128, 256, 512, 1024, 2048, 4096)
CELLS_BATCH = (1, 4, 16, 64, 256, 1024, 4096)
LARGEST_CELL = 4e10  # flops of the dense product: half a second
SECONDS_A_TIME = 0.03


def configurations(q, d):
    """Name of each row of the table: map, its options, whether it needs seeds."""
    ranks = sorted({r for r in (2, 4, 6, 16, 32, 64) if r < min(q, d) and r * (q + d) < q * d})
    factors = [n for n in (2, 4, 8) if n <= min(q, d)]
    found = {"dense": ("dense", {}, False)}
    found |= {f"low_rank {r}": ("low_rank", {"rank": r}, True) for r in ranks[:4]}
    found |= {"block_diagonal 4": ("block_diagonal", {}, True)}
    found |= {name: (name, {}, name == "circulant") for name in ("circulant", "toeplitz")}
    found |= {name: (name, {}, False) for name in ("complex", "quaternion", "octonion")}
    found |= {"fastfood S": ("fastfood", {}, True)}
    found |= {f"phm {n}": ("phm", {"n": n}, True) for n in factors}
    found |= {name: (name, {}, True) for name in ("monarch", "toeplitz_like", "adaptive_fastfood")}
    return found


class Results:
    """The file, and which cells it has."""

    def __init__(self, path, resume, threads):
        self.path = path
        self.found = {"stamp": {}}
        if resume and path.exists():
            self.found = json.loads(path.read_text("utf-8"))
        self.found["stamp"] = machine.describe(threads) | {
            "date": machine.now(),
            "commit": machine.commit(),
            "load": os.getloadavg(),
            "versions": {p: version(p) for p in ("crossent", "numpy", "scipy", "scikit-learn")},
        }

    def cell(self, part, key, make):
        """The cell, made if it is not there, and written at once."""
        cells = self.found.setdefault(part, {})
        if key not in cells:
            started = time.perf_counter()
            cells[key] = make()
            self.path.write_text(json.dumps(self.found, indent=1), "utf-8")
            print(f"{part:12} {key:45} {time.perf_counter() - started:7.1f} s", flush=True)
        return cells[key]


def milliseconds(call):
    """The least of several runs, after one that does not count."""
    call()
    best, spent = math.inf, 0.0
    while spent < SECONDS_A_TIME or spent == best:
        started = time.perf_counter()
        call()
        seconds = time.perf_counter() - started
        best, spent = min(best, seconds), spent + seconds
        if spent > 20 * SECONDS_A_TIME:
            break
    return 1e3 * best


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
    found, rows = [], max(200, 100_000 // max(shape))
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


# accuracy


def split(name):
    """Training and test rows in float32, labels as numbers."""
    if name in ("mnist", "fashion_mnist"):
        data = datasets.load(name)
        parts = (data.X_train, data.y_train, data.X_test, data.y_test)
    elif name == "letter":
        path = Path(os.environ["CROSSENT_DATA"]) / "uci" / "letter.arff"
        lines = path.read_text("utf-8").split("@data" if "@data" in path.read_text() else "@DATA")[
            1
        ]
        table = [line.split(",") for line in lines.split() if line]
        letters = np.array([row[-1].strip("'\"") for row in table])
        X = np.array([row[:-1] for row in table], dtype=np.float64) / 15
        parts = (X[:16000], letters[:16000], X[16000:], letters[16000:])
    else:
        parts = clinc150()
    X, y, X_test, y_test = parts
    classes, labels = np.unique(y, return_inverse=True)
    return (
        np.ascontiguousarray(X, dtype=np.float32), labels,
        np.ascontiguousarray(X_test, dtype=np.float32), np.searchsorted(classes, y_test),
    )  # fmt: skip


def clinc150():
    """Tf-idf of words and pairs, in its 512 leading directions."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    path = Path(os.environ["CROSSENT_DATA"]) / "clinc150" / "data_full.json"
    data = json.loads(path.read_text("utf-8"))
    texts, labels = zip(*data["train"], strict=True)
    test_texts, test_labels = zip(*data["test"], strict=True)
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    lead = TruncatedSVD(512, random_state=0)
    X = lead.fit_transform(words.fit_transform(texts))
    X_test = lead.transform(words.transform(test_texts))
    scale = 1 / np.linalg.norm(X, axis=1).mean()
    return scale * X, np.array(labels), scale * X_test, np.array(test_labels)


def fit(data, C, choice, options, seed, passes):
    """One fit: accuracy, counts, certificate."""
    X, y, X_test, y_test = data
    shape = (int(y.max()) + 1, X.shape[1])
    linear_map = make_map(choice, shape, rng=np.random.default_rng(seed), **options)
    convex = linear_map.is_linear_in_parameters
    model = SoftmaxRegression(
        C=C,
        linear_map=linear_map,
        tol=1e-6 if convex else 1e-4,
        max_iter=1000 if convex else passes,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RangeWarning)  # two test images with ink at the border
        predicted = model.fit(X, y).predict(X_test)
    certificate = model.certificate_
    return {
        "accuracy": float((predicted == y_test).mean()),
        "test_rows": len(y_test),
        "parameters": linear_map.n_parameters,
        "multiply_adds": -(-linear_map.flops(1) // 2),
        "bytes": linear_map.bytes(np.float32),
        "convex": convex,
        "status": certificate.status.name,
        "relative_gap": certificate.relative_gap,
        "passes": certificate.passes,
        "seconds": certificate.seconds,
    }


def times(shape, choice, options):
    """Milliseconds of the map at each batch, in float32."""
    rng = np.random.default_rng(0)
    linear_map = make_map(choice, shape, rng=rng, **options)
    theta = linear_map.start(rng)
    found = {}
    for batch in BATCHES:
        X = rng.standard_normal((batch, shape[1])).astype(np.float32)
        W = linear_map.to_dense(theta).astype(np.float32)
        call = partial(linear_map.apply, theta, X)
        if isinstance(linear_map, Dense):  # without what a map's door adds
            call = partial(np.matmul, X, W.T)
        found[str(batch)] = milliseconds(call)
    return found


def accuracy(results, quick):
    for name in ("letter",) if quick else ("mnist", "fashion_mnist", "letter", "clinc150"):
        data = None
        sizes = {"mnist": (10, 784), "fashion_mnist": (10, 784), "letter": (26, 16)}
        shape = sizes.get(name, (150, 512))
        for row, (choice, options, seeded) in configurations(*shape).items():
            for seed in SEEDS if seeded else SEEDS[:1]:
                key = f"{name}, {row}, {seed}"
                if key in results.found.get("accuracy", {}):
                    continue
                data = split(name) if data is None else data
                arguments = (data, C[name], choice, options, seed, 60 if quick else 150)
                results.cell("accuracy", key, lambda a=arguments: fit(*a))
            arguments = (shape, choice, options)
            results.cell("times", f"{shape[0]}x{shape[1]}, {row}", lambda a=arguments: times(*a))


def fried(results, quick):
    for name in ("mnist",) if quick else ("mnist", "fashion_mnist"):
        for seed in SEEDS[:1] if quick else SEEDS:
            make = lambda n=name, s=seed: fried_fit(n, s, 1024 if quick else 8192)  # noqa: E731
            results.cell("fried", f"{name}, {seed}", make)
        results.cell("fried_control", name, lambda n=name: fried_fit(n, 0, 0))


def fried_fit(name, seed, n_components):
    """Test accuracy and seconds of a softmax on Fastfood features, or on pixels for 0 of them."""
    X, y, X_test, y_test = split(name)
    started = time.perf_counter()
    model = SoftmaxRegression(C=1.0, max_iter=100)
    if n_components:
        features = FastfoodFeatures(n_components, random_state=seed).fit(X)
        X, X_test = features.transform(X), features.transform(X_test)
        model = SoftmaxRegression(C=FRIED_C[name], tol=1e-3, max_iter=100)
    transformed = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RangeWarning)
        predicted = model.fit(X, y).predict(X_test)
    return {
        "accuracy": float((predicted == y_test).mean()),
        "test_rows": len(y_test),
        "C": float(model.C),
        "features_s": transformed - started,
        "fit_s": time.perf_counter() - transformed,
        "passes": model.certificate_.passes,
        "status": model.certificate_.status.name,
        "parameters": model.coef_.size + len(model.coef_),
        "fixed_numbers": 0 if not n_components else 3 * (n_components // 2) + n_components // 2,
    }


# break-even


def square_maps(n):
    """The maps of the break-even table in their usual sizes."""
    return {
        "low_rank n/16": ("low_rank", {"rank": max(1, n // 16)}),
        "low_rank n/8": ("low_rank", {"rank": max(1, n // 8)}),
        "block_diagonal 8": ("block_diagonal", {"blocks": 8}),
        "monarch √n": ("monarch", {}),
        "fastfood": ("fastfood", {}),
        "circulant": ("circulant", {}),
        "toeplitz": ("toeplitz", {}),
        "toeplitz_like 2": ("toeplitz_like", {"rank": 2}),
        "phm 4": ("phm", {"n": 4}),
    }


def break_even_column(n, batch):
    """Milliseconds of the dense product and of every map."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((batch, n)).astype(np.float32)
    W = rng.standard_normal((n, n)).astype(np.float32)
    found = {"dense": milliseconds(lambda: X @ W.T)}
    for row, (name, options) in square_maps(n).items():
        linear_map = make_map(name, (n, n), rng=rng, **options)
        theta = rng.standard_normal(linear_map.n_parameters).astype(np.float32)
        found[row] = milliseconds(lambda m=linear_map, t=theta: m.apply(t, X))
    return found


def break_even(results, quick):
    for n in CELLS_N[::3] if quick else CELLS_N:
        for batch in CELLS_BATCH[::3] if quick else CELLS_BATCH:
            if 2.0 * n * n * batch <= LARGEST_CELL:
                make = lambda n=n, b=batch: break_even_column(n, b)  # noqa: E731
                results.cell("break_even", f"{n}, {batch}", make)


PARTS = {"correctness": correctness, "break_even": break_even, "accuracy": accuracy, "fried": fried}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--resume", action="store_true", help="keep the cells that are there")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    name = "structured_quick.json" if options.quick else "structured.json"
    results = Results(RESULTS / name, options.resume, options.threads)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(options.threads):
        for part in options.parts.split(","):
            PARTS[part](results, options.quick)


if __name__ == "__main__":
    main()
