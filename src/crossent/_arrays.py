"""Array libraries, dtypes and devices, and the checks of user data with their one message format.

The only file that imports ``array_api_compat``. Data are checked here once, where they enter; a
message says what was found, the value, where it stands, and what to do about it. Every value check
reads back one boolean, which on a GPU waits for the device.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

from crossent.errors import InputError
from crossent.typing import Array

__all__ = [
    "Namespace",
    "as_device_array",
    "as_floats",
    "as_integers",
    "as_wide",
    "as_working",
    "cast",
    "check_axis",
    "check_choice",
    "check_distributions",
    "check_entries",
    "check_fraction",
    "check_labels",
    "check_positive",
    "check_shape",
    "check_weights",
    "class_numbers",
    "find_namespace",
    "row_sum_tolerance",
    "unit_of_information",
    "working_dtype",
]

Namespace: TypeAlias = Any
"""An array library: the functions of the Python array API standard."""


# Libraries, dtypes, devices


def find_namespace(**named: Any) -> Namespace:
    """The array library of the arrays among `named`; NumPy if there are only lists and numbers."""
    arrays = {name: x for name, x in named.items() if array_api_compat.is_array_api_obj(x)}
    if not arrays:
        return array_api_compat.array_namespace(np.zeros(0))
    try:
        return array_api_compat.array_namespace(*arrays.values())
    except TypeError as error:
        kinds = ", ".join(
            f"`{name}` is {type(x).__module__}.{type(x).__name__}" for name, x in arrays.items()
        )
        message = f"{kinds}: arrays of one call must come from one library. Convert them first."
        raise InputError(message) from error


def as_device_array(xp: Namespace, value: Any, name: str, device: Any) -> Array:
    """`value` as an array of `xp`: arrays as they are, lists and frames by way of NumPy."""
    if array_api_compat.is_array_api_obj(value):
        return np.asarray(value) if isinstance(value, np.generic) else value
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        message = f"`{name}` is not a rectangular array of numbers: {error}"
        raise InputError(message) from error
    if array.dtype.kind not in "biufc":
        message = (
            f"`{name}` has dtype {array.dtype}; it must hold numbers. "
            "Convert it, or number its categories."
        )
        raise InputError(message)
    return xp.asarray(array, device=device)


def as_floats(
    *, beside: dict[str, Any] | None = None, **named: Any
) -> tuple[Namespace, list[Array]]:
    """Library and real floating arrays of the named values, on one device.

    Arrays of a real floating dtype keep it. Lists, numbers, booleans and integers become the common
    dtype of those arrays, or the library's default float where there are none. The arguments in
    `beside` share library and device, and are not converted.
    """
    everything = named | (beside or {})
    xp = find_namespace(**everything)
    device = common_device(everything)
    arrays = {name: as_device_array(xp, value, name, device) for name, value in named.items()}
    kept = {
        name
        for name, x in arrays.items()
        if array_api_compat.is_array_api_obj(named[name]) and xp.isdtype(x.dtype, "real floating")
    }
    dtypes = [arrays[name].dtype for name in kept]
    common = xp.result_type(*dtypes) if dtypes else xp.asarray(0.0, device=device).dtype
    for name, x in arrays.items():
        if xp.isdtype(x.dtype, "complex floating"):
            message = f"`{name}` is complex ({x.dtype}); it must be real. Pass its real part."
            raise InputError(message)
    return xp, [x if name in kept else cast(xp, x, common) for name, x in arrays.items()]


def common_device(named: dict[str, Any]) -> Any:
    """The device of the arrays among `named`; None if there are no arrays."""
    devices = {
        name: array_api_compat.device(x)
        for name, x in named.items()
        if array_api_compat.is_array_api_obj(x)
    }
    if len(set(map(str, devices.values()))) > 1:
        places = ", ".join(f"`{name}` on {device}" for name, device in devices.items())
        message = f"{places}: arrays of one call must be on one device. Move them first."
        raise InputError(message)
    return next(iter(devices.values()), None)


def as_integers(xp: Namespace, value: Any, name: str, like: Array) -> Array:
    """`value` as an integer array of the library and on the device of `like`."""
    common_device({name: value, "logits": like})
    labels = as_device_array(xp, value, name, array_api_compat.device(like))
    if not xp.isdtype(labels.dtype, "integral"):
        message = (
            f"`{name}` has shape {tuple(labels.shape)} and dtype {labels.dtype}; labels must be "
            "integers. Convert them, or pass a distribution over the classes for each row."
        )
        raise InputError(message)
    return labels


def cast(xp: Namespace, x: Array, dtype: Any) -> Array:
    """`x` in another dtype."""
    return x if x.dtype == dtype else xp.astype(x, dtype, copy=False)


def working_dtype(xp: Namespace, dtype: Any) -> Any:
    """The dtype of the arithmetic: float32 for the 16-bit floats, else the same."""
    return xp.float32 if xp.finfo(dtype).bits < 32 else dtype


def as_working(xp: Namespace, x: Array) -> Array:
    """`x` in the dtype of the arithmetic."""
    return cast(xp, x, working_dtype(xp, x.dtype))


def as_wide(xp: Namespace, x: Array) -> Array:
    """`x` in float64, for sums over samples; in float32 on a device without float64."""
    device = array_api_compat.device(x)
    kinds = xp.__array_namespace_info__().dtypes(device=device, kind="real floating")
    return cast(xp, x, kinds.get("float64", xp.float32))


def class_numbers(xp: Namespace, like: Array) -> Array:
    """0…q-1 for the q classes on the last axis of `like`, on its device."""
    return xp.arange(like.shape[-1], device=array_api_compat.device(like))


# Messages


def number(x: Array) -> float:
    """One entry as a Python float, for a message."""
    return float(x.detach() if hasattr(x, "detach") else x)


def first(xp: Namespace, mask: Array) -> tuple[int, ...]:
    """Index of the first True entry."""
    flat = int(xp.argmax(xp.astype(xp.reshape(mask, (-1,)), xp.int8)))
    return tuple(int(i) for i in np.unravel_index(flat, tuple(mask.shape)))


def place(index: Sequence[int], kind: str = "row") -> str:
    """An index as a reader says it: "row 17", "row (2, 5)"; nothing for the only entry."""
    if not index:
        return ""
    return f" {kind} {index[0] if len(index) == 1 else tuple(index)}"


def check_entries(xp: Namespace, bad: Array, x: Array, name: str, rule: str) -> None:
    """Raise if any entry of `bad` is True, naming the first such entry of `x`."""
    if bool(xp.any(bad)):
        index = first(xp, bad)
        message = f"`{name}`{place(index, 'entry')} is {number(x[index]):.6g}; {rule}"
        raise InputError(message)


# Options


def check_choice(value: str, name: str, choices: Sequence[str]) -> None:
    """Raise unless `value` is one of `choices`."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        message = f"`{name}` is {value!r}; it must be one of {listed}."
        raise InputError(message)


