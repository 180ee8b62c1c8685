"""Steps of the intercept alone, against the optimum of a plain Newton's method."""

import numpy as np
import pytest

from crossent.kernels import NUMPY_BLOCKS, PassSums
from crossent.objectives.intercept import intercept_step


def sums_at(source, W, b, *, moments):
    q = len(b)
    sums = PassSums(np.zeros(W.shape), np.zeros(q), mean_probability=np.zeros(q))
    if moments:
        sums.second_moment = np.zeros((q, q))
    for block in source.blocks(None):
        NUMPY_BLOCKS.accumulate(block, W, b, sums)
    return sums


def residuals(problem, source, *, moments, rounds):
    """max |ρ| before each step, from W = optimum and an intercept that is off."""
    W, b = problem.optimum()
    b = b + 0.2 * np.random.default_rng(0).normal(size=len(b))
    found = []
    for _ in range(rounds):
        sums = sums_at(source, W, b, moments=moments)
        found.append(np.abs(sums.gradient_b).max())
        b = b + intercept_step(sums)
    return found, b


@pytest.mark.parametrize("kind", [{}, {"soft": True, "weighted": True, "offset": True}, {"q": 7}])
def test_newtons_steps_square_the_residual(kind, random_problem, source_of):
    problem = random_problem(**kind)
    found, b = residuals(problem, source_of(problem), moments=True, rounds=6)
    assert found[0] > 1e-3
    assert found[-1] < 1e-15
    best = problem.with_optimal_intercept(problem.optimum()[0], b)
    np.testing.assert_allclose(b - b.mean(), best - best.mean(), atol=1e-12)


@pytest.mark.parametrize("kind", [{"q": 7, "n": 200}, {"q": 12, "n": 300, "penalty": 0.002}])
def test_logarithms_come_nearer_without_a_matrix(kind, random_problem, source_of):
    found, _ = residuals(
        random_problem(**kind), source_of(random_problem(**kind)), moments=False, rounds=8
    )
    assert found[1] < found[0]
    assert found[-1] < 0.5 * found[0]


def test_without_the_mean_probability_nothing_moves():
    sums = PassSums(np.zeros((3, 2)), np.ones(3))
    assert not intercept_step(sums).any()
