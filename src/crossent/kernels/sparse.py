"""The pass over CSR rows: what is prepared once, how work is cut up, which thread does what.

First all residuals of a superblock of rows, by rows; then the gradient, by features, from a copy of
X by columns. Scattering from rows instead would need a gradient for each thread and write it once
for each non-zero; this way each feature's sums stay in registers, nobody shares anything, and the
result does not depend on the number of threads. The copy by columns is made at the first pass over
a matrix and kept as long as that matrix object lives: give the same object at each pass.
"""

import itertools
import threading
import weakref
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from crossent.kernels import sparse_entry, threads
from crossent.kernels.records import (
    RowSums,
    aligned_empty,
    empty_sums,
    merge,
    targets_of,
    weights_of,
)
from crossent.kernels.sums import PassSums
from crossent.typing import Block

__all__ = ["accumulate"]

_RESIDUAL_BYTES = 64 * 2**20
"""Of one superblock's residuals."""
_BLOCK_ROWS = 64
_PARTS = 32
"""Parts of the work, for any number of threads up to as many."""


@dataclass(frozen=True)
class _Columns:
    """Some rows of X, by columns."""

    rows: slice
    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    data: npt.NDArray[Any]
    ranges: list[slice]


@dataclass(frozen=True)
class _Prepared:
    """X by rows and by columns, in the types that the compiled functions take."""

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    data: npt.NDArray[Any]
    superblocks: list[_Columns]

    def cast(self, dtype: np.dtype[Any]) -> "_Prepared":
        """The same in another type; indices are shared."""
        superblocks = [replace(part, data=part.data.astype(dtype)) for part in self.superblocks]
        return replace(self, data=self.data.astype(dtype), superblocks=superblocks)


_Key: TypeAlias = tuple[int, int, np.dtype[Any]]
_prepared: dict[_Key, tuple[weakref.ref[Any], _Prepared]] = {}
_prepared_lock = threading.Lock()


def _equal_work(indptr: npt.NDArray[np.int64], parts: int) -> list[slice]:
    """Ranges of features with about the same work, cut at multiples of 16."""
    d = indptr.shape[0] - 1
    work = indptr + 4 * np.arange(d + 1)
    wanted = np.linspace(0, work[-1], parts + 1)
    cuts = np.searchsorted(work, wanted) // 16 * 16
    cuts[0], cuts[-1] = 0, d
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(cuts) if a < b]


def _prepare(X: Any, rows: int) -> _Prepared:
    superblocks = []
    for start in range(0, X.shape[0], rows):
        part = slice(start, min(start + rows, X.shape[0]))
        columns = (X if part.stop - start == X.shape[0] else X[part]).tocsc()
        indptr = columns.indptr.astype(np.int64)
        indices = columns.indices.astype(np.int32, copy=False)
        ranges = _equal_work(indptr, _PARTS)
        superblocks.append(_Columns(part, indptr, indices, columns.data, ranges))
    return _Prepared(
        X.indptr.astype(np.int64), X.indices.astype(np.int32, copy=False), X.data, superblocks
    )


def _prepared_for(X: Any, rows: int, dtype: np.dtype[Any]) -> _Prepared:
    """What was prepared for this very matrix object, or is now."""
    key: _Key = (id(X), rows, dtype)
    with _prepared_lock:
        known = _prepared.get(key)
    if known is not None and known[0]() is X:
        return known[1]
    own = np.dtype(X.dtype)
    prepared = _prepare(X, rows) if dtype == own else _prepared_for(X, rows, own).cast(dtype)
    reference = weakref.ref(X, lambda _: _prepared.pop(key, None))
    with _prepared_lock:
        _prepared[key] = (reference, prepared)
    return prepared


