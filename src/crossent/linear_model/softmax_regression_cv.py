"""SoftmaxRegressionCV: the C that predicts held-out rows best, on certified paths."""

import numbers
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from crossent.certificate import Certificate
from crossent.errors import InputError
from crossent.linear_model.cross_validation import FoldPaths, walk_folds
from crossent.linear_model.folds import Fold, read_folds
from crossent.linear_model.optimise import Fit, Problem, solve
from crossent.linear_model.path import (
    Settings,
    fitted_model,
    prepare,
    read_grid,
    settings_of,
    warn_of_unconverged,
)
from crossent.linear_model.prediction import public_coefficients
from crossent.linear_model.scoring import Score, log_loss_of, read_scorer, scorer_of
from crossent.linear_model.selection import RULES, check_scores, mean_and_error, select
from crossent.linear_model.softmax_regression import SoftmaxRegression

__all__ = ["SoftmaxRegressionCV"]

_SHARED_PARAMETERS = (
    "fit_intercept",
    "class_weight",
    "tol",
    "max_iter",
    "classes",
    "solver",
    "n_threads",
    "random_state",
    "verbose",
)
_FROM_MODEL = (
    "classes_",
    "coef_",
    "intercept_",
    "certificate_",
    "penalty_",
    "trace_",
    "schema_",
    "absent_classes_",
    "separable_",
    "n_features_in_",
    "feature_names_in_",
)


