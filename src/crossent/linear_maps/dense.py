"""The matrix itself, and a product of two thin ones."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crossent.linear_maps.base import (
    Parts,
    StructuredMap,
    check_count,
    check_map_shape,
    outer,
)
from crossent.typing import FloatArray

__all__ = ["Dense", "LowRank"]


@dataclass(frozen=True)
class Dense(StructuredMap):
    """W itself: q·d parameters, 2·q·d flops a row. The baseline of all others.

    Parameters
    ----------
    shape : (int, int)
        (q, d).

    Examples
    --------
    >>> import numpy as np
    >>> dense = Dense((2, 3))
    >>> dense.apply(np.arange(6.0), np.array([[1.0, 0.0, 0.0]]))
    array([[0., 3.]])
    """

    shape: tuple[int, int]

    def __post_init__(self) -> None:
        check_map_shape(self.shape, "Dense")

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """W (q, d)."""
        return {"W": self.shape}

    @property
    def last_factor(self) -> str:
        """W."""
        return "W"

    @property
    def is_linear_in_parameters(self) -> bool:
        """Yes."""
        return True

    @property
    def operator_norm(self) -> float:
        """1: W is θ."""
        return 1.0

    @property
    def flops_per_row(self) -> int:
        """2·q·d."""
        return 2 * self.shape[0] * self.shape[1]

    def _apply(self, parts: Parts, X: FloatArray) -> FloatArray:
        return X @ parts["W"].T

    def _adjoint(self, parts: Parts, G: FloatArray) -> FloatArray:
        return G @ parts["W"]

    def _gradients(self, parts: Parts, X: FloatArray, G: FloatArray, rows: bool) -> Parts:  # noqa: ARG002
        return {"W": outer(G, X, rows)}

    def _draw(self, rng: np.random.Generator) -> Parts:
        return {"W": rng.standard_normal(self.shape)}

    def _squared_norm(self, parts: Parts) -> float:
        return float(np.vdot(parts["W"], parts["W"]))

    def _project(self, W: npt.NDArray[np.float64]) -> Parts:
        return {"W": W}


@dataclass(frozen=True)
class LowRank(StructuredMap):
    """W = U V with U (q, r) and V (r, d): r·(q + d) parameters and twice as many flops a row.

    Not linear in (U, V). The projection is the truncated singular value decomposition, the nearest
    matrix of rank r in the Frobenius norm (Eckart, Young 1936), its singular values shared evenly.
    The zero start has U = 0.

    Parameters
    ----------
    shape : (int, int)
        (q, d).
    rank : int
        r, from 1 to min(q, d).

    Raises
    ------
    InputError
        The rank is no integer in that range.

    Examples
    --------
    >>> import numpy as np
    >>> thin = LowRank((3, 4), rank=1)
    >>> W = np.outer([1.0, 2.0, 3.0], [1.0, 0.0, 0.0, -1.0])
    >>> bool(np.allclose(thin.to_dense(thin.from_dense(W)), W))
    True
    """

    shape: tuple[int, int]
    rank: int

    def __post_init__(self) -> None:
        check_map_shape(self.shape, "LowRank")
        check_count(self.rank, "rank", "LowRank", min(self.shape), "the smaller side of the matrix")

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """U (q, r) and V (r, d)."""
        q, d = self.shape
        return {"U": (q, self.rank), "V": (self.rank, d)}

    @property
    def last_factor(self) -> str:
        """U."""
        return "U"

    @property
    def is_linear_in_parameters(self) -> bool:
        """No: a product of two parts."""
        return False

    @property
    def flops_per_row(self) -> int:
        """2·r·(q + d)."""
        return 2 * self.rank * sum(self.shape)

    def _apply(self, parts: Parts, X: FloatArray) -> FloatArray:
        return (X @ parts["V"].T) @ parts["U"].T

    def _adjoint(self, parts: Parts, G: FloatArray) -> FloatArray:
        return (G @ parts["U"]) @ parts["V"]

    def _gradients(self, parts: Parts, X: FloatArray, G: FloatArray, rows: bool) -> Parts:
        return {
            "U": outer(G, X @ parts["V"].T, rows),
            "V": outer(G @ parts["U"], X, rows),
        }

    def _draw(self, rng: np.random.Generator) -> Parts:
        shapes = self.parameter_shapes
        V = rng.standard_normal(shapes["V"]) / np.sqrt(self.shape[1])
        return {"U": rng.standard_normal(shapes["U"]), "V": V}

    def _squared_norm(self, parts: Parts) -> float:
        U, V = parts["U"], parts["V"]
        return float(np.vdot(U.T @ U, V @ V.T))

    def _project(self, W: npt.NDArray[np.float64]) -> Parts:
        left, values, right = np.linalg.svd(W, full_matrices=False)
        root = np.sqrt(values[: self.rank])
        return {"U": left[:, : self.rank] * root, "V": root[:, None] * right[: self.rank]}
