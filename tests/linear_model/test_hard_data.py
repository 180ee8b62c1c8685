"""Separation, missing classes, warm starts, extreme penalties, and the bugs that peers had."""

import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from crossent import InputError, SoftmaxRegression, Status


def quietly(model, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*arguments, **options)


# --- without a penalty


def test_without_a_penalty_overlapping_classes_have_the_maximum_likelihood(
    overlapping, scipy_optimum
):
    X, y, _ = overlapping(n=200)
    model = SoftmaxRegression(C=np.inf, tol=1e-12).fit(X, y)
    assert model.certificate_.status is Status.STATIONARY
    assert model.certificate_.kind == "stationary"
    assert model.certificate_.converged
    assert np.isnan(model.certificate_.gap)
    assert model.penalty_ == 0
    assert model.separable_ is False
    W, _ = scipy_optimum(X, np.eye(3)[y], np.ones(200), 1e9)
    np.testing.assert_allclose(model.coef_, W, atol=1e-5)
    # Its optimality condition: observed and expected moments agree.
    P = model.predict_proba(X)
    np.testing.assert_allclose(P.T @ X, np.eye(3)[y].T @ X, atol=1e-4)
    np.testing.assert_allclose(P.sum(axis=0), np.bincount(y), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_a_penalty_stationary_means_that_the_decrement_is_below_tol(dtype, overlapping):
    X, y, _ = overlapping(n=200)
    model = SoftmaxRegression(C=np.inf, tol=1e-8).fit((X + 50).astype(dtype), y)
    certificate = model.certificate_
    assert certificate.status is Status.STATIONARY
    assert 0 <= certificate.decrement <= 2e-8 * certificate.objective


@pytest.mark.parametrize("q", [2, 3])
def test_separable_classes_without_a_penalty_are_said_so(q):
    rng = np.random.default_rng(0)
    y = np.arange(30) % q
    X = rng.normal(size=(30, 2)) / 10 + np.column_stack([np.cos(2 * y), np.sin(2 * y)])
    with pytest.warns(ConvergenceWarning, match="separated by planes.*finite `C`"):
        model = SoftmaxRegression(C=np.inf).fit(X, y)
    assert model.certificate_.status is Status.SEPARABLE
    assert not model.certificate_.converged
    assert model.separable_ is True
    assert model.score(X, y) == 1.0
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.predict_log_proba(X)).all()


def test_quasi_separation_is_found_though_the_loss_stays_positive():
    # Both classes have rows at 0: likelihood is bounded away from 1, yet w grows without bound.
    X = np.array([[-2.0], [-1.0], [0.0], [0.0], [1.0], [2.0]])
    y = np.array([0, 0, 0, 1, 1, 1])
    with pytest.warns(ConvergenceWarning, match="separated by planes"):
        model = SoftmaxRegression(C=np.inf).fit(X, y)
    assert model.separable_ is True
    assert model.certificate_.objective == pytest.approx(2 * np.log(2) / 6, rel=1e-2)


def test_one_class_that_splits_off_is_separation_too():
    X = np.array([[-1.0], [0.5], [-0.5], [1.0], [50.0], [51.0]])
    with pytest.warns(ConvergenceWarning, match="separated"):
        model = SoftmaxRegression(C=np.inf).fit(X, [0, 0, 1, 1, 2, 2])
    assert model.separable_ is True


def test_with_a_penalty_separable_classes_have_an_optimum_and_no_warning():
    X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    model = SoftmaxRegression(C=1e4).fit(X, [0, 0, 1, 1])
    assert model.certificate_.status is Status.CONVERGED
    assert model.separable_ is True  # the loss is below 0.05, so it was looked at
    assert SoftmaxRegression(C=1.0).fit(X, [0, 1, 0, 1]).separable_ is None


# --- extreme penalties


@pytest.mark.parametrize("C", [1e-300, 1e-100, 1e-30, 1e-12])
def test_a_tiny_C_leaves_the_class_frequencies(C, overlapping):
    X, y, _ = overlapping()
    model = SoftmaxRegression(C=C).fit(X, y)
    assert model.certificate_.status is Status.CONVERGED
    frequencies = np.bincount(y) / 60
    np.testing.assert_allclose(model.predict_proba(X), np.tile(frequencies, (60, 1)), rtol=1e-6)


@pytest.mark.parametrize("C", [1e6, 1e10])
def test_a_large_C_converges_to_maximum_likelihood(C, overlapping):
    X, y, _ = overlapping(n=200)
    limit = SoftmaxRegression(C=np.inf, tol=1e-12).fit(X, y)
    model = SoftmaxRegression(C=C, tol=1e-7).fit(X, y)
    assert model.certificate_.relative_gap <= 1e-7
    np.testing.assert_allclose(model.predict_proba(X), limit.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize("C", [1e30, 1e100])
def test_a_C_beyond_what_rounding_can_certify_is_noticed_soon(C, overlapping):
    # ‖∇‖²/(2λ) cannot be small where λ is 1e-32: the coefficients are right, the proof is missing.
    X, y, _ = overlapping(n=200)
    with pytest.warns(ConvergenceWarning, match="Rounding hides"):
        model = SoftmaxRegression(C=C).fit(X, y)
    assert model.certificate_.status is Status.PRECISION
    assert model.certificate_.passes < 150
    limit = SoftmaxRegression(C=np.inf, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), limit.predict_proba(X), atol=1e-5)


