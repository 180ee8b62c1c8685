"""The solver on functions with known minima and known traps; every status is reached."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest

from crossent.certificate import Certificate, Status
from crossent.solvers import minimise
from crossent.solvers.line_search import Point
from crossent.solvers.memory import Memory


@dataclass
class Model:
    """A metric given as a matrix."""

    matrix: np.ndarray
    quality: str = "exact"
    cost: float = 0.0

    def solve(self, gradient):
        return np.linalg.solve(self.matrix, gradient)


class Toy:
    """An Objective of plain functions; its passes are counted, its noise can be switched off."""

    def __init__(self, value, gradient, metric, *, size=1, gap=None, noise=0.0, refinable=False):
        self.parts = value, gradient, metric
        self.n_parameters = size
        self.gap_of = gap
        self.noise, self.refinable = noise, refinable
        self.passes = 5  # of an earlier life
        self.calls = {"metric": 0, "certify": 0, "refine": 0}
        self.metrics_at = []
        self.rng = np.random.default_rng(0)

    def value_and_gradient(self, w):
        self.passes += 1
        value, gradient = self.parts[0](w), np.array(self.parts[1](w), dtype=float)
        if self.noise:
            value *= 1 + self.noise * self.rng.uniform(-1, 1)
            gradient = gradient + self.noise * self.rng.normal(size=gradient.shape)
        return float(value), gradient

    def relative_gap(self, value, gradient):
        if self.gap_of is None:
            return math.nan
        gap = self.gap_of(gradient)
        return gap / (value - gap) if value > gap else math.inf

    @property
    def resolution(self):
        return max(self.noise, 1e-15)

    def refine(self):
        self.calls["refine"] += 1
        self.refined_at = self.passes
        if not (self.refinable and self.noise):
            return False
        self.noise = 0.0
        return True

    def metric(self, w, _):
        self.calls["metric"] += 1
        self.metrics_at.append(self.passes)
        return self.parts[2](w)

    def certify(self, w):
        self.calls["certify"] += 1
        self.passes += 1
        value, gradient = self.parts[0](w), np.array(self.parts[1](w), dtype=float)
        norm = float(np.linalg.norm(gradient))
        if self.gap_of is None:
            return w, gradient, Certificate("stationary", value, math.nan, math.nan, norm)
        gap = self.gap_of(gradient)
        relative = gap / (value - gap) if value > gap else math.inf
        return w, gradient, Certificate("gap", value, gap, relative, norm)


def quadratic(diagonal, *, metric=None, quality="exact", floor=1.0, centre=1.0, **options):
    """floor + ½ Σ a_j (w_j - centre)², with its true gap ½ gᵀA⁻¹g."""
    a = np.asarray(diagonal, dtype=float)
    matrix = np.diag(a) if metric is None else metric
    return Toy(
        lambda w: floor + 0.5 * float(a @ (w - centre) ** 2),
        lambda w: a * (w - centre),
        lambda _: Model(matrix, quality),
        size=len(a),
        gap=lambda g: 0.5 * float(g**2 @ (1 / a)),
        **options,
    )


def square_root(**options):
    """√(1 + w²): convex, but Newton's step from w lands on -w³."""
    return Toy(
        lambda w: float(np.sqrt(1 + w[0] ** 2)),
        lambda w: w / np.sqrt(1 + w**2),
        lambda w: Model(np.array([[(1 + w[0] ** 2) ** -1.5]])),
        **options,
    )


def run(objective, start, *, tol=1e-8, max_passes=500, **options):
    return minimise(
        objective,
        np.asarray(start, dtype=float),
        tol=tol,
        max_passes=max_passes,
        rng=np.random.default_rng(0),
        **options,
    )


def test_newton_finds_the_minimum_of_a_quadratic_in_one_step():
    objective = quadratic([1.0, 100.0, 1e6])
    solution = run(objective, [3.0, -2.0, 5.0])
    assert solution.certificate.status is Status.CONVERGED
    np.testing.assert_allclose(solution.w, 1.0, rtol=1e-12)
    assert solution.iterations == 1
    assert solution.certificate.passes == 3  # start, step, certificate
    assert solution.certificate.objective == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("memory", [0, 20])
def test_the_trap_in_which_full_newton_steps_diverge_is_escaped(memory):
    solution = run(square_root(), [2.0], memory=memory)
    assert solution.certificate.status is Status.STATIONARY
    assert abs(solution.w[0]) < 1e-3
    assert solution.certificate.passes < 30
    values = [point.objective for point in solution.trace]
    assert min(values) == pytest.approx(1.0, rel=1e-8)


