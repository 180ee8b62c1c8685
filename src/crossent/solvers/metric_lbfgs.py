"""L-BFGS whose first inverse Hessian is a factorised model of the true one, refreshed on the way.

The two-loop recursion of Nocedal (Math. Comp. 35, 1980) starts from ``metric.solve`` in place of a
multiple of the identity. Renewing the metric empties the memory: curvature along old steps would
contradict the new model (digits, C = 1: 14 passes instead of 48). With the exact Hessian, renewed
at every step, this is Newton's method.
"""

import math
import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from crossent.certificate import Certificate, Status, TracePoint
from crossent.solvers.line_search import Point, search
from crossent.solvers.memory import Memory
from crossent.solvers.solution import Solution
from crossent.typing import Callback, Metric, Objective, ProvesDecrements

__all__ = ["minimise"]

_SAFETY = 0.8  # certify when the unproven relative gap is below this share of tol
_NEAR = 10.0  # times tol: a decrement that rests so near is not waited for in coarse arithmetic
_SMALL_VALUE = 1e-3  # below it decrements are judged absolutely: separable data drive f to 0
_LAST_MARGIN = 1e-4  # if certificates still fail below this share of tol, rounding is to blame
_COARSE = 1e-10  # resolution above which there may be better arithmetic to go over to
_STALLED_COARSE = 4
_STALLED = 12  # steps without a better gap before rounding is blamed
_GOOD_RATIO = 0.25  # an exact metric is renewed unless a step shrinks the decrement this much
_COST_OF_STEP = 20.0  # passes that building an exact metric may cost for each step it serves
_LONGEST_WAIT = 8
_CHEAP = 1.0  # passes; so cheap an exact metric is renewed at every step, until one step is left
_ANOTHER_KIND = 50.0  # passes: a renewal so dear is of a better kind, and not waited for as long
_DEAR_WAIT = 16  # steps; 8: 52 s in place of 42 on MNIST, C = 1 … 10⁴
_DEAR_SHARE = 0.3  # a step in such a metric takes as long as some passes
_DEAR = 200.0  # passes: of such an exact metric the next must be worth the passes that are left
_SETTLED = 1e-4
_SAMPLED_WAIT = 3  # steps that L-BFGS gets to mend the noise of a sampled exact metric
_WINDOW = 10  # steps over which the fall of the gap is judged
_MODEL_WAITS = (3, 12, 60)  # steps between renewals of an inexact metric; then the last again


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
        self.pairs = Memory(memory)
        self.metric: Metric | None = None
        self.builds = self.iterations = self.age = 0
        self.gaps: list[float] = []
        self.slopes: list[float] = []
        self.drop_when_built = math.inf  # predicted by the metric when it was new, over the value
        self.margin = _SAFETY
        self.caution = 1.0  # factor on what the objective hopes to prove
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
        norm = math.sqrt(float(gradient @ gradient))
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
            self.pairs.forget()
        return self.pairs.direction(here.gradient, self.metric)

    def _is_stale(self, metric: Metric) -> bool:
        if metric.quality == "model":
            wait = _MODEL_WAITS[min(self.builds - 1, len(_MODEL_WAITS) - 1)]
            if metric.cost > _ANOTHER_KIND:
                wait = min(wait, _DEAR_WAIT)
            return self.age >= wait and self._remaining() > metric.cost
        if metric.cost > _DEAR:
            return self.age >= _DEAR_WAIT and self._remaining() > _DEAR_SHARE * metric.cost
        wait = min(max(1, round(metric.cost / _COST_OF_STEP)), _LONGEST_WAIT)
        if metric.quality == "sampled":
            if self.drop_when_built < _SETTLED:
                return False  # the Hessian changes no more; another sample would be no better
            wait = max(wait, _SAMPLED_WAIT)
        if metric.quality == "exact" and metric.cost <= _CHEAP:
            # Newton squares the gap, and the last one is that before the present: if its square is
            # below tol, no further step is needed, so no further Hessian.
            return self.age >= 1 and (self.gaps[-1] > math.sqrt(self.tol) or self._is_slow)
        return self.age >= wait and self._is_slow

    @property
    def _is_slow(self) -> bool:
        """Whether the last step shrank the decrement less than Newton's method would."""
        return len(self.slopes) < 2 or self.slopes[-1] < _GOOD_RATIO * self.slopes[-2]

    @property
    def _has_good_metric(self) -> bool:
        """Whether the metric is the Hessian, up to sampling: its decrements are believed."""
        return self.metric is not None and self.metric.quality != "model"

    def _remaining(self) -> float:
        """Steps to the end, if the gap goes on falling as over the last ones."""
        now, before = self.gaps[-_WINDOW:], self.gaps[-2 * _WINDOW : -_WINDOW]
        if not before or not min(now) < min(before) < math.inf:
            return math.inf
        rate = math.log(min(before) / min(now)) / _WINDOW
        return max(math.log(min(now) / (self.margin * self.tol)), 0.0) / rate

    def gap(self, here: Point, slope: float) -> float:
        """The objective's gap formula; without one, ``½ gᵀ H⁻¹ g`` over the value.

        Less where the objective may prove less.
        """
        gap = self.objective.relative_gap(here.value, here.gradient)
        if math.isnan(gap):
            return -slope / 2 / max(abs(here.value), _SMALL_VALUE)
        if self._has_good_metric and isinstance(self.objective, ProvesDecrements):
            proved = self.objective.provable_gap(here.value, -slope / 2)
            return min(gap, self.caution * proved)
        return gap

    def wants_better_arithmetic(self) -> bool:
        """Whether the decrement rests just above what `tol` asks for, in coarse arithmetic.

        A good metric shrinks it at every step, unless it is made of rounding.
        """
        if self.objective.resolution <= _COARSE or not self._has_good_metric:
            return False
        return self.gaps[-1] <= _NEAR * self.tol and self._is_slow

    def rounding_hides(self, slope: float, noise: float) -> bool:
        """Whether the predicted decrease is noise, and the gap has long stopped falling."""
        # A good metric gets to rounding in a few steps; a mere model may rest on the way.
        coarse = self.objective.resolution > _COARSE
        patience = _STALLED_COARSE if coarse and self._has_good_metric else _STALLED
        if -slope > 10 * noise or len(self.gaps) <= patience:
            return False
        # Written so that a gap that is infinite from first to last counts as stalled.
        return not min(self.gaps[-patience:]) < 0.5 * min(self.gaps[:-patience])

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
            self.pairs.forget()
            return here
        if self.metric is not None and self.metric.cost > _DEAR:
            return self.refined(here)
        kept, self.metric = self.metric, None
        finer = self.refined(here)
        if finer is None:
            self.metric = kept
        return finer

    def refined(self, here: Point) -> Point | None:
        """The same point in better arithmetic, if there is any."""
        if not self.objective.refine():
            return None
        self.margin = _SAFETY
        self.age = 0  # the metric was not slow; rounding was
        self.gaps.clear()
        self.pairs.forget()
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

    def note(self, here: Point, slope: float) -> None:
        """Keep what later decisions look back on."""
        self.slopes.append(slope)
        if self.age == 0:
            self.drop_when_built = -slope / 2 / max(abs(here.value), _SMALL_VALUE)
        self.gaps.append(self.gap(here, slope))

    def nowhere(self, start: npt.NDArray[np.float64]) -> Solution:
        """Where the very first value is not finite."""
        nan = math.nan
        blank = Certificate("stationary", nan, nan, nan, nan)
        return self.finish(Point(start, nan, np.full_like(start, nan)), blank, Status.NOT_FINITE)

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
        return run.nowhere(start)
    while True:
        direction = run.direction(here)
        slope = float(here.gradient @ direction)
        run.note(here, slope)
        if run.gaps[-1] <= run.margin * tol:
            solution = _certified(run, here, slope)
            if solution is not None:
                return solution
        noise = objective.resolution * abs(here.value)
        if run.wants_better_arithmetic() and (finer := run.refined(here)) is not None:
            here = finer
            continue
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
    formula = run.objective.relative_gap(here.value, here.gradient)
    if formula > run.margin * run.tol:  # only what the objective hoped for was below
        run.caution *= 10
    else:
        run.margin /= 10
    return None
