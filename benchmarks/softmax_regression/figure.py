"""Suboptimality against time, one panel for each case: docs/benchmarks.svg and .png.

python -m benchmarks.softmax_regression.figure [results.json]
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from benchmarks.softmax_regression.table import _NAMES, RESULTS, ROOT

_COLOURS = {
    "crossent": "#0072b2",
    "cyanure": "#d55e00",
    "sklearn_lbfgs": "#009e73",
    "sklearnex_lbfgs": "#cc79a7",
    "sklearn_newton_cholesky": "#56b4e9",
    "sklearn_newton_cg": "#e69f00",
    "adelie": "#666666",
}
_SKIPPED = ("iris", "iris_cold")
_FLOOR = 1e-9


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS / "softmax_regression.json"
    results = json.loads(path.read_text("utf-8"))
    cases = {
        name: found
        for name, found in results["cases"].items()
        if name not in _SKIPPED and len(found["Cs"]) == 1
    }
    columns = min(len(cases), 3)
    rows = math.ceil(len(cases) / columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(4.2 * columns, 3.1 * rows), squeeze=False, layout="constrained"
    )
    for panel in panels.flat[len(cases) :]:
        panel.axis("off")
    seen: dict[str, Any] = {}
    for panel, found in zip(panels.flat, cases.values(), strict=False):
        seen |= _draw(panel, found)
    figure.legend(seen.values(), [_NAMES[solver] for solver in seen], loc="outside upper center",
                  ncols=4, frameon=False)  # fmt: skip
    figure.supxlabel("seconds")
    figure.supylabel("relative suboptimality f/f* - 1")
    for suffix in ("svg", "png"):
        figure.savefig(ROOT / "docs" / f"benchmarks.{suffix}", dpi=110)
        print(f"wrote docs/benchmarks.{suffix}")


def _draw(panel: Any, found: dict[str, Any]) -> dict[str, Any]:
    """The first run of every solver."""
    lines = {}
    for run in found["runs"]:
        if run["repeat"] > 0 or run["solver"] not in _COLOURS:
            continue
        curve = _curve(run)
        if curve:
            style = {"color": _COLOURS[run["solver"]], "marker": "o", "markersize": 2.5}
            (lines[run["solver"]],) = panel.loglog(*zip(*curve, strict=True), **style)
    panel.axhline(1e-6, color="#999999", linewidth=0.8, linestyle=":")
    panel.set_title(found["title"], fontsize=9)
    panel.set_ylim(_FLOOR / 2, 10)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
    return lines


def _right(point: dict[str, Any]) -> bool:
    """A solver's own value, right to a tenth of the distance that it states."""
    return bool(point.get("off_by", math.inf) <= point["suboptimality"] / 10)


def _curve(run: dict[str, Any]) -> list[tuple[float, float]]:
    """(seconds, suboptimality), the best so far; separate fits count as points of one curve."""
    kinds = ("fit", "end", "iterate")
    points = [p for p in run["points"] if p["kind"] in kinds or _right(p)]
    if run["solver"] == "crossent":  # its trace, then where it has proved the last level
        points = [p for p in points if p["kind"] == "stated" or p.get("tol") == 1e-6]
    curve: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda p: p["seconds"]):
        quality = max(point["suboptimality"], _FLOOR)
        if point["seconds"] > 0 and (not curve or quality < curve[-1][1]):
            curve.append((point["seconds"], quality))
    return curve


if __name__ == "__main__":
    main()
