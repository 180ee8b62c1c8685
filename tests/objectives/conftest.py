"""Problems, and the package's objective over the same data."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from crossent.kernels import NUMPY_BLOCKS
from crossent.objectives import SoftmaxObjective
from crossent.sources import ArraySource

spec = importlib.util.spec_from_file_location(
    "objectives_reference", Path(__file__).with_name("reference.py")
)
REFERENCE = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = REFERENCE
spec.loader.exec_module(REFERENCE)


@pytest.fixture(autouse=True, scope="session")
def one_thread_of_blas():
    """Small matrices: several threads only wait for each other."""
    with threadpoolctl.threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def random_problem():
    return REFERENCE.random_problem


@pytest.fixture(scope="session")
def reference():
    return REFERENCE


@pytest.fixture(scope="session")
def source_of():
    def make(problem, *, dtype=np.float64, labels=False, X=None):
        return ArraySource(
            problem.X.astype(dtype) if X is None else X,
            problem.Y.argmax(axis=1) if labels else problem.Y,
            problem.s,
            problem.Y.shape[1],
            problem.offset if problem.offset.any() else None,
            (problem.X.min(axis=0), problem.X.max(axis=0)),
        )

    return make


@pytest.fixture(scope="session")
def objective_of(source_of):
    def make(problem, *, kernel=NUMPY_BLOCKS, hessian="auto", **options):
        return SoftmaxObjective(
            source_of(problem, **options),
            kernel,
            penalty=problem.penalty,
            fit_intercept=problem.fit_intercept,
            hessian=hessian,
        )

    return make
