"""The write-up's third part: what softmax does to a vector, and the loss of every label."""

import math

import numpy as np

from crossent.claims import _identities, figures
from crossent.claims._expect import close, equal
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import log_softmax, logsumexp, softmax, softmax_cross_entropy, surprisal
from crossent.typing import FloatArray

__all__ = ["CLAIMS"]


def _naive_softmax(x: FloatArray) -> FloatArray:
    """e^x / Σ e^x without a shift, as the write-up has it."""
    with np.errstate(all="ignore"):
        return np.asarray(np.exp(x) / np.exp(x).sum())


def _one_large_logit() -> Numbers:
    x = np.array([100.0, 0.0, 0.0, 0.0, 0.0])
    log_p = log_softmax(x)
    missing = -math.expm1(log_p[0])
    exact = 4 * math.exp(-100) / (1 + 4 * math.exp(-100))
    close("1 - p from log p", missing, exact, rel=1e-14)
    close("1 - p as the sum of the others", float(softmax(x)[1:].sum()), exact, rel=1e-13)
    for dtype in (np.float32, np.float64):
        equal(f"p in {dtype.__name__}", float(softmax(x.astype(dtype))[0]), 1.0)
        huge = softmax((7.1 * x).astype(dtype))
        equal(f"softmax(710, 0, ...) in {dtype.__name__}", float(huge[0]), 1.0)
    fails = {}
    for dtype, last in ((np.float32, 88), (np.float64, 709)):
        fine, broken = (_naive_softmax(np.array([a, 0], dtype=dtype)) for a in (last, last + 1))
        equal(f"quotient at {last} in {dtype.__name__}", float(fine[0]), 1.0)
        equal(f"quotient at {last + 1} in {dtype.__name__}", math.isnan(broken[0]), True)
        fails[dtype.__name__] = last + 1
    return {
        "softmax(100, 0, 0, 0, 0)": softmax(x).tolist(),
        "1 - p of the first": missing,
        "first whole logit at which the plain quotient is NaN": [*fails.values()],
    }


def _relu_is_no_softmax() -> Numbers:
    x = np.arange(-2.0, 3.0)
    relu = np.maximum(x, 0)
    p = softmax(x)
    equal("sum of relu", float(relu.sum()), 3.0)
    weights = [math.exp(v) for v in x]
    close("softmax", p, [w / math.fsum(weights) for w in weights], rel=1e-15)
    close("sum of softmax", float(p.sum()), 1.0, rel=1e-15)
    gap = float(np.abs(relu / relu.sum() - p).max())
    close("relu / sum is another vector, off by", gap, 0.0992116760805967, rel=1e-12)
    return {"x": x.tolist(), "relu": relu.tolist(), "softmax": p.tolist()}


def _grid() -> Numbers:
    heights, ratios, ends = [], [], []
    for n in (50, 500):
        z = np.linspace(-5, 5, n)
        curve = softmax(z)
        neighbours = curve[1:] / curve[:-1]
        close(
            f"ratio of neighbours, {n} points",
            neighbours,
            [math.exp(10 / (n - 1))] * (n - 1),
            rel=1e-13,
        )
        height = (1 - math.exp(-10 / (n - 1))) / (1 - math.exp(-10 * n / (n - 1)))
        close(f"height with {n} points", float(curve.max()), height, rel=1e-13)
        pairs = softmax(np.stack([z, np.zeros(n)], axis=1))[:, 0]
        close(f"pairs (z, 0), {n} points", pairs, 1 / (1 + np.exp(-z)), rel=1e-14)
        heights.append(float(curve.max()))
        ratios.append(float(neighbours[0]))
        ends.append([float(pairs[0]), float(pairs[-1])])
    return {
        "points of the grid": [50, 500],
        "softmax of the grid: largest value": heights,
        "softmax of the grid: each over the one before": ratios,
        "softmax of the pairs (z, 0): from, to": ends[0],
    }


