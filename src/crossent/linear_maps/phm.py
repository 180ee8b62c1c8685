"""Parametrised hypercomplex multiplication: sums of Kronecker products."""

import functools
import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from crossent._arrays import check_choice
from crossent.errors import InputError
from crossent.linear_maps.base import Parts, StructuredMap, check_count, check_map_shape, outer
from crossent.typing import FloatArray

__all__ = ["PHM", "Algebra", "left_multiplications"]

Algebra: TypeAlias = Literal["learned", "complex", "quaternion", "octonion"]

_DIMENSIONS = {"complex": 2, "quaternion": 4, "octonion": 8}


def _product(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Cayley-Dickson: (a, b)(c, d) = (a c - d* b, d a + b c*)."""
    if len(x) == 1:
        return x * y
    half = len(x) // 2
    a, b, c, d = x[:half], x[half:], y[:half], y[half:]
    return np.concatenate(
        [
            _product(a, c) - _product(_conjugate(d), b),
            _product(d, a) + _product(b, _conjugate(c)),
        ]
    )


def _conjugate(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.concatenate([x[:1], -x[1:]])


def left_multiplications(n: int, /) -> npt.NDArray[np.float64]:
    """Matrices A_i of x ↦ e_i x, shape (n, n, n), of the Cayley-Dickson algebra of dimension n.

    n = 2 are the complex numbers, 4 the quaternions with Hamilton's product, 8 the octonions.

    Examples
    --------
    >>> left_multiplications(2)[1]
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    if n < 1 or n & (n - 1):
        message = f"`n` is {n}; a Cayley-Dickson algebra has a power of two as its dimension."
        raise InputError(message)
    return _units(n).copy()


@functools.cache
def _units(n: int) -> npt.NDArray[np.float64]:
    """The matrices, worked out once: 8³ products of octonions take 10 ms."""
    units = np.eye(n)
    found = np.array([[_product(e, x) for x in units] for e in units]).transpose(0, 2, 1) + 0.0
    return np.ascontiguousarray(found)


@dataclass(frozen=True)
class PHM(StructuredMap):
    """W = Σ_i A_i ⊗ S_i with A_i (n, n), S_i (q/n, d/n): fewer parameters, not less time.

    n³ + q·d/n parameters if the rules A of the multiplication are learnt, q·d/n if they are those
    of an algebra; 2·q·d flops a row in every case, because W is multiplied out (Zhang et al. 2021,
    arXiv 2102.08597, equation 3). Linear in S for a fixed algebra. Projection: with learnt rules
    the nearest sum of n Kronecker products (Van Loan, Pitsianis 1993), with a fixed algebra least
    squares. The zero start has S = 0 and begins with the rules of an algebra or, where there is
    none of dimension n, with cyclic shifts.

    Parameters
    ----------
    shape : (int, int)
        (q, d).
    n : int, optional
        Compression factor; for a fixed algebra its dimension, which is then the default.
    algebra : {"learned", "complex", "quaternion", "octonion"}
    pad : bool, default=False
        Whether sizes that n does not divide are rounded up, and the surplus rows and columns cut.

    Raises
    ------
    InputError
        n does not divide q and d, is not the algebra's dimension, or is missing.

    Examples
    --------
    >>> import numpy as np
    >>> hamilton = PHM((4, 4), algebra="quaternion")
    >>> i, j = np.eye(4)[1], np.eye(4)[2]
    >>> hamilton.apply(i, j[None])  # i j = k
    array([[0., 0., 0., 1.]])
    """

    shape: tuple[int, int]
    n: int | None = None
    algebra: Algebra = "learned"
    pad: bool = False

    def __post_init__(self) -> None:
        check_map_shape(self.shape, "PHM")
        check_choice(self.algebra, "algebra", ("learned", *_DIMENSIONS))
        dimension = _DIMENSIONS.get(self.algebra)
        if self.n is None and dimension is not None:
            object.__setattr__(self, "n", dimension)
        if dimension is not None and self.n != dimension:
            message = (
                f"`n` of a PHM is {self.n}; the {self.algebra} algebra has dimension {dimension}. "
                "Leave `n` out, or set algebra='learned'."
            )
            raise InputError(message)
        largest = max(self.shape) if self.pad or dimension else min(self.shape)
        check_count(self.n, "n", "PHM", max(largest, dimension or 1), "the size of the matrix")
        q, d = self.shape
        if not self.pad and (q % self.factor or d % self.factor):
            usable = [m for m in range(1, min(q, d) + 1) if not (q % m or d % m)]
            message = (
                f"`n` of a PHM is {self.n}, which does not divide q = {q} and d = {d}. Pass "
                f"pad=True, or an n that divides both: {usable}."
            )
            raise InputError(message)

    @property
    def factor(self) -> int:
        """The compression factor n."""
        assert self.n is not None
        return self.n

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """A (n, n, n), if learnt, and S (n, ⌈q/n⌉, ⌈d/n⌉)."""
        n = self.factor
        shapes: dict[str, tuple[int, ...]] = {"A": (n, n, n)} if self.algebra == "learned" else {}
        return shapes | {"S": (n, -(-self.shape[0] // n), -(-self.shape[1] // n))}

    @property
    def last_factor(self) -> str:
        """S."""
        return "S"

    @property
    def is_linear_in_parameters(self) -> bool:
        """With a fixed algebra."""
        return self.algebra != "learned"

    @property
    def operator_norm(self) -> float:
        """√(largest number of entries that one parameter fills), n without padding."""
        return math.inf if self.algebra == "learned" else float(np.sqrt(self._copies.max()))

    @property
    def flops_per_row(self) -> int:
        """2·q·d: the product with W. Making W takes 2·n·q·d more, once."""
        return 2 * self.shape[0] * self.shape[1]

    def _rules(self, parts: Parts, dtype: npt.DTypeLike) -> FloatArray:
        """A_i, learnt or of the algebra."""
        if self.algebra == "learned":
            return parts["A"]
        return left_multiplications(self.factor).astype(dtype)

    def _matrix(self, parts: Parts) -> FloatArray:
        """W (q, d)."""
        S = parts["S"]
        n, height, width = S.shape
        terms = self._rules(parts, S.dtype).reshape(n, n * n).T @ S.reshape(n, -1)
        blocks = terms.reshape(n, n, height, width).transpose(0, 2, 1, 3)
        q, d = self.shape
        return np.ascontiguousarray(blocks.reshape(n * height, n * width)[:q, :d])

    def _apply(self, parts: Parts, X: FloatArray) -> FloatArray:
        return X @ self._matrix(parts).T

    def _adjoint(self, parts: Parts, G: FloatArray) -> FloatArray:
        return G @ self._matrix(parts)

    def _gradients(self, parts: Parts, X: FloatArray, G: FloatArray, rows: bool) -> Parts:
        by_block = self._by_block(outer(G, X, rows))
        rules, S = self._rules(parts, X.dtype), parts["S"]
        n = self.factor
        lead = by_block.shape[:-2]
        found: Parts = {"S": (by_block.swapaxes(-1, -2) @ rules.reshape(n, -1).T).swapaxes(-1, -2)}
        found["S"] = found["S"].reshape(*lead, *S.shape)
        if self.algebra == "learned":
            A = (by_block @ S.reshape(n, -1).T).swapaxes(-1, -2)
            found["A"] = A.reshape(*lead, n, n, n)
        return found

    def _by_block(self, W: FloatArray) -> FloatArray:
        """(…, q, d) rearranged to (…, n², ⌈q/n⌉·⌈d/n⌉), padded with zeros."""
        n, height, width = self.parameter_shapes["S"]
        lead = W.shape[:-2]
        missing = (n * height - self.shape[0], n * width - self.shape[1])
        if any(missing):
            W = np.pad(W, [(0, 0)] * len(lead) + [(0, missing[0]), (0, missing[1])])
        blocks = W.reshape(*lead, n, height, n, width).swapaxes(-3, -2)
        return blocks.reshape(*lead, n * n, height * width)

    @property
    def _copies(self) -> npt.NDArray[np.float64]:
        """Entries of W that each parameter fills, for a fixed algebra."""
        n, filled = self.factor, self._by_block(np.ones(self.shape))
        copies: npt.NDArray[np.float64] = (left_multiplications(n) ** 2).reshape(n, -1) @ filled
        return copies.ravel()

    def _draw(self, rng: np.random.Generator) -> Parts:
        parts: Parts = {"S": rng.standard_normal(self.parameter_shapes["S"])}
        if self.algebra == "learned":
            parts["A"] = _first_rules(self.factor)
        return parts

    def _squared_norm(self, parts: Parts) -> float:
        W = self._matrix(parts)
        return float(np.vdot(W, W))

    def _project(self, W: npt.NDArray[np.float64]) -> Parts:
        if self.algebra != "learned":
            return self._matched(W, self._copies)
        n, blocks = self.factor, self._by_block(W)
        left, values, right = np.linalg.svd(blocks, full_matrices=False)
        rank = min(n, len(values))
        A, S = np.zeros((n, n * n)), np.zeros((n, blocks.shape[1]))
        root = np.sqrt(values[:rank, None])
        A[:rank], S[:rank] = root * left.T[:rank], root * right[:rank]
        return {"A": A.reshape(n, n, n), "S": S.reshape(self.parameter_shapes["S"])}


def _first_rules(n: int) -> npt.NDArray[np.float64]:
    """A_i to begin with: every entry (j, k) belongs to one i, so that W has all entries drawn."""
    if n in _DIMENSIONS.values():
        return left_multiplications(n)
    return np.array([np.roll(np.eye(n), i, axis=0) for i in range(n)])
