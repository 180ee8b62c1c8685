"""PlackettLuce: scores of items from rankings."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from crossent.choice.existence import describe_split, strong_parts
from crossent.choice.fitting import Fitted, Model, fit_choices
from crossent.choice.inference import ScoreInference
from crossent.choice.names import read_clusters
from crossent.choice.options import check_options
from crossent.choice.rankings import Rankings, Stages, read_rankings, stages_of
from crossent.choice.weights import read_weights
from crossent.errors import InputError
from crossent.functional import softmax

__all__ = ["PlackettLuce"]


@dataclass(frozen=True)
class RankingFit:
    """A fitted model of rankings, as `ScoreInference` sees it."""

    fitted: Fitted
    items: npt.NDArray[Any]
    kept: npt.NDArray[np.intp]
    stages: Stages
    weight: npt.NDArray[np.float64]

    @property
    def n_items(self) -> int:
        """Number of items with a score."""
        return len(self.kept)

    @property
    def kept_items(self) -> npt.NDArray[Any]:
        """Names of the items with a score."""
        return self.items[self.kept]

    @property
    def component(self) -> npt.NDArray[np.intp]:
        """All items are one component."""
        return np.zeros(len(self.kept), dtype=np.intp)

    def event_table(self) -> sp.csr_array:
        """A ranking counts in the row of each of its choices, shape (m, rankings)."""
        ones = np.ones(len(self.stages.row))
        shape = (len(self.stages.sets.counts), len(self.weight))
        return sp.csr_array((ones, (self.stages.row, self.stages.ranking)), shape=shape)

    def event_counts(self) -> npt.NDArray[np.float64]:
        """Weights of the rankings."""
        return self.weight

    def event_squares(self) -> npt.NDArray[np.float64]:
        """Squared weights of the rankings."""
        return self.weight**2


class PlackettLuce(ScoreInference, BaseEstimator):  # type: ignore[misc]
    r"""Scores of items from full or partial rankings, with or without ties.

    A ranking is a chain of choices among what is left, each a softmax over the scores. With ties
    the alternatives are all sets T of up to D items, with logit mean_{i ∈ T} θ_i + log δ_{|T|}
    (Davidson-Luce). The fit minimises

        Σ_rankings s Σ_stages [logsumexp(logits) - logit taken] + (penalty/2) Σ θ_i².

    Parameters
    ----------
    max_tie : int or "auto", default="auto"
        D, the most items of equal rank that are modelled; "auto": the most that occur.
    unranked : {"absent", "last"}, default="absent"
        Items that a ranking does not have: they could not be chosen, or they come after all others
        (top-k rankings).
    penalty : float, default=0.0
        Ridge on the scores, added to the *summed* loss.
    undefined : {"raise", "drop"}, default="raise"
        Where the estimate does not exist: an error that names the items, or leave out the items
        that are not in the largest strongly connected group.
    tol : float, default=1e-10
    max_iter : int, default=200

    Attributes
    ----------
    items_ : ndarray of shape (n_items,)
    scores_ : ndarray of shape (n_items,)
        θ in logits, sum 0; NaN for items left out.
    worths_ : ndarray of shape (n_items,)
        softmax(θ): the probability to be chosen first among all.
    ties_ : ndarray of shape (D - 1,)
        log δ_2 … log δ_D.
    certificate_, trace_, n_iter_, log_likelihood_, penalty_
        As in `BradleyTerry`.

    Examples
    --------
    >>> from crossent.choice import PlackettLuce
    >>> model = PlackettLuce().fit([["a", "b", "c"], ["b", "a", "c"], ["a", "c", "b"], ["c", "a"]])
    >>> [f"{i} {w:.3f}" for i, w in zip(model.items_, model.worths_)]
    ['a 0.519', 'b 0.279', 'c 0.201']
    """

    def __init__(
        self,
        *,
        max_tie: Any = "auto",
        unranked: str = "absent",
        penalty: float = 0.0,
        undefined: str = "raise",
        tol: float = 1e-10,
        max_iter: int = 200,
    ) -> None:
        self.max_tie = max_tie
        self.unranked = unranked
        self.penalty = penalty
        self.undefined = undefined
        self.tol = tol
        self.max_iter = max_iter

    def fit(
        self,
        X: Any,
        y: None = None,
        sample_weight: Any = None,
        *,
        items: Any = None,
        clusters: Any = None,
    ) -> "PlackettLuce":
        """Fit to the optimum, or say why there is none.

        Parameters
        ----------
        X : list of rankings, or ranks of shape (n, n_items)
            A ranking is a list of items, best first, in which a list, tuple or set is a tie. Or a
            frame or numeric array with a column per item: 1 is the best, equal ranks are ties, 0
            and NaN are not ranked.
        y : None
            Ignored.
        sample_weight : array-like of shape (n,), optional
        items : sequence, optional
            All items; default: those that occur, or the names of the columns.
        clusters : array-like of shape (n,), optional
            Who made each ranking.

        Raises
        ------
        InputError
            A ranking is empty, has an item twice, or ties more than `max_tie`; the estimate does
            not exist.
        """
        del y
        check_options(self)
        data = read_rankings(X, items, self.unranked)
        n = len(data.groups)
        weight = read_weights(sample_weight, n)
        largest = self._largest_tie(data)
        used = {i for r in data.groups for g in r for i in g}
        kept = np.array(sorted(used.union(*map(set, data.last))), dtype=np.intp)
        stages = self._stages(data, kept, weight, largest)
        if self.penalty == 0:
            parts = strong_parts(*stages.chosen_over, len(kept))
            if parts.n > 1:
                largest_part = int(parts.sizes.argmax())
                if self.undefined != "drop" or parts.sizes[largest_part] < 2:
                    names = data.items[kept].tolist()
                    raise InputError(describe_split(parts, names, component_wise=False))
                kept = kept[parts.label == largest_part]
                stages = self._stages(data, kept, weight, largest)
        fitted = self._solve(stages, data.items[kept], largest)
        ones = np.ones(n) if weight is None else weight
        self._keep(RankingFit(fitted, data.items, kept, stages, ones))
        self._judge = None if clusters is None else read_clusters(clusters, n)
        return self

    def _largest_tie(self, data: Rankings) -> int:
        largest = data.largest_tie
        if self.max_tie == "auto":
            return largest
        limit = int(self.max_tie)
        if largest > limit:
            row = next(r for r, gs in enumerate(data.groups) if max(map(len, gs)) > limit)
            message = (
                f"Ranking {row} gives {largest} items the same rank, and max_tie is {limit}. Break "
                "the ties, or raise max_tie (at a cost that grows with the number of subsets)."
            )
            raise InputError(message)
        return limit

    def _stages(
        self,
        data: Rankings,
        kept: npt.NDArray[np.intp],
        weight: npt.NDArray[np.float64] | None,
        largest: int,
    ) -> Stages:
        """The choices among the kept items; leaving items out changes nothing for the others."""
        if len(kept) < 2:
            message = f"The rankings have {len(kept)} items; at least two are needed."
            raise InputError(message)
        if len(kept) == len(data.items):
            return stages_of(data, weight, largest)
        number = {int(i): k for k, i in enumerate(kept)}
        groups = [
            [g for g in ([number[i] for i in group if i in number] for group in ranking) if g]
            for ranking in data.groups
        ]
        last = [[number[i] for i in rest if i in number] for rest in data.last]
        return stages_of(Rankings(data.items[kept], groups, last), weight, largest)

    def _solve(self, stages: Stages, items: npt.NDArray[Any], largest: int) -> Fitted:
        n, p = len(items), stages.sets.n_parameters
        if not stages.sets.layers:
            message = "No ranking has two items or more; nothing can be compared."
            raise InputError(message)
        names = [f"the score of {item!r}" for item in items.tolist()]
        names += [f"ties of {size} items" for size in range(2, largest + 1)]
        scores = np.arange(p) < n
        model = Model(
            sets=stages.sets,
            penalty=float(self.penalty),
            penalised=scores,
            gauge=scores[None].astype(np.float64),
            exists=largest == 1,
        )
        return fit_choices(model, lambda: names, tol=float(self.tol), max_passes=int(self.max_iter))

    def _keep(self, fit: RankingFit) -> None:
        self._fit = fit
        n, p = fit.n_items, len(fit.fitted.w)
        self._gauge_map = np.eye(p)
        self._gauge_map[:n, :n] -= 1 / n
        w = self._gauge_map @ fit.fitted.w
        self.items_ = fit.items
        self.scores_ = np.full(len(fit.items), np.nan)
        self.scores_[fit.kept] = w[:n]
        self.worths_ = np.full(len(fit.items), np.nan)
        self.worths_[fit.kept] = softmax(w[:n])
        self.ties_ = w[n:]
        self.certificate_ = fit.fitted.certificate
        self.trace_ = list(fit.fitted.trace)
        self.n_iter_ = fit.fitted.certificate.passes
        self.log_likelihood_ = fit.fitted.log_likelihood
        self.penalty_ = float(self.penalty)

    def _fitted(self) -> RankingFit:
        check_is_fitted(self, "scores_")
        return self._fit

    def _cluster_table(self) -> sp.csr_array:
        if self._judge is None:
            message = "Clusters are needed: fit(..., clusters=...), who made each ranking."
            raise InputError(message)
        fit = self._fitted()
        n = len(fit.weight)
        who = sp.csr_array((fit.weight, (np.arange(n), self._judge)))
        return sp.csr_array(fit.event_table() @ who)

    def _item_counts(self) -> dict[str, npt.NDArray[np.float64]]:
        """How often each item was ranked first, and ranked at all."""
        fit = self._fitted()
        first = np.concatenate([[True], np.diff(fit.stages.ranking) > 0])
        rows = sp.csr_array(fit.stages.sets.rows[fit.stages.row])[:, : fit.n_items]
        weight = fit.weight[fit.stages.ranking]
        counts = np.zeros((2, len(fit.items)))
        counts[0, fit.kept] = rows.T @ (weight * first)
        counts[1, fit.kept] = rows.T @ weight
        return {"first": counts[0], "taken": counts[1]}

    def predict_proba(self, items: Any) -> npt.NDArray[np.float64]:
        """Probability of each of the given items to be chosen first among them, without ties.

        Raises
        ------
        InputError
            An item has no score.
        """
        known = dict(zip(self.items_.tolist(), self.scores_.tolist(), strict=True))
        missing = [item for item in items if not np.isfinite(known.get(item, np.nan))]
        if missing:
            message = f"{missing[0]!r} has no score."
            raise InputError(message)
        return np.asarray(softmax(np.array([known[item] for item in items])))
