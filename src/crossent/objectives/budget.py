"""What models of the Hessian may cost, in passes over the data."""

import math

import scipy.sparse as sp

from crossent.objectives.sampling import sample_size
from crossent.typing import RowSource

__all__ = ["affordable_rows", "cost_of_all_directions"]

_MAX_WHOLE = 9000  # rows of a Hessian that is made where nothing else helps: 330 MB in float32
_BUILD_PASSES = 60  # digits: 35 passes in 47 ms; 28 in 119 ms with the exact Hessian (162)


def affordable_rows(source: RowSource, m: int) -> int:
    """Rows of an exact Hessian from m rows that costs `_BUILD_PASSES` passes in flops."""
    q, d, n = source.n_classes, source.n_features, source.n_rows
    return math.isqrt(_BUILD_PASSES * 4 * d * q * n // max(m, 1))


def cost_of_all_directions(source: RowSource, *, fit_intercept: bool) -> float:
    """Of the exact Hessian of a sample, in passes; infinite where it is not to be made.

    m·p²/2 flops for the sums, 2·p³/3 for the factor in about half the rate, and 3·n·d² for the
    rows' leverages; a pass takes 4·n·d·q.
    """
    n, q, d = source.n_rows, source.n_classes, source.n_features
    size = (q - 1) * (d + fit_intercept)
    sparse = sp.issparse(getattr(source, "X", None))
    if sparse or size > _MAX_WHOLE:
        return math.inf
    m = sample_size(source, exact=True)
    flops = m * size**2 / 2 + 2 * size**3 / 3 + (3.0 * n * d**2 if m < n else 0.0)
    return flops / (4.0 * n * max(d, 1) * q)
