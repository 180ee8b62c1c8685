"""Softmax regression as a scikit-learn estimator, along a path of penalties, cross-validated.

The last is loaded on first use: scikit-learn's splitters and scorers take as long to import as a
small fit.
"""

import importlib
from typing import TYPE_CHECKING, Any

from crossent.linear_model.compression import Compression, compress
from crossent.linear_model.path import SoftmaxPath, softmax_path
from crossent.linear_model.schema import RangeWarning, Schema
from crossent.linear_model.softmax_regression import SoftmaxRegression

if TYPE_CHECKING:
    from crossent.linear_model.softmax_regression_cv import SoftmaxRegressionCV

__all__ = [
    "Compression",
    "RangeWarning",
    "Schema",
    "SoftmaxPath",
    "SoftmaxRegression",
    "SoftmaxRegressionCV",
    "compress",
    "softmax_path",
]


def __getattr__(name: str) -> Any:
    if name == "SoftmaxRegressionCV":
        home = importlib.import_module("crossent.linear_model.softmax_regression_cv")
        return home.SoftmaxRegressionCV
    message = f"module 'crossent.linear_model' has no attribute {name!r}"
    raise AttributeError(message)
