"""Fits to many rows begin at the fit to some of them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from crossent import SoftmaxRegression
from crossent.linear_model import optimise


@pytest.fixture
def few_are_many(monkeypatch):
    monkeypatch.setattr(optimise, "_MANY_ROWS", 1000)
    starts = []
    original = optimise._fit_of_few_rows

    def watched(problem, *rest):
        starts.append((problem, original(problem, *rest)))
        return starts[-1][1]

    monkeypatch.setattr(optimise, "_fit_of_few_rows", watched)
    return starts


def data(n=8000, d=4, q=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    Z = X @ rng.normal(size=(d, q))
    return X, (Z + rng.gumbel(size=Z.shape)).argmax(axis=1)


def test_the_answer_is_that_of_all_rows_and_the_passes_are_fewer(few_are_many, monkeypatch):
    X, y = data()
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
    model = SoftmaxRegression(C=0.1, tol=1e-12).fit(X, y, weight)
    few = few_are_many[-1][1]  # the last to end; before it the few rows' own fit asked
    # The same λ over a sixteenth of the rows: the optimum is near, √(p/m) in the coefficients.
    assert few.certificate.relative_gap <= 1e-3
    assert abs(few.W - model.coef_).max() < 0.5 < abs(model.coef_).max()
    oracle = LogisticRegression(C=0.1, tol=1e-12, solver="newton-cholesky").fit(X, y, weight)
    centred = oracle.coef_ - oracle.coef_.mean(axis=0)
    np.testing.assert_allclose(model.coef_, centred, atol=1e-5)
    monkeypatch.setattr(optimise, "_MANY_ROWS", 10**9)
    whole = SoftmaxRegression(C=0.1, tol=1e-12).fit(X, y, weight)
    assert model.certificate_.passes < whole.certificate_.passes
    assert model.certificate_.objective == pytest.approx(whole.certificate_.objective, rel=1e-11)


def test_the_penalty_of_the_few_is_that_of_all(few_are_many):
    X, y = data()
    SoftmaxRegression(C=1e-4, tol=1e-10).fit(X, y)
    few = few_are_many[-1][1]  # the last to end; before it the few rows' own fit asked
    model = SoftmaxRegression(C=1e-4, tol=1e-10).fit(X, y)
    # At so strong a penalty W is proportional to C·S: with C alone it would be a sixteenth.
    assert np.linalg.norm(few.W) == pytest.approx(np.linalg.norm(model.coef_), rel=0.2)


@pytest.mark.parametrize("n", [900, 4000])
def test_few_rows_or_many_coefficients_are_fitted_at_once(n, few_are_many):
    X, y = data(n)  # 20 · 16 · 15 = 4800 rows are asked for
    SoftmaxRegression().fit(X, y)
    assert few_are_many[-1][1] is None


def test_a_class_that_the_few_lack_does_no_harm(few_are_many, monkeypatch):
    X, y = data()
    y[17] = 3  # the only one; in one of sixteen samples
    models = [SoftmaxRegression(tol=1e-10, random_state=seed).fit(X, y) for seed in range(3)]
    assert any(few is not None and np.isinf(few.b[3]) for _, few in few_are_many)
    monkeypatch.setattr(optimise, "_MANY_ROWS", 10**9)
    whole = SoftmaxRegression(tol=1e-10).fit(X, y)
    for model in models:
        np.testing.assert_allclose(model.coef_, whole.coef_, atol=1e-3)


def test_without_a_penalty_all_rows_are_fitted_at_once(few_are_many):
    SoftmaxRegression(C=np.inf).fit(*data())
    assert few_are_many[-1][1] is None


def test_a_warm_start_is_not_thrown_away(few_are_many):
    X, y = data()
    model = SoftmaxRegression(warm_start=True).fit(X, y)
    few_are_many.clear()
    model.fit(X, y)
    assert few_are_many == []
