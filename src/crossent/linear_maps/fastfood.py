"""Fastfood: diagonal, Hadamard and permutation matrices in place of a dense one."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.linear_maps.base import Parts, StructuredMap, check_map_shape
from crossent.linear_maps.hadamard import hadamard_flops, hadamard_transform, next_power_of_two
from crossent.typing import FloatArray

__all__ = ["Fastfood"]

_FACTORS = ("B", "G", "S")  # in the order in which a row meets them


@dataclass(frozen=True, eq=False)
class Fastfood(StructuredMap):
    """W = S H G Π H B in blocks of n rows, n the power of two from d on: O(q log d) flops.

    H is the orthonormal Hadamard matrix, Π a permutation, B, G and S are diagonal. As drawn, B has
    random signs, G is Gaussian, and S gives all rows one length (Le, Sarlós, Smola 2013, arXiv
    1408.3060; learnt: Yang et al. 2015, arXiv 1412.7149). Inputs are padded with zeros to n, and of
    the ⌈q/n⌉·n outputs the first q are kept, so S has q entries.

    W is linear in any one of S, G, B, the others fixed: `learn` with one letter is convex. The
    projection is least squares in S, or a descent from the drawn start where more is learnt. The
    zero start has S = 0.

    Parameters
    ----------
    shape : (int, int)
        (q, d).
    signs : ndarray of ±1, shape (⌈q/n⌉, n)
        B, where it is not learnt and to begin with.
    gains : ndarray, shape (⌈q/n⌉, n)
        G, likewise.
    permutation : ndarray of int, shape (⌈q/n⌉, n)
        Π: of a block's n numbers v it takes ``v[permutation]``.
    scales : ndarray, shape (q,)
        S, likewise.
    learn : str
        Which of the letters S, G, B are parameters; "" for none.

    See Also
    --------
    Fastfood.random : draws all of these.

    Raises
    ------
    InputError
        An array has another shape, signs are not ±1, a row of `permutation` is none, or `learn` has
        other letters.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive = Fastfood.random((1024, 784), learn="SGB", rng=np.random.default_rng(0))
    >>> adaptive.n_parameters
    3072
    """

    shape: tuple[int, int]
    signs: npt.NDArray[np.int8]
    gains: npt.NDArray[np.float64]
    permutation: npt.NDArray[np.int32]
    scales: npt.NDArray[np.float64]
    learn: str = "S"

    def __post_init__(self) -> None:
        check_map_shape(self.shape, "Fastfood")
        _check_learn(self.learn)
        size = (self.n_blocks, self.block_size)
        expected: dict[str, tuple[tuple[int, ...], type]] = {
            "signs": (size, np.int8),
            "gains": (size, np.float64),
            "permutation": (size, np.int32),
            "scales": (self.shape[:1], np.float64),
        }
        for name, (shape, dtype) in expected.items():
            array: npt.NDArray[Any] = np.asarray(getattr(self, name), dtype=dtype)
            if array.shape != shape:
                message = f"`{name}` of {self._name()} has shape {array.shape}; it needs {shape}."
                raise InputError(message)
            object.__setattr__(self, name, array)
        if not np.isin(self.signs, (-1, 1)).all():
            message = f"`signs` of {self._name()} must all be 1 or -1."
            raise InputError(message)
        if not (np.sort(self.permutation, axis=1) == np.arange(self.block_size)).all():
            message = f"`permutation` of {self._name()} must hold 0…{size[1] - 1} once in each row."
            raise InputError(message)

    @classmethod
    def random(
        cls, shape: tuple[int, int], *, learn: str = "S", rng: np.random.Generator
    ) -> "Fastfood":
        """A map with drawn signs, gains and permutations, all rows of length 1 where d = n."""
        check_map_shape(shape, "Fastfood")
        q, d = shape
        n = next_power_of_two(d)
        size = (-(-q // n), n)
        gains = rng.standard_normal(size)
        lengths = np.sqrt(np.mean(gains**2, axis=1))  # of every row of H G Π H
        return cls(
            shape,
            signs=(2 * rng.integers(0, 2, size) - 1).astype(np.int8),
            gains=gains,
            permutation=np.array([rng.permutation(n) for _ in range(size[0])], dtype=np.int32),
            scales=np.repeat(1.0 / lengths, n)[:q],
            learn=learn,
        )

    @property
    def block_size(self) -> int:
        """Rows of a block: n."""
        return next_power_of_two(self.shape[1])

    @property
    def n_blocks(self) -> int:
        """⌈q/n⌉."""
        return -(-self.shape[0] // self.block_size)

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Of B and G (blocks, n) and S (q,) those that are learnt."""
        size = (self.n_blocks, self.block_size)
        shapes: dict[str, tuple[int, ...]] = {"B": size, "G": size, "S": self.shape[:1]}
        return {name: shapes[name] for name in _FACTORS if name in self.learn}

    @property
    def fixed(self) -> dict[str, npt.NDArray[Any]]:
        """The permutations, and of B, G and S those that are not learnt."""
        arrays: dict[str, npt.NDArray[Any]] = {"permutation": self.permutation}
        fields = {"B": "signs", "G": "gains", "S": "scales"}
        return arrays | {
            fields[name]: getattr(self, fields[name]) for name in _FACTORS if name not in self.learn
        }

    @property
    def last_factor(self) -> str:
        """S if it is learnt, else G, else B."""
        return next((name for name in reversed(_FACTORS) if name in self.learn), "")

    @property
    def is_linear_in_parameters(self) -> bool:
        """If at most one letter is learnt."""
        return len(self.learn) <= 1

    @property
    def operator_norm(self) -> float:
        """Bounds from ‖H‖ = 1; for S the length of the longest row."""
        largest = float(np.abs(self.scales).max())
        gain = float(np.abs(self.gains).max())
        if self.learn == "G":
            return largest
        if self.learn == "B":
            return largest * gain * math.sqrt(self.n_blocks)
        if self.learn == "S":
            return float(np.linalg.norm(self.to_dense(np.ones(self.shape[0])), axis=1).max())
        return 0.0 if not self.learn else math.inf

    @property
    def flops_per_row(self) -> int:
        """Two Hadamard transforms and two diagonals of length n a block, and S."""
        n = self.block_size
        return self.n_blocks * (2 * hadamard_flops(n) + 2 * n) + self.shape[0]

    def _factors(self, parts: Parts, dtype: npt.DTypeLike) -> tuple[FloatArray, ...]:
        """B, G and S in `dtype`, learnt or as drawn."""
        drawn: Parts = {"B": self.signs, "G": self.gains, "S": self.scales}
        B, G, S = (parts[f] if f in parts else drawn[f].astype(dtype) for f in _FACTORS)
        return B, G, S

    def _padded(self, X: FloatArray, width: int) -> FloatArray:
        if X.shape[1] == width:
            return X
        wide = np.zeros((len(X), width), dtype=X.dtype)
        wide[:, : X.shape[1]] = X
        return wide

    def _forward(self, parts: Parts, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Π H B x and H G Π H B x of all blocks, each (rows, blocks·n)."""
        B, G, _ = self._factors(parts, X.dtype)
        wide = self._padded(X, self.block_size)
        mixed = [
            np.take(hadamard_transform(wide * B[k]), self.permutation[k], axis=1)
            for k in range(self.n_blocks)
        ]
        last = [hadamard_transform(mixed[k] * G[k]) for k in range(self.n_blocks)]
        return np.concatenate(mixed, axis=1), np.concatenate(last, axis=1)

    def _backward(self, parts: Parts, weighted: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Of S g (rows, q): H S g, and H Πᵀ G H S g, each (rows, blocks, n)."""
        _, G, _ = self._factors(parts, weighted.dtype)
        m, size = len(weighted), (self.n_blocks, self.block_size)
        blocks = self._padded(weighted, size[0] * size[1]).reshape(m, *size)
        outside, inside = np.empty_like(blocks), np.empty_like(blocks)
        for k in range(self.n_blocks):
            outside[:, k] = hadamard_transform(np.ascontiguousarray(blocks[:, k]))
            mixed = np.empty_like(outside[:, k])
            mixed[:, self.permutation[k]] = outside[:, k] * G[k]
            inside[:, k] = hadamard_transform(mixed)
        return outside, inside

    def _apply(self, parts: Parts, X: FloatArray) -> FloatArray:
        B, G, S = self._factors(parts, X.dtype)
        (q, _), n = self.shape, self.block_size
        wide = self._padded(X, n)
        image = np.empty((len(X), q), dtype=X.dtype)
        for k in range(self.n_blocks):
            mixed = np.take(hadamard_transform(wide * B[k]), self.permutation[k], axis=1)
            mixed *= G[k]
            rows = slice(k * n, min((k + 1) * n, q))
            width = rows.stop - rows.start
            np.multiply(hadamard_transform(mixed)[:, :width], S[rows], out=image[:, rows])
        return image

    def _adjoint(self, parts: Parts, G: FloatArray) -> FloatArray:
        B, _, S = self._factors(parts, G.dtype)
        _, inside = self._backward(parts, G * S)
        inputs: FloatArray = np.einsum("mkn,kn->mn", inside, B)[:, : self.shape[1]]
        return inputs

    def _gradients(self, parts: Parts, X: FloatArray, G: FloatArray, rows: bool) -> Parts:
        _, _, S = self._factors(parts, X.dtype)
        size = (len(X), self.n_blocks, self.block_size)
        mixed, last = self._forward(parts, X)
        found = {"S": last[:, : self.shape[0]] * G}
        if self.learn != "S":
            outside, inside = self._backward(parts, G * S)
            found["G"] = outside * mixed.reshape(size)
            found["B"] = inside * self._padded(X, self.block_size)[:, None]
        wanted = {name: found[name] for name in self.parameter_shapes}
        return wanted if rows else {name: part.sum(axis=0) for name, part in wanted.items()}

    def _draw(self, rng: np.random.Generator) -> Parts:
        again = Fastfood.random(self.shape, learn=self.learn, rng=rng)
        drawn = {"B": again.signs.astype(np.float64), "G": again.gains, "S": again.scales}
        return {name: drawn[name] for name in self.parameter_shapes}

    def _project(self, W: npt.NDArray[np.float64]) -> Parts:
        if self.learn == "S":
            rows = self.to_dense(np.ones(self.shape[0]))
            return {"S": np.einsum("jl,jl->j", rows, W) / np.einsum("jl,jl->j", rows, rows)}
        if not self.learn:
            return {}
        drawn = {"B": self.signs.astype(np.float64), "G": self.gains, "S": self.scales}
        return self._descended(W, self.pack({f: drawn[f] for f in self.parameter_shapes}))


def _check_learn(learn: str) -> None:
    if not isinstance(learn, str) or len(set(learn)) != len(learn) or not set(learn) <= {*_FACTORS}:
        message = (
            f"`learn` of a Fastfood is {learn!r}; it must name each of S, G, B at most "
            "once, such as 'S', 'SGB' or ''."
        )
        raise InputError(message)
