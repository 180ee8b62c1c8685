"""Refits to resampled counts, many at once.

All resamples share the rows, so one product serves them all; they differ in their counts only. Each
starts at the estimate w and takes Newton steps whose systems are solved by conjugate gradients,
preconditioned with the one Hessian of the full data: a resample's own Hessian is close to it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.objectives.blas import blas_for
from crossent.objectives.choice import ChoiceObjective

__all__ = ["Resamples", "event_drawer", "refit_resamples"]

_BATCH_ENTRIES = 200_000  # probabilities of a batch: 1.6 MB, so that they stay in cache
_MAX_STEPS = 30
_TOLERANCE = 1e-10  # decrement over the loss; the next step squares it
_MAX_INNER = 30
_FAR = 5.0  # logits from the estimate of all data; only such resamples are in doubt
_MAX_DRAWS_ONE_BY_ONE = 60_000  # above, one binomial per kind of event is cheaper


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
    draw: Callable[[int], npt.NDArray[np.float64]],
    n_resamples: int,
    /,
) -> npt.NDArray[np.float64]:
    """Coefficients of each resample, shape (n_resamples, p); NaN without convergence.

    Parameters
    ----------
    objective : ChoiceObjective
        Of the full data.
    w : ndarray, shape (p,)
        Its minimiser.
    draw : callable
        A number B to resampled counts of shape (m, B): see `event_drawer`.
    n_resamples : int
    """
    size = max(_BATCH_ENTRIES // max(len(objective.sets.counts), 1), 8)
    parts = []
    with blas_for(len(w)):
        metric = objective.exact_metric(w)
        for start in range(0, n_resamples, size):
            counts = draw(min(size, n_resamples - start))
            parts.append(_Batch(objective, metric, counts).minimise(w))
    return np.concatenate(parts) if parts else np.empty((0, len(w)))


def event_drawer(
    table: sp.csr_array, weights: npt.NDArray[np.float64], rng: np.random.Generator
) -> Callable[[int], npt.NDArray[np.float64]]:
    """A function from B to the counts of B resamples of independent events, shape (m, B).

    Parameters
    ----------
    table : csr_array, shape (m, events)
        How much one event of each kind counts in each row.
    weights : ndarray, shape (events,)
        How often each kind of event happened: as many are drawn. Weights that are no counts give
        the probabilities of round(Σ weights) draws.
    rng : numpy.random.Generator
    """
    possible = np.flatnonzero(weights)
    total = float(weights.sum())
    number = max(round(total), 1)
    columns = sp.csr_array(table[:, possible]) * (total / number)
    whole = np.rint(weights[possible]).astype(np.intp)
    if number <= _MAX_DRAWS_ONE_BY_ONE and (whole == weights[possible]).all():
        kind = np.repeat(np.arange(len(possible)), whole).astype(np.int32)

        def counts(size: int) -> npt.NDArray[np.float64]:
            drawn = rng.integers(0, number, size=(size, number), dtype=np.uint32)
            return np.stack([np.bincount(kind[d], minlength=len(possible)) for d in drawn], axis=1)

    else:
        share = weights[possible] / total

        def counts(size: int) -> npt.NDArray[np.float64]:
            return np.ascontiguousarray(rng.multinomial(number, share, size=size).T)

    return lambda size: np.asarray(columns @ counts(size).astype(np.float64))


class _Batch:
    """Newton's method for several counts at once."""

    def __init__(
        self, objective: ChoiceObjective, metric: Any, counts: npt.NDArray[np.float64]
    ) -> None:
        self.objective = objective
        self.sets = objective.sets
        self.metric = metric
        self.counts = counts
        self.rows = sp.csr_array(self.sets.rows)
        self.columns = sp.csr_array(self.rows.T)
        self.total = objective.total
        self.ridge = (objective.penalty * objective.penalised)[:, None]
        self.totals = np.empty_like(counts)
        for layer in self.sets.layers:
            size = (layer.n_alternatives, layer.n_sets, -1)
            part = counts[layer.start : layer.stop].reshape(size).sum(axis=0)
            self.totals[layer.start : layer.stop].reshape(size)[:] = part

    def minimise(self, w: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Coefficients, shape (B, p)."""
        W = np.repeat(w[:, None], self.counts.shape[1], axis=1)
        done = np.zeros(W.shape[1], dtype=bool)
        for _ in range(_MAX_STEPS):
            p = self._probabilities(W)
            gradient = self.columns @ (self.totals * p - self.counts) / self.total + self.ridge * W
            step, decrement = self._newton_step(p, gradient)
            step *= np.minimum(1, 2 / np.maximum(np.abs(step).max(axis=0), 1e-300))
            W -= np.where(done, 0.0, step)
            done |= decrement <= _TOLERANCE
            if done.all():
                break
        W[:, ~done] = np.nan
        # Without an estimate Newton's method wanders off by 1 a step, until 1e-10 is reached too.
        far = np.abs(W - w[:, None]).max(axis=0) > _FAR
        for b in np.flatnonzero(far).tolist():
            if not self._exists(b, W[:, b]):
                W[:, b] = np.nan
        return W.T

    def _exists(self, b: int, w: npt.NDArray[np.float64]) -> bool:
        """Whether resample b has an estimate, proved at w."""
        known = np.ascontiguousarray(self.counts[:, b])
        other = self.objective
        return ChoiceObjective(
            replace(other.sets, counts=known),
            penalty=other.penalty,
            penalised=other.penalised,
            gauge=other.gauge,
        ).proves_existence(w)

    def _probabilities(self, W: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        z = self.rows @ W
        if self.sets.offset is not None:
            z += self.sets.offset[:, None]
        for layer in self.sets.layers:
            part = z[layer.start : layer.stop].reshape(layer.n_alternatives, layer.n_sets, -1)
            part -= part.max(axis=0)
            np.exp(part, out=part)
            part /= part.sum(axis=0)
        return np.asarray(z)

    def _newton_step(
        self, p: npt.NDArray[np.float64], gradient: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """H⁻¹ g of each resample and ½ gᵀ H⁻¹ g, by preconditioned conjugate gradients."""
        weights = self.totals * p
        x = np.zeros_like(gradient)
        residual = gradient.copy()
        towards = self.metric.solve(residual)
        direction = towards
        energy = (residual * towards).sum(axis=0)
        first = np.maximum(energy, 1e-300)
        for _ in range(_MAX_INNER):
            if (energy <= np.maximum(1e-3 * first, 1e-3 * _TOLERANCE)).all():
                break
            image = self._hessian_times(p, weights, direction)
            length = energy / np.maximum((direction * image).sum(axis=0), 1e-300)
            x += length * direction
            residual = residual - length * image
            towards = self.metric.solve(residual)
            before, energy = energy, (residual * towards).sum(axis=0)
            direction = towards + energy / np.maximum(before, 1e-300) * direction
        return x, 0.5 * (gradient * x).sum(axis=0)

    def _hessian_times(
        self, p: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], V: Any
    ) -> npt.NDArray[np.float64]:
        change = self.rows @ V
        for layer in self.sets.layers:
            size = (layer.n_alternatives, layer.n_sets, V.shape[1])
            part = change[layer.start : layer.stop].reshape(size)
            part -= (p[layer.start : layer.stop].reshape(size) * part).sum(axis=0)
        change *= weights
        result: npt.NDArray[np.float64] = self.columns @ change / self.total + self.ridge * V
        return result
