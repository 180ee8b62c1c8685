"""Exercise 6, last step: what subtracting the maximum does not settle."""

import math

import numpy as np

from crossent.claims._expect import close, equal
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import (
    log_softmax,
    logsumexp,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_gradient,
)

__all__ = ["CLAIMS"]

_INF = math.inf


def _loss(logits: object, y: object, label_smoothing: float = 0.0) -> float:
    return float(softmax_cross_entropy(logits, y, label_smoothing=label_smoothing))


def _far_apart_and_excluded() -> dict[str, list[float]]:
    far = np.array([3e38, -3e38], dtype=np.float32)
    equal("f32 (3e38, -3e38): softmax", softmax(far).tolist(), [1.0, 0.0])
    equal("its g", float(logsumexp(far)), float(far[0]))
    losses = [_loss(far, 0), _loss(far, 1)]
    equal("its losses", losses, [0.0, _INF])
    excluded = [0.0, -_INF]
    equal("(0, -inf): softmax", softmax(excluded).tolist(), [1.0, 0.0])
    found = [float(logsumexp(excluded)), _loss(excluded, 0), _loss(excluded, 1)]
    equal("its g and losses", found, [0.0, 0.0, _INF])
    return {
        "(3e38, -3e38) in float32: losses of class 1, 2": losses,
        "(0, -inf): g, losses of class 1, 2": found,
    }


def _no_finite_maximum() -> dict[str, list[float]]:
    shown = {}
    for name, row, g in (
        ("(-inf, -inf)", [-_INF, -_INF], -_INF),
        ("(inf, 0)", [_INF, 0.0], _INF),
    ):
        found = [*softmax(row).tolist(), _loss(row, 0)]
        equal(f"{name}: NaN", [math.isnan(x) for x in found], [True] * 3)
        equal(f"{name}: g", float(logsumexp(row)), g)
        shown[f"{name}: g, softmax, loss"] = [g, *found]
    return shown


def _zero_times_infinity() -> dict[str, list[float]]:
    row, y = [0.0, 1.0, -_INF], [0.5, 0.5, 0.0]
    loss = _loss(row, y)
    close("loss", loss, math.log(1 + math.e) - 0.5, rel=1e-14)
    gradient = softmax_cross_entropy_gradient(row, y)
    half = 0.5 - 1 / (1 + math.e)
    close("gradient", gradient, [-half, half, 0.0], rel=1e-14)
    smoothed = _loss(row, 1, label_smoothing=0.1)
    equal("smoothed: mass on an impossible class", smoothed, _INF)
    return {
        "(0, 1, -inf), y = (.5, .5, 0): loss, gradient": [loss, *gradient.round(7).tolist()],
        "the same with label smoothing .1": [smoothed],
    }


def _short_sums_and_small_losses() -> dict[str, list[float]]:
    zeros = logsumexp(np.zeros(200_000, dtype=np.float16))
    equal("200,000 zeros in float16", float(zeros), float(np.float16(math.log(200_000))))
    with np.errstate(all="ignore"):
        naive = float(np.log(np.ones(200_000, dtype=np.float16).sum(dtype=np.float16)))
    single = _loss(np.array([20.0, 0.0], dtype=np.float32), 0)
    # The float32 nearest to log(1 + e^-20), which is 2.0611536203143807e-9 (mpmath).
    close("loss of (20, 0) in float32", single, 2.0611536203143807e-9, rel=1e-6)
    double = _loss([0.0, -40.0], 0)
    close("loss of (0, -40)", double, 4.248354255291588986e-18, rel=1e-15)  # mpmath
    close("log_softmax of (0, -40)", float(log_softmax([0.0, -40.0])[0]), -double, rel=1e-15)
    textbook = float(np.log(np.exp(0.0) + np.exp(-40.0)))
    equal("log of the sum", textbook, 0.0)
    return {
        "200,000 zeros in float16: g, summed in float16": [float(zeros), naive],
        "loss of (20, 0), class 1, in float32": [single],
        "loss of (0, -40), class 1: ours, log of the sum": [double, textbook],
    }


def _edges() -> Numbers:
    return {
        **_far_apart_and_excluded(),
        **_no_finite_maximum(),
        **_zero_times_infinity(),
        **_short_sums_and_small_losses(),
    }


CLAIMS = (
    Claim(
        id="S37",
        topic="log-partition",
        statement=(
            "We end up with a numerically stable implementation: is subtracting the maximum enough?"
        ),
        source="exercise 6.4; forum",
        verdict=Verdict.TRUE_IF,
        answer=(
            "Enough against overflow of exp. Six more cases need a decision, and libraries differ "
            "in them:\n\n"
            "    case                     what can go wrong      what is right\n"
            "    logits ±3e38, float32    difference overflows   softmax (1, 0), loss 0 or inf\n"
            "    some logits -inf         fine                   those classes have p = 0\n"
            "    all -inf, or one +inf    -inf - (-inf) = NaN    no softmax: NaN; g = -inf or inf\n"
            "    target 0 at logit -inf   0 · inf = NaN          that class adds 0\n"
            "    long sums in float16     the sum overflows      add in float32\n"
            "    a nearly certain class   log(1 + tiny) = 0      log1p(tiny)\n\n"
            "The last one is the most common. In g(o) - o_y the true loss of a nearly certain "
            "label is what remains after two almost equal numbers are subtracted: for logits (20, "
            "0) in float32 it comes out as 0 and is 2.06e-9. If the largest term, which is exactly "
            "1, is kept out of the sum S of the others, the loss of that class is log1p(S) with "
            "all its digits. Smoothed labels put mass on every class, so that a class with logit "
            "-inf then rightly has infinite loss."
        ),
        correction=(
            "Subtract the maximum, keep its term out of the sum, use log1p, and decide what "
            "infinite logits mean."
        ),
        check=_edges,
    ),
)
