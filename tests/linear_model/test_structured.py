"""SoftmaxRegression with a structured W: optimum, certificate, statuses, prediction, files."""

import copy
import pickle
import re
import warnings
from functools import partial

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
from scipy.special import logsumexp, softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

import crossent
from crossent import SoftmaxRegression, Status
from crossent.errors import InputError
from crossent.inspection import certificate_in_words, verdict
from crossent.linear_maps import MAP_NAMES, BlockDiagonal, Dense, Fastfood, LowRank, Monarch
from crossent.linear_model import Compression, compress
from crossent.linear_model import structured as structured_fit

CONVEX = (
    "block_diagonal",
    "circulant",
    "toeplitz",
    "complex",
    "quaternion",
    "octonion",
    "fastfood",
)
OTHERS = tuple(name for name in MAP_NAMES if name not in (*CONVEX, "dense"))


def formula(model, X, Y, theta, b):
    """The objective as it is documented."""
    W = model.linear_map_.to_dense(theta)
    z = X @ W.T + b
    loss = np.mean(logsumexp(z, axis=1) - (Y * z).sum(axis=1))
    return loss + 0.5 * model.penalty_ * theta @ theta


@pytest.fixture(scope="module")
def digits(load):
    X, y = load("digits")
    return X[:500] / 16, y[:500]


@pytest.mark.parametrize("name", CONVEX)
def test_a_convex_map_reaches_the_optimum_of_the_formula_with_a_certificate(name, overlapping):
    X, y, _ = overlapping(n=80, d=5, q=4)
    model = SoftmaxRegression(C=0.5, linear_map=name, tol=1e-10).fit(X, y)
    certificate, Y = model.certificate_, np.eye(4)[y]
    p = len(model.theta_)
    # z = A (θ, b): W(θ) taken apart into its columns, the rest plain calculus.
    units = np.array([model.linear_map_.to_dense(unit) for unit in np.eye(p)])
    A = np.concatenate([np.einsum("kjl,il->ijk", units, X), np.tile(np.eye(4), (80, 1, 1))], 2)
    penalised = np.arange(p + 4) < p

    def value_and_gradient(w):
        z = A @ w
        loss = np.mean(logsumexp(z, axis=1) - (Y * z).sum(axis=1))
        slope = np.einsum("ij,ijk->k", softmax(z, axis=1) - Y, A) / 80
        size = w * penalised
        return loss + size @ size / 80, slope + size / 40

    best = scipy.optimize.minimize(
        value_and_gradient, np.zeros(p + 4), jac=True, method="BFGS",
        options={"gtol": 1e-9, "maxiter": 2000},
    )  # fmt: skip
    assert certificate.status is Status.CONVERGED
    assert certificate.kind == "gap"
    assert certificate.relative_gap <= 1e-10
    assert model.penalty_ == pytest.approx(1 / (0.5 * 80))
    # A gradient g leaves at most |g|²/(2λ) = 1e-18·40/2, and the fit at most its gap.
    assert certificate.objective == pytest.approx(best.fun, abs=1.1e-10 * best.fun)


