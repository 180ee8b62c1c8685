"""The scaled gap is a bound at every point, and hardly changes with the units of the columns."""

import dataclasses

import numpy as np
import pytest

from crossent.kernels import NUMPY_BLOCKS, PassSums
from crossent.objectives.duality import duality_gap
from crossent.objectives.scaled_gap import scaled_gap

KINDS = {
    "plain": {},
    "soft, weighted, offset": {"soft": True, "weighted": True, "offset": True},
    "no intercept": {"fit_intercept": False},
    "two classes": {"q": 2},
    "shifted": {"shift": 50.0},
    "weak penalty": {"penalty": 1e-7, "n": 200, "soft": True},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def both_gaps(problem, source, W, b, rows=slice(None)):
    q = len(W)
    sums = PassSums(
        np.zeros(W.shape), np.zeros(q), mean_probability=np.zeros(q), entropy=np.zeros(())
    )
    for block in source.blocks(None):
        NUMPY_BLOCKS.accumulate(block, W, b, sums)
    options = {
        "penalty": problem.penalty,
        "fit_intercept": problem.fit_intercept,
        "column_range": source.column_range,
        "offset_width": source.offset_width,
    }
    plain = duality_gap(W, b, sums, **options)[0]
    return plain, scaled_gap(W, b, sums, source.take(rows, np.float64), **options)


def near(problem, distance, seed=0):
    """Coefficients off the optimum by about `distance`, without the intercept made good."""
    W, b = problem.optimum()
    rng = np.random.default_rng(seed)
    W = W + distance * rng.normal(size=W.shape) / np.abs(problem.X).max(axis=0)
    return W, b + problem.fit_intercept * distance * rng.normal(size=b.shape)


@every_kind
@pytest.mark.parametrize("distance", [1.0, 1e-1, 1e-2, 1e-3, 1e-5])
@pytest.mark.parametrize("rows", [slice(None), slice(0, None, 3)], ids=["all rows", "a third"])
def test_the_gap_is_never_below_what_is_lacking(kind, distance, rows, random_problem, source_of):
    problem = random_problem(**KINDS[kind])
    source = source_of(problem)
    best = problem.value(*problem.optimum())
    for seed in range(5):
        W, b = near(problem, distance, seed)
        lacking = problem.value(W, b) - best
        _, scaled = both_gaps(problem, source, W, b, rows)
        assert scaled >= lacking - 1e-14 * best  # rounding of the two values


@every_kind
def test_near_the_optimum_the_gap_is_not_far_above_what_is_lacking(kind, random_problem, source_of):
    problem = random_problem(**{"soft": True} | KINDS[kind])
    source = source_of(problem)
    W, b = near(problem, 1e-4)
    lacking = problem.value(W, b) - problem.value(*problem.optimum())
    plain, scaled = both_gaps(problem, source, W, b)
    # λ + M against the Hessian: the smallest probability of a row against p (1 - p).
    assert lacking < scaled < 300 * lacking
    assert scaled < 1.01 * plain or np.isinf(plain)


def test_units_of_the_columns_matter_little(random_problem, source_of):
    problem = random_problem(penalty=1e-7, n=200, soft=True)
    other = dataclasses.replace(problem, X=problem.X * np.array([1e-3, 1.0, 1e3]))
    ratios = []
    for here in (problem, other):
        W, b = near(here, 1e-4)
        lacking = here.value(W, b) - here.value(*here.optimum())
        ratios.append([gap / lacking for gap in both_gaps(here, source_of(here), W, b)])
    (plain, scaled), (other_plain, other_scaled) = ratios
    assert other_plain > 1e3 * plain
    assert other_scaled < 3 * scaled < 300


def test_a_gap_that_no_distribution_can_make_up_for_is_infinite(random_problem, source_of):
    problem = random_problem(penalty=1e-7)
    W, b = near(problem, 30.0)
    assert both_gaps(problem, source_of(problem), W, b)[1] == np.inf
