"""The loss of a linear layer whose classes are divided among processes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from crossent.errors import InputError
from crossent.torch.arguments import as_call, problem_of, restored
from crossent.torch.autograd import differentiable
from crossent.torch.call import Call, Problem
from crossent.torch.engine import Needs
from crossent.torch.linear import sorted_arguments
from crossent.torch.path import Path
from crossent.torch.plan import make_plan, path_named
from crossent.torch.result import LinearCrossEntropyResult
from crossent.torch.vocabulary_engine import Share, VocabularyEngine

__all__ = ["vocabulary_parallel_linear_cross_entropy", "vocabulary_slice"]


def vocabulary_slice(num_classes: int, *, group: Any = None) -> slice:
    """The classes of this process: rank r has ⌈q/w⌉ of them from r⌈q/w⌉ on, the last ranks fewer.

    The same cut as that of `torch.chunk`, and of a DTensor with the placement ``Shard(0)``.

    Parameters
    ----------
    num_classes : int
        q, of all w processes together.
    group : torch.distributed.ProcessGroup, optional
        The processes that share the classes; all if not given.

    Returns
    -------
    slice
        ``weight[vocabulary_slice(q)]`` is this process's part of a weight of shape (q, d).

    Raises
    ------
    InputError
        If torch.distributed is not initialised, if this process is not in the group, or if a
        process would have no class.

    Examples
    --------
    Of 10 classes among 4 processes they have 3, 3, 3 and 1; alone, a process has all:

    >>> import torch.distributed as dist
    >>> from crossent.torch import vocabulary_slice
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> vocabulary_slice(10)
    slice(0, 10, None)
    >>> dist.destroy_process_group()
    """
    return _share(num_classes, group).own


def vocabulary_parallel_linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    num_classes: int | None = None,
    group: Any = None,
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
    compute: Sequence[str] = (),
    top_k: int = 0,
    chosen: Tensor | None = None,
    max_workspace_bytes: int | None = None,
    path: str | None = None,
) -> Tensor | LinearCrossEntropyResult:
    """`linear_cross_entropy` whose classes are divided among processes, in nats.

    The loss is the same, and so are all options. Each of the w processes of `group` holds the rows
    `vocabulary_slice` of W and b, and makes the logits of these classes only. All call the function
    with the same rows and options; all get the same loss, to the last bit. ::

        log_rest_i = logsumexp over processes r of log Σ exp(z_iv), v a class of r, no label of i
        ∂/∂X       = Σ_r (∂/∂Z_r) W_r              ∂/∂W_r = (∂/∂Z_r)ᵀ X stays where it is

    Communication, and nothing else is sent:

    - forward: each process sends every other 16 + 8k bytes a row that is not left out, k the labels
      of a row (24 with one label; 16 with a probability for each class, and 8 for their product
      with the logits); 8 more with label smoothing, 8 with the entropy, 8 for each chosen class and
      16 for each of `top_k`. One message for each block of rows. With the gradients CPUs
      also exchange 16 bytes once, to see that all work in the same blocks.
    - gradient of the input, where it is wanted: one sum over the processes, d numbers a row that
      is not left out: 4d bytes, 8d in float64 (half precision is summed in float32, rounded once).
      By a ring each process sends 2 (w − 1) / w times that.

    Parameters
    ----------
    input : Tensor, shape (..., d)
        The same on every process. So is its gradient: do not sum it over the group again.
    linear_weight : Tensor, shape (q_r, d)
        This process's rows of W; or the whole W as a DTensor with the placement ``Shard(0)`` on a
        mesh of one dimension, from which `num_classes` and `group` then follow.
    target : Tensor
        As in `linear_cross_entropy`, with the numbers of all classes; the same on every process. So
        are `target_probabilities`, `sample_weight`, `chosen`, and `weight` (q,).
    num_classes : int
        q, of all processes together.
    group : torch.distributed.ProcessGroup, optional
        All processes if not given. NCCL for tensors on GPUs, gloo for CPUs.
    linear_bias : Tensor, shape (q_r,), optional
        This process's intercepts, or a DTensor as the weight. −∞ excludes a class, as one that only
        fills the vocabulary up.
    weight, reduction, ignore_index, label_smoothing, target_probabilities, sample_weight, z_loss, \
