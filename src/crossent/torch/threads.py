"""Threads that each work alone: a block of classes per thread, one core per product.

A product of one block is too small to be shared well by PyTorch's own threads, which meet after
each operation and then wait in a loop that takes the core from others. So a call is led by a thread
that PyTorch may not share, helped by others of the same kind, each on blocks of its own. Which
thread gets which block is fixed: results do not depend on timing.
"""

import ctypes
import functools
import itertools
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

__all__ = ["in_threads", "led", "over"]

T = TypeVar("T")

_LEADERS = 64
"""More calls than this at the same time wait for each other."""

_COUNTS = re.compile(r"(?:get_num_threads|get_max_threads)\(\) : (\d+)")
"""How many threads PyTorch, OpenMP and MKL would use, in PyTorch's own report."""

_HELPERS = max(64, os.cpu_count() or 1)

_pools: dict[str, ThreadPoolExecutor] = {}
_lock = threading.Lock()
_own = threading.local()


def _forget_pools() -> None:
    """Drop the pools after a fork: their threads live in the parent only."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)


def _prepare() -> None:
    """Let the libraries use this thread only."""
    if getattr(_own, "ready", False):
        return
    if not _limit_own():
        _limit_through_torch()
    _own.ready = True


def _limit_own() -> bool:
    """Tell OpenMP and MKL themselves, for this thread and no other; whether they obeyed."""
    limits = _limits()
    if limits is None:
        return False
    torch.get_num_threads()  # PyTorch tells a new thread what holds for all, once
    for limit in limits:
        limit(1)
    return all(int(count) == 1 for count in _COUNTS.findall(torch.__config__.parallel_info()))


@functools.cache
def _limits() -> list[Callable[[int], object]] | None:
    """Functions of the libraries that PyTorch has loaded; None where they are not to be found."""
    names = ["omp_set_num_threads"]
    if torch.backends.mkl.is_available():
        names.append("MKL_Set_Num_Threads_Local")
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return [getattr(library, name) for name in names]
    except (OSError, AttributeError):
        return None


def _limit_through_torch() -> None:
    """By PyTorch's own setting, which belongs to the thread.

    The call also moves what threads to come will start with, so that is put back; a thread that
    starts in between keeps the wrong number.
    """
    with _lock:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        restoring = threading.Thread(target=torch.set_num_threads, args=(before,))
        restoring.start()
        restoring.join()


def _submit(kind: str, size: int, task: Callable[[], T]) -> "Future[T]":
    """Start a task in a thread of this kind; tasks of one kind never wait for their own kind."""
    with _lock:
        if kind not in _pools:
            _pools[kind] = ThreadPoolExecutor(size, f"crossent-torch-{kind}")
        pool = _pools[kind]

    def alone() -> T:
        _prepare()
        with torch.no_grad():
            return task()

    return pool.submit(alone)


def led(task: Callable[[], T], threads: int) -> T:
    """The result of a task that will use `threads` threads, from one that works alone."""
    if threads == 1 and torch.get_num_threads() == 1:
        with torch.no_grad():
            return task()
    return _submit("leader", _LEADERS, task).result()


def in_threads(task: Callable[[int], None], count: int) -> None:
    """Call ``task(0)`` here and ``task(1)`` … ``task(count - 1)`` at the same time elsewhere.

    Returns when all are done. The first exception is raised after all have ended.
    """
    futures = [_submit("helper", _HELPERS, partial(task, number)) for number in range(1, count)]
    try:
        task(0)
    finally:
        wait(futures)
    for future in futures:
        future.result()


def over(count: int, visit: Callable[[int, int], None], threads: int) -> None:
    """Call ``visit(number, thread)`` for all numbers below `count`, whoever is free next.

    For visits that share nothing: what they write must not depend on the thread.
    """
    numbers = itertools.count()  # its next() is atomic

    def work(thread: int) -> None:
        while (number := next(numbers)) < count:
            visit(number, thread)

    in_threads(work, threads)
