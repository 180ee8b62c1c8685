"""SoftmaxRegression: scikit-learn's contract on top of the certified optimum."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from crossent.certificate import Certificate
from crossent.errors import InputError
from crossent.functional import log_softmax, softmax
from crossent.linear_model.callbacks import CallbackSupport, PassReporter, metadata, with_callbacks
from crossent.linear_model.checks import (
    check_classes,
    check_magnitudes,
    check_parameters,
    check_targets_given,
    read_features,
    read_offset,
)
from crossent.linear_model.optimise import Fit, Problem
from crossent.linear_model.prediction import (
    expected_accuracy,
    public_coefficients,
    row_surprisal,
)
from crossent.linear_model.schema import Schema, column_range, locate_not_finite
from crossent.linear_model.starting import matched_start
from crossent.linear_model.structured import estimator_logits, report_of, solve_with_map
from crossent.linear_model.targets import (
    effective_weights,
    is_soft,
    read_names,
    read_sample_weight,
    read_targets,
)

__all__ = ["SoftmaxRegression"]


class SoftmaxRegression(CallbackSupport, ClassifierMixin, BaseEstimator):
    """Softmax (multinomial logistic) regression, fitted to a certified optimum.

    Minimises over W of shape (q, d) and b of shape (q,)

        f(W, b) = (1/S) Σᵢ sᵢ [ logsumexp(zᵢ) - yᵢ·zᵢ ] + (λ/2) ‖W‖²,   zᵢ = W xᵢ + b + offsetᵢ,

    with S = Σᵢ sᵢ and λ = 1/(C·S); b carries no penalty. For the same `C` this is the optimum of
    ``sklearn.linear_model.LogisticRegression``; with two classes ``coef_`` is the one row
    w₁ - w₀ and the penalty is (λ/2) ‖w₁ - w₀‖², as there. The targets yᵢ may be classes or
    distributions over classes. Columns need no scaling.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the penalty; ``np.inf`` for none.
    fit_intercept : bool, default=True
    class_weight : dict or "balanced", optional
        Weights cⱼ of the classes: a row counts sᵢ Σⱼ cⱼ yᵢⱼ. "balanced" gives every class the
        same share of Σ sᵢ.
    tol : float, default=1e-6
        Certified relative gap at which to stop: ``certificate_.relative_gap`` bounds f/f* - 1.
        Without a penalty: the Newton decrement relative to f.
    max_iter : int, default=1000
        Passes over the data before the closing certificate, which takes up to four more.
    warm_start : bool, default=False
        Begin at the previous coefficients, matched by class name.
    classes : array-like of shape (q,), optional
        All classes, in the order of ``classes_``. A class without rows gets b = -inf: probability
        0, and stands in ``absent_classes_``. Default: the sorted classes of y, the columns of a
        frame of distributions, or 0…q-1.
    solver : {"auto", "lbfgs", "newton"}, default="auto"
        "auto" is L-BFGS in a two-level model of the Hessian, which is the exact Hessian if that is
        small and costs little beside a pass. "lbfgs" uses only the leading directions of it,
        "newton" the exact Hessian of all rows at every step, up to q·(d + 1) = 12,000.
    linear_map : str or map of `crossent.linear_maps`, default="dense"
        What W is made of; the penalty is then (λ/2) ‖θ‖² with λ = 1/(C·S). "block_diagonal",
        "circulant", "toeplitz", "quaternion", "complex", "octonion" and "fastfood" are linear in θ:
        convex, and certified. "low_rank", "monarch", "phm", "toeplitz_like", "adaptive_fastfood"
        start at W = 0 with only the last factor zero, and end at a local optimum. See
        docs/structured.md for what they save, and when they are slower.
    n_threads : int, optional
        Threads of the linear algebra; default: what the libraries are set to.
    random_state : int, RandomState or None, default=0
        For the rows from which the Hessian is modelled (more than 20,000 rows only), and for a
        map's permutations, signs and start.
    verbose : int, default=0
        1: a line every tenth pass; 2: every pass; to standard error.

    Attributes
    ----------
    classes_ : ndarray of shape (q,)
    coef_ : ndarray of shape (q, d), or (1, d) for two classes
        float64; the rows sum to zero.
    intercept_ : ndarray of shape (q,), or (1,)
    certificate_ : Certificate
        Objective, duality gap, passes, seconds, and how the fit ended.
    linear_map_, theta_ : map and ndarray of shape (p,)
        W(θ), with a `linear_map`.
    penalty_ : float
        λ.
    trace_ : list of TracePoint
        One per pass; one for a certificate, which may take several passes.
    n_iter_ : ndarray of shape (1,)
        Passes over the data, those of certificates included.
    schema_ : Schema
        Names, types and ranges of the training columns.
    absent_classes_ : ndarray
        Classes of `classes` that no row of positive weight has.
    separable_ : bool or None
        Whether planes separate the training classes; None where that was not examined (a penalty
        and a loss above 0.05).
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (d,)
        If X had column names.

    Notes
    -----
    Cost: a pass is 4·n·d·q flops. float32 data are worked on in float32 and certified in float64;
    coefficients and probabilities are float64.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from crossent import SoftmaxRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SoftmaxRegression().fit(X, y)
    >>> model.score(X, y)
    0.9733...
    >>> model.certificate_.relative_gap < 1e-6
    True
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        fit_intercept: bool = True,
        class_weight: Any = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        warm_start: bool = False,
        classes: Any = None,
        solver: str = "auto",
        linear_map: Any = "dense",
        n_threads: int | None = None,
        random_state: Any = 0,
        verbose: int = 0,
    ) -> None:
        self.C = C
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.classes = classes
        self.solver = solver
        self.linear_map = linear_map
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        """What scikit-learn may give: sparse X too."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @with_callbacks
    def fit(self, X, y, sample_weight=None, offset=None):
        """Fit to the certified optimum.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Finite numbers; float32 stays float32, all else becomes float64.
        y : array-like of shape (n,), or distributions of shape (n, q), dense or sparse
            Distributions must sum to 1 within 1e-6 (float32: 1e-4) and are then renormalised.
        sample_weight : array-like of shape (n,), optional
            Weights sᵢ ≥ 0.
        offset : array-like of shape (n, q), optional
            Added to the logits; for two classes also of shape (n,), added to the second's. Give it
            to the prediction methods too.

        Returns
        -------
        SoftmaxRegression
            Itself.

        Raises
        ------
        InputError
            A parameter, X, y, a weight or the offset cannot be used; fewer than two classes have
            rows of positive weight.

        Warns
        -----
        ConvergenceWarning
            If `tol` was not reached, with the reason and the remedy.
        """
        check_parameters(self)
        check_targets_given(y)
        frame = X
        X = read_features(self, X, reset=True)
        previous = self._previous() if self.warm_start else None
        problem = self._problem(X, y, sample_weight, offset)
        reporter = PassReporter(
            self,
            {"X": X, "y": y, "metadata": metadata(sample_weight, offset)},
            self.verbose,
            lambda W, b: self._model_attributes(W, b, problem, frame),
        )
        fitted, structure = solve_with_map(
            self,
            problem,
            start=matched_start(previous, problem.targets),
            rng=np.random.default_rng(check_random_state(self.random_state).randint(2**31)),
            callback=reporter,
        )
        self._keep(fitted, problem, frame, structure)
        reporter.close()
        if not fitted.certificate.converged:
            warnings.warn(_warning(fitted.certificate), ConvergenceWarning, stacklevel=3)
        return self

    def _problem(self, X: Any, y: Any, sample_weight: Any, offset: Any) -> Problem:
        """The checked data. Raises InputError where they cannot be used."""
        lowest, highest = column_range(X)
        locate_not_finite(X, lowest, highest, getattr(self, "feature_names_in_", None))
        n = X.shape[0]
        targets = read_targets(y, self.classes, rows=n)
        weight, targets = effective_weights(targets, sample_weight, self.class_weight, n)
        check_classes(targets, weight, given=self.classes is not None)
        check_magnitudes(X, (lowest, highest), weight, float(self.C))
        return Problem(
            X=X,
            targets=targets,
            weight=weight,
            offset=read_offset(offset, n, len(targets.classes)),
            column_range=(lowest, highest),
            C=float(self.C),
            fit_intercept=bool(self.fit_intercept),
        )

    def _previous(self) -> tuple[npt.NDArray[Any], Any, Any] | None:
        """Classes, W and b of the previous fit."""
        if not hasattr(self, "coef_"):
            return None
        if self.coef_.shape[1] != self.n_features_in_:
            message = (
                f"warm_start: the previous coefficients have {self.coef_.shape[1]} features and X "
                f"has {self.n_features_in_}. Set warm_start=False, or fit a new estimator."
            )
            raise InputError(message)
        return self.classes_, *self._symmetric()

    def _keep(self, fitted: Fit, problem: Problem, frame: Any, structure: Any = ()) -> None:
        """The fitted attributes; those of a previous map are not left behind."""
        for name in {"linear_map_", "theta_"} & vars(self).keys():
            delattr(self, name)
        attributes = self._model_attributes(fitted.W, fitted.b, problem, frame) | dict(structure)
        for name, value in attributes.items():
            setattr(self, name, value)
        self.certificate_ = fitted.certificate
        self.penalty_ = problem.penalty_of_scikit_learn
        self.n_iter_ = np.asarray([fitted.certificate.passes], dtype=np.int32)
        self.absent_classes_ = self.classes_[~fitted.present]
        self.separable_ = fitted.separable

    def _model_attributes(self, W: Any, b: Any, problem: Problem, frame: Any) -> dict[str, Any]:
        """The attributes that prediction needs."""
        names = getattr(self, "feature_names_in_", None)
        dtypes = getattr(frame, "dtypes", None)
        coef, intercept = public_coefficients(W, b, self.fit_intercept)
        schema = Schema(
            names=None if names is None else tuple(names.tolist()),
            dtypes=(str(problem.X.dtype),) if dtypes is None else tuple(str(t) for t in dtypes),
            minimum=problem.column_range[0],
            maximum=problem.column_range[1],
        )
        return {
            "classes_": problem.targets.classes,
            "coef_": coef,
            "intercept_": intercept,
            "schema_": schema,
        }

    def _symmetric(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """One row of W and one b per class, also for two classes."""
        if len(self.classes_) > 2:
            return self.coef_, self.intercept_
        W = np.vstack([-self.coef_ / 2, self.coef_ / 2])
        b = float(self.intercept_[0])
        if np.isinf(b):
            return W, np.array([-np.inf, 0.0]) if b < 0 else np.array([0.0, -np.inf])
        return W, np.array([-b / 2, b / 2])

    def _logits(self, X: Any, offset: Any) -> npt.NDArray[np.float64]:
        """Logits of shape (n, q), after X has been checked against the training schema."""
        check_is_fitted(self)
        X = read_features(self, X, reset=False)
        locate_not_finite(X, *column_range(X), getattr(self, "feature_names_in_", None))
        self.schema_.warn_if_out_of_range(X, self._symmetric()[0])
        logits = estimator_logits(self, X)
        given = read_offset(offset, X.shape[0], len(self.classes_))
        return logits if given is None else logits + given

    def decision_function(self, X, offset=None):
        """Logits, the unnormalised log-probabilities.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
        offset : array-like of shape (n, q), optional
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, q), or (n,) for two classes: the log-odds of ``classes_[1]``

        Raises
        ------
        InputError
            NaN or infinity in X, with its row and column.
        ValueError
            X has other columns than the training data.

        Warns
        -----
        RangeWarning
            With the share of rows that lie outside the training range by more than half its width
            and whose logits move by more than one nat because of it.
        """
        logits = self._logits(X, offset)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, X, offset=None):
        """The most probable class of each row, shape (n,). Parameters as `decision_function`."""
        labels = self._logits(X, offset).argmax(axis=1)
        return self.classes_[labels]

    def predict_proba(self, X, offset=None):
        """Probabilities of shape (n, q), in the order of ``classes_``."""
        return softmax(self._logits(X, offset))

    def predict_log_proba(self, X, offset=None):
        """Log-probabilities in nats, shape (n, q); computed from logits, not from probabilities."""
        return log_softmax(self._logits(X, offset))

    def surprisal(self, X, y, offset=None):
        """-log p(yᵢ | xᵢ) in nats, shape (n,); for distributions the cross-entropy -Σⱼ yᵢⱼ log pᵢⱼ.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
        y : array-like of shape (n,) or (n, q)
            Classes, or distributions in the order of ``classes_``.
        offset : array-like, optional
        """
        log_probabilities = self.predict_log_proba(X, offset)
        targets = read_targets(y, self.classes_, rows=len(log_probabilities))
        return row_surprisal(log_probabilities, targets.values)

    def cost_report(self, *, batch: int = 256):
        """What ``linear_map_`` costs beside a dense W: see `crossent.linear_maps.cost_report`."""
        check_is_fitted(self)
        return report_of(self, batch)

    def score(self, X, y, sample_weight=None, offset=None):
        """Mean accuracy; for distributions the expected accuracy, Σᵢ sᵢ yᵢ[prediction] / Σᵢ sᵢ."""
        logits = self._logits(X, offset)
        labels = logits.argmax(axis=1)
        weight = read_sample_weight(sample_weight, len(labels))
        if not is_soft(y):
            from sklearn.metrics import accuracy_score  # 30 ms that a fit can do without

            return float(accuracy_score(read_names(y), self.classes_[labels], sample_weight=weight))
        targets = read_targets(y, self.classes_, rows=len(labels))
        return expected_accuracy(labels, targets.values, weight)


def _warning(certificate: Certificate) -> str:
    """Why the fit did not converge, what to do, and what is known all the same."""
    known = ""
    if certificate.kind == "gap":
        known = f" Certified relative gap: {certificate.relative_gap:.2g}."
    return f"{certificate.status.value} Passes: {certificate.passes}.{known}"
