"""The models written out a comparison at a time, and a general optimiser: what fits are held to."""

import itertools
import math

import numpy as np
from scipy.optimize import minimize


def log_softmax(logits):
    """Of a short list, by the definition."""
    top = max(logits)
    log_sum = top + math.log(sum(math.exp(z - top) for z in logits))
    return [z - log_sum for z in logits]


def pair_loss(rows, theta, tie=None, neither=None, home=0.0, beta=()):
    """Summed loss of rows (i, j, outcome, weight, order, covariates)."""
    total = 0.0
    for i, j, outcome, weight, order, x in rows:
        effect = (home[i] if np.ndim(home) else home) * order + float(np.dot(beta, x))
        logits = {"left": theta[i] + effect, "right": theta[j]}
        if tie is not None:
            logits["tie"] = tie + (theta[i] + theta[j] + effect) / 2
        if neither is not None:
            logits["neither"] = neither
        logs = dict(zip(logits, log_softmax(list(logits.values())), strict=True))
        if outcome == "tie" and tie is None:
            total -= weight * (logs["left"] + logs["right"]) / 2
        else:
            total -= weight * logs[outcome]
    return total


def ranking_loss(rankings, largest_tie=1, weights=None, n=5):
    """The summed loss of rankings (lists of groups) as a function of (θ, log δ₂, …)."""
    stages = []
    for r, groups in enumerate(rankings):
        weight = 1.0 if weights is None else weights[r]
        left = [i for group in groups for i in group]
        for group in groups:
            if len(left) > 1:
                options = [
                    set(T)
                    for size in range(1, largest_tie + 1)
                    for T in itertools.combinations(left, size)
                ]
                rows = np.zeros((len(options), n + largest_tie - 1))
                for row, T in zip(rows, options, strict=True):
                    row[list(T)] = 1 / len(T)
                    if len(T) > 1:
                        row[n + len(T) - 2] = 1
                stages.append((rows, options.index(set(group)), weight))
            left = [i for i in left if i not in group]
    return lambda w: sum(
        weight * (logsumexp(rows @ w) - rows[taken] @ w) for rows, taken, weight in stages
    )


def logsumexp(z):
    """Of one vector, by the definition."""
    top = z.max()
    return top + math.log(np.exp(z - top).sum())


def minimiser(loss, p, start=None):
    """BFGS with numerical derivatives, then Newton steps with finite differences in float64.

    Good to some 1e-9: the gradient of central differences with h = 1e-5 has an error of
    h² f''' ≈ 1e-10, and near the minimum that is also the error of w in the Hessian's units.
    """
    w = minimize(loss, np.zeros(p) if start is None else start, method="BFGS").x
    eye = np.eye(p)
    for _ in range(3):
        h = 1e-4
        gradient = np.array([(loss(w + h * e) - loss(w - h * e)) / (2 * h) for e in eye])
        half = 0.5 * h
        fine = np.array([(loss(w + half * e) - loss(w - half * e)) / (2 * half) for e in eye])
        gradient = (4 * fine - gradient) / 3  # Richardson: error h⁴
        hessian = numerical_hessian(loss, w)
        w = w - np.linalg.lstsq(hessian, gradient, rcond=1e-7)[0]
    return w


def numerical_hessian(loss, w, h=1e-3):
    """Central second differences."""
    p = len(w)
    eye = h * np.eye(p)
    result = np.empty((p, p))
    for a in range(p):
        for b in range(a, p):
            value = (
                loss(w + eye[a] + eye[b])
                - loss(w + eye[a] - eye[b])
                - loss(w - eye[a] + eye[b])
                + loss(w - eye[a] - eye[b])
            )
            result[a, b] = result[b, a] = value / (4 * h * h)
    return result


ITEMS = ["ada", "ben", "cleo", "dan"]
WORDS = ["left", "right", "tie", "neither"]
SHARES = np.array([0.4, 0.25, 0.2, 0.15])


def random_rows(seed, n=160, outcomes=4, covariates=0):
    """(i, j, outcome, weight, order, x) in which everything happens to everybody."""
    rng = np.random.default_rng(seed)
    i = rng.integers(0, 4, n)
    j = (i + rng.integers(1, 4, n)) % 4
    what = rng.choice(outcomes, n, p=SHARES[:outcomes] / SHARES[:outcomes].sum())
    weight = rng.choice([0.5, 1.0, 2.0], n)
    order = rng.choice([0.0, 1.0], n)
    x = rng.normal(size=(n, covariates))
    return [
        (int(a), int(b), WORDS[k], float(s), float(o), v)
        for a, b, k, s, o, v in zip(i, j, what, weight, order, x, strict=True)
    ]


def arguments(rows, *, order=False, covariates=False):
    """The rows as `BradleyTerry.fit` takes them."""
    pairs = [[ITEMS[r[0]], ITEMS[r[1]]] for r in rows]
    keywords = {"sample_weight": [r[3] for r in rows]}
    if order:
        keywords["order"] = [r[4] for r in rows]
    if covariates:
        keywords["covariates"] = np.array([r[5] for r in rows])
    return (pairs, [r[2] for r in rows]), keywords


def centred(theta):
    """In the gauge of ``scores_``."""
    return np.asarray(theta) - np.mean(theta)
