"""The arithmetic of entropies and divergences, unchecked; outcomes on the last axis.

Divergences are sums of ``p log(p/q) - p + q``, every one of which is ≥ 0 and is computed to full
relative accuracy from the difference q - p. So a divergence is never negative, and that of two
distributions which agree to ten digits still has all of its own.
"""

import math

from crossent._arrays import Namespace
from crossent.functional._softmax import Terms, log_softmax, log_tail, softmax
from crossent.typing import Array

__all__ = [
    "cross_entropy",
    "divergence_terms",
    "js_from_logits",
    "js_from_probabilities",
    "kl_from_logits",
    "kl_from_probabilities",
    "log1p_remainder",
    "mutual_information_from_logits",
    "mutual_information_from_probabilities",
    "negative_log",
]

# Of Σ s^2k / (2k + 3); for |s| ≤ 1/3 the first term left out is below 1e-18 of the sum.
REMAINDER_TERMS = 18


def negative_log(xp: Namespace, p: Array) -> Array:
    """-log p ≥ 0, in nats, and 0 rather than -0 at p = 1."""
    surprisals = -xp.log(p)
    return xp.where(p >= 1, xp.zeros_like(p), surprisals)


def cross_entropy(xp: Namespace, p: Array, surprisals: Array) -> Array:
    """Σ p · surprisal with 0 · inf = 0."""
    terms = p * surprisals
    return xp.sum(xp.where(p == 0, xp.zeros_like(terms), terms), axis=-1)


def log1p_remainder(xp: Namespace, r: Array) -> Array:
    """The remainder r - log(1 + r) for |r| ≤ 1/2, without cancellation.

    With s = r / (2 + r), log(1 + r) = 2 artanh s and r - 2s = r s, so the remainder is
    ``r s - 2 s³ (1/3 + s²/5 + s⁴/7 + …)``, where the second part is at most 2/9 of the first.
    """
    s = r / (2 + r)
    square = s * s
    series = xp.zeros_like(s)
    for k in reversed(range(REMAINDER_TERMS)):
        series = series * square + 1 / (2 * k + 3)
    return r * s - 2 * s * square * series


def divergence_terms(
    xp: Namespace, p: Array, q: Array, difference: Array, log_ratio: Array
) -> Array:
    """The terms p log(p/q) - p + q ≥ 0; `difference` is q - p and `log_ratio` log q - log p.

    Both are arguments because the caller knows them better than rounded p and q do.
    """
    ones = xp.ones_like(p)
    r = difference / xp.where(p == 0, ones, p)
    near = abs(r) <= 0.5
    small = p * log1p_remainder(xp, xp.where(near, r, xp.zeros_like(r)))
    large = difference - p * log_ratio
    return xp.where(p == 0, q, xp.where(near, small, large))


def log_of_ratio(xp: Namespace, ratio: Array, fallback: Array) -> Array:
    """log(ratio) where the ratio is a normal number; elsewhere `fallback`, a difference of logs."""
    limits = xp.finfo(ratio.dtype)
    normal = (ratio >= float(limits.smallest_normal)) & (ratio <= float(limits.max))
    return xp.where(normal, xp.log(ratio), fallback)


def log_ratio_of(xp: Namespace, p: Array, q: Array) -> Array:
    """Logarithm of q / p."""
    return log_of_ratio(xp, q / p, xp.log(q) - xp.log(p))


def normalised_pair(xp: Namespace, p: Array, q: Array) -> tuple[Array, Array, Array]:
    """P and Q that sum to 1, and Q - P.

    The difference is taken before the division, whose rounding would drown it where p ≈ q.
    """
    total_p = xp.sum(p, axis=-1, keepdims=True)
    total_q = xp.sum(q, axis=-1, keepdims=True)
    excess = xp.sum(q - p, axis=-1, keepdims=True) / total_p
    return p / total_p, q / total_q, ((q - p) - p * excess) / total_q


def kl_from_probabilities(xp: Namespace, p: Array, q: Array) -> Array:
    """Σ p log(p/q), in nats."""
    p, q, difference = normalised_pair(xp, p, q)
    return xp.sum(divergence_terms(xp, p, q, difference, log_ratio_of(xp, p, q)), axis=-1)


