"""A structured W in scikit-learn's contract, searches, paths; warm starts that leave a saddle."""

import warnings

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from crossent import SoftmaxRegression, SoftmaxRegressionCV, Status
from crossent.errors import InputError
from crossent.linear_maps import Dense, LowRank, Toeplitz
from crossent.linear_model import RangeWarning, compress, softmax_path

OTHERS = ("low_rank", "monarch", "phm", "toeplitz_like", "adaptive_fastfood")


def not_for(estimator):
    """The check asks for an accuracy that so few parameters do not reach."""
    if estimator.linear_map in ("circulant", "low_rank"):
        return {"check_classifiers_train": "3 parameters for three classes of two features"}
    return {}


@parametrize_with_checks(
    [
        SoftmaxRegression(linear_map="circulant"),
        SoftmaxRegression(linear_map="quaternion", max_iter=200),
        SoftmaxRegression(linear_map="low_rank", max_iter=200),
    ],
    expected_failed_checks=not_for,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::crossent.linear_model.RangeWarning")
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits(load):
    X, y = load("digits")
    return X[:200] / 16, y[:200]


@pytest.mark.parametrize("name", OTHERS)
def test_a_warm_start_leaves_the_saddle_to_which_a_strong_penalty_led(name, digits):
    X, y = digits
    settings = {"linear_map": name, "tol": 1e-2, "max_iter": 500}
    cold = SoftmaxRegression(C=100.0, **settings).fit(X, y)
    model = SoftmaxRegression(C=1e-6, warm_start=True, **settings).fit(X, y)
    assert np.abs(model.coef_).max() < 1e-5  # the penalty has drawn all factors to zero
    model.set_params(C=100.0).fit(X, y)
    assert model.certificate_.status is Status.LOCAL_OPTIMUM
    # Not the same local optimum, but one like it; the saddle's objective is log 10 = 2.30.
    assert model.certificate_.objective < 1.5 * cold.certificate_.objective
    assert model.certificate_.objective < 2.0


@pytest.mark.parametrize("name", OTHERS)
def test_a_warm_start_leaves_the_saddle_of_a_w_that_is_zero(name, digits):
    X, y = digits
    model = SoftmaxRegression(C=100.0, warm_start=True, max_iter=500, tol=1e-2).fit(0 * X, y)
    model.set_params(linear_map=name).fit(X, y)
    assert model.certificate_.objective < 2.0  # log 10 = 2.30 at W = 0


def test_a_warm_start_that_moves_logits_is_kept(digits):
    X, y = digits
    # Columns c times as large take a W that is 1/c as large: the problem of C = 1 at c = 1.
    settings = {"linear_map": LowRank((10, 64), 4), "tol": 1e-8, "max_iter": 2000}
    model = SoftmaxRegression(C=1e-6, warm_start=True, **settings).fit(X * 1e6, y)
    assert np.abs(model.coef_).max() < 1e-5
    theta = model.theta_.copy()
    model.fit(X * 1e6, y)
    np.testing.assert_allclose(model.theta_, theta, atol=0.01 * np.abs(theta).max())
    assert model.n_iter_[0] <= 3


def test_a_search_may_choose_c_and_the_map(digits):
    X, y = digits
    grid = {"C": [1e-3, 1.0], "linear_map": ["circulant", "dense", Toeplitz((10, 64))]}
    search = GridSearchCV(SoftmaxRegression(), grid, scoring="neg_log_loss", cv=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RangeWarning)
        search.fit(X, y)
    assert search.best_params_ == {"C": 1.0, "linear_map": "dense"}
    assert not hasattr(search.best_estimator_, "theta_")


@pytest.mark.parametrize(
    ("linear_map", "kind"), [("circulant", "'circulant'"), (LowRank((10, 64), 2), "LowRank")]
)
def test_a_path_refuses_a_structured_w_and_says_what_to_do(linear_map, kind, digits):
    X, y = digits
    with pytest.raises(InputError, match=f"linear_map is {kind}.*warm_start=True.*GridSearchCV"):
        softmax_path(X, y, Cs=[1.0], estimator=SoftmaxRegression(linear_map=linear_map))


def test_a_path_takes_a_dense_map_and_a_cross_validated_model_has_none(digits):
    X, y = digits
    path = softmax_path(X, y, Cs=[1.0], estimator=SoftmaxRegression(linear_map=Dense((10, 64))))
    assert path.certificates[0].converged
    assert "linear_map" not in SoftmaxRegressionCV().get_params()
    with pytest.raises(TypeError, match="linear_map"):
        SoftmaxRegressionCV(linear_map="circulant")


@pytest.mark.parametrize("options", [{"rank": 100}, {"rank": 0}])
def test_compression_refuses_a_rank_that_the_matrix_cannot_have(options, digits):
    X, y = digits
    model = SoftmaxRegression().fit(X, y)
    with pytest.raises(InputError, match="from 1 to 10"):
        compress(model, "toeplitz_like", **options)
