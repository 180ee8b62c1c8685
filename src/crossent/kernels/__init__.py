"""The inner loops, fast: one pass over the rows adds up loss, gradient and curvature.

`choose` finds the kernel for a problem, `explain` says why it is that one. Numba is loaded by the
first call of a compiled kernel, and by nothing before.
"""

from crossent.kernels.catalogue import CATALOGUE, Problem, choose, explain, problem_of
from crossent.kernels.numpy_blocks import NUMPY_BLOCKS, probabilities
from crossent.kernels.sums import Kernel, PassSums

__all__ = [
    "CATALOGUE",
    "NUMPY_BLOCKS",
    "Kernel",
    "PassSums",
    "Problem",
    "choose",
    "explain",
    "probabilities",
    "problem_of",
]
