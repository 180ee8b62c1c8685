"""Threads of our own: how many, and how work reaches them.

Numba's and BLAS's pools each think that they have the machine to themselves. Here the caller works
too, helped by at most ``n_threads - 1`` threads of one pool that the whole process shares; compiled
functions release the interpreter lock, so that is enough. Tasks never wait for tasks: callers in
several Python threads share the pool without deadlock, and after a fork the child makes its own.
"""

import itertools
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

__all__ = ["resolve", "run", "usable_cores"]

_CGROUP = Path("/sys/fs/cgroup")
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


def _forget_pool() -> None:
    """Drop the pool after a fork: its threads live in the parent only."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _shared_pool() -> ThreadPoolExecutor:
    """The pool; it starts a thread only when a task finds none idle."""
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(os.cpu_count() or 1, 32), "crossent-kernel")
        return _pool


def _quota_of_container() -> float:
    """Processors that the container may use, from cgroup v2 or v1; inf without a limit."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text("ascii").split()
    except (OSError, ValueError):
        try:
            quota = (_CGROUP / "cpu/cpu.cfs_quota_us").read_text("ascii").strip()
            period = (_CGROUP / "cpu/cpu.cfs_period_us").read_text("ascii")
        except (OSError, ValueError):
            return math.inf
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)


def usable_cores() -> int:
    """Processors that this process may keep busy.

    The least of: the processors it may run on, the container's quota rounded up, and the
    environment variable ``OMP_NUM_THREADS``, through which joblib tells its workers their share.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    cores = min(cores, math.ceil(min(_quota_of_container(), cores)))
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted) > 0:
        cores = min(cores, int(wanted))
    return max(cores, 1)


def resolve(n_threads: int | None) -> int:
    """`n_threads`, or `usable_cores` for None; at least 1."""
    return usable_cores() if n_threads is None else max(int(n_threads), 1)


def run(task: Callable[[int], None], count: int, n_threads: int) -> None:
    """Call ``task(0)`` … ``task(count - 1)``, each once, in at most `n_threads` threads.

    Returns when all are done. Which thread makes a call, and when, is open: results must not depend
    on it. After an exception no further calls begin; the first one is raised once all have ended.
    """
    numbers = itertools.count()  # its next() is atomic
    stopped = threading.Event()

    def work() -> None:
        try:
            while not stopped.is_set() and (number := next(numbers)) < count:
                task(number)
        except BaseException:
            stopped.set()
            raise

    helpers: list[Future[None]] = []
    extra = min(n_threads, count) - 1
    if extra > 0:
        pool = _shared_pool()
        helpers = [pool.submit(work) for _ in range(extra)]
    try:
        work()
    finally:
        errors = [helper.exception() for helper in helpers if not helper.cancel()]
    for error in errors:
        if error is not None:
            raise error
