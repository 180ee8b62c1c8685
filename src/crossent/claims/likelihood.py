"""What the likelihood is, why it is a product, and why its logarithm is summed."""

import itertools
import math

import numpy as np

from crossent.claims._expect import below, close, equal
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import (
    entropy,
    linear_softmax_cross_entropy,
    softmax,
    softmax_cross_entropy,
    surprisal,
)

__all__ = ["CLAIMS"]

_P = np.array([0.5, 0.3, 0.2])
_W = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
_B = np.array([0.1, -0.2, 0.3])
_X = np.array([[-1.0, 0.0], [0.0, 1.0], [1.0, 2.0]])


def _log_likelihood(labels: tuple[int, ...]) -> float:
    """Log-probability log P(labels | _X; _W, _B) of the three rows, in nats."""
    return -float(linear_softmax_cross_entropy(_X, _W, _B, list(labels), reduction="sum").loss)


def _joint_likelihood() -> Numbers:
    labels = (2, 1, 0)  # classes 3, 2, 1
    found = _log_likelihood(labels)
    # Computed with mpmath at 30 digits, from the definition.
    close("log-likelihood", found, -1.9408723397401948194, rel=1e-14)
    factors = softmax(_X @ _W.T + _B)[np.arange(3), labels]
    close("factors", factors, [0.749662660136884, 0.581491543786561, 0.329367368227653], rel=1e-14)
    close("their product", float(np.prod(factors)), math.exp(found), rel=1e-14)
    every = [math.exp(_log_likelihood(y)) for y in itertools.product(range(3), repeat=3)]
    close("all 27 label vectors together", math.fsum(every), 1.0, rel=1e-14)
    return {
        "probability of each row's label": factors.tolist(),
        "likelihood, their product": math.exp(found),
        "log-likelihood": found,
        "sum over all 27 label vectors": math.fsum(every),
    }


def _product_is_a_joint_event() -> Numbers:
    draws = np.random.default_rng(0).choice(3, size=(200_000, 2), p=_P)
    shares = np.zeros((3, 3))
    np.add.at(shares, (draws[:, 0], draws[:, 1]), 1 / len(draws))
    logits = np.tile(np.log(_P), (2, 1))
    pairs = itertools.product(range(3), repeat=2)
    joint = [
        math.exp(-softmax_cross_entropy(logits, list(pair), reduction="sum")) for pair in pairs
    ]
    table = np.reshape(joint, (3, 3))
    close("products of two probabilities", table, np.outer(_P, _P), rel=1e-14)
    deviations = np.abs(shares - table) / np.sqrt(table * (1 - table) / len(draws))
    below("largest deviation of a share, in standard errors", float(deviations.max()), 5.0)
    same = np.bincount(draws[:, 0], minlength=3)[0] / len(draws)
    below("a copied draw is no independent one: gap to .25", 0.2, same - table[0, 0])
    return {
        "P(class 1) · P(class 3)": float(table[0, 2]),
        "share of the pair (1, 3) in 200,000 draws": float(shares[0, 2]),
        "sum of the nine products": float(table.sum()),
        "pair (1, 1) if the second label copies the first": float(same),
    }


def _logarithms_do_not_underflow() -> Numbers:
    sizes = [n for n in range(300, 340) if math.prod([0.1] * n) == 0.0]
    equal("first n at which the product of n factors .1 is 0.0", sizes[0], 324)
    thousand = np.tile(np.log([0.1, 0.9]), (1000, 1))
    found = -float(softmax_cross_entropy(thousand, [0] * 1000, reduction="sum"))
    close("log-likelihood of 1000 labels at .1", found, -1000 * math.log(10), rel=1e-13)
    thetas = np.arange(1, 100) / 100
    products = thetas**7 * (1 - thetas) ** 3
    labels = [0] * 7 + [1] * 3
    sums = [
        float(softmax_cross_entropy(np.log([[t, 1 - t]] * 10), labels, reduction="sum"))
        for t in thetas
    ]
    best = int(np.argmin(sums))
    equal("best theta by the sum", float(thetas[best]), 0.7)
    equal("best theta by the product", int(np.argmax(products)), best)
    close("smallest sum", sums[best], -math.log(0.0022235661), rel=1e-14)
    return {
        "number of factors .1 whose product is 0.0": sizes[0],
        "log-likelihood of 1000 labels at p = .1": found,
        "best θ, by product and by sum": [float(thetas[np.argmax(products)]), float(thetas[best])],
        "product and sum there": [float(products[best]), sums[best]],
    }


