"""From probabilities to whole counts, which are the same for sender and receiver."""

from typing import Any

import numpy as np
import numpy.typing as npt

from crossent._arrays import as_floats, check_distributions, find_namespace, row_sum_tolerance
from crossent.coding.exact import whole_number
from crossent.errors import InputError
from crossent.functional import kl_divergence

__all__ = [
    "MOST_BITS",
    "check_precision",
    "default_precision",
    "quantisation_cost",
    "quantise",
    "quantise_rows",
]

MOST_BITS = 28
"""Of the counts' sum. The coder's state is at least 2^31: three bits are left for its accuracy."""

_COMPILED_FROM = 2**20
"""Entries of probabilities; NumPy takes 0.06 s for as many."""

Counts = npt.NDArray[np.uint32]
Probabilities = npt.NDArray[np.float64]


def default_precision(n_symbols: int, /) -> int:
    """Bits of the counts' sum at which quantising costs at most 2^-16 nats a symbol (up to 2^12).

    16 + ⌈log₂ q⌉, and at most 28. Finer counts would be more sensitive to the last bits of the
    probabilities, in which two machines can differ.

    Parameters
    ----------
    n_symbols : int
        Size q of the alphabet, at least 1 and at most 2^27.

    Returns
    -------
    int

    Raises
    ------
    InputError
        `n_symbols` is out of range.

    Examples
    --------
    >>> default_precision(10), default_precision(50_257)
    (20, 28)
    """
    n_symbols = whole_number(n_symbols, "n_symbols", least=1, most=2 ** (MOST_BITS - 1))
    return min(16 + (n_symbols - 1).bit_length(), MOST_BITS)


def quantise(probabilities: Any, precision_bits: int | None = None, /) -> Counts:
    """Counts of at least 1 that sum to 2^b and stand for a distribution's probabilities.

    Every class gets one, the rest T - q of T = 2^b is shared in proportion to the probabilities,
    rounded down, and what is then left goes to the largest remainders::

        c_j = 1 + ⌊x_j⌋ + [x_j - ⌊x_j⌋ is among the largest],   x = (p / Σp) (T - q)

    Parameters
    ----------
    probabilities : array_like, shape (..., q)
        Rows must sum to 1 within 1e-6 (float32: 1e-4).
    precision_bits : int, optional
        b, with q ≤ 2^b and at most 28; `default_precision` of q by default.

    Returns
    -------
    ndarray of uint32, shape (..., q)

    Raises
    ------
    InputError
        There are no classes, an entry is negative or NaN, a row does not sum to 1, or
        `precision_bits` cannot be used.

    Notes
    -----
    *Deterministic*: the same float64 probabilities give the same counts on every machine. The sum
    is taken from left to right, all else is rounded once, and no logarithm is used. *Monotone*:
    p_i > p_j implies c_i ≥ c_j. Equal remainders go to the larger probability, then to the first
    class, so that equal probabilities differ by one count at most. *Cheap*: since
    c_j > p_j (T - q), up to rounding, a symbol costs at most -log(1 - q/T) nats more than with the
    exact probabilities, and that only where most classes are impossible.

    A softmax is not the same to the last bit for other batches, libraries and devices; only
    counts made from the same bits agree. Time: O(q) a row for many, O(q log q) for few.

    Examples
    --------
    >>> quantise([1.0, 0.0, 0.0], 8)
    array([254,   1,   1], dtype=uint32)
    >>> quantise([1 / 3, 1 / 3, 1 / 3], 4)
    array([6, 5, 5], dtype=uint32)
    """
    given = np.asarray(probabilities)
    if given.ndim == 0 or given.shape[-1] == 0:
        message = (
            f"`probabilities` has shape {given.shape}, so no classes; pass rows with an entry for "
            "each class."
        )
        raise InputError(message)
    bits = check_precision(precision_bits, given.shape[-1])
    return quantise_rows(given, bits, compiled=given.size >= _COMPILED_FROM)


