"""The pass in plain NumPy, block by block: for small problems and whatever no other kernel does."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.kernels.sums import Kernel, PassSums
from crossent.typing import Block, FloatArray

__all__ = ["NUMPY_BLOCKS", "accumulate", "probabilities"]

_BLOCK_ROWS = 2048  # logits and rows of a block stay in the second-level cache for usual d


def _logits(
    X: Any, W: npt.NDArray[np.float64], b: npt.NDArray[np.float64], offset: FloatArray | None
) -> FloatArray:
    """``X Wᵀ + b + offset``, shape (rows, q), in the type of X."""
    logits: FloatArray = X @ np.asarray(W.T, dtype=X.dtype)
    logits += b.astype(X.dtype)
    if offset is not None:
        logits += offset.astype(X.dtype, copy=False)
    return logits


def _softmax_parts(
    logits: FloatArray,
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Shifted logits, probabilities, the largest class, and Σ exp over the other classes.

    The largest term stays out of the sum: `tail` then keeps its digits however small it is, and
    with it the loss and the residual of a row that is almost certain.
    """
    rows = np.arange(logits.shape[0])
    largest = logits.argmax(axis=1)
    logits -= logits[rows, largest][:, None]
    probabilities = np.exp(logits)
    probabilities[rows, largest] = 0.0
    tail = probabilities.sum(axis=1, dtype=np.float64)
    probabilities[rows, largest] = 1.0
    probabilities *= (1.0 / (1.0 + tail)).astype(logits.dtype)[:, None]
    return logits, probabilities, largest, tail


def probabilities(
    block: Block, W: npt.NDArray[np.float64], b: npt.NDArray[np.float64]
) -> FloatArray:
    """Softmax of the block's logits, shape (rows, q), in the type of its X."""
    return _softmax_parts(_logits(block.X, W, b, block.offset))[1]


def _subtract_labels(
    p: FloatArray,
    shifted: FloatArray,
    labels: npt.NDArray[np.integer[Any]],
    largest: npt.NDArray[np.intp],
    tail: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Turn p into p - y in place; return -y·shifted per row."""
    rows = np.arange(p.shape[0])
    chosen = shifted[rows, labels].astype(np.float64)
    p[rows, labels] -= 1.0
    certain = largest == labels  # p - 1 = -tail / (1 + tail), without the cancellation
    p[rows[certain], labels[certain]] = (-tail / (1.0 + tail))[certain]
    return np.asarray(-chosen)


def _subtract_distributions(
    p: FloatArray, shifted: FloatArray, targets: Any
) -> npt.NDArray[np.float64]:
    """Turn p into p - y in place; return -y·shifted per row, with 0·(-inf) = 0."""
    dense = targets.toarray() if sp.issparse(targets) else targets
    p -= dense.astype(p.dtype, copy=False)
    terms = np.multiply(dense, shifted, where=dense > 0, out=np.zeros(p.shape))
    return np.asarray(-terms.sum(axis=1, dtype=np.float64))


def _add_statistics(p: FloatArray, weight: FloatArray, block: Block, out: PassSums) -> None:
    """The optional sums, all of which are functions of the probabilities."""
    if out.mean_probability is not None:
        out.mean_probability += weight @ p
    if out.second_moment is not None:
        scaled = p * np.sqrt(weight)[:, None]
        out.second_moment += scaled.T @ scaled
    if out.entropy is not None:
        terms = np.log(p, where=p > 0, out=np.zeros_like(p))
        terms *= p
        out.entropy -= block.sample_weight @ terms.sum(axis=1, dtype=np.float64)
    if out.row_curvature is not None:
        stop = block.first_row + p.shape[0]
        curvature = 1.0 - np.einsum("ij,ij->i", p, p)
        out.row_curvature[block.first_row : stop] = np.maximum(curvature, 0.0)


def accumulate(
    block: Block,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    out: PassSums,
    n_threads: int | None = None,  # noqa: ARG001  BLAS has threads of its own
    dtype: np.dtype[Any] | None = None,
) -> None:
    """Add the sums of `block` at (W, b) to `out`, in arithmetic of `dtype`, default that of X.

    Cost: 4·rows·d·q flops in two matrix products, and memory for two (rows, q) arrays.
    """
    X = block.X if dtype is None else block.X.astype(dtype, copy=False)
    shifted, p, largest, tail = _softmax_parts(_logits(X, W, b, block.offset))
    weight = block.sample_weight.astype(p.dtype)
    _add_statistics(p, weight, block, out)
    if block.targets.ndim == 1:
        cross = _subtract_labels(p, shifted, block.targets, largest, tail)
    else:
        cross = _subtract_distributions(p, shifted, block.targets)
    out.loss += np.dot(block.sample_weight, np.log1p(tail) + cross)
    p *= weight[:, None]
    out.gradient_b += p.sum(axis=0, dtype=np.float64)
    out.gradient_W += (X.T @ p).T if sp.issparse(X) else p.T @ X


NUMPY_BLOCKS = Kernel("numpy", accumulate, _BLOCK_ROWS)
