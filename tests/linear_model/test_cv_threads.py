"""Folds share the cores: the same answer, never more threads than allowed, a clean end."""

import threading
import time

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.datasets import load_iris
from threadpoolctl import threadpool_info, threadpool_limits

from crossent import SoftmaxRegressionCV
from crossent.linear_model.cross_validation import share_cores
from crossent.linear_model.folds import Fold
from crossent.objectives.blas import _release

X, Y = load_iris(return_X_y=True)
CS = [1e-2, 1.0]


@pytest.fixture
def two_blas_threads():
    """Other fixtures hold BLAS to one."""
    limit = threadpool_limits(2, user_api="blas")
    _release()
    yield
    limit.restore_original_limits()
    _release()


def folds_of(count, rows):
    known = np.ones(3, dtype=bool)
    return [Fold(np.arange(rows), np.arange(1), known, ~known) for _ in range(count)]


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4, 7, 16])
@pytest.mark.parametrize("n_jobs", [None, 1, 2, 5, 100, -1])
@pytest.mark.parametrize("folds", [1, 5, 10])
def test_folds_times_threads_never_exceed_the_limit(n_threads, n_jobs, folds):
    jobs, each = share_cores(n_jobs, n_threads, folds_of(folds, 100), 8.0)

    assert jobs * each <= n_threads
    assert 1 <= jobs <= folds
    assert each >= 1
    assert (jobs + 1) * each > n_threads or jobs in (n_jobs, folds) or n_jobs == -1


def test_without_a_wish_copies_of_the_rows_stay_below_two_gigabytes():
    # 1e6 training rows of 800 bytes are 0.8 GB a fold.
    assert share_cores(None, 8, folds_of(5, 1_000_000), 800.0) == (2, 4)
    assert share_cores(None, 8, folds_of(5, 1_000_000), 80.0) == (5, 1)
    assert share_cores(None, 8, folds_of(5, 1_000_000), 8000.0) == (1, 8)
    assert share_cores(4, 8, folds_of(5, 1_000_000), 8000.0) == (4, 2)  # asked for


@pytest.mark.parametrize("n_jobs", [None, 2, -1])
def test_the_answer_is_the_same_for_any_number_of_jobs(n_jobs):
    alone = SoftmaxRegressionCV(Cs=CS, n_jobs=1, n_threads=1).fit(X, Y)

    model = SoftmaxRegressionCV(Cs=CS, n_jobs=n_jobs, n_threads=3).fit(X, Y)

    # Rounding may differ with the number of threads; certificates are of 1e-6.
    assert np.allclose(model.scores_, alone.scores_, rtol=1e-5)
    assert model.C_ == alone.C_


def test_folds_run_at_a_time_and_blas_is_held(two_blas_threads):
    running, seen, lock = [0], [], threading.Lock()

    def scorer(estimator, rows, truth):
        with lock:
            running[0] += 1
            blas = max(p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas")
            seen.append((running[0], blas))
        time.sleep(0.05)
        with lock:
            running[0] -= 1
        return 0.0

    SoftmaxRegressionCV(Cs=CS, scoring=scorer, n_jobs=2, n_threads=2).fit(X, Y)

    assert max(count for count, _ in seen) == 2
    assert {blas for _, blas in seen} == {1}
    assert {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"} == {2}


def test_an_error_in_one_fold_ends_the_others():
    scored = []

    def scorer(estimator, rows, truth):
        scored.append(estimator.C)
        if len(scored) == 2:
            message = "no more"
            raise RuntimeError(message)
        time.sleep(0.05)
        return 0.0

    with pytest.raises(RuntimeError, match="no more"):
        SoftmaxRegressionCV(Cs=10, scoring=scorer, n_jobs=2, n_threads=2).fit(X, Y)

    assert len(scored) <= 4  # of 50


def test_an_interrupt_ends_the_fit():
    def scorer(estimator, rows, truth):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SoftmaxRegressionCV(Cs=CS, scoring=scorer, n_jobs=2, n_threads=2).fit(X, Y)


def test_several_python_threads_may_fit_at_once(two_blas_threads):
    expected = SoftmaxRegressionCV(Cs=CS, n_jobs=2, n_threads=2).fit(X, Y).scores_
    found = [None] * 4

    def work(k):
        found[k] = SoftmaxRegressionCV(Cs=CS, n_jobs=1 + k % 2, n_threads=2).fit(X, Y).scores_

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(np.allclose(scores, expected, rtol=1e-5) for scores in found)
    assert {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"} == {2}


def test_a_surrounding_joblib_configuration_does_not_matter():
    with parallel_config(backend="threading", n_jobs=2):
        inside = SoftmaxRegressionCV(Cs=CS).fit(X, Y)

    assert np.allclose(inside.scores_, SoftmaxRegressionCV(Cs=CS).fit(X, Y).scores_, rtol=1e-5)


def test_the_rows_are_not_written_to_and_may_be_read_only():
    frozen, labels = X.copy(), Y.copy()
    frozen.setflags(write=False)
    labels.setflags(write=False)

    model = SoftmaxRegressionCV(Cs=CS).fit(frozen, labels)

    assert np.array_equal(model.scores_, SoftmaxRegressionCV(Cs=CS).fit(X, Y).scores_)


def test_a_line_per_fit_goes_to_standard_error(capsys):
    SoftmaxRegressionCV(Cs=CS, cv=3, verbose=1, n_jobs=1).fit(X, Y)

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fold")]
    assert [line.split()[:4] for line in lines[:2]] == [
        ["fold", "0", "score", line.split()[3]] for line in lines[:2]
    ]
    assert len(lines) == 6
