"""Data and surroundings that are odd must not change the answer, on compiled kernels.

Two certified fits of one problem lie within the larger of their two gaps of each other, since both
values lie between the optimum and the optimum plus their own gap.
"""

import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import crossent
from crossent import SoftmaxRegression
from crossent.kernels import catalogue
from crossent.linear_model import softmax_regression

ROWS, FEATURES, CLASSES = 400, 6, 3


@pytest.fixture(autouse=True)
def compiled_kernels(monkeypatch):
    monkeypatch.setattr(catalogue, "COMPILED_WORK", 0)


@pytest.fixture
def data(overlapping):
    X, y, _ = overlapping(ROWS, FEATURES, CLASSES)
    return X.astype(np.float32), y


def assert_same_optimum(first, second):
    one, other = first.certificate_, second.certificate_
    assert one.converged
    assert other.converged
    assert one.objective > 0.1  # a gap means something
    # 1e-14: rounding of a value near 1, added up in another order
    assert abs(one.objective - other.objective) <= max(one.gap, other.gap) + 1e-14
    assert max(one.relative_gap, other.relative_gap) <= first.tol


def fit(X, y, sample_weight=None, **options):
    return SoftmaxRegression(**{"tol": 1e-8, **options}).fit(X, y, sample_weight=sample_weight)


@pytest.mark.parametrize("storage", ["C", "F", "csr"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_and_memory_order_do_not_change_the_optimum(storage, dtype, data):
    X, y = data
    expected = fit(X, y, n_threads=1)
    same = sp.csr_array(X.astype(dtype)) if storage == "csr" else np.array(X, dtype, order=storage)
    for n_threads in (1, 2, 5):
        assert_same_optimum(expected, fit(same, y, n_threads=n_threads))


def unaligned(X):
    memory = np.zeros(X.nbytes + 1, np.uint8)
    result = np.ndarray(X.shape, X.dtype, memory.data, offset=1)
    result[...] = X
    assert not result.flags.aligned
    return result


def read_only(X):
    result = X.copy()
    result.flags.writeable = False
    return result


LAYOUTS = {
    "read-only": read_only,
    "unaligned": unaligned,
    "of the other byte order": lambda X: X.astype(X.dtype.newbyteorder()),
    "every second": lambda X: np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2],
    "backwards in memory": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_how_numbers_lie_in_memory_does_not_matter(layout, data):
    X, y = data
    assert_same_optimum(fit(X, y), fit(LAYOUTS[layout](X), y))


def with_wide_indices(X):
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def unsorted(X):
    """Each row's entries in the opposite order."""
    order = np.concatenate(
        [np.arange(b - 1, a - 1, -1) for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)]
    )
    return sp.csr_array((X.data[order], X.indices[order], X.indptr), shape=X.shape)


def repeated(X):
    """Every entry as two, which add up to it."""
    parts = np.repeat(X.data / 4, 2)
    parts[::2] *= 3
    return sp.csr_array((parts, np.repeat(X.indices, 2), 2 * X.indptr), shape=X.shape)


def read_only_parts(X):
    for part in (X.data, X.indices, X.indptr):
        part.flags.writeable = False
    return X


def unaligned_parts(X):
    X.data = unaligned(X.data)
    return X


SPARSE = {
    "wide indices": with_wide_indices,
    "unsorted": unsorted,
    "repeated": repeated,
    "read-only": read_only_parts,
    "unaligned": unaligned_parts,
}


@pytest.mark.parametrize("solver", ["auto", "lbfgs"])
@pytest.mark.parametrize("form", SPARSE)
def test_the_form_of_sparse_rows_does_not_matter(form, solver, monkeypatch):
    monkeypatch.setattr("crossent.objectives.dual_ascent._FEATURES", 10)  # auto starts in the dual
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((ROWS, 40)) < 0.1, rng.normal(size=(ROWS, 40)), 0)
    dense[:5] = 0
    dense[:, 3] = 0
    X = sp.csr_array(dense)
    y = (dense @ rng.normal(size=(40, 3)) * 3 + rng.gumbel(size=(ROWS, 3))).argmax(axis=1)
    given = SPARSE[form](X.copy())
    kept = given.data.copy()
    assert_same_optimum(fit(dense, y), fit(given, y, solver=solver))
    np.testing.assert_array_equal(given.data, kept)


def test_rows_of_weight_zero_do_not_count_whatever_they_hold(data):
    X, y = data
    weight = np.ones(ROWS)
    weight[::7] = 0
    odd = X.copy()
    odd[::7] = 1e14  # float32's limit is 1e15
    assert_same_optimum(fit(X[weight > 0], y[weight > 0]), fit(odd, y, weight))


@pytest.mark.parametrize("factor", [1e-200, 1e-30, 1e30, 1e200])
def test_the_unit_of_the_weights_does_not_matter(factor, data):
    X, y = data
    assert_same_optimum(fit(X, y), fit(X, y, np.full(ROWS, factor), C=1 / factor))


