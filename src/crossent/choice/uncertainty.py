"""Covariances of the coefficients, from the exact Hessian and from the residuals."""

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.errors import InputError
from crossent.objectives.blas import blas_for
from crossent.objectives.choice import ChoiceObjective
from crossent.objectives.choice_metric import CholeskyMetric
from crossent.objectives.information import clustered_meat as meat_of_clusters
from crossent.objectives.information import sandwich

__all__ = ["CovarianceKind", "clustered_meat", "covariance", "sandwich_meat"]

CovarianceKind: TypeAlias = Literal["hessian", "sandwich", "clustered"]


def covariance(
    objective: ChoiceObjective,
    w: npt.NDArray[np.float64],
    meat: npt.NDArray[np.float64] | None = None,
    /,
) -> npt.NDArray[np.float64]:
    """H⁻¹ M H⁻¹ of the coefficients, shape (p, p), in the gauge in which components sum to zero.

    Parameters
    ----------
    objective : ChoiceObjective
    w : ndarray, shape (p,)
    meat : ndarray, shape (p, p), optional
        Covariance of the summed gradient. Default: the Hessian of the summed loss *without* the
        penalty, so that a penalty is not counted as if it were data; without a penalty this is H⁻¹.

    Raises
    ------
    InputError
        More coefficients than the Hessian is formed for.
    """
    with blas_for(len(w)):
        return _covariance(objective, w, meat)


def _covariance(
    objective: ChoiceObjective,
    w: npt.NDArray[np.float64],
    meat: npt.NDArray[np.float64] | None,
) -> npt.NDArray[np.float64]:
    metric = objective.exact_metric(w)
    if not isinstance(metric, CholeskyMetric):
        message = (
            f"{len(w)} coefficients are too many for a covariance matrix (limit 3000). Use the "
            "bootstrap."
        )
        raise InputError(message)
    inverse = metric.inverse() / objective.total
    if meat is None:
        if objective.penalty == 0:
            return inverse
        meat = objective.hessian(w, penalised=False) * objective.total
    return sandwich(inverse, meat)


def _centred_rows(objective: ChoiceObjective, w: npt.NDArray[np.float64]) -> sp.csr_array:
    """a_ck - ā_c for every row, (m, p): minus the gradient of log p_ck."""
    sets = objective.sets
    numbers = sets.set_numbers()
    m = len(numbers)
    member = sp.csr_array((np.ones(m), numbers, np.arange(m + 1)))
    p = objective.probabilities(w)
    means = sp.csr_array(member.T @ sp.diags_array(p)) @ sp.csr_array(sets.rows)
    return sp.csr_array(sp.csr_array(sets.rows) - member @ means)


def sandwich_meat(
    objective: ChoiceObjective,
    w: npt.NDArray[np.float64],
    table: sp.csr_array,
    squares: npt.NDArray[np.float64],
    /,
) -> npt.NDArray[np.float64]:
    """Σ_e s_e² u_e u_eᵀ over independent events, u_e the sum of a - ā over what e counts.

    Parameters
    ----------
    objective : ChoiceObjective
    w : ndarray, shape (p,)
    table : csr_array, shape (m, events)
        How much each event counts in each row of the choice sets.
    squares : ndarray, shape (events,)
        Sum of the squared weights of each kind of event.
    """
    with blas_for(len(w)):
        sums = sp.csr_array(table.T) @ _centred_rows(objective, w)
        return np.asarray((sums.T @ (sp.diags_array(squares) @ sums)).toarray())


def clustered_meat(
    objective: ChoiceObjective, w: npt.NDArray[np.float64], table: sp.csr_array, /
) -> npt.NDArray[np.float64]:
    """G/(G - 1) Σ_g U_g U_gᵀ, U_g the sum of s (a - ā) over the choices of cluster g.

    Parameters
    ----------
    objective : ChoiceObjective
    w : ndarray, shape (p,)
    table : csr_array, shape (m, G)
        Weight with which each cluster chose each row of the choice sets.

    References
    ----------
    K.-Y. Liang, S. L. Zeger, Longitudinal data analysis using generalized linear models,
    Biometrika 73, 13-22, 1986, with the usual factor G/(G - 1).
    """
    with blas_for(len(w)):
        return meat_of_clusters((sp.csr_array(table.T) @ _centred_rows(objective, w)).toarray())
