"""Dual block ascent over CSR rows: the state of it, and one epoch.

The penalised softmax objective has the dual

    D(p) = Σ s_i H(p_i) - (λ/2) ‖W(p)‖²,    W(p) = (1/λ) Σ s_i (y_i - p_i) x_iᵀ,

maximised over one distribution p_i for each row, under Σ s_i (p_i - y_i) = 0 if there is an
intercept b, whose multipliers the b_j are. An epoch maximises over one p_i after the other, with b
fixed, and keeps W(p) up to date. A row touches the columns of W that it has non-zeros in and no
others, so that an epoch costs about one pass; where s_i ‖x_i‖²/λ is small it gets further than
many.

References
----------
H.-F. Yu, F.-L. Huang, C.-J. Lin, Dual coordinate descent methods for logistic regression and
maximum entropy models, Mach. Learn. 85, 41-75, 2011.
S. Shalev-Shwartz, T. Zhang, Stochastic dual coordinate ascent methods for regularized loss
minimization, JMLR 14, 567-599, 2013.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.kernels.records import aligned_empty, aligned_zeros

__all__ = ["DualState", "begin_dual", "dual_epoch"]


@dataclass(frozen=True)
class DualState:
    """Where an ascent is; all float32, changed in place.

    Attributes
    ----------
    log_p : ndarray, shape (n, q)
        log p_i.
    W : ndarray, shape (d, q rounded up to whole vectors)
        W(p), transposed.
    strength : ndarray, shape (n,)
        s_i/λ.
    kappa : ndarray, shape (n,)
        s_i ‖x_i‖²/λ.
    indptr, indices, data : ndarray
        X by rows.
    """

    log_p: npt.NDArray[np.float32]
    W: npt.NDArray[np.float32]
    strength: npt.NDArray[np.float32]
    kappa: npt.NDArray[np.float32]
    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    data: npt.NDArray[np.float32]


def begin_dual(
    X: Any,
    log_p: npt.NDArray[np.float64],
    W: npt.NDArray[np.float64],
    sample_weight: npt.NDArray[np.float64],
    penalty: float,
) -> DualState:
    """The state at distributions `log_p` (n, q), whose W(p) the caller knows, (q, d)."""
    from crossent.kernels.dual_entry import VECTOR_BYTES

    q, d = W.shape
    lanes = VECTOR_BYTES // 4
    packed = aligned_zeros((d, -(-q // lanes) * lanes), np.float32)
    packed[:, :q] = W.T
    squares = X.multiply(X).sum(axis=1)
    strength = sample_weight / penalty
    return DualState(
        log_p=np.ascontiguousarray(log_p, dtype=np.float32),
        W=packed,
        strength=strength.astype(np.float32),
        kappa=(strength * np.asarray(squares).ravel()).astype(np.float32),
        indptr=X.indptr.astype(np.int64),
        indices=X.indices.astype(np.int32, copy=False),
        data=X.data.astype(np.float32, copy=False),
    )


def dual_epoch(state: DualState, order: npt.NDArray[np.int64], b: npt.NDArray[np.float64]) -> float:
    """Maximise over the rows `order`, one after the other; by how much D grew, over λ.

    The gain is that of each row's block, KL(before ‖ after) + κ/2 ‖after - before‖², with the
    divergence to second order. Runs in one thread, so that the result is the same for any number
    of them. Cost: 4·nnz·q flops, and some four exponentials for each row and class.
    """
    from crossent.kernels.dual_entry import epoch

    scratch = aligned_empty((1, state.W.shape[1]), np.float32)
    twice = epoch(np.dtype(np.float32))(
        state.indptr, state.indices, state.data, np.ascontiguousarray(order, dtype=np.int64),
        state.strength, state.kappa, b.astype(np.float32), state.log_p, state.W, scratch,
    )  # fmt: skip
    return twice / 2
