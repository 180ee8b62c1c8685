"""The scores are those of separate fits, the choice follows from them, the model is refitted."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    PredefinedSplit,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.utils.estimator_checks import parametrize_with_checks

import crossent
from crossent import SoftmaxRegression, SoftmaxRegressionCV
from crossent.errors import InputError
from crossent.linear_model.selection import mean_and_error, select

IRIS = load_iris(return_X_y=True)
CS = [1e-3, 0.1, 10.0]


def exact(C):
    return LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000)


@parametrize_with_checks([SoftmaxRegressionCV(Cs=2, cv=3)])
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


def loss_bound(model, X):
    """How far a held-out mean loss can be from the optimum's, for every fold and C.

    ‖W - W*‖ ≤ √(2 gap/λ) and the intercept, being optimal for its W, moves by no more than the
    logits do: a logit moves by 2 ‖W - W*‖ max‖x‖ at most, and a loss by twice that.
    """
    n = len(X) * 0.8
    gap = np.array([[c.gap for c in fold] for fold in model.certificates_])
    factor = 2.0 if len(model.classes_) == 2 else 1.0
    far = np.sqrt(2 * gap * n * model.Cs_ / factor)
    return 4 * far * np.linalg.norm(X, axis=1).max()


@pytest.mark.parametrize("data", [IRIS, load_breast_cancer(return_X_y=True)])
def test_scores_are_those_of_separate_exact_fits(data):
    X, y = data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    y = np.array(["a", "b", "c"])[y]

    model = SoftmaxRegressionCV(Cs=CS, tol=1e-13).fit(X, y)

    expected = np.transpose(
        [cross_val_score(exact(C), X, y, scoring="neg_log_loss", cv=5) for C in CS]
    )
    bound = loss_bound(model, X)
    assert bound.max() < 1e-2 * np.abs(expected).max()
    assert np.all(np.abs(model.scores_ - expected) <= bound)
    assert np.all(np.abs(model.scores_ - expected) <= 1e-5 * np.abs(expected))  # measured: 1e-7
    assert model.Cs_[np.argmax(expected.mean(axis=0))] == model.C_


def test_every_point_of_every_fold_is_certified():
    model = SoftmaxRegressionCV(Cs=CS, tol=1e-8).fit(*IRIS)

    assert np.shape(model.certificates_) == (5, 3)
    assert all(c.kind == "gap" and c.relative_gap <= 1e-8 for f in model.certificates_ for c in f)
    assert model.n_iter_.tolist() == [[c.passes for c in f] for f in model.certificates_]


def test_the_paths_are_the_optima_of_the_folds():
    X, y = IRIS

    model = SoftmaxRegressionCV(Cs=CS, cv=3, tol=1e-12).fit(X, y)

    for k, (train, _) in enumerate(StratifiedKFold(3).split(X, y)):
        for i, C in enumerate(CS):
            expected = exact(C).fit(X[train], y[train])
            # √(2 gap/λ) as in the certificate, doubled for the reference's own error.
            bound = 2 * np.sqrt(2 * model.certificates_[k][i].gap * C * len(train))
            assert np.linalg.norm(model.coefs_paths_[k, i] - expected.coef_) <= bound
            # Intercepts are free up to a constant; ours sum to zero.
            shift = expected.intercept_ - expected.intercept_.mean()
            assert np.allclose(model.intercepts_paths_[k, i], shift, atol=10 * bound)
            assert bound < 1e-3 * max(np.linalg.norm(expected.coef_), 0.1)


def test_two_classes_keep_one_row_along_the_paths():
    X, y = IRIS[0][:100], IRIS[1][:100]

    model = SoftmaxRegressionCV(Cs=CS, cv=4).fit(X, y)

    assert model.coefs_paths_.shape == (4, 3, 1, 4)
    assert model.intercepts_paths_.shape == (4, 3, 1)
    train, _ = next(StratifiedKFold(4).split(X, y))
    alone = SoftmaxRegression(C=10.0).fit(X[train], y[train])
    far = np.sqrt(2 * alone.certificate_.gap / alone.penalty_)
    far += np.sqrt(2 * model.certificates_[0][2].gap / alone.penalty_)
    assert np.linalg.norm(model.coefs_paths_[0, 2] - alone.coef_) <= far < 0.05


def test_the_model_is_refitted_to_all_rows_at_the_chosen_C():
    X, y = IRIS

    model = SoftmaxRegressionCV(Cs=CS, tol=1e-10).fit(X, y)

    alone = SoftmaxRegression(C=model.C_, tol=1e-10).fit(X, y)
    bound = np.sqrt(2 * model.certificate_.gap / model.penalty_)
    bound += np.sqrt(2 * alone.certificate_.gap / alone.penalty_)
    assert np.linalg.norm(model.coef_ - alone.coef_) <= bound < 1e-2
    assert model.model_.C == model.C_
    assert model.penalty_ == pytest.approx(1 / (150 * model.C_), rel=1e-14)
    assert model.certificate_.relative_gap <= 1e-10
    assert np.array_equal(model.predict(X), model.model_.predict(X))
    assert np.array_equal(model.predict_proba(X), model.model_.predict_proba(X))
    assert np.array_equal(model.predict_log_proba(X), model.model_.predict_log_proba(X))
    assert np.array_equal(model.decision_function(X), model.model_.decision_function(X))
    assert np.array_equal(model.surprisal(X, y), model.model_.surprisal(X, y))
    assert model.score(X, y) == alone.score(X, y)


def test_the_refit_begins_near_its_end():
    model = SoftmaxRegressionCV(Cs=CS).fit(*IRIS)

    start, end = model.trace_[0].objective, model.trace_[-1].objective
    from_zero = SoftmaxRegression(C=model.C_).fit(*IRIS).trace_[0].objective
    # The mean of five optima, each from four fifths of the rows.
    assert end <= start < end + 0.01 * (from_zero - end)


def test_mean_and_standard_error_by_hand():
    scores = np.array([[1.0, 4.0], [2.0, 4.0], [6.0, 4.0]])

    mean, error = mean_and_error(scores)

    # Squared deviations 4 + 1 + 9 = 14; / 2 = 7; √7 / √3.
    assert mean.tolist() == [3.0, 4.0]
    assert error == pytest.approx([np.sqrt(7 / 3), 0.0], rel=1e-15)


def test_one_fold_has_no_standard_error():
    mean, error = mean_and_error(np.array([[-1.0, -2.0]]))

    assert mean.tolist() == [-1, -2]
    assert np.isnan(error).all()


@pytest.mark.parametrize(
    ("mean", "error", "rule", "chosen"),
    [
        ([-3.0, -2.0, -1.0, -1.5], [9, 9, 0.5, 9], "min", 2),
        ([-3.0, -2.0, -1.0, -1.5], [9, 9, 0.5, 9], "1se", 2),  # -1.5 has the weaker penalty
        ([-3.0, -2.0, -1.0, -1.5], [0, 0, 1.0, 0], "1se", 1),  # -2 ≥ -1 - 1: equal is enough
        ([-3.0, -2.0, -1.0, -1.5], [0, 0, 0.99, 0], "1se", 2),
        ([-3.0, -2.0, -1.0, -1.5], [0, 0, 5.0, 0], "1se", 0),
        ([-2.0, -1.0, -1.0], [0, 0, 0], "min", 1),  # of equal ones the strongest penalty
        ([0.9, 0.5, 0.95], [0, 0, 0.1], "1se", 0),  # not only neighbours of the best
    ],
)
def test_the_rules_on_scores_made_by_hand(mean, error, rule, chosen):
    assert select(np.array(mean), np.array(error), rule)[0] == chosen
    assert select(np.array(mean), np.array(error), rule)[1] == int(np.argmax(mean))


def test_the_one_standard_error_rule_chooses_from_the_fitted_scores():
    X, y = IRIS
    Cs = np.logspace(-3, 3, 7)

    best = SoftmaxRegressionCV(Cs=Cs, rule="min").fit(X, y)
    strong = SoftmaxRegressionCV(Cs=Cs, rule="1se").fit(X, y)

    mean = best.scores_.mean(axis=0)
    k = int(mean.argmax())
    limit = mean[k] - best.scores_[:, k].std(ddof=1) / np.sqrt(5)
    assert best.Cs_[k] == best.C_
    assert best.best_index_ == strong.best_index_ == k
    assert min(C for C, m in zip(Cs, mean, strict=True) if m >= limit) == strong.C_
    assert strong.C_ < best.C_
    assert strong.model_.C == strong.C_


def test_row_weights_count_in_fits_and_scores_as_repeated_rows():
    X, y = IRIS[0][::2], IRIS[1][::2]
    rng = np.random.default_rng(0)
    times = rng.integers(0, 4, len(X))
    folds = np.arange(len(X)) % 3
    big = np.repeat(np.arange(len(X)), times)

    weighted = SoftmaxRegressionCV(Cs=CS, cv=PredefinedSplit(folds), tol=1e-13)
    weighted.fit(X, y, sample_weight=times)
    repeated = SoftmaxRegressionCV(Cs=CS, cv=PredefinedSplit(folds[big]), tol=1e-13)
    repeated.fit(X[big], y[big])
    plain = SoftmaxRegressionCV(Cs=CS, cv=PredefinedSplit(folds), tol=1e-13).fit(X, y)

    assert np.allclose(weighted.scores_, repeated.scores_, rtol=1e-6)  # √gap, as above
    assert not np.allclose(weighted.scores_, plain.scores_, rtol=1e-3)
    assert np.allclose(weighted.coef_, repeated.coef_, rtol=1e-5)


def test_class_weights_count_in_fits_and_scores_as_weights_of_the_rows():
    X, y = IRIS
    per_class = {0: 1.0, 1: 5.0, 2: 0.3}

    by_class = SoftmaxRegressionCV(Cs=CS, class_weight=per_class, tol=1e-13).fit(X, y)
    by_row = SoftmaxRegressionCV(Cs=CS, tol=1e-13).fit(X, y, np.array([1.0, 5.0, 0.3])[y])

    assert np.allclose(by_class.scores_, by_row.scores_, rtol=1e-12)
    train, test = next(StratifiedKFold(5).split(X, y))
    alone = exact(CS[1]).set_params(class_weight=per_class).fit(X[train], y[train])
    weight = np.array([1.0, 5.0, 0.3])[y[test]]
    expected = -log_loss(y[test], alone.predict_proba(X[test]), sample_weight=weight)
    assert by_class.scores_[0, 1] == pytest.approx(expected, rel=1e-6)


def test_balanced_weights_come_from_all_rows():
    X, y = IRIS[0][20:], IRIS[1][20:]  # 30, 50, 50
    by_hand = {0: 130 / 90, 1: 130 / 150, 2: 130 / 150}

    balanced = SoftmaxRegressionCV(Cs=CS, class_weight="balanced").fit(X, y)
    given = SoftmaxRegressionCV(Cs=CS, class_weight=by_hand).fit(X, y)

    assert np.allclose(balanced.scores_, given.scores_, rtol=1e-9)


def test_one_hot_distributions_are_scored_as_classes():
    X, y = IRIS
    hard = SoftmaxRegressionCV(Cs=CS, tol=1e-13).fit(X, y)

    for targets in (np.eye(3)[y], sp.csr_array(np.eye(3)[y])):
        soft = SoftmaxRegressionCV(Cs=CS, tol=1e-13).fit(X, targets)
        assert np.allclose(soft.scores_, hard.scores_, rtol=1e-7)
        assert soft.C_ == hard.C_


@pytest.mark.parametrize("class_weight", [None, {0: 1.0, 1: 3.0, 2: 0.5}])
def test_distributions_are_fitted_and_scored_as_weighted_copies_of_the_rows(class_weight):
    X, y = IRIS[0], np.random.default_rng(2).dirichlet([0.5, 0.5, 0.5], 150)
    train, test = np.arange(0, 150, 2), np.arange(1, 150, 2)

    model = SoftmaxRegressionCV(
        Cs=[0.1], cv=[(train, test)], tol=1e-13, class_weight=class_weight
    ).fit(X, y)

    per_class = [1.0, 1, 1] if class_weight is None else [class_weight[j] for j in range(3)]
    weight = y * per_class
    labels = np.tile([0, 1, 2], 75)
    # λ = 1/(C·Σw) in both, with Σw the weighted sum over the training rows.
    alone = exact(0.1).fit(np.repeat(X[train], 3, axis=0), labels, weight[train].ravel())
    p = alone.predict_proba(np.repeat(X[test], 3, axis=0))
    expected = -log_loss(labels, p, sample_weight=weight[test].ravel())
    assert model.scores_[0, 0] == pytest.approx(expected, rel=1e-6)


def test_splitters_see_the_most_probable_class_of_distributions():
    X, y = IRIS
    soft = 0.9 * np.eye(3)[y] + 0.1 / 3
    seen = []

    class Spy(StratifiedKFold):
        def split(self, X, y=None, groups=None):
            seen.append(np.array(y))
            return super().split(X, y, groups)

    SoftmaxRegressionCV(Cs=[1.0], cv=Spy(2)).fit(X, soft)

    assert np.array_equal(seen[0], y)


def test_groups_reach_the_splitter():
    X, y = IRIS
    groups = np.arange(150) % 7

    model = SoftmaxRegressionCV(Cs=CS, cv=GroupKFold(3)).fit(X, y, groups=groups)

    pairs = list(GroupKFold(3).split(X, y, groups))
    assert np.array_equal(model.scores_, SoftmaxRegressionCV(Cs=CS, cv=pairs).fit(X, y).scores_)


def test_masks_are_folds_too():
    X, y = IRIS
    test = np.arange(150) % 3 == 0

    masks = SoftmaxRegressionCV(Cs=CS, cv=[(~test, test)]).fit(X, y)

    numbers = [(np.flatnonzero(~test), np.flatnonzero(test))]
    assert np.array_equal(masks.scores_, SoftmaxRegressionCV(Cs=CS, cv=numbers).fit(X, y).scores_)
    assert masks.scores_.shape == (1, 3)
    assert np.isnan(masks.standard_errors_).all()


def test_the_offset_is_split_with_the_rows():
    X, y = IRIS
    offset = np.random.default_rng(0).normal(size=(150, 3))
    train, test = np.arange(0, 150, 2), np.arange(1, 150, 2)

    model = SoftmaxRegressionCV(Cs=[1.0], cv=[(train, test)], tol=1e-13)
    model.fit(X, y, offset=offset)

    alone = SoftmaxRegression(tol=1e-13).fit(X[train], y[train], offset=offset[train])
    expected = -alone.surprisal(X[test], y[test], offset=offset[test]).mean()
    assert model.scores_[0, 0] == pytest.approx(expected, rel=1e-6)
    for method in ("decision_function", "predict", "predict_proba", "predict_log_proba"):
        found = getattr(model, method)(X, offset)
        assert np.array_equal(found, getattr(model.model_, method)(X, offset))
        assert not np.array_equal(found, getattr(model.model_, method)(X))
    rows = (X, y, np.arange(150.0), offset)
    assert model.score(*rows) == model.model_.score(*rows) != model.model_.score(X, y)
    assert np.array_equal(model.surprisal(X, y, offset), model.model_.surprisal(X, y, offset))
    assert not np.array_equal(model.surprisal(X, y, offset), model.surprisal(X, y))
    without = SoftmaxRegressionCV(Cs=[1.0], cv=[(train, test)]).fit(X, y)
    assert abs(model.scores_[0, 0] - without.scores_[0, 0]) > 1e-2


def test_sparse_rows_give_the_scores_of_dense_ones():
    X, y = IRIS
    dense = SoftmaxRegressionCV(Cs=CS, tol=1e-12).fit(X, y)

    for container in (sp.csr_array, sp.csc_matrix):
        sparse = SoftmaxRegressionCV(Cs=CS, tol=1e-12).fit(container(X), y)
        assert np.allclose(sparse.scores_, dense.scores_, rtol=1e-5)
        assert sparse.C_ == dense.C_


def test_without_an_intercept_none_is_fitted_in_any_fold():
    X, y = IRIS

    model = SoftmaxRegressionCV(Cs=[1.0], fit_intercept=False, tol=1e-12).fit(X, y)

    alone = exact(1.0).set_params(fit_intercept=False)
    expected = cross_val_score(alone, X, y, scoring="neg_log_loss", cv=5)
    assert model.scores_[:, 0] == pytest.approx(expected, rel=1e-5)
    assert not model.intercepts_paths_.any()
    assert not model.intercept_.any()


def test_frames_keep_the_names_of_columns_and_classes():
    X, y = IRIS
    frame = pd.DataFrame(X, columns=list("abcd"))
    names = pd.Series(np.array(["x", "y", "z"])[y])

    model = SoftmaxRegressionCV(Cs=CS, cv=3, scoring="accuracy").fit(frame, names)

    assert model.feature_names_in_.tolist() == list("abcd")
    assert model.classes_.tolist() == ["x", "y", "z"]
    assert set(model.predict(frame[:60])) == {"x", "y"}
    model.fit(X, names)
    assert not hasattr(model, "feature_names_in_")


def test_float32_rows_are_scored_like_float64_ones():
    X, y = IRIS
    single = SoftmaxRegressionCV(Cs=CS).fit(X.astype(np.float32), y)
    double = SoftmaxRegressionCV(Cs=CS).fit(X, y)

    # Rounding X to 6e-8 moves the optimum; certificates of 1e-6 allow √(2·1e-6·…) ~ 1e-3.
    assert np.allclose(single.scores_, double.scores_, rtol=2e-3)


def test_no_penalty_may_end_the_grid():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = (X @ [1.0, -0.5] + rng.logistic(size=300) > 0).astype(int)

    model = SoftmaxRegressionCV(Cs=[1e-4, np.inf], tol=1e-12).fit(X, y)

    assert np.isposinf(model.C_)
    assert model.certificate_.kind == "stationary"
    expected = cross_val_score(exact(np.inf), X, y, scoring="neg_log_loss", cv=5)
    # Newton decrement ≤ 1e-12 f: ½·0.05·‖Δ‖² below 1e-12, a logit moves by 2e-5 at most.
    assert model.scores_[:, 1] == pytest.approx(expected, rel=1e-4)


def test_one_warning_tells_of_all_fits_that_did_not_converge():
    with pytest.warns(ConvergenceWarning, match="of 16 fits .* in fold|on all rows") as caught:
        SoftmaxRegressionCV(Cs=CS, max_iter=2).fit(*IRIS)

    assert len(caught) == 1


def test_predicting_before_fitting_is_an_error():
    with pytest.raises(NotFittedError):
        SoftmaxRegressionCV().predict(IRIS[0])


def test_a_saved_model_predicts_and_knows_its_path(tmp_path):
    model = SoftmaxRegressionCV(Cs=CS, cv=3).fit(*IRIS)

    crossent.save(model, tmp_path / "model.skops")
    again = crossent.load(tmp_path / "model.skops")

    assert np.array_equal(again.predict_proba(IRIS[0]), model.predict_proba(IRIS[0]))
    assert np.array_equal(again.scores_, model.scores_)
    assert again.certificates_[2][1] == model.certificates_[2][1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"Cs": [-1.0]}, r"Cs\[0\] is -1"),
        ({"rule": "2se"}, "rule is '2se'"),
        ({"n_jobs": 0}, "n_jobs is 0"),
        ({"n_jobs": "all"}, "n_jobs is 'all'"),
        ({"tol": 0}, "tol is 0"),
        ({"cv": []}, "no folds"),
        ({"cv": [([0, 1, 60], [])]}, "fold 0 must be two non-empty lists"),
        ({"cv": [([0, 1, 60], [2.5])]}, "fold 0 must be two non-empty lists"),
        ({"cv": [([0, 60], [1]), ([0, 60], [150])]}, "fold 1 names row 150"),
        ({"cv": [(range(50), range(50, 60))]}, "fold 0 have only one class .*: .0."),
        ({"cv": [(range(100), range(100, 150))]}, "held-out rows of fold 0 have no weight in any"),
        ({"cv": [(range(100), range(20, 40))], "rule": "1se"}, "at least two folds"),
        ({"cv": KFold(200)}, "n_samples=150"),
        ({"scoring": "accurracy"}, "get_scorer_names"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_value(options, words):
    with pytest.raises(ValueError, match=words):
        SoftmaxRegressionCV(**options).fit(*IRIS)


def test_one_row_and_one_class_are_refused():
    X, y = IRIS
    with pytest.raises(InputError, match="Only one class"):
        SoftmaxRegressionCV().fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="n_samples=1"):
        SoftmaxRegressionCV().fit(X[:1], np.array([[0.2, 0.3, 0.5]]))
    with pytest.raises(InputError, match="Only one class"):
        SoftmaxRegressionCV().fit(X[:30], y[:30])
    weight = np.where(np.arange(150) % 50 < 10, 0.0, 1.0)  # the first of five folds
    with pytest.raises(InputError, match="no weight"):
        SoftmaxRegressionCV().fit(X, y, sample_weight=weight)