@pytest.mark.parametrize("name", CONVEX)
def test_the_gap_bounds_the_distance_to_the_optimum_when_the_fit_is_stopped(name, digits):
    X, y = digits
    best = SoftmaxRegression(linear_map=name, tol=1e-10).fit(X, y).certificate_.objective
    for passes in (2, 4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = SoftmaxRegression(linear_map=name, max_iter=passes).fit(X, y)
        assert best <= model.certificate_.objective * (1 + 1e-10)
        assert model.certificate_.objective - model.certificate_.gap <= best * (1 + 1e-10)


@pytest.mark.parametrize("name", OTHERS)
def test_other_maps_end_at_a_local_optimum_and_claim_no_gap(name, overlapping):
    X, y, _ = overlapping(n=100, d=6, q=4)
    model = SoftmaxRegression(C=0.1, linear_map=name, tol=1e-8).fit(X, y)
    certificate, Y = model.certificate_, np.eye(4)[y]
    assert certificate.status is Status.LOCAL_OPTIMUM
    assert "local optimum" in certificate.status.value
    assert certificate.kind == "local"
    assert np.isnan(certificate.gap)
    assert certificate.converged
    words = " ".join(certificate_in_words(certificate))
    assert "not convex" in words
    assert "local optimum" in words
    assert "gap" not in words.replace("no gap can be certified", "")
    assert "Without a penalty" not in words
    assert verdict(certificate).badge == "local optimum"
    assert certificate.objective == pytest.approx(
        formula(model, X, Y, model.theta_, model.intercept_), rel=1e-12
    )
    # It is a minimum in every direction that is tried, and better than the start, where W = 0.
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = 1e-2 * rng.normal(size=len(model.theta_))
        assert formula(model, X, Y, model.theta_ + step, model.intercept_) > certificate.objective
    assert certificate.objective < np.log(4) - 0.02


def test_a_low_rank_map_of_full_rank_finds_the_optimum_of_the_nuclear_norm(overlapping):
    # min over U V = W of (‖U‖² + ‖V‖²)/2 is the nuclear norm of W (Srebro, Rennie, Jaakkola 2004),
    # so with full rank every minimum is one of a convex problem, whose optimality is known:
    # the gradient G of the loss has spectral norm at most λ, and ⟨G, W⟩ = -λ‖W‖_*.
    X, y, _ = overlapping(n=100, d=5, q=4)
    model = SoftmaxRegression(C=0.2, linear_map=LowRank((4, 5), 4), tol=1e-13, max_iter=5000)
    model.fit(X, y)
    W = model.linear_map_.to_dense(model.theta_)
    p = softmax(X @ W.T + model.intercept_, axis=1)
    G = (p - np.eye(4)[y]).T @ X / 100
    lam = model.penalty_
    assert np.linalg.norm(G, 2) == pytest.approx(lam, rel=1e-4)
    assert np.vdot(G, W) == pytest.approx(-lam * np.linalg.norm(W, "nuc"), rel=1e-4)
    assert np.linalg.norm(W) > 0.1


def test_one_block_is_the_dense_problem(overlapping):
    X, y, _ = overlapping(n=80, d=5, q=3)
    model = SoftmaxRegression(linear_map=BlockDiagonal((3, 5), 1), tol=1e-12).fit(X, y)
    peer = LogisticRegression(tol=1e-12, solver="newton-cholesky").fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), peer.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=1e-5)


def test_two_classes_carry_the_penalty_on_theta(overlapping):
    # W = θ is one block: (λ/2)(‖w₀‖² + ‖w₁‖²) = (λ/4)‖w₁ - w₀‖², scikit-learn's at twice the C.
    X, y, _ = overlapping(n=80, d=4, q=2)
    model = SoftmaxRegression(C=0.3, linear_map=BlockDiagonal((2, 4), 1), tol=1e-12).fit(X, y)
    peer = LogisticRegression(C=0.6, tol=1e-12, solver="newton-cholesky").fit(X, y)
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=1e-5)
    assert model.decision_function(X).shape == (80,)


@pytest.mark.parametrize("name", ["circulant", "block_diagonal", "low_rank"])
def test_sparse_rows_soft_targets_weights_and_offsets_are_served(name, overlapping):
    X, _, Y = overlapping(n=60, d=6, q=3)
    rng = np.random.default_rng(1)
    s, offset = rng.uniform(0.2, 2, size=60), rng.normal(size=(60, 3))
    dense = SoftmaxRegression(C=0.1, linear_map=name, tol=1e-10)
    dense.fit(X, Y, sample_weight=s, offset=offset)
    sparse = clone(dense).fit(sp.csr_array(X), Y, sample_weight=s, offset=offset)
    np.testing.assert_allclose(sparse.coef_, dense.coef_, atol=1e-4)
    np.testing.assert_allclose(
        sparse.predict_proba(sp.csr_array(X), offset=offset),
        dense.predict_proba(X, offset=offset), atol=1e-4,
    )  # fmt: skip
    z = X @ dense.linear_map_.to_dense(dense.theta_).T + dense.intercept_ + offset
    losses = logsumexp(z, axis=1) - (Y * z).sum(axis=1)
    value = s @ losses / s.sum() + 0.5 * dense.penalty_ * dense.theta_ @ dense.theta_
    assert dense.certificate_.objective == pytest.approx(value, rel=1e-12)
    assert dense.penalty_ == pytest.approx(1 / (0.1 * s.sum()))


