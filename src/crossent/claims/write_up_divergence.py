"""The write-up's second part: cross-entropy as entropy plus divergence."""

import math
from collections.abc import Callable

import numpy as np

from crossent.claims import _identities, figures
from crossent.claims._expect import close, equal
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import (
    cross_entropy,
    entropy,
    kl_divergence,
    log_softmax,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_gradient,
)
from crossent.typing import FloatArray

__all__ = ["CLAIMS"]

_P, _Q, _REVERSED = (0.5, 0.3, 0.2), (0.6, 0.3, 0.1), (0.2, 0.3, 0.5)
_H_P = 1.02965301406457353  # entropy of _P with 30 digits (mpmath), as the other literals


def _decomposition() -> Numbers:
    ours = float(entropy(_P) + kl_divergence(_P, _Q))
    close("entropy + KL", ours, 1.07712167177958528, rel=1e-14)
    close("cross-entropy", float(cross_entropy(_P, _Q)), 1.07712167177958528, rel=1e-14)
    derivation = sum(p * math.log(p) + p * math.log(p / q) for p, q in zip(_P, _Q, strict=True))
    close("the derivation is off by -2 H(P)", derivation - ours, -2 * _H_P, rel=1e-14)
    backwards = sum(
        p * math.log(p) + p * math.log(p / q) for p, q in zip(_P, _REVERSED, strict=True)
    )
    other = float(cross_entropy(_P, _REVERSED))
    close("cross-entropy with (.2, .3, .5)", other, 1.30454023362682005, rel=1e-14)
    close("off by the same", backwards - other, -2 * _H_P, rel=1e-14)
    return {
        "H(P), KL(P ‖ Q)": [float(entropy(_P)), float(kl_divergence(_P, _Q))],
        "their sum, and H(P, Q)": [ours, float(cross_entropy(_P, _Q))],
        "Σ p log p + KL, as derived": derivation,
    }


def _one_term(p: float, q: float) -> float:
    """The write-up's `entropy_plus_kl` for two numbers."""
    p64, q64 = np.float64(p), np.float64(q)
    with np.errstate(all="ignore"):
        return float(p64 * np.log(p64) + p64 * np.log(p64 / q64))


def _any_p() -> Numbers:
    cell = [_one_term(p, 0.25) for p in (1.0, 0.5, 0.3, 0.0)]
    right = [p * 2 * math.log(2) for p in (1.0, 0.5, 0.3, 0.0)]
    close("the cell is right at p = 1", cell[0], right[0], rel=1e-15)
    close("and wrong at .5, .3", cell[1:3], [0.0, -0.306495374259594], rel=1e-14, abs=1e-16)
    equal("and not a number at 0", math.isnan(cell[3]), True)
    binary = np.array([[1.0, 0.0], [0.5, 0.5], [0.3, 0.7], [0.0, 1.0]])
    believed = np.tile([0.25, 0.75], (4, 1))
    sums = entropy(binary) + kl_divergence(binary, believed)
    whole = [p * math.log(4) + (1 - p) * math.log(4 / 3) for p in (1.0, 0.5, 0.3, 0.0)]
    close("both outcomes, any p", sums, whole, rel=1e-14)
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(4), size=200) * (rng.random((200, 4)) < 0.7)
    P = P[P.sum(axis=1) > 0]
    P /= P.sum(axis=1, keepdims=True)
    Q = rng.dirichlet(np.ones(4), size=len(P))
    direct = np.where(P > 0, -P * np.log(Q), 0.0).sum(axis=1)
    close("entropy + KL, random points", entropy(P) + kl_divergence(P, Q), direct, rel=1e-13)
    close("cross-entropy, random points", cross_entropy(P, Q), direct, rel=1e-13)
    return {
        "p, with q = .25": [1.0, 0.5, 0.3, 0.0],
        "-p log q": right,
        "the cell": cell,
        "both outcomes: H(P) + KL(P ‖ Q)": sums.tolist(),
    }


def _slopes(function: Callable[[FloatArray], float], z: FloatArray) -> FloatArray:
    """Central differences with h = 1e-5: errors below 1e-10 for functions of order 1."""
    h = 1e-5
    return np.array([(function(z + d) - function(z - d)) / (2 * h) for d in h * np.eye(len(z))])


