"""Dual block ascent against the dual's own formula, and against optima found another way."""

import numpy as np
import pytest
import scipy.sparse as sp

from crossent.kernels import CATALOGUE
from crossent.kernels.dual import begin_dual, dual_epoch
from crossent.objectives import dual_ascent

CSR = next(c.kernel for c in CATALOGUE if c.kernel.name == "compiled-csr")
KINDS = {
    "plain": {},
    "soft and weighted": {"soft": True, "weighted": True},
    "no intercept": {"fit_intercept": False},
    "two classes": {"q": 2},
    "more columns than rows": {"n": 12, "d": 40, "penalty": 20.0},
    "20 classes": {"q": 20, "n": 90},
    "strong penalty": {"penalty": 1.0},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def state_of(problem, log_p, rows=slice(None)):
    """W(p) computed here, from its definition."""
    p = np.exp(log_p)
    W = ((problem.Y - p) * problem.s[:, None]).T @ problem.X / problem.penalty
    return begin_dual(sp.csr_array(problem.X), log_p, W, problem.s, problem.penalty)


def dual_value(problem, log_p, b):
    """With b as the multipliers: Σ s_i [H(p_i) + b·(p_i - y_i)] - (λ/2) ‖W(p)‖²."""
    p = np.exp(log_p.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    W = ((problem.Y - p) * problem.s[:, None]).T @ problem.X / problem.penalty
    entropy = -(p * log_p).sum(axis=1) + (p - problem.Y) @ b
    return problem.s @ entropy - problem.penalty / 2 * np.vdot(W, W)


def random_log_p(shape, seed=0):
    return np.log(np.random.default_rng(seed).dirichlet(np.ones(shape[1]), size=shape[0]))


@every_kind
def test_each_block_is_maximised_exactly(kind, random_problem):
    problem = random_problem(**KINDS[kind])
    n, q = problem.Y.shape
    b = np.random.default_rng(3).normal(size=q)
    state = state_of(problem, random_log_p((n, q)))
    for row in (0, n // 2, n - 1):
        dual_epoch(state, np.array([row]), b)
        # Where the block's gradient log p_i + W x_i + b vanishes up to a constant, p_i is the
        # softmax. float32: logits of some 10 are rounded to 1e-6; Newton stops at 1e-5.
        logits = state.W[:, :q].T @ problem.X[row] + b
        expected = np.exp(logits - logits.max())
        expected /= expected.sum()
        np.testing.assert_allclose(np.exp(state.log_p[row]), expected, rtol=2e-4, atol=1e-6)


@every_kind
def test_the_coefficients_stay_those_of_the_distributions(kind, random_problem):
    problem = random_problem(**KINDS[kind])
    n, q = problem.Y.shape
    state = state_of(problem, random_log_p((n, q)))
    for seed in range(5):
        dual_epoch(state, np.random.default_rng(seed).permutation(n), np.zeros(q))
    p = np.exp(state.log_p.astype(np.float64))
    W = ((problem.Y - p) * problem.s[:, None]).T @ problem.X / problem.penalty
    np.testing.assert_allclose(state.W[:, :q].T, W, atol=1e-5 * np.abs(W).max())
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-5)
    assert not state.W[:, q:].any()


@every_kind
def test_the_gain_is_what_the_dual_grows_by(kind, random_problem):
    problem = random_problem(**{"penalty": 0.5} | KINDS[kind])
    n, q = problem.Y.shape
    b = np.random.default_rng(3).normal(size=q) / 3
    state = state_of(problem, random_log_p((n, q)))
    for _ in range(4):  # afterwards the moves are small, as the formula wants
        dual_epoch(state, np.arange(n), b)
    before = dual_value(problem, state.log_p, b)
    gain = problem.penalty * dual_epoch(state, np.arange(n), b)
    grown = dual_value(problem, state.log_p, b) - before
    assert grown > 5e-6
    assert gain == pytest.approx(grown, rel=0.1, abs=1e-6)  # float32: 1e-7 of D


@every_kind
def test_the_start_is_near_the_optimum(kind, random_problem, objective_of, monkeypatch):
    monkeypatch.setattr(dual_ascent, "_FEATURES", 1)
    problem = random_problem(**{"penalty": 0.5} | KINDS[kind])
    objective = objective_of(problem, X=sp.csr_array(problem.X), kernel=CSR)
    found = dual_ascent.dual_start(
        objective, tol=1e-5, max_epochs=200, rng=np.random.default_rng(0)
    )
    best = problem.value(*problem.optimum())
    value = problem.value(*objective.unpack(found.w))
    assert value - best < 1e-4 * best
    assert 1 <= found.epochs <= 60
    assert np.abs(objective.unpack(found.w)[0].sum(axis=0)).max() < 1e-5


def test_rows_of_weight_zero_are_passed_over(random_problem, objective_of, monkeypatch):
    monkeypatch.setattr(dual_ascent, "_FEATURES", 1)
    problem = random_problem(weighted=True, penalty=0.5)
    problem.s[[0, 5]] = 0.0
    problem.s[:] /= problem.s.sum()
    objective = objective_of(problem, X=sp.csr_array(problem.X), kernel=CSR)
    rng = np.random.default_rng(0)
    found = dual_ascent.dual_start(objective, tol=1e-5, max_epochs=200, rng=rng)
    value = problem.value(*objective.unpack(found.w))
    assert value - problem.value(*problem.optimum()) < 1e-4 * value


def test_epochs_never_exceed_what_is_allowed(random_problem, objective_of, monkeypatch):
    monkeypatch.setattr(dual_ascent, "_FEATURES", 1)
    problem = random_problem()
    objective = objective_of(problem, X=sp.csr_array(problem.X), kernel=CSR)
    rng = np.random.default_rng(0)
    assert dual_ascent.dual_start(objective, tol=1e-12, max_epochs=2, rng=rng).epochs == 2
    assert dual_ascent.dual_start(objective, tol=1e-12, max_epochs=0, rng=rng) is None


@pytest.mark.parametrize("why", ["dense", "few columns", "no penalty", "offset", "felt too little"])
def test_there_is_no_start_where_it_does_not_pay(why, random_problem, objective_of, monkeypatch):
    monkeypatch.setattr(dual_ascent, "_FEATURES", 10**6 if why == "few columns" else 1)
    options = {"no penalty": {"penalty": 0.0}, "offset": {"offset": True}}.get(why, {})
    options |= {"penalty": 1e-9} if why == "felt too little" else {}
    problem = random_problem(**options)
    X = problem.X if why == "dense" else sp.csr_array(problem.X)
    objective = objective_of(problem, X=X, kernel=CSR)
    rng = np.random.default_rng(0)
    assert dual_ascent.dual_start(objective, tol=1e-6, max_epochs=100, rng=rng) is None
