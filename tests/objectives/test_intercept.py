"""Steps of the intercept alone, against the optimum of a plain Newton's method."""

import numpy as np
import pytest

from crossent.kernels import NUMPY_BLOCKS, PassSums
from crossent.objectives.intercept import InterceptSteps, intercept_step
from crossent.objectives.target_sums import class_curvature


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
    problem = random_problem(q=40, n=400, d=30, penalty=1e-4)
    source = source_of(problem)
    plain, _ = residuals(problem, source, moments=False, rounds=7)
    learning, _ = residuals(problem, source, moments=False, rounds=7, step=InterceptSteps().after)
    assert learning[:2] == pytest.approx(plain[:2], rel=1e-12)  # the first has nothing to go by
    assert learning[-1] < 0.5 * plain[-1] < 0.5 * plain[0]


def moving(hessian_share, steps, rounds, seed=2, q=500):
    """max - min of what log p̄ lacks, where a step s changes it by `hessian_share` @ s."""
    rng = np.random.default_rng(seed)
    target = rng.dirichlet(np.full(q, 5.0))
    lacking, seen = 0.05 * rng.normal(size=q), []
    for _ in range(rounds):
        mean = target * np.exp(-lacking)
        sums = PassSums(np.zeros((q, 1)), mean - target, mean_probability=mean)
        seen.append(np.ptp(lacking))
        lacking = lacking - hessian_share @ steps.after(sums)
    return seen


def test_a_diagonal_hessian_that_is_known_needs_few_steps():
    # One, but for the mean that steps do not have and for the bound of a nat.
    share = np.random.default_rng(3).uniform(0.3, 0.9, 500)
    seen = moving(np.diag(share), InterceptSteps(share), 4)
    assert seen[0] > 0.1
    assert seen[3] < 1e-6
    assert moving(np.diag(share), InterceptSteps(), 4)[3] > 1e-3


def test_what_the_shares_do_not_say_is_learnt():
    # κ is known to a quarter: eigenvalues between 0.75 and 1.25 in the scale of the guess. The
    # least polynomials on that interval shrink what is left to an eighth a step.
    rng = np.random.default_rng(4)
    share = rng.uniform(0.3, 0.8, 500)
    truth = share * rng.uniform(0.75, 1.25, 500)
    seen = moving(np.diag(truth), InterceptSteps(share), 6)
    assert seen[5] < 1e-3 * seen[0]


@pytest.mark.parametrize("labels", [True, False])
def test_the_curvature_of_a_class_is_the_mean_of_its_rows(labels, random_problem, source_of):
    problem = random_problem(weighted=True, soft=not labels, n=50)
    source = source_of(problem, labels=labels)
    c = np.random.default_rng(5).uniform(size=50)
    expected = [np.average(c, weights=problem.s * y) for y in problem.Y.T]
    np.testing.assert_allclose(class_curvature(source, c), expected, rtol=1e-12)


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
