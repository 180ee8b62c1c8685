"""What targets add up to, alone and with the features, without any coefficients."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.objectives.duality import TargetMoments
from crossent.typing import RowSource

__all__ = ["class_curvature", "mean_target", "target_moments"]

_ROWS = 4_000  # at once, in float64


def mean_target(
    source: RowSource, factor: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float64]:
    """ȳ = Σ s_i y_i, shape (q,); with a factor of each row, shape (n,), Σ s_i factor_i y_i."""
    total = np.zeros(source.n_classes)
    for block in source.blocks(None):
        weight = block.sample_weight
        if factor is not None:
            weight = weight * factor[block.first_row : block.first_row + len(weight)]
        if block.targets.ndim == 1:
            total += np.bincount(block.targets, weight, source.n_classes)
        else:
            total += weight @ block.targets
    return total


def class_curvature(
    source: RowSource, row_curvature: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.float64] | None:
    """κ_j = Σ s_i c_i y_ij / ȳ_j with c_i = 1 - Σ_j p_ij², shape (q,); None where c is not known.

    At an optimum that is about 1 - Σ s_i p_ij² / p̄_j, the Hessian in b of very many classes: as
    much of p_ij (1 - p_ij) lies on other classes' rows as on the class's own.
    """
    if row_curvature is None:
        return None
    return np.asarray(mean_target(source, row_curvature) / mean_target(source))


def target_moments(source: RowSource) -> TargetMoments:
    """Σ s_i y_i x_iᵀ and Σ s_i x_i. Cost: O(n·d) for labels, O(n·d·q) for distributions."""
    q, d = source.n_classes, source.n_features
    by_class, rows = np.zeros((q, d)), np.zeros(d)
    for block in source.blocks(_ROWS):
        X: Any = block.X.astype(np.float64)
        n = X.shape[0]
        if block.targets.ndim == 1:
            weighted: Any = sp.csr_array(
                (block.sample_weight, (block.targets, np.arange(n))), shape=(q, n)
            )
        else:
            dense = block.targets.toarray() if sp.issparse(block.targets) else block.targets
            weighted = (dense * block.sample_weight[:, None]).T
        product = weighted @ X
        by_class += product.toarray() if sp.issparse(product) else product
        rows += block.sample_weight @ X
    return TargetMoments(by_class, rows)
