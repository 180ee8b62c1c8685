"""Whether the minimum of an unpenalised choice model exists and is unique.

A direction v is one of recession if along it no chosen alternative loses against another of its
set: (a_ck - a_cl)·v ≥ 0 wherever k was chosen. If some inequality is strict, the likelihood grows
for ever along v and has no maximum (Albert, Anderson, Biometrika 71, 1984, for classes). If all
are equalities the likelihood is flat along v: nothing is known about that combination.
"""

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.optimize
import scipy.sparse as sp

from crossent.objectives.choice_sets import ChoiceSets

__all__ = ["flat_columns", "recession_direction"]

_STRICT = 1e-6  # HiGHS keeps inequalities to 1e-7; v is scaled to max |v| ≤ 1
_FLAT = 1e-10  # of a pivot, relative to the column's own curvature


def recession_direction(
    sets: ChoiceSets, free: npt.NDArray[np.bool_], /
) -> npt.NDArray[np.float64] | None:
    """A direction along which the likelihood grows for ever, shape (p,); None if there is none.

    Parameters
    ----------
    sets : ChoiceSets
    free : ndarray of bool, shape (p,)
        Coefficients without a penalty; the others cannot grow.

    Returns
    -------
    ndarray or None
        max |v| ≤ 1, zero off `free`.

    Notes
    -----
    Cost: a linear program (HiGHS) with a row per chosen alternative and rival in a set.
    """
    chosen = sets.counts > 0
    parts = []
    for layer, k, other, rows in sets.differences():
        number = layer.view(chosen)
        kept = sp.csr_array(rows)
        parts.extend([kept[number[k]], -kept[number[other]]])
    if not parts or not free.any():
        return None
    above = sp.csr_array(sp.vstack(parts, format="csr"))[:, free]
    result = scipy.optimize.linprog(
        -np.asarray(above.sum(axis=0)).ravel(),
        A_ub=-above,
        b_ub=np.zeros(above.shape[0]),
        bounds=(-1, 1),
        method="highs",
    )
    if result.status != 0 or (above @ result.x).max(initial=0.0) <= _STRICT:
        return None
    direction = np.zeros(len(free))
    direction[free] = result.x
    return direction


def flat_columns(
    hessian: npt.NDArray[np.float64], gauge: npt.NDArray[np.float64], /
) -> npt.NDArray[np.intp]:
    """Coefficients that the others determine, because the Hessian is flat along a combination.

    Parameters
    ----------
    hessian : ndarray, shape (p, p)
        At any point: where the likelihood is flat does not depend on it.
    gauge : ndarray, shape (g, p)
        Directions that are flat on purpose.
    """
    scale = np.sqrt(hessian.diagonal())
    dead = np.flatnonzero(scale == 0)
    scale = np.where(scale == 0, 1.0, scale)
    full = hessian / np.outer(scale, scale)
    for e in gauge:
        direction = e * scale
        full += np.outer(direction, direction) / (direction @ direction)
    _, pivots, rank, _ = scipy.linalg.lapack.dpstrf(full, tol=_FLAT)
    return np.union1d(dead, pivots[rank:] - 1)
