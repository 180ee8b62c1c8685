"""Exercise 1 in the forum: variance over what?"""

import itertools
import math

import numpy as np

from crossent.claims import _proofs
from crossent.claims._expect import below, close, equal
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import softmax, softmax_cross_entropy_hessian

__all__ = ["CLAIMS"]

_O = np.array([1.0, 2.0, 3.0])
_VARIANCES = [0.081925069064993228, 0.184836446509978720, 0.222695426534623356]  # mpmath
_H = 1e-5  # central differences of the Hessian: error below 2e-11


def _spread_of_numbers() -> Numbers:
    p = softmax(_O)
    spread = [float(np.var(p)), float(np.var(p - p**2))]
    close("np.var(p)", spread[0], 0.059069908185690453907, rel=1e-13)  # mpmath
    close("mean(p²) - 1/q²", float((p**2).mean()) - 1 / 9, spread[0], rel=1e-13)
    close("np.var(p - p²)", spread[1], 0.0035378163909175734373, rel=1e-12)
    H = softmax_cross_entropy_hessian(_O)
    close("variances of the label's entries", np.diag(H), _VARIANCES, rel=1e-14)
    away = min(abs(abs(h) - s) for h in [*H.ravel(), np.trace(H)] for s in spread)
    below("both are off every entry and the trace, by more than", 8e-4, away)
    column = np.random.default_rng(0).normal(size=(10, 1))
    st = softmax(column, axis=0)
    forum = [float(np.var(st)), float(np.var(st - st**2))]
    weights = np.exp(column) / np.exp(column).sum()
    wanted = [float(np.var(weights)), float(np.var(weights - weights**2))]
    close("the forum's code", forum, wanted, rel=1e-12)
    close("as printed there with these numbers", forum, [0.0050529, 0.0026826], abs=5e-8)
    return {
        "np.var(p) and np.var(p - p²) at o = (1, 2, 3)": spread,
        "p (1 - p), the variances of the label's entries": np.diag(H).tolist(),
        "their sum": float(np.trace(H)),
        "the forum's two numbers for ten random logits": forum,
    }


def _third_moment(i: int, j: int, k: int) -> float:
    """E[(Y - p)_i (Y - p)_j (Y - p)_k] over the three outcomes."""
    p = np.exp(_O) / np.exp(_O).sum()
    deviations = np.eye(3) - p
    return float(p @ (deviations[:, i] * deviations[:, j] * deviations[:, k]))


def _cumulants() -> Numbers:
    H = softmax_cross_entropy_hessian(_O)
    squares = sum((math.exp(o) / sum(math.exp(k) for k in (1, 2, 3))) ** 2 for o in (1, 2, 3))
    close("trace, not zero", float(np.trace(H)), 1 - squares, rel=1e-14)
    steps = _H * np.eye(3)
    higher = softmax_cross_entropy_hessian(_O + steps, reduction="none")
    third = (higher - softmax_cross_entropy_hessian(_O - steps, reduction="none")) / (2 * _H)
    for i, j, k in itertools.product(range(3), repeat=3):
        name = f"third derivative ({i + 1}, {j + 1}, {k + 1})"
        close(name, float(third[k, i, j]), _third_moment(i, j, k), abs=1e-9)
    p = np.exp(_O) / np.exp(_O).sum()
    own = [float(third[k, k, k]) for k in range(3)]
    close("p (1 - p)(1 - 2p)", own, p * (1 - p) * (1 - 2 * p), abs=1e-9)
    close("2 p_1 p_2 p_3", float(third[2, 0, 1]), 2 * float(np.prod(p)), abs=1e-9)
    return {
        "second derivatives: sum of the diagonal": float(np.trace(H)),
        "third derivatives (1,1,1), (2,2,2), (3,3,3)": [round(x, 7) for x in own],
        "third derivatives (1,2,3), (1,1,2)": [
            round(float(third[2, 0, 1]), 7),
            round(float(third[1, 0, 0]), 7),
        ],
        "third central moments (1,2,3), (1,1,2)": [
            round(_third_moment(0, 1, 2), 7),
            round(_third_moment(0, 0, 1), 7),
        ],
    }


