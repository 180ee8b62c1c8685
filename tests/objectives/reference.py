"""The objective, its Hessian, its dual and its optimum, written out plainly in float64.

Nothing here comes from the package. Targets are always distributions Y (n, q), weights s sum to 1.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.special import entr, logsumexp


@dataclass(frozen=True)
class Reference:
    """One problem."""

    X: np.ndarray
    Y: np.ndarray
    s: np.ndarray
    offset: np.ndarray
    penalty: float
    fit_intercept: bool = True

    def logits(self, W, b):
        return self.X @ W.T + b + self.offset

    def probabilities(self, W, b):
        z = self.logits(W, b)
        return np.exp(z - logsumexp(z, axis=1, keepdims=True))

    def value(self, W, b):
        z = self.logits(W, b)
        losses = logsumexp(z, axis=1) - (self.Y * z).sum(axis=1)
        return float(self.s @ losses) + self.penalty / 2 * float((W**2).sum())

    def gradient(self, W, b):
        U = self.s[:, None] * (self.probabilities(W, b) - self.Y)
        return U.T @ self.X + self.penalty * W, U.sum(axis=0)

    def features(self):
        """Rows (x, 1), or x without an intercept."""
        ones = np.ones((len(self.X), 1))
        return np.hstack([self.X, ones]) if self.fit_intercept else self.X

    def hessian(self, W, b):
        """Over (class, feature) with the intercept as the last feature."""
        P, V = self.probabilities(W, b), self.features()
        q, k = P.shape[1], V.shape[1]
        H = np.zeros((q, k, q, k))
        for a in range(q):
            for c in range(q):
                w = self.s * P[:, a] * ((a == c) - P[:, c])
                H[a, :, c, :] = V.T @ (w[:, None] * V)
            H[a, range(self.X.shape[1]), a, range(self.X.shape[1])] += self.penalty
        return H.reshape(q * k, q * k)

    def dual(self, P):
        """Lower bound on the minimum from any distributions P with Σ s_i (p_i - y_i) = 0.

        logsumexp(z) ≥ p·z + H(p) for every row; then minimise over W and b.
        """
        U = self.s[:, None] * (P - self.Y)
        G = U.T @ self.X
        inner = float(self.s @ entr(P).sum(axis=1)) + float((U * self.offset).sum())
        return inner - float((G**2).sum()) / (2 * self.penalty)

    def with_optimal_intercept(self, W, b):
        """b that minimises f at fixed W, by Newton's method."""
        for _ in range(60 * self.fit_intercept):
            P = self.probabilities(W, b)
            H = np.diag(self.s @ P) - P.T @ (self.s[:, None] * P)
            b = b - np.linalg.lstsq(H, self.s @ (P - self.Y), rcond=1e-12)[0]
        return b

    def optimum(self, steps=200):
        """(W, b) by damped Newton steps with a pseudo-inverse, until f no longer falls."""
        q, d = self.Y.shape[1], self.X.shape[1]
        W, b, best = np.zeros((q, d)), np.zeros(q), np.inf
        for _ in range(steps):
            value = self.value(W, b)
            g_W, g_b = self.gradient(W, b)
            g = np.hstack([g_W, g_b[:, None]]) if self.fit_intercept else g_W
            step = -scipy.linalg.lstsq(self.hessian(W, b), g.ravel(), cond=1e-15)[0].reshape(q, -1)
            t = 1.0
            while t > 1e-10:
                new_W = W + t * step[:, :d]
                new_b = b + t * step[:, d] if self.fit_intercept else b
                if self.value(new_W, new_b) <= value + 1e-4 * t * float((g * step).sum()):
                    break
                t /= 2
            W, b = new_W, new_b
            if value >= best:
                break
            best = value
        return W, b


def random_problem(
    seed=0,
    n=40,
    d=3,
    q=3,
    penalty=0.05,
    soft=False,
    weighted=False,
    offset=False,
    shift=0.0,
    fit_intercept=True,
):
    """A problem whose classes overlap."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.logspace(0, 1, d)
    labels = (X @ rng.normal(size=(d, q)) + rng.gumbel(size=(n, q)) * 2).argmax(axis=1)
    labels[:q] = np.arange(q)
    Y = np.eye(q)[labels]
    if soft:
        Y = 0.6 * Y + 0.4 * rng.dirichlet(np.full(q, 0.5), n)
    s = rng.random(n) + 0.1 if weighted else np.ones(n)
    o = rng.normal(size=(n, q)) if offset else np.zeros((n, q))
    return Reference(X + shift, Y, s / s.sum(), o, penalty, fit_intercept)
