"""Standard errors, rank intervals and bootstrap of fitted scores."""

from typing import Any, Protocol, get_args

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import expit, ndtri

from crossent.choice.bootstrap import Resamples, event_drawer, refit_resamples
from crossent.choice.fitting import Fitted
from crossent.choice.ranks import ELO_PER_LOGIT, Ranking, rank_intervals
from crossent.choice.uncertainty import (
    CovarianceKind,
    clustered_meat,
    covariance,
    sandwich_meat,
)
from crossent.errors import InputError

__all__ = ["ScoreInference", "ScoredFit"]


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        message = f"level is {level!r}; it must be between 0 and 1, such as 0.95."
        raise InputError(message)


class ScoredFit(Protocol):
    """What a fit must offer: scores come first among its coefficients."""

    @property
    def fitted(self) -> Fitted:
        """Objective and coefficients."""

    @property
    def n_items(self) -> int:
        """Number of items that have a score."""

    @property
    def kept(self) -> npt.NDArray[np.intp]:
        """Numbers of the items that have a score."""

    @property
    def kept_items(self) -> npt.NDArray[Any]:
        """Their names."""

    @property
    def component(self) -> npt.NDArray[np.intp]:
        """The component of each of them."""

    def event_table(self) -> sp.csr_array:
        """How much each kind of independent event counts in each row, (m, events)."""

    def event_counts(self) -> npt.NDArray[np.float64]:
        """Weight of each kind of event."""

    def event_squares(self) -> npt.NDArray[np.float64]:
        """Sum of squared weights of each kind of event."""


class ScoreInference:
    """How sure the scores are: the same for every model that has scores of items."""

    _gauge_map: npt.NDArray[np.float64]

    def _fitted(self) -> ScoredFit:
        raise NotImplementedError

    def covariance(self, kind: CovarianceKind = "hessian") -> npt.NDArray[np.float64]:
        """Covariance of all coefficients in the gauge of ``scores_``, shape (p, p).

        The order is: scores of the items that have one, ν, ν₀, order effects, covariates.

        Parameters
        ----------
        kind : {"hessian", "sandwich", "clustered"}
            From the exact Hessian (the model is right); from the residuals of the comparisons (it
            need not be); from their sums over the `clusters` given to `fit` (comparisons by one
            judge are not independent).
        """
        fit = self._fitted()
        objective, w = fit.fitted.objective, fit.fitted.w
        meat = None
        if kind == "sandwich":
            meat = sandwich_meat(objective, w, fit.event_table(), fit.event_squares())
        elif kind == "clustered":
            meat = clustered_meat(objective, w, self._cluster_table())
        elif kind not in get_args(CovarianceKind):
            message = f"kind is {kind!r}; it must be 'hessian', 'sandwich' or 'clustered'."
            raise InputError(message)
        T = self._gauge_map
        result: npt.NDArray[np.float64] = T @ covariance(objective, w, meat) @ T.T
        return result

    def _cluster_table(self) -> sp.csr_array:
        raise NotImplementedError

    def _item_counts(self) -> dict[str, npt.NDArray[np.float64]]:
        raise NotImplementedError

    def ranking(
        self,
        *,
        level: float = 0.95,
        unit: str = "logit",
        centre: float = 1500.0,
        covariance: CovarianceKind = "hessian",
    ) -> Ranking:
        """Items from best to worst, with intervals of scores and simultaneous intervals of ranks.

        Parameters
        ----------
        level : float, default=0.95
        unit : {"logit", "elo"}, default="logit"
            Elo: ``centre + 400/ln 10 · θ``, so that 400 points are odds of 10 to 1.
        centre : float, default=1500.0
            Elo of θ = 0.
        covariance : {"hessian", "sandwich", "clustered"}
        """
        _check_level(level)
        if unit not in ("logit", "elo"):
            message = f"unit is {unit!r}; it must be 'logit' or 'elo'."
            raise InputError(message)
        fit = self._fitted()
        n = fit.n_items
        C = self.covariance(covariance)[:n, :n]
        theta = (self._gauge_map @ fit.fitted.w)[:n]
        low, high = np.ones(n, dtype=np.intp), np.ones(n, dtype=np.intp)
        for g in range(int(fit.component.max()) + 1):
            of = np.flatnonzero(fit.component == g)
            low[of], high[of] = rank_intervals(theta[of], C[np.ix_(of, of)], level=level)
        error = np.sqrt(np.maximum(C.diagonal(), 0))
        scale, origin = (ELO_PER_LOGIT, centre) if unit == "elo" else (1.0, 0.0)
        width = float(ndtri((1 + level) / 2)) * error
        best = np.lexsort((-theta, fit.component))
        return Ranking(
            items=fit.kept_items[best],
            scores=origin + scale * theta[best],
            standard_errors=scale * error[best],
            low=origin + scale * (theta - width)[best],
            high=origin + scale * (theta + width)[best],
            rank_low=low[best],
            rank_high=high[best],
            counts={name: of[fit.kept][best] for name, of in self._item_counts().items()},
            component=fit.component[best],
            level=level,
            unit=unit,
        )

    def win_probability(
        self,
        first: Any,
        second: Any,
        *,
        level: float = 0.95,
        covariance: CovarianceKind = "hessian",
    ) -> tuple[float, float, float]:
        """P(first is preferred | one of the two is) on neutral ground, and its interval.

        ``σ(θ_first - θ_second)``; the interval is symmetric in logits.
        """
        _check_level(level)
        fit = self._fitted()
        found = [np.flatnonzero(fit.kept_items == item) for item in (first, second)]
        for item, where in zip((first, second), found, strict=True):
            if not len(where):
                message = f"{item!r} is none of the items with a score."
                raise InputError(message)
        i, j = int(found[0][0]), int(found[1][0])
        if fit.component[i] != fit.component[j]:
            message = f"{first!r} and {second!r} belong to groups that cannot be compared."
            raise InputError(message)
        theta = self._gauge_map @ fit.fitted.w
        C = self.covariance(covariance)
        width = float(ndtri((1 + level) / 2)) * np.sqrt(C[i, i] + C[j, j] - 2 * C[i, j])
        contrast = theta[i] - theta[j]
        low, middle, high = expit([contrast - width, contrast, contrast + width])
        return float(middle), float(low), float(high)

    def bootstrap(
        self, n_resamples: int = 1000, *, by_cluster: bool = False, seed: int = 0
    ) -> Resamples:
        """Scores refitted to resampled counts, all at once and from the scores at hand.

        Parameters
        ----------
        n_resamples : int
        by_cluster : bool
            Draw whole clusters (judges) instead of single comparisons.
        seed : int

        Returns
        -------
        Resamples
            ``scores`` of shape (n_resamples, items with a score), NaN where a resample has no
            estimate, and ``failed``, their number.
        """
        if n_resamples < 1:
            message = f"n_resamples is {n_resamples}; at least one is needed."
            raise InputError(message)
        fit = self._fitted()
        objective, rng = fit.fitted.objective, np.random.default_rng(seed)
        if by_cluster:
            table = self._cluster_table()
            draw = event_drawer(table, np.ones(table.shape[1]))
        else:
            draw = event_drawer(fit.event_table(), fit.event_counts())
        found = refit_resamples(objective, fit.fitted.w, draw, n_resamples, rng=rng)
        n = fit.n_items
        return Resamples(fit.kept_items, found @ self._gauge_map[:n].T)
