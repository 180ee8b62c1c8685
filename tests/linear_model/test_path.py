"""A path's points are the optima of separate fits, and cost fewer passes."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from crossent import SoftmaxRegression, softmax_path
from crossent.errors import InputError
from crossent.linear_model.path import _reach, read_grid

IRIS = load_iris(return_X_y=True)


def reference(X, y, C, **options):
    """scikit-learn's Newton with a Cholesky factor: exact to rounding where it converges."""
    model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    return model.fit(X, y, **options)


def distance_bound(model):
    """‖W - W*‖ ≤ √(2 gap / λ): the objective less its minimum is at least λ/2 times the square.

    With two classes gap and λ are those of the one row w₁ - w₀.
    """
    return np.sqrt(2 * model.certificate_.gap / model.penalty_)


@pytest.mark.parametrize("data", [IRIS, load_breast_cancer(return_X_y=True)])
def test_every_point_is_scikit_learns_optimum_within_its_certificate(data):
    X, y = data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    Cs = [1e-3, 0.1, 10]

    path = softmax_path(X, y, Cs=Cs, estimator=SoftmaxRegression(tol=1e-12))

    for C, model in zip(Cs, path.models, strict=True):
        expected = reference(X, y, C).coef_
        # Twice the bound: the reference has an error of its own. It is 1e-4 of ‖W‖ or less.
        bound = 2 * distance_bound(model)
        assert bound < 1e-3 * np.linalg.norm(expected)
        assert np.linalg.norm(model.coef_ - expected) <= bound
        assert model.certificate_.relative_gap <= 1e-12
        assert model.C == C


def test_a_path_takes_less_than_half_the_passes_of_separate_fits():
    X, y = load_digits(return_X_y=True)
    Cs = np.logspace(-4, 4, 9)

    path = softmax_path(X[::2] / 16, y[::2], Cs=Cs)
    separate = [SoftmaxRegression(C=C).fit(X[::2] / 16, y[::2]) for C in Cs]

    along = sum(certificate.passes for certificate in path.certificates)
    assert along < 0.5 * sum(model.certificate_.passes for model in separate)
    assert all(certificate.relative_gap <= 1e-6 for certificate in path.certificates)


def test_the_start_lies_on_the_line_through_two_optima_in_log_C():
    # W = 3 log10(C) + 1 and b = -log10(C), linear in log C, so the line meets them exactly.
    def optimum(C):
        t = np.log10(C)
        return np.array([[3 * t + 1.0]]), np.array([-t])

    W, b = _reach((0.1, optimum(0.1)), (1.0, optimum(1.0)), 10.0**0.5)

    assert np.allclose(W, optimum(10**0.5)[0], rtol=1e-14)
    assert np.allclose(b, optimum(10**0.5)[1], rtol=1e-14)


def test_the_line_is_not_followed_further_than_twice_its_length():
    here, before = (np.array([[2.0]]), np.array([0.0])), (np.array([[1.0]]), np.array([0.0]))

    W, _ = _reach((1.0, before), (2.0, here), 1e9)

    assert W[0, 0] == 4.0  # 2 + 2·(2 - 1)


def test_without_a_penalty_the_last_optimum_is_the_start():
    here, before = (np.array([[2.0]]), np.array([0.0])), (np.array([[1.0]]), np.array([0.0]))

    assert _reach((1.0, before), (2.0, here), np.inf) is here


def test_an_infinite_C_ends_the_path_without_penalty():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = (X @ [1.0, -0.5] + rng.logistic(size=300) > 0).astype(int)

    path = softmax_path(X, y, Cs=[1, np.inf])

    expected = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(X, y)
    assert path.models[1].penalty_ == 0
    # Newton decrement ≤ 1e-6 f; the Hessian's least eigenvalue is above 0.05 here: ½·0.05·‖Δ‖²
    # ≤ 1e-6, so ‖Δ‖ ≤ 7e-3.
    assert np.linalg.norm(path.models[1].coef_ - expected.coef_) < 7e-3


def test_a_class_without_rows_stays_absent_along_the_path():
    X, y = IRIS

    path = softmax_path(X, y, Cs=3, estimator=SoftmaxRegression(classes=[0, 1, 7, 2]))

    assert all(model.absent_classes_.tolist() == [7] for model in path.models)
    assert np.all(path.intercepts[:, 2] == -np.inf)
    assert np.all(path.coefs[:, 2] == 0)
    assert np.all(path.models[2].predict_proba(X[:3])[:, 2] == 0)


