"""A duality gap that does not depend on the units of the columns.

``‖∇_W f‖²/(2λ)`` multiplies what is left of the gradient by 1/λ, however much curvature the data
add to the penalty: with a column in thousandths the gap of a point that is right to 12 digits can
exceed 1. A better dual point makes up for the gradient by moving the distributions. Notation as in
`duality`; v_i = (1, x_i - x̄), M = Σ_{i∈S} s_i c_i v_i v_iᵀ over any set S of rows, with
c_i ≤ min_j p_ij, Λ = λ diag(0, 1, …, 1), and R = (ρ, G + λW - ρx̄ᵀ), the gradient in (b̃, W). With

    δ_i = c_i E v_i,    E = -R (M + Λ)⁻¹,

the rows p_i + δ_i sum to 1 (R sums to 0 over the classes; what does not is left out), they are not
negative where η = max |E v_i| ≤ 1, Σ s_i (p_i + δ_i - y_i) = 0, and

    gap = Σ s_i KL(p_i + δ_i ‖ p_i) + ‖R + E M‖²/(2λ)  ≤  tr(E M Eᵀ)/(2(1-η)) + ‖R + E M‖²/(2λ),

where the norm leaves out the intercept's column, which is 0. Both together are close to
½ tr(R (M + Λ)⁻¹ Rᵀ): λ has become M + λ. The bound is rigorous for any S and c; it is good where
no class of a row is all but impossible.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

from crossent.kernels import PassSums, probabilities
from crossent.objectives.duality import duality_gap
from crossent.typing import Block

__all__ = ["scaled_gap"]

_SAFETY = 1 - 1e-6  # of c_i below the computed smallest probability


def scaled_gap(
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    sums: PassSums,
    block: Block,
    *,
    penalty: float,
    fit_intercept: bool,
    column_range: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    offset_width: float,
) -> float:
    """Bound on f(W, b) - min f in nats; infinite where the dual point is not feasible.

    Parameters
    ----------
    W, b : ndarray, shapes (q, d) and (q,)
    sums : PassSums
        From a float64 pass at (W, b), with `mean_probability`.
    block : Block
        The rows S, in float64, with their weights s_i (they need not sum to 1).
    penalty : float
        λ > 0.
    fit_intercept, column_range, offset_width
        As for `duality_gap`.

    Notes
    -----
    Cost: |S|·(d² + 2·d·q) flops and (d + 1)³/3.
    """
    q = len(b)
    centre = np.asarray(block.X.mean(axis=0)) if fit_intercept else np.zeros(W.shape[1])
    features = block.X - centre
    if fit_intercept:
        features = np.hstack([np.ones((len(features), 1)), features])
    strength = _SAFETY * probabilities(block, W, b).min(axis=1) * block.sample_weight
    M = features.T @ (strength[:, None] * features)
    R = sums.gradient_W + penalty * W
    if fit_intercept:
        R = np.column_stack([sums.gradient_b, R - np.outer(sums.gradient_b, centre)])
    E = _solution(M, R - R.mean(axis=0), penalty, fit_intercept)
    if E is None:
        return np.inf
    eta = float(np.abs(features @ E.T).max(initial=0.0))
    if not eta < 1:
        return np.inf
    moved = 0.5 * float(np.vdot(E @ M, E)) / (1 - eta)
    change = E @ M
    change_b = change[:, 0] if fit_intercept else np.zeros(q)
    inner = change[:, 1:] if fit_intercept else change
    mean: Any = sums.mean_probability
    after = replace(
        sums,
        gradient_W=sums.gradient_W + inner + np.outer(change_b, centre),
        gradient_b=sums.gradient_b + change_b,
        mean_probability=mean + change_b,
        entropy=np.asarray(np.log(q)),  # the most that Σ s_i H(p_i + δ_i) can be
    )
    rest, _ = duality_gap(
        W,
        b,
        after,
        penalty=penalty,
        fit_intercept=fit_intercept,
        column_range=column_range,
        offset_width=offset_width,
    )
    return moved + rest


def _solution(
    M: npt.NDArray[np.float64], R: npt.NDArray[np.float64], penalty: float, fit_intercept: bool
) -> npt.NDArray[np.float64] | None:
    """E = -R (M + Λ)⁻¹, scaled to unit diagonal on the way; None if M + Λ is singular."""
    ridge = np.full(len(M), penalty)
    ridge[: int(fit_intercept)] = 0.0
    matrix = M + np.diag(ridge)
    diagonal = matrix.diagonal()
    if not (diagonal > 0).all():
        return None
    scale = 1.0 / np.sqrt(diagonal)
    try:
        factor = scipy.linalg.cho_factor(scale[:, None] * matrix * scale, lower=True)
    except scipy.linalg.LinAlgError:
        return None
    return np.asarray(-scipy.linalg.cho_solve(factor, (R * scale).T).T * scale)
