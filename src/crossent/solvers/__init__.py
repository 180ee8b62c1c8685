"""Minimise an Objective: L-BFGS in a metric. Knows nothing of what the objective stands for."""

from crossent.solvers.metric_lbfgs import minimise
from crossent.solvers.solution import Solution

__all__ = ["Solution", "minimise"]