def _what_is_minimised() -> Numbers:
    p, z = np.array(_P), np.array([1.0, 2.0, 3.0])
    q = softmax(z)
    divergence = _slopes(lambda o: float(kl_divergence(p, softmax(o))), z)
    likelihood = _slopes(lambda o: float((p * log_softmax(o)).sum()), z)
    reverse = _slopes(lambda o: float(kl_divergence(softmax(o), p)), z)
    gradient = softmax_cross_entropy_gradient(z, p)
    expected = [-0.409969426829619542, -0.0552715289452023475, 0.465240955774821890]
    close("gradient of the loss", gradient, expected, rel=1e-14)
    close("gradient of KL(P ‖ Q)", divergence, expected, abs=1e-9)
    close("gradient of the log-likelihood", likelihood, [-g for g in expected], abs=1e-9)
    close(
        "gradient of KL(Q ‖ P)",
        reverse,
        [-0.207950644323891037, -0.195526412732121245, 0.403477057071212282],
        abs=1e-9,
    )
    values = float(kl_divergence(p, q)), float(softmax_cross_entropy(z, p))
    close("KL(P ‖ Q)", values[0], 0.677952950379806777, rel=1e-14)
    close("cross-entropy minus KL is H(P)", values[1] - values[0], _H_P, rel=1e-14)
    return {
        "KL(P ‖ Q), H(P, Q)": list(values),
        "their gradient by the logits": gradient.tolist(),
        "gradient of Σ P log Q": likelihood.round(7).tolist(),
        "gradient of KL(Q ‖ P)": reverse.round(7).tolist(),
    }


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="S73",
        topic="write-up",
        statement="Cross-entropy is entropy plus divergence, H(P, Q) = H(P) + KL(P ‖ Q).",
        source="write-up, derivation of the divergence",
        verdict=Verdict.TRUE_IF,
        answer=(
            "The identity is true; the derivation under it has a wrong sign. Step by step:\n\n    "
            "H(P, Q) = -Σ p log q = -Σ p log p + Σ p log p - Σ p log q\n            = -Σ p log p + "
            "Σ p log(p/q) = H(P) + KL(P ‖ Q).\n\n"
            "The write-up puts +Σ p log p, which is -H(P), where H(P) belongs, so its sum is too "
            "small by 2 H(P). With P = (.5, .3, .2) and Q = (.6, .3, .1) the truth is 1.0297 + "
            ".0475 = 1.0771, and the derivation gives -.9822. Nobody noticed, because for a "
            "one-hot P the entropy is 0 and its sign cannot be seen.\n\n"
            "Mind the order of the arguments as well: P is what happens, Q what is predicted. KL(Q "
            "‖ P) is another number."
        ),
        correction="H(P, Q) = -Σ p log p + Σ p log(p/q): entropy enters with its own minus sign.",
        check=_decomposition,
        proof=_identities.entropy_and_divergence,
    ),
    Claim(
        id="S74",
        topic="write-up",
        statement=(
            "`entropy_plus_kl(p, q)`, computed as p log p + p log(p/q) and drawn over -p log q, "
            "shows that both are the same."
        ),
        source="write-up, cell entropy_plus_kl and its plot",
        verdict=Verdict.FALSE,
        answer=(
            "Both curves agree at p = 1 only, which is the one value the plot uses. There the "
            "first term is log 1 = 0, so its wrong sign (S73) does no harm. At p = .5 and q = .25 "
            "the cell gives 0 instead of -p log q = .693; at p = .3 it gives -.306 instead of "
            ".416; at p = 0 it is NaN, because 0 log 0 has to be set to its limit 0.\n\n"
            "There is a second fault: one term of a sum is not yet an entropy or a divergence. An "
            "event of probability p has an opposite of probability 1 - p, which belongs to the "
            "sum. With both outcomes, H(P) + KL(P ‖ Q) equals the cross-entropy -p log q - (1 - p) "
            "log(1 - q) for every p from 0 to 1. As a function of p that is a straight line: the "
            "entropy is a hill under it, and the divergence fills the rest. It touches the hill at "
            "p = q, where the divergence is 0."
        ),
        correction=(
            "-p log p + p log(p/q) = -p log q for each outcome, with 0 log 0 = 0; summed over all "
            "outcomes this is entropy + divergence = cross-entropy."
        ),
        check=_any_p,
        scene=figures.entropy_plus_divergence,
    ),
    Claim(
        id="S75",
        topic="write-up",
        statement="Minimising the divergence is a proxy for minimising the log-likelihood.",
        source="write-up, text before the derivation of the divergence",
        verdict=Verdict.FALSE,
        answer=(
            "The sign is wrong: one wants to *maximise* the likelihood. Minimising KL(P ‖ Q) over "
            "Q is the same as minimising the *negative* log-likelihood, and it is no proxy but "
            "exactly the same thing. The cross-entropy H(P, Q) = KL(P ‖ Q) + H(P) differs from the "
            "divergence by H(P), which does not depend on Q. So both have the same gradient by the "
            "logits, softmax - P, and the same minimiser, Q = P. The log-likelihood Σ P log Q has "
            "the opposite gradient.\n\n"
            "The order matters: KL(Q ‖ P) has another gradient, and where Q cannot reach P another "
            "minimum. Maximum likelihood belongs to KL(P ‖ Q), data first."
        ),
        correction=(
            "Minimising KL(P ‖ Q) over Q is minimising the negative log-likelihood, that is, "
            "maximising the likelihood."
        ),
        check=_what_is_minimised,
        proof=_identities.divergence_and_loss,
    ),
)
