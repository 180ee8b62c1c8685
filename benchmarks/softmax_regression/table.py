"""The tables of README.md and docs/benchmarks.md, from the results.

    python -m benchmarks.softmax_regression.table [results.json] [--print]

prints the summary and, without ``--print``, writes it and the details between the lines
``<!-- benchmark:NAME:begin -->`` and ``<!-- benchmark:NAME:end -->``, NAME being "summary" or
"details", wherever a file has them.
"""

import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.softmax_regression.cases import CASES, LEVELS, QUICK, Case
from benchmarks.softmax_regression.levels import Reach, best_quality, over_repeats

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
_FILES = ("README.md", "docs/benchmarks.md")
_NAMES = {
    "crossent": "crossent",
    "crossent_path": "crossent",
    "cyanure": "cyanure",
    "cyanure_path": "cyanure, a fit for each C",
    "adelie": "adelie",
    "sklearn_lbfgs": "scikit-learn",
    "sklearn_newton_cholesky": "scikit-learn newton-cholesky",
    "sklearn_newton_cg": "scikit-learn newton-cg",
    "sklearnex_lbfgs": "scikit-learn-intelex",
}
Found = dict[str, Any]


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--print"]
    path = Path(words[0]) if words else RESULTS / "softmax_regression.json"
    results = json.loads(path.read_text("utf-8"))
    parts = {"summary": summary(results), "details": details(results)}
    print(parts["summary"])
    for name in () if "--print" in sys.argv else _FILES:
        write_parts(ROOT / name, parts)


def summary(results: Found) -> str:
    """One row for each case: crossent, the fastest peer, their ratio and the bar."""
    lines = [
        "| case | crossent, s to 1e-6 (passes, certified gap) | fastest peer, s to 1e-6 "
        "| ratio | aim | reached | memory, MB |",
        "|---|---|---|---|---|---|---|",
        *(_summary_row(name, results) for name in results["cases"]),
        *_kernel_rows(),
    ]
    return "\n".join([*lines, "", _stamp(results)])


def details(results: Found) -> str:
    """Every solver at every level, for every case."""
    lines = []
    for name, found in results["cases"].items():
        shape = f"{found['n']:,} × {found['d']:,}, q = {found['q']:,}, {found['dtype']}"
        gap = max(reference["relative_gap"] for reference in found["references"])
        lines += [
            f"### {found['title']}",
            "",
            f"`{name}`: {shape}; {found['stored_values']:,} stored values. {_optima(found)}, "
            f"certified to {gap:.1e}.",
            "",
            *(_cold_details(found) if _case(name).cold else _details(found)),
            "",
        ]
    return "\n".join([*lines, _stamp(results)])


def _summary_row(name: str, results: Found) -> str:
    found = results["cases"][name]
    own = _solver_of_crossent(found)
    if own is None:
        return f"| {found['title']} | not run | | | | | |"
    if _case(name).cold:
        return _cold_row(name, found)
    ours = _reach(own, found, LEVELS[-1])
    peer, theirs = fastest_peer(found, LEVELS[-1])
    bar, met = _verdict(_case(name), results, ours, theirs)
    row = [found["title"], f"{_seconds(ours)}{_proof(found, own)}", _peer(peer, theirs, found)]
    row += [_ratio(ours, theirs), bar, met, _memory(found, own)]
    return "| " + " | ".join(row) + " |"


def _cold_row(name: str, found: Found) -> str:
    """Whole processes: both as they are by default."""
    times = {
        solver: statistics.median(run["points"][0]["seconds"] for run in _runs(solver, found))
        for solver in _solvers(found)
    }
    if len(times) < 2:
        return f"| {found['title']} | not run | | | | | |"
    ours, theirs = times["crossent"], times["sklearn_lbfgs"]
    bar = _case(name).bar.value
    met = "yes" if ours <= bar * theirs else "**no**"
    quality = best_quality(_runs("sklearn_lbfgs", found))[0]
    return (
        f"| {found['title']} | {ours:.2f} | {theirs:.2f} (scikit-learn, to {quality:.0e}) | "
        f"{theirs / ours:.2f} | ≤ {bar:g}× its time | {met} | |"
    )


def fastest_peer(found: Found, level: float) -> tuple[str | None, Reach]:
    """The peer that reaches the level first, or, if the cap came earlier, a lower bound."""
    peers = [solver for solver in _solvers(found) if not solver.startswith("crossent")]
    each = {solver: _reach(solver, found, level) for solver in peers}
    if not each:
        return None, Reach(math.nan, reached=False)
    first = min(each, key=lambda solver: (each[solver].seconds, not each[solver].reached))
    return first, each[first]