def _shift() -> Numbers:
    o, label, loss = np.array([1.0, 2.0, 3.0]), 2, 0.407605964444380305
    shifts = (-1000.0, -5.0, 0.0, 3.0, 100.0, 1000.0)
    with np.errstate(all="ignore"):
        plain = [float(-o[label] + a + np.log(np.exp(o - a).sum())) for a in shifts]
    close("constants near the logits", plain[1:5], [loss] * 4, rel=1e-13)
    equal("constants far from them", [plain[0], plain[5]], [math.inf, -math.inf])
    moved = [float(softmax_cross_entropy(o + a, label)) for a in shifts]
    close("the loss of shifted logits", moved, [loss] * 6, rel=1e-12)
    close("log-sum-exp minus the logit", logsumexp(o) - o[label], loss, rel=1e-14)
    return {
        "constant a": list(shifts),
        "-o_3 + a + log Σ e^(o - a)": plain,
        "softmax_cross_entropy of o + a": moved,
    }


def _every_label() -> Numbers:
    x = np.linspace(-2, 2, 50)
    one_by_one = softmax_cross_entropy(np.tile(x, (50, 1)), np.arange(50), reduction="none")
    expected = math.log(math.fsum(math.exp(v) for v in x)) - x
    close("loss of each label", one_by_one, expected, rel=1e-14)
    close("the same as surprisal from logits", surprisal(x, from_logits=True), expected, rel=1e-14)
    close("mean", float(one_by_one.mean()), 4.52904064368827498, rel=1e-14)
    single = surprisal(x.astype(np.float32), from_logits=True)
    close("in float32", single, expected, rel=1e-6)
    batch = np.zeros((2, 2))
    cell = -batch + batch.max() + math.log(np.exp(batch - batch.max()).sum())
    equal("the cell on two rows (0, 0)", np.unique(cell).tolist(), [math.log(4)])
    ours = surprisal(batch, from_logits=True)
    close("ours on two rows (0, 0)", ours, np.full((2, 2), math.log(2)), rel=1e-15)
    return {
        "loss of label 1": float(one_by_one[0]),
        "loss of label 50": float(one_by_one[-1]),
        "their mean": float(one_by_one.mean()),
        "rows (0, 0) and (0, 0): the cell, ours": [float(cell[0, 0]), float(ours[0, 0])],
    }


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="S76",
        topic="write-up",
        statement="`softmax([100, 0, 0, 0, 0])` has 1.0 as its first entry.",
        source="write-up, cell softmax",
        verdict=Verdict.TRUE_IF,
        answer=(
            "True after rounding. The exact value is 1/(1 + 4e^-100), which is below 1 by "
            "1.488e-43; float64 numbers just below 1 are 1.1e-16 apart, so it rounds to 1. The "
            "missing part is not lost: it is the sum of the other four entries, and also "
            "-expm1(log p), if log p is computed as a logarithm and not from the rounded 1.\n\n"
            "The plain quotient e^x / Σ e^x works here by luck. In float32 e^89, in float64 e^710 "
            "is infinite, and inf/inf is NaN. Subtracting the largest logit first leaves the value "
            "unchanged and cannot overflow."
        ),
        correction="softmax([100, 0, 0, 0, 0]) is 1 - 1.488e-43 first, which rounds to 1.0.",
        check=_one_large_logit,
    ),
    Claim(
        id="S77",
        topic="write-up",
        statement="The outputs of relu sum to 3.0 and those of softmax to 1.0.",
        source="write-up, cells relu and softmax",
        verdict=Verdict.TRUE,
        answer=(
            "relu(x) = max(x, 0) is not negative but otherwise free: (-2, -1, 0, 1, 2) becomes (0, "
            "0, 0, 1, 2), which sums to 3. Such scores are no probabilities. Dividing them by "
            "their sum would make them sum to 1, but gives probability 0, so an infinite loss, to "
            "every class with a negative score. Softmax keeps each class possible: (.0117, .0317, "
            ".0861, .2341, .6364).\n\n"
            "The cells cannot be run in the order in which they stand: softmax is used above its "
            "definition, and the vector shown is not the one used."
        ),
        check=_relu_is_no_softmax,
    ),
    Claim(
        id="S78",
        topic="write-up",
        statement="`plt.plot(grid, softmax(grid))` shows the shape of the softmax function.",
        source="write-up, plot of softmax",
        verdict=Verdict.FALSE,
        answer=(
            "softmax takes the whole grid as *one* vector of logits, that is, as 50 classes which "
            "compete. Each entry is e^z over the same sum, so the picture is a piece of the "
            "exponential function, scaled to sum 1. Its height depends on the grid: on [-5, 5] the "
            'last point has .185 with 50 points and .020 with 500. There is no curve "softmax" '
            "of one number.\n\n"
            "What people expect is the S-shaped curve of *one* probability while its own logit "
            "moves and the others stay. With one other class at 0 this is the softmax of the pairs "
            "(z, 0), row by row: 1/(1 + e^-z), the logistic sigmoid, from .0067 at -5 to .9933 at "
            "5 on every grid. Mind the axis: softmax of the pairs down the grid instead of along "
            "each pair draws the first picture again."
        ),
        correction=(
            "The softmax of a grid is an exponential whose height depends on the number of points; "
            "softmax of the pairs (z, 0) is the sigmoid."
        ),
        check=_grid,
        scene=figures.softmax_of_a_grid,
    ),
    Claim(
        id="S79",
        topic="write-up",
        statement=(
            "Cross-entropy of a softmax is -x_label + a + log Σ e^(x_j - a), for a constant a that "
            "keeps the exponentials in range."
        ),
        source="write-up, derivation of the stable loss",
        verdict=Verdict.TRUE_IF,
        answer=(
            "Derivation: -log(e^(x_l) / Σ e^(x_j)) = -x_l + log Σ e^(x_j), and taking e^a out of "
            "every term of the sum gives log Σ e^(x_j) = a + log Σ e^(x_j - a). The identity holds "
            "for *every* a. (In the write-up two indices are exchanged: the sum runs over j, the "
            "label is i; and Σ p = 1 for the label's distribution is used without saying so.)\n\n"
            "In floating point a has to be close to the largest logit. With x = (1, 2, 3) and "
            "label 3 the loss is .4076 for a = -5, 0, 3 or 100; with a = -1000 the exponentials "
            "overflow and it becomes inf; with a = 1000 they all vanish and it becomes -inf. a = "
            "max x is always right: then the largest exponential is e^0 = 1. A fixed number in the "
            "code is not (S81)."
        ),
        correction="Exact for every a; in floating point choose a = max x, anew for each row.",
        check=_shift,
        proof=_identities.any_shift,
    ),
    Claim(
        id="S80",
        topic="write-up",
        statement="`cross_soft(x)` returns the cross-entropy of softmax(x).",
        source="write-up, cell cross_soft",
        verdict=Verdict.TRUE_IF,
        answer=(
            "For one vector it is right, and returns more than one number: entry j is -log "
            "softmax(x)_j, the loss that is paid if j is the label. All these losses are "
            "log-sum-exp(x) - x_j: a straight line of slope -1 in the logit. For 50 logits from -2 "
            "to 2 they fall from 6.529 to 2.529, with mean 4.529; guessing evenly costs log 50 = "
            "3.912 each.\n\n"
            "For a batch it is wrong, because its maximum and its sum run over the whole array: "
            "two rows (0, 0) give log 4 where each row should give log 2. Both must be taken along "
            "the class axis. And the cell that compares it with the library's function forgets the "
            "target."
        ),
        correction=(
            "cross_soft(x) is the vector of losses for every possible label of one row; for a "
            "batch take maximum and sum along the axis of the classes."
        ),
        check=_every_label,
        scene=figures.loss_of_every_label,
    ),
)
