"""How fast this machine is, from a short trial, so that a plan can say how long a call takes."""

import functools
import time
from collections.abc import Callable

import torch

from crossent.torch.threads import in_threads, led

__all__ = ["predicted_seconds"]

_ROWS, _CLASSES, _MOST_FEATURES = 192, 1360, 1024
_TRIALS = 5


def predicted_seconds(
    n_rows: int, n_features: int, n_classes: int, products: float, threads: int, item: int
) -> float:
    """Time of the products and of one exponential per logit, at the speed of a trial on blocks.

    The trial takes some hundredths of a second, once for each width, dtype and number of threads.
    """
    width = max(1, min(n_features, _MOST_FEATURES))
    flops, exponentials = _rates(width, threads, item)
    logits = float(n_rows) * n_classes
    return products * 2.0 * logits * n_features / flops + logits / exponentials


@functools.cache
def _rates(width: int, threads: int, item: int) -> tuple[float, float]:
    """Operations and exponentials a second of all threads together."""
    dtype = torch.float64 if item == 8 else torch.float32
    shapes = ((threads, _ROWS, width), (threads, width, _CLASSES), (threads, _ROWS, _CLASSES))
    a, b, c = (torch.zeros(shape, dtype=dtype) for shape in shapes)
    product = _best(lambda i: torch.mm(a[i], b[i], out=c[i]), threads)
    exponential = _best(lambda i: torch.exp2(c[i], out=c[i]), threads)
    logits = threads * _ROWS * _CLASSES
    return 2.0 * logits * width / product, logits / exponential


def _best(operation: Callable[[int], object], threads: int) -> float:
    """Seconds of the fastest of some trials, all threads at once."""

    def task(thread: int) -> None:
        operation(thread)

    def trial() -> float:
        start = time.perf_counter()
        in_threads(task, threads)
        return time.perf_counter() - start

    return led(lambda: min(trial() for _ in range(_TRIALS)), threads)
