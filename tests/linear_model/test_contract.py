"""scikit-learn's contract: its own checks, its tools, its callbacks; and ours to the user."""

import pickle
import re

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.callback import ScoringMonitor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from crossent import SoftmaxRegression, Status


def not_for(estimator):
    """Checks that ask for what this parameter rules out."""
    if np.isinf(estimator.C):  # their data are separable: there is no optimum to agree on
        kinds = ("dense", "sparse")
        return {f"check_sample_weight_equivalence_on_{k}_data": "no finite optimum" for k in kinds}
    return {}


@parametrize_with_checks(
    [
        SoftmaxRegression(),
        SoftmaxRegression(C=np.inf, max_iter=60),
        SoftmaxRegression(solver="lbfgs", warm_start=True),
    ],
    expected_failed_checks=not_for,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::crossent.linear_model.RangeWarning")
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def iris(load):
    return load("iris")


def test_it_may_be_searched_over(iris):
    X, y = iris
    search = GridSearchCV(SoftmaxRegression(), {"C": [1e-4, 1.0]}, scoring="neg_log_loss", cv=3)
    search.fit(X, y)
    assert search.best_params_ == {"C": 1.0}
    assert search.best_estimator_.certificate_.converged


def test_it_may_stand_in_a_pipeline_be_cloned_and_scored(iris):
    X, y = iris
    pipeline = make_pipeline(StandardScaler(), SoftmaxRegression(C=10.0))
    assert cross_val_score(clone(pipeline), X, y).mean() > 0.93
    assert pipeline.fit(X, y)[-1].get_params()["C"] == 10.0


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_it_may_be_calibrated(method, iris):
    X, y = iris
    calibrated = CalibratedClassifierCV(SoftmaxRegression(), method=method, cv=3).fit(X, y)
    P = calibrated.predict_proba(X)
    np.testing.assert_allclose(P.sum(axis=1), 1.0)
    assert calibrated.score(X, y) > 0.9


def test_it_may_be_used_one_against_the_rest(iris):
    X, y = iris
    assert OneVsRestClassifier(SoftmaxRegression()).fit(X, y).score(X, y) > 0.9


def test_a_clone_has_the_parameters_and_no_fit(iris):
    model = SoftmaxRegression(C=3.0, classes=[2, 1, 0], solver="lbfgs").fit(*iris)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "coef_")


def test_a_pickle_is_the_same_model(iris):
    X, y = iris
    model = SoftmaxRegression().fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    assert copy.certificate_ == model.certificate_
    assert copy.certificate_.status is Status.CONVERGED
    assert copy.trace_ == model.trace_


def test_weights_and_offsets_are_routed_through_pipelines(overlapping):
    X, y, _ = overlapping()
    s = np.random.default_rng(0).random(60) + 0.1
    offset = np.random.default_rng(1).normal(size=(60, 3))
    expected = SoftmaxRegression(tol=1e-10).fit(X, y, sample_weight=s, offset=offset)
    with sklearn.config_context(enable_metadata_routing=True):
        inner = (
            SoftmaxRegression(tol=1e-10)
            .set_fit_request(sample_weight=True, offset=True)
            .set_score_request(sample_weight=True, offset=True)
            .set_predict_request(offset=True)
        )
        scaler = StandardScaler(with_mean=False, with_std=False)
        pipeline = make_pipeline(scaler.set_fit_request(sample_weight=False), inner)
        pipeline.fit(X, y, sample_weight=s, offset=offset)
        np.testing.assert_allclose(pipeline[-1].coef_, expected.coef_, atol=1e-9)
        np.testing.assert_array_equal(
            pipeline.predict(X, offset=offset), expected.predict(X, offset=offset)
        )
        scores = cross_validate(
            pipeline, X, y, cv=3, params={"sample_weight": s, "offset": offset}
        )["test_score"]
        assert len(scores) == 3
        assert min(scores) > 0.3


# --- callbacks


def test_a_monitor_of_scores_sees_the_model_of_every_pass(overlapping):
    X, y, _ = overlapping()
    model, monitor = SoftmaxRegression(), ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    model.set_callbacks(monitor).fit(X, y)
    logged = monitor.get_logs().data
    passes = [row for row in logged if row["task_name"] == "pass"]
    assert len(passes) == len(model.trace_)
    # The first pass is at W = 0 and the class frequencies.
    frequencies = np.bincount(y) / len(y)
    assert passes[0]["neg_log_loss"] == pytest.approx(np.log(frequencies) @ frequencies)
    assert passes[-1]["neg_log_loss"] == pytest.approx(-model.surprisal(X, y).mean(), rel=1e-6)
    assert passes[-1]["accuracy"] == model.score(X, y)
    assert logged[-1]["accuracy"] == model.score(X, y)


class StopAfter:
    """scikit-learn's FitCallback protocol, by hand."""

    def __init__(self, passes):
        self.passes = passes
        self.seen = []

    def setup(self, estimator, context):  # noqa: ARG002
        self.seen.append("setup")

    def teardown(self, estimator, context):  # noqa: ARG002
        self.seen.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, X=None, metadata=None):
        if context.task_name != "pass":
            return None
        self.seen.append((len(estimator.trace_), X.shape, metadata))
        return len(estimator.trace_) >= self.passes


