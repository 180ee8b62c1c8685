"""A factorised model of the Hessian in two levels, built from sampled rows.

Coordinates. Rows are centred at their curvature-weighted mean x̄, with b̃ = b + W x̄ in place of b:
this is the Schur complement of the intercept, without which shifted data do not converge. A basis T
(d, d) makes the first level the identity.

First level, everywhere: the same matrix for every class,

    H₁ = Σ ω_i c_i (x_i - x̄)(x_i - x̄)ᵀ + λI,    c_i = (1 - Σ_j p_ij²)/(q - 1),    Tᵀ H₁ T = I.

One block per class would break the symmetry of adding the same vector to all rows of W, and can be
much slower.

Second level, on the leading r columns of T and on b̃: the exact Hessian, all q² blocks,

    Σ ω_i (diag(p_i) - p_i p_iᵀ) ⊗ v_i v_iᵀ + λ I ⊗ TᵣᵀTᵣ,    v_i = (1, Tᵣᵀ(x_i - x̄)),

the covariance of the label between brackets. Where r = d this is the Hessian, the step Newton's.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp

from crossent.kernels import probabilities
from crossent.typing import Block, FloatArray, RowSource

HessianChoice: TypeAlias = Literal["auto", "exact", "model"]

__all__ = ["HessianChoice", "TwoLevelMetric", "build_metric", "rows_for_metric", "sample_size"]

_MAX_EXACT = 2000  # rows of the second level's Cholesky factor, all directions (Newton)
_LEADING_EXACT = 1000  # the same where the leading directions are a choice
_MAX_DENSE_FEATURES = 4000  # above this H₁ is taken as diagonal
_SAMPLED_ROWS = 20_000
_ROWS_PER_FEATURE = 20  # below this a sampled Gram matrix is too noisy near separability
_UNIFORM_SHARE = 0.3
_SCALED_BEYOND = 1e10  # spread of variances beyond which the eigenproblem is scaled first
_RIDGE = 1e-12  # relative to the largest variance: keeps H₁ definite when λ = 0


@dataclass(frozen=True)
class TwoLevelMetric:
    """The model described in the module.

    Attributes
    ----------
    n_classes, n_features : int
    centre : ndarray or None, shape (d,)
        x̄; None without an intercept.
    basis : ndarray, shape (d, d), or (d,) if diagonal
        T; the leading columns first.
    n_leading : int
        r.
    factor : tuple or None
        Cholesky factor of the second level, over (class, 1 + r) or (class, r); None if r = 0
        and there is no intercept.
    intercept_scale : ndarray or None
        For very many classes: the diagonal model of the Hessian in b.
    sampled : bool
        Whether not all rows were used.
    """

    n_classes: int
    n_features: int
    centre: FloatArray | None
    basis: npt.NDArray[np.float64]
    n_leading: int
    factor: tuple[FloatArray, bool] | None
    intercept_scale: npt.NDArray[np.float64] | None = None
    sampled: bool = False

    @property
    def quality(self) -> Literal["exact", "sampled", "model"]:
        """Exact if the second level has all directions and all rows were used."""
        if self.n_leading < self.n_features or (self.factor is None and self.n_features > 0):
            return "model"
        return "sampled" if self.sampled else "exact"

    def solve(self, gradient: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """``H⁻¹ gradient``. Cost: 4·q·d² flops (diagonal: 4·q·d), and (q·(1+r))² for the factor."""
        q, d = self.n_classes, self.n_features
        gradient_W = gradient[: q * d].reshape(q, d)
        if self.centre is None:
            step_W, _ = self._solve_centred(gradient_W, None)
            return step_W.ravel()
        gradient_b = gradient[q * d :]
        step_W, step_b = self._solve_centred(
            gradient_W - np.outer(gradient_b, self.centre), gradient_b
        )
        assert step_b is not None
        return np.concatenate([step_W.ravel(), step_b - step_W @ self.centre])

    def _solve_centred(
        self,
        gradient_W: npt.NDArray[np.float64],
        gradient_b: npt.NDArray[np.float64] | None,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
        """The solution in (W, b̃), through the coordinates of the basis."""
        diagonal = self.basis.ndim == 1
        inner = gradient_W * self.basis if diagonal else gradient_W @ self.basis
        step_b = gradient_b
        if self.intercept_scale is not None and gradient_b is not None:
            step_b = gradient_b / self.intercept_scale
        elif self.factor is not None:
            head = inner[:, : self.n_leading]
            if gradient_b is not None:
                head = np.hstack([gradient_b[:, None], head])
            solved = scipy.linalg.cho_solve(self.factor, head.ravel()).reshape(head.shape)
            if gradient_b is not None:
                step_b, solved = solved[:, 0], solved[:, 1:]
            inner[:, : self.n_leading] = solved
        step_W = inner * self.basis if diagonal else inner @ self.basis.T
        return step_W, step_b


def sample_size(source: RowSource) -> int:
    """How many rows a metric is built from."""
    wanted = _SAMPLED_ROWS
    if source.n_features <= _MAX_DENSE_FEATURES:
        wanted = max(wanted, _ROWS_PER_FEATURE * source.n_features)
    return min(source.n_rows, wanted)


def rows_for_metric(
    source: RowSource,
    row_curvature: npt.NDArray[np.float64] | None,
    rng: np.random.Generator,
    dtype: npt.DTypeLike,
) -> Block:
    """All rows, or a sample drawn with probability ∝ s_i c_i, mixed with s_i, and reweighted.

    Uniform sampling fails near separability, where few rows carry all the curvature.
    """
    size = sample_size(source)
    if size == source.n_rows or row_curvature is None:
        return next(iter(source.blocks(None, dtype)))
    weight = np.concatenate([block.sample_weight for block in source.blocks(None, dtype)])
    share = weight * row_curvature
    total = share.sum()
    chance = _UNIFORM_SHARE * weight
    if total > 0:
        chance += (1 - _UNIFORM_SHARE) * share / total
    chance /= chance.sum()
    # Systematic sampling: one uniform number, equal steps along the cumulated chances.
    steps = (np.arange(size) + rng.random()) / size
    rows = np.minimum(np.searchsorted(np.cumsum(chance), steps), source.n_rows - 1)
    rows, counts = np.unique(rows, return_counts=True)
    block = source.take(rows, dtype)
    return Block(
        X=block.X,
        targets=block.targets,
        sample_weight=counts * weight[rows] / (size * chance[rows]),
        offset=block.offset,
        first_row=0,
    )


def build_metric(
    block: Block,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    *,
    penalty: float,
    fit_intercept: bool,
    sampled: bool = False,
    choice: HessianChoice = "auto",
) -> TwoLevelMetric:
    """The two-level model at (W, b) from the rows of `block`.

    With "exact" the second level has all directions whatever their number, with "model" only the
    leading ones even where all would be affordable.

    Cost for m rows: m·d² flops for the first level, 9·d³ for its eigenvectors, m·(q·r)² for the
    second and (q·r)³/3 for its factor.
    """
    q, d = W.shape
    p = probabilities(block, W, b)
    curvature = np.maximum(1.0 - np.einsum("ij,ij->i", p, p), 0.0) / max(q - 1, 1)
    weight = (block.sample_weight * curvature).astype(block.X.dtype)
    centre = None
    if fit_intercept:
        centre = np.asarray(weight @ block.X, dtype=np.float64) / max(float(weight.sum()), 1e-300)
    basis, ridge = _basis(block.X, weight, centre, penalty)
    leading = _number_of_leading(q, d, basis, fit_intercept, choice)
    if fit_intercept and leading == 0 and q > _MAX_EXACT:
        scale = np.maximum(block.sample_weight @ p, 1e-12)
        return TwoLevelMetric(q, d, centre, basis, 0, None, scale, sampled)
    if leading == 0 and not fit_intercept:
        return TwoLevelMetric(q, d, centre, basis, 0, None)
    features = _leading_features(block.X, basis, leading, centre)
    hessian = _exact_hessian(p, features, block.sample_weight)
    hessian = _with_penalty(hessian, basis, leading, ridge, q, fit_intercept)
    factor = _factorise(hessian, block.X.dtype)
    return TwoLevelMetric(q, d, centre, basis, leading, factor, sampled=sampled)


def _basis(
    X: Any, weight: FloatArray, centre: npt.NDArray[np.float64] | None, penalty: float
) -> tuple[npt.NDArray[np.float64], float]:
    """T with Tᵀ H₁ T = I, largest eigenvalues first (a vector if d is large), and the λ in it."""
    d = X.shape[1]
    if d > _MAX_DENSE_FEATURES:
        squares = X.multiply(X) if sp.issparse(X) else X * X
        variance = np.asarray(weight @ squares, dtype=np.float64)
        if centre is not None:
            variance -= float(weight.sum()) * centre**2
        ridge = _definite(penalty, variance)
        return 1.0 / np.sqrt(np.maximum(variance, 0.0) + ridge), ridge
    gram = _gram(X, weight, centre)
    ridge = _definite(penalty, gram.diagonal())
    gram[np.diag_indices(d)] += ridge
    diagonal = gram.diagonal()
    if diagonal.max() <= _SCALED_BEYOND * diagonal.min():
        values, vectors = scipy.linalg.eigh(gram, overwrite_a=True, check_finite=False)
        scale = np.ones(d)
    else:
        scale = 1.0 / np.sqrt(diagonal)
        values, vectors = scipy.linalg.eigh(scale[:, None] * gram * scale, check_finite=False)
    values = np.maximum(values, np.finfo(float).eps * values[-1])
    basis = (scale[:, None] * vectors / np.sqrt(values))[:, ::-1]
    return np.ascontiguousarray(basis), ridge


def _definite(penalty: float, variance: npt.NDArray[np.float64]) -> float:
    """λ, or without one a ridge far below the largest variance."""
    return max(penalty, _RIDGE * float(variance.max(initial=0.0)), 1e-300)


def _gram(
    X: Any, weight: FloatArray, centre: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.float64]:
    """Σ weight_i (x_i - x̄)(x_i - x̄)ᵀ in float64, shape (d, d)."""
    root = np.sqrt(weight)[:, None]
    if sp.issparse(X):
        scaled = X.multiply(root).tocsr()
        gram = np.asarray((scaled.T @ scaled).toarray(), dtype=np.float64)
        if centre is not None:
            gram -= float(weight.sum()) * np.outer(centre, centre)
        return gram
    centred = X if centre is None else X - centre.astype(X.dtype)
    spread = np.sqrt(np.einsum("ij,ij->j", centred, centred) / len(centred))
    spread[spread == 0] = 1.0  # columns of one size: float32 then rounds all of them alike
    scaled = (centred / spread) * root
    return np.asarray(scaled.T @ scaled, dtype=np.float64) * np.outer(spread, spread)


def _number_of_leading(
    q: int, d: int, basis: npt.NDArray[np.float64], fit_intercept: bool, choice: HessianChoice
) -> int:
    """r: all directions if their exact Hessian is small, else what `_LEADING_EXACT` allows."""
    if basis.ndim == 1:
        return 0
    if choice == "exact" or (choice == "auto" and q * (d + fit_intercept) <= _MAX_EXACT):
        return d
    return max(0, min(d, _LEADING_EXACT // q - fit_intercept))


def _leading_features(
    X: Any,
    basis: npt.NDArray[np.float64],
    leading: int,
    centre: npt.NDArray[np.float64] | None,
) -> FloatArray:
    """v_i = (1, Tᵣᵀ(x_i - x̄)), shape (m, 1 + r), or without the 1."""
    columns = basis[:, :leading].astype(X.dtype) if basis.ndim == 2 else np.zeros((X.shape[1], 0))
    if centre is None:
        return np.asarray(X @ columns)
    if sp.issparse(X):
        inner = X @ columns - (centre @ columns).astype(X.dtype)
    else:
        inner = (X - centre.astype(X.dtype)) @ columns
    return np.hstack([np.ones((X.shape[0], 1), dtype=X.dtype), inner])


def _exact_hessian(
    p: FloatArray, features: FloatArray, weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Σ ω_i (diag(p_i) - p_i p_iᵀ) ⊗ v_i v_iᵀ, shape (q·(1+r), q·(1+r)), in float64."""
    (m, q), k = p.shape, features.shape[1]
    hessian = np.zeros((q * k, q * k))
    rows = max(1, 8_000_000 // max(q * k, 1))
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


def _with_penalty(
    hessian: npt.NDArray[np.float64],
    basis: npt.NDArray[np.float64],
    leading: int,
    penalty: float,
    q: int,
    fit_intercept: bool,
) -> npt.NDArray[np.float64]:
    """Add λ I ⊗ TᵣᵀTᵣ, and curvature along (1, …, 1) where the intercept has none."""
    k = leading + fit_intercept
    blocks = hessian.reshape(q, k, q, k)
    if leading:
        columns = basis[:, :leading]
        inner = columns.T @ columns
        for j in range(q):
            blocks[j, fit_intercept:, j, fit_intercept:] += penalty * inner
    if fit_intercept:
        blocks[:, 0, :, 0] += max(float(np.trace(blocks[:, 0, :, 0])), 1e-300) / q**2
    return hessian


def _factorise(hessian: npt.NDArray[np.float64], dtype: npt.DTypeLike) -> tuple[FloatArray, bool]:
    """Cholesky factor. Rounding can make a flat direction slightly negative: lift all a little."""
    diagonal = np.einsum("ii->i", hessian)
    lift = 10 * float(np.finfo(dtype).eps) * max(float(diagonal.max()), 1e-300)
    while True:
        diagonal += lift
        try:
            factor, lower = scipy.linalg.cho_factor(hessian, lower=True, check_finite=False)
        except scipy.linalg.LinAlgError:
            lift *= 10
        else:
            return factor, lower
