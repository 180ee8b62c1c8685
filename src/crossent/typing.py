"""The seams: what floors expect of each other, as Protocols and one record.

Shapes: n rows, d features, q classes, p coefficients.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from crossent.certificate import Certificate, TracePoint

__all__ = [
    "Array",
    "Block",
    "Callback",
    "FloatArray",
    "LinearMap",
    "Metric",
    "Objective",
    "RowSource",
]

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
        float32 or float64.
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

    def blocks(self, rows: int | None, /) -> Iterator[Block]:
        """Consecutive blocks of at most `rows` rows (None: as large as they come)."""

    def take(self, rows: npt.NDArray[np.intp] | slice, dtype: npt.DTypeLike, /) -> Block:
        """The given rows as one block, X in `dtype`; `first_row` is 0."""


class LinearMap(Protocol):
    """A matrix W(θ) of shape (q, d), known by what it does to rows.

    The map holds what is fixed: shape, permutations, signs. The parameters θ, one vector of p
    numbers, travel apart. Arithmetic is done in the type of the rows.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(q, d): numbers of outputs and inputs."""

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The named parts of θ, in their order."""

    @property
    def n_parameters(self) -> int:
        """P."""

    @property
    def is_linear_in_parameters(self) -> bool:
        """Whether W(θ) is linear in θ, so that convex losses stay convex."""

    @property
    def operator_norm(self) -> float:
        """Bound on ‖W(θ)‖_F over ‖θ‖ ≤ 1; inf if W is not linear in θ."""

    def unpack(self, theta: npt.NDArray[Any], /) -> dict[str, npt.NDArray[Any]]:
        """The named parts of θ."""

    def pack(self, parts: dict[str, npt.NDArray[Any]], /) -> npt.NDArray[np.float64]:
        """The vector that `unpack` takes apart."""

    def apply(self, theta: npt.NDArray[np.float64], X: FloatArray, /) -> FloatArray:
        """W(θ) x for every row x of X (n, d); shape (n, q)."""

    def adjoint(self, theta: npt.NDArray[np.float64], G: FloatArray, /) -> FloatArray:
        """W(θ)ᵀ g for every row g of G (n, q); shape (n, d)."""

    def gradient(
        self, theta: npt.NDArray[np.float64], X: FloatArray, G: FloatArray, /
    ) -> npt.NDArray[np.float64]:
        """∂/∂θ of Σ_i g_i·W(θ) x_i, shape (p,)."""

    def row_gradients(
        self, theta: npt.NDArray[np.float64], X: FloatArray, G: FloatArray, /
    ) -> FloatArray:
        """∂/∂θ of g_i·W(θ) x_i for every row, shape (n, p)."""

    def pull_back(
        self, theta: npt.NDArray[np.float64], matrix: npt.NDArray[Any], /
    ) -> npt.NDArray[np.float64]:
        """∂/∂θ of ⟨matrix, W(θ)⟩ for a matrix (q, d), shape (p,)."""

    def to_dense(self, theta: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """W(θ), shape (q, d)."""

    def from_dense(self, W: npt.NDArray[Any], /) -> npt.NDArray[np.float64]:
        """Θ of the projection of W (q, d) to matrices of this kind."""

    def start(self, rng: np.random.Generator, /, *, rms: float = 1.0) -> npt.NDArray[np.float64]:
        """Random θ with which inputs of rms 1 give outputs of the given rms."""

    def zero_start(self, rng: np.random.Generator, /) -> npt.NDArray[np.float64]:
        """Θ with W(θ) = 0 of which only the last factor is zero, so that it can leave."""

    def flops(self, rows: int, /) -> int:
        """Floating-point operations of `apply` to so many rows."""

    def bytes(self, dtype: npt.DTypeLike, /) -> int:
        """Of the parameters in `dtype`, and of permutations and signs as they are kept."""

    def state(self, theta: npt.NDArray[np.float64], /) -> dict[str, npt.NDArray[Any]]:
        """Everything that `load_state` needs, as arrays: parameters, permutations, signs."""

    def load_state(
        self, state: dict[str, npt.NDArray[Any]], /
    ) -> tuple[Self, npt.NDArray[np.float64]]:
        """The map with the state's permutations and signs, and θ."""


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


@runtime_checkable
class ProvesDecrements(Protocol):
    """An objective whose certificates do not depend on the gradient's units."""

    def provable_gap(self, value: float, decrement: float, /) -> float:
        """The relative gap that `certify` may prove where half the Newton decrement is this."""


Callback: TypeAlias = Callable[[TracePoint, npt.NDArray[np.float64]], bool | None]
"""Called with a TracePoint and the coefficients; True asks the solver to stop."""
