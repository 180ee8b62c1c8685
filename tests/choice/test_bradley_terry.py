"""Fits of paired comparisons against the model written out and a general optimiser.

Tolerance of scores: the optimiser's 1e-7 (see `minimiser`: differences of a sum of 160 losses carry
1e-14·160/1e-4 ≈ 1e-8 of rounding into the gradient, curvatures are of the order of 10).
"""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from choice_definitions import ITEMS, arguments, centred, minimiser, pair_loss, random_rows

from crossent.certificate import Status
from crossent.choice import BradleyTerry

TOLERANCE = 1e-7


def check(model, rows, w, **parts):
    """Scores, log-likelihood and certificate of a fit."""
    np.testing.assert_allclose(model.scores_, centred(w[:4]), rtol=0, atol=TOLERANCE)
    best = pair_loss(rows, w[:4], **parts)
    # At the minimum the loss is quadratic: errors of 1e-7 in w are 1e-13 in it, below rounding.
    np.testing.assert_allclose(model.log_likelihood_, -best, rtol=1e-11)
    assert model.certificate_.kind == "stationary"
    assert model.certificate_.status is Status.STATIONARY
    assert model.certificate_.gradient_norm < 1e-9


def test_wins_and_losses_alone():
    rows = random_rows(1, outcomes=2)
    data, keywords = arguments(rows)
    model = BradleyTerry().fit(*data, **keywords)

    w = minimiser(lambda w: pair_loss(rows, w), 4)
    check(model, rows, w)
    assert model.outcomes_ == ("left", "right")
    assert model.tie_ is None
    assert model.neither_ is None


def test_ties_as_an_outcome_of_their_own():
    rows = random_rows(2, outcomes=3)
    data, keywords = arguments(rows)
    model = BradleyTerry().fit(*data, **keywords)

    w = minimiser(lambda w: pair_loss(rows, w[:4], tie=w[4]), 5)
    check(model, rows, w, tie=w[4])
    assert model.tie_ == pytest.approx(w[4], abs=TOLERANCE)


def test_ties_as_half_a_win_for_each():
    rows = random_rows(2, outcomes=3)
    data, keywords = arguments(rows)
    model = BradleyTerry(ties="half").fit(*data, **keywords)

    w = minimiser(lambda w: pair_loss(rows, w), 4)
    check(model, rows, w)


def test_neither_as_an_option_with_its_own_score():
    rows = [r for r in random_rows(3) if r[2] != "tie"]
    data, keywords = arguments(rows)
    model = BradleyTerry().fit(*data, **keywords)

    w = minimiser(lambda w: pair_loss(rows, w[:4], neither=w[4]), 5)
    shifted = w - w[:4].mean()
    check(model, rows, w, neither=w[4])
    assert model.neither_ == pytest.approx(shifted[4], abs=TOLERANCE)


def test_tie_and_neither_together():
    rows = random_rows(4)
    data, keywords = arguments(rows)
    model = BradleyTerry().fit(*data, **keywords)

    w = minimiser(lambda w: pair_loss(rows, w[:4], tie=w[4], neither=w[5]), 6)
    check(model, rows, w, tie=w[4], neither=w[5])
    assert model.tie_ == pytest.approx(w[4], abs=TOLERANCE)
    assert model.neither_ == pytest.approx(w[5] - w[:4].mean(), abs=TOLERANCE)
    assert model.outcomes_ == ("left", "right", "tie", "neither")


def test_an_order_effect_for_all_holds_where_order_says():
    rows = random_rows(5)
    data, keywords = arguments(rows, order=True)
    model = BradleyTerry(order_effect="global").fit(*data, **keywords)

    w = minimiser(lambda w: pair_loss(rows, w[:4], w[4], w[5], home=w[6]), 7)
    check(model, rows, w, tie=w[4], neither=w[5], home=w[6])
    assert model.order_effect_ == pytest.approx(w[6], abs=TOLERANCE)


def test_an_order_effect_for_each_item():
    rows = random_rows(6, outcomes=3)
    data, keywords = arguments(rows, order=True)
    model = BradleyTerry(order_effect="item").fit(*data, **keywords)

    w = minimiser(lambda w: pair_loss(rows, w[:4], w[4], home=w[5:]), 9)
    check(model, rows, w, tie=w[4], home=w[5:])
    np.testing.assert_allclose(model.order_effect_, w[5:], rtol=0, atol=TOLERANCE)


