"""The temperature: closed forms, known truth, another optimiser, and its standard errors."""

import math

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given as drawn_by
from hypothesis import settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp, softmax

from crossent.calibration import CalibrationWarning, fit_temperature
from crossent.errors import InputError


def loss(z, y, beta, weight=None):
    """Mean cross-entropy of softmax(β z), by definition."""
    y = np.eye(z.shape[1])[y] if np.ndim(y) == 1 else y
    rows = logsumexp(beta * z, axis=1) - beta * (y * z).sum(axis=1)
    return np.average(rows, weights=weight)


def test_the_temperature_that_makes_odds_of_e4_right_seven_times_in_ten():
    # σ(4 β) = 0.7, so β = log(7/3)/4.
    found = fit_temperature([4.0] * 10, [1] * 7 + [0] * 3, given="logits")

    assert found.temperature == pytest.approx(4 / math.log(7 / 3), rel=1e-12)
    # The variance of the logit gap is 16·0.7·0.3 in each of 10 rows, for both errors: the
    # residuals 4(0.7 − y) have the mean square 16·0.21.
    error = 1 / math.sqrt(10 * 16 * 0.21)
    assert found.hessian_standard_error == pytest.approx(error, rel=1e-12)
    assert found.standard_error == pytest.approx(error, rel=1e-12)
    assert found.temperature_standard_error == pytest.approx(
        error * found.temperature**2, rel=1e-12
    )
    entropy = -(0.7 * math.log(0.7) + 0.3 * math.log(0.3))
    assert found.log_loss_after == pytest.approx(entropy, rel=1e-13)
    before = math.log1p(math.exp(-4)) + 0.3 * 4
    assert found.log_loss_before == pytest.approx(before, rel=1e-13)
    ratio = 2 * 10 * (before - entropy)
    assert found.likelihood_ratio == pytest.approx(ratio, rel=1e-12)
    assert found.p_value == pytest.approx(stats.chi2.sf(ratio, 1), rel=1e-10)


def test_hard_labels_give_the_true_temperature_within_two_standard_errors(drawn):
    z, _, y = drawn()

    found = fit_temperature(z, y, given="logits")

    assert abs(found.temperature - 2.5) < 2 * found.temperature_standard_error
    assert found.temperature_standard_error < 0.1  # else two of them would say nothing
    low, high = found.interval()
    assert low < 2.5 < high
    assert found.p_value < 1e-10  # T = 1 is refused


def test_soft_targets_give_the_true_temperature_exactly_and_votes_within_two_errors(drawn):
    z, p, _ = drawn()
    rng = np.random.default_rng(1)
    votes = rng.multinomial(5, p) / 5

    exact = fit_temperature(z, p, given="logits")
    found = fit_temperature(z, votes, given="logits")

    # f' is zero there up to rounding of sums of 16,000 terms of size 10: 1e-15 of them.
    assert exact.temperature == pytest.approx(2.5, rel=1e-12)
    assert abs(found.temperature - 2.5) < 2 * found.temperature_standard_error
    # The mean of five votes varies √5 times less than one label; n = 4000 makes it good to 2 %.
    assert found.hessian_standard_error / found.standard_error == pytest.approx(5**0.5, rel=0.06)


def test_another_optimiser_finds_the_same_minimum(drawn):
    z, _, y = drawn(n=300, temperature=0.4)
    weight = np.random.default_rng(3).uniform(0.5, 2, size=300)

    found = fit_temperature(z, y, given="logits", sample_weight=weight)

    def slope(beta):
        p = softmax(beta * z, axis=1)
        return np.average((p * z).sum(axis=1) - z[np.arange(300), y], weights=weight)

    root = scipy.optimize.brentq(slope, 0.1, 20, xtol=1e-14, rtol=1e-14)
    assert found.inverse_temperature == pytest.approx(root, rel=1e-12)
    assert found.log_loss_after == pytest.approx(loss(z, y, root, weight), rel=1e-12)
    assert found.log_loss_before == pytest.approx(loss(z, y, 1, weight), rel=1e-12)
    assert found.steps <= 10


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e6])
def test_logits_of_any_size_give_the_temperature_in_their_unit(drawn, scale):
    z, _, y = drawn(n=500)

    found = fit_temperature(scale * z, y, given="logits")

    assert found.temperature == pytest.approx(
        scale * fit_temperature(z, y, given="logits").temperature, rel=1e-11
    )
    assert found.steps <= 20


