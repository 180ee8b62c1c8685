"""Checks of what the user gives. Shapes, dtypes and devices always; values on CPUs only.

To look at a value on a GPU would wait for it. There a label out of range makes the loss NaN.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from crossent.errors import InputError
from crossent.torch.call import Call, Options
from crossent.torch.result import OUTPUTS

__all__ = [
    "check_floats",
    "check_integer",
    "check_options",
    "check_shape",
    "check_tensors",
    "check_values",
    "names_of",
]

_FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def check_tensors(**named: object) -> None:
    """Tensors with all their entries, or None."""
    for name, x in named.items():
        if x is not None and not isinstance(x, torch.Tensor):
            message = f"`{name}` is {type(x).__name__}; it must be a torch.Tensor."
            raise InputError(message)
        if x is not None and x.layout != torch.strided:
            message = f"`{name}` has layout {x.layout}; make it dense with `.to_dense()`."
            raise InputError(message)
        if hasattr(x, "to_local"):
            message = (
                f"`{name}` is a DTensor, of which this process holds a part. Under FSDP2 shard the "
                "module that calls (its forward has the whole), or one around it; for classes "
                "divided among processes there is vocabulary_parallel_linear_cross_entropy."
            )
            raise InputError(message)


def check_floats(**named: Tensor | None) -> None:
    """All of one floating dtype and on one device."""
    given = {name: x for name, x in named.items() if x is not None}
    for name, x in given.items():
        if x.dtype not in _FLOATS:
            message = f"`{name}` has dtype {x.dtype}; it must be one of {_names(_FLOATS)}."
            raise InputError(message)
    for what in ("dtype", "device"):
        kinds = {name: getattr(x, what) for name, x in given.items()}
        if len(set(kinds.values())) > 1:
            found = ", ".join(f"`{name}` {kind}" for name, kind in kinds.items())
            message = f"{what}s are mixed: {found}. Bring them to one {what} with `.to(...)`."
            raise InputError(message)


def _names(dtypes: tuple[torch.dtype, ...]) -> str:
    return ", ".join(str(kind).removeprefix("torch.") for kind in dtypes)


def check_shape(name: str, x: Tensor | None, shape: tuple[int, ...], what: str) -> None:
    """`x` has this shape, or is None."""
    if x is not None and tuple(x.shape) != shape:
        message = f"`{name}` has shape {tuple(x.shape)}; it must be {shape}, {what}."
        raise InputError(message)


def check_options(options: Options, n_classes: int) -> None:
    """Numbers in their ranges, names among those there are."""
    if options.reduction not in ("mean", "sum", "none"):
        message = f"`reduction` is {options.reduction!r}; it must be 'mean', 'sum' or 'none'."
        raise InputError(message)
    _check_number("label_smoothing", options.label_smoothing, 0.0, 1.0)
    _check_number("z_loss", options.z_loss, 0.0, math.inf)
    _check_number("temperature", options.temperature, 0.0, math.inf, above=True)
    if options.logit_softcap is not None:
        _check_number("logit_softcap", options.logit_softcap, 0.0, math.inf, above=True)
    if options.filter is not None:
        _check_number("filter", options.filter, 0.0, 1.0)
    unknown = [name for name in options.compute if name not in OUTPUTS]
    if unknown:
        message = f"`compute` holds {unknown[0]!r}; it may hold {', '.join(OUTPUTS)}."
        raise InputError(message)
    check_integer("top_k", options.top_k)
    if not 0 <= options.top_k <= n_classes:
        message = f"`top_k` is {options.top_k}; there are {n_classes} classes."
        raise InputError(message)


def names_of(compute: Sequence[str]) -> tuple[str, ...]:
    """The outputs asked for; one name alone would be read letter by letter."""
    if isinstance(compute, str):
        message = (
            f"`compute` is the text {compute!r}; it must be a sequence, such as [{compute!r}]."
        )
        raise InputError(message)
    return tuple(compute)


def check_integer(name: str, value: object) -> None:
    """Not a number with a fraction, nor one that might have one."""
    if isinstance(value, float | str):
        message = f"`{name}` is {value!r}; it must be an integer."
        raise InputError(message)


def _check_number(
    name: str, value: float | str, low: float, high: float, *, above: bool = False
) -> None:
    if isinstance(value, str):
        message = f"`{name}` is {value!r}; it must be a number."
        raise InputError(message)
    inside = low < value <= high if above else low <= value <= high
    if not (inside and abs(value) < math.inf):  # also where torch.compile traces the number
        start = f"above {low:g}" if above else f"at least {low:g}"
        end = "" if math.isinf(high) else f" and at most {high:g}"
        message = f"`{name}` is {value!r}; it must be a finite number {start}{end}."
        raise InputError(message)


def check_values(call: Call) -> None:
    """Labels in range and distinct, probabilities and weights not negative; on CPUs only."""
    if call.input.device.type != "cpu":
        return
    q = call.n_classes
    if call.labels is not None:
        ignored = call.options.ignored_label
        known = call.labels != ignored
        allowed = f"0…{q - 1} or ignore_index = {ignored}"
        _check_classes("target", call.labels, known, q, allowed)
        _check_distinct(call.labels.where(known, -1))
    if call.chosen is not None:
        every = torch.ones_like(call.chosen, dtype=torch.bool)
        _check_classes("chosen", call.chosen, every, q, f"0…{q - 1}")
    _check_not_negative("target_probabilities", call.label_probabilities)
    _check_not_negative("target", call.targets)
    _check_not_negative("weight", call.class_weight)
    _check_not_negative("sample_weight", call.sample_weight)


def _first(bad: Tensor) -> tuple[int, ...] | None:
    """Place of the first True, or None."""
    if not bool(bad.any()):
        return None
    return tuple(int(i) for i in bad.nonzero()[0])


def _check_classes(name: str, classes: Tensor, used: Tensor, q: int, allowed: str) -> None:
    place = _first(used & ((classes < 0) | (classes >= q)))
    if place is not None:
        where = f"row {place[0]}" + (f", entry {place[1]}" if classes.shape[1] > 1 else "")
        message = f"`{name}` {where} is {int(classes[place])}; classes are {allowed}."
        raise InputError(message)


def _check_distinct(labels: Tensor) -> None:
    if labels.shape[1] < 2:
        return
    ordered = labels.sort(dim=1).values
    place = _first((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0))
    if place is not None:
        label = int(ordered[place])
        message = (
            f"`target` row {place[0]} holds class {label} more than once; with "
            "`target_probabilities` classes must be distinct. Add their probabilities up."
        )
        raise InputError(message)


def _check_not_negative(name: str, values: Tensor | None) -> None:
    if values is None or values.numel() == 0 or bool(values.detach().amin() >= 0):
        return
    place = _first(~(values >= 0))
    where = ", ".join(str(i) for i in place or ())
    value = float(values[place])
    message = f"`{name}`[{where}] is {value}; it must be a number that is not negative."
    raise InputError(message)
