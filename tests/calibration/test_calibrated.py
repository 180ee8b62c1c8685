"""Calibrated: scikit-learn's contract, cross-fitting, prefit models, and what it refuses."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import softmax
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

import crossent
from crossent import SoftmaxRegression
from crossent.calibration import Calibrated, calibrate
from crossent.errors import InputError


# Their data are few rows, often all right or all noise.
@pytest.mark.filterwarnings("ignore::crossent.calibration.CalibrationWarning")
@parametrize_with_checks([Calibrated(LogisticRegression(), given="logits", cv=3)])
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:, (X.std(axis=0) > 1)], np.array([f"d{k}" for k in y])


def test_folds_calibrate_on_what_the_model_did_not_see(digits):
    X, y = digits
    folds = StratifiedKFold(4, shuffle=True, random_state=0)

    model = Calibrated(GaussianNB(), given="log_probabilities", cv=folds).fit(X[:900], y[:900])

    scores = cross_val_predict(GaussianNB(), X[:900], y[:900], cv=folds, method="predict_log_proba")
    by_hand = calibrate(scores, y[:900], given="log_probabilities", classes=model.classes_)
    plain = GaussianNB().fit(X[:900], y[:900])
    assert model.calibrator_.temperature == by_hand.temperature
    assert model.predict_log_proba(X[900:]) == pytest.approx(
        by_hand.log_probabilities(plain.predict_log_proba(X[900:])), rel=1e-12
    )
    assert (model.predict(X[900:]) == plain.predict(X[900:])).all()  # a temperature moves no argmax
    before = log_loss(y[900:], plain.predict_proba(X[900:]))
    assert log_loss(y[900:], model.predict_proba(X[900:])) < 0.7 * before


def test_a_fitted_model_is_calibrated_on_other_rows_and_left_as_it_is(digits):
    X, y = digits
    fitted = SoftmaxRegression(C=10.0).fit(X[:600], y[:600])
    coefficients = fitted.coef_.copy()

    model = Calibrated(fitted, given="logits", cv="prefit").fit(X[600:1200], y[600:1200])

    assert model.estimator_ is fitted
    assert (fitted.coef_ == coefficients).all()
    expected = calibrate(
        fitted.decision_function(X[600:1200]), y[600:1200], given="logits", classes=fitted.classes_
    )
    assert model.calibrator_.temperature == expected.temperature
    assert model.calibrator_.temperature.temperature > 1.2  # it was too sure
    assert log_loss(y[1200:], model.predict_proba(X[1200:])) < log_loss(
        y[1200:], fitted.predict_proba(X[1200:])
    )


def test_two_classes_have_one_column_of_logits_and_the_same_answer_from_probabilities():
    X, y = load_iris(return_X_y=True)
    X, y = X[50:], y[50:] == 2

    by_logits = Calibrated(LogisticRegression(), given="logits").fit(X, y)
    by_probabilities = Calibrated(LogisticRegression(), given="probabilities").fit(X, y)

    assert by_logits.decision_function(X).shape == (100,)
    p = by_logits.predict_proba(X)
    assert by_logits.decision_function(X) == pytest.approx(np.log(p[:, 1] / p[:, 0]), rel=1e-9)
    assert by_probabilities.predict_proba(X) == pytest.approx(p, rel=1e-9)
    assert by_logits.classes_.tolist() == [False, True]


def test_soft_targets_sparse_rows_and_weights_go_through():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4)) * (rng.uniform(size=(120, 4)) < 0.6)
    Y = softmax(X @ rng.normal(size=(4, 3)), axis=1)
    weight = rng.uniform(0.5, 1.5, size=120)

    dense = Calibrated(SoftmaxRegression(), given="logits", cv=KFold(3)).fit(X, Y, weight)
    sparse = Calibrated(SoftmaxRegression(), given="logits", cv=KFold(3)).fit(
        sp.coo_array(X), Y, weight
    )

    # Both fits are proven to 1e-6 of the objective, which bounds probabilities to √(gap/2).
    assert sparse.predict_proba(X) == pytest.approx(dense.predict_proba(X), abs=1e-3)
    assert dense.classes_.tolist() == [0, 1, 2]


def test_frames_keep_their_column_names():
    pd = pytest.importorskip("pandas")
    X, y = load_iris(return_X_y=True)
    frame = pd.DataFrame(X, columns=list("abcd"))

    model = Calibrated(SoftmaxRegression(), given="logits").fit(frame, pd.Series(y))

    assert model.feature_names_in_.tolist() == list("abcd")
    assert model.predict(frame).tolist() == model.predict(frame).tolist()


@pytest.mark.parametrize("method", ["temperature", "vector", "matrix"])
def test_a_forest_that_says_zero_needs_a_floor(digits, method):
    X, y = digits
    forest = RandomForestClassifier(10, random_state=0)

    with pytest.raises(InputError, match="floor"):
        Calibrated(forest, given="probabilities", method=method).fit(X[:500], y[:500])
    model = Calibrated(forest, given="probabilities", method=method, C=0.1, floor=1e-3)
    model.fit(X[:500], y[:500])

    assert np.isfinite(log_loss(y[500:], model.predict_proba(X[500:])))
    assert model.calibrator_.log_loss_after < model.calibrator_.log_loss_before


def test_a_saved_model_comes_back(tmp_path, digits):
    X, y = digits
    model = Calibrated(SoftmaxRegression(), given="logits", method="matrix", C=0.01)
    model.fit(X[:400], y[:400])

    crossent.save(model, tmp_path / "model.skops")
    again = crossent.load(tmp_path / "model.skops")

    assert (again.predict_proba(X[:400]) == model.predict_proba(X[:400])).all()


@pytest.mark.parametrize("method", ["temperature", "bias-corrected", "vector", "matrix"])
@pytest.mark.parametrize("classes", [2, 10])
def test_a_calibrated_linear_model_is_a_linear_model(digits, method, classes):
    X, y = digits
    X, y = (X[:400], y[:400]) if classes > 2 else (X[:400], y[:400] == "d3")
    fitted = SoftmaxRegression(C=10.0).fit(X[:200], y[:200])
    model = Calibrated(fitted, given="logits", method=method, cv="prefit", C=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rows out of the range of the first 200
        model.fit(X[200:], y[200:])
        folded = model.folded()

        assert folded.predict_log_proba(X) == pytest.approx(model.predict_log_proba(X), rel=1e-9)
        assert not np.allclose(folded.coef_, fitted.coef_, rtol=1e-3)
        assert folded.coef_.shape == fitted.coef_.shape


def test_what_is_not_linear_is_not_folded(digits):
    X, y = digits
    bayes = Calibrated(GaussianNB(), given="log_probabilities").fit(X[:300], y[:300])
    floored = Calibrated(SoftmaxRegression(), given="logits", floor=1e-3).fit(X[:300], y[:300])

    for model in (bayes, floored):
        with pytest.raises(InputError, match="linear model again"):
            model.folded()


def test_what_cannot_be_calibrated_is_refused(digits):
    X, y = digits
    X, y = X[:200], y[:200]

    with pytest.raises(InputError, match="say what the numbers are"):
        Calibrated(LogisticRegression(), given="scores").fit(X, y)
    with pytest.raises(InputError, match=r"needs decision_function.*given='log_probabilities'"):
        Calibrated(GaussianNB(), given="logits").fit(X, y)
    with pytest.raises(InputError, match=r"RidgeClassifier lacks.*given='logits'"):
        Calibrated(RidgeClassifier(), given="probabilities").fit(X, y)
    with pytest.raises(InputError, match="takes no `sample_weight`"):
        Calibrated(KNeighborsClassifier(), given="probabilities", floor=1e-3).fit(
            X, y, np.ones(200)
        )
    alone = y.astype(object)
    alone[7] = "only once"
    with pytest.raises(InputError, match="have no class 'only once'"):
        Calibrated(GaussianNB(), given="log_probabilities", cv=KFold(3)).fit(X, alone)
    one = [(np.arange(100, 200), np.arange(100))]
    with pytest.raises(InputError, match="hold out every row exactly once"):
        Calibrated(GaussianNB(), given="log_probabilities", cv=one).fit(X, y)