def quantise_rows(probabilities: Any, bits: int, /, *, compiled: bool) -> Counts:
    """`quantise` with checked bits, by the compiled loop or in NumPy.

    Raises
    ------
    InputError
        A row is no distribution.

    Examples
    --------
    >>> quantise_rows(np.array([[0.75, 0.25]]), 3, compiled=False)
    array([[6, 2]], dtype=uint32)
    """
    xp = find_namespace()
    _, (given,) = as_floats(probabilities=probabilities)
    tolerance = row_sum_tolerance(xp, given.dtype)
    p = np.asarray(given, dtype=np.float64)
    if not compiled or p.ndim == 0 or p.shape[-1] == 0:
        check_distributions(xp, p, "probabilities", tolerance)
        return _quantise(p, bits)
    from crossent.kernels.quantise import rows_quantiser

    rows = np.ascontiguousarray(p).reshape(-1, p.shape[-1])
    counts = np.empty(rows.shape, dtype=np.uint32)
    if rows_quantiser(p.shape[-1])(rows, bits, tolerance, counts) < 0:
        return counts.reshape(p.shape)
    check_distributions(xp, p, "probabilities", tolerance)  # says what is wrong, and raises
    return _quantise(p, bits)  # a sum at the very edge of the tolerance


def _quantise(p: Probabilities, bits: int) -> Counts:
    """The definition of `quantise`."""
    q = p.shape[-1]
    free = (1 << bits) - q
    share = p / np.cumsum(p, axis=-1)[..., -1:] * float(free)
    whole = np.floor(share)
    left = free - whole.sum(axis=-1, keepdims=True)
    order = np.lexsort((-p, whole - share), axis=-1)  # stable: the first class of equals
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(q), order.shape), axis=-1)
    return np.asarray(whole + 1 + (rank < left), dtype=np.uint32)


def quantisation_cost(
    probabilities: Any, counts: Any, /, *, base: float | None = None
) -> npt.NDArray[np.float64]:
    """What a symbol costs more with the counts than with the exact probabilities, in nats.

    ::

        KL(p ‖ c / 2^b) = Σ_j p_j log( p_j 2^b / c_j )

    Parameters
    ----------
    probabilities : array_like, shape (..., q)
    counts : array_like of int, shape (..., q)
        As from `quantise`.
    base : float, optional
        Unit of the result: None nats, 2 bits.

    Returns
    -------
    ndarray, shape (...)
        Between 0 and -log(1 - q / 2^b).

    Raises
    ------
    InputError
        A count is below 1; else as `crossent.functional.kl_divergence`, which is used.

    Examples
    --------
    >>> float(quantisation_cost([0.5, 0.25, 0.25], [128, 64, 64]))
    0.0
    >>> bool(quantisation_cost([1.0, 0.0], quantise([1.0, 0.0], 8)) < 2 / 256)
    True
    """
    whole = np.asarray(counts, dtype=np.float64)
    if not (whole >= 1).all():
        low = float(whole.min())
        message = f"`counts` holds {low:g}; every count must be at least 1. Use `quantise`."
        raise InputError(message)
    q = whole / whole.sum(axis=-1, keepdims=True)
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(kl_divergence(p, q, base=base))


def check_precision(precision_bits: int | None, n_symbols: int, /) -> int:
    """The bits to use for an alphabet, checked.

    Raises
    ------
    InputError
        They are no whole number, too many, or too few for a count of 1 for each symbol.

    Examples
    --------
    >>> check_precision(None, 10)
    20
    """
    if precision_bits is None:
        return default_precision(n_symbols)
    bits = whole_number(precision_bits, "precision_bits", least=0, most=MOST_BITS)
    if n_symbols > 2**bits:
        message = (
            f"`precision_bits` is {bits}: a sum of {2**bits} cannot hold a count of 1 for each of "
            f"{n_symbols} classes. Take at least {(n_symbols - 1).bit_length()}."
        )
        raise InputError(message)
    return bits
