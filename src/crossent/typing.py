"""The seams: what floors expect of each other, as Protocols and one record.

Shapes: n rows, d features, q classes, p coefficients.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from crossent.certificate import Certificate, TracePoint

__all__ = ["Array", "Block", "Callback", "FloatArray", "Metric", "Objective", "RowSource"]

Array: TypeAlias = Any
"""Any array-API array: NumPy, PyTorch, JAX, CuPy, array-api-strict."""

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
"""A NumPy array of float32 or float64."""


@dataclass(frozen=True)
class Block:
    """Some rows of the data, with all that belongs to them.

    Attributes
    ----------
    X : ndarray or scipy.sparse.csr_array, shape (rows, d)
        float32 or float64; the arithmetic of the pass is done in this type.
    targets : ndarray or csr_array
        Labels 0…q-1, shape (rows,), integer; or distributions, shape (rows, q), float.
    sample_weight : ndarray, shape (rows,)
        float64; divided by its sum over *all* rows.
    offset : ndarray or None, shape (rows, q)
        Added to the logits.
    first_row : int
        Number of the block's first row.
    """

    X: Any
    targets: Any
    sample_weight: npt.NDArray[np.float64]
    offset: FloatArray | None
    first_row: int


class RowSource(Protocol):
    """Where rows come from. The answer never depends on the block size beyond rounding."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    @property
    def n_features(self) -> int:
        """Number of columns."""

    @property
    def n_classes(self) -> int:
        """Number of classes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the rows."""

    @property
    def sample_weight(self) -> npt.NDArray[np.float64]:
        """Weights of all rows, sum 1."""

    @property
    def column_range(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Smallest and largest value of each column."""

    @property
    def offset_width(self) -> float:
        """Largest max_j - min_j over the rows of the offset; 0 without one."""

    def blocks(self, rows: int | None, dtype: npt.DTypeLike, /) -> Iterator[Block]:
        """Consecutive blocks of at most `rows` rows (None: as large as they come)."""

    def take(self, rows: npt.NDArray[np.intp] | slice, dtype: npt.DTypeLike, /) -> Block:
        """The given rows as one block; `first_row` is 0."""


class Metric(Protocol):
    """A factorised model of the Hessian at one point."""

    @property
    def quality(self) -> Literal["exact", "sampled", "model"]:
        """The Hessian of all rows; of a sample of rows; or a simpler model of it."""

    @property
    def cost(self) -> float:
        """Of building it, in passes over the data."""

    def solve(self, gradient: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """Map a gradient to ``H⁻¹ gradient``, shape (p,)."""


class Objective(Protocol):
    """A convex function of one flat vector of p coefficients, as a solver sees it."""

    @property
    def n_parameters(self) -> int:
        """P."""

    @property
    def passes(self) -> int:
        """Passes over the data so far."""

    def value_and_gradient(
        self, w: npt.NDArray[np.float64], /
    ) -> tuple[float, npt.NDArray[np.float64]]:
        """Value and gradient at `w`, from one pass over the data."""

    def relative_gap(self, value: float, gradient: npt.NDArray[np.float64], /) -> float:
        """The gap formula at a point that may not meet its conditions yet; NaN without one."""

    @property
    def resolution(self) -> float:
        """Rounding error of the value, relative to it, in the present arithmetic."""

    def refine(self) -> bool:
        """Go over to more precise arithmetic; False if there is none."""

    def metric(self, w: npt.NDArray[np.float64], rng: np.random.Generator, /) -> Metric:
        """A factorised model of the Hessian at `w`."""

    def certify(
        self, w: npt.NDArray[np.float64], /
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Certificate]:
        """`w` with its unpenalised part made optimal, the gradient and the certificate there."""


Callback: TypeAlias = Callable[[TracePoint, npt.NDArray[np.float64]], bool | None]
"""Called with a TracePoint and the coefficients; True asks the solver to stop."""
