"""The objective in θ against the dense one, its derivatives, its gap, and the Fisher metric."""

import math

import numpy as np
import pytest
import scipy.optimize

from crossent.kernels import NUMPY_BLOCKS
from crossent.linear_maps import BlockDiagonal, Circulant, LowRank, Toeplitz, make_map
from crossent.objectives import fisher
from crossent.objectives.structured import StructuredObjective
from crossent.sources import ArraySource

CONVEX = ("block_diagonal", "circulant", "toeplitz", "quaternion", "fastfood")
KINDS = {
    "plain": {},
    "soft, weighted, offset": {"soft": True, "weighted": True, "offset": True},
    "no intercept": {"fit_intercept": False},
}


@pytest.fixture
def structured_of(objective_of):
    """The structured objective over the data of a problem."""

    def make(problem, linear_map):
        dense = objective_of(problem)
        return StructuredObjective(
            dense.source, NUMPY_BLOCKS, linear_map,
            penalty=problem.penalty, fit_intercept=problem.fit_intercept,
        )  # fmt: skip

    return make


def map_for(problem, name, seed=0):
    return make_map(name, (problem.Y.shape[1], problem.X.shape[1]), rng=np.random.default_rng(seed))


def random_point(objective, seed=1):
    return np.random.default_rng(seed).normal(size=objective.n_parameters) / 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*CONVEX, "low_rank", "monarch", "phm"])
def test_the_value_is_the_loss_at_w_and_the_penalty_of_theta(
    name, kind, random_problem, structured_of
):
    problem = random_problem(**KINDS[kind])
    objective = structured_of(problem, map_for(problem, name))
    w = random_point(objective)
    theta, b = objective.split(w)
    W = objective.linear_map.to_dense(theta)
    value, gradient = objective.value_and_gradient(w)
    plain = problem.value(W, b) - 0.5 * problem.penalty * (W**2).sum()
    assert value == pytest.approx(plain + 0.5 * problem.penalty * theta @ theta, rel=1e-12)
    assert objective.passes == 1
    direction, h = np.random.default_rng(2).normal(size=len(w)), 1e-5
    up, down = (objective.value_and_gradient(w + t * direction)[0] for t in (h, -h))
    # Central differences: h² f''' / 6 ~ 1e-9 of truncation, u/h ~ 1e-11 of rounding.
    assert (up - down) / (2 * h) == pytest.approx(gradient @ direction, rel=1e-6, abs=1e-8)


def minimum(objective):
    """By BFGS on values and gradients that the test above checked."""
    start = np.zeros(objective.n_parameters)
    found = scipy.optimize.minimize(
        objective.value_and_gradient, start, jac=True, method="BFGS", options={"gtol": 1e-10}
    )
    return found.fun, found.x


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONVEX)
def test_the_gap_bounds_the_excess_and_is_the_formula_at_an_optimal_intercept(
    name, kind, random_problem, structured_of
):
    problem = random_problem(**KINDS[kind])
    objective = structured_of(problem, map_for(problem, name))
    lowest, best = minimum(objective)
    rng = np.random.default_rng(3)
    for size in (1e-3, 0.03, 0.3):
        w = best + size * rng.normal(size=len(best))
        objective.value_and_gradient(w)
        point, gradient, certificate = objective.certify(w)
        theta, _ = objective.split(point)
        excess = certificate.objective - lowest
        assert 0 < excess <= certificate.gap
        by_theta, _ = objective.split(gradient)
        formula = by_theta @ by_theta / (2 * problem.penalty)
        assert formula * (1 - 1e-9) <= certificate.gap <= 1.06 * formula + 1e-15
        np.testing.assert_array_equal(theta, objective.split(w)[0])


def test_the_gap_holds_where_the_intercept_is_far_from_optimal(random_problem, structured_of):
    # Straight to the judge, without the intercept step: the correction alone must carry it.
    problem = random_problem(weighted=True)
    for name in CONVEX:
        objective = structured_of(problem, map_for(problem, name))
        lowest, best = minimum(objective)
        q = objective.source.n_classes
        for size in (1e-6, 1e-3, 0.1):
            w = best.copy()
            w[-q:] += size * np.linspace(-1, 1, q)
            sums = objective._pass(w, np.dtype(np.float64), moments=True, entropy=True)
            _, certificate, slack = objective._judge(w, sums)
            assert certificate.objective - lowest <= certificate.gap * (1 + 1e-6), (name, size)
            assert slack > 0


def test_maps_that_are_not_linear_and_no_penalty_give_no_gap(random_problem, structured_of):
    problem = random_problem()
    q, d = problem.Y.shape[1], problem.X.shape[1]
    low = structured_of(problem, LowRank((q, d), 2))
    free = structured_of(random_problem(penalty=0.0), Circulant((q, d)))
    for objective in (low, free):
        w = random_point(objective)
        value, gradient = objective.value_and_gradient(w)
        assert math.isnan(objective.relative_gap(value, gradient))
        _, _, certificate = objective.certify(w)
        assert certificate.kind == "stationary"
        assert math.isnan(certificate.gap)


