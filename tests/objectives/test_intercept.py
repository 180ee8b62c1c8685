"""Steps of the intercept alone, against the optimum of a plain Newton's method."""

import numpy as np
import pytest

from crossent.kernels import NUMPY_BLOCKS, PassSums
from crossent.objectives.intercept import InterceptSteps, intercept_step


def sums_at(source, W, b, *, moments):
    q = len(b)
    sums = PassSums(np.zeros(W.shape), np.zeros(q), mean_probability=np.zeros(q))
    if moments:
        sums.second_moment = np.zeros((q, q))
    for block in source.blocks(None):
        NUMPY_BLOCKS.accumulate(block, W, b, sums)
    return sums


def residuals(problem, source, *, moments, rounds, step=intercept_step):
    """max |ρ| before each step, from W = optimum and an intercept that is off."""
    W, b = problem.optimum()
    b = b + 0.2 * np.random.default_rng(0).normal(size=len(b))
    found = []
    for _ in range(rounds):
        sums = sums_at(source, W, b, moments=moments)
        found.append(np.abs(sums.gradient_b).max())
        b = b + step(sums)
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


def test_steps_that_learn_from_the_last_overtake_the_logarithms(random_problem, source_of):
    # 40 classes told apart well: most of a class's probability is on its own rows.
    problem = random_problem(q=40, n=400, d=30, penalty=1e-4)
    source = source_of(problem)
    plain, _ = residuals(problem, source, moments=False, rounds=7)
    learning, _ = residuals(problem, source, moments=False, rounds=7, step=InterceptSteps().after)
    assert learning[:2] == plain[:2]  # the first step has nothing to learn from
    assert learning[-1] < 0.5 * plain[-1] < 0.5 * plain[0]


def test_a_diagonal_hessian_is_learnt_by_one_step():
    # log p̄_j moves by κ_j times the step on b_j: what the Hessian κ_j p̄_j says.
    rng = np.random.default_rng(2)
    q = 500
    target = rng.dirichlet(np.full(q, 5.0))
    share = rng.uniform(0.15, 0.9, q)
    lacking = 0.05 * rng.normal(size=q)
    steps, seen = InterceptSteps(), []
    for _ in range(4):
        mean = target * np.exp(-lacking)
        sums = PassSums(np.zeros((q, 1)), mean - target, mean_probability=mean)
        seen.append(np.ptp(lacking))
        lacking = lacking - share * steps.after(sums)
    # The first leaves 1 - κ; the second all that classes moved by less than 0.3 of the usual one
    # did not show, some 0.3 · (κ / mean κ - 1); the fourth has seen nearly all.
    assert seen[1] > 0.3 * seen[0]
    assert seen[3] < 0.05 * seen[0]


def test_a_step_that_made_it_worse_is_followed_by_a_logarithm():
    target = np.full(4, 0.25)
    steps = InterceptSteps()
    for size in (0.1, 0.3):
        lacking = size * np.array([1.0, -1.0, 0.5, -0.5])
        mean = target * np.exp(-lacking)
        step = steps.after(PassSums(np.zeros((4, 1)), mean - target, mean_probability=mean))
    np.testing.assert_allclose(step, lacking, atol=1e-12)


def test_newtons_steps_have_nothing_to_learn(random_problem, source_of):
    problem = random_problem()
    source = source_of(problem)
    plain, _ = residuals(problem, source, moments=True, rounds=3)
    same, _ = residuals(problem, source, moments=True, rounds=3, step=InterceptSteps().after)
    assert same == plain


def test_without_the_mean_probability_nothing_moves():
    sums = PassSums(np.zeros((3, 2)), np.ones(3))
    assert not intercept_step(sums).any()
    assert not InterceptSteps().after(sums).any()
