"""A process of its own for one job: ``python -m benchmarks.softmax_regression.worker job.json``."""

import time

_STARTED = time.perf_counter()

import importlib  # noqa: E402 - the clock starts before NumPy is loaded
import importlib.metadata  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402

_MODULES = {
    "crossent": "crossent.linear_model",
    "crossent_path": "crossent.linear_model",
    "reference": "crossent.linear_model",
    "sklearnex_lbfgs": "sklearnex.linear_model",
    "cyanure": "cyanure.estimators",
    "cyanure_path": "cyanure.estimators",
    "adelie": "adelie",
}
_PACKAGES = (
    "crossent", "numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "daal", "cyanure",
    "adelie", "numba", "llvmlite",
)  # fmt: skip


def main() -> None:
    warnings.simplefilter("ignore")  # caps and ladders cause ConvergenceWarnings on purpose
    path = Path(sys.argv[1])
    solver = json.loads(path.read_text("ascii"))["solver"]
    importlib.import_module(_MODULES.get(solver, "sklearn.linear_model"))
    import_s = time.perf_counter() - _STARTED

    from benchmarks.softmax_regression.data import load
    from benchmarks.softmax_regression.peers import SOLVERS
    from benchmarks.softmax_regression.recorder import Job, Recorder

    job = Job.read(path)
    data = load(Path(job.data_folder))
    SOLVERS[solver](job, data, Recorder(Path(job.out_folder)))
    facts = {"import_s": import_s, "versions": versions()}
    (Path(job.out_folder) / "facts.json").write_text(json.dumps(facts), "ascii")


def versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