def test_the_grid_is_sorted_and_without_repetitions():
    assert read_grid([10, 0.1, np.inf, 10]).tolist() == [0.1, 10, np.inf]


def test_an_integer_grid_is_that_of_scikit_learn():
    assert np.allclose(read_grid(5), [1e-4, 1e-2, 1, 1e2, 1e4], rtol=1e-15)
    assert read_grid(1).tolist() == [1]


@pytest.mark.parametrize(
    ("Cs", "words"),
    [
        (0, "at least 1"),
        ([1, -2], r"Cs\[1\] is -2"),
        ([0.5, np.nan], r"Cs\[1\] is nan"),
        ([], "number of values"),
        ("all", "number of values"),
        ([[1, 2]], "number of values"),
        (1.5, "number of values"),
    ],
)
def test_a_grid_that_is_none_is_refused_with_its_value(Cs, words):
    with pytest.raises(InputError, match=words):
        softmax_path(*IRIS, Cs=Cs)


def test_settings_come_from_the_estimator_which_stays_as_it_was():
    settings = SoftmaxRegression(C=7.0, fit_intercept=False, class_weight="balanced", tol=1e-9)

    path = softmax_path(*IRIS, Cs=[2.0], estimator=settings)

    expected = SoftmaxRegression(C=2.0, fit_intercept=False, class_weight="balanced", tol=1e-9)
    expected.fit(*IRIS)
    assert np.array_equal(path.coefs[0], expected.coef_)
    assert settings.C == 7.0
    assert not hasattr(settings, "n_features_in_")


def test_something_else_than_a_softmax_regression_gives_no_settings():
    with pytest.raises(InputError, match="must be a SoftmaxRegression"):
        softmax_path(*IRIS, estimator=LogisticRegression())


def test_weights_offsets_sparse_rows_and_distributions_reach_every_point():
    X = IRIS[0]
    rng = np.random.default_rng(1)
    weight, offset = rng.uniform(0.5, 2, 150), rng.normal(size=(150, 3))
    soft = rng.dirichlet([1, 1, 1], 150)
    Cs = [0.01, 1.0]

    path = softmax_path(
        sp.csr_array(X),
        soft,
        Cs=Cs,
        sample_weight=weight,
        offset=offset,
        estimator=SoftmaxRegression(tol=1e-12),
    )

    for C, model in zip(Cs, path.models, strict=True):
        alone = SoftmaxRegression(C=C, tol=1e-12).fit(X, soft, weight, offset)
        bound = distance_bound(model) + distance_bound(alone)
        assert np.linalg.norm(model.coef_ - alone.coef_) <= bound < 1e-3


def test_models_know_the_names_of_columns_and_predict():
    frame = pd.DataFrame(IRIS[0], columns=list("abcd"))

    path = softmax_path(frame, IRIS[1], Cs=2)

    assert path.models[1].feature_names_in_.tolist() == list("abcd")
    assert path.models[1].schema_.names == tuple("abcd")
    assert path.models[1].score(frame, IRIS[1]) > 0.9
    assert path.models[0].trace_[-1].certified
    assert path.classes.tolist() == [0, 1, 2]
    assert path.coefs.shape == (2, 3, 4)
    assert path.intercepts.shape == (2, 3)


def test_one_warning_tells_of_all_points_that_did_not_converge():
    with pytest.warns(ConvergenceWarning, match="2 of 2 fits .* The worst, C=") as caught:
        softmax_path(*IRIS, Cs=[1, 100], estimator=SoftmaxRegression(max_iter=2))

    assert len(caught) == 1
    assert "Raise `max_iter`" in str(caught[0].message)


def test_a_line_per_point_goes_to_standard_error(capsys):
    softmax_path(*IRIS, Cs=[0.5, 2], estimator=SoftmaxRegression(verbose=1))

    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["0.5", "2"]
    assert "converged" in lines[0]


def test_missing_targets_and_bad_rows_are_refused_as_in_a_fit():
    X, y = IRIS
    with pytest.raises(InputError, match="y is None"):
        softmax_path(X, None)
    with pytest.raises(InputError, match="NaN"):
        softmax_path(np.vstack([X[:-1], np.full(4, np.nan)]), y)
    with pytest.raises(InputError, match="Only one class"):
        softmax_path(X[:1], y[:1])
    with pytest.raises(InputError, match="out of range"):
        softmax_path(X, y, Cs=[1, 1e299])
