"""Sums over rows that models of the Hessian are made of."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp

from crossent.kernels import threads
from crossent.typing import FloatArray

__all__ = [
    "add_flat_curvature",
    "exact_hessian",
    "gram",
    "leading_subspace",
]

_PARTS = 4  # of the rows; each has sums of its own
_WORTH_PARTS = 1e8  # floating-point operations: 2 ms
_CHUNK = 4_000_000  # entries of the chunk of p_i ⊗ v_i that is held at a time
_BY_PAIRS = 24  # columns; below, weighing the rows for each pair of classes costs too much
_LARGE = 2000  # rows of a Hessian; above, float64 would take twice the memory and time
_PAIR_ROWS = 2048  # weighed at a time: they stay in a cache


def _added_up(
    m: int,
    work: float,
    n_threads: int | None,
    part_sum: Callable[[slice], npt.NDArray[np.float64]],
) -> npt.NDArray[np.float64]:
    """Σ part_sum(rows) over parts of m rows, in the kernels' threads.

    The parts do not depend on the number of threads, nor does the result: they are added in order.
    """
    count = min(_PARTS, m) if work > _WORTH_PARTS else 1
    cuts = np.linspace(0, m, count + 1).astype(int)
    sums: list[Any] = [None] * count

    def task(k: int) -> None:
        sums[k] = part_sum(slice(cuts[k], cuts[k + 1]))

    threads.run(task, count, threads.resolve(n_threads))
    total: npt.NDArray[np.float64] = sums[0]
    for other in sums[1:]:
        total += other
    return total


def _square(A: FloatArray) -> npt.NDArray[np.float64]:
    """``AᵀA`` in float64. NumPy calls BLAS's syrk for it, without the interpreter lock."""
    return np.asarray(A.T @ A, dtype=np.float64)


def gram(
    X: Any,
    weight: FloatArray,
    centre: npt.NDArray[np.float64] | None,
    n_threads: int | None = None,
) -> npt.NDArray[np.float64]:
    """Σ weight_i (x_i - x̄)(x_i - x̄)ᵀ in float64, shape (d, d). Cost: m·d² flops."""
    root = np.sqrt(weight)[:, None]
    if sp.issparse(X):
        scaled = X.multiply(root).tocsr()
        result = np.asarray((scaled.T @ scaled).toarray(), dtype=np.float64)
        if centre is not None:
            result -= float(weight.sum()) * np.outer(centre, centre)
        return result
    m, d = X.shape
    shift = np.zeros(d, X.dtype) if centre is None else centre.astype(X.dtype)

    def squares(rows: slice) -> npt.NDArray[np.float64]:
        centred = X[rows] - shift
        return np.asarray(np.einsum("ij,ij->j", centred, centred), dtype=np.float64)

    spread = np.sqrt(_added_up(m, float(m) * d * 10, n_threads, squares) / max(m, 1))
    spread[spread == 0] = 1.0  # columns of one size: float32 then rounds all of them alike
    unit = (1.0 / spread).astype(X.dtype)

    def products(rows: slice) -> npt.NDArray[np.float64]:
        scaled = X[rows] - shift
        scaled *= unit
        scaled *= root[rows]
        return _square(scaled)

    total = _added_up(m, float(m) * d * d, n_threads, products)
    total *= np.outer(spread, spread)
    return total


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
    p: FloatArray,
    features: FloatArray,
    weight: npt.NDArray[np.float64],
    n_threads: int | None = None,
) -> FloatArray:
    """Σ ω_i (diag(p_i) - p_i p_iᵀ) ⊗ v_i v_iᵀ, shape (q·k, q·k).

    In float64; above 2000 rows of it in the type of the features.

    Parameters
    ----------
    p : ndarray, shape (m, q)
        Some classes' probabilities; they need not sum to 1.
    features : ndarray, shape (m, k)
        The v_i.
    weight : ndarray, shape (m,)
        The ω_i.

    Notes
    -----
    Cost: m·(q·k)² flops, chunk by chunk; half of it from 24 columns on; m·k² and no more where
    all rows have one p, as at W = 0.
    """
    (m, q), k = p.shape, features.shape[1]
    if (p == p[:1]).all():
        shared = p[0].astype(np.float64)
        root = np.sqrt(weight).astype(features.dtype)[:, None]
        inner = np.asarray((root * features).T @ (root * features), dtype=np.float64)
        return np.kron(np.diag(shared) - np.outer(shared, shared), inner)
    if k >= _BY_PAIRS:
        return _by_pairs(p, features, weight, n_threads)
    size = q * k
    rows = max(1, _CHUNK // max(size, 1))

    def part_sum(part: slice) -> npt.NDArray[np.float64]:
        starts = range(part.start, part.stop, rows)
        chunks = [slice(start, min(start + rows, part.stop)) for start in starts]
        total = _label_covariance(p[chunks[0]], features[chunks[0]], weight[chunks[0]])
        for chunk in chunks[1:]:
            total += _label_covariance(p[chunk], features[chunk], weight[chunk])
        return total

    return _added_up(m, float(m) * size**2, n_threads, part_sum)


def _by_pairs(
    p: FloatArray,
    features: FloatArray,
    weight: npt.NDArray[np.float64],
    n_threads: int | None,
) -> FloatArray:
    """`exact_hessian`, one symmetric product for each pair of classes; pairs go to threads.

    Summed in float64, kept so if it is not large.
    """
    (m, q), k = p.shape, features.shape[1]
    kind = features.dtype if q * k > _LARGE else np.float64
    result = np.empty((q, k, q, k), kind)
    pairs = [(a, b) for a in range(q) for b in range(a + 1)]

    def task(number: int) -> None:
        a, b = pairs[number]
        share = p[:, a] * (1.0 - p[:, a]) if a == b else p[:, a] * p[:, b]
        root = np.sqrt(weight * share).astype(features.dtype)[:, None]
        total = np.zeros((k, k))
        for start in range(0, m, _PAIR_ROWS):
            rows = slice(start, start + _PAIR_ROWS)
            weighed = root[rows] * features[rows]
            total += weighed.T @ weighed
        result[a, :, b, :] = result[b, :, a, :] = total if a == b else np.negative(total, out=total)

    threads.run(task, len(pairs), threads.resolve(n_threads))
    return result.reshape(q * k, q * k)


def _label_covariance(
    p: FloatArray, features: FloatArray, weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The sum of `exact_hessian` over a chunk of rows."""
    (m, q), k = p.shape, features.shape[1]
    root = np.sqrt(weight).astype(p.dtype)[:, None]
    weighted = root * p
    outer = (weighted[:, :, None] * features[:, None, :]).reshape(m, q * k)
    result = np.negative(outer.T @ outer, dtype=np.float64)
    for j in range(q):
        part = slice(j * k, (j + 1) * k)
        result[part, part] += _square(np.sqrt(p[:, j])[:, None] * root * features)
    return result


def add_flat_curvature(
    hessian: FloatArray,
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
