"""The first derivative of the loss: prediction minus observation."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.claims import _proofs
from crossent.claims._expect import close, zero
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import (
    entropy,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_gradient,
)

__all__ = ["CLAIMS"]

_O = np.array([1.0, 2.0, 3.0])
_SOFT = np.array([0.1, 0.2, 0.7])
_H = 1e-5  # central differences: h²/6 of the third derivative and 1e-16/h, both below 2e-11


def _slopes(f: Callable[[npt.NDArray[np.float64]], Any]) -> npt.NDArray[np.float64]:
    """Central differences of f at (1, 2, 3)."""
    steps = _H * np.eye(3)
    return np.array([(float(f(_O + d)) - float(f(_O - d))) / (2 * _H) for d in steps])


def _complex_slopes(y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Derivatives of log Σ exp(o) - y·o by complex steps: no difference, so nothing cancels."""
    steps = 1e-200j * np.eye(3)
    values = [np.log(np.exp(_O + d).sum()) - y @ (_O + d) for d in steps]
    return np.imag(values) / 1e-200


def _loss_of(y: npt.NDArray[np.float64], o: npt.NDArray[np.float64]) -> float:
    return float(softmax_cross_entropy(o, y))


def _prediction_minus_label() -> Numbers:
    shown = {}
    for name, y in (("class 3", np.eye(3)[2]), ("(.1, .2, .7)", _SOFT)):
        gradient = softmax_cross_entropy_gradient(_O, y)
        close(f"complex step, y = {name}", gradient, _complex_slopes(y), abs=1e-15)
        slopes = _slopes(partial(_loss_of, y))
        close(f"central differences of the loss, y = {name}", gradient, slopes, abs=1e-9)
        zero("sum", float(gradient.sum()), abs=1e-15)
        shown[f"gradient at o = (1, 2, 3), y = {name}"] = gradient.round(7).tolist()
    p = softmax(_O)
    by_class = [float(softmax_cross_entropy_gradient(_O, j)[j] + 1) for j in range(3)]
    close("softmax", by_class, p, rel=1e-14)
    return {"softmax(1, 2, 3)": p.round(7).tolist()} | shown


def _labels_are_held_fixed() -> Numbers:
    p = softmax(_O)
    stopped = softmax_cross_entropy_gradient(_O, p)
    zero("gradient with y = softmax(o) held fixed", stopped, abs=1e-16)
    H = float(entropy(_O, from_logits=True))
    through = _slopes(lambda o: entropy(o, from_logits=True))
    weights = np.exp(_O) / np.exp(_O).sum()
    formula = -weights * (np.log(weights) - float(weights @ np.log(weights)))
    close("through the labels", through, formula, abs=1e-9)
    close("entropy", H, 0.83239558183993887295, rel=1e-14)  # mpmath
    zero("it sums to", float(through.sum()), abs=1e-9)
    return {
        "y = softmax(o), held fixed: gradient": [abs(x) for x in stopped.round(12).tolist()],
        "y = softmax(o), moved along: gradient of H(softmax(o))": through.round(7).tolist(),
        "H(softmax(1, 2, 3))": H,
    }


def _as_in_regression() -> Numbers:
    squared = ((2 + _H - 5) ** 2 - (2 - _H - 5) ** 2) / 2 / (2 * _H)
    close("½ (ŷ - y)² at ŷ = 2, y = 5", squared, 2.0 - 5.0, rel=1e-10)
    gradient = softmax_cross_entropy_gradient(_O, 2)
    weights = [math.exp(o) for o in (1, 2, 3)]
    wanted = [w / sum(weights) - y for w, y in zip(weights, (0, 0, 1), strict=True)]
    close("cross-entropy", gradient, wanted, abs=1e-15)
    slopes = _slopes(lambda o: softmax_cross_entropy(o, 2))
    close("cross-entropy by differences", slopes, wanted, abs=1e-9)
    return {
        "slope of ½ (ŷ - y)² at ŷ = 2, y = 5": round(squared, 7),
        "ŷ - y of the softmax, o = (1, 2, 3), class 3": gradient.round(7).tolist(),
    }


CLAIMS = (
    Claim(
        id="S20",
        topic="gradient",
        statement="The derivative of the loss by o_j is softmax(o)_j - y_j.",
        source="forum; chapter, section Softmax and Cross-Entropy Loss",
        verdict=Verdict.TRUE,
        answer=(
            "Take l = log Σ_k exp(o_k) - Σ_j y_j o_j (S19). The derivative of the first term by "
            "o_j is, by the chain rule, the derivative of the sum over the sum: exp(o_j) / "
            "Σ_k exp(o_k), which is softmax(o)_j. The derivative of the second is y_j. That is "
            "all.\n\n"
            "For o = (1, 2, 3) and class 3: (.0900, .2447, -.3348). What is too likely is pushed "
            "down, the true class is pulled up, and the three numbers sum to 0. The same formula "
            "holds for a distribution y; there the step that uses the one-hot label (its entries "
            "sum to the one entry that is 1) reads Σ_j y_j = 1."
        ),
        check=_prediction_minus_label,
        proof=_proofs.gradient_for_any_target,
    ),
    Claim(
        id="S21",
        topic="gradient",
        statement=(
            "In reality y_j depends on o_j. How do we judge whether one is a function of the "
            "other when we take the derivative?"
        ),
        source="forum",
        verdict=Verdict.QUESTION,
        answer=(
            "By asking what changes when *we* change o. l(y, o) is a function of two arguments; "
            "its derivative by o holds y fixed. Labels and logits go together in the data because "
            "both have to do with x, but that is statistical dependence: if we move the "
            "parameters, o moves and the label in the data file does not. (It is not because "
            "labels are discrete: soft labels stay fixed too.)\n\n"
            "Only where y is *computed* from o, as when a model is trained on its own "
            "predictions, one must choose. Take y = "
            "softmax(o) at o = (1, 2, 3). Held fixed, the gradient is softmax(o) - y = 0. Moved "
            "along, the loss is the entropy of softmax(o), with the gradient -p_j (log p_j + H), "
            "where H is that entropy: "
            "(.142, .141, -.283). With y = the class of the largest logit both give softmax(o) - "
            "y, because a label that jumps has slope 0 where it does not jump. In this package y "
            "is always held fixed."
        ),
        check=_labels_are_held_fixed,
        proof=_proofs.through_gradient,
    ),
    Claim(
        id="S23",
        topic="gradient",
        statement=(
            "The gradient is very similar to that of regression: the difference of the observation "
            "y and the estimate ŷ."
        ),
        source="chapter, sections Softmax and Cross-Entropy Loss and Summary and Discussion",
        verdict=Verdict.TRUE_IF,
        answer=(
            "True up to the sign, which depends on what is differentiated. The gradient of the "
            "*loss* is ŷ - y, prediction minus observation, for both: the squared loss ½ (ŷ - y)² "
            "(mind the ½) and cross-entropy as a function of the logits. The gradient of the "
            "*log-likelihood*, which is minus the loss, is y - ŷ.\n\n"
            "At ŷ = 2, y = 5 the slope of the squared loss is -3. For logits (1, 2, 3) and class "
            "3 that of cross-entropy is (.0900, .2447, -.3348) = ŷ - y. Why it is no accident: "
            "S24."
        ),
        correction="The gradient of the loss is ŷ - y; y - ŷ is that of the log-likelihood.",
        check=_as_in_regression,
    ),
)
