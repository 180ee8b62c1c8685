"""Pictures of docs/structured.md: accuracy over parameters, and where a map is faster."""

import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from benchmarks.structured_table import _DATA, interval, ratios, rows_of
from matplotlib.colors import TwoSlopeNorm
from matplotlib.ticker import NullFormatter

__all__ = ["draw"]

# Colour and marker of each row; rows of one family are joined by a line.
_FAMILIES = ("low_rank", "phm")
_MARKS = {
    "dense": ("black", "*"), "low_rank": ("0.55", "o"), "phm": ("tab:orange", "o"),
    "block_diagonal": ("tab:blue", "s"), "circulant": ("tab:cyan", "v"),
    "toeplitz": ("tab:cyan", "^"), "complex": ("tab:purple", "2"),
    "quaternion": ("tab:purple", "x"), "octonion": ("tab:purple", "P"),
    "fastfood": ("tab:green", "D"), "adaptive_fastfood": ("tab:olive", "D"),
    "monarch": ("tab:red", "s"), "toeplitz_like": ("tab:pink", "^"),
}  # fmt: skip


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
    figure, axes = plt.subplots(2, 2, figsize=(9.5, 7.6))
    for axis in axes.ravel()[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes.ravel(), names, strict=False):
        _accuracy_of(axis, rows_of(results, name))
        axis.set(xscale="log", xlabel="parameters", title=_DATA[name][0].split(",")[0])
        axis.set_ylabel("test accuracy, %")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    shown = {
        label: handle
        for axis in axes.ravel()
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(shown.values(), shown.keys(), loc="lower center", ncols=7, frameon=False)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return figure


def _accuracy_of(axis: Any, rows: dict[str, Any]) -> None:
    """One data set: points with intervals; ranks and PHM's n along a line."""
    families: dict[str, list[tuple[int, float, float, str]]] = {}
    for row, cells in rows.items():
        family, _, number = row.partition(" ")
        mean, half = interval(cells)
        point = (cells[0]["parameters"], 100 * mean, 100 * half, number)
        families.setdefault(family, []).append(point)
    for family, points in families.items():
        colour, marker = _MARKS[family]
        sizes, means, halves, numbers = zip(*sorted(points), strict=True)
        kept = {"color": colour, "marker": marker, "ms": 5, "lw": 1, "elinewidth": 1}
        line = "-" if family in _FAMILIES else "none"
        axis.errorbar(sizes, means, halves, label=family.replace("_", " "), ls=line, **kept)
        if family in _FAMILIES:
            for size, mean, number in zip(sizes, means, numbers, strict=True):
                where = {"xytext": (3, -9), "textcoords": "offset points", "fontsize": 6}
                axis.annotate(number, (size, mean), color=colour, **where)


def _break_even(results: dict[str, Any]) -> Any:
    found = ratios(results)
    sizes = sorted({n for cells in found.values() for n, _ in cells})
    batches = sorted({batch for cells in found.values() for _, batch in cells})
    columns = 3
    lines = -(-len(found) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(11, 3.1 * lines), squeeze=False)
    norm = TwoSlopeNorm(0, -2, 2)
    for axis in axes.ravel()[len(found) :]:
        axis.axis("off")
    for axis, (row, cells) in zip(axes.ravel(), found.items(), strict=False):
        table = np.array([[cells.get((n, b), np.nan) for n in sizes] for b in batches])
        axis.imshow(np.log10(table), cmap="RdBu_r", norm=norm, aspect="auto", origin="lower")
        for i, j in np.argwhere(np.isfinite(table)):
            ratio = table[i, j]
            look = {"color": "white" if abs(math.log10(ratio)) > 1.1 else "black", "fontsize": 6.5}
            look["fontweight"] = "bold" if ratio < 1 else "normal"
            axis.text(j, i, _ratio_in_words(ratio), ha="center", va="center", **look)
        axis.set_xticks(range(len(sizes)), sizes)
        axis.set_yticks(range(len(batches)), batches)
        axis.set_title(row)
    for axis in axes[:, 0]:
        axis.set_ylabel("batch")
    for axis in axes[-1]:
        axis.set_xlabel("n of an n x n map")
    figure.suptitle("Time over that of the dense product: blue and bold is faster, red is slower")
    figure.tight_layout()
    return figure


def _ratio_in_words(ratio: float) -> str:
    """Two digits, none behind the point from ten on."""
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2f}"