# --- classes without rows


def test_a_given_class_without_rows_has_probability_zero_and_is_named(overlapping, certified):
    X, y, _ = overlapping()
    model = certified(X, y, classes=[0, 5, 1, 2])
    assert model.classes_.tolist() == [0, 5, 1, 2]
    assert model.absent_classes_.tolist() == [5]
    assert model.intercept_[1] == -np.inf
    assert not model.coef_[1].any()
    P = model.predict_proba(X)
    assert (P[:, 1] == 0).all()
    np.testing.assert_allclose(P[:, [0, 2, 3]], certified(X, y).predict_proba(X), atol=1e-7)
    assert (model.predict_log_proba(X)[:, 1] == -np.inf).all()
    assert 5 not in model.predict(X)
    assert (model.surprisal(X, np.full(60, 5)) == np.inf).all()
    np.testing.assert_allclose(model.coef_.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("kind", ["weights", "class_weight", "soft"])
def test_a_class_of_weight_zero_is_absent_not_odd(kind, overlapping, certified):
    # scikit-learn #34139: such a class got finite coefficients that meant nothing.
    X, y, _ = overlapping()
    options, targets, weight = {"classes": [0, 1, 2]}, y, None
    if kind == "weights":
        weight = np.where(y == 1, 0.0, 1.0)
    elif kind == "class_weight":
        options["class_weight"] = {1: 0.0}
    else:
        options, targets, weight = {}, np.eye(3)[y], np.where(y == 1, 0.0, 1.0)
    model = certified(X, targets, sample_weight=weight, **options)
    assert model.absent_classes_.tolist() == [1]
    assert (model.predict_proba(X)[:, 1] == 0).all()
    two = certified(X[y != 1], np.where(y[y != 1] == 2, 1, 0))
    np.testing.assert_allclose(model.predict_proba(X)[:, [0, 2]], two.predict_proba(X), atol=1e-6)


def test_soft_targets_over_an_absent_class_are_restricted_to_the_others(overlapping, certified):
    X, _, Y = overlapping()
    wide = np.insert(Y, 1, 0.0, axis=1)
    model = certified(X, wide)
    assert model.absent_classes_.tolist() == [1]
    np.testing.assert_allclose(
        model.predict_proba(X)[:, [0, 2, 3]], certified(X, Y).predict_proba(X), atol=1e-7
    )
    offset = np.random.default_rng(0).normal(size=(60, 4))
    np.testing.assert_allclose(
        certified(X, wide, offset=offset).coef_[[0, 2, 3]],
        certified(X, Y, offset=offset[:, [0, 2, 3]]).coef_,
        atol=1e-6,
    )


def test_class_weights_that_erase_a_rows_whole_target_erase_the_row(overlapping, certified):
    X, y, _ = overlapping()
    Y = np.eye(3)[y]
    kept = y != 1
    model = certified(X, Y, class_weight={1: 0.0})
    alone = certified(X[kept], Y[kept])
    np.testing.assert_allclose(model.predict_proba(X), alone.predict_proba(X), atol=1e-7)


# --- warm starts


def test_a_warm_start_at_the_optimum_needs_hardly_a_pass(load):
    X, y = load("digits")
    model = SoftmaxRegression(warm_start=True).fit(X, y)
    cold = model.certificate_.passes
    W = model.coef_.copy()
    model.fit(X, y)
    assert model.certificate_.passes <= 4 < cold
    np.testing.assert_allclose(model.coef_, W, atol=1e-4)


def test_a_warm_start_reaches_the_optimum_of_the_new_problem(overlapping, certified):
    X, y, _ = overlapping()
    model = certified(X, y, warm_start=True, C=1e-3)
    model.set_params(C=10.0).fit(X, y)
    np.testing.assert_allclose(model.coef_, certified(X, y, C=10.0).coef_, atol=1e-5)


@pytest.mark.parametrize("q", [2, 3])
def test_a_warm_start_survives_classes_that_vanish_appear_or_move(q, overlapping, certified):
    # scikit-learn #10657: a missing class raised.
    X, y, _ = overlapping(q=q)
    names = np.array(["b", "d", "f"])[y]
    for other in (
        np.where(y == 0, "b", "d"),  # one class fewer (or the same two)
        np.where(np.arange(60) % 7 == 0, "e", names),  # a new class in the middle
        np.where(y == 0, "z", names),  # one gone, one come
    ):
        model = certified(X, names, warm_start=True)
        model.fit(X, other)
        cold = certified(X, other)
        assert model.classes_.tolist() == cold.classes_.tolist()
        np.testing.assert_allclose(model.coef_, cold.coef_, atol=1e-5)
        np.testing.assert_allclose(model.intercept_, cold.intercept_, atol=1e-5)


def test_a_warm_start_from_an_absent_class_gives_it_a_finite_intercept(overlapping, certified):
    X, y, _ = overlapping()
    model = certified(X, np.minimum(y, 1), classes=[0, 1, 2], warm_start=True)
    assert model.intercept_[2] == -np.inf
    model.fit(X, y)
    np.testing.assert_allclose(model.coef_, certified(X, y).coef_, atol=1e-5)


def test_a_warm_start_needs_the_same_columns(overlapping):
    X, y, _ = overlapping()
    model = SoftmaxRegression(warm_start=True).fit(X, y)
    with pytest.raises(InputError, match="have 4 features and X has 3"):
        model.fit(X[:, :3], y)


# --- bugs that peers had


def test_a_small_problem_with_as_many_columns_as_rows_converges():
    # scikit-learn PR #34681: glmnet's partial Newton method does not converge here.
    for seed in range(5):
        X, y = make_classification(
            n_samples=20, n_features=20, n_informative=10, n_classes=3, random_state=seed
        )
        model = SoftmaxRegression(tol=1e-10).fit(X, y)
        theirs = LogisticRegression(solver="newton-cg", tol=1e-10, max_iter=1000).fit(X, y)
        np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), atol=1e-4)


