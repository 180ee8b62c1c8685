"""The objective against the plain formulas of reference.py and its own contract."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.sparse as sp

from crossent.certificate import Status
from crossent.kernels import Kernel
from crossent.kernels.numpy_blocks import accumulate

KINDS = {
    "plain": {},
    "soft, weighted, offset": {"soft": True, "weighted": True, "offset": True},
    "no intercept": {"fit_intercept": False},
    "two classes": {"q": 2},
    "no penalty": {"penalty": 0.0},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def random_point(objective, seed=0):
    return np.random.default_rng(seed).normal(size=objective.n_parameters) / 5


@every_kind
@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_value_and_gradient_are_those_of_the_formula(kind, storage, random_problem, objective_of):
    problem = random_problem(**KINDS[kind])
    X = problem.X if storage == "dense" else sp.csr_array(problem.X)
    objective = objective_of(problem, X=X)
    w = random_point(objective)
    W, b = objective.unpack(w)
    value, gradient = objective.value_and_gradient(w)
    g_W, g_b = problem.gradient(W, b)
    expected = np.concatenate([g_W.ravel(), g_b]) if problem.fit_intercept else g_W.ravel()
    assert value == pytest.approx(problem.value(W, b), rel=1e-14)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-15)
    assert objective.passes == 1


@every_kind
def test_the_gradient_is_the_derivative_of_the_value(kind, random_problem, objective_of):
    objective = objective_of(random_problem(**KINDS[kind]))
    w, h = random_point(objective), 1e-5
    direction = np.random.default_rng(1).normal(size=len(w))
    slope = objective.value_and_gradient(w)[1] @ direction
    up, down = (objective.value_and_gradient(w + t * direction)[0] for t in (h, -h))
    # Central differences: h² f''' / 6 ~ 1e-9 of truncation, u/h ~ 1e-11 of rounding.
    assert (up - down) / (2 * h) == pytest.approx(slope, rel=1e-6)


def test_labels_and_their_one_hot_rows_are_the_same_problem(random_problem, objective_of):
    problem = random_problem()
    hard, soft = objective_of(problem, labels=True), objective_of(problem)
    w = random_point(hard)
    assert hard.value_and_gradient(w)[0] == pytest.approx(soft.value_and_gradient(w)[0], rel=1e-14)
    np.testing.assert_allclose(
        hard.value_and_gradient(w)[1], soft.value_and_gradient(w)[1], atol=1e-15
    )


@pytest.mark.parametrize("rows", [1, 7, 39, 40, 41])
def test_the_answer_does_not_depend_on_the_size_of_blocks(rows, random_problem, objective_of):
    problem = random_problem(soft=True, weighted=True, offset=True)
    whole = objective_of(problem)
    cut = objective_of(problem, kernel=Kernel("small blocks", accumulate, rows))
    w = random_point(whole)
    assert cut.value_and_gradient(w)[0] == pytest.approx(whole.value_and_gradient(w)[0], rel=1e-14)
    np.testing.assert_allclose(
        cut.value_and_gradient(w)[1], whole.value_and_gradient(w)[1], atol=1e-14
    )
    first, second = cut.certify(w)[2], whole.certify(w)[2]
    assert first.gap == pytest.approx(second.gap, rel=1e-9)


def test_pack_and_unpack_undo_each_other(random_problem, objective_of):
    objective = objective_of(random_problem())
    W, b = np.arange(9.0).reshape(3, 3), np.array([-1.0, -2.0, -3.0])
    w = objective.pack(W, b)
    assert w.shape == (objective.n_parameters,) == (12,)
    np.testing.assert_array_equal(objective.unpack(w)[0], W)
    np.testing.assert_array_equal(objective.unpack(w)[1], b)


def test_without_an_intercept_b_is_zero_and_no_parameter(random_problem, objective_of):
    objective = objective_of(random_problem(fit_intercept=False))
    assert objective.n_parameters == 9
    assert not objective.unpack(np.ones(9))[1].any()


def test_the_relative_gap_is_the_formula_over_the_lower_bound(random_problem, objective_of):
    objective = objective_of(random_problem(penalty=0.5))
    gradient = np.zeros(12)
    gradient[:9] = 0.1  # ‖∇_W‖² = 0.09, gap 0.09
    gradient[9:] = 100.0  # the intercept's part does not enter
    assert objective.relative_gap(1.0, gradient) == pytest.approx(0.09 / 0.91)
    assert objective.relative_gap(0.05, gradient) == math.inf
    assert math.isnan(objective_of(random_problem(penalty=0.0)).relative_gap(1.0, gradient))


def gap_with_optimal_intercept(problem, W, b):
    """The formula where its condition holds."""
    g_W, g_b = problem.gradient(W, problem.with_optimal_intercept(W, b))
    assert not problem.fit_intercept or abs(g_b).max() < 1e-14
    return float((g_W**2).sum()) / (2 * problem.penalty)


@every_kind
def test_certify_makes_the_intercept_optimal_and_leaves_w(kind, random_problem, objective_of):
    problem = random_problem(**KINDS[kind])
    objective = objective_of(problem)
    W, b = problem.optimum()
    start = W + 0.02 * np.random.default_rng(1).normal(size=W.shape)
    poor = b + (0.1 * np.arange(len(b)) if problem.fit_intercept else 0)
    w = objective.pack(start, poor)
    objective.value_and_gradient(w)
    found, gradient, certificate = objective.certify(w)
    new_W, new_b = objective.unpack(found)
    np.testing.assert_array_equal(new_W, start)
    g_W, g_b = problem.gradient(new_W, new_b)
    np.testing.assert_allclose(objective.unpack(gradient)[0], g_W, atol=1e-13)
    assert certificate.objective == pytest.approx(problem.value(new_W, new_b), rel=1e-14)
    full = np.concatenate([g_W.ravel(), g_b]) if problem.fit_intercept else g_W.ravel()
    assert certificate.gradient_norm == pytest.approx(np.linalg.norm(full), rel=1e-9)
    if problem.penalty > 0:
        # The rest of the intercept's error costs a twentieth of the gap at most.
        assert certificate.gap <= 1.06 * gap_with_optimal_intercept(problem, start, b)
        assert certificate.kind == "gap"
        excess = certificate.objective - problem.value(*problem.optimum())
        assert excess <= certificate.gap < 0.1
        assert certificate.relative_gap == pytest.approx(
            certificate.gap / (certificate.objective - certificate.gap)
        )
    else:
        assert certificate.kind == "stationary"
        assert math.isnan(certificate.gap)


def test_certify_is_not_fooled_by_a_zero_gradient_at_a_wrong_intercept(
    random_problem, objective_of
):
    # Without the intercept step the formula says 0 here (‖∇_W f‖ = 0) where f - min f = 1e-5.
    problem = random_problem(weighted=True)
    wrong = np.array([0.005, -0.005, 0.0])
    fixed = dataclasses.replace(problem, offset=problem.offset + wrong, fit_intercept=False)
    W, _ = fixed.optimum()
    objective = objective_of(problem)
    w = objective.pack(W, wrong)
    value, gradient = objective.value_and_gradient(w)
    assert objective.relative_gap(value, gradient) < 1e-15
    excess = value - problem.value(*problem.optimum())
    _, _, certificate = objective.certify(w)
    assert certificate.objective < value
    assert certificate.objective - problem.value(*problem.optimum()) <= certificate.gap
    assert excess > 1e-6
    assert certificate.gap > 1e-6  # W is not optimal together with the right intercept


def test_at_the_optimum_the_certificate_is_at_rounding(random_problem, objective_of):
    for kind in KINDS.values():
        problem = random_problem(**kind)
        if problem.penalty == 0:
            continue
        objective = objective_of(problem)
        certificate = objective.certify(objective.pack(*problem.optimum()))[2]
        assert 0 <= certificate.relative_gap < 1e-12
        assert certificate.status is not Status.CONVERGED  # that is the solver's to say


def test_certificates_of_float32_data_are_made_in_float64(random_problem, objective_of):
    problem = random_problem(shift=100.0)
    rounded = dataclasses.replace(problem, X=problem.X.astype(np.float32).astype(float))
    objective = objective_of(rounded, dtype=np.float32)
    assert objective.dtype == np.float32
    w = objective.pack(*rounded.optimum())
    single = objective.value_and_gradient(w)[0]
    certificate = objective.certify(w)[2]
    truth = rounded.value(*objective.unpack(w))
    assert certificate.objective == pytest.approx(truth, rel=1e-12)
    assert certificate.relative_gap < 1e-8
    assert 1e-12 < abs(single / truth - 1) < 1e-4  # the pass itself was in float32


def test_refine_goes_over_to_float64_once(random_problem, objective_of):
    objective = objective_of(random_problem(), dtype=np.float32)
    coarse = objective.resolution
    assert objective.refine()
    assert objective.dtype == np.float64
    assert objective.resolution < coarse
    assert not objective.refine()


def test_many_classes_take_tiled_intercept_steps(random_problem, objective_of, monkeypatch):
    # Above _MANY_CLASSES no q×q matrix is formed; b += log(ȳ/p̄) must reach the same intercept.
    monkeypatch.setattr("crossent.objectives.softmax._MANY_CLASSES", 2)
    problem = random_problem(weighted=True)
    objective = objective_of(problem)
    W, b = problem.optimum()
    w = objective.pack(W + 0.01, b + np.array([0.01, -0.02, 0.01]))
    objective.value_and_gradient(w)
    found, _, certificate = objective.certify(w)
    # The steps are those of iterative scaling: linear convergence, but certain.
    poor = float((problem.gradient(*objective.unpack(w))[1] ** 2).sum())
    better = float((problem.gradient(*objective.unpack(found))[1] ** 2).sum())
    assert better < poor / 9
    assert objective.unpack(found)[1].sum() == pytest.approx(b.sum(), abs=1e-12)
    assert certificate.objective - problem.value(*problem.optimum()) <= certificate.gap
