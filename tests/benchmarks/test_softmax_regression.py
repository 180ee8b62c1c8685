"""The judge of the benchmark agrees with scikit-learn's objective and crossent's certificate.

Objective: its rounding error is a few hundred ulp of the loss, 1e-13 relatively; the tests ask for
1e-11. Gap: primal minus dual, so about 1e-16 absolutely, where the gaps below are above 1e-5.
"""

import math

import numpy as np
import pytest
import scipy.sparse
from benchmarks.softmax_regression.judge import disagreements
from benchmarks.softmax_regression.levels import over_repeats, reach
from benchmarks.softmax_regression.objective import (
    duality_gap,
    newton_step,
    objectives,
    optimal_intercept,
    rescaled_intercept,
)
from benchmarks.softmax_regression.trace import Watch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from crossent.linear_model import SoftmaxRegression

C = 0.3


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600] / 16, y[:600]


@pytest.fixture(scope="module")
def rough(digits):
    """A fit that is visibly away from the optimum."""
    return SoftmaxRegression(C=C, tol=1e-2).fit(*digits)


@pytest.fixture(scope="module")
def optimum(digits):
    """scikit-learn's, by its Newton method."""
    return LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12).fit(*digits)


def test_the_objective_is_the_log_loss_plus_the_penalty_of_the_weights_alone(digits, rough):
    X, y = digits
    W, b = rough.coef_, rough.intercept_
    logits = X @ W.T + b
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = log_loss(y, probabilities) + (W**2).sum() / (2 * C * len(y))
    assert objectives(X, y, [(W, b)], C)[0] == pytest.approx(expected, rel=1e-11)


def test_the_objective_is_what_scikit_learn_minimises(digits, optimum):
    """Gradient zero at its optimum: a step h changes f by O(h²), and never downwards."""
    X, y = digits
    W, b = optimum.coef_, optimum.intercept_
    rng = np.random.default_rng(0)
    U, v = rng.standard_normal(W.shape), rng.standard_normal(b.shape)
    h = 1e-3
    at, plus, minus = objectives(X, y, [(W, b), (W + h * U, b + h * v), (W - h * U, b - h * v)], C)
    assert plus > at < minus
    # the slope: odd part over 2h; it would be about |G| without the penalty, 1e-2
    curvature = (plus + minus - 2 * at) / h**2
    assert abs(plus - minus) / (2 * h) < h * curvature / 20


def test_objectives_of_several_models_are_those_of_each(digits, rough, optimum):
    X, y = digits
    models = [(m.coef_, m.intercept_) for m in (rough, optimum)]
    together = objectives(X, y, models, C)
    assert together.tolist() == [objectives(X, y, [model], C)[0] for model in models]
    assert together[0] > together[1]


def test_the_gap_is_that_of_the_certificate(digits, rough):
    """The certificate adds an allowance for the intercept's residual."""
    gap, residual = duality_gap(*digits, rough.coef_, rough.intercept_, C)
    assert residual < 1e-5  # times an error of b of at most 1
    assert gap > 1e-5
    assert gap * (1 - 1e-9) <= rough.certificate_.gap <= 0.01 * rough.certificate_.objective


def test_the_gap_bounds_the_distance_to_the_optimum_of_scikit_learn(digits, rough, optimum):
    models = [(m.coef_, m.intercept_) for m in (rough, optimum)]
    value, least = objectives(*digits, models, C)
    gap, _ = duality_gap(*digits, rough.coef_, rough.intercept_, C)
    assert 0 < value - least <= gap


def test_the_best_intercept_removes_the_residual_that_voids_the_bound(digits, rough):
    X, y = digits
    W = rough.coef_
    off = rough.intercept_ + np.linspace(-1, 1, 10)
    _, residual = duality_gap(X, y, W, off, C)
    assert residual > 1e-3
    b = optimal_intercept(X, y, W, off, steps=6)
    _, residual = duality_gap(X, y, W, b, C)
    assert residual < 1e-13
    before, after = objectives(X, y, [(W, off), (W, b)], C)
    assert after < before
    rescaled = rescaled_intercept(X, y, W, b + 1e-3 * np.arange(10), steps=120)
    assert duality_gap(X, y, W, rescaled, C)[1] < 1e-12


def test_a_newton_step_of_the_judge_squares_the_distance_on_unscaled_columns(digits):
    X, y = digits
    rows = y < 3
    X, y = X[rows, :30] * np.logspace(0, 3, 30), y[rows]
    model = SoftmaxRegression(C=C, tol=1e-3).fit(X, y)
    W, b = model.coef_, model.intercept_
    gaps = [duality_gap(X, y, W, b, C)[0]]
    for _ in range(3):
        W, b = newton_step(X, y, W, b, C)
        gaps.append(duality_gap(X, y, W, b, C)[0])
    assert gaps[0] > 1e-9
    assert abs(gaps[-1]) < 1e-13
    assert duality_gap(X, y, W, b, C)[1] < 1e-13


def test_distributions_and_sparse_rows_are_judged_like_labels_and_dense_rows(digits, rough):
    X, y = digits
    model = (rough.coef_, rough.intercept_)
    onehot = np.eye(10)[y]
    value, gap = objectives(X, y, [model], C)[0], duality_gap(X, y, *model, C)[0]
    assert objectives(X, onehot, [model], C)[0] == pytest.approx(value, rel=1e-13)
    assert duality_gap(X, onehot, *model, C)[0] == pytest.approx(gap, rel=1e-8)
    rows = scipy.sparse.csr_matrix(X)
    assert objectives(rows, y, [model], C)[0] == pytest.approx(value, rel=1e-13)
    assert duality_gap(rows, y, *model, C)[0] == pytest.approx(gap, rel=1e-8)
    mixed = 0.7 * onehot + 0.3 * onehot[:, ::-1]  # the loss is linear in the targets
    mirrored = objectives(X, 9 - y, [model], C)[0]
    expected = 0.7 * value + 0.3 * mirrored
    assert objectives(X, mixed, [model], C)[0] == pytest.approx(expected, rel=1e-12)


