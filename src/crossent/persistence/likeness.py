"""Whether an object that was rebuilt from a file is the one that was written."""

from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import scipy.sparse

__all__ = ["difference"]


def difference(found: Any, expected: Any, place: str, /) -> str | None:
    """Where a rebuilt object differs from the original in type, dtype or any bit.

    Parameters
    ----------
    found, expected : object
        Objects are alike if their ``__getstate__`` is; those that have none to show, such as
        some written in C, if their types are.
    place : str
        Name of the object; that of the part that differs is built upon it.

    Returns
    -------
    str or None
        None if nothing differs. NaN is like NaN, and -0.0 unlike 0.0.

    Examples
    --------
    >>> difference({"a": [1, 2.0]}, {"a": [1, 2]}, "model")
    "model['a'][1]"
    >>> difference({"a": [1, float("nan")]}, {"a": [1, float("nan")]}, "model") is None
    True
    """
    if type(found) is not type(expected):
        return place
    parts = _parts(expected)
    if parts is None:
        return None if _alike(found, expected) else place
    found_parts = _parts(found)
    if found_parts is None or found_parts.keys() != parts.keys():
        return place
    wheres = (difference(found_parts[label], parts[label], place + label) for label in parts)
    return next((where for where in wheres if where is not None), None)


def _parts(value: Any) -> dict[str, Any] | None:
    """What an object consists of, each part by the label that leads to it; None for a leaf."""
    if isinstance(value, dict):
        # repr tells True from 1 and "1", which skops does not.
        return {f"[{key!r}]": part for key, part in value.items()}
    if isinstance(value, list | tuple):
        return {f"[{i}]": part for i, part in enumerate(value)}
    if isinstance(value, np.ndarray) and value.dtype == object:
        return {".shape": value.shape, ".values": value.ravel().tolist()}
    if scipy.sparse.issparse(value):
        # Not its attributes: some only remember what was found out about the others.
        entries = value.tocoo()
        return {".format": value.format, ".shape": value.shape, ".values": entries.data} | {
            f".coords[{i}]": part for i, part in enumerate(entries.coords)
        }
    if isinstance(value, np.ndarray | np.generic | type | FunctionType | BuiltinFunctionType):
        return None
    state = value.__getstate__()
    if isinstance(state, dict):
        return {f".{name}": part for name, part in state.items()}
    return _parts(state) if isinstance(state, list | tuple) else None


def _alike(found: Any, expected: Any) -> bool:
    """Whether two leaves of the same type are the same."""
    if isinstance(expected, np.ndarray | np.generic):
        kind = (found.dtype, found.shape) == (expected.dtype, expected.shape)
        return kind and bool(found.tobytes() == expected.tobytes())
    if isinstance(expected, int | float | complex | str | bytes | bytearray | slice):
        return repr(found) == repr(expected)
    if isinstance(expected, set | frozenset):
        return bool(found == expected)
    if isinstance(expected, type | FunctionType | BuiltinFunctionType):
        return found is expected
    return True
