"""What a pass adds up, by definition and in extended precision, and how far off it may be.

u is the unit roundoff of the type in which a kernel computes; every bound is first order in u and
doubled for what it leaves out.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from crossent.kernels import PassSums

Wide = np.longdouble


@dataclass
class Answer:
    value: PassSums
    bound: PassSums


def all_sums(n, d, q):
    """Zeros for every sum that can be asked for."""
    return PassSums(
        gradient_W=np.zeros((q, d)),
        gradient_b=np.zeros(q),
        mean_probability=np.zeros(q),
        second_moment=np.zeros((q, q)),
        entropy=np.zeros(()),
        row_curvature=np.zeros(n),
    )


def dense_targets(targets, q):
    if sp.issparse(targets):
        return targets.toarray().astype(Wide)
    if targets.ndim == 1:
        return np.eye(q, dtype=Wide)[targets]
    return targets.astype(Wide)


def logits_of(X, W, b, offset):
    z = X.astype(Wide) @ W.T.astype(Wide) + b
    return z if offset is None else z + offset


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def row_losses(z, y):
    """Σ_c y_c (m - z_c) + log(1 + Σ over all but one largest)."""
    shifted = z - z.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    e[np.arange(len(z)), z.argmax(axis=1)] = 0
    cross = -np.multiply(y, shifted, where=y > 0, out=np.zeros_like(z)).sum(axis=1)
    return cross + np.log1p(e.sum(axis=1))


def answer(X, targets, s, W, b, offset=None, *, dtype=None, exact_logits=False):
    """Value and bound of every sum; `exact_logits` where no logit can be rounded."""
    u = np.finfo(X.dtype if dtype is None else dtype).eps / 2
    dense = X.toarray() if sp.issparse(X) else np.asarray(X)
    n, d = dense.shape
    q = len(b)
    z, y = logits_of(dense, W, b, offset), dense_targets(targets, q)
    p = softmax(z)
    size = np.abs(dense).astype(Wide)
    finite_b = np.where(np.isfinite(b), np.abs(b), 0)
    logit_size = size @ np.abs(W).T + finite_b + (0 if offset is None else np.abs(offset))
    # A sum of d products: (d + 1) u; W, b and the offset are rounded too: 3 u.
    dz = 0 if exact_logits else (d + 4) * u * logit_size.max(axis=1, initial=0)
    # p is exp(z - m) over a sum of q: 2 dz for the logits, 2 u for the difference times its size,
    # which is at most -log p; 2 u for exp, q u for the sum, 8 for weight, quotient and products.
    bits = -np.log(np.maximum(p, np.finfo(float).tiny))
    relative = np.expm1(2 * np.broadcast_to(dz, n))[:, None] + (q + 10 + 2 * bits) * u
    dp = p * relative
    residual, dr = s[:, None] * (p - y), s[:, None] * (dp + 4 * u * (p + y))
    entropy = -np.multiply(p, np.log(p, where=p > 0, out=np.zeros_like(p))).sum(axis=1)
    curvature = 1 - (p * p).sum(axis=1)
    loss = row_losses(z, y)
    value = PassSums(
        gradient_W=residual.T @ dense,
        gradient_b=residual.sum(axis=0),
        loss=(s * loss)[s > 0].sum(),
        mean_probability=s @ p,
        second_moment=(p * s[:, None]).T @ p,
        entropy=s @ entropy,
        row_curvature=curvature,
    )
    block = 256 + 16  # rows added up in the kernel's type, then in float64
    positive = s > 0
    bound = PassSums(
        gradient_W=2 * (dr.T @ size + block * u * np.abs(residual).T @ size),
        gradient_b=2 * (dr.sum(axis=0) + block * u * np.abs(residual).sum(axis=0)),
        loss=2 * (s * (2 * dz + (q + 8) * u * loss))[positive].sum(),
        mean_probability=2 * (s @ dp + block * u * (s @ p)),
        second_moment=2 * ((dp * s[:, None]).T @ p * 2 + (block + 8) * u * (p * s[:, None]).T @ p),
        # dH = -Σ dp log p: dp is at most `relative` p.
        entropy=2 * (s @ ((dp * (bits + 1)).sum(axis=1) + (q + 8) * u * entropy)),
        # 1 - Σ p² = Σ p (1 - p), both factors with relative errors; 1e-18: this reference cancels.
        row_curvature=4 * relative.max(axis=1) * curvature + 1e-18 * q,
    )
    return Answer(value, bound)


NAMES = (
    "gradient_W",
    "gradient_b",
    "loss",
    "mean_probability",
    "second_moment",
    "entropy",
    "row_curvature",
)


def assert_close(got, expected, names=NAMES):
    for name in names:
        actual, wanted = getattr(got, name), getattr(expected.value, name)
        error = np.abs(actual - np.asarray(wanted))
        allowed = np.asarray(getattr(expected.bound, name)) + np.finfo(float).tiny
        worst = np.max(error / allowed, initial=0.0)
        assert np.all(error <= allowed), f"{name}: {float(worst)} times the bound"
