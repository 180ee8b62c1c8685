"""Exercise 5: RealSoftMax, the smooth maximum."""

import itertools
import math

import numpy as np

from crossent.claims import _proofs, chapter_figures
from crossent.claims._expect import below, close, equal
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import logsumexp, real_softmax, softmax, softmax_cross_entropy, softmin

__all__ = ["CLAIMS"]

_LOG_2 = math.log(2)


def _soft(*x: float, sharpness: float = 1.0) -> float:
    return float(real_softmax(list(x), inverse_temperature=sharpness))


def _above_the_maximum() -> Numbers:
    value = _soft(2, 4)
    close("RealSoftMax(2, 4)", value, 4.1269280110429724964, rel=1e-15)  # mpmath
    pairs = np.random.default_rng(0).uniform(-60, 60, size=(10_000, 2))
    soft, largest = real_softmax(pairs), pairs.max(axis=1)
    near = np.abs(pairs[:, 0] - pairs[:, 1]) < 30
    equal("pairs below their maximum", int((soft < largest).sum()), 0)
    equal("pairs not above it, less than 30 apart", int((soft <= largest)[near].sum()), 0)
    rounded = [float(logsumexp([a, 0.0])) - a for a in (33.0, 34.0)]
    equal("float64: gap at 33 and 34", rounded, [2.0**-47, 0.0])
    true_gap = float(softmax_cross_entropy([34.0, 0.0], 0))
    close("the gap at 34", true_gap, 1.713908431542011498e-15, rel=1e-15)  # mpmath
    return {
        "RealSoftMax(2, 4)": value,
        "RealSoftMax(33, 0) - 33 and RealSoftMax(34, 0) - 34, in floats": rounded,
        "the gap at (34, 0), exactly log(1 + e^-34)": true_gap,
    }


def _size_of_the_gap() -> Numbers:
    distances = (0.0, 1.0, 10.0, 37.0, 700.0, 745.0)
    gaps = [float(softmax_cross_entropy([d, 0.0], 0)) for d in distances]
    wanted = [_LOG_2, 0.31326168751822283405, 4.5398899216864646769e-5, 8.5330476257440654302e-17]
    close("log(1 + e^-d), d = 0, 1, 10, 37", gaps[:4], wanted, rel=1e-15)
    # log(1 + x) is x to rounding below 1e-16; e^-745 is between the two smallest floats.
    close("d = 700", gaps[4], math.exp(-700), rel=1e-13)
    equal("d = 745", gaps[5], 5e-324)
    below("falling", np.diff(gaps), 0.0)
    cancelled = [float(logsumexp([d, 0.0])) - d for d in distances]
    equal("g minus maximum vanishes", cancelled[3:], [0.0] * 3)
    return {"|a - b|": list(distances), "gap": gaps, "RealSoftMax - max, in floats": cancelled}


def _with_lambda() -> Numbers:
    equals = [_soft(1, 1, sharpness=s) for s in (2.0, -2.0)]
    close("a = b = 1, λ = 2 and -2", equals, [1 + _LOG_2 / 2, 1 - _LOG_2 / 2], rel=1e-15)
    rng = np.random.default_rng(0)
    pairs, sharpness = rng.uniform(-5, 5, size=(2000, 2)), rng.uniform(0.01, 3, size=2000)
    largest = -math.inf
    for pair, s in zip(pairs.tolist(), sharpness.tolist(), strict=True):
        value, top = _soft(*pair, sharpness=s), max(pair)
        gap = math.log1p(math.exp(-s * abs(pair[0] - pair[1]))) / s
        close(f"gap of {pair}, λ = {s}", value - top, gap, abs=1e-14 * (abs(top) + 1 / s))
        below(f"maximum, {pair}", top, value)
        largest = max(largest, (value - top) * s)
    below("largest gap times λ", largest, _LOG_2 * (1 + 1e-12))
    return {
        "λ = 2 and λ = -2 at a = b = 1": equals,
        "1 ± (log 2)/2": [1 + _LOG_2 / 2, 1 - _LOG_2 / 2],
        "largest gap times λ among 2000 random pairs, below log 2": largest,
    }


