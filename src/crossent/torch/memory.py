"""New memory in large pages, where the system has them.

The system finds new memory page by page when it is written for the first time: of pages of 4 kB
that takes as long as some of the sums that go into it. Asked, Linux gives pages of 2 MB.
"""

import contextlib
import ctypes
import functools
import mmap
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["empty"]

_PAGE = 2**21
_LEAST_BYTES = 2**22
"""Below, little is gained: the C library often has such memory, written before."""


def empty(shape: int | Sequence[int], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor on the CPU."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    out = torch.empty(shape, dtype=dtype)
    if out.nbytes >= _LEAST_BYTES:
        _ask_for_large_pages(out.data_ptr(), out.nbytes)
    return out


def _ask_for_large_pages(address: int, size: int) -> None:
    """Advice only: where it is not heard, nothing changes."""
    advise = _advise()
    first = -(-address // _PAGE) * _PAGE
    last = (address + size) // _PAGE * _PAGE
    if advise is not None and last > first:
        advise(first, last - first, mmap.MADV_HUGEPAGE)


@functools.cache
def _advise() -> Callable[[int, int, int], int] | None:
    """The C library's `madvise`, or None where the system has no such advice."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    with contextlib.suppress(OSError, AttributeError):
        function = ctypes.CDLL(None).madvise
        function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        return function
    return None