def test_the_hessian_error_is_the_curvature_of_the_loss(drawn):
    z, _, y = drawn(n=400)

    found = fit_temperature(z, y, given="logits")

    # Central second difference: error h²f''''/12 ≈ 1e-6 relative, rounding 4e-16·f/h² ≈ 1e-9.
    beta, h = found.inverse_temperature, 1e-3
    curvature = (loss(z, y, beta + h) - 2 * loss(z, y, beta) + loss(z, y, beta - h)) / h**2
    assert found.hessian_standard_error == pytest.approx(1 / math.sqrt(400 * curvature), rel=1e-4)


def test_the_standard_error_is_the_spread_over_repeated_draws_also_of_votes(drawn):
    z, p, _ = drawn(n=300)
    rng = np.random.default_rng(5)

    found = [fit_temperature(z, rng.multinomial(3, p) / 3, given="logits") for _ in range(300)]

    # The spread of 300 numbers is known to 1/√600 = 4 %; four times that.
    spread = np.std([one.inverse_temperature for one in found], ddof=1)
    assert np.mean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.16)


def test_weights_are_repeated_rows_in_the_temperature_and_the_test(drawn):
    z, _, y = drawn(n=100)
    weight = np.arange(100) % 4

    weighted = fit_temperature(z, y, given="logits", sample_weight=weight)
    repeated = fit_temperature(np.repeat(z, weight, 0), np.repeat(y, weight), given="logits")

    assert weighted.inverse_temperature == pytest.approx(repeated.inverse_temperature, rel=1e-12)
    assert weighted.likelihood_ratio == pytest.approx(repeated.likelihood_ratio, rel=1e-9)
    assert weighted.hessian_standard_error == pytest.approx(
        repeated.hessian_standard_error, rel=1e-12
    )


def test_logits_and_probabilities_give_the_same_and_are_never_guessed(drawn):
    z, _, y = drawn(n=200)
    p = softmax(z, axis=1)

    from_logits = fit_temperature(z, y, given="logits").temperature

    # A logarithm of a rounded probability is off by 1e-16, the logits are of size 10.
    assert fit_temperature(p, y, given="probabilities").temperature == pytest.approx(
        from_logits, rel=1e-12
    )
    assert fit_temperature(np.log(p), y, given="log_probabilities").temperature == pytest.approx(
        from_logits, rel=1e-12
    )
    # These logits look like probabilities, and are logits all the same: σ(β) = 3/4.
    likeness = fit_temperature([[1.0, 0.0]] * 4, [0, 0, 0, 1], given="logits")
    assert likeness.inverse_temperature == pytest.approx(math.log(3), rel=1e-12)
    with pytest.raises(InputError, match="say what the numbers are"):
        fit_temperature(z, y, given="scores")
    with pytest.raises(TypeError):
        fit_temperature(z, y)


def test_an_excluded_class_stays_out_of_it(drawn):
    z, _, y = drawn(n=300, q=3)
    wide = np.column_stack([z, np.full(300, -np.inf)])

    found = fit_temperature(wide, y, given="logits")

    assert found.inverse_temperature == pytest.approx(
        fit_temperature(z, y, given="logits").inverse_temperature, rel=1e-12
    )


