"""The arithmetic of the loss and its derivatives per row, unchecked; classes on the last axis.

`t` are the parts of the row's softmax (`crossent.functional._softmax.terms`), `y` distributions
that sum to 1, `labels` integers in range.
"""

from crossent._arrays import Namespace, class_numbers
from crossent.functional._softmax import Terms, complement, log_tail, softmax
from crossent.typing import Array

__all__ = [
    "gradient",
    "hessian",
    "hessian_vector",
    "loss_of_labels",
    "loss_of_targets",
    "one_hot",
    "smooth",
]


def one_hot(xp: Namespace, labels: Array, like: Array) -> Array:
    """Distributions that give all mass to the label, in shape and dtype of the logits `like`."""
    return xp.astype(class_numbers(xp, like) == xp.expand_dims(labels, axis=-1), like.dtype)


def smooth(y: Array, label_smoothing: float) -> Array:
    """(1 - ε) y + ε / q."""
    return (1 - label_smoothing) * y + label_smoothing / y.shape[-1]


def loss_of_labels(xp: Namespace, t: Terms, labels: Array) -> Array:
    """-log p of the label, in nats: a sum of two non-negative numbers."""
    index = xp.expand_dims(labels, axis=-1)
    return xp.squeeze(log_tail(xp, t) - xp.take_along_axis(t.distance, index, axis=-1), axis=-1)


def loss_of_targets(xp: Namespace, t: Terms, y: Array) -> Array:
    """-Σ y log p, in nats, with 0 log 0 = 0: a sum of non-negative numbers."""
    terms = y * (log_tail(xp, t) - t.distance)
    return xp.sum(xp.where(y == 0, xp.zeros_like(terms), terms), axis=-1)


def gradient(xp: Namespace, t: Terms, y: Array) -> Array:
    """Derivative of the loss by the logits, p - y; y is held fixed.

    Where p > 1/2 it is (1 - y) - (1 - p), with 1 - p from `complement`: as p → 1 a difference of
    rounded numbers would lose what is left, and 1 - y is exact for y ≥ 1/2.
    """
    p = softmax(t)
    return xp.where(p > 0.5, (1 - y) - complement(xp, t), p - y)


def hessian(xp: Namespace, t: Terms) -> Array:
    """Second derivative by the logits, diag(p) - p pᵀ, (..., q, q); it does not depend on y."""
    p = softmax(t)
    column, row = xp.expand_dims(p, axis=-1), xp.expand_dims(p, axis=-2)
    diagonal = xp.expand_dims(p * complement(xp, t), axis=-1)
    classes = class_numbers(xp, p)
    on_diagonal = xp.expand_dims(classes, axis=-1) == classes
    return xp.where(on_diagonal, diagonal, -(column * row))


def hessian_vector(xp: Namespace, t: Terms, vector: Array) -> Array:
    """(diag(p) - p pᵀ) v.

    A constant added to v changes nothing, so v is first measured from its value at the largest
    logit. Otherwise v - p·v there would cancel as p → 1.
    """
    p = softmax(t)
    largest = xp.astype(t.distance == 0, p.dtype)
    zeros = xp.zeros_like(vector)
    at_largest = xp.sum(xp.where(largest == 1, vector, zeros), axis=-1, keepdims=True)
    centred = vector - at_largest / xp.sum(largest, axis=-1, keepdims=True)
    return p * (centred - xp.sum(p * centred, axis=-1, keepdims=True))
