"""Which kernel serves a call, and why another does not.

Nothing here loads Numba. A compiled kernel is chosen when the fit is long enough to repay what
loading it costs: 0.5 s from the disk cache (once in the life of a machine, 5-10 s of compiling).
"""

import importlib.util
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.kernels.numpy_blocks import NUMPY_BLOCKS
from crossent.kernels.sums import Kernel, PassSums, Storage
from crossent.typing import Block

__all__ = ["CATALOGUE", "COMPILED_WORK", "Capability", "Problem", "choose", "explain", "problem_of"]

COMPILED_WORK = 7.5e9
"""Work of a whole fit, in multiplications of one product, from which compiled kernels are used.

NumPy needs 0.5 s for it (2 cores, 2 products, 60 GFLOP/s for thin matrices), which is what loading
Numba and the cached machine code costs (benchmarks/results/kernels.json, "start")."""

_LOGIT_WORK = 75
"""Work of one exponential and what belongs to it in NumPy, 5 ns, in multiplications."""
_NONZERO_WORK = 8
"""Work of one non-zero in SciPy, per class, in multiplications of a dense product."""
_USUAL_PASSES = 50


@dataclass(frozen=True)
class Problem:
    """What decides on a kernel.

    Attributes
    ----------
    storage : {"dense", "csr"}
    order : {"C", "F", "strided"}
        Memory order of dense X; "C" for CSR.
    dtype : numpy.dtype
        Type of X, in which the arithmetic is done.
    n_rows, n_features, n_classes : int
    n_nonzeros : int
        Stored entries of X.
    """

    storage: Storage
    order: Literal["C", "F", "strided"]
    dtype: np.dtype[Any]
    n_rows: int
    n_features: int
    n_classes: int
    n_nonzeros: int

    @property
    def work(self) -> float:
        """Work of one pass in NumPy, in multiplications of one dense product."""
        logits = float(self.n_rows) * self.n_classes
        if self.storage == "csr":
            return _NONZERO_WORK * float(self.n_nonzeros) * self.n_classes + _LOGIT_WORK * logits
        return logits * (self.n_features + _LOGIT_WORK)


@dataclass(frozen=True)
class Capability:
    """A kernel, what it does in words, and the reason why it does not serve a problem.

    Attributes
    ----------
    kernel : Kernel
    description : str
    refusal : callable
        ``refusal(problem)``: a sentence, or None if it can serve.
    compiled : bool
    """

    kernel: Kernel
    description: str
    refusal: Callable[[Problem], str | None]
    compiled: bool


def _no_compiler() -> str | None:
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed."
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "NUMBA_DISABLE_JIT is set."
    return None


def _no_numbers(problem: Problem) -> str | None:
    if problem.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        return f"It computes in float32 and float64 of native byte order, X is {problem.dtype.str}."
    if problem.n_features == 0:
        return "X has no features."
    return None


def _dense_refusal(problem: Problem) -> str | None:
    if problem.storage != "dense":
        return "It takes dense rows, X is CSR."
    return _no_numbers(problem) or _no_compiler()


def _csr_refusal(problem: Problem) -> str | None:
    if problem.storage != "csr":
        return "It takes CSR rows, X is dense."
    if max(problem.n_rows, problem.n_features) >= 2**31:
        return "Its indices have 32 bits, X has 2³¹ rows or features or more."
    return _no_numbers(problem) or _no_compiler()


def _accumulate_dense(
    block: Block,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    out: PassSums,
    n_threads: int | None = None,
    dtype: np.dtype[Any] | None = None,
) -> None:
    from crossent.kernels import dense

    dense.accumulate(block, W, b, out, n_threads, dtype)


def _accumulate_csr(
    block: Block,
    W: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    out: PassSums,
    n_threads: int | None = None,
    dtype: np.dtype[Any] | None = None,
) -> None:
    from crossent.kernels import sparse

    sparse.accumulate(block, W, b, out, n_threads, dtype)


