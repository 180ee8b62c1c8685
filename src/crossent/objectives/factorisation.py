"""Cholesky factors of models of the Hessian, by the kernels' own threads where they are large."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.linalg

from crossent.kernels import threads
from crossent.typing import FloatArray

__all__ = ["Factor", "factorise", "mirror", "solve_with"]

Factor: TypeAlias = tuple[FloatArray, bool]
"""A triangle, and whether it is the lower one."""

_LARGE = 2000  # rows; below, one thread takes less than half a tenth of a second
_TILE = 512


def factorise(hessian: FloatArray, dtype: npt.DTypeLike, n_threads: int | None = 1) -> Factor:
    """Cholesky factor. Rounding can make a flat direction slightly negative: lift all a little.

    Parameters
    ----------
    hessian : ndarray, shape (p, p)
        Symmetric; both triangles are there. Its diagonal is lifted in place.
    dtype : dtype
        That its terms were computed in: the lift is ten roundings of it.
    n_threads : int, optional
        For 2000 rows and more; default: all cores that the process may use.
    """
    diagonal = np.einsum("ii->i", hessian)
    lift = 10 * float(np.finfo(dtype).eps) * max(float(diagonal.max(initial=0.0)), 1e-300)
    while True:
        diagonal += lift
        try:
            if len(hessian) < _LARGE:
                factor, lower = scipy.linalg.cho_factor(hessian, lower=True, check_finite=False)
                return factor, lower
            return _cholesky_in_tiles(hessian, threads.resolve(n_threads)), True
        except scipy.linalg.LinAlgError:
            lift *= 10


def solve_with(factor: Factor, right: FloatArray) -> npt.NDArray[np.float64]:
    """``H⁻¹ right`` in the factor's arithmetic; to look for NaN in it would take as long."""
    right = right.astype(factor[0].dtype, copy=False)
    found = scipy.linalg.cho_solve(factor, right, check_finite=False)
    return np.asarray(found, dtype=np.float64)


def _cholesky_in_tiles(matrix: FloatArray, n_threads: int) -> FloatArray:
    """L with LLᵀ = matrix, in Fortran order; what is above its diagonal is not zero.

    Column of tiles after column of tiles; the rows of tiles below and to the right of it are
    brought up to date each by one thread. Cost: p³/3 flops.
    """
    L = matrix.copy().T  # symmetric; BLAS wants columns
    p = len(L)
    starts = range(0, p, _TILE)
    for start in starts:
        here = slice(start, min(start + _TILE, p))
        L[here, here] = scipy.linalg.cholesky(L[here, here], lower=True, check_finite=False)
        below = range(here.stop, p, _TILE)

        def column(k: int, here: slice = here, below: range = below) -> None:
            rows = slice(below[k], min(below[k] + _TILE, p))
            L[rows, here] = scipy.linalg.solve_triangular(
                L[here, here], L[rows, here].T, lower=True, check_finite=False
            ).T

        def trailing(k: int, here: slice = here, below: range = below) -> None:
            columns = slice(below[k], min(below[k] + _TILE, p))
            L[columns.start :, columns] -= L[columns.start :, here] @ L[columns, here].T

        threads.run(column, len(below), n_threads)
        threads.run(trailing, len(below), n_threads)
    return L


def mirror(upper: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The symmetric matrix whose upper triangle is given, in place; below it may be anything."""
    size = 256  # squares that stay in a cache
    for start in range(0, len(upper), size):
        block = slice(start, start + size)
        triangle = np.triu(upper[block, block])
        upper[block, block] = triangle + np.triu(triangle, 1).T
        upper[start + size :, block] = upper[block, start + size :].T
    return upper
