"""Matrices with constant diagonals, by fast Fourier transforms."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from crossent.errors import InputError
from crossent.linear_maps.base import Parts, StructuredMap, check_map_shape
from crossent.typing import FloatArray

__all__ = ["Circulant", "Toeplitz", "fourier_flops"]


def fourier_flops(n: int, /) -> int:
    """Operations of a real Fourier transform of n numbers, by the usual count 2.5·n·log₂n.

    Examples
    --------
    >>> fourier_flops(1024)
    25600
    """
    return round(2.5 * n * math.log2(n)) if n > 1 else 0


def _diagonal_lengths(q: int, d: int) -> npt.NDArray[np.float64]:
    """Entries on each diagonal j - l = -(d-1) … q-1 of a (q, d) matrix."""
    offset = np.arange(-(d - 1), q)
    return np.asarray(np.minimum(q, d + offset) - np.maximum(0, offset), dtype=np.float64)


def _summed(
    spectrum: npt.NDArray[np.complexfloating], rows: bool
) -> npt.NDArray[np.complexfloating]:
    """Added up over the rows, unless every row is wanted."""
    return spectrum if rows else spectrum.sum(axis=0)


@dataclass(frozen=True, eq=False)
class Circulant(StructuredMap):
    """W[j,l] = c[(j-l) mod n]·σ_l, n = max(q, d): n parameters, O(n log n) flops, convex.

    The first q rows and d columns of a circulant matrix times signs (Cheng et al. 2015, arXiv
    1502.03436). The projection is the mean along each diagonal, signs taken into account.

    Parameters
    ----------
    shape : (int, int)
        (q, d).
    signs : ndarray of ±1, shape (d,), optional
        σ; all 1 by default.

    Raises
    ------
    InputError
        `signs` are not d numbers ±1.

    Examples
    --------
    >>> import numpy as np
    >>> Circulant((3, 3)).to_dense(np.array([1.0, 2.0, 3.0])).round(12)
    array([[1., 3., 2.],
           [2., 1., 3.],
           [3., 2., 1.]])
    """

    shape: tuple[int, int]
    signs: npt.NDArray[np.int8] | None = None

    def __post_init__(self) -> None:
        check_map_shape(self.shape, "Circulant")
        if self.signs is None:
            object.__setattr__(self, "signs", np.ones(self.shape[1], dtype=np.int8))
        given = np.asarray(self.signs)
        if given.shape != self.shape[1:] or not np.isin(given, (-1, 1)).all():
            message = f"`signs` of a Circulant of shape {self.shape} must be {self.shape[1]} of ±1."
            raise InputError(message)
        object.__setattr__(self, "signs", given.astype(np.int8))

    @classmethod
    def random(cls, shape: tuple[int, int], *, rng: np.random.Generator) -> "Circulant":
        """A map with random signs, which keep apart inputs that are shifts of each other."""
        check_map_shape(shape, "Circulant")
        return cls(shape, (2 * rng.integers(0, 2, shape[1]) - 1).astype(np.int8))

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The first column c, (n,)."""
        return {"c": (max(self.shape),)}

    @property
    def fixed(self) -> dict[str, npt.NDArray[np.int8]]:
        """The signs."""
        assert self.signs is not None
        return {"signs": self.signs}

    @property
    def last_factor(self) -> str:
        """The only part, c."""
        return "c"

    @property
    def is_linear_in_parameters(self) -> bool:
        """Yes."""
        return True

    @property
    def operator_norm(self) -> float:
        """√(largest number of entries that one parameter fills)."""
        return float(np.sqrt(self._copies.max()))

    @property
    def flops_per_row(self) -> int:
        """Two transforms of length n, the product of spectra, the signs."""
        n = max(self.shape)
        return 2 * fourier_flops(n) + 6 * (n // 2 + 1) + self.shape[1]

    @property
    def _copies(self) -> npt.NDArray[np.float64]:
        """Entries of W that each parameter fills."""
        q, d = self.shape
        copies = np.zeros(max(q, d))
        np.add.at(copies, np.arange(-(d - 1), q) % max(q, d), _diagonal_lengths(q, d))
        return copies

    def _apply(self, parts: Parts, X: FloatArray) -> FloatArray:
        n = max(self.shape)
        spectrum = scipy.fft.rfft(self._signed(X), n) * scipy.fft.rfft(parts["c"])
        image: FloatArray = scipy.fft.irfft(spectrum, n)[:, : self.shape[0]]
        return image

    def _adjoint(self, parts: Parts, G: FloatArray) -> FloatArray:
        n = max(self.shape)
        spectrum = scipy.fft.rfft(G, n) * scipy.fft.rfft(parts["c"]).conj()
        return self._signed(scipy.fft.irfft(spectrum, n)[:, : self.shape[1]])

    def _gradients(self, parts: Parts, X: FloatArray, G: FloatArray, rows: bool) -> Parts:
        n = len(parts["c"])
        spectrum = scipy.fft.rfft(G, n) * scipy.fft.rfft(self._signed(X), n).conj()
        return {"c": scipy.fft.irfft(_summed(spectrum, rows), n)}

    def _signed(self, X: FloatArray) -> FloatArray:
        return X * self.fixed["signs"].astype(X.dtype)

    def _draw(self, rng: np.random.Generator) -> Parts:
        return {"c": rng.standard_normal(max(self.shape))}

    def _squared_norm(self, parts: Parts) -> float:
        return float(self._copies @ parts["c"] ** 2)

    def _project(self, W: npt.NDArray[np.float64]) -> Parts:
        return self._matched(W, self._copies)


@dataclass(frozen=True)
class Toeplitz(StructuredMap):
    """W[j,l] = t[j-l+d-1]: q + d - 1 parameters, O(n log n) flops, convex.

    The product is a convolution, by Fourier transforms of length q + d - 1 or a little more. The
    projection is the mean along each diagonal.

    Parameters
    ----------
    shape : (int, int)
        (q, d).

    Examples
    --------
    >>> import numpy as np
    >>> Toeplitz((2, 3)).to_dense(np.array([1.0, 2.0, 3.0, 4.0])).round(12)
    array([[3., 2., 1.],
           [4., 3., 2.]])
    """

    shape: tuple[int, int]

    def __post_init__(self) -> None:
        check_map_shape(self.shape, "Toeplitz")

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The diagonals t, (q + d - 1,)."""
        return {"t": (sum(self.shape) - 1,)}

    @property
    def last_factor(self) -> str:
        """The only part, t."""
        return "t"

    @property
    def is_linear_in_parameters(self) -> bool:
        """Yes."""
        return True

    @property
    def operator_norm(self) -> float:
        """√min(q, d): the length of the longest diagonal."""
        return math.sqrt(min(self.shape))

    @property
    def flops_per_row(self) -> int:
        """Two transforms and the product of spectra."""
        return 2 * fourier_flops(self._length) + 6 * (self._length // 2 + 1)

    @property
    def _length(self) -> int:
        """Of the transforms: wrapping around must not reach the last q entries."""
        return int(scipy.fft.next_fast_len(sum(self.shape) - 1, real=True))

    def _shifted(self, G: FloatArray) -> npt.NDArray[np.complexfloating]:
        """Spectrum of G moved to where the outputs stand in the convolution."""
        q, d = self.shape
        moved = np.zeros((len(G), q + d - 1), dtype=G.dtype)
        moved[:, d - 1 :] = G
        spectrum: npt.NDArray[np.complexfloating] = scipy.fft.rfft(moved, self._length)
        return spectrum

    def _apply(self, parts: Parts, X: FloatArray) -> FloatArray:
        q, d = self.shape
        spectrum = scipy.fft.rfft(X, self._length) * scipy.fft.rfft(parts["t"], self._length)
        image: FloatArray = scipy.fft.irfft(spectrum, self._length)[:, d - 1 : d - 1 + q]
        return image

    def _adjoint(self, parts: Parts, G: FloatArray) -> FloatArray:
        spectrum = self._shifted(G) * scipy.fft.rfft(parts["t"], self._length).conj()
        image: FloatArray = scipy.fft.irfft(spectrum, self._length)[:, : self.shape[1]]
        return image

    def _gradients(self, parts: Parts, X: FloatArray, G: FloatArray, rows: bool) -> Parts:
        spectrum = self._shifted(G) * scipy.fft.rfft(X, self._length).conj()
        full = scipy.fft.irfft(_summed(spectrum, rows), self._length)
        return {"t": full[..., : len(parts["t"])]}

    def _draw(self, rng: np.random.Generator) -> Parts:
        return {"t": rng.standard_normal(sum(self.shape) - 1)}

    def _squared_norm(self, parts: Parts) -> float:
        return float(_diagonal_lengths(*self.shape) @ parts["t"] ** 2)

    def _project(self, W: npt.NDArray[np.float64]) -> Parts:
        return self._matched(W, _diagonal_lengths(*self.shape))