@dataclass(frozen=True)
class _Pass:
    """What all parts of a pass share."""

    block: Block
    out: PassSums
    X: _Prepared
    W: npt.NDArray[Any]
    b: npt.NDArray[Any]
    largest_weight: float
    n_threads: int

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.W.dtype

    def residuals(self, rows: slice, R: npt.NDArray[Any], at: int) -> RowSums:
        """Residuals of `rows` into R from row `at` on, and the sums."""
        q, count = self.b.shape[0], rows.stop - rows.start
        sums = empty_sums(self.out, q, 0, self.W.shape[1], _BLOCK_ROWS, count)
        offset = np.zeros((0, 0), self.dtype)
        if self.block.offset is not None:
            offset = np.array(self.block.offset[rows], self.dtype, order="C")
        sparse_entry.sum_rows(self.dtype)(
            self.X.indptr, self.X.indices, self.X.data, rows.start, count, self.W, self.b,
            weights_of(self.block, rows, self.dtype, self.largest_weight),
            targets_of(self.block, rows, self.dtype), offset, sums, R, at, _BLOCK_ROWS,
        )  # fmt: skip
        return sums

    def gradient(self, columns: _Columns, number: int, R: npt.NDArray[Any]) -> None:
        """Add one range of features to the gradient."""
        part = columns.ranges[number]
        work = aligned_empty((1, R.shape[1]), self.dtype)
        sums = np.zeros((sparse_entry.FEATURES, R.shape[1]))
        sparse_entry.add_columns(self.dtype)(
            columns.indptr, columns.indices, columns.data, part.start, part.stop, R, work, sums,
            self.largest_weight, self.out.gradient_W,
        )  # fmt: skip


def _pack(W: npt.NDArray[np.float64], dtype: np.dtype[Any], n_threads: int) -> npt.NDArray[Any]:
    """Wᵀ (d, q rounded up to whole vectors)."""
    q, d = W.shape
    lanes = sparse_entry.VECTOR_BYTES // dtype.itemsize
    packed = aligned_empty((d, -(-q // lanes) * lanes), dtype)
    size = -(-d // (_PARTS * 16)) * 16
    W = np.ascontiguousarray(W)

    def task(number: int) -> None:
        start = number * size
        sparse_entry.pack_transposed(dtype)(W, start, min(start + size, d), packed)

    threads.run(task, -(-d // size), n_threads)
    return packed


def _superblock(run: _Pass, columns: _Columns, R: npt.NDArray[Any]) -> None:
    start, stop = columns.rows.start, columns.rows.stop
    size = max(-(-(stop - start) // _PARTS), 1)
    ranges = [slice(a, min(a + size, stop)) for a in range(start, stop, size)]
    results: list[Any] = [None] * len(ranges)

    def by_rows(number: int) -> None:
        rows = ranges[number]
        results[number] = run.residuals(rows, R, rows.start - start)

    def by_features(number: int) -> None:
        run.gradient(columns, number, R)

    threads.run(by_rows, len(ranges), run.n_threads)
    threads.run(by_features, len(columns.ranges), run.n_threads)
    for rows, sums in zip(ranges, results, strict=True):
        merge(sums, run.largest_weight, run.block.first_row + rows.start, run.out)


def accumulate(
    block: Block,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    out: PassSums,
    n_threads: int | None = None,
    dtype: np.dtype[Any] | None = None,
) -> None:
    """Add the sums of `block` at (W, b) to `out`, in arithmetic of `dtype`, default that of X.

    Cost: 4·nnz·q flops. Memory beyond X: its copy by columns (kept with X, as are both copies in
    another type than X's), W in that type, at most 64 MB of residuals or those of 64 rows.
    """
    if block.X.shape[0] == 0:
        return
    workers = threads.resolve(n_threads)
    dtype = np.dtype(block.X.dtype if dtype is None else dtype)
    packed = _pack(W, dtype, workers)
    row_bytes = packed.shape[1] * dtype.itemsize
    rows = min(max(_RESIDUAL_BYTES // row_bytes, _BLOCK_ROWS), block.X.shape[0])
    run = _Pass(
        block=block,
        out=out,
        X=_prepared_for(block.X, rows, dtype),
        W=packed,
        b=b.astype(dtype),
        largest_weight=float(block.sample_weight.max(initial=0.0)) or 1.0,
        n_threads=workers,
    )
    R = aligned_empty((rows, packed.shape[1]), dtype)
    for columns in run.X.superblocks:
        _superblock(run, columns, R)