@pytest.mark.parametrize(("C", "max_iter", "converged"), [(1e6, 1000, True), (1e100, 40, False)])
@pytest.mark.filterwarnings("ignore:The passes:sklearn.exceptions.ConvergenceWarning")
def test_separated_classes_have_finite_coefficients_for_huge_C(C, max_iter, converged):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = (X @ rng.normal(size=(4, 3))).argmax(axis=1)
    with np.errstate(all="raise", under="ignore"):
        model = SoftmaxRegression(C=C, tol=1e-3, max_iter=max_iter).fit(X, y)
    assert model.certificate_.converged == converged  # the loss of the optimum is near 1e-100
    assert model.separable_
    assert np.isfinite(model.coef_).all()
    assert model.score(X, y) == 1


@pytest.mark.parametrize("X", [np.zeros((3, 0)), sp.csr_array((3, 0)), np.zeros((0, 2))])
def test_rows_or_columns_that_are_missing_are_refused(X):
    with pytest.raises(ValueError, match=r"Found array with 0 (feature|sample)\(s\)"):
        SoftmaxRegression().fit(X, np.arange(X.shape[0]) % 2)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_one_row_with_a_distribution_is_fitted(container):
    target = np.array([[0.2, 0.3, 0.5]])
    model = fit(container(np.array([[1.0, -2.0]])), target)
    # The intercept, which carries no penalty, can give the row its distribution.
    np.testing.assert_allclose(model.predict_proba([[1.0, -2.0]]), target, rtol=1e-3)
    with pytest.raises(ValueError, match="one class"):
        SoftmaxRegression().fit([[1.0, 2.0]], [0])


@pytest.mark.parametrize("place", [(0, 0), (ROWS - 1, FEATURES - 1), (123, 2)])
def test_nan_is_found_and_named_by_the_one_reading_that_finds_the_ranges(place, data, monkeypatch):
    X, y = data
    readings = []

    def counted(X):
        readings.append(X.shape)
        return column_range(X)

    column_range = softmax_regression.column_range
    monkeypatch.setattr(softmax_regression, "column_range", counted)

    def refuse(*args, **options):
        raise AssertionError(args, options)

    monkeypatch.setattr("sklearn.utils.validation._assert_all_finite", refuse)
    softmax_regression.SoftmaxRegression(max_iter=50).fit(X, y)
    assert readings == [X.shape]
    bad = X.copy()
    bad[place] = np.nan
    with pytest.raises(ValueError, match=f"row {place[0]}, column {place[1]}"):
        SoftmaxRegression().fit(bad, y)


def test_fits_from_several_threads_at_once_are_those_of_one(data):
    X, y = data
    expected = fit(X, y, n_threads=2).coef_
    found = [None] * 4

    def task(k):
        found[k] = fit(X, y, n_threads=2).coef_

    workers = [threading.Thread(target=task, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for coef in found:
        np.testing.assert_array_equal(coef, expected)


PROGRAM = """
import os
import numpy as np
from crossent import SoftmaxRegression
from crossent.kernels import catalogue
catalogue.COMPILED_WORK = 0
rng = np.random.default_rng(0)
X, y = rng.normal(size=(300, 3)), rng.integers(0, 3, 300)
model = SoftmaxRegression(n_threads=2).fit(X, y)
"""


def run(program, **options):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        timeout=300, capture_output=True, text=True, check=True, **options,
    ).stdout  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="The system has no fork.")
def test_a_fork_after_a_fit_can_fit_too():
    program = PROGRAM + (
        "import warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)  # Python's, of fork beside threads\n"
        "child = os.fork()\n"
        "same = (SoftmaxRegression(n_threads=2).fit(X, y).coef_ == model.coef_).all()\n"
        "if child == 0:\n"
        "    os._exit(0 if same else 1)\n"
        "print(bool(same), os.waitpid(child, 0)[1])\n"
    )
    assert run(program).split() == ["True", "0"]


def test_a_package_and_a_home_that_cannot_be_written_are_no_obstacle(tmp_path):
    # For the superuser every folder can be written; a file where the cache folder would be cannot
    # be made one by anybody.
    package = tmp_path / "crossent"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(crossent.__file__).parent, package, ignore=ignore)
    kernels = package / "kernels"
    (kernels / "__pycache__").write_text("not a folder")
    kernels.chmod(stat.S_IRUSR | stat.S_IXUSR)
    home = tmp_path / "home"
    home.write_text("not a folder")
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    environment |= {"PYTHONPATH": str(tmp_path), "HOME": str(home), "XDG_CACHE_HOME": str(home)}
    program = PROGRAM + "import crossent; print(crossent.__file__, model.certificate_.converged)"
    try:
        where, converged = run(program, env=environment, cwd=tmp_path).split()
    finally:
        kernels.chmod(stat.S_IRWXU)
    assert Path(where).parent == package
    assert converged == "True"