def test_the_relative_gap_leaves_the_intercept_out(random_problem, structured_of):
    problem = random_problem(penalty=0.5)
    q, d = problem.Y.shape[1], problem.X.shape[1]
    objective = structured_of(problem, Circulant((q, d)))
    gradient = np.full(objective.n_parameters, 100.0)
    gradient[: max(q, d)] = 0.1
    gap = max(q, d) * 0.01 / (2 * 0.5)
    assert objective.relative_gap(1.0, gradient) == pytest.approx(gap / (1 - gap))
    assert objective.relative_gap(gap / 2, gradient) == math.inf


def hessian_of(objective, w):
    """By central differences of the gradient."""
    h, p = 1e-5, len(w)
    columns = [
        (objective.value_and_gradient(w + h * e)[1] - objective.value_and_gradient(w - h * e)[1])
        / (2 * h)
        for e in np.eye(p)
    ]
    return np.array(columns)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONVEX)
def test_the_metric_of_all_rows_is_the_hessian(name, kind, random_problem, structured_of):
    problem = random_problem(**KINDS[kind])
    objective = structured_of(problem, map_for(problem, name))
    w = random_point(objective)
    metric = objective.metric(w, np.random.default_rng(0))
    assert metric.quality == "exact"
    hessian = hessian_of(objective, w)
    direction = np.random.default_rng(4).normal(size=len(w))
    if problem.fit_intercept:  # along (1, …, 1) the Hessian is singular, as the gradient has none
        direction[-problem.Y.shape[1] :] -= direction[-problem.Y.shape[1] :].mean()
    found = metric.solve(hessian @ direction)
    # Differences of gradients are good to 1e-9, the ridge is 1e-10, condition numbers below 1e3.
    np.testing.assert_allclose(found, direction, rtol=1e-4, atol=1e-5)


def large_source(n=30_000, d=6, q=3):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(n, d))
    y = (X @ rng.normal(size=(d, q)) + rng.gumbel(size=(n, q))).argmax(axis=1)
    s = rng.uniform(0.5, 1.5, size=n)
    return ArraySource(X, y, s / s.sum(), q, None, (X.min(axis=0), X.max(axis=0)))


def test_the_metric_of_a_sample_is_near_the_hessian_and_so_is_its_diagonal(monkeypatch):
    objective = StructuredObjective(large_source(), NUMPY_BLOCKS, Toeplitz((3, 6)), penalty=1e-3)
    w = random_point(objective)
    hessian = hessian_of(objective, w)
    direction = np.random.default_rng(6).normal(size=len(w))
    direction[-3:] -= direction[-3:].mean()
    metric = objective.metric(w, np.random.default_rng(0))
    assert metric.quality == "sampled"
    found = metric.solve(hessian @ direction)
    # 4000 drawn labels for 11 parameters: entries are off by some √(11/4000) = 5 %.
    assert np.linalg.norm(found - direction) < 0.2 * np.linalg.norm(direction)
    monkeypatch.setattr(fisher, "_MAX_FACTORED", 0)
    diagonal = objective.metric(w, np.random.default_rng(0))
    assert diagonal.quality == "model"
    np.testing.assert_allclose(diagonal.diagonal, hessian.diagonal(), rtol=0.15)


def test_the_metric_of_a_product_is_positive_definite_and_called_a_model(
    random_problem, structured_of
):
    problem = random_problem()
    q, d = problem.Y.shape[1], problem.X.shape[1]
    objective = structured_of(problem, LowRank((q, d), 2))
    for w in (random_point(objective), np.zeros(objective.n_parameters)):
        metric = objective.metric(w, np.random.default_rng(0))
        assert metric.quality == "model"
        inverse = np.array([metric.solve(e) for e in np.eye(len(w))])
        assert np.linalg.eigvalsh((inverse + inverse.T) / 2).min() > 0


def test_one_block_is_the_dense_objective(random_problem, structured_of, objective_of):
    problem = random_problem(soft=True, weighted=True, offset=True)
    q, d = problem.Y.shape[1], problem.X.shape[1]
    dense, one = objective_of(problem), structured_of(problem, BlockDiagonal((q, d), 1))
    w = random_point(one)
    assert one.value_and_gradient(w)[0] == pytest.approx(dense.value_and_gradient(w)[0], rel=1e-13)
    np.testing.assert_allclose(
        one.value_and_gradient(w)[1], dense.value_and_gradient(w)[1], rtol=1e-11, atol=1e-14
    )
    # The dense objective has a second, tighter bound besides.
    assert dense.certify(w)[2].gap <= one.certify(w)[2].gap * (1 + 1e-9)


def test_the_sample_of_a_diagonal_shrinks_with_the_number_of_parameters():
    # 400 million entries of row gradients at most, and never fewer than 256 rows.
    assert fisher._rows_wanted(100) == 4000
    assert fisher._rows_wanted(2000) == 8000
    assert fisher._rows_wanted(5001) == 4000
    assert fisher._rows_wanted(400_000) == 1000
    assert fisher._rows_wanted(10**7) == 256
