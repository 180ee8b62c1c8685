"""What a fitted model says of rows, and what it says of rows unlike those it knows."""

import math
import warnings

import mpmath
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from crossent import SoftmaxRegression
from crossent.linear_model import RangeWarning


@pytest.fixture(scope="module")
def fitted(overlapping):
    X, y, Y = overlapping()
    return SoftmaxRegression(tol=1e-10).fit(X, y), X, y, Y


def certain_model():
    """Two columns, three classes, coefficients set by hand: logits are exact integers."""
    X = np.array([[-50.0, -50.0], [50.0, 50.0], [0.0, 0.0]])
    model = SoftmaxRegression().fit(X, [0, 1, 2])
    model.coef_ = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    model.intercept_ = np.zeros(3)
    return model


def test_predictions_are_the_formula(fitted):
    model, X, y, _ = fitted
    logits = X @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(model.decision_function(X), logits, rtol=1e-12, atol=1e-14)
    P = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), P, rtol=1e-12)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(P), rtol=1e-11)
    np.testing.assert_array_equal(model.predict(X), model.classes_[logits.argmax(axis=1)])
    np.testing.assert_allclose(model.surprisal(X, y), -np.log(P[np.arange(len(y)), y]), rtol=1e-11)
    assert model.score(X, y) == (logits.argmax(axis=1) == y).mean()


@pytest.mark.parametrize("margin", [20.0, 40.0, 50.0])
def test_the_log_probability_of_a_certain_row_keeps_its_digits(margin):
    # log(probability) would be 0 from margin 37 on: the truth is -log1p(2·exp(-margin)) for logits
    # (margin, 0, 0). exp and log1p are good to an ulp or two.
    model = certain_model()
    truth = -mpmath.log1p(2 * mpmath.exp(-mpmath.mpf(margin)))
    found = model.predict_log_proba([[margin, 0.0]])[0]
    assert found[0] == pytest.approx(float(truth), rel=1e-15, abs=0)
    assert found[1] == pytest.approx(float(truth - mpmath.mpf(margin)), rel=1e-15)
    assert found[0] < 0
    assert model.surprisal([[margin, 0.0]], [0])[0] == -found[0]


def test_improbable_classes_have_a_finite_surprisal():
    # p = exp(-1000) is not a float64; its logarithm is.
    model = certain_model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RangeWarning)
        assert model.surprisal([[1000.0, 0.0]], [1])[0] == pytest.approx(1000.0, rel=1e-12)
        assert model.predict_proba([[1000.0, 0.0]])[0].tolist() == [1.0, 0.0, 0.0]


def test_the_surprisal_of_distributions_is_the_cross_entropy(fitted):
    model, X, y, Y = fitted
    expected = -(Y * model.predict_log_proba(X)).sum(axis=1)
    np.testing.assert_allclose(model.surprisal(X, Y), expected, rtol=1e-12)
    np.testing.assert_allclose(model.surprisal(X, sp.csr_array(Y)), expected, rtol=1e-12)
    np.testing.assert_allclose(model.surprisal(X, np.eye(3)[y]), model.surprisal(X, y), rtol=1e-12)
    assert (model.surprisal(X, Y) > 0).all()


def test_the_score_of_distributions_is_the_expected_accuracy(fitted):
    model, X, y, Y = fitted
    chosen = model.predict_proba(X).argmax(axis=1)
    s = np.random.default_rng(0).random(60)
    expected = s @ Y[np.arange(60), chosen] / s.sum()
    for targets in (Y, sp.csr_array(Y), Y.tolist()):
        assert model.score(X, targets, sample_weight=s) == pytest.approx(expected, rel=1e-12)
    assert model.score(X, Y) == pytest.approx(Y[np.arange(60), chosen].mean(), rel=1e-12)
    assert model.score(X, np.eye(3)[y]) == pytest.approx(model.score(X, y), rel=1e-12)
    assert model.score(X, y, sample_weight=s) == pytest.approx(s @ (chosen == y) / s.sum())
    assert 0.4 < model.score(X, Y) < model.score(X, y)


def test_an_offset_is_added_to_the_logits_of_every_method(fitted):
    model, X, y, _ = fitted
    offset = np.random.default_rng(1).normal(size=(60, 3)) * 3
    logits = model.decision_function(X) + offset
    np.testing.assert_allclose(model.decision_function(X, offset=offset), logits, rtol=1e-12)
    P = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X, offset=offset), P, rtol=1e-11)
    np.testing.assert_allclose(model.predict_log_proba(X, offset=offset), np.log(P), rtol=1e-10)
    np.testing.assert_array_equal(model.predict(X, offset=offset), logits.argmax(axis=1))
    np.testing.assert_allclose(
        model.surprisal(X, y, offset=offset), -np.log(P[np.arange(60), y]), rtol=1e-10
    )
    assert model.score(X, y, offset=offset) == (logits.argmax(axis=1) == y).mean()
    assert not np.array_equal(model.predict(X, offset=offset), model.predict(X))


