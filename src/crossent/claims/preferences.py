"""Exercise 4 and what the forum made of it: apples, oranges, and neither."""

import itertools
import math
from collections.abc import Callable

import numpy as np
from scipy.special import expit

from crossent.choice import BradleyTerry
from crossent.claims import _identities
from crossent.claims._expect import below, close, equal
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import softmax

__all__ = ["CLAIMS"]

_SCORES = (1.0, 0.4)  # apples, oranges
_ITEMS = ("apples", "oranges", "pears")
_PAIRS = tuple(itertools.combinations(_ITEMS, 2))


def _softmax_fits() -> Numbers:
    o = np.array(_SCORES)
    p = softmax(o)
    close("P(apples)", p[0], 1 / (1 + math.exp(-0.6)), rel=1e-15)
    h = 1e-5  # error h²/6 of the third derivative < 1e-11, rounding 1e-16/h = 1e-11
    step = h * np.eye(2)
    slopes = np.stack([(softmax(o + d) - softmax(o - d)) / (2 * h) for d in step], axis=1)
    product = float(expit(0.6) * expit(-0.6))
    close("slopes", slopes, [[product, -product], [-product, product]], rel=1e-9)
    rows = np.random.default_rng(0).normal(scale=2.0, size=(1000, 5))
    order = np.argsort(rows, axis=-1)
    equal("rows ordered otherwise", int((np.argsort(softmax(rows)) != order).any(1).sum()), 0)
    model = BradleyTerry().fit([["apples", "oranges"]], [[p[0], p[1], 0.0, 0.0]])
    close("fitted difference of scores", model.scores_[0] - model.scores_[1], 0.6, rel=1e-9)
    return {
        "scores": list(_SCORES),
        "probabilities": p.tolist(),
        "slopes of p by the scores": slopes.round(7).tolist(),
    }


def _fit(probabilities: Callable[[float, float], list[float]]) -> BradleyTerry:
    """Model of three items at scores 1, .4, -1 whose outcomes occur exactly as often as given."""
    scores = dict(zip(_ITEMS, (1.0, 0.4, -1.0), strict=True))
    shares = [probabilities(scores[left], scores[right]) for left, right in _PAIRS]
    return BradleyTerry().fit(list(_PAIRS), shares)


def _outside(third: float) -> Callable[[float, float], list[float]]:
    """Shares of left, right, tie and neither where neither has the score `third`."""

    def shares(left: float, right: float) -> list[float]:
        strengths = [math.exp(left), math.exp(right), 0.0, math.exp(third)]
        return [s / sum(strengths) for s in strengths]

    return shares


def _davidson(nu: float) -> Callable[[float, float], list[float]]:
    """Shares of left, right, tie and neither after Davidson (1970)."""

    def shares(left: float, right: float) -> list[float]:
        a, b = math.exp(left), math.exp(right)
        tie = nu * math.sqrt(a * b)
        return [a / (a + b + tie), b / (a + b + tie), tie / (a + b + tie), 0.0]

    return shares


def _neither() -> Numbers:
    thirds = np.linspace(-50.0, 5.0, 12)
    p = softmax(np.stack([np.full(12, 1.0), np.full(12, 0.4), thirds], axis=1))
    close("odds whatever the third score", p[:, 0] / p[:, 1], [math.exp(0.6)] * 12, rel=1e-14)
    close("neither at o = .7", softmax([1.0, 0.4, 0.7])[2], 0.323553703883359444, rel=1e-14)
    outside, tied = _fit(_outside(1.1)), _fit(_davidson(1.5))
    above_apples = float(outside.neither_ or 0.0) - outside.scores_[0]
    close("fitted score of neither above apples", above_apples, 1.1 - 1.0, rel=1e-7)
    close("fitted tie coefficient is log ν", tied.tie_, math.log(1.5), rel=1e-8)
    pair = [["apples", "oranges"]]
    neither, tie = outside.predict_proba(pair)[0], tied.predict_proba(pair)[0]
    close(
        "neither at o = 1.1",
        neither,
        [0.376792228128590831, 0.206787959186765581, 0.416419812684643588],
        rel=1e-8,
    )
    close(
        "tie after Davidson, ν = 1.5",
        tie,
        [0.375934342452121244, 0.206317141545080677, 0.417748516002798079],
        rel=1e-8,
    )
    third = 0.7 + math.log(1.5)  # mean score of the pair + log ν
    close("a tie is softmax with that third score", tie, softmax([1.0, 0.4, third]), rel=1e-8)
    below("neither beats both", neither[0], neither[2])
    unequal = _davidson(1.0)(3.0, -1.0)[2]
    close("tie of unequal items", unequal, softmax([3.0, -1.0, 1.0])[2], rel=1e-14)
    return {
        "odds apples : oranges": math.exp(0.6),
        "apples, oranges, neither at o = .7": softmax([1.0, 0.4, 0.7]).tolist(),
        "apples, oranges, neither at o = 1.1": neither.tolist(),
        "apples, oranges, tie (Davidson, ν = 1.5)": tie.tolist(),
        "scores 3 and -1: tie (ν = 1), neither (o = .7)": [
            unequal,
            float(softmax([3.0, -1.0, 0.7])[2]),
        ],
    }


