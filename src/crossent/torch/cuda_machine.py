"""How fast a GPU is, from a short trial: so that a plan can say how long a call takes."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from crossent.torch.call import Problem
from crossent.torch.path import Cost, Step

__all__ = ["DeviceRates", "cuda_seconds", "device_seconds", "trial"]

_ROWS, _CLASSES, _MOST_FEATURES = 4096, 4096, 4096
_MOST_BYTES = 2**28
_TRIALS = 5

Timer = Callable[[Callable[[], object]], float]


class DeviceRates(NamedTuple):
    """What a device does in a second."""

    operations: float
    bytes: float


def device_seconds(
    steps: Sequence[Step], n_features: int, n_logits: float, rates: DeviceRates
) -> float:
    """Σ over the steps of the longer of products and bytes, which go on at the same time.

    Kernels of this package that multiply are taken to be as fast as the library's product.
    """
    product = 2.0 * n_logits * n_features / rates.operations
    return sum(max(step.products * product, step.traffic / rates.bytes) for step in steps)


def trial(
    device: torch.device,
    dtype: torch.dtype,
    width: int,
    timer: Timer,
    *,
    rows: int = _ROWS,
    classes: int = _CLASSES,
    copied: int = _MOST_BYTES,
) -> DeviceRates:
    """The rates of a device by the library's product and by a copy.

    Parameters
    ----------
    device : torch.device
    dtype : torch.dtype
    width : int
        Features: what is summed over.
    timer : callable
        ``timer(operation)``: its seconds on the device.
    rows, classes : int
        Of the product.
    copied : int
        Bytes: more than the device's cache holds.
    """
    # Zeros would be multiplied faster: they take less power.
    a = torch.randn((rows, width), dtype=dtype, device=device)
    b = torch.randn((classes, width), dtype=dtype, device=device)
    out = torch.empty((rows, classes), dtype=dtype, device=device)
    product = timer(lambda: torch.mm(a, b.T, out=out))
    source = torch.zeros(copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = timer(lambda: target.copy_(source))
    return DeviceRates(2.0 * rows * classes * width / product, 2.0 * copied / copy)


def cuda_seconds(problem: Problem, cost: Cost, steps: tuple[Step, ...]) -> float | None:
    """The time of the steps on the device of the problem; None in Triton's interpreter."""
    del cost
    if problem.device != "cuda" or not torch.cuda.is_available():
        return None
    d, logits = problem.n_features, float(problem.n_rows) * problem.n_classes
    index = torch.cuda.current_device() if problem.device_index is None else problem.device_index
    precision = torch.get_float32_matmul_precision()
    rates = _rates(index, problem.dtype, max(1, min(d, _MOST_FEATURES)), precision)
    return device_seconds(steps, d, logits, rates)


@functools.cache
def _rates(index: int, dtype: str, width: int, precision: str) -> DeviceRates:
    del precision  # decides whether products of float32 round to TF32
    device = torch.device("cuda", index)
    with torch.no_grad(), torch.cuda.device(device):
        return trial(device, getattr(torch, dtype), width, _by_events)


def _by_events(operation: Callable[[], object]) -> float:
    """Seconds of the fastest of some trials, after one that is not counted."""
    operation()
    found: list[float] = []
    for _ in range(_TRIALS):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        operation()
        stop.record()
        stop.synchronize()
        found.append(float(start.elapsed_time(stop)) / 1e3)
    return min(found)