def _limits() -> Numbers:
    shown = {s: _soft(2, 4, sharpness=s) for s in (10.0, 1e5, math.inf, -10.0, -math.inf)}
    close("λ = 10", shown[10.0], 4.000000000206115362, rel=1e-15)  # mpmath
    equal("λ = 1e5 and infinity", [shown[1e5], shown[math.inf]], [4.0, 4.0])
    close("λ = -10", shown[-10.0], 1.999999999793884638, rel=1e-15)
    equal("λ = -infinity", shown[-math.inf], 2.0)
    small = 0.001
    centred = _soft(2, 4, sharpness=small) - _LOG_2 / small
    close("λ = .001", centred, 3.0004999999166666889, abs=1e-9)  # mpmath
    numbers = (1.0, 5.0, 6.0)
    three = _soft(*numbers, sharpness=1e-4) - math.log(3) / 1e-4
    close("mean of three", three, 4.0, abs=1e-3)  # the variance times λ/2 = 2.3e-4 away
    return {
        "λ = 10: above 4 by": round(shown[10.0] - 4, 15),
        "λ = -10: below 2 by": round(2 - shown[-10.0], 15),
        "λ = 100000, infinity, -infinity": [shown[1e5], shown[math.inf], shown[-math.inf]],
        "λ = .001, less λ⁻¹ log 2": centred,
        "(1, 5, 6), λ = .0001, less λ⁻¹ log 3": three,
    }


def _misplaced_lambda() -> Numbers:
    sharpness = (0.1, 1.0, 10.0, 1000.0, 100_000.0)
    forum = [math.log(s * math.exp(2) + s * math.exp(4)) / s for s in sharpness]
    printed = (
        18.24342918048927,
        4.126928011042972,
        0.6429513104037019,
        0.01103468329002511,
        0.000156398534760132,
    )
    close("the forum's numbers", forum, printed, rel=1e-14)
    right = [_soft(2, 4, sharpness=s) for s in sharpness]
    wanted = [9.9813886938159183968, 4.1269280110429724964, 4.000000000206115362, 4.0, 4.0]
    close("ours", right, wanted, rel=1e-15)
    inside, outside = float(logsumexp([20.0, 40.0])), 10 * _soft(2, 4)
    close("RealSoftMax(10a, 10b)", inside, 40.00000000206115362, rel=1e-15)
    close("10 RealSoftMax(a, b)", outside, 41.269280110429724964, rel=1e-15)
    with np.errstate(over="ignore"):
        naive = [float(np.log(np.exp(2.0 * s) + np.exp(4.0 * s)) / s) for s in (177.0, 178.0)]
    equal("naive, λ = 177 and 178", naive, [4.0, math.inf])
    return {
        "λ": list(sharpness),
        "λ⁻¹ log(λeᵃ + λeᵇ), the forum's": forum,
        "λ⁻¹ log(e^{λa} + e^{λb})": right,
        "RealSoftMax(10a, 10b), 10 RealSoftMax(a, b)": [inside, outside],
        "naive at λ = 177, 178": naive,
    }


def _soft_minimum() -> Numbers:
    value = float(softmin([2.0, 4.0]))
    close("softmin(2, 4)", value, 1.8730719889570275036, rel=1e-15)  # mpmath
    equal("arguments exchanged", float(softmin([4.0, 2.0])), value)
    close("both moved by 5", float(softmin([7.0, 9.0])), value + 5, rel=1e-15)
    close("λ = -1", _soft(2, 4, sharpness=-1.0), value, rel=1e-15)
    sharper = float(softmin([2.0, 4.0], inverse_temperature=10.0))
    close("λ = 10", sharper, 1.999999999793884638, rel=1e-15)  # mpmath
    below("below the minimum", [value, sharper], 2.0)
    distribution = softmax([-2.0, -4.0])
    close("softmax(-2, -4)", distribution[0], 1 / (1 + math.exp(-2.0)), rel=1e-14)
    return {
        "softmin(2, 4)": value,
        "at λ = 10: below 2 by": round(2 - sharper, 15),
        "softmin(7, 9)": float(softmin([7.0, 9.0])),
        "softmax(-2, -4), another thing": distribution.round(7).tolist(),
    }


