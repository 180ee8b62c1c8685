"""What a fitted model of paired comparisons says about comparisons."""

from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.choice.comparisons import Cells, read_comparisons
from crossent.choice.names import as_columns, listed
from crossent.choice.outcomes import OUTCOMES
from crossent.choice.pair_fit import PairFit
from crossent.errors import InputError
from crossent.functional import log_softmax, softmax

__all__ = ["PairPrediction"]


class PairPrediction:
    """Methods of `BradleyTerry` that predict."""

    outcomes_: tuple[str, ...]
    scores_: npt.NDArray[np.float64]
    items_: npt.NDArray[Any]
    component_: npt.NDArray[np.intp]
    outcomes: Any

    def _fitted(self) -> PairFit:
        raise NotImplementedError

    def decision_function(
        self, X: Any, *, order: Any = None, covariates: Any = None
    ) -> npt.NDArray[np.float64]:
        """Logits of the outcomes, shape (n, K), columns as in ``outcomes_``.

        A row whose items have no common scale (a score is NaN, or they belong to different
        components) is NaN.

        Parameters
        ----------
        X : array-like or frame of shape (n, 2)
        order : array-like of shape (n,), optional
            As in `fit`; default 1 where an order effect was fitted.
        covariates : array-like of shape (n, r), optional

        Raises
        ------
        InputError
            An item was not in the training data; the message names it.
        """
        fit = self._fitted()
        place = {item: number for number, item in enumerate(fit.kept_items.tolist())}
        unknown: list[Any] = []
        known = set(fit.items.tolist())
        codes = []
        for column in as_columns(X, "X", width=2):
            values = column.to_list() if hasattr(column, "to_list") else column.tolist()
            unknown += [value for value in values if value not in known]
            codes.append(np.array([place.get(value, -1) for value in values], dtype=np.intp))
        if unknown:
            message = f"No comparison of {listed(list(dict.fromkeys(unknown)))} was fitted."
            raise InputError(message)
        return self._logits(codes[0], codes[1], order, covariates)

    def _logits(
        self, left: npt.NDArray[np.intp], right: npt.NDArray[np.intp], order: Any, covariates: Any
    ) -> npt.NDArray[np.float64]:
        """Logits for numbers of kept items; -1 is an item without a score."""
        fit = self._fitted()
        n = len(left)
        design = fit.design
        given = None if covariates is None else np.asarray(covariates, dtype=np.float64)
        width = 0 if given is None else given.size // max(n, 1)
        if width != design.n_covariates:
            message = f"covariates must have shape ({n}, {design.n_covariates}), as in fit."
            raise InputError(message)
        strength = np.ones(n) if order is None else np.asarray(order, dtype=np.float64)
        counts = np.zeros((len(OUTCOMES), n))
        cells = Cells(
            np.maximum(left, 0),
            np.maximum(right, 0),
            strength,
            given.reshape(n, -1) if design.n_covariates and given is not None else None,
            counts,
            counts,
        )
        z = design.choice_sets(cells).logits(fit.fitted.w).reshape(len(design.outcomes), n).T
        apart = (left < 0) | (right < 0) | (fit.component[left] != fit.component[right])
        return np.where(apart[:, None], np.nan, z)

    def predict_proba(
        self, X: Any, *, order: Any = None, covariates: Any = None
    ) -> npt.NDArray[np.float64]:
        """Probabilities of the outcomes, shape (n, K). Parameters as `decision_function`."""
        return np.asarray(softmax(self.decision_function(X, order=order, covariates=covariates)))

    def predict(self, X: Any, *, order: Any = None, covariates: Any = None) -> npt.NDArray[Any]:
        """The most probable outcome of each comparison, shape (n,)."""
        z = self.decision_function(X, order=order, covariates=covariates)
        names: npt.NDArray[Any] = np.array(self.outcomes_)[z.argmax(axis=1)]
        return names

    def surprisal(
        self, X: Any, y: Any, *, order: Any = None, covariates: Any = None
    ) -> npt.NDArray[np.float64]:
        """-log p(outcome) in nats, shape (n,); for counts their sum over the row.

        Infinite for an outcome that is not modelled.
        """
        logits = np.asarray(
            log_softmax(self.decision_function(X, order=order, covariates=covariates))
        )
        table = read_comparisons(X, y, outcomes=self.outcomes).table
        full = np.full((len(logits), len(OUTCOMES)), -np.inf)
        full[:, [OUTCOMES.index(name) for name in self.outcomes_]] = logits
        row = np.arange(table.n_rows) if table.row is None else table.row
        nats = -full[row, table.outcome]
        if table.share is not None:
            nats = nats * table.share
        return np.bincount(row, weights=nats, minlength=table.n_rows).astype(np.float64)

    def score(self, X: Any, y: Any, *, order: Any = None, covariates: Any = None) -> float:
        """Mean log-probability of the outcomes in nats; higher is better."""
        return -float(self.surprisal(X, y, order=order, covariates=covariates).mean())

    def win_matrix(self, *, order: float = 0.0) -> npt.NDArray[np.float64]:
        """P(row item is chosen over the column item), shape (n_items, n_items).

        Ties and "neither" keep their share, so that M + Mᵀ < 1 with them. NaN on the diagonal and
        where there is no common scale.

        Parameters
        ----------
        order : float, default=0.0
            1: the row item has the order effect; 0: neutral ground.
        """
        fit = self._fitted()
        if fit.design.n_covariates:
            message = "win_matrix needs covariates of each pair; use predict_proba with them."
            raise InputError(message)
        n = len(fit.items)
        number = np.full(n, -1, dtype=np.intp)
        number[fit.kept] = np.arange(len(fit.kept))
        left, right = np.repeat(number, n), np.tile(number, n)
        z = self._logits(left, right, np.full(n * n, order), None)
        matrix = np.asarray(softmax(z))[:, 0].reshape(n, n).copy()
        np.fill_diagonal(matrix, np.nan)
        return matrix
