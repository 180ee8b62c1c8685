"""The tables and pictures of docs/structured.md, from the results of ``benchmarks.structured``.

    python -m benchmarks.structured_table [results.json] [--print]

writes each table between its marks ``<!-- benchmark:structured-NAME:begin -->`` and ``…:end -->``,
and docs/structured_accuracy.svg and docs/structured_break_even.svg; with ``--print`` the tables are
printed only.
"""

import json
import math
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.softmax_regression.table import write_parts

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "structured.json"
Found = dict[str, Any]

_DATA = {
    "mnist": ("MNIST", "10x784"),
    "fashion_mnist": ("Fashion-MNIST", "10x784"),
    "letter": ("letter", "26x16"),
    "clinc150": ("clinc150, 512 directions of tf-idf", "150x512"),
}
_CERTIFIED = ("circulant", "toeplitz", "block_diagonal 4", "quaternion", "fastfood S")
_BARS = {"mnist": 0.976, "fashion_mnist": 0.882}
_NORMAL = 1.96  # 95 %


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--print"]
    results = json.loads((Path(words[0]) if words else RESULTS).read_text("utf-8"))
    makers = {
        "correctness": correctness,
        "starts": starts,
        "accuracy": accuracy,
        "certified": certified,
        "fried": fried,
        "break-even": break_even,
    }
    parts = {f"structured-{name}": make(results) for name, make in makers.items()}
    parts["structured-stamp"] = stamp(results["stamp"])
    if "--print" in sys.argv:
        print("\n\n".join(parts.values()))
        return
    write_parts(ROOT / "docs" / "structured.md", parts)
    from benchmarks.structured_figure import draw

    draw(results, ROOT / "docs")


