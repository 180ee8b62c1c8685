"""What stands between the two products: from logits to losses and weighted residuals.

All on a block of logits Z (q, rows), a class's rows contiguous, columns j … j + rows - 1. Loops run
over classes outside and rows inside, so that they become vector instructions however few classes
there are. Row i of the block has column j + i.

The largest term stays out of every sum of exponentials: `rest` keeps its digits however small it
is, and with it the loss and the residual of a row that is almost certain.
"""

from typing import Any

from crossent.kernels.elementwise import exp_nonpositive, log1p_nonnegative
from crossent.kernels.jit import inner
from crossent.kernels.records import Floats

__all__ = ["begin_logits", "curvatures", "entropies", "exponentials", "losses", "maxima",
           "mean_terms", "residuals", "row_sum", "transpose_probabilities"]  # fmt: skip


@inner()
def begin_logits(Z: Floats, j: int, rows: int, b: Floats, offset: Floats, row: int) -> None:
    """Z = b + offset, from row `row` of the offset on; an offset without rows is none."""
    for c in range(b.shape[0]):
        z = Z[c]
        for i in range(rows):
            z[j + i] = b[c]
    if offset.shape[0] > 0:
        for i in range(rows):
            for c in range(b.shape[0]):
                Z[c, j + i] += offset[row + i, c]


@inner()
def maxima(Z: Floats, j: int, rows: int, largest: Floats, position: Floats) -> None:
    """The largest logit of each row, and its class as a float."""
    first = Z[0]
    for i in range(rows):
        largest[i] = first[j + i]
        position[i] = 0
    for c in range(1, Z.shape[0]):
        z = Z[c]
        here = Z.dtype.type(c)
        for i in range(rows):
            above = z[j + i] > largest[i]
            largest[i] = z[j + i] if above else largest[i]
            position[i] = here if above else position[i]


@inner()
def entropies(Z: Floats, j: int, rows: int, largest: Floats, entropy: Floats) -> None:
    """``Σ_c e_c (m - z_c)`` with e = exp(z - m), m the largest: entropy is that / Σ e + log Σ e."""
    for i in range(rows):
        entropy[i] = 0
    for c in range(Z.shape[0]):
        z = Z[c]
        for i in range(rows):
            below = largest[i] - z[j + i]
            e = exp_nonpositive(-below)
            entropy[i] += e if e == 0 else e * below  # 0·∞ = 0


@inner()
def exponentials(
    Z: Floats, j: int, rows: int, largest: Floats, position: Floats, rest: Floats
) -> None:
    """Z = exp(Z - largest) in place; `rest` is the sum over the classes but the largest."""
    for i in range(rows):
        rest[i] = 0
    for c in range(Z.shape[0]):
        z = Z[c]
        here = Z.dtype.type(c)
        for i in range(rows):
            e = exp_nonpositive(z[j + i] - largest[i])
            z[j + i] = e
            rest[i] += 0 if position[i] == here else e


@inner()
def losses(
    rows: int,
    row: int,
    weight: Floats,
    gap: Floats,
    rest: Floats,
    entropy: Floats,
    loss_sums: Floats,
    entropy_sums: Floats,
) -> None:
    """Add the rows' weighted losses and entropies to float64 sums, one for each place in the block.

    A row of weight 0 adds nothing, even if its loss is infinite.
    """
    for i in range(rows):
        s = weight[row + i]
        log_partition = log1p_nonnegative(rest[i])
        loss = s * (gap[i] + log_partition)
        loss_sums[i] += 0.0 if s == 0.0 else loss
        if entropy_sums.shape[0] > 0:
            entropy_sums[i] += s * (log_partition + entropy[i] / (1 + rest[i]))


@inner()
def curvatures(
    Z: Floats, j: int, rows: int, position: Floats, rest: Floats, curvature: Floats, total: Floats
) -> None:
    """``1 - Σ p²`` as ``Σ p (1 - p)``: no term is negative, nothing cancels. `total` is scratch."""
    for i in range(rows):
        total[i] = 1 + rest[i]
        curvature[i] = rest[i]  # the largest class: p (1 - p) = rest / total²
    for c in range(Z.shape[0]):
        e = Z[c]
        here = Z.dtype.type(c)
        for i in range(rows):
            term = e[j + i] * (total[i] - e[j + i])
            curvature[i] += 0 if position[i] == here else term
    for i in range(rows):
        curvature[i] /= total[i] * total[i]


@inner()
def residuals(
    Z: Floats, j: int, rows: int, row: int, weight: Floats, rest: Floats, scale: Floats
) -> None:
    """Z = s p: the exponentials times weight over their sum."""
    for i in range(rows):
        scale[i] = weight[row + i] / (1 + rest[i])
    for c in range(Z.shape[0]):
        z = Z[c]
        for i in range(rows):
            z[j + i] *= scale[i]


@inner(any_order=True)
def row_sum(z: Floats, j: int, rows: int) -> Any:
    """Sum of columns j … j + rows - 1 of one class, in its type."""
    total = z[0] * 0
    for i in range(rows):
        total += z[j + i]
    return total


@inner()
def mean_terms(Z: Floats, j: int, rows: int, sums: Floats) -> None:
    """Add each class's sum over the block to float64 sums."""
    for c in range(Z.shape[0]):
        sums[c] += row_sum(Z[c], j, rows)


@inner()
def transpose_probabilities(Z: Floats, j: int, rows: int, rest: Floats, P: Floats) -> None:
    """P (rows, at least q) = probabilities from exponentials, a row's classes contiguous."""
    for c in range(Z.shape[0]):
        z = Z[c]
        for i in range(rows):
            P[i, c] = z[j + i] / (1 + rest[i])
