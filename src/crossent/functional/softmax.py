"""The softmax, its logarithm, and the soft maximum that normalises it.

One policy for the whole family; a row is the entries along `axis`.

=====================================  =========================  ============================
row of logits                          softmax, log_softmax       logsumexp
=====================================  =========================  ============================
finite                                 finite                     finite
some -inf, a finite maximum            0 and -inf there           the others'
all -inf                               NaN                        -inf (the sum is empty)
a +inf                                 NaN                        +inf
a NaN                                  NaN                        NaN
=====================================  =========================  ============================

`eps` is the machine epsilon of the arithmetic: of the input's dtype for float32 and float64;
float16 and bfloat16 are computed in float32 and rounded once at the end. The bounds hold for exp
and log1p within 2.5 units in the last place, and down to the smallest normal number; below it the
error is at most the smallest normal number. Nothing emits a floating-point warning.
"""

import math
from typing import Any

import numpy as np

from crossent._arrays import (
    Namespace,
    as_floats,
    as_working,
    cast,
    check_axis,
    check_positive,
)
from crossent.errors import InputError
from crossent.functional import _softmax
from crossent.typing import Array

__all__ = ["log_softmax", "logsumexp", "real_softmax", "softmax", "softmin"]


@np.errstate(all="ignore")
def softmax(logits: Any, /, *, temperature: float = 1.0, axis: int = -1) -> Array:
    """Probabilities proportional to exp(logits / temperature).

    ::

        p_j = exp(z_j / T) / Σ_k exp(z_k / T)

    Parameters
    ----------
    logits : array_like, shape (..., q, ...)
        Real numbers; -inf excludes a class. Integers and lists are promoted to the default float.
    temperature : float, default 1.0
        T > 0. High temperatures are even, low ones sharp: as T → 0 the mass goes to the largest
        logits in equal parts, as T → ∞ to all classes that are not excluded.
    axis : int, default -1
        The axis of the classes.

    Returns
    -------
    Array, shape of `logits`
        Non-negative, sums to 1 along `axis`. NaN in rows without a finite maximum.

    Raises
    ------
    InputError
        If `temperature` is not a positive normal number, there is no such axis, or it is empty.

    Notes
    -----
    The relative error of p_j is at most ``(d_j + q + 8) eps``, where d_j is the distance of z_j / T
    from the largest. The maximum is subtracted before the division by T, so that large logits with
    small differences keep them. Time and memory O(size of `logits`).

    To choose a class, compare logits: different logits can round to equal probabilities.

    References
    ----------
    P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax
    functions", IMA J. Numer. Anal. 41(4), 2021, doi:10.1093/imanum/draa038.

    Examples
    --------
    >>> softmax([1.0, 2.0, 3.0]).round(4)
    array([0.09  , 0.2447, 0.6652])
    >>> softmax([1.0, 2.0, 3.0], temperature=2.0).round(4)
    array([0.1863, 0.3072, 0.5065])
    """
    xp, z, dtype = _enter(logits, "logits", axis)
    divisor = check_positive(xp, temperature, "temperature", z.dtype)
    return cast(xp, _softmax.softmax(_softmax.terms(xp, z, axis, divisor=divisor)), dtype)


@np.errstate(all="ignore")
def log_softmax(logits: Any, /, *, temperature: float = 1.0, axis: int = -1) -> Array:
    """Logarithms of the softmax probabilities, in nats.

    ::

        log p_j = z_j / T - log Σ_k exp(z_k / T)

    Parameters
    ----------
    logits : array_like, shape (..., q, ...)
        Real numbers; -inf excludes a class.
    temperature : float, default 1.0
        T > 0.
    axis : int, default -1
        The axis of the classes.

    Returns
    -------
    Array, shape of `logits`
        Not positive; -inf at excluded classes. NaN in rows without a finite maximum.

    Raises
    ------
    InputError
        If `temperature` is not a positive normal number, there is no such axis, or it is empty.

    Notes
    -----
    The *relative* error of every entry, also of one near 0, is at most ``(r + q + 8) eps``, where r
    is the distance of the second largest logit (divided by T) from the largest, 0 for ties. Where
    the distance of two finite logits exceeds the largest float, the entry is -inf.
    Time and memory O(size of `logits`).

    Examples
    --------
    The logarithm of a rounded probability would be 0 here:

    >>> float(log_softmax([0.0, -40.0])[0])
    -4.248354255291589e-18
    """
    xp, z, dtype = _enter(logits, "logits", axis)
    divisor = check_positive(xp, temperature, "temperature", z.dtype)
    return cast(xp, _softmax.log_softmax(xp, _softmax.terms(xp, z, axis, divisor=divisor)), dtype)


@np.errstate(all="ignore")
def logsumexp(logits: Any, /, *, axis: int = -1) -> Array:
    """The log-partition of a row: log Σ_k exp(z_k), in nats.

    It is convex, and its gradient is the softmax. Adding b to all logits adds b to it.

    Parameters
    ----------
    logits : array_like, shape (..., q, ...)
        Real numbers.
    axis : int, default -1
        The axis that is summed over.

    Returns
    -------
    Array, shape of `logits` without `axis`
        At least the maximum, at most the maximum + log q. -inf for a row of -inf only, an empty
        sum; +inf where a +inf stands.

    Raises
    ------
    InputError
        If there is no such axis or it is empty.

    Notes
    -----
    The absolute error is at most ``(|result| + q + 8) eps``. No better relative bound is possible
    near a result of 0, which is a difference of the maximum and a logarithm.
    Time and memory O(size of `logits`).

    Examples
    --------
    >>> float(logsumexp([800.0, 0.0, 0.0]))
    800.0
    >>> round(float(logsumexp([1.0, 2.0, 3.0])), 15)
    3.40760596444438
    """
    xp, z, dtype = _enter(logits, "logits", axis)
    return cast(xp, _soft_maximum(xp, z, axis, 1.0), dtype)


