"""FastfoodFeatures: the kernel that it approximates, how fast the error falls, and the contract."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_digits
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import crossent
from crossent import SoftmaxRegression
from crossent.errors import InputError
from crossent.features import FastfoodFeatures


@parametrize_with_checks([FastfoodFeatures(24), FastfoodFeatures(7, bandwidth=2.0)])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def kernel_error(rows, features):
    """Root mean square over pairs of rows of φ(x)·φ(y) - exp(-‖x-y‖²/2σ²)."""
    phi = features.fit(rows).transform(rows)
    exact = rbf_kernel(rows, gamma=1 / (2 * features.bandwidth_**2))
    upper = np.triu_indices(len(rows), 1)
    return np.sqrt(np.mean((phi @ phi.T - exact)[upper] ** 2))


@pytest.mark.parametrize("d", [16, 20])
def test_the_error_of_the_kernel_falls_as_one_over_the_root_of_the_features(d):
    rows = np.random.default_rng(0).normal(size=(40, d))
    sizes = (128, 512, 2048, 8192)
    errors = [
        np.sqrt(
            np.mean(
                [
                    kernel_error(rows, FastfoodFeatures(n, dtype=np.float64, random_state=seed))
                    ** 2
                    for seed in range(8)
                ]
            )
        )
        for n in sizes
    ]
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    # Eight draws of some hundred independent pairs each: errors within 10 %, the slope within 0.05.
    assert slope == pytest.approx(-0.5, abs=0.08)
    # With independent frequencies the variance of one cosine is (1 - k²)²/2 at most 1/2
    # (Sutherland, Schneider 2015, with m pairs: divided by m); Fastfood's are slightly dependent.
    for n, error in zip(sizes, errors, strict=True):
        assert 0.2 / np.sqrt(n / 2) < error < 1.2 * np.sqrt(0.5 / (n / 2))


def test_the_estimate_of_the_kernel_is_unbiased():
    rows = np.random.default_rng(1).normal(size=(12, 6))
    exact = rbf_kernel(rows, gamma=1 / (2 * 2.0**2))
    draws = []
    for seed in range(200):
        phi = FastfoodFeatures(64, bandwidth=2.0, dtype=np.float64, random_state=seed)
        draws.append(phi.fit(rows).transform(rows) @ phi.transform(rows).T)
    spread = np.std(draws, axis=0) / np.sqrt(200)
    # 66 pairs, none of which may lie five standard errors off (chance 4e-5).
    assert (np.abs(np.mean(draws, axis=0) - exact) <= 5 * spread + 1e-12).all()
    assert exact[np.triu_indices(12, 1)].std() > 0.05


def test_features_are_cosines_and_sines_of_the_frequencies():
    X = np.random.default_rng(2).normal(size=(5, 6))
    made = FastfoodFeatures(20, dtype=np.float64).fit(X)
    W = made.linear_map_.to_dense(np.zeros(0))
    assert W.shape == (10, 6)
    phi = made.transform(X)
    np.testing.assert_allclose(phi[:, :10], np.cos(X @ W.T) / np.sqrt(10), atol=1e-13)
    np.testing.assert_allclose(phi[:, 10:], np.sin(X @ W.T) / np.sqrt(10), atol=1e-13)
    np.testing.assert_allclose((phi**2).sum(axis=1), 1, rtol=1e-13)


def test_an_odd_number_of_columns_leaves_out_the_last_sine():
    X = np.random.default_rng(3).normal(size=(5, 6))
    odd, even = (FastfoodFeatures(n, dtype=np.float64).fit(X).transform(X) for n in (9, 10))
    np.testing.assert_allclose(odd, even[:, :9], rtol=1e-12)


def test_the_median_heuristic_is_the_median_distance_over_root_two():
    X = np.random.default_rng(4).normal(size=(80, 5))
    distances = np.sqrt(((X[:, None] - X) ** 2).sum(axis=2))[np.triu_indices(80, 1)]
    assert FastfoodFeatures(8).fit(X).bandwidth_ == pytest.approx(np.median(distances) / 2**0.5)
    assert FastfoodFeatures(8).fit(1e6 * X).bandwidth_ == pytest.approx(
        1e6 * np.median(distances) / 2**0.5
    )
    many = np.repeat(X, 30, axis=0)  # 2400 rows, of which 1000 are looked at
    assert FastfoodFeatures(8).fit(many).bandwidth_ == pytest.approx(
        np.median(distances) / 2**0.5, rel=0.1
    )
    assert FastfoodFeatures(8).fit(np.ones((5, 3))).bandwidth_ == 1.0


def test_results_are_float32_unless_asked_otherwise_and_agree():
    X = np.random.default_rng(5).normal(size=(300, 10))
    single = FastfoodFeatures(64).fit(X).transform(X)
    double = FastfoodFeatures(64, dtype=np.float64).fit(X).transform(X)
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    np.testing.assert_allclose(single, double, atol=2e-5)  # 6e-8 of projections of some ten


def test_sparse_rows_are_taken_and_blocks_do_not_matter(monkeypatch):
    X = np.random.default_rng(6).normal(size=(30, 12)) * (np.arange(12) % 3 == 0)
    made = FastfoodFeatures(16, dtype=np.float64).fit(X)
    whole = made.transform(X)
    np.testing.assert_allclose(made.transform(sp.csr_array(X)), whole, rtol=1e-12, atol=1e-14)
    monkeypatch.setattr("crossent.features.fastfood._BLOCK_NUMBERS", 24)
    np.testing.assert_allclose(made.transform(X), whole, rtol=1e-12, atol=1e-14)


def test_columns_have_names():
    X = np.random.default_rng(7).normal(size=(5, 3))
    names = FastfoodFeatures(6).fit(X).get_feature_names_out()
    assert names.tolist() == [f"fastfoodfeatures{j}" for j in range(6)]


def test_a_pipeline_with_a_softmax_is_better_than_the_softmax_and_is_saved(tmp_path):
    X, y = load_digits(return_X_y=True)
    train, test = slice(0, 1200), slice(1200, None)
    model = make_pipeline(FastfoodFeatures(1024), SoftmaxRegression(C=100, tol=1e-3))
    model.fit(X[train], y[train])
    plain = SoftmaxRegression(C=0.01).fit(X[train], y[train])
    # Measured: 0.953 against 0.920 on the 597 test rows; their standard error is 0.9 %.
    assert model.score(X[test], y[test]) > plain.score(X[test], y[test]) + 0.015
    crossent.save(model, tmp_path / "fried.skops")
    again = crossent.load(tmp_path / "fried.skops")
    np.testing.assert_array_equal(again.predict_proba(X[test]), model.predict_proba(X[test]))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n_components": 0}, "n_components is 0"),
        ({"n_components": 2.5}, "n_components is 2.5"),
        ({"bandwidth": -1}, "bandwidth is -1"),
        ({"bandwidth": "mean"}, "bandwidth is 'mean'"),
        ({"dtype": np.int32}, "dtype is .*int32"),
    ],
)
def test_parameters_out_of_range_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        FastfoodFeatures(**{"n_components": 8, **options}).fit(np.eye(3))
