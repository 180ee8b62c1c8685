"""Rankings, full or partial, with ties: read, checked, and taken apart into choices.

A ranking is a chain of choices from what is left. A choice from the set R may pick several items T
at once, of equal rank; its logit is the mean score of T plus log δ_t for t = |T| (δ₁ = 1):

    P(T | R) ∝ δ_t (Π_{i ∈ T} α_i)^{1/t},   over all T ⊆ R with |T| ≤ D.

References
----------
R. L. Plackett, The analysis of permutations, J. R. Stat. Soc. C 24, 1975. D. Firth, I. Kosmidis,
H. Turner, Davidson-Luce model for multi-item choice with ties, arXiv:1909.07123, 2019, equation 1.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.choice.names import as_columns, united
from crossent.errors import InputError
from crossent.objectives.choice_sets import ChoiceSets

__all__ = ["Rankings", "Stages", "read_rankings", "stages_of"]

Groups: TypeAlias = list[list[int]]

_MAX_ALTERNATIVES = 5_000_000


@dataclass(frozen=True)
class Rankings:
    """Rankings as groups of item numbers, best first.

    Attributes
    ----------
    items : ndarray, shape (n_items,)
    groups : list of list of list of int
        Per ranking the groups of equal rank.
    last : list of list of int
        Per ranking the items known to come after all groups, in no known order.
    """

    items: npt.NDArray[Any]
    groups: list[Groups]
    last: list[list[int]]

    @property
    def largest_tie(self) -> int:
        """Most items of equal rank in any ranking."""
        return max((len(group) for ranking in self.groups for group in ranking), default=1)


@dataclass(frozen=True)
class Stages:
    """Choices out of what is left, reduced to counts.

    Attributes
    ----------
    sets : ChoiceSets
    row, ranking : ndarray of int, shape (stages,)
        Row of the alternative taken in each stage of each ranking.
    chosen_over : (ndarray, ndarray)
        Pairs of items (preferred, other), for the graph of preferences.
    """

    sets: ChoiceSets
    row: npt.NDArray[np.intp]
    ranking: npt.NDArray[np.intp]
    chosen_over: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


def read_rankings(X: Any, items: Any, unranked: str) -> Rankings:
    """Rankings from orderings or from a matrix of ranks; see `PlackettLuce.fit`."""
    is_matrix = hasattr(X, "columns") or (isinstance(X, np.ndarray) and X.dtype.kind in "iuf")
    names, rankings = _from_ranks(X, items) if is_matrix else _from_orderings(X, items)
    for row, groups in enumerate(rankings):
        members = [i for group in groups for i in group]
        if len(members) != len(set(members)):
            twice = next(names.tolist()[i] for i in members if members.count(i) > 1)
            message = f"Ranking {row} has {twice!r} twice. An item has one rank: drop the other."
            raise InputError(message)
        if not members:
            message = f"Ranking {row} is empty. Drop it, or rank at least one item."
            raise InputError(message)
    everything = range(len(names))
    last = [
        sorted(set(everything).difference(*groups)) if unranked == "last" else []
        for groups in rankings
    ]
    return Rankings(names, rankings, last)


def _from_orderings(X: Any, items: Any) -> tuple[npt.NDArray[Any], list[Groups]]:
    """Sequences of items, best first; a list, tuple or set inside is a tie."""
    rows = X.tolist() if isinstance(X, np.ndarray) else X
    if isinstance(rows, str) or any(isinstance(row, str) for row in rows):
        message = "X is text where a ranking should be. Give lists of items, best first."
        raise InputError(message)
    try:
        named = [
            [list(x) if isinstance(x, list | tuple | set | frozenset) else [x] for x in row]
            for row in rows
        ]
    except TypeError as error:
        message = f"X must be a list of rankings, each a list of items, best first: {error}"
        raise InputError(message) from error
    found = [x for row in named for group in row for x in group]
    if any(x is None or x != x for x in found):
        row = next(
            r
            for r, groups in enumerate(named)
            if any(x is None or x != x for group in groups for x in group)
        )
        message = f"Ranking {row} has a missing item. Fill in its name, or leave it out."
        raise InputError(message)
    names = united(found) if items is None else united(list(items))
    number = {name: i for i, name in enumerate(names.tolist())}
    unknown = next((x for x in found if x not in number), None)
    if unknown is not None:
        message = f"The rankings have {unknown!r}, which is not among `items`."
        raise InputError(message)
    return names, [[[number[x] for x in group] for group in row] for row in named]


def _from_ranks(X: Any, items: Any) -> tuple[npt.NDArray[Any], list[Groups]]:
    """A column per item; smaller is better, 0 and NaN are "not ranked"."""
    columns = as_columns(X, "X")
    given = items if items is not None else getattr(X, "columns", range(len(columns)))
    names = list(given)
    if len(names) != len(columns):
        message = f"items has {len(names)} names; X has {len(columns)} columns of ranks."
        raise InputError(message)
    try:
        ranks = np.array([np.asarray(c, dtype=np.float64) for c in columns]).T
    except (TypeError, ValueError) as error:
        message = f"Ranks must be numbers, 0 for not ranked: {error}"
        raise InputError(message) from error
    wrong = (ranks < 0) | np.isinf(ranks)
    if wrong.any():
        row = int(wrong.any(axis=1).argmax())
        message = (
            f"Ranking {row} has a rank that is negative or infinite; ranks are 1, 2, …, and 0 for "
            "not ranked. Mend it."
        )
        raise InputError(message)
    ranks = np.nan_to_num(ranks)
    order = united(names)
    number = {name: i for i, name in enumerate(order.tolist())}
    place = [number[name] for name in names]
    result = []
    for row in ranks.tolist():
        ranked = sorted((rank, i) for rank, i in zip(row, place, strict=True) if rank > 0)
        result.append(
            [[i for _, i in group] for _, group in itertools.groupby(ranked, key=lambda x: x[0])]
        )
    return order, result


def stages_of(data: Rankings, weight: npt.NDArray[np.float64] | None, largest_tie: int) -> Stages:
    """Every choice out of what was left; equal sets become one.

    Sets are told apart by an integer with a bit for each item.
    """
    numbers: dict[int, int] = {}
    set_of_stage, taken, ranking = [], [], []
    for r, (groups, last) in enumerate(zip(data.groups, data.last, strict=True)):
        left = sum(1 << i for group in groups for i in group) + sum(1 << i for i in last)
        for group in groups:
            if left.bit_count() > 1:
                set_of_stage.append(numbers.setdefault(left, len(numbers)))
                taken.append(tuple(sorted(group)) if len(group) > 1 else (group[0],))
                ranking.append(r)
            for i in group:
                left ^= 1 << i
    members = [_members(mask) for mask in numbers]
    first, rows, place = _alternatives(members, largest_tie, len(data.items))
    row = np.array(
        [place[c, chosen] for c, chosen in zip(set_of_stage, taken, strict=True)], dtype=np.intp
    )
    who = np.array(ranking, dtype=np.intp)
    once = None if weight is None else weight[who]
    counts = np.bincount(row, weights=once, minlength=rows.shape[0]).astype(np.float64)
    sets, order = ChoiceSets.ragged(rows, first, counts)
    new = np.empty(len(order), dtype=np.intp)
    new[order] = np.arange(len(order))
    return Stages(sets, new[row], who, _preferences(members, set_of_stage, taken, once))


def _members(mask: int) -> list[int]:
    """Numbers of the bits that are set."""
    result = []
    while mask:
        low = mask & -mask
        result.append(low.bit_length() - 1)
        mask ^= low
    return result


def _alternatives(
    members: Sequence[list[int]], largest_tie: int, n_items: int
) -> tuple[npt.NDArray[np.intp], sp.csr_array, dict[tuple[int, tuple[int, ...]], int]]:
    """First row of each set, the rows of all subsets up to `largest_tie`, and where each stands."""
    starts, values = [0], list[float]()
    indices, lengths = list[int](), list[int]()
    place: dict[tuple[int, tuple[int, ...]], int] = {}
    for c, items in enumerate(members):
        for size in range(1, min(largest_tie, len(items)) + 1):
            for chosen in itertools.combinations(items, size):
                place[c, chosen] = len(lengths)
                indices.extend(chosen)
                values.extend([1 / size] * size)
                if size > 1:
                    indices.append(n_items + size - 2)
                    values.append(1.0)
                lengths.append(size + (size > 1))
        starts.append(len(lengths))
        if len(lengths) > _MAX_ALTERNATIVES:
            message = (
                f"Ties of up to {largest_tie} of {len(items)} items make more than "
                f"{_MAX_ALTERNATIVES:,} alternatives. Set max_tie to less, or break the ties."
            )
            raise InputError(message)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    shape = (len(lengths), n_items + largest_tie - 1)
    return np.array(starts), sp.csr_array((values, indices, indptr), shape=shape), place


def _preferences(
    members: Sequence[list[int]],
    set_of_stage: Sequence[int],
    taken: Sequence[tuple[int, ...]],
    weight: npt.NDArray[np.float64] | None,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """(preferred, other) for what was taken against what was left; ties go both ways."""
    used = range(len(taken)) if weight is None else np.flatnonzero(weight).tolist()
    distinct = {(set_of_stage[s], taken[s]) for s in used}
    better, other = list[int](), list[int]()
    for c, chosen in distinct:
        for i in chosen:
            better.extend([i] * (len(members[c]) - 1))
            other.extend(j for j in members[c] if j != i)
    return np.array(better, dtype=np.intp), np.array(other, dtype=np.intp)
