"""BradleyTerry: paired comparisons with ties, "neither", order effects and covariates."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from crossent.choice.comparisons import Cells, merge_cells, read_comparisons, reduce_to_cells
from crossent.choice.dates import decay_factor, read_dates
from crossent.choice.names import listed, read_clusters, united
from crossent.choice.options import check_options
from crossent.choice.outcomes import OUTCOMES
from crossent.choice.pair_fit import PairFit, PairOptions, fit_pairs
from crossent.choice.pair_inference import PairInference
from crossent.choice.pair_prediction import PairPrediction
from crossent.errors import InputError

__all__ = ["BradleyTerry", "UndefinedScoreWarning"]


class UndefinedScoreWarning(UserWarning):
    """Some items have no score, or scores of different groups cannot be compared."""


class BradleyTerry(PairInference, PairPrediction, BaseEstimator):  # type: ignore[misc]
    r"""Scores of items from comparisons of two, by maximum likelihood.

    A comparison of i (left) and j (right) is a softmax over its outcomes, with logits

        left θ_i + h·o + x·β,   right θ_j,   tie ν + (θ_i + θ_j + h·o + x·β)/2,   neither ν₀,

    of which those are modelled that the data have. The fit minimises

        Σ s [logsumexp(logits) - logit of the outcome] + (penalty/2) Σ θ_i²

    over the comparisons, reduced to counts first. Scores sum to zero, or are zero at `anchor`.

    Parameters
    ----------
    ties : {"auto", "davidson", "half", "drop"}, default="auto"
        "davidson" models a tie as an outcome with its own coefficient ν; "auto" does so if there
        are ties. "half" counts half a win for each, which is no likelihood of the ties; "drop"
        leaves them out.
    neither : {"auto", "own", "drop"}, default="auto"
        "own" gives "neither" its own score ν₀; "auto" does so if it occurs.
    order_effect : {None, "global", "item"}, default=None
        Advantage h of the left item: one for all, or one for each item. `order` in `fit` says where
        it holds.
    penalty : float, default=0.0
        Ridge on the scores (and on order effects per item) added to the *summed* loss; a Gaussian
        prior of variance 1/penalty. 0: none.
    anchor : object, optional
        Item whose score is 0. Default: scores sum to 0 in each component.
    undefined : {"raise", "components", "drop"}, default="raise"
        Where the estimate does not exist: an error that names the items; each strongly connected
        group by itself (comparisons between groups are left out); or the largest group only. Items
        alone in their group then have the score NaN.
    half_life : float or str, optional
        Comparisons lose half their weight in so many days ("365d", "2y"); needs `dates` in `fit`.
    tol : float, default=1e-10
        Certified relative gap; without a penalty, Newton decrement relative to the mean loss.
        Newton steps to rounding follow, mostly one.
    max_iter : int, default=200
        Passes over the counts.
    outcomes : dict, optional
        Meaning of values of y: value → "left", "right", "tie" or "neither".

    Attributes
    ----------
    items_ : ndarray of shape (n_items,)
    scores_ : ndarray of shape (n_items,)
        θ in logits; NaN where undefined.
    tie_, neither_ : float or None
        ν and ν₀, None where not modelled.
    order_effect_ : float, ndarray of shape (n_items,) or None
    coef_ : ndarray of shape (r,)
        β.
    component_ : ndarray of shape (n_items,)
        Scores compare within a component; -1 where there is no score.
    certificate_ : Certificate
    log_likelihood_ : float
        In nats, of all comparisons that were fitted.
    n_comparisons_ : float
        Their weight.
    outcomes_ : tuple of str
        Columns of `predict_proba`.
    penalty_ : float
    n_iter_ : int
        Passes.
    trace_ : list of TracePoint

    Examples
    --------
    >>> from crossent.choice import BradleyTerry
    >>> matches = [["ann", "bob"]] * 4
    >>> model = BradleyTerry(anchor="bob").fit(matches, ["left", "left", "left", "right"])
    >>> round(float(model.scores_[0]), 6)  # odds 3 to 1: log 3
    1.098612
    """

    def __init__(
        self,
        *,
        ties: str = "auto",
        neither: str = "auto",
        order_effect: str | None = None,
        penalty: float = 0.0,
        anchor: Any = None,
        undefined: str = "raise",
        half_life: Any = None,
        tol: float = 1e-10,
        max_iter: int = 200,
        outcomes: Any = None,
    ) -> None:
        self.ties = ties
        self.neither = neither
        self.order_effect = order_effect
        self.penalty = penalty
        self.anchor = anchor
        self.undefined = undefined
        self.half_life = half_life
        self.tol = tol
        self.max_iter = max_iter
        self.outcomes = outcomes

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        order: Any = None,
        covariates: Any = None,
        clusters: Any = None,
        dates: Any = None,
    ) -> "BradleyTerry":
        """Fit to the optimum, or say why there is none.

        Parameters
        ----------
        X : array-like or frame of shape (n, 2)
            Left and right item of each comparison.
        y : array-like of shape (n,) or (n, 2…4), optional
            Outcomes: "left", "right", "tie", "neither"; 1, 0, 0.5; or counts (or probabilities) of
            them in this order. Default: left won.
        sample_weight : array-like of shape (n,), optional
        order : array-like of shape (n,), optional
            Where the order effect holds: 1, or 0 on neutral ground, -1 for the right item.
            Default 1.
        covariates : array-like or frame of shape (n, r), optional
            Speak for the left item; use differences "left - right".
        clusters : array-like of shape (n,), optional
            Judge or prompt of each row, for clustered standard errors.
        dates : array-like of shape (n,), optional
            Dates, or days as numbers; with `half_life`.

        Raises
        ------
        InputError
            A value cannot be used (the message names its row), or the estimate does not exist (the
            message names the items and the choices).
        """
        check_options(self)
        data = self._read(X, y, sample_weight, order, covariates, dates)
        judge = None if clusters is None else read_clusters(clusters, len(data.left))
        cells = reduce_to_cells(data, ordered=self._ordered(order), locate=judge is not None)
        self._last_date = 0.0 if self.half_life is None else _latest(dates, len(data.left))
        self._covariate_names = _names_of(covariates, data.covariates)
        self._fit_cells(cells, data.items, None)
        self._entries = None if judge is None else (data, cells, judge)
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        order: Any = None,
        covariates: Any = None,
        dates: Any = None,
    ) -> "BradleyTerry":
        """Add comparisons to those fitted before, and refit from the scores at hand.

        The result is that of `fit` on all comparisons: earlier ones are kept as counts, so the
        cost does not grow with their number. With a half-life they fade up to the new latest date.
        """
        if not hasattr(self, "_cells"):
            return self.fit(X, y, sample_weight, order=order, covariates=covariates, dates=dates)
        check_options(self)
        data = self._read(X, y, sample_weight, order, covariates, dates)
        names = _names_of(covariates, data.covariates)
        if len(names) != len(self._covariate_names):
            message = (
                f"partial_fit has {len(names)} covariates, the earlier comparisons had "
                f"{len(self._covariate_names)}. Pass the same columns."
            )
            raise InputError(message)
        old, new = self._cells, reduce_to_cells(data, ordered=self._ordered(order))
        if self.half_life is not None:
            old, new = self._faded(old, new, _latest(dates, len(data.left)))
        items = united(self.items_.tolist(), data.items.tolist())
        parts = [_moved(old, self.items_, items), _moved(new, data.items, items)]
        known = dict(zip(self.items_.tolist(), self.scores_.tolist(), strict=True))
        start = np.array([known.get(item, 0.0) for item in items.tolist()])
        self._fit_cells(merge_cells(parts, len(items), ordered=self._ordered(order)), items, start)
        self._entries = None
        return self

    def _ordered(self, order: Any) -> bool:
        """Whether "a against b" differs from "b against a"."""
        if order is not None and self.order_effect is None:
            message = "order is given but order_effect is None. Set order_effect='global'."
            raise InputError(message)
        return self.order_effect is not None

    def _read(
        self, X: Any, y: Any, sample_weight: Any, order: Any, covariates: Any, dates: Any
    ) -> Any:
        return read_comparisons(
            X,
            y,
            sample_weight,
            order=order,
            covariates=covariates,
            dates=dates,
            half_life=self.half_life,
            outcomes=self.outcomes,
        )

    def _faded(self, old: Cells, new: Cells, latest: float) -> tuple[Cells, Cells]:
        """Both batches as seen from the later of their latest dates."""
        before, now = self._last_date, max(self._last_date, latest)
        self._last_date = now
        return (
            old.faded(decay_factor(now - before, self.half_life)),
            new.faded(decay_factor(now - latest, self.half_life)),
        )

    def _fit_cells(self, cells: Cells, items: npt.NDArray[Any], start: Any) -> None:
        options = PairOptions(
            self.ties,
            self.neither,
            self.order_effect,
            float(self.penalty),
            self.undefined,
            float(self.tol),
            int(self.max_iter),
        )
        names = self._covariate_names
        fit = fit_pairs(cells, items, options, covariate_names=names, start=start)
        self._cells = cells
        self._keep(fit)

    def _keep(self, fit: PairFit) -> None:
        """The fitted attributes."""
        self._fit = fit
        anchor = self._anchor_number(fit)
        self._gauge_map = fit.gauge_map(anchor)
        w = self._gauge_map @ fit.fitted.w
        design, n = fit.design, len(fit.items)
        self.items_ = fit.items
        self.scores_ = _spread(w[: design.n_items], fit.kept, n)
        self.tie_ = None if design.tie is None else float(w[design.tie])
        self.neither_ = None if design.neither is None else float(w[design.neither])
        effect = w[design.order]
        self.order_effect_ = {
            None: None,
            "global": float(effect[0]) if len(effect) else None,
            "item": _spread(effect, fit.kept, n) if len(effect) == design.n_items else None,
        }[design.order_effect]
        self.coef_ = w[design.covariates]
        self.component_ = np.full(n, -1, dtype=np.intp)
        self.component_[fit.kept] = fit.component
        self.certificate_ = fit.fitted.certificate
        self.trace_ = list(fit.fitted.trace)
        self.n_iter_ = fit.fitted.certificate.passes
        self.log_likelihood_ = fit.fitted.log_likelihood
        self.n_comparisons_ = fit.fitted.objective.total
        self.outcomes_ = tuple(OUTCOMES[outcome] for outcome in design.outcomes)
        self.penalty_ = float(self.penalty)
        self._warn_undefined(fit)

    def _anchor_number(self, fit: PairFit) -> int | None:
        if self.anchor is None:
            return None
        found = np.flatnonzero(fit.kept_items == self.anchor)
        if not len(found):
            message = f"anchor is {self.anchor!r}, which is none of the items with a score."
            raise InputError(message)
        return int(found[0])

    def _warn_undefined(self, fit: PairFit) -> None:
        left_out = fit.items[self.component_ < 0].tolist()
        n_components = int(fit.component.max()) + 1
        said = []
        if left_out:
            said.append(f"No score for {listed(left_out)}: their score is NaN.")
        if n_components > 1:
            said.append(f"{n_components} groups; scores of different groups cannot be compared.")
        if said:
            warnings.warn(" ".join(said), UndefinedScoreWarning, stacklevel=4)

    def _fitted(self) -> PairFit:
        check_is_fitted(self, "scores_")
        return self._fit


def _spread(
    values: npt.NDArray[np.float64], kept: npt.NDArray[np.intp], n: int
) -> npt.NDArray[np.float64]:
    """Values of the kept items among all; NaN for the others."""
    result = np.full(n, np.nan)
    result[kept] = values
    return result


def _names_of(covariates: Any, values: Any) -> list[str]:
    if values is None:
        return []
    names = getattr(covariates, "columns", None)
    return [str(j) for j in (range(values.shape[1]) if names is None else names)]


def _latest(dates: Any, n: int) -> float:
    return float(read_dates(dates, n).max())


def _moved(cells: Cells, items: npt.NDArray[Any], united: npt.NDArray[Any]) -> Cells:
    """The cells with items numbered as in `united`."""
    place = {item: number for number, item in enumerate(united.tolist())}
    number = np.array([place[item] for item in items.tolist()], dtype=np.intp)
    return cells.renamed(number)
