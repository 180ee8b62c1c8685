"""What is left of a fitted model when only predicting matters: W, b, classes and the encoder."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.calibration import Calibrated
from crossent.errors import InputError
from crossent.functional import log_softmax
from crossent.inspection import classifier_of, encoder_of
from crossent.linear_model import SoftmaxRegression, SoftmaxRegressionCV

__all__ = ["LinearModel", "linear_model_of"]

_PROBES = 16  # rows on which a foreign model has to agree with W x + b


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

    With two classes, W has the rows 0 and w, b the entries 0 and b: the same probabilities. What
    calibrates a linear model is linear in its logits, and is multiplied into W and b.

    Parameters
    ----------
    model : SoftmaxRegression, SoftmaxRegressionCV, LogisticRegression, or pipeline
        Fitted; or a `crossent.calibration.Calibrated` of one, without a `floor`. In a pipeline,
        behind a `crossent.features.TableEncoder` alone.

    Raises
    ------
    InputError
        The model is none of these, or not fitted; or its probabilities are not those of W x + b.

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
    W, b = _coefficients(classifier)
    if not isinstance(classifier, SoftmaxRegression | SoftmaxRegressionCV):
        _check_agreement(classifier, W, b)
    linear = getattr(classifier, "estimator_", classifier)
    names = _names(linear, encoder)
    return LinearModel(W, b, np.asarray(classifier.classes_), names, encoder)


def _coefficients(
    classifier: Any,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """W (q, d) and b (q,) of a linear classifier, with what calibrates it."""
    if isinstance(classifier, Calibrated):
        if classifier.floor is not None:
            message = f"a model calibrated with floor={classifier.floor} is not linear any more."
            raise InputError(message)
        return classifier.calibrator_.coefficients(*_coefficients(classifier.estimator_))
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
    return W, np.array(b)


def _check_agreement(
    classifier: Any, W: npt.NDArray[np.float64], b: npt.NDArray[np.float64]
) -> None:
    """Refuse models whose probabilities are made of W x + b in another way, as one against rest."""
    X = np.random.default_rng(0).standard_normal((_PROBES, W.shape[1]))
    X *= np.logspace(0, -3, _PROBES)[:, None]  # some rows that no class is sure of
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ranges and of names that these rows do not have
        found = classifier.predict_proba(X) if hasattr(classifier, "predict_proba") else X[:, :1]
    expected = np.exp(log_softmax(X @ W.T + b))
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=0, atol=1e-6):
        inner = getattr(classifier, "estimator_", classifier)
        message = (
            f"the probabilities of this {type(inner).__name__} are not softmax(W x + b), so what "
            "was exported would be another model. Fit a crossent.SoftmaxRegression."
        )
        raise InputError(message)


def _names(classifier: Any, encoder: Any) -> tuple[str, ...] | None:
    """Of the features, as the encoder, the schema or the frame had them."""
    if encoder is not None:
        return tuple(map(str, encoder.get_feature_names_out()))
    found = getattr(getattr(classifier, "schema_", None), "names", None)
    if found is None:
        found = getattr(classifier, "feature_names_in_", None)
    return None if found is None else tuple(map(str, found))
