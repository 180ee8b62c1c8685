"""The judge: objective and duality gap from coefficients, in float64, by NumPy and SciPy alone.

    f(W, b) = (1/n) Σᵢ [ logsumexp(zᵢ) - yᵢ·zᵢ ] + (λ/2) ‖W‖²,   zᵢ = W xᵢ + b,   λ = 1/(C·n)

Nothing here comes from crossent. Shapes: n rows, d features, q classes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse

__all__ = ["duality_gap", "newton_step", "objectives", "optimal_intercept", "rescaled_intercept"]

Float64 = npt.NDArray[np.float64]
Model = tuple[Float64, Float64]
_BLOCK_ELEMENTS = 4_000_000  # of the larger of a block's rows and logits: 32 MB


def objectives(X: Any, targets: Any, models: Sequence[Model], C: float) -> Float64:
    """The objective of each (W, b), shape (number of models,); one sweep over X for all of them."""
    total = np.zeros(len(models))
    for rows, X_block in _blocks(X, max(len(b) for _, b in models)):
        for k, (W, b) in enumerate(models):
            logits = _logits(X_block, W, b)
            total[k] += (_log_partition(logits) - _inner(targets[rows], logits)).sum()
    n = X.shape[0]
    return total / n + [_ridge(W, 1 / (C * n)) for W, _ in models]


def duality_gap(X: Any, targets: Any, W: Float64, b: Float64, C: float) -> tuple[float, float]:
    """Primal minus dual value, and the largest residual of the intercept's optimality.

    The dual point is P - Y, whose dual value is the mean entropy of the rows of P less
    ``‖G‖²/(2λ)``, G = (1/n) Σᵢ (pᵢ - yᵢ) xᵢᵀ. It is feasible, and the difference a bound on
    f - f*, where the residual ``max |mean(P - Y)|`` vanishes.
    """
    n = X.shape[0]
    penalty = 1 / (C * n)
    loss = entropy = 0.0
    G, residual = np.zeros_like(W), np.zeros_like(b)
    for rows, X_block in _blocks(X, len(b)):
        logits = _logits(X_block, W, b)
        log_partition = _log_partition(logits)
        loss += float((log_partition - _inner(targets[rows], logits)).sum())
        P = np.exp(logits - log_partition[:, None])
        entropy += float((log_partition - (P * logits).sum(axis=1)).sum())
        _subtract_targets(P, targets[rows])
        residual += P.sum(axis=0)
        G += (X_block.T @ P).T
    primal = loss / n + _ridge(W, penalty)
    dual = entropy / n - float(np.vdot(G, G)) / n**2 / (2 * penalty)
    return primal - dual, float(np.abs(residual).max()) / n


def optimal_intercept(X: Any, targets: Any, W: Float64, b: Float64, steps: int = 3) -> Float64:
    """The b that minimises f at fixed W: Newton, each step a pass and a (q, q) system."""
    n, q = X.shape[0], len(b)
    for _ in range(steps):
        gradient, hessian = np.zeros(q), np.zeros((q, q))
        for rows, X_block in _blocks(X, q):
            logits = _logits(X_block, W, b)
            P = np.exp(logits - _log_partition(logits)[:, None])
            hessian += np.diag(P.sum(axis=0)) - P.T @ P
            _subtract_targets(P, targets[rows])
            gradient += P.sum(axis=0)
        # Adding 1 1ᵀ makes the matrix regular and leaves steps with Σb = 0 as they are.
        step = scipy.linalg.solve(hessian / n + np.ones((q, q)), gradient / n, assume_a="pos")
        b = b - step
    return b


def rescaled_intercept(X: Any, targets: Any, W: Float64, b: Float64, steps: int = 3) -> Float64:
    """The same without a (q, q) system, for many classes: ``b += log(ȳ/p̄)``, a pass each."""
    mean_target = np.zeros(len(b))
    for rows, _ in _blocks(X, len(b)):
        if targets.ndim == 1:
            mean_target += np.bincount(targets[rows], minlength=len(b))
        else:
            mean_target += targets[rows].sum(axis=0)
    for _ in range(steps):
        mean_probability = np.zeros(len(b))
        for _, X_block in _blocks(X, len(b)):
            logits = _logits(X_block, W, b)
            mean_probability += np.exp(logits - _log_partition(logits)[:, None]).sum(axis=0)
        b = b + np.log(mean_target / mean_probability)
    return b


def newton_step(X: Any, targets: Any, W: Float64, b: Float64, C: float) -> Model:
    """(W, b) after one step with the exact Hessian of q·(d + 1) rows, for dense X.

    Near the optimum it squares the distance: a reference that a solver leaves at 1e-6 is polished
    here without it.
    """
    n, (q, d) = X.shape[0], W.shape
    gradient = np.zeros((q, d + 1))
    hessian = np.zeros((q, d + 1, q, d + 1))
    for rows, X_block in _blocks(X, q):
        P = _logits(X_block, W, b)
        P = np.exp(P - _log_partition(P)[:, None])
        extended = np.column_stack([X_block, np.ones(len(X_block))])
        for i in range(q):
            for j in range(i + 1):
                weights = P[:, i] * ((i == j) - P[:, j])
                hessian[i, :, j] += extended.T @ (weights[:, None] * extended)
        _subtract_targets(P, targets[rows])
        gradient += P.T @ extended
    gradient[:, :d] += W / C
    flat = hessian.reshape(gradient.size, gradient.size)
    flat = np.tril(flat) + np.tril(flat, -1).T
    flat += np.diag(np.tile(np.append(np.full(d, 1 / C), 0), q))
    scale = 1 / np.sqrt(np.diag(flat))  # columns may differ by orders of magnitude
    last = np.zeros(gradient.shape)
    last[:, d] = n  # shifting all intercepts alike changes nothing: make that direction regular
    flat += np.outer(last, last) / (n * q)
    step = scipy.linalg.solve(
        scale[:, None] * flat * scale, scale * gradient.ravel(), assume_a="pos"
    )
    step = (scale * step).reshape(gradient.shape)
    return W - step[:, :d], b - step[:, d]


def _blocks(X: Any, q: int) -> Iterator[tuple[slice, Any]]:
    """Row ranges and the rows there in float64."""
    width = q if scipy.sparse.issparse(X) else max(X.shape[1], q)
    size = max(1, _BLOCK_ELEMENTS // width)
    for start in range(0, X.shape[0], size):
        rows = slice(start, start + size)
        yield rows, X[rows].astype(np.float64)


def _logits(X: Any, W: Float64, b: Float64) -> Float64:
    logits: Float64 = X @ W.T
    logits += b
    return logits


def _log_partition(logits: Float64) -> Float64:
    """Log of the sum of exponentials of each row."""
    top = logits.max(axis=1)
    result: Float64 = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return result


def _inner(targets: Any, logits: Float64) -> Float64:
    """yᵢ·zᵢ for labels (rows,) or distributions (rows, q)."""
    if targets.ndim == 1:
        result: Float64 = logits[np.arange(len(logits)), targets]
        return result
    return np.einsum("ij,ij->i", targets, logits)


def _subtract_targets(P: Float64, targets: Any) -> None:
    """P - Y, in place."""
    if targets.ndim == 1:
        P[np.arange(len(P)), targets] -= 1
    else:
        P -= targets


def _ridge(W: Float64, penalty: float) -> float:
    return 0.5 * penalty * float(np.vdot(W, W))
