"""The same numbers in another container, order, type or scale are the same problem."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from crossent import SoftmaxRegression


@pytest.fixture(scope="module")
def iris(load):
    X, y = load("iris")
    return np.round(X, 1), y


@pytest.fixture(scope="module")
def expected(iris, certified):
    return certified(*iris)


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


COLUMNS = ["sepal length", "sepal width", "petal length", "petal width"]
CONTAINERS = {
    "lists": lambda X: X.tolist(),
    "Fortran order": np.asfortranarray,
    "a view of every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "reversed columns, reversed back": lambda X: X[:, ::-1].copy()[:, ::-1],
    "read-only": read_only,
    "csr_array": sp.csr_array,
    "csr_matrix": sp.csr_matrix,
    "csc_array": sp.csc_array,
    "coo_array": sp.coo_array,
    "CSR with 64-bit indices": lambda X: sp.csr_array(
        (lambda S: (S.data, S.indices.astype(np.int64), S.indptr.astype(np.int64)))(
            sp.csr_array(X)
        ),
        shape=X.shape,
    ),
    "objects that are numbers": lambda X: X.astype(object),
    "text that is numbers": lambda X: X.astype(str).astype(object),
    "long double": lambda X: X.astype(np.longdouble),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_container_of_x_does_not_matter(container, iris, expected, certified):
    X, y = iris
    model = certified(CONTAINERS[container](X), y)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-6)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, atol=1e-6)
    np.testing.assert_allclose(
        model.predict_proba(CONTAINERS[container](X)), expected.predict_proba(X), atol=1e-6
    )
    assert not hasattr(model, "feature_names_in_")
    assert model.schema_.names is None
    assert model.schema_.dtypes == ("float64",)


@pytest.mark.parametrize(
    "frame",
    [
        lambda X: pd.DataFrame(X, columns=COLUMNS),
        lambda X: pd.DataFrame(X, columns=COLUMNS).convert_dtypes(),
        lambda X: pl.DataFrame(X, schema=COLUMNS),
    ],
    ids=["pandas", "pandas, nullable", "polars"],
)
def test_frames_keep_their_names_and_types(frame, iris, expected, certified):
    X, y = iris
    model = certified(frame(X), y)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-7)
    assert model.feature_names_in_.tolist() == COLUMNS
    assert model.schema_.names == tuple(COLUMNS)
    assert len(model.schema_.dtypes) == 4
    assert all("float64" in name.lower() for name in model.schema_.dtypes)
    np.testing.assert_array_equal(model.schema_.minimum, X.min(axis=0))
    np.testing.assert_array_equal(model.schema_.maximum, X.max(axis=0))
    np.testing.assert_allclose(model.predict_proba(frame(X)), expected.predict_proba(X), atol=1e-7)


def test_a_memory_mapped_file_is_read_where_it_lies(iris, expected, certified, tmp_path):
    X, y = iris
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_allclose(certified(mapped, y).coef_, expected.coef_, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, bool, np.float16])
def test_narrow_types_become_float64(dtype, iris, certified):
    X, y = iris
    whole = (X * 10 if dtype is not bool else X // 3).astype(dtype)
    model = certified(whole, y)
    np.testing.assert_allclose(model.coef_, certified(whole.astype(float), y).coef_, atol=1e-7)
    assert model.schema_.dtypes == ("float64",)


def test_x_is_not_written_to(iris):
    X, y = iris
    for given in (X.copy(), np.asfortranarray(X), sp.csr_array(X)):
        kept = given.copy()
        SoftmaxRegression().fit(given, y)
        difference = abs(given - kept)
        assert difference.max() == 0


NAMES = np.array(["setosa", "versicolor", "virginica"])
LABELS = {
    "int64": (lambda y: y, [0, 1, 2]),
    "int8": (lambda y: y.astype(np.int8), [0, 1, 2]),
    "floats that are integers": (lambda y: y.astype(float), [0.0, 1.0, 2.0]),
    "negative": (lambda y: y - 1, [-1, 0, 1]),
    "a list of integers": (lambda y: y.tolist(), [0, 1, 2]),
    "integers as objects": (lambda y: y.astype(object), [0, 1, 2]),
    "a list of text": (lambda y: NAMES[y].tolist(), NAMES.tolist()),
    "text as objects": (lambda y: NAMES[y].astype(object), NAMES.tolist()),
    "a pandas series": (lambda y: pd.Series(NAMES[y]), NAMES.tolist()),
    "a pandas categorical": (lambda y: pd.Series(pd.Categorical(NAMES[y])), NAMES.tolist()),
    "a pandas nullable integer": (lambda y: pd.Series(y, dtype="Int64"), [0, 1, 2]),
    "a polars series": (lambda y: pl.Series(NAMES[y]), NAMES.tolist()),
}


@pytest.mark.parametrize("kind", LABELS)
def test_the_kind_of_labels_does_not_matter(kind, iris, expected, certified):
    X, y = iris
    convert, classes = LABELS[kind]
    model = certified(X, convert(y))
    assert model.classes_.tolist() == classes
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-7)
    assert model.predict(X).tolist() == [classes[j] for j in expected.predict(X)]
    assert model.score(X, convert(y)) == expected.score(X, y)


def test_truth_values_are_two_classes(iris, certified):
    X, y = iris
    model = certified(X, y == 1)
    assert model.classes_.tolist() == [False, True]
    assert model.predict(X).dtype == bool
    assert model.score(X, y == 1) > 0.7


@pytest.mark.parametrize("container", ["array", "csr", "pandas", "polars", "list"])
def test_distributions_come_in_any_container(container, overlapping, certified):
    X, _, Y = overlapping()
    columns = ["x", "y", "z"]
    given = {
        "array": Y,
        "csr": sp.csr_array(Y),
        "pandas": pd.DataFrame(Y, columns=columns),
        "polars": pl.DataFrame(Y, schema=columns),
        "list": Y.tolist(),
    }[container]
    model = certified(X, given)
    named = container in ("pandas", "polars")
    assert model.classes_.tolist() == (columns if named else [0, 1, 2])
    np.testing.assert_allclose(model.coef_, certified(X, Y).coef_, atol=1e-6)
    assert certified(X, given, classes=["p", "q", "r"]).classes_.tolist() == ["p", "q", "r"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_shifted_data_reach_the_gap(dtype, load):
    X, y = load("digits")
    plain = SoftmaxRegression().fit(X, y)
    shifted = SoftmaxRegression().fit((X + 100).astype(dtype), y)
    assert shifted.certificate_.relative_gap <= 1e-6
    # An intercept takes the shift up: the optimum is the same, to two gaps of 1e-6.
    assert shifted.certificate_.objective == pytest.approx(plain.certificate_.objective, rel=2e-6)
    assert shifted.certificate_.passes <= 3 * plain.certificate_.passes


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["digits", "wine"])
def test_columns_of_sizes_from_1_to_1000_reach_the_gap(name, dtype, load):
    X, y = load(name)
    sizes = np.logspace(0, 3, X.shape[1])
    model = SoftmaxRegression(max_iter=400).fit((X * sizes).astype(dtype), y)
    assert model.certificate_.relative_gap <= 1e-6
    assert model.coef_.dtype == np.float64


def test_without_a_penalty_units_do_not_matter_at_all(overlapping):
    X, y, _ = overlapping(n=200)
    sizes = np.array([1e-6, 1.0, 1e3, 1e9])
    plain = SoftmaxRegression(C=np.inf, tol=1e-12).fit(X, y)
    scaled = SoftmaxRegression(C=np.inf, tol=1e-12).fit(X * sizes, y)
    np.testing.assert_allclose(scaled.coef_ * sizes, plain.coef_, atol=1e-5)
    # Nothing but a convention makes the rows sum to zero here.
    np.testing.assert_allclose(plain.coef_.sum(axis=0), 0, atol=1e-14)


def test_float32_gives_the_optimum_of_the_rounded_data(load, certified):
    X, y = load("digits")
    single = SoftmaxRegression(tol=1e-9).fit((X / 16).astype(np.float32), y)
    double = certified(X / 16, y)  # sixteenths are exact in float32
    assert single.certificate_.relative_gap <= 1e-9
    np.testing.assert_allclose(
        single.predict_proba(X / 16), double.predict_proba(X / 16), atol=1e-4
    )


def test_sparse_rows_of_text_shape_agree_with_dense_ones(certified):
    rng = np.random.default_rng(0)
    X = sp.random_array((80, 300), density=0.03, rng=rng, format="csr")
    y = rng.integers(0, 4, 80)
    sparse, dense = certified(X, y), certified(X.toarray(), y)
    np.testing.assert_allclose(sparse.coef_, dense.coef_, atol=1e-6)
    np.testing.assert_allclose(sparse.predict_proba(X), dense.predict_proba(X.toarray()), atol=1e-6)
    np.testing.assert_array_equal(sparse.schema_.maximum, X.toarray().max(axis=0))


@pytest.mark.parametrize(
    ("n", "d", "q"), [(2, 1, 2), (3, 1, 3), (5, 40, 3), (6, 2, 6), (30, 3, 12)]
)
def test_small_and_wide_shapes_are_fitted(n, d, q, scipy_optimum, certified):
    rng = np.random.default_rng(n)
    X, y = rng.normal(size=(n, d)), np.arange(n) % q
    model = certified(X, y)
    W, b = scipy_optimum(X, np.eye(q)[y], np.ones(n), 1.0 if q > 2 else 0.5)
    logits = X @ W.T + b
    P = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    np.testing.assert_allclose(model.predict_proba(X), P, atol=1e-5)


def test_constant_and_repeated_columns_share_or_get_nothing(iris, certified):
    X, y = iris
    model = certified(np.column_stack([X, X[:, 0], np.full(150, 7.0), np.zeros(150)]), y)
    np.testing.assert_allclose(model.coef_[:, 0], model.coef_[:, 4], atol=1e-5)
    np.testing.assert_allclose(model.coef_[:, 6], 0, atol=1e-12)
    np.testing.assert_allclose(model.coef_[:, 5], 0, atol=1e-5)


def test_features_that_say_nothing_leave_the_class_frequencies(certified):
    y = np.array([0, 0, 0, 1, 1, 2])
    for X in (np.zeros((6, 2)), np.ones((6, 1)) * 5):
        model = certified(X, y)
        np.testing.assert_allclose(model.predict_proba(X), [[1 / 2, 1 / 3, 1 / 6]] * 6, rtol=1e-9)