def test_without_an_intercept_none_is_fitted_and_the_fit_is_certified(overlapping):
    X, y, _ = overlapping(n=60, d=4, q=3)
    model = SoftmaxRegression(linear_map="toeplitz", fit_intercept=False).fit(X, y)
    assert not model.intercept_.any()
    assert model.certificate_.relative_gap <= 1e-6


def test_the_intercept_step_keeps_the_certificate_true_on_shifted_columns(overlapping):
    X, y, _ = overlapping(n=80, d=5, q=4)
    shifted = X + 50.0
    model = SoftmaxRegression(linear_map="circulant", tol=1e-8).fit(shifted, y)
    best = SoftmaxRegression(linear_map="circulant", tol=1e-13, max_iter=5000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        best.fit(shifted, y)
    excess = model.certificate_.objective - best.certificate_.objective
    assert -1e-12 <= excess <= model.certificate_.gap


def test_float32_rows_are_certified_too(digits):
    X, y = digits
    model = SoftmaxRegression(linear_map="quaternion").fit(X.astype(np.float32), y)
    double = SoftmaxRegression(linear_map="quaternion").fit(X, y)
    assert model.certificate_.relative_gap <= 1e-6
    assert model.certificate_.objective == pytest.approx(double.certificate_.objective, rel=2e-6)


def test_without_a_penalty_the_end_is_stationary(overlapping):
    X, y, _ = overlapping(n=80, d=5, q=3)
    model = SoftmaxRegression(C=np.inf, linear_map="toeplitz", tol=1e-9).fit(X, y)
    assert model.certificate_.status is Status.STATIONARY
    p = model.predict_proba(X)
    slope = model.linear_map_.gradient(model.theta_, X, (p - np.eye(3)[y]) / 80)
    assert np.abs(slope).max() < 1e-5


def test_separated_classes_without_a_penalty_are_named_so():
    X = np.repeat(np.eye(3), 5, axis=0)
    y = np.repeat([0, 1, 2], 5)
    model = SoftmaxRegression(C=np.inf, linear_map=BlockDiagonal((3, 3), 1))
    with pytest.warns(ConvergenceWarning, match="no finite optimum"):
        model.fit(X, y)
    assert model.certificate_.status is Status.SEPARABLE
    assert model.separable_


def test_a_fit_that_is_cut_short_warns(digits):
    X, y = digits
    with pytest.warns(ConvergenceWarning, match="ran out"):
        model = SoftmaxRegression(linear_map="low_rank", max_iter=3).fit(X, y)
    assert model.certificate_.status is Status.MAX_PASSES
    assert model.certificate_.kind == "local"
    assert "not convex" in " ".join(certificate_in_words(model.certificate_))


def test_a_class_without_rows_gets_probability_zero(overlapping):
    X, y, _ = overlapping(n=60, d=4, q=3)
    model = SoftmaxRegression(linear_map="circulant", classes=[0, 1, 2, 7]).fit(X, y)
    assert model.linear_map_.shape == (3, 4)
    assert (model.predict_proba(X)[:, 3] == 0).all()
    reference = SoftmaxRegression(linear_map="circulant").fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X)[:, :3], reference.predict_proba(X))


def test_a_warm_start_begins_at_the_previous_parameters(digits):
    X, y = digits
    for name in ("quaternion", "adaptive_fastfood"):
        model = SoftmaxRegression(linear_map=name, warm_start=True, max_iter=3000).fit(X, y)
        first, signs = model.n_iter_[0], copy.deepcopy(model.linear_map_)
        end = model.certificate_.objective
        model.set_params(random_state=5).fit(X, y)  # another seed: the previous signs are kept
        assert model.n_iter_[0] < first / 2
        assert model.certificate_.objective == pytest.approx(end, rel=1e-5)
        for key, array in signs.fixed.items():
            np.testing.assert_array_equal(model.linear_map_.fixed[key], array)


