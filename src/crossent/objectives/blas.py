"""One BLAS thread where matrices are small.

A Cholesky factorisation of some hundred columns takes a millisecond; handing it to a pool of
threads takes longer, and where other programs share the cores up to a hundred times as long,
because the pool's threads wait for each other.
"""

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["blas_for"]

_SMALL = 800  # columns; above, more threads pay


@functools.cache
def _controller() -> Any:
    """Finding the libraries takes 10 ms, so it is done once."""
    return ThreadpoolController()


def blas_for(n_columns: int, /) -> AbstractContextManager[Any]:
    """A context with one BLAS thread if matrices of `n_columns` columns are small."""
    if n_columns > _SMALL:
        return nullcontext()
    context: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return context