logit_softcap, temperature, shift, compute, top_k, chosen, max_workspace_bytes, path
        As in `linear_cross_entropy`; a workspace is that of one process.

    Returns
    -------
    Tensor or LinearCrossEntropyResult
        As from `linear_cross_entropy`.

    Raises
    ------
    InputError
        As `linear_cross_entropy`; if the process is not in the group, or its slice has not the
        size of `vocabulary_slice`; on CPUs also if the processes have different rows, which other
        devices answer with NaN. A process that raises alone leaves the others waiting.

    Notes
    -----
    Three products of 2·n·d·q/w operations in each process, in blocks of rows cut for the largest
    slice; four where the smallest slice has fewer classes than `top_k` asks for.

    Every process must take the same part in backward passes if ``reduction="none"`` or gradients of
    further outputs make one communicate. There are first derivatives only: ``create_graph=True`` is
    an error. torch.compile leaves the call as it is, outside its graphs.

    Examples
    --------
    One process, which has all classes; see docs/linear_cross_entropy.md for several:

    >>> import torch, torch.distributed as dist
    >>> from crossent.torch import vocabulary_parallel_linear_cross_entropy
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> weight = torch.log(torch.tensor([[2.0, 1.0], [1.0, 3.0], [1.0, 4.0]]))
    >>> loss = vocabulary_parallel_linear_cross_entropy(
    ...     torch.eye(2), weight, torch.tensor([0, 2]), num_classes=3
    ... )
    >>> round(loss.item(), 4)
    0.6931
    >>> dist.destroy_process_group()
    """
    arguments = dict(locals())
    return _outside_graphs(**arguments)


def _computed(*, num_classes: int | None, group: Any, reduction: str, **arguments: Any) -> Any:
    arguments["linear_weight"], num_classes, group = _own_rows(
        arguments["linear_weight"], num_classes, group
    )
    if hasattr(arguments["linear_bias"], "to_local"):
        arguments["linear_bias"] = arguments["linear_bias"].to_local()
    share = _share(num_classes, group)
    _check_slice(arguments["linear_weight"], share)
    given, options = sorted_arguments(**arguments, reduction=reduction)
    call, rows = as_call(replace(given, num_classes=num_classes), options)
    problem = problem_of(call)
    # Planned for the largest slice, so that all processes take the same path.
    path = _path_for(replace(problem, n_classes=share.most))
    needs = Needs(problem.needs_input, problem.needs_weight, problem.needs_bias)
    at_once = path.gradients_at_once and any(needs) and reduction != "none"
    engine = VocabularyEngine(_loaded(path), share)
    result = restored(
        differentiable(_once(call), engine, needs, at_once=at_once), rows, None, reduction
    )
    more = options.compute or options.top_k or call.chosen is not None
    return result if more else result.loss


_outside_graphs = torch.compiler.disable(
    _computed,
    reason="vocabulary_parallel_linear_cross_entropy sends messages to other processes, which "
    "stand in no graph; leave fullgraph=True away",
)


def _own_rows(weight: Any, num_classes: int | None, group: Any) -> tuple[Any, int, Any]:
    """Rows of this process, the number of all, and who shares them."""
    if hasattr(weight, "to_local"):
        placements, mesh = weight.placements, weight.device_mesh
        if mesh.ndim != 1 or not placements[0].is_shard(0):
            message = (
                f"`linear_weight` is a DTensor with placements {placements} on a mesh of "
                f"{mesh.ndim} dimensions; it must be sharded along its rows on a mesh of one."
            )
            raise InputError(message)
        return weight.to_local(), int(weight.shape[0]), mesh.get_group()
    if num_classes is None:
        message = "`num_classes` is missing: how many classes do all processes have together?"
        raise InputError(message)
    return weight, num_classes, group


def _share(num_classes: int, group: Any) -> Share:
    if not (dist.is_available() and dist.is_initialized()):
        message = "torch.distributed is not initialised; call init_process_group first."
        raise InputError(message)
    ranks, rank = dist.get_world_size(group), dist.get_rank(group)
    if rank < 0:
        message = "this process is not in `group`; only its members may call."
        raise InputError(message)
    share = Share(num_classes, rank, ranks, group)
    if share.most * (ranks - 1) >= num_classes:
        message = (
            f"`num_classes` is {num_classes}, of which {ranks} processes get {share.most} each; "
            "that leaves none for the last. Use fewer processes or fill the classes up."
        )
        raise InputError(message)
    return share


def _check_slice(weight: Any, share: Share) -> None:
    size, found = share.own.stop - share.own.start, tuple(getattr(weight, "shape", ()))
    if found and found[0] != size:
        message = (
            f"`linear_weight` has shape {found} on rank {share.rank} of {share.ranks}; of "
            f"{share.num_classes} classes this rank has {size}, {share.own.start}…"
            f"{share.own.stop - 1}. Take weight[vocabulary_slice({share.num_classes})]."
        )
        raise InputError(message)


def _path_for(problem: Problem) -> Path:
    path = path_named(make_plan(problem).path)
    if path.load is None:
        message = (
            "classes that are divided among processes need a path with an engine, and none serves "
            f"this call: {make_plan(problem)}"
        )
        raise InputError(message)
    return path


def _loaded(path: Path) -> Any:
    if path.load is None:
        message = "a path without an engine"
        raise AssertionError(message)
    return path.load()


def _once(call: Call) -> Call:
    """The call with a layer that has first derivatives only."""
    layer = _FirstDerivative.apply(call.input, call.weight, call.bias)
    return replace(call, input=layer[0], weight=layer[1], bias=layer[2])


class _FirstDerivative(torch.autograd.Function):
    """(X, W, b) as they are; asking for second derivatives is an error.

    A product with the Hessian would need the logits of other processes' classes.
    """

    @staticmethod
    def forward(ctx: Any, *layer: Tensor | None) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)
        return tuple(None if x is None else x.view_as(x) for x in layer)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: ARG004
        if torch.is_grad_enabled():
            message = (
                "vocabulary_parallel_linear_cross_entropy has first derivatives only; leave "
                "create_graph=True away, or use linear_cross_entropy."
            )
            raise NotImplementedError(message)
        return grads