@np.errstate(all="ignore")
def real_softmax(x: Any, /, *, inverse_temperature: float = 1.0, axis: int = -1) -> Array:
    """A smooth maximum of numbers: λ⁻¹ log Σ_k exp(λ x_k); for λ < 0 a smooth minimum.

    ::

        λ > 0:  max x < result ≤ max x + log(n) / λ        λ → +∞: max x
        λ < 0:  min x > result ≥ min x - log(n) / |λ|      λ → -∞: min x

    for n ≥ 2 numbers; the outer bounds are reached when all are equal. For n = 1 the result is x.

    Parameters
    ----------
    x : array_like, shape (..., n, ...)
        Real numbers.
    inverse_temperature : float, default 1.0
        λ, not 0; +inf gives the maximum, -inf the minimum.
    axis : int, default -1
        The axis of the n numbers.

    Returns
    -------
    Array, shape of `x` without `axis`
        Follows `logsumexp` for infinite entries: for λ > 0 a row of -inf only gives -inf and a +inf
        gives +inf; for λ < 0 with the signs exchanged. NaN where a NaN stands.

    Raises
    ------
    InputError
        If λ is NaN or 0. At 0 there is no limit: for n ≥ 2 the result tends to +∞ from λ > 0 and to
        -∞ from λ < 0. What tends to the mean is ``real_softmax(x) - log(n) / λ``.
        Also if |λ| is finite and not a normal number, or the axis is absent or empty.

    Notes
    -----
    The absolute error is at most ``(|result| + (n + 8) / |λ|) eps``.
    Time and memory O(size of `x`).

    Examples
    --------
    >>> round(float(real_softmax([2.0, 4.0], inverse_temperature=10.0)), 14)
    4.00000000020612
    >>> float(real_softmax([2.0, 4.0], inverse_temperature=float("-inf")))
    2.0
    """
    xp, numbers, dtype = _enter(x, "x", axis)
    sharpness = float(inverse_temperature)
    if sharpness == 0.0 or math.isnan(sharpness):
        message = (
            f"`inverse_temperature` is {sharpness:g}, where the soft maximum has no limit: it is "
            "+inf from above 0 and -inf from below. Pass a number that is not 0, or take the mean, "
            "which real_softmax(x) - log(n) / inverse_temperature tends to."
        )
        raise InputError(message)
    if not math.isinf(sharpness):
        check_positive(xp, abs(sharpness), "abs(inverse_temperature)", numbers.dtype)
    if sharpness > 0:
        soft = _soft_maximum(xp, numbers, axis, sharpness)
    else:  # exact, and 0 - 0 is 0 where -0 would look odd
        soft = 0 - _soft_maximum(xp, -numbers, axis, -sharpness)
    return cast(xp, soft, dtype)


@np.errstate(all="ignore")
def softmin(x: Any, /, *, inverse_temperature: float = 1.0, axis: int = -1) -> Array:
    """A smooth minimum of numbers: -λ⁻¹ log Σ_k exp(-λ x_k), below the minimum.

    The same as ``real_softmax(x, inverse_temperature=-λ)``. (PyTorch's ``Softmin`` is another
    thing: the distribution ``softmax(-x)``.)

    Parameters
    ----------
    x : array_like, shape (..., n, ...)
        Real numbers.
    inverse_temperature : float, default 1.0
        λ, not 0; +inf gives the minimum.
    axis : int, default -1
        The axis of the n numbers.

    Returns
    -------
    Array, shape of `x` without `axis`
        Less than the minimum by at most log(n) / λ. Infinite entries as in `real_softmax`.

    Raises
    ------
    InputError
        As `real_softmax`.

    Notes
    -----
    The absolute error is at most ``(|result| + (n + 8) / |λ|) eps``.

    Examples
    --------
    >>> round(float(softmin([2.0, 4.0])), 15)
    1.873071988957028
    """
    return real_softmax(x, inverse_temperature=-float(inverse_temperature), axis=axis)


def _enter(value: Any, name: str, axis: int) -> tuple[Namespace, Array, Any]:
    """Library, checked array in the dtype of the arithmetic, and the dtype to return."""
    xp, (x,) = as_floats(**{name: value})
    check_axis(x, axis, name)
    return xp, as_working(xp, x), x.dtype


def _soft_maximum(xp: Namespace, x: Array, axis: int, sharpness: float) -> Array:
    """The maximum + log1p(tail) / sharpness, without the axis; `sharpness` > 0, perhaps inf."""
    maximum = _softmax.maximum_of(xp, x, axis)
    if math.isfinite(sharpness):
        t = _softmax.terms(xp, x, axis, multiplier=sharpness)
        soft = maximum + _softmax.log_tail(xp, t) / sharpness
        maximum = xp.where(xp.isinf(maximum), maximum, soft)
    return xp.squeeze(maximum, axis=axis)
