"""Choice sets side by side: the data of every model that picks one alternative of several.

The logit of alternative k of set c is a_ck·w + offset_ck, with one vector w for all: rankings,
paired comparisons and conditional choice differ in their rows a_ck and in nothing else. Sets with
the same rows are one set whose counts say how often each alternative was chosen.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

__all__ = ["ChoiceSets", "Layer", "LocalRows"]


@dataclass(frozen=True)
class Layer:
    """All sets with K alternatives: rows `start` + k·C + c of the whole, k < K, c < C."""

    start: int
    n_alternatives: int
    n_sets: int

    @property
    def stop(self) -> int:
        """One past the last row."""
        return self.start + self.n_alternatives * self.n_sets

    def view(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Its part of a vector over all rows, shape (K, C); no copy."""
        return values[self.start : self.stop].reshape(self.n_alternatives, self.n_sets)


@dataclass(frozen=True)
class LocalRows:
    """The rows of C sets of K alternatives, in the few columns that each set touches.

    Attributes
    ----------
    columns : ndarray of int, shape (w, C)
        Different ones in each set.
    values : ndarray, shape (K, w, C)
    """

    columns: npt.NDArray[np.intp]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class ChoiceSets:
    """Rows, counts and offsets of choice sets, grouped by the number of alternatives.

    Attributes
    ----------
    rows : csr_array or ndarray, shape (m, p)
        One row a_ck per alternative of a set, layer after layer.
    layers : tuple of Layer
    counts : ndarray, shape (m,)
        Weight with which each alternative was chosen.
    offset : ndarray, shape (m,), or None
        Added to the logits.
    local : LocalRows or None
        The rows once more, if all sets are of one size: the Hessian is quick to build from them.
    """

    rows: Any
    layers: tuple[Layer, ...]
    counts: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64] | None = None
    local: LocalRows | None = None

    # In files sparse rows are their three arrays, and what is derived on first use is left out.
    def __getstate__(self) -> dict[str, Any]:
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        if sp.issparse(self.rows):
            parts = (self.rows.data, self.rows.indices, self.rows.indptr)
            state["rows"] = {"parts": parts, "shape": self.rows.shape}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        rows = state["rows"]
        if isinstance(rows, dict):
            rows = sp.csr_array(rows["parts"], shape=rows["shape"])
        self.__dict__.update(state, rows=rows)

    @classmethod
    def uniform(
        cls,
        rows: Any,
        counts: npt.NDArray[np.float64],
        offset: npt.NDArray[np.float64] | None = None,
        local: LocalRows | None = None,
    ) -> "ChoiceSets":
        """Sets that all have K alternatives; `counts` has shape (K, C), `rows` K·C rows."""
        layer, flat = Layer(0, *counts.shape), np.ascontiguousarray(counts, dtype=np.float64)
        return cls(rows, (layer,), flat.ravel(), offset, local)

    @classmethod
    def ragged(
        cls,
        rows: Any,
        starts: npt.NDArray[np.intp],
        counts: npt.NDArray[np.float64],
        offset: npt.NDArray[np.float64] | None = None,
    ) -> tuple["ChoiceSets", npt.NDArray[np.intp]]:
        """Sets of any sizes, and the order in which their rows were put.

        Parameters
        ----------
        rows : csr_array or ndarray, shape (m, p)
            Set after set.
        starts : ndarray, shape (sets + 1,)
            Set c has the rows ``starts[c]:starts[c + 1]``.
        counts : ndarray, shape (m,)
        offset : ndarray, shape (m,), optional

        Returns
        -------
        ChoiceSets
            Without the sets of a single alternative, which say nothing.
        ndarray
            Row r of the result is row ``order[r]`` of the input.
        """
        sizes = np.diff(starts)
        parts, layers, start = [], [], 0
        for size in np.unique(sizes[sizes > 1]):
            first = starts[:-1][sizes == size]
            parts.append((first + np.arange(size)[:, None]).ravel())
            layers.append(Layer(start, int(size), len(first)))
            start = layers[-1].stop
        order = np.concatenate(parts) if parts else np.empty(0, dtype=np.intp)
        moved = None if offset is None else offset[order]
        return cls(rows[order], tuple(layers), counts[order], moved), order

    @cached_property
    def picks(self) -> npt.NDArray[np.intp] | None:
        """The column of the 1 in each row, if every row is a unit vector; shape (m,).

        So are the rows of Bradley and Terry's model. Products with them are look-ups and counts.
        """
        if not sp.issparse(self.rows) or self.rows.nnz != len(self.counts):
            return None
        steps = self.rows.indptr[1:] - self.rows.indptr[:-1]
        if not ((steps == 1).all() and (self.rows.data == 1.0).all()):
            return None
        picks: npt.NDArray[np.intp] = self.rows.indices.astype(np.intp)
        return picks

    @property
    def n_parameters(self) -> int:
        """Number of coefficients, p."""
        return int(self.rows.shape[1])

    @property
    def total(self) -> float:
        """S, the sum of all counts."""
        return float(self.counts.sum())

    @cached_property
    def columns(self) -> Any:
        """The rows transposed, in a layout with fast products, (p, m)."""
        return sp.csr_array(self.rows.T) if sp.issparse(self.rows) else self.rows.T

    def sums(self, values: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """Σ values · a over all rows, shape (p,)."""
        if self.picks is not None:
            return np.bincount(self.picks, values, self.n_parameters).astype(np.float64)
        result: npt.NDArray[np.float64] = self.columns @ values
        return result

    def set_numbers(self) -> npt.NDArray[np.intp]:
        """Number of the set that each row belongs to, shape (m,); sets in the order of layers."""
        parts, first = [], 0
        for layer in self.layers:
            parts.append(np.tile(first + np.arange(layer.n_sets), layer.n_alternatives))
            first += layer.n_sets
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.intp)

    def set_totals(self) -> npt.NDArray[np.float64]:
        """Weight of the set that each row belongs to, shape (m,)."""
        totals = np.empty(len(self.counts))
        for layer in self.layers:
            layer.view(totals)[:] = layer.view(self.counts).sum(axis=0)
        return totals

    def differences(self) -> Iterator[tuple[Layer, int, int, Any]]:
        """Each pair k < l of alternatives of each layer, with the rows a_ck - a_cl, (C, p)."""
        for layer in self.layers:
            first = [layer.start + k * layer.n_sets for k in range(layer.n_alternatives + 1)]
            for k in range(layer.n_alternatives):
                for other in range(k + 1, layer.n_alternatives):
                    left = self.rows[first[k] : first[k + 1]]
                    yield layer, k, other, left - self.rows[first[other] : first[other + 1]]

    def logits(self, w: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """a·w + offset for every row, shape (m,)."""
        z: npt.NDArray[np.float64] = self.rows @ w if self.picks is None else w[self.picks]
        return z if self.offset is None else z + self.offset
