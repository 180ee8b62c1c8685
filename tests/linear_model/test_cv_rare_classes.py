"""A class that a fold cannot know costs a warning, never an infinite score or a wrong choice."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from crossent import SoftmaxRegressionCV

X, LABELS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica", "unicorn"])
CS = [1e-3, 0.1, 10.0]


@pytest.fixture
def with_a_unicorn():
    """Row 7 is the only one of its class; StratifiedKFold(5) holds it out in fold 4."""
    labels = LABELS.copy()
    labels[7] = 3
    return X, NAMES[labels]


def fit_quietly(*data, **options):
    """Without the warnings, which other tests are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SoftmaxRegressionCV(Cs=CS, tol=1e-12, **options).fit(*data)


def test_a_class_of_one_row_is_named_in_a_warning(with_a_unicorn):
    with (
        pytest.warns(UserWarning, match="1 of 5 folds .*'unicorn'"),
        pytest.warns(UserWarning, match="least populated class"),  # scikit-learn's own
    ):
        model = SoftmaxRegressionCV(Cs=CS).fit(*with_a_unicorn)

    assert [names.tolist() for names in model.unseen_classes_] == [[], [], [], [], ["unicorn"]]


def test_the_score_is_the_log_loss_of_the_rows_that_can_be_known(with_a_unicorn):
    X, names = with_a_unicorn

    model = fit_quietly(X, names)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train, test = list(StratifiedKFold(5).split(X, names))[4]
    assert 7 in test
    test = test[test != 7]
    for i, C in enumerate(CS):
        alone = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000)
        p = alone.fit(X[train], names[train]).predict_proba(X[test])
        expected = -log_loss(names[test], p, labels=alone.classes_)
        assert model.scores_[4, i] == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(model.scores_).all()


def test_the_fold_that_lacks_a_class_gives_it_probability_zero(with_a_unicorn):
    model = fit_quietly(*with_a_unicorn)

    unicorn = model.classes_.tolist().index("unicorn")
    assert model.intercepts_paths_.shape == (5, 3, 4)
    assert np.all(model.intercepts_paths_[4, :, unicorn] == -np.inf)
    assert np.all(model.coefs_paths_[4, :, unicorn] == 0)
    assert np.isfinite(model.intercepts_paths_[:4]).all()
    # The refit has the row, and starts from the folds that know it.
    assert np.isfinite(model.intercept_).all()
    assert model.absent_classes_.size == 0


def test_any_floor_under_the_probabilities_would_rank_the_same(with_a_unicorn):
    X, names = with_a_unicorn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folds = list(StratifiedKFold(5).split(X, names))
    model = fit_quietly(X, names)

    floored = np.zeros((5, 3))
    for k, (train, test) in enumerate(folds):
        for i, C in enumerate(CS):
            alone = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000)
            alone.fit(X[train], names[train])
            p = np.full((len(test), 4), 1e-6)
            at = np.searchsorted(model.classes_, alone.classes_)
            p[:, at] = alone.predict_proba(X[test])
            p /= p.sum(axis=1, keepdims=True)
            floored[k, i] = -log_loss(names[test], p, labels=model.classes_)

    # Each fold's scores differ from those by one constant and the share of the row left out.
    sizes = np.array([len(test) for _, test in folds])
    kept = sizes - np.array([0, 0, 0, 0, 1])
    constant = floored * sizes[:, None] - model.scores_ * kept[:, None]
    assert np.ptp(constant, axis=1).max() < 1e-3  # the floor itself: 30 rows of 1e-6 or less
    assert np.argmax(floored.mean(axis=0)) == np.argmax(model.mean_scores_)


def test_a_class_of_two_rows_is_known_to_every_stratified_fold():
    labels = LABELS.copy()
    labels[[7, 8]] = 3

    with pytest.warns(UserWarning, match="least populated class") as caught:
        model = SoftmaxRegressionCV(Cs=CS).fit(X, NAMES[labels])

    assert len(caught) == 1
    assert all(len(names) == 0 for names in model.unseen_classes_)
    assert np.isfinite(model.scores_).all()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_of_distributions_the_unknown_share_of_each_row_is_left_out(container):
    rng = np.random.default_rng(0)
    train, test = np.arange(0, 150, 2), np.arange(1, 150, 2)
    soft = np.zeros((150, 4))
    soft[train, :3] = rng.dirichlet([1, 1, 1], 75)
    soft[test] = rng.dirichlet([1, 1, 1, 1], 75)

    model = SoftmaxRegressionCV(Cs=[0.1], cv=[(train, test)], tol=1e-12)
    with pytest.warns(UserWarning, match="1 of 1 folds .*: 3"):
        model.fit(X, container(soft))

    # -Σ y log p over the three known classes, per unit of their mass.
    alone = LogisticRegression(C=0.1, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    alone.fit(np.repeat(X[train], 3, axis=0), np.tile([0, 1, 2], 75), soft[train, :3].ravel())
    known = soft[test, :3]
    expected = (known * alone.predict_log_proba(X[test])).sum() / known.sum()
    assert model.scores_[0, 0] == pytest.approx(expected, rel=1e-6)


def test_a_held_out_row_of_weight_zero_has_no_say_whatever_its_class():
    labels = np.append(LABELS, 3)
    rows, weight = np.vstack([X, X[:1]]), np.append(np.ones(150), 0.0)
    train, test = np.arange(0, 150, 2), np.append(np.arange(1, 150, 2), 150)
    options = {"Cs": CS, "cv": [(train, test)], "classes": [0, 1, 2, 3]}

    model = SoftmaxRegressionCV(**options).fit(rows, labels, weight)

    without = SoftmaxRegressionCV(**options | {"cv": [(train, test[:-1])]}).fit(X, LABELS)
    assert np.array_equal(model.scores_, without.scores_)


def test_classes_that_are_given_and_never_seen_need_no_warning():
    model = SoftmaxRegressionCV(Cs=CS, classes=[0, 1, 2, 9]).fit(X, LABELS)

    plain = SoftmaxRegressionCV(Cs=CS).fit(X, LABELS)
    assert np.allclose(model.scores_, plain.scores_, rtol=1e-9)
    assert model.absent_classes_.tolist() == [9]
    assert np.all(model.predict_proba(X)[:, 3] == 0)


def test_scorers_see_the_unknown_rows(with_a_unicorn):
    X, names = with_a_unicorn

    model = fit_quietly(X, names, scoring="accuracy")

    # 30 held-out rows in that fold, one of which nobody could have predicted.
    assert np.all(model.scores_[4] <= 29 / 30)
    assert model.scores_[4].max() > 0.8
