"""Threads that each work alone: one block of classes per thread, one core per product.

A product of one block is too small to be shared well by PyTorch's own threads, which meet after
each operation. So each thread of this pool calls PyTorch with one thread, on blocks of its own; the
caller waits. Which thread gets which block is fixed, so that results do not depend on timing.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import torch

__all__ = ["in_threads"]

_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()


def _forget_pools() -> None:
    """Drop the pools after a fork: their threads live in the parent only."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)


def _work_alone(barrier: threading.Barrier) -> None:
    """Let PyTorch use this thread only; the setting belongs to the thread."""
    torch.set_num_threads(1)
    barrier.wait()


def _pool(count: int) -> ThreadPoolExecutor:
    """A pool of `count` threads that are all running and set up."""
    with _lock:
        if count not in _pools:
            before = torch.get_num_threads()
            barrier = threading.Barrier(count)
            pool = ThreadPoolExecutor(count, "crossent-torch")
            started = [pool.submit(_work_alone, barrier) for _ in range(count)]
            for future in started:
                future.result()
            # The call above also moved what threads to come will start with.
            torch.set_num_threads(before)
            _pools[count] = pool
        return _pools[count]


def in_threads(task: Callable[[int], None], count: int) -> None:
    """Call ``task(0)`` … ``task(count - 1)`` at once, without autograd; return when all are done.

    The first exception is raised after all have ended.
    """
    if count == 1:
        with torch.no_grad():
            task(0)
        return

    def alone(number: int) -> None:
        with torch.no_grad():
            task(number)

    futures = [_pool(count).submit(alone, number) for number in range(count)]
    wait(futures)
    for future in futures:
        future.result()
