"""How kernels are compiled: without the interpreter lock, once per machine, in silence.

Only entry points are cached; what they call is compiled into them.
"""

import functools
import pickle
import threading
import types
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.extending import intrinsic

__all__ = ["entry", "inner", "instruction", "once", "source_stamp"]

F = TypeVar("F", bound=Callable[..., Any])

_njit: Any = numba.njit  # its stub does not know all options
_OPTIONS = {"nogil": True, "error_model": "numpy"}
_NO_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_ELEMENTWISE = {"contract"}
"""Fused multiply-add is allowed and nothing else: NaN, infinities and the order of sums count."""
_SUMS = {"contract", "reassoc", "nsz"}
"""In sums over a block, the order may change too: it must, to use vectors."""


def inner(*, any_order: bool = False, exact: bool = False) -> Callable[[F], F]:
    """Decorate what only compiled functions call.

    `any_order` lets sums be reordered; `exact` lets nothing be fused.
    """
    rules: Any = _SUMS if any_order else (False if exact else _ELEMENTWISE)

    def decorate(function: F) -> F:
        compiled: F = _njit(**_OPTIONS, **_NO_WRAPPERS, fastmath=rules)(function)
        return compiled

    return decorate


def instruction(function: Callable[..., Any]) -> Any:
    """Decorate a function that generates instructions; its constant arguments come as literals.

    Its parameters are types: ``typingctx`` and one for each argument, used or not.
    """
    return intrinsic(prefer_literal=True)(function)


@functools.cache
def source_stamp() -> int:
    """A number that changes with any file of this folder."""
    stamp = 0
    for path in sorted(Path(__file__).parent.glob("*.py")):
        stamp = zlib.crc32(path.read_bytes(), stamp)
    return stamp


def once(make: Callable[[np.dtype[Any]], F]) -> Callable[[np.dtype[Any]], F]:
    """`make`, called once for each dtype: threads that come meanwhile wait instead of compiling."""
    lock = threading.Lock()
    made: dict[np.dtype[Any], F] = {}

    @functools.wraps(make)
    def look_up(dtype: np.dtype[Any]) -> F:
        if dtype not in made:
            with lock:
                if dtype not in made:
                    made[dtype] = make(dtype)
        return made[dtype]

    return look_up


def entry(function: F, signature: Any, dtype: np.dtype[Any], *, exact: bool = False) -> F:
    """`function`, compiled for `signature` alone; from the disk cache if it is there.

    With `exact` no operations are fused: every rounding is that of the same line in Python.

    Numba takes the cache folder from ``NUMBA_CACHE_DIR``, else beside this file, else the user's.
    If none can be written, or what is there cannot be read, it is compiled for this process only.

    Numba's cache looks for changes in the file of `function` alone, and would keep serving machine
    code made from older versions of what that calls; and two processes that write one index at the
    same time can exchange its entries. So each type and each state of the sources has a name, and
    with it an index, of its own.
    """
    own = types.FunctionType(function.__code__, function.__globals__, function.__name__)
    own.__qualname__ = f"{function.__name__}_{dtype.name}_{source_stamp():08x}"
    own.__module__ = function.__module__
    fused = False if exact else _ELEMENTWISE
    try:
        cached: F = _njit(signature, cache=True, fastmath=fused, **_OPTIONS)(own)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, AttributeError, ImportError):
        # RuntimeError: no folder can be written; the others: a damaged or full one.
        cached = _njit(signature, fastmath=fused, **_OPTIONS)(own)
    return cached