def _many_numbers() -> Numbers:
    thousand = float(logsumexp(np.full(1000, 5.0)))
    close("1000 fives", thousand, 5 + math.log(1000), rel=1e-15)
    rng = np.random.default_rng(0)
    for n in (2, 5, 100):
        rows = rng.normal(scale=3.0, size=(500, n))
        gaps = logsumexp(rows) - rows.max(axis=1)
        below(f"0 below every gap of {n} numbers", 0.0, gaps)
        below(f"every gap of {n} numbers", gaps, math.log(n))
        sharp = real_softmax(rows, inverse_temperature=4.0) - rows.max(axis=1)
        below(f"every gap of {n} numbers at λ = 4", sharp, math.log(n) / 4)
    alone = [_soft(5.3), _soft(5.3, sharpness=7.0)]
    equal("one number", alone, [5.3, 5.3])
    nested = [_soft(a, _soft(b, c)) for a, b, c in itertools.permutations((1.0, 2.0, 3.0))]
    close("by pairs, in any order", nested, [3.4076059644443803045] * 6, rel=1e-15)
    return {
        "gap of 1000 equal numbers, log 1000": [thousand - 5, math.log(1000)],
        "one number, 5.3": alone[0],
        "g(1, g(2, 3)) and g(1, 2, 3)": [nested[0], _soft(1, 2, 3)],
    }


