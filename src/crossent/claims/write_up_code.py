"""The write-up's last part: its own loss and gradient functions, and where they break."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from crossent.claims import _identities
from crossent.claims._expect import below, close, equal
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import (
    linear_softmax_cross_entropy,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_gradient,
)
from crossent.typing import FloatArray

__all__ = ["CLAIMS"]

_TWO_ROWS = np.array([[0.0, 1.0], [2.0, 0.0]])
_GRID = np.tile(np.linspace(-2, 2, 50), (50, 1))


def _cell_loss(x: FloatArray, labels: npt.ArrayLike) -> float:
    """The write-up's `cross_soft2`: the label's logits take the place of all logits."""
    picked = x[np.arange(len(x)), np.asarray(labels)]
    with np.errstate(all="ignore"):
        return float((-picked + 2 + np.log(np.exp(picked - 2).sum())).mean())


def _summed_over_the_batch() -> Numbers:
    cases: dict[str, tuple[FloatArray, npt.ArrayLike]] = {
        "50 equal rows, each label once": (_GRID, np.arange(50)),
        "8 rows (0, 0, 0), first label": (np.zeros((8, 3)), [0] * 8),
        "(0, 1), (2, 0), labels 1, 2": (_TWO_ROWS, [0, 1]),
        "the same + 1000": (_TWO_ROWS + 1000, [0, 1]),
        "the same - 1000": (_TWO_ROWS - 1000, [0, 1]),
    }
    cell = [_cell_loss(*case) for case in cases.values()]
    ours = [float(softmax_cross_entropy(*case)) for case in cases.values()]
    two = (math.log1p(math.e) + math.log(math.e**2 + 1)) / 2
    close("ours", ours, [4.52904064368827498, math.log(3), two, two, two], rel=1e-13)
    close("the cell", cell[:3], [4.52904064368827498, math.log(8), math.log(2)], rel=1e-14)
    equal("the cell, shifted", cell[3:], [math.inf, -math.inf])
    close("two rows, 30 digits", two, 1.72009484928059766, rel=1e-15)
    return {name: [a, b] for name, a, b in zip(cases, cell, ours, strict=True)}


def _derivative_of_the_maximum() -> Numbers:
    x, h = np.array([2.0, 2.0, 1.0]), 1e-5

    def loss(z: FloatArray) -> float:
        return float(-z[0] + z.max() + math.log(np.exp(z - z.max()).sum()))

    steps = h * np.eye(3)  # error h²/6 of the third derivative, and rounding 1e-16/h
    slopes = [(loss(x + d) - loss(x - d)) / (2 * h) for d in steps]
    gradient = softmax_cross_entropy_gradient(x, 0)
    expected = [-0.577681201748481803, 0.422318798251518197, 0.155362403496963607]
    close("softmax - y", gradient, expected, rel=1e-14)
    close("central differences", slopes, expected, abs=1e-9)
    close("softmax without the label", softmax(x)[0] - 1.0, expected[0], rel=1e-14)
    return {
        "x, a tie for the maximum": x.tolist(),
        "slopes of -x_1 + max + log Σ e^(x - max)": [round(s, 9) for s in slopes],
        "softmax - y": gradient.tolist(),
    }


def _cell_gradient(x: FloatArray, labels: npt.ArrayLike) -> FloatArray:
    """The write-up's `cross_soft2_grad`: `sum(1)` without `keepdim`, `one_hot` without a number."""
    labels = np.asarray(labels)
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max())
        return np.asarray((e / e.sum(axis=1) - np.eye(labels.max() + 1)[labels]) / len(x))


def _cell_rows(x: FloatArray, labels: npt.ArrayLike) -> str | list[list[float]]:
    """What the cell returns, rounded, or the word "error"."""
    try:
        return [[round(v, 6) for v in row] for row in _cell_gradient(x, labels).tolist()]
    except ValueError:  # shapes that cannot be broadcast
        return "error"


