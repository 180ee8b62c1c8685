"""Cross-entropy of a linear layer's logits, which are never all in memory."""

from typing import Any

from torch import Tensor

from crossent.torch.arguments import Arguments, as_call, problem_of, restored
from crossent.torch.call import Options
from crossent.torch.plan import Plan, make_plan
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.run import run

__all__ = ["explain", "linear_cross_entropy"]


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
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
    classes: Tensor | None = None,
    compute: tuple[str, ...] = (),
    top_k: int = 0,
    chosen: Tensor | None = None,
    filter: float | None = None,
    max_workspace_bytes: int | None = None,
    path: str | None = None,
) -> Tensor | LinearCrossEntropyResult:
    """Softmax cross-entropy of the logits of a linear layer, in nats."""
    given = Arguments(
        input=input,
        linear_weight=linear_weight,
        target=target,
        linear_bias=linear_bias,
        weight=weight,
        target_probabilities=target_probabilities,
        sample_weight=sample_weight,
        chosen=chosen,
        classes=classes,
        shift=shift,
        ignore_index=ignore_index,
    )
    options = Options(
        reduction=reduction,
        label_smoothing=label_smoothing,
        z_loss=z_loss,
        logit_softcap=logit_softcap,
        temperature=temperature,
        compute=tuple(compute),
        top_k=top_k,
        filter=filter,
        max_workspace_bytes=max_workspace_bytes,
        path=path,
    )
    call, rows = as_call(given, options)
    problem = problem_of(call)
    result = restored(run(call, problem, make_plan(problem)), rows, classes, reduction)
    more = options.compute or top_k or chosen is not None or filter is not None
    return result if more else result.loss


def explain(input: Tensor, linear_weight: Tensor, target: Tensor, **options: Any) -> Plan:
    """How `linear_cross_entropy` with the same arguments would be computed."""
    names = Arguments.__dataclass_fields__
    given = {name: value for name, value in options.items() if name in names}
    rest = {name: value for name, value in options.items() if name not in names}
    call, _ = as_call(Arguments(input, linear_weight, target, **given), Options(**rest))
    return make_plan(problem_of(call))
