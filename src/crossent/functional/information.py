"""Surprisal, entropy, cross-entropy and divergences, in nats or any other unit.

All take probabilities, which are checked and never normalised behind the caller's back beyond
rounding: rows must sum to 1 within 1e-6 (float32: 1e-4; 16-bit floats: 2 epsilons) and are then
divided by their sum. With ``from_logits=True`` all distributions are given as logits instead, and
small probabilities keep their logarithms.

One policy for the edges: 0 log 0 = 0, also where the other distribution is 0; mass where the other
distribution has none gives inf. From logits, -inf excludes an outcome, and rows without a finite
maximum give NaN. `eps` is the machine epsilon of the arithmetic (float32 for 16-bit floats), q the
number of outcomes. Bounds take the probabilities as given and say nothing of what rounding took
from them before. A unit other than nats adds 2 eps.
"""

from typing import Any

import numpy as np

from crossent._arrays import (
    Namespace,
    as_floats,
    as_working,
    cast,
    check_axis,
    check_distributions,
    check_entries,
    check_shape,
    row_sum_tolerance,
    unit_of_information,
    working_dtype,
)
from crossent.functional import _information
from crossent.functional._cross_entropy import loss_of_targets
from crossent.functional._softmax import log_softmax, softmax, terms
from crossent.typing import Array

__all__ = [
    "cross_entropy",
    "entropy",
    "js_divergence",
    "kl_divergence",
    "mutual_information",
    "perplexity",
    "surprisal",
]


@np.errstate(all="ignore")
def surprisal(
    p: Any, /, *, base: float | None = None, from_logits: bool = False, axis: int = -1
) -> Array:
    """Surprisal -log p of every probability, in nats: the length of its ideal code word.

    Parameters
    ----------
    p : array_like, any shape
        Probabilities in [0, 1]; they need not be a distribution. With `from_logits` logits, and the
        result is the surprisal of every class.
    base : float, optional
        Unit of the result: None nats, 2 bits, 10 bans.
    from_logits : bool, default False
        Whether `p` holds logits, whose softmax along `axis` is meant.
    axis : int, default -1
        The axis of the classes; only used with `from_logits`.

    Returns
    -------
    Array, shape of `p`
        0 for p = 1, inf for p = 0.

    Raises
    ------
    InputError
        If an entry is not in [0, 1] (to the tolerance of row sums), or `base` is not above 1.

    Notes
    -----
    The relative error is at most ``4 eps``; from logits ``(r + q + 10) eps``, with r the distance
    of the second largest logit from the largest.

    Examples
    --------
    >>> surprisal([1.0, 0.5, 1 / 1024, 0.0], base=2)
    array([ 0.,  1., 10., inf])
    """
    unit = unit_of_information(base)
    xp, (x,) = as_floats(p=p)
    working = as_working(xp, x)
    if from_logits:
        check_axis(x, axis, "p")
        surprisals = -log_softmax(xp, terms(xp, working, axis))
    else:
        bad = ~((working >= 0) & (working <= 1 + row_sum_tolerance(xp, x.dtype)))
        rule = "probabilities must lie in [0, 1]. Pass from_logits=True for logits."
        check_entries(xp, bad, working, "p", rule)
        surprisals = _information.negative_log(xp, working)
    return cast(xp, surprisals / unit, x.dtype)


@np.errstate(all="ignore")
def entropy(
    p: Any, /, *, base: float | None = None, from_logits: bool = False, axis: int = -1
) -> Array:
    """Entropy -Σ p log p of each distribution, in nats.

    The mean surprisal of its outcomes, and the fewest nats per symbol that a uniquely decodable
    code can need on average.

    Parameters
    ----------
    p : array_like, shape (..., q, ...)
        Distributions along `axis`; with `from_logits` their logits.
    base : float, optional
        Unit of the result: None nats, 2 bits, 10 bans.
    from_logits : bool, default False
    axis : int, default -1
        The axis of the outcomes.

    Returns
    -------
    Array, shape of `p` without `axis`
        Between 0, for a certain outcome, and log q, for equal ones.

    Raises
    ------
    InputError
        If entries are negative or NaN, rows do not sum to 1, there is no such axis, or `base` is
        not above 1.

    Notes
    -----
    The error is at most ``(q + 6) (1 + H) eps``; from logits ``(2 D + 3 q + 20) H eps``, a relative
    bound, with D the largest distance of a logit from the maximum of its row.

    Examples
    --------
    >>> float(entropy([0.5, 0.5], base=2))
    1.0
    >>> float(entropy([0.0, -40.0], from_logits=True))
    1.741825...e-16
    """
    unit = unit_of_information(base)
    xp, arrays, dtype = _enter({"p": p}, axis, from_logits)
    return cast(xp, _cross_entropy(xp, arrays, from_logits) / unit, dtype)


