"""The exact Hessian of a sample where the two-level model is not enough, and what it is made of."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

from crossent.objectives import curvature as curvature_module
from crossent.objectives import factorisation, leverage
from crossent.objectives.budget import affordable_rows, cost_of_all_directions
from crossent.objectives.curvature import exact_hessian
from crossent.objectives.factorisation import factorise, solve_with
from crossent.objectives.leverage import leverages
from crossent.objectives.sampling import rows_for_metric


def definition(p, features, weight):
    return sum(
        s * np.kron(np.diag(row) - np.outer(row, row), np.outer(v, v))
        for s, row, v in zip(weight, p, features, strict=True)
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_hessian_by_pairs_of_classes_is_the_hessian(dtype, monkeypatch):
    monkeypatch.setattr(curvature_module, "_BY_PAIRS", 1)
    monkeypatch.setattr(curvature_module, "_PAIR_ROWS", 7)
    monkeypatch.setattr(curvature_module, "_LARGE", 14)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), size=40)[:, :3]  # without the last class
    features, weight = rng.normal(size=(40, 5)), rng.dirichlet(np.ones(40))
    found = exact_hessian(p.astype(dtype), features.astype(dtype), weight, 2)
    assert found.dtype == dtype
    # Terms of some 1 in sums of weight 1: a few roundings of each.
    atol = 20 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(found, definition(p, features, weight), rtol=0, atol=atol)
    one = exact_hessian(p.astype(dtype), features.astype(dtype), weight, 1)
    np.testing.assert_array_equal(found, one)


@pytest.mark.parametrize("p", [1, 5, 16, 33])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_factor_in_tiles_solves(p, dtype, monkeypatch):
    monkeypatch.setattr(factorisation, "_LARGE", 1)
    monkeypatch.setattr(factorisation, "_TILE", 5)
    rng = np.random.default_rng(p)
    A = rng.normal(size=(p, p + 3))
    matrix = (A @ A.T + 5 * np.eye(p)).astype(dtype)
    right = rng.normal(size=p)
    kept = matrix.copy()
    factor = factorise(matrix, dtype, 2)
    assert factor[0].dtype == dtype
    np.testing.assert_allclose(np.tril(factor[0]) @ np.tril(factor[0]).T, matrix, rtol=1e-4)
    # A lift of ten roundings of the largest diagonal element, and nothing else, was added.
    lift = (matrix - kept)[np.diag_indices(p)]
    assert (lift <= 12 * np.finfo(dtype).eps * kept.diagonal().max()).all()
    np.testing.assert_array_equal((matrix - kept)[~np.eye(p, dtype=bool)], 0)
    # Conditions below 100.
    rtol = 1e4 * float(np.finfo(dtype).eps)
    exact = np.linalg.solve(kept.astype(np.float64), right)
    found = solve_with(factor, right)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, exact, rtol=0, atol=rtol * abs(exact).max())


def test_a_matrix_that_is_not_definite_is_lifted_in_tiles_too(monkeypatch):
    monkeypatch.setattr(factorisation, "_LARGE", 1)
    monkeypatch.setattr(factorisation, "_TILE", 2)
    matrix = np.ones((6, 6))
    matrix[5, 5] = 1 - 1e-13
    L = np.tril(factorise(matrix, np.float64)[0])
    np.testing.assert_allclose(L @ L.T, np.ones((6, 6)), atol=1e-9)


@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_leverages_are_the_diagonal_of_the_projection(
    penalty, dtype, random_problem, source_of, monkeypatch
):
    monkeypatch.setattr(leverage, "_BLOCK_ROWS", 17)
    monkeypatch.setattr(leverage, "_CHUNK_ROWS", 5)
    problem = random_problem(n=60, d=4, weighted=True, shift=3.0)
    c = np.random.default_rng(1).uniform(0.01, 1, 60)
    share = problem.s * c
    centred = problem.X - share @ problem.X / share.sum()
    root = np.sqrt(share)[:, None] * centred
    expected = np.einsum(
        "ij,jk,ik->i", root, np.linalg.inv(root.T @ root + penalty * np.eye(4)), root
    )
    found = leverages(source_of(problem, dtype=dtype), c, penalty=penalty, n_threads=2)
    # The ridge of 1e-9 and, in float32, roundings of x - x̄, which is a few times smaller than x.
    rtol = 1e-6 if dtype == np.float64 else 1e-3
    np.testing.assert_allclose(found, expected, rtol=rtol)
    if penalty == 0:
        assert found.sum() == pytest.approx(4, rel=rtol)


def test_a_row_that_alone_has_a_column_has_leverage_one_and_is_in_every_sample(
    random_problem, source_of, monkeypatch
):
    monkeypatch.setattr("crossent.objectives.sampling._SAMPLED_ROWS", 60)
    monkeypatch.setattr("crossent.objectives.sampling._FEW_ROWS", 60)
    problem = random_problem(n=500, d=6)
    X = problem.X.copy()
    X[:, 5] = 0.0
    X[123, 5] = 0.7
    source = source_of(dataclasses.replace(problem, X=X))
    c = np.full(500, 0.1)
    c[123] = 1e-3  # a row that the curvature alone would hardly ever draw
    held = leverages(source, c, penalty=1e-12)
    assert held[123] == pytest.approx(1, abs=0.01)
    totals = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        block = rows_for_metric(source, c, rng, np.float64, leverages=held)
        # 60 · 0.7 / 6 = 7 draws fall on it.
        assert len(block.X) <= 60
        assert (block.X[:, 5] == 0.7).any()
        totals.append(block.sample_weight @ np.column_stack([block.X**2, np.ones(len(block.X))]))
    expected = problem.s @ np.column_stack([X**2, np.ones(500)])
    deviation = np.std(totals, axis=0) / 10
    assert (abs(np.mean(totals, axis=0) - expected) < 4 * deviation + 1e-12).all()


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_fourth_metric_is_the_hessian_of_a_sample(
    fit_intercept, random_problem, objective_of, monkeypatch
):
    monkeypatch.setattr("crossent.objectives.sampling._SAMPLED_ROWS", 3000)
    monkeypatch.setattr("crossent.objectives.sampling._FEW_ROWS", 3000)
    monkeypatch.setattr("crossent.objectives.budget._BUILD_PASSES", 0)  # never by itself
    monkeypatch.setattr(curvature_module, "_BY_PAIRS", 1)
    monkeypatch.setattr(factorisation, "_LARGE", 1)
    problem = random_problem(n=9000, d=4, weighted=True, fit_intercept=fit_intercept)
    problem = dataclasses.replace(problem, X=np.insert(problem.X, 2, 1.5, axis=1))
    objective = objective_of(problem)
    w = np.zeros(objective.n_parameters)
    objective.value_and_gradient(w)
    rng = np.random.default_rng(0)
    metrics = [objective.metric(w, rng) for _ in range(4)]
    assert [metric.quality for metric in metrics] == ["model", "model", "model", "sampled"]
    # The third says what the fourth would cost: two sums, a factor, and leverages.
    size = (problem.Y.shape[1] - 1) * (5 + fit_intercept)
    flops = 3000 * size**2 / 2 + 2 * size**3 / 3 + 3 * 9000 * 25
    assert metrics[2].cost == pytest.approx(flops / (4 * 9000 * 5 * problem.Y.shape[1]))
    value, gradient = objective.value_and_gradient(w)
    step = -metrics[3].solve(gradient)
    # Newton's step to a few per cent: the value falls by nearly ½ gᵀH⁻¹g.
    assert objective.value_and_gradient(w + step)[0] < value + 0.4 * (gradient @ step)
    W, _ = objective.unpack(step)
    np.testing.assert_allclose(W.sum(axis=0), 0, atol=1e-12 * abs(W).max())


def test_where_a_neighbour_needed_it_the_first_metric_is_the_hessian(random_problem, objective_of):
    problem = random_problem(n=300)
    for thorough, quality in ((True, "exact"), (False, "model")):
        objective = objective_of(problem, hessian="auto")
        objective.thorough = thorough
        objective.value_and_gradient(w := np.zeros(objective.n_parameters))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("crossent.objectives.budget._BUILD_PASSES", 0)
            assert objective.metric(w, np.random.default_rng(0)).quality == quality


def test_no_hessian_of_all_directions_for_sparse_rows_or_very_many_parameters(
    random_problem, source_of
):
    problem = random_problem()
    dense = cost_of_all_directions(source_of(problem), fit_intercept=True)
    assert np.isfinite(dense)
    sparse = source_of(problem, X=sp.csr_array(problem.X))
    assert cost_of_all_directions(sparse, fit_intercept=True) == np.inf
    wide = random_problem(n=12, d=4600, q=3)
    assert cost_of_all_directions(source_of(wide), fit_intercept=True) == np.inf
    assert affordable_rows(source_of(wide), 0) > affordable_rows(source_of(wide), 12) > 0
