"""Exercise 7 and what the forum made of it: the temperature of a distribution."""

import math
from fractions import Fraction

import numpy as np

from crossent.claims import _identities
from crossent.claims._expect import below, close, equal
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import entropy, softmax, surprisal

__all__ = ["CLAIMS"]

_P = np.array([0.5, 0.3, 0.2, 0.0])
_LOG_P = -surprisal(_P)  # -inf for the class that cannot occur


def _double_and_halve() -> Numbers:
    doubled = softmax(_LOG_P, temperature=2.0)
    halved = softmax(_LOG_P, temperature=0.5)
    roots = [math.sqrt(p) for p in _P]
    squares = [Fraction(n, 38) for n in (25, 9, 4, 0)]
    close("P at twice the temperature", doubled, [r / sum(roots) for r in roots], rel=1e-14)
    close("P at half the temperature", halved, [float(f) for f in squares], rel=1e-14)
    again = softmax(-surprisal(doubled), temperature=2.0)
    close("twice doubled", again, softmax(_LOG_P, temperature=4.0), rel=1e-14)
    return {
        "P": _P.tolist(),
        "T = 2, exponent 1/2": doubled.tolist(),
        "T = 1/2, exponent 2": halved.tolist(),
    }


def _freeze() -> Numbers:
    tied = softmax(-surprisal([0.4, 0.4, 0.2]), temperature=1e-4)
    single = softmax(-surprisal([0.5, 0.3, 0.2]), temperature=1e-4)
    equal("two classes tied for the largest", tied.tolist(), [0.5, 0.5, 0.0])
    equal("one largest class", single.tolist(), [1.0, 0.0, 0.0])
    cool = softmax(-surprisal([0.5, 0.3, 0.2]), temperature=0.1)
    rest = [Fraction(n, 5**10 + 3**10 + 2**10) for n in (5**10, 3**10, 2**10)]
    close("exponent 10, as a fraction", cool, [float(f) for f in rest], rel=1e-13)
    return {
        "(.4, .4, .2) at T = 1/10000": tied.tolist(),
        "(.5, .3, .2) at T = 1/10000": single.tolist(),
        "(.5, .3, .2) at T = 1/10": cool.tolist(),
    }


def _heat() -> Numbers:
    hot = softmax(_LOG_P, temperature=1e6)
    # P^a = 1 + a log P + O(a²): shares differ from 1/3 by the fraction a·|log P - mean| < 5e-7.
    close("three classes can occur", hot[:3], [1 / 3] * 3, rel=5e-7)
    below("the order is kept: second below first", hot[1], hot[0])
    below("third below second", hot[2], hot[1])
    equal("the class of probability 0", float(hot[3]), 0.0)
    powers = _P[:3] ** 1e-6
    close("powers written out", hot[:3], powers / powers.sum(), rel=1e-14)
    return {"P": _P.tolist(), "T = 1000000": hot.tolist()}


def _energies() -> Numbers:
    energies = np.array([1.0, 2.0, 2.0])
    temperatures = (1.0, 0.1, 0.01, 0.001)
    rows = [softmax(-energies, temperature=T) for T in temperatures]
    for T, row in zip(temperatures, rows, strict=True):
        close(f"sum at T = {T:g}", float(row.sum()), 1.0, rel=1e-15)
        close(f"lowest energy at T = {T:g}", row[0], 1 / (1 + 2 * math.exp(-1 / T)), rel=1e-14)
        equal(f"tied energies at T = {T:g}", float(row[1]), float(row[2]))
    factors = [math.exp(-1.0 / T) for T in temperatures]
    equal("the factor without its normaliser does vanish", factors[-1], 0.0)
    return {
        "temperature": list(temperatures),
        "p of energy 1": [float(row[0]) for row in rows],
        "p of each energy 2": [float(row[1]) for row in rows],
        "exp(-E/T) of energy 1, not normalised": factors,
    }


