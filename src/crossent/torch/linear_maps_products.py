"""W(θ) x in PyTorch for each kind of map; what the NumPy maps compute, and autograd the rest.

`product` is a single dispatch on the map. It gets the parts of θ and the fixed arrays as tensors by
the names that they have in NumPy, and the constants of `constants`, which follow from the map alone
and hold only 0, 1 and -1, exact in every dtype.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy.typing as npt
import scipy.linalg
import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import linear, pad

from crossent.errors import InputError
from crossent.linear_maps import (
    PHM,
    BlockDiagonal,
    Circulant,
    Dense,
    Fastfood,
    LowRank,
    Monarch,
    Toeplitz,
    ToeplitzLike,
    left_multiplications,
)
from crossent.linear_maps.hadamard import hadamard_factors
from crossent.linear_maps.partition import Partition

__all__ = ["Product", "constants", "product", "product_of"]

Tensors: TypeAlias = Mapping[str, Tensor]
Product: TypeAlias = Callable[[Any, Tensors, Tensor], Tensor]


@functools.singledispatch
def product(linear_map: Any, tensors: Tensors, X: Tensor) -> Tensor:  # noqa: ARG001
    """W(θ) x of every row of X, registered for each kind of map.

    For a map of your own, decorate a named function of the module's level by ``product.register``.

    Parameters
    ----------
    linear_map : StructuredMap of shape (q, d)
        By whose type the function is chosen.
    tensors : mapping of str to Tensor
        The parts of θ and the fixed arrays, by their names in `linear_map`.
    X : Tensor of shape (n, d)

    Returns
    -------
    Tensor of shape (n, q), of X's dtype

    Raises
    ------
    InputError
        There is no function for this kind of map.

    Examples
    --------
    >>> import torch
    >>> from crossent.linear_maps import Dense
    >>> product(Dense((1, 2)), {"W": torch.tensor([[1.0, 2.0]])}, torch.tensor([[3.0, 4.0]]))
    tensor([[11.]])
    """
    message = (
        f"a {type(linear_map).__name__} has no product in PyTorch; the package's own maps have. "
        "For a map of your own define one: a function of the map, the tensors of θ by name, and X "
        "(n, d), decorated by ``crossent.torch.product.register``."
    )
    raise InputError(message)


def product_of(linear_map: Any) -> Product:
    """The function of this kind of map; found once, because `torch.compile` cannot dispatch."""
    found: Product = product.dispatch(type(linear_map))
    if found is product.dispatch(object):
        product(linear_map, {}, torch.empty(0))  # raises
    return found


@functools.singledispatch
def constants(linear_map: Any) -> dict[str, npt.NDArray[Any]]:  # noqa: ARG001
    """Arrays of 0 and ±1 that the product needs besides θ and what is fixed."""
    return {}


def _split(sides: Partition, X: Tensor) -> Tensor:
    """(n, size) to (n, parts, width), padded with zeros."""
    if sides.is_even:
        return X.reshape(-1, sides.parts, sides.width)
    wide = sides.size % sides.parts
    border = wide * sides.width
    first = X[:, :border].reshape(-1, wide, sides.width)
    rest = X[:, border:].reshape(-1, sides.parts - wide, sides.width - 1)
    return torch.cat([first, pad(rest, (0, 1))], dim=1)


def _join(sides: Partition, blocks: Tensor) -> Tensor:
    """(n, parts, width) to (n, size); what stands in the padding is dropped."""
    if sides.is_even:
        return blocks.reshape(-1, sides.size)
    wide = sides.size % sides.parts
    return torch.cat([blocks[:, :wide].flatten(1), blocks[:, wide:, :-1].flatten(1)], dim=1)


def _blockwise(X: Tensor, matrices: Tensor) -> Tensor:
    """(n, k, d) times k matrices (k, q, d), shape (n, k, q)."""
    return torch.bmm(X.transpose(0, 1), matrices.transpose(1, 2)).transpose(0, 1)


@product.register
def _dense(linear_map: Dense, tensors: Tensors, X: Tensor) -> Tensor:  # noqa: ARG001
    return linear(X, tensors["W"])


@product.register
def _low_rank(linear_map: LowRank, tensors: Tensors, X: Tensor) -> Tensor:  # noqa: ARG001
    return linear(linear(X, tensors["V"]), tensors["U"])


@product.register
def _block_diagonal(linear_map: BlockDiagonal, tensors: Tensors, X: Tensor) -> Tensor:
    q, d = linear_map.shape
    columns = X.index_select(1, tensors["permutation"]) if "permutation" in tensors else X
    inputs = _split(Partition(d, linear_map.blocks), columns)
    return _join(Partition(q, linear_map.blocks), _blockwise(inputs, tensors["blocks"]))


@product.register
def _monarch(linear_map: Monarch, tensors: Tensors, X: Tensor) -> Tensor:
    q, d = linear_map.shape
    assert isinstance(linear_map.blocks, tuple)
    k, l = linear_map.blocks  # noqa: E741  the letters of the formula
    hidden = _blockwise(_split(Partition(d, k), X), tensors["R"]).transpose(1, 2)
    return _join(Partition(q, l), _blockwise(hidden, tensors["L"]))


def _hadamard(X: Tensor, tensors: Tensors) -> Tensor:
    """H x without its factor 1/√n along the last axis: a product with each of the factors."""
    shape = X.shape
    *outer, last = (tensors[name] for name in sorted(tensors) if name.startswith("hadamard_"))
    X, inside = X.reshape(-1, len(last)) @ last, len(last)
    for matrix in reversed(outer):
        X = matrix @ X.reshape(-1, len(matrix), inside)
        inside *= len(matrix)
    return X.reshape(shape)


@constants.register
def _fastfood_constants(linear_map: Fastfood) -> dict[str, npt.NDArray[Any]]:
    factors = hadamard_factors(linear_map.block_size)
    return {f"hadamard_{i}": scipy.linalg.hadamard(size) for i, size in enumerate(factors)}


@product.register
def _fastfood(linear_map: Fastfood, tensors: Tensors, X: Tensor) -> Tensor:
    k, n, q = linear_map.n_blocks, linear_map.block_size, linear_map.shape[0]
    fields = {"B": "signs", "G": "gains", "S": "scales"}
    B, G, S = (
        (tensors[f] if f in tensors else tensors[field]).to(X.dtype) for f, field in fields.items()
    )
    # Both factors 1/√n together are 1/n, a power of two: shared out, they round nothing.
    bits = n.bit_length() - 1
    wide = pad(X, (0, n - X.shape[1]))[:, None] * (B * 2.0 ** -(bits // 2))
    first = torch.arange(0, k * n, n, device=X.device)[:, None]
    order = (tensors["permutation"] + first).flatten()
    mixed = _hadamard(wide, tensors).reshape(-1, k * n).index_select(1, order)
    last = _hadamard(mixed.reshape(-1, k, n) * (G * 2.0 ** -(bits - bits // 2)), tensors)
    return last.reshape(-1, k * n)[:, :q] * S


@constants.register
def _phm_constants(linear_map: PHM) -> dict[str, npt.NDArray[Any]]:
    return {} if linear_map.algebra == "learned" else {"A": left_multiplications(linear_map.factor)}


@product.register
def _phm(linear_map: PHM, tensors: Tensors, X: Tensor) -> Tensor:
    S, (q, d) = tensors["S"], linear_map.shape
    n, height, width = S.shape
    terms = tensors["A"].reshape(n, n * n).T @ S.reshape(n, -1)
    blocks = terms.reshape(n, n, height, width).transpose(1, 2)
    return linear(X, blocks.reshape(n * height, n * width)[:q, :d])


def _transformable(X: Tensor) -> Tensor:
    """X, or as float32 where Fourier transforms do not serve its dtype."""
    return X.float() if X.dtype in (torch.float16, torch.bfloat16) else X


@product.register
def _circulant(linear_map: Circulant, tensors: Tensors, X: Tensor) -> Tensor:
    q, n = linear_map.shape[0], max(linear_map.shape)
    signed = _transformable(X * tensors["signs"].to(X.dtype))
    c = _transformable(tensors["c"])
    spectrum = torch.fft.rfft(signed, n) * torch.fft.rfft(c)
    return torch.fft.irfft(spectrum, n)[:, :q].to(X.dtype)


def _fast_length(least: int) -> int:
    """A length that Fourier transforms like."""
    return int(next_fast_len(least, real=True))


# torch.compile cannot look into the search for it.
_transform_length: Callable[[int], int] = torch.compiler.assume_constant_result(_fast_length)


@product.register
def _toeplitz(linear_map: Toeplitz, tensors: Tensors, X: Tensor) -> Tensor:
    q, d = linear_map.shape
    length = _transform_length(q + d - 1)
    t = _transformable(tensors["t"])
    spectrum = torch.fft.rfft(_transformable(X), length) * torch.fft.rfft(t, length)
    return torch.fft.irfft(spectrum, length)[:, d - 1 : d - 1 + q].to(X.dtype)


@product.register
def _toeplitz_like(linear_map: ToeplitzLike, tensors: Tensors, X: Tensor) -> Tensor:
    q, n = linear_map.shape[0], max(linear_map.shape)
    g, h = _transformable(tensors["g"]), _transformable(tensors["h"])
    skewed = torch.fft.rfft(torch.cat([h, -h], dim=1))
    around = torch.fft.rfft(_transformable(X), 2 * n)[:, None] * skewed.conj()
    inner = torch.fft.rfft(torch.fft.irfft(around, 2 * n)[..., :n])
    spectrum = (inner * torch.fft.rfft(g)).sum(dim=1)
    return torch.fft.irfft(spectrum, n)[:, :q].to(X.dtype)