def test_a_row_whose_own_class_has_probability_zero_is_named_and_a_floor_helps():
    p, y = [[0.8, 0.2], [1.0, 0.0], *[[0.9, 0.1]] * 8], ["a", "b", *"aaaaaaaa"]

    with pytest.raises(InputError, match=r"Row 1 has class 'b'.*floor=1e-6"):
        fit_temperature(p, y, classes=["a", "b"], given="probabilities")
    floored = fit_temperature(p, y, classes=["a", "b"], given="probabilities", floor=1e-3)
    # Row 1 becomes (1, 0.001)/1.001; the others are untouched.
    by_hand = -(math.log(0.001 / 1.001) + math.log(0.8) + 8 * math.log(0.9)) / 10
    assert floored.log_loss_before == pytest.approx(by_hand, rel=1e-13)


def test_rows_that_are_all_right_have_no_best_temperature_and_keep_theirs():
    with pytest.warns(CalibrationWarning, match="falls for ever"):
        found = fit_temperature([[2.0, 0.0], [0.0, 1.0]], [0, 1], given="logits")

    assert found.separable
    assert found.temperature == 1
    assert found.log_loss_after == found.log_loss_before
    assert math.isnan(found.standard_error)


def test_scores_that_point_the_wrong_way_get_an_infinite_temperature():
    with pytest.warns(CalibrationWarning, match="No positive temperature"):
        found = fit_temperature([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [1, 0, 0], given="logits")

    assert found.temperature == math.inf
    assert found.log_loss_after == pytest.approx(math.log(2), rel=1e-15)


@drawn_by(
    st.integers(0, 2**32 - 1),
    st.integers(2, 40),
    st.integers(2, 6),
    st.floats(-3, 3),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore::crossent.calibration.CalibrationWarning")
def test_the_loss_never_rises_and_no_other_temperature_beats_it(seed, n, q, size, soft):
    rng = np.random.default_rng(seed)
    z = 10**size * rng.standard_t(2, size=(n, q))
    y = rng.dirichlet(np.full(q, 0.3), size=n) if soft else rng.integers(q, size=n)

    found = fit_temperature(z, y, given="logits")

    assert found.log_loss_after <= found.log_loss_before
    if not found.separable:
        for factor in (0.5, 0.99, 1.01, 2.0):
            other = loss(z, y, factor * found.inverse_temperature)
            assert found.log_loss_after <= other * (1 + 1e-12)


@pytest.mark.parametrize(
    ("scores", "y", "options", "words"),
    [
        ([[0.2, 0.9]], [0], {"given": "probabilities"}, "sum to 1.1"),
        ([[2.0, -1.0]], [0], {"given": "probabilities"}, "between 0 and 1.*given='logits'"),
        ([[0.0, np.nan]], [0], {"given": "logits"}, "Row 0 column 1 of the logits is nan"),
        ([[0.0, np.inf]], [0], {"given": "logits"}, "is inf"),
        ([[-np.inf, -np.inf]], [0], {"given": "logits"}, "no class is possible"),
        ([[0.5, -0.5]], [0], {"given": "log_probabilities"}, "not 1"),
        ([[1.0], [2.0]], [0, 1], {"given": "logits"}, "two or more classes"),
        ([[0.0, 1.0]], [0], {"given": "logits", "classes": [1, 2, 3]}, "3 classes"),
        ([[0.0, 1.0]], [2], {"given": "logits"}, "not among the 2 known classes"),
        ([[0.0, 1.0]], [0, 1], {"given": "logits"}, "1 rows and y has 2"),
        ([[0.0, 1.0]], [0], {"given": "logits", "sample_weight": [-1]}, "not negative"),
        ([[0.0, 1.0]], [[0.5, 0.6]], {"given": "logits"}, "sums to 1.1"),
        ([[0.0, 1.0]], [0], {"given": "logits", "floor": 0.6}, "`floor` is 0.6"),
        (np.zeros((0, 2)), [], {"given": "logits"}, "no rows"),
        ([["a", "b"]], [0], {"given": "logits"}, "not a rectangular array of numbers"),
    ],
)
def test_what_cannot_be_used_is_named(scores, y, options, words):
    with pytest.raises(InputError, match=words):
        fit_temperature(scores, y, **options)
