"""What belongs to inference from paired comparisons alone: clusters, and counts of the items."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.choice.inference import ScoreInference
from crossent.choice.outcomes import LEFT, NEITHER, OUTCOMES, RIGHT, TIE
from crossent.choice.pair_fit import PairFit
from crossent.errors import InputError

__all__ = ["PairInference"]


class PairInference(ScoreInference):
    """`ScoreInference` for paired comparisons."""

    _cells: Any
    _entries: Any

    def _fitted(self) -> PairFit:
        raise NotImplementedError

    def _cluster_table(self) -> sp.csr_array:
        """Weight with which each cluster chose each row of the choice sets, shape (m, G)."""
        if getattr(self, "_entries", None) is None:
            message = (
                "Clusters are needed: fit(..., clusters=...), the judge or prompt of each row."
            )
            raise InputError(message)
        data, cells, judge = self._entries
        fit = self._fitted()
        table = data.table
        row = np.arange(table.n_rows) if table.row is None else table.row
        weight = np.ones(len(row)) if table.share is None else table.share
        if data.weight is not None:
            weight = weight * data.weight[row]
        outcome = table.outcome
        if cells.swapped is not None:
            turned = cells.swapped & (outcome <= RIGHT)
            outcome = np.where(turned, RIGHT + LEFT - outcome, outcome)
        located = cells.cell_of_entry
        cell = np.where(located >= 0, fit.cell_numbers[np.maximum(located, 0)], -1)
        kept = (cell >= 0) & (weight > 0)
        C = fit.cells.counts.shape[1]
        events = sp.csr_array(
            (weight[kept], ((outcome * C + cell)[kept], judge[row][kept])),
            shape=(len(OUTCOMES) * C, int(judge.max()) + 1),
        )
        return sp.csr_array(fit.event_table() @ events)

    def _item_counts(self) -> dict[str, npt.NDArray[np.float64]]:
        """Wins, losses, ties and "neither" of all items."""
        cells, n = self._cells, len(self._fitted().items)

        def per_item(left: int, right: int) -> npt.NDArray[np.float64]:
            result = np.bincount(cells.left, weights=cells.counts[left], minlength=n)
            result += np.bincount(cells.right, weights=cells.counts[right], minlength=n)
            return result.astype(np.float64)

        return {
            "wins": per_item(LEFT, RIGHT),
            "losses": per_item(RIGHT, LEFT),
            "ties": per_item(TIE, TIE),
            "neither": per_item(NEITHER, NEITHER),
        }
