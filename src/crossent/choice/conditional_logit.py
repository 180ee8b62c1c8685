"""ConditionalLogit: choices from sets of any sizes, explained by features."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import ndtr
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from crossent.choice.alternatives import ChoiceTable, read_choices
from crossent.choice.fitting import Fitted, Model, fit_choices
from crossent.choice.options import check_options
from crossent.choice.uncertainty import CovarianceKind, clustered_meat, covariance, sandwich_meat
from crossent.errors import InputError
from crossent.objectives.choice import log_loss_and_probabilities
from crossent.objectives.choice_sets import ChoiceSets

__all__ = ["ConditionalLogit"]


class ConditionalLogit(BaseEstimator):  # type: ignore[misc]
    """Multinomial choice from sets of any sizes: logits are linear in features.

    The logit of alternative k in choice set c is

        x_ck·β + u_c·γ_{a(ck)} + α_{a(ck)},

    x features of the alternative, u of the chooser (with coefficients γ for each kind of
    alternative a but the base), α constants of the kinds (0 for the base). An outside option has
    logit 0. The fit minimises Σ s [logsumexp(logits) - logit chosen] + (penalty/2) (‖β‖² + ‖γ‖²).

    Parameters
    ----------
    intercepts : bool, default=False
        Constants α; needs `alternatives` in `fit`.
    base : object, optional
        Kind of alternative without α and γ; default: the first, or the outside option if any.
    specific : sequence of str or int, default=()
        Columns of X that get a coefficient for each kind of alternative instead of one for all.
    outside : bool, default=False
        Every set has one option more, with logit 0, chosen where no alternative is.
    penalty : float, default=0.0
        Ridge on β and γ, added to the *summed* loss.
    tol : float, default=1e-10
    max_iter : int, default=200

    Attributes
    ----------
    coef_ : ndarray of shape (p,)
    feature_names_out_ : ndarray of shape (p,)
        What each coefficient belongs to.
    alternatives_ : ndarray or None
        Kinds of alternatives.
    certificate_, trace_, n_iter_, log_likelihood_, penalty_
        As in `BradleyTerry`.

    References
    ----------
    D. McFadden, Conditional logit analysis of qualitative choice behavior, in: Frontiers in
    Econometrics, ed. P. Zarembka, 105-142, 1974.

    Examples
    --------
    >>> from crossent.choice import ConditionalLogit
    >>> price = [[1.0], [2.0], [1.0], [2.0], [1.0], [2.0], [3.0]]
    >>> trip = [0, 0, 1, 1, 2, 2, 2]
    >>> model = ConditionalLogit().fit(price, [1, 0, 1, 0, 0, 1, 0], trip)
    >>> round(float(model.coef_[0]), 3)
    -0.955
    """

    def __init__(
        self,
        *,
        intercepts: bool = False,
        base: Any = None,
        specific: Any = (),
        outside: bool = False,
        penalty: float = 0.0,
        tol: float = 1e-10,
        max_iter: int = 200,
    ) -> None:
        self.intercepts = intercepts
        self.base = base
        self.specific = specific
        self.outside = outside
        self.penalty = penalty
        self.tol = tol
        self.max_iter = max_iter

    def fit(
        self,
        X: Any,
        y: Any,
        choice_sets: Any,
        *,
        alternatives: Any = None,
        chooser: Any = None,
        available: Any = None,
        sample_weight: Any = None,
        clusters: Any = None,
    ) -> "ConditionalLogit":
        """Fit to the optimum, or say why there is none.

        Parameters
        ----------
        X : array-like or frame of shape (m, d)
            A row per alternative of each choice set.
        y : array-like of shape (m,)
            1 for the alternative chosen, or how often each was chosen.
        choice_sets : array-like of shape (m,)
            Which set a row belongs to.
        alternatives : array-like of shape (m,), optional
            Kind of each alternative ("train", "car").
        chooser : array-like or frame of shape (m, r), optional
            Features of who chooses, the same in all rows of a set.
        available : array-like of bool, shape (m,), optional
            Rows that could be chosen.
        sample_weight : array-like of shape (m,), optional
            Weight of the set, the same in all its rows.
        clusters : array-like of shape (m,), optional
            Who chose, the same in all rows of a set.

        Raises
        ------
        InputError
            A set is empty or nothing was chosen from it, what was chosen was not available, a
            value cannot be used, or the estimate does not exist.
        """
        check_options(self)
        table = read_choices(
            self,
            X,
            y,
            choice_sets,
            alternatives=alternatives,
            chooser=chooser,
            available=available,
            sample_weight=sample_weight,
            clusters=clusters,
        )
        sets, order = ChoiceSets.ragged(table.rows, table.starts, table.counts)
        if not sets.layers:
            message = "No choice set has two alternatives; nothing can be compared."
            raise InputError(message)
        p = sets.n_parameters
        model = Model(
            sets=sets,
            penalty=float(self.penalty),
            penalised=table.penalised,
            gauge=np.zeros((0, p)),
            exists=bool(self.penalty > 0 and table.penalised.all()),
        )
        fitted = fit_choices(
            model,
            lambda: [f"the coefficient of {name!r}" for name in table.names],
            tol=float(self.tol),
            max_passes=int(self.max_iter),
        )
        self._keep(fitted, table, order)
        return self

    def _keep(self, fitted: Fitted, table: ChoiceTable, order: npt.NDArray[np.intp]) -> None:
        self._fit, self._table, self._order = fitted, table, order
        self.coef_ = fitted.w
        self.feature_names_out_ = np.array(table.names, dtype=object)
        self.alternatives_ = table.kinds
        self.certificate_ = fitted.certificate
        self.trace_ = list(fitted.trace)
        self.n_iter_ = fitted.certificate.passes
        self.log_likelihood_ = fitted.log_likelihood
        self.penalty_ = float(self.penalty)

    def covariance(self, kind: CovarianceKind = "hessian") -> npt.NDArray[np.float64]:
        """Covariance of the coefficients, shape (p, p), as in `BradleyTerry.covariance`."""
        check_is_fitted(self, "coef_")
        if kind == "hessian":
            return covariance(self._fit.objective, self.coef_)
        if kind == "clustered":
            table = self._table.cluster_table()[self._order]
            meat = clustered_meat(self._fit.objective, self.coef_, table)
        else:
            table = sp.csr_array(sp.eye_array(len(self._order)))
            squares = self._table.squares[self._order]
            meat = sandwich_meat(self._fit.objective, self.coef_, table, squares)
        return covariance(self._fit.objective, self.coef_, meat)

    def summary(self, kind: CovarianceKind = "hessian") -> dict[str, npt.NDArray[Any]]:
        """Coefficient, standard error, z and two-sided p-value by name of the column."""
        error = np.sqrt(self.covariance(kind).diagonal())
        z = self.coef_ / error
        return {
            "name": self.feature_names_out_,
            "coefficient": self.coef_,
            "standard_error": error,
            "z": z,
            "p_value": 2 * ndtr(-np.abs(z)),
        }

    def predict_proba(
        self,
        X: Any,
        choice_sets: Any,
        *,
        alternatives: Any = None,
        chooser: Any = None,
        available: Any = None,
    ) -> npt.NDArray[np.float64]:
        """Probability of each row within its choice set, shape (m,); 0 where not available.

        With an outside option the rows of a set sum to less than 1; the rest is the outside's.
        """
        check_is_fitted(self, "coef_")
        table = read_choices(
            self,
            X,
            None,
            choice_sets,
            alternatives=alternatives,
            chooser=chooser,
            available=available,
            kinds=self.alternatives_,
        )
        sets, order = ChoiceSets.ragged(table.rows, table.starts, table.counts)
        if table.names != self.feature_names_out_.tolist():
            message = (
                f"X, chooser and alternatives make the coefficients {table.names}; fitted were "
                f"{self.feature_names_out_.tolist()}. Pass the same columns."
            )
            raise InputError(message)
        inner = np.ones(len(table.counts))  # sets of a single alternative
        _, inner[order] = log_loss_and_probabilities(sets, self.coef_)
        result = np.zeros(table.n_rows)
        real = table.source >= 0
        result[table.source[real]] = inner[real]
        return result
