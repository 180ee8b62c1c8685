"""Blocks along the diagonal, alone and twice with a transposition between."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.linear_maps.base import Parts, StructuredMap, check_count, check_map_shape
from crossent.linear_maps.partition import Partition
from crossent.typing import FloatArray

__all__ = ["BlockDiagonal", "Monarch"]


def _products(X: FloatArray, matrices: FloatArray) -> FloatArray:
    """(n, k, d) times k matrices (k, q, d), shape (n, k, q)."""
    images = np.matmul(X.transpose(1, 0, 2), matrices.transpose(0, 2, 1))
    return np.asarray(images.transpose(1, 0, 2))


def _outers(G: FloatArray, X: FloatArray, rows: bool) -> FloatArray:
    """Σ_i g_i x_iᵀ block by block, (k, q, d) from (n, k, q) and (n, k, d); or every term."""
    if rows:
        return G[:, :, :, None] * X[:, :, None, :]
    return np.asarray(np.matmul(G.transpose(1, 2, 0), X.transpose(1, 0, 2)))


@dataclass(frozen=True, eq=False)
class BlockDiagonal(StructuredMap):
    """W = diag(W_1, …, W_k) Π: k blocks, q·d/k parameters, convex.

    Sizes that k does not divide give blocks whose widths differ by one. The projection keeps the
    entries inside the blocks.

    Parameters
    ----------
    shape : (int, int)
        (q, d).
    blocks : int
        k, from 1 to min(q, d).
    permutation : ndarray of int, shape (d,), optional
        Block inputs are ``X[:, permutation]``; by default the columns in their order, so that the
        first block sees the first d/k of them.

    Raises
    ------
    InputError
        `blocks` is out of range, or `permutation` is not one of 0…d-1.

    Examples
    --------
    >>> import numpy as np
    >>> blocks = BlockDiagonal((2, 4), blocks=2)
    >>> blocks.to_dense(np.arange(1.0, 5.0))
    array([[1., 2., 0., 0.],
           [0., 0., 3., 4.]])
    """

    shape: tuple[int, int]
    blocks: int
    permutation: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        check_map_shape(self.shape, "BlockDiagonal")
        check_count(
            self.blocks,
            "blocks",
            "BlockDiagonal",
            min(self.shape),
            "the smaller side of the matrix",
        )
        if self.permutation is not None:
            given = np.asarray(self.permutation)
            if given.shape != self.shape[1:] or not np.array_equal(
                np.sort(given), np.arange(self.shape[1])
            ):
                message = (
                    f"`permutation` of a BlockDiagonal of shape {self.shape} must hold each of "
                    f"0…{self.shape[1] - 1} once."
                )
                raise InputError(message)
            object.__setattr__(self, "permutation", given.astype(np.int32))

    @classmethod
    def shuffled(
        cls, shape: tuple[int, int], *, blocks: int, rng: np.random.Generator
    ) -> "BlockDiagonal":
        """A map whose blocks see columns dealt out at random."""
        check_map_shape(shape, "BlockDiagonal")
        return cls(shape, blocks, rng.permutation(shape[1]).astype(np.int32))

    @property
    def _outputs(self) -> Partition:
        return Partition(self.shape[0], self.blocks)

    @property
    def _inputs(self) -> Partition:
        return Partition(self.shape[1], self.blocks)

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The blocks, (k, ⌈q/k⌉, ⌈d/k⌉)."""
        return {"blocks": (self.blocks, self._outputs.width, self._inputs.width)}

    @property
    def parameter_masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Where a block is narrower than the widest."""
        if self._outputs.is_even and self._inputs.is_even:
            return {}
        return {"blocks": self._outputs.used[:, :, None] & self._inputs.used[:, None, :]}

    @property
    def fixed(self) -> dict[str, npt.NDArray[np.int32]]:
        """The permutation, if there is one."""
        return {} if self.permutation is None else {"permutation": self.permutation}

    @property
    def last_factor(self) -> str:
        """The blocks."""
        return "blocks"

    @property
    def is_linear_in_parameters(self) -> bool:
        """Yes."""
        return True

    @property
    def operator_norm(self) -> float:
        """1: every parameter is one entry of W."""
        return 1.0

    @property
    def flops_per_row(self) -> int:
        """2·Σ_k q_k·d_k."""
        return 2 * int(self._outputs.widths @ self._inputs.widths)

    def _apply(self, parts: Parts, X: FloatArray) -> FloatArray:
        columns = X if self.permutation is None else X[:, self.permutation]
        return self._outputs.join(_products(self._inputs.split(columns), parts["blocks"]))

    def _adjoint(self, parts: Parts, G: FloatArray) -> FloatArray:
        blocks = parts["blocks"].transpose(0, 2, 1)
        columns = self._inputs.join(_products(self._outputs.split(G), blocks))
        if self.permutation is None:
            return columns
        result = np.empty_like(columns)
        result[:, self.permutation] = columns
        return result

    def _gradients(self, parts: Parts, X: FloatArray, G: FloatArray, rows: bool) -> Parts:  # noqa: ARG002
        columns = X if self.permutation is None else X[:, self.permutation]
        return {"blocks": _outers(self._outputs.split(G), self._inputs.split(columns), rows)}

    def _draw(self, rng: np.random.Generator) -> Parts:
        parts = self.unpack(rng.standard_normal(self.n_parameters))
        return {"blocks": parts["blocks"] / np.sqrt(self._inputs.widths)[:, None, None]}

    def _squared_norm(self, parts: Parts) -> float:
        return float(np.vdot(parts["blocks"], parts["blocks"]))

    def _project(self, W: npt.NDArray[np.float64]) -> Parts:
        return self._matched(W, np.ones(self.n_parameters))


@dataclass(frozen=True)
class Monarch(StructuredMap):
    """Two block-diagonal factors with a transposition between: W = L P R.

    With inputs numbered (i, a), i < k, and outputs (j, o), j < l, the entries are
    W[(j,o),(i,a)] = L[j,o,i]·R[i,j,a]: every (j, i) block of W has rank one. k·q + l·d parameters;
    with k = l = √n that is 2·n^1.5 for n = q = d (Dao et al. 2022, arXiv 2204.00595; there with
    square blocks). Not linear in (L, R). The projection, one rank-one singular value decomposition
    per block, is the nearest such matrix. The zero start has L = 0.

    Parameters
    ----------
    shape : (int, int)
        (q, d).
    blocks : int or (int, int)
        (k, l), k from 1 to d and l from 1 to q. One number k stands for (k, ⌈min(q, d)/k⌉).

    Raises
    ------
    InputError
        `blocks` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> Monarch((1024, 1024), blocks=32).n_parameters
    65536
    """

    shape: tuple[int, int]
    blocks: int | tuple[int, int]

    def __post_init__(self) -> None:
        check_map_shape(self.shape, "Monarch")
        q, d = self.shape
        if isinstance(self.blocks, int | np.integer):
            check_count(self.blocks, "blocks", "Monarch", min(q, d), "the smaller side")
            object.__setattr__(self, "blocks", (int(self.blocks), -(-min(q, d) // self.blocks)))
        if not isinstance(self.blocks, tuple) or len(self.blocks) != 2:
            message = f"`blocks` of a Monarch is {self.blocks!r}; give one integer, or two (k, l)."
            raise InputError(message)
        check_count(self.blocks[0], "blocks[0]", "Monarch", d, "the number of inputs")
        check_count(self.blocks[1], "blocks[1]", "Monarch", q, "the number of outputs")

    @property
    def _sides(self) -> tuple[Partition, Partition]:
        """Of inputs and of outputs."""
        assert isinstance(self.blocks, tuple)
        return Partition(self.shape[1], self.blocks[0]), Partition(self.shape[0], self.blocks[1])

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """L (l, ⌈q/l⌉, k) and R (k, l, ⌈d/k⌉)."""
        inputs, outputs = self._sides
        return {
            "L": (outputs.parts, outputs.width, inputs.parts),
            "R": (inputs.parts, outputs.parts, inputs.width),
        }

    @property
    def parameter_masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Where a block is narrower than the widest."""
        inputs, outputs = self._sides
        shapes, masks = self.parameter_shapes, {}
        if not outputs.is_even:
            masks["L"] = np.broadcast_to(outputs.used[:, :, None], shapes["L"])
        if not inputs.is_even:
            masks["R"] = np.broadcast_to(inputs.used[:, None, :], shapes["R"])
        return masks

    @property
    def last_factor(self) -> str:
        """L."""
        return "L"

    @property
    def is_linear_in_parameters(self) -> bool:
        """No: a product of two parts."""
        return False

    @property
    def flops_per_row(self) -> int:
        """2·(k·q + l·d)."""
        inputs, outputs = self._sides
        return 2 * (inputs.parts * self.shape[0] + outputs.parts * self.shape[1])

    def _hidden(self, parts: Parts, X: FloatArray) -> FloatArray:
        """(n, d) to (n, l, k)."""
        return _products(self._sides[0].split(X), parts["R"]).transpose(0, 2, 1)

    def _hidden_adjoint(self, parts: Parts, G: FloatArray) -> FloatArray:
        """(n, q) to (n, k, l)."""
        backward = _products(self._sides[1].split(G), parts["L"].transpose(0, 2, 1))
        return backward.transpose(0, 2, 1)

    def _apply(self, parts: Parts, X: FloatArray) -> FloatArray:
        return self._sides[1].join(_products(self._hidden(parts, X), parts["L"]))

    def _adjoint(self, parts: Parts, G: FloatArray) -> FloatArray:
        backward = self._hidden_adjoint(parts, G)
        return self._sides[0].join(_products(backward, parts["R"].transpose(0, 2, 1)))

    def _gradients(self, parts: Parts, X: FloatArray, G: FloatArray, rows: bool) -> Parts:
        inputs, outputs = self._sides
        return {
            "L": _outers(outputs.split(G), self._hidden(parts, X), rows),
            "R": _outers(self._hidden_adjoint(parts, G), inputs.split(X), rows),
        }

    def _draw(self, rng: np.random.Generator) -> Parts:
        parts = self.unpack(rng.standard_normal(self.n_parameters))
        inputs = self._sides[0]
        return {
            "L": parts["L"] / np.sqrt(inputs.parts),
            "R": parts["R"] / np.sqrt(inputs.widths)[:, None, None],
        }

    def _squared_norm(self, parts: Parts) -> float:
        left = np.einsum("joi,joi->ji", parts["L"], parts["L"])
        right = np.einsum("ija,ija->ji", parts["R"], parts["R"])
        return float(np.vdot(left, right))

    def _project(self, W: npt.NDArray[np.float64]) -> Parts:
        inputs, outputs = self._sides
        rows = outputs.split(W.T).reshape(self.shape[1], -1).T  # (l·⌈q/l⌉, d)
        blocks = inputs.split(rows).reshape(*self.parameter_shapes["L"][:2], inputs.parts, -1)
        left, values, right = np.linalg.svd(blocks.transpose(0, 2, 1, 3), full_matrices=False)
        root = np.sqrt(values[:, :, :1])
        return {
            "L": (left[:, :, :, 0] * root).transpose(0, 2, 1),
            "R": (right[:, :, 0, :] * root).transpose(1, 0, 2),
        }