def test_covariates_speak_for_the_left_item():
    rows = random_rows(7, outcomes=3, covariates=2)
    data, keywords = arguments(rows, covariates=True)
    model = BradleyTerry().fit(*data, **keywords)

    w = minimiser(lambda w: pair_loss(rows, w[:4], w[4], beta=w[5:]), 7)
    check(model, rows, w, tie=w[4], beta=w[5:])
    np.testing.assert_allclose(model.coef_, w[5:], rtol=0, atol=TOLERANCE)


def test_a_penalty_adds_half_of_it_times_the_squared_scores_to_the_summed_loss():
    rows = random_rows(8)
    data, keywords = arguments(rows)
    model = BradleyTerry(penalty=3.0).fit(*data, **keywords)

    def penalised(w):
        return pair_loss(rows, w[:4], w[4], w[5]) + 1.5 * float(w[:4] @ w[:4])

    w = minimiser(penalised, 6)
    np.testing.assert_allclose(model.scores_, w[:4], rtol=0, atol=TOLERANCE)
    assert model.scores_.sum() == pytest.approx(0, abs=1e-12)  # the penalty's own doing
    assert model.neither_ == pytest.approx(w[5], abs=TOLERANCE)
    certificate = model.certificate_
    assert certificate.kind == "gap"
    assert 0 <= certificate.gap < 1e-10
    total = sum(r[3] for r in rows)
    assert certificate.objective == pytest.approx(penalised(w) / total, rel=1e-11)
    assert model.log_likelihood_ == pytest.approx(-pair_loss(rows, w[:4], w[4], w[5]), rel=1e-8)


def test_a_winless_item_has_the_finite_score_of_the_penalised_optimum():
    rows = [*random_rows(9, outcomes=2), (0, 3, "left", 1.0, 0.0, ())]
    rows = [
        r if 3 not in r[:2] else (*((r[0], 3) if r[1] == 3 else (r[1], 3)), "left", *r[3:])
        for r in rows
    ]
    data, keywords = arguments(rows)
    model = BradleyTerry(penalty=0.5).fit(*data, **keywords)

    w = minimiser(lambda w: pair_loss(rows, w) + 0.25 * float(w @ w), 4)
    np.testing.assert_allclose(model.scores_, w, rtol=0, atol=TOLERANCE)
    assert model.scores_.argmin() == 3


