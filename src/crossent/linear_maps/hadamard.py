"""The Walsh-Hadamard transform as a few products with small matrices."""

import functools
import math

import numpy as np
import numpy.typing as npt
import scipy.linalg

from crossent.errors import InputError
from crossent.typing import FloatArray

__all__ = ["hadamard_factors", "hadamard_flops", "hadamard_transform", "next_power_of_two"]

_LARGEST = 128  # rows of the largest factor; larger ones cost more than a third product


def next_power_of_two(size: int, /) -> int:
    """The smallest power of two that is at least `size` ≥ 1."""
    return 1 << (size - 1).bit_length()


@functools.cache
def hadamard_factors(n: int, /) -> tuple[int, ...]:
    """Orders of the matrices whose product a transform is: as equal as they can be, ≤ 128.

    Examples
    --------
    >>> hadamard_factors(2048)
    (32, 64)
    """
    bits = n.bit_length() - 1
    count = max(1, math.ceil(bits / (_LARGEST.bit_length() - 1)))
    if count == 1 and bits > 3:
        count = 2
    return tuple(1 << ((bits + k) // count) for k in range(count))


@functools.cache
def _matrix(n: int, dtype: npt.DTypeLike) -> FloatArray:
    """The orthonormal Hadamard matrix of order n; read-only, because it is shared."""
    matrix: FloatArray = (scipy.linalg.hadamard(n) / math.sqrt(n)).astype(dtype)
    matrix.flags.writeable = False
    return matrix


def hadamard_transform(X: FloatArray, /) -> FloatArray:
    """Orthonormal Walsh-Hadamard transform ``X H`` of every row, shape (m, n).

    H is ``scipy.linalg.hadamard(n) / sqrt(n)``: symmetric and its own inverse. Since
    H_ab = H_a ⊗ H_b, a row read as an (a, b) matrix M becomes H_a M H_b: two products with small
    matrices, which is what a CPU does fastest (benchmarks/results/structured.json).

    Parameters
    ----------
    X : ndarray of float32 or float64, shape (m, n)
        n a power of two.

    Returns
    -------
    ndarray, shape (m, n), of X's dtype

    Raises
    ------
    InputError
        X has no two axes, or n is no power of two.

    Notes
    -----
    Cost: 2·m·n·(a + b) flops with a·b = n, a ≈ b; three factors above n = 16384. The error is that
    of products of length a and b, below (a + b)·u of the row's norm, u the unit roundoff.

    Examples
    --------
    >>> import numpy as np
    >>> hadamard_transform(np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]))
    array([[0.5, 0.5, 0.5, 0.5],
           [2. , 0. , 0. , 0. ]])
    """
    if X.ndim != 2 or X.shape[1] < 1 or X.shape[1] & (X.shape[1] - 1):
        message = (
            f"`X` has shape {X.shape}; a Hadamard transform takes rows whose length is a power of "
            "two. Pad them with zeros."
        )
        raise InputError(message)
    m, n = X.shape
    *outer, last = hadamard_factors(n)
    result = (X.reshape(-1, last) @ _matrix(last, X.dtype)).reshape(m, n)
    inside = last
    for size in reversed(outer):
        matrices = result.reshape(-1, size, inside)
        result = np.matmul(_matrix(size, X.dtype), matrices).reshape(m, n)
        inside *= size
    return result


def hadamard_flops(n: int, /) -> int:
    """Floating-point operations of `hadamard_transform` per row of length n.

    Examples
    --------
    >>> hadamard_flops(1024)
    131072
    """
    return 2 * n * sum(hadamard_factors(n))
