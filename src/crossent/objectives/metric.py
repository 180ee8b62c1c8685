"""Factorised models of the Hessian: exact, or in two levels.

Rows are centred at their curvature-weighted mean x̄, with b̃ = b + W x̄ in place of b: this is the
Schur complement of the intercept, without which shifted data do not converge.

**Exact** (`newton_metric`): all q² blocks,

    H = Σ ω_i (diag(p_i) - p_i p_iᵀ) ⊗ v_i v_iᵀ + λ,    v_i = (1, x_i - x̄).

**Two levels** (`TwoLevelMetric`). Everywhere the same matrix for every class,

    H₁ = Σ ω_i c_i (x_i - x̄)(x_i - x̄)ᵀ + λI,    c_i = (1 - Σ_j p_ij²)/(q - 1);

one block per class would break the symmetry of adding the same vector to all rows of W, and can be
much slower. On the span of T, r vectors near the leading eigenvectors with TᵀH₁T = I, and on b̃,
the exact Hessian with v_i = (1, Tᵀ(x_i - x̄)) takes its place.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp

from crossent.kernels import probabilities, threads
from crossent.objectives.curvature import (
    add_flat_curvature,
    exact_hessian,
    gram,
    leading_subspace,
)
from crossent.objectives.factorisation import Factor, factorise, mirror, solve_with
from crossent.objectives.newton_metric import NewtonMetric, definite, newton_metric
from crossent.typing import Block, FloatArray, RowSource

__all__ = [
    "HessianChoice",
    "TwoLevelMetric",
    "build_metric",
    "first_level_metric",
    "metric_of_many_classes",
]

HessianChoice: TypeAlias = Literal["auto", "exact", "model"]

_MAX_EXACT = 2000  # rows of the exact Hessian
_ROWS_OF_MANY_CLASSES = 20_000
_MAX_DENSE_FEATURES = 4000  # above this H₁ is taken as diagonal


@dataclass(frozen=True)
class TwoLevelMetric:
    """The model described in the module.

    Attributes
    ----------
    n_classes, n_features : int
    centre : ndarray or None, shape (d,)
        x̄; None without an intercept.
    inverse : ndarray, shape (d, d), or (d,) if diagonal
        H₁⁻¹.
    span : ndarray, shape (d, r)
        T; r = 0 without a second level.
    factor : tuple or None
        Cholesky factor of the second level over (class, 1 + r) or (class, r).
    intercept_scale : ndarray or None, shape (q,)
        For very many classes: the diagonal model of the Hessian in b.
    cost : float
        Of building it, in passes over the data.
    """

    n_classes: int
    n_features: int
    centre: npt.NDArray[np.float64] | None
    inverse: npt.NDArray[np.float64]
    span: npt.NDArray[np.float64]
    factor: Factor | None
    intercept_scale: npt.NDArray[np.float64] | None = None
    cost: float = 0.0

    @property
    def quality(self) -> Literal["exact", "sampled", "model"]:
        """A model."""
        return "model"

    def solve(self, gradient: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """``H⁻¹ gradient``. Cost: 2·q·d² flops (diagonal: q·d), 4·q·d·r, and 2·(q·(1+r))²."""
        q, d = self.n_classes, self.n_features
        gradient_W = gradient[: q * d].reshape(q, d)
        if self.centre is None:
            return self._solve_centred(gradient_W, None)[0].ravel()
        gradient_b = gradient[q * d :]
        centred = np.outer(gradient_b, self.centre)
        np.subtract(gradient_W, centred, out=centred)
        step_W, step_b = self._solve_centred(centred, gradient_b)
        del centred
        assert step_b is not None
        return np.concatenate([step_W.ravel(), step_b - step_W @ self.centre])

    def _solve_centred(
        self,
        gradient_W: npt.NDArray[np.float64],
        gradient_b: npt.NDArray[np.float64] | None,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
        """In (W, b̃): H₁⁻¹ everywhere, and on the span the exact solution in place of it."""
        diagonal = self.inverse.ndim == 1
        step_W = gradient_W * self.inverse if diagonal else gradient_W @ self.inverse
        step_b = gradient_b
        if self.intercept_scale is not None and gradient_b is not None:
            return step_W, gradient_b / self.intercept_scale
        if self.factor is None:
            return step_W, step_b
        head = inner = gradient_W @ self.span
        if gradient_b is not None:
            head = np.hstack([gradient_b[:, None], inner])
        solved = solve_with(self.factor, head.ravel()).reshape(head.shape)
        if gradient_b is not None:
            step_b, solved = solved[:, 0], solved[:, 1:]
        if inner.shape[1]:
            step_W += (solved - inner) @ self.span.T
        return step_W, step_b


def is_exact(q: int, d: int, fit_intercept: bool, choice: HessianChoice) -> bool:
    """Whether the exact Hessian is asked for, or small enough."""
    return choice == "exact" or (choice == "auto" and q * (d + fit_intercept) <= _MAX_EXACT)


def build_metric(
    block: Block,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    *,
    penalty: float,
    fit_intercept: bool,
    leading: int,
    rng: np.random.Generator,
    n_rows: int,
    choice: HessianChoice = "auto",
    previous: TwoLevelMetric | None = None,
    n_threads: int | None = None,
) -> NewtonMetric | TwoLevelMetric:
    """A model of the Hessian at (W, b) from the rows of `block`.

    Parameters
    ----------
    leading : int
        r, where the Hessian is not exact.
    n_rows : int
        Rows of the data that `block` is a sample of.
    choice : {"auto", "exact", "model"}
        "exact": whatever its size; "model": two levels even where the exact one is small.
    previous : TwoLevelMetric, optional
        Where to look for the leading directions.
    n_threads : int, optional
        Default: all cores that the process may use.

    Notes
    -----
    Cost for m rows, exact: m·(q·(1+d))² + (q·(1+d))³/3 flops; two levels: m·d² + 2·d³ for the
    first, m·(q·(1+r))² + (q·(1+r))³/3 for the second.
    """
    q, d = W.shape
    p = probabilities(block, W, b)
    curvature = np.maximum(1.0 - np.einsum("ij,ij->i", p, p), 0.0) / max(q - 1, 1)
    weight = (block.sample_weight * curvature).astype(block.X.dtype)
    centre = None
    if fit_intercept:
        centre = np.asarray(weight @ block.X, dtype=np.float64) / max(float(weight.sum()), 1e-300)
    if is_exact(q, d, fit_intercept, choice):
        return newton_metric(block, p, centre, penalty=penalty, n_rows=n_rows, n_threads=n_threads)
    return _two_level(block, p, weight, centre, penalty, leading, rng, n_rows, previous, n_threads)


def metric_of_many_classes(
    source: RowSource,
    row_curvature: npt.NDArray[np.float64],
    mean_probability: npt.NDArray[np.float64] | None,
    penalty: float,
    n_threads: int | None,
) -> TwoLevelMetric:
    """The first level alone, from at most 20,000 rows: no array of rows times classes.

    Parameters
    ----------
    row_curvature : ndarray, shape (n,)
    mean_probability : ndarray or None, shape (q,)
        See `first_level_metric`.
    """
    n = source.n_rows
    rows = slice(0, n, -(-n // _ROWS_OF_MANY_CLASSES))
    block = source.take(rows, source.dtype)
    share = float(block.sample_weight.sum())
    return first_level_metric(
        replace(block, sample_weight=block.sample_weight / share),
        row_curvature[rows],
        mean_probability,
        n_classes=source.n_classes,
        penalty=penalty,
        n_rows=n,
        n_threads=n_threads,
    )


def first_level_metric(
    block: Block,
    curvature: npt.NDArray[np.float64],
    mean_probability: npt.NDArray[np.float64] | None,
    *,
    n_classes: int,
    penalty: float,
    n_rows: int,
    n_threads: int | None = None,
) -> TwoLevelMetric:
    """The first level alone, for so many classes that no (rows, q) array can be made.

    A row's curvature lies in a few classes. Shared out evenly it is 1/q for each, which is too
    little for those, and all of it is too much for the others: 1/√q is between.

    Parameters
    ----------
    block : Block
    curvature : ndarray, shape (rows,)
        1 - Σ_j p_ij² of its rows.
    mean_probability : ndarray or None, shape (q,)
        p̄, the diagonal of the Hessian in b for many classes; None without an intercept.
    """
    X, d = block.X, block.X.shape[1]
    weight = (block.sample_weight * curvature / math.sqrt(n_classes)).astype(X.dtype)
    centre = None
    if mean_probability is not None:
        centre = np.asarray(weight @ X, dtype=np.float64) / max(float(weight.sum()), 1e-300)
    none = np.zeros((d, 0))
    if d > _MAX_DENSE_FEATURES:
        variance = _column_variance(X, weight, centre)
        inverse = 1.0 / (variance + definite(penalty, variance))
    else:
        first = gram(X, weight, centre, n_threads)
        first[np.diag_indices(d)] += definite(penalty, first.diagonal())
        inverse = _inverse(first)
    cost = _passes_of(X, n_classes, 0, n_rows)
    return TwoLevelMetric(n_classes, d, centre, inverse, none, None, mean_probability, cost)


def _two_level(
    block: Block,
    p: FloatArray,
    weight: FloatArray,
    centre: npt.NDArray[np.float64] | None,
    penalty: float,
    leading: int,
    rng: np.random.Generator,
    n_rows: int,
    previous: TwoLevelMetric | None,
    n_threads: int | None,
) -> TwoLevelMetric:
    q, d = p.shape[1], block.X.shape[1]
    span = np.zeros((d, 0))
    if d > _MAX_DENSE_FEATURES:
        variance = _column_variance(block.X, weight, centre)
        ridge = definite(penalty, variance)
        inverse = 1.0 / (variance + ridge)
    else:
        first = gram(block.X, weight, centre, n_threads)
        ridge = definite(penalty, first.diagonal())
        first[np.diag_indices(d)] += ridge
        known = None if previous is None else previous.span
        inverse, span = _both_levels(first, min(leading, d), known, rng, n_threads)
    if centre is None and span.shape[1] == 0:
        return TwoLevelMetric(q, d, centre, inverse, span, None)
    features = _features_in(block.X, span, centre)
    hessian = exact_hessian(p, features, block.sample_weight, n_threads)
    add_flat_curvature(hessian, (span.T * ridge) @ span, q, centre is not None)
    cost = _passes_of(block.X, q, len(hessian), n_rows)
    factor = factorise(hessian, block.X.dtype)
    return TwoLevelMetric(q, d, centre, inverse, span, factor, cost=cost)


def _passes_of(X: Any, q: int, size: int, n_rows: int) -> float:
    """Flops of both levels from rows X, the second of `size` columns, in passes over all rows."""
    m, d = X.shape
    nonzeros = X.nnz / max(m, 1) if sp.issparse(X) else d
    first = m * float(nonzeros) * d + 4.0 * d**3 if d <= _MAX_DENSE_FEATURES else 0.0
    passes = (first + float(m) * size**2 + size**3) / (4.0 * n_rows * max(nonzeros, 1) * q)
    return float(passes)


def _both_levels(
    first: npt.NDArray[np.float64],
    leading: int,
    known: npt.NDArray[np.float64] | None,
    rng: np.random.Generator,
    n_threads: int | None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """H₁⁻¹ and T, each in a thread of its own."""
    inverse = span = np.zeros((len(first), 0))

    def task(number: int) -> None:
        nonlocal inverse, span
        if number == 0:
            inverse = _inverse(first)
        else:
            span = leading_subspace(first, leading, known, rng)

    threads.run(task, 2 if leading else 1, threads.resolve(n_threads))
    return inverse, span


def _inverse(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Inverse of a positive definite matrix, scaled to unit diagonal on the way."""
    scale = 1.0 / np.sqrt(matrix.diagonal())
    factor, _ = factorise(scale[:, None] * matrix * scale, np.float64)
    lower, _ = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    return np.asarray(scale[:, None] * mirror(lower.T) * scale)


def _column_variance(
    X: Any, weight: FloatArray, centre: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.float64]:
    """Σ weight_i (x_ij - x̄_j)² per column."""
    squares = X.multiply(X) if sp.issparse(X) else X * X
    variance = np.asarray(weight @ squares, dtype=np.float64)
    if centre is not None:
        variance -= float(weight.sum()) * centre**2
    return np.maximum(variance, 0.0)


def _features_in(
    X: Any, span: npt.NDArray[np.float64], centre: npt.NDArray[np.float64] | None
) -> FloatArray:
    """v_i = (1, Tᵀ(x_i - x̄)), shape (m, 1 + r), or without the 1; sparse rows stay sparse."""
    columns = span.astype(X.dtype)
    inner = np.asarray(X @ columns)
    if centre is None:
        return inner
    inner -= (centre @ span).astype(X.dtype)
    return np.hstack([np.ones((X.shape[0], 1), dtype=X.dtype), inner])