def test_a_callback_can_stop_the_fit_and_the_best_is_kept(load):
    X, y = load("digits")
    callback = StopAfter(3)
    model = SoftmaxRegression().set_callbacks(callback)
    with pytest.warns(ConvergenceWarning, match="interrupted.*best found so far"):
        model.fit(X, y, sample_weight=np.ones(len(y)))
    assert model.certificate_.status is Status.INTERRUPTED
    assert not model.certificate_.converged
    assert model.n_iter_[0] <= 3 + 4  # and what the certificate takes
    objectives = [point.objective for point in model.trace_]
    assert model.certificate_.objective <= min(objectives) * (1 + 1e-12)
    assert model.score(X, y) > 0.8
    assert callback.seen[0] == "setup"
    assert callback.seen[-1] == "teardown"
    number, shape, metadata = callback.seen[1]
    assert number == 1
    assert shape == X.shape
    assert list(metadata) == ["sample_weight"]


def test_callbacks_are_taken_down_when_the_fit_fails(iris):
    X, y = iris
    callback = StopAfter(99)
    model = SoftmaxRegression(max_iter=50).set_callbacks(callback)

    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        model.fit(X, y, offset=Broken())
    assert callback.seen in ([], ["setup", "teardown"])


# --- what the user sees


def test_passes_that_run_out_warn_with_the_sentence_and_the_gap(iris):
    with pytest.warns(ConvergenceWarning) as caught:
        model = SoftmaxRegression(max_iter=8, solver="lbfgs").fit(*iris)
    message = str(caught[0].message)
    assert Status.MAX_PASSES.value in message
    assert "Raise `max_iter`" in message
    assert np.isfinite(model.certificate_.relative_gap)
    assert f"{model.certificate_.relative_gap:.2g}" in message
    assert str(model.certificate_.passes) in message
    assert caught[0].filename == __file__
    assert model.certificate_.status is Status.MAX_PASSES
    assert model.n_iter_.tolist() == [model.certificate_.passes]


def test_a_tolerance_below_rounding_warns_that_it_is(iris):
    with pytest.warns(ConvergenceWarning, match="Rounding hides further progress"):
        model = SoftmaxRegression(tol=1e-30).fit(*iris)
    assert model.certificate_.status is Status.PRECISION
    assert model.certificate_.relative_gap < 1e-9


def test_it_is_silent_unless_asked(iris, capsys):
    SoftmaxRegression().fit(*iris)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, 2])
def test_verbose_writes_passes_and_gap_to_standard_error(verbose, iris, capsys):
    model = SoftmaxRegression(verbose=verbose).fit(*iris)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    numbers = [int(re.match(r"pass +(\d+) ", line)[1]) for line in lines]
    if verbose == 2:
        assert numbers == [point.passes for point in model.trace_]
    else:
        assert 2 <= len(lines) < len(model.trace_)
    assert numbers[-1] == model.n_iter_[0]
    assert "(estimated)" in lines[0]
    assert "(certified)" in lines[-1]
    assert f"{model.certificate_.relative_gap:.2e}" in lines[-1]


def test_the_trace_is_the_history_of_the_fit(load):
    X, y = load("digits")
    model = SoftmaxRegression().fit(X, y)
    # A line a pass, except that a certificate may take several.
    steps = np.diff([0, *(point.passes for point in model.trace_)])
    assert ((steps == 1) | [point.certified for point in model.trace_]).all()
    assert (steps >= 1).all()
    assert model.trace_[-1].passes == model.certificate_.passes
    assert model.trace_[-1].certified
    assert model.trace_[-1].relative_gap == model.certificate_.relative_gap
    assert model.trace_[0].objective > 5 * model.certificate_.objective
    assert model.certificate_.seconds > 0


def test_the_number_of_threads_does_not_change_the_answer(iris):
    X, y = iris
    one, two = (SoftmaxRegression(n_threads=k, tol=1e-10).fit(X, y) for k in (1, 2))
    np.testing.assert_allclose(one.predict_proba(X), two.predict_proba(X), atol=1e-6)


def test_fits_with_one_seed_are_equal_and_other_seeds_reach_the_same_optimum(monkeypatch):
    for name in ("_SAMPLED_ROWS", "_FEW_ROWS"):
        monkeypatch.setattr(f"crossent.objectives.sampling.{name}", 200)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 5))
    y = (X @ rng.normal(size=(5, 3)) + rng.gumbel(size=(2000, 3))).argmax(axis=1)
    first, again, other = (SoftmaxRegression(random_state=k).fit(X, y) for k in (0, 0, 1))
    np.testing.assert_array_equal(first.coef_, again.coef_)
    assert not np.array_equal(first.coef_, other.coef_)
    for model in (first, other):
        assert model.certificate_.relative_gap <= 1e-6
    np.testing.assert_allclose(first.predict_proba(X), other.predict_proba(X), atol=0.02)
    state = np.random.RandomState(5)
    SoftmaxRegression(random_state=state).fit(X, y)


def test_a_fit_does_not_touch_the_global_random_state(iris):
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    SoftmaxRegression().fit(*iris)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
