"""What `linear_cross_entropy` gives back when more than the loss was asked for."""

from typing import NamedTuple

from torch import Tensor

__all__ = ["OUTPUTS", "LinearCrossEntropyResult"]

OUTPUTS = ("row_loss", "log_partition", "entropy", "accuracy")
"""Names that ``compute=`` accepts; top classes and chosen classes have keywords of their own."""


class LinearCrossEntropyResult(NamedTuple):
    """The loss and what was asked for besides; None where it was not.

    Rows are the entries of the target, in its shape (...). An ignored row has row loss 0, and NaN
    or class −1 in the other outputs: nothing was computed for it. Everything in nats.

    Attributes
    ----------
    loss : Tensor
        What the call would have returned alone.
    row_loss : Tensor, shape (...)
        Each row's loss with its weight, as ``reduction="none"`` gives it. Differentiable.
    log_partition : Tensor, shape (...)
        logsumexp(z). Differentiable.
    entropy : Tensor, shape (...)
        −Σⱼ pⱼ log pⱼ. Differentiable.
    accuracy : Tensor, shape ()
        Share of the rows, by ``sample_weight``, whose label has the largest logit. Of equal logits
        the one with the lowest class number counts. NaN if all rows are ignored.
    top_classes : Tensor of int64, shape (..., k)
        The classes with the k largest logits, largest first.
    top_log_probabilities : Tensor, shape (..., k)
        Their log pⱼ. Differentiable.
    chosen_log_probabilities : Tensor, shape (..., m)
        log pⱼ of the classes in ``chosen``. Differentiable.
    filter_bound : Tensor of float64, shape (3,)
        With ``filter=``: how far the gradients of input, weight and bias may be from the exact
        ones, as Frobenius norms and but for rounding. Zeros where nothing was left out.
    """

    loss: Tensor
    row_loss: Tensor | None = None
    log_partition: Tensor | None = None
    entropy: Tensor | None = None
    accuracy: Tensor | None = None
    top_classes: Tensor | None = None
    top_log_probabilities: Tensor | None = None
    chosen_log_probabilities: Tensor | None = None
    filter_bound: Tensor | None = None
