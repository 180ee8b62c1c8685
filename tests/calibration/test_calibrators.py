"""Bias, vector and matrix scaling: other optimisers, the guarantee, and classes without rows."""

import math

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given as drawn_by
from hypothesis import settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp, softmax

from crossent import SoftmaxRegression
from crossent.calibration import calibrate, split_log_loss
from crossent.errors import InputError

METHODS = ("temperature", "bias-corrected", "vector", "matrix")


def centred(z):
    return z - z.mean(axis=1, keepdims=True)


def mean_loss(logits, y):
    return np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(y)), y])


def unit_of(found, z):
    """What z is multiplied by before it meets the ridge."""
    rms = np.sqrt(np.mean(centred(z) ** 2))
    return max(found.temperature.inverse_temperature, 1 / rms)


@pytest.mark.parametrize("method", ["bias-corrected", "vector"])
def test_another_optimiser_finds_the_same_slopes_and_biases(drawn, method):
    z, _, y = drawn(n=200)
    z[:, 1] += 1  # so that there is a bias to find
    C = 0.3

    found = calibrate(z, y, given="logits", method=method, C=C)

    u, q = unit_of(found, z) * centred(z), z.shape[1]
    start = found.temperature.inverse_temperature / unit_of(found, z)

    def objective(w):
        return mean_loss(u * (start + w[q:]) + w[:q], y) + (w @ w) / (2 * C * len(y))

    size = q + (q if method == "vector" else 1)
    options = {"gtol": 1e-8}
    best = scipy.optimize.minimize(objective, np.zeros(size), jac="3-point", options=options)
    # Our relative gap of 1e-10 bounds the distance by √(2·1e-10·C n) = 1e-4; Newton's last step
    # brings it far below. SciPy's gradient is a difference, good to 1e-8, over a curvature of 0.01.
    slope = unit_of(found, z) * (start + best.x[q:])
    assert found.slope == pytest.approx(np.broadcast_to(slope, q), abs=1e-5)
    assert found.bias == pytest.approx(best.x[:q], abs=1e-5)
    assert found.mixing is None
    assert np.ptp(found.bias) > 0.3


def test_the_matrix_is_softmax_regression_on_the_logits(drawn):
    z, _, y = drawn(n=300)
    z = z @ np.random.default_rng(2).normal(size=(4, 4))  # mixed up: a matrix helps
    C = 0.5

    vector = calibrate(z, y, given="logits", method="vector", C=C)
    found = calibrate(z, y, given="logits", method="matrix", C=C)

    unit = unit_of(found, z)
    X = np.column_stack([unit * centred(z) / 2, np.ones(300)])  # √q = 2
    model = SoftmaxRegression(C=C, fit_intercept=False, tol=1e-9)
    model.fit(X, y, offset=vector.slope * centred(z) + vector.bias)
    # A relative gap of 1e-6 leaves coefficients that differ by √(2 gap C n) ≈ 0.01 at most.
    assert found.mixing == pytest.approx(model.coef_[:, :4] * unit / 2, abs=0.01)
    assert found.bias == pytest.approx(vector.bias + model.coef_[:, 4], abs=0.01)
    assert np.abs(found.mixing).max() > 0.1
    logits = z_logits(found, z)
    assert found.log_loss_after == pytest.approx(mean_loss(logits, y), rel=1e-12)
    assert found.log_loss_after < vector.log_loss_after < vector.log_loss_before


def z_logits(found, z):
    """ζ by its definition."""
    logits = found.slope * centred(z) + found.bias
    return logits if found.mixing is None else logits + centred(z) @ found.mixing.T


