"""The mathematics: softmax, cross-entropy with its derivatives, entropies and divergences.

The same functions for NumPy, PyTorch, JAX, CuPy and every other array library of the Python array
API standard; each returns the library, dtype and device that it was given.
"""

from crossent.functional.cross_entropy import (
    softmax_cross_entropy,
    softmax_cross_entropy_gradient,
    softmax_cross_entropy_hessian,
    softmax_cross_entropy_hessian_vector,
)
from crossent.functional.information import (
    cross_entropy,
    entropy,
    js_divergence,
    kl_divergence,
    mutual_information,
    perplexity,
    surprisal,
)
from crossent.functional.linear import LinearCrossEntropy, linear_softmax_cross_entropy
from crossent.functional.softmax import log_softmax, logsumexp, real_softmax, softmax, softmin

__all__ = [
    "LinearCrossEntropy",
    "cross_entropy",
    "entropy",
    "js_divergence",
    "kl_divergence",
    "linear_softmax_cross_entropy",
    "log_softmax",
    "logsumexp",
    "mutual_information",
    "perplexity",
    "real_softmax",
    "softmax",
    "softmax_cross_entropy",
    "softmax_cross_entropy_gradient",
    "softmax_cross_entropy_hessian",
    "softmax_cross_entropy_hessian_vector",
    "softmin",
    "surprisal",
]
