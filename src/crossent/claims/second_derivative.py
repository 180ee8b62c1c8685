"""Exercise 1: the second derivative of the loss is the covariance of the label."""

import itertools
import math

import numpy as np
import numpy.typing as npt

from crossent.claims import _proofs
from crossent.claims._expect import below, close, zero
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import (
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_gradient,
    softmax_cross_entropy_hessian,
    softmax_cross_entropy_hessian_vector,
)

__all__ = ["CLAIMS"]

_O = np.array([1.0, 2.0, 3.0])
_H = 1e-5  # central differences of the gradient: error below 2e-11


def _differences(y: int) -> npt.NDArray[np.float64]:
    """Second derivatives at (1, 2, 3) by central differences of the gradient."""
    steps = _H * np.eye(3)
    slopes = [
        softmax_cross_entropy_gradient(_O + d, y) - softmax_cross_entropy_gradient(_O - d, y)
        for d in steps
    ]
    return np.array(slopes) / (2 * _H)


def _by_enumeration() -> npt.NDArray[np.float64]:
    """Σ_k p_k (e_k - p)(e_k - p)ᵀ over the three one-hot labels e_k, p by the definition."""
    p = np.exp(_O) / np.exp(_O).sum()
    deviations = np.eye(3) - p
    return np.asarray(sum(p[k] * np.outer(deviations[k], deviations[k]) for k in range(3)))


def _hessian() -> Numbers:
    H = softmax_cross_entropy_hessian(_O)
    for y in range(3):
        close(f"differences of the gradient, class {y + 1}", H, _differences(y), abs=1e-9)
    diagonal = [0.081925069064993228, 0.184836446509978720, 0.222695426534623356]  # mpmath
    off_diagonal = [-0.022033044520174296, -0.059892024544818932, -0.162803401989804424]
    close("diagonal", np.diag(H), diagonal, rel=1e-14)
    close("above it", H[np.triu_indices(3, 1)], off_diagonal, rel=1e-14)
    close("below it", H.T, H, rel=1e-15)
    p = softmax(_O)
    close("p_i (δ_ij - p_j)", H, np.diag(p) - np.outer(p, p), rel=1e-13)
    zero("rows sum to", H.sum(axis=1), abs=1e-16)
    return {f"second derivatives, row {i + 1}": H[i].round(7).tolist() for i in range(3)} | {
        "p (1 - p)": (p * (1 - p)).round(7).tolist()
    }


def _covariance() -> Numbers:
    H = softmax_cross_entropy_hessian(_O)
    enumerated = _by_enumeration()
    close("covariance of the one-hot label", H, enumerated, abs=1e-15)
    close("second derivative by differences", _differences(2), enumerated, abs=1e-9)
    draws = np.random.default_rng(0).choice(3, size=400_000, p=softmax(_O))
    sample = np.cov(np.eye(3)[draws].T)
    # A covariance of numbers in [0, 1] has a standard error below 1/(2√n) = 8e-4.
    close("covariance of 400,000 draws", sample, H, abs=2e-3)
    squares = sum((math.exp(o) / sum(math.exp(k) for k in (1, 2, 3))) ** 2 for o in (1, 2, 3))
    close("trace", float(np.trace(H)), 1 - squares, rel=1e-14)
    return {
        f"covariance by enumeration, row {i + 1}": enumerated[i].round(7).tolist() for i in range(3)
    } | {
        "largest difference from the Hessian": float(np.abs(H - enumerated).max()),
        "largest difference of 400,000 draws": float(np.abs(H - sample).max()),
        "trace, 1 - Σ p²": float(np.trace(H)),
    }


def _variances_of_scores() -> Numbers:
    p = np.exp(_O) / np.exp(_O).sum()
    shown: dict[str, float | list[float]] = {}
    rows = np.array([_O, [0.0, 5.0, -1.0]])
    vectors = np.array([[1.0, 2.0, 3.0], [1.0, -2.0, 4.0]])
    both = softmax_cross_entropy_hessian_vector(rows, vectors, reduction="none")
    for row, v, product in zip(rows, vectors, both, strict=True):
        weights = np.exp(row) / np.exp(row).sum()
        variance = weights @ v**2 - (weights @ v) ** 2
        close(f"vᵀHv in a batch, v = {v}", float(v @ product), float(variance), rel=1e-12)
    for scores in ((1, 2, 3), (1, -2, 4)):
        v = np.array(scores, dtype=float)
        found = float(v @ softmax_cross_entropy_hessian_vector(_O, v))
        close(f"Var(v·Y), v = {scores}", found, float(p @ v**2 - (p @ v) ** 2), rel=1e-13)
        shown[f"Var(v·Y) = vᵀHv for v = {scores}"] = found
    shift = softmax_cross_entropy_hessian_vector(_O, np.ones(3))
    zero("H 1", shift, abs=1e-16)
    values = np.linalg.eigvalsh(softmax_cross_entropy_hessian(_O))
    close("eigenvalues", values, [0.0, 0.11855330012513700845, 0.3709036419844582965], abs=1e-15)
    return shown | {
        "H (1, 1, 1)": shift.tolist(),
        "eigenvalues of H": [abs(x) for x in values.round(7).tolist()],
        "Var(1[Y = j]), j = 1, 2, 3": np.diag(softmax_cross_entropy_hessian(_O)).round(7).tolist(),
    }


