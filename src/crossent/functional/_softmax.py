"""The arithmetic of one softmax, unchecked, for every function that needs a part of it.

`xp` is the array library; arrays hold real floats in the dtype of the arithmetic. Rows without a
finite maximum need no special case: ``z - max`` is NaN there and spreads over the row. NumPy's
floating-point warnings are the caller's to silence, as the public functions do.
"""

from dataclasses import dataclass

from crossent._arrays import Namespace
from crossent.typing import Array

__all__ = ["Terms", "complement", "log_softmax", "log_tail", "maximum_of", "softmax", "terms"]


@dataclass(frozen=True)
class Terms:
    """What a softmax is made of; the class axis is kept.

    One largest entry stays out of `tail`. Where one class dominates, `tail` is far below machine
    epsilon: ``log(1 + tail)`` would round to zero, ``log1p(tail)`` keeps it.
    (Blanchard, Higham, Higham, IMA J. Numer. Anal. 41(4), 2021, shift and sum all entries; keeping
    one out of the sum is what makes the result *relatively* accurate.)

    Attributes
    ----------
    maximum : Array
        Largest logit, length 1 along the class axis.
    distance : Array
        (z - maximum) / T ≤ 0; exactly 0 at the largest logits.
    exponentials : Array
        exp(distance), so 1 at the largest logits.
    tail : Array
        Sum of the exponentials of all classes but one of the largest; length 1.
    """

    maximum: Array
    distance: Array
    exponentials: Array
    tail: Array


def maximum_of(xp: Namespace, z: Array, axis: int) -> Array:
    """Largest entry along `axis`, which is kept."""
    return xp.max(z, axis=axis, keepdims=True)


def terms(
    xp: Namespace, z: Array, axis: int = -1, *, multiplier: float = 1.0, divisor: float = 1.0
) -> Terms:
    """The parts of softmax(z · multiplier / divisor); both positive, at most one is not 1."""
    maximum = maximum_of(xp, z, axis)
    if multiplier == divisor == 1.0:
        distance = z - maximum
    else:
        # Shift first: z / T would round away differences of large logits. Halves cannot overflow.
        distance = 2 * ((z / 2 - maximum / 2) * multiplier / divisor)
    exponentials = xp.exp(distance)
    largest = distance == 0
    others = xp.sum(
        xp.where(largest, xp.zeros_like(exponentials), exponentials), axis=axis, keepdims=True
    )
    ties = xp.sum(xp.astype(largest, z.dtype), axis=axis, keepdims=True)
    return Terms(maximum, distance, exponentials, others + (ties - 1))


def softmax(t: Terms) -> Array:
    """Probabilities."""
    return t.exponentials / (1 + t.tail)


def complement(xp: Namespace, t: Terms) -> Array:
    """1 - p without cancellation: tail / (1 + tail) where p > 1/2, which one class can be."""
    p = softmax(t)
    return xp.where(p > 0.5, t.tail / (1 + t.tail), 1 - p)


def log_tail(xp: Namespace, t: Terms) -> Array:
    """-log p of the largest class, ``log1p(tail)``; length 1 along the class axis."""
    return xp.log1p(t.tail)


def log_softmax(xp: Namespace, t: Terms) -> Array:
    """Log-probabilities: two numbers of one sign added, so nothing cancels."""
    return t.distance - log_tail(xp, t)