def _convention() -> Numbers:
    log_p = -surprisal([0.5, 0.3, 0.2])
    cool, warm, hot = (float(entropy(softmax(log_p, temperature=T))) for T in (0.5, 1.0, 2.0))
    close("entropy at T = 1/2", cool, 0.85358367914189746, rel=1e-14)
    close("entropy at T = 1", warm, 1.02965301406457353, rel=1e-14)
    close("entropy at T = 2", hot, 1.08097364354702245, rel=1e-14)
    below("entropy rises towards log 3", hot, math.log(3))
    one = softmax(log_p, temperature=2.0)
    close("T = 2 is inverse temperature 1/2", one, softmax(log_p * 0.5), rel=1e-15)
    return {
        "entropy at T = 1/2, 1, 2, nats": [cool, warm, hot],
        "its limit log 3": math.log(3),
    }


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="S58",
        topic="temperature",
        statement=(
            "Take a distribution P and let Q(i) be proportional to P(i)^α. Which α doubles the "
            "temperature, and which halves it?"
        ),
        source="exercise 7.1; forum",
        verdict=Verdict.EXERCISE,
        answer=(
            "Doubling is α = 1/2, halving is α = 2; in general α = 1/T.\n\n"
            "Write P = softmax(z). A temperature T means softmax(z / T). Up to a constant z is log "
            "P, and softmax ignores constants, so Q = softmax(log P / T), which is exp(log P / T) "
            "= P^(1/T) divided by its sum. T counts relative to the temperature at which P itself "
            "was taken.\n\n"
            "With P = (.5, .3, .2, 0): at T = 2 the square roots of the probabilities are divided "
            "by their sum, which evens them out; at T = 1/2 it is the squares, (25, 9, 4, 0)/38, "
            "which sharpens them. A class of probability 0 stays at 0. Doubling twice is T = 4. "
            "Compute it from logarithms: there the power is a product and cannot underflow."
        ),
        check=_double_and_halve,
        proof=_identities.powers_of_probabilities,
    ),
    Claim(
        id="S59",
        topic="temperature",
        statement="What happens to Q, proportional to P^(1/T), when the temperature T goes to 0?",
        source="exercise 7.2",
        verdict=Verdict.EXERCISE,
        answer=(
            "All the mass goes to the most probable class; if several are tied for the first "
            "place, they share it in equal parts.\n\n"
            "Proof: the ratio of a class i to a most probable class m is (P(i)/P(m))^(1/T). Where "
            "P(i) < P(m), this is a number below 1 raised to a power that grows without bound, so "
            "it goes to 0; where P(i) = P(m) it is 1 at every T. So with k tied classes each gets "
            "1/k.\n\n"
            "That is why a low temperature is called greedy: drawing from Q becomes taking the "
            "argmax. In floating point P^(1/T) underflows for every class at once and the quotient "
            "would be 0/0; softmax(log P / T) subtracts the maximum first and gives the limit."
        ),
        check=_freeze,
        proof=_identities.limits_of_the_temperature,
    ),
    Claim(
        id="S60",
        topic="temperature",
        statement="What happens to Q, proportional to P^(1/T), when T goes to infinity?",
        source="exercise 7.3; forum",
        verdict=Verdict.EXERCISE,
        answer=(
            "Q becomes uniform over the classes that P allows at all. If k classes have P(i) > 0, "
            "each of them tends to 1/k; a class with P(i) = 0 keeps probability 0, because 0^(1/T) "
            "= 0 for every finite T.\n\n"
            "Proof: with α = 1/T going to 0, P(i)^α = exp(α log P(i)) goes to 1 for every P(i) > "
            "0. The forum's answer, that all classes become equally likely, is right when no class "
            "has probability 0. A softmax of finite logits is always in that case; logits of -inf, "
            "which exclude a class, are not."
        ),
        check=_heat,
        proof=_identities.limits_of_the_temperature,
    ),
    Claim(
        id="S61",
        topic="temperature",
        statement="When the temperature goes to 0, every probability goes to 0.",
        source="forum, on exercise 7.2",
        verdict=Verdict.FALSE,
        answer=(
            "Probabilities sum to 1 at every temperature, so they cannot all vanish. What does go "
            "to 0, for energies E > 0, is the Boltzmann factor exp(-E/T), before it is divided by "
            "the sum of all factors. After the division only the *ratios* count: p_i / p_j = "
            "exp(-(E_i - E_j)/T). It goes to 0 if E_i is the higher energy, to infinity if it is "
            "the lower one, and is 1 at every T if both are equal.\n\n"
            "With energies (1, 2, 2) the probability of the lowest energy *rises* to 1 as T falls: "
            ".576, .99991, 1, 1 at T = 1, .1, .01, .001."
        ),
        correction=(
            "As T goes to 0, the probability of every state above the lowest energy goes to 0, and "
            "the states of lowest energy share the mass in equal parts."
        ),
        check=_energies,
    ),
    Claim(
        id="S62",
        topic="temperature",
        statement=(
            "What can one read on the last exercise, and what has softmax to do with statistical "
            "physics?"
        ),
        source="forum; chapter, section Summary and Discussion",
        verdict=Verdict.QUESTION,
        answer=(
            "In physics a system in contact with a heat bath of temperature T is in state i with "
            "probability exp(-E_i / kT) / Z, the Boltzmann or Gibbs distribution. That is "
            "softmax(-E / kT): energies are negative logits, and log Z is the log-partition.\n\n"
            "To read: D. J. C. MacKay, Information Theory, Inference, and Learning Algorithms, "
            "Cambridge 2003, chapters 2 and 31; T. M. Cover, J. A. Thomas, Elements of Information "
            "Theory, 2nd edition, Wiley 2006, doi:10.1002/047174882X, chapters 2 and 12; C. Guo, "
            "G. Pleiss, Y. Sun, K. Q. Weinberger, On Calibration of Modern Neural Networks, ICML "
            "2017, arXiv:1706.04599, for temperature as a means of calibration.\n\n"
            "Mind the convention: here temperature *divides* the logits, softmax(z / T), so high "
            "means even and entropy rises with T. Some texts multiply by it; that number is the "
            "inverse temperature 1/T."
        ),
        check=_convention,
    ),
)