def test_two_classes_follow_the_binary_contract(overlapping):
    X, y, _ = overlapping(q=2)
    names = np.array(["no", "yes"])[y]
    model = SoftmaxRegression(tol=1e-10).fit(X, names)
    margin = X @ model.coef_[0] + model.intercept_[0]
    np.testing.assert_allclose(model.decision_function(X), margin, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(model.predict(X), np.where(margin > 0, "yes", "no"))
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-margin)), rtol=1e-10)
    np.testing.assert_allclose(model.surprisal(X, names), np.logaddexp(0, -margin * (2 * y - 1)))
    Y = np.column_stack([1 - 0.1 * y, 0.1 * y])
    assert SoftmaxRegression().fit(X, Y).coef_.shape == (1, 4)


def test_blocks_of_rows_do_not_show(fitted):
    model, X, _, _ = fitted
    many = np.tile(X, (150, 1))  # 9000 rows, more than two blocks
    np.testing.assert_array_equal(model.predict_proba(many)[-60:], model.predict_proba(many)[:60])
    np.testing.assert_allclose(model.predict_proba(many)[:60], model.predict_proba(X), rtol=1e-13)


def test_float32_rows_are_predicted_in_float64(fitted):
    model, X, _, _ = fitted
    single = X.astype(np.float32)
    P = model.predict_proba(single)
    assert P.dtype == np.float64
    np.testing.assert_allclose(P, model.predict_proba(single.astype(float)), rtol=1e-13)


def test_rows_far_outside_the_training_range_are_counted_in_a_warning(overlapping):
    X, y, _ = overlapping()
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    model = SoftmaxRegression().fit(frame, y)
    far = frame.copy()
    far.loc[:2, "c"] = 1e3
    with pytest.warns(RangeWarning) as caught:
        model.predict(far)
    message = str(caught[0].message)
    assert "5.0% of the rows (3 of 60)" in message
    assert "column 'c' was between" in message
    assert f"{X[:, 2].min():.6g}" in message
    assert "1000" in message
    assert caught[0].filename == __file__


def test_rows_a_little_outside_the_range_are_no_news(overlapping):
    X, y, _ = overlapping()
    model = SoftmaxRegression().fit(X, y)
    width = np.ptp(X, axis=0)
    model.predict(X + 0.49 * width)
    with pytest.warns(RangeWarning, match="column 0"):
        model.predict(X + 0.51 * width)
    with pytest.warns(RangeWarning, match="column 0"):
        model.predict(X - 0.51 * width)
    with pytest.warns(RangeWarning, match=r"\(1 of 60\)"):
        model.predict(sp.csr_array(np.vstack([X[:1] * 0 + 1e3 * np.eye(4)[2], X[1:]])))


def test_columns_that_were_constant_are_not_judged():
    X = np.column_stack([np.arange(10.0), np.full(10, 5.0)])
    model = SoftmaxRegression().fit(X, np.arange(10) % 2)
    model.predict(np.array([[5.0, 500.0]]))  # warnings are errors here


def test_rows_out_of_range_are_told_one_by_one(overlapping):
    X, y, _ = overlapping()
    schema = SoftmaxRegression().fit(X, y).schema_
    assert not schema.rows_out_of_range(X).any()
    far = X.copy()
    far[7, 3] = X[:, 3].max() + 0.01
    far[9, 0] = X[:, 0].min() - 10
    assert np.flatnonzero(schema.rows_out_of_range(far)).tolist() == [7, 9]
    assert np.flatnonzero(schema.rows_out_of_range(far, margin=0.5)).tolist() == [9]
    assert np.flatnonzero(schema.rows_out_of_range(sp.csr_array(far))).tolist() == [7, 9]


def test_the_mean_surprisal_is_the_loss_that_was_minimised(fitted):
    model, X, y, _ = fitted
    loss = model.surprisal(X, y).mean()
    assert loss < math.log(3)
    penalty = model.penalty_ / 2 * (model.coef_**2).sum()
    assert loss + penalty == pytest.approx(model.certificate_.objective, rel=1e-12)


def test_values_outside_the_range_that_change_no_logit_by_a_nat_are_no_news(overlapping):
    X, y, _ = overlapping()
    model = SoftmaxRegression(C=1e-3).fit(X, y)  # weak weights: it takes a long way to move a nat
    beyond = 1 / np.ptp(model.coef_[:, 0])
    assert beyond > 0.5 * np.ptp(X[:, 0])
    far = X.copy()
    far[4, 0] = X[:, 0].max() + 0.99 * beyond
    model.predict(far)  # warnings are errors here
    far[4, 0] = X[:, 0].max() + 1.01 * beyond
    with pytest.warns(RangeWarning, match=r"\(1 of 60\)"):
        model.predict(far)
