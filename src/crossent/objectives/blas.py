"""BLAS held to a number of threads, by several Python threads at once.

A BLAS library has one number of threads for the whole process. Two callers that each set it and put
back what they found can leave it changed for good: the second finds the first one's number. Here
the first to come remembers, the last to leave puts back, and between them the smallest number that
anybody holds is in force.

A fit holds BLAS to one thread. OpenBLAS's idle threads wait for work by spinning, a tenth of a
second long, on the cores that the kernels' own threads need: after a product by two threads the
next passes over MNIST took twice as long. And a Cholesky factorisation of some hundred columns
takes a millisecond; handing it to a pool takes longer. Large products are cut up among the kernels'
threads instead (`curvature`).
"""

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import threadpoolctl
from threadpoolctl import ThreadpoolController

__all__ = ["blas_for", "blas_threads"]

_SMALL = 800  # columns of a matrix; above, more threads pay


@functools.cache
def _controller() -> Any:
    """Finding the libraries takes up to 10 ms, so it is done once."""
    return ThreadpoolController()


class _Shared:
    """Who holds BLAS to how many threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held: list[int] = []
        self.limits: list[Any] = []

    def enter(self, n_threads: int) -> None:
        with self.lock:
            lowest = min(self.held, default=None)
            self.held.append(n_threads)
            if lowest is None or n_threads < lowest:
                self.limits.append(_controller().limit(limits=n_threads, user_api="blas"))
                _release()

    def leave(self, n_threads: int) -> None:
        with self.lock:
            self.held.remove(n_threads)
            if not self.held:
                for limit in reversed(self.limits):
                    limit.restore_original_limits()
                self.limits.clear()
                _release()


def _release() -> None:
    """Let another thread change OpenBLAS next.

    threadpoolctl 3.8 and later ignores all but the thread that first set a number, until that
    thread ends or lets go; here the last to leave may be another.
    """
    controller = threadpoolctl.OpenBLASController
    getattr(controller, "clear_controlling_thread", lambda: None)()


_shared = _Shared()


def _forget() -> None:
    """After a fork the threads that hold the lock live in the parent only."""
    global _shared
    _shared = _Shared()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextmanager
def blas_threads(n_threads: int | None) -> Iterator[None]:
    """Hold BLAS to at most `n_threads` threads; None leaves it as it is."""
    if n_threads is None:
        yield
        return
    shared = _shared
    shared.enter(n_threads)
    try:
        yield
    finally:
        shared.leave(n_threads)


def blas_for(n_columns: int, /) -> AbstractContextManager[None]:
    """A context with one BLAS thread if matrices of `n_columns` columns are small."""
    return blas_threads(None if n_columns > _SMALL else 1)
