"""Cross-entropy of softmax(X Wᵀ + b), and its derivatives by X, W and b."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from crossent._arrays import (
    Namespace,
    as_floats,
    as_wide,
    cast,
    check_axis,
    check_choice,
    check_fraction,
    check_shape,
    working_dtype,
)
from crossent.functional._weighted_rows import read_rows
from crossent.functional.cross_entropy import reduce_losses, row_losses, weighted_gradient
from crossent.typing import Array

__all__ = ["LinearCrossEntropy", "linear_softmax_cross_entropy"]


@dataclass(frozen=True)
class LinearCrossEntropy:
    """Loss of a linear layer and its derivatives, each in the dtype of what it derives by.

    Attributes
    ----------
    loss : Array, shape ()
        In nats, in the common dtype of X, W and b.
    gradient_X : Array, shape (..., d)
    gradient_W : Array, shape (q, d)
    gradient_b : Array or None, shape (q,)
        None if there is no b.
    """

    loss: Array
    gradient_X: Array
    gradient_W: Array
    gradient_b: Array | None


@np.errstate(all="ignore")
def linear_softmax_cross_entropy(
    X: Any,
    W: Any,
    b: Any,
    y: Any,
    /,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: Literal["mean", "sum"] = "mean",
) -> LinearCrossEntropy:
    """Loss `softmax_cross_entropy` of the logits X Wᵀ + b, with derivatives by X, W and b.

    ::

        z_i = W x_i + b        G_i = derivative of the loss by z_i
        by X:  G W             by W:  Σ_i G_i x_iᵀ             by b:  Σ_i G_i

    Parameters
    ----------
    X : array_like, shape (..., d)
        Rows.
    W : array_like, shape (q, d)
        Coefficients.
    b : array_like, shape (q,), or None
        Intercepts; -inf excludes a class. None for none.
    y, sample_weight, class_weight, label_smoothing, ignore_index
        As in `softmax_cross_entropy`; the rows' shape is that of X without its last axis.
    reduction : {"mean", "sum"}, default "mean"

    Returns
    -------
    LinearCrossEntropy
        `loss`, `gradient_X`, `gradient_W`, `gradient_b`. A row of weight 0 contributes exactly 0,
        also if its x is not finite.

    Raises
    ------
    InputError
        If shapes do not fit, and as `softmax_cross_entropy`.

    Notes
    -----
    The logits are computed in the common dtype of X, W and b (16-bit floats: float32), so their
    error is at most ``(d + 2) (Σ_k |W_jk x_k| + |b_j|) eps``; it enters the loss and G as a
    perturbation of the logits. Sums over rows (loss, by W, by b) are accumulated in float64.
    Time O(n d q); memory O(n (d + q)): the logits are stored.

    Examples
    --------
    >>> X, W = np.asarray([[1.0, 0.0], [0.0, 2.0]]), np.asarray([[1.0, 0.0], [0.0, 1.0]])
    >>> result = linear_softmax_cross_entropy(X, W, None, [0, 1])
    >>> float(result.loss)
    0.220094...
    >>> result.gradient_W.round(4)
    array([[-0.1345,  0.1192],
           [ 0.1345, -0.1192]])
    """
    check_choice(reduction, "reduction", ("mean", "sum"))
    smoothing = check_fraction(label_smoothing, "label_smoothing")
    xp, x, w, intercepts, dtype = _read_layer(X, W, b)
    logits = _linear_logits(xp, x, w, intercepts, dtype)
    rows = read_rows(
        logits,
        y,
        sample_weight=sample_weight,
        class_weight=class_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )
    loss = reduce_losses(rows, row_losses(rows, smoothing), reduction)
    g = weighted_gradient(rows, smoothing, reduction)
    by_x = xp.matmul(g, cast(xp, w, g.dtype))
    flat_g = as_wide(xp, xp.reshape(g, (-1, g.shape[-1])))
    counts = xp.expand_dims(rows.weights != 0, axis=-1)
    used_x = as_wide(xp, xp.reshape(xp.where(counts, x, xp.zeros_like(x)), (-1, x.shape[-1])))
    return LinearCrossEntropy(
        loss=cast(xp, loss, dtype),
        gradient_X=cast(xp, by_x, x.dtype),
        gradient_W=cast(xp, xp.matmul(flat_g.T, used_x), w.dtype),
        gradient_b=None
        if intercepts is None
        else cast(xp, xp.sum(flat_g, axis=0), intercepts.dtype),
    )


def _read_layer(X: Any, W: Any, b: Any) -> tuple[Namespace, Array, Array, Array | None, Any]:
    """Library, X, W, b as floats of fitting shapes, and their common dtype."""
    named = {"X": X, "W": W} if b is None else {"X": X, "W": W, "b": b}
    xp, arrays = as_floats(**named)
    x, w, intercepts = (*arrays, None)[:3]
    check_axis(x, -1, "X")
    check_shape(w, (*w.shape[:1], x.shape[-1]), "W", "(classes, features of X)")
    if intercepts is not None:
        check_shape(intercepts, (w.shape[0],), "b", "one intercept per class")
    return xp, x, w, intercepts, xp.result_type(*arrays)


def _linear_logits(xp: Namespace, x: Array, w: Array, b: Array | None, dtype: Any) -> Array:
    """X Wᵀ + b in the dtype of the arithmetic."""
    working = working_dtype(xp, dtype)
    logits = xp.matmul(cast(xp, x, working), cast(xp, w, working).T)
    return logits if b is None else logits + cast(xp, b, working)
