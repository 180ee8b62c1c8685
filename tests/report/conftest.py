"""One small fit for each kind of data, shared by the tests of the report."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression

from crossent.certificate import Certificate, Status, TracePoint

mpl.use("Agg")


def with_certificate(model, status=Status.CONVERGED, kind="gap"):
    """Give a scikit-learn model the attributes of ours, with numbers that a test can find."""
    gap, relative = (1.25e-7, 5.5e-7) if kind == "gap" else (np.nan, np.nan)
    model.certificate_ = Certificate(
        kind, 0.2271, gap, relative, 3.5e-9, decrement=2.5e-9, passes=4, seconds=1.5, status=status
    )
    model.trace_ = [
        TracePoint(1, 0.1, 2.0, np.inf if kind == "gap" else np.nan, 1.0),
        TracePoint(2, 0.2, 0.5, 1e-1 if kind == "gap" else np.nan, 1e-2),
        TracePoint(3, 0.3, 0.3, 1e-4 if kind == "gap" else np.nan, 1e-5),
        TracePoint(4, 0.4, 0.2271, relative, 3.5e-9, True),
    ]
    model.tol = 1e-6
    return model


@pytest.fixture(scope="session")
def certified():
    return with_certificate


@pytest.fixture
def ax():
    return Figure(figsize=(4, 3)).add_subplot()


@pytest.fixture(scope="session")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="session")
def iris_model(iris):
    return with_certificate(LogisticRegression(max_iter=500).fit(*iris))


@pytest.fixture(scope="session")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.fixture(scope="session")
def digits_model(digits):
    X, y = digits
    return with_certificate(LogisticRegression(C=0.1, tol=0.01).fit(X[:900], y[:900]))
