"""The compiled epoch of dual block ascent over CSR rows. Importing this loads Numba.

Notation of `crossent.kernels.dual`. One row's block of the dual is maximised over its distribution
p exactly, which is to solve, for the multiplier ν of Σ p_j = 1,

    t_j + κ exp(t_j) = a_j - ν,    t = log p,    a = z + κ p_before,    κ = s ‖x‖² / λ,

by Newton's method in (t, ν) together: its system is an arrow, so a step costs one exponential for
each class. The functions in t are convex and increasing, and t ≤ 0 holds them together: from the
right of a solution the steps come monotonically, from the left one step leads to the right.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from crossent.kernels.dense_entry import types_of
from crossent.kernels.elementwise import exp_nonpositive
from crossent.kernels.jit import entry, inner, once
from crossent.kernels.matrices import ask_for
from crossent.kernels.records import Floats
from crossent.kernels.softmax_rows import row_sum
from crossent.kernels.sparse_entry import VECTOR_BYTES, sparse_row

__all__ = ["VECTOR_BYTES", "epoch"]

_MOST_STEPS = 30
_CLOSE = 1e-5
"""Of Σ p to 1, and of the equations, weighted by p: below what an epoch changes until the end."""
_LINE = 16
"""Numbers of float32 in a cache line."""


@inner()
def _terms(
    t: Floats, a: Floats, kappa: float, nu: float, p: Floats, r: Floats, f: Floats, d: Floats
) -> None:
    """P = exp(t), the slopes' reciprocals r, the residuals f and p/slope d of the equations."""
    one = t.dtype.type(1)
    for j in range(t.shape[0]):
        e = exp_nonpositive(t[j])
        p[j] = e
        r[j] = one / (one + kappa * e)
        f[j] = t[j] + kappa * e - a[j] + nu
        d[j] = e * r[j]


@inner()
def _products(d: Floats, f: Floats, out: Floats) -> None:
    for j in range(d.shape[0]):
        out[j] = d[j] * f[j]


@inner()
def _absolute(d: Floats) -> None:
    for j in range(d.shape[0]):
        d[j] = abs(d[j])


@inner()
def _move(t: Floats, f: Floats, r: Floats, shift: float) -> None:
    """One Newton step in t, kept at or below 0."""
    nothing = t.dtype.type(0)
    for j in range(t.shape[0]):
        new = t[j] - (f[j] + shift) * r[j]
        t[j] = new if new < nothing else nothing


@inner()
def _solve_row(t: Floats, a: Floats, kappa: float, work: Floats) -> None:
    """T becomes the solution; on entry it is a guess with Σ exp(t) = 1."""
    p, r, f, d, m = work[0], work[1], work[2], work[3], work[4]
    one = t.dtype.type(1)
    nu = t.dtype.type(0)
    _terms(t, a, kappa, nu, p, r, f, d)
    _products(p, f, m)
    nu = -row_sum(m)  # the multiplier that suits the guess best
    for _ in range(_MOST_STEPS):
        _terms(t, a, kappa, nu, p, r, f, d)
        _products(d, f, m)
        excess = row_sum(p) - one
        shift = (excess - row_sum(m)) / row_sum(d)
        _move(t, f, r, shift)
        nu += shift
        _absolute(m)
        if abs(excess) + row_sum(m) < _CLOSE:
            break


@inner()
def _change(t: Floats, before: Floats, delta: Floats, terms: Floats) -> None:
    """Delta = exp(t) - before; `terms` its squares over the mean of both."""
    tiny, half = t.dtype.type(1e-30), t.dtype.type(0.5)
    for j in range(t.shape[0]):
        now = exp_nonpositive(t[j])
        delta[j] = now - before[j]
        terms[j] = delta[j] * delta[j] / (half * (now + before[j]) + tiny)


@inner()
def _start_row(z: Floats, b: Floats, t: Floats, kappa: float, before: Floats, a: Floats) -> None:
    for j in range(t.shape[0]):
        e = exp_nonpositive(t[j])
        before[j] = e
        a[j] = z[j] + b[j] + kappa * e


@inner()
def _normalise(t: Floats, p: Floats) -> None:
    """Σ exp(t) = 1."""
    for j in range(t.shape[0]):
        p[j] = exp_nonpositive(t[j])
    shift = t.dtype.type(np.log(row_sum(p)))
    nothing = t.dtype.type(0)
    for j in range(t.shape[0]):
        new = t[j] - shift
        t[j] = new if new < nothing else nothing


@inner()
def _subtract(w: Floats, factor: float, delta: Floats) -> None:
    for j in range(w.shape[0]):
        w[j] -= factor * delta[j]


def _epoch(
    indptr: Floats, indices: Floats, data: Floats, order: Floats, strength: Floats, kappas: Floats,
    b: Floats, T: Floats, W: Floats, z: Floats,
) -> float:  # fmt: skip
    """Maximise the blocks of the rows `order` in turn; returns twice the gain over λ.

    z (1, W's columns) is aligned scratch.
    """
    q, wide = T.shape[1], W.shape[1]
    delta = np.zeros(wide, W.dtype)
    work = np.zeros((5, q), W.dtype)
    before, a, terms = np.zeros(q, W.dtype), np.zeros(q, W.dtype), np.zeros(q, W.dtype)
    zero: Any = np.int64(0)
    gain = 0.0
    for place in range(order.shape[0]):
        i = order[place]
        begin, end = indptr[i], indptr[i + 1]
        if place + 1 < order.shape[0]:  # the next row's part of W comes near meanwhile
            following = order[place + 1]
            for k in range(indptr[following], indptr[following + 1]):
                for c in range(0, wide, _LINE):
                    ask_for(W, indices[k], c)
        sparse_row(data, indices, begin, end, W, z, zero)
        t, kappa = T[i], kappas[i]
        _start_row(z[0], b, t, kappa, before, a)
        _solve_row(t, a, kappa, work)
        _normalise(t, work[0])
        _change(t, before, delta[:q], terms)
        s = strength[i]
        for k in range(begin, end):
            _subtract(W[indices[k]], s * data[k], delta)
        squares = work[1]
        _products(delta[:q], delta[:q], squares)
        gain += s * (row_sum(terms) + kappa * row_sum(squares))
    return gain


@once
def epoch(dtype: np.dtype[Any]) -> Callable[..., float]:
    """One epoch, compiled for float32 or float64."""
    t = types_of(dtype)
    pointers = types.Array(types.int64, 1, "C", readonly=True)
    places = types.Array(types.int32, 1, "C", readonly=True)
    values = t["vector"].copy(readonly=True)
    signature = types.float64(
        pointers, places, values, pointers, values, values, values, t["matrix"], t["matrix"],
        t["matrix"],
    )  # fmt: skip
    return entry(_epoch, signature, dtype)
