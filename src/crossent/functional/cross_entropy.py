"""Cross-entropy of softmax(logits) with labels or distributions, and its derivatives.

Rows without a finite maximum have no softmax (see `crossent.functional.softmax`): their loss and
derivatives are NaN, unless their weight is 0. `eps` is the machine epsilon of the arithmetic: that
of the logits' dtype, float32 for 16-bit floats. Bounds are per row, before weights; r is the
distance of the second largest logit from the largest, d_j that of z_j.
"""

from typing import Any

import numpy as np

from crossent._arrays import as_floats, as_wide, as_working, cast, check_fraction, check_shape
from crossent.errors import InputError
from crossent.functional import _cross_entropy
from crossent.functional._weighted_rows import (
    Reduction,
    WeightedRows,
    read_rows,
    warn_of_probabilities,
)
from crossent.typing import Array

__all__ = [
    "softmax_cross_entropy",
    "softmax_cross_entropy_gradient",
    "softmax_cross_entropy_hessian",
    "softmax_cross_entropy_hessian_vector",
]


@np.errstate(all="ignore")
def softmax_cross_entropy(
    logits: Any,
    y: Any,
    /,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Cross-entropy of the distributions softmax(logits) with labels or distributions, in nats.

    ::

        loss_i = logsumexp(z_i) - y'_i·z_i = -Σ_j y'_ij log softmax(z_i)_j
        y'     = (1 - ε) y + ε / q
        w_i    = s_i Σ_j c_j y_ij          with y before smoothing; 0 at `ignore_index`
        mean:  Σ_i w_i loss_i / Σ_i w_i        sum:  Σ_i w_i loss_i        none:  w_i loss_i

    Parameters
    ----------
    logits : array_like, shape (..., q)
        Real numbers; -inf excludes a class.
    y : array_like, shape (...) or (..., q)
        Integer labels 0…q-1; or distributions, which must be non-negative and sum to 1 within 1e-6
        (float32: 1e-4; 16-bit floats: 2 epsilons), and are then divided by their sum.
    sample_weight : array_like, shape (...), optional
        s ≥ 0, default 1. A row of weight 0 contributes exactly 0, whatever its logits.
    class_weight : array_like, shape (q,), optional
        c ≥ 0, default 1.
    label_smoothing : float, default 0.0
        ε in [0, 1]: the share of the mass that is spread evenly over all q classes. The loss is
        then inf at an excluded class.
    ignore_index : int, optional
        Rows with this label weigh 0. For labels only.
    reduction : {"mean", "sum", "none"}, default "mean"

    Returns
    -------
    Array, shape () or (...)
        In the library, dtype and device of `logits`. Excluded classes with y = 0 contribute 0; inf
        where y > 0 at an excluded class, or at one whose distance from the largest logit exceeds
        the largest float. NaN where a row without a softmax has a weight.

    Raises
    ------
    InputError
        If labels are out of range or not integers, distributions do not sum to 1, weights are
        negative or not finite, shapes do not fit, or, for the mean, all weights are 0: a mean over
        nothing does not exist.

    Warns
    -----
    UserWarning
        If every one of two or more rows of `logits` is non-negative and sums to 1, which means that
        the softmax was most likely taken before.

    Notes
    -----
    The relative error of loss_i is at most ``(r + 3 q + 12) eps``: every term is a sum of
    non-negative numbers. Weighted sums over rows are accumulated in float64.
    Time and memory O(size of `logits`).

    Where PyTorch's ``cross_entropy`` differs: its classes are on axis 1; `ignore_index` defaults to
    -100; the mean over distributions divides by the number of rows instead of Σ w_i; class weights
    multiply the terms of the sum over classes instead of the row (the same for labels without
    smoothing), which moves the minimum away from softmax(z) = y; rows of `y` need not sum to 1; a
    mean over nothing is NaN.

    Examples
    --------
    >>> logits = [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]
    >>> softmax_cross_entropy(logits, [2, 0], reduction="none").round(6)
    array([0.407606, 1.098612])
    >>> softmax_cross_entropy(logits, [[0.1, 0.2, 0.7], [0.0, 0.0, 1.0]]).round(6)
    np.float64(0.953109)

    The loss of a nearly certain class is not rounded to zero:

    >>> float(softmax_cross_entropy(np.asarray([20, 0], dtype=np.float32), 0))
    2.061153...e-09
    """
    rows = read_rows(
        logits,
        y,
        sample_weight=sample_weight,
        class_weight=class_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )
    warn_of_probabilities(rows.xp, rows.logits, stacklevel=3)
    losses = row_losses(rows, check_fraction(label_smoothing, "label_smoothing"))
    return reduce_losses(rows, losses, reduction)


@np.errstate(all="ignore")
def softmax_cross_entropy_gradient(
    logits: Any,
    y: Any,
    /,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Derivative of `softmax_cross_entropy` by the logits, in nats per unit of logit.

    ::

        mean:  w_i (softmax(z_i) - y'_i) / Σ w        sum, none:  w_i (softmax(z_i) - y'_i)

    `y` is held fixed, also where it was computed from the logits. With "none" row i holds the
    derivative of the i-th loss by its own logits; all other derivatives are 0.

    Parameters
    ----------
    logits, y, sample_weight, class_weight, label_smoothing, ignore_index, reduction
        As in `softmax_cross_entropy`.

    Returns
    -------
    Array, shape of `logits`
        Rows sum to 0. NaN in rows without a softmax, 0 in rows of weight 0.

    Raises
    ------
    InputError
        As `softmax_cross_entropy`.

    Notes
    -----
    The error of entry j is at most ``((d + q + 8) min(p_j, 1 - p_j) + q y_j + |result|) eps``, with
    d = d_j, or r for the largest logit; the term q y_j is absent for labels. So the gradient of a
    nearly certain row keeps its sign and digits. Time and memory O(size of `logits`).

    Examples
    --------
    >>> softmax_cross_entropy_gradient([1.0, 2.0, 3.0], 2).round(7)
    array([ 0.0900306,  0.2447285, -0.334759 ])
    >>> softmax_cross_entropy_gradient([0.0, -40.0], 0)
    array([-4.24835426e-18,  4.24835426e-18])
    """
    rows = read_rows(
        logits,
        y,
        sample_weight=sample_weight,
        class_weight=class_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )
    smoothing = check_fraction(label_smoothing, "label_smoothing")
    return cast(rows.xp, weighted_gradient(rows, smoothing, reduction), rows.dtype)


@np.errstate(all="ignore")
def softmax_cross_entropy_hessian(
    logits: Any,
    y: Any = None,
    /,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Second derivative of `softmax_cross_entropy` by the logits of each row.

    ::

        mean:  w_i (diag(p_i) - p_i p_iᵀ) / Σ w        sum, none:  w_i (diag(p_i) - p_i p_iᵀ)

    This is the covariance matrix of the one-hot label drawn from p_i. It does not depend on `y`
    (nor on label smoothing) except through the weights; derivatives by the logits of two different
    rows are 0.

    Parameters
    ----------
    logits, sample_weight, class_weight, ignore_index, reduction
        As in `softmax_cross_entropy`.
    y : array_like, optional
        As there; only needed for `class_weight` and `ignore_index`.

    Returns
    -------
    Array, shape (..., q, q)
        Symmetric and positive semi-definite; rows and columns sum to 0. NaN in rows without a
        softmax, 0 in rows of weight 0.

    Raises
    ------
    InputError
        As `softmax_cross_entropy`; and if `class_weight` or `ignore_index` is given without `y`.

    Notes
    -----
    The relative error of every entry is at most ``(d_i + d_j + 2 q + 20) eps`` (on the diagonal of
    the largest logit with r for d). Time and memory O(q · size of `logits`).

    Examples
    --------
    >>> softmax_cross_entropy_hessian([1.0, 2.0, 3.0]).round(4)
    array([[ 0.0819, -0.022 , -0.0599],
           [-0.022 ,  0.1848, -0.1628],
           [-0.0599, -0.1628,  0.2227]])
    """
    rows = _read_weights_only(logits, y, sample_weight, class_weight, ignore_index, reduction)
    blocks = _cross_entropy.hessian(rows.xp, rows.terms)
    return cast(rows.xp, rows.weighted(blocks, reduction), rows.dtype)


@np.errstate(all="ignore")
def softmax_cross_entropy_hessian_vector(
    logits: Any,
    vector: Any,
    y: Any = None,
    /,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Product of `softmax_cross_entropy_hessian` with a vector per row, without the matrix.

    ::

        mean:  w_i p_i ∘ (v_i - p_i·v_i) / Σ w        sum, none:  w_i p_i ∘ (v_i - p_i·v_i)

    Parameters
    ----------
    logits, sample_weight, class_weight, ignore_index, reduction
        As in `softmax_cross_entropy`.
    vector : array_like, shape of `logits`
        v.
    y : array_like, optional
        Only needed for `class_weight` and `ignore_index`.

    Returns
    -------
    Array, shape of `logits`
        Rows sum to 0; a constant v gives 0. NaN in rows without a softmax, 0 in rows of weight 0.

    Raises
    ------
    InputError
        As `softmax_cross_entropy_hessian`, and if the shapes of `vector` and `logits` differ.

    Notes
    -----
    With u = v less its value at the largest logit, the error of entry j is at most
    ``p_j Σ_k (δ_jk + p_k) |u_k| (d_j + d_k + 2 q + 20) eps``. Time and memory O(size of `logits`).

    Examples
    --------
    >>> product = softmax_cross_entropy_hessian_vector([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    >>> float(product @ [1.0, 2.0, 3.0])  # variance of the class number 1, 2 or 3
    0.424404...
    """
    rows = _read_weights_only(logits, y, sample_weight, class_weight, ignore_index, reduction)
    _, (v, _) = as_floats(vector=vector, logits=rows.logits)
    check_shape(v, rows.logits.shape, "vector", "that of `logits`")
    v = cast(rows.xp, as_working(rows.xp, v), rows.logits.dtype)
    product = _cross_entropy.hessian_vector(rows.xp, rows.terms, v)
    return cast(rows.xp, rows.weighted(product, reduction), rows.dtype)


def reduce_losses(rows: WeightedRows, losses: Array, reduction: Reduction) -> Array:
    """Weighted losses, or their sum or mean accumulated in float64, in the dtype of the logits."""
    weighted = rows.weighted(as_wide(rows.xp, losses), "none")
    if reduction != "none":
        weighted = rows.xp.sum(weighted)
    if reduction == "mean":
        weighted = weighted / rows.total_weight()
    return cast(rows.xp, weighted, rows.dtype)


def weighted_gradient(rows: WeightedRows, label_smoothing: float, reduction: Reduction) -> Array:
    """Derivative of the reduced loss by the logits, in the dtype of the arithmetic."""
    y = rows.distributions(label_smoothing)
    return rows.weighted(_cross_entropy.gradient(rows.xp, rows.terms, y), reduction)


def row_losses(rows: WeightedRows, label_smoothing: float) -> Array:
    """Loss of every row before weights."""
    if rows.labels is not None and not label_smoothing:
        return _cross_entropy.loss_of_labels(rows.xp, rows.terms, rows.labels)
    y = rows.distributions(label_smoothing)
    return _cross_entropy.loss_of_targets(rows.xp, rows.terms, y)


def _read_weights_only(
    logits: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: int | None,
    reduction: str,
) -> WeightedRows:
    """Rows of a function in which `y` enters through the weights only, if at all."""
    if y is None and ignore_index is not None:
        message = f"`ignore_index` is {ignore_index}, but `y` is not given. Pass the labels too."
        raise InputError(message)
    return read_rows(
        logits,
        y,
        sample_weight=sample_weight,
        class_weight=class_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )
