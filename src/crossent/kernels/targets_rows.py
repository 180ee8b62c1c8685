"""The part of a pass that knows what targets look like: labels, or distributions, or sparse ones.

Each kind has two functions. `..._gaps` makes ``Σ_c y_c (m - z_c)`` from logits, every term of which
is ≥ 0: the loss is that plus log(1 + rest). `..._subtract` takes s y from Z = s p. Row i of the
block is row `row + i` of the targets and column `j + i` of Z.
"""

from crossent.kernels.jit import inner
from crossent.kernels.records import Floats, Targets

__all__ = ["gaps", "subtract_targets"]


@inner()
def _label_gaps(
    Z: Floats, j: int, rows: int, row: int, labels: Floats, largest: Floats, gap: Floats
) -> None:
    for i in range(rows):
        gap[i] = largest[i] - Z[labels[row + i], j + i]


@inner()
def _dense_gaps(
    Z: Floats, j: int, rows: int, row: int, y: Floats, largest: Floats, gap: Floats
) -> None:
    nothing = Z.dtype.type(0)
    for i in range(rows):
        gap[i] = nothing
    for c in range(Z.shape[0]):
        z = Z[c][j : j + rows]
        for i in range(rows):
            share = y[row + i, c]
            term = share * (largest[i] - z[i])
            gap[i] += nothing if share == nothing else term  # 0·∞ = 0


@inner()
def _sparse_gaps(
    Z: Floats, j: int, rows: int, row: int, y: Targets, largest: Floats, gap: Floats
) -> None:
    for i in range(rows):
        total = Z.dtype.type(0)
        for k in range(y.indptr[row + i], y.indptr[row + i + 1]):
            if y.data[k] != 0:
                total += y.data[k] * (largest[i] - Z[y.indices[k], j + i])
        gap[i] = total


@inner()
def gaps(
    Z: Floats, j: int, rows: int, row: int, targets: Targets, largest: Floats, gap: Floats
) -> None:
    """``Σ_c y_c (m - z_c)`` for each row, whatever kind the targets are."""
    if targets.labels.shape[0] > 0:
        _label_gaps(Z, j, rows, row, targets.labels, largest, gap)
    elif targets.dense.shape[0] > 0:
        _dense_gaps(Z, j, rows, row, targets.dense, largest, gap)
    else:
        _sparse_gaps(Z, j, rows, row, targets, largest, gap)


@inner()
def _subtract_labels(
    Z: Floats,
    j: int,
    rows: int,
    row: int,
    labels: Floats,
    weight: Floats,
    position: Floats,
    rest: Floats,
) -> None:
    """Write p - 1 as -rest/(1 + rest) where the label is the largest: no cancellation."""
    one = Z.dtype.type(1)
    for i in range(rows):
        c = labels[row + i]
        if position[i] == c:
            Z[c, j + i] = -weight[i] * (rest[i] / (one + rest[i]))
        else:
            Z[c, j + i] -= weight[i]


@inner()
def _subtract_dense(Z: Floats, j: int, rows: int, row: int, y: Floats, weight: Floats) -> None:
    for c in range(Z.shape[0]):
        z = Z[c][j : j + rows]
        for i in range(rows):
            z[i] -= weight[i] * y[row + i, c]


@inner()
def _subtract_sparse(Z: Floats, j: int, rows: int, row: int, y: Targets, weight: Floats) -> None:
    for i in range(rows):
        for k in range(y.indptr[row + i], y.indptr[row + i + 1]):
            Z[y.indices[k], j + i] -= weight[i] * y.data[k]


@inner()
def subtract_targets(
    Z: Floats,
    j: int,
    rows: int,
    row: int,
    targets: Targets,
    weight: Floats,
    position: Floats,
    rest: Floats,
) -> None:
    """Z = s p becomes s (p - y)."""
    if targets.labels.shape[0] > 0:
        _subtract_labels(Z, j, rows, row, targets.labels, weight, position, rest)
    elif targets.dense.shape[0] > 0:
        _subtract_dense(Z, j, rows, row, targets.dense, weight)
    else:
        _subtract_sparse(Z, j, rows, row, targets, weight)