@pytest.mark.parametrize("method", METHODS)
def test_the_map_is_what_its_numbers_say(drawn, method):
    z, _, y = drawn(n=200, q=3)
    z = z @ [[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.3, 0.0, 2.0]]
    found = calibrate(z, y, given="logits", method=method, C=1.0)
    new = np.random.default_rng(9).normal(size=(5, 3))

    expected = log_softmax(z_logits(found, new), axis=1)

    assert found.log_probabilities(new) == pytest.approx(expected, rel=1e-12, abs=1e-14)
    assert found.probabilities(new) == pytest.approx(np.exp(expected), rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_logits_and_probabilities_of_one_model_give_one_map(drawn, method):
    z, _, y = drawn(n=150, q=3)
    p = softmax(z, axis=1)

    from_logits = calibrate(z + 7.0, y, given="logits", method=method, C=0.1)
    from_p = calibrate(p, y, given="probabilities", method=method, C=0.1)

    assert from_p.probabilities(p) == pytest.approx(from_logits.probabilities(z), rel=1e-6)


@drawn_by(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(2, 5), st.floats(-2, 2))
@settings(max_examples=40, deadline=None)
@pytest.mark.filterwarnings("ignore::crossent.calibration.CalibrationWarning")
def test_no_method_has_a_larger_loss_than_none_on_its_own_rows(seed, n, q, size):
    rng = np.random.default_rng(seed)
    z = 10**size * rng.standard_t(2, size=(n, q))
    y = rng.integers(q, size=n)
    found = [calibrate(z, y, given="logits", method=m, C=1.0) for m in METHODS]
    losses = [one.log_loss_after for one in found]

    # The definition subtracts numbers of the size of the logits.
    before = pytest.approx(mean_loss(z, y), rel=1e-12, abs=1e-15 * np.abs(z).max())
    assert found[0].log_loss_before == before
    assert losses[0] <= found[0].log_loss_before
    assert losses[3] <= losses[2] <= losses[0]
    assert losses[1] <= losses[0]


def test_weights_are_repeated_rows_for_every_method(drawn):
    z, _, y = drawn(n=80, q=3)
    z[:, 0] += 1
    weight = 1 + np.arange(80) % 3
    for method in METHODS:
        weighted = calibrate(z, y, given="logits", method=method, sample_weight=weight, C=0.2)
        repeated = calibrate(
            np.repeat(z, weight, 0), np.repeat(y, weight), given="logits", method=method, C=0.2
        )
        assert weighted.probabilities(z) == pytest.approx(repeated.probabilities(z), rel=1e-5)


def test_soft_targets_are_labels_in_proportion(drawn):
    z, p, _ = drawn(n=60, q=3)
    for method in METHODS:
        soft = calibrate(z, p, given="logits", method=method, C=0.2)
        hard = calibrate(
            np.repeat(z, 3, 0),
            np.tile(np.arange(3), 60),
            given="logits",
            method=method,
            sample_weight=p.ravel(),
            C=0.2,
        )
        assert soft.probabilities(z) == pytest.approx(hard.probabilities(z), rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_class_without_rows_keeps_a_finite_logit(drawn, method):
    z, _, y = drawn(n=300, q=4)
    seen = y != 2

    found = calibrate(z[seen], y[seen], given="logits", method=method, C=1.0)

    assert np.isfinite(found.bias).all()
    p = found.probabilities(z)[:, 2]
    assert p.min() > 0
    if method != "temperature":
        assert p[seen].mean() < softmax(z / 2.5, axis=1)[seen, 2].mean() / 2  # it learned that


def test_the_strength_is_chosen_by_held_out_loss(drawn):
    z, _, y = drawn(n=1500, q=3)

    right_already = calibrate(z / 2.5, y, given="logits", method="matrix")
    stretched = centred(z) * [1, 4, 0.3]
    to_mend = calibrate(stretched[:1000], y[:1000], given="logits", method="vector")

    assert max(right_already.strengths) <= 0.01  # nothing is to be learned
    assert to_mend.strengths[0] >= 0.1
    rest = stretched[1000:]
    surprise = -to_mend.log_probabilities(rest)[np.arange(500), y[1000:]].mean()
    assert surprise < mean_loss(rest / to_mend.temperature.temperature, y[1000:]) - 0.05


def test_vector_scaling_without_a_usable_temperature_still_helps():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 3))
    y = (-2 * z + rng.gumbel(size=z.shape)).argmax(axis=1)  # the wrong way round

    with pytest.warns(UserWarning, match="No positive temperature"):
        found = calibrate(z, y, given="logits", method="vector", C=1.0)

    assert found.slope == pytest.approx([-2, -2, -2], abs=0.7)
    assert found.log_loss_after < 0.8 * math.log(3)


def test_zeros_are_refused_by_vector_and_matrix_and_kept_by_the_others():
    p = np.array([[0.7, 0.3, 0.0], [0.4, 0.6, 0.0], [0.2, 0.8, 0.0], [0.9, 0.1, 0.0]])
    y = [0, 0, 1, 0]

    kept = calibrate(p, y, given="probabilities", method="bias-corrected", C=1.0)

    assert kept.probabilities(p)[:, 2].tolist() == [0, 0, 0, 0]
    assert kept.probabilities(p).sum(axis=1) == pytest.approx(1, rel=1e-14)
    for method in ("vector", "matrix"):
        with pytest.raises(InputError, match="floor=1e-6"):
            calibrate(p, y, given="probabilities", method=method)
        assert calibrate(p, y, given="probabilities", method=method, C=1.0, floor=1e-3)


def test_unknown_methods_and_strengths_are_refused():
    with pytest.raises(InputError, match="`method` is 'platt'"):
        calibrate([[0.0, 1.0]], [0], given="logits", method="platt")
    for C in (0, -1, math.inf, "big", math.nan):
        with pytest.raises(InputError, match="`C` is"):
            calibrate([[0.0, 1.0]], [0], given="logits", method="vector", C=C)


def test_a_loss_splits_into_calibration_refinement_and_entropy(drawn):
    z, p, y = drawn(n=3000)

    hard = split_log_loss(z, y, given="logits")
    soft = split_log_loss(z, p, given="logits", cv=None)

    entropy = -(p * np.log(p)).sum(axis=1).mean()
    assert soft.target_entropy == pytest.approx(entropy, rel=1e-12)
    assert soft.refinement == pytest.approx(0, abs=1e-12)
    assert soft.calibration == pytest.approx(soft.log_loss - entropy, rel=1e-12)
    assert hard.log_loss == pytest.approx(mean_loss(z, y), rel=1e-12)
    assert hard.calibration + hard.refinement == pytest.approx(hard.log_loss, rel=1e-12)
    # What stays is the entropy of the labels given z; the mean of 3000 surprisals of size 1 is
    # known to 0.02, of which three.
    assert hard.refinement == pytest.approx(entropy, abs=0.06)
    assert hard.calibration > 0.1
    assert hard.temperature == pytest.approx(2.5, abs=0.2)
    calibrated = split_log_loss(z / 2.5, y, given="logits")
    assert abs(calibrated.calibration) < 2e-3
    with pytest.raises(InputError, match="`cv` is 1"):
        split_log_loss(z, y, given="logits", cv=1)


def test_a_rich_family_does_not_flatter_itself_in_cross_validation(drawn):
    z, _, y = drawn(n=60, temperature=1.0)

    within = split_log_loss(z, y, given="logits", method="matrix", cv=None, C=100.0)
    across = split_log_loss(z, y, given="logits", method="matrix", cv=5, C=100.0)

    assert within.calibration > 0
    assert across.calibration < 0
