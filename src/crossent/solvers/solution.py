"""What a solver returns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crossent.certificate import Certificate, TracePoint

__all__ = ["Solution"]


@dataclass(frozen=True)
class Solution:
    """The best point found, and what is known about it.

    Attributes
    ----------
    w : ndarray, shape (p,)
    certificate : Certificate
        At `w`; its `status` says how the solver ended.
    iterations : int
        Accepted steps.
    metric_builds : int
        How often a model of the Hessian was built.
    trace : tuple of TracePoint
        One per pass; one for a certificate, which may take several passes.
    """

    w: npt.NDArray[np.float64]
    certificate: Certificate
    iterations: int
    metric_builds: int
    trace: tuple[TracePoint, ...]
