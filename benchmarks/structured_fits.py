"""Accuracy of structured heads, and of a softmax on Fastfood features: what time does not change.

The parts accuracy, fried and fried_choice of ``benchmarks.structured``.
"""

import json
import math
import os
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from crossent import SoftmaxRegression, datasets
from crossent.features import FastfoodFeatures
from crossent.linear_maps import make_map
from crossent.linear_model import RangeWarning

SEEDS = (0, 1, 2)
C = {"mnist": 1.0, "fashion_mnist": 1.0, "letter": 1.0, "clinc150": 10.0}
SHAPES = {
    "mnist": (10, 784), "fashion_mnist": (10, 784), "letter": (26, 16), "clinc150": (150, 512),
}  # fmt: skip
FRIED = ("fashion_mnist", "mnist")
FRIED_PASSES = 100
FINAL_PASSES = {"mnist": 100, "fashion_mnist": 300}  # there 100 stop half a per cent short
# The bandwidth over that of the median heuristic, and C: a coarse grid, then around its best.
FRIED_GRID = [(factor, C) for factor in (0.5, 0.7, 1.0) for C in (10.0, 100.0, 1000.0)]
FRIED_GRID += [(0.6, 30.0), (0.6, 100.0), (0.5, 30.0), (0.7, 30.0)]
VALIDATION_ROWS = 10_000
VALIDATION_SEED = 100  # of other frequencies than those that are tested


def configurations(q, d):
    """Name of each row of the table: map, its options, whether it needs seeds."""
    factors = [n for n in (2, 4, 8, 16) if n <= min(q, d) and (n < 16 or n**3 < q * d)]
    found = {"dense": ("dense", {}, False), "block_diagonal 4": ("block_diagonal", {}, True)}
    found |= {name: (name, {}, name == "circulant") for name in ("circulant", "toeplitz")}
    found |= {name: (name, {}, False) for name in ("complex", "quaternion", "octonion")}
    found |= {"fastfood S": ("fastfood", {}, True)}
    found |= {f"phm {n}": ("phm", {"n": n}, True) for n in factors}
    found |= {name: (name, {}, True) for name in ("monarch", "toeplitz_like", "adaptive_fastfood")}
    ranks = {matched_rank((q, d), *row[:2]) for row in list(found.values())[1:]} - {None}
    return found | {f"low_rank {r}": ("low_rank", {"rank": r}, True) for r in sorted(ranks)}


def matched_rank(shape, choice, options):
    """The rank with the nearest number of parameters; None where dense has fewer than either."""
    size = make_map(choice, shape, rng=np.random.default_rng(0), **options).n_parameters
    rank = max(1, round(size / sum(shape)))
    return rank if rank * sum(shape) < math.prod(shape) else None


def split(name):
    """Training and test rows in float32, labels as numbers."""
    if name in ("mnist", "fashion_mnist"):
        data = datasets.load(name)
        parts = (data.X_train, data.y_train, data.X_test, data.y_test)
    else:
        parts = {"letter": letter, "clinc150": clinc150}[name]()
    X, y, X_test, y_test = parts
    classes, labels = np.unique(y, return_inverse=True)
    return (
        np.ascontiguousarray(X, dtype=np.float32), labels,
        np.ascontiguousarray(X_test, dtype=np.float32), np.searchsorted(classes, y_test),
    )  # fmt: skip


def letter():
    """The first 16,000 of 20,000 rows for training, as is usual; features 0…15 over 15."""
    path = Path(os.environ["CROSSENT_DATA"]) / "uci" / "letter.arff"
    _, rows = path.read_text("utf-8").lower().split("@data")
    table = [line.split(",") for line in rows.split()]
    labels = np.array([row[-1].strip("'\"") for row in table])
    X = np.array([row[:-1] for row in table], dtype=np.float64) / 15
    return X[:16000], labels[:16000], X[16000:], labels[16000:]


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


def fitted(model, X, y):
    """The fit, and the seconds of all its threads on a CPU, which a busy machine changes little."""
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    return time.process_time() - started


