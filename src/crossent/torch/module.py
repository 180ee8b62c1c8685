"""The loss as a module that owns, or shares, the layer's weight."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from crossent.errors import InputError
from crossent.torch.linear import linear_cross_entropy
from crossent.torch.result import LinearCrossEntropyResult

__all__ = ["LinearCrossEntropy"]


class LinearCrossEntropy(torch.nn.Module):
    """A linear layer and the softmax cross-entropy of its logits, which are never all in memory.

    Parameters
    ----------
    in_features, num_classes : int
        d and q.
    bias : bool, default False
        Whether there is an intercept for each class.
    linear_weight : torch.nn.Parameter, shape (q, d), optional
        A weight to share, such as that of an embedding (weight tying). Without it the module has
        its own, started as `torch.nn.Linear` starts it.
    weight : Tensor, shape (q,), optional
        Class weights; kept as a buffer.
    reduction, ignore_index, label_smoothing, z_loss, logit_softcap, temperature, shift, compute, \
top_k, filter, max_workspace_bytes, path
        As in `linear_cross_entropy`.
    device, dtype : optional
        Of the module's own parameters.

    Attributes
    ----------
    linear : torch.nn.Linear
        The layer; ``module.linear(input)`` gives logits where they are wanted, as for sampling.

    Raises
    ------
    InputError
        If `linear_weight` does not have shape (q, d).

    Examples
    --------
    >>> import torch
    >>> from crossent.torch import LinearCrossEntropy
    >>> embedding = torch.nn.Embedding(1000, 16)
    >>> head = LinearCrossEntropy(16, 1000, linear_weight=embedding.weight)
    >>> tokens = torch.tensor([[5, 3, 8, 1]])
    >>> head(embedding(tokens), tokens).shape
    torch.Size([])
    >>> head.linear.weight is embedding.weight
    True
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        bias: bool = False,
        linear_weight: Tensor | None = None,
        weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        logit_softcap: float | None = None,
        temperature: float = 1.0,
        shift: int = 0,
        compute: Sequence[str] = (),
        top_k: int = 0,
        filter: float | None = None,
        max_workspace_bytes: int | None = None,
        path: str | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(
            in_features, num_classes, bias=bias, device=device, dtype=dtype
        )
        if linear_weight is not None:
            if tuple(linear_weight.shape) != (num_classes, in_features):
                message = (
                    f"`linear_weight` has shape {tuple(linear_weight.shape)}; it must be "
                    f"{(num_classes, in_features)}, (num_classes, in_features)."
                )
                raise InputError(message)
            self.linear.weight = linear_weight
        self.register_buffer("weight", weight)
        self.options = {
            "reduction": reduction,
            "ignore_index": ignore_index,
            "label_smoothing": label_smoothing,
            "z_loss": z_loss,
            "logit_softcap": logit_softcap,
            "temperature": temperature,
            "shift": shift,
            "compute": tuple(compute),
            "top_k": top_k,
            "filter": filter,
            "max_workspace_bytes": max_workspace_bytes,
            "path": path,
        }

    def forward(
        self, input: Tensor, target: Tensor, **rest: Tensor | None
    ) -> Tensor | LinearCrossEntropyResult:
        """The loss of rows of `input`, shape (..., d).

        Parameters
        ----------
        input, target : Tensor
            As in `linear_cross_entropy`.
        **rest : Tensor
            ``target_probabilities``, ``sample_weight``, ``chosen`` and ``classes``.
        """
        given: dict[str, Any] = {**self.options, **rest}
        return linear_cross_entropy(
            input,
            self.linear.weight,
            target,
            linear_bias=self.linear.bias,
            weight=self.weight,
            **given,
        )

    def extra_repr(self) -> str:
        """The options that are not at their defaults."""
        usual = inspect.signature(LinearCrossEntropy).parameters
        changed = {name: x for name, x in self.options.items() if x != usual[name].default}
        return ", ".join(f"{name}={x!r}" for name, x in changed.items())