def check_positive(xp: Namespace, value: float, name: str, dtype: Any) -> float:
    """`value` as a float, if positive and a normal number of `dtype`."""
    limits = xp.finfo(dtype)
    number_ = float(value)
    if not float(limits.smallest_normal) <= number_ <= float(limits.max):
        message = (
            f"`{name}` is {number_:g}; it must lie between {float(limits.smallest_normal):.3g} and "
            f"{float(limits.max):.3g}, the range of {dtype}. Scale the input instead."
        )
        raise InputError(message)
    return number_


def check_fraction(value: float, name: str) -> float:
    """`value` as a float, if in [0, 1]."""
    if not 0.0 <= float(value) <= 1.0:
        message = f"`{name}` is {float(value):g}; it must lie between 0 and 1."
        raise InputError(message)
    return float(value)


def unit_of_information(base: float | None) -> float:
    """Nats in one unit of information of the given base: 1 for None, log 2 for bits."""
    if base is None:
        return 1.0
    if not 1.0 < float(base) < math.inf:
        message = (
            f"`base` is {float(base):g}; it must be finite and greater than 1. "
            "Pass None for nats, 2 for bits, 10 for bans."
        )
        raise InputError(message)
    return math.log(base)


# Shapes and values


def check_axis(x: Array, axis: int, name: str) -> None:
    """Raise unless `axis` is an axis of `x` with at least one entry."""
    if not -x.ndim <= axis < x.ndim:
        message = (
            f"`{name}` has shape {tuple(x.shape)} and no axis {axis}. "
            "Pass an array with at least one axis, and `axis` within it."
        )
        raise InputError(message)
    if x.shape[axis] == 0:
        message = (
            f"`{name}` has shape {tuple(x.shape)}: no classes along axis {axis}. "
            "At least one is needed."
        )
        raise InputError(message)


