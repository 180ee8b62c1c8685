"""L-BFGS whose first inverse Hessian is a factorised model of the true one, refreshed on the way.

The two-loop recursion of Nocedal (Math. Comp. 35, 1980) starts from ``metric.solve`` in place of a
multiple of the identity. Renewing the metric empties the memory: curvature along old steps would
contradict the new model (digits, C = 1: 14 passes instead of 48). With the exact Hessian, renewed
at every step, this is Newton's method.
"""

import math
import time
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from crossent.certificate import Certificate, Status, TracePoint
from crossent.solvers.line_search import Point, search
from crossent.solvers.solution import Solution
from crossent.typing import Callback, FloatArray, Metric, Objective

__all__ = ["minimise"]

_SAFETY = 0.8  # certify when the unproven relative gap is below this share of tol
_SMALL_VALUE = 1e-3  # below it decrements are judged absolutely: separable data drive f to 0
_LAST_MARGIN = 1e-4  # if certificates still fail below this share of tol, rounding is to blame
_STALLED = 12  # steps without a better gap before rounding is blamed
_MAX_SCALE = 10.0
_LONG = 1_000_000  # coefficients; pairs of more are kept in float32
_PAIR_BYTES = 2.4e8
_FEWEST_PAIRS = 5
_GOOD_RATIO = 0.25  # an exact metric is renewed unless a step shrinks the decrement this much
_COST_OF_STEP = 20.0  # passes that building an exact metric may cost for each step it serves
_LONGEST_WAIT = 8
_SAMPLED_WAIT = 3  # steps that L-BFGS gets to mend the noise of a sampled exact metric
_MODEL_WAITS = (3, 12, 60)  # steps between renewals of an inexact metric; then the last again


@dataclass
class _Memory:
    """The last `size` pairs of step and change of gradient.

    Very long ones are kept in float32, and no more of them than fit `_PAIR_BYTES`: reading them
    would take longer than the pass. What they make is a direction, not a value.
    """

    size: int
    pairs: list[tuple[FloatArray, FloatArray, float]] = field(default_factory=list)

    def remember(self, old: Point, new: Point) -> None:
        step, change = new.w - old.w, new.gradient - old.gradient
        curvature = float(step @ change)
        # Without measurable curvature the pair is rounding (the objective is convex).
        if curvature > 1e-14 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            kind = _kind(len(step))
            short: FloatArray = step.astype(kind, copy=False)
            self.pairs.append((short, change.astype(kind, copy=False), curvature))
            most = max(_FEWEST_PAIRS, int(_PAIR_BYTES / (2 * short.nbytes)))
            del self.pairs[: -min(self.size, most) or None]

    def direction(
        self, gradient: npt.NDArray[np.float64], metric: Metric
    ) -> npt.NDArray[np.float64]:
        """``-H gradient`` with H the inverse Hessian of the recursion. Cost: 4·size·p flops."""
        kind = _kind(len(gradient))
        remainder: FloatArray = gradient.astype(kind)
        shares = []
        for step, change, curvature in reversed(self.pairs):
            share = float(step @ remainder) / curvature
            remainder -= kind(share) * change
            shares.append(share)
        result: FloatArray = metric.solve(remainder.astype(np.float64, copy=False))
        if self.pairs:
            # The metric's scale corrected along the last step, as Shanno and Phua (Math. Program.
            # 14, 1978) scale the identity: half the line searches took a second pass without it.
            _, change, curvature = self.pairs[-1]
            wide = change.astype(np.float64, copy=False)
            scale = curvature / float(wide @ metric.solve(wide))
            result *= min(max(scale, 1 / _MAX_SCALE), _MAX_SCALE)
        result = result.astype(kind, copy=False)
        for (step, change, curvature), share in zip(self.pairs, reversed(shares), strict=True):
            result += kind(share - float(change @ result) / curvature) * step
        return -result.astype(np.float64, copy=False)


def _kind(length: int) -> type[np.float32] | type[np.float64]:
    """Type in which pairs of this length are kept."""
    return np.float32 if length > _LONG else np.float64


