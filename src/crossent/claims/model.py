"""What kind of model a softmax regression is, and what its outputs are."""

import math
import warnings

import numpy as np

from crossent.claims import chapter_figures
from crossent.claims._expect import below, close, equal, zero
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import (
    log_softmax,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_hessian,
    softmax_cross_entropy_hessian_vector,
)
from crossent.linear_model import SoftmaxRegression

__all__ = ["CLAIMS"]

_W = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
_B = np.array([0.1, -0.2, 0.3])
_O = np.array([1.0, 2.0, 3.0])


def _log_odds_are_affine() -> Numbers:
    x = np.linspace([-1.0, 0.0], [1.0, 2.0], 5)
    log_p = log_softmax(x @ _W.T + _B)
    first_third, first_second = log_p[:, 0] - log_p[:, 2], log_p[:, 0] - log_p[:, 1]
    # A step is (.5, .5); (w_1 - w_3)·step = 1.5 and (w_1 - w_2)·step = 0.
    close("steps of log p_1/p_3", np.diff(first_third), [1.5] * 4, rel=1e-14)
    zero("steps of log p_1/p_2", np.diff(first_second), abs=1e-14)
    steps = np.diff(log_p[:, 0])
    close("steps of log p_1", steps, [0.87321, 0.37277, 0.10625, 0.02533], abs=5e-6)  # mpmath
    bends = np.diff(log_p[:, 0], n=2)
    below("log p_1 bends", bends, -0.01)
    return {
        "steps of log(p_1/p_3)": np.diff(first_third).round(12).tolist(),
        "steps of log(p_1/p_2)": [abs(s) for s in np.diff(first_second).round(12).tolist()],
        "steps of log p_1": steps.round(5).tolist(),
    }


def _class_from_logits() -> Numbers:
    rows = np.random.default_rng(0).normal(size=(1000, 5))
    equal(
        "rows whose order differs",
        int((softmax(rows).argmax(axis=-1) != rows.argmax(axis=-1)).sum()),
        0,
    )
    near = np.array([0.0, 1e-17, -5.0])
    p = softmax(near)
    equal("probabilities that round to one number", bool(p[0] == p[1]), True)
    close("that number", float(p[0]), 1 / (2 + math.exp(-5)), rel=1e-14)
    model = SoftmaxRegression(fit_intercept=False).fit([[1.0], [2.0], [3.0]], [1, 2, 3])
    model.coef_ = near[:, None]
    equal("class by predict", model.predict([[1.0]]).tolist(), [2])
    model.coef_ = np.array([[1.0], [3.0], [3.0]])
    tied = model.predict([[1.0]]).tolist()
    equal("class by predict, tied", tied, [2])
    return {
        "logits": near.tolist(),
        "their probabilities": p.tolist(),
        "class by probabilities, by logits": [int(p.argmax()) + 1, int(near.argmax()) + 1],
        "class for logits (1, 3, 3)": tied[0],
    }


def _likelihood_is_not_accuracy() -> Numbers:
    timid = np.log(np.tile([0.51, 0.49], (10, 1)))
    bold = np.log([[0.99, 0.01]] * 9 + [[0.49, 0.51]])
    labels = [0] * 10
    losses = [float(softmax_cross_entropy(logits, labels)) for logits in (timid, bold)]
    hits = [float((logits.argmax(axis=1) == 0).mean()) for logits in (timid, bold)]
    equal("accuracies", hits, [1.0, 0.9])
    wanted = [-math.log(0.51), -(9 * math.log(0.99) + math.log(0.49)) / 10]
    close("mean losses", losses, wanted, rel=1e-13)
    row = softmax([1.0, 2.0, 3.0])
    equal("ŷ has an entry per class", row.shape, (3,))
    close("which sum to 1", float(row.sum()), 1.0, rel=1e-15)
    return {
        "accuracy of the timid and the bold model": hits,
        "mean -log p of both": losses,
        "likelihood of both": [math.exp(-10 * loss) for loss in losses],
    }