@np.errstate(all="ignore")
def cross_entropy(
    p: Any, q: Any, /, *, base: float | None = None, from_logits: bool = False, axis: int = -1
) -> Array:
    """Cross-entropy H(p, q) = -Σ p log q of two distributions, in nats.

    The mean surprisal of outcomes of p for someone who believes q: entropy(p) + KL(p ‖ q). Not
    symmetric. (The loss of a model from its logits is `softmax_cross_entropy`.)

    Parameters
    ----------
    p, q : array_like, shape (..., q, ...)
        Distributions along `axis`, of the same shape; with `from_logits` both as logits.
    base, from_logits, axis
        As in `entropy`.

    Returns
    -------
    Array, shape of `p` without `axis`
        At least entropy(p); inf where p has mass and q has none.

    Raises
    ------
    InputError
        As `entropy`, and if the shapes differ.

    Notes
    -----
    The error is at most ``(q + 6) (1 + H) eps`` with H = H(p, q); from logits, a relative bound,
    ``(2 D + 3 q + 20) H eps`` with D the largest distance of a logit from the maximum of its row.

    Examples
    --------
    >>> float(cross_entropy([0.5, 0.3, 0.2], [0.6, 0.3, 0.1]))
    1.077121...
    """
    unit = unit_of_information(base)
    xp, arrays, dtype = _enter({"p": p, "q": q}, axis, from_logits)
    return cast(xp, _cross_entropy(xp, arrays, from_logits) / unit, dtype)


@np.errstate(all="ignore")
def kl_divergence(
    p: Any, q: Any, /, *, base: float | None = None, from_logits: bool = False, axis: int = -1
) -> Array:
    """Kullback-Leibler divergence KL(p ‖ q) = Σ p log(p/q), in nats.

    What it costs per outcome to believe q where p is true: H(p, q) - H(p). Never negative, 0 only
    for p = q; not symmetric, so mind the order.

    Parameters
    ----------
    p, q, base, from_logits, axis
        As in `cross_entropy`.

    Returns
    -------
    Array, shape of `p` without `axis`
        ≥ 0; inf where p has mass and q has none.

    Raises
    ------
    InputError
        As `cross_entropy`.

    Notes
    -----
    Computed as Σ [p log(p/q) - p + q], whose terms are all ≥ 0, from the differences q - p. The
    relative error is at most ``(q + 40) eps`` (and ``((q + 40) eps)²`` absolute), also for p ≈ q,
    where the textbook sum cancels to rounding noise. From logits the error is at most
    ``R (20 KL + 2 sqrt(KL) + R eps) eps``, where R is q + 40 and the largest distance of two logits
    of a row: good to eps² for p ≈ q.

    Examples
    --------
    >>> float(kl_divergence([0.5, 0.3, 0.2], [0.6, 0.3, 0.1]))
    0.047468...
    >>> round(float(kl_divergence([0.0, 1e-9], [0.0, 0.0], from_logits=True)), 24)
    1.25e-19
    """
    unit = unit_of_information(base)
    xp, (a, b), dtype = _enter({"p": p, "q": q}, axis, from_logits)
    if from_logits:
        nats = _information.kl_from_logits(xp, terms(xp, a), terms(xp, b))
    else:
        nats = _information.kl_from_probabilities(xp, a, b)
    return cast(xp, nats / unit, dtype)


@np.errstate(all="ignore")
def js_divergence(
    p: Any, q: Any, /, *, base: float | None = None, from_logits: bool = False, axis: int = -1
) -> Array:
    """Jensen-Shannon divergence of two distributions, in nats.

    ::

        JS(p, q) = KL(p ‖ m) / 2 + KL(q ‖ m) / 2        m = (p + q) / 2

    Symmetric, between 0 and log 2; its square root is a metric.

    Parameters
    ----------
    p, q, base, from_logits, axis
        As in `cross_entropy`.

    Returns
    -------
    Array, shape of `p` without `axis`
        log 2, to rounding, where p and q share no outcome.

    Raises
    ------
    InputError
        As `cross_entropy`.

    Notes
    -----
    Accuracy as `kl_divergence`.

    Examples
    --------
    >>> float(js_divergence([1.0, 0.0], [0.0, 1.0], base=2))
    1.0
    """
    unit = unit_of_information(base)
    xp, (a, b), dtype = _enter({"p": p, "q": q}, axis, from_logits)
    if from_logits:
        nats = _information.js_from_logits(xp, terms(xp, a), terms(xp, b))
    else:
        nats = _information.js_from_probabilities(xp, a, b)
    return cast(xp, nats / unit, dtype)


