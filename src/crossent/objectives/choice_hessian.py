"""The Hessian of the mean choice loss, in the form that suits the rows.

It is the covariance of the chosen row, Σ_c s_c Cov_{p_c}(a), and a covariance can be written
without subtracting large numbers from each other:

    Cov_p(a) = Σ_{k<l} p_k p_l (a_k - a_l)(a_k - a_l)ᵀ            few alternatives, sparse rows
             = Σ_k p_k (a_k - ā)(a_k - ā)ᵀ,   ā = Σ_k p_k a_k     dense rows
             = Σ_k p_k a_k a_kᵀ - ā āᵀ                            many alternatives, sparse rows

In the first form H is *linear* in the pair weights ω = s_c p_k p_l, and the differences never
change: one sparse matrix, built once, maps ω to the upper triangle of H.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.objectives.choice_sets import ChoiceSets

__all__ = ["Builder", "hessian_builder", "hessian_vector"]

_MAX_PAIR_ENTRIES = 30_000_000  # of the matrix from pair weights to the Hessian: 360 MB
_BLOCK_ENTRIES = 24_000  # of local rows at once: 192 kB stay in cache, which halves the time
_MOSTLY = 0.75  # of the sets that touch the same place as the set before
_CHUNK_ENTRIES = 4_000_000  # of centred dense rows at once: 32 MB

Builder = Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], npt.NDArray[np.float64]]


def hessian_builder(sets: ChoiceSets) -> Builder:
    """A function from probabilities and set weights, both (m,), to the Hessian (p, p)."""
    if not sp.issparse(sets.rows):
        return lambda p, totals: _from_dense_rows(sets, p, totals)
    if sets.picks is not None and all(layer.n_alternatives == 2 for layer in sets.layers):
        return _UnitPairs(sets).hessian
    if sets.local is not None:
        return _Local(sets).hessian
    per_row = 2 * sets.rows.nnz / max(sets.rows.shape[0], 1)
    pairs = sum(x.n_sets * x.n_alternatives * (x.n_alternatives - 1) // 2 for x in sets.layers)
    if pairs * per_row * (per_row + 1) / 2 > _MAX_PAIR_ENTRIES:
        return lambda p, totals: _from_moments(sets, p, totals)
    pair_map = _PairMap(sets)
    return pair_map.hessian


class _UnitPairs:
    """Sets of two unit vectors: H is the Laplacian of a graph with the weights ω on its edges."""

    def __init__(self, sets: ChoiceSets) -> None:
        self.p = sets.n_parameters
        picks = np.asarray(sets.picks)
        ends = [layer.view(picks) for layer in sets.layers]
        self.layers = sets.layers
        self.edges = np.concatenate([first * self.p + second for first, second in ends])

    def hessian(
        self, p: npt.NDArray[np.float64], totals: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Σ ω (e_i - e_j)(e_i - e_j)ᵀ."""
        weights = [np.multiply(*x.view(p)) * x.view(totals)[0] for x in self.layers]
        weight = weights[0] if len(weights) == 1 else np.concatenate(weights)
        upper = np.bincount(self.edges, weight, self.p**2).reshape(self.p, self.p)
        full = np.asarray(-(upper + upper.T), dtype=np.float64)
        # Set, not added: an edge from an item to itself weighs nothing.
        np.fill_diagonal(full, 0.0)
        np.fill_diagonal(full, -full.sum(axis=0))
        return full


