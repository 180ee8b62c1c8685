"""Standard errors and tests: statsmodels' numbers, derivatives, definitions, and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats
from scipy.special import log_softmax, softmax
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from crossent import SoftmaxRegression, SoftmaxRegressionCV
from crossent.errors import InputError
from crossent.inspection import likelihood_ratio_tests, summary

REFERENCE = json.loads((Path(__file__).parent / "reference" / "mnlogit.json").read_text("utf-8"))
CASES = {
    "wine": (load_wine, [0, 1, 3, 4], 17),
    "breast_cancer": (load_breast_cancer, [1, 4, 8], 23),
}


def fitted(X, y, *, sample_weight=None, offset=None, **options):
    model = SoftmaxRegression(**{"C": np.inf, "tol": 1e-12, **options})
    return model.fit(X, y, sample_weight=sample_weight, offset=offset)


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    X = X[:, [0, 1, 3, 4]]
    return X, y, fitted(X, y)


@pytest.fixture(scope="module", params=CASES)
def case(request):
    load, columns, n_clusters = CASES[request.param]
    X, y = load(return_X_y=True)
    X = X[:, columns]
    clusters = np.arange(len(y)) % n_clusters
    return X, y, fitted(X, y), clusters, REFERENCE["cases"][request.param]


@pytest.mark.parametrize("kind", ["hessian", "sandwich", "clustered"])
def test_errors_intervals_and_tests_are_those_of_statsmodels(case, kind):
    X, y, model, clusters, reference = case
    expected = reference[kind if kind != "clustered" else "clustered_without_factor"]

    found = summary(
        model, X, y, covariance=kind, base=0, clusters=clusters if kind == "clustered" else None
    )

    # The factor G/(G − 1), which statsmodels only has together with one more.
    G = clusters.max() + 1
    factor = np.sqrt(G / (G - 1)) if kind == "clustered" else 1.0
    # Both fits end within 3e-7 standard errors of the optimum.
    assert found.estimates == pytest.approx(np.array(expected["estimates"]), rel=1e-6)
    errors = np.array(expected["standard_errors"]) * factor
    assert found.standard_errors == pytest.approx(errors, rel=1e-6)
    assert found.covariance == pytest.approx(np.array(expected["covariance"]) * factor**2, rel=1e-5)
    assert found.z == pytest.approx(np.array(expected["z"]) / factor, rel=1e-5)
    if kind != "clustered":
        # log p has the slope |z| by z: 10 · 1e-6.
        assert found.p_values == pytest.approx(np.array(expected["p_values"]), rel=1e-4)
        assert found.intervals[..., 0] == pytest.approx(np.array(expected["low"]), rel=1e-5)
        assert found.intervals[..., 1] == pytest.approx(np.array(expected["high"]), rel=1e-5)
    else:
        assert found.n_clusters == G


def test_the_likelihood_and_what_follows_from_it_are_those_of_statsmodels(case):
    X, y, model, _, reference = case

    found = summary(model, X, y, base=0)

    assert found.log_likelihood == pytest.approx(reference["log_likelihood"], rel=1e-10)
    assert found.log_likelihood_null == pytest.approx(reference["log_likelihood_null"], rel=1e-8)
    assert found.likelihood_ratio_test.statistic == pytest.approx(
        reference["likelihood_ratio"], rel=1e-8
    )
    assert found.likelihood_ratio_test.p_value == pytest.approx(
        reference["likelihood_ratio_p"], rel=1e-5
    )
    for name in ("mcfadden", "aic", "bic"):
        assert getattr(found, name) == pytest.approx(reference[name], rel=1e-8)


def test_the_covariance_is_the_inverse_of_a_numerical_hessian(wine):
    X, y, model = wine
    V = np.column_stack([np.ones(len(y)), X])
    found = summary(model, X, y, base=0)

    def gradient(u):
        p = softmax(np.column_stack([np.zeros(len(y)), V @ u.reshape(2, 5).T]), axis=1)
        return ((p - np.eye(3)[y])[:, 1:].T @ V).ravel()

    u, hessian = found.estimates.ravel(), np.empty((10, 10))
    for j in range(10):
        # Central difference of the gradient over 1e-4 of an error: relative error 1e-8.
        step = 1e-4 * found.standard_errors.ravel()[j] * np.eye(10)[j]
        hessian[j] = (gradient(u + step) - gradient(u - step)) / (2 * step[j])
    # The Hessian's condition number, 1e8, meets rounding of the differences, 1e-11 of it.
    scale = np.outer(found.standard_errors.ravel(), found.standard_errors.ravel())
    assert (found.covariance / scale) @ (hessian * scale) == pytest.approx(np.eye(10), abs=1e-4)


@pytest.mark.parametrize("kind", ["sandwich", "clustered"])
def test_the_meat_is_the_sum_of_squared_scores(wine, kind):
    X, y, model = wine
    clusters = np.arange(len(y)) // 10
    V = np.column_stack([np.ones(len(y)), X])
    residual = (model.predict_proba(X) - np.eye(3)[y])[:, 1:]

    H, M = np.zeros((10, 10)), np.zeros((10, 10))
    scores = [np.kron(r, v) for r, v in zip(residual, V, strict=True)]
    for p, v in zip(model.predict_proba(X)[:, 1:], V, strict=True):
        H += np.kron(np.diag(p) - np.outer(p, p), np.outer(v, v))
    units = np.arange(len(y)) if kind == "sandwich" else clusters
    for g in np.unique(units):
        total = sum(score for score, unit in zip(scores, units, strict=True) if unit == g)
        M += np.outer(total, total)
    G = len(np.unique(units))
    factor = G / (G - 1) if kind == "clustered" else 1.0
    expected = np.linalg.inv(H) @ M @ np.linalg.inv(H) * factor

    given = {"clusters": clusters} if kind == "clustered" else {}
    found = summary(model, X, y, base=0, covariance=kind, **given)
    # inv() of a matrix with condition number 1e8.
    assert found.covariance == pytest.approx(expected, rel=1e-5)


def test_by_default_the_table_holds_the_models_own_coefficients(wine):
    X, y, model = wine

    found = summary(model, X, y)

    assert found.base is None
    assert found.estimates[:, 1:] == pytest.approx(model.coef_, rel=1e-9)
    assert found.estimates[:, 0] == pytest.approx(model.intercept_, rel=1e-9)
    assert found.features == ("(intercept)", "x0", "x1", "x2", "x3")
    # A difference of two rows is the same contrast with another base.
    other = summary(model, X, y, base=2)
    C = found.covariance.reshape(3, 5, 3, 5)
    difference = C[0, :, 0, :] + C[2, :, 2, :] - C[0, :, 2, :] - C[2, :, 0, :]
    assert np.sqrt(difference.diagonal()) == pytest.approx(other.standard_errors[0], rel=1e-7)
    assert other.classes.tolist() == [0, 1]
    assert found.estimates[0] - found.estimates[2] == pytest.approx(other.estimates[0], rel=1e-9)


def test_two_classes_have_one_row_against_the_first(case):
    X, y, model, *_ = case
    if len(model.classes_) > 2:
        pytest.skip("this is about two classes")
    found = summary(model, X, y)

    assert found.estimates[:, 1:] == pytest.approx(model.coef_, rel=1e-9)
    assert found.base == 0
    assert found.classes.tolist() == [1]
    assert summary(model, X, y, base=1).estimates == pytest.approx(-found.estimates, rel=1e-12)


def test_wald_tests_of_features_join_the_classes(wine):
    X, y, model = wine

    found = summary(model, X, y, base=1)

    C = found.covariance.reshape(2, 5, 2, 5)
    for k, test in enumerate(found.feature_tests, start=1):
        effect, part = found.estimates[:, k], C[:, k, :, k]
        assert test.statistic == pytest.approx(effect @ np.linalg.inv(part) @ effect, rel=1e-7)
        assert test.degrees == 2
        assert test.p_value == pytest.approx(stats.chi2.sf(test.statistic, 2), rel=1e-10)
        assert test.feature == f"x{k - 1}"
    # The base does not matter.
    again = summary(model, X, y).feature_tests
    assert [t.statistic for t in again] == pytest.approx(
        [t.statistic for t in found.feature_tests], rel=1e-7
    )


def test_likelihood_ratio_tests_are_fits_without_the_feature(wine):
    X, y, model = wine

    found = likelihood_ratio_tests(model, X, y)

    with_all = -log_loss(y, model.predict_proba(X), normalize=False)
    for k, test in enumerate(found):
        fewer = np.delete(X, k, axis=1)
        fewer = (fewer - fewer.mean(axis=0)) / fewer.std(axis=0)
        other = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(fewer, y)
        without = -log_loss(y, other.predict_proba(fewer), normalize=False)
        assert test.statistic == pytest.approx(2 * (with_all - without), rel=1e-6)
        assert test.degrees == 2
    (only,) = likelihood_ratio_tests(model, X, y, features=["x2"])
    assert only.feature == "x2"
    assert only.statistic == pytest.approx(found[2].statistic, rel=1e-9)
    with pytest.raises(InputError, match="'x9' is none of the features"):
        likelihood_ratio_tests(model, X, y, features=["x9"])


def test_a_single_feature_has_the_likelihood_ratio_of_all(wine):
    X, y, _ = wine
    model = fitted(X[:, :1], y)

    (test,) = likelihood_ratio_tests(model, X[:, :1], y)

    assert test.statistic == pytest.approx(
        summary(model, X[:, :1], y).likelihood_ratio_test.statistic, rel=1e-8
    )


def test_under_a_penalty_it_is_the_posterior_of_the_symmetric_coefficients():
    X, y = load_iris(return_X_y=True)
    C = 0.7
    model = fitted(X, y, C=C, tol=1e-10)
    V = np.column_stack([np.ones(len(y)), X])

    H = np.diag(np.tile([0, 1, 1, 1, 1], 3) / C)
    for p, v in zip(model.predict_proba(X), V, strict=True):
        H += np.kron(np.diag(p) - np.outer(p, p), np.outer(v, v))
    # What is common to all classes is not in the model: project it out.
    P = np.kron(np.eye(3) - 1 / 3, np.eye(5))
    expected = P @ np.linalg.pinv(H, rcond=1e-12) @ P

    found = summary(model, X, y, covariance="penalised")

    assert found.covariance == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert "prior N(0, C)" in found.covariance_label
    assert np.isnan(found.p_values).all()
    assert np.isnan(found.likelihood_ratio_test.statistic)
    assert found.feature_tests == ()


def test_two_penalised_classes_have_the_penalty_of_their_one_row():
    X, y = load_breast_cancer(return_X_y=True)
    X = X[:, [1, 4]]
    model = fitted(X, y, C=0.01, tol=1e-10)
    V = np.column_stack([np.ones(len(y)), X])
    p = model.predict_proba(X)[:, 1]

    H = (V.T * (p * (1 - p))) @ V + np.diag([0, 100, 100])
    found = summary(model, X, y, covariance="penalised")

    assert found.covariance == pytest.approx(np.linalg.inv(H), rel=1e-6)


def test_weights_are_repeated_rows_in_the_hessian_and_not_in_the_sandwich(wine):
    X, y, _ = wine
    weight = 1.0 + np.arange(len(y)) % 2
    model = fitted(X, y, sample_weight=weight)
    whole = np.repeat(np.arange(len(y)), weight.astype(int))

    found = summary(model, X, y, sample_weight=weight)
    repeated = summary(fitted(X[whole], y[whole]), X[whole], y[whole])

    # Two fits, each within 1e-6 errors of the optimum.
    assert found.covariance == pytest.approx(repeated.covariance, rel=1e-5)
    assert found.bic == pytest.approx(repeated.bic, rel=1e-9)
    robust = summary(model, X, y, sample_weight=weight, covariance="sandwich")
    clustered = summary(
        fitted(X[whole], y[whole]), X[whole], y[whole], covariance="clustered", clusters=whole
    )
    n = len(y)
    assert robust.covariance * n / (n - 1) == pytest.approx(clustered.covariance, rel=1e-5)


def test_offsets_sparse_rows_soft_targets_and_no_intercept_go_through(wine):
    X, y, _ = wine
    X = X / X.std(axis=0)
    rng = np.random.default_rng(0)
    offset = rng.normal(size=(len(y), 3))
    Y = 0.8 * np.eye(3)[y] + 0.2 / 3

    dense = fitted(X, Y, offset=offset, fit_intercept=False)
    found = summary(dense, X, Y, offset=offset)
    sparse = summary(
        fitted(sp.csr_array(X), Y, offset=offset, fit_intercept=False),
        sp.csr_array(X),
        Y,
        offset=offset,
    )

    assert found.features == ("x0", "x1", "x2", "x3")
    assert sparse.covariance == pytest.approx(found.covariance, rel=1e-5)
    logits = X @ dense.coef_.T + offset
    assert found.log_likelihood == pytest.approx((Y * log_softmax(logits, axis=1)).sum(), rel=1e-12)
    null = (Y * log_softmax(offset, axis=1)).sum()
    assert found.log_likelihood_null == pytest.approx(null, rel=1e-9)


def test_scaling_a_column_scales_its_coefficient_and_error(wine):
    X, y, model = wine
    factors = np.array([1e4, 1.0, 1e-5, 1.0])

    found = summary(fitted(X * factors, y), X * factors, y)

    expected = summary(model, X, y)
    by = np.concatenate([[1.0], factors])
    assert found.standard_errors * by == pytest.approx(expected.standard_errors, rel=1e-5)
    assert found.z == pytest.approx(expected.z, rel=1e-5)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(3)
    W, b = np.array([[0.8, -0.5], [-0.4, 0.3], [-0.4, 0.2]]), np.array([0.2, -0.1, -0.1])
    hits = []
    for _ in range(80):
        X = rng.normal(size=(150, 2))
        y = (X @ W.T + b + rng.gumbel(size=(150, 3))).argmax(axis=1)
        found = summary(fitted(X, y, tol=1e-9), X, y)
        low, high = np.moveaxis(found.intervals, -1, 0)
        truth = np.column_stack([b, W])
        hits.append((low <= truth) & (truth <= high))

    # 80 draws of nine dependent intervals are as good as some 200 independent ones: 1.5 %; three.
    assert np.mean(hits) == pytest.approx(0.95, abs=0.045)


def test_names_of_columns_and_classes_stand_in_the_table_and_its_text():
    pd = pytest.importorskip("pandas")
    X, y = load_wine(return_X_y=True)
    frame = pd.DataFrame(X[:, [0, 1]], columns=["alcohol", "acid"])
    names = np.array(["barolo", "grignolino", "barbera"])[y]

    found = summary(fitted(frame, names), frame, names, base="barbera", level=0.9)
    text = str(found)

    assert found.features == ("(intercept)", "alcohol", "acid")
    assert found.classes.tolist() == ["barolo", "grignolino"]
    for part in (
        "each class against 'barbera'",
        "barolo",
        "alcohol",
        "5 %",
        "95 %",
        "exact Hessian",
    ):
        assert part in text
    first = next(iter(found.rows()))
    assert (first.label, first.feature) == ("barolo", "(intercept)")
    assert f"{first.estimate:.5g}" in text
    assert first.high - first.low == pytest.approx(2 * 1.6448536 * first.standard_error, rel=1e-6)


def test_what_has_no_standard_errors_is_refused(wine):
    X, y, model = wine
    iris, kinds = load_iris(return_X_y=True)

    with pytest.raises(InputError, match=r"has a penalty \(C = 1\).*covariance='penalised'"):
        summary(SoftmaxRegression().fit(X, y), X, y)
    with pytest.raises(InputError, match="has no penalty"):
        summary(model, X, y, covariance="penalised")
    with pytest.warns(UserWarning, match="separated by planes"):
        split = fitted(iris, kinds == 0)
    with pytest.raises(InputError, match=r"Planes separate the classes.*finite C"):
        summary(split, iris, kinds == 0)
    with pytest.warns(UserWarning, match="ran out"):
        early = fitted(X, y, max_iter=2)
    with pytest.raises(InputError, match="did not converge"):
        summary(early, X, y)
    with pytest.raises(InputError, match="class weights"):
        summary(fitted(X, y, class_weight="balanced"), X, y)
    with pytest.raises(InputError, match="SoftmaxRegression with that C"):
        summary(SoftmaxRegressionCV(Cs=[1.0]).fit(X, y), X, y)
    with pytest.raises(InputError, match="LogisticRegression has no likelihood"):
        summary(LogisticRegression(max_iter=500).fit(iris, kinds), iris, kinds)


def test_other_rows_than_those_fitted_to_are_noticed(wine):
    X, y, model = wine

    with pytest.raises(InputError, match="standard errors from the optimum for these rows"):
        summary(model, X[5:], y[5:])
    with pytest.raises(InputError, match="y has the classes"):
        summary(model, X, np.array(list("abc"))[y])
    with pytest.raises(ValueError, match="features"):
        summary(model, X[:, :3], y)
    exact = summary(model, X, y)
    assert exact.distance < 1e-3


def test_columns_that_others_determine_are_named(wine):
    X, y, _ = wine
    twice = np.column_stack([X[:, :2], X[:, 0] + X[:, 1]])
    constant = np.column_stack([X[:, :2], np.ones(len(y))])

    with pytest.raises(InputError, match=r"do not determine the coefficients of '(x0|x1|x2)'"):
        summary(fitted(twice, y, tol=1e-8), twice, y)
    with pytest.raises(InputError, match="do not determine the coefficients of 'x2'"):
        summary(fitted(constant, y, tol=1e-8), constant, y)


def test_options_that_cannot_be_used_are_refused(wine):
    X, y, model = wine

    for options, words in (
        ({"covariance": "HC0"}, "`covariance` is 'HC0'"),
        ({"level": 1.5}, "`level` is 1.5"),
        ({"covariance": "clustered"}, "Pass `clusters`"),
        ({"clusters": y}, "Pass `clusters`"),
        ({"covariance": "clustered", "clusters": y[:5]}, r"shape \(5,\)"),
        ({"covariance": "clustered", "clusters": 0 * y}, "one cluster"),
        ({"base": 7}, "`base` is 7"),
    ):
        with pytest.raises(InputError, match=words):
            summary(model, X, y, **options)


def test_a_class_without_rows_stands_in_no_table(wine):
    X, y, _ = wine
    model = fitted(X, y, classes=[0, 1, 2, 3])

    found = summary(model, X, y)

    assert found.classes.tolist() == [0, 1, 2]
    assert found.standard_errors == pytest.approx(
        summary(fitted(X, y), X, y).standard_errors, rel=1e-6
    )
