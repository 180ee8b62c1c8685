"""What a call takes whose products are nothing: a small call, timed."""

import functools
import time
from collections.abc import Callable

import torch

from crossent.torch.call import Call, Options
from crossent.torch.engine import known
from crossent.torch.result import LinearCrossEntropyResult

__all__ = ["overhead_seconds"]

Run = Callable[[Call], LinearCrossEntropyResult]

_BLOCKS = 4
_TRIALS = 3


def overhead_seconds(
    run: Run, path: str, dtype: str, *, blocks: int, rows: int, filters: bool
) -> float:
    """Seconds of a forward and backward pass beside what grows with n·q.

    Parameters
    ----------
    run : callable
        What carries a call out.
    path, dtype : str
    blocks : int
        Blocks of rows: each costs some operations on a few numbers, and hands work to threads.
    rows : int
        Rows of a block.
    filters : bool
    """
    first = _small_call(run, path, dtype, 1, filters)
    if blocks == 1:
        return first
    several = _small_call(run, path, dtype, _BLOCKS * rows, filters)
    return first + (blocks - 1) * max(0.0, several - first) / (_BLOCKS - 1)


@functools.cache
def _small_call(run: Run, path: str, dtype: str, rows: int, filters: bool) -> float:
    kind = getattr(torch, dtype)
    call = Call(
        input=torch.zeros((rows, 1), dtype=kind, requires_grad=True),
        weight=torch.zeros((2, 1), dtype=kind, requires_grad=True),
        bias=None,
        labels=torch.zeros((rows, 1), dtype=torch.int64),
        label_probabilities=None,
        targets=None,
        class_weight=None,
        sample_weight=None,
        chosen=None,
        options=Options(path=path, filter=0.0 if filters else None),
    )

    def once() -> float:
        start = time.perf_counter()
        with torch.enable_grad():
            torch.autograd.grad(run(call).loss, [call.input, known(call.weight)])
        return time.perf_counter() - start

    return min(once() for _ in range(_TRIALS))