def test_a_watched_fit_is_the_fit_and_its_last_iterate_is_the_result(digits, tmp_path):
    X, y = digits
    plain = LogisticRegression(C=C, tol=1e-13, max_iter=40)
    with pytest.warns(UserWarning, match="failed to converge"):
        plain.fit(X, y)
    watch = Watch(tmp_path, [0.0], cap_s=60)
    with watch, pytest.warns(UserWarning, match="failed to converge"):
        watched = LogisticRegression(C=C, tol=1e-13, max_iter=40).fit(X, y)
    assert watched.coef_.tolist() == plain.coef_.tolist()
    assert watch.iterations == 40
    last = watch.iterates[-1]
    W, b = last.parameters(10, watch.layout)
    value = objectives(X, y, [(W, b)], C)[0]
    assert value == pytest.approx(last.value, rel=1e-11)
    assert value == pytest.approx(
        objectives(X, y, [(watched.coef_, watched.intercept_)], C)[0], rel=0.05
    )


def test_a_watched_fit_stops_soon_after_the_last_level(digits, tmp_path):
    with Watch(tmp_path, [0.9, 0.8], cap_s=60) as watch, pytest.warns(UserWarning, match="conver"):
        LogisticRegression(C=C, tol=1e-13, max_iter=1000).fit(*digits)
    values = [at.value for at in watch.iterates]
    assert min(values) <= 0.8
    assert watch.iterations < 20
    assert not watch.capped


def _run(solver, points, *, killed=False):
    complete = [{"C": 1.0, "kind": "fit", **point} for point in points]
    return {"solver": solver, "points": complete, "killed": killed}


def test_the_cheapest_fit_that_has_the_level_counts():
    points = [
        {"seconds": 1.0, "suboptimality": 1e-3},
        {"seconds": 3.0, "suboptimality": 9e-7},
        {"seconds": 2.0, "suboptimality": 5e-7},
    ]
    run = _run("peer", points)
    assert reach(run, 1e-6, 60).seconds == 2.0
    assert reach(run, 1e-2, 60).seconds == 1.0


def test_a_capped_fit_is_a_lower_bound_and_a_stalled_one_never_arrives():
    end = {"seconds": 30.2, "suboptimality": 1e-5, "kind": "end"}
    capped = reach(_run("peer", [{**end, "capped": True}]), 1e-6, 30)
    assert (capped.seconds, capped.reached) == (30, False)
    assert math.isinf(reach(_run("peer", [{**end, "capped": False}]), 1e-6, 30).seconds)


def test_crossent_is_charged_until_it_has_proved_the_level():
    on_the_way = {"seconds": 1.0, "suboptimality": 1e-7, "kind": "stated", "off_by": 1e-8}
    proved = {"seconds": 2.0, "suboptimality": 1e-9, "tol": 1e-6}
    lucky = {"seconds": 1.5, "suboptimality": 1e-8, "tol": 1e-4}
    assert reach(_run("crossent", [on_the_way, lucky, proved]), 1e-6, 60).seconds == 2.0
    assert reach(_run("crossent", [on_the_way, lucky, proved]), 1e-4, 60).seconds == 1.5
    assert reach(_run("peer", [on_the_way, proved]), 1e-6, 60).seconds == 1.0


def test_a_solvers_own_values_count_only_where_they_are_right_to_a_tenth_of_the_level():
    stated = {"seconds": 1.0, "suboptimality": 1e-7, "kind": "stated", "off_by": 2e-7}
    end = {"seconds": 2.0, "suboptimality": 1e-7, "kind": "end"}
    assert reach(_run("peer", [stated, end]), 1e-6, 60).seconds == 2.0
    assert reach(_run("peer", [stated, end]), 1e-4, 60).seconds == 1.0


def test_repeats_are_summed_up_by_median_and_range():
    runs = [_run("peer", [{"seconds": t, "suboptimality": 0.0}]) for t in (3.0, 1.0, 2.0)]
    found = over_repeats(runs, 1e-6, 60)
    assert (found.low, found.seconds, found.high) == (1.0, 2.0, 3.0)


def test_values_that_a_solver_states_are_judged_by_the_model_of_the_same_fit():
    # A fit in float32 whose own values are far below the truth, then one in float64, right.
    points = [
        {"kind": "cold", "objective": 2.0},
        {"kind": "end", "objective": 1.01},
        {"kind": "stated", "own_value": 1.2},
        {"kind": "stated", "own_value": 0.98},
        {"kind": "end", "objective": 1.0},
        {"kind": "stated", "own_value": 1.1},
        {"kind": "stated", "own_value": 1.0},
    ]
    found = disagreements(points, 1.0)
    assert found[2] == found[3] == pytest.approx(0.03)
    assert found[5] == found[6] == 0.0
    assert disagreements(points[2:4], 1.0) == [1.0, 1.0]
    # Without a model before them, the first one after them counts.
    assert disagreements(points[2:5], 1.0)[:2] == pytest.approx([0.02, 0.02])