CLAIMS = (
    Claim(
        id="S38",
        topic="soft maximum",
        statement="Show that RealSoftMax(a, b) = log(exp(a) + exp(b)) > max(a, b).",
        source="exercise 5.1; forum",
        verdict=Verdict.EXERCISE,
        answer=(
            "Let a be the larger one. exp(b) is positive, so exp(a) + exp(b) > exp(a); the "
            "logarithm is increasing, so the left side exceeds a. Or with the exact gap, which "
            "answers the next part too:\n\n"
            "    log(eᵃ + eᵇ) = max(a, b) + log(1 + e^{-|a-b|}),\n\n"
            "and the last term is positive. The forum's argument, dividing by eᵃ or eᵇ, says the "
            "same and is right. RealSoftMax(2, 4) = 4.127.\n\n"
            "In floats the strict sign gets lost when the gap is smaller than the spacing of "
            "numbers: RealSoftMax(34, 0) rounds to exactly 34, although the gap is 1.7e-15."
        ),
        check=_above_the_maximum,
        proof=_proofs.gap_of_two,
    ),
    Claim(
        id="S39",
        topic="soft maximum",
        statement="How small can you make the difference between both functions?",
        source="exercise 5.2",
        verdict=Verdict.EXERCISE,
        answer=(
            "As small as you like, but never 0. The difference is log(1 + e^{-d}), d = |a - b|. "
            "It falls as d grows: log 2 = .693 at d = 0, .313 at d = 1, .000045 at d = 10, and "
            "tends to 0 for d to infinity without reaching it. So it lies in (0, log 2], largest "
            "for equal numbers.\n\n"
            "To compute it, do not subtract max from RealSoftMax: in floats that gives 0 for (d, "
            "0) from d = 34 on. log1p(exp(-d)) stays right down to the smallest floats, d = 745. "
            "It is also the loss of the likelier of two classes whose logits differ by d."
        ),
        check=_size_of_the_gap,
        proof=_proofs.gap_of_two,
    ),
    Claim(
        id="S40",
        topic="soft maximum",
        statement="Show that this holds for λ⁻¹ RealSoftMax(λa, λb), provided that λ > 0.",
        source="exercise 5.3; forum",
        verdict=Verdict.EXERCISE,
        answer=(
            "Use S38 for the numbers λa and λb, then divide by λ > 0, which keeps the sign:\n\n"
            "    RealSoftMax(λa, λb) > max(λa, λb) = λ max(a, b).\n\n"
            "The gap is λ⁻¹ log(1 + e^{-λ|a-b|}), at most λ⁻¹ log 2. The larger λ, the closer to "
            "the maximum. Where λ > 0 is used: for negative λ, max(λa, λb) = λ min(a, b), and "
            "dividing by λ turns the sign around: the value lies *below the minimum*. At a = b = "
            "1: λ = 2 gives 1.347, λ = -2 gives .653.\n\n"
            "The attempt in the forum that did not come out started from λ exp(a) in place of "
            "exp(λa); see S42."
        ),
        check=_with_lambda,
        proof=_proofs.gap_of_two,
    ),
    Claim(
        id="S41",
        topic="soft maximum",
        statement=(
            "Show that for λ → ∞ we have λ⁻¹ RealSoftMax(λa, λb) → max(a, b). The forum: it "
            "should say +∞."
        ),
        source="exercise 5.4; forum",
        verdict=Verdict.EXERCISE,
        answer=(
            "From S40 the value lies between max(a, b) and max(a, b) + λ⁻¹ log 2, and λ⁻¹ log 2 "
            "tends to 0. Squeezed between the two, it tends to max(a, b).\n\n"
            "The forum is right to insist on the sign: for λ → -∞ the limit is the *minimum*. "
            "With (2, 4): 4.0000000002 at λ = 10, 1.9999999998 at λ = -10.\n\n"
            "And between the two ends? For λ → 0 from above the value grows without bound, like "
            "λ⁻¹ log 2. Without this part, that is for λ⁻¹ log( (e^{λa} + e^{λb}) / 2 ), the limit "
            "is the mean, 3."
        ),
        check=_limits,
        proof=_proofs.limits_of_the_soft_maximum,
        scene=chapter_figures.soft_maximum,
    ),
    Claim(
        id="S42",
        topic="soft maximum",
        statement=(
            "I tried it in code: for λ from .1 to 100,000 the limit goes to 0 instead of 4."
        ),
        source="forum, on exercise 5.4",
        verdict=Verdict.FALSE,
        answer=(
            "The code computes λ⁻¹ log(λeᵃ + λeᵇ): λ multiplies the exponentials instead of "
            "standing in the exponents. Its five numbers, from 18.24 down to .00016, come out of "
            "that formula to the last digit. With e^{λa} they are 9.981, 4.127, 4.0000000002, 4, "
            "4: the limit is 4.\n\n"
            "Both formulas agree at λ = 1, so a test there shows nothing. Two more traps: "
            "RealSoftMax(λa, λb) is not λ RealSoftMax(a, b) (40.0 and 41.3 at λ = 10). And the "
            "right formula, typed in as it stands, overflows here at λ = 178, because exp(4 · "
            "178) is infinite; subtract the maximum first (S36)."
        ),
        correction="λ⁻¹ log(e^{λa} + e^{λb}) → max(a, b) for λ → +∞; λ stands in the exponents.",
        check=_misplaced_lambda,
    ),
    Claim(
        id="S43",
        topic="soft maximum",
        statement="What does the softmin look like?",
        source="exercise 5.5",
        verdict=Verdict.EXERCISE,
        answer=(
            "Turn the signs, take the soft maximum, turn back, since min(a, b) = -max(-a, -b):\n\n"
            "    softmin(a, b) = -RealSoftMax(-a, -b) = -log(e^{-a} + e^{-b}) < min(a, b),\n\n"
            "and sharper with λ > 0: -λ⁻¹ RealSoftMax(-λa, -λb). It is the formula of S40 with -λ "
            "for λ. It lies below the minimum by log(1 + e^{-|a-b|}), at most log 2, and moves "
            "with its arguments: softmin(a + 5, b + 5) = softmin(a, b) + 5. softmin(2, 4) = "
            "1.873.\n\n"
            "Beware of the name: in PyTorch Softmin is the *distribution* softmax(-x), which sums "
            "to 1, and no minimum at all."
        ),
        check=_soft_minimum,
        proof=_proofs.softmin_is_a_mirror,
    ),
    Claim(
        id="S44",
        topic="soft maximum",
        statement="Extend this to more than two numbers.",
        source="exercise 5.6",
        verdict=Verdict.EXERCISE,
        answer=(
            "Sum over all of them: g(x) = log Σ_i exp(x_i), the log-partition of exercise 6. With "
            "n ≥ 2 numbers\n\n"
            "    max x < g(x) ≤ max x + log n,\n\n"
            "because the sum is larger than its largest term and at most n times it; equality on "
            "the right holds for n equal numbers. 1000 fives give 5 + log 1000 = 11.9. With λ: "
            "λ⁻¹ g(λx) lies within λ⁻¹ log n above the maximum and tends to it for λ → +∞, to "
            "the minimum for λ → -∞. For one number g(x) = x.\n\n"
            "It can be built up from pairs in any order: g(x, y, z) = RealSoftMax(x, "
            "RealSoftMax(y, z)), since the outer exp undoes the inner logarithm."
        ),
        check=_many_numbers,
        proof=_proofs.nesting,
    ),
)
