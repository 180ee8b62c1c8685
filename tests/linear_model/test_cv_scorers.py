"""Any scikit-learn scorer may choose C, and is told all that it can use."""

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import StratifiedKFold, cross_val_score

from crossent import SoftmaxRegression, SoftmaxRegressionCV
from crossent.errors import InputError

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["x", "y", "z"])[Y]
CS = [1e-4, 0.1, 10.0]


@pytest.mark.parametrize(
    "scoring", ["accuracy", "f1_macro", "roc_auc_ovr", "neg_brier_score", "balanced_accuracy"]
)
def test_scores_are_those_of_cross_val_score(scoring):
    model = SoftmaxRegressionCV(Cs=CS, scoring=scoring, tol=1e-12).fit(X, NAMES)

    expected = np.transpose(
        [
            cross_val_score(
                LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000),
                X,
                NAMES,
                scoring=scoring,
                cv=5,
            )
            for C in CS
        ]
    )
    assert np.allclose(model.scores_, expected, rtol=1e-6)
    assert model.Cs_[np.argmax(expected.mean(axis=0))] == model.C_


def test_the_name_of_the_log_loss_means_the_default():
    by_name = SoftmaxRegressionCV(Cs=CS, scoring="neg_log_loss").fit(X, Y)

    assert np.array_equal(by_name.scores_, SoftmaxRegressionCV(Cs=CS).fit(X, Y).scores_)


def test_scorers_get_the_weights_of_rows_but_not_of_classes():
    weight = np.random.default_rng(0).uniform(0, 2, 150)

    model = SoftmaxRegressionCV(Cs=[0.1], scoring="accuracy", class_weight={"x": 5.0}, cv=3)
    model.fit(X, NAMES, sample_weight=weight)

    for k, (train, test) in enumerate(StratifiedKFold(3).split(X, NAMES)):
        alone = SoftmaxRegression(C=0.1, class_weight={"x": 5.0})
        alone.fit(X[train], NAMES[train], weight[train])
        expected = accuracy_score(NAMES[test], alone.predict(X[test]), sample_weight=weight[test])
        assert model.scores_[k, 0] == pytest.approx(expected, rel=1e-14)


def test_a_function_gets_a_fitted_model_with_its_C_and_certificate():
    seen = []

    def scorer(estimator, rows, truth):
        seen.append((estimator.C, estimator.certificate_.converged, rows.shape, set(truth)))
        return estimator.C == 0.1

    model = SoftmaxRegressionCV(Cs=CS, scoring=scorer, cv=5, n_jobs=1).fit(X, NAMES)

    assert seen[:3] == [(C, True, (30, 4), {"x", "y", "z"}) for C in CS]
    assert model.C_ == 0.1  # found by a scorer whose maximum lies inside the grid


def test_a_function_gets_distributions_as_they_were_given():
    soft = np.random.default_rng(0).dirichlet([1, 1, 1], 150)
    train, test = np.arange(0, 150, 2), np.arange(1, 150, 2)

    def scorer(estimator, rows, truth):
        assert np.array_equal(truth, soft[test])
        return -estimator.surprisal(rows, truth).mean()

    options = {"Cs": CS, "cv": [(train, test)]}
    model = SoftmaxRegressionCV(**options, scoring=scorer).fit(X, soft)

    default = SoftmaxRegressionCV(**options).fit(X, soft)
    assert np.allclose(model.scores_, default.scores_, rtol=1e-9)


def test_scorers_run_under_the_callers_configuration():
    seen = []

    def scorer(estimator, rows, truth):
        seen.append(sklearn.get_config()["working_memory"])
        return 0.0

    with sklearn.config_context(working_memory=123):
        SoftmaxRegressionCV(Cs=[1.0], scoring=scorer, n_jobs=2, n_threads=2).fit(X, Y)

    assert seen == [123] * 5


def test_a_scorer_that_would_ignore_what_was_given_is_refused():
    weight, soft = np.ones(150), np.full((150, 3), 1 / 3)

    def plain(estimator, rows, truth):
        return 0.0

    with pytest.raises(InputError, match="takes no sample_weight"):
        SoftmaxRegressionCV(scoring=plain).fit(X, Y, sample_weight=weight)
    unweighted = make_scorer(lambda truth, found: float(np.mean(truth == found)))
    with pytest.raises(InputError, match="takes no sample_weight"):
        SoftmaxRegressionCV(scoring=unweighted).fit(X, Y, sample_weight=weight)
    with pytest.raises(InputError, match="compares classes"):
        SoftmaxRegressionCV(scoring="accuracy").fit(X, soft)
    with pytest.raises(InputError, match="without the offset"):
        SoftmaxRegressionCV(scoring="accuracy").fit(X, Y, offset=np.zeros((150, 3)))
    with pytest.raises(InputError, match="scoring is 3"):
        SoftmaxRegressionCV(scoring=3).fit(X, Y)


def test_a_score_that_is_nan_is_refused_with_fold_and_C():
    def scorer(estimator, rows, truth):
        return np.nan if estimator.C == 0.1 else 1.0

    with pytest.raises(InputError, match=r"NaN in fold 0 for C=0\.1"):
        SoftmaxRegressionCV(Cs=CS, scoring=scorer).fit(X, Y)