def test_counts_give_the_fit_of_single_comparisons():
    rows = random_rows(10)
    counts = {}
    for i, j, outcome, *_ in rows:
        counts.setdefault((i, j), [0, 0, 0, 0])[
            ["left", "right", "tie", "neither"].index(outcome)
        ] += 1
    pairs = [[ITEMS[i], ITEMS[j]] for i, j in counts]
    single = BradleyTerry().fit([[ITEMS[r[0]], ITEMS[r[1]]] for r in rows], [r[2] for r in rows])
    counted = BradleyTerry().fit(pairs, list(counts.values()))

    np.testing.assert_allclose(counted.scores_, single.scores_, rtol=1e-10)
    np.testing.assert_allclose(
        counted.covariance("sandwich"), single.covariance("sandwich"), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(
    "frame", [pd.DataFrame, pl.DataFrame, lambda d: np.array(list(d.values())).T]
)
def test_frames_and_arrays_give_the_same(frame):
    rows = random_rows(11)
    data, _ = arguments(rows)
    columns = {"a": [p[0] for p in data[0]], "b": [p[1] for p in data[0]]}
    model = BradleyTerry().fit(frame(columns), data[1])

    plain = BradleyTerry().fit(data[0], data[1])
    np.testing.assert_array_equal(model.scores_, plain.scores_)
    assert model.items_.tolist() == ITEMS


def test_numbers_name_items_and_outcomes():
    model = BradleyTerry().fit(np.array([[7, 9], [9, 7], [7, 9]]), [1, 1.0, 0.5])

    assert model.items_.tolist() == [7, 9]
    np.testing.assert_allclose(model.scores_, 0, atol=1e-12)
    # One win each and one tie: p(tie) = 1/3 = p(left), so ν = 0.
    assert model.tie_ == pytest.approx(0, abs=1e-9)


def test_the_score_of_the_anchor_is_zero_and_contrasts_stay():
    rows = random_rows(12)
    data, keywords = arguments(rows)
    plain = BradleyTerry().fit(*data, **keywords)
    model = BradleyTerry(anchor="cleo").fit(*data, **keywords)

    assert model.scores_[2] == 0
    np.testing.assert_allclose(
        model.scores_, plain.scores_ - plain.scores_[2], rtol=1e-12, atol=1e-14
    )
    assert model.covariance()[2, 2] == pytest.approx(0, abs=1e-15)
    # The probabilities know nothing of the anchor.
    np.testing.assert_allclose(
        model.predict_proba(data[0][:5]), plain.predict_proba(data[0][:5]), rtol=1e-12
    )


def test_probabilities_are_the_softmax_written_out():
    rows = random_rows(13)
    data, keywords = arguments(rows, order=True)
    model = BradleyTerry(order_effect="global").fit(*data, **keywords)
    theta, h = model.scores_, model.order_effect_
    z = np.array(
        [theta[0] + h, theta[2], model.tie_ + (theta[0] + theta[2] + h) / 2, model.neither_]
    )
    expected = np.exp(z) / np.exp(z).sum()

    found = model.predict_proba([["ada", "cleo"]], order=[1.0])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    assert model.win_matrix(order=1.0)[0, 2] == pytest.approx(expected[0], rel=1e-13)
    nats = model.surprisal([["ada", "cleo"]], ["tie"], order=[1.0])[0]
    assert nats == pytest.approx(-np.log(expected[2]), rel=1e-13)
    assert model.predict([["ada", "cleo"]], order=[1.0])[0] == model.outcomes_[expected.argmax()]


def test_adding_comparisons_gives_the_fit_of_all():
    rows = random_rows(14)
    data, keywords = arguments(rows)
    X, y, weight = data[0], data[1], keywords["sample_weight"]
    model = BradleyTerry().fit(X[:90], y[:90], weight[:90])
    model.partial_fit(X[90:], y[90:], weight[90:])

    whole = BradleyTerry().fit(X, y, weight)
    np.testing.assert_allclose(model.scores_, whole.scores_, rtol=1e-9)
    assert model.log_likelihood_ == pytest.approx(whole.log_likelihood_, rel=1e-12)


def test_new_items_may_join_later():
    X = [["b", "d"], ["d", "b"], ["b", "d"]]
    later = [["a", "b"], ["b", "a"], ["c", "d"], ["d", "c"]]
    model = BradleyTerry().fit(X).partial_fit(later)

    whole = BradleyTerry().fit(X + later)
    assert model.items_.tolist() == ["a", "b", "c", "d"]
    np.testing.assert_allclose(model.scores_, whole.scores_, rtol=1e-9)


def test_items_that_cannot_be_sorted_meet_their_earlier_counts():
    X, later = [["x", 1]] * 3 + [[1, "x"]], [[1, "x"]] * 2 + [["x", 1]]
    model = BradleyTerry().fit(X).partial_fit(later)

    # x won 3 + 1, 1 won 1 + 2; numbers and words stand in the order of their appearance, which
    # differs between the two batches.
    assert model.items_.tolist() == ["x", 1]
    assert model.scores_[0] - model.scores_[1] == pytest.approx(np.log(4 / 3), rel=1e-9)


def test_old_comparisons_fade_by_half_in_a_half_life():
    X = [["a", "b"], ["b", "a"], ["a", "b"]]
    dates = ["2025-01-01", "2025-01-31", "2025-02-10"]
    model = BradleyTerry(half_life="10d").fit(X, dates=dates)

    # a won with weights 2⁻⁴ and 1, b with 1/2: the odds are 1.0625 to 0.5.
    assert model.scores_[0] - model.scores_[1] == pytest.approx(np.log(2.125), rel=1e-9)
    step = BradleyTerry(half_life="10d").fit(X[:2], dates=dates[:2])
    step.partial_fit(X[2:], dates=dates[2:])
    np.testing.assert_allclose(step.scores_, model.scores_, rtol=1e-9)


def test_the_odds_of_two_items_do_not_depend_on_the_score_of_neither():
    rows = [r for r in random_rows(15) if r[2] != "tie"]
    data, keywords = arguments(rows)
    p = BradleyTerry().fit(*data, **keywords).predict_proba([["ada", "ben"]])[0]
    model = BradleyTerry().fit(*data, **keywords)

    assert p[0] / p[1] == pytest.approx(np.exp(model.scores_[0] - model.scores_[1]), rel=1e-12)
    assert model.win_probability("ada", "ben")[0] == pytest.approx(p[0] / (p[0] + p[1]), rel=1e-12)