def _verdict(case: Case, results: Found, ours: Reach, theirs: Reach) -> tuple[str, str]:
    """The bar in words, and whether it is met."""
    bar = case.bar
    if bar is None or not ours.reached:
        return ("" if bar is None else f"{bar.value:g}×"), ("" if bar is None else "**no**")
    ratio = theirs.seconds / ours.seconds
    if bar.kind == "slowdown":
        words, met = f"≤ {bar.value:g}× its time", ratio >= 1 / bar.value
    elif bar.kind == "against":
        words = f"≤ {bar.value:g}× `{bar.other}`"
        if bar.other not in results["cases"]:
            return words, "?"
        other = _reach("crossent", results["cases"][bar.other], LEVELS[-1])
        words += f" (is {ours.seconds / other.seconds:.2f}×)"
        met = ours.seconds <= bar.value * other.seconds
    else:
        words, met = f"≥ {bar.value:g}×", ratio >= bar.value
    if bar.kind == "memory":
        extra = _extra_memory(results["cases"][case.name], "crossent")
        words += f", ≤ {bar.memory_MB:g} MB beyond X and W"
        met = met and extra <= bar.memory_MB
    if met and math.isinf(ratio) and bar.kind in ("ratio", "memory"):
        return words, "no peer arrives"
    return words, "?" if math.isnan(ratio) and bar.kind != "against" else _yes(met)


def _yes(met: bool) -> str:
    return "yes" if met else "**no**"


def _details(found: Found) -> list[str]:
    levels = " | ".join(f"s to {level:.0e}".replace("e-0", "e-") for level in LEVELS)
    return [
        f"| solver | {levels} | best f/f* - 1 | in s | cold, s | runs | peak, MB |",
        "|---" * (len(LEVELS) + 6) + "|",
        *(_detail_row(solver, found) for solver in _solvers(found)),
    ]


def _cold_details(found: Found) -> list[str]:
    lines = ["| solver | s of the whole process | f/f* - 1 | runs |", "|---|---|---|---|"]
    for solver in _solvers(found):
        runs = _runs(solver, found)
        any_quality = _reach(solver, found, math.inf)
        lines.append(
            f"| {_NAMES[solver]} | {_seconds(any_quality, spread=True)} | "
            f"{best_quality(runs)[0]:.1e} | {len(runs)} |"
        )
    return lines


def _detail_row(solver: str, found: Found) -> str:
    runs = _runs(solver, found)
    quality, seconds = best_quality(runs)
    cold = [p["seconds"] + run["import_s"] for run in runs for p in run["points"]
            if p["kind"] == "cold" and run["import_s"] is not None]  # fmt: skip
    if any("C" in p and len(found["Cs"]) > 1 for p in runs[0]["points"]):
        cold = []
    row = [_NAMES.get(solver, solver)]
    row += [_seconds(_reach(solver, found, level), spread=True) for level in LEVELS]
    row += [f"{quality:.1e}" if quality > 0 else "< 1e-9", _number(seconds)]
    row += [_number(statistics.median(cold)) if cold else "", str(len(runs)), _peak(runs)]
    return "| " + " | ".join(row) + " |"


def _kernel_rows() -> list[str]:
    """The bar of the kernels, from the results of `benchmarks/kernels.py`."""
    path = RESULTS / "kernels.json"
    if not path.exists():
        return []
    cases = json.loads(path.read_text("utf-8"))["cases"]
    shares = {
        case["case"]: case["share_of_product_rate"]["median"]
        for case in cases
        if "share_of_product_rate" in case and _is_of_the_bar(str(case["case"]))
    }
    if not shares:
        return []
    least = min(shares, key=lambda name: shares[name])
    return [
        f"| one fused pass, {len(shares)} shapes of 60,000×784 | {shares[least]:.0%} of the matrix "
        f"product's rate at least ({least}) | | | ≥ 80% | {_yes(shares[least] >= 0.8)} | |"
    ]


def _is_of_the_bar(shape: str) -> bool:
    """60000×784 in float32, by rows, with 2 to 64 classes."""
    return shape.startswith("60000×784 float32 C") and int(shape.split("q=")[1]) <= 64


def _case(name: str) -> Case:
    return CASES.get(name) or QUICK[name]


def _solvers(found: Found) -> list[str]:
    return list(dict.fromkeys(run["solver"] for run in found["runs"]))


def _solver_of_crossent(found: Found) -> str | None:
    return next((s for s in _solvers(found) if s.startswith("crossent")), None)


