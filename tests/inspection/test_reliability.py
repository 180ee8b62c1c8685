"""Reliability curve and calibration error: by hand, and by simulation of known calibration."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve

from crossent.errors import InputError
from crossent.inspection import Predictions, reliability, wilson_interval


def binary_rows(confidence, right, **kwargs):
    """Rows of two classes whose top label is class 0 with the given confidence."""
    p = np.column_stack([confidence, 1 - np.asarray(confidence)])
    y = np.where(right, 0, 1)
    return Predictions.from_log_probabilities(np.log(p), y, classes=[0, 1], **kwargs)


@pytest.fixture
def calibrated():
    rng = np.random.default_rng(5)
    confidence = rng.uniform(0.5, 0.999, size=4000)
    return confidence, rng.uniform(size=4000) < confidence


def test_equal_width_bins_agree_with_scikit_learn(calibrated):
    confidence, right = calibrated

    curve = reliability(binary_rows(confidence, right), n_bins=10, binning="equal-width")

    accuracy, mean = calibration_curve(right, confidence, n_bins=10, strategy="uniform")
    # Means of some 800 numbers in [0, 1], after log and exp.
    assert curve.accuracy == pytest.approx(accuracy, rel=1e-12)
    assert curve.confidence == pytest.approx(mean, rel=1e-12)
    assert curve.count.sum() == 4000
    expected = np.average(np.abs(accuracy - mean), weights=curve.count)
    assert curve.expected_calibration_error == pytest.approx(expected, rel=1e-10)


def test_equal_mass_bins_hold_equally_many_rows_and_agree_with_quantiles(calibrated):
    confidence, right = calibrated

    curve = reliability(binary_rows(confidence, right), n_bins=8)

    assert curve.count.tolist() == [500] * 8
    accuracy, mean = calibration_curve(right, confidence, n_bins=8, strategy="quantile")
    assert curve.accuracy == pytest.approx(accuracy, rel=1e-12)
    assert curve.confidence == pytest.approx(mean, rel=1e-12)
    assert curve.weight == pytest.approx([1 / 8] * 8, rel=1e-12)


def test_rows_of_one_confidence_stay_in_one_bin():
    curve = reliability(binary_rows([0.9] * 10 + [0.6], [True] * 11), n_bins=3)

    assert curve.count.tolist() == [1, 10]
    assert curve.confidence == pytest.approx([0.6, 0.9])


def test_integer_weights_mean_repeated_rows():
    confidence, right = np.array([0.6, 0.7, 0.8, 0.9]), np.array([True, False, True, True])
    weight = np.array([1, 3, 2, 2])

    weighted = reliability(binary_rows(confidence, right, sample_weight=weight), n_bins=2)
    repeated = reliability(
        binary_rows(np.repeat(confidence, weight), np.repeat(right, weight)), n_bins=2
    )

    assert weighted.accuracy == pytest.approx(repeated.accuracy, rel=1e-13)
    assert weighted.confidence == pytest.approx(repeated.confidence, rel=1e-13)
    assert weighted.weight == pytest.approx(repeated.weight, rel=1e-13)
    assert weighted.expected_calibration_error == pytest.approx(
        repeated.expected_calibration_error, rel=1e-13
    )


def test_the_interval_of_a_bin_is_wilsons_for_its_rows():
    curve = reliability(binary_rows([0.9] * 4 + [0.6] * 3, [True] * 3 + [False] + [True] * 3))

    assert curve.interval == pytest.approx(
        np.array([wilson_interval(1, 3), wilson_interval(3 / 4, 4)])
    )


def test_by_hand_the_error_is_the_weighted_distance_of_accuracy_and_confidence():
    # Bins: four rows at 0.9, half right; six at 0.6, all right: 0.4·0.4 + 0.6·0.4 = 0.4.
    curve = reliability(
        binary_rows([0.9] * 4 + [0.6] * 6, [True, True, False, False] + [True] * 6), n_bins=2
    )

    assert curve.expected_calibration_error == pytest.approx(0.4, rel=1e-14)
    # √(2/π) (0.4 √(0.9·0.1/4) + 0.6 √(0.6·0.4/6)).
    chance = math.sqrt(2 / math.pi) * (0.4 * 0.15 + 0.6 * 0.2)
    assert curve.chance_level == pytest.approx(chance, rel=1e-14)


def test_the_chance_level_is_the_mean_error_of_perfectly_calibrated_probabilities():
    rng = np.random.default_rng(11)
    confidence = rng.uniform(0.5, 0.999, size=1500)
    draws = [
        reliability(binary_rows(confidence, rng.uniform(size=1500) < confidence))
        for _ in range(200)
    ]

    errors = [curve.expected_calibration_error for curve in draws]

    # Bins hold 100 rows, so the normal approximation is good to about 2 %; the mean of 200
    # draws adds its standard error, of which four are allowed.
    slack = 0.02 * draws[0].chance_level + 4 * stats.sem(errors)
    assert np.mean(errors) == pytest.approx(draws[0].chance_level, abs=slack)
    assert slack < 0.1 * draws[0].chance_level


def test_soft_targets_count_with_their_mass_on_the_prediction():
    p = np.tile([0.7, 0.3], (4, 1))
    y = [[0.7, 0.3]] * 4

    curve = reliability(Predictions.from_log_probabilities(np.log(p), y, classes=["a", "b"]))

    assert curve.accuracy == pytest.approx([0.7], rel=1e-14)
    assert curve.expected_calibration_error == pytest.approx(0, abs=1e-15)


def test_few_rows_get_few_bins_and_many_rows_at_most_fifteen(calibrated):
    confidence, right = calibrated

    assert reliability(binary_rows(confidence, right)).n_bins == 15
    assert reliability(binary_rows(confidence[:100], right[:100])).n_bins == 5
    assert reliability(binary_rows(confidence[:30], right[:30])).n_bins == 3


def test_unknown_binnings_and_no_bins_are_refused(calibrated):
    rows = binary_rows(*calibrated)

    with pytest.raises(InputError, match="use 'equal-mass' or 'equal-width'"):
        reliability(rows, binning="quantile")
    with pytest.raises(InputError, match="`n_bins` is 0"):
        reliability(rows, n_bins=0)
