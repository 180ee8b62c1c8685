"""What is left of a fitted model when only predicting matters: W, b, classes and the encoder."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.inspection import classifier_of, encoder_of

__all__ = ["LinearModel", "linear_model_of"]


@dataclass(frozen=True)
class LinearModel:
    """log p = log softmax(W x + b), with what makes x of a table's row.

    Attributes
    ----------
    W : ndarray of float64, shape (q, d)
    b : ndarray of float64, shape (q,)
        -inf for classes that no training row had.
    classes : ndarray, shape (q,)
    feature_names : tuple of str or None
    encoder : TableEncoder or None
    """

    W: npt.NDArray[np.float64]
    b: npt.NDArray[np.float64]
    classes: npt.NDArray[Any]
    feature_names: tuple[str, ...] | None
    encoder: Any


def linear_model_of(model: Any, /) -> LinearModel:
    """The linear model in a classifier, or in a pipeline of a table encoder and a classifier.

    With two classes, W has the rows 0 and w, b the entries 0 and b: the same probabilities.

    Parameters
    ----------
    model : SoftmaxRegression, SoftmaxRegressionCV, LogisticRegression, or pipeline
        Fitted. In a pipeline, behind a `crossent.features.TableEncoder` alone.

    Raises
    ------
    InputError
        The model is none of these, or not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from crossent import SoftmaxRegression
    >>> model = SoftmaxRegression().fit(*load_iris(return_X_y=True))
    >>> linear_model_of(model).W.shape
    (3, 4)
    """
    classifier, encoder = classifier_of(model), encoder_of(model)
    steps = len(getattr(model, "steps", ()))
    if steps > 1 + (encoder is not None):
        listed = ", ".join(type(step).__name__ for _, step in model.steps[:-1])
        message = (
            f"the pipeline's steps {listed} cannot be exported; what can is a classifier, alone or "
            "behind a crossent.features.TableEncoder."
        )
        raise InputError(message)
    if not (hasattr(classifier, "coef_") and hasattr(classifier, "classes_")):
        message = (
            f"a {type(classifier).__name__} without `coef_` cannot be exported. Fit a "
            "crossent.SoftmaxRegression."
        )
        raise InputError(message)
    W = np.asarray(classifier.coef_, dtype=np.float64)
    b = np.broadcast_to(np.asarray(classifier.intercept_, dtype=np.float64), (len(W),))
    if len(W) == 1:
        W, b = np.vstack([np.zeros_like(W), W]), np.array([0.0, b[0]])
    names = _names(classifier, encoder)
    return LinearModel(W, np.array(b), np.asarray(classifier.classes_), names, encoder)


def _names(classifier: Any, encoder: Any) -> tuple[str, ...] | None:
    """Of the features, as the encoder, the schema or the frame had them."""
    if encoder is not None:
        return tuple(map(str, encoder.get_feature_names_out()))
    found = getattr(getattr(classifier, "schema_", None), "names", None)
    if found is None:
        found = getattr(classifier, "feature_names_in_", None)
    return None if found is None else tuple(map(str, found))