def check_shape(x: Array, shape: Sequence[int], name: str, meaning: str) -> None:
    """Raise unless `x` has the given shape; `meaning` says what that shape stands for."""
    if tuple(x.shape) == tuple(shape):
        return
    turned = tuple(x.shape) == tuple(shape)[::-1]
    remedy = "Transpose it." if turned else "Reshape it, or check the order of the arguments."
    message = (
        f"`{name}` has shape {tuple(x.shape)}; it must have shape {tuple(shape)}, {meaning}. "
        f"{remedy}"
    )
    raise InputError(message)


def check_labels(xp: Namespace, labels: Array, n_classes: int, ignore_index: int | None) -> None:
    """Raise unless every label is in 0…n_classes-1 or is `ignore_index`."""
    bad = (labels < 0) | (labels >= n_classes)
    remedy = "Number the classes from 0"
    if ignore_index is None:
        remedy += ", or pass `ignore_index` to leave rows out."
    else:
        bad = bad & (labels != ignore_index)
        remedy += f"; only {ignore_index}, the `ignore_index`, leaves a row out."
    check_entries(xp, bad, labels, "y", f"labels must be in 0…{n_classes - 1}. {remedy}")


def check_weights(xp: Namespace, weights: Array, name: str) -> None:
    """Raise unless all weights are finite and not negative."""
    bad = ~(xp.isfinite(weights) & (weights >= 0))
    rule = "weights must be finite and not negative. Weight 0 leaves a row or class out."
    check_entries(xp, bad, weights, name, rule)


def row_sum_tolerance(xp: Namespace, dtype: Any) -> float:
    """How far the sum of a distribution may be from 1: 1e-6, float32 1e-4, 16 bits two epsilons.

    Rounding each entry to nearest moves a sum of 1 by at most half an epsilon, whatever the number
    of classes; two epsilons leave room for the rounding of the softmax that made the entries.
    """
    limits = xp.finfo(dtype)
    if limits.bits < 32:
        return 2 * float(limits.eps)
    return 1e-4 if limits.bits == 32 else 1e-6


def check_distributions(xp: Namespace, p: Array, name: str, tolerance: float) -> None:
    """Raise unless the last axis of `p` holds distributions: entries ≥ 0, sums 1."""
    check_axis(p, -1, name)
    remedy = "Use softmax to make probabilities of logits."
    check_entries(xp, ~(p >= 0), p, name, f"probabilities must not be negative or NaN. {remedy}")
    sums = xp.sum(p, axis=-1)
    bad = ~(abs(sums - 1) <= tolerance)
    if bool(xp.any(bad)):
        index = first(xp, bad)
        message = (
            f"`{name}`{place(index)} sums to {number(sums[index]):.9g}; rows must sum to 1 within "
            f"{tolerance:.2g}. Normalise them, or pass {'labels' if name == 'y' else 'logits'}."
        )
        raise InputError(message)
