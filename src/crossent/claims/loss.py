"""The cross-entropy loss: what it says for labels, for distributions, and at the edges."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from crossent.claims import _proofs
from crossent.claims._expect import below, close, equal, refused, zero
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import (
    cross_entropy,
    entropy,
    log_softmax,
    logsumexp,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_gradient,
)

__all__ = ["CLAIMS"]

_O = np.array([1.0, 2.0, 3.0])
_SOFT = np.array([0.1, 0.2, 0.7])
_LOSSES = (2.4076059644443803045, 1.4076059644443803045, 0.40760596444438030448)  # mpmath


def _one_term_survives() -> Numbers:
    labels = [float(softmax_cross_entropy(_O, j)) for j in range(3)]
    one_hot = [float(softmax_cross_entropy(_O, row)) for row in np.eye(3)]
    close("losses of the labels", labels, _LOSSES, rel=1e-14)
    close("losses of the one-hot rows", one_hot, _LOSSES, rel=1e-14)
    right = float(cross_entropy([0.0, 1.0], [0.0, 1.0]))
    wrong = float(cross_entropy([1.0, 0.0], [0.0, 1.0]))
    equal("certain and right, certain and wrong", [right, wrong], [0.0, math.inf])
    with np.errstate(all="ignore"):
        plain = float(-np.sum(np.array([0.0, 1.0]) * np.log([0.0, 1.0])))
    equal("the plain formula is NaN", math.isnan(plain), True)
    return {
        "-log p of label 1, 2, 3": labels,
        "-Σ y log p of the one-hot rows": one_hot,
        "H((0, 1), (0, 1)) and H((1, 0), (0, 1))": [right, wrong],
        "-Σ y log p as NumPy has it, for y = p = (0, 1)": plain,
    }


def _infinite_only_when_it_is() -> Numbers:
    o = [0.0, -800.0]
    with np.errstate(divide="ignore"):
        naive = float(np.log(softmax(o))[1])
    losses = [float(softmax_cross_entropy(o, label)) for label in (0, 1)]
    equal("log of the softmax", naive, -math.inf)
    equal("log_softmax", log_softmax(o).tolist(), [0.0, -800.0])
    equal("losses", losses, [0.0, 800.0])
    rows = np.random.default_rng(0).normal(size=(1000, 5)) * 1e150
    every = [softmax_cross_entropy(rows, np.full(1000, j), reduction="none") for j in range(5)]
    equal("losses that are not finite", int((~np.isfinite(every)).sum()), 0)
    excluded = float(softmax_cross_entropy([0.0, -math.inf], 1))
    equal("an excluded class that occurs", excluded, math.inf)
    return {
        "log(softmax(0, -800)), class 2": naive,
        "log_softmax(0, -800), class 2": float(log_softmax(o)[1]),
        "its loss, and that of class 1": losses[::-1],
        "loss of a class with logit -inf": excluded,
    }


def _only_rewritten() -> Numbers:
    ours = float(softmax_cross_entropy(_O, _SOFT))
    forms = [
        float(-_SOFT @ log_softmax(_O)),
        float(logsumexp(_O) - _SOFT @ _O),
    ]
    close("both forms and the loss", [*forms, ours], [0.80760596444438030448] * 3, rel=1e-14)
    double = 2 * _SOFT
    apart = float(-double @ log_softmax(_O)), float(logsumexp(_O) - double @ _O)
    close("y doubled", apart, [1.615211928888760609, -1.7923940355556196955], rel=1e-14)
    close(
        "they differ by (Σ y - 1) log Σ exp", apart[0] - apart[1], float(logsumexp(_O)), rel=1e-14
    )
    refused("y doubled", lambda: softmax_cross_entropy(_O, double), "sum")
    return {
        "-Σ y log softmax(o), y = (.1, .2, .7)": forms[0],
        "log Σ exp(o) - y·o": forms[1],
        "both for 2y, which is no distribution": list(apart),
    }


def _soft_labels() -> Numbers:
    floor = float(softmax_cross_entropy(np.log(_SOFT), _SOFT))
    close("least loss", floor, 0.80181855254333730856, rel=1e-14)  # H(y), mpmath
    close("which is the entropy", float(entropy(_SOFT)), floor, rel=1e-14)
    zero("gradient there", softmax_cross_entropy_gradient(np.log(_SOFT), _SOFT), abs=1e-16)
    expected = sum(y * loss for y, loss in zip((0.1, 0.2, 0.7), _LOSSES, strict=True))
    close("expected loss", float(softmax_cross_entropy(_O, _SOFT)), expected, rel=1e-14)
    p = np.exp(_O) / np.exp(_O).sum()
    gradient = softmax_cross_entropy_gradient(_O, _SOFT)
    close("gradient", gradient, p - _SOFT, abs=1e-15)
    best = np.r_[math.log(91.0), np.zeros(9)]
    smoothed = float(softmax_cross_entropy(best, 0, label_smoothing=0.1))
    close("smoothed labels, least loss", smoothed, 0.50028803505775783058, rel=1e-14)  # mpmath
    slope = softmax_cross_entropy_gradient(best, 0, label_smoothing=0.1)
    zero("gradient at a gap of log 91", slope, abs=1e-15)
    message = refused("y doubled", lambda: softmax_cross_entropy(_O, 2 * _SOFT), "sum")
    return {
        "least loss for y = (.1, .2, .7), and H(y)": [floor, float(entropy(_SOFT))],
        "loss at o = (1, 2, 3), expected loss of a drawn label": [
            float(softmax_cross_entropy(_O, _SOFT)),
            expected,
        ],
        "gradient there": gradient.round(7).tolist(),
        "label smoothing .1, ten classes: least loss, gap of logits": [smoothed, math.log(91.0)],
        "y doubled": message[:70] + " …",
    }


def _minimiser(expected_loss: Callable[[float], float]) -> float:
    """Where a function on [0, 1] is least, to 1e-6."""
    found = minimize_scalar(
        expected_loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-9}
    )
    return float(found.x)


def _hinge(score: npt.NDArray[np.float64], p: float) -> npt.NDArray[np.float64]:
    """Expected hinge loss of a score where class 1 has probability p."""
    return np.asarray(p * np.maximum(0, 1 - score) + (1 - p) * np.maximum(0, 1 + score))


def _proper_losses() -> Numbers:
    truth = (0.7, 0.3)
    losses: dict[str, Callable[[float], float]] = {
        "cross-entropy": lambda p: float(cross_entropy(truth, (p, 1 - p))),
        "squared (Brier)": lambda p: 0.7 * (1 - p) ** 2 + 0.3 * p**2,
        "focal, γ = 2": lambda p: (
            -0.7 * (1 - p) ** 2 * math.log(max(p, 1e-300))
            - 0.3 * p**2 * math.log(max(1 - p, 1e-300))
        ),
        "absolute": lambda p: 0.7 * (1 - p) + 0.3 * p,
    }
    best = {name: _minimiser(loss) for name, loss in losses.items()}
    close("cross-entropy is least at", best["cross-entropy"], 0.7, abs=1e-6)
    close("Brier is least at", best["squared (Brier)"], 0.7, abs=1e-6)
    close("focal is least at", best["focal, γ = 2"], 0.578480, abs=1e-5)
    close("absolute is least at", best["absolute"], 1.0, abs=1e-6)
    scores = np.linspace(-3.0, 3.0, 6001)
    hinge = [float(scores[np.argmin(_hinge(scores, p))]) for p in (0.55, 0.7, 0.95)]
    close("hinge: best score for P = .55, .7, .95", hinge, [1.0] * 3, abs=1e-9)
    smallest = float(cross_entropy(truth, (best["cross-entropy"], 1 - best["cross-entropy"])))
    below("and its least value is the entropy", abs(smallest - float(entropy(truth))), 1e-12)
    return {f"best p where the truth is .7: {name}": round(p, 5) for name, p in best.items()} | {
        "hinge, best score for a truth of .55, .7, .95": [round(f, 6) for f in hinge]
    }


CLAIMS = (
    Claim(
        id="S17",
        topic="loss",
        statement=(
            "Why does -log P(y|x) equal -Σ_j y_j log ŷ_j? Is that a tautology, or an entropy over "
            "all classes?"
        ),
        source="forum",
        verdict=Verdict.TRUE,
        answer=(
            "y is one-hot: 1 at the true class, 0 elsewhere. So in the sum over all classes every "
            "term but one is multiplied by 0, and what remains is -log ŷ of the true class, which "
            "is -log P(y|x). It is bookkeeping, a way to write picking an entry as a sum; it "
            "becomes more than that when y is a distribution (S22).\n\n"
            "For logits (1, 2, 3) the losses of the labels 1, 2, 3 are 2.408, 1.408 and .408, and "
            "the one-hot rows (1,0,0), (0,1,0), (0,0,1) give the same.\n\n"
            "One convention is needed: 0 · log 0 counts as 0, because a class that cannot occur "
            "costs nothing. A program that just multiplies gets 0 · (-inf) = NaN."
        ),
        check=_one_term_survives,
    ),
    Claim(
        id="S18",
        topic="loss",
        statement="If the true class gets probability 0, the loss is -log 0 = infinity.",
        source="chapter, section Log-Likelihood",
        verdict=Verdict.TRUE,
        answer=(
            "True, and a softmax of finite logits never lets it happen: every probability is "
            "positive, so the loss is finite. Nor is it ever exactly 0, since no probability "
            "reaches 1.\n\n"
            "In floats both seem to happen. softmax(0, -800) rounds to (1, 0), so the logarithm "
            "of the softmax is -inf although the true loss is 800. The remedy is not to add a "
            "small number to p (with 1e-12 the loss would be 27.6, also wrong), but to compute "
            "the loss from the logits: log Σ exp(o) - o_y. Then it is infinite only where it "
            "should be: at a class whose logit is -inf."
        ),
        check=_infinite_only_when_it_is,
    ),
    Claim(
        id="S19",
        topic="loss",
        statement=(
            "The loss is rewritten as l = log Σ_k exp(o_k) - Σ_j y_j o_j. Is that already the "
            "derivative?"
        ),
        source="forum; chapter, section Softmax and Cross-Entropy Loss",
        verdict=Verdict.TRUE,
        answer=(
            "The rewriting is true, and no derivative is in it. Put ŷ_j = exp(o_j) / Σ_k exp(o_k) "
            "into -Σ_j y_j log ŷ_j. The logarithm of a quotient is a difference, log exp(o_j) is "
            "o_j:\n\n"
            "    l = Σ_j y_j log Σ_k exp(o_k) - Σ_j y_j o_j.\n\n"
            "log Σ_k exp(o_k) does not depend on j, so it can be taken out of the first sum, where "
            "Σ_j y_j = 1 remains. This last step needs y to sum to 1. For y that sums to 2 the two "
            "forms differ, by (Σ y - 1) log Σ_k exp(o_k): 1.615 and -1.792 at o = (1, 2, 3). A "
            "library that accepts such y silently returns one of them; this one refuses."
        ),
        check=_only_rewritten,
        proof=_proofs.rewriting_of_the_loss,
    ),
    Claim(
        id="S22",
        topic="loss",
        statement=(
            "Can this be generalised to labels that are distributions? A forum answer says no; the "
            "chapter says it still works, as the expected value of the loss."
        ),
        source="forum; chapter, section Softmax and Cross-Entropy Loss",
        verdict=Verdict.FALSE,
        answer=(
            "The no is wrong, the chapter is right. -Σ_j y_j log ŷ_j is linear in y, so for a "
            "distribution y it is the mean of the losses of the labels, weighted by y. For o = "
            "(1, 2, 3) and y = (.1, .2, .7): .1 · 2.408 + .2 · 1.408 + .7 · .408 = .808. The "
            "gradient is still softmax(o) - y.\n\n"
            "Two things change. The least possible loss is no longer 0 but the entropy H(y), here "
            ".802, reached where softmax(o) = y. And it is not -log of the probability of one "
            "drawn label any more; if y are the shares of n votes, n times the loss is -log of the "
            "probability of the votes, up to a constant.\n\n"
            "Label smoothing is a case of it: y = .9 one-hot + .1/10 in each of ten classes has "
            "least loss .500, and the best logit of the true class lies log 91 = 4.51 above the "
            "others. A trap: rows of y that do not sum to 1 change the gradient to "
            "(Σ y) softmax(o) - y, and are refused here."
        ),
        correction=(
            "Cross-entropy with distributions as labels is the expected loss; gradient softmax(o) "
            "- y, minimum H(y)."
        ),
        check=_soft_labels,
        proof=_proofs.gradient_for_any_target,
    ),
    Claim(
        id="S25",
        topic="loss",
        statement="Cross-entropy is only one type of these losses.",
        source="forum",
        verdict=Verdict.TRUE,
        answer=(
            "True, and what sets losses apart is what they make a model say. Suppose class 1 has "
            "probability .7, and a model may answer any p. Which p has the least expected loss?\n\n"
            "    loss             best p     proper?\n"
            "    cross-entropy    .7         yes\n"
            "    squared (Brier)  .7         yes\n"
            "    focal, γ = 2     .578       no\n"
            "    absolute         1          no\n"
            "    hinge            no p       no\n\n"
            "A loss whose best answer is the truth is called proper. Cross-entropy and the squared "
            "loss are; focal loss asks for answers that are too timid, absolute loss for certainty "
            "that is not there. Hinge loss works on a score: its best score is 1 for every "
            "probability above 1/2, so that the probability cannot be read off."
        ),
        check=_proper_losses,
    ),
)
