"""W(θ) written out from each definition, with nothing of the package's arithmetic."""

import numpy as np
import scipy.linalg

from crossent.linear_maps import (
    PHM,
    BlockDiagonal,
    Circulant,
    Dense,
    Fastfood,
    LowRank,
    Monarch,
    Toeplitz,
    ToeplitzLike,
)

# Products e_i e_j of the units as (sign, unit), as printed in any table.
COMPLEX = [[(1, 0), (1, 1)], [(1, 1), (-1, 0)]]
QUATERNION = [
    [(1, 0), (1, 1), (1, 2), (1, 3)],
    [(1, 1), (-1, 0), (1, 3), (-1, 2)],
    [(1, 2), (-1, 3), (-1, 0), (1, 1)],
    [(1, 3), (1, 2), (-1, 1), (-1, 0)],
]


def octonion_table():
    """e_i e_j from the oriented lines of a Fano plane; its signs depend on the convention."""
    # The convention of (a, b)(c, d) = (a c - d* b, d a + b c*): e_4 = (0, 1).
    lines = [(1, 2, 3), (1, 4, 5), (1, 7, 6), (2, 4, 6), (2, 5, 7), (3, 4, 7), (3, 6, 5)]
    table = [[None] * 8 for _ in range(8)]
    for i in range(8):
        table[0][i] = table[i][0] = (1, i)
    for i in range(1, 8):
        table[i][i] = (-1, 0)
    for line in lines:
        for a, b, c in (line, line[1:] + line[:1], line[2:] + line[:2]):
            table[a][b], table[b][a] = (1, c), (-1, c)
    return table


def rules(algebra):
    """A_i[k, j] = ±1 where e_i e_j = ±e_k."""
    table = {"complex": COMPLEX, "quaternion": QUATERNION, "octonion": octonion_table()}[algebra]
    n = len(table)
    A = np.zeros((n, n, n))
    for i in range(n):
        for j in range(n):
            sign, k = table[i][j]
            A[i, k, j] = sign
    return A


def cut(size, parts):
    """First and last column of each block."""
    widths = [size // parts + (i < size % parts) for i in range(parts)]
    ends = np.cumsum(widths)
    return [(end - width, end) for end, width in zip(ends, widths, strict=True)]


def matrix(linear_map, theta):
    """W(θ), from the definition."""
    parts = linear_map.unpack(theta)
    return _DEFINITIONS[type(linear_map)](linear_map, parts, *linear_map.shape)


def _block_diagonal(m, parts, q, d):
    W = np.zeros((q, d))
    pairs = zip(cut(q, m.blocks), cut(d, m.blocks), strict=True)
    for block, ((a, b), (e, f)) in zip(parts["blocks"], pairs, strict=True):
        W[a:b, e:f] = block[: b - a, : f - e]
    if m.permutation is None:
        return W
    whole = np.zeros((q, d))
    for column in range(d):  # a block input is the column that the permutation names
        whole[:, m.permutation[column]] = W[:, column]
    return whole


def _monarch(m, parts, q, d):
    W, (k, outer) = np.zeros((q, d)), m.blocks
    for j, (a, b) in enumerate(cut(q, outer)):
        for i, (e, f) in enumerate(cut(d, k)):
            W[a:b, e:f] = np.outer(parts["L"][j, : b - a, i], parts["R"][i, j, : f - e])
    return W


def _fastfood(m, parts, q, d):
    n, rows = m.block_size, []
    H = scipy.linalg.hadamard(n) / np.sqrt(n)
    B = parts.get("B", m.signs.astype(float))
    G = parts.get("G", m.gains)
    for k in range(m.n_blocks):
        P = np.zeros((n, n))
        P[np.arange(n), m.permutation[k]] = 1.0
        rows.append(H @ np.diag(G[k]) @ P @ H @ np.diag(B[k]))
    return np.diag(parts.get("S", m.scales)) @ np.vstack(rows)[:q, :d]


def _phm(m, parts, q, d):
    A = parts["A"] if m.algebra == "learned" else rules(m.algebra)
    return sum(np.kron(a, s) for a, s in zip(A, parts["S"], strict=True))[:q, :d]


def _circulant(m, parts, q, d):
    return scipy.linalg.circulant(parts["c"])[:q, :d] * m.signs


def _toeplitz(m, parts, q, d):
    t = parts["t"]
    return scipy.linalg.toeplitz(t[d - 1 :], t[d - 1 :: -1])


def _toeplitz_like(m, parts, q, d):
    n = max(q, d)
    Y = np.diag(np.ones(n - 1), -1)
    Y[0, -1] = -1.0
    total = np.zeros((n, n))
    for g, h in zip(parts["g"], parts["h"], strict=True):
        powers = [h]
        for _ in range(n - 1):
            powers.append(Y @ powers[-1])
        total += scipy.linalg.circulant(g) @ np.array(powers)
    return total[:q, :d]


_DEFINITIONS = {
    Dense: lambda _m, parts, _q, _d: parts["W"],
    LowRank: lambda _m, parts, _q, _d: parts["U"] @ parts["V"],
    BlockDiagonal: _block_diagonal,
    Monarch: _monarch,
    Fastfood: _fastfood,
    PHM: _phm,
    Circulant: _circulant,
    Toeplitz: _toeplitz,
    ToeplitzLike: _toeplitz_like,
}
