"""The inner loops, fast: one pass over the rows adds up loss, gradient and curvature."""

from crossent.kernels.numpy_blocks import NUMPY_BLOCKS, probabilities
from crossent.kernels.sums import Kernel, PassSums

__all__ = ["NUMPY_BLOCKS", "Kernel", "PassSums", "probabilities"]
