"""The certificate in words: the right numbers, the right claims, and no more than is known."""

import math

import pytest

from crossent.certificate import Certificate, Status
from crossent.inspection import certificate_in_words, verdict

GAP = Certificate("gap", 0.2321177, 4e-8, 1.7e-7, 1e-5, decrement=3e-9, status=Status.CONVERGED)
STATIONARY = Certificate(
    "stationary", 0.1, math.nan, math.nan, 2.5e-9, decrement=1e-12, status=Status.STATIONARY
)


def test_a_gap_is_explained_with_what_it_bounds():
    text = " ".join(certificate_in_words(GAP))

    assert "objective is 0.2321177 nats" in text
    assert "by more than 4e-8 nats (the duality gap)" in text
    assert "at most 1.7e-7 of the best" in text
    # 4e-8 / log 2 = 5.77e-8 bits; sqrt(4e-8 / 2) = 1.41e-4.
    assert "at most 4e-8 nats (5.8e-8 bits)" in text
    assert "off by more than 0.00014" in text
    assert Status.CONVERGED.value in text


def test_without_a_penalty_nothing_is_called_a_gap_or_a_proof():
    text = " ".join(certificate_in_words(STATIONARY))

    assert "gap" not in text.lower()
    assert "proven that" not in text
    assert "nothing can be proven" in text
    assert "norm 2.5e-9" in text
    assert "proven" not in verdict(STATIONARY).sentence
    assert "no proof" in verdict(STATIONARY).sentence


@pytest.mark.parametrize("certificate", [GAP, STATIONARY])
def test_the_newton_decrement_is_always_called_an_estimate(certificate):
    (sentence,) = [s for s in certificate_in_words(certificate) if "decrement" in s]

    assert "estimate, not a bound" in sentence
    assert f"{certificate.decrement:.0e}".replace("e-0", "e-") in sentence


def test_a_decrement_that_is_not_known_is_not_mentioned():
    certificate = Certificate("gap", 0.5, 1e-8, 2e-8, 1e-5, status=Status.CONVERGED)

    assert not any("decrement" in sentence for sentence in certificate_in_words(certificate))


@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_said_in_its_own_sentence_and_only_two_are_good(status):
    certificate = Certificate("gap", 0.5, 1e-2, 2e-2, 1e-2, status=status)

    assert status.value in certificate_in_words(certificate)[-1]
    converged = status in (Status.CONVERGED, Status.STATIONARY)
    assert (verdict(certificate).tone == "good") == converged
    local = status is Status.LOCAL_OPTIMUM  # neither a failure nor a proof
    assert (verdict(certificate).badge == "not converged") == (not converged and not local)
    assert (verdict(certificate).tone == "neutral") == local


def test_a_bound_that_says_nothing_is_not_presented_as_one():
    loose = Certificate("gap", 5.0, 4.0, 4.0, 1.0)
    unknown = Certificate("gap", 5.0, math.inf, math.inf, 1.0)
    impossible = Certificate("gap", 5.0, 6.0, math.inf, 1.0)

    assert "too large to say anything about single probabilities" in " ".join(
        certificate_in_words(loose)
    )
    assert "No bound" in " ".join(certificate_in_words(unknown))
    for certificate in (unknown, impossible):
        assert "inf" not in " ".join(certificate_in_words(certificate))


def test_a_model_without_a_certificate_is_said_to_have_none():
    assert verdict(None).badge == "no certificate"
    assert verdict(None).tone == "neutral"
