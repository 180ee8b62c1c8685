"""The tables and pictures of docs/structured.md, from the results of ``benchmarks.structured``.

    python -m benchmarks.structured_table [results.json] [--print]

writes each table between its marks ``<!-- benchmark:structured-NAME:begin -->`` and ``…:end -->``,
and docs/structured_accuracy.svg, docs/structured_break_even.svg and, where there are results of
``benchmarks.structured_gpu``, docs/structured_break_even_gpu.svg; with ``--print`` the tables are
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
GPU_RESULTS = RESULTS.with_name("structured_gpu.json")
Found = dict[str, Any]

_DATA = {
    "mnist": ("MNIST", "10x784"),
    "fashion_mnist": ("Fashion-MNIST", "10x784"),
    "letter": ("letter", "26x16"),
    "clinc150": ("clinc150, 512 directions of tf-idf", "150x512"),
}
_CERTIFIED = ("circulant", "toeplitz", "block_diagonal 4", "quaternion", "fastfood S")
_BARS = {"mnist": 0.976, "fashion_mnist": 0.882}
_FRIED_KINDS = ("control", "default")
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
        "hadamard": hadamard,
        "break-even": break_even,
        "stamp": stamps,
    }
    parts = {f"structured-{name}": make(results) for name, make in makers.items()}
    gpu = json.loads(GPU_RESULTS.read_text("utf-8")) if GPU_RESULTS.exists() else {}
    parts["structured-break-even-gpu"] = break_even_gpu(gpu)
    if "--print" in sys.argv:
        print("\n\n".join(parts.values()))
        return
    write_parts(ROOT / "docs" / "structured.md", parts)
    from benchmarks.structured_figure import draw

    draw(results, gpu, ROOT / "docs")


def stamps(results: Found) -> str:
    """Where and when each part was measured."""
    lines = [
        "| part | measured | commit | machine | BLAS threads | highest load | times comparable |",
        "|---|---|---|---|---|---|---|",
    ]
    versions = {}
    for key, at in results.items():
        if key.startswith("stamp "):
            lines.append(
                f"| {key[6:]} | {at['date'][:16].replace('T', ' ')} | {at['commit']} "
                f"| {at['cpu']}, {at['cores']} cores | {at['threads']} | {at['load']:.1f} "
                f"| {'yes' if at['are_times_comparable'] else 'no: CPU seconds only'} |"
            )
            versions |= at["versions"]
    shown = ", ".join(f"{name} {number}" for name, number in versions.items())
    return "\n".join([*lines, "", f"With {shown}."])


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


def control(rows: dict[str, list[Found]], row: str, dense: int) -> str:
    """The low-rank row nearest in parameters; the dense one where that has no more than this."""
    if row == "dense" or row.startswith("low_rank"):
        return "–"
    parameters = rows[row][0]["parameters"]
    ranks = {
        row: cells[0]["parameters"] for row, cells in rows.items() if row.startswith("low_rank")
    }
    if not ranks:
        return "–"
    if parameters >= dense:
        return f"{100 * interval(rows['dense'])[0]:.2f} (dense, {dense:,})"
    near = min(ranks, key=lambda r: abs(ranks[r] - parameters))
    mean, half = interval(rows[near])
    return f"{100 * mean:.2f} ± {100 * half:.2f} (rank {near.split()[1]}, {ranks[near]:,})"


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
            other = control(rows, row, _size(shape))
            lines.append(
                f"| {row} | {cells[0]['parameters']:,} | {100 * mean:.2f} ± {100 * half:.2f} "
                f"| {other} | {ms} | {endings(cells)} |"
            )
        lines.append("")
    return "\n".join(lines)


def _size(shape: str) -> int:
    """Numbers of a dense "qxd"."""
    q, d = shape.split("x")
    return int(q) * int(d)


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
        "| data | map | parameters | certified relative gap | passes | CPU s |",
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
            seconds = statistics.median(cell["cpu_s"] for cell in cells)
            lines.append(
                f"| {title.split(',')[0]} | {row} | {cells[0]['parameters']:,} | {gap:.1e} "
                f"| {passes:.0f} | {seconds:.1f} |"
            )
    return "\n".join(lines)


def fried(results: Found) -> str:
    """A softmax on Fastfood features beside one on pixels."""
    lines = [
        "| data | columns | seeds | learnt numbers | fixed numbers | test accuracy, % | aim, % "
        "| reached | features, CPU s | fit, CPU s (passes, end) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, bar in _BARS.items():
        cells = [c for k, c in results.get("fried", {}).items() if k.split(",")[0] == name]
        plain, usual = (results.get(f"fried_{kind}", {}).get(name) for kind in _FRIED_KINDS)
        for title, found, aim in (
            ("pixels, C = 1", [plain], None),
            ("Fastfood, nothing chosen: C = 1", [usual], None),
            ("Fastfood", cells, bar),
        ):
            if found and found[0] is not None:
                lines.append(_fried_line(name, title, found, aim))
    return "\n".join([*lines, *_choices(results.get("fried_choice", {}))])


def _fried_line(name: str, title: str, found: list[Found], aim: float | None) -> str:
    mean, half = interval(found)
    first = found[0]
    if aim is not None:
        title += f", C = {first['C']:g}, σ = {first['bandwidth_factor']:g} × median heuristic"
    passes = "–".join(str(p) for p in sorted({f([c["passes"] for c in found]) for f in (min, max)}))
    ends = ", ".join(sorted({c["status"].lower().replace("_", " ") for c in found}))
    reached = "| " if aim is None else f"{100 * aim:.1f} | {'yes' if mean >= aim else 'no'}"
    return (
        f"| {_DATA[name][0]} | {title} | {len(found)} | {first['parameters']:,} "
        f"| {first['fixed_numbers']:,} | {100 * mean:.2f} ± {100 * half:.2f} | {reached} "
        f"| {statistics.median(c['features_cpu_s'] for c in found):.1f} "
        f"| {statistics.median(c['cpu_s'] for c in found):.0f} ({passes}, {ends}) |"
    )


def _choices(cells: Found) -> list[str]:
    """How C and the bandwidth were chosen."""
    if not cells:
        return []
    lines = [
        "",
        "Accuracy, %, on the last 10,000 training rows after a fit to the others, by which C and σ "
        "were chosen; no test row and no seed of the table above has a part in it:",
        "",
        "| data | σ over the median heuristic | C | accuracy, % | passes, end |",
        "|---|---|---|---|---|",
    ]
    for key, cell in cells.items():
        name, factor, C = key.split(", ")
        best = max(c["accuracy"] for k, c in cells.items() if k.split(", ")[0] == name)
        mark = "**" if cell["accuracy"] == best else ""
        lines.append(
            f"| {_DATA[name][0]} | {factor} | {C} | {mark}{100 * cell['accuracy']:.2f}{mark} "
            f"| {cell['passes']}, {cell['status'].lower().replace('_', ' ')} |"
        )
    return lines


def hadamard(results: Found) -> str:
    """Milliseconds of the transform by products, of two butterflies, of the dense product."""
    lines = [
        "| n | two products | butterfly | butterfly, two buffers | dense n x n | butterfly over "
        "products | two buffers over products |",
        "|---|---|---|---|---|---|---|",
    ]
    for n, ms in results.get("hadamard", {}).items():
        ways = [ms[way] for way in ("products", "butterfly", "butterfly in place", "dense")]
        quotients = [ways[1] / ways[0], ways[2] / ways[0]]
        shown = [f"{x:.3g}" for x in ways] + [f"{x:.1f}" for x in quotients]
        lines.append(f"| {n} | " + " | ".join(shown) + " |")
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
        "| map | n | time over dense at batch 1 | 64 | 1024 | faster at | slower at batches |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, cells in ratios(results).items():
        for n in sorted({n for n, _ in cells}):
            shown = " | ".join(_ratio(cells.get((n, batch))) for batch in (1, 64, 1024))
            column = {batch: cells[m, batch] for m, batch in sorted(cells) if m == n}
            wins = ", ".join(str(batch) for batch, ratio in column.items() if ratio < 1)
            losses = ", ".join(str(batch) for batch, ratio in column.items() if ratio >= 1)
            lines.append(f"| {row} | {n} | {shown} | {wins or 'none'} | {losses or 'none'} |")
    return "\n".join(lines)


def break_even_gpu(results: Found) -> str:
    """The same on a GPU, or that there are no results."""
    if not results:
        return "Not measured: no GPU was at hand for `python -m benchmarks.structured_gpu`."
    at = results["stamp"]
    where = (
        f"{at['gpu']}, PyTorch {at['versions']['torch']}, {at['date'][:10]}, commit {at['commit']}."
    )
    parts = [where]
    for dtype in ("float32", "bfloat16"):
        cells = {k.split("; ")[1]: c for k, c in results["break_even"].items() if dtype in k}
        parts += [f"**{dtype}**", break_even({"break_even": cells})]
    return "\n\n".join(parts)


def _ratio(value: float | None) -> str:
    if value is None:
        return "–"
    return f"**{value:.2f}**" if value < 1 else f"{value:.3g}"


if __name__ == "__main__":
    main()