def _broken_gradient() -> Numbers:
    cases: dict[str, tuple[FloatArray, npt.ArrayLike]] = {
        "rows (0, 1), (2, 0), labels 1, 2": (_TWO_ROWS, [0, 1]),
        "3 rows (0, 0, 0), first label": (np.zeros((3, 3)), [0, 0, 0]),
        "row (1, 2, 3), first label": (np.array([[1.0, 2.0, 3.0]]), [0]),
        "rows (0, 1), (-900, -901), labels 1, 2": (
            np.array([[0.0, 1.0], [-900.0, -901.0]]),
            [0, 1],
        ),
        "2 rows (0, 0, 0), labels 1, 3": (np.zeros((2, 3)), [0, 2]),
    }
    s, t = 0.365529289315002440, 0.440398538988941222
    right = [
        [[-s, s], [t, -t]],
        [[-2 / 9, 1 / 9, 1 / 9]] * 3,
        [[-0.909969426829619542, 0.244728471054797652, 0.665240955774821890]],
        [[-s, s], [s, -s]],
        [[-1 / 3, 1 / 6, 1 / 6], [1 / 6, 1 / 6, -1 / 3]],
    ]
    for (name, case), expected in zip(cases.items(), right, strict=True):
        close(name, softmax_cross_entropy_gradient(*case), expected, rel=1e-14)
    first, second, third, fourth, fifth = cell = [_cell_rows(*case) for case in cases.values()]
    equal("cell, unequal row sums", first, [[-0.365529, 0.162014], [0.993612, -0.440399]])
    equal("cell, one class only", second, [[-0.222222] * 3] * 3)
    equal("cell, one row", third, [[-0.909969, -0.755272, -0.334759]])
    finite = np.isfinite(np.array(fourth, dtype=float))
    equal("cell, far rows: all finite", bool(finite.all()), False)
    equal("cell, two rows of three", fifth, "error")
    shown: dict[str, Sequence[object]] = {}
    for name, seen, wanted in zip(cases, cell, right, strict=True):
        shown |= {f"{name}: cell": seen, f"{name}: right": wanted}
    return shown


def _weak_test() -> Numbers:
    gradient = softmax_cross_entropy_gradient(_GRID, np.arange(50))
    printed = {
        (0, 0): -1.9971e-02,
        (0, 1): 3.1692e-05,
        (0, 2): 3.4388e-05,
        (0, 47): 1.3545e-03,
        (0, 48): 1.4697e-03,
        (0, 49): 1.5947e-03,
        (1, 0): 2.9208e-05,
        (1, 1): -1.9968e-02,
        (2, 2): -1.9966e-02,
        (47, 47): -1.8646e-02,
        (48, 48): -1.8530e-02,
        (49, 49): -1.8405e-02,
    }
    for (row, column), value in printed.items():
        close(f"row {row + 1}, column {column + 1}", gradient[row, column], value, rel=3e-5)
    cell = _cell_gradient(_GRID, np.arange(50))
    close("the cell passes its own test", cell, gradient, rel=1e-12)
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(4, 4)), np.array([0, 1, 1, 3])
    difference = float(
        np.abs(_cell_gradient(x, labels) - softmax_cross_entropy_gradient(x, labels)).max()
    )
    below("and fails on four random rows: difference above", 0.01, difference)
    moved = softmax_cross_entropy_gradient(x + np.arange(4.0)[:, None], labels)
    close("ours: rows shifted", moved, softmax_cross_entropy_gradient(x, labels), abs=1e-15)
    return {
        "first row starts": gradient[0, :3].tolist(),
        "and ends": gradient[0, -3:].tolist(),
        "cell on random rows: largest error": difference,
    }


