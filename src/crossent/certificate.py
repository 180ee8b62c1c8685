"""What is known about a solution: how it ended, and how far it can be from the optimum."""

import enum
import math
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Certificate", "Status", "TracePoint"]


class Status(enum.Enum):
    """How a fit ended. The value is the sentence that a user reads."""

    CONVERGED = "The certified relative gap is below the tolerance."
    STATIONARY = "The gradient vanishes to within the tolerance."
    LOCAL_OPTIMUM = (
        "The gradient vanishes to within the tolerance at what is, in general, a local optimum: "
        "this linear map is not linear in its parameters, so no gap can be certified. Other values "
        "of `random_state` may end lower."
    )
    MAX_PASSES = (
        "The passes over the data ran out before the tolerance was reached. Raise `max_iter`, "
        "or accept a larger `tol`; the certificate says how far the optimum can be."
    )
    PRECISION = (
        "Rounding hides further progress: the tolerance is below what float64 reaches on these "
        "data. Raise `tol`, or centre and scale columns of very different size."
    )
    INTERRUPTED = (
        "The fit was interrupted. The coefficients are the best found so far and are not converged."
    )
    NOT_FINITE = (
        "The objective is not finite at the start. Look for huge values in X, the offset or "
        "the weights."
    )
    SEPARABLE = (
        "The classes can be separated by planes, so without a penalty the likelihood has no finite "
        "optimum and the coefficients grow without bound. Use a finite `C`."
    )


@dataclass(frozen=True)
class Certificate:
    """A proof, or for λ = 0 the evidence, of how close a solution is to the optimum.

    For a penalty λ > 0 ``kind`` is ``"gap"``: `gap` is a duality gap, a rigorous bound on
    ``objective - minimum``. Because the excess of the objective is exactly the mean
    Kullback-Leibler divergence between the optimum's probabilities and these, plus
    ``λ/2 ‖W - W*‖²``, the gap also bounds what is lost in prediction.

    For λ = 0 ``kind`` is ``"stationary"``: `gap` is NaN, and only the gradient and the Newton
    decrement are known. It is ``"local"``, and as much is known, where W is a linear map that is
    not linear in its parameters: the problem is not convex.

    Attributes
    ----------
    kind : {"gap", "stationary", "local"}
    objective : float
        Value of the objective, in nats per unit of weight.
    gap : float
        Bound on ``objective - minimum``, in nats; NaN if `kind` is not "gap".
    relative_gap : float
        ``gap / (objective - gap)``, a bound on ``objective / minimum - 1``; inf where the
        denominator is not positive.
    gradient_norm : float
        Euclidean norm of the gradient with respect to W and b.
    decrement : float
        ``½ gᵀ H⁻¹ g`` with the solver's model of the Hessian: an *estimate* of
        ``objective - minimum``, in nats, not a bound.
    passes : int
        Passes over the data that the fit took, this certificate included.
    seconds : float
        Wall time of the fit.
    status : Status
    """

    kind: Literal["gap", "stationary", "local"]
    objective: float
    gap: float
    relative_gap: float
    gradient_norm: float
    decrement: float = math.nan
    passes: int = 0
    seconds: float = 0.0
    status: Status = Status.MAX_PASSES

    @property
    def mean_total_variation_bound(self) -> float:
        """Bound on the training rows' mean total variation distance to the optimum's probabilities.

        ``sqrt(gap / 2)``: Pinsker's inequality and Jensen's applied to
        ``mean KL(p* ‖ p) ≤ gap``. NaN if there is no gap.
        """
        return math.sqrt(self.gap / 2) if self.gap >= 0 else math.nan

    @property
    def converged(self) -> bool:
        """Whether the tolerance was reached."""
        return self.status in (Status.CONVERGED, Status.STATIONARY, Status.LOCAL_OPTIMUM)

    # In files the status is a name: the sentence may be reworded, and a model file holds no enum.
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "status": self.status.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, status=Status[state["status"]])


@dataclass(frozen=True)
class TracePoint:
    """One line of a fit's history.

    Attributes
    ----------
    passes : int
        Passes over the data so far.
    seconds : float
        Wall time so far.
    objective : float
        In nats.
    relative_gap : float
        ``‖∇_W f‖² / (2λ)`` over the objective less itself. A bound only where `certified`;
        NaN for λ = 0.
    gradient_norm : float
    certified : bool
        Whether the float64 pass with an optimal intercept was made that the bound needs.
    """

    passes: int
    seconds: float
    objective: float
    relative_gap: float
    gradient_norm: float
    certified: bool = False
