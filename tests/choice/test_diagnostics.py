"""Tests, calibration, cycles and surprises, and Elo as a gradient step."""

import numpy as np
import pytest
from choice_definitions import arguments, pair_loss, random_rows

from crossent.choice import (
    ELO_PER_LOGIT,
    BradleyTerry,
    calibration,
    elo_ratings,
    goodness_of_fit,
    likelihood_ratio_tests,
    surprising_results,
)
from crossent.errors import InputError


def test_an_elo_update_is_a_gradient_step_on_the_loss():
    k, home = 24.0, 60.0
    for outcome, result in (("left", 1.0), ("right", 0.0), ("tie", 0.5)):
        start = [["a", "b"], ["b", "c"], ["c", "a"], ["a", "b"]]
        before = elo_ratings(start, k=k, home_advantage=home)[1]
        after = elo_ratings(
            [*start, ["a", "b"]], ["left"] * 4 + [outcome], k=k, home_advantage=home
        )[1]
        theta = before / ELO_PER_LOGIT
        row = [(0, 1, outcome, 1.0, 1.0, ())]
        h = 1e-5
        gradient = np.array(
            [
                (
                    pair_loss(row, theta + h * e, home=home / ELO_PER_LOGIT)
                    - pair_loss(row, theta - h * e, home=home / ELO_PER_LOGIT)
                )
                / (2 * h)
                for e in np.eye(3)
            ]
        )
        # Central differences: h² = 1e-10 and rounding 1e-16·4/1e-5 = 4e-11, times k·… ≈ 24.
        step = -k / ELO_PER_LOGIT * gradient * ELO_PER_LOGIT
        np.testing.assert_allclose(after - before, step, rtol=0, atol=1e-7)
        assert 0 <= result <= 1


def test_likelihood_ratios_are_those_of_the_smaller_fits():
    rows = random_rows(20, outcomes=3, covariates=1)
    data, keywords = arguments(rows, order=True, covariates=True)
    model = BradleyTerry(order_effect="global").fit(*data, **keywords)
    tests = {t.name: t for t in likelihood_ratio_tests(model)}

    del keywords["order"]
    no_order = BradleyTerry().fit(*data, **keywords)
    expected = 2 * (model.log_likelihood_ - no_order.log_likelihood_)
    assert tests["order effect"].statistic == pytest.approx(expected, abs=1e-8)
    assert tests["order effect"].degrees == 1
    assert tests["items differ"].degrees == 3
    assert tests["ties (ν = 0)"].statistic > 0
    # Wilks with one degree: P(χ² > x) = erfc(√(x/2)).
    from math import erfc, sqrt

    one = tests["covariate 0"]
    assert one.p_value == pytest.approx(erfc(sqrt(one.statistic / 2)), rel=1e-9)


def test_equal_items_have_the_likelihood_of_a_coin():
    model = BradleyTerry().fit([["a", "b"]] * 7 + [["b", "a"]] * 3)
    (test,) = likelihood_ratio_tests(model)

    expected = 2 * (7 * np.log(0.7) + 3 * np.log(0.3) - 10 * np.log(0.5))
    assert test.statistic == pytest.approx(expected, rel=1e-9)
    assert test.degrees == 1
    with pytest.raises(InputError, match="penalty"):
        likelihood_ratio_tests(BradleyTerry(penalty=1.0).fit([["a", "b"]]))


def test_a_circle_is_found_and_counted():
    X = (
        [["a", "b"]] * 9
        + [["b", "c"]] * 9
        + [["c", "a"]] * 9
        + [["b", "a"], ["c", "b"], ["a", "c"]]
    )
    found = goodness_of_fit(BradleyTerry().fit(X))

    assert (found.triads, found.cyclic) == (1, 1)
    # Scores are equal, so each pair (9, 1) is held against (5, 5).
    deviance = 3 * 2 * (9 * np.log(9 / 5) + np.log(1 / 5))
    assert found.deviance == pytest.approx(deviance, rel=1e-9)
    assert found.degrees == 1
    assert found.p_value < 1e-4
    line = [["a", "b"], ["b", "c"], ["a", "c"]] * 2 + [["c", "a"], ["b", "a"], ["c", "b"]]
    straight = goodness_of_fit(BradleyTerry().fit(line))
    assert (straight.triads, straight.cyclic) == (1, 0)


def test_predictions_of_the_right_model_are_calibrated():
    rng = np.random.default_rng(0)
    theta = np.linspace(-1.5, 1.5, 12)
    i = rng.integers(0, 12, 6000)
    j = (i + rng.integers(1, 12, 6000)) % 12
    y = (rng.random(6000) < 1 / (1 + np.exp(theta[j] - theta[i]))).astype(float)
    found = calibration(BradleyTerry().fit(np.column_stack([i, j]), y))

    assert found.weight.sum() == pytest.approx(6000)
    assert (np.diff(found.predicted) > 0).all()
    # Ten bins of 600: three standard deviations of a share are 6 %.
    np.testing.assert_allclose(found.observed, found.predicted, atol=0.06)
    assert (found.low <= found.observed).all()
    assert (found.observed <= found.high).all()
    assert np.ptp(found.observed) > 0.5


def test_the_most_surprising_results_come_first():
    X = [["a", "b"]] * 9 + [["b", "a"]] + [["b", "c"]] * 9 + [["c", "b"]] + [["c", "a"]]
    model = BradleyTerry().fit(X)
    found = surprising_results(model, X, ["left"] * len(X), n=3)

    assert (found[0].row, found[0].left, found[0].right) == (20, "c", "a")
    assert {found[1].row, found[2].row} == {9, 19}
    assert found[0].bits == pytest.approx(-np.log2(found[0].probability), rel=1e-12)
    assert found[0].probability == pytest.approx(model.predict_proba([["c", "a"]])[0, 0], rel=1e-12)
