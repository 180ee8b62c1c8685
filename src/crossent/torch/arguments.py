"""From the arguments of `linear_cross_entropy` to a `Call`, and from its rows back to the shape.

Only metadata decide here, so that `torch.compile` can follow; values are checked where the call is
carried out.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from crossent.errors import InputError
from crossent.torch.call import Call, Options, Problem
from crossent.torch.checks import (
    check_floats,
    check_integer,
    check_options,
    check_shape,
    check_tensors,
)
from crossent.torch.result import LinearCrossEntropyResult

__all__ = ["Arguments", "as_call", "problem_of", "restored"]


_NO_LABEL = -100
"""Label of an ignored row where nothing else was asked for."""


@dataclass(frozen=True)
class Arguments:
    """The arguments as given, with the names of `linear_cross_entropy`.

    `num_classes` is given where `linear_weight` holds some of the classes only.
    """

    input: Tensor
    linear_weight: Tensor | None
    target: Tensor
    linear_bias: Tensor | None = None
    weight: Tensor | None = None
    target_probabilities: Tensor | None = None
    sample_weight: Tensor | None = None
    chosen: Tensor | None = None
    classes: Tensor | None = None
    shift: int = 0
    ignore_index: int | None = None
    num_classes: int | None = None


_TENSORS = (
    "linear_weight",
    "target",
    "linear_bias",
    "weight",
    "target_probabilities",
    "sample_weight",
    "chosen",
    "classes",
)


def as_call(given: Arguments, options: Options) -> tuple[Call, tuple[int, ...]]:
    """The call with flat rows, and the shape that row outputs have for the user.

    Raises
    ------
    InputError
        If shapes, dtypes or devices do not fit, or an option is out of range.
    """
    given = _only_classes(_check_linear(_checked(given)))
    q = _n_classes(given)
    options = replace(options, ignore_index=given.ignore_index)
    check_options(options, q)
    given = _shifted(given)
    rows = tuple(given.input.shape[:-1])
    n, d = math.prod(rows), given.input.shape[-1]
    labels, probabilities, targets = _split_target(given, rows, n)
    if "accuracy" in options.compute and (labels is None or labels.shape[1] != 1):
        message = "`compute` asks for accuracy; it needs one class label a row as `target`."
        raise InputError(message)
    check_shape("weight", given.weight, (q,), "a weight for each class")
    check_shape("sample_weight", given.sample_weight, rows, "a weight for each row")
    call = Call(
        input=given.input.reshape(n, d),
        weight=given.linear_weight,
        bias=given.linear_bias,
        labels=labels,
        label_probabilities=probabilities,
        targets=targets,
        class_weight=_beside(given.weight, given.input),
        sample_weight=None if given.sample_weight is None else _flat(given.sample_weight, n),
        chosen=_chosen(given.chosen, rows, n),
        options=options,
        num_classes=given.num_classes,
    )
    return call, rows


def _checked(given: Arguments) -> Arguments:
    """The arguments as tensors of one dtype on one device."""
    name = "logits" if given.linear_weight is None else "input"
    rest = {field: x for field, x in vars(given).items() if field in _TENSORS}
    check_tensors(**{name: given.input}, **rest)
    for field, x in ((name, given.input), ("target", given.target)):
        if x is None:
            message = f"`{field}` is None; it must be a torch.Tensor."
            raise InputError(message)
    given = _autocast(given)
    layer = {"linear_weight": given.linear_weight, "linear_bias": given.linear_bias}
    check_floats(**{name: given.input}, **layer)
    return given


def _autocast(given: Arguments) -> Arguments:
    """Under autocast the layer's tensors take the dtype that torch.nn.functional.linear would."""
    kind = given.input.device.type
    is_on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    if not is_on or given.input.dtype == torch.float64 or given.linear_weight is None:
        return given
    dtype = torch.get_autocast_dtype(kind)
    bias = given.linear_bias
    return replace(
        given,
        input=given.input.to(dtype),
        linear_weight=given.linear_weight.to(dtype),
        linear_bias=None if bias is None else bias.to(dtype),
    )


def _n_classes(given: Arguments) -> int:
    weight = given.linear_weight
    if given.num_classes is not None:
        return given.num_classes
    return int(given.input.shape[-1] if weight is None else weight.shape[0])