def test_unscaled_columns_end_at_the_optimum_not_before_it():
    # scikit-learn #15556 and #18074: on unscaled columns L-BFGS stops early and differs from the
    # other solvers. Scaling by hand with the penalty carried over is the same problem.
    X, y = make_classification(n_samples=300, n_features=6, n_informative=4, random_state=0)
    sizes = np.array([1e-3, 1.0, 10.0, 1e3, 1e4, 1e5])
    model = SoftmaxRegression(C=1.0, tol=1e-9).fit(X * sizes + sizes * 3, y)
    assert model.certificate_.status is Status.CONVERGED
    best = LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(X * sizes, y)
    np.testing.assert_allclose(
        model.predict_proba(X * sizes + sizes * 3), best.predict_proba(X * sizes), atol=1e-4
    )


def test_large_unscaled_numbers_do_not_overflow():
    # statsmodels #3635, #4839: exp without a shift overflowed, and NaN coefficients came out.
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    X = np.column_stack([y * 2000.0 + rng.normal(size=200) * 3000, rng.normal(size=200) + 1e6])
    model = SoftmaxRegression().fit(X, y)
    assert model.certificate_.status is Status.CONVERGED
    assert np.isfinite(model.coef_).all()
    scaled = StandardScaler().fit(X)
    theirs = LogisticRegression(C=1e6).fit(scaled.transform(X), y)
    assert model.score(X, y) == pytest.approx(theirs.score(scaled.transform(X), y), abs=0.02)


@pytest.mark.parametrize("size", [1e5, 1e8, 1e12])
def test_logits_far_beyond_exp_are_fitted(size):
    X = np.array([[-1.0], [-0.5], [0.5], [1.0], [0.1]]) * size
    y = [0, 0, 1, 1, 0]
    model = quietly(SoftmaxRegression(C=1e3), X, y)
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.certificate_.objective)
    P = model.predict_proba(X)
    np.testing.assert_allclose(P.sum(axis=1), 1.0, rtol=1e-12)
    assert model.score(X, y) >= 0.8


def test_many_sparse_columns_need_memory_for_coefficients_only():
    # scikit-learn #17125: memory "goes crazy" on sparse text with twenty classes.
    n, d, q = 300, 6000, 20
    rng = np.random.default_rng(0)
    X = sp.random_array((n, d), density=0.005, rng=rng, format="csr")
    y = rng.integers(0, q, n)
    tracemalloc.start()
    quietly(SoftmaxRegression(max_iter=30, tol=1e-3), X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # L-BFGS keeps 20 pairs of vectors of q·d numbers; a d×d matrix would be 288 MB.
    assert peak < 60 * 8 * q * d


def test_a_class_without_rows_changes_nothing_for_the_two_that_have_some():
    X, y = load_iris(return_X_y=True)
    two = SoftmaxRegression(tol=1e-12).fit(X[:100], y[:100])
    three = SoftmaxRegression(tol=1e-12, classes=[0, 1, 2]).fit(X[:100], y[:100])
    # Both gaps bound the mean KL divergence to the same optimum: 1e-12 nats, 1e-6 in probability.
    np.testing.assert_allclose(
        three.predict_proba(X[:100]),
        np.column_stack([two.predict_proba(X[:100]), np.zeros(100)]),
        atol=1e-5,
    )
    assert three.penalty_ == two.penalty_
