"""The pass over dense rows: how it is cut up, and which thread does what.

*Fused*, for parameters of up to a few megabytes: rows are cut into chunks, a chunk into blocks of
rows that stay in the second-level cache. Each block is read from memory once: logits, softmax,
gradient. A chunk has its own float64 sums; they are added in order, so that neither the number of
threads (up to 16) nor their timing changes a bit of the result.

*Tiled*, for many classes, where sums for each chunk would not fit: a superblock of rows at a time,
first its residuals, by rows, then its part of the gradient, by classes. All threads share one
gradient; the result does not depend on their number at all.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.kernels import dense_entry, threads
from crossent.kernels.packing import Packing, packing_of
from crossent.kernels.records import (
    RowSums,
    aligned_empty,
    aligned_zeros,
    empty_sums,
    merge,
    targets_of,
    weights_of,
)
from crossent.kernels.sums import PassSums
from crossent.typing import Block

__all__ = ["accumulate"]

_BLOCK_BYTES = 320 * 1024
"""Of X in one block: with W and the gradient it fits a second-level cache of 1 MB."""
_FUSED_BYTES = 4 * 2**20
"""Of one chunk's gradient; above it the pass is tiled."""
_CHUNKS = 16
_CHUNK_WORK = 5e7
"""Floating-point operations that deserve a chunk: 0.25 ms; handing one out takes 0.03 ms."""
_MERGE_BYTES = 128 * 1024
"""Of the chunks' gradients that one task adds up."""
_SUPERBLOCK_BYTES = 32 * 2**20
"""Of logits of one superblock."""
_LOGIT_BYTES = 4 * 2**20
"""Of logits of one block."""
_CAST_BYTES = 4 * 2**20
"""Of rows cast at once for each thread: handing them to compiled code takes 0.04 ms."""
_ROWS_AT_ONCE = 256
"""Rows that a gradient is added up over in float32."""