def _check_linear(given: Arguments) -> Arguments:
    name, weight = "logits" if given.linear_weight is None else "input", given.linear_weight
    if given.input.ndim < 1:
        message = f"`{name}` is a single number; its last dimension must be there."
        raise InputError(message)
    if weight is not None and weight.ndim != 2:
        message = f"`linear_weight` has shape {tuple(weight.shape)}; it must be (q, d)."
        raise InputError(message)
    if weight is not None and given.input.shape[-1] != weight.shape[1]:
        message = (
            f"`input` has {given.input.shape[-1]} features and `linear_weight` {weight.shape[1]}; "
            "their last dimensions must agree."
        )
        raise InputError(message)
    q = _n_classes(given)
    if q == 0:
        message = "There are no classes; there must be at least one."
        raise InputError(message)
    rows = q if weight is None else int(weight.shape[0])
    check_shape("linear_bias", given.linear_bias, (rows,), "an intercept for each class")
    return given


def _beside(values: Tensor | None, other: Tensor) -> Tensor | None:
    if values is not None and values.device != other.device:
        message = (
            f"devices are mixed: a weight is on {values.device}, `input` on {other.device}. "
            "Bring them to one device with `.to(...)`."
        )
        raise InputError(message)
    return values


def _flat(values: Tensor, n: int) -> Tensor:
    return values.reshape(n)


def _only_classes(given: Arguments) -> Arguments:
    """A call on the rows of W in `classes`, with the target renumbered."""
    if given.classes is None or given.linear_weight is None:
        return given
    q = given.linear_weight.shape[0]
    classes = _as_indices("classes", given.classes)
    if classes.ndim != 1 or classes.shape[0] == 0:
        message = f"`classes` has shape {tuple(classes.shape)}; it must be (m,) with m > 0."
        raise InputError(message)
    number = _numbers_within(classes, q)
    ignore = given.ignore_index
    bias, weight = given.linear_bias, given.weight
    target = given.target
    if not target.is_floating_point():
        ignored = _NO_LABEL if ignore is None else ignore
        target = _renumbered("target", _as_indices("target", target), number, ignored)
        ignore = None if ignore is None else _NO_LABEL  # a class may have the old number now
    elif target.shape[-1:] == (q,):
        target = target.index_select(-1, classes)
    chosen = given.chosen
    if chosen is not None:
        chosen = _renumbered("chosen", _as_indices("chosen", chosen), number, None)
    return replace(
        given,
        linear_weight=given.linear_weight.index_select(0, classes),
        linear_bias=None if bias is None else bias.index_select(0, classes),
        weight=None if weight is None else weight.index_select(0, classes),
        target=target,
        chosen=chosen,
        classes=classes,
        ignore_index=ignore,
    )


def _may_look(values: Tensor) -> bool:
    """Whether the host may read values here: on a CPU, and in no graph or transform."""
    traced = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    return values.device.type == "cpu" and not traced


def _numbers_within(classes: Tensor, q: int) -> Tensor:
    """For each of q classes its place in `classes`, or −1; shape (q,)."""
    if _may_look(classes):
        if bool(((classes < 0) | (classes >= q)).any()):
            bad = classes[(classes < 0) | (classes >= q)][0]
            message = f"`classes` holds {int(bad)}; classes are 0…{q - 1}."
            raise InputError(message)
        if len(classes.unique()) < len(classes):
            message = "`classes` holds a class more than once; its classes must be distinct."
            raise InputError(message)
    number = torch.full((q,), -1, dtype=torch.int64, device=classes.device)
    places = torch.arange(classes.shape[0], device=classes.device)
    return number.index_copy(0, classes, places)


def _renumbered(name: str, values: Tensor, number: Tensor, ignore: int | None) -> Tensor:
    """Class numbers as places within `classes`; where there is none, beyond the last place."""
    kept = torch.zeros_like(values, dtype=torch.bool) if ignore is None else values == ignore
    q = number.shape[0]
    inside = (values >= 0) & (values < q)
    places = number[values.clamp(0, q - 1)]
    absent = ~kept & (~inside | (places < 0))
    if _may_look(values) and bool(absent.any()):
        place = tuple(int(i) for i in absent.nonzero()[0])
        where = ", ".join(map(str, place))
        message = f"`{name}`[{where}] is {int(values[place])}, which is not among `classes`."
        raise InputError(message)
    return places.where(~absent, q).where(~kept, _NO_LABEL)


def _as_indices(name: str, values: Tensor) -> Tensor:
    kind = values.dtype
    if kind.is_floating_point or kind.is_complex or kind == torch.bool:
        message = f"`{name}` has dtype {kind}; class numbers must be integers."
        raise InputError(message)
    return values if kind == torch.int64 else values.to(torch.int64)