CATALOGUE = (
    Capability(
        Kernel("compiled-dense", _accumulate_dense, None),
        "Dense rows in one reading: products in register tiles, softmax between them in cache. "
        "C order is read where it lies, Fortran order is turned block by block, any other layout "
        "is copied. Many classes are tiled: at most 32 MB of logits at a time.",
        _dense_refusal,
        compiled=True,
    ),
    Capability(
        Kernel("compiled-csr", _accumulate_csr, None),
        "CSR rows, vectors of classes in registers; the gradient from a copy by columns that is "
        "kept as long as the matrix object lives.",
        _csr_refusal,
        compiled=True,
    ),
    Capability(
        NUMPY_BLOCKS,
        "NumPy and BLAS, block by block; SciPy's products for CSR. Serves everything.",
        lambda _: None,
        compiled=False,
    ),
)
"""In order of preference; the last serves every problem."""


def problem_of(X: Any, n_classes: int, dtype: npt.DTypeLike | None = None) -> Problem:
    """The problem that a matrix and a number of classes pose.

    Parameters
    ----------
    X : ndarray or scipy.sparse.csr_array, shape (n, d)
    n_classes : int
    dtype : dtype, optional
        Type in which the passes will be made, if not X's.
    """
    kind = np.dtype(X.dtype if dtype is None else dtype)
    order: Literal["C", "F", "strided"] = "C"
    if not sp.issparse(X) and 0 not in X.shape:
        rows_first, features_first = (step == X.itemsize for step in X.strides)
        if not features_first and X.shape[1] > 1:
            order = "F" if rows_first else "strided"
    return Problem(
        storage="csr" if sp.issparse(X) else "dense",
        order=order,
        dtype=kind,
        n_rows=int(X.shape[0]),
        n_features=int(X.shape[1]),
        n_classes=n_classes,
        n_nonzeros=int(X.nnz) if sp.issparse(X) else math.prod(X.shape),
    )


def _not_worth_it(problem: Problem, passes: int) -> str | None:
    work = problem.work * passes
    if work >= COMPILED_WORK:
        return None
    return (
        f"It could, but {passes} passes are {work:.1e} multiplications and NumPy makes fewer than "
        f"{COMPILED_WORK:.1e} in the time that loading compiled code takes."
    )


def choose(problem: Problem, *, passes: int = _USUAL_PASSES) -> Kernel:
    """The kernel for a problem.

    Parameters
    ----------
    problem : Problem
    passes : int, default 50
        Passes that are expected in all; more for a path or a cross-validation.

    Returns
    -------
    Kernel
        The first in `CATALOGUE` that can serve; compiled ones only if the work repays loading them.
        The choice depends on the problem alone, not on what is already loaded.

    Examples
    --------
    >>> import numpy as np
    >>> from crossent.kernels.catalogue import choose, problem_of
    >>> choose(problem_of(np.zeros((150, 4)), n_classes=3)).name
    'numpy'
    >>> choose(problem_of(np.zeros((150, 4)), n_classes=3), passes=10**6).name
    'compiled-dense'
    """
    for capability in CATALOGUE:
        if capability.refusal(problem) is not None:
            continue
        if capability.compiled and _not_worth_it(problem, passes) is not None:
            continue
        return capability.kernel
    message = "the last kernel of the catalogue serves every problem"
    raise AssertionError(message)


def explain(problem: Problem, *, passes: int = _USUAL_PASSES) -> str:
    """Say which kernel serves a problem, and why each other one does not.

    Parameters are those of `choose`.

    Returns
    -------
    str
        A line for each kernel.

    Examples
    --------
    >>> import numpy as np
    >>> from crossent.kernels.catalogue import explain, problem_of
    >>> print(explain(problem_of(np.zeros((150, 4)), n_classes=3)).splitlines()[0])
    dense C-order float64, 150 rows × 4 features, 3 classes:
    """
    chosen = choose(problem, passes=passes)
    layout = "CSR" if problem.storage == "csr" else f"dense {problem.order}-order"
    lines = [
        f"{layout} {problem.dtype.name}, {problem.n_rows} rows × {problem.n_features} features, "
        f"{problem.n_classes} classes:"
    ]
    for capability in CATALOGUE:
        reason = capability.refusal(problem)
        if reason is None and capability.compiled:
            reason = _not_worth_it(problem, passes)
        if capability.kernel is chosen:
            reason = f"chosen. {capability.description}"
        elif reason is None:
            reason = "could serve, but a kernel before it does."
        lines.append(f"  {capability.kernel.name}: {reason}")
    return "\n".join(lines)
