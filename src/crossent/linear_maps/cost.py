"""What a map costs beside a dense matrix: counted, estimated, and measured on this machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.linear_maps.dense import Dense
from crossent.typing import LinearMap

__all__ = ["CostReport", "cost_report", "is_faster_than_dense"]

_BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
_SECONDS_PER_TIMING = 0.05
_MOST_RUNS = 50
_MOST_NUMBERS = 2**26  # of a batch's inputs and outputs: 256 MB in float32
_SLOWDOWN = {
    "LowRank": 1.5,
    "BlockDiagonal": 2.5,
    "Monarch": 4.0,
    "Fastfood": 2.5,
    "Circulant": 6.0,
    "Toeplitz": 6.0,
    "ToeplitzLike": 9.0,
}
_OVERHEAD_FLOPS = 1.5e6  # Python and small calls, 20 µs
_ROWS_FOR_ARITHMETIC = 4  # with fewer, reading the matrix takes longer than multiplying


@dataclass(frozen=True)
class CostReport:
    """A map's numbers beside those of the dense matrix it stands for.

    Attributes
    ----------
    kind : str
    shape : (int, int)
        (q, d).
    batch : int
        Rows of the measured products.
    parameters, dense_parameters : int
    multiply_adds, dense_multiply_adds : int
        Per row; half the floating-point operations.
    bytes, dense_bytes : int
        Of the parameters in the measured dtype, permutations and signs included.
    milliseconds, dense_milliseconds : float
        Of the product with `batch` rows on this machine, the least of several runs.
    break_even_batch : int or None
        The smallest of the batches 1, 4, 16, … 4096 (and `batch`) from which on the map was faster,
        at it and at all larger ones; None if there is none, as for a dense map.
    """

    kind: str
    shape: tuple[int, int]
    batch: int
    parameters: int
    dense_parameters: int
    multiply_adds: int
    dense_multiply_adds: int
    bytes: int
    dense_bytes: int
    milliseconds: float
    dense_milliseconds: float
    break_even_batch: int | None

    def __str__(self) -> str:
        """A small table, and where the map begins to pay."""
        rows = (
            ("parameters", self.parameters, self.dense_parameters),
            ("multiply-adds a row", self.multiply_adds, self.dense_multiply_adds),
            ("bytes", self.bytes, self.dense_bytes),
        )
        lines = [
            f"{self.kind}, {self.shape[0]} x {self.shape[1]}  {'':14}map      dense   dense/map"
        ]
        lines += [f"{name:22}{a:14,}{b:14,}{b / max(a, 1):10.2f}" for name, a, b in rows]
        ratio = self.dense_milliseconds / self.milliseconds
        lines.append(
            f"{f'ms for {self.batch} rows':22}{self.milliseconds:14.4f}"
            f"{self.dense_milliseconds:14.4f}{ratio:10.2f}"
        )
        if self.kind == "Dense":
            lines.append("This is the dense map: there is nothing to gain or to lose.")
        elif self.break_even_batch is None:
            lines.append("Not faster from any batch on: keep it multiplied out (dense).")
        else:
            lines.append(f"Faster than dense from a batch of {self.break_even_batch} rows.")
        return "\n".join(lines)


def cost_report(
    linear_map: LinearMap,
    theta: npt.NDArray[np.float64],
    /,
    *,
    batch: int = 256,
    dtype: npt.DTypeLike = np.float32,
) -> CostReport:
    """Counts, and times of the map and of the dense product on this machine.

    Parameters
    ----------
    linear_map : LinearMap
    theta : ndarray, shape (p,)
    batch : int, default=256
        Rows at a time.
    dtype : dtype, default=float32
        Of rows and parameters.

    Returns
    -------
    CostReport

    Raises
    ------
    InputError
        `batch` is no positive integer.

    Notes
    -----
    Takes up to some seconds: every product is repeated for 0.05 s, and the break-even batch is
    looked for among 1, 4, 16, … 4096.

    Examples
    --------
    >>> import numpy as np
    >>> from crossent.linear_maps import LowRank
    >>> thin = LowRank((300, 500), rank=10)
    >>> report = cost_report(thin, thin.start(np.random.default_rng(0)), batch=64)
    >>> report.parameters, report.dense_parameters, report.multiply_adds
    (8000, 150000, 8000)
    """
    if not isinstance(batch, int | np.integer) or batch < 1:
        message = f"`batch` is {batch!r}; it must be a positive number of rows."
        raise InputError(message)
    q, d = linear_map.shape
    dense = linear_map.to_dense(theta).astype(dtype)
    given = np.asarray(theta).astype(dtype)  # as W is: no call pays for the conversion
    measured = {rows: _both(linear_map, given, dense, rows) for rows in _tried(batch, q + d)}
    return CostReport(
        kind=type(linear_map).__name__,
        shape=(q, d),
        batch=int(batch),
        parameters=linear_map.n_parameters,
        dense_parameters=q * d,
        multiply_adds=-(-linear_map.flops(1) // 2),
        dense_multiply_adds=q * d,
        bytes=linear_map.bytes(dtype),
        dense_bytes=dense.nbytes,
        milliseconds=1e3 * measured[batch][0],
        dense_milliseconds=1e3 * measured[batch][1],
        break_even_batch=None if isinstance(linear_map, Dense) else _break_even(measured),
    )


def _break_even(measured: dict[int, tuple[float, float]]) -> int | None:
    """The smallest batch such that the map is faster there and at all larger ones."""
    found = None
    for rows, (ours, theirs) in sorted(measured.items(), reverse=True):
        if ours >= theirs:
            break
        found = rows
    return found


def _tried(batch: int, width: int) -> list[int]:
    """The batches of the search that fit into memory, and the one that was asked for."""
    return sorted({batch, *(rows for rows in _BATCHES if rows * width <= _MOST_NUMBERS)})


def _both(
    linear_map: LinearMap, theta: npt.NDArray[Any], dense: npt.NDArray[Any], rows: int
) -> tuple[float, float]:
    """Seconds of the map and of the dense product."""
    X = np.random.default_rng(0).standard_normal((rows, dense.shape[1])).astype(dense.dtype)
    return _seconds(lambda: linear_map.apply(theta, X)), _seconds(lambda: X @ dense.T)


def _seconds(call: Callable[[], Any]) -> float:
    """The least of several runs, after one that does not count."""
    call()
    best, spent = np.inf, 0.0
    for _ in range(_MOST_RUNS):
        started = time.perf_counter()
        call()
        seconds = time.perf_counter() - started
        best, spent = min(best, seconds), spent + seconds
        if spent > _SECONDS_PER_TIMING:
            break
    return float(best)


def is_faster_than_dense(linear_map: LinearMap, rows: int, /) -> bool:
    """Whether `rows` rows are estimated to pass faster through the map than through W.

    An estimate and no measurement, so that the same call always takes the same way: flops times a
    factor for each kind that says how far it is from the rate of a matrix product, plus a constant;
    for few rows the reading of the matrix instead of flops. Kinds that are not listed, such as PHM,
    are never faster. Where measured times (benchmarks/results/structured.json, "break_even") lie
    within a third of each other the answer may be the slower way.
    """
    slowdown = _SLOWDOWN.get(type(linear_map).__name__)
    if slowdown is None:
        return False
    felt = max(rows, _ROWS_FOR_ARITHMETIC)
    dense = 2.0 * linear_map.shape[0] * linear_map.shape[1] * felt
    return slowdown * linear_map.flops(felt) + _OVERHEAD_FLOPS < dense
