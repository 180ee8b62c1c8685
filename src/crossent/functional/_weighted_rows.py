"""The door of the loss: logits, labels or distributions and weights, read and checked once."""

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from crossent._arrays import (
    Namespace,
    as_device_array,
    as_floats,
    as_integers,
    as_wide,
    as_working,
    cast,
    check_axis,
    check_choice,
    check_distributions,
    check_labels,
    check_shape,
    check_weights,
    row_sum_tolerance,
)
from crossent.errors import InputError
from crossent.functional import _cross_entropy
from crossent.functional._softmax import Terms, terms
from crossent.typing import Array

__all__ = ["Reduction", "WeightedRows", "read_rows", "warn_of_probabilities"]

Reduction: TypeAlias = Literal["none", "mean", "sum"]


@dataclass(frozen=True)
class WeightedRows:
    """Checked rows; labels or targets or neither is None, and `weights` is w_i = s_i Σ_j c_j y_ij.

    Attributes
    ----------
    xp : Namespace
    dtype : dtype
        Of the logits as given, and of the results.
    logits : Array, shape (..., q)
        In the dtype of the arithmetic.
    labels : Array or None, shape (...)
        Ignored labels are replaced by 0; their weight is 0.
    targets : Array or None, shape (..., q)
        Distributions that sum to 1 to rounding, before smoothing.
    weights : Array, shape (...)
        In the dtype of sums over samples.
    """

    xp: Namespace
    dtype: Any
    logits: Array
    labels: Array | None
    targets: Array | None
    weights: Array

    @property
    def terms(self) -> Terms:
        """The parts of the softmax of every row."""
        return terms(self.xp, self.logits)

    def distributions(self, label_smoothing: float) -> Array:
        """The targets as smoothed distributions, in the dtype of the arithmetic."""
        y = self.targets
        if y is None:
            y = _cross_entropy.one_hot(self.xp, self.labels, self.logits)
        return _cross_entropy.smooth(y, label_smoothing) if label_smoothing else y

    def total_weight(self) -> Array:
        """Σ w_i; an error if it is 0, because the mean over nothing does not exist."""
        total = self.xp.sum(self.weights)
        if not bool((total > 0) & self.xp.isfinite(total)):
            count = math.prod(self.weights.shape)
            message = (
                f"The weights of the {count} rows sum to {float(total):g} (rows at `ignore_index` "
                "weigh 0), so their mean does not exist. Skip a batch without weight, or take "
                "reduction='sum', which is 0 there; scale huge weights down."
            )
            raise InputError(message)
        return total

    def weighted(self, values: Array, reduction: Reduction) -> Array:
        """w_i values_i over Σ w_i if the reduction is the mean; exactly 0 where w_i = 0.

        `values` has the rows' shape followed by any further axes.
        """
        weights = self.weights
        if reduction == "mean":
            weights = weights / self.total_weight()
        xp = self.xp
        weights = xp.reshape(weights, (*weights.shape, *(1,) * (values.ndim - weights.ndim)))
        product = cast(xp, weights, values.dtype) * values
        return xp.where(weights == 0, xp.zeros_like(product), product)


def read_rows(
    logits: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> WeightedRows:
    """Read and check everything that a loss of labels or distributions is made of."""
    check_choice(reduction, "reduction", ("mean", "sum", "none"))
    beside = {"y": y, "sample_weight": sample_weight, "class_weight": class_weight}
    xp, (z,) = as_floats(beside=beside, logits=logits)
    check_axis(z, -1, "logits")
    working = as_working(xp, z)
    labels, targets, weights = read_y(xp, working, y, ignore_index)
    if class_weight is not None:
        c = read_weights(xp, working, class_weight, "class_weight", z.shape[-1:], "one per class")
        weights = weights * expected_class_weight(xp, c, labels, targets, weights)
    if sample_weight is not None:
        s = read_weights(xp, working, sample_weight, "sample_weight", z.shape[:-1], "one per row")
        weights = weights * s
    return WeightedRows(xp, z.dtype, working, labels, targets, weights)


def read_y(
    xp: Namespace, z: Array, y: Any, ignore_index: int | None
) -> tuple[Array | None, Array | None, Array]:
    """Labels or targets, whichever y is, and weights that are 0 at `ignore_index`, else 1."""
    rows = z.shape[:-1]
    weights = as_wide(xp, xp.ones_like(z[..., 0]))
    if y is None:
        return None, None, weights
    array = as_device_array(xp, y, "y", z.device)
    if array.ndim < z.ndim:
        labels = as_integers(xp, array, "y", z)
        check_shape(labels, rows, "y", "one label per row of `logits`")
        check_labels(xp, labels, z.shape[-1], ignore_index)
        labels = xp.astype(labels, xp.int64)
        if ignore_index is not None:
            ignored = labels == ignore_index
            labels = xp.where(ignored, xp.zeros_like(labels), labels)
            weights = xp.where(ignored, xp.zeros_like(weights), weights)
        return labels, None, weights
    if ignore_index is not None:
        message = (
            f"`ignore_index` is {ignore_index}, but `y` holds distributions of shape "
            f"{tuple(array.shape)}. Give rows that do not count the sample_weight 0."
        )
        raise InputError(message)
    check_shape(array, z.shape, "y", "that of `logits`: one distribution per row")
    _, (float_y, _) = as_floats(y=array, logits=z)
    tolerance = row_sum_tolerance(xp, float_y.dtype)
    wide = as_working(xp, float_y)
    check_distributions(xp, wide, "y", tolerance)
    return None, cast(xp, wide / xp.sum(wide, axis=-1, keepdims=True), z.dtype), weights


def read_weights(
    xp: Namespace, z: Array, value: Any, name: str, shape: tuple[int, ...], meaning: str
) -> Array:
    """Checked weights in the dtype of sums over samples."""
    _, (weights, _) = as_floats(**{name: as_device_array(xp, value, name, z.device), "logits": z})
    check_shape(weights, shape, name, meaning)
    check_weights(xp, weights, name)
    return as_wide(xp, weights)


def expected_class_weight(
    xp: Namespace, c: Array, labels: Array | None, targets: Array | None, rows: Array
) -> Array:
    """Σ_j c_j y_ij: the class weight of the label, or its mean over the distribution."""
    if targets is not None:
        return xp.sum(c * as_wide(xp, targets), axis=-1)
    if labels is None:
        message = "`class_weight` was given without `y`, whose labels it weights. Pass `y` too."
        raise InputError(message)
    return xp.reshape(xp.take(c, xp.reshape(labels, (-1,))), rows.shape)


def warn_of_probabilities(xp: Namespace, z: Array, stacklevel: int) -> None:
    """Warn if all rows, and at least two, look like probabilities: softmax taken twice.

    Real logits sum to 1 in every row with probability 0; one row alone may do so in a toy example.
    """
    if z.shape[-1] < 2 or math.prod(z.shape[:-1]) < 2 or bool(xp.any(z < 0)):
        return
    if bool(xp.all(abs(xp.sum(z, axis=-1) - 1) <= row_sum_tolerance(xp, z.dtype))):
        message = (
            "Every row of `logits` is non-negative and sums to 1: these look like probabilities, "
            "and the loss takes the softmax itself. Pass the logits, or for probabilities use "
            "cross_entropy(y, probabilities)."
        )
        warnings.warn(message, UserWarning, stacklevel=stacklevel + 1)
