"""A certificate in sentences for a reader who does not know optimisation."""

import math
from dataclasses import dataclass
from typing import Literal

from crossent.certificate import Certificate, Status

__all__ = ["Verdict", "certificate_in_words", "verdict"]


@dataclass(frozen=True)
class Verdict:
    """The shortest true statement about a fit.

    Attributes
    ----------
    badge : str
        Two or three words.
    tone : {"good", "warning", "neutral"}
    sentence : str
    """

    badge: str
    tone: Literal["good", "warning", "neutral"]
    sentence: str


_WHAT_TO_DO = {
    Status.CONVERGED: "Nothing needs to be done.",
    Status.STATIONARY: (
        "Nothing needs to be done. For a proof of how close the optimum is, fit with a finite `C`."
    ),
}


def verdict(certificate: Certificate | None, /) -> Verdict:
    """Badge and sentence for a fit; None stands for a model that has no certificate.

    Examples
    --------
    >>> verdict(None).badge
    'no certificate'
    """
    if certificate is None:
        return Verdict(
            "no certificate",
            "neutral",
            "This model does not say how close its coefficients are to the optimum.",
        )
    if certificate.status is Status.CONVERGED:
        return Verdict(
            "certified",
            "good",
            f"The objective is proven to be within a factor 1 + {_short(certificate.relative_gap)} "
            "of the best that is possible.",
        )
    if certificate.status is Status.STATIONARY:
        return Verdict(
            "stationary",
            "good",
            "The gradient vanishes to within the tolerance. Without a penalty there is no proof of "
            "how close the optimum is.",
        )
    if certificate.status is Status.LOCAL_OPTIMUM:
        return Verdict("local optimum", "neutral", certificate.status.value)
    return Verdict("not converged", "warning", certificate.status.value)


def certificate_in_words(certificate: Certificate, /) -> tuple[str, ...]:
    """Plain sentences: what was reached, what is proven, what it means, what to do.

    A stationary certificate (no penalty) or a local one is never called a gap, and the Newton
    decrement is always called an estimate.

    Parameters
    ----------
    certificate : Certificate

    Returns
    -------
    tuple of str
        Three to five sentences or short groups of sentences, the last being what to do.

    Examples
    --------
    >>> from textwrap import fill
    >>> from crossent import Certificate, Status
    >>> for sentence in certificate_in_words(
    ...     Certificate("gap", 0.25, 2e-8, 8e-8, 1e-6, status=Status.CONVERGED)
    ... ):
    ...     print(fill(sentence, 88))
    The objective is 0.25 nats: the mean cross-entropy on the training rows plus the penalty
    on the weights.
    It is proven that no coefficients bring the objective below it by more than 2e-8 nats
    (the duality gap), a share of at most 8e-8 of the best possible objective.
    For the training rows this means: the mean Kullback-Leibler divergence from the
    optimum's probabilities to these is at most 2e-8 nats (2.9e-8 bits). On average over the
    rows, no probability, of a class or of a group of classes, is off by more than 0.0001.
    The certified relative gap is below the tolerance. Nothing needs to be done.
    """
    body = _proof(certificate) if certificate.kind == "gap" else _evidence(certificate)
    advice = _WHAT_TO_DO.get(certificate.status)
    ending = certificate.status.value if advice is None else f"{certificate.status.value} {advice}"
    return (_objective(certificate), *body, *_estimate(certificate), ending)


def _objective(certificate: Certificate) -> str:
    """What was minimised, and the value reached."""
    what = {
        "gap": "plus the penalty on the weights",
        "stationary": "without any penalty",
        "local": "plus the penalty, if any, on the parameters of the linear map",
    }[certificate.kind]
    return (
        f"The objective is {certificate.objective:.7g} nats: the mean cross-entropy on the "
        f"training rows {what}."
    )


def _proof(certificate: Certificate) -> tuple[str, ...]:
    """What the duality gap bounds."""
    gap = certificate.gap
    if not math.isfinite(gap):
        return ("No bound on the distance to the optimum was obtained before the fit ended.",)
    relative = (
        f", a share of at most {_short(certificate.relative_gap)} of the best possible objective"
        if math.isfinite(certificate.relative_gap)
        else ""
    )
    return (
        f"It is proven that no coefficients bring the objective below it by more than "
        f"{_short(gap)} nats (the duality gap){relative}.",
        "For the training rows this means: the mean Kullback-Leibler divergence from the optimum's "
        f"probabilities to these is at most {_short(gap)} nats ({_short(gap / math.log(2))} bits). "
        + _largest_change(certificate),
    )


def _largest_change(certificate: Certificate) -> str:
    """The bound on probabilities; it says nothing where the bound is 1 or more."""
    bound = certificate.mean_total_variation_bound
    if bound >= 1:
        return "That is too large to say anything about single probabilities."
    return (
        "On average over the rows, no probability, of a class or of a group of classes, is off by "
        f"more than {_short(bound)}."
    )


def _evidence(certificate: Certificate) -> tuple[str, ...]:
    """What is known without a proof, and why there is none."""
    reason = "Without a penalty"
    if certificate.kind == "local":
        reason = "Since the problem is not convex with this linear map,"
    return (
        f"{reason} nothing can be proven about the distance to the optimum. What is known: "
        f"the gradient, which is zero at an optimum, has norm {_short(certificate.gradient_norm)}.",
    )


def _estimate(certificate: Certificate) -> tuple[str, ...]:
    """The Newton decrement, if there is one."""
    if not math.isfinite(certificate.decrement):
        return ()
    return (
        "The solver's own estimate of what is left to gain is "
        f"{_short(certificate.decrement)} nats (half the squared Newton decrement). "
        "This is an estimate, not a bound.",
    )


def _short(value: float) -> str:
    """Two significant digits: 3e-8, not 3e-08."""
    return f"{value:.2g}".replace("e-0", "e-")
