"""Any scikit-learn classifier, with probabilities that have been calibrated."""

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils.validation import _num_samples, check_is_fitted

from crossent.calibration.calibrator import Calibrator, calibrate, check_options
from crossent.calibration.scores import Given, check_given, read_scores
from crossent.errors import InputError
from crossent.linear_model.cross_fitting import fitted_clone, out_of_fold
from crossent.linear_model.prediction import public_coefficients
from crossent.linear_model.softmax_regression import SoftmaxRegression
from crossent.linear_model.targets import read_targets

__all__ = ["Calibrated"]

_METHODS: dict[Given, str] = {
    "logits": "decision_function",
    "log_probabilities": "predict_log_proba",
    "probabilities": "predict_proba",
}


class Calibrated(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier, and the map that calibrates what it says.

    Parameters
    ----------
    estimator : classifier
    given : {"logits", "log_probabilities", "probabilities"}
        What to calibrate: the estimator's ``decision_function``, ``predict_log_proba`` or
        ``predict_proba``. Logits are best where a ``decision_function`` gives them: they know more
        digits than rounded probabilities. Never guessed.
    method : {"temperature", "bias-corrected", "vector", "matrix"}, default="temperature"
        See `calibrate`.
    cv : int, splitter, iterable or "prefit", default=5
        A model must not be calibrated on rows that it was fitted to. With folds, `fit` fits clones
        to all rows but a fold's and calibrates on what they say about that fold, all folds
        together; then one model is fitted to all rows. "prefit": the estimator is fitted already,
        and `fit` gets other rows, to calibrate on.
    refit : bool, default=True
        False: the estimator is fitted already and is kept as it is, while clones of it are fitted
        to the folds. `X` and `y` must then be what it was fitted to. For folds only.
    C : float, optional
        Inverse strength of the penalties; default: cross-validated. See `calibrate`.
    floor : float, optional
        Smallest probability. Needed where the estimator says 0 about what happens, as forests and
        nearest neighbours do.

    Attributes
    ----------
    estimator_ : classifier
        Fitted to all rows; with "prefit" the given one.
    calibrator_ : Calibrator
    classes_ : ndarray of shape (q,)
    n_features_in_, feature_names_in_
        As the estimator's, where it has them.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = Calibrated(GaussianNB(), given="log_probabilities").fit(X, y)
    >>> print(f"{model.calibrator_.log_loss_before:.2f} to {model.calibrator_.log_loss_after:.2f}")
    0.72 to 0.16
    """

    def __init__(
        self,
        estimator: Any,
        *,
        given: Given,
        method: Any = "temperature",
        cv: Any = 5,
        refit: bool = True,
        C: float | None = None,
        floor: float | None = None,
    ) -> None:
        self.estimator = estimator
        self.given = given
        self.method = method
        self.cv = cv
        self.refit = refit
        self.C = C
        self.floor = floor

    def __sklearn_tags__(self) -> Any:
        """What the estimator takes."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.classifier_tags.multi_class = inner.classifier_tags.multi_class
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Calibrated":
        """Fit and calibrate, or with ``cv="prefit"`` calibrate only.

        Parameters
        ----------
        X : array-like of shape (n, d), or whatever the estimator takes
        y : array-like of shape (n,), or distributions of shape (n, q)
        sample_weight : array-like of shape (n,), optional
            For the estimator, if it takes weights, and for the calibration.

        Raises
        ------
        InputError
            An option cannot be used; the estimator lacks what `given` asks for; the training rows
            of a fold lack a class; and as `calibrate`.
        """
        check_given(self.given)
        check_options(self.method, self.C)
        if isinstance(self.cv, str) and self.cv == "prefit":
            check_is_fitted(self.estimator)
            self.estimator_ = self.estimator
            scores = self._scores(self.estimator_, X)
        else:
            self.estimator_ = self._whole(X, y, sample_weight)
            scores = out_of_fold(
                self.estimator,
                X,
                y,
                targets=read_targets(y, self.estimator_.classes_, rows=_num_samples(X)),
                cv=self.cv,
                response=self._scores,
                sample_weight=sample_weight,
            )
        self.classes_ = self.estimator_.classes_
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        self.calibrator_: Calibrator = calibrate(
            scores,
            y,
            given=self.given,
            method=self.method,
            classes=self.classes_,
            sample_weight=sample_weight,
            C=self.C,
            floor=self.floor,
        )
        return self

    def _whole(self, X: Any, y: Any, sample_weight: Any) -> Any:
        """The estimator fitted to all rows."""
        if self.refit:
            return fitted_clone(self.estimator, X, y, sample_weight)
        check_is_fitted(self.estimator)
        return self.estimator

    @property
    def certificate_(self) -> Any:
        """The estimator's, about its coefficients before calibration; only if it has one."""
        return self.estimator_.certificate_

    @property
    def schema_(self) -> Any:
        """The estimator's; only if it has one."""
        return self.estimator_.schema_

    def _scores(self, fitted: Any, X: Any) -> npt.NDArray[np.float64]:
        """What the estimator says, shape (n, q) or for two classes (n,)."""
        name = _METHODS[self.given]
        if not hasattr(fitted, name):
            others = [given for given, method in _METHODS.items() if hasattr(fitted, method)]
            offer = f" Use given={others[0]!r}." if others else ""
            message = (
                f"given={self.given!r} needs {name}, which {type(fitted).__name__} lacks.{offer}"
            )
            raise InputError(message)
        with np.errstate(divide="ignore"):  # log 0, which `floor` may mend
            return np.asarray(getattr(fitted, name)(X), dtype=np.float64)

    def folded(self) -> SoftmaxRegression:
        """A SoftmaxRegression with the same probabilities: the map is in its coefficients.

        All maps are linear in the logits, so a calibrated linear model is a linear model. Its
        certificate is that of the fit before calibration. `crossent.export` folds by itself.

        Raises
        ------
        InputError
            The estimator is no SoftmaxRegression or SoftmaxRegressionCV, or there is a `floor`.
        """
        check_is_fitted(self)
        inner = getattr(self.estimator_, "model_", self.estimator_)
        if not isinstance(inner, SoftmaxRegression) or self.floor is not None:
            message = (
                "Only a SoftmaxRegression that was calibrated without a floor is a linear model "
                f"again; this is a {type(inner).__name__} with floor={self.floor!r}."
            )
            raise InputError(message)
        model = copy.copy(inner)
        model.coef_, model.intercept_ = public_coefficients(
            *self.calibrator_.coefficients(*inner._symmetric()), True
        )
        return model

    def uncalibrated_log_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Log-probabilities as the estimator has them, with the `floor`, shape (n, q)."""
        check_is_fitted(self)
        return read_scores(
            self._scores(self.estimator_, X),
            given=self.given,
            n_classes=len(self.classes_),
            floor=self.floor,
        )

    def predict_log_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Calibrated log-probabilities in nats, shape (n, q)."""
        check_is_fitted(self)
        return self.calibrator_.log_probabilities(self._scores(self.estimator_, X))

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Calibrated probabilities, shape (n, q)."""
        return np.asarray(np.exp(self.predict_log_proba(X)))

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Calibrated logits: log-probabilities, or for two classes the log-odds of the second."""
        log_p = self.predict_log_proba(X)
        return log_p[:, 1] - log_p[:, 0] if log_p.shape[1] == 2 else log_p

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The most probable class of each row, shape (n,)."""
        log_p = self.predict_log_proba(X)
        return np.asarray(self.classes_[log_p.argmax(axis=1)])
