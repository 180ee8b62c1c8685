"""Refits to resampled counts, many at once.

All resamples share the rows, so one product serves them all; they differ in their counts only. Each
starts at the estimate w and takes Newton steps whose systems are solved by conjugate gradients,
preconditioned with the one Hessian of the full data: a resample's own Hessian is close to it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.kernels.threads import resolve, run
from crossent.objectives.blas import blas_for
from crossent.objectives.choice import ChoiceObjective
from crossent.objectives.choice_sets import ChoiceSets

__all__ = ["Resamples", "event_drawer", "refit_resamples"]

_BATCH_ENTRIES = 200_000  # probabilities of a batch: 1.6 MB, so that they stay in cache
_MAX_STEPS = 30
_TOLERANCE = 1e-7  # decrement in nats per comparison, before the last step
_FORCING = 1e-3  # of it that the last step leaves, at most: 1e-10 nats per comparison
_MAX_INNER = 30
_FAR = 5.0  # logits from the estimate of all data; only such resamples are in doubt
_WORDS = 2**16  # values of 16 random bits
_MAX_DRAWS_ONE_BY_ONE = _WORDS  # above, one binomial per kind of event is cheaper


Drawer: TypeAlias = Callable[[int, np.random.Generator], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Resamples:
    """Scores of resamples.

    Attributes
    ----------
    items : ndarray, shape (n,)
    scores : ndarray, shape (B, n)
        NaN in the rows of resamples without an estimate.
    """

    items: npt.NDArray[Any]
    scores: npt.NDArray[np.float64]

    @property
    def failed(self) -> int:
        """Resamples without an estimate: some item won or lost everything in them."""
        return int(np.isnan(self.scores).any(axis=1).sum())

    def interval(self, level: float = 0.95) -> npt.NDArray[np.float64]:
        """Percentile intervals of the scores, shape (n, 2), over the resamples that have one."""
        tail = (1 - level) / 2
        return np.nanquantile(self.scores, [tail, 1 - tail], axis=0).T


def refit_resamples(
    objective: ChoiceObjective,
    w: npt.NDArray[np.float64],
    draw: Drawer,
    n_resamples: int,
    /,
    *,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Coefficients of each resample, shape (n_resamples, p); NaN without convergence.

    Parameters
    ----------
    objective : ChoiceObjective
        Of the full data.
    w : ndarray, shape (p,)
        Its minimiser.
    draw : callable
        A number B and a generator to resampled counts of shape (m, B): see `event_drawer`.
    n_resamples : int
    rng : numpy.random.Generator
    """
    size = max(_BATCH_ENTRIES // max(len(objective.sets.counts), 1), 8)
    firsts = range(0, n_resamples, size)
    streams = rng.spawn(len(firsts))  # one a batch: the same numbers for any number of threads
    found = np.empty((n_resamples, len(w)))
    with blas_for(len(w)):
        metric = objective.exact_metric(w)
        reference = _Reference(objective.sets)

        def refit(batch: int) -> None:
            of = slice(firsts[batch], min(firsts[batch] + size, n_resamples))
            counts = draw(of.stop - of.start, streams[batch])
            found[of] = _Batch(objective, reference, metric, counts).minimise(w)

        run(refit, len(firsts), resolve(None))
    return found


def event_drawer(table: sp.csr_array, weights: npt.NDArray[np.float64]) -> Drawer:
    """A function from B to the counts of B resamples of independent events, shape (m, B).

    Parameters
    ----------
    table : csr_array, shape (m, events)
        How much one event of each kind counts in each row.
    weights : ndarray, shape (events,)
        How often each kind of event happened: as many are drawn. Weights that are no counts give
        the probabilities of round(Σ weights) draws.
    """
    possible = np.flatnonzero(weights)
    total = float(weights.sum())
    number = max(round(total), 1)
    columns = sp.csr_array(table[:, possible]) * (total / number)
    whole = np.rint(weights[possible]).astype(np.intp)
    if number <= _MAX_DRAWS_ONE_BY_ONE and (whole == weights[possible]).all():
        counts = _one_by_one(whole)

    else:
        share = weights[possible] / total

        def counts(size: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
            drawn = rng.multinomial(number, share, size=size)
            return np.ascontiguousarray(drawn.T, dtype=np.float64)

    return lambda size, rng: np.asarray(columns @ counts(size, rng))


def _one_by_one(whole: npt.NDArray[np.intp]) -> Drawer:
    """Counts of B resamples of Σ whole events, shape (kinds, B), from 16 random bits an event.

    The bits choose among as many whole rounds of all events as fit into 2¹⁶; what lies beyond is
    drawn again, so that every event is exactly as likely.
    """
    number, kinds = int(whole.sum()), len(whole)
    kind = np.repeat(np.arange(kinds), whole)
    rounds = _WORDS // number
    table = np.full(_WORDS, kinds, dtype=np.intp)
    table[: rounds * number] = np.tile(kind, rounds)
    words = -(-number // 4)  # of 64 bits

    def counts(size: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        bits = rng.integers(0, 2**64, size=(size, words), dtype=np.uint64).view(np.uint16)
        found = np.empty((size, kinds + 1), dtype=np.intp)
        for b in range(size):
            found[b] = np.bincount(table.take(bits[b, :number]), minlength=kinds + 1)
        again = np.repeat(np.arange(size), found[:, kinds])
        drawn = kind[rng.integers(0, number, size=len(again))]
        np.add.at(found.reshape(-1), again * (kinds + 1) + drawn, 1)  # five times as fast as in 2-D
        return np.ascontiguousarray(found[:, :kinds].T, dtype=np.float64)

    return counts


class _Reference:
    """The sets with each row less the first of its set: logits relative to that alternative.

    The first alternatives' logits are 0 and need no rows, which halves the work for sets of two.

    Attributes
    ----------
    rows, columns : csr_array, shapes (r, p) and (p, r)
        a_ck - a_c0 for k > 0, and its transpose.
    layers : list of (slice, int, Layer)
        Rows, K - 1, and the layer they come from.
    """

    def __init__(self, sets: ChoiceSets) -> None:
        parts, self.layers, start = [], [], 0
        offsets = []
        for layer in sets.layers:
            C, others = layer.n_sets, layer.n_alternatives - 1
            first = np.tile(np.arange(layer.start, layer.start + C), others)
            rest = np.arange(layer.start + C, layer.stop)
            parts.append(sp.csr_array(sets.rows[rest] - sets.rows[first]))
            if sets.offset is not None:
                offsets.append(sets.offset[rest] - sets.offset[first])
            self.layers.append((slice(start, start + C * others), others, layer))
            start += C * others
        self.rows = sp.csr_array(sp.vstack(parts, format="csr"))
        self.columns = sp.csr_array(self.rows.T)
        self.offset = np.concatenate(offsets)[:, None] if offsets else None

    def reduce(self, counts: npt.NDArray[np.float64]) -> tuple[Any, Any]:
        """Of counts (m, B): those of the rows here, (r, B), and the sets' totals by layer."""
        rest = np.empty((self.rows.shape[0], counts.shape[1]))
        totals = []
        for of, others, layer in self.layers:
            part = counts[layer.start : layer.stop].reshape(others + 1, layer.n_sets, -1)
            rest[of] = part[1:].reshape(others * layer.n_sets, -1)
            totals.append(part.sum(axis=0))
        return rest, totals

    def views(self, values: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
        """Each layer's part of (r, B), shape (K - 1, C, B)."""
        return [
            values[of].reshape(others, layer.n_sets, values.shape[1])
            for of, others, layer in self.layers
        ]


class _Batch:
    """Newton's method for several counts at once."""

    def __init__(
        self,
        objective: ChoiceObjective,
        reference: _Reference,
        metric: Any,
        counts: npt.NDArray[np.float64],
    ) -> None:
        self.objective = objective
        self.reference = reference
        self.metric = metric
        self.all_counts = counts
        self.counts, self.totals = reference.reduce(counts)
        self.ridge = (objective.penalty * objective.penalised)[:, None]

    def minimise(self, w: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Coefficients, shape (B, p)."""
        W = np.repeat(w[:, None], self.counts.shape[1], axis=1)
        done = np.zeros(W.shape[1], dtype=bool)
        p = np.repeat(self._probabilities(w[:, None]), W.shape[1], axis=1)
        for _ in range(_MAX_STEPS):
            gradient = self._gradient(p) + self.ridge * W
            step, decrement = self._newton_step(p, gradient)
            step *= np.minimum(1, 2 / np.maximum(np.abs(step).max(axis=0), 1e-300))
            W -= np.where(done, 0.0, step)
            done |= decrement <= _TOLERANCE
            if done.all():
                break
            p = self._probabilities(W)
        W[:, ~done] = np.nan
        # Without an estimate Newton's method wanders off by 1 a step, until it seems to arrive.
        far = np.abs(W - w[:, None]).max(axis=0) > _FAR
        for b in np.flatnonzero(far).tolist():
            if not self._exists(b, W[:, b]):
                W[:, b] = np.nan
        return W.T

    def _exists(self, b: int, w: npt.NDArray[np.float64]) -> bool:
        """Whether resample b has an estimate, proved from w."""
        other = self.objective
        counts = np.ascontiguousarray(self.all_counts[:, b])
        own = ChoiceObjective(
            replace(other.sets, counts=counts),
            penalty=other.penalty,
            penalised=other.penalised,
            gauge=other.gauge,
        )
        for _ in range(3):  # the proof wants the gradient smaller than a resample's needs to be
            w = w - own.exact_metric(w).solve(own.value_and_gradient(w)[1])
        return own.proves_existence(w)

    def _probabilities(self, W: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        z = np.asarray(self.reference.rows @ W)
        if self.reference.offset is not None:
            z += self.reference.offset
        for part in self.reference.views(z):
            if len(part) == 1:
                _logistic(part)
                continue
            top = np.maximum(part.max(axis=0), 0.0)
            part -= top
            np.exp(part, out=part)
            part /= np.exp(-top) + part.sum(axis=0)
        return z

    def _gradient(self, p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        residual = p.copy()
        for part, total in zip(self.reference.views(residual), self.totals, strict=True):
            part *= total
        residual -= self.counts
        result: npt.NDArray[np.float64] = self.reference.columns @ residual / self.objective.total
        return result

    def _newton_step(
        self, p: npt.NDArray[np.float64], gradient: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """H⁻¹ g of each resample and ½ gᵀ H⁻¹ g, by preconditioned conjugate gradients."""
        weights = p.copy()
        for part, total in zip(self.reference.views(weights), self.totals, strict=True):
            if len(part) == 1:
                part *= 1 - part
            part *= total / self.objective.total
        x = np.zeros_like(gradient)
        residual = gradient
        direction = towards = self.metric.solve(residual)
        energy = (residual * towards).sum(axis=0)
        enough = np.maximum(_FORCING * energy, _FORCING * _TOLERANCE)
        for _ in range(_MAX_INNER):
            image = self._hessian_times(p, weights, direction)
            length = energy / np.maximum((direction * image).sum(axis=0), 1e-300)
            x += length * direction
            residual = residual - length * image
            towards = self.metric.solve(residual)
            before, energy = energy, (residual * towards).sum(axis=0)
            if (energy <= enough).all():
                break
            direction = towards + energy / np.maximum(before, 1e-300) * direction
        return x, 0.5 * (gradient * x).sum(axis=0)

    def _hessian_times(
        self, p: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], V: Any
    ) -> npt.NDArray[np.float64]:
        change = np.asarray(self.reference.rows @ V)
        views = self.reference.views
        for part, chance in zip(views(change), views(p), strict=True):
            if len(part) > 1:  # else 1 - p is in the weights
                part -= (chance * part).sum(axis=0)
        change *= weights
        result: npt.NDArray[np.float64] = self.reference.columns @ change + self.ridge * V
        return result


def _logistic(z: npt.NDArray[np.float64]) -> None:
    """1/(1 + e⁻ᶻ) in place of z; where e⁻ᶻ overflows it is 0, as it should be."""
    np.negative(z, out=z)
    with np.errstate(over="ignore"):
        np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)