def js_from_probabilities(xp: Namespace, p: Array, q: Array) -> Array:
    """KL(p ‖ m)/2 + KL(q ‖ m)/2 with m = (p + q)/2, in nats."""
    p, q, difference = normalised_pair(xp, p, q)
    middle = p / 2 + q / 2
    from_p = divergence_terms(xp, p, middle, difference / 2, log_ratio_of(xp, p, middle))
    from_q = divergence_terms(xp, q, middle, -difference / 2, log_ratio_of(xp, q, middle))
    return xp.sum(from_p + from_q, axis=-1) / 2


def difference_from_log_ratio(xp: Namespace, p: Array, q: Array, log_ratio: Array) -> Array:
    """The difference q - p, as p · expm1(log_ratio) where the two are close."""
    near = abs(log_ratio) <= 0.5
    close = p * xp.expm1(xp.where(near, log_ratio, xp.zeros_like(log_ratio)))
    return xp.where(near, close, q - p)


def log_ratio_from_logits(xp: Namespace, s: Terms, t: Terms) -> Array:
    """Logarithm of q / p, for the terms s of p and t of q.

    Distances from the maxima are subtracted first: each is rounded relative to itself, so classes
    that carry mass keep the digits of a small difference. NaN only where p = q = 0.
    """
    return (t.distance - s.distance) - (log_tail(xp, t) - log_tail(xp, s))


def kl_from_logits(xp: Namespace, s: Terms, t: Terms) -> Array:
    """KL(p ‖ q) for the terms s of p and t of q, in nats."""
    p, q, log_ratio = softmax(s), softmax(t), log_ratio_from_logits(xp, s, t)
    difference = difference_from_log_ratio(xp, p, q, log_ratio)
    return xp.sum(divergence_terms(xp, p, q, difference, log_ratio), axis=-1)


def log_mean_exp(xp: Namespace, x: Array) -> Array:
    """log((1 + exp(x)) / 2)."""
    zeros = xp.zeros_like(x)
    return xp.where(x > 0, x, zeros) + xp.log1p(xp.exp(-abs(x))) - math.log(2)


def js_from_logits(xp: Namespace, s: Terms, t: Terms) -> Array:
    """Jensen-Shannon divergence for the terms s of p and t of q, in nats."""
    p, q, log_ratio = softmax(s), softmax(t), log_ratio_from_logits(xp, s, t)
    difference = difference_from_log_ratio(xp, p, q, log_ratio)
    middle = p / 2 + q / 2
    from_p = divergence_terms(xp, p, middle, difference / 2, log_mean_exp(xp, log_ratio))
    from_q = divergence_terms(xp, q, middle, -difference / 2, log_mean_exp(xp, -log_ratio))
    return xp.sum(from_p + from_q, axis=-1) / 2


def mutual_information_from_probabilities(xp: Namespace, joint: Array) -> Array:
    """KL(joint ‖ product of its marginals) over the last two axes, in nats."""
    joint = joint / xp.sum(joint, axis=(-2, -1), keepdims=True)
    rows = xp.sum(joint, axis=-1, keepdims=True)
    columns = xp.sum(joint, axis=-2, keepdims=True)
    product = rows * columns
    # rows / joint ≥ 1 ≥ columns: in this order nothing underflows.
    fallback = xp.log(rows) - xp.log(joint) + xp.log(columns)
    log_ratio = log_of_ratio(xp, rows / joint * columns, fallback)
    terms = divergence_terms(xp, joint, product, product - joint, log_ratio)
    return xp.sum(terms, axis=(-2, -1))


def mutual_information_from_logits(xp: Namespace, flat: Terms, shape: tuple[int, ...]) -> Array:
    """Mutual information of softmax over both axes of a table of logits, in nats."""
    log_joint = xp.reshape(log_softmax(xp, flat), shape)
    joint = xp.reshape(softmax(flat), shape)
    log_rows, log_columns = log_sum(xp, log_joint, -1), log_sum(xp, log_joint, -2)
    log_ratio = log_rows + log_columns - log_joint
    product = xp.exp(log_rows + log_columns)
    difference = difference_from_log_ratio(xp, joint, product, log_ratio)
    return xp.sum(divergence_terms(xp, joint, product, difference, log_ratio), axis=(-2, -1))


def log_sum(xp: Namespace, log_p: Array, axis: int) -> Array:
    """Logarithm of the sum of probabilities along `axis`, which is kept; -inf if all are 0."""
    maximum = xp.max(log_p, axis=axis, keepdims=True)
    shifted = xp.where(xp.isinf(maximum), log_p, log_p - maximum)
    total = xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))
    return xp.where(xp.isinf(maximum), maximum, maximum + total)
