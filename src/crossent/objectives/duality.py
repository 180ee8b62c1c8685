"""The duality gap of the penalised softmax objective, rigorous at any point.

Notation: u_i = p_i - y_i, G = Σ s_i u_i x_iᵀ, ρ = Σ s_i u_i, p̄ = Σ s_i p_i.

With u_i as the dual point the Fenchel-Young inequality of each row is an equality, and the gap is
``‖G + λW‖²/(2λ)`` provided that ρ = 0, which holds where the intercept is optimal. At a computed
point ρ is small, not zero. The dual point is then made feasible by mixing every p_i with one r:

    p̃_i = (1-ε) p_i + ε r,    r = p̄ - ρ/ε,    ε = max_j ρ_j/p̄_j,

so that Σ s_i p̃_i = p̄ - ρ = ȳ and r ≥ 0. The entropy is concave, H(p̃_i) ≥ (1-ε) H(p_i) + ε H(r).
A feasible dual point may be paired with rows shifted by any c: G̃ = Σ s_i (p̃_i - y_i)(x_i - c)ᵀ
= G - ρcᵀ + E with ‖E‖ ≤ ε √2 max_i ‖x_i - c‖. Together

    gap ≤ (‖G - ρcᵀ + λW‖ + ‖E‖)²/(2λ) + ρ·(b + Wc) + ⟨E, W⟩ + ε (Σ s_i H(p_i) - H(r)) + ε ω,

where ⟨E, W⟩ ≤ ε √2 Σ_k ‖W_k‖ h_k, W_k being the column and h_k half the range of feature k, and
ω bounds Σ s_i (p_i - r)·offset_i by the widest row of the offset. An intercept step that stopped
early thus costs of the order of ε, instead of making the certificate wrong.

Where W = Φ(θ) with a linear Φ and the penalty is (λ/2)‖θ‖², the same holds with Φᵀ(G), θ and
‖Φ‖‖E‖ in place of G, W and ‖E‖: the quadratic that is minimised is one in θ.

References
----------
R. M. Rifkin, R. A. Lippert, Value regularization and Fenchel duality, JMLR 8, 441-479, 2007, for
the duality of regularised risks. The correction for ρ ≠ 0 is derived here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.kernels import PassSums

__all__ = ["Coordinates", "TargetMoments", "duality_gap"]


@dataclass(frozen=True)
class Coordinates:
    """Parameters θ in which W = Φ(θ) is linear, and which carry the penalty in place of W.

    Attributes
    ----------
    theta : ndarray, shape (p,)
    pull_back : callable
        Φᵀ: from matrices (q, d) to (p,).
    norm : float
        Bound on ‖Φ(θ)‖_F / ‖θ‖.
    """

    theta: npt.NDArray[np.float64]
    pull_back: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
    norm: float


@dataclass(frozen=True)
class TargetMoments:
    """What the rows' targets and features add up to, at no coefficients.

    Attributes
    ----------
    target_features : ndarray, shape (q, d)
        Σ s_i y_i x_iᵀ.
    mean_row : ndarray, shape (d,)
        Σ s_i x_i.
    """

    target_features: npt.NDArray[np.float64]
    mean_row: npt.NDArray[np.float64]


def _with_moments(
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    sums: PassSums,
    inner: Coordinates,
    epsilon: float,
    moments: TargetMoments,
    penalty: float,
    offset_width: float,
) -> tuple[float, float]:
    """`duality_gap` with E = ε (r Σ s_i x_iᵀ - Σ s_i p_i x_iᵀ) itself, and c = 0."""
    mean: Any = sums.mean_probability
    total: Any = sums.entropy
    mixed = np.maximum(mean - sums.gradient_b / epsilon, 0.0)
    change = np.outer(mixed, moments.mean_row) - sums.gradient_W - moments.target_features
    change *= epsilon
    moved = inner.pull_back(sums.gradient_W + change) + penalty * inner.theta
    plain = inner.pull_back(sums.gradient_W) + penalty * inner.theta
    entropy = float(total) - _entropy(mixed) + offset_width
    slack = float(sums.gradient_b @ b) - float(np.vdot(change, W)) + epsilon * entropy
    gap = float(np.vdot(moved, moved)) / (2 * penalty) + slack
    exact = float(np.vdot(plain, plain)) / (2 * penalty)
    return max(gap, 0.0), max(gap - exact, 0.0)


def _whole(W: npt.NDArray[np.float64]) -> Coordinates:
    """W itself."""
    return Coordinates(W, lambda gradient: gradient, 1.0)


def _entropy(p: npt.NDArray[np.float64]) -> float:
    positive = p[p > 0]
    return -float(positive @ np.log(positive))


def duality_gap(
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    sums: PassSums,
    *,
    penalty: float,
    fit_intercept: bool,
    column_range: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    offset_width: float,
    coordinates: Coordinates | None = None,
    moments: TargetMoments | None = None,
) -> tuple[float, float]:
    """Bound on f(W, b) - min f in nats, and the part of it owed to a suboptimal intercept.

    Parameters
    ----------
    W, b : ndarray, shapes (q, d) and (q,)
    sums : PassSums
        From a float64 pass at (W, b), with `mean_probability` and `entropy`.
    penalty : float
        λ > 0.
    fit_intercept : bool
        Without an intercept there is no condition ρ = 0, and the formula is exact.
    column_range : (ndarray, ndarray), shapes (d,)
        Smallest and largest value of each column: the x_i lie in this box.
    offset_width : float
        Largest max_j - min_j of a row of the offset; 0 without one.
    coordinates : Coordinates, optional
        What carries the penalty; by default W.
    moments : TargetMoments, optional
        With them E is computed, where else a bound takes its place: for many classes a poor one.
    """
    inner = _whole(W) if coordinates is None else coordinates
    plain = inner.pull_back(sums.gradient_W) + penalty * inner.theta
    if not fit_intercept:
        return float(np.vdot(plain, plain)) / (2 * penalty), 0.0
    assert sums.mean_probability is not None
    assert sums.entropy is not None
    residual, mean = sums.gradient_b, sums.mean_probability
    with np.errstate(divide="ignore"):  # p̄_j = 0 < ȳ_j: ρ_j < 0 sets no limit
        epsilon = float(np.max(residual / mean, initial=0.0))
    if not epsilon < 1:
        return math.inf, math.inf
    if epsilon > 0 and moments is not None:
        return _with_moments(W, b, sums, inner, epsilon, moments, penalty, offset_width)
    lowest, highest = column_range
    centre, half = (lowest + highest) / 2, (highest - lowest) / 2
    centred = plain - inner.pull_back(np.outer(residual, centre))
    norm = float(np.linalg.norm(centred))
    exact = norm**2 / (2 * penalty)
    if epsilon == 0:
        return exact, 0.0
    mixed = np.maximum(mean - residual / epsilon, 0.0)
    error = epsilon * math.sqrt(2) * float(np.linalg.norm(half)) * inner.norm
    moved = epsilon * math.sqrt(2) * float(np.linalg.norm(W, axis=0) @ half)
    slack = (
        (2 * norm + error) * error / (2 * penalty)
        + float(residual @ (b + W @ centre))
        + moved
        + epsilon * (float(sums.entropy) - _entropy(mixed) + offset_width)
    )
    return exact + max(slack, 0.0), max(slack, 0.0)