def _forum() -> Numbers:
    duel = BradleyTerry().fit([["a", "b"]], [[expit(0.6), expit(-0.6)]])
    p = float(duel.predict_proba([["a", "b"]])[0, list(duel.outcomes_).index("left")])
    three = list(itertools.product((p, 1 - p), repeat=3))
    best_of_three = math.fsum(math.prod(g) for g in three if g.count(p) >= 2)
    some_loss = math.fsum(math.prod(g) for g in three if g.count(p) < 3)
    close("weaker item wins at least once", some_loss, 0.730843921846781395, rel=1e-9)
    close("best of three", best_of_three, 0.712304041000977246, rel=1e-9)
    scores = (1.0, 0.7, 0.4)
    pairs = list(itertools.combinations(range(3), 2))
    shares = [[expit(scores[i] - scores[j]), expit(scores[j] - scores[i])] for i, j in pairs]
    win = BradleyTerry().fit(np.array(pairs), shares).win_matrix()
    sweeps = 0.0
    for winners in itertools.product(*pairs):
        chances = [win[w, i + j - w] for w, (i, j) in zip(winners, pairs, strict=True)]
        sweeps += math.prod(chances) if winners.count(0) == 2 else 0.0
    close("best of three items wins twice", sweeps, 0.370892433543665148, rel=1e-8)
    return {
        "scores 1 and .4: p of the better": p,
        "the weaker wins at least one of 3": some_loss,
        "the better wins the best of 3": best_of_three,
        "scores 1, .7, .4: the best wins both its comparisons": sweeps,
    }


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="S55",
        topic="preferences",
        statement=(
            "With two scores, softmax meets the requirements on a model of preferences: a larger "
            "score makes its item likelier, and the item of largest score is the likeliest."
        ),
        source="exercise 4.1; forum",
        verdict=Verdict.TRUE,
        answer=(
            "Proof of the first: p_i = e^(o_i) / Σ e^(o_k) has the derivatives ∂p_i/∂o_i = p_i (1 "
            "- p_i) > 0 and ∂p_j/∂o_i = -p_i p_j < 0 for j ≠ i. So raising one score raises its "
            "own probability and lowers every other.\n\n"
            "Proof of the second: p_i / p_j = e^(o_i - o_j) is above 1 exactly when o_i > o_j, so "
            "probabilities are in the order of the scores, and equal scores give equal "
            "probabilities.\n\n"
            "For two items softmax is the logistic function of the difference: p_1 = 1 / (1 + "
            "e^(-(o_1 - o_2))). That is the Bradley-Terry model. Only differences matter, so one "
            "score may be fixed at 0. With apples at 1 and oranges at .4, apples are chosen with "
            "probability .6457. Nothing here depends on there being just two items."
        ),
        check=_softmax_fits,
        proof=_identities.shares_of_scores,
    ),
    Claim(
        id="S56",
        topic="preferences",
        statement="What changes if the user may also choose neither apples nor oranges?",
        source="exercise 4.2",
        verdict=Verdict.EXERCISE,
        answer=(
            'Give "neither" a score o_0 of its own and take the softmax of three: p_neither = '
            "e^(o_0) / (e^(o_0) + e^(o_1) + e^(o_2)).\n\n"
            "The odds of apples to oranges stay e^(o_1 - o_2), whatever o_0 is; this is called "
            "independence of irrelevant alternatives. So the fruit of larger score is still the "
            "likelier fruit. But it need not reach 1/2, and it need not be the likeliest answer: "
            'with scores 1, .4 and o_0 = .7 apples have .437; with o_0 = 1.1 "neither" comes '
            "first with .416. The requirement of the exercise then holds for the three scores "
            "together. Only differences of scores are determined, as before.\n\n"
            'A *tie* ("both equally") is something else. In Davidson\'s model of ties it has the '
            "weight ν √(e^(o_1) e^(o_2)), which is a softmax with the third score (o_1 + o_2)/2 + "
            'log ν: it moves with the pair, so ties are likeliest between equals. "Neither" has '
            "one o_0 for all pairs: it is likeliest where both items are poor. Data that have both "
            "outcomes need both parameters. (Another model of ties, by Rao and Kupper, changes the "
            "odds of the two items and is no softmax of this form.)\n\n"
            "R. R. Davidson, On Extending the Bradley-Terry Model to Accommodate Ties, JASA 65, "
            "1970, doi:10.1080/01621459.1970.10481082."
        ),
        check=_neither,
        proof=_identities.odds_without_the_third,
    ),
    Claim(
        id="S57",
        topic="preferences",
        statement=(
            "Two answers to the exercise: two classes, so softmax fits; and: whoever has the "
            "higher score is chosen, after three comparisons I take the class of highest score."
        ),
        source="forum, on exercise 4",
        verdict=Verdict.FALSE,
        answer=(
            "The first answer is right, but gives no proof; S55 has one. The second is wrong about "
            'the model and does not answer the question about "neither" (S56).\n\n'
            "In the Bradley-Terry model a higher score makes winning *likelier*; it does not make "
            "it certain. With scores 1 and .4 the better item wins one comparison with probability "
            "p = 1/(1 + e^(-.6)) = .6457. In three comparisons of the same pair the weaker one "
            "wins at least once with probability 1 - p³ = .731, and the better one wins two or "
            "more with 3p²(1 - p) + p³ = .712. With three items at 1, .7 and .4, each pair "
            "compared once, the best item wins both its comparisons with probability .371 only. "
            "This is why scores are estimated from many comparisons, with standard errors."
        ),
        correction=(
            "The item of higher score is chosen with probability 1/(1 + e^(-difference)), which is "
            "above 1/2 and below 1; a few comparisons can well favour the other."
        ),
        check=_forum,
    ),
)
