"""A path of penalties on MNIST: softmax_path against separate fits, folds, and peers' fits.

    CROSSENT_DATA=... python benchmarks/path.py [--rows N] [--values 9] [--separate] [--folds K]
                                                [--peers sklearn sklearnex cyanure] [--cap 60]

Needs crossent alone; a peer is measured where it is installed. Each peer's fit runs in a process
of its own, is warmed up on 500 rows, and is stopped after --cap seconds: its time is then a lower
bound. The objective of every answer is computed here, in float64, and compared with the certified
lower bound of the optimum (objective less gap). --threads holds BLAS and OpenMP in all processes.
Writes benchmarks/results/path.json. `make bench` has the same path with each peer's whole trace.
"""

import argparse
import datetime
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "path.json"
PACKAGES = (
    "crossent", "numpy", "scipy", "scikit-learn", "numba", "scikit-learn-intelex", "cyanure"
)  # fmt: skip
PEERS = ("sklearn", "sklearnex", "cyanure")


def mnist(rows):
    import numpy as np

    from crossent import datasets

    data = datasets.load("mnist")
    return np.ascontiguousarray(data.X_train[:rows], dtype=np.float32), data.y_train[:rows]


def objective(X, y, W, b, C):
    """Mean cross-entropy and λ/2 ‖W‖², λ = 1/(C·n), in nats; blocks of rows in float64."""
    import numpy as np

    total, n = 0.0, len(X)
    for start in range(0, n, 4096):
        rows = slice(start, start + 4096)
        logits = X[rows].astype(np.float64) @ W.T + b
        top = logits.max(axis=1, keepdims=True)
        partition = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1))
        total += (partition - logits[np.arange(len(logits)), y[rows]]).sum()
    return float(total / n + np.vdot(W, W) / (2 * C * n))


def fit_of(peer, C, X, y):
    """(W, b) of one peer at C, set up to reach 1e-6 where it can."""
    import numpy as np

    if peer == "cyanure":
        from cyanure.estimators import Classifier

        model = Classifier(
            loss="multiclass-logistic", penalty="l2", lambda_1=1 / (C * len(X)), tol=1e-6,
            max_iter=5000, duality_gap_interval=10, verbose=False,
            n_threads=int(os.environ["OMP_NUM_THREADS"]),
        ).fit(X, y)  # fmt: skip
        return np.asarray(model.coef_.T, np.float64), np.asarray(
            model.intercept_.ravel(), np.float64
        )
    module = "sklearn.linear_model" if peer == "sklearn" else "sklearnex.linear_model"
    estimator = __import__(module, fromlist=["LogisticRegression"]).LogisticRegression
    model = estimator(C=C, tol=1e-13, max_iter=1_000_000).fit(X, y)
    return np.asarray(model.coef_, dtype=np.float64), np.asarray(model.intercept_, np.float64)


def peer_process(peer, C, rows, pipe):
    """Warm up, say so, fit, and answer with seconds and objective."""
    warnings.simplefilter("ignore")
    X, y = mnist(rows)
    fit_of(peer, 1e-3, X[:500], y[:500])
    pipe.send("ready")
    started = time.perf_counter()
    W, b = fit_of(peer, C, X, y)
    seconds = time.perf_counter() - started
    pipe.send((seconds, objective(X, y, W, b, C)))


def peer_fit(peer, C, rows, cap):
    """Seconds and objective of one fit; None for the objective if it was stopped."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=peer_process, args=(peer, C, rows, there), daemon=True)
    process.start()
    there.close()
    try:
        here.recv()
        done = here.recv() if here.poll(cap) else (cap, None)
    except EOFError:
        done = None  # not installed, or it cannot fit these data
    process.kill()
    process.join()
    return done


def timed(call):
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def points(models, X, y):
    """What is known of each model, its objective computed anew."""
    found = []
    for model in models:
        c = model.certificate_
        value = objective(X, y, model.coef_, model.intercept_, model.C)
        found.append(
            {
                "C": model.C,
                "objective": value,
                "lower_bound": c.objective - c.gap,
                "relative_gap": c.relative_gap,
                "passes": c.passes,
                "seconds": round(c.seconds, 4),
                "status": c.status.name,
            }
        )
    return found


def ours(arguments, X, y, Cs):
    """The path, and where asked separate fits and cross-validation."""
    from crossent import SoftmaxRegression, SoftmaxRegressionCV, softmax_path

    settings = SoftmaxRegression(tol=1e-6, max_iter=20_000)
    softmax_path(X[:2000], y[:2000], Cs=[0.1], estimator=settings)  # loads and compiles
    seconds, path = timed(lambda: softmax_path(X, y, Cs=Cs, estimator=settings))
    result = {"path": {"seconds": seconds, "points": points(path.models, X, y)}}
    if arguments.separate:
        fits = [SoftmaxRegression(C=C, max_iter=20_000) for C in Cs]
        seconds, models = timed(lambda: [model.fit(X, y) for model in fits])
        result["separate"] = {"seconds": seconds, "points": points(models, X, y)}
    if arguments.folds:
        model = SoftmaxRegressionCV(Cs=Cs, cv=arguments.folds, max_iter=20_000)
        seconds, _ = timed(lambda: model.fit(X, y))
        result["cv"] = {
            "seconds": seconds,
            "folds": arguments.folds,
            "passes": model.n_iter_.sum(axis=1).tolist(),
            "mean_scores": model.mean_scores_.tolist(),
            "C": model.C_,
        }
    return result


def peers(arguments, path):
    """For each peer and C: seconds, relative suboptimality, and whether it was stopped."""
    found = {}
    for peer in arguments.peers:
        found[peer] = []
        for point in path["points"]:
            done = peer_fit(peer, point["C"], arguments.rows, arguments.cap)
            if done is None:
                found[peer] = "not measured: not installed, or failed on these data"
                break
            seconds, value = done
            excess = None if value is None else value / point["lower_bound"] - 1
            found[peer].append(
                {
                    "C": point["C"],
                    "seconds": seconds,
                    "suboptimality": excess,
                    "capped": value is None,
                }
            )
            print(f"{peer:10s} C {point['C']:<8g} {seconds:8.2f} s  {excess}", file=sys.stderr)
    return found


def stamp(threads):
    """Machine, versions, commit and date."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    root = Path(__file__).parents[1]
    git = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit or "unknown",
        "machine": {"processor": processor(), "cores": os.cpu_count(), "threads": threads},
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "load_before": os.getloadavg(),
    }


def processor():
    """The processor's name as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--values", type=int, default=9)
    parser.add_argument("--largest", type=float, default=1e4, help="the last C; the first is 1e-4")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--separate", action="store_true")
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=[])
    parser.add_argument("--cap", type=float, default=60.0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    import numpy as np

    Cs = np.geomspace(1e-4, arguments.largest, arguments.values)
    result = stamp(arguments.threads)
    X, y = mnist(arguments.rows)
    result["data"] = {"name": "mnist", "rows": len(X), "columns": X.shape[1], "type": "float32"}
    result |= ours(arguments, X, y, Cs)
    for point in result["path"]["points"]:
        print(f"C {point['C']:<8g} {point['passes']:5d} passes {point['seconds']:8.2f} s  "
              f"relative gap {point['relative_gap']:.1e}")  # fmt: skip
    print(f"path: {result['path']['seconds']:.2f} s")
    result["peers"] = peers(arguments, result["path"])
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    arguments.results.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