def _layer() -> Numbers:
    X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    W = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, -1.0]])
    b, labels = np.array([0.3, -0.2]), np.array([1, 0])
    result = linear_softmax_cross_entropy(X, W, b, labels, reduction="sum")
    G = softmax_cross_entropy_gradient(X @ W.T + b, labels, reduction="sum")
    pairs = {
        "X": (result.gradient_X, G @ W),
        "W": (result.gradient_W, G.T @ X),
        "b": (result.gradient_b, G.sum(axis=0)),
    }
    for name, (got, want) in pairs.items():
        close(f"by {name}", got, want, rel=1e-13, abs=1e-15)

    def loss(W: FloatArray) -> float:
        return float(linear_softmax_cross_entropy(X, W, b, labels, reduction="sum").loss)

    h = 1e-5  # third derivatives up to 6³/8: error h²/6 · 27 < 1e-9
    steps = h * np.eye(6).reshape(6, 2, 3)
    slopes = np.array([(loss(W + d) - loss(W - d)) / (2 * h) for d in steps]).reshape(2, 3)
    close("by W, central differences", slopes, result.gradient_W, abs=2e-9)
    upstream = np.array([[1.0, -1.0], [2.0, 0.0]])
    return {
        "dX = G W": (upstream @ W).tolist(),
        "dW = GᵀX": (upstream.T @ X).tolist(),
        "db = Σ rows of G": upstream.sum(axis=0).tolist(),
        "of the loss, by W": result.gradient_W.tolist(),
    }


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="S81",
        topic="write-up",
        statement=(
            "`cross_soft2(x, target)` is the mean cross-entropy of a batch; it gives 4.5290, as "
            "the library does."
        ),
        source="write-up, cell cross_soft2",
        verdict=Verdict.FALSE,
        answer=(
            "The function overwrites x by the logits of the labels, one per row, and only then "
            "takes the log-sum-exp. So it sums over the *rows of the batch*, where it should sum "
            "over the *classes of each row*. And it subtracts a fixed number, 2, where it should "
            "subtract the maximum.\n\n"
            "Why the test passes all the same: its 50 rows are equal, and each of the 50 classes "
            "is the label once. So the 50 logits that were picked are just one whole row. Almost "
            "any other input shows the fault. Eight rows of zeros with three classes give log 8 "
            "instead of log 3: the number of rows has taken the place of the number of classes. "
            "The rows (0, 1), (2, 0) with labels 1, 2 give .693 instead of 1.720; with 1000 added "
            "to every logit, which changes no probability, it gives inf, with 1000 subtracted "
            "-inf.\n\n"
            "Right: per row, log-sum-exp(x_i) - x_i,label, with the row's own maximum; then the "
            "mean over rows."
        ),
        correction=(
            "loss = mean over rows of [m_i + log Σ_j e^(x_ij - m_i) - x_i,label] with m_i = max_j "
            "x_ij: the sum runs over the classes, the shift belongs to the row."
        ),
        check=_summed_over_the_batch,
    ),
    Claim(
        id="S82",
        topic="write-up",
        statement="The derivative of -x_i + a + log Σ e^(x_j - a) is softmax(x) - p.",
        source="write-up, derivative lines",
        verdict=Verdict.TRUE_IF,
        answer=(
            "The result is right, the lines before it have slips. What is written as dH/dX is not "
            'a derivative but the loss itself; and the case "k = i" should read k ≠ i, since the '
            "-1 belongs to the label alone:\n\n    ∂/∂x_k = softmax(x)_k - 1 for k = label, "
            "softmax(x)_k for every other k.\n\n"
            "The derivative of a is written as 0. For a constant that is so. For a = max x it is "
            "not, yet it cancels: the loss does not depend on a at all, since ∂/∂a [a + log Σ "
            "e^(x_j - a)] = 1 - Σ e^(x_j - a) / Σ e^(x_j - a) = 0. So one may treat the maximum as "
            "a constant, even where two logits are tied and the maximum has no derivative. At x = "
            "(2, 2, 1) with label 1 the slopes are (-.5777, .4223, .1554)."
        ),
        correction="∂loss/∂x_k = softmax(x)_k - 1 if k is the label, softmax(x)_k if it is not.",
        check=_derivative_of_the_maximum,
        proof=_identities.any_shift,
    ),
    Claim(
        id="S83",
        topic="write-up",
        statement="`cross_soft2_grad(x, target)` is the gradient of the loss.",
        source="write-up, cell cross_soft2_grad",
        verdict=Verdict.FALSE,
        answer=(
            "It holds for a square batch of equal rows in which the last class occurs, and hardly "
            "beyond. Its faults, one by one:\n\n"
            "1. `sum(1)` without `keepdim=True` gives a flat vector, and broadcasting then divides "
            "*column* j by the sum of *row* j. That is right only if all rows have the same sum. A "
            "batch that is not square is an error (unless it is a single row).\n\n"
            "2. `one_hot(target)` without the number of classes counts up to the largest label "
            "present. If the last class is absent, shapes do not fit; if only the first class "
            "occurs, it is a single column of ones, which broadcasting subtracts from *every* "
            "class.\n\n"
            "3. The maximum is taken over the whole batch, so a row that lies far below another "
            "underflows: all its exponentials are 0, and 0/0 is NaN.\n\n"
            "4. It always divides by the number of rows, also where the sum is asked for.\n\n"
            "A check that would have noticed the first two: every row of softmax(x) - y sums to 0."
        ),
        correction=(
            "gradient = (softmax(x, along the classes) - one_hot(target, q)) / n, with the maximum "
            "of each row as its shift."
        ),
        check=_broken_gradient,
    ),
    Claim(
        id="S84",
        topic="write-up",
        statement=(
            "The printed gradient starts -1.9971e-02, 3.1692e-05, 3.4388e-05, and a comparison "
            "with the automatic gradient says True; so the function is right."
        ),
        source="write-up, last printed cells",
        verdict=Verdict.FALSE,
        answer=(
            "The numbers are right: (softmax - y)/50 for the 50 equal rows. The conclusion is not. "
            "The test uses the only kind of input for which the faults of S81 and S83 cancel: "
            "equal rows (so all row sums and maxima agree), as many rows as classes, each class "
            "once (so that class counts and shapes fit).\n\n"
            "The lesson is about tests. One symmetric example that passes says little. Take random "
            "rows of different size, more rows than classes and fewer, a label that occurs twice "
            "and one that is absent, rows shifted by different constants; and check properties "
            "which must hold for every input: rows of the gradient sum to 0, a shift of a row "
            "changes nothing, central differences of the loss agree."
        ),
        correction=(
            "The printed values are right for that input; on random rows the same function is "
            "wrong, so the test does not show that it is right."
        ),
        check=_weak_test,
    ),
    Claim(
        id="S85",
        topic="write-up",
        statement="For a linear layer dY/dX = Wᵀ, dY/dW = X, dY/dB = 1.",
        source="write-up, last lines",
        verdict=Verdict.TRUE_IF,
        answer=(
            "These are shorthands for something else: the derivative of a matrix by a matrix has "
            "four indices. Entry by entry, for Y = X W + b, y_ik = Σ_j x_ij w_jk + b_k, so "
            "∂y_ik/∂x_ij = w_jk, ∂y_ik/∂w_jk = x_ij and ∂y_ik/∂b_k = 1; all others are 0. (The "
            "write-up's last line has a wrong index there.)\n\n"
            "What a program needs is the chain rule with a loss behind the layer. Let G = "
            "∂loss/∂Y, with the shape of Y. Then dX = G Wᵀ, dW = XᵀG and db = the sum of the rows "
            "of G: the shorthands, each at its side of G. Leaving G out would be the derivative of "
            "nothing.\n\n"
            "This package stores W with one row per class, so Y = X Wᵀ + b, and it reads dX = G W, "
            "dW = GᵀX, db = Σ rows of G. With X = ((1, 2, 3), (4, 5, 6)), W = ((1, 0, 1), (0, 1, "
            "-1)), G = ((1, -1), (2, 0)): dX = ((1, -1, 2), (2, 0, 2)), dW = ((9, 12, 15), (-1, "
            "-2, -3)), db = (3, -1)."
        ),
        correction="With G = ∂loss/∂Y: dX = G Wᵀ, dW = XᵀG, db = Σ rows of G.",
        check=_layer,
        proof=_identities.layer_derivatives,
    ),
)
