"""Reliability curve and calibration error: by hand, and by simulation of known calibration."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve

from crossent.errors import InputError
from crossent.inspection import (
    Predictions,
    calibration_errors,
    class_reliability,
    reliability,
    wilson_interval,
)


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


def many_classes(n=3000, q=4, seed=2):
    """Rows of q classes with well-calibrated probabilities."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(q, 0.7), size=n)
    y = (p.cumsum(axis=1) < rng.uniform(size=(n, 1))).sum(axis=1)
    names = np.array(list("abcd"))
    return p, y, Predictions.from_log_probabilities(np.log(p), names[y], classes=names[:q])


@pytest.mark.parametrize(
    ("binning", "strategy"), [("equal-width", "uniform"), ("equal-mass", "quantile")]
)
def test_the_curve_of_one_class_agrees_with_scikit_learn(binning, strategy):
    p, y, rows = many_classes()

    curve = class_reliability(rows, "c", n_bins=12, binning=binning)

    accuracy, mean = calibration_curve(y == 2, p[:, 2], n_bins=12, strategy=strategy)
    assert curve.accuracy == pytest.approx(accuracy, rel=1e-12)
    assert curve.confidence == pytest.approx(mean, rel=1e-12)
    assert curve.label == "c"


def test_soft_targets_count_with_their_mass_on_the_class():
    p = np.tile([0.7, 0.2, 0.1], (4, 1))
    rows = Predictions.from_log_probabilities(np.log(p), [[0.5, 0.3, 0.2]] * 4, classes=[0, 1, 2])

    assert class_reliability(rows, 1).accuracy == pytest.approx([0.3], rel=1e-14)


def test_the_family_of_errors_by_hand():
    # Two bins of four and six rows: (0.9, 0.5) and (0.6, 1.0), both 0.4 apart.
    rows = binary_rows([0.9] * 4 + [0.6] * 6, [True, True, False, False] + [True] * 6)

    found = calibration_errors(rows, n_bins=2)

    assert found.expected == pytest.approx(0.4, rel=1e-14)
    assert found.maximum == pytest.approx(0.4, rel=1e-14)
    assert found.root_mean_square == pytest.approx(0.4, rel=1e-14)
    # Chance adds 0.5·0.5/3 to the first bin's square, nothing to the second's.
    debiased = math.sqrt(0.4 * (0.16 - 0.25 / 3) + 0.6 * 0.16)
    assert found.debiased_root_mean_square == pytest.approx(debiased, rel=1e-13)
    # For two classes the other class's curve is the mirror image.
    assert found.classwise == pytest.approx(0.4, rel=1e-13)
    assert found.n_bins == 2
    assert found.binning == "equal-mass"


def test_perfect_probabilities_have_errors_of_the_chance_level_and_no_debiased_one():
    errors = [calibration_errors(many_classes(seed=seed)[2], n_bins=10) for seed in range(40)]

    for name in ("expected", "classwise"):
        values = [getattr(one, name) for one in errors]
        chance = np.mean([getattr(one, f"chance_{name}") for one in errors])
        # The normal approximation is good to 2 %, and four standard errors of the mean.
        slack = 0.02 * chance + 4 * stats.sem(values)
        assert np.mean(values) == pytest.approx(chance, abs=slack)
        assert slack < 0.25 * chance
    biased = np.mean([one.root_mean_square**2 for one in errors])
    # The mean of the squares is above 0 by chance alone; less the correction it is 0 on average,
    # and what is clipped at 0 leaves half of the noise.
    assert np.mean([one.debiased_root_mean_square**2 for one in errors]) < 0.5 * biased


def test_an_unknown_class_is_refused():
    with pytest.raises(InputError, match="'z' is none of the 4 classes"):
        class_reliability(
            Predictions.from_log_probabilities(np.log([[0.25] * 4]), ["a"], classes=list("abcd")),
            "z",
        )