def _only_the_diagonal() -> Numbers:
    H = softmax_cross_entropy_hessian(_O)
    p = softmax(_O)
    close("p (1 - p)", np.diag(H), p * (1 - p), rel=1e-14)
    close("in numbers", np.diag(H), _VARIANCES, rel=1e-14)
    both = np.array([1.0, 1.0, 0.0])
    right, alone = float(both @ H @ both), float(both @ np.diag(H))
    close("Var(Y_1 + Y_2) = p_3 (1 - p_3)", right, _VARIANCES[2], rel=1e-13)
    below("which the diagonal alone overstates by more than .04", right + 0.04, alone)
    two = softmax_cross_entropy_hessian([1.0, 0.4])
    product = math.exp(0.6) / (1 + math.exp(0.6)) ** 2
    close("two classes", two, [[product, -product], [-product, product]], rel=1e-14)
    equal("two classes: one number in four places", len(set(np.abs(two).ravel().round(15))), 1)
    return {
        "diagonal": np.diag(H).round(7).tolist(),
        "Var(Y_1 + Y_2), true and from the diagonal alone": [right, alone],
        "two classes, o = (1, .4): p (1 - p)": float(two[0, 0]),
    }


CLAIMS = (
    Claim(
        id="S30",
        topic="second derivative",
        statement=(
            "The variance is Σ (p_j - 1/q)² / q, or in code np.var(st), with np.var(st - st**2) "
            "for the second derivative."
        ),
        source="forum",
        verdict=Verdict.FALSE,
        answer=(
            "That is a variance, but of something else: of the q *numbers* p_1, …, p_q, as if one "
            "of them were picked with equal odds 1/q. Their mean is 1/q, so it is mean(p²) - 1/q², "
            "and this is where the 1/q² of the forum comes from. It says how uneven the "
            "probabilities are. The exercise asks about the random *label*, which is class j with "
            "probability p_j, not 1/q.\n\n"
            "    over what            weights    result at o = (1, 2, 3)\n"
            "    the numbers p_j      1/q each   .0591\n"
            "    the label's entries  p_j        .0819, .1848, .2227; with covariances: S27\n\n"
            "The code also prints np.var(p - p²) = .0035, the spread of the diagonal of the "
            "Hessian, which agrees with nothing either. The two printed numbers were close to 0 "
            "and near each other for ten random logits, which looked like a proof and was none."
        ),
        correction=(
            "Take the variance over labels drawn with probabilities p: Cov(Y) = diag(p) - p pᵀ."
        ),
        check=_spread_of_numbers,
    ),
    Claim(
        id="S31",
        topic="second derivative",
        statement=(
            "The second derivative comes out as zero. By experiment both are close to zero; but "
            "why should variance and second derivative be equal at all?"
        ),
        source="forum",
        verdict=Verdict.FALSE,
        answer=(
            "It is not zero: at o = (1, 2, 3) the diagonal of the second derivative sums to 1 - "
            "Σ p² = .489. What came out near 0 was the spread of the numbers p (S30).\n\n"
            "Why equal? Let g(o) = log Σ_k exp(o_k), so that the loss is g(o) - y·o and has the "
            "second derivatives of g. Now add t to the logits:\n\n"
            "    g(o + t) - g(o) = log Σ_k p_k exp(t_k) = log E[exp(t·Y)],\n\n"
            "where E is the mean over one-hot labels Y drawn from p = softmax(o). The right side "
            "is known in statistics as the cumulant generating function of Y. Its "
            "derivatives at t = 0 are the mean, the covariance, the third central moment and so "
            "on, of *any* random vector. So the gradient of g must be the mean p, its Hessian the "
            "covariance of the label, and its third derivatives E[(Y-p)_i (Y-p)_j (Y-p)_k]. "
            "The check confirms all 27 of these."
        ),
        correction=(
            "The second derivatives of the loss are p_i (δ_ij - p_j); they equal the covariance "
            "because log Σ exp generates the cumulants of the label."
        ),
        check=_cumulants,
        proof=_proofs.cumulants,
    ),
    Claim(
        id="S32",
        topic="second derivative",
        statement=(
            "Var = softmax(o) (1 - softmax(o)); the variance is a vector whose j-th element is "
            "softmax(o)_j (1 - softmax(o)_j)."
        ),
        source="forum",
        verdict=Verdict.TRUE_IF,
        answer=(
            "True entry by entry: each Y_j by itself is a coin that shows 1 with probability p_j, "
            "and a coin has variance p_j (1 - p_j). This vector is the diagonal of the matrix. It "
            "is not the whole answer, because the entries depend on each other (S15).\n\n"
            "What gets lost: at o = (1, 2, 3) the variance of Y_1 + Y_2 is .2227. From the vector "
            "alone one would say .0819 + .1848 = .2668. With two classes nothing is lost: all "
            "four entries are ± the same number, .2288 for o = (1, .4)."
        ),
        correction=(
            "The diagonal of the covariance matrix is p_j (1 - p_j); off the diagonal stands "
            "-p_i p_j."
        ),
        check=_only_the_diagonal,
    ),
)
