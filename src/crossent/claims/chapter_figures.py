"""Pictures of the chapter's statements. Each function returns a new matplotlib figure."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.claims._drawing import BLUE, GREEN, GREY, ORANGE, new_figure
from crossent.functional import logsumexp, real_softmax, softmax

__all__ = ["convex_and_flat", "soft_maximum", "straight_borders"]

_W = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
_B = np.array([0.1, -0.2, 0.3])


def border(i: int, j: int, /) -> npt.NDArray[np.float64]:
    """Where classes i and j of S12 are the two likeliest, equally so: a ray, as two points (2, 2).

    It begins where all three logits are equal and follows (w_i - w_j)·x + b_i - b_j = 0, away from
    the third class.
    """
    k = 3 - i - j
    differences = np.stack([_W[i] - _W[k], _W[j] - _W[k]])
    start = np.linalg.solve(differences, [_B[k] - _B[i], _B[k] - _B[j]])
    across = _W[i] - _W[j]
    along = np.array([-across[1], across[0]]) / np.linalg.norm(across)
    if (_W[k] - _W[i]) @ along > 0:
        along = -along
    return np.asarray(np.stack([start, start + 8 * along]))


def straight_borders() -> Any:
    """Three classes in the plane: borders are straight, lines of equal probability bend (S12)."""
    figure, ax = new_figure()
    names = ["border", "", ""]
    for (i, j), name in zip(itertools.combinations(range(3), 2), names, strict=True):
        ax.plot(*border(i, j).T, color=GREY, linewidth=2, label=name)
    x, y = np.meshgrid(np.linspace(-3, 3, 121), np.linspace(-3, 3, 121))
    p = softmax(np.stack([x, y], axis=-1) @ _W.T + _B)
    ax.contour(x, y, p[..., 0], levels=[0.1, 0.5, 0.9], colors=BLUE, linewidths=1)
    ax.plot([], [], color=BLUE, linewidth=1, label="p_1 = .1, .5, .9")
    for number, place in enumerate(((2.0, -0.4), (-0.6, 2.2), (-1.9, -1.9)), start=1):
        ax.annotate(f"class {number}", place, ha="center", weight="bold")
    steps = np.linspace([-1.0, 0.0], [1.0, 2.0], 5)
    ax.plot(*steps.T, "o", color=ORANGE, markersize=4, label="the five points")
    ax.set(xlim=(-3, 3), ylim=(-3, 3), xlabel="first feature", ylabel="second feature")
    ax.set_aspect("equal")
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def soft_maximum() -> Any:
    """The soft maximum of 0 and b against b, for several λ, between min and max (S41)."""
    figure, ax = new_figure()
    b = np.linspace(-4, 4, 321)
    pairs = np.stack([np.zeros_like(b), b], axis=1)
    styles = ((1.0, BLUE, "-"), (3.0, BLUE, "--"), (-1.0, ORANGE, "-"), (-3.0, ORANGE, "--"))
    for sharpness, colour, style in styles:
        curve = real_softmax(pairs, inverse_temperature=sharpness)
        ax.plot(b, curve, color=colour, linestyle=style, label=f"λ = {sharpness:g}")
    ax.plot(b, pairs.max(axis=1), color=GREY, label="max(0, b) and min(0, b)")
    ax.plot(b, pairs.min(axis=1), color=GREY)
    ax.set(xlim=(-4, 4), xlabel="b", ylabel="λ⁻¹ RealSoftMax(0, λb)")
    ax.legend(frameon=False, loc="upper left")
    return figure


def convex_and_flat() -> Any:
    """The log-partition along two lines: under its chord, and straight along (1, 1, 1) (S33)."""
    figure, ax = new_figure()
    t = np.linspace(0.0, 1.0, 101)
    ends = np.array([[1.0, 2.0, 3.0], [3.0, 0.0, -1.0], [4.0, 5.0, 6.0]])
    labels = ("from (1, 2, 3) to (3, 0, -1)", "from (1, 2, 3) to (4, 5, 6)")
    for end, colour, label in zip(ends[1:], (BLUE, GREEN), labels, strict=True):
        path = ends[0] + t[:, None] * (end - ends[0])
        g = logsumexp(path)
        ax.plot(t, g, color=colour, label=f"g {label}")
        ax.plot([0, 1], g[[0, -1]], color=colour, linestyle="--", linewidth=1)
    ax.plot([], [], color=GREY, linestyle="--", linewidth=1, label="chords")
    ax.set(xlim=(0, 1), xlabel="share of the way", ylabel="g(x) = log Σ exp(x)")
    ax.legend(frameon=False, loc="upper left")
    return figure