@dataclass(frozen=True)
class _Pass:
    """What all chunks of a pass share."""

    X: npt.NDArray[Any]
    W: npt.NDArray[Any]
    b: npt.NDArray[Any]
    block: Block
    out: PassSums
    packing: Packing
    largest_weight: float

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the arithmetic."""
        return self.W.dtype

    def pieces(self, rows: slice) -> list[slice]:
        """`rows` at once, or in pieces if X must be cast."""
        if self.X.dtype == self.dtype:
            return [rows]
        size = max(_CAST_BYTES // (8 * self.X.shape[1]) // 16 * 16, 16)
        return [slice(a, min(a + size, rows.stop)) for a in range(rows.start, rows.stop, size)]

    def features(self, rows: slice) -> npt.NDArray[Any]:
        """X's rows in the type of the arithmetic."""
        if self.X.dtype == self.dtype:
            return self.X[rows]
        return self.X[rows].astype(self.dtype, order="C")

    @property
    def n_classes(self) -> int:
        return int(self.W.shape[0])

    def sums(self, width: int, block_rows: int, rows: int) -> RowSums:
        """Zeros for one chunk."""
        lanes = self.packing.lanes
        class_width = -(-self.n_classes // lanes) * lanes
        return empty_sums(self.out, self.n_classes, width, class_width, block_rows, rows)

    def sum_rows(
        self, X: npt.NDArray[Any], rows: slice, sums: RowSums, Z: Any, j: int, block_rows: int,
        *, copied: bool, fused: bool,
    ) -> None:  # fmt: skip
        """Run the compiled pass over `rows` of the block, whose features are X."""
        offset = np.zeros((0, 0), self.dtype)
        if self.block.offset is not None:
            offset = np.array(self.block.offset[rows], self.dtype, order="C")
        weight = weights_of(self.block, rows, self.dtype, self.largest_weight)
        targets = targets_of(self.block, rows, self.dtype)
        dense_entry.sum_rows(self.dtype)(
            X, self.W, self.b, weight, targets, offset, sums, Z, j, block_rows,
            self.packing.full, self.packing.tail, copied, fused,
        )  # fmt: skip


def _begin(
    block: Block,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    out: PassSums,
    dtype: np.dtype[Any],
) -> _Pass:
    X = np.asarray(block.X)
    if X.itemsize not in X.strides:
        X = np.ascontiguousarray(X)
    lanes = dense_entry.VECTOR_BYTES // dtype.itemsize
    packing = packing_of(X, lanes)
    if X.dtype != dtype:  # the copy is in C order
        packing = Packing(X.shape[1], lanes, copied=X.shape[1] < lanes)
    return _Pass(
        X=X,
        W=packing.pack(W, dtype),
        b=b.astype(dtype),
        block=block,
        out=out,
        packing=packing,
        largest_weight=float(block.sample_weight.max(initial=0.0)) or 1.0,
    )


def _cuts(n: int, parts: int, multiple: int) -> list[slice]:
    """0 … n in at most `parts` ranges that begin at multiples of `multiple`."""
    size = max(-(-n // (parts * multiple)), 1) * multiple
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _rounded(rows: int, low: int, high: int) -> int:
    """`rows` within bounds, and a multiple of 16."""
    return min(max(rows, low), high) // 16 * 16


def _chunk_count(run: _Pass, n_threads: int) -> int:
    """A power of two, so that two or four threads share evenly; more than 16 for more threads."""
    n, d = run.X.shape
    work = 4.0 * n * d * (run.n_classes + 8)  # 8: reading X, counted in classes
    wanted = 1 << int(math.log2(max(work / _CHUNK_WORK, 1.0)))
    return min(wanted, max(_CHUNKS, n_threads))


def _fused(run: _Pass, n_threads: int) -> None:
    n, q = run.X.shape[0], run.n_classes
    row_bytes = run.packing.width * run.dtype.itemsize
    block_rows = _rounded(_BLOCK_BYTES // row_bytes, 32, _ROWS_AT_ONCE)
    chunks = _cuts(n, _chunk_count(run, n_threads), 1)
    results: list[Any] = [None] * len(chunks)

    def task(number: int) -> None:
        rows = chunks[number]
        Z = aligned_empty((q, block_rows + dense_entry.ROWS), run.dtype)
        sums = run.sums(run.packing.width, block_rows, rows.stop - rows.start)
        for part in run.pieces(rows):
            here = sums._replace(row_curvature=sums.row_curvature[part.start - rows.start :])
            run.sum_rows(
                run.features(part), part, here, Z, 0, block_rows,
                copied=run.packing.copied, fused=True,
            )  # fmt: skip
        results[number] = sums

    threads.run(task, len(chunks), n_threads)
    gradient = results[0].gradient_W
    parts = _cuts(q, -(-gradient.nbytes // _MERGE_BYTES), 1)

    def merge_classes(number: int) -> None:
        part = parts[number]
        for sums in results[1:]:  # in order: the result is the same for any number of threads
            gradient[part] += sums.gradient_W[part]

    threads.run(merge_classes, len(parts), n_threads)
    run.packing.add_unpacked(gradient, run.largest_weight, run.out.gradient_W)
    for rows, sums in zip(chunks, results, strict=True):
        merge(sums, run.largest_weight, run.block.first_row + rows.start, run.out)


def _packed_rows(run: _Pass, rows: slice) -> npt.NDArray[Any]:
    """Rows as the compiled functions want them: where they lie, or padded."""
    if not run.packing.copied:
        return run.features(rows)
    padded = aligned_zeros((rows.stop - rows.start, run.packing.width), run.dtype)
    padded[:, : run.packing.d] = run.X[rows]
    return padded


def _tiled(run: _Pass, n_threads: int) -> None:
    n, q = run.X.shape[0], run.n_classes
    logit_bytes = q * run.dtype.itemsize
    size = _rounded(_SUPERBLOCK_BYTES // logit_bytes, 64, 2048)
    block_rows = _rounded(_LOGIT_BYTES // logit_bytes, 32, _ROWS_AT_ONCE)
    R = aligned_empty((q, min(size, n) + dense_entry.ROWS), run.dtype)
    gradient = aligned_zeros((q, run.packing.width), np.float64)
    parts = max(_CHUNKS, n_threads)
    classes = _cuts(q, parts, 1)
    for start in range(0, n, size):
        X = _packed_rows(run, slice(start, min(start + size, n)))
        ranges = _cuts(X.shape[0], parts, 16)
        all_sums = [run.sums(0, block_rows, rows.stop - rows.start) for rows in ranges]

        def by_rows(number: int, X: Any = X, start: int = start, ranges: Any = ranges,
                    all_sums: Any = all_sums) -> None:  # fmt: skip
            rows = ranges[number]
            run.sum_rows(
                X[rows], slice(start + rows.start, start + rows.stop), all_sums[number], R,
                rows.start, block_rows, copied=False, fused=False,
            )  # fmt: skip

        def by_classes(number: int, X: Any = X) -> None:
            part = classes[number]
            dense_entry.add_block_gradient(run.dtype)(
                R, part.start, part.stop, X, gradient, run.packing.tail, _ROWS_AT_ONCE
            )

        threads.run(by_rows, len(ranges), n_threads)
        threads.run(by_classes, len(classes), n_threads)
        for rows, sums in zip(ranges, all_sums, strict=True):
            merge(sums, run.largest_weight, run.block.first_row + start + rows.start, run.out)
    run.packing.add_unpacked(gradient, run.largest_weight, run.out.gradient_W)


def accumulate(
    block: Block,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    out: PassSums,
    n_threads: int | None = None,
    dtype: np.dtype[Any] | None = None,
) -> None:
    """Add the sums of `block` at (W, b) to `out`, in arithmetic of `dtype`, default that of X.

    Cost: 4·rows·d·q flops, X read once. Memory beyond X: fused, 16 gradients; tiled, one gradient,
    W in X's type and 32 MB of logits (more above 130,000 classes: at least 64 rows of them).
    """
    if block.X.shape[0] == 0:
        return
    run = _begin(block, W, b, out, block.X.dtype if dtype is None else dtype)
    if run.n_classes * run.packing.width * 8 <= _FUSED_BYTES:
        _fused(run, threads.resolve(n_threads))
    else:
        _tiled(run, threads.resolve(n_threads))
