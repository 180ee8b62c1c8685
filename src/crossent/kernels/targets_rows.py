"""The part of a pass that knows what targets look like: labels, or distributions, or sparse ones.

Each kind has two functions. `..._gaps` makes ``Σ_c y_c (m - z_c)`` from logits, every term of which
is ≥ 0: the loss is that plus log(1 + rest). `..._subtract` takes s y from Z = s p.
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
    for i in range(rows):
        gap[i] = 0
    for c in range(Z.shape[0]):
        z = Z[c]
        for i in range(rows):
            share = y[row + i, c]
            term = share * (largest[i] - z[j + i])
            gap[i] += 0 if share == 0 else term  # 0·∞ = 0


@inner()
def _sparse_gaps(
    Z: Floats,
    j: int,
    rows: int,
    row: int,
    indptr: Floats,
    indices: Floats,
    data: Floats,
    largest: Floats,
    gap: Floats,
) -> None:
    for i in range(rows):
        total = largest[i] * 0
        for k in range(indptr[row + i], indptr[row + i + 1]):
            if data[k] != 0:
                total += data[k] * (largest[i] - Z[indices[k], j + i])
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
        _sparse_gaps(Z, j, rows, row, targets.indptr, targets.indices, targets.data, largest, gap)


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
    """P - 1 is -rest/(1 + rest) where the label is the largest: no cancellation."""
    for i in range(rows):
        c = labels[row + i]
        s = weight[row + i]
        if position[i] == c:
            Z[c, j + i] = -s * (rest[i] / (1 + rest[i]))
        else:
            Z[c, j + i] -= s


@inner()
def _subtract_dense(Z: Floats, j: int, rows: int, row: int, y: Floats, weight: Floats) -> None:
    for c in range(Z.shape[0]):
        z = Z[c]
        for i in range(rows):
            z[j + i] -= weight[row + i] * y[row + i, c]


@inner()
def _subtract_sparse(
    Z: Floats,
    j: int,
    rows: int,
    row: int,
    indptr: Floats,
    indices: Floats,
    data: Floats,
    weight: Floats,
) -> None:
    for i in range(rows):
        for k in range(indptr[row + i], indptr[row + i + 1]):
            Z[indices[k], j + i] -= weight[row + i] * data[k]


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
        _subtract_sparse(Z, j, rows, row, targets.indptr, targets.indices, targets.data, weight)
