"""The maps by name, with the sizes that they take where nothing else is said."""

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from crossent.errors import InputError
from crossent.linear_maps.base import StructuredMap, check_map_shape
from crossent.linear_maps.block_diagonal import BlockDiagonal, Monarch
from crossent.linear_maps.dense import Dense, LowRank
from crossent.linear_maps.fastfood import Fastfood
from crossent.linear_maps.phm import PHM
from crossent.linear_maps.toeplitz import Circulant, Toeplitz
from crossent.linear_maps.toeplitz_like import ToeplitzLike

__all__ = ["MAP_NAMES", "check_map_name", "make_map"]

Shape = tuple[int, int]
_FEW = 4  # blocks, and the compression of a PHM, where nothing is said


def _dense(shape: Shape, rng: np.random.Generator) -> Dense:  # noqa: ARG001  nothing to draw
    return Dense(shape)


def _block_diagonal(
    shape: Shape, rng: np.random.Generator, blocks: int | None = None
) -> BlockDiagonal:
    return BlockDiagonal.shuffled(
        shape, blocks=min(_FEW, *shape) if blocks is None else blocks, rng=rng
    )


def _circulant(shape: Shape, rng: np.random.Generator) -> Circulant:
    return Circulant.random(shape, rng=rng)


def _toeplitz(shape: Shape, rng: np.random.Generator) -> Toeplitz:  # noqa: ARG001
    return Toeplitz(shape)


def _fastfood(shape: Shape, rng: np.random.Generator, learn: str = "S") -> Fastfood:
    return Fastfood.random(shape, learn=learn, rng=rng)


def _adaptive_fastfood(shape: Shape, rng: np.random.Generator) -> Fastfood:
    return Fastfood.random(shape, learn="SGB", rng=rng)


def _low_rank(shape: Shape, rng: np.random.Generator, rank: int | None = None) -> LowRank:  # noqa: ARG001
    q, d = shape
    return LowRank(shape, max(1, q * d // (2 * (q + d))) if rank is None else rank)


def _monarch(
    shape: Shape,
    rng: np.random.Generator,  # noqa: ARG001
    blocks: int | tuple[int, int] | None = None,
) -> Monarch:
    return Monarch(shape, round(min(shape) ** 0.5) if blocks is None else blocks)


def _phm(shape: Shape, rng: np.random.Generator, n: int | None = None) -> PHM:  # noqa: ARG001
    return PHM(shape, min(_FEW, *shape) if n is None else n, pad=True)


def _algebra(name: Any) -> Callable[[Shape, np.random.Generator], PHM]:
    return lambda shape, rng: PHM(shape, algebra=name, pad=True)  # noqa: ARG005


def _toeplitz_like(
    shape: Shape,
    rng: np.random.Generator,  # noqa: ARG001
    rank: int | None = None,
) -> ToeplitzLike:
    return ToeplitzLike(shape, min(2, *shape) if rank is None else rank)


_MAKERS: dict[str, Callable[..., StructuredMap]] = {
    "dense": _dense,
    "block_diagonal": _block_diagonal,
    "circulant": _circulant,
    "toeplitz": _toeplitz,
    "complex": _algebra("complex"),
    "quaternion": _algebra("quaternion"),
    "octonion": _algebra("octonion"),
    "fastfood": _fastfood,
    "adaptive_fastfood": _adaptive_fastfood,
    "low_rank": _low_rank,
    "monarch": _monarch,
    "phm": _phm,
    "toeplitz_like": _toeplitz_like,
}

MAP_NAMES = tuple(_MAKERS)
"""The names that `make_map` and ``SoftmaxRegression(linear_map=...)`` take."""


def check_map_name(name: Any, /) -> None:
    """Raise InputError unless `name` is one of `MAP_NAMES`, offering the nearest."""
    if isinstance(name, str) and name in _MAKERS:
        return
    near = difflib.get_close_matches(str(name), MAP_NAMES, n=1, cutoff=0.0)[0]
    message = (
        f"{name!r} is no linear map. Did you mean {near!r}? There are: "
        f"{', '.join(map(repr, MAP_NAMES))}."
    )
    raise InputError(message)


def make_map(
    name: str, shape: tuple[int, int], /, *, rng: np.random.Generator, **options: Any
) -> StructuredMap:
    """A map by its name, for a matrix of shape (q, d).

    Parameters
    ----------
    name : str
        One of `MAP_NAMES`.
    shape : (int, int)
        (q, d), any sizes: PHM and the algebras round them up inside.
    rng : numpy.random.Generator
        For permutations and signs.
    **options
        Of the map: ``blocks`` (block_diagonal: 4; monarch: √min(q, d)), ``rank`` (low_rank: half of
        the dense parameters; toeplitz_like: 2), ``n`` (phm: 4), ``learn`` (fastfood: "S", convex;
        adaptive_fastfood learns all three). Defaults shrink to what the shape allows; what is
        passed is taken as it is, or refused.

    Returns
    -------
    StructuredMap

    Raises
    ------
    InputError
        There is no such map, the message offers the nearest name; or the shape cannot have such
        options.

    Examples
    --------
    >>> import numpy as np
    >>> make_map("low_rank", (10, 784), rng=np.random.default_rng(0))
    LowRank(shape=(10, 784), rank=4)
    """
    check_map_name(name)
    check_map_shape(shape, "linear map")
    try:
        return _MAKERS[name](shape, rng, **options)
    except TypeError as error:
        message = f"linear map {name!r} does not take these options: {sorted(options)}. {error}"
        raise InputError(message) from error