def _mixed_difference() -> Numbers:
    h = 1e-3  # error h² times fourth derivatives below 1, and 4e-16/h²: together below 1e-6
    corners = [
        i * j * float(softmax_cross_entropy(_O + h * np.array([i, 0.0, j]), 1))
        for i, j in itertools.product((1, -1), repeat=2)
    ]
    mixed = sum(corners) / (4 * h * h)
    p = [math.exp(o) / sum(math.exp(k) for k in (1, 2, 3)) for o in (1, 2, 3)]
    close("∂²l/∂o_1∂o_3", mixed, -p[0] * p[2], abs=1e-6)
    exact = float(softmax_cross_entropy_hessian(_O)[0, 2])
    close("entry (1, 3)", exact, -p[0] * p[2], rel=1e-14)
    below("which is not zero", exact, -0.05)
    return {
        "∂²l/∂o_1∂o_3 by differences of the loss": round(mixed, 7),
        "-p_1 p_3": exact,
    }


CLAIMS = (
    Claim(
        id="S26",
        topic="second derivative",
        statement="Compute the second derivative of the cross-entropy loss of the softmax.",
        source="exercise 1.1; forum",
        verdict=Verdict.EXERCISE,
        answer=(
            "There is one for every pair of logits. Start from the gradient ∂l/∂o_i = p_i - y_i "
            "with p = softmax(o). y does not depend on o, so what is left is the derivative of the "
            "softmax itself:\n\n"
            "    ∂²l / ∂o_i ∂o_j = ∂p_i / ∂o_j = p_i (δ_ij - p_j),\n\n"
            "where δ_ij is 1 for i = j and 0 otherwise. In detail: p_i = exp(o_i) / S with S = "
            "Σ_k exp(o_k). For i = j the quotient rule gives (exp(o_i) S - exp(o_i)²) / S² = "
            "p_i (1 - p_i). For i ≠ j only S depends on o_j: -exp(o_i) exp(o_j) / S² = -p_i p_j. "
            "As a matrix, H = diag(p) - p pᵀ. The label has dropped out.\n\n"
            "At o = (1, 2, 3): on the diagonal .0819, .1848, .2227; beside it -.0220, -.0599, "
            "-.1628. The answer p (1 - p) alone, which one also finds, is only the diagonal."
        ),
        check=_hessian,
        proof=_proofs.hessian_and_covariance,
    ),
    Claim(
        id="S27",
        topic="second derivative",
        statement=(
            "Compute the variance of the distribution given by softmax(o), and show that it "
            "matches the second derivative."
        ),
        source="exercise 1.2; forum",
        verdict=Verdict.EXERCISE,
        answer=(
            "The random thing is the label, written as a one-hot vector Y: with probability p_k it "
            "is e_k, which has its 1 in place k. A random vector has a covariance *matrix*, and "
            "that is the variance that is meant:\n\n"
            "    mean        E[Y] = p\n"
            "    i ≠ j       E[Y_i Y_j] = 0, since two entries are never 1 together,\n"
            "                so Cov(Y_i, Y_j) = 0 - p_i p_j\n"
            "    i = j       E[Y_i²] = E[Y_i] = p_i, so Var(Y_i) = p_i - p_i²\n\n"
            "Together Cov(Y) = diag(p) - p pᵀ, the matrix H of S26, entry by entry. The check "
            "never uses this formula: it adds up the three possible labels at o = (1, 2, 3), and "
            "also draws 400,000 of them. The sum of the diagonal is 1 - Σ p² = .489."
        ),
        check=_covariance,
        proof=_proofs.hessian_and_covariance,
    ),
    Claim(
        id="S28",
        topic="second derivative",
        statement="There are q² second derivatives, but the variance is one number. Which one?",
        source="forum",
        verdict=Verdict.QUESTION,
        answer=(
            "The right question. A class is not a number, so the variance of a class does not "
            "exist until each class is given a number, a score v_k. Then v·Y is a random number, "
            "and its variance is\n\n"
            "    Var(v·Y) = Σ_k p_k v_k² - (Σ_k p_k v_k)² = vᵀ H v,\n\n"
            "where H = diag(p) - p pᵀ is the matrix of the q² second derivatives (S26). So it "
            "holds the variances for all scores at once. With the class numbers v = (1, 2, 3) "
            "as scores it is .4244 at o = (1, 2, 3), but numbering the classes otherwise would "
            "change it. With v = e_j it is the variance of the event Y = j, the diagonal entry "
            "p_j (1 - p_j). With v = (1, 1, 1) it is 0: v·Y is always 1. That is why H has one "
            "eigenvalue 0 (shifting all logits changes nothing) and otherwise positive ones, here "
            ".119 and .371."
        ),
        check=_variances_of_scores,
    ),
    Claim(
        id="S29",
        topic="second derivative",
        statement=("For i ≠ j the second derivative is zero, unless o_i can be explained by o_j."),
        source="forum, an answer by the staff",
        verdict=Verdict.FALSE,
        answer=(
            "Two derivatives are confused. ∂o_i/∂o_j is zero: the logits are independent "
            "variables. But the *loss* contains all logits together, in log Σ_k exp(o_k), and "
            "its mixed second derivative is -p_i p_j, never zero: raising o_j takes "
            "probability away from class i, so it changes the slope ∂l/∂o_i = p_i - y_i.\n\n"
            "At o = (1, 2, 3), differences of the loss itself give -.0599 for i = 1, j = 3, which "
            "is -p_1 p_3."
        ),
        correction="For i ≠ j, ∂²l/∂o_i∂o_j = -p_i p_j, which is negative.",
        check=_mixed_difference,
        proof=_proofs.mixed_derivatives,
    ),
)
