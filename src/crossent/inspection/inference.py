"""How sure the coefficients of a softmax regression are: from the exact Hessian, or robustly."""

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.inspection.at_optimum import (
    AtOptimum,
    Units,
    at_optimum,
    check_kind,
    distance_to_optimum,
)
from crossent.inspection.likelihood_ratio import log_likelihood_null
from crossent.inspection.summary import FeatureTest, Summary
from crossent.linear_model.restating import Restated, restate
from crossent.objectives.information import inverse, sandwich

__all__ = ["Covariance", "summary"]

Covariance: TypeAlias = Literal["hessian", "sandwich", "clustered", "penalised"]


def summary(
    model: Any,
    X: Any,
    y: Any,
    /,
    *,
    covariance: Covariance = "hessian",
    base: Any = None,
    level: float = 0.95,
    sample_weight: Any = None,
    offset: Any = None,
    clusters: Any = None,
) -> Summary:
    """Standard errors, intervals and tests of the coefficients of a fitted softmax regression.

    With u the coefficients of all classes but the first, relative to the first's, the covariance is

    ==============  ============================================================================
    "hessian"       H⁻¹, H = Σᵢ sᵢ (diag(pᵢ) − pᵢ pᵢᵀ) ⊗ xᵢ xᵢᵀ: if the model is right
    "sandwich"      H⁻¹ (Σᵢ sᵢ² gᵢ gᵢᵀ) H⁻¹, gᵢ = (pᵢ − yᵢ) ⊗ xᵢ: also if it is not
    "clustered"     the same with g summed over each of G clusters, times G/(G − 1)
    "penalised"     (H + penalty)⁻¹, for a model with a penalty: the posterior under N(0, C)
    ==============  ============================================================================

    and what is reported are contrasts of u.

    Parameters
    ----------
    model : SoftmaxRegression
        Fitted with ``C=np.inf`` and a small `tol`; with a penalty only for "penalised".
    X, y
        The rows that it was fitted to.
    covariance : {"hessian", "sandwich", "clustered", "penalised"}
    base : class name, optional
        What each class is compared with. Default: what ``coef_`` is relative to, which is the mean
        of all classes, or for two classes the first.
    level : float, default=0.95
    sample_weight, offset : array-like, optional
        As they were given to `fit`. In "hessian" a weight of 2 means two rows, in the others one
        row that counts twice.
    clusters : array-like, shape (n,), optional
        Which rows belong together.

    Returns
    -------
    Summary

    Raises
    ------
    InputError
        A penalty (except for "penalised"), class weights with "hessian", separable classes, a fit
        that did not converge, columns that others determine, other rows than those fitted to, more
        than 3000 coefficients, fewer than two clusters.

    Notes
    -----
    Cost: O(n p²) with p = (q − 1)(d + 1), and p² numbers of memory.

    References
    ----------
    H. White, 1982, doi:10.2307/1912526 (sandwich); K.-Y. Liang and S. L. Zeger, 1986,
    doi:10.1093/biomet/73.1.13 (clusters).

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from crossent import SoftmaxRegression
    >>> X, y = load_wine(return_X_y=True)
    >>> model = SoftmaxRegression(C=np.inf, tol=1e-10).fit(X[:, [0, 1]], y)
    >>> table = summary(model, X[:, [0, 1]], y, base=0)
    >>> table.estimates[:, 1:].round(2)
    array([[-5.09,  0.06],
           [-2.17,  1.21]])
    >>> table.standard_errors[:, 1:].round(2)
    array([[0.73, 0.34],
           [0.54, 0.26]])
    """
    _check_options(covariance, level, clusters)
    posed = restate(model, X, y, sample_weight, offset)
    check_kind(model, posed, covariance)
    units = _units(posed.problem.X.shape[0], covariance, clusters)
    found = at_optimum(posed, units)
    distance = distance_to_optimum(found)
    contrast, classes, base = _contrast(posed, base)
    bread = inverse(found.curvature)
    middle = bread if found.rows.meat is None else sandwich(bread, found.rows.meat)
    back = np.kron(np.eye(found.contrasts), found.features.back)
    C_u = back @ middle @ back.T
    spread = np.kron(contrast, np.eye(found.features.size))
    names = ("(intercept)",) * found.features.intercept + tuple(posed.feature_names)
    return Summary(
        classes=classes,
        base=base,
        features=names,
        estimates=contrast @ found.u,
        covariance=spread @ C_u @ spread.T,
        kind=covariance,
        level=level,
        log_likelihood=-found.rows.log_loss,
        log_likelihood_null=log_likelihood_null(posed),
        n_rows=posed.problem.X.shape[0],
        weight=float(posed.problem.weight.sum()),
        n_clusters=int(units.max()) + 1 if isinstance(units, np.ndarray) else None,
        n_coefficients=found.u.size,
        feature_tests=() if covariance == "penalised" else _wald(found, C_u, names),
        distance=distance,
    )


def _check_options(covariance: Any, level: float, clusters: Any) -> None:
    """Each option alone, and clusters where they are needed."""
    if covariance not in get_args(Covariance):
        words = ", ".join(map(repr, get_args(Covariance)))
        message = f"`covariance` is {covariance!r}; it must be one of {words}."
        raise InputError(message)
    if not 0 < level < 1:
        message = f"`level` is {level}; it must lie between 0 and 1, such as 0.95."
        raise InputError(message)
    if (clusters is None) == (covariance == "clustered"):
        message = "Pass `clusters` with covariance='clustered', and only with it."
        raise InputError(message)


def _units(n: int, covariance: Covariance, clusters: Any) -> Units:
    """What is independent: rows, clusters, or nothing that is asked about."""
    if covariance != "clustered":
        return "rows" if covariance == "sandwich" else None
    given = np.asarray(clusters)
    if given.shape != (n,):
        message = f"`clusters` has shape {given.shape}; give one for each of the {n} rows."
        raise InputError(message)
    names, numbers = np.unique(given, return_inverse=True)
    if names.size < 2:
        message = "All rows are in one cluster; at least two are needed."
        raise InputError(message)
    return np.asarray(numbers)


def _contrast(posed: Restated, base: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any], Any]:
    """The matrix from u to the rows of the table, their classes, and the base."""
    classes = posed.problem.targets.classes[posed.present]
    q = len(classes)
    from_u = np.vstack([np.zeros((1, q - 1)), np.eye(q - 1)])
    if base is None and q > 2:
        return from_u - from_u.mean(axis=0), classes, None
    names = classes.tolist()
    wanted = names[0] if base is None else base
    if wanted not in names:
        message = f"`base` is {base!r}, which is none of the classes {names[:10]}."
        raise InputError(message)
    place = names.index(wanted)
    others = np.arange(q) != place
    return (from_u - from_u[place])[others], classes[others], wanted


def _wald(
    found: AtOptimum, C_u: npt.NDArray[np.float64], names: tuple[str, ...]
) -> tuple[FeatureTest, ...]:
    """θᵀ C⁻¹ θ over the classes, for each feature but the intercept."""
    size, tests = found.features.size, []
    for k in range(found.features.intercept, size):
        part = C_u[k::size, k::size]
        effect = found.u[:, k]
        statistic = float(effect @ np.linalg.solve(part, effect))
        tests.append(FeatureTest(names[k], statistic, found.contrasts))
    return tuple(tests)