class _Run:
    """One minimisation: where it is, its model of the Hessian, its history."""

    def __init__(
        self,
        objective: Objective,
        *,
        tol: float,
        max_passes: int,
        callback: Callback | None,
        rng: np.random.Generator,
        memory: int,
        spent: tuple[int, float],
    ) -> None:
        self.objective = objective
        self.tol = tol
        self.max_passes = max_passes
        self.callback = callback
        self.rng = rng
        self.pairs = _Memory(memory)
        self.metric: Metric | None = None
        self.builds = self.iterations = self.age = 0
        self.gaps: list[float] = []
        self.slopes: list[float] = []
        self.margin = _SAFETY
        self.started = time.perf_counter() - spent[1]
        self.first_pass = objective.passes - spent[0]
        self.trace: list[TracePoint] = []
        self.stop_requested = False

    @property
    def passes(self) -> int:
        return self.objective.passes - self.first_pass

    def evaluate(self, w: npt.NDArray[np.float64]) -> Point | None:
        """The point at `w`; None if the passes ran out or the callback asked to stop."""
        if self.passes >= self.max_passes or self.stop_requested:
            return None
        value, gradient = self.objective.value_and_gradient(w)
        self.record(w, value, gradient, self.objective.relative_gap(value, gradient))
        return Point(w, value, gradient)

    def record(
        self,
        w: npt.NDArray[np.float64],
        value: float,
        gradient: npt.NDArray[np.float64],
        relative_gap: float,
        *,
        certified: bool = False,
    ) -> None:
        seconds = time.perf_counter() - self.started
        norm = float(np.linalg.norm(gradient))
        point = TracePoint(self.passes, seconds, value, relative_gap, norm, certified)
        self.trace.append(point)
        if self.callback is not None and self.callback(point, w):
            self.stop_requested = True

    def direction(self, here: Point) -> npt.NDArray[np.float64]:
        """The L-BFGS direction, in a new metric if the present one has aged."""
        if self.metric is None or self._is_stale(self.metric):
            self.metric = self.objective.metric(here.w, self.rng)
            self.builds += 1
            self.age = 0
            self.pairs.pairs.clear()
        return self.pairs.direction(here.gradient, self.metric)

    def _is_stale(self, metric: Metric) -> bool:
        if metric.quality == "model":
            return self.age >= _MODEL_WAITS[min(self.builds - 1, len(_MODEL_WAITS) - 1)]
        wait = min(max(1, round(metric.cost / _COST_OF_STEP)), _LONGEST_WAIT)
        if metric.quality == "sampled":
            wait = max(wait, _SAMPLED_WAIT)
        slow = len(self.slopes) < 2 or self.slopes[-1] < _GOOD_RATIO * self.slopes[-2]
        return self.age >= wait and slow

    def gap(self, here: Point, slope: float) -> float:
        """The objective's gap formula; without one, ``½ gᵀ H⁻¹ g`` over the value."""
        gap = self.objective.relative_gap(here.value, here.gradient)
        return -slope / 2 / max(abs(here.value), _SMALL_VALUE) if math.isnan(gap) else gap

    def rounding_hides(self, slope: float, noise: float) -> bool:
        """Whether the predicted decrease is noise, and the gap has long stopped falling."""
        if -slope > 10 * noise or len(self.gaps) <= _STALLED:
            return False
        # Written so that a gap that is infinite from first to last counts as stalled.
        return not min(self.gaps[-_STALLED:]) < 0.5 * min(self.gaps[:-_STALLED])

    def certify(self, here: Point) -> tuple[Point, Certificate]:
        w, gradient, certificate = self.objective.certify(here.w)
        self.record(w, certificate.objective, gradient, certificate.relative_gap, certified=True)
        return Point(w, certificate.objective, gradient), certificate

    def accept(self, here: Point, found: Point) -> None:
        self.pairs.remember(here, found)
        self.iterations += 1
        self.age += 1

    def resume(self, here: Point) -> Point | None:
        """What to try when rounding stops a search: the metric alone, then better arithmetic."""
        if self.pairs.pairs and self.margin >= _LAST_MARGIN:
            self.pairs.pairs.clear()
            return here
        if not self.objective.refine():
            return None
        self.metric, self.margin = None, _SAFETY
        self.gaps.clear()
        return self.evaluate(here.w)

    def finish(self, point: Point, certificate: Certificate, status: Status) -> Solution:
        decrement = math.nan
        if self.metric is not None:
            decrement = 0.5 * float(point.gradient @ self.metric.solve(point.gradient))
        certificate = replace(
            certificate,
            decrement=decrement,
            passes=self.passes,
            seconds=time.perf_counter() - self.started,
            status=status,
        )
        return Solution(point.w, certificate, self.iterations, self.builds, tuple(self.trace))

    def give_up(self, here: Point, status: Status) -> Solution:
        """Certify what there is. A proof that succeeds after all outranks the reason to stop."""
        point, certificate = self.certify(here)
        if certificate.relative_gap <= self.tol and status is not Status.INTERRUPTED:
            status = Status.CONVERGED
        return self.finish(point, certificate, status)


