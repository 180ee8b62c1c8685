"""The linear maps as one module: a structured matrix where `torch.nn.Linear` has a dense one."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crossent.errors import InputError
from crossent.linear_maps import StructuredMap
from crossent.torch.linear_maps_products import constants, product_of

__all__ = ["StructuredLinear"]


class StructuredLinear(torch.nn.Module):
    """y = W(θ) x + b for rows x, with W one of `crossent.linear_maps` and autograd by PyTorch.

    Parameters and buffers have the names that they have in NumPy: what is learnt are parameters
    (``U`` and ``V`` of a `LowRank`; ``B``, ``G``, ``S`` of a `Fastfood`), permutations, signs and
    other fixed arrays are buffers. Integers stay integers whatever the module is cast to.

    Parameters
    ----------
    linear_map : StructuredMap of shape (q, d)
        Such as ``LowRank((q, d), 4)``, or ``make_map("monarch", (q, d), rng=rng)``.
    theta : ndarray of shape (n_parameters,), optional
        θ to begin with, as from ``linear_map.from_dense(W)``.
    rms : float, default 1
        Without `theta`: the start is ``linear_map.start(rng, rms=rms)``, whose outputs have this
        rms for white inputs of rms 1. 0 starts at W = 0, with only the last factor zero, so that
        there is a gradient.
    rng : numpy.random.Generator, optional
        For the start; by default one that is seeded by PyTorch's generator, so that
        `torch.manual_seed` decides.
    bias : bool, default False
        Whether there is an intercept b (q,); it starts at zero.
    device, dtype : optional
        As for `torch.nn.Linear`.

    Attributes
    ----------
    shape : Tensor of two integers
        (q, d), a buffer: a state that was saved with another shape is refused.

    Raises
    ------
    InputError
        `linear_map` is no map or has no product in PyTorch, `theta` has another length, `rms` is
        negative or not finite; from ``forward``: `input` has no d columns.
    RuntimeError
        From ``load_state_dict``: the state is of another kind of map, or of one of another size.

    Notes
    -----
    Where a map's blocks differ in width, its parameters are padded with zeros, as in
    ``linear_map.state``. Padding meets zeros only: its gradient is zero, it stays zero.
    ``state_dict()`` holds what ``linear_map.state(theta)`` holds, and either loads the other's.
    Cost: `flops_per_row` of the map for a row, and in memory what autograd keeps of each factor.
    Hadamard transforms are products with two or three small matrices. Fourier transforms of
    float16 and bfloat16 are made in float32.

    Examples
    --------
    >>> import torch
    >>> from crossent.linear_maps import LowRank
    >>> _ = torch.manual_seed(0)
    >>> head = StructuredLinear(LowRank((1000, 256), rank=16), bias=True)
    >>> head(torch.ones(8, 256)).shape
    torch.Size([8, 1000])
    >>> {name: tuple(p.shape) for name, p in head.named_parameters()}
    {'U': (1000, 16), 'V': (16, 256), 'bias': (1000,)}
    """

    shape: Tensor
    bias: Tensor | None

    def __init__(
        self,
        linear_map: StructuredMap,
        /,
        *,
        theta: npt.NDArray[np.floating] | None = None,
        rms: float = 1.0,
        rng: np.random.Generator | None = None,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check(linear_map, rms)
        if theta is None:
            theta = _start(linear_map, rms, rng)
        self._map = linear_map
        self._product = product_of(linear_map)
        dtype = dtype or torch.get_default_dtype()
        for name, part in linear_map.unpack(np.asarray(theta, dtype=np.float64)).items():
            self.register_parameter(name, torch.nn.Parameter(_tensor(part, device, dtype)))
        self.register_buffer("shape", torch.tensor(linear_map.shape, device=device))
        for name, array in linear_map.fixed.items():
            self.register_buffer(name, _tensor(array, device, dtype))
        for name, array in constants(linear_map).items():
            tensor = torch.tensor(array, device=device, dtype=dtype)
            self.register_buffer(name, tensor, persistent=False)
        b = torch.zeros(linear_map.shape[0], device=device, dtype=dtype) if bias else None
        self.register_parameter("bias", None if b is None else torch.nn.Parameter(b))

    @property
    def in_features(self) -> int:
        """Width of the rows that go in, d."""
        return self._map.shape[1]

    @property
    def out_features(self) -> int:
        """Width of the rows that come out, q."""
        return self._map.shape[0]

    def forward(self, input: Tensor) -> Tensor:
        """W(θ) x + b for every x of `input` (..., d), shape (..., q)."""
        if input.ndim == 0 or input.shape[-1] != self.in_features:
            message = (
                f"`input` has shape {tuple(input.shape)}; {self._name()} needs "
                f"(..., {self.in_features})."
            )
            raise InputError(message)
        tensors = {name: t for name, t in self._tensors().items() if name != "bias"}
        rows = self._product(self._map, tensors, input.reshape(-1, self.in_features))
        image = rows.reshape(*input.shape[:-1], self.out_features)
        return image if self.bias is None else image + self.bias

    def to_dense(self) -> Tensor:
        """W(θ), shape (q, d); gradients go through it. Cost: the map applied to d rows."""
        tensors = self._tensors()
        dtype = next(t.dtype for t in tensors.values() if t.is_floating_point())
        rows = torch.eye(self.in_features, device=self.shape.device, dtype=dtype)
        return self._product(self._map, tensors, rows).T

    def to_numpy(self) -> tuple[StructuredMap, npt.NDArray[np.float64]]:
        """The map with this module's permutations and signs, and θ; the bias is not in it."""
        return self._map.load_state(_arrays(self.state_dict()))

    def extra_repr(self) -> str:
        """The kind of map, its sizes, and how many numbers are learnt."""
        return (
            f"{type(self._map).__name__}, in_features={self.in_features}, "
            f"out_features={self.out_features}, n_parameters={self._map.n_parameters}, "
            f"bias={self.bias is not None}"
        )

    def _name(self) -> str:
        q, d = self._map.shape
        return f"this layer, a {type(self._map).__name__} of shape {(q, d)},"

    def _tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return dict(self.named_parameters()) | dict(self.named_buffers())

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Let the map judge the state first: PyTorch does not know that sizes belong together."""
        own = {key[len(prefix) :]: t for key, t in state_dict.items() if key.startswith(prefix)}
        if own:  # a state without this layer is PyTorch's affair: it knows what `strict` asks for
            try:
                self._map.load_state(_arrays(own))
            except InputError as error:
                error_msgs.append(f"{prefix.rstrip('.') or 'this layer'}: {error}")
                return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


def _check(linear_map: Any, rms: float) -> None:
    """Raise unless these are a map and the size of a start."""
    if not isinstance(linear_map, StructuredMap):
        message = (
            f"`linear_map` is a {type(linear_map).__name__}; it must be one of "
            "crossent.linear_maps, such as make_map('low_rank', (q, d), rng=rng)."
        )
        raise InputError(message)
    if not (math.isfinite(rms) and rms >= 0.0):
        message = f"`rms` is {rms}; it must be a finite number, 0 or above."
        raise InputError(message)


def _start(
    linear_map: StructuredMap, rms: float, rng: np.random.Generator | None
) -> npt.NDArray[np.float64]:
    """θ of the map's own start."""
    if rng is None:
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
    return linear_map.start(rng, rms=rms)


def _tensor(array: npt.NDArray[Any], device: Any, dtype: torch.dtype) -> Tensor:
    """Floats in `dtype`, integers as they are."""
    kept = dtype if np.issubdtype(array.dtype, np.floating) else None
    return torch.tensor(array, device=device, dtype=kept)


def _arrays(state: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """A state for `StructuredMap.load_state`; NumPy has no bfloat16, and no bias."""
    tensors = {name: torch.as_tensor(t) for name, t in state.items() if name != "bias"}
    return {
        name: (t.double() if t.is_floating_point() else t).numpy(force=True)
        for name, t in tensors.items()
    }