def test_bfgs_pairs_make_up_for_a_metric_that_knows_nothing():
    # Condition 1e5 and the identity as metric. Steepest descent needs some 1e5 passes.
    a = np.logspace(0, 5, 12)
    start = np.zeros(12)
    with_pairs = run(quadratic(a, metric=np.eye(12), quality="model"), start, memory=20)
    assert with_pairs.certificate.status is Status.CONVERGED
    assert with_pairs.certificate.passes < 150
    np.testing.assert_allclose(with_pairs.w, 1.0, atol=2e-4)
    without = run(quadratic(a, metric=np.eye(12), quality="model"), start, memory=0)
    assert without.certificate.status is Status.MAX_PASSES


def test_a_metric_of_the_wrong_scale_costs_little():
    for scale in (1e-4, 1e4):
        a = np.array([1.0, 10.0, 100.0])
        objective = quadratic(a, metric=scale * np.diag(a), quality="model")
        solution = run(objective, [5.0, -5.0, 5.0])
        assert solution.certificate.status is Status.CONVERGED
        assert solution.certificate.passes < 20


def test_the_direction_is_that_of_the_bfgs_formula():
    # Explicit updates H ← (I - ρsyᵀ)H(I - ρysᵀ) + ρssᵀ of the scaled inverse metric.
    rng = np.random.default_rng(1)
    B = rng.normal(size=(5, 5))
    A, M = B @ B.T + np.eye(5), np.diag([1.0, 2.0, 3.0, 4.0, 5.0])
    memory = Memory(3)
    points = [Point(w, 0.0, A @ w) for w in rng.normal(size=(6, 5))]
    for old, new in itertools.pairwise(points):
        memory.remember(old, new)
    pairs = [(n.w - o.w, n.gradient - o.gradient) for o, n in itertools.pairwise(points[2:])]
    assert len(memory.pairs) == len(pairs) == 3
    s, y = pairs[-1]
    H = np.linalg.inv(M) * np.clip(s @ y / (y @ np.linalg.solve(M, y)), 0.1, 10)
    for s, y in pairs:
        V = np.eye(5) - np.outer(y, s) / (s @ y)
        H = V.T @ H @ V + np.outer(s, s) / (s @ y)
    gradient = rng.normal(size=5)
    kept = gradient.copy()
    np.testing.assert_allclose(memory.direction(gradient, Model(M)), -H @ gradient, rtol=1e-10)
    np.testing.assert_array_equal(gradient, kept)


def test_pairs_without_curvature_are_not_remembered():
    memory = Memory(5)
    a = Point(np.zeros(2), 0.0, np.array([1.0, 0.0]))
    memory.remember(a, Point(np.array([1.0, 0.0]), 0.0, np.array([1.0, 0.0])))
    memory.remember(a, Point(np.array([1.0, 0.0]), 0.0, np.array([0.5, 0.0])))
    assert memory.pairs == []


def test_a_singular_hessian_does_no_harm():
    # Flat along the second coordinate; the metric has a ridge there.
    objective = Toy(
        lambda w: 1.0 + 0.5 * (w[0] - 1) ** 2,
        lambda w: np.array([w[0] - 1, 0.0]),
        lambda _: Model(np.diag([1.0, 1e-12])),
        size=2,
    )
    solution = run(objective, [5.0, 7.0])
    assert solution.certificate.status is Status.STATIONARY
    np.testing.assert_allclose(solution.w, [1.0, 7.0], atol=1e-3)
    assert math.isnan(solution.certificate.gap)


def dear(cost, size=30, **options):
    """A quadratic with a sampled metric that knows nothing and has a price."""
    objective = quadratic(np.logspace(0, 4, size), **options)
    objective.parts = *objective.parts[:2], lambda _: Model(np.eye(size), "sampled", cost)
    return objective


def hyperbolic(cost):
    """Σ cosh(w): Newton's method squares the gap, one metric for all steps only shrinks it."""
    return Toy(
        lambda w: float(np.cosh(w).sum()),
        np.sinh,
        lambda w: Model(np.diag(np.cosh(w)), "exact", cost),
        size=2,
    )


def test_a_cheap_exact_metric_is_renewed_at_every_step_until_one_is_left():
    cheap, dear = hyperbolic(1.0), hyperbolic(30.0)
    solution = run(cheap, [1.0, -0.5], tol=1e-10)
    run(dear, [1.0, -0.5], tol=1e-10)

    # Excesses 0.7, 3e-2, 1e-5, 4e-16 after passes 6 to 9, over a value of 2. After pass 9 the gap
    # before, 5e-6, is below the root of tol, so that the square of it is below tol.
    assert cheap.metrics_at == [6, 7, 8]
    assert dear.metrics_at == [6]
    assert solution.certificate.status is Status.STATIONARY
    assert np.abs(solution.w).max() < 1e-6


