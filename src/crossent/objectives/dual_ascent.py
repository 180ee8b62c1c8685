"""A start for the solver by dual block ascent, where rows are sparse and the penalty is felt.

The intercept enters the dual as multipliers of Σ s_i (p_i - y_i) = 0. It moves between halves of
an epoch, by Newton's method on how p̄ = Σ s_i p_i responds to it when every row is maximised again:

    S = Σ s_i (D_i - D_i D_iᵀ / 1ᵀD_i),    D_i = p_i / (1 + κ_i p_i).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.kernels.dual import DualState, begin_dual, dual_epoch
from crossent.objectives.softmax import SoftmaxObjective

__all__ = ["DualStart", "dual_start"]

_FEATURES = 4000  # up to here the Hessian's model has a dense first level, which is better
_MAX_KAPPA = 300.0  # banking77: C·‖x‖² = 2 takes 13 epochs, 20 takes 28, 200 more than 60
_MAX_BYTES = 2e9  # of log p
_MOST_EPOCHS = 60
_FLAT = 1e-3  # curvature of the least, in class frequencies
_LONGEST = 2.0  # step of an intercept, in nats
_SMOOTH = 1e-3  # share of the class frequencies in the first p
_CLOSE = 0.1  # of tol: what an epoch still gains when the rest is left to the solver
_SLOW = 0.9  # ratio of two epochs' gains above which the solver does better


@dataclass(frozen=True)
class DualStart:
    """Where the solver may begin.

    Attributes
    ----------
    w : ndarray, shape (p,)
    epochs : int
        Each costs about a pass.
    """

    w: npt.NDArray[np.float64]
    epochs: int


def dual_start(
    objective: SoftmaxObjective, *, tol: float, max_epochs: int, rng: np.random.Generator
) -> DualStart | None:
    """Coefficients near the optimum, or None where dual ascent does not pay.

    Parameters
    ----------
    objective : SoftmaxObjective
    tol : float
        Relative gap wanted in the end; the ascent stops somewhat before.
    max_epochs : int
    rng : numpy.random.Generator
        For the order of the rows.
    """
    max_epochs = min(max_epochs, _MOST_EPOCHS)
    if max_epochs < 1 or not _pays(objective):
        return None
    source: Any = objective.source
    mean = objective.mean_target
    b = np.log(mean) - np.log(mean).mean() if objective.fit_intercept else np.zeros(len(mean))
    state = _begin(objective, mean)
    rows = np.flatnonzero(source.sample_weight > 0)
    gains: list[float] = []
    while len(gains) < max_epochs:
        gain = 0.0
        inverse = None
        if objective.fit_intercept:
            inverse = _response(state, source.sample_weight, mean)
        for half in np.array_split(rng.permutation(rows), 2):
            gain += objective.penalty * dual_epoch(state, half, b)
            if inverse is not None and gains:
                residual = mean - source.sample_weight @ np.exp(state.log_p, dtype=np.float64)
                step = inverse @ residual
                b = b + step * min(1.0, _LONGEST / max(float(np.abs(step).max()), 1e-300))
                b -= b.mean()
        gains.append(gain)
        if _finished(gains, tol * _dual_value(objective, state)):
            break
    W = np.array(state.W[:, : len(mean)].T, dtype=np.float64)
    return DualStart(objective.pack(W - W.mean(axis=0), b), len(gains))


def _pays(objective: SoftmaxObjective) -> bool:
    """Sparse rows, many features, no offset, and a penalty that holds every row back."""
    source: Any = objective.source
    X: Any = getattr(source, "X", None)
    if not sp.issparse(X) or objective.kernel.name != "compiled-csr":
        return False
    if objective.penalty == 0 or source.offset_width > 0 or source.n_features <= _FEATURES:
        return False
    if 4.0 * source.n_rows * source.n_classes > _MAX_BYTES:
        return False
    squares = np.asarray(X.multiply(X).sum(axis=1)).ravel()
    mean_kappa = float(source.sample_weight @ squares) / (objective.penalty * source.n_rows)
    return bool(mean_kappa < _MAX_KAPPA)


def _begin(objective: SoftmaxObjective, mean: npt.NDArray[np.float64]) -> DualState:
    """At p_i = (1-ε) y_i + ε r, where W(p) is -ε/λ times the gradient at W = 0, b = log r.

    r is ȳ, or uniform without an intercept.
    """
    source: Any = objective.source
    q = source.n_classes
    mixed = mean if objective.fit_intercept else np.full(q, 1 / q)
    p = np.tile(_SMOOTH * mixed, (source.n_rows, 1))
    if source.targets.ndim == 1:
        p[np.arange(source.n_rows), source.targets] += 1 - _SMOOTH
    else:
        targets = source.targets
        p += (1 - _SMOOTH) * (targets.toarray() if sp.issparse(targets) else targets)
    here = objective.pack(np.zeros((q, source.n_features)), np.log(mixed))
    gradient_W, _ = objective.unpack(objective.value_and_gradient(here)[1])
    W = -_SMOOTH / objective.penalty * gradient_W
    return begin_dual(source.X, np.log(p), W, source.sample_weight, objective.penalty)


def _response(
    state: DualState, weight: npt.NDArray[np.float64], mean: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """S⁻¹, with some curvature where S has none: along (1, …, 1), and for classes that no p has.

    Cost: n·q² flops.
    """
    p = np.exp(state.log_p)
    D = p / (1 + state.kappa[:, None] * p)
    scaled = D * np.sqrt(weight / D.sum(axis=1)).astype(np.float32)[:, None]
    S = np.diag(weight @ D) - np.asarray(scaled.T @ scaled, dtype=np.float64)
    S += S.diagonal().mean() / len(S)
    S += np.diag(_FLAT * mean)
    return np.asarray(np.linalg.inv(S), dtype=np.float64)


def _dual_value(objective: SoftmaxObjective, state: DualState) -> float:
    """D(p), a lower bound of the optimum up to what the intercept lacks."""
    weight = objective.source.sample_weight
    entropy = -np.einsum("ij,ij->i", np.exp(state.log_p), state.log_p)
    return float(weight @ entropy) - 0.5 * objective.penalty * float(np.vdot(state.W, state.W))


def _finished(gains: list[float], wanted: float) -> bool:
    """Whether little is left, or the last epochs got ahead too slowly."""
    if gains[-1] <= _CLOSE * max(wanted, 0.0):
        return True
    if len(gains) < 6 or gains[-1] <= 0:
        return False
    return math.sqrt(math.sqrt(gains[-1] / gains[-5])) > _SLOW