def _runs(solver: str, found: Found) -> list[Found]:
    return [run for run in found["runs"] if run["solver"] == solver]


def _reach(solver: str, found: Found, level: float) -> Reach:
    return over_repeats(_runs(solver, found), level, found["caps_s"][solver])


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _seconds(reach: Reach, *, spread: bool = False) -> str:
    if not reach.reached:
        return "never" if math.isinf(reach.seconds) else f"≥ {_number(reach.seconds)}"
    words = _number(reach.seconds)
    if spread and reach.low < reach.high:
        words += f" ({_number(reach.low)} to {_number(reach.high)})"
    return words


def _proof(found: Found, solver: str) -> str:
    """Passes and certified gap of the fits at the last level."""
    fits = [p for run in _runs(solver, found) for p in run["points"]
            if p["kind"] == "fit" and p.get("tol") == LEVELS[-1]]  # fmt: skip
    if not fits:
        return ""
    passes = statistics.median(p["passes"] for p in fits) * len(found["Cs"])
    return f" ({passes:.0f}, {max(p['certified_gap'] for p in fits):.1e})"


def _peer(solver: str | None, reach: Reach, found: Found) -> str:
    if solver is None:
        return "not run"
    if math.isinf(reach.seconds):
        each = {s: best_quality(_runs(s, found)) for s in _solvers(found) if "crossent" not in s}
        best = min(each, key=lambda s: each[s][0])
        return f"none arrives; {_NAMES[best]} {each[best][0]:.0e} in {_number(each[best][1])}"
    quality = "" if reach.reached else f", then at {best_quality(_runs(solver, found))[0]:.0e}"
    return f"{_seconds(reach)} ({_NAMES[solver]}{quality})"


def _ratio(ours: Reach, theirs: Reach) -> str:
    if not ours.reached or math.isnan(theirs.seconds) or math.isinf(theirs.seconds):
        return ""
    sign = "" if theirs.reached else "≥ "
    return f"{sign}{theirs.seconds / ours.seconds:.3g}×"


def _memory(found: Found, solver: str) -> str:
    extra = _extra_memory(found, solver)
    return "" if math.isnan(extra) else f"{extra:.0f}"


def _extra_memory(found: Found, solver: str) -> float:
    """Peak beyond code and X before the first fit, less 8·q·(d + 1) bytes of parameters, in MB."""
    notes = [run["memory"] for run in _runs(solver, found) if run["memory"]]
    if not notes:
        return math.nan
    parameters = 8 * found["q"] * (found["d"] + 1)
    grown = statistics.median(note["peak_bytes"] - note["before_bytes"] for note in notes)
    return max(grown - parameters, 0.0) / 1e6


def _peak(runs: list[Found]) -> str:
    notes = [run["memory"]["peak_bytes"] / 1e6 for run in runs if run["memory"]]
    return f"{statistics.median(notes):.0f}" if notes else ""


def _optima(found: Found) -> str:
    values = [reference["objective"] for reference in found["references"]]
    if len(values) == 1:
        return f"f* = {values[0]:.10g}"
    return f"f* from {values[-1]:.7g} to {values[0]:.7g}"


def _stamp(results: Found) -> str:
    at = results["machine"]
    # Peers may live in environments of their own: crossent's versions win where they differ.
    found = [*(v for name, v in results["versions"].items() if name != "crossent")]
    versions = {
        k: v for each in [*found, results["versions"].get("crossent", {})] for k, v in each.items()
    }
    listed = ", ".join(f"{name} {versions[name]}" for name in sorted(versions))
    runs = [run for case in results["cases"].values() for run in case["runs"]]
    commits = list(dict.fromkeys(run["commit"] for run in runs)) or [results["commit"]]
    loads = [run["load"] for run in runs] or [math.nan]
    return (
        f"Measured {results['date'][:10]} on {at['cpu']}, {at['cores']} cores, {at['memory_GB']:g} "
        f"GB, {at['system']}, {at['threads']} thread(s), load average before a run "
        f"{min(loads):.1f} to {max(loads):.1f}, commit(s) {', '.join(commits)}; {listed}."
    )


def write_parts(path: Path, parts: dict[str, str]) -> None:
    """Write each part between its marks, if the file has them."""
    if not path.exists():
        return
    text = before = path.read_text("utf-8")
    for name, part in parts.items():
        begin, end = (f"<!-- benchmark:{name}:{side} -->" for side in ("begin", "end"))
        if begin in text and end in text:
            head, rest = text.split(begin, 1)
            text = f"{head}{begin}\n{part}\n{end}{rest.split(end, 1)[1]}"
    if text != before:
        path.write_text(text, "utf-8")
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