def test_a_dear_metric_is_renewed_only_if_it_saves_more_passes_than_it_costs():
    builds = {}
    for cost in (150.0, 250.0, 1e5):
        objective = dear(cost)
        solution = run(objective, np.zeros(30), memory=5, max_passes=400)
        builds[cost] = solution.metric_builds
        # Every 8 steps the cheap one, every 16 the dear one, while no end is in sight.
        assert solution.metric_builds <= 1 + solution.iterations / (8 if cost < 200 else 16)
    assert builds[150.0] > 1.5 * builds[250.0]
    # The gap falls from window to window: as soon as that is known, 0.3 · 10⁵ passes are too many.
    assert builds[250.0] > builds[1e5] >= 1


def test_a_dear_metric_outlives_the_change_to_better_arithmetic():
    for cost, builds in ((1.0, 2), (1000.0, 1)):
        objective = quadratic([1.0, 4.0], noise=1e-3, refinable=True)
        objective.parts = (
            *objective.parts[:2],
            lambda _, c=cost: Model(np.diag([1.0, 4.0]), "sampled", c),
        )
        solution = run(objective, [5.0, 5.0], tol=1e-10)
        assert objective.calls["refine"] == 1
        assert sum(at >= objective.refined_at for at in objective.metrics_at) == builds - 1
        assert solution.certificate.relative_gap < 1e-10


class Hopeful:
    """An objective that may prove 500 times the decrement of its metric."""

    def provable_gap(self, value, decrement):
        return 500 * decrement / value


def test_a_decrement_that_rests_near_the_end_is_not_waited_for_in_coarse_arithmetic():
    class HopefulToy(Hopeful, Toy):
        pass

    # A metric 2.5 times the Hessian: steps leave 0.36 of the decrement, which is slow, and noise
    # of 1e-9 hides nothing before it is gone.
    objective = quadratic([1.0, 4.0], noise=1e-9, refinable=True)
    metric = Model(2.5 * np.diag([1.0, 4.0]), "exact", 150.0)
    objective.parts = *objective.parts[:2], lambda _: metric
    objective.__class__ = HopefulToy
    objective.gap_of = lambda _: math.inf  # the plain formula proves nothing here
    objective.certify = _as_quadratic(objective)
    solution = run(objective, [5.0, 5.0], tol=1e-8, memory=0)
    assert objective.calls["refine"] == 1
    assert all(at < objective.refined_at for at in objective.metrics_at)  # the metric is kept
    assert solution.certificate.relative_gap <= 1e-8


def _as_quadratic(objective):
    certify = Toy.certify

    def certified(w):
        kept, objective.gap_of = objective.gap_of, lambda g: 0.5 * float(g**2 @ [1.0, 0.25])
        found = certify(objective, w)
        objective.gap_of = kept
        return found

    return certified


def test_a_start_at_the_minimum_is_certified_without_a_step():
    solution = run(quadratic([1.0, 2.0]), [1.0, 1.0])
    assert solution.certificate.status is Status.CONVERGED
    assert solution.iterations == 0
    assert solution.certificate.passes == 2


