"""Cross-entropy of a linear layer's logits, which are never all in memory."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from crossent.errors import InputError
from crossent.torch.arguments import Arguments, as_call, problem_of, restored
from crossent.torch.call import Options
from crossent.torch.checks import check_floats, check_shape, names_of
from crossent.torch.logits import softmax_cross_entropy
from crossent.torch.plan import Plan, timed_plan
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.run import run

__all__ = ["explain", "linear_cross_entropy", "sorted_arguments"]


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
    options: object = None,
    target_probabilities: Tensor | None = None,
    sample_weight: Tensor | None = None,
    z_loss: float = 0.0,
    logit_softcap: float | None = None,
    temperature: float = 1.0,
    shift: int = 0,
    classes: Tensor | None = None,
    compute: Sequence[str] = (),
    top_k: int = 0,
    chosen: Tensor | None = None,
    filter: float | None = None,
    max_workspace_bytes: int | None = None,
    path: str | None = None,
) -> Tensor | LinearCrossEntropyResult:
    r"""Softmax cross-entropy of the logits of a linear layer, in nats, without keeping the logits.

    Up to the options it is `torch.nn.functional.linear_cross_entropy`, and takes its arguments::

        z_i    = cap(W x_i + b) / temperature                cap(s) = softcap · tanh(s / softcap)
        ℓ_i    = logsumexp(z_i)
        t_i    = (1 − ε) y_i + ε / q                         y_i one-hot, or as given
        loss_i = s_i [ Σ_j c_j t_ij (ℓ_i − z_ij) + z_loss · w_i ℓ_i² ]        w_i = Σ_j c_j y_ij
        mean   = Σ_i loss_i / Σ_i s_i w_i                    sum = Σ_i loss_i

    with ε = `label_smoothing`, c = `weight` (class weights), s = `sample_weight`, over the rows
    that are not ignored. A row of weight 2 is the same as the row twice.

    Differences from PyTorch: a mean over targets with probabilities divides by Σ s_i w_i, PyTorch
    by the number of rows (the same without class and row weights if probabilities sum to 1).
    Half-precision input gives a float32 loss. Any number of leading dimensions is allowed.

    Parameters
    ----------
    input : Tensor, shape (..., d)
        float64, float32, bfloat16 or float16. Half precision is multiplied and summed in float32.
    linear_weight : Tensor, shape (q, d)
        Of the same dtype. Shape (q, d₁, …, d_K, d) gives K more dimensions to each row, with logits
        for each of their entries; these are kept in memory, as in PyTorch.
    target : Tensor
        Class numbers, shape (...), of any integer dtype; or, of a floating dtype, a probability
        for each class, shape (..., q); or, beside `target_probabilities`, the k classes of each
        row, shape (..., k). With K dimensions in `linear_weight` they follow the rows:
        (n, d₁, …, d_K) and (n, q, d₁, …, d_K).
    linear_bias : Tensor, shape (q,), optional
        −∞ excludes a class: its probability is 0, with a softcap too, and a row with it as label
        has infinite loss.
    weight : Tensor, shape (q,), optional
        Class weights, not negative.
    reduction : {"mean", "sum", "none"}, default "mean"
        A mean over no rows is NaN, its gradient 0. With "none" an ignored row has loss 0.
    ignore_index : int, optional
        Label of rows to leave out; −100 if not given. Whatever their input holds, they have no loss
        and no gradient. They are taken out before anything is multiplied; but on a GPU only if
        `ignore_index` is given (−100 will do), because the host then waits for their number, once
        a call. If it is not, nothing waits, and such rows are multiplied as rows of zeros. Among
        the k classes of a row it stands for no class.
    label_smoothing : float, default 0
        ε, from 0 to 1.
    options : object, optional
        PyTorch's `LinearCrossEntropyOptions` are taken and not needed: blocks follow from the
        shapes and `max_workspace_bytes`.
    target_probabilities : Tensor, shape (..., k), optional
        Probabilities of the k distinct classes in `target`, not negative, as a teacher's largest
        ones in distillation. What they lack to 1 is missing from the loss; they are not rescaled.
    sample_weight : Tensor, shape (...), optional
        A weight for each row, not negative.
    z_loss : float, default 0
        Factor of ℓ², which keeps the log-partition near 0.
    logit_softcap : float, optional
        Bounds the logits smoothly to ±softcap; −∞ stays.
    temperature : float, default 1
        Divides the logits, after the cap.
    shift : int, default 0
        Row t of a sequence predicts what stands at t + shift: 1 for the next token. Sequences lie
        in the last dimension but one of `input`; row outputs are that much shorter.
    classes : Tensor of int64, shape (m,), optional
        Use these distinct classes only, as if there were no others. Labels keep their numbers and
        must be among them.
    compute : sequence of {"row_loss", "log_partition", "entropy", "accuracy"}, optional
        Outputs wanted besides, of the same pass; see `LinearCrossEntropyResult`.
    top_k : int, default 0
        Wants the k likeliest classes of each row and their log-probabilities.
    chosen : Tensor of int64, shape (..., m), optional
        Wants the log-probabilities of these classes.
    filter : float, optional
        Leave out of the gradients classes that together have at most this much probability in a
        row. The loss stays exact; the result says by how much gradients may be off.
    max_workspace_bytes : int, optional
        Memory beside inputs, outputs and gradients; a tenth of the logits if not given, and
        4 MiB at least, in half precision beside the input and its gradient in float32.
    path : str, optional
        Name of a path to take, see `explain`; the first that serves if not given.

    Returns
    -------
    Tensor
        The loss: shape () or, with ``reduction="none"``, (...).
    LinearCrossEntropyResult
        The loss and more, if `compute`, `top_k`, `chosen` or `filter` ask for more.

    Raises
    ------
    InputError
        If shapes, dtypes or devices do not fit together; if an option is out of range; if the
        workspace is too small for one row; on CPUs also if a label is out of range, a class is
        named twice, or a weight or probability is negative or NaN. On other devices, where a look
        would wait for the device, a label out of range makes loss and gradients NaN.

    Notes
    -----
    Gradients are made in the forward pass, for what requires them: three products of 2·n·d·q
    operations in all for a training step, one without gradients. What comes from above to each row
    with ``reduction="none"``, or to another output, is not known then: where `max_workspace_bytes`
    has room for the logits of all rows they are held for the backward pass, three products again;
    where not they are made once more, four products, and where the loss's gradients were made
    already, six (four with ``path="cpu-recompute"``). `sample_weight` weighs rows for nothing.

    A NaN in a row of the input makes the row's loss NaN. On CPUs sums over rows and classes of more
    than one block are float64; the loss of a row with p_y near 1 keeps its relative accuracy.

    The same call gives the same bits for the same number of threads. Under autocast the layer is
    computed in the type that autocast gives to `torch.nn.functional.linear`.

    Second derivatives are there (``create_graph=True``), a block of rows at a time, and so are
    forward mode and the transforms of ``torch.func``, with a loop for ``vmap``; for a third
    derivative, or a tangent of targets or weights, take ``path="reference"``. Inside torch.compile
    the call is one operator, gradients and products with the Hessian that the graph itself takes
    are two others; around a graph that was compiled PyTorch has first derivatives only, and says so
    when a second is asked for. A transform of ``torch.func`` inside a graph takes the definition.

    Examples
    --------
    >>> import torch
    >>> from crossent.torch import linear_cross_entropy
    >>> input = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    >>> weight = torch.log(torch.tensor([[2.0, 1.0], [1.0, 3.0], [1.0, 4.0]]))
    >>> loss = linear_cross_entropy(input, weight, torch.tensor([0, 2]))
    >>> round(loss.item(), 4)  # softmax gives each label 1/2; the loss is log 2
    0.6931
    >>> loss.backward()
    >>> linear_cross_entropy(input, weight, torch.tensor([0, 2]), compute=["accuracy"]).accuracy
    tensor(1., dtype=torch.float64)
    """
    arguments = dict(locals())
    del arguments["options"]
    if getattr(linear_weight, "ndim", 0) > 2:
        return _with_dimensions(**arguments)
    given, wanted = sorted_arguments(**arguments)
    call, rows = as_call(given, wanted)
    result = restored(run(call), rows, classes, reduction)
    more = wanted.compute or top_k or chosen is not None or filter is not None
    return result if more else result.loss


def sorted_arguments(**arguments: Any) -> tuple[Arguments, Options]:
    """Tensors and options of a call, by the names of `linear_cross_entropy`."""
    if arguments["linear_weight"] is None:
        message = "`linear_weight` is None; given logits go to `softmax_cross_entropy`."
        raise InputError(message)
    tensors = Arguments.__dataclass_fields__
    given = {name: x for name, x in arguments.items() if name in tensors}
    rest = {name: x for name, x in arguments.items() if name not in tensors}
    rest["compute"] = names_of(rest.get("compute", ()))
    return Arguments(**given), Options(**rest)


def _with_dimensions(
    *,
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    linear_bias: Tensor | None,
    classes: Tensor | None,
    filter: float | None,
    **options: Any,
) -> Tensor | LinearCrossEntropyResult:
    """The loss of logits of shape (n, q, d₁, …, d_K), which are made as PyTorch makes them."""
    check_floats(input=input, linear_weight=linear_weight, linear_bias=linear_bias)
    q, *sizes, d = linear_weight.shape
    if classes is not None or filter is not None:
        message = "`classes` and `filter` go with a linear_weight of two dimensions."
        raise InputError(message)
    check_shape("input", input, (*input.shape[:1], d), "a row of features each")
    check_shape("linear_bias", linear_bias, (q, *sizes), "as linear_weight without its last")
    logits = input @ linear_weight.reshape(-1, d).T
    if linear_bias is not None:
        logits = logits + linear_bias.reshape(-1)
    logits = logits.reshape(-1, q, *sizes).movedim(1, -1)
    if target.is_floating_point() and options["target_probabilities"] is None:
        target = target.movedim(1, -1)
    return softmax_cross_entropy(logits, target, **options)


def explain(input: Tensor, linear_weight: Tensor, target: Tensor, **options: Any) -> Plan:
    """How `linear_cross_entropy` with the same arguments would be computed; nothing is.

    Parameters
    ----------
    input, linear_weight, target : Tensor
        As in `linear_cross_entropy`; tensors on the device "meta" will do.
    **options
        As in `linear_cross_entropy`.

    Returns
    -------
    Plan
        Path and why, products, operations, bytes and predicted time; ``print`` it.

    Raises
    ------
    InputError
        As `linear_cross_entropy`, as far as shapes and options tell.

    Examples
    --------
    >>> import torch
    >>> from crossent.torch import explain
    >>> input = torch.zeros(2048, 512, requires_grad=True)
    >>> weight = torch.zeros(50257, 512, requires_grad=True)
    >>> plan = explain(input, weight, torch.zeros(2048, dtype=torch.int64))
    >>> plan.path, plan.products, plan.logits_bytes
    ('cpu-blocks', 3.0, 411705344)
    """
    options.pop("options", None)
    if getattr(linear_weight, "ndim", 0) > 2:
        message = (
            "`linear_weight` has more than two dimensions: then the logits are made as PyTorch "
            "makes them, and kept; there is nothing to plan."
        )
        raise InputError(message)
    layer = {"input": input, "linear_weight": linear_weight}
    given, wanted = sorted_arguments(**layer, target=target, **options)
    call, _ = as_call(given, wanted)
    return timed_plan(problem_of(call), run)
