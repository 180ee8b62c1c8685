"""The objective: every form of its Hessian, its certificate, its metric, its proof of existence."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from choice_definitions import log_softmax

from crossent.objectives import choice_hessian
from crossent.objectives.choice import ChoiceObjective
from crossent.objectives.choice_existence import recession_direction
from crossent.objectives.choice_metric import ConjugateGradientMetric
from crossent.objectives.choice_sets import ChoiceSets
from crossent.solvers import minimise


def random_sets(seed=0, offset=True):
    """Sets of 2 to 5 alternatives with four features, one set of a single alternative."""
    rng = np.random.default_rng(seed)
    sizes = [*rng.integers(2, 6, 40).tolist(), 1]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    m = starts[-1]
    rows = rng.normal(size=(m, 4)) * (rng.random((m, 4)) < 0.6)
    counts = rng.poisson(1.0, m).astype(float)
    counts[starts[:-1]] += 1
    return rows, starts, counts, rng.normal(size=m) if offset else None


def written_out(rows, starts, counts, offset, w, penalty, penalised):
    total = used = 0.0
    for first, last in itertools.pairwise(starts):
        if last - first > 1:
            z = rows[first:last] @ w + (0 if offset is None else offset[first:last])
            total -= float(np.dot(counts[first:last], log_softmax(z.tolist())))
            used += counts[first:last].sum()
    return total / used + 0.5 * penalty * float(np.sum(w[penalised] ** 2))


def objective(form, seed=0, penalty=0.0, penalised=None, **keywords):
    rows, starts, counts, offset = random_sets(seed)
    given = rows if form == "dense" else sp.csr_array(rows)
    sets, _ = ChoiceSets.ragged(given, starts, counts, offset)
    return ChoiceObjective(sets, penalty=penalty, penalised=penalised, **keywords)


@pytest.mark.parametrize("form", ["dense", "pairs", "moments"])
def test_value_gradient_and_hessian_are_those_written_out(form, monkeypatch):
    if form == "moments":
        monkeypatch.setattr(choice_hessian, "_MAX_PAIR_ENTRIES", 0)
    penalised = np.array([True, True, False, True])
    f = objective(form, penalty=0.3, penalised=penalised)
    data = random_sets()
    rng = np.random.default_rng(1)
    w = rng.normal(size=4)

    value, gradient = f.value_and_gradient(w)
    np.testing.assert_allclose(value, written_out(*data, w, 0.3, penalised), rtol=1e-13)
    h = 1e-5
    for k, e in enumerate(h * np.eye(4)):
        up, down = (written_out(*data, w + s * e, 0.3, penalised) for s in (1, -1))
        # h² f''' ≈ 1e-10 and 1e-16/h = 1e-11.
        assert gradient[k] == pytest.approx((up - down) / (2 * h), abs=1e-8)
        high, low = (f.value_and_gradient(w + s * e)[1] for s in (1, -1))
        np.testing.assert_allclose(f.hessian(w)[k], (high - low) / (2 * h), rtol=0, atol=1e-8)


@pytest.mark.parametrize("scale", [1.0, 30.0, 800.0])
def test_the_loss_of_saturated_sets_is_exact(scale):
    for K in (2, 3, 9):  # three ways to add up
        part = sp.csr_array(np.eye(K)[:, :1])
        sets = ChoiceSets.uniform(part, np.array([[1.0]] + [[0.0]] * (K - 1)))
        value, _ = ChoiceObjective(sets).value_and_gradient(np.array([scale]))
        assert value == pytest.approx(np.log1p((K - 1) * np.exp(-scale)), rel=1e-14)
        wrong = ChoiceSets.uniform(part, np.array([[0.0]] * (K - 1) + [[1.0]]))
        value, gradient = ChoiceObjective(wrong).value_and_gradient(np.array([scale]))
        assert value == pytest.approx(scale + np.log1p((K - 1) * np.exp(-scale)), rel=1e-14)
        assert gradient[0] == pytest.approx(1 / (1 + (K - 1) * np.exp(-scale)), rel=1e-14)


def test_the_gap_bounds_the_excess_everywhere():
    penalised = np.array([True, True, True, False])
    best = minimise(
        objective("pairs", penalty=0.2, penalised=penalised),
        np.zeros(4),
        tol=1e-14,
        max_passes=100,
        rng=np.random.default_rng(0),
    )
    minimum = best.certificate.objective
    rng = np.random.default_rng(3)
    finite = 0
    for size in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        f = objective("pairs", penalty=0.2, penalised=penalised)
        _, _, certificate = f.certify(best.w + size * rng.normal(size=4))
        assert certificate.gap >= certificate.objective - minimum - 1e-15
        finite += np.isfinite(certificate.gap)
    assert finite >= 3
    assert best.certificate.gap < 1e-12


def test_the_gap_counts_a_slope_along_unpenalised_coefficients():
    penalised = np.array([True, True, True, False])
    f = objective("pairs", penalty=0.2, penalised=penalised)
    draws = np.random.default_rng(0)
    best = minimise(f, np.zeros(4), tol=1e-14, max_passes=100, rng=draws)
    for shift in (1e-4, 1e-3, 1e-2):
        w = best.w.copy()
        w[3] += shift
        for _ in range(20):  # the others made optimal: their gradient vanishes
            gradient = f.value_and_gradient(w.copy())[1]
            w[:3] -= np.linalg.solve(f.hessian(w.copy())[:3, :3], gradient[:3])
        here = w.copy()
        value, gradient = f.value_and_gradient(here)
        assert np.abs(gradient[:3]).max() < 1e-15
        gap = f._gap(gradient, f.exact_metric(here), 1.0)
        excess = value - best.certificate.objective
        # g_U·v_U is twice the excess of a quadratic.
        assert excess < gap < 4 * excess


def test_without_unpenalised_coefficients_the_gap_is_fenchel_youngs():
    f = objective("pairs", penalty=0.2)
    w, gradient, certificate = f.certify(np.full(4, 0.3))
    assert certificate.gap == pytest.approx(float(gradient @ gradient) / 0.4, rel=1e-12)
    assert certificate.objective == f.value_and_gradient(w)[0]


def test_conjugate_gradients_solve_as_cholesky_does(monkeypatch):
    # A chain of 40 items: with a condition number of some 600 steepest descent takes thousands of
    # steps.
    n = 40
    rows = sp.csr_array(np.vstack([np.eye(n)[:-1], np.eye(n)[1:]]))
    f = ChoiceObjective(ChoiceSets.uniform(rows, np.ones((2, n - 1))), gauge=np.ones((1, n)))
    dense = f.exact_metric(np.zeros(n))
    monkeypatch.setattr("crossent.objectives.choice.DENSE_LIMIT", n - 1)
    iterative = f.exact_metric(np.zeros(n))
    g = np.random.default_rng(0).normal(size=n)
    g -= g.mean()
    assert isinstance(iterative, ConjugateGradientMetric)
    # Residual 1e-9 times the condition number.
    expected = dense.solve(g)
    assert np.linalg.norm(iterative.solve(g) - expected) < 1e-6 * np.linalg.norm(expected)


def test_the_proof_of_existence_agrees_with_the_linear_program():
    rng = np.random.default_rng(5)
    seen = set()
    for number in range(60):
        n = 3 + number % 6  # few sets are often separable, many hardly ever
        rows = rng.normal(size=(3 * n, 3))
        counts = np.zeros((3, n))
        counts[rng.integers(0, 3, n), np.arange(n)] = 1
        sets = ChoiceSets.uniform(rows, counts)
        f = ChoiceObjective(sets)
        found = minimise(f, np.zeros(3), tol=1e-10, max_passes=60, rng=rng)
        direction = recession_direction(sets, np.ones(3, dtype=bool))
        assert f.proves_existence(found.w) == (direction is None)
        seen.add(direction is None)
        if direction is not None:
            far = [f.value_and_gradient(found.w + t * direction)[0] for t in (0.0, 10.0, 100.0)]
            assert far[0] >= far[1] >= far[2]
    assert seen == {True, False}


def test_a_gauge_direction_changes_nothing_and_is_left_alone():
    n = 6
    i, j = np.triu_indices(n, 1)
    rows = sp.csr_array(np.vstack([np.eye(n)[i], np.eye(n)[j]]))
    sets = ChoiceSets.uniform(rows, np.random.default_rng(0).integers(1, 9, (2, len(i))))
    f = ChoiceObjective(sets, gauge=np.ones((1, n)))
    found = minimise(f, np.zeros(n), tol=1e-12, max_passes=50, rng=np.random.default_rng(0))
    assert found.w.sum() == pytest.approx(0, abs=1e-13)
    inverse = f.exact_metric(found.w).inverse()
    np.testing.assert_allclose(inverse, np.linalg.pinv(f.hessian(found.w)), rtol=1e-9, atol=1e-12)
