"""States of maps, checked: what was saved from another map is refused and never made to fit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError

__all__ = ["check_state", "exact"]


def check_state(
    state: Any, wanted: dict[str, tuple[int, ...]], shape: tuple[int, int], owner: str, /
) -> None:
    """Raise unless `state` has the names and shapes of `wanted` and is of a map of `shape`.

    Parameters
    ----------
    state : mapping of str to array
    wanted : dict
        Shapes by name, "shape" among them.
    owner : str
        The map in words, for messages.
    """
    if not isinstance(state, Mapping):
        message = f"the state is a {type(state).__name__}; it must be a dict, as of `state`."
        raise InputError(message)
    if set(state) != set(wanted):
        message = (
            f"the state holds {sorted(map(str, state))}; {owner} needs {sorted(wanted)}. Load it "
            "into a map of the kind and the options that it was saved from."
        )
        raise InputError(message)
    found = np.ravel(np.asarray(state["shape"])).tolist()
    if found != list(shape):
        message = (
            f"the state is of a map of shape {tuple(found)}; this is {owner}. Load it into a map "
            "of the same shape."
        )
        raise InputError(message)
    for name, size in wanted.items():
        if np.shape(state[name]) != size:
            message = (
                f"the state's {name!r} has shape {np.shape(state[name])}; {owner} needs {size}. "
                "Load it into a map of the same size and options."
            )
            raise InputError(message)


def exact(value: Any, dtype: npt.DTypeLike, name: str, owner: str, /) -> npt.NDArray[Any]:
    """A copy of `value` in `dtype`; InputError where that is not finite, or for integers not it."""
    array = np.asarray(value)
    dtype = np.dtype(dtype)
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        message = f"the state's {name!r} of {owner} does not hold finite numbers only."
        raise InputError(message)
    with np.errstate(invalid="ignore"):
        kept = array.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(kept, array):
        message = (
            f"the state's {name!r} of {owner} must hold integers of type {dtype.name}, as they "
            "were saved; it holds others."
        )
        raise InputError(message)
    return kept
