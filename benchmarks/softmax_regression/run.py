"""Run the benchmark: ``python -m benchmarks.softmax_regression.run [--quick] [--resume]``.

Every (case, solver, repeat) is a process of its own with pinned threads; the solvers of a case take
turns, so that a noisy machine hits all alike. Results are written after every process.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.softmax_regression import judge, machine
from benchmarks.softmax_regression.cases import CASES, QUICK, Case, Entry
from benchmarks.softmax_regression.cold import run_cold
from benchmarks.softmax_regression.data import Data, load, prepare
from benchmarks.softmax_regression.recorder import Job
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
_OVERHEAD_S = 40  # for loading data and warming up


@dataclass(frozen=True)
class Settings:
    """What holds for the whole run."""

    threads: int
    cache: Path
    adelie_python: Path
    results: Path


def main() -> None:
    options = _arguments()
    name = "softmax_regression_quick.json" if options.quick else "softmax_regression.json"
    settings = Settings(
        options.threads, options.cache, options.adelie_python, RESULTS / (options.name or name)
    )
    cases = _chosen(QUICK if options.quick else CASES, options)
    estimate = sum(e.repeats * e.expected_s for case in cases for e in case.entries)
    print(f"{len(cases)} cases, about {estimate / 60:.0f} minutes on two quiet cores, "
          "and a few more where data and reference optima are not in the cache yet")  # fmt: skip
    if options.dry_run:
        return
    results = _start(settings, resume=options.resume)
    began = time.perf_counter()
    with threadpool_limits(settings.threads):
        for case in cases:
            _run_case(case, settings, results)
    print(f"{(time.perf_counter() - began) / 60:.1f} minutes; wrote {settings.results}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the short selection")
    parser.add_argument("--resume", action="store_true", help="keep what is in the results file")
    parser.add_argument("--cases", help="comma-separated names")
    parser.add_argument("--solvers", help="comma-separated names")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cap", type=float, default=math.inf, help="seconds a fit may take")
    parser.add_argument("--max-repeats", type=int, default=99, help="processes of a solver")
    parser.add_argument("--name", help="file name of the results")
    parser.add_argument("--dry-run", action="store_true", help="print the estimate only")
    cache = Path(tempfile.gettempdir()) / "crossent-benchmark"
    parser.add_argument("--cache", type=Path, default=cache, help="for data and references")
    adelie = ROOT / ".bench-venv" / "adelie" / "bin" / "python"
    parser.add_argument("--adelie-python", type=Path, default=adelie)
    return parser.parse_args()


def _chosen(cases: dict[str, Case], options: argparse.Namespace) -> list[Case]:
    """The cases asked for, with the solvers asked for and available."""
    names = options.cases.split(",") if options.cases else list(cases)
    unknown = sorted(set(names) - set(cases))
    if unknown:
        message = f"Unknown cases {unknown}; there are {', '.join(cases)}."
        raise SystemExit(message)
    if not options.adelie_python.exists():
        print(f"adelie is left out: there is no {options.adelie_python}")
    chosen = [replace(cases[name], entries=_entries(cases[name], options)) for name in names]
    return [case for case in chosen if case.entries]


def _entries(case: Case, options: argparse.Namespace) -> tuple[Entry, ...]:
    solvers = options.solvers.split(",") if options.solvers else [e.solver for e in case.entries]
    if not options.adelie_python.exists():
        solvers = [solver for solver in solvers if solver != "adelie"]
    return tuple(
        replace(
            entry,
            cap_s=min(entry.cap_s, options.cap),
            repeats=min(entry.repeats, options.max_repeats),
        )
        for entry in case.entries
        if entry.solver in solvers
    )


def _start(settings: Settings, *, resume: bool) -> dict[str, Any]:
    """The results so far: what is in the file, or a new stamp."""
    stamp = {
        "machine": machine.describe(settings.threads),
        "date": machine.now(),
        "commit": machine.commit(),
        "versions": {},
        "cases": {},
    }
    if not resume or not settings.results.exists():
        return stamp
    found: dict[str, Any] = json.loads(settings.results.read_text("utf-8"))
    if found["machine"] != stamp["machine"]:
        message = f"{settings.results} is from another machine or thread count; leave out --resume."
        raise SystemExit(message)
    return found


def _turns(case: Case) -> Iterator[tuple[Entry, int]]:
    """(entry, repeat): round after round, each round beginning with the next solver."""
    for repeat in range(max((entry.repeats for entry in case.entries), default=0)):
        k = repeat % len(case.entries)
        for entry in case.entries[k:] + case.entries[:k]:
            if repeat < entry.repeats:
                yield entry, repeat


def _run_case(case: Case, settings: Settings, results: dict[str, Any]) -> None:
    print(f"{case.name}: {case.title}", flush=True)
    try:
        folder = prepare(case.dataset, settings.cache)
    except OSError as error:  # a DatasetError is one
        print(f"  left out: {error}", flush=True)
        return
    data = load(folder)
    references = _references(case, folder, data, settings)
    found = results["cases"].setdefault(case.name, {"runs": []})
    found |= {"title": case.title, "Cs": list(case.Cs), "references": references, **_shape(data)}
    found["caps_s"] = found.get("caps_s", {}) | {e.solver: e.cap_s for e in case.entries}
    done = {(run["solver"], run["repeat"]) for run in found["runs"]}
    for entry, repeat in _turns(case):
        if (entry.solver, repeat) in done:
            continue
        run = _run(case, entry, folder, data, references, settings)
        results["versions"].setdefault(entry.solver, run.pop("versions"))
        found["runs"].append({"solver": entry.solver, "repeat": repeat, **run})
        _save(results, settings.results)
        _print_run(entry, repeat, run)


def _shape(data: Data) -> dict[str, Any]:
    n, d = data.X.shape
    return {
        "n": n,
        "d": d,
        "q": data.n_classes,
        "stored_values": int(getattr(data.X, "nnz", n * d)),
        "dtype": str(data.X.dtype),
    }


def _references(case: Case, folder: Path, data: Data, settings: Settings) -> list[dict[str, float]]:
    """Reference optima, from the cache or made and judged now."""
    Cs = "_".join(f"{C:g}" for C in case.Cs)
    path = folder / f"reference_{case.reference_tol:g}_C{Cs}.json"
    if not path.exists():
        print(f"  reference optimum to {case.reference_tol:g}", flush=True)
        entry = Entry(
            "reference", 1, 600, 0, {"tol": case.reference_tol, "passes": case.reference_passes}
        )
        with tempfile.TemporaryDirectory(dir=settings.cache) as out:
            failure = _process(case, entry, folder, Path(out), (), settings)
            if failure:
                message = f"The reference of {case.name} failed: {failure}"
                raise SystemExit(message)
            references = judge.judged_reference(Path(out), data, case.reference_tol)
        path.write_text(json.dumps(references), "ascii")
    found: list[dict[str, float]] = json.loads(path.read_text("ascii"))
    worst = max(reference["relative_gap"] for reference in found)
    if worst > 2 * case.reference_tol:
        print(f"  the reference is certified to {worst:.1e} only", flush=True)
    return found


def _run(
    case: Case,
    entry: Entry,
    folder: Path,
    data: Data,
    references: list[dict[str, float]],
    settings: Settings,
) -> dict[str, Any]:
    """One process, judged."""
    optima = {reference["C"]: reference["objective"] for reference in references}
    stamp = {"date": machine.now(), "commit": machine.commit(), "load": os.getloadavg()[0]}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=settings.cache) as out:
        if case.cold:
            failure = run_cold(entry.solver, folder, Path(out), _environment(settings))
        else:
            failure = _process(case, entry, folder, Path(out), tuple(optima.values()), settings)
        wall_s = time.perf_counter() - began
        facts_file = Path(out) / "facts.json"
        facts = json.loads(facts_file.read_text("ascii")) if facts_file.exists() else {}
        points = judge.judged_points(Path(out), data, optima)
        memory = judge.memory(Path(out))
    killed = failure == "killed"
    return {
        **stamp,
        "wall_s": wall_s,
        "import_s": facts.get("import_s"),
        "versions": facts.get("versions", {}),
        "memory": memory,
        "killed": killed,
        "error": None if killed else failure,
        "points": points,
    }


def _process(
    case: Case,
    entry: Entry,
    folder: Path,
    out: Path,
    optima: tuple[float, ...],
    settings: Settings,
) -> str | None:
    """Run a worker; None, "killed" or the last lines of its error."""
    job = Job(
        entry.solver, str(folder), str(out), case.Cs, optima, entry.cap_s, settings.threads,
        entry.options,
    )  # fmt: skip
    job.write(out / "job.json")
    python = str(settings.adelie_python) if entry.solver == "adelie" else sys.executable
    caps = entry.cap_s * len(case.Cs)
    if entry.options.get("refit") or entry.solver in ("crossent", "cyanure", "cyanure_path"):
        caps *= 4  # further fits after the first
    try:
        done = subprocess.run(
            [python, "-m", "benchmarks.softmax_regression.worker", str(out / "job.json")],
            cwd=ROOT,
            env=_environment(settings),
            timeout=caps + _OVERHEAD_S,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "killed"
    return None if done.returncode == 0 else done.stderr[-600:] or f"exit {done.returncode}"


def _environment(settings: Settings) -> dict[str, str]:
    threads = str(settings.threads)
    pinned = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(pinned, threads), "PYTHONPATH": ""}


def _save(results: dict[str, Any], path: Path) -> None:
    """All at once or not at all."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new")
    text = json.dumps(results, indent=1, ensure_ascii=False, default=float)
    new.write_text(text + "\n", "utf-8")
    shutil.move(new, path)


def _print_run(entry: Entry, repeat: int, run: dict[str, Any]) -> None:
    ends = [p for p in run["points"] if p["kind"] in ("fit", "end", "process")]
    words = ", ".join(f"{p['seconds']:.3g} s to {p['suboptimality']:.1e}" for p in ends[:4])
    trouble = "killed at its cap " if run["killed"] else run["error"] or ""
    print(f"  {entry.solver} {repeat + 1}/{entry.repeats}: {trouble}{words} "
          f"[{run['wall_s']:.0f} s]", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
