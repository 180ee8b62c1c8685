"""Softmax regression as a scikit-learn estimator."""

from crossent.linear_model.schema import RangeWarning, Schema
from crossent.linear_model.softmax_regression import SoftmaxRegression

__all__ = ["RangeWarning", "Schema", "SoftmaxRegression"]
