"""A short name for all that a fitted model's probabilities depend on."""

import hashlib
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import scipy.sparse as sp

from crossent.errors import InputError
from crossent.linear_model import SoftmaxRegression, SoftmaxRegressionCV

__all__ = ["FINGERPRINT_BYTES", "fingerprint"]

FINGERPRINT_BYTES = 16

_LINEAR = ("classes_", "coef_", "intercept_")
_WITHOUT_EFFECT = frozenset(
    {
        "_skl_callbacks",
        "_sklearn_version",
        "certificate_",
        "n_jobs",
        "n_threads",
        "random_state",
        "trace_",
        "verbose",
    }
)
"""Attributes of estimators that say how they were fitted or run, not what they predict."""


def fingerprint(model: Any, /) -> bytes:
    """Sixteen bytes that two models share if they are the same in all that predictions need.

    Parameters
    ----------
    model : fitted scikit-learn estimator
        Of a `SoftmaxRegression`, alone or within a pipeline, classes, coefficients and intercepts
        count and nothing else. Of other estimators all that they hold does, except what only says
        how they were fitted.

    Returns
    -------
    bytes
        A hash (BLAKE2b). It is the same after `crossent.save` and `crossent.load`, in every process
        and on every machine.

    Raises
    ------
    InputError
        The model holds itself, so that there is no end to it.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> one, other = SoftmaxRegression().fit(X, y), SoftmaxRegression(C=2.0).fit(X, y)
    >>> fingerprint(one) == fingerprint(SoftmaxRegression().fit(X, y))
    True
    >>> fingerprint(one) == fingerprint(other)
    False
    """
    digest = hashlib.blake2b(digest_size=FINGERPRINT_BYTES)
    _feed(digest, model, ())
    return digest.digest()


def _feed(digest: Any, value: Any, inside: tuple[int, ...]) -> None:
    """Hash a value with its type and its length, so that no two values run into each other."""
    if id(value) in inside:
        message = f"the model holds a {type(value).__name__} that holds itself."
        raise InputError(message)
    digest.update(f"{type(value).__module__}.{type(value).__qualname__}(".encode())
    leaf = _leaf(value)
    if leaf is not None:
        digest.update(f"{len(leaf)}:".encode() + leaf)
    else:
        for part in _parts(value):
            _feed(digest, part, (*inside, id(value)))
    digest.update(b")")


def _leaf(value: Any) -> bytes | None:
    """The bytes of what has no parts; None for what has."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | slice):
        return repr(value).encode()
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}".encode()
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return b""
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.hasobject:
        return None
    if value.dtype.names is not None:
        return None
    little = np.asarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
    return f"{little.dtype.str}{little.shape}".encode() + little.tobytes()


def _parts(value: Any) -> list[Any]:
    """What an object consists of, in an order that does not depend on its history."""
    if isinstance(value, dict):
        return [part for key in sorted(value, key=repr) for part in (key, value[key])]
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, np.ndarray | np.void) and value.dtype.names is not None:
        return [value[name] for name in value.dtype.names]  # not what lies between the fields
    if isinstance(value, np.ndarray):
        return [value.shape, value.ravel().tolist()]
    if sp.issparse(value):
        entries = value.tocoo()
        return [value.shape, entries.data, *entries.coords]
    if isinstance(value, SoftmaxRegression | SoftmaxRegressionCV):
        return [getattr(value, name) for name in _LINEAR]
    state = value.__getstate__()
    if isinstance(state, dict):
        return _parts({name: state[name] for name in state.keys() - _WITHOUT_EFFECT})
    return [state]
