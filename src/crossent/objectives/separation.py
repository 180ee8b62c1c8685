"""Whether planes separate the classes, so that without a penalty there is no finite optimum.

A direction (D, e) is one of recession if for every row the classes with y_ij > 0 have the largest
D_j·x_i + e_j. If some row's other class stays strictly below, the likelihood grows for ever along
it (Albert, Anderson, Biometrika 71, 1984: complete and quasi-complete separation). Finding one is
a linear program.
"""

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.sparse as sp

from crossent.typing import Block

__all__ = ["separable", "separates"]

_MAX_NONZEROS = 3_000_000  # of the linear program; about a minute
_TOLERANCE = 1e-7
_LOGITS = 4_000_000  # that are held at a time


def separates(block: Block, W: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> bool:
    """Whether (W, b) itself gives every row's own class the strictly largest logit.

    Rows of weight 0 do not count; targets that are distributions over several classes never pass.
    """
    counted = block.sample_weight > 0
    if block.targets.ndim == 1:
        labels = block.targets
    else:
        dense = block.targets.toarray() if sp.issparse(block.targets) else block.targets
        labels = dense.argmax(axis=1)
        if (dense.max(axis=1)[counted] < 1).any():
            return False
    size = max(1, _LOGITS // len(b))
    parts = (slice(start, start + size) for start in range(0, len(labels), size))
    return all(_separates(block, W, b, labels, part) for part in parts)


def _separates(
    block: Block,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    labels: npt.NDArray[np.intp],
    part: slice,
) -> bool:
    """`separates` for some of the rows."""
    logits = block.X[part] @ W.T + b
    if block.offset is not None:
        logits = logits + block.offset[part]
    rows = np.arange(len(logits))
    own = logits[rows, labels[part]]
    logits[rows, labels[part]] = -np.inf
    return bool((own > logits.max(axis=1))[block.sample_weight[part] > 0].all())


def separable(block: Block, *, n_classes: int, fit_intercept: bool) -> bool | None:
    """Whether a direction of recession exists; None where the linear program is too large.

    Cost: a linear program with one row per (row, other class) and q·(d+1) variables.
    """
    X = block.X.astype(np.float64)
    if fit_intercept:
        ones = np.ones((X.shape[0], 1))
        X = sp.hstack([X, ones], format="csr") if sp.issparse(X) else np.hstack([X, ones])
    X = sp.csr_array(X)[block.sample_weight > 0]
    scale = np.sqrt(np.asarray(X.multiply(X).mean(axis=0)).ravel())
    X = X @ sp.diags_array(1 / np.where(scale > 0, scale, 1.0))
    if 2 * X.nnz * (n_classes - 1) > _MAX_NONZEROS:
        return None
    inequalities, equalities = _constraints(X, block, n_classes)
    gain = np.asarray(inequalities.sum(axis=0)).ravel()
    result = scipy.optimize.linprog(
        -gain,
        A_ub=-inequalities,
        b_ub=np.zeros(inequalities.shape[0]),
        A_eq=equalities if equalities.shape[0] else None,
        b_eq=np.zeros(equalities.shape[0]) if equalities.shape[0] else None,
        bounds=(-1, 1),
        method="highs",
    )
    if result.status != 0:
        return None
    return bool(-result.fun > _TOLERANCE * max(inequalities.shape[0], 1))


def _constraints(
    X: sp.csr_array, block: Block, n_classes: int
) -> tuple[sp.csr_array, sp.csr_array]:
    """Rows (D_own - D_other)·x_i: not negative, or zero where both classes have probability."""
    counted = np.flatnonzero(block.sample_weight > 0)
    if block.targets.ndim == 1:
        support = np.zeros((len(counted), n_classes), dtype=bool)
        support[np.arange(len(counted)), block.targets[counted]] = True
    else:
        chosen = block.targets[counted]
        support = (chosen.toarray() if sp.issparse(chosen) else chosen) > 0
    own = support.argmax(axis=1)
    above: list[sp.csr_array] = []
    equal: list[sp.csr_array] = []
    for j in range(n_classes):
        for other in range(n_classes):
            rows = np.flatnonzero((own == j) & (other != j))
            tied = support[rows, other]
            for part, into in ((rows[~tied], above), (rows[tied], equal)):
                if len(part):
                    into.append(_difference(X[part], j, other, n_classes))
    empty = sp.csr_array((0, n_classes * X.shape[1]))
    return (
        sp.csr_array(sp.vstack(above)) if above else empty,
        sp.csr_array(sp.vstack(equal)) if equal else empty,
    )


def _difference(X: sp.csr_array, own: int, other: int, n_classes: int) -> sp.csr_array:
    """X in the columns of class `own`, -X in those of class `other`."""
    pattern = sp.csr_array(([1.0, -1.0], ([0, 0], [own, other])), shape=(1, n_classes))
    return sp.csr_array(sp.kron(pattern, X))