class SoftmaxRegressionCV(ClassifierMixin, BaseEstimator):
    """Softmax regression whose `C` is chosen by cross-validation, every fit certified.

    Each fold walks the grid from the strongest penalty to the weakest, every optimum begun from
    the ones before; the best C is then fitted to all rows. With the default score this is
    ``LogisticRegressionCV(scoring="neg_log_loss")`` for classes or distributions.

    Parameters
    ----------
    Cs : int or array-like, default=10
        Values of C, ``np.inf`` allowed; an integer k stands for k values from 1e-4 to 1e4, equally
        spaced in log C.
    fit_intercept : bool, default=True
    cv : int, splitter or iterable of (train, test), optional
        Default: 5 folds. A number of folds is a ``StratifiedKFold`` without shuffling. Splitters
        see the labels; of distributions, the most probable class of each row.
    scoring : str or callable, optional
        Default (and "neg_log_loss"): minus the mean cross-entropy of the held-out rows in nats,
        from log-probabilities, with the weights of rows and classes that the fit has. Else a
        scikit-learn scorer, which gets `sample_weight` but no weights of classes.
    rule : {"min", "1se"}, default="min"
        "min": the best mean score. "1se": the strongest penalty whose mean score is within one
        standard error of the best.
    class_weight : dict or "balanced", optional
        "balanced" is computed once, from all rows, as LogisticRegressionCV does.
    tol : float, default=1e-6
        Certified relative gap of every fit.
    max_iter : int, default=1000
        Passes over the data, for every fit.
    classes : array-like of shape (q,), optional
        As in `SoftmaxRegression`.
    solver : {"auto", "lbfgs", "newton"}, default="auto"
    n_jobs : int, optional
        Folds at a time, each in a thread and with its own copy of its training rows; -1: as many
        as there are cores. Default: as many as there are cores and 2 GB of copies allow.
    n_threads : int, optional
        Threads altogether, shared between the folds that run at a time. Default: the usable cores.
    random_state : int, RandomState or None, default=0
        As in `SoftmaxRegression`; the folds do not depend on it.
    verbose : int, default=0
        1: a line for every fit, to standard error.

    Attributes
    ----------
    C_ : float
        The chosen C.
    Cs_ : ndarray of shape (k,)
        The grid, ascending, without repetitions.
    scores_ : ndarray of shape (folds, k)
        Score of each fold's held-out rows; higher is better.
    mean_scores_, standard_errors_ : ndarray of shape (k,)
        Over the folds; the standard error is the standard deviation over √folds, NaN for one fold.
    best_index_ : int
        Of the best mean score in ``Cs_``; with ``rule="1se"`` C_ may be smaller than that one.
    coefs_paths_ : ndarray of shape (folds, k, q, d), or (folds, k, 1, d) for two classes
    intercepts_paths_ : ndarray of shape (folds, k, q), or (folds, k, 1)
    certificates_ : list of list of Certificate
        ``certificates_[fold][i]`` is that of ``Cs_[i]``.
    n_iter_ : ndarray of shape (folds, k)
        Passes over the fold's training rows.
    unseen_classes_ : list of ndarray
        For each fold the classes of its held-out rows that its training rows lack.
    model_ : SoftmaxRegression
        Fitted to all rows with ``C_``; predictions are its.
    classes_, coef_, intercept_, certificate_, penalty_, trace_, schema_, absent_classes_,
    separable_, n_features_in_, feature_names_in_
        Of ``model_``.

    Notes
    -----
    A class that a fold's training rows lack has probability 0 there, and infinite log-loss for
    every C. Its held-out rows (of distributions, its share of each row) are left out of the
    log-loss, with a warning that names it. That cannot change which C is best: a floor ε under the
    probabilities would add the same -log ε to every C. ``StratifiedKFold`` avoids it for classes
    of two rows or more.

    W is dense: there is no `linear_map` here. For a structured W choose C by
    ``GridSearchCV(SoftmaxRegression(linear_map=...), {"C": [...]}, scoring="neg_log_loss")``.

    Cost: folds × k fits; warm starts save about two thirds of their passes. Memory: 8·folds·k·q·d
    bytes for the paths, and a copy of the training rows of each fold that runs.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from crossent import SoftmaxRegressionCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SoftmaxRegressionCV(Cs=[0.1, 1, 10, 100]).fit(X, y)
    >>> model.C_
    100.0
    >>> model.scores_.shape
    (5, 4)
    >>> max(c.relative_gap for fold in model.certificates_ for c in fold) < 1e-6
    True
    """

    def __init__(
        self,
        *,
        Cs: Any = 10,
        fit_intercept: bool = True,
        cv: Any = None,
        scoring: Any = None,
        rule: str = "min",
        class_weight: Any = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        classes: Any = None,
        solver: str = "auto",
        n_jobs: int | None = None,
        n_threads: int | None = None,
        random_state: Any = 0,
        verbose: int = 0,
    ) -> None:
        self.Cs = Cs
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.scoring = scoring
        self.rule = rule
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.classes = classes
        self.solver = solver
        self.n_jobs = n_jobs
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        """What scikit-learn may give: sparse X too."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X, y, sample_weight=None, offset=None, groups=None):
        """Choose C by cross-validation and fit it to all rows.

        Parameters
        ----------
        X, y, sample_weight, offset
            As in `SoftmaxRegression.fit`.
        groups : array-like of shape (n,), optional
            For splitters such as GroupKFold.

        Returns
        -------
        SoftmaxRegressionCV
            Itself.

        Raises
        ------
        InputError
            As in `SoftmaxRegression.fit`; a value of `Cs`, `rule`, `scoring` or `cv` cannot be
            used; a fold has fewer than two classes to fit or nothing to score; a score is NaN.

        Warns
        -----
        UserWarning
            If a fold's held-out rows have a class that its training rows lack.
        ConvergenceWarning
            Once, if any fit did not reach `tol`.
        """
        Cs = read_grid(self.Cs)
        self._check_parameters()
        template = self._template()
        problem = prepare(template, Cs, X, y, sample_weight, offset)
        scorer = read_scorer(
            self.scoring, soft=problem.targets.soft, offset=offset, sample_weight=sample_weight
        )
        folds = read_folds(self.cv, problem, groups)
        self._check_folds(folds, problem)

        def score_of(fold: Fold) -> Score:
            if scorer is None:
                return log_loss_of(problem, fold)
            return scorer_of(
                scorer, problem, fold, estimator=template, y=y, sample_weight=sample_weight
            )

        settings = settings_of(template)
        paths = walk_folds(
            problem, folds, Cs, settings, score_of, n_jobs=self.n_jobs, verbose=self.verbose
        )
        check_scores(paths.scores, Cs, self.scoring)
        mean, error = mean_and_error(paths.scores)
        chosen, best = select(mean, error, self.rule)
        final = replace(problem, C=float(Cs[chosen]))
        fit = _refit(final, paths.mean_at(chosen), settings)
        self._keep_path(Cs, paths, folds, problem)
        self.mean_scores_, self.standard_errors_ = mean, error
        self.C_, self.best_index_ = float(Cs[chosen]), best
        self._keep_model(fitted_model(template, fit, final, X))
        warn_of_unconverged(self._all_certificates(), stacklevel=3)
        return self

    def _check_parameters(self) -> None:
        """Those that a SoftmaxRegression does not have."""
        if self.rule not in RULES:
            message = f"rule is {self.rule!r}; it must be one of {', '.join(map(repr, RULES))}."
            raise InputError(message)
        jobs: Any = self.n_jobs
        if jobs is not None and (not isinstance(jobs, numbers.Integral) or jobs == 0):
            message = f"n_jobs is {jobs!r}; it must be a positive integer, -1 or None."
            raise InputError(message)

    def _check_folds(self, folds: list[Fold], problem: Problem) -> None:
        """Enough for the rule; warn of classes that some fold cannot know."""
        if self.rule == "1se" and len(folds) < 2:
            message = "rule='1se' needs at least two folds, or there is no standard error."
            raise InputError(message)
        unseen = np.array([fold.unseen for fold in folds])
        if not unseen.any():
            return
        names = problem.targets.classes[unseen.any(axis=0)].tolist()
        shown = ", ".join(map(repr, names[:10])) + (", …" if len(names) > 10 else "")
        message = (
            f"{int(unseen.any(axis=1).sum())} of {len(folds)} folds hold out rows of a class that "
            f"their training rows lack: {shown}. Their probability is 0 there. The log-loss leaves "
            "them out, which does not change the best C; use stratified folds, or join such "
            "classes."
        )
        warnings.warn(message, UserWarning, stacklevel=3)

    def _template(self) -> SoftmaxRegression:
        """An estimator with these settings, to read data and to hold models."""
        return SoftmaxRegression(**{name: getattr(self, name) for name in _SHARED_PARAMETERS})

    def _keep_path(
        self, Cs: npt.NDArray[np.float64], paths: FoldPaths, folds: list[Fold], problem: Problem
    ) -> None:
        """The attributes that tell of the folds."""
        classes = problem.targets.classes
        self.Cs_ = Cs
        self.scores_ = paths.scores
        self.coefs_paths_, self.intercepts_paths_ = _public_paths(paths, problem.fit_intercept)
        self.certificates_ = paths.certificates
        self.n_iter_ = np.array(
            [[c.passes for c in fold] for fold in paths.certificates], dtype=np.int32
        )
        self.unseen_classes_ = [classes[fold.unseen] for fold in folds]

    def _keep_model(self, model: SoftmaxRegression) -> None:
        """The model, and its attributes as if they were ours."""
        self.model_ = model
        for name in _FROM_MODEL:
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))
            elif hasattr(self, name):
                delattr(self, name)  # names of columns, of an earlier fit to a frame

    def _all_certificates(self) -> list[tuple[str, Certificate]]:
        """Every fit's, with where it belongs."""
        return [
            (f"C={C:g} in fold {k}", certificate)
            for k, fold in enumerate(self.certificates_)
            for C, certificate in zip(self.Cs_, fold, strict=True)
        ] + [(f"C={self.C_:g} on all rows", self.certificate_)]

    def _fitted(self) -> SoftmaxRegression:
        check_is_fitted(self)
        return self.model_

    def decision_function(self, X, offset=None):
        """Logits; see `SoftmaxRegression.decision_function`."""
        return self._fitted().decision_function(X, offset)

    def predict(self, X, offset=None):
        """The most probable class of each row, shape (n,)."""
        return self._fitted().predict(X, offset)

    def predict_proba(self, X, offset=None):
        """Probabilities of shape (n, q), in the order of ``classes_``."""
        return self._fitted().predict_proba(X, offset)

    def predict_log_proba(self, X, offset=None):
        """Log-probabilities in nats, shape (n, q)."""
        return self._fitted().predict_log_proba(X, offset)

    def surprisal(self, X, y, offset=None):
        """-log p(yᵢ | xᵢ) in nats, shape (n,); see `SoftmaxRegression.surprisal`."""
        return self._fitted().surprisal(X, y, offset)

    def score(self, X, y, sample_weight=None, offset=None):
        """Accuracy, whatever `scoring` is; see `SoftmaxRegression.score`."""
        return self._fitted().score(X, y, sample_weight, offset)


def _refit(
    problem: Problem,
    start: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    settings: Settings,
) -> Fit:
    """The optimum on all rows, begun at the mean of the folds' optima for the same C."""
    return solve(
        problem,
        start=start,
        tol=settings.tol,
        max_passes=settings.max_passes,
        solver=settings.solver,
        n_threads=settings.n_threads,
        rng=np.random.default_rng(settings.seed),
    )


def _public_paths(
    paths: FoldPaths, fit_intercept: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """``coef_`` and ``intercept_`` of every fit; for more than two classes W is not copied."""
    public = [
        [
            public_coefficients(W, b, fit_intercept)
            for W, b in zip(paths.W[k], paths.b[k], strict=True)
        ]
        for k in range(len(paths.W))
    ]
    intercepts = np.array([[b for _, b in fold] for fold in public])
    if paths.W.shape[2] > 2:
        return paths.W, intercepts
    return np.array([[W for W, _ in fold] for fold in public]), intercepts