def minimise(
    objective: Objective,
    start: npt.NDArray[np.float64],
    *,
    tol: float,
    max_passes: int,
    rng: np.random.Generator,
    callback: Callback | None = None,
    memory: int = 20,
    spent: tuple[int, float] = (0, 0.0),
) -> Solution:
    """The minimiser of a convex objective, to a certified relative gap of `tol`.

    Parameters
    ----------
    objective : Objective
    start : ndarray, shape (p,)
    tol : float
        Relative gap; where the objective has none (λ = 0), the Newton decrement relative to the
        value, or to 0.001 if that is larger.
    max_passes : int
        Passes over the data; the last certificate may take a few more.
    rng : numpy.random.Generator
        For the rows that metrics are built from.
    callback : callable, optional
        Called with a TracePoint and the coefficients after every pass; True asks to stop.
    memory : int
        Pairs kept by L-BFGS; 0 makes every step a metric step.
    spent : (int, float)
        Passes and seconds that finding the start took; they count.

    Returns
    -------
    Solution
        Never raises for a failure to converge: the status says so.
    """
    run = _Run(
        objective,
        tol=tol,
        max_passes=max_passes,
        callback=callback,
        rng=rng,
        memory=memory,
        spent=spent,
    )
    here = run.evaluate(start)
    if here is None or not (np.isfinite(here.value) and np.isfinite(here.gradient).all()):
        nan = math.nan
        blank = Certificate("stationary", nan, nan, nan, nan)
        return run.finish(Point(start, nan, np.full_like(start, nan)), blank, Status.NOT_FINITE)
    while True:
        direction = run.direction(here)
        slope = float(here.gradient @ direction)
        run.slopes.append(slope)
        run.gaps.append(run.gap(here, slope))
        if run.gaps[-1] <= run.margin * tol:
            solution = _certified(run, here, slope)
            if solution is not None:
                return solution
        noise = objective.resolution * abs(here.value)
        if run.margin < _LAST_MARGIN or run.rounding_hides(slope, noise):
            found = None
        else:
            found = search(run.evaluate, here, direction, resolution=noise)
        if found is not None:
            run.accept(here, found)
            here = found
        if run.stop_requested:
            return run.give_up(here, Status.INTERRUPTED)
        if run.passes >= max_passes:
            return run.give_up(here, Status.MAX_PASSES)
        if found is None:
            resumed = run.resume(here)
            if resumed is None:
                return run.give_up(here, Status.PRECISION)
            here = resumed


def _certified(run: _Run, here: Point, slope: float) -> Solution | None:
    """The solution if the float64 pass confirms the gap; else the next attempt waits for less."""
    point, certificate = run.certify(here)
    if certificate.kind == "gap" and certificate.relative_gap <= run.tol:
        return run.finish(point, certificate, Status.CONVERGED)
    if certificate.kind == "stationary" and run.gap(point, slope) <= run.tol:
        return run.finish(point, certificate, Status.STATIONARY)
    run.margin /= 10
    return None