def stamp(found: Found) -> str:
    """Where and when."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    load = ", ".join(f"{x:.1f}" for x in found["load"])
    return (
        f"{found['cpu']}, {found['threads']} thread of {found['cores']} cores, load {load}; "
        f"{versions}; {found['date']}, commit {found['commit']}."
    )


def by_map(cells: Found) -> dict[str, list[Found]]:
    """Cells "name qxd" by name."""
    grouped = defaultdict(list)
    for key, cell in cells.items():
        grouped[key.rsplit(" ", 1)[0]].append(cell)
    return dict(grouped)


def correctness(results: Found) -> str:
    """Largest relative errors of each map over all sizes."""
    lines = [
        "| map | apply against dense | adjoint identity | gradient against differences |",
        "|---|---|---|---|",
    ]
    for name, cells in by_map(results.get("correctness", {})).items():
        worst = [max(cell[kind] for cell in cells) for kind in ("apply", "adjoint", "gradient")]
        lines.append(f"| {name} | " + " | ".join(f"{x:.0e}" for x in worst) + " |")
    errors = results.get("transforms", {}).get("errors")
    if errors:
        lines += [
            "",
            "Hadamard transform against `scipy.linalg.hadamard`, n = 1 … 4096: "
            f"{errors['hadamard']:.0e}. "
            f"Quaternion map against Hamilton's product: {errors['hamilton']:.0e}.",
        ]
    kernel = {int(n): error for n, error in results.get("kernel_error", {}).items()}
    if len(kernel) > 1:
        (first, high), (last, low) = min(kernel.items()), max(kernel.items())
        slope = math.log(low / high) / math.log(last / first)
        shown = ", ".join(f"{error:.4f} with {n}" for n, error in sorted(kernel.items()))
        lines += ["", f"Kernel error of FastfoodFeatures: {shown}; it falls as n^{slope:.2f}."]
    return "\n".join(lines)


def starts(results: Found) -> str:
    """Output rms of each map, over all sizes."""
    lines = ["| map | mean over 20 seeds, all sizes | least | most |", "|---|---|---|---|"]
    for name, cells in by_map(results.get("starts", {})).items():
        means = [cell["mean"] for cell in cells]
        span = f"{min(means):.3f} – {max(means):.3f}"
        least, most = min(c["least"] for c in cells), max(c["most"] for c in cells)
        lines.append(f"| {name} | {span} | {least:.3f} | {most:.3f} |")
    return "\n".join(lines)


def rows_of(results: Found, name: str) -> dict[str, list[Found]]:
    """The fits of a data set by row of the table, one for each seed."""
    grouped = defaultdict(list)
    for key, cell in results.get("accuracy", {}).items():
        data, row, _ = key.split(", ")
        if data == name:
            grouped[row].append(cell)
    return dict(grouped)


def interval(cells: list[Found]) -> tuple[float, float]:
    """Mean accuracy, and half of the 95 % interval from test rows and seeds."""
    values = [cell["accuracy"] for cell in cells]
    mean = statistics.fmean(values)
    variance = mean * (1 - mean) / cells[0]["test_rows"]
    if len(values) > 1:
        variance += statistics.variance(values) / len(values)
    return mean, _NORMAL * math.sqrt(variance)


def control(rows: dict[str, list[Found]], parameters: int) -> str:
    """The low-rank row nearest in parameters."""
    ranks = {
        row: cells[0]["parameters"] for row, cells in rows.items() if row.startswith("low_rank")
    }
    if not ranks:
        return "–"
    row = min(ranks, key=lambda r: abs(math.log(ranks[r] / parameters)))
    mean, _ = interval(rows[row])
    return f"{100 * mean:.2f} (rank {row.split()[1]}, {ranks[row]:,})"


def accuracy(results: Found) -> str:
    """A table for each data set."""
    lines = []
    for name, (title, shape) in _DATA.items():
        rows = rows_of(results, name)
        if not rows:
            continue
        lines += [
            f"**{title}**, {shape.replace('x', ' x ')}",
            "",
            "| map | parameters | test accuracy, % | low rank with nearest parameters, % "
            "| ms at batch 1 | 16 | 256 | 4096 | how the fits ended |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for row, cells in rows.items():
            mean, half = interval(cells)
            timed = results.get("times", {}).get(f"{shape}, {row}", {})
            ms = " | ".join(f"{timed[b]:.3g}" if timed else "–" for b in ("1", "16", "256", "4096"))
            other = "–" if row == "dense" else control(rows, cells[0]["parameters"])
            lines.append(
                f"| {row} | {cells[0]['parameters']:,} | {100 * mean:.2f} ± {100 * half:.2f} "
                f"| {other} | {ms} | {endings(cells)} |"
            )
        lines.append("")
    return "\n".join(lines)


def endings(cells: list[Found]) -> str:
    """Statuses in words, with the largest certified gap."""
    words = {
        "CONVERGED": "certified",
        "LOCAL_OPTIMUM": "local optimum",
        "MAX_PASSES": "stopped",
        "STATIONARY": "stationary",
    }
    kinds = dict.fromkeys(words.get(cell["status"], cell["status"].lower()) for cell in cells)
    passes = max(cell["passes"] for cell in cells)
    gaps = [cell["relative_gap"] for cell in cells if cell["convex"]]
    proof = f" to {max(gaps):.0e}" if gaps else ""
    return f"{', '.join(kinds)}{proof}, {passes} passes"


def certified(results: Found) -> str:
    """The convex maps: passes, seconds and certified gaps."""
    lines = [
        "| data | map | parameters | certified relative gap | passes | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name, (title, _) in _DATA.items():
        rows = rows_of(results, name)
        for row in ("dense", *_CERTIFIED):
            cells = rows.get(row)
            if not cells:
                continue
            gap = max(cell["relative_gap"] for cell in cells)
            passes = statistics.median(cell["passes"] for cell in cells)
            seconds = statistics.median(cell["seconds"] for cell in cells)
            lines.append(
                f"| {title.split(',')[0]} | {row} | {cells[0]['parameters']:,} | {gap:.1e} "
                f"| {passes:.0f} | {seconds:.1f} |"
            )
    return "\n".join(lines)


def fried(results: Found) -> str:
    """A softmax on Fastfood features beside one on pixels."""
    lines = [
        "| data | features | learnt numbers | fixed numbers | test accuracy, % | aim, % | reached "
        "| features, s | fit, s (passes, end) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, bar in _BARS.items():
        cells = [c for k, c in results.get("fried", {}).items() if k.split(",")[0] == name]
        plain = results.get("fried_control", {}).get(name)
        for title, found, aim in (("pixels", [plain], None), ("Fastfood", cells, bar)):
            if not found or found[0] is None:
                continue
            mean, half = interval(found)
            reached = "" if aim is None else ("yes" if mean >= aim else "no")
            first = found[0]
            lines.append(
                f"| {_DATA[name][0]} | {title}, C = {first['C']:g} | {first['parameters']:,} "
                f"| {first['fixed_numbers']:,} | {100 * mean:.2f} ± {100 * half:.2f} "
                f"| {'' if aim is None else f'{100 * aim:.1f}'} | {reached} "
                f"| {statistics.median(c['features_s'] for c in found):.1f} "
                f"| {statistics.median(c['fit_s'] for c in found):.0f} "
                f"({first['passes']}, {first['status'].lower().replace('_', ' ')}) |"
            )
    return "\n".join(lines)


def ratios(results: Found) -> dict[str, dict[tuple[int, int], float]]:
    """Milliseconds of each map over those of the dense product, by (n, batch)."""
    found: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)
    for key, cell in results.get("break_even", {}).items():
        n, batch = (int(word) for word in key.split(", "))
        for row, ms in cell.items():
            if row != "dense":
                found[row][n, batch] = ms / cell["dense"]
    return dict(found)


def break_even(results: Found) -> str:
    """For each map and n: the ratio at batch 1, 64, 1024, and from which batch on it wins."""
    lines = [
        "| map | n | time over dense at batch 1 | 64 | 1024 | faster at batches |",
        "|---|---|---|---|---|---|",
    ]
    for row, cells in ratios(results).items():
        for n in sorted({n for n, _ in cells}):
            shown = " | ".join(_ratio(cells.get((n, batch))) for batch in (1, 64, 1024))
            wins = [str(batch) for m, batch in sorted(cells) if m == n and cells[m, batch] < 1]
            lines.append(f"| {row} | {n} | {shown} | {', '.join(wins) or 'none'} |")
    return "\n".join(lines)


def _ratio(value: float | None) -> str:
    if value is None:
        return "–"
    return f"**{value:.2f}**" if value < 1 else f"{value:.3g}"


if __name__ == "__main__":
    main()
