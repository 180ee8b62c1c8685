"""Matrices of low displacement rank."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from crossent.linear_maps.base import Parts, StructuredMap, check_count, check_map_shape
from crossent.linear_maps.toeplitz import fourier_flops
from crossent.typing import FloatArray

__all__ = ["ToeplitzLike"]

_EXACT = 1e-9  # relative error below which a projection needs no descent


@dataclass(frozen=True)
class ToeplitzLike(StructuredMap):
    """W = Σ_{i≤r} C(g_i) S(h_i)ᵀ, circulant times skew-circulant: 2·r·n parameters, n = max(q, d).

    C(g) has the columns Z^k g and S(h) the columns Y^k h, k < n, where Z shifts downwards and
    around, Y as well but with a change of sign; the first q rows and d columns are W. These are the
    matrices with rank(Z W - W Y) ≤ r (square case): a Toeplitz matrix has displacement rank 2, its
    inverse too (Sindhwani, Sainath, Kumar 2015, arXiv 1510.01722, theorem 1). Not linear in
    (g, h). The projection inverts the displacement cut to rank r, exact for square matrices of the
    kind, and descends from there. The zero start has g = 0.

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

    Notes
    -----
    All transforms are real: the skew-circulant products are read off correlations of period 2n.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.linalg
    >>> W = scipy.linalg.toeplitz([1.0, 2.0, 3.0, 4.0], [1.0, 5.0, 6.0, 7.0])
    >>> like = ToeplitzLike((4, 4), rank=2)
    >>> bool(np.allclose(like.to_dense(like.from_dense(W)), W))
    True
    """

    shape: tuple[int, int]
    rank: int

    def __post_init__(self) -> None:
        check_map_shape(self.shape, "ToeplitzLike")
        check_count(
            self.rank, "rank", "ToeplitzLike", min(self.shape), "the smaller side of the matrix"
        )

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The generators g (r, n) and h (r, n)."""
        size = (self.rank, max(self.shape))
        return {"g": size, "h": size}

    @property
    def last_factor(self) -> str:
        """The circulant one, g."""
        return "g"

    @property
    def is_linear_in_parameters(self) -> bool:
        """No: a product of two parts."""
        return False

    @property
    def flops_per_row(self) -> int:
        """Transforms: one of 2n in, r of 2n and r of n between, one of n out; and products."""
        n, r = max(self.shape), self.rank
        products = r * (6 * (n + 1) + 8 * (n // 2 + 1))
        return (r + 1) * (fourier_flops(2 * n) + fourier_flops(n)) + products

    def _skewed(self, parts: Parts) -> npt.NDArray[np.complexfloating]:
        """Spectra of h with its negative after it: the sign that changes on the way around."""
        spectrum: npt.NDArray[np.complexfloating] = scipy.fft.rfft(
            np.concatenate([parts["h"], -parts["h"]], axis=1)
        )
        return spectrum

    def _inner(self, parts: Parts, X: FloatArray) -> npt.NDArray[np.complexfloating]:
        """Spectra of S(h_i)ᵀ x, shape (n, r, ·)."""
        n = max(self.shape)
        around = scipy.fft.rfft(X, 2 * n)[:, None] * self._skewed(parts).conj()
        spectrum: npt.NDArray[np.complexfloating] = scipy.fft.rfft(
            scipy.fft.irfft(around, 2 * n)[:, :, :n]
        )
        return spectrum

    def _inner_adjoint(self, parts: Parts, G: FloatArray) -> npt.NDArray[np.complexfloating]:
        """Spectra of period 2n of C(g_i)ᵀ G, shape (n, r, ·)."""
        n = max(self.shape)
        turned = scipy.fft.rfft(G, n)[:, None] * scipy.fft.rfft(parts["g"]).conj()
        spectrum: npt.NDArray[np.complexfloating] = scipy.fft.rfft(
            scipy.fft.irfft(turned, n), 2 * n
        )
        return spectrum

    def _apply(self, parts: Parts, X: FloatArray) -> FloatArray:
        q, d = self.shape
        spectrum = (self._inner(parts, X) * scipy.fft.rfft(parts["g"])).sum(axis=1)
        image: FloatArray = scipy.fft.irfft(spectrum, max(q, d))[:, :q]
        return image

    def _adjoint(self, parts: Parts, G: FloatArray) -> FloatArray:
        q, d = self.shape
        spectrum = (self._inner_adjoint(parts, G) * self._skewed(parts)).sum(axis=1)
        image: FloatArray = scipy.fft.irfft(spectrum, 2 * max(q, d))[:, :d]
        return image

    def _gradients(self, parts: Parts, X: FloatArray, G: FloatArray, rows: bool) -> Parts:
        n = max(self.shape)
        by_g = scipy.fft.rfft(G, n)[:, None] * self._inner(parts, X).conj()
        by_h = scipy.fft.rfft(X, 2 * n)[:, None] * self._inner_adjoint(parts, G).conj()
        if not rows:
            by_g, by_h = by_g.sum(axis=0), by_h.sum(axis=0)
        around = scipy.fft.irfft(by_h, 2 * n)
        return {"g": scipy.fft.irfft(by_g, n), "h": around[..., :n] - around[..., n:]}

    def _draw(self, rng: np.random.Generator) -> Parts:
        n, r = max(self.shape), self.rank
        scale = (r * n * self.shape[1]) ** -0.25
        return {name: scale * rng.standard_normal((r, n)) for name in ("g", "h")}

    def _project(self, W: npt.NDArray[np.float64]) -> Parts:
        q, d = self.shape
        n, r = max(q, d), self.rank
        whole = np.zeros((n, n))
        whole[:q, :d] = W
        turned = np.concatenate([whole[:, 1:], -whole[:, :1]], axis=1)  # W Y
        left, values, right = np.linalg.svd(np.roll(whole, 1, axis=0) - turned)
        root = np.sqrt(values[:r, None] / 2)  # Z W - W Y = Σ g hᵀ gives 2 W = -Σ C(g) S(Y h)ᵀ
        last = right[:r]
        parts = {
            "g": left.T[:r] * root,
            "h": np.concatenate([last[:, -1:], -last[:, :-1]], axis=1) * root,
        }
        rest = self.to_dense(self.pack(parts)) - W
        if np.linalg.norm(rest) <= _EXACT * np.linalg.norm(W):
            return parts
        return self._descended(W, self.pack(parts))
