"""Every input that cannot be used is refused with its value, its place and a remedy."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from crossent import InputError, SoftmaxRegression
from crossent.linear_model.targets import read_targets

rng = np.random.default_rng(0)
X = rng.normal(size=(12, 3))
y = np.arange(12) % 3
names = np.array(["a", "b", "c"])[y]
Y = np.eye(3)[y]
row7 = np.arange(12)[:, None] == 7


def with_value(array, place, value):
    changed = np.array(array, dtype=object if isinstance(value, str | None) else float)
    changed[place] = value
    return changed


TARGETS = {
    "a row that sums to 0.93": (
        np.where(row7, 0.93 * Y, Y),
        ["y row 7 sums to 0.93", "must sum to 1", "Divide each row by its sum"],
    ),
    "the same, sparse": (sp.csr_array(np.where(row7, 0.93 * Y, Y)), ["y row 7 sums to 0.93"]),
    "the same, float32": (np.where(row7, 0.999 * Y, Y).astype(np.float32), ["row 7", "0.0001"]),
    "a negative entry": (
        np.where(row7, [[1.2, -0.2, 0]], Y),
        ["y is negative: -0.2 in row 7, column 1", "between 0 and 1"],
    ),
    "a negative entry, sparse": (
        sp.csr_array(np.where(row7, [[1.2, 0, -0.2]], Y)),
        ["y is negative: -0.2 in row 7, column 2"],
    ),
    "NaN in a distribution": (
        np.where(row7, np.nan, Y),
        ["y contains NaN: nan in row 7, column 0"],
    ),
    "inf in a distribution": (np.where(row7, np.inf, Y), ["y contains inf: inf in row 7"]),
    "text in a distribution": (with_value(Y, (2, 1), "half"), ["several columns", "half"]),
    "NaN among numbers": (np.where(y == 2, np.nan, y), ["y contains NaN: nan in row 2", "Drop"]),
    "inf among numbers": (np.where(y == 1, np.inf, y), ["y contains inf: inf in row 1"]),
    "None among text": (with_value(names, 4, None), ["None in row 4", "text"]),
    "NaN among text": (
        np.array([np.nan, *names[1:]], dtype=object),
        ["y contains NaN: nan in row 0"],
    ),
    "a number among text": (np.array([*names[:-1], 5], dtype=object), ["int: 5 in row 11"]),
    "objects": (np.array([1j] * 12, dtype=object), ["complex: 1j in row 0"]),
    "too few": (y[:-1], ["X has 12 rows and y has 11"]),
    "too many": (np.vstack([Y, Y]), ["X has 12 rows and y has 24"]),
    "one class only": (np.zeros(12, int), ["Only one class", "[0]", "at least two classes"]),
    "one column that has all the mass": (
        np.tile([0.0, 1.0, 0.0], (12, 1)),
        ["Only one class", "[1]"],
    ),
    "nothing": (None, ["requires y to be passed"]),
}


@pytest.mark.parametrize("case", TARGETS)
def test_targets_that_cannot_be_used_are_refused(case):
    targets, parts = TARGETS[case]
    with pytest.raises(InputError) as caught:
        SoftmaxRegression().fit(X, targets)
    for part in parts:
        assert part in str(caught.value)


def test_rounding_of_distributions_is_forgiven_and_mended():
    model = SoftmaxRegression(tol=1e-12).fit(X, Y * (1 + 5e-7))
    np.testing.assert_allclose(model.coef_, SoftmaxRegression(tol=1e-12).fit(X, Y).coef_, atol=1e-9)
    off = read_targets(sp.csr_array(Y * (1 + 5e-7)), rows=12).values
    np.testing.assert_allclose(off.sum(axis=1), 1.0, rtol=1e-15)
    np.testing.assert_allclose(read_targets(Y * (1 + 5e-7), rows=12).values, Y, rtol=1e-15)
    SoftmaxRegression().fit(X, (Y * (1 + 5e-5)).astype(np.float32))
    with pytest.raises(InputError, match="1e-06"):
        SoftmaxRegression().fit(X, Y * (1 + 5e-5))


def frame_with_text():
    frame = pd.DataFrame(X, columns=["age", "height", "town"]).astype({"town": object})
    frame.loc[5, "town"] = "Oslo"
    return frame


FEATURES = {
    "NaN": (with_value(X, (3, 1), np.nan), ["X contains NaN: nan in row 3, column 1", "impute"]),
    "inf": (with_value(X, (4, 2), -np.inf), ["X contains inf: -inf in row 4, column 2"]),
    "NaN, sparse": (
        sp.csr_array(with_value(X, (3, 1), np.nan)),
        ["X contains NaN: nan in row 3, column 1"],
    ),
    "NaN, float32": (with_value(X, (3, 1), np.nan).astype(np.float32), ["row 3, column 1"]),
    "NaN in a frame": (
        pd.DataFrame(with_value(X, (3, 1), np.nan), columns=["age", "height", "town"]),
        ["row 3, column 1 ('height')"],
    ),
    "null in a polars frame": (
        pl.DataFrame({"age": [*X[:-1, 0], None], "height": X[:, 1]}),
        ["row 11, column 0 ('age')"],
    ),
    "text": (with_value(X, (6, 0), "tall"), ["X holds text: tall in row 6, column 0", "Encode"]),
    "text in a frame": (frame_with_text(), ["Oslo in row 5, column 2 ('town')", "OneHotEncoder"]),
    "too large to square": (
        X * [1, 1e120, 1],
        ["in column 1", "float64 above 1e+100", "Divide the column"],
    ),
    "too large to square in float32": (
        (X * [1, 1, 1e20]).astype(np.float32),
        ["in column 2", "float32 above 1e+15"],
    ),
}


@pytest.mark.parametrize("case", FEATURES)
def test_features_that_cannot_be_used_are_refused(case):
    features, parts = FEATURES[case]
    with pytest.raises(InputError) as caught:
        SoftmaxRegression().fit(features, y)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("features", "part"),
    [
        (X[:0], "0 sample"),
        (X[:, :0], "0 feature"),
        (X[:, 0], "Expected 2D array"),
        (X[None], "dim 3"),
        (X + 1j, "Complex data"),
    ],
)
def test_features_of_a_wrong_shape_are_refused_in_scikit_learns_words(features, part):
    with pytest.raises(ValueError, match=part):
        SoftmaxRegression().fit(features, y[: len(features)])


WEIGHTS = {
    "negative": (with_value(np.ones(12), 3, -0.5), ["sample_weight[3] is -0.5", "not negative"]),
    "NaN": (with_value(np.ones(12), 3, np.nan), ["sample_weight[3] is nan", "finite"]),
    "infinite": (with_value(np.ones(12), 3, np.inf), ["sample_weight[3] is inf"]),
    "all zero": (np.zeros(12), ["zero for every row", "at least one"]),
    "too few": (np.ones(11), ["shape (11,)", "(12,)"]),
    "of two dimensions": (np.ones((12, 1)), ["shape (12, 1)"]),
    "text": (["heavy"] * 12, ["sample_weight must hold numbers", "heavy"]),
    "of a class all zero": (np.where(y == 1, 0, 1), ["class 1", "weight 0", "`classes`"]),
    "of all classes but one zero": (np.where(y == 1, 1, 0), ["Only one class", "[1]"]),
    "too large to add": (np.full(12, 1e308), ["out of range", "inf", "Divide the weights"]),
    "too small to divide by": (np.full(12, 1e-310), ["out of range", "Divide the weights"]),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_that_cannot_be_used_are_refused(case):
    weight, parts = WEIGHTS[case]
    with pytest.raises(InputError) as caught:
        SoftmaxRegression().fit(X, y, sample_weight=weight)
    for part in parts:
        assert part in str(caught.value)


OFFSETS = {
    "too few columns": (np.zeros((12, 2)), ["shape (12, 2)", "(12, 3)", "one column per class"]),
    "too few rows": (np.zeros((11, 3)), ["shape (11, 3)"]),
    "one column for three classes": (np.zeros(12), ["shape (12,)"]),
    "NaN": (with_value(np.zeros((12, 3)), (2, 1), np.nan), ["nan in row 2, column 1", "finite"]),
    "text": ([["x"] * 3] * 12, ["offset must hold numbers"]),
}


@pytest.mark.parametrize("case", OFFSETS)
@pytest.mark.parametrize("method", ["fit", "predict_proba", "score"])
def test_offsets_that_cannot_be_used_are_refused(case, method):
    offset, parts = OFFSETS[case]
    model = SoftmaxRegression().fit(X, y)
    arguments = (X,) if method == "predict_proba" else (X, y)
    with pytest.raises(InputError) as caught:
        getattr(model, method)(*arguments, offset=offset)
    for part in parts:
        assert part in str(caught.value)


PARAMETERS = [
    ("C", 0, "C is 0"),
    ("C", -1.0, "C is -1.0"),
    ("C", np.nan, "C is nan"),
    ("C", "1", "C is '1'"),
    ("C", 1e-320, "C is 9.99"),
    ("C", 1e305, "C is 1e+305"),
    ("tol", 0.0, "tol is 0.0"),
    ("tol", np.nan, "tol is nan"),
    ("max_iter", 0, "max_iter is 0"),
    ("max_iter", 2.5, "max_iter is 2.5"),
    ("solver", "saga", "one of 'auto', 'lbfgs', 'newton'"),
    ("n_threads", 0, "n_threads is 0"),
    ("n_threads", -1, "n_threads is -1"),
    ("verbose", "yes", "verbose is 'yes'"),
    ("class_weight", "even", "'even'"),
    ("class_weight", [1, 2, 3], "[1, 2, 3]"),
    ("class_weight", {7: 1.0}, "class 7"),
    ("class_weight", {1: -1.0}, "class_weight[1] is -1.0"),
    ("class_weight", {1: "x"}, "class_weight[1] is 'x'"),
    ("class_weight", {1: 0.0}, "class 1"),
    ("classes", [0, 1, 1], "different names"),
    ("classes", 3, "list of different names"),
    ("classes", [0, "a", None], "one type"),
    ("classes", [0, 1], "class 2 in row 2"),
    ("classes", ["0", "1", "2"], "class 0 in row 0"),
]


@pytest.mark.parametrize(("name", "value", "part"), PARAMETERS)
def test_parameters_that_cannot_be_used_are_refused_at_fit(name, value, part):
    model = SoftmaxRegression(**{name: value})  # the constructor does not judge
    with pytest.raises(InputError) as caught:
        model.fit(X, y)
    assert part in str(caught.value)


def test_a_newton_fit_that_would_not_fit_in_memory_is_refused(monkeypatch):
    monkeypatch.setattr("crossent.linear_model.optimise._MAX_NEWTON", 11)
    with pytest.raises(InputError, match=r"Hessian of 12 rows; the limit is 11.*solver='auto'"):
        SoftmaxRegression(solver="newton").fit(X, y)


def test_distributions_need_one_column_per_class():
    with pytest.raises(InputError, match="y has 3 columns for 4 classes"):
        SoftmaxRegression(classes=list("abcd")).fit(X, Y)


@pytest.fixture(scope="module")
def model():
    return SoftmaxRegression().fit(pd.DataFrame(X, columns=["u", "v", "w"]), names)


def test_other_columns_are_refused_at_prediction(model):
    plain = SoftmaxRegression().fit(X, y)
    with pytest.raises(ValueError, match="X has 2 features, but SoftmaxRegression is expecting 3"):
        plain.predict(X[:, :2])
    with pytest.raises(ValueError, match=r"(?s)feature names.*unseen.*- x"):
        model.predict(pd.DataFrame(X, columns=["u", "v", "x"]))
    with pytest.raises(ValueError, match="same order"):
        model.predict(pd.DataFrame(X, columns=["v", "u", "w"]))


def test_nan_is_refused_at_prediction_by_the_columns_name(model):
    frame = pd.DataFrame(with_value(X, (3, 1), np.nan), columns=["u", "v", "w"])
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(InputError, match=r"nan in row 3, column 1 \('v'\)"):
            getattr(model, method)(frame)


def test_no_prediction_comes_before_a_fit():
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(SoftmaxRegression(), method)(X)


@pytest.mark.parametrize("method", ["surprisal", "score"])
def test_targets_of_another_length_are_refused_at_evaluation(method):
    # They used to be paired with the first rows, or broadcast, without a word.
    fitted = SoftmaxRegression().fit(X, y)
    for targets in (y[:-1], y[:1], Y[:-1]):
        with pytest.raises(ValueError, match=r"as many|inconsistent"):
            getattr(fitted, method)(X, targets)


def test_strangers_are_refused_where_their_probability_is_asked_for():
    fitted = SoftmaxRegression().fit(X, y)
    with pytest.raises(InputError, match=r"class 3 in row 2, .* known classes \(0, 1, 2\)"):
        fitted.surprisal(X, y + 1)
    assert fitted.score(X, np.full(12, 9)) == 0  # a miss, in accuracy
    with pytest.raises(ValueError, match="label"):
        fitted.score(X, names)
    with pytest.raises(InputError, match=r"sample_weight has shape \(1,\)"):
        fitted.score(X, y, sample_weight=[1.0])


def test_a_failed_fit_leaves_an_earlier_one_usable():
    fitted = SoftmaxRegression().fit(X, y)
    before = fitted.predict_proba(X)
    for bad in (with_value(X, (0, 0), np.nan), X):
        with pytest.raises(InputError):
            fitted.fit(bad, np.zeros(12))
    np.testing.assert_array_equal(fitted.predict_proba(X), before)
