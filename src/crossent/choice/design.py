"""Paired comparisons as choice sets: the outcomes are the alternatives.

    logit(left)    = θ_i + h·o + x·β            o: the order covariate, h: order effect
    logit(right)   = θ_j
    logit(tie)     = ν + (θ_i + θ_j + h·o + x·β)/2
    logit(neither) = ν₀

Dropping the third is Bradley and Terry's model; with it, Davidson's: his ν is e^ν.

References
----------
R. A. Bradley, M. E. Terry, Rank analysis of incomplete block designs I, Biometrika 39, 1952.
R. R. Davidson, On extending the Bradley-Terry model to accommodate ties in paired comparison
experiments, J. Amer. Stat. Assoc. 65, 317-328, 1970. R. R. Davidson, R. J. Beaver, On extending
the Bradley-Terry model to incorporate within-pair order effects, Biometrics 33, 1977.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.choice.comparisons import Cells
from crossent.choice.outcomes import LEFT, NEITHER, RIGHT, TIE
from crossent.objectives.choice_sets import ChoiceSets, LocalRows

__all__ = ["PairDesign"]

_MAX_LOCAL = 10_000_000  # numbers in the local rows: 80 MB
_MAX_COLUMNS = 24  # 300 products a cell


@dataclass(frozen=True)
class PairDesign:
    """Where each coefficient of a model of paired comparisons stands in the vector w.

    Attributes
    ----------
    n_items : int
        The scores θ come first.
    outcomes : tuple of int
        The alternatives of every comparison.
    order_effect : {None, "global", "item"}
    n_covariates : int
    """

    n_items: int
    outcomes: tuple[int, ...]
    order_effect: str | None = None
    n_covariates: int = 0

    @property
    def tie(self) -> int | None:
        """Column of ν."""
        return self.n_items if TIE in self.outcomes else None

    @property
    def neither(self) -> int | None:
        """Column of ν₀."""
        return self.n_items + (TIE in self.outcomes) if NEITHER in self.outcomes else None

    @property
    def order(self) -> slice:
        """Columns of h."""
        start = self.n_items + len(self.outcomes) - 2
        width = {None: 0, "global": 1, "item": self.n_items}[self.order_effect]
        return slice(start, start + width)

    @property
    def covariates(self) -> slice:
        """Columns of β."""
        return slice(self.order.stop, self.order.stop + self.n_covariates)

    @property
    def n_parameters(self) -> int:
        """Number of coefficients, p."""
        return int(self.covariates.stop)

    @property
    def only_items(self) -> bool:
        """Whether every logit is one score: then the graph of preferences decides existence."""
        return self.tie is None and self.order_effect is None and self.n_covariates == 0

    def penalised(self) -> npt.NDArray[np.bool_]:
        """The coefficients that a penalty shrinks: scores, and order effects per item."""
        mask = np.zeros(self.n_parameters, dtype=bool)
        mask[: self.n_items] = True
        if self.order_effect == "item":
            mask[self.order] = True
        return mask

    def gauge(self, component: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """0/1 rows along which no probability changes, one for each component of the items."""
        rows = np.zeros((int(component.max()) + 1, self.n_parameters))
        rows[component, np.arange(self.n_items)] = 1.0
        if self.neither is not None:
            rows[:, self.neither] = 1.0
        return rows

    def parameter_names(self, items: Sequence[Any], covariates: Sequence[Any]) -> list[str]:
        """A name for each coefficient, for messages."""
        names = [f"the score of {item!r}" for item in items]
        names += ["the tie"] * (self.tie is not None)
        names += ["the outcome 'neither'"] * (self.neither is not None)
        if self.order_effect == "item":
            names += [f"the order effect of {item!r}" for item in items]
        elif self.order_effect == "global":
            names.append("the order effect")
        return names + [f"the covariate {name!r}" for name in covariates]

    def choice_sets(self, cells: Cells) -> ChoiceSets:
        """One set per cell."""
        rows = [self._rows(cells, outcome) for outcome in self.outcomes]
        stacked = _stack(rows, self.n_parameters)
        local = None if self.n_parameters == self.n_items else self._local(cells, rows)
        return ChoiceSets.uniform(stacked, cells.counts[list(self.outcomes)], local=local)

    def _local(self, cells: Cells, rows: list[tuple[Any, Any]]) -> LocalRows | None:
        """The rows in the columns of each cell; None where these are too many."""
        C = len(cells.left)
        columns = [cells.left, cells.right]
        own = cells.left if self.order_effect == "item" else np.zeros(C, dtype=np.intp)
        if self.order_effect is not None:
            columns.append(self.order.start + own)
        others = [c for c in (self.tie, self.neither) if c is not None]
        others += range(self.covariates.start, self.covariates.stop)
        columns += [np.full(C, c) for c in others]
        stacked = np.array(columns)
        if len(self.outcomes) * stacked.size > _MAX_LOCAL or len(columns) > _MAX_COLUMNS:
            return None
        values = np.zeros((len(self.outcomes), *stacked.shape))
        for k, (where, what) in enumerate(rows):
            for place, value in zip(where.T, what.T, strict=True):
                values[k] += np.where(stacked == place, value, 0.0)
        return LocalRows(stacked, values)

    def _rows(self, cells: Cells, outcome: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
        """Columns and values of one outcome's rows, each of shape (C, entries)."""
        C = len(cells.left)
        one = np.ones((C, 1))
        if outcome == NEITHER:
            return np.full((C, 1), self.neither), one
        if outcome == RIGHT:
            return cells.right[:, None], one
        share = 0.5 if outcome == TIE else 1.0
        columns, values = [cells.left[:, None]], [share * one]
        if outcome == TIE:
            columns += [cells.right[:, None], np.full((C, 1), self.tie)]
            values += [share * one, one]
        if self.order_effect is not None:
            own = cells.left if self.order_effect == "item" else np.zeros(C, dtype=np.intp)
            columns.append((self.order.start + own)[:, None])
            values.append(share * cells.order[:, None])
        if cells.covariates is not None and self.n_covariates:
            places = np.arange(self.covariates.start, self.covariates.stop)
            columns.append(np.broadcast_to(places, (C, self.n_covariates)))
            values.append(share * cells.covariates)
        return np.hstack(columns), np.hstack(values)


def _stack(rows: list[tuple[Any, Any]], p: int) -> sp.csr_array:
    """One CSR matrix of the blocks; entries of value 0 are left out."""
    widths = np.concatenate([np.full(len(c), c.shape[1]) for c, _ in rows])
    indptr = np.concatenate([[0], np.cumsum(widths)])
    columns = np.concatenate([c.ravel() for c, _ in rows])
    values = np.concatenate([v.ravel() for _, v in rows])
    matrix = sp.csr_array((values, columns, indptr), shape=(len(widths), p))
    if (values == 0).any():
        matrix.eliminate_zeros()
    return matrix


assert (LEFT, RIGHT) == (0, 1)  # `outcomes` begins with them
