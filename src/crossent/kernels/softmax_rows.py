"""What stands between the two products: from logits to losses and weighted residuals.

All on a block of logits Z (q, rows), a class's rows contiguous, columns j … j + rows - 1. Loops run
over classes outside and rows inside, so that they become vector instructions however few classes
there are. Three habits keep them so: a class's part is sliced before it is indexed from 0 (an index
that might be negative is no vector's address), constants have Z's type (a plain 1 makes float32
into float64), and both sides of a choice are computed.

The largest term stays out of every sum of exponentials: `rest` keeps its digits however small it
is, and with it the loss and the residual of a row that is almost certain.
"""

from typing import Any

from crossent.kernels.elementwise import exp_nonpositive, log1p_nonnegative
from crossent.kernels.jit import inner
from crossent.kernels.records import Floats

__all__ = [
    "begin_logits",
    "curvatures",
    "entropies",
    "exponentials",
    "losses",
    "maxima",
    "mean_terms",
    "residuals",
    "row_sum",
    "transpose_probabilities",
]


@inner()
def begin_logits(Z: Floats, j: int, rows: int, b: Floats, offset: Floats, row: int) -> None:
    """Z = b + offset, from row `row` of the offset on; an offset without rows is none."""
    for c in range(b.shape[0]):
        z = Z[c][j : j + rows]
        for i in range(rows):
            z[i] = b[c]
    if offset.shape[0] > 0:
        for i in range(rows):
            for c in range(b.shape[0]):
                Z[c, j + i] += offset[row + i, c]


@inner()
def maxima(Z: Floats, j: int, rows: int, largest: Floats, position: Floats) -> None:
    """The largest logit of each row, and its class as a float."""
    first = Z[0][j : j + rows]
    for i in range(rows):
        largest[i] = first[i]
        position[i] = 0
    for c in range(1, Z.shape[0]):
        z = Z[c][j : j + rows]
        here = Z.dtype.type(c)
        for i in range(rows):
            above = z[i] > largest[i]
            largest[i] = z[i] if above else largest[i]
            position[i] = here if above else position[i]


@inner()
def entropies(Z: Floats, j: int, rows: int, largest: Floats, entropy: Floats) -> None:
    """``Σ_c e_c (m - z_c)`` with e = exp(z - m), m the largest: entropy is that / Σ e + log Σ e."""
    for i in range(rows):
        entropy[i] = 0
    for c in range(Z.shape[0]):
        z = Z[c][j : j + rows]
        for i in range(rows):
            below = largest[i] - z[i]
            e = exp_nonpositive(-below)
            product = e * below
            entropy[i] += e if e == 0 else product  # 0·∞ = 0


@inner()
def exponentials(
    Z: Floats, j: int, rows: int, largest: Floats, position: Floats, rest: Floats
) -> None:
    """Z = exp(Z - largest) in place; `rest` is the sum over the classes but the largest."""
    nothing = Z.dtype.type(0)
    for i in range(rows):
        rest[i] = nothing
    for c in range(Z.shape[0]):
        z = Z[c][j : j + rows]
        here = Z.dtype.type(c)
        for i in range(rows):
            e = exp_nonpositive(z[i] - largest[i])
            z[i] = e
            rest[i] += nothing if position[i] == here else e


@inner()
def losses(
    rows: int,
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
    nothing, one = rest.dtype.type(0), rest.dtype.type(1)
    for i in range(rows):
        loss = weight[i] * (gap[i] + log1p_nonnegative(rest[i]))
        loss_sums[i] += nothing if weight[i] == nothing else loss
    if entropy_sums.shape[0] > 0:
        for i in range(rows):
            mean = entropy[i] / (one + rest[i])
            entropy_sums[i] += weight[i] * (log1p_nonnegative(rest[i]) + mean)


@inner()
def curvatures(
    Z: Floats, j: int, rows: int, position: Floats, rest: Floats, curvature: Floats, total: Floats
) -> None:
    """``1 - Σ p²`` as ``Σ p (1 - p)``: no term is negative, nothing cancels. `total` is scratch."""
    nothing, one = Z.dtype.type(0), Z.dtype.type(1)
    for i in range(rows):
        total[i] = one + rest[i]
        curvature[i] = rest[i]  # the largest class: p (1 - p) = rest / total²
    for c in range(Z.shape[0]):
        e = Z[c][j : j + rows]
        here = Z.dtype.type(c)
        for i in range(rows):
            term = e[i] * (total[i] - e[i])
            curvature[i] += nothing if position[i] == here else term
    for i in range(rows):
        curvature[i] /= total[i] * total[i]


@inner()
def residuals(Z: Floats, j: int, rows: int, weight: Floats, rest: Floats, scale: Floats) -> None:
    """Z = s p: the exponentials times weight over their sum."""
    one = Z.dtype.type(1)
    for i in range(rows):
        scale[i] = weight[i] / (one + rest[i])
    for c in range(Z.shape[0]):
        z = Z[c][j : j + rows]
        for i in range(rows):
            z[i] *= scale[i]


@inner(any_order=True)
def row_sum(z: Floats) -> Any:
    """Sum of a vector, in its type."""
    total = z.dtype.type(0)
    for i in range(z.shape[0]):
        total += z[i]
    return total


@inner()
def mean_terms(Z: Floats, j: int, rows: int, sums: Floats) -> None:
    """Add each class's sum over the block to float64 sums."""
    for c in range(Z.shape[0]):
        sums[c] += row_sum(Z[c][j : j + rows])


@inner()
def transpose_probabilities(Z: Floats, j: int, rows: int, rest: Floats, P: Floats) -> None:
    """P (rows, at least q) = probabilities from exponentials, a row's classes contiguous."""
    one = Z.dtype.type(1)
    for c in range(Z.shape[0]):
        z = Z[c][j : j + rows]
        for i in range(rows):
            P[i, c] = z[i] / (one + rest[i])
