"""The write-up's plots, drawn right. Each function returns a new matplotlib figure.

Every curve is computed by the package's public functions; what the write-up drew instead is drawn
beside it, dashed.
"""

import math
from typing import Any

import numpy as np

from crossent.claims._drawing import BLUE, GREY, ORANGE, SKY, new_figure
from crossent.functional import cross_entropy, entropy, kl_divergence, softmax, surprisal

__all__ = [
    "entropy_plus_divergence",
    "loss_of_every_label",
    "softmax_of_a_grid",
    "surprisal_curve",
]


def surprisal_curve() -> Any:
    """-log p over p from .001 to 1, with the price of each factor of ten (S72)."""
    figure, ax = new_figure()
    p = np.geomspace(1e-3, 1.0, 400)
    ax.plot(p, surprisal(p), color=BLUE)
    marks = np.array([1.0, 0.5, 0.1, 0.01, 0.001])
    ax.plot(marks, surprisal(marks), "o", color=BLUE, markersize=4)
    for mark, nats, bits in zip(marks, surprisal(marks), surprisal(marks, base=2), strict=True):
        text = f"p = {mark:g}: {nats:.2f} nats, {bits:.2f} bits"
        ax.annotate(text, (mark, nats), (8, 4), textcoords="offset points", fontsize=9)
    grid = np.linspace(0.001, 1, 50)
    flat = f"what the write-up's cell returns: {-grid[1]:.4f} everywhere"
    ax.axhline(-grid[1], color=ORANGE, linestyle="--", label=flat)
    ax.set(xlim=(-0.02, 1.45), ylim=(-0.6, 7.4), xlabel="probability p of the label")
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.set_ylabel("loss -log p in nats")
    ax.legend(frameon=False, loc="upper right", bbox_to_anchor=(1.0, 0.85))
    return figure


def entropy_plus_divergence() -> Any:
    """H(P) and KL(P ‖ Q) stacked under the cross-entropy, for every p of two outcomes (S74)."""
    figure, ax = new_figure()
    q = 0.25
    p = np.linspace(0, 1, 401)
    P = np.stack([p, 1 - p], axis=1)
    Q = np.tile([q, 1 - q], (len(p), 1))
    uncertainty, divergence = entropy(P), kl_divergence(P, Q)
    ax.fill_between(p, uncertainty, color=SKY, linewidth=0, label="entropy H(P)")
    top = uncertainty + divergence
    ax.fill_between(
        p, uncertainty, top, color=GREY, alpha=0.35, linewidth=0, label="divergence KL(P ‖ Q)"
    )
    ax.plot(p, cross_entropy(P, Q), color=BLUE, label="cross-entropy H(P, Q)")
    inside = p[1:]
    cell = inside * np.log(inside) + inside * np.log(inside / q)
    ax.plot(inside, cell, color=ORANGE, linestyle="--", label="the write-up's entropy_plus_kl")
    ax.plot([q], [float(entropy([q, 1 - q]))], "o", color=BLUE, markersize=4)
    ax.annotate(
        "p = q: the divergence is 0",
        (q, float(entropy([q, 1 - q]))),
        (4, -42),
        textcoords="offset points",
        fontsize=9,
        arrowprops={"arrowstyle": "-", "color": GREY},
    )
    ax.set(
        xlim=(0, 1),
        ylim=(-0.45, 1.7),
        xlabel=f"probability p of the first outcome; predicted q = {q:g}",
    )
    ax.set_ylabel("nats")
    ax.legend(frameon=False, loc="upper left")
    return figure


def softmax_of_a_grid() -> Any:
    """One softmax over a grid, with two grids, against softmax of the pairs (z, 0) (S78)."""
    figure, ax = new_figure()
    z = np.linspace(-5, 5, 500)
    pairs = softmax(np.stack([z, np.zeros_like(z)], axis=1))[:, 0]
    ax.plot(z, pairs, color=BLUE, label="softmax of the pairs (z, 0): the sigmoid")
    for n, style in ((50, "--"), (500, ":")):
        grid = np.linspace(-5, 5, n)
        curve = softmax(grid)
        label = f"one softmax over all {n} grid points: up to {curve.max():.3f}"
        ax.plot(grid, curve, color=ORANGE, linestyle=style, label=label)
    ax.set(
        xlim=(-5, 5),
        ylim=(-0.02, 1.3),
        yticks=np.linspace(0, 1, 6),
        xlabel="logit z",
        ylabel="probability",
    )
    ax.legend(frameon=False, loc="upper left")
    return figure


def loss_of_every_label() -> Any:
    """-log softmax(x) of one row of 50 logits: the loss for every possible label (S80)."""
    figure, ax = new_figure()
    x = np.linspace(-2, 2, 50)
    losses = surprisal(x, from_logits=True)
    ax.plot(x, losses, "o", color=BLUE, markersize=3.5, label="loss if this class is the label")
    for place, label in ((0, 1), (-1, 50)):
        ax.annotate(
            f"label {label}: {losses[place]:.3f}",
            (x[place], losses[place]),
            (8, 2),
            textcoords="offset points",
            fontsize=9,
        )
    mean = float(losses.mean())
    ax.axhline(mean, color=GREY, label=f"mean over all labels: {mean:.3f}")
    even = math.log(len(x))
    ax.axhline(even, color=GREY, linestyle="--", label=f"guessing evenly: log 50 = {even:.3f}")
    ax.set_xlim(-2.2, 2.9)
    ax.set_xlabel("logit x of the class; 50 classes from -2 to 2")
    ax.set_ylabel("loss log Σ exp(x) - x in nats")
    ax.legend(frameon=False, loc="upper right")
    return figure