@np.errstate(all="ignore")
def perplexity(p: Any, q: Any = None, /, *, from_logits: bool = False, axis: int = -1) -> Array:
    """Perplexity exp(H(p)), or exp(H(p, q)): the number of equally likely outcomes as uncertain.

    Of a model on labelled rows it is ``exp(softmax_cross_entropy(logits, y))``.

    Parameters
    ----------
    p, from_logits, axis
        As in `entropy`.
    q : array_like, shape of `p`, optional
        What is believed; p itself by default.

    Returns
    -------
    Array, shape of `p` without `axis`
        Between 1 and q for one distribution; any number ≥ 1, or inf, for two.

    Raises
    ------
    InputError
        As `entropy` and `cross_entropy`.

    Notes
    -----
    The relative error is the absolute error of the entropy in nats, plus ``4 eps``.

    Examples
    --------
    >>> round(float(perplexity([0.25, 0.25, 0.25, 0.25])), 12)
    4.0
    """
    named = {"p": p} if q is None else {"p": p, "q": q}
    xp, arrays, dtype = _enter(named, axis, from_logits)
    return cast(xp, xp.exp(_cross_entropy(xp, arrays, from_logits)), dtype)


@np.errstate(all="ignore")
def mutual_information(
    joint: Any, /, *, base: float | None = None, from_logits: bool = False
) -> Array:
    """Mutual information of the two variables of a table of joint probabilities, in nats.

    ::

        I = Σ_ij p_ij log( p_ij / (p_i. p_.j) ) = KL(joint ‖ product of its marginals)

    What one variable tells about the other: H(row) + H(column) - H(row, column). Of a confusion
    matrix divided by its sum, what the prediction tells about the class.

    Parameters
    ----------
    joint : array_like, shape (..., r, c)
        Tables that sum to 1; with `from_logits` logits of one distribution over all r·c cells.
    base, from_logits
        As in `entropy`.

    Returns
    -------
    Array, shape (...)
        Between 0, for independent variables, and the smaller of the two entropies.

    Raises
    ------
    InputError
        If `joint` has fewer than two axes, or tables are negative, NaN or do not sum to 1. Counts
        must be divided by their sum.

    Notes
    -----
    Never negative. The error is at most ``R (20 I + 2 sqrt(I) + R eps) eps`` with R = r c + 40,
    from logits plus the largest distance of two logits. Time and memory O(size of `joint`).

    Examples
    --------
    >>> round(float(mutual_information([[0.5, 0.0], [0.0, 0.5]], base=2)), 15)
    1.0
    >>> float(mutual_information([[0.25, 0.25], [0.25, 0.25]]))
    0.0
    """
    unit = unit_of_information(base)
    xp, (x,) = as_floats(joint=joint)
    check_axis(x, -1, "joint")
    check_axis(x, -2, "joint")
    working = as_working(xp, x)
    flat = xp.reshape(working, (*x.shape[:-2], -1))
    if from_logits:
        nats = _information.mutual_information_from_logits(xp, terms(xp, flat), x.shape)
    else:
        check_distributions(xp, flat, "joint", row_sum_tolerance(xp, x.dtype))
        nats = _information.mutual_information_from_probabilities(xp, working)
    return cast(xp, nats / unit, x.dtype)


def _enter(
    named: dict[str, Any], axis: int, from_logits: bool
) -> tuple[Namespace, list[Array], Any]:
    """Library, checked arrays of one shape with outcomes on the last axis, dtype to return."""
    xp, arrays = as_floats(**named)
    dtype = xp.result_type(*arrays)
    working = working_dtype(xp, dtype)
    entered = []
    for name, x in zip(named, arrays, strict=True):
        check_axis(x, axis, name)
        check_shape(x, arrays[0].shape, name, "that of `p`")
        rows = xp.moveaxis(as_working(xp, x), axis, -1)
        if not from_logits:
            check_distributions(xp, rows, name, row_sum_tolerance(xp, x.dtype))
        entered.append(cast(xp, rows, working))
    return xp, entered, dtype


def _cross_entropy(xp: Namespace, arrays: list[Array], from_logits: bool) -> Array:
    """Σ p · surprisal of the first and last of one or two distributions, in nats."""
    if from_logits:
        return loss_of_targets(xp, terms(xp, arrays[-1]), softmax(terms(xp, arrays[0])))
    p, q = (x / xp.sum(x, axis=-1, keepdims=True) for x in (arrays[0], arrays[-1]))
    return _information.cross_entropy(xp, p, _information.negative_log(xp, q))
