"""Each kind of file fitted by one command: timings and scores, for the table in docs/tables.md.

    CROSSENT_DATA=... python -m benchmarks.tables [--cases banking77,football] [--threads N]
    python -m benchmarks.tables --table     # the table again, from the results at hand

Each case is one ``crossent fit`` in a process of its own, with ``--model`` and ``--report``; then
``crossent predict`` of the test rows with the saved model. Writes benchmarks/results/tables.json
and the table between the marks of docs/tables.md. Reading, encoding, fitting to a relative gap of
1e-6, evaluating and the report are all in the wall time.
"""

import argparse
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.softmax_regression import machine

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "tables.json"
DOCUMENT = ROOT / "docs" / "tables.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
PACKAGES = ("crossent", "numpy", "scipy", "scikit-learn", "polars", "pyarrow", "pillow")
WHAT = {
    "banking77": "a column of text, 77 classes",
    "football": "teams, tournament, date, neutral ground, year",
    "ferplus": "eight columns of votes, 16 numbers",
    "letter": "16 integers, 26 classes",
    "mnist_png": "a folder of 70,000 PNG files",
}
BARS = {"banking77": 0.91}  # least test accuracy


def examples():
    """The module examples/tables_from_data.py."""
    sys.path.insert(0, str(ROOT / "examples"))
    spec = importlib.util.spec_from_file_location(
        "tables_from_data", ROOT / "examples" / "tables_from_data.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timed(arguments, folder):
    """Wall time and standard output of a command that must succeed."""
    started = time.perf_counter()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("crossent")), *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        message = f"crossent {shlex.join(arguments)}: {done.stderr}"
        raise SystemExit(message)
    return seconds, done.stdout


def measured(name, arguments, folder, threads):
    """One case: the command as typed, its times and scores."""
    outputs = ["--model", f"{name}.skops", "--report", f"{name}.html"]
    command = ["fit", *arguments, *outputs]
    seconds, text = timed([*command, "--json", "--quiet", "--threads", str(threads)], folder)
    record = json.loads(text)
    test = arguments[arguments.index("--test") + 1] if "--test" in arguments else arguments[0]
    predict_s, _ = timed(["predict", f"{name}.skops", test, "--output", "p.csv", "-q"], folder)
    found = {
        "command": shlex.join(["crossent", *command]),
        "wall_s": seconds,
        "predict_wall_s": predict_s,
        "fit_s": record["certificate"]["seconds"],
        "passes": record["certificate"]["passes"],
        "relative_gap": record["certificate"]["relative_gap"],
        "status": record["certificate"]["status"],
        "n_features": record["data"]["n_features"],
        "model_bytes": (folder / f"{name}.skops").stat().st_size,
        "report_bytes": (folder / f"{name}.html").stat().st_size,
        "remarks": record["data"]["remarks"],
        "train": record["train"],
        "test": record["test"],
    }
    if found["test"]["accuracy"] < BARS.get(name, 0):
        found["missed"] = f"test accuracy below {BARS[name]}"
    return found


def table(results):
    """Markdown of all cases at hand."""
    head = (
        "| file | what | rows to fit / to test | features | test accuracy (95 %) | test"
        " cross-entropy, bits (of class frequencies) | fit, s (passes) | whole command, s"
        " | predict, s |"
    )
    lines = [head, "|---" * 9 + "|"]
    for name, case in results["cases"].items():
        test, train = case["test"], case["train"]
        low, high = test["accuracy_interval"]
        entropy = f"{test['cross_entropy_bits']:.3f} ({test['frequency_baseline_bits']:.3f})"
        if test["soft_targets"]:
            entropy += (
                f"; floor H(y) {test['target_entropy_bits']:.3f}, KL {test['divergence_bits']:.3f}"
            )
        lines.append(
            f"| {name} | {WHAT[name]} | {train['n_rows']:,} / {test['n_rows']:,} | "
            f"{case['n_features']:,} | {100 * test['accuracy']:.2f} % "
            f"({100 * low:.1f} to {100 * high:.1f}) | {entropy} | "
            f"{case['fit_s']:.1f} ({case['passes']}) | {case['wall_s']:.1f} | "
            f"{case['predict_wall_s']:.1f} |"
        )
    commands = "\n".join(f"    {case['command']}" for case in results["cases"].values())
    stamp = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        "\n".join(lines) + f"\n\nEach by one command:\n\n{commands}\n\nMeasured {results['date']} "
        f"on {stamp['cpu']}, {stamp['cores']} cores, {stamp['threads']} thread(s), load average "
        f"{results['load']:.1f}; commit {results['commit']}; {versions}. Every fit is certified to "
        "a relative gap of 1e-6."
    )


def write_table(results):
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        message = f"{DOCUMENT} lacks the marks {BEGIN} and {END}"
        raise SystemExit(message)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}", "utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=",".join(WHAT))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--table", action="store_true", help="only write the table again")
    parser.add_argument("--keep", type=Path, help="folder for the files, kept afterwards")
    options = parser.parse_args()
    if options.table:
        write_table(json.loads(RESULTS.read_text("utf-8")))
        return
    known = json.loads(RESULTS.read_text("utf-8"))["cases"] if RESULTS.exists() else {}
    results = {
        "date": machine.now(),
        "commit": machine.commit(),
        "machine": machine.describe(options.threads),
        "load": os.getloadavg()[0],
        "versions": {name: version(name) for name in PACKAGES},
        "cases": known,
    }
    module = examples()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.cases.split(","):
            arguments = module.CASES[name](Path(os.environ["CROSSENT_DATA"]), folder)
            known[name] = measured(name, arguments, folder, options.threads)
            results["cases"] = {key: known[key] for key in WHAT if key in known}
            print(
                name, f"{known[name]['wall_s']:.1f} s", known[name]["test"]["accuracy"], flush=True
            )
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    write_table(results)


if __name__ == "__main__":
    main()
