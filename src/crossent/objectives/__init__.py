"""What a solver minimises: source × linear map × penalty → value, gradient, metric, certificate."""

from crossent.objectives.dual_ascent import dual_start
from crossent.objectives.separation import separable, separates
from crossent.objectives.softmax import SoftmaxObjective

__all__ = ["SoftmaxObjective", "dual_start", "separable", "separates"]
