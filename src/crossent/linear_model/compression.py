"""A trained dense layer projected to a structured one."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from crossent.errors import InputError
from crossent.linear_maps import Dense, StructuredMap, make_map
from crossent.linear_model.prediction import public_coefficients
from crossent.linear_model.softmax_regression import SoftmaxRegression
from crossent.linear_model.structured import resolve_map

__all__ = ["Compression", "compress"]

_OF_THE_FIT = {"certificate_", "penalty_", "trace_", "n_iter_", "separable_"}


@dataclass(frozen=True)
class Compression:
    """A compressed model and what the compression cost.

    Attributes
    ----------
    model : SoftmaxRegression
        Predicts with the projection of W and the intercepts of the original. It has no certificate:
        it is the optimum of nothing.
    relative_error : float
        ‖W' - W‖_F / ‖W‖_F, over rows that sum to zero; 0 if W is zero.
    parameters, dense_parameters : int
    """

    model: SoftmaxRegression
    relative_error: float
    parameters: int
    dense_parameters: int

    def __str__(self) -> str:
        """One sentence."""
        kind = type(self.model.linear_map_).__name__
        return (
            f"{kind}: {self.parameters:,} parameters in place of {self.dense_parameters:,}, "
            f"relative error of W {self.relative_error:.3g}"
        )


def compress(
    model: Any, linear_map: Any, /, *, random_state: int = 0, **options: Any
) -> Compression:
    """A fitted model with its W projected to a structured one, and the error of that.

    Parameters
    ----------
    model : SoftmaxRegression
        Fitted; it is left as it is.
    linear_map : str or map of `crossent.linear_maps`
        A name, or a map of shape (classes, features).
    random_state : int, default=0
        For permutations and signs of a map given by name.
    **options
        Of a map given by name, such as ``rank=8`` or ``blocks=16``.

    Returns
    -------
    Compression

    Raises
    ------
    InputError
        Another kind of model; a name or a shape that there is not; options beside a map.
    NotFittedError
        The model has not been fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from crossent import SoftmaxRegression
    >>> from crossent.linear_model import compress
    >>> X, y = load_digits(return_X_y=True)
    >>> model = SoftmaxRegression().fit(X, y)
    >>> thin = compress(model, "low_rank", rank=8)
    >>> thin.parameters, thin.dense_parameters
    (592, 640)
    >>> thin.relative_error < 0.2
    True
    """
    if not isinstance(model, SoftmaxRegression):
        message = f"a {type(model).__name__} cannot be compressed; pass a SoftmaxRegression."
        raise InputError(message)
    check_is_fitted(model)
    W, b = model._symmetric()
    made = _map_for(linear_map, W.shape, np.random.default_rng(random_state), options)
    theta = made.from_dense(W)
    projected = made.to_dense(theta)
    projected[~np.isfinite(b)] = 0.0  # classes without rows, which have probability 0
    found = copy.copy(model)
    for name in vars(found).keys() & _OF_THE_FIT:
        delattr(found, name)
    found.linear_map = made
    found.linear_map_, found.theta_ = made, theta
    found.coef_, found.intercept_ = public_coefficients(projected, b, bool(model.fit_intercept))
    size = float(np.linalg.norm(W))
    error = float(np.linalg.norm(found._symmetric()[0] - W))
    return Compression(found, error / size if size else 0.0, made.n_parameters, W.size)


def _map_for(
    linear_map: Any, shape: tuple[int, int], rng: np.random.Generator, options: dict[str, Any]
) -> StructuredMap:
    """The map, made by name with its options or checked."""
    if isinstance(linear_map, str):
        return make_map(linear_map, shape, rng=rng, **options)
    if options:
        message = f"options {sorted(options)} go with a name; the map passed has its own."
        raise InputError(message)
    return resolve_map(linear_map, shape, rng) or Dense(shape)
