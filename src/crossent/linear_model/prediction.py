"""From coefficients to logits, and from log-probabilities to what is asked of a row."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

__all__ = ["expected_accuracy", "linear_logits", "public_coefficients", "row_surprisal"]

_BLOCK_ROWS = 4096  # so that float32 rows become float64 in cache, not as a whole copy


def linear_logits(
    X: Any, W: npt.NDArray[np.float64], b: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """``X Wᵀ + b`` in float64, shape (n, q)."""
    logits = np.empty((X.shape[0], len(W)))
    for start in range(0, X.shape[0], _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        logits[rows] = X[rows].astype(np.float64, copy=False) @ W.T
    logits += b
    return logits


def row_surprisal(
    log_probabilities: npt.NDArray[np.float64], targets: Any
) -> npt.NDArray[np.float64]:
    """-Σ_j y_ij log p_ij per row, in nats, with 0 log 0 = 0, for labels or distributions."""
    if targets.ndim == 1:
        return np.asarray(-log_probabilities[np.arange(len(targets)), targets])
    dense = targets.toarray() if sp.issparse(targets) else targets
    terms = np.multiply(
        dense, log_probabilities, where=dense > 0, out=np.zeros(log_probabilities.shape)
    )
    return np.asarray(-terms.sum(axis=1)) + 0.0


def expected_accuracy(predicted: npt.NDArray[np.intp], targets: Any, sample_weight: Any) -> float:
    """Weighted mean of the probability that each row's target gives to its predicted class."""
    mass = targets[np.arange(len(predicted)), predicted]
    return float(np.average(np.asarray(mass).ravel(), weights=sample_weight))


def public_coefficients(
    W: npt.NDArray[np.float64], b: npt.NDArray[np.float64], fit_intercept: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """``coef_`` and ``intercept_`` as scikit-learn has them: one row for two classes.

    The rows are made to sum to zero over the classes that have any. Where there is no penalty
    nothing else does: adding one vector to all rows changes no probability.
    """
    if len(W) == 2:
        return W[1:] - W[:1], b[1:] - b[:1]
    finite = np.isfinite(b)
    centred = W - np.outer(finite, W[finite].mean(axis=0))
    return centred, b - b[finite].mean() if fit_intercept else b
