"""Cross-entropy of logits that are there already."""

from collections.abc import Sequence

from torch import Tensor

from crossent.torch.arguments import Arguments, as_call, restored
from crossent.torch.call import Options
from crossent.torch.checks import names_of
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.run import run

__all__ = ["softmax_cross_entropy"]


def softmax_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    target_probabilities: Tensor | None = None,
    sample_weight: Tensor | None = None,
    z_loss: float = 0.0,
    logit_softcap: float | None = None,
    temperature: float = 1.0,
    shift: int = 0,
    compute: Sequence[str] = (),
    top_k: int = 0,
    chosen: Tensor | None = None,
    max_workspace_bytes: int | None = None,
    path: str | None = None,
) -> Tensor | LinearCrossEntropyResult:
    """Softmax cross-entropy of given logits, in nats; classes are the last dimension.

    What is said of `linear_cross_entropy` holds here too: the same loss, options, outputs and
    errors. Nothing of the size of the logits is kept for the backward pass but the logits
    themselves; their gradient is the one array of that size that is made, unless ignored rows are
    left out: then the others are copied.

    Parameters
    ----------
    logits : Tensor, shape (..., q)
        float64, float32, bfloat16 or float16. `torch.nn.functional.cross_entropy` has the classes
        in dimension 1; that is the same for two dimensions only.
    target : Tensor
        Class numbers, shape (...); or probabilities, shape (..., q); or, beside
        `target_probabilities`, the k classes of each row, shape (..., k).
    weight, reduction, ignore_index, label_smoothing, target_probabilities, sample_weight, z_loss, \
logit_softcap, temperature, shift, compute, top_k, chosen, max_workspace_bytes, path
        As in `linear_cross_entropy`.

    Returns
    -------
    Tensor or LinearCrossEntropyResult
        As in `linear_cross_entropy`.

    Raises
    ------
    InputError
        As in `linear_cross_entropy`.

    Examples
    --------
    >>> import torch
    >>> from crossent.torch import softmax_cross_entropy
    >>> logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    >>> softmax_cross_entropy(logits, torch.tensor([0, 2]), reduction="none").exp()
    tensor([2.0000, 1.2500])
    """
    given = Arguments(
        input=logits,
        linear_weight=None,
        target=target,
        weight=weight,
        target_probabilities=target_probabilities,
        sample_weight=sample_weight,
        chosen=chosen,
        shift=shift,
        ignore_index=ignore_index,
    )
    options = Options(
        reduction=reduction,
        label_smoothing=label_smoothing,
        z_loss=z_loss,
        logit_softcap=logit_softcap,
        temperature=temperature,
        compute=names_of(compute),
        top_k=top_k,
        max_workspace_bytes=max_workspace_bytes,
        path=path,
    )
    call, rows = as_call(given, options)
    result = restored(run(call), rows, None, reduction)
    more = options.compute or top_k or chosen is not None
    return result if more else result.loss