def _shifted(given: Arguments) -> Arguments:
    """Row t predicts what stands at t + shift of the same sequence."""
    check_integer("shift", given.shift)
    shift = int(given.shift)
    if shift == 0:
        return given
    if given.input.ndim < 2 or not 0 < shift < given.input.shape[-2]:
        message = (
            f"`shift` is {given.shift} for input of shape {tuple(given.input.shape)}; it must be "
            "at least 0 and less than the length of the sequences, (..., length, d)."
        )
        raise InputError(message)
    last = given.input.ndim - 2  # the dimension of the sequence, in target and weights too
    length = given.input.shape[last]

    def late(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.narrow(last, shift, length - shift)

    for name in ("target", "target_probabilities", "sample_weight", "chosen"):
        x = getattr(given, name)
        if x is not None and tuple(x.shape[: last + 1]) != tuple(given.input.shape[:-1]):
            rows = tuple(given.input.shape[:-1])
            message = f"`{name}` has shape {tuple(x.shape)}; it must begin with {rows}."
            raise InputError(message)
    return replace(
        given,
        input=given.input.narrow(last, 0, length - shift),
        target=late(given.target),
        target_probabilities=late(given.target_probabilities),
        sample_weight=late(given.sample_weight),
        chosen=late(given.chosen),
        shift=0,
    )


def _split_target(
    given: Arguments, rows: tuple[int, ...], n: int
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Labels (n, k), their probabilities (n, k), targets (n, q); what is not given is None."""
    target, q = given.target, _n_classes(given)
    _beside(target, given.input)
    if given.target_probabilities is not None:
        labels = _as_indices("target", target)
        if labels.ndim != len(rows) + 1:
            message = (
                f"`target` has shape {tuple(target.shape)}; beside `target_probabilities` it must "
                f"be {(*rows, 'k')}, the k classes of each row."
            )
            raise InputError(message)
        if labels.shape[-1] == 0:
            message = "`target` names no class at all; its last dimension must be at least 1."
            raise InputError(message)
        shape = (*rows, labels.shape[-1])
        check_shape("target", labels, shape, "the classes of each row")
        check_shape("target_probabilities", given.target_probabilities, shape, "as the target")
        k = labels.shape[-1]
        return labels.reshape(n, k), given.target_probabilities.reshape(n, k), None
    if target.is_floating_point():
        check_shape("target", target, (*rows, q), "a probability for each class")
        if given.ignore_index is not None:
            message = "`ignore_index` goes with class labels; the target holds probabilities."
            raise InputError(message)
        return None, None, target.reshape(n, q)
    check_shape("target", target, rows, "a class for each row")
    return _as_indices("target", target).reshape(n, 1), None, None


def _chosen(chosen: Tensor | None, rows: tuple[int, ...], n: int) -> Tensor | None:
    if chosen is None:
        return None
    indices = _as_indices("chosen", chosen)
    if indices.ndim != len(rows) + 1 or tuple(indices.shape[:-1]) != rows:
        message = f"`chosen` has shape {tuple(chosen.shape)}; it must be {(*rows, 'm')}."
        raise InputError(message)
    return indices.reshape(n, indices.shape[-1])


def problem_of(call: Call) -> Problem:
    """What decides on the path; reads no tensor."""
    recording = torch.is_grad_enabled()
    others = (call.targets, call.label_probabilities, call.class_weight, call.sample_weight)
    return Problem(
        n_rows=call.input.shape[0],
        n_features=0 if call.weight is None else call.input.shape[1],
        n_classes=call.n_classes,
        dtype=str(call.input.dtype).removeprefix("torch."),
        device=call.input.device.type,
        needs_input=recording and call.input.requires_grad,
        needs_weight=recording and call.weight is not None and call.weight.requires_grad,
        needs_bias=recording and call.bias is not None and call.bias.requires_grad,
        needs_others=recording and any(x is not None and x.requires_grad for x in others),
        has_targets=call.targets is not None,
        n_labels=0 if call.labels is None else call.labels.shape[1],
        options=call.options,
        device_index=call.input.device.index,
        has_chosen=call.chosen is not None,
    )


_PER_ROW = (
    "row_loss",
    "log_partition",
    "entropy",
    "top_classes",
    "top_log_probabilities",
    "chosen_log_probabilities",
)


def restored(
    result: LinearCrossEntropyResult, rows: tuple[int, ...], classes: Tensor | None, reduction: str
) -> LinearCrossEntropyResult:
    """Row outputs in the user's shape, class numbers in the user's numbering."""
    fields: dict[str, Any] = {}
    for name in _PER_ROW:
        value = getattr(result, name)
        if value is not None:
            fields[name] = value.reshape((*rows, *value.shape[1:]))
    if reduction == "none":
        fields["loss"] = result.loss.reshape(rows)
    top = fields.get("top_classes")
    if classes is not None and top is not None:
        fields["top_classes"] = classes[top.clamp(min=0)].where(top >= 0, -1)
    return result._replace(**fields)
