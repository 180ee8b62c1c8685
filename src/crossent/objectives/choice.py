"""The penalised mean loss of a choice model, as a solver sees it, with its certificate.

    f(w) = (1/S) Σ_c Σ_k n_ck [logsumexp_l(z_cl) - z_ck] + (λ/2) Σ_{j ∈ R} w_j²,
    z_ck = a_ck·w + offset_ck.

n_ck counts how often alternative k of set c was chosen, S = Σ n_ck; R are the penalised
coefficients, U the others.

**How far the optimum can be.** Along any direction v the third derivative of f is at most D(v)
times the second, where D(v) is the largest range of a_c·v over a set: for a random number X with
values in an interval of length D, |E(X - EX)³| ≤ D·Var X. With the Newton decrement
δ = √(gᵀH⁻¹g) and a κ such that D(v) ≤ κ‖v‖_H this gives

    κδ < 1   ⟹   a minimiser w* exists, and ‖w* - w‖_H ≤ r = -log(1 - κδ)/κ.

So the fit itself proves that the estimate exists. With a penalty the duality gap is
‖g_R‖²/(2λ) where g_U = 0; at a computed point f(w) - f(w*) ≤ ‖g_R‖²/(2λ) + √(g_Uᵀ (H⁻¹)_UU g_U)·r.

References
----------
F. Bach, Self-concordant analysis for logistic regression, Electron. J. Stat. 4, 384-414, 2010,
Proposition 1; T. Sun, Q. Tran-Dinh, Generalized self-concordant functions, Math. Program. 178,
145-213, 2019, Theorem 5. The constants above are derived anew for choice sets.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from crossent.certificate import Certificate
from crossent.objectives.choice_hessian import Builder, hessian_builder, hessian_vector
from crossent.objectives.choice_metric import CholeskyMetric, ConjugateGradientMetric
from crossent.objectives.choice_sets import ChoiceSets, Layer

__all__ = ["ChoiceObjective", "log_loss_and_probabilities"]

_FEW = 6  # alternatives, up to which they are taken one by one
_NEAR = 0.02  # range of logits within a set, over which a Hessian changes by as much
_MAX_LAST_STEPS = 6  # of which each leaves a fiftieth of the error, at most
_SETTLED = 1e-22  # decrement over the value below which no further step is taken
DENSE_LIMIT = 3000  # above this many coefficients the Hessian is not formed

ChoiceMetric: TypeAlias = CholeskyMetric | ConjugateGradientMetric


@dataclass(frozen=True)
class _State:
    """What one pass finds at w."""

    w: npt.NDArray[np.float64]
    value: float
    gradient: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64]


class ChoiceObjective:
    """f above.

    Parameters
    ----------
    sets : ChoiceSets
    penalty : float
        λ ≥ 0.
    penalised : ndarray of bool, shape (p,), optional
        The coefficients in R; default all.
    gauge : ndarray, shape (g, p), optional
        0/1 rows along which f is constant; ignored where there is a penalty on them.
    """

    resolution = 1e-14  # rounding of the value, relative to it

    def __init__(
        self,
        sets: ChoiceSets,
        *,
        penalty: float = 0.0,
        penalised: npt.NDArray[np.bool_] | None = None,
        gauge: npt.NDArray[np.float64] | None = None,
    ) -> None:
        p = sets.n_parameters
        self.sets = sets
        self.penalty = penalty
        self.penalised = np.ones(p, dtype=bool) if penalised is None else penalised
        given = np.zeros((0, p)) if gauge is None else gauge
        if penalty > 0:
            given = given[~(given[:, self.penalised] != 0).any(axis=1)]
        self.gauge = given
        self.passes = 0
        self.set_totals = sets.set_totals()
        self.total = sets.total
        self._here: _State | None = None
        self._latest: tuple[npt.NDArray[np.float64], ChoiceMetric] | None = None
        # A point, a metric near it, and a bound on how much larger H⁻¹ is there than the metric's.
        self._nearby: tuple[npt.NDArray[np.float64], ChoiceMetric, float] | None = None

    @property
    def n_parameters(self) -> int:
        """Number of coefficients, p."""
        return self.sets.n_parameters

    @cached_property
    def _build(self) -> Builder:
        return hessian_builder(self.sets)

    def value_and_gradient(
        self, w: npt.NDArray[np.float64], /
    ) -> tuple[float, npt.NDArray[np.float64]]:
        """Value and gradient at `w`. Cost: two products with the rows, one exp per alternative."""
        state = self._evaluate(w)
        return state.value, state.gradient

    def _evaluate(self, w: npt.NDArray[np.float64]) -> _State:
        if self._here is not None and self._here.w is w:
            return self._here
        loss, probabilities = log_loss_and_probabilities(self.sets, w)
        residual = self.set_totals * probabilities - self.sets.counts
        value, gradient = loss / self.total, self.sets.sums(residual) / self.total
        if self.penalty:
            ridge = self.penalty * np.where(self.penalised, w, 0.0)
            value, gradient = value + 0.5 * float(ridge @ w), gradient + ridge
        self.passes += 1
        self._here = _State(w, value, gradient, probabilities)
        return self._here

    def relative_gap(self, value: float, gradient: npt.NDArray[np.float64], /) -> float:
        """``‖g_R‖²/(2λ)`` over the value less itself; NaN for λ = 0. Proven by `certify` only."""
        if self.penalty == 0:
            return math.nan
        gap = float(np.sum(gradient[self.penalised] ** 2)) / (2 * self.penalty)
        return gap / (value - gap) if value > gap else math.inf

    def refine(self) -> bool:
        """There is nothing more precise than float64."""
        return False

    def metric(self, w: npt.NDArray[np.float64], rng: np.random.Generator, /) -> ChoiceMetric:
        """The exact Hessian at `w`; nothing is drawn from `rng`."""
        del rng
        return self.exact_metric(w)

    def exact_metric(self, w: npt.NDArray[np.float64], /) -> ChoiceMetric:
        """The exact Hessian at `w`, factorised up to `DENSE_LIMIT` coefficients."""
        if self._latest is None or self._latest[0] is not w:
            self._latest = (w, self._new_metric(w))
        return self._latest[1]

    def _new_metric(self, w: npt.NDArray[np.float64]) -> ChoiceMetric:
        if self.n_parameters <= DENSE_LIMIT:
            return CholeskyMetric(self.hessian(w), self.gauge)
        p = self._evaluate(w).probabilities
        ridge = self.penalty * self.penalised
        weights = self.set_totals / self.total

        def product(v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return hessian_vector(self.sets, p, weights, v) + ridge * v

        squares = self.sets.rows * self.sets.rows
        diagonal = squares.T @ (weights * p * (1 - p)) + ridge
        return ConjugateGradientMetric(product, diagonal, self.gauge)

    def hessian(
        self, w: npt.NDArray[np.float64], /, *, penalised: bool = True
    ) -> npt.NDArray[np.float64]:
        """The Hessian of f at `w`, or of its first term alone, shape (p, p)."""
        result = self._build(self._evaluate(w).probabilities, self.set_totals) / self.total
        if penalised and self.penalty:
            result[np.diag_indices_from(result)] += self.penalty * self.penalised
        return result

    def probabilities(self, w: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """Probability of every row within its set, shape (m,)."""
        return self._evaluate(w).probabilities

    def certify(
        self, w: npt.NDArray[np.float64], /
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Certificate]:
        """`w` after Newton steps to rounding; the gradient and certificate there.

        Mostly one step. The latest metric serves if its point is so near that the Hessian is all
        but the same: a step more costs less than a new one.
        """
        best = self._evaluate(w)
        origin, metric = self._metric_near(w)
        decrement = _decrement(metric, best.gradient)
        for _ in range(_MAX_LAST_STEPS):
            after = self._evaluate(best.w - metric.solve(best.gradient))
            before, decrement = decrement, _decrement(metric, after.gradient)
            if not decrement < before:
                break
            best = after
            if decrement <= _SETTLED * abs(best.value):
                break
        factor = 1.0
        if best.w is not origin:
            factor = math.exp(min(_range_of(self.sets, best.w - origin), 700.0))
        self._here = best
        self._nearby = (best.w, metric, factor)
        norm = float(np.linalg.norm(best.gradient))
        if self.penalty == 0:
            nan = math.nan
            return best.w, best.gradient, Certificate("stationary", best.value, nan, nan, norm)
        gap = self._gap(best.gradient, metric, factor)
        relative = gap / (best.value - gap) if best.value > gap else math.inf
        return best.w, best.gradient, Certificate("gap", best.value, gap, relative, norm)

    def _metric_near(
        self, w: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], ChoiceMetric]:
        """The latest metric and its point, if that is near `w`; else a new one, of `w`."""
        if self._latest is None or _range_of(self.sets, w - self._latest[0]) > _NEAR:
            self.exact_metric(w)
        assert self._latest is not None
        return self._latest

    def _gap(self, gradient: npt.NDArray[np.float64], metric: ChoiceMetric, factor: float) -> float:
        """The bound of the module's text; `factor` times H⁻¹ of the metric bounds H⁻¹ here."""
        R, U = self.penalised, np.flatnonzero(~self.penalised)
        gap = float(np.sum(gradient[R] ** 2)) / (2 * self.penalty)
        if not len(U):
            return gap
        columns = np.array([metric.solve(_unit(j, self.n_parameters)) for j in U])
        inverse_UU = factor * columns[:, U]
        size = _row_norms(self.sets.rows[:, R]) / math.sqrt(self.penalty)
        size = size + abs(self.sets.rows[:, U]) @ np.sqrt(np.maximum(inverse_UU.diagonal(), 0))
        radius = _radius(2 * float(size.max()), math.sqrt(factor) * _root(metric, gradient))
        slope = math.sqrt(max(float(gradient[U] @ inverse_UU @ gradient[U]), 0.0))
        return gap + (slope * radius if slope else 0.0)

    def proves_existence(self, w: npt.NDArray[np.float64], /) -> bool:
        """Whether κδ < 1 at `w`: a minimiser exists. False proves nothing.

        Cost: one inverse of a triangular (p, p) matrix.
        """
        if self._nearby is not None and self._nearby[0] is w:
            _, metric, factor = self._nearby
        else:
            metric, factor = self.exact_metric(w), 1.0
        if not isinstance(metric, CholeskyMetric) or metric.ridge:
            return False
        spread = np.sqrt(np.maximum(metric.inverse_diagonal(), 0))
        kappa = 2 * float((abs(self.sets.rows) @ spread).max(initial=0.0))
        return factor * kappa * _root(metric, self._evaluate(w).gradient) < 1