@pytest.mark.parametrize("where", ["value", "gradient"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_start_that_is_not_finite_is_said_so(bad, where):
    objective = quadratic([1.0])
    value, gradient, metric = objective.parts
    objective.parts = (
        (lambda _: bad) if where == "value" else value,
        (lambda _: np.array([bad])) if where == "gradient" else gradient,
        metric,
    )
    solution = run(objective, [3.0])
    assert solution.certificate.status is Status.NOT_FINITE
    assert solution.w.tolist() == [3.0]
    assert math.isnan(solution.certificate.objective)
    assert objective.calls["metric"] == 0


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_passes_that_run_out_are_said_so_and_counted(limit):
    objective = quadratic(np.logspace(0, 6, 8), metric=np.eye(8), quality="model")
    solution = run(objective, np.zeros(8), max_passes=limit)
    assert solution.certificate.status is Status.MAX_PASSES
    assert solution.certificate.passes == limit + 1 == objective.passes - 5  # + the certificate
    assert solution.certificate.gap >= solution.certificate.objective - 1.0
    assert solution.certificate.objective <= solution.trace[0].objective


def test_a_proof_that_succeeds_outranks_the_reason_to_stop():
    # Two passes suffice to get there; the certificate after the last one proves it.
    solution = run(quadratic([1.0, 4.0]), [2.0, 2.0], max_passes=2)
    assert solution.certificate.status is Status.CONVERGED


def test_an_unattainable_tolerance_ends_with_precision():
    objective = quadratic([1.0, 3.0], noise=1e-7)
    solution = run(objective, [3.0, 4.0], tol=1e-20)
    assert solution.certificate.status is Status.PRECISION
    assert solution.certificate.passes < 100
    assert objective.calls["refine"] >= 1
    # The point is as good as the noise allows, and the certificate is honest about the rest.
    assert solution.certificate.objective - 1.0 < 1e-11
    assert solution.certificate.gap >= solution.certificate.objective - 1.0 - 1e-15


def test_gaps_that_stay_infinite_count_as_rounding_too():
    # λ so small that ‖∇‖²/(2λ) exceeds the value however small the gradient (C = 1e30).
    objective = quadratic([1.0, 3.0], noise=1e-15)
    objective.gap_of = lambda g: 1e40 * float(g @ g)
    solution = run(objective, [3.0, 4.0])
    assert solution.certificate.status is Status.PRECISION
    assert solution.certificate.relative_gap == math.inf
    assert solution.certificate.passes < 60


def test_better_arithmetic_is_asked_for_when_rounding_hides_progress():
    objective = quadratic([1.0, 30.0], noise=1e-6, refinable=True, quality="model")
    solution = run(objective, [3.0, 4.0], tol=1e-20)
    assert objective.calls["refine"] == 1
    assert objective.noise == 0.0
    assert solution.certificate.status is Status.CONVERGED
    np.testing.assert_allclose(solution.w, 1.0, rtol=1e-6)
    assert objective.refined_at + 1 in objective.metrics_at  # the old metric was of noise


@pytest.mark.parametrize("stop_at", [1, 3, 6])
def test_a_callback_can_stop_and_the_best_point_is_kept(stop_at):
    seen = []

    def callback(point, w):
        seen.append((point, w.copy()))
        return len(seen) == stop_at

    objective = quadratic(np.logspace(0, 6, 8), metric=np.eye(8), quality="model")
    solution = run(objective, np.zeros(8), callback=callback)
    assert solution.certificate.status is Status.INTERRUPTED
    assert len(seen) == stop_at + 1  # and the certificate
    assert solution.certificate.objective <= seen[0][0].objective
    assert solution.certificate.objective == pytest.approx(objective.parts[0](solution.w))


def test_an_interrupted_fit_is_not_called_converged():
    calls = []

    def callback(point, w):
        calls.append(point)
        return len(calls) == 2  # where the quadratic is already at its minimum

    solution = run(quadratic([1.0, 4.0]), [2.0, 2.0], callback=callback, tol=1e-300)
    assert solution.certificate.status is Status.INTERRUPTED


def test_the_trace_has_a_line_for_every_pass():
    seen = []
    objective = quadratic(np.logspace(0, 3, 6), metric=np.eye(6), quality="model")
    solution = run(objective, np.zeros(6), callback=lambda point, _: seen.append(point))
    assert list(solution.trace) == seen
    assert [point.passes for point in seen] == list(range(1, solution.certificate.passes + 1))
    assert [point.certified for point in seen].count(True) == objective.calls["certify"]
    assert seen[-1].certified
    assert seen[-1].objective == solution.certificate.objective
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(seen))
    assert solution.certificate.seconds >= seen[-1].seconds
    assert solution.metric_builds == objective.calls["metric"]
    assert solution.iterations >= 1
    for point in seen[:3]:
        assert point.gradient_norm > 0
        assert point.relative_gap > 0


def test_the_decrement_estimates_the_excess():
    objective = quadratic([1.0, 4.0])
    solution = run(objective, [3.0, 3.0], max_passes=1)
    # With the exact Hessian ½gᵀH⁻¹g is the excess of a quadratic: ½(4 + 16).
    assert solution.certificate.decrement == pytest.approx(10.0)


def test_a_certificate_that_fails_is_not_believed():
    # The formula that finds the way is a hundred times too small; only certify tells the truth.
    objective = quadratic(np.logspace(0, 3, 6), metric=np.eye(6), quality="model")
    truth = objective.gap_of
    honest = objective.certify
    objective.gap_of = lambda g: truth(g) / 100

    def certify(w):
        objective.gap_of = truth
        try:
            return honest(w)
        finally:
            objective.gap_of = lambda g: truth(g) / 100

    objective.certify = certify
    solution = run(objective, np.zeros(6), tol=1e-6)
    assert solution.certificate.status is Status.CONVERGED
    assert solution.certificate.relative_gap <= 1e-6
    assert solution.certificate.objective - 1.0 <= 1.01e-6
    assert objective.calls["certify"] >= 2


def test_a_direction_that_points_uphill_never_raises_the_value():
    objective = quadratic([1.0, 2.0], metric=-np.eye(2))
    solution = run(objective, [3.0, 3.0], max_passes=50)
    assert solution.certificate.status in (Status.PRECISION, Status.MAX_PASSES)
    assert solution.certificate.objective <= solution.trace[0].objective


def test_the_same_generator_gives_the_same_answer_twice():
    first, second = (
        run(quadratic(np.logspace(0, 4, 6), metric=np.eye(6), quality="model"), np.zeros(6))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.w, second.w)
    assert first.certificate.passes == second.certificate.passes
