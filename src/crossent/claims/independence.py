"""Independent and identically distributed: what it says, and what can be seen of it."""

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy.integrate import quad
from scipy.special import ndtr

from crossent.claims import _proofs
from crossent.claims._expect import below, close, equal, zero
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import mutual_information, softmax, surprisal
from crossent.inspection import row_dependence

__all__ = ["CLAIMS"]

_P = np.array([0.5, 0.3, 0.2])
_ROWS = 3000
_GROUP = 10


def _independent(seed: int, rows: int = _ROWS) -> npt.NDArray[np.intp]:
    return np.random.default_rng(seed).choice(3, size=rows, p=_P)


def _drifting(seed: int) -> npt.NDArray[np.intp]:
    """Labels whose distribution moves in a straight line from (.5, .3, .2) to (.2, .3, .5)."""
    share = np.linspace(0.0, 1.0, _ROWS)[:, None]
    limits = ((1 - share) * _P + share * _P[::-1]).cumsum(axis=1)
    return np.asarray((np.random.default_rng(seed).random(_ROWS)[:, None] > limits).sum(axis=1))


def _grouped(seed: int, rows: int = _ROWS) -> npt.NDArray[np.intp]:
    """Each label ten times in a row: as if ten siblings had always the same answer."""
    return np.repeat(_independent(seed, rows // _GROUP), _GROUP)


def _dependence_is_looked_for() -> Numbers:
    cost = surprisal(_P)
    close("surprisals of the classes", cost, [-math.log(p) for p in _P], rel=1e-14)
    independent = row_dependence(cost[_independent(1)])
    drifting = row_dependence(cost[_drifting(1)])
    grouped = row_dependence(cost[_grouped(1)])
    equal("found among independent rows", independent.found, ())
    equal("found among drifting rows", drifting.found, ("trend",))
    equal("found among groups of ten", grouped.found, ("neighbours", "trend"))
    # Nine of ten neighbours are equal; of the correlation .9 the sample strays by 1/√300.
    close("correlation of neighbours in groups", grouped.autocorrelation, 0.9, abs=0.02)
    shuffled = np.random.default_rng(0).permutation(_ROWS)
    equal("found after shuffling", row_dependence(cost[_drifting(1)][shuffled]).found, ())
    names = ("independent", "drifting", "groups of ten")
    found = (independent, drifting, grouped)
    return {
        f"{name}: z of neighbours, z of trend": [
            round(rows.autocorrelation_z, 2),
            round(rows.trend_z, 2),
        ]
        for name, rows in zip(names, found, strict=True)
    }


def _noise_behind_the_softmax() -> Numbers:
    o = (1.0, 0.4)
    p = float(softmax(o)[0])
    # P(o_1 + e_1 > o_2 + e_2) for Gumbel noise: the density of the first times the distribution
    # function of the second, integrated. Beyond -10 and 60 less than 1e-25 is left out.
    gumbel, _ = quad(
        lambda t: math.exp(-(t - o[0]) - math.exp(o[0] - t) - math.exp(o[1] - t)),
        -10.0,
        60.0,
        points=[0.0, 2.0, 5.0],
        epsabs=1e-13,
        epsrel=1e-13,
    )
    close("softmax against Gumbel noise", p, gumbel, rel=1e-12)
    close("softmax against the sigmoid of .6", p, 1 / (1 + math.exp(-0.6)), rel=1e-15)
    probit = float(ndtr(0.6 / math.sqrt(2)))
    close("Gaussian noise gives", probit, 0.66431337972956371, rel=1e-14)  # mpmath
    below("which is more", p + 0.018, probit)
    return {
        "softmax(1, .4), class 1": p,
        "largest of o + Gumbel noise, class 1": gumbel,
        "largest of o + Gaussian noise, class 1": probit,
    }


def _price_of_dependence() -> Numbers:
    cost, rows, repetitions = surprisal(_P), 1000, 2000
    means = {
        name: np.array([cost[draw(seed, rows)].mean() for seed in range(repetitions)]).std()
        for name, draw in (("independent", _independent), ("grouped", _grouped))
    }
    variance = float(_P @ cost**2 - (_P @ cost) ** 2)
    # A standard deviation of 2000 repetitions strays by 1/√4000 = 1.6 %.
    close("independent rows", means["independent"], math.sqrt(variance / rows), rel=0.08)
    ratio = means["grouped"] / means["independent"]
    close("groups of ten widen it by √10", ratio, math.sqrt(_GROUP), rel=0.1)
    members = np.repeat(np.arange(rows // _GROUP), _GROUP)
    found = row_dependence(cost[_grouped(1, rows)], groups=members)
    equal("groups are found", "groups" in found.found, True)
    assumed = (found.standard_error, found.grouped_standard_error or 0.0)
    close("the standard error that counts groups", assumed[1], means["grouped"], rel=0.2)
    return {
        "spread of the mean surprisal, 1000 independent rows": float(means["independent"]),
        "spread for 100 groups of ten equal rows": float(means["grouped"]),
        "ratio, √10 = 3.162 expected": float(ratio),
        "one sample's standard error, rows counted and groups counted": list(assumed),
    }


def _selected_dice() -> Numbers:
    sums = [(i + j, i, j) for i in range(1, 7) for j in range(1, 7)]
    chosen = [(i, j) for total, i, j in sums if total > 8]
    six = Fraction(sum(i == 6 for i, _ in chosen), len(chosen))
    both = Fraction(chosen.count((6, 6)), len(chosen))
    equal("outcomes with a sum above 8", len(chosen), 10)
    equal("P(first is 6 | sum > 8)", six, Fraction(2, 5))
    equal("P(both are 6 | sum > 8)", both, Fraction(1, 10))
    table = np.zeros((6, 6))
    for i, j in chosen:
        table[i - 1, j - 1] = 1 / len(chosen)
    told = float(mutual_information(table))
    # H(first) + H(second) - H(both), each die having shares 1, 2, 3, 4 tenths on 3, 4, 5, 6.
    single = -sum(k / 10 * math.log(k / 10) for k in (1, 2, 3, 4))
    close("what one selected die tells", told, 2 * single - math.log(10), rel=1e-13)
    free = float(mutual_information(np.full((6, 6), 1 / 36)))
    zero("what one free die tells", free, abs=1e-15)
    return {
        "outcomes with sum > 8": len(chosen),
        "P(6), P(6 and 6) among them": [str(six), str(both)],
        "P(6)², if they were independent": str(six**2),
        "nats that one die tells about the other: all throws, selected": [round(free, 12), told],
    }


CLAIMS = (
    Claim(
        id="S4",
        topic="independence",
        statement=(
            "Are we sure about independence? And is the assumption about causes, or is it only "
            "another name for multiplying?"
        ),
        source="forum",
        verdict=Verdict.QUESTION,
        answer=(
            "We are not sure, and cannot be. That the likelihood is a product is an assumption "
            "about how the data were collected, not a theorem. It says two things: given the "
            "inputs, the labels do not depend on each other; and each label depends on its own "
            "input only. The first, demanded of all label values, *is* conditional independence, "
            'so there "rename" is fair. It says nothing about causes.\n\n'
            "It can be refuted, never proved. `crossent.inspection.row_dependence` looks at the "
            "surprisals -log p of the rows in the order of collection: are neighbouring rows "
            "alike, is there a trend, are rows of one group alike? Each answer is a number z of "
            "standard deviations of independent rows; above 4 counts as found. Independent rows "
            "pass. A "
            "slow drift shows as a trend and hardly between neighbours. Groups of ten equal rows "
            "show between neighbours with 49 standard deviations, and also raise a false trend, "
            "because 3000 such rows are worth 300. After shuffling the rows a drift is invisible: "
            "shuffle after looking, not before.\n\n"
            "If independence fails, the mean of -log p is still a sound thing to minimise, row by "
            "row. What becomes wrong are standard errors and tests that count rows."
        ),
        check=_dependence_is_looked_for,
    ),
    Claim(
        id="S5",
        topic="independence",
        statement="The independence comes from Gaussian noise being i.i.d.",
        source="forum",
        verdict=Verdict.FALSE,
        answer=(
            "There is no Gaussian noise in a softmax model. A label is *drawn*: class j with "
            "probability softmax(o)_j, where o are the logits of that row. That draws are "
            "independent given the inputs is right, but it is an assumption of its own (S4).\n\n"
            "Which noise gives which model? Gaussian noise on a measured number y gives the "
            "squared loss: -log of its density is (y - μ)²/(2σ²) plus a constant. Gaussian noise "
            "on the logits, then taking the largest, gives the probit model. Independent *Gumbel* "
            "noise (its values stay below t with probability exp(-e^-t)) on the logits, then "
            "taking the largest, gives exactly the softmax. For logits "
            "(1, .4): softmax .6457, Gumbel .6457, Gaussian .6643."
        ),
        correction=(
            "The labels are independent draws from softmax(o(x_i)), given the inputs. Independent "
            "Gumbel noise on the logits is the noise that leads there."
        ),
        check=_noise_behind_the_softmax,
        proof=_proofs.losses_of_two_noises,
    ),
    Claim(
        id="S6",
        topic="independence",
        statement=(
            "That samples have no memory is too abstract. And what are identical distributions: "
            "the students of one class?"
        ),
        source="forum",
        verdict=Verdict.QUESTION,
        answer=(
            "No memory: knowing all earlier rows does not change the odds of this one. For the "
            "likelihood only the labels matter: P(y_i | x_i, earlier rows) = P(y_i | x_i).\n\n"
            "Identically distributed: every row comes out of the same urn P(x, y). It does not say "
            "that rows look alike: throws of one die are identically distributed, and differ.\n\n"
            "Students of one class drawn at random from one school are identically distributed "
            "(same urn), yet not independent: they share a teacher, perhaps parents. And they are "
            "no sample of all students of the country, which is another urn.\n\n"
            "What dependence costs: the mean surprisal of 1000 independent rows varies by .0115 "
            "nats from sample to sample. With 100 groups of ten equal rows it varies √10 = 3.16 "
            "times as much. A standard error that divides by √1000 does not see this; one that "
            "counts groups does."
        ),
        check=_price_of_dependence,
    ),
    Claim(
        id="S7",
        topic="independence",
        statement=(
            "Two dice: if I want a sum above 8, the throws are no longer independent. What I want "
            "changes the dependence. Am I right?"
        ),
        source="forum",
        verdict=Verdict.TRUE_IF,
        answer=(
            "Wanting changes nothing; *selecting* does. The dice fall independently: one tells "
            "nothing about the other, P(6 and 6) = 1/36 = 1/6 · 1/6. Now keep only the throws with "
            "a sum above 8, ten of the 36 outcomes. Among these P(first is 6) = 4/10 = 2/5, but "
            "P(6 and 6) = 1/10, and not 2/5 · 2/5 = 4/25. In the *kept* throws the dice depend on "
            "each other, because a low first die is only kept beside a high second one.\n\n"
            "The same happens to a data set from which rows were removed by a rule that looks at "
            "several columns, or at the label: the rest shows dependences that the world does not "
            "have. It is called selection bias."
        ),
        correction=(
            "Conditioning on the sum makes the dice dependent among the throws that are kept; the "
            "throws themselves stay independent."
        ),
        check=_selected_dice,
    ),
)
