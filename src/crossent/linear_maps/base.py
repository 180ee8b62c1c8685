"""What all structured maps have in common: checks, names, starts, projections, state.

A map of one's own needs `parameter_shapes`, `last_factor`, `is_linear_in_parameters`,
`flops_per_row` and the four arithmetic methods `_apply`, `_adjoint`, `_gradients`, `_draw`; the
rest follows from them.
"""

import abc
import dataclasses
import math
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.optimize

from crossent.errors import InputError
from crossent.linear_maps.state import check_state, exact
from crossent.typing import FloatArray

__all__ = ["Parts", "StructuredMap", "check_count", "check_map_shape", "outer"]

Parts: TypeAlias = dict[str, npt.NDArray[Any]]
"""The named parts of θ, as arrays."""

_CHUNK = 1024  # rows of the identity at a time
_DESCENT_STEPS = 200


def check_map_shape(shape: tuple[int, int], kind: str) -> None:
    """Raise unless `shape` is two positive integers (q, d)."""
    sizes = tuple(shape) if isinstance(shape, tuple | list) else ()
    if len(sizes) != 2 or not all(isinstance(s, int | np.integer) and s > 0 for s in sizes):
        message = (
            f"`shape` of a {kind} is {shape!r}; it must be (q, d), two positive integers: the "
            "numbers of outputs and of inputs."
        )
        raise InputError(message)


def check_count(value: Any, name: str, kind: str, largest: int, reason: str) -> None:
    """Raise unless `value` is an integer from 1 to `largest`; `reason` says why not more."""
    if not isinstance(value, int | np.integer) or not 1 <= value <= largest:
        message = (
            f"`{name}` of a {kind} is {value!r}; it must be an integer from 1 to {largest}, "
            f"{reason}."
        )
        raise InputError(message)


def outer(G: FloatArray, X: FloatArray, rows: bool) -> FloatArray:
    """Σ_i g_i x_iᵀ, shape (q, d); with `rows` every term of it, shape (n, q, d)."""
    return G[:, :, None] * X[:, None, :] if rows else G.T @ X


