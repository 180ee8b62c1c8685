"""What rows say about the coefficients of a linear softmax: log-loss, score, Hessian, and meat.

Adding the same vector to the coefficients of all classes changes nothing, so the first class is
held at zero and the others' coefficients are taken relative to it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp

from crossent.functional import log_softmax
from crossent.objectives.choice_existence import flat_columns
from crossent.objectives.curvature import exact_hessian
from crossent.typing import Block, RowSource

__all__ = [
    "Features",
    "Information",
    "clustered_meat",
    "determined_by_others",
    "information",
    "inverse",
    "sandwich",
]

_ENTRIES = 8_000_000  # of the table of scores that is held at a time


@dataclass(frozen=True)
class Features:
    """Columns in which the Hessian is well conditioned: v = (1, (x − centre) / scale).

    Attributes
    ----------
    centre : ndarray, shape (d,)
        0 without an intercept.
    scale : ndarray, shape (d,)
    intercept : bool
        Whether v begins with the 1.
    """

    centre: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    intercept: bool

    @property
    def size(self) -> int:
        """Length of v."""
        return len(self.scale) + self.intercept

    def rows(self, block: Block) -> npt.NDArray[np.float64]:
        """V of a block, shape (rows, size)."""
        X = block.X.toarray() if sp.issparse(block.X) else block.X
        scaled = (X - self.centre) / self.scale
        return np.hstack([np.ones((len(scaled), 1)), scaled]) if self.intercept else scaled

    @property
    def back(self) -> npt.NDArray[np.float64]:
        """The matrix A that takes coefficients of v to those of (1, x)."""
        A = np.diag(np.concatenate([np.ones(int(self.intercept)), 1 / self.scale]))
        if self.intercept:
            A[0, 1:] = -self.centre / self.scale
        return A


@dataclass(frozen=True)
class Information:
    """Sums over all rows, in coordinates (class 2…q) × v; p = (q − 1) · size.

    Attributes
    ----------
    log_loss : float
        Σ s loss, in nats.
    score : ndarray, shape (p,)
        Its gradient.
    hessian : ndarray, shape (p, p)
        Its second derivative.
    meat : ndarray, shape (p, p), or None
        Covariance of the score, estimated from the rows or from clusters of them.
    """

    log_loss: float
    score: npt.NDArray[np.float64]
    hessian: npt.NDArray[np.float64]
    meat: npt.NDArray[np.float64] | None


def information(
    source: RowSource,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    features: Features,
    /,
    *,
    total: float,
    units: npt.NDArray[np.intp] | Literal["rows"] | None = None,
) -> Information:
    """Log-loss with its derivatives at (W, b), and the covariance of the score.

    Parameters
    ----------
    source : RowSource
    W : ndarray, shape (q, d)
    b : ndarray, shape (q,)
    features : Features
    total : float
        What the source's weights, which sum to 1, are multiplied by.
    units : "rows", or ndarray of int, shape (n,), optional
        What is independent, for the covariance of the score: rows, Σᵢ uᵢ uᵢᵀ with uᵢ the score of
        one row; or clusters, by the number 0…G−1 of each row's, as `clustered_meat`. Default: no
        covariance.

    Notes
    -----
    Cost: O(n p²) flops, p² numbers, and G·p for clusters.
    """
    p = (source.n_classes - 1) * features.size
    log_loss, score, hessian = 0.0, np.zeros(p), np.zeros((p, p))
    meat = None if units is None else np.zeros((p, p))
    sums = np.zeros((int(units.max()) + 1, p)) if isinstance(units, np.ndarray) else None
    for block in source.blocks(max(1, _ENTRIES // max(p, source.n_features))):
        V, weight = features.rows(block), total * block.sample_weight
        log_p = _log_probabilities(block, W, b)
        y = _distributions(block, source.n_classes)
        probabilities = np.exp(log_p)
        terms = np.multiply(y, log_p, out=np.zeros_like(y), where=y > 0)
        log_loss -= float(weight @ terms.sum(axis=1))
        residual = (weight[:, np.newaxis] * (probabilities - y))[:, 1:]
        score += (residual.T @ V).ravel()
        hessian += exact_hessian(probabilities[:, 1:], V, weight)
        if meat is None:
            continue
        scores = (residual[:, :, np.newaxis] * V[:, np.newaxis, :]).reshape(len(V), p)
        if sums is None or not isinstance(units, np.ndarray):
            meat += scores.T @ scores
        else:
            of = units[block.first_row : block.first_row + len(V)]
            member = sp.csr_array((np.ones(len(V)), (of, np.arange(len(V)))), (len(sums), len(V)))
            sums += member @ scores
    meat = meat if sums is None else clustered_meat(sums)
    return Information(log_loss, score, hessian, meat)


def _log_probabilities(
    block: Block, W: npt.NDArray[np.float64], b: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    logits = block.X @ W.T + b
    if block.offset is not None:
        logits = logits + block.offset
    return np.asarray(log_softmax(np.asarray(logits)))


def _distributions(block: Block, q: int) -> npt.NDArray[np.float64]:
    """The targets of a block as a dense table."""
    if block.targets.ndim == 1:
        return np.asarray(np.eye(q)[block.targets])
    dense = block.targets.toarray() if sp.issparse(block.targets) else block.targets
    return np.asarray(dense, dtype=np.float64)


def determined_by_others(hessian: npt.NDArray[np.float64], /) -> npt.NDArray[np.intp]:
    """Coefficients along which, together with others, the Hessian is flat."""
    return flat_columns(hessian, np.zeros((0, len(hessian))))


def inverse(hessian: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
    """The inverse of a positive definite matrix, its diagonal made even first."""
    scale = 1 / np.sqrt(hessian.diagonal())
    factor = scipy.linalg.cho_factor(hessian * np.outer(scale, scale), lower=True)
    return np.asarray(scipy.linalg.cho_solve(factor, np.diag(scale)) * scale[:, np.newaxis])


def sandwich(
    bread: npt.NDArray[np.float64], meat: npt.NDArray[np.float64], /
) -> npt.NDArray[np.float64]:
    """H⁻¹ M H⁻¹ from H⁻¹ and the covariance M of the score.

    References
    ----------
    H. White, "Maximum likelihood estimation of misspecified models", Econometrica 50, 1982,
    doi:10.2307/1912526.
    """
    return np.asarray(bread @ meat @ bread)


def clustered_meat(sums: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
    """G/(G − 1) Σ_g u_g u_gᵀ of the scores of G independent clusters, shape (G, p).

    References
    ----------
    K.-Y. Liang and S. L. Zeger, "Longitudinal data analysis using generalized linear models",
    Biometrika 73, 1986, doi:10.1093/biomet/73.1.13, with the usual factor G/(G − 1).
    """
    return np.asarray(sums.T @ sums * (len(sums) / (len(sums) - 1)))
