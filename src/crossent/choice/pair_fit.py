"""Fit a model of paired comparisons to counted cells: existence, design, optimum, gauge."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.choice.comparisons import Cells
from crossent.choice.design import PairDesign
from crossent.choice.existence import Components, describe_split, pair_components
from crossent.choice.fitting import Fitted, Model, fit_choices
from crossent.choice.outcomes import LEFT, NEITHER, OUTCOMES, RIGHT, TIE
from crossent.errors import InputError

__all__ = ["PairFit", "PairOptions", "fit_pairs"]


_STRETCH = 1.25  # with ties or an order effect: 8 passes instead of 12 for 49,463 football matches
_FAR_START = 3.0  # logits: further out probabilities are flat, and Newton's steps too long


@dataclass(frozen=True)
class PairOptions:
    """The parameters of `BradleyTerry` that matter for one fit."""

    ties: str
    neither: str
    order_effect: str | None
    penalty: float
    undefined: str
    tol: float
    max_iter: int


@dataclass(frozen=True)
class PairFit:
    """A fitted model of paired comparisons.

    Attributes
    ----------
    items : ndarray, shape (n_items,)
        All items of the data, also those without a score.
    kept : ndarray of int, shape (n_kept,)
        Items with a place in `design`.
    component : ndarray of int, shape (n_kept,)
        Scores can be compared within a component only.
    cells : Cells
        Those that were fitted; items numbered as in `kept`.
    cell_numbers : ndarray of int, shape (cells given,)
        New number of each cell given; -1 where it was left out.
    design : PairDesign
    fitted : Fitted
    """

    items: npt.NDArray[Any]
    kept: npt.NDArray[np.intp]
    component: npt.NDArray[np.intp]
    cells: Cells
    cell_numbers: npt.NDArray[np.intp]
    design: PairDesign
    fitted: Fitted

    @property
    def halved_ties(self) -> bool:
        """Whether `cells` counts ties as half a win each, and still holds them as well."""
        return TIE not in self.design.outcomes and bool(self.cells.counts[TIE].any())

    @property
    def n_items(self) -> int:
        """Number of items with a score."""
        return self.design.n_items

    def event_squares(self) -> npt.NDArray[np.float64]:
        """Sum of squared weights of each event, shape (4·C,)."""
        return self.cells.squares.ravel()

    def event_table(self) -> sp.csr_array:
        """How each event (outcome, cell) counts in the choice sets, shape (m, 4·C)."""
        C = self.cells.counts.shape[1]
        places = {outcome: k for k, outcome in enumerate(self.design.outcomes)}
        share = np.zeros((len(places), len(OUTCOMES)))
        for outcome, k in places.items():
            share[k, outcome] = 1.0
        if self.halved_ties:
            share[:, TIE] = 0.5
        return sp.csr_array(sp.kron(share, sp.eye_array(C), format="csr"))

    def event_counts(self) -> npt.NDArray[np.float64]:
        """Weight of each event, shape (4·C,)."""
        counts = self.cells.counts.copy()
        if self.halved_ties:
            counts[:TIE] -= counts[TIE] / 2
        return counts.ravel()

    @property
    def kept_items(self) -> npt.NDArray[Any]:
        """Names of the items with a score."""
        return self.items[self.kept]

    def gauge_map(self, anchor: int | None) -> npt.NDArray[np.float64]:
        """The matrix T with which T w has scores that sum to 0 per component, or 0 at `anchor`."""
        T = np.eye(self.design.n_parameters)
        for g, direction in enumerate(self.design.gauge(self.component)):
            members = np.flatnonzero(self.component == g)
            where = members if anchor is None or self.component[anchor] != g else [anchor]
            origin = np.zeros(self.design.n_parameters)
            origin[where] = 1 / len(where)
            T -= np.outer(direction, origin)
        return T


def fit_pairs(
    cells: Cells,
    items: npt.NDArray[Any],
    options: PairOptions,
    *,
    covariate_names: list[str],
    start: npt.NDArray[np.float64] | None = None,
) -> PairFit:
    """Fit; `start` are scores of all items, (n_items,), NaN where unknown.

    Raises
    ------
    InputError
        Fewer than two items, or no estimate: the message names the items.
    """
    cells, outcomes = _modelled(cells, options)
    counted = cells.counts.any(axis=0)
    used = np.zeros(len(items), dtype=bool)
    used[cells.left[counted]] = used[cells.right[counted]] = True
    if used.sum() < 2:
        message = (
            f"Only {int(used.sum())} items have comparisons of positive weight; a comparison needs "
            "two. Check the columns, the weights and the outcomes."
        )
        raise InputError(message)
    kept = np.flatnonzero(used)
    numbers = np.arange(cells.counts.shape[1])
    cells = _renumbered(cells, kept, len(items))
    component = np.zeros(len(kept), dtype=np.intp)
    if options.penalty == 0:
        parts = pair_components(cells, len(kept), outcomes)
        if parts.n > 1:
            chosen, component = _settle(parts, items[kept], options, NEITHER in outcomes)
            cells, numbers = _within(cells, chosen, component)
            kept, component = kept[chosen], component[chosen]
    n_covariates = len(covariate_names)
    design = PairDesign(len(kept), outcomes, options.order_effect, n_covariates)
    model = Model(
        sets=design.choice_sets(cells),
        penalty=options.penalty,
        penalised=design.penalised(),
        gauge=design.gauge(component),
        exists=design.only_items and (options.penalty == 0 or design.neither is None),
    )
    fitted = fit_choices(
        model,
        lambda: design.parameter_names(items[kept].tolist(), covariate_names),
        start=_start(start, kept, cells, design),
        tol=options.tol,
        max_passes=options.max_iter,
    )
    return PairFit(items, kept, component, cells, numbers, design, fitted)


def _start(
    scores: npt.NDArray[np.float64] | None,
    kept: npt.NDArray[np.intp],
    cells: Cells,
    design: PairDesign,
) -> npt.NDArray[np.float64]:
    """Where to begin: scores at hand, or the log odds of each item's wins, which spares a step.

    Likewise ν and a global order effect are what they would be if all items were equal.
    """
    w = np.zeros(design.n_parameters)
    if scores is not None:
        w[: design.n_items] = np.nan_to_num(scores[kept])
        return w
    won, lost = (
        np.bincount(cells.left, weights=cells.counts[mine], minlength=design.n_items)
        + np.bincount(cells.right, weights=cells.counts[other], minlength=design.n_items)
        for mine, other in ((LEFT, RIGHT), (RIGHT, LEFT))
    )
    odds = _log_odds(won, lost)
    w[: design.n_items] = (1.0 if design.only_items else _STRETCH) * (odds - odds.mean())
    left, right, ties, _ = cells.counts.sum(axis=1)
    if design.tie is not None:
        w[design.tie] = _log_odds(2 * ties, left + right)
    if design.order_effect == "global":
        there = cells.counts[:TIE] @ (cells.order == 1)
        w[design.order] = _log_odds(there[LEFT], there[RIGHT])
    return w


def _log_odds(won: Any, lost: Any) -> Any:
    return np.clip(np.log((won + 0.5) / (lost + 0.5)), -_FAR_START, _FAR_START)


def _modelled(cells: Cells, options: PairOptions) -> tuple[Cells, tuple[int, ...]]:
    """The cells with their ties and "neither" as wanted, and the outcomes that are modelled."""
    outcomes = [LEFT, RIGHT]
    counts, squares = cells.counts.copy(), cells.squares.copy()
    if options.ties == "davidson" or (options.ties == "auto" and counts[TIE].any()):
        outcomes.append(TIE)
    elif options.ties == "half":
        counts[:TIE] += counts[TIE] / 2
    if options.neither == "own" or (options.neither == "auto" and counts[NEITHER].any()):
        outcomes.append(NEITHER)
    for outcome in {TIE, NEITHER}.difference(outcomes):
        if outcome == NEITHER or options.ties != "half":
            counts[outcome] = squares[outcome] = 0
    return replace(cells, counts=counts, squares=squares), tuple(outcomes)


def _renumbered(cells: Cells, kept: npt.NDArray[np.intp], n_items: int) -> Cells:
    if len(kept) == n_items:
        return cells
    number = np.full(n_items, -1, dtype=np.intp)
    number[kept] = np.arange(len(kept))
    return replace(cells, left=number[cells.left], right=number[cells.right])


def _settle(
    parts: Components, names: npt.NDArray[Any], options: PairOptions, with_neither: bool
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Which items are fitted and in which component; raises unless the user chose how to go on."""
    label = parts.label[: len(names)]
    sizes = np.bincount(label, minlength=parts.n)
    largest = int(sizes.argmax())
    if options.undefined == "drop" and sizes[largest] > 1:
        if not with_neither or parts.label[-1] == largest:
            chosen = np.flatnonzero(label == largest)
            return chosen, np.zeros(len(names), dtype=np.intp)
    elif options.undefined == "components" and sizes[largest] > 1 and not with_neither:
        chosen = np.flatnonzero(sizes[label] > 1)
        component = np.full(len(names), -1, dtype=np.intp)
        component[chosen] = np.unique(label[chosen], return_inverse=True)[1]
        return chosen, component
    nodes = [*names.tolist(), *(["the outcome 'neither'"] if with_neither else [])]
    raise InputError(describe_split(parts, nodes, component_wise=not with_neither))


def _within(
    cells: Cells, chosen: npt.NDArray[np.intp], component: npt.NDArray[np.intp]
) -> tuple[Cells, npt.NDArray[np.intp]]:
    """The cells whose two items are chosen and in one component, and the new number of each."""
    n = len(component)
    member = np.zeros(n, dtype=bool)
    member[chosen] = True
    left, right = cells.left, cells.right
    stays = member[left] & member[right] & (component[left] == component[right])
    numbers = np.where(stays, np.cumsum(stays) - 1, -1)
    inner = Cells(
        left[stays],
        right[stays],
        cells.order[stays],
        None if cells.covariates is None else cells.covariates[stays],
        cells.counts[:, stays],
        cells.squares[:, stays],
    )
    return _renumbered(inner, chosen, n), numbers