def test_a_warm_start_after_another_map_begins_at_its_projection(digits):
    X, y = digits
    model = SoftmaxRegression(warm_start=True, linear_map="dense").fit(X, y)
    W = model.coef_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.set_params(linear_map=LowRank((10, 64), 6), max_iter=1).fit(X, y)
    projected = model.linear_map_.to_dense(model.linear_map_.from_dense(W))
    error = np.linalg.norm(model.coef_ - projected) / np.linalg.norm(W)
    assert error < 1e-8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.set_params(linear_map=LowRank((10, 64), 3)).fit(X, y)
    assert model.theta_.shape == (3 * 74,)


def test_a_dense_fit_leaves_no_map_of_an_earlier_one(digits):
    X, y = digits
    model = SoftmaxRegression(linear_map="circulant").fit(X, y)
    assert len(model.theta_) == 64
    model.set_params(linear_map="dense").fit(X, y)
    assert not hasattr(model, "theta_")
    same = SoftmaxRegression(linear_map=Dense((10, 64))).fit(X, y)
    np.testing.assert_array_equal(same.coef_, model.coef_)


@pytest.mark.parametrize("name", ["monarch", "fastfood", "circulant"])
def test_prediction_is_the_same_through_the_map_and_merged(name, digits, monkeypatch):
    X, y = digits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = SoftmaxRegression(linear_map=name, max_iter=20).fit(X, y)
    logits = {}
    for through_map in (False, True):
        answer = partial(bool, through_map)
        monkeypatch.setattr(structured_fit, "is_faster_than_dense", lambda *_, a=answer: a())
        logits[through_map] = model.decision_function(X)
    np.testing.assert_allclose(logits[True], logits[False], rtol=1e-9, atol=1e-10)
    assert (logits[True] != logits[False]).any()  # the two ways round differently
    np.testing.assert_allclose(model.coef_.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in MAP_NAMES if n != "toeplitz_like"])
def test_a_model_with_a_map_comes_back_from_its_file(name, digits, tmp_path):
    X, y = digits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = SoftmaxRegression(linear_map=name, max_iter=5).fit(X, y)
    crossent.save(model, tmp_path / "model.skops")
    again = crossent.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    if name != "dense":
        np.testing.assert_array_equal(again.theta_, model.theta_)
        W, expected = (m.linear_map_.to_dense(m.theta_) for m in (again, model))
        np.testing.assert_array_equal(W, expected)
    assert again.certificate_.status is model.certificate_.status
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).predict_proba(X), model.predict_proba(X)
    )


