"""Sums over rows that models of the Hessian are made of."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp

from crossent.typing import FloatArray

__all__ = ["add_flat_curvature", "exact_hessian", "factorise", "gram", "leading_subspace"]

_CHUNK = 8_000_000  # entries of the chunk of p_i ⊗ v_i that is held at a time


def gram(
    X: Any, weight: FloatArray, centre: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.float64]:
    """Σ weight_i (x_i - x̄)(x_i - x̄)ᵀ in float64, shape (d, d). Cost: m·d² flops."""
    root = np.sqrt(weight)[:, None]
    if sp.issparse(X):
        scaled = X.multiply(root).tocsr()
        result = np.asarray((scaled.T @ scaled).toarray(), dtype=np.float64)
        if centre is not None:
            result -= float(weight.sum()) * np.outer(centre, centre)
        return result
    centred = X if centre is None else X - centre.astype(X.dtype)
    spread = np.sqrt(np.einsum("ij,ij->j", centred, centred) / max(len(centred), 1))
    spread[spread == 0] = 1.0  # columns of one size: float32 then rounds all of them alike
    scaled = centred * (root / spread)
    return np.asarray(scaled.T @ scaled, dtype=np.float64) * np.outer(spread, spread)


def leading_subspace(
    matrix: npt.NDArray[np.float64],
    size: int,
    start: npt.NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """At most `size` vectors V that nearly span the leading eigenvectors, with VᵀMV = I.

    Subspace iteration; an exact eigenproblem would cost 9·d³ flops, and the second level does not
    need one. Cost: about 2·8·d²·size flops.
    """
    d = len(matrix)
    rounds = 6
    if start is None or start.shape[1] < size:
        start = rng.standard_normal((d, min(d, size + 10)))
    else:
        rounds = 2
    V = start
    for _ in range(rounds):
        V, _ = np.linalg.qr(matrix @ V)
    projected = V.T @ matrix @ V
    values, vectors = scipy.linalg.eigh(projected, check_finite=False)
    size = min(size, int((values > 1e-13 * values[-1]).sum()))  # the others are rounding
    keep = slice(len(values) - size, None)
    return np.ascontiguousarray((V @ vectors[:, keep]) / np.sqrt(values[keep]))


def exact_hessian(
    p: FloatArray, features: FloatArray, weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Σ ω_i (diag(p_i) - p_i p_iᵀ) ⊗ v_i v_iᵀ, shape (q·k, q·k), in float64.

    Parameters
    ----------
    p : ndarray, shape (m, q)
    features : ndarray, shape (m, k)
        The v_i.
    weight : ndarray, shape (m,)
        The ω_i.

    Notes
    -----
    Cost: m·(q·k)² flops, chunk by chunk.
    """
    (m, q), k = p.shape, features.shape[1]
    hessian = np.zeros((q * k, q * k))
    rows = max(1, _CHUNK // max(q * k, 1))
    for start in range(0, m, rows):
        part = slice(start, start + rows)
        root = np.sqrt(weight[part]).astype(p.dtype)[:, None]
        weighted = root * p[part]
        outer = (weighted[:, :, None] * features[part, None, :]).reshape(len(root), q * k)
        hessian -= outer.T @ outer
        for j in range(q):
            scaled = np.sqrt(p[part, j])[:, None] * root * features[part]
            hessian[j * k : (j + 1) * k, j * k : (j + 1) * k] += scaled.T @ scaled
    return hessian


def add_flat_curvature(
    hessian: npt.NDArray[np.float64],
    inner: npt.NDArray[np.float64],
    q: int,
    fit_intercept: bool,
) -> None:
    """Add the penalty `inner` (r, r) to every class, and curvature where the intercept has none.

    That is along (1, …, 1), in which the gradient has no component.
    """
    k = len(inner) + fit_intercept
    blocks = hessian.reshape(q, k, q, k)
    for j in range(q):
        blocks[j, fit_intercept:, j, fit_intercept:] += inner
    if fit_intercept:
        blocks[:, 0, :, 0] += max(float(np.trace(blocks[:, 0, :, 0])), 1e-300) / q**2


def factorise(hessian: npt.NDArray[np.float64], dtype: npt.DTypeLike) -> tuple[FloatArray, bool]:
    """Cholesky factor. Rounding can make a flat direction slightly negative: lift all a little."""
    diagonal = np.einsum("ii->i", hessian)
    lift = 10 * float(np.finfo(dtype).eps) * max(float(diagonal.max(initial=0.0)), 1e-300)
    while True:
        diagonal += lift
        try:
            factor, lower = scipy.linalg.cho_factor(hessian, lower=True, check_finite=False)
        except scipy.linalg.LinAlgError:
            lift *= 10
        else:
            return factor, lower
