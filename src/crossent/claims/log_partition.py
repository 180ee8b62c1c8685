"""Exercise 6: the logarithm of the softmax's normaliser, and how to compute it."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.claims import _proofs, chapter_figures
from crossent.claims._expect import below, close, equal, zero
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import logsumexp, softmax, softmax_cross_entropy_hessian_vector

__all__ = ["CLAIMS"]

_O = np.array([1.0, 2.0, 3.0])
_G = 3.4076059644443803045  # log Σ exp(1, 2, 3), mpmath


def _convex() -> Numbers:
    pairs = (((1, 2, 3), (3, 0, -1)), ((0, 0, 0), (3, 0, -1)), ((1, 2, 3), (4, 5, 6)))
    wanted = (  # mpmath: at the midpoint, mean of the ends
        (2.5514447139320510891, 3.2367449341009047363),
        (1.8063557122291465202, 2.0822480962127694297),
        (4.9076059644443803045, 4.9076059644443803045),
    )
    shown: dict[str, list[float]] = {}
    for (a, b), (low, high) in zip(pairs, wanted, strict=True):
        middle = float(logsumexp(np.add(a, b) / 2))
        mean = float(logsumexp([a, b]).mean())
        close(f"midpoint of {a} and {b}", middle, low, rel=1e-14)
        close(f"mean of g at {a} and {b}", mean, high, rel=1e-14)
        shown[f"g at the middle of {a} and {b}, mean of g"] = [middle, mean]
    p = np.exp(_O) / np.exp(_O).sum()
    v = np.array([1.0, -2.0, 4.0])
    curvature = float(v @ softmax_cross_entropy_hessian_vector(_O, v))
    squares = sum(p[i] * p[j] * (v[i] - v[j]) ** 2 for i in range(3) for j in range(i + 1, 3))
    close("vᵀHv as a sum of squares", curvature, float(squares), rel=1e-13)
    flat = softmax_cross_entropy_hessian_vector(_O, np.ones(3))
    zero("curvature along (1, 1, 1)", flat, abs=1e-16)
    return shown | {"vᵀHv and Σ p_i p_j (v_i - v_j)²": [curvature, float(squares)]}


def _equivariant() -> Numbers:
    moved = _O + 5
    g = [float(logsumexp(_O)), float(logsumexp(moved))]
    close("g(1, 2, 3)", g[0], _G, rel=1e-15)
    close("g(6, 7, 8)", g[1], _G + 5, rel=1e-15)
    close("softmax of both", softmax(moved), softmax(_O), rel=1e-15)
    weights = [math.exp(o) for o in (1, 2, 3)]
    close("softmax", softmax(moved), [w / sum(weights) for w in weights], rel=1e-14)
    return {
        "g(1, 2, 3) and g(6, 7, 8)": g,
        "their difference": g[1] - g[0],
        "softmax of both": [softmax(row).round(7).tolist() for row in (_O, moved)],
    }


def _naive(x: npt.NDArray[np.float64]) -> float:
    """Log of the sum of exponentials, as it is written."""
    with np.errstate(all="ignore"):
        return float(np.log(np.exp(x).sum()))


def _where_exp_gives_up() -> dict[str, list[float]]:
    """Last exponent, to .01, at which exp is finite, and at which it is positive."""
    shown = {}
    limits: dict[
        Any, tuple[float, float]
    ] = {  # log of what rounds to infinity; log of half the smallest number
        np.float16: (math.log(65520), -25 * math.log(2)),
        np.float32: (128 * math.log(2), -150 * math.log(2)),
        np.float64: (1024 * math.log(2), -1075 * math.log(2)),
    }
    with np.errstate(all="ignore"):
        for kind, (high, low) in limits.items():
            name = kind.__name__
            over = [bool(np.isinf(np.exp(kind(high + d)))) for d in (-0.01, 0.01)]
            under = [bool(np.exp(kind(low + d)) == 0) for d in (0.01, -0.01)]
            equal(f"{name}: exp is inf just below, just above", over, [False, True])
            equal(f"{name}: exp is 0 just above, just below", under, [False, True])
            shown[f"{name}: exp overflows above, vanishes below"] = [round(high, 2), round(low, 2)]
    return shown


def _extreme_coordinates() -> Numbers:
    small, large, mixed = (np.full(3, -800.0), np.array([800.0, 0, 0]), np.array([0, -800.0, -800]))
    right = [float(logsumexp(x)) for x in (small, large, mixed)]
    close("g", right, [math.log(3) - 800, 800.0, 0.0], rel=1e-15)
    wrong = [_naive(x) for x in (small, large, mixed)]
    equal("the naive formula", wrong, [-math.inf, math.inf, 0.0])
    for kind, x in ((np.float16, 12.0), (np.float32, 90.0), (np.float64, 710.0)):
        value = logsumexp(np.array([x, 0.0], dtype=kind))
        equal(f"g({x:g}, 0) in {kind.__name__}", float(value), x)
    close("softmax of (-800, -800, -800)", softmax(small), [1 / 3] * 3, rel=1e-15)
    return {
        "g of (-800, -800, -800), (800, 0, 0), (0, -800, -800)": right,
        "log of the sum of exp, as written": wrong,
    } | _where_exp_gives_up()


def _shift_by_the_maximum() -> Numbers:
    x = np.array([400.0, 399.0, 398.0])
    wanted = 400.4076059644443803  # mpmath
    shifted = 400 + _naive(x - 400)
    close("minus the maximum, added back", shifted, wanted, rel=1e-15)
    close("ours", float(logsumexp(x)), wanted, rel=1e-15)
    added = _naive(x + 400) - 400
    equal("plus the maximum overflows", added, math.inf)
    far = np.array([0.0, 0.0, 2000.0])
    wrong = {
        "minus the mean": float(far.mean()) + _naive(far - far.mean()),
        "minus the first": _naive(far),
    }
    equal("other shifts overflow", list(wrong.values()), [math.inf, math.inf])
    equal("ours at (0, 0, 2000)", float(logsumexp(far)), 2000.0)
    below("one ulp", abs(float(logsumexp(x)) - wanted), 1.2e-13)
    return {
        "g(400, 399, 398): as written, minus 400, plus 400": [_naive(x), shifted, added],
        "g(0, 0, 2000): minus the maximum": float(logsumexp(far)),
        "g(0, 0, 2000): minus the mean, minus the first": list(wrong.values()),
    }


CLAIMS = (
    Claim(
        id="S33",
        topic="log-partition",
        statement="Show that g(x) = log Σ_i exp(x_i) is convex.",
        source="exercise 6.1; forum",
        verdict=Verdict.EXERCISE,
        answer=(
            "A function is convex if its second derivative along every line is not negative. The "
            "second derivatives of g are p_i (δ_ij - p_j) with p = softmax(x) (S26), so along a "
            "direction v\n\n"
            "    vᵀ H v = Σ_i p_i v_i² - (Σ_i p_i v_i)² = Σ_{i<j} p_i p_j (v_i - v_j)² ≥ 0.\n\n"
            "The middle is the variance of the score v_Y of a label Y drawn from p (S28), and a "
            "variance is not negative; the right side shows it once more, as a sum of squares.\n\n"
            "It is 0 only if all v_i are equal: along the direction (1, …, 1) g is a straight "
            "line, g(x + b) = g(x) + b, so it is convex but not strictly so. In numbers: halfway "
            "between (1,2,3) and (3,0,-1) g is 2.551, and the mean of its values at the ends is "
            "3.237, which is more."
        ),
        check=_convex,
        proof=_proofs.convexity,
        scene=chapter_figures.convex_and_flat,
    ),
    Claim(
        id="S34",
        topic="log-partition",
        statement="Show that g is translation invariant, that is, g(x + b) = g(x).",
        source="exercise 6.2; forum",
        verdict=Verdict.FALSE,
        answer=(
            "It cannot be shown, because it is false for every b except 0. Adding b to all "
            "coordinates multiplies every exponential by e^b, which comes out of the sum:\n\n"
            "    log Σ_i exp(x_i + b) = log( e^b Σ_i exp(x_i) ) = b + g(x).\n\n"
            "g moves along with its argument (it is translation *equivariant*). What is invariant "
            "is the softmax, where the factor e^b stands above and below and cancels. So the forum "
            "readers who could not find a proof were right: g(1, 2, 3) = 3.408 and g(6, 7, 8) = "
            "8.408.\n\n"
            "The corrected rule is the useful one: g(x) = b + g(x - b) for any b, which is how g "
            "is computed without overflow (S36)."
        ),
        correction="g(x + b) = g(x) + b; it is softmax(x + b) = softmax(x) that is invariant.",
        check=_equivariant,
        proof=_proofs.equivariance,
    ),
    Claim(
        id="S35",
        topic="log-partition",
        statement=(
            "If some of the coordinates are very large, what does the function look like? And "
            "what happens if all of them are very small?"
        ),
        source="exercise 6.3",
        verdict=Verdict.EXERCISE,
        answer=(
            "In exact arithmetic nothing goes wrong: if one coordinate is far above the rest, "
            "g(x) is that coordinate plus nearly nothing; if all are -800, g is -800 + log q. It "
            "is the computer's exp that gives up.\n\n"
            "    number format   exp is infinite above   exp is 0 below\n"
            "    float16         11.09                   -17.33\n"
            "    float32         88.72                   -103.97\n"
            "    float64         709.78                  -745.13\n\n"
            "One coordinate above the first limit: the sum is infinite, g = inf, and the softmax "
            "is inf/inf = NaN. All below the second: the sum is 0, g = log 0 = -inf, and the "
            "softmax is 0/0 = NaN. A few tiny coordinates beside an ordinary one do no harm; "
            "their terms vanish, and rightly so.\n\n"
            "Written as it stands, the formula gives -inf for (-800, -800, -800) where -798.9 is "
            "right, and inf for (800, 0, 0) where 800 is right."
        ),
        check=_extreme_coordinates,
    ),
    Claim(
        id="S36",
        topic="log-partition",
        statement=(
            "Choosing b = max_i x_i gives a numerically stable implementation. A forum remark: "
            "adding the maximum can make the overflow worse."
        ),
        source="exercise 6.4; forum",
        verdict=Verdict.TRUE_IF,
        answer=(
            "True if the maximum is *subtracted* inside and added outside: g(x) = b + log Σ_i "
            "exp(x_i - b) with b = max x. All exponents are then 0 or negative, so no term exceeds "
            "1, and at least one is exactly 1, so the sum is between 1 and q and its logarithm "
            "harmless. The forum remark is right about the formula as it is printed in the "
            "exercise, with x + b: that doubles the largest coordinate.\n\n"
            "(400, 399, 398): as written it works, 400.41; shifted down by 400 it gives the same; "
            "shifted up by 400 it is infinite. Only the maximum is safe: subtracting the mean, or "
            "the first coordinate, overflows at (0, 0, 2000)."
        ),
        correction="g(x) = b + g(x - b) with b = max_i x_i.",
        check=_shift_by_the_maximum,
    ),
)
