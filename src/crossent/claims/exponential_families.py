"""Where "prediction minus observation" comes from: exponential families."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import quad

from crossent.claims import _proofs
from crossent.claims._expect import below, close
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.functional import logsumexp, softmax, softmax_cross_entropy_gradient

__all__ = ["CLAIMS"]

_H = 1e-6  # central differences of values of size 1: 1e-10 from rounding, 1e-12 from the formula


@dataclass(frozen=True)
class _Family:
    """A family at one natural parameter η; its loss is A(η) - y η plus a term without η.

    Attributes
    ----------
    eta, y : float
        Where the gradient is looked at.
    log_normaliser : callable
        A(η).
    mean : float
        E[y] at `eta`, from the definition: a sum or an integral over all y.
    """

    eta: float
    y: float
    log_normaliser: Callable[[float], float]
    mean: float

    def slope(self) -> float:
        """Derivative of the loss by η, by central differences."""

        def loss(eta: float) -> float:
            return self.log_normaliser(eta) - self.y * eta

        return (loss(self.eta + _H) - loss(self.eta - _H)) / (2 * _H)


def _families() -> dict[str, _Family]:
    heads = math.exp(0.7) / (1 + math.exp(0.7))
    poisson = sum(
        k * math.exp(0.7 * k - math.exp(0.7)) / math.factorial(k) for k in range(60)
    )  # terms beyond 60 are below 1e-60
    gaussian, _ = quad(
        lambda y: y * math.exp(-((y - 0.7) ** 2) / 2) / math.sqrt(2 * math.pi), -20, 20
    )
    waiting, _ = quad(lambda t: t * 0.5 * math.exp(-0.5 * t), 0, 200, epsabs=1e-12, limit=200)
    return {
        "Bernoulli": _Family(0.7, 1.0, lambda eta: float(logsumexp([0.0, eta])), heads),
        "Poisson": _Family(0.7, 3.0, math.exp, poisson),
        "Gaussian, variance 1": _Family(0.7, 2.0, lambda eta: eta**2 / 2, gaussian),
        "exponential, rate .5": _Family(-0.5, 3.0, lambda eta: -math.log(-eta), waiting),
    }


def _table() -> Numbers:
    shown: dict[str, list[float]] = {}
    for name, family in _families().items():
        slope = family.slope()
        close(f"{name}: slope of the loss", slope, family.mean - family.y, abs=1e-8)
        shown[f"{name}: η, y, mean, slope of the loss"] = [
            family.eta,
            family.y,
            round(family.mean, 7),
            round(slope, 7),
        ]
    o, y = np.array([1.0, 2.0, 3.0]), 2
    gradient = softmax_cross_entropy_gradient(o, y)
    slopes = [
        float(logsumexp(o + d) - logsumexp(o - d)) / (2 * _H) - float(k == y)
        for k, d in enumerate(_H * np.eye(3))
    ]
    close("categorical: slope of the loss", gradient, slopes, abs=1e-8)
    means = [math.exp(v) / sum(math.exp(u) for u in (1, 2, 3)) for v in (1, 2, 3)]
    close("categorical: means", softmax(o), means, rel=1e-14)
    coin = softmax_cross_entropy_gradient([0.0, 0.7], 1)[1]
    close("a Bernoulli is a softmax of (0, η)", coin, _families()["Bernoulli"].slope(), abs=1e-8)
    poisson = _families()["Poisson"]
    mu = poisson.mean
    direct = (3 * math.log(mu + _H) - mu - _H - 3 * math.log(mu - _H) + mu - _H) / (2 * _H)
    close("Poisson, slope of log-likelihood by its mean", direct, 3 / mu - 1, abs=1e-8)
    below("which is not y - ŷ: less by", direct + 0.4, 3 - mu)
    return shown | {
        "categorical: o, means": [o.tolist(), softmax(o).round(7).tolist()],
        "categorical: slopes, class 3": gradient.round(7).tolist(),
        "Poisson, y = 3, mean 2.0138: y - mean": round(3 - mu, 7),
        "Poisson by the mean instead of η: y/mean - 1": round(direct, 7),
    }


CLAIMS = (
    Claim(
        id="S24",
        topic="gradient",
        statement=(
            "In any exponential family the gradient of the log-likelihood is precisely the "
            "difference of observation and estimate. A forum objection: for a Poisson "
            "distribution ŷ - y would then be an integer."
        ),
        source="chapter, section Softmax and Cross-Entropy Loss; forum",
        verdict=Verdict.TRUE_IF,
        answer=(
            "An exponential family is a set of distributions whose probability of y has the form "
            "exp(y η - A(η)) times something without η. η is the natural parameter. The loss, "
            "-log of it, is A(η) - y η plus a constant, so its derivative is A'(η) - y; and A'(η) "
            "is always the mean of y. (Probabilities sum to 1 for every η; so the derivative of "
            "that sum, Σ (y - A'(η)) P(y), is 0, and Σ y P(y) = A'(η).) Hence *mean minus "
            "observation*, for every family:\n\n"
            "    family               natural parameter η    A(η)          mean A'(η)\n"
            "    Bernoulli            log(p/(1 - p))         log(1 + e^η)  1/(1 + e^-η)\n"
            "    categorical          logits o               log Σ e^o     softmax(o)\n"
            "    Poisson              log of the mean        e^η           e^η\n"
            "    Gaussian, variance 1 the mean               η²/2          η\n"
            "    exponential          -rate                  -log(-η)      -1/η\n\n"
            "The objection is mistaken: y is an integer, but ŷ is the *mean*, e^η, and that is any "
            "positive number. With η = .7 the mean is 2.014; if y = 3 is observed, y - ŷ = "
            ".986.\n\n"
            "The conditions: the derivative is by the natural parameter (for a Poisson by its "
            "mean it is y/μ - 1 = .490 instead), the family has no further scale factor, and y - ŷ "
            "is the gradient of the log-likelihood, ŷ - y that of the loss."
        ),
        correction=(
            "The gradient of the log-likelihood by the natural parameter is y minus the mean of y "
            "under the model, a real number."
        ),
        check=_table,
        proof=_proofs.exponential_families,
    ),
)
