"""Pictures of docs/structured.md: accuracy over parameters, and where a map is faster."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from benchmarks.structured_table import _DATA, interval, ratios, rows_of
from matplotlib.colors import TwoSlopeNorm

__all__ = ["draw"]

_COLOURS = {"dense": "black", "low_rank": "0.55", "phm": "tab:orange", "fastfood": "tab:green"}


def draw(results: dict[str, Any], gpu: dict[str, Any], folder: Path) -> None:
    """The pictures, as far as there are results for them."""
    with plt.rc_context({"svg.hashsalt": "crossent", "svg.fonttype": "none", "font.size": 8}):
        if results.get("accuracy"):
            _save(_accuracy(results), folder / "structured_accuracy.svg")
        if results.get("break_even"):
            _save(_break_even(results), folder / "structured_break_even.svg")
        if gpu:
            cells = gpu["break_even"].items()
            single = {key.split("; ")[1]: cell for key, cell in cells if "float32" in key}
            _save(_break_even({"break_even": single}), folder / "structured_break_even_gpu.svg")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    print(f"wrote {path.name}")


def _accuracy(results: dict[str, Any]) -> Any:
    names = [name for name in _DATA if rows_of(results, name)]
    figure, axes = plt.subplots(1, len(names), figsize=(3.4 * len(names), 3.2), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        for row, cells in rows_of(results, name).items():
            mean, half = interval(cells)
            colour = _COLOURS.get(row.split()[0], "tab:blue" if cells[0]["convex"] else "tab:red")
            size = cells[0]["parameters"]
            axis.errorbar(size, 100 * mean, 100 * half, fmt="o", ms=3, color=colour, lw=1)
            axis.annotate(row, (size, 100 * mean), (3, 2), textcoords="offset points", fontsize=5.5)
        axis.set(xscale="log", xlabel="parameters", title=_DATA[name][0].split(",")[0])
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("test accuracy, %")
    return figure


def _break_even(results: dict[str, Any]) -> Any:
    found = ratios(results)
    sizes = sorted({n for cells in found.values() for n, _ in cells})
    batches = sorted({batch for cells in found.values() for _, batch in cells})
    columns = 3
    lines = -(-len(found) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(9.5, 2.6 * lines), squeeze=False)
    norm = TwoSlopeNorm(0, -2, 2)
    for axis in axes.ravel()[len(found) :]:
        axis.axis("off")
    for axis, (row, cells) in zip(axes.ravel(), found.items(), strict=False):
        table = np.array([[cells.get((n, b), np.nan) for n in sizes] for b in batches])
        axis.imshow(np.log10(table), cmap="RdBu_r", norm=norm, aspect="auto", origin="lower")
        for i, j in np.argwhere(np.isfinite(table)):
            axis.text(j, i, f"{table[i, j]:.2g}", ha="center", va="center", fontsize=5)
        axis.set_xticks(range(len(sizes)), sizes)
        axis.set_yticks(range(len(batches)), batches)
        axis.set_title(row)
    for axis in axes[:, 0]:
        axis.set_ylabel("batch")
    for axis in axes[-1]:
        axis.set_xlabel("n of an n x n map")
    figure.suptitle("Time over that of the dense product: blue is faster, red is slower")
    figure.tight_layout()
    return figure