class _Local:
    """Sets that touch few columns: their own small Hessians, added up by one count."""

    def __init__(self, sets: ChoiceSets) -> None:
        assert sets.local is not None
        self.p = sets.n_parameters
        self.layer = sets.layers[0]
        self.values = sets.local.values
        self.left, self.right = np.triu_indices(self.values.shape[1])
        columns = sets.local.columns
        places = columns[self.left] * self.p + columns[self.right]
        # A count that meets one place again and again waits for itself: such runs are summed first.
        repeats = (places[:, 1:] == places[:, :-1]).sum(axis=1)
        self.in_runs = repeats > _MOSTLY * self.layer.n_sets
        inner = places[self.in_runs].ravel()
        self.starts = np.flatnonzero(np.diff(inner, prepend=-1))
        self.places = np.concatenate([places[~self.in_runs].ravel(), inner[self.starts]])

    def hessian(
        self, p: npt.NDArray[np.float64], totals: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Σ_c s_c Σ_k p_k (a_k - ā)(a_k - ā)ᵀ."""
        chance, total = self.layer.view(p), self.layer.view(totals)[0]
        entries = np.empty((len(self.left), self.layer.n_sets))
        size = max(_BLOCK_ENTRIES // self.values[..., 0].size, 1)
        for start in range(0, self.layer.n_sets, size):
            of = slice(start, start + size)
            rows, weight = self.values[:, :, of], chance[:, of]
            centred = rows - np.einsum("kc,kwc->wc", weight, rows)
            weighted = (weight * total[of])[:, None] * centred
            for entry, a, b in zip(entries, self.left, self.right, strict=True):
                np.einsum("kc,kc->c", weighted[:, a], centred[:, b], out=entry[of])
        values = entries[~self.in_runs].ravel()
        if len(self.starts):
            sums = np.add.reduceat(entries[self.in_runs].ravel(), self.starts)
            values = np.concatenate([values, sums])
        half = np.bincount(self.places, values, self.p**2).reshape(self.p, self.p)
        full = np.asarray(half + half.T, dtype=np.float64)
        np.fill_diagonal(full, half.diagonal())
        return full


class _PairMap:
    """The sparse matrix from the weights of pairs of alternatives to the upper triangle of H."""

    def __init__(self, sets: ChoiceSets) -> None:
        self.p = sets.n_parameters
        found = list(sets.differences())
        self.pairs = [(layer, k, other) for layer, k, other, _ in found]
        rows = [difference for *_, difference in found]
        stacked = sp.csr_array(sp.vstack(rows, format="csr")) if len(rows) > 1 else None
        stacked = rows[0] if len(rows) == 1 else stacked
        self.scatter, self.order = _outer_products(stacked, self.p)

    def hessian(
        self, p: npt.NDArray[np.float64], totals: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Σ ω (a_k - a_l)(a_k - a_l)ᵀ."""
        weights = [
            layer.view(totals)[0] * layer.view(p)[k] * layer.view(p)[other]
            for layer, k, other in self.pairs
        ]
        if not weights:
            return np.zeros((self.p, self.p))
        upper = (self.scatter @ np.concatenate(weights)[self.order]).reshape(self.p, self.p)
        diagonal = upper.diagonal().copy()
        full: npt.NDArray[np.float64] = upper + upper.T
        np.fill_diagonal(full, diagonal)
        return full


def _outer_products(rows: Any, p: int) -> tuple[Any, npt.NDArray[np.intp]]:
    """The matrix (p², rows) whose column r is the upper triangle of rows[r] rows[r]ᵀ.

    Its columns stand in the order `order` of the rows: those with equally many entries together.
    """
    if rows is None:
        return sp.csc_array((p * p, 0)), np.empty(0, dtype=np.intp)
    rows.eliminate_zeros()
    rows.sort_indices()
    lengths = np.diff(rows.indptr)
    order = np.argsort(lengths, kind="stable")
    index, value, counts = [], [], []
    for length in np.unique(lengths):
        which = np.flatnonzero(lengths == length)
        places = rows.indptr[which][:, None] + np.arange(length)
        columns, values = rows.indices[places].astype(np.int64), rows.data[places]
        left, right = np.triu_indices(length)
        index.append((columns[:, left] * p + columns[:, right]).ravel())
        value.append((values[:, left] * values[:, right]).ravel())
        counts.append(np.full(len(which), len(left)))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    arrays = (np.concatenate(value), np.concatenate(index), indptr)
    return sp.csc_array(arrays, shape=(p * p, len(lengths))), order


def _from_dense_rows(
    sets: ChoiceSets, p: npt.NDArray[np.float64], totals: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Σ_c s_c Σ_k p_k (a_k - ā)(a_k - ā)ᵀ, some sets at a time."""
    width = sets.n_parameters
    result = np.zeros((width, width))
    for layer in sets.layers:
        size = (layer.n_alternatives, layer.n_sets)
        rows = sets.rows[layer.start : layer.stop].reshape(*size, width)
        weight, total = layer.view(p), layer.view(totals)[0]
        chunk = max(_CHUNK_ENTRIES // (layer.n_alternatives * width), 1)
        for start in range(0, layer.n_sets, chunk):
            part = slice(start, start + chunk)
            mean = np.einsum("kc,kcp->cp", weight[:, part], rows[:, part])
            centred = (rows[:, part] - mean) * np.sqrt(weight[:, part] * total[part])[..., None]
            flat = centred.reshape(-1, width)
            result += flat.T @ flat
    return result


def _from_moments(
    sets: ChoiceSets, p: npt.NDArray[np.float64], totals: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Σ_k p_k a_k a_kᵀ - ā āᵀ, summed over the sets, with sparse products."""
    numbers = sets.set_numbers()
    weights = sp.csr_array((p, (numbers, np.arange(len(p)))))
    means = weights @ sets.rows
    total = np.bincount(numbers, weights=p * totals)
    second = sets.rows.T @ (sp.diags_array(p * totals) @ sets.rows)
    square = means.T @ (sp.diags_array(total) @ means)
    result: npt.NDArray[np.float64] = second.toarray() - square.toarray()
    return result


def hessian_vector(
    sets: ChoiceSets,
    p: npt.NDArray[np.float64],
    totals: npt.NDArray[np.float64],
    v: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """H v without H: Σ_c s_c Σ_k p_k (a_k·v - ā·v) a_k. Cost: two products with the rows."""
    change: npt.NDArray[np.float64] = sets.rows @ v
    for layer in sets.layers:
        part = layer.view(change)
        part -= (layer.view(p) * part).sum(axis=0)
    result: npt.NDArray[np.float64] = sets.rows.T @ (p * totals * change)
    return result
