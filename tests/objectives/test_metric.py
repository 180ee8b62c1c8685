"""Models of the Hessian against the dense Hessian of crossent.functional, through the seam only."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

from crossent.functional import softmax_cross_entropy_hessian
from crossent.objectives import curvature
from crossent.objectives.curvature import exact_hessian, gram
from crossent.objectives.factorisation import mirror
from crossent.objectives.sampling import rows_for_metric

KINDS = {
    "plain": {},
    "soft, weighted, offset": {"soft": True, "weighted": True, "offset": True},
    "no intercept": {"fit_intercept": False},
    "two classes": {"q": 2},
    "many classes": {"q": 7},
    "one column": {"d": 1},
    "one column, no intercept": {"d": 1, "fit_intercept": False},
    "one column, two classes": {"d": 1, "q": 2},
    "shifted": {"shift": 30.0},
    "more columns than rows": {"n": 12, "d": 15},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def dense_hessian(problem, W, b):
    """In the order of the flat vector: W row by row, then b."""
    H = softmax_cross_entropy_hessian(problem.logits(W, b), problem.Y, reduction="none")
    V, (q, d) = problem.features(), W.shape
    k = V.shape[1]
    full = np.einsum("i,iac,ij,ik->ajck", problem.s, H, V, V).reshape(q * k, q * k)
    order = [j * k + m for j in range(q) for m in range(d)]
    order += [j * k + d for j in range(q)] if problem.fit_intercept else []
    full = full[np.ix_(order, order)]
    full[range(q * d), range(q * d)] += problem.penalty
    return full


def sum_to_zero(vector, q, d):
    """The part of a flat vector whose classes sum to zero."""
    W, b = vector[: q * d].reshape(q, d), vector[q * d :]
    parts = [(W - W.mean(axis=0)).ravel()]
    return np.concatenate([*parts, b - b.mean()] if len(b) else parts)


def point_of(objective, seed=0):
    return sum_to_zero(
        np.random.default_rng(seed).normal(size=objective.n_parameters) / 5,
        objective.source.n_classes,
        objective.source.n_features,
    )


@every_kind
@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_the_exact_metric_solves_with_the_dense_hessian(
    kind, storage, random_problem, objective_of
):
    problem = random_problem(**KINDS[kind])
    X = problem.X if storage == "dense" else sp.csr_array(problem.X)
    objective = objective_of(problem, X=X, hessian="exact")
    q, d = problem.Y.shape[1], problem.X.shape[1]
    w = point_of(objective)
    metric = objective.metric(w, np.random.default_rng(0))
    assert metric.quality == "exact"
    W, b = objective.unpack(w)
    H = dense_hessian(problem, W, b)
    gradient = sum_to_zero(np.random.default_rng(1).normal(size=len(w)), q, d)
    expected = sum_to_zero(np.linalg.lstsq(H, gradient, rcond=1e-13)[0], q, d)
    found = metric.solve(gradient)
    # The factor is of H + 10·u·max diag: a relative change of cond(H)·1e-15, cond below 1e6 here.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * abs(expected).max())
    np.testing.assert_allclose(H @ found, gradient, rtol=0, atol=1e-8 * abs(gradient).max())


@every_kind
@pytest.mark.parametrize("hessian", ["auto", "model"])
def test_every_metric_is_symmetric_and_positive(kind, hessian, random_problem, objective_of):
    problem = random_problem(**KINDS[kind])
    objective = objective_of(problem, hessian=hessian)
    metric = objective.metric(point_of(objective), np.random.default_rng(0))
    rng = np.random.default_rng(1)
    for _ in range(5):
        u, v = rng.normal(size=(2, objective.n_parameters))
        assert u @ metric.solve(v) == pytest.approx(v @ metric.solve(u), rel=1e-6, abs=1e-9)
        assert u @ metric.solve(u) > 0


@every_kind
def test_a_model_of_the_hessian_is_within_a_moderate_factor_of_it(
    kind, random_problem, objective_of
):
    # gᵀM⁻¹g against gᵀH⁻¹g on random gradients: the shared curvature misjudges classes, but not
    # by orders of magnitude; a metric of zeros, a wrong sign or a lost λ would.
    problem = random_problem(**KINDS[kind])
    objective = objective_of(problem, hessian="model")
    q, d = problem.Y.shape[1], problem.X.shape[1]
    w = point_of(objective)
    metric = objective.metric(w, np.random.default_rng(0))
    H = dense_hessian(problem, *objective.unpack(w))
    rng = np.random.default_rng(2)
    for _ in range(10):
        gradient = sum_to_zero(rng.normal(size=len(w)), q, d)
        exact = gradient @ np.linalg.lstsq(H, gradient, rcond=1e-13)[0]
        assert 0.1 < gradient @ metric.solve(gradient) / exact < 10


def test_solve_does_not_write_to_the_gradient(random_problem, objective_of):
    for hessian in ("exact", "model"):
        objective = objective_of(random_problem(), hessian=hessian)
        gradient = point_of(objective, 3)
        gradient.flags.writeable = False
        objective.metric(point_of(objective), np.random.default_rng(0)).solve(gradient)


@pytest.mark.parametrize("hessian", ["exact", "auto", "model"])
@pytest.mark.parametrize("penalty", [1.0, 1e-9, 0.0])
def test_constant_and_repeated_columns_do_no_harm(penalty, hessian, random_problem, objective_of):
    problem = random_problem(d=2, penalty=penalty)
    X = np.column_stack([problem.X, np.full(40, 3.0), problem.X[:, 0], np.zeros(40)])
    problem = dataclasses.replace(problem, X=X)
    objective = objective_of(problem, hessian=hessian)
    metric = objective.metric(np.zeros(objective.n_parameters), np.random.default_rng(0))
    value, gradient = objective.value_and_gradient(np.zeros(objective.n_parameters))
    step = -metric.solve(gradient)
    assert np.isfinite(step).all()
    assert gradient @ step < 0
    W, _ = objective.unpack(step)
    np.testing.assert_allclose(W[:, 4], 0, atol=1e-9)  # a column of zeros has no gradient
    # Twins move together. Without λ only a ridge of 1e-12 sees their difference, and rounding of
    # 1e-16 in the gradient is magnified to some 1e-3.
    atol = 1e-2 if penalty == 0 else 1e-5
    np.testing.assert_allclose(W[:, 0], W[:, 3], rtol=0, atol=atol * abs(W).max())
    # It is a descent step of a sensible length.
    assert objective.value_and_gradient(0.2 * step)[0] < value


@pytest.mark.parametrize("hessian", ["exact", "model"])
def test_columns_of_very_different_size_are_all_solved_for(hessian, random_problem, objective_of):
    problem = random_problem(d=6, penalty=1e-3)
    problem = dataclasses.replace(problem, X=problem.X * np.logspace(-6, 6, 6))
    objective = objective_of(problem, hessian=hessian)
    w = np.zeros(objective.n_parameters)
    gradient = objective.value_and_gradient(w)[1]
    step = objective.metric(w, np.random.default_rng(0)).solve(gradient)
    H = dense_hessian(problem, *objective.unpack(w))
    scale = 1 / np.sqrt(np.diag(H))
    scaled = scale[:, None] * H * scale
    expected = scale * np.linalg.lstsq(scaled, scale * gradient, rcond=1e-12)[0]
    rtol = 1e-3 if hessian == "exact" else 0.9  # the model: the same sign and order
    W, W_expected = objective.unpack(step)[0], objective.unpack(expected)[0]
    for j in range(6):
        np.testing.assert_allclose(
            W[:, j], W_expected[:, j], rtol=0, atol=rtol * abs(W_expected[:, j]).max()
        )


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_of_constant_columns_the_penalty_alone_is_solved_for(
    fit_intercept, random_problem, objective_of
):
    problem = random_problem(d=3, fit_intercept=fit_intercept)
    constant = 2.0 if fit_intercept else 0.0  # without an intercept 2 would act as one
    problem = dataclasses.replace(problem, X=np.insert(problem.X, 1, constant, axis=1))
    objective = objective_of(problem, hessian="exact")
    w = point_of(objective)
    W, b = objective.unpack(w)
    gradient = objective.value_and_gradient(w)[1]
    found = objective.metric(w, np.random.default_rng(0)).solve(gradient)
    np.testing.assert_allclose(objective.unpack(found)[0][:, 1], W[:, 1], rtol=1e-6)
    H = dense_hessian(problem, W, b)
    np.testing.assert_allclose(H @ found, gradient, rtol=0, atol=1e-8 * abs(gradient).max())


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_for_very_many_columns_the_model_is_diagonal(
    storage, fit_intercept, random_problem, objective_of, monkeypatch
):
    monkeypatch.setattr("crossent.objectives.metric._MAX_DENSE_FEATURES", 2)
    problem = random_problem(d=4, fit_intercept=fit_intercept)
    X = problem.X if storage == "dense" else sp.csr_array(problem.X)
    objective = objective_of(problem, X=X, hessian="model")
    w = point_of(objective)
    metric = objective.metric(w, np.random.default_rng(0))
    assert metric.quality == "model"
    # Σ s c (x - x̄)² + λ per column, c = (1 - Σ p²)/(q - 1), x̄ the s·c-weighted mean.
    P = problem.probabilities(*objective.unpack(w))
    c = problem.s * (1 - (P**2).sum(axis=1)) / 2
    mean = c @ problem.X / c.sum() if fit_intercept else 0
    variance = c @ (problem.X - mean) ** 2 + problem.penalty
    gradient = point_of(objective, 5)
    gradient[12:] = 0
    step_W, step_b = objective.unpack(metric.solve(gradient))
    np.testing.assert_allclose(step_W, gradient[:12].reshape(3, 4) / variance, rtol=1e-9)
    if fit_intercept:  # b̃ = b + W x̄ stays where it is
        np.testing.assert_allclose(step_b, -step_W @ mean, rtol=1e-9)


def test_sampled_rows_estimate_sums_without_bias(random_problem, source_of, monkeypatch):
    monkeypatch.setattr("crossent.objectives.sampling._SAMPLED_ROWS", 60)
    monkeypatch.setattr("crossent.objectives.sampling._FEW_ROWS", 60)
    problem = random_problem(n=500, weighted=True)
    source = source_of(problem)
    rng = np.random.default_rng(0)
    curvature = rng.random(500) ** 4  # few rows carry most of it
    truth = (problem.s[:, None] * problem.X**2).sum(axis=0)
    estimates, totals = [], []
    for seed in range(400):
        block = rows_for_metric(source, curvature, np.random.default_rng(seed), np.float64)
        assert 20 < block.X.shape[0] <= 60
        estimates.append(block.sample_weight @ block.X**2)
        totals.append(block.sample_weight.sum())
    for values, expected in ((np.array(estimates), truth), (np.array(totals)[:, None], 1.0)):
        deviation = values.std(axis=0) / np.sqrt(len(values))
        assert (abs(values.mean(axis=0) - expected) < 4 * deviation + 1e-12).all()
        assert (deviation < 0.05 * expected).all()


def test_columns_of_few_sparse_rows_are_in_the_sample(random_problem, source_of, monkeypatch):
    monkeypatch.setattr("crossent.objectives.sampling._SAMPLED_ROWS", 60)
    monkeypatch.setattr("crossent.objectives.sampling._FEW_ROWS", 60)
    problem = random_problem(n=500, d=6, weighted=True)
    which = np.random.default_rng(1).permutation(500)
    X = np.zeros((500, 6))
    X[which, np.minimum(np.arange(500) // 2, 5)] = 7.0  # five categories of two rows, one of 490
    source = source_of(problem, X=sp.csr_array(X))
    estimates = []
    for seed in range(200):
        # 60 · 0.3 / 6 = 3 draws fall on a column of two rows, 1.5 or more on the heavier: with
        # equal steps along the chances it cannot be missed.
        block = rows_for_metric(source, np.ones(500), np.random.default_rng(seed), np.float64)
        estimates.append(block.sample_weight @ block.X.toarray() ** 2)
        assert (estimates[-1] > 0).all()
    deviation = np.std(estimates, axis=0) / np.sqrt(len(estimates))
    truth = problem.s @ X**2
    assert (abs(np.mean(estimates, axis=0) - truth) < 4 * deviation + 1e-12 * truth).all()


def test_sampling_prefers_rows_with_curvature(random_problem, source_of, monkeypatch):
    monkeypatch.setattr("crossent.objectives.sampling._SAMPLED_ROWS", 60)
    monkeypatch.setattr("crossent.objectives.sampling._FEW_ROWS", 60)
    problem = random_problem(n=500)
    curvature = np.zeros(500)
    curvature[::25] = 1.0  # twenty rows that decide
    seen = rows_for_metric(source_of(problem), curvature, np.random.default_rng(0), np.float64)
    decisive = {tuple(row) for row in problem.X[::25]}
    assert decisive <= {tuple(row) for row in seen.X}


def test_a_sampled_metric_says_so_and_is_near_the_exact_one(
    random_problem, objective_of, monkeypatch
):
    monkeypatch.setattr("crossent.objectives.sampling._SAMPLED_ROWS", 3000)
    monkeypatch.setattr("crossent.objectives.sampling._FEW_ROWS", 3000)
    problem = random_problem(n=9000, weighted=True)
    objective = objective_of(problem)
    w = point_of(objective)
    objective.value_and_gradient(w)
    metric = objective.metric(w, np.random.default_rng(0))
    assert metric.quality == "sampled"
    gradient = point_of(objective, 7)
    H = dense_hessian(problem, *objective.unpack(w))
    exact = gradient @ np.linalg.lstsq(H, gradient, rcond=1e-13)[0]
    ratio = gradient @ metric.solve(gradient) / exact
    assert ratio != 1
    assert ratio == pytest.approx(1, rel=0.25)  # 1/√3000 times a handful of standard deviations
    assert (
        metric.quality
        != objective_of(problem, hessian="exact").metric(w, np.random.default_rng(0)).quality
    )


def test_rows_of_one_p_give_the_same_hessian_as_any_others():
    rng = np.random.default_rng(5)
    p = np.tile(rng.dirichlet(np.ones(4)), (30, 1))
    features, weight = rng.normal(size=(30, 3)), rng.dirichlet(np.ones(30))
    shared = exact_hessian(p, features, weight)
    expected = sum(
        w * np.kron(np.diag(row) - np.outer(row, row), np.outer(v, v))
        for w, row, v in zip(weight, p, features, strict=True)
    )
    np.testing.assert_allclose(shared, expected, atol=1e-15)
    p[0, 0] += 1e-13  # no longer one p: the general way
    np.testing.assert_allclose(exact_hessian(p, features, weight), expected, atol=1e-12)


def test_the_parts_of_a_large_sum_add_up_whatever_the_threads(monkeypatch):
    monkeypatch.setattr(curvature, "_WORTH_PARTS", 0)
    rng = np.random.default_rng(6)
    p, features = rng.dirichlet(np.ones(3), size=41), rng.normal(size=(41, 4))
    weight = rng.dirichlet(np.ones(41))
    expected = sum(
        w * np.kron(np.diag(row) - np.outer(row, row), np.outer(v, v))
        for w, row, v in zip(weight, p, features, strict=True)
    )
    one, two = (exact_hessian(p, features, weight, k) for k in (1, 2))
    np.testing.assert_allclose(one, expected, atol=1e-15)
    np.testing.assert_array_equal(one, two)
    centre = features.mean(axis=0)
    spread = sum(
        w * np.outer(v - centre, v - centre) for w, v in zip(weight, features, strict=True)
    )
    np.testing.assert_allclose(gram(features, weight, centre, 2), spread, atol=1e-15)


def test_a_triangle_is_mirrored_whatever_lies_below_it():
    full = np.random.default_rng(7).normal(size=(300, 300))
    full += full.T
    rubbish = np.triu(full) + np.tril(np.full((300, 300), np.nan), -1)
    np.testing.assert_array_equal(mirror(rubbish), full)