def log_loss_and_probabilities(
    sets: ChoiceSets, w: npt.NDArray[np.float64], /
) -> tuple[float, npt.NDArray[np.float64]]:
    """Σ_c Σ_k n_ck (logsumexp(z_c) - z_ck) in nats, and the probability of every row, (m,)."""
    z = sets.logits(w)
    probabilities = np.empty_like(z)
    loss = 0.0
    for layer in sets.layers:
        compute = _two if layer.n_alternatives == 2 else _several
        loss += compute(layer, z, sets.counts, probabilities)
    return loss, probabilities


def _two(
    layer: Layer,
    z: npt.NDArray[np.float64],
    counts: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> float:
    """The loss of sets of two; writes the probabilities. One exp a set."""
    first, second = layer.view(z)
    number, probability = layer.view(counts), layer.view(out)
    ahead = first - second
    tail = np.exp(-np.abs(ahead))
    smaller = tail / (1 + tail)
    larger = 1 - smaller
    leads = ahead >= 0
    probability[0] = np.where(leads, larger, smaller)
    probability[1] = np.where(leads, smaller, larger)
    behind = number[1] @ np.maximum(ahead, 0) - number[0] @ np.minimum(ahead, 0)
    return float(np.log1p(tail) @ (number[0] + number[1]) + behind)


def _several(
    layer: Layer,
    z: npt.NDArray[np.float64],
    counts: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> float:
    """The loss of sets of any one size; writes the probabilities.

    The largest term stays out of the sum: log1p keeps what it adds when one alternative dominates.
    """
    logits, number, probability = layer.view(z), layer.view(counts), layer.view(out)
    if layer.n_alternatives <= _FEW:
        top, tail = _running(logits)
        np.exp(logits - top, out=probability)
        probability /= 1 + tail
        return float(np.log1p(tail) @ number.sum(axis=0) + np.vdot(number, top - logits))
    best = logits.argmax(axis=0)[None]
    below = np.take_along_axis(logits, best, axis=0) - logits
    np.exp(-below, out=probability)
    np.put_along_axis(probability, best, 0.0, axis=0)
    tail = probability.sum(axis=0)
    np.put_along_axis(probability, best, 1.0, axis=0)
    probability /= 1 + tail
    return float(np.log1p(tail) @ number.sum(axis=0) + np.vdot(number, below))


def _running(
    logits: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Maxima over the rows and what all other terms add to theirs, a row at a time."""
    top, tail = logits[0].copy(), np.zeros(logits.shape[1])
    for z in logits[1:]:
        ahead = z - top
        less = np.exp(-np.abs(ahead))
        tail = np.where(ahead > 0, (1 + tail) * less, tail + less)
        np.maximum(top, z, out=top)
    return top, tail


def _unit(j: np.intp, p: int) -> npt.NDArray[np.float64]:
    e = np.zeros(p)
    e[j] = 1.0
    return e


def _decrement(metric: ChoiceMetric, gradient: npt.NDArray[np.float64]) -> float:
    return float(gradient @ metric.solve(gradient))


def _root(metric: ChoiceMetric, gradient: npt.NDArray[np.float64]) -> float:
    """δ = √(gᵀ H⁻¹ g)."""
    return math.sqrt(max(_decrement(metric, gradient), 0.0))


def _radius(kappa: float, delta: float) -> float:
    """-log(1 - κδ)/κ, infinite where κδ ≥ 1."""
    return -math.log1p(-kappa * delta) / kappa if kappa * delta < 1 else math.inf


def _row_norms(rows: Any) -> npt.NDArray[np.float64]:
    """Euclidean norms of the rows of a sparse or dense matrix."""
    norms: npt.NDArray[np.float64] = np.sqrt(np.asarray((rows * rows).sum(axis=1)).ravel())
    return norms


def _range_of(sets: ChoiceSets, v: npt.NDArray[np.float64]) -> float:
    """D(v): the largest range of a·v within a set."""
    change = sets.rows @ v
    return max(
        (float(np.ptp(x.view(change), axis=0).max(initial=0)) for x in sets.layers), default=0
    )