def _coordinates_depend() -> Numbers:
    H = softmax_cross_entropy_hessian(_O)
    p = [math.exp(o) / sum(math.exp(k) for k in (1, 2, 3)) for o in (1, 2, 3)]
    v = np.array([1.0, 1.0, 0.0])
    variance = float(v @ softmax_cross_entropy_hessian_vector(_O, v))
    # Y_1 + Y_2 = 1 - Y_3, a coin with probability p_3.
    close("Var(Y_1 + Y_2)", variance, p[2] * (1 - p[2]), rel=1e-14)
    close("the same with the matrix", float(v @ H @ v), variance, rel=1e-14)
    close("Cov(Y_1, Y_2)", H[0, 1], -p[0] * p[1], rel=1e-14)
    independent = float(H[0, 0] + H[1, 1])
    wanted = p[0] * (1 - p[0]) + p[1] * (1 - p[1])
    close("sum of the variances", independent, wanted, rel=1e-14)
    return {
        "Var(Y_1 + Y_2)": variance,
        "Var(Y_1) + Var(Y_2), if independent": independent,
        "Cov(Y_1, Y_2) = -p_1 p_2": float(H[0, 1]),
    }


def _softmax_is_a_distribution() -> Numbers:
    rng = np.random.default_rng(0)
    W, x, c = rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=4)
    p, moved, doubled = softmax(W @ x), softmax((W + c) @ x), softmax(2 * (W @ x))
    close("sum", float(p.sum()), 1.0, rel=1e-15)
    powers = np.exp(W @ x)
    close("p", p, powers / powers.sum(), rel=1e-14)
    close("one vector added to all rows of W", moved, p, rel=1e-13)
    close("logits doubled: squares", doubled, p**2 / (p**2).sum(), rel=1e-13)
    rank = int(np.linalg.matrix_rank(softmax_cross_entropy_hessian(_O), tol=1e-12))
    equal("free directions of three classes", rank, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edges = softmax([[800.0, 0.0], [math.inf, 0.0], [-math.inf, 0.0]])
    equal("edges", [edges[0].tolist(), edges[2].tolist()], [[1.0, 0.0], [0.0, 1.0]])
    equal("+inf has no softmax", bool(np.isnan(edges[1]).all()), True)
    return {
        "p": p.round(7).tolist(),
        "p after adding one vector to all rows of W": moved.round(7).tolist(),
        "p after doubling the logits": doubled.round(7).tolist(),
        "rank of the derivative of p by 3 logits": rank,
        "softmax(800, 0) in double precision": edges[0].tolist(),
    }


CLAIMS = (
    Claim(
        id="S12",
        topic="model",
        statement="The softmax is not linear. Why is softmax regression called a linear model?",
        source="forum",
        verdict=Verdict.QUESTION,
        answer=(
            "Because what is compared between two classes is linear in the input. Probabilities "
            "are not linear: they are squeezed between 0 and 1. But their log-odds are\n\n"
            "    log(p_i / p_j) = (w_i - w_j)·x + (b_i - b_j),\n\n"
            "where w_i is row i of W: the normaliser of the softmax is the same for all classes "
            "and "
            "cancels. This is "
            "linear in x plus a constant (affine), and linear in the parameters too. So the border "
            "between two classes, where their log-odds are 0, is a straight line, a plane or a "
            "hyperplane, and never bent.\n\n"
            "Walk from (-1, 0) to (1, 2) in four equal steps, in the model of S1: log(p_1/p_3) "
            "changes by the same 1.5 "
            "at each step. log p_1 alone changes by .873, .373, .106, .025: not linear. Statistics "
            "calls this a generalised linear model, a linear part followed by a fixed function."
        ),
        check=_log_odds_are_affine,
        scene=chapter_figures.straight_borders,
    ),
    Claim(
        id="S13",
        topic="model",
        statement=(
            "The argmax should be over ŷ; the superscript (i) is not needed in l(y, ŷ); it must be "
            "softmax(o)_j with the index outside."
        ),
        source="forum",
        verdict=Verdict.TRUE,
        answer=(
            "All three are right. The predicted class is the argmax over the classes of ŷ, or "
            "of the logits o: the softmax keeps their order. The definition of the loss speaks of "
            "any pair (y, ŷ), so it needs no row number (i); the sum over rows does. And the "
            "softmax "
            "takes the whole vector: softmax(o)_j is the j-th entry of the result, whereas "
            "softmax(o_j) would be the softmax of one number, which is always 1.\n\n"
            "On a computer choose the class from the logits. Different logits can round to "
            "equal probabilities: (0, 1e-17, -5) has its largest logit at class 2, but both "
            "probabilities round to the same number and argmax would then say class 1. On a true "
            "tie, such as (1, 3, 3), the first of the tied classes is taken, here class 2."
        ),
        check=_class_from_logits,
    ),
    Claim(
        id="S14",
        topic="model",
        statement=(
            "P should be a 3×1 vector, the label vector y is the result of the softmax, and what "
            "we maximise is the accuracy on all n rows."
        ),
        source="forum",
        verdict=Verdict.FALSE,
        answer=(
            "Three things are mixed up. (1) P(y_i | x_i) is one number, the probability of the "
            "label that occurred. (2) The vector of three probabilities, the result of the "
            "softmax, is ŷ_i; y_i is the label, given with the data. (3) Likelihood is not "
            "accuracy. Accuracy counts hits; likelihood asks how much probability the labels "
            "got.\n\n"
            "They can disagree. Ten rows, two classes. A timid model gives every true class .51: "
            "accuracy 1.0, mean -log p = .673. A bold one gives .99 to nine rows and .49 to the "
            "tenth: accuracy .9, mean -log p = .080. Accuracy prefers the first, likelihood by far "
            "the second."
        ),
        correction=(
            "P(y_i | x_i) is one number, the entry of the vector ŷ_i = softmax(o_i) at the label; "
            "what is maximised is the product of these numbers."
        ),
        check=_likelihood_is_not_accuracy,
    ),
    Claim(
        id="S15",
        topic="model",
        statement="Each coordinate of a label vector is independent of the others.",
        source="forum",
        verdict=Verdict.FALSE,
        answer=(
            "They cannot be: exactly one coordinate of a one-hot vector is 1, so knowing one tells "
            "about the rest. With Y drawn from p, Cov(Y_i, Y_j) = -p_i p_j for i ≠ j: if one "
            "class occurs the others do not. The product in the likelihood runs over *rows*, which "
            "are independent, not over coordinates.\n\n"
            "For logits (1, 2, 3): Y_1 + Y_2 = 1 - Y_3 has variance p_3 (1 - p_3) = .2227. "
            "Independent coordinates would give Var(Y_1) + Var(Y_2) = .2668; the difference is "
            "twice the covariance, -2 · .0220."
        ),
        correction=(
            "The rows are independent of each other; the coordinates of one label vector sum to 1 "
            "and have covariance -p_i p_j."
        ),
        check=_coordinates_depend,
    ),
    Claim(
        id="S16",
        topic="model",
        statement=(
            "The softmax turns any real outputs into a valid distribution, and it pushes up the "
            "highest values."
        ),
        source="chapter, section Summary and Discussion; write-up, section on the softmax",
        verdict=Verdict.TRUE_IF,
        answer=(
            "True for finite outputs: exp makes each of them positive, dividing by the sum makes "
            "them add up to 1, and exp turns differences into ratios: 5 above another output is "
            "148 times as likely. It ignores a shift (one vector added to "
            "all rows of W changes nothing, so q classes have only q - 1 free directions) but not "
            "the scale: doubling the logits squares the probabilities before they are normalised, "
            "and the highest grows.\n\n"
            "The conditions: in exact arithmetic no probability is 0, in floats small ones become "
            "0: softmax(800, 0) = (1, 0). A logit -inf is a class that cannot occur, with "
            "probability 0. A logit +inf, or no finite logit at all, has no softmax; the result is "
            "NaN."
        ),
        correction=(
            "For finite logits the softmax is a distribution in which no class has probability 0; "
            "it ignores a shift of all logits, and not their scale."
        ),
        check=_softmax_is_a_distribution,
    ),
)