class StructuredMap(abc.ABC):
    """W(θ) of shape (q, d): the interface, and what can be said once for all maps.

    Concrete maps are frozen dataclasses whose fields hold what is fixed.
    """

    shape: tuple[int, int]

    @property
    @abc.abstractmethod
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The named parts of θ, in their order."""

    @property
    @abc.abstractmethod
    def last_factor(self) -> str:
        """The part in which W is linear and without which it is zero; "" if there is none."""

    @property
    @abc.abstractmethod
    def is_linear_in_parameters(self) -> bool:
        """Whether W(θ) is linear in θ."""

    @property
    @abc.abstractmethod
    def flops_per_row(self) -> int:
        """Floating-point operations of W(θ) x; what depends on θ alone is not counted."""

    @abc.abstractmethod
    def _apply(self, parts: Parts, X: FloatArray) -> FloatArray:
        """(n, d) to (n, q)."""

    @abc.abstractmethod
    def _adjoint(self, parts: Parts, G: FloatArray) -> FloatArray:
        """(n, q) to (n, d)."""

    @abc.abstractmethod
    def _gradients(self, parts: Parts, X: FloatArray, G: FloatArray, rows: bool) -> Parts:
        """Derivative of Σ_i g_i·W x_i by every part; with `rows` per row, on a leading axis."""

    @abc.abstractmethod
    def _draw(self, rng: np.random.Generator) -> Parts:
        """Random parts, with the right balance between factors; their scale is set later."""

    @property
    def parameter_masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        """For parts with padding: which entries are parameters."""
        return {}

    @property
    def fixed(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays that are not learnt, by the name of their field."""
        return {}

    @property
    def operator_norm(self) -> float:
        """Bound on ‖W(θ)‖_F over ‖θ‖ ≤ 1; inf if W is not linear in θ."""
        return math.inf

    @property
    def n_parameters(self) -> int:
        """Numbers in θ; padding is not counted."""
        masks = self.parameter_masks
        return sum(
            int(masks[name].sum()) if name in masks else math.prod(shape)
            for name, shape in self.parameter_shapes.items()
        )

    def unpack(self, theta: npt.NDArray[Any], /) -> Parts:
        """The named parts of θ (p,), padding filled with zeros."""
        found = np.shape(theta)
        if found != (self.n_parameters,):
            message = (
                f"`theta` has shape {found}; {self._name()} has {self.n_parameters} parameters. "
                "Make it with `start`, `zero_start`, `from_dense` or `load_state` of this map."
            )
            raise InputError(message)
        parts, masks, begin = {}, self.parameter_masks, 0
        for name, shape in self.parameter_shapes.items():
            mask = masks.get(name)
            size = math.prod(shape) if mask is None else int(mask.sum())
            values = theta[begin : begin + size]
            if mask is None:
                parts[name] = values.reshape(shape)
            else:
                parts[name] = np.zeros(shape, dtype=theta.dtype)
                parts[name][mask] = values
            begin += size
        return parts

    def pack(self, parts: Parts, /) -> npt.NDArray[np.float64]:
        """The vector of float64 that `unpack` takes apart; padding is dropped."""
        return self._joined(parts, ()).astype(np.float64, copy=False)

    def apply(self, theta: npt.NDArray[np.float64], X: FloatArray, /) -> FloatArray:
        """W(θ) x for every row x of X (n, d); shape (n, q)."""
        rows = self._rows(X, "X", self.shape[1], "one column per input")
        return self._apply(self._parts(theta, rows.dtype), rows)

    def adjoint(self, theta: npt.NDArray[np.float64], G: FloatArray, /) -> FloatArray:
        """W(θ)ᵀ g for every row g of G (n, q); shape (n, d)."""
        rows = self._rows(G, "G", self.shape[0], "one column per output")
        return self._adjoint(self._parts(theta, rows.dtype), rows)

    def gradient(
        self, theta: npt.NDArray[np.float64], X: FloatArray, G: FloatArray, /
    ) -> npt.NDArray[np.float64]:
        """∂/∂θ of Σ_i g_i·W(θ) x_i, shape (p,), float64."""
        return self._joined(self._all_gradients(theta, X, G, rows=False), ()).astype(
            np.float64, copy=False
        )

    def row_gradients(
        self, theta: npt.NDArray[np.float64], X: FloatArray, G: FloatArray, /
    ) -> FloatArray:
        """∂/∂θ of g_i·W(θ) x_i for every row i, shape (n, p)."""
        return self._joined(self._all_gradients(theta, X, G, rows=True), (len(X),))

    def pull_back(
        self, theta: npt.NDArray[np.float64], matrix: npt.NDArray[Any], /
    ) -> npt.NDArray[np.float64]:
        """∂/∂θ of ⟨matrix, W(θ)⟩ for a matrix (q, d), shape (p,): the chain rule through W.

        Cost: the gradient of min(q, d) rows.
        """
        q, d = self.shape
        if q <= d:
            return self.gradient(theta, matrix, np.eye(q))
        return self.gradient(theta, np.eye(d), matrix.T)

    def to_dense(self, theta: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """W(θ), shape (q, d), float64. Cost: the map applied to min(q, d) rows."""
        parts = self._parts(theta, np.dtype(np.float64))
        q, d = self.shape
        if d <= q:
            return np.ascontiguousarray(self._apply(parts, np.eye(d)).T)
        return np.ascontiguousarray(self._adjoint(parts, np.eye(q)))

    def from_dense(self, W: npt.NDArray[Any], /) -> npt.NDArray[np.float64]:
        """θ of the projection of W (q, d); each map says how near it comes.

        Raises
        ------
        InputError
            W has another shape than the map, or is not finite.
        """
        matrix = np.asarray(W, dtype=np.float64)
        if matrix.shape != self.shape:
            message = (
                f"`W` has shape {matrix.shape}; {self._name()} projects matrices of shape "
                f"{self.shape}. Make a map of the matrix's shape, or transpose the matrix."
            )
            raise InputError(message)
        if not np.isfinite(matrix).all():
            message = "`W` is not finite; a matrix with NaN or inf has no projection."
            raise InputError(message)
        return self.pack(self._project(matrix))

    def start(self, rng: np.random.Generator, /, *, rms: float = 1.0) -> npt.NDArray[np.float64]:
        """Random θ whose W gives outputs of the given rms for white inputs of rms 1.

        Exactly so: the last factor is scaled such that ‖W‖_F² = q·rms².
        """
        parts = self._draw(rng)
        if self.last_factor:
            scale = rms * math.sqrt(self.shape[0] / self._squared_norm(parts))
            parts[self.last_factor] = parts[self.last_factor] * scale
        return self.pack(parts)

    def zero_start(self, rng: np.random.Generator, /) -> npt.NDArray[np.float64]:
        """θ with W(θ) = 0: as `start`, but with the last factor zero.

        With two factors zero every gradient would vanish: a saddle that no descent leaves.
        """
        parts = self.unpack(self.start(rng))
        if self.last_factor:
            parts[self.last_factor] = np.zeros_like(parts[self.last_factor])
        return self.pack(parts)

    def flops(self, rows: int, /) -> int:
        """Floating-point operations of `apply` to so many rows, a multiplication and addition two.

        Transforms count as this implementation computes them: a Hadamard transform as two small
        matrix products, a real Fourier transform of n numbers as 2.5·n·log₂n.
        """
        return rows * self.flops_per_row

    def bytes(self, dtype: npt.DTypeLike = np.float32, /) -> int:
        """Of the parameters in `dtype`, and of the fixed arrays as they are kept."""
        learnt = self.n_parameters * np.dtype(dtype).itemsize
        return learnt + sum(array.nbytes for array in self.fixed.values())

    def state(self, theta: npt.NDArray[np.float64], /) -> dict[str, npt.NDArray[Any]]:
        """Parameters by name and fixed arrays by name, exactly; `load_state` takes it back."""
        parts = {name: part.copy() for name, part in self.unpack(theta).items()}
        return {"shape": np.array(self.shape)} | parts | self.fixed

    def load_state(
        self, state: dict[str, npt.NDArray[Any]], /
    ) -> tuple[Self, npt.NDArray[np.float64]]:
        """The map with the state's permutations and signs in place of its own, and θ.

        Raises
        ------
        InputError
            The state is of another kind of map, or of one of another size; or it holds numbers
            that are not finite, or permutations or signs that are not exact.
        """
        wanted = {"shape": (2,)} | self.parameter_shapes
        wanted |= {name: array.shape for name, array in self.fixed.items()}
        check_state(state, wanted, self.shape, self._name())
        kept = {n: exact(state[n], a.dtype, n, self._name()) for n, a in self.fixed.items()}
        parts = {n: exact(state[n], np.float64, n, self._name()) for n in self.parameter_shapes}
        loaded = dataclasses.replace(self, **kept)  # type: ignore[type-var]
        return loaded, self.pack(parts)

    def _name(self) -> str:
        return f"a {type(self).__name__} of shape {self.shape}"

    def _rows(self, X: Any, name: str, width: int, meaning: str) -> FloatArray:
        """X as floats with `width` columns."""
        rows = np.asarray(X)
        if rows.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            rows = rows.astype(np.float64)
        if rows.ndim != 2 or rows.shape[1] != width:
            message = (
                f"`{name}` has shape {rows.shape}; {self._name()} needs (n, {width}), {meaning}."
            )
            raise InputError(message)
        return rows

    def _parts(self, theta: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> Parts:
        return self.unpack(np.asarray(theta).astype(dtype, copy=False))

    def _joined(self, parts: Parts, leading: tuple[int, ...]) -> npt.NDArray[Any]:
        """Parts with leading axes as vectors over all parameters."""
        masks = self.parameter_masks
        flat = [
            parts[name][..., masks[name]] if name in masks else parts[name].reshape(*leading, -1)
            for name in self.parameter_shapes
        ]
        return np.concatenate(flat, axis=-1) if flat else np.zeros((*leading, 0))

    def _all_gradients(
        self, theta: npt.NDArray[np.float64], X: FloatArray, G: FloatArray, *, rows: bool
    ) -> Parts:
        inputs = self._rows(X, "X", self.shape[1], "one column per input")
        outputs = self._rows(G, "G", self.shape[0], "one column per output")
        if len(inputs) != len(outputs):
            message = f"`X` has {len(inputs)} rows and `G` has {len(outputs)}; give as many."
            raise InputError(message)
        dtype = np.result_type(inputs, outputs)
        return self._gradients(
            self._parts(theta, dtype), inputs.astype(dtype), outputs.astype(dtype), rows
        )

    def _squared_norm(self, parts: Parts) -> float:
        """‖W‖_F²; the map applied to min(q, d) rows of an identity."""
        q, d = self.shape
        size = min(q, d)
        total = 0.0
        for begin in range(0, size, _CHUNK):
            rows = np.eye(min(_CHUNK, size - begin), size, begin)
            image = self._apply(parts, rows) if d <= q else self._adjoint(parts, rows)
            total += float(np.vdot(image, image))
        return total

    def _project(self, W: npt.NDArray[np.float64]) -> Parts:
        """Least squares: one step where W(θ) is linear with orthogonal columns, else a descent."""
        return self._descended(W, self.start(np.random.default_rng(0)))

    def _descended(self, W: npt.NDArray[np.float64], start: npt.NDArray[np.float64]) -> Parts:
        """A local minimum of ‖W(θ) - W‖_F², by L-BFGS on the part of W outside the start's span."""
        size = float(np.linalg.norm(W)) or 1.0

        def distance(theta: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
            rest = (self.to_dense(theta) - W) / size
            return 0.5 * float(np.vdot(rest, rest)), self.pull_back(theta, rest) / size

        found = scipy.optimize.minimize(
            distance, start, jac=True, method="L-BFGS-B",
            options={"maxiter": _DESCENT_STEPS, "ftol": 1e-15, "gtol": 1e-9},
        )  # fmt: skip
        return self.unpack(found.x)

    def _matched(self, W: npt.NDArray[np.float64], copies: npt.NDArray[np.float64]) -> Parts:
        """Least squares where each parameter fills entries of its own: Φᵀ(W) / ‖Φe_k‖²."""
        origin = np.zeros(self.n_parameters)
        sums = self.pull_back(origin, W)
        return self.unpack(np.divide(sums, copies, where=copies > 0, out=origin))
