"""The first fit in a new process: interpreter, imports, data and fit, from start to exit."""

import json
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["run_cold"]

_IMPORTS = {
    "crossent": "from crossent import SoftmaxRegression as Model",
    "sklearn_lbfgs": "from sklearn.linear_model import LogisticRegression as Model",
}
_SCRIPT = """
import numpy as np, sys
{imports}
folder, out = sys.argv[1:]
model = Model(C=1.0).fit(np.load(folder + "/X.npy"), np.load(folder + "/targets.npy"))
if out:
    np.savez(out, W=model.coef_, b=model.intercept_)
"""


def run_cold(solver: str, data_folder: Path, out: Path, environment: dict[str, str]) -> str | None:
    """Time a new process; the coefficients come from a second one that is not timed."""
    script = _SCRIPT.format(imports=_IMPORTS[solver])
    command = [sys.executable, "-W", "ignore", "-c", script, str(data_folder)]
    start = time.perf_counter()
    done = subprocess.run([*command, ""], env=environment, capture_output=True, text=True,
                          check=False)  # fmt: skip
    seconds = time.perf_counter() - start
    if done.returncode:
        return done.stderr[-600:]
    name = "model_00000.npz"
    subprocess.run([*command, str(out / name)], env=environment, capture_output=True, check=True)
    point = {"C": 1.0, "seconds": seconds, "kind": "process", "model": name}
    (out / "points.jsonl").write_text(json.dumps(point) + "\n", "ascii")
    return None