def test_a_map_as_a_parameter_survives_clone_and_a_file(digits, tmp_path):
    X, y = digits
    made = Fastfood.random((10, 64), learn="SG", rng=np.random.default_rng(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = clone(SoftmaxRegression(linear_map=made, max_iter=5)).fit(X, y)
    np.testing.assert_array_equal(model.linear_map_.permutation, made.permutation)
    crossent.save(model, tmp_path / "model.skops")
    again = crossent.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.linear_map.signs, made.signs)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_the_cost_report_counts_and_measures(digits):
    X, y = digits
    report = SoftmaxRegression(linear_map="circulant").fit(X, y).cost_report(batch=32)
    assert (report.parameters, report.dense_parameters) == (64, 640)
    assert report.dense_multiply_adds == 640
    assert report.bytes == 4 * 64 + 64
    assert report.dense_bytes == 4 * 640
    assert 0 < report.milliseconds < 100
    assert 0 < report.dense_milliseconds < 100
    assert re.search(r"ms for 32 rows .*\d", str(report))
    dense = SoftmaxRegression().fit(X, y).cost_report(batch=8)
    assert dense.parameters == dense.dense_parameters == 640
    with pytest.raises(InputError, match="`batch` is 0"):
        SoftmaxRegression().fit(X, y).cost_report(batch=0)


def test_a_wide_map_that_multiplies_less_is_measured_to_be_faster():
    from crossent.linear_maps import cost_report

    wide = BlockDiagonal((1024, 1024), 32)
    theta = wide.start(np.random.default_rng(0))
    # A thirty-second of the work: a factor of ten is left for noise, and five attempts.
    reports = (cost_report(wide, theta, batch=256) for _ in range(5))
    report = next(r for r in reports if r.milliseconds < r.dense_milliseconds)
    assert report.break_even_batch is not None
    assert report.multiply_adds * 32 == report.dense_multiply_adds
    assert "Faster than dense from a batch of" in str(report)


@pytest.mark.parametrize("name", ["low_rank", "monarch", "toeplitz", "quaternion"])
def test_compression_projects_and_says_by_how_much_it_missed(name, digits):
    X, y = digits
    model = SoftmaxRegression().fit(X, y)
    before = model.coef_.copy()
    found = compress(model, name)
    made, theta = found.model.linear_map_, found.model.theta_
    W = made.to_dense(made.from_dense(model.coef_))
    centred = W - W.mean(axis=0)
    np.testing.assert_allclose(found.model.coef_, centred, atol=1e-12)
    error = np.linalg.norm(centred - model.coef_) / np.linalg.norm(model.coef_)
    assert found.relative_error == pytest.approx(error, rel=1e-9)
    assert (found.parameters, found.dense_parameters) == (made.n_parameters, 640)
    np.testing.assert_allclose(found.model.intercept_, model.intercept_, rtol=1e-14)
    np.testing.assert_array_equal(model.coef_, before)
    assert not hasattr(found.model, "certificate_")
    assert hasattr(model, "certificate_")
    assert f"{found.parameters:,} parameters in place of 640" in str(found)
    assert len(theta) == made.n_parameters


def test_compression_without_loss_keeps_the_predictions(digits, tmp_path):
    X, y = digits
    model = SoftmaxRegression().fit(X, y)
    found = compress(model, LowRank((10, 64), 9))  # rows that sum to zero have rank 9
    assert isinstance(found, Compression)
    assert found.relative_error < 1e-12
    np.testing.assert_allclose(found.model.predict_proba(X), model.predict_proba(X), atol=1e-9)
    crossent.save(found.model, tmp_path / "thin.skops")
    again = crossent.load(tmp_path / "thin.skops")
    np.testing.assert_array_equal(again.predict(X), found.model.predict(X))
    assert compress(model, "low_rank", rank=9).parameters == 9 * 74
    assert compress(model, "dense").relative_error < 1e-15


def test_compression_of_two_classes_and_of_absent_ones(overlapping):
    X, y, _ = overlapping(n=60, d=6, q=2)
    model = SoftmaxRegression(classes=[0, 1, 5]).fit(X, y)
    found = compress(model, Monarch((3, 6), (3, 3)))
    assert (found.model.predict_proba(X)[:, 2] == 0).all()
    two = compress(SoftmaxRegression().fit(X, y), "low_rank", rank=1)
    assert two.model.coef_.shape == (1, 6)
    assert two.relative_error < 1e-12


@pytest.mark.parametrize(
    ("linear_map", "says"),
    [
        ("monarc", "Did you mean 'monarch'"),
        ("kronecker", "is no linear map"),
        (LowRank((9, 64), 2), r"shape \(9, 64\); the data ask for \(10, 64\)"),
        (np.eye(3), "must be a crossent.linear_maps map"),
        (None, "must be a crossent.linear_maps map"),
    ],
    ids=str,
)
def test_a_map_that_cannot_be_is_refused(linear_map, says, digits):
    X, y = digits
    with pytest.raises(InputError, match=says):
        SoftmaxRegression(linear_map=linear_map).fit(X, y)


def test_newton_and_inference_refuse_a_structured_w(digits):
    X, y = digits
    with pytest.raises(InputError, match="solver='newton' is for a dense W"):
        SoftmaxRegression(linear_map="circulant", solver="newton").fit(X, y)
    from crossent.linear_model.restating import restate

    model = SoftmaxRegression(linear_map="circulant").fit(X, y)
    with pytest.raises(InputError, match="W is a Circulant"):
        restate(model, X, y, None, None)


def test_what_cannot_be_compressed_is_refused(digits):
    X, y = digits
    model = SoftmaxRegression().fit(X, y)
    with pytest.raises(InputError, match="LogisticRegression cannot be compressed"):
        compress(LogisticRegression(), "low_rank")
    with pytest.raises(InputError, match="mean 'circulant'"):
        compress(model, "circulent")
    with pytest.raises(InputError, match="go with a name"):
        compress(model, LowRank((10, 64), 2), rank=3)
    with pytest.raises(InputError, match="from 1 to 10"):
        compress(model, "low_rank", rank=11)
    with pytest.raises(InputError, match="does not take these options"):
        compress(model, "circulant", rank=11)
