"""Softmax regression and cross-entropy: fitted, certified, evaluated, explained.

Everything is loaded on first use, so that ``import crossent`` costs next to nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "crossent.functional": (
        "cross_entropy",
        "entropy",
        "js_divergence",
        "kl_divergence",
        "linear_softmax_cross_entropy",
        "log_softmax",
        "logsumexp",
        "mutual_information",
        "perplexity",
        "real_softmax",
        "softmax",
        "softmax_cross_entropy",
        "softmax_cross_entropy_gradient",
        "softmax_cross_entropy_hessian",
        "softmax_cross_entropy_hessian_vector",
        "softmin",
        "surprisal",
    ),
    "crossent.linear_model": ("SoftmaxRegression", "SoftmaxRegressionCV", "softmax_path"),
    "crossent.labels": ("decode_labels", "encode_labels"),
    "crossent.persistence": ("load", "save"),
    "crossent.certificate": ("Certificate", "Status"),
    "crossent.errors": (
        "CodeError",
        "CrossentError",
        "DatasetError",
        "InputError",
        "ModelFileError",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_SUBMODULES = (
    "calibration",
    "choice",
    "claims",
    "coding",
    "datasets",
    "features",
    "functional",
    "inspection",
    "labels",
    "linear_maps",
    "linear_model",
    "report",
    "torch",
)

__all__ = [
    "Certificate",
    "CodeError",
    "CrossentError",
    "DatasetError",
    "InputError",
    "ModelFileError",
    "SoftmaxRegression",
    "SoftmaxRegressionCV",
    "Status",
    "calibration",
    "choice",
    "claims",
    "coding",
    "cross_entropy",
    "datasets",
    "decode_labels",
    "encode_labels",
    "entropy",
    "features",
    "functional",
    "inspection",
    "js_divergence",
    "kl_divergence",
    "labels",
    "linear_maps",
    "linear_model",
    "linear_softmax_cross_entropy",
    "load",
    "log_softmax",
    "logsumexp",
    "mutual_information",
    "perplexity",
    "real_softmax",
    "report",
    "save",
    "softmax",
    "softmax_cross_entropy",
    "softmax_cross_entropy_gradient",
    "softmax_cross_entropy_hessian",
    "softmax_cross_entropy_hessian_vector",
    "softmax_path",
    "softmin",
    "surprisal",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name]), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"crossent.{name}")
    message = f"module 'crossent' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
