"""What one pass over the data adds up, and the call that every kernel answers."""

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from crossent.typing import Block

__all__ = ["Accumulate", "Kernel", "PassSums", "Storage"]

Storage = Literal["dense", "csr"]


@dataclass
class PassSums:
    """Sums over rows i with weights s_i, in float64.

    Here p_i = softmax(z_i) with z_i = W x_i + b + offset_i. Kernels add to what is
    there. A field that is None is not wanted.

    Attributes
    ----------
    gradient_W : ndarray, shape (q, d), C order
        Σ s_i (p_i - y_i) x_iᵀ.
    gradient_b : ndarray, shape (q,)
        Σ s_i (p_i - y_i).
    loss : ndarray, shape ()
        Σ s_i [logsumexp(z_i) - y_i·z_i], in nats.
    mean_probability : ndarray or None, shape (q,)
        Σ s_i p_i.
    second_moment : ndarray or None, shape (q, q)
        Σ s_i p_i p_iᵀ; the Hessian in b is diag(mean_probability) - second_moment.
    entropy : ndarray or None, shape ()
        Σ s_i H(p_i), in nats.
    row_curvature : ndarray or None, shape (n,)
        1 - Σ_j p_ij² per row of the *whole* data: not a sum; block rows start at `first_row`.
    """

    gradient_W: npt.NDArray[np.float64]
    gradient_b: npt.NDArray[np.float64]
    loss: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))
    mean_probability: npt.NDArray[np.float64] | None = None
    second_moment: npt.NDArray[np.float64] | None = None
    entropy: npt.NDArray[np.float64] | None = None
    row_curvature: npt.NDArray[np.float64] | None = None


class Accumulate(Protocol):
    """The call that every kernel answers: see `Kernel`."""

    def __call__(
        self,
        block: Block,
        W: npt.NDArray[np.float64],
        b: npt.NDArray[np.float64],
        out: PassSums,
        n_threads: int | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        """Add the sums of `block` to `out`."""


@dataclass(frozen=True)
class Kernel:
    """One way to make a pass.

    Attributes
    ----------
    name : str
    accumulate : callable
        ``accumulate(block, W, b, out, n_threads=None, dtype=None)``: adds the sums of `block` at
        W (q, d) float64, b (q,) float64 to `out`. The arithmetic is done in `dtype`, by default
        the type of ``block.X``, which is cast piece by piece where that differs.
    block_rows : int or None
        How many rows it wants at once; None: all that the source has, it cuts them up itself.
    """

    name: str
    accumulate: Accumulate
    block_rows: int | None