def _uniform_is_minimax() -> Numbers:
    guesses = np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], size=10_000)
    worst = surprisal(guesses).max(axis=-1)
    uniform = [float(entropy(np.full(q, 1 / q))) for q in (2, 3)]
    close("uniform guess", uniform, [math.log(2), math.log(3)], rel=1e-15)
    close("its surprisal, every class", surprisal([1 / 3] * 3), [math.log(3)] * 3, rel=1e-15)
    below("log 3 below every other guess's worst case", math.log(3), float(worst.min()))
    below("some guess comes near", float(worst.min()), math.log(3) + 0.01)
    known = float(entropy(_P))
    close("known frequencies", known, 1.02965301406457353, rel=1e-14)  # mpmath
    below("knowing the frequencies helps", known, uniform[1])
    return {
        "log 2, log 3": uniform,
        "best worst case among 10,000 random guesses": float(worst.min()),
        "mean cost of guessing (.5, .3, .2) where that is true": known,
    }


CLAIMS = (
    Claim(
        id="S1",
        topic="likelihood",
        statement=(
            "The joint likelihood of the labels is P(Y | X; θ) = Π_i P(y_i | x_i; θ), and the θ "
            "belongs into the formula."
        ),
        source="forum",
        verdict=Verdict.TRUE,
        answer=(
            "The likelihood is the probability that the model gives to *exactly the labels that "
            "were seen*, all of them together, read as a function of the parameters θ (here W and "
            "b). The data are fixed; θ is what we vary. So θ must appear in the formula.\n\n"
            "Two things make it a product with one factor per row: given the inputs, labels do not "
            "influence each other, and each label depends on its own input only (S4).\n\n"
            "A small case: W = ((1, 0), (0, 1), (-1, -1)), b = (.1, -.2, .3), three rows (-1, 0), "
            "(0, 1), (1, 2) with the labels 3, 2, 1. Under softmax(W x + b) these labels have the "
            "probabilities .750, .581 and .329; the product, .1436, is the likelihood. It is a "
            "probability of label vectors: summed over all 3·3·3 = 27 vectors of labels that could "
            "have been, it gives 1."
        ),
        check=_joint_likelihood,
    ),
    Claim(
        id="S2",
        topic="likelihood",
        statement="Why would we multiply all the P(y|x)? What does a product P·P mean?",
        source="forum",
        verdict=Verdict.QUESTION,
        answer=(
            "The product is the probability that *both* things happen: the first label is y_1 and "
            "the second is y_2. Let the classes 1, 2, 3 have the probabilities .5, .3, .2. In half "
            "of all pairs the first label is class 1; among those, in one fifth the second label "
            "is class 3, because the second draw takes no notice of the first. One fifth of a half "
            "is .5 · .2 = .1.\n\n"
            "Multiplying is exactly what independent means. Where draws do depend on each other it "
            "is wrong: if the second label is a copy of the first, the pair (1, 1) has probability "
            ".5 and not .5 · .5 = .25. Adding is always wrong here: .5 + .2 is no probability of "
            "two things happening together."
        ),
        check=_product_is_a_joint_event,
    ),
    Claim(
        id="S3",
        topic="likelihood",
        statement="To maximise the product of probabilities is to minimise the sum of their -log.",
        source="forum",
        verdict=Verdict.TRUE,
        answer=(
            "-log is strictly decreasing, so whatever makes the product largest makes its -log "
            "smallest, and the logarithm turns the product into a sum. The best θ is the same; "
            "only the value at the best θ reads differently. With seven labels of ten in class 1, "
            "both prefer θ = .7.\n\n"
            "There is a practical reason too. A product of many probabilities underflows: .1 to "
            "the power 324 is exactly 0.0 in double precision, and then every θ looks equally "
            "bad. The sum of a thousand terms -log .1 is simply 2302.6. So take logarithms first "
            "and add; log(prod(p)) is too late, it gives -inf."
        ),
        check=_logarithms_do_not_underflow,
    ),
    Claim(
        id="S8",
        topic="likelihood",
        statement="Saying P = 1/2 when we know nothing is only a way to keep the peace.",
        source="forum",
        verdict=Verdict.TRUE_IF,
        answer=(
            "It is more than politeness: for the loss -log p the uniform guess is the *safest* "
            "one. It costs log q whatever happens (log 2 = .693 nats for two classes, log 3 = "
            "1.099 for three). Any other guess gives some class less than 1/q, and if that class "
            "occurs it costs more than log q.\n\n"
            "The condition: safest is not the same as best. Where the class frequencies are known, "
            "say (.5, .3, .2), guessing them costs 1.030 nats on average, less than log 3. The "
            "uniform guess is right against the worst case, not against known odds. Both numbers "
            "are worth printing beside a model's loss: log q, and the entropy of the classes."
        ),
        correction=(
            "With no knowledge at all, P = 1/q minimises the largest possible loss; with known "
            "frequencies, the frequencies minimise the mean loss."
        ),
        check=_uniform_is_minimax,
    ),
)
