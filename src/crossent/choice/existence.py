"""Does the maximum likelihood estimate exist? Said in the items' names.

Without a penalty, scores exist only if the items cannot be split into two groups of which one was
never preferred to the other: the graph with an edge from each preferred item to each one it was
preferred to must be strongly connected. Where logits are single scores this is also sufficient.

References
----------
L. R. Ford, Solution of a ranking problem from binary comparisons, Amer. Math. Monthly 64 (8, part
2), 28-33, 1957, assumption 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from crossent.choice.comparisons import Cells
from crossent.choice.names import listed
from crossent.choice.outcomes import LEFT, NEITHER, RIGHT, TIE

__all__ = ["Components", "describe_direction", "describe_split", "pair_components", "strong_parts"]

_REMEDY = (
    " Choose penalty=… (any positive value gives finite scores), {components}or undefined='drop' "
    "to leave out what is not in the largest group."
)
_SMALL_GRAPH = 1000  # nodes, up to which a search in a dense matrix is the quickest
_PER_COMPONENT = "undefined='components' to fit each connected group by itself, "


@dataclass(frozen=True)
class Components:
    """Groups of nodes between which preferences go both ways.

    Attributes
    ----------
    label : ndarray of int, shape (nodes,)
    n : int
    n_weak : int
        Groups without any comparison between them.
    beaten : ndarray of bool, shape (n,)
        Whether another group was preferred to it.
    beats : ndarray of bool, shape (n,)
        Whether it was preferred to another group.
    """

    label: npt.NDArray[np.intp]
    n: int
    n_weak: int
    beaten: npt.NDArray[np.bool_]
    beats: npt.NDArray[np.bool_]

    @property
    def sizes(self) -> npt.NDArray[np.intp]:
        """Nodes in each group."""
        return np.bincount(self.label, minlength=self.n)


def strong_parts(
    winner: npt.NDArray[np.intp], loser: npt.NDArray[np.intp], n_nodes: int
) -> Components:
    """Strongly connected components of the graph with edges winner → loser."""
    graph = sp.csr_array((np.ones(len(winner)), (winner, loser)), shape=(n_nodes, n_nodes))
    n, label = connected_components(graph, directed=True, connection="strong")
    # One strong component is one weak component; the second search is for messages only.
    n_weak = 1 if n == 1 else connected_components(graph, directed=False, return_labels=False)
    across = label[winner] != label[loser]
    beats, beaten = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    beats[label[winner[across]]] = True
    beaten[label[loser[across]]] = True
    return Components(label.astype(np.intp), int(n), int(n_weak), beaten, beats)


def _is_strong(winner: npt.NDArray[np.intp], loser: npt.NDArray[np.intp], n_nodes: int) -> bool:
    """Whether node 0 reaches every node and every node reaches it; a few steps of n² bits."""
    edge = np.zeros((n_nodes, n_nodes), dtype=bool)
    edge[winner, loser] = True
    for graph in (edge, edge.T):
        reached = graph[0].copy()
        reached[0] = True
        before = 0
        while before < (found := int(reached.sum())) < n_nodes:
            before = found
            reached |= graph[reached].any(axis=0)
        if found < n_nodes:
            return False
    return True


def pair_components(cells: Cells, n_items: int, outcomes: Sequence[int]) -> Components:
    """Components of the items, and of the outcome "neither" as one node more if it is modelled.

    A tie prefers each of the two to the other; an item that is chosen, also in a tie, is preferred
    to "neither".
    """
    left, right = cells.left, cells.right
    happened = cells.counts > 0
    edges = [(left, right, happened[LEFT] | happened[TIE])]
    edges.append((right, left, happened[RIGHT] | happened[TIE]))
    with_neither = NEITHER in outcomes
    if with_neither:
        neither = np.full(len(left), n_items)
        edges += [
            (left, neither, happened[LEFT] | happened[TIE]),
            (right, neither, happened[RIGHT] | happened[TIE]),
            (neither, left, happened[NEITHER]),
            (neither, right, happened[NEITHER]),
        ]
    winner = np.concatenate([a[kept] for a, _, kept in edges])
    loser = np.concatenate([b[kept] for _, b, kept in edges])
    nodes = n_items + with_neither
    if nodes <= _SMALL_GRAPH and _is_strong(winner, loser, nodes):
        no = np.zeros(1, dtype=bool)
        return Components(np.zeros(nodes, dtype=np.intp), 1, 1, no, no)
    return strong_parts(winner, loser, nodes)


def describe_split(parts: Components, names: Sequence[Any], *, component_wise: bool) -> str:
    """Why there is no estimate, naming the items, and what can be done."""
    groups: dict[int, list[Any]] = {}
    for name, label in zip(names, parts.label.tolist(), strict=True):
        groups.setdefault(label, []).append(name)
    said = []
    alone = parts.sizes == 1
    for verb, mask in (
        ("never lost", parts.beats & ~parts.beaten),
        ("never won", ~parts.beats & parts.beaten),
    ):
        items = [groups[g][0] for g in np.flatnonzero(mask & alone).tolist()]
        if items:
            said.append(f"{listed(items)} {verb}")
        larger = [groups[g] for g in np.flatnonzero(mask & ~alone).tolist()]
        largest = int(parts.sizes.max())
        said += [
            f"the group {listed(group, 4)} {verb} against the others"
            for group in larger
            if len(group) < largest
        ]
    if parts.n_weak > 1:
        smaller = [g for g in groups.values() if len(g) < int(parts.sizes.max())] or list(
            groups.values()
        )
        said.append(f"{parts.n_weak} groups were never compared, such as {listed(smaller[0], 4)}")
    if not said:
        said.append(f"the items fall into {parts.n} groups with wins in one direction only")
    remedy = _REMEDY.format(components=_PER_COMPONENT if component_wise else "")
    return f"The maximum likelihood scores do not exist: {'; '.join(said)}." + remedy


def describe_direction(direction: npt.NDArray[np.float64], names: Sequence[str]) -> str:
    """What grows without bound along a direction of recession, and what can be done."""
    size = np.abs(direction)
    moved = np.flatnonzero(size > 1e-6 * size.max())
    moved = moved[np.argsort(-size[moved], kind="stable")]
    rising = [names[int(j)] for j in moved if direction[j] > 0]
    falling = [names[int(j)] for j in moved if direction[j] < 0]
    said = [
        f"{', '.join(group[:6])}{f' and {len(group) - 6} more' if len(group) > 6 else ''} {word}"
        for group, word in ((rising, "would rise"), (falling, "would fall"))
        if group
    ]
    return (
        f"The maximum likelihood estimate does not exist: {' and '.join(said)} without bound. "
        "Set penalty=… to any positive value, merge or leave out the items or covariates named, or "
        "drop the part of the model that they belong to."
    )