def right(model, X, y):
    """Share of rows whose class is predicted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RangeWarning)  # two test images with ink at the border
        return float((model.predict(X) == y).mean())


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
    cpu_s = fitted(model, X, y)
    certificate = model.certificate_
    return {
        "accuracy": right(model, X_test, y_test),
        "test_rows": len(y_test),
        "parameters": linear_map.n_parameters,
        "multiply_adds": -(-linear_map.flops(1) // 2),
        "bytes": linear_map.bytes(np.float32),
        "convex": convex,
        "status": certificate.status.name,
        "relative_gap": None if math.isnan(certificate.relative_gap) else certificate.relative_gap,
        "objective": certificate.objective,
        "passes": certificate.passes,
        "cpu_s": cpu_s,
    }


def accuracy(results, quick):
    """Every map on every data set."""
    for name in ("letter",) if quick else [name for name in SHAPES if name in results.data]:
        data = None
        for row, (choice, options, seeded) in configurations(*SHAPES[name]).items():
            for seed in SEEDS if seeded else SEEDS[:1]:
                key = f"{name}, {row}, {seed}"
                if results.has("accuracy", key):
                    continue
                data = split(name) if data is None else data
                arguments = (data, C[name], choice, options, seed, 60 if quick else 150)
                results.cell("accuracy", key, lambda a=arguments: fit(*a))


def fried(results, quick):
    """FastfoodFeatures(8192) and a softmax, beside a softmax on the pixels."""
    for name in ("mnist",) if quick else FRIED:
        data = split(name)
        size = 1024 if quick else 8192
        factor, C = (1.0, 100.0) if quick else chosen(results.read(), name)
        for seed in SEEDS[:1] if quick else SEEDS:
            arguments = (data, size, C, factor, seed, FINAL_PASSES[name])
            kept = results.found.get("fried", {}).get(f"{name}, {seed}", {"C": C})
            if (kept["C"], kept.get("bandwidth_factor", factor)) != (C, factor):
                results.forget("fried", f"{name}, {seed}")  # of an earlier choice
            results.cell("fried", f"{name}, {seed}", lambda a=arguments: fried_fit(*a))
        if not quick:
            arguments = (data, size, 1.0, 1.0, 0)
            results.cell("fried_default", name, lambda a=arguments: fried_fit(*a))
        results.cell("fried_control", name, lambda d=data: fried_fit(d, 0, 1.0, 1.0, 0))


def fried_choice(results, quick):
    """The last 10,000 training rows judge C and the bandwidth."""
    for name in () if quick else FRIED:
        X, y, _, _ = split(name)
        held = len(X) - VALIDATION_ROWS
        data = (X[:held], y[:held], X[held:], y[held:])
        for factor, C in FRIED_GRID:
            arguments = (data, 8192, C, factor, VALIDATION_SEED)
            key = f"{name}, {factor:g}, {C:g}"
            results.cell("fried_choice", key, lambda a=arguments: fried_fit(*a))


def chosen(found, name):
    """Bandwidth factor and C with the best accuracy on rows held out of training; no test row."""
    cells = {k: c for k, c in found.get("fried_choice", {}).items() if k.startswith(f"{name}, ")}
    if not cells:
        message = "nothing is chosen yet: --parts fried_choice comes before --parts fried"
        raise SystemExit(message)
    best = max(cells.values(), key=lambda cell: cell["accuracy"])
    return best["bandwidth_factor"], best["C"]


def fried_fit(data, n_components, C, factor, seed, passes=FRIED_PASSES):
    """Accuracy and CPU seconds of a softmax on Fastfood features, or on pixels for 0 of them."""
    X, y, X_test, y_test = data
    started = time.process_time()
    model = SoftmaxRegression(C=C, max_iter=passes)
    bandwidth = 0.0
    if n_components:
        median = FastfoodFeatures(1, random_state=seed).fit(X).bandwidth_
        bandwidth = factor * median
        features = FastfoodFeatures(n_components, bandwidth=bandwidth, random_state=seed).fit(X)
        X, X_test = features.transform(X), features.transform(X_test)
        model.set_params(tol=1e-3)
    features_s = time.process_time() - started
    cpu_s = fitted(model, X, y)
    return {
        "accuracy": right(model, X_test, y_test),
        "test_rows": len(y_test),
        "C": C,
        "bandwidth": bandwidth,
        "bandwidth_factor": factor,
        "features_cpu_s": features_s,
        "cpu_s": cpu_s,
        "passes": model.certificate_.passes,
        "status": model.certificate_.status.name,
        "parameters": model.coef_.size + len(model.coef_),
        "fixed_numbers": 2 * n_components,  # of each frequency B, G, S and its place
    }
