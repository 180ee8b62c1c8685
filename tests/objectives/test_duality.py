"""The certificate against its meaning: never below f - min f, and a difference of two values.

The minimum comes from the plain Newton method of reference.py; the dual value from an explicit
dual function there.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import entr

from crossent.kernels import NUMPY_BLOCKS, PassSums
from crossent.objectives.duality import duality_gap
from crossent.objectives.target_sums import target_moments

ROUNDING = 4e-15  # of the two values whose difference is compared; both are of the order of 1
KINDS = {
    "labels": {},
    "soft targets": {"soft": True},
    "weights": {"weighted": True},
    "offset": {"offset": True},
    "shifted": {"shift": 50.0},
    "no intercept": {"fit_intercept": False},
    "two classes": {"q": 2},
    "one column": {"d": 1},
    "weak penalty": {"penalty": 1e-4},
    "strong penalty": {"penalty": 10.0},
    "all at once": {"soft": True, "weighted": True, "offset": True, "shift": -20.0, "q": 4},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def gap_at(problem, source, W, b):
    """`duality_gap` and its slack, with the sums of a float64 pass."""
    q = len(W)
    sums = PassSums(
        np.zeros(W.shape), np.zeros(q), mean_probability=np.zeros(q), entropy=np.zeros(())
    )
    for block in source.blocks(None):
        NUMPY_BLOCKS.accumulate(block, W, b, sums, None)
    return duality_gap(
        W,
        b,
        sums,
        penalty=problem.penalty,
        fit_intercept=problem.fit_intercept,
        column_range=source.column_range,
        offset_width=source.offset_width,
    )


def points(problem, rng):
    """Near the optimum and far, with W and b disturbed together and each alone."""
    W, b = problem.optimum()
    for size in (1e-7, 1e-4, 1e-2, 0.3, 3.0):
        dW = size * rng.normal(size=W.shape) / abs(problem.X).max(axis=0)
        db = size * rng.normal(size=b.shape) * problem.fit_intercept
        yield from ((W + dW, b + db), (W + dW, b), (W, b + db))


@every_kind
def test_the_gap_bounds_the_excess_everywhere(kind, random_problem, source_of):
    problem = random_problem(**KINDS[kind])
    source, rng = source_of(problem), np.random.default_rng(1)
    minimum = problem.value(*problem.optimum())
    for W, b in points(problem, rng):
        gap, slack = gap_at(problem, source, W, b)
        assert gap >= problem.value(W, b) - minimum - ROUNDING
        assert 0 <= slack <= gap


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), size=st.floats(-6, 1), shift=st.floats(-30, 30))
def test_the_gap_bounds_the_excess_of_random_problems(random_problem, source_of, seed, size, shift):
    problem = random_problem(
        seed, n=12, soft=True, weighted=True, offset=True, shift=shift, penalty=0.02
    )
    rng = np.random.default_rng(seed)
    W, b = problem.optimum()
    minimum = problem.value(W, b)
    W = W + 10**size * rng.normal(size=W.shape) / 10
    b = b + 10**size * rng.normal(size=b.shape)
    gap, _ = gap_at(problem, source_of(problem), W, b)
    assert gap >= problem.value(W, b) - minimum - ROUNDING


@every_kind
def test_the_gap_is_primal_minus_dual_where_the_intercept_is_optimal(
    kind, random_problem, source_of
):
    problem = random_problem(**KINDS[kind])
    rng = np.random.default_rng(2)
    W, b = problem.optimum()
    W = W + 0.1 * rng.normal(size=W.shape) / abs(problem.X).max(axis=0)
    b = problem.with_optimal_intercept(W, b)
    expected = problem.value(W, b) - problem.dual(problem.probabilities(W, b))
    gap, slack = gap_at(problem, source_of(problem), W, b)
    # ρ is some 1e-16, and the slack it costs is that times radius²/λ at most.
    assert gap == pytest.approx(expected, rel=1e-8, abs=1e-13)
    assert slack <= 1e-8 * gap + 1e-13
    assert expected > 1e-5


@every_kind
def test_the_gap_is_not_below_the_one_of_the_mixed_dual_point(kind, random_problem, source_of):
    # With ρ ≠ 0 the docstring mixes every p_i with one r; the explicit dual function of that point
    # is a lower bound on the minimum, and the formula may not claim more.
    problem = random_problem(**KINDS[kind])
    if not problem.fit_intercept:
        pytest.skip("without an intercept there is no condition on ρ")
    rng = np.random.default_rng(3)
    for size in (1e-6, 1e-3, 1e-2):
        W, b = problem.optimum()
        b = b + size * rng.normal(size=b.shape)
        P = problem.probabilities(W, b)
        mean, rho = problem.s @ P, problem.s @ (P - problem.Y)
        epsilon = (rho / mean).max()
        mixed = (1 - epsilon) * P + epsilon * (mean - rho / epsilon)
        assert mixed.min() >= -1e-15
        np.testing.assert_allclose(problem.s @ mixed, problem.s @ problem.Y, atol=1e-14)
        true = problem.value(W, b) - problem.dual(np.maximum(mixed, 0))
        gap, slack = gap_at(problem, source_of(problem), W, b)
        assert gap >= true - ROUNDING
        assert slack > 0


def test_where_all_rows_are_one_point_the_correction_is_nearly_exact(source_of, reference):
    # The box of the rows has no extent, so the terms that hide others vanish: what is left is
    # λ/2 ‖W‖² + ρ·(b + Wc) + ε(H(p) - H(r)). Given away was H((1-ε)p + εr) - (1-ε)H(p) - εH(r)
    # alone, at most the entropy of a coin that falls on one side with probability ε.
    Y = np.eye(3)[np.arange(12) % 3]
    Y[0] = [0.2, 0.5, 0.3]
    rng = np.random.default_rng(4)
    problem = reference.Reference(
        np.full((12, 1), 50.0), Y, np.full(12, 1 / 12), np.zeros((12, 3)), 0.05
    )
    minimum = problem.value(np.zeros((3, 1)), np.log(Y.mean(axis=0)))
    for _ in range(50):
        W = rng.normal(size=(3, 1))
        b = np.log(Y.mean(axis=0)) - 50 * W[:, 0] + rng.normal(size=3)
        excess = problem.value(W, b) - minimum
        mean = problem.probabilities(W, b).mean(axis=0)
        epsilon = ((mean - Y.mean(axis=0)) / mean).max()
        gap, _ = gap_at(problem, source_of(problem), W, b)
        coin = float(entr([epsilon, 1 - epsilon]).sum())
        if epsilon < 1:
            assert excess - ROUNDING <= gap <= excess + coin
        else:
            assert gap == np.inf


def test_without_the_correction_a_poor_intercept_would_be_certified(random_problem, source_of):
    # W is optimal for an intercept that is held fixed at a wrong place: ∇_W f = 0, so the plain
    # formula says 0 where the excess is large.
    problem = random_problem(weighted=True)
    minimum = problem.value(*problem.optimum())
    wrong = np.array([0.05, -0.05, 0.0])
    fixed = dataclasses.replace(problem, offset=problem.offset + wrong, fit_intercept=False)
    W, _ = fixed.optimum()
    plain = float((problem.gradient(W, wrong)[0] ** 2).sum()) / (2 * problem.penalty)
    excess = problem.value(W, wrong) - minimum
    gap, slack = gap_at(problem, source_of(problem), W, wrong)
    assert plain < 1e-20 < 1e-4 < excess
    assert gap >= excess
    assert slack > 0.5 * gap


def test_the_correction_vanishes_with_the_residual(random_problem, source_of):
    problem = random_problem(soft=True, offset=True)
    W, b = problem.optimum()
    W = W + 0.01
    b = problem.with_optimal_intercept(W, b)
    slacks = [
        gap_at(problem, source_of(problem), W, b + size * np.array([1.0, -1.0, 0.0]))[1]
        for size in (1e-4, 1e-6, 1e-8)
    ]
    # Linear in ε, so two decades of the intercept are about two of the slack.
    assert 30 < slacks[0] / slacks[1] < 300
    assert 30 < slacks[1] / slacks[2] < 300
    assert 0 < slacks[0] < 0.1


def test_a_class_whose_probability_underflows_everywhere_does_no_harm(random_problem, source_of):
    # At b = (900, 0, 0) two classes have mean probability 0 in float64.
    problem = random_problem()
    W, b = np.zeros((3, 3)), np.array([900.0, 0.0, 0.0])
    excess = problem.value(W, b) - problem.value(*problem.optimum())
    assert excess > 100
    assert gap_at(problem, source_of(problem), W, b)[0] >= excess


def test_the_dual_of_the_reference_is_a_lower_bound_that_is_reached(random_problem):
    problem = random_problem(soft=True, offset=True, weighted=True)
    W, b = problem.optimum()
    best = problem.value(W, b)
    assert problem.dual(problem.probabilities(W, b)) == pytest.approx(best, rel=1e-12)
    assert problem.dual(problem.Y) < best - 0.01


@every_kind
@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-6])
def test_with_the_moments_of_the_targets_the_gap_still_bounds_and_is_tighter(
    kind, distance, random_problem, source_of
):
    problem = random_problem(**KINDS[kind])
    if not problem.fit_intercept or problem.penalty == 0:
        pytest.skip("nothing to correct")
    source = source_of(problem)
    W, b = problem.optimum()
    best = problem.value(W, b)
    rng = np.random.default_rng(1)
    b = b + distance * rng.normal(size=b.shape)
    W = W + 1e-3 * distance * rng.normal(size=W.shape)
    q = len(W)
    sums = PassSums(
        np.zeros(W.shape), np.zeros(q), mean_probability=np.zeros(q), entropy=np.zeros(())
    )
    for block in source.blocks(None):
        NUMPY_BLOCKS.accumulate(block, W, b, sums)
    options = {
        "penalty": problem.penalty,
        "fit_intercept": True,
        "column_range": source.column_range,
        "offset_width": source.offset_width,
    }
    moments = target_moments(source)
    np.testing.assert_allclose(
        moments.target_features, (problem.Y * problem.s[:, None]).T @ problem.X, atol=1e-12
    )
    exact, _ = duality_gap(W, b, sums, **options, moments=moments)
    bound, _ = duality_gap(W, b, sums, **options)
    lacking = problem.value(W, b) - best
    assert exact >= lacking - 1e-13 * (1 + abs(best))
    assert exact <= bound * (1 + 1e-9)
