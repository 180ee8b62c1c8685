"""Small data sets, an independent optimum, and one thread of linear algebra."""

import numpy as np
import pytest
import scipy.optimize
import threadpoolctl
from scipy.special import logsumexp, softmax
from sklearn import datasets

from crossent import SoftmaxRegression

LOADERS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}


@pytest.fixture(autouse=True, scope="session")
def one_thread_of_blas():
    """Small matrices: several threads only wait for each other."""
    with threadpoolctl.threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def load():
    def bundled(name):
        return LOADERS[name](return_X_y=True)

    return bundled


@pytest.fixture(scope="session")
def overlapping():
    """Rows of q classes that overlap, and a soft target for each."""

    def make(n=60, d=4, q=3, seed=0):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n, d))
        logits = X @ rng.normal(size=(d, q)) + rng.gumbel(size=(n, q))
        y = logits.argmax(axis=1)
        y[:q] = np.arange(q)
        Y = 0.7 * np.eye(q)[y] + 0.3 * softmax(logits, axis=1)
        return X, y, Y / Y.sum(axis=1, keepdims=True)

    return make


@pytest.fixture(scope="session")
def certified():
    """A fit to 1e-10 that must have got there."""

    def fit(X, y, *, sample_weight=None, offset=None, **options):
        model = SoftmaxRegression(**{"tol": 1e-10, **options})
        model.fit(X, y, sample_weight=sample_weight, offset=offset)
        assert model.certificate_.converged
        assert model.certificate_.relative_gap <= model.tol
        return model

    return fit


@pytest.fixture(scope="session")
def scipy_optimum():
    """(W, b) of C·Σ s·loss + ½‖W‖², by SciPy's trust-region Newton method."""

    def solve(X, Y, s, C, offset=0.0, fit_intercept=True):
        n, d = X.shape
        q = Y.shape[1]
        V = np.hstack([X, np.ones((n, 1))]) if fit_intercept else X
        k = V.shape[1]
        penalised = np.tile(np.arange(k) < d, q).astype(float)

        def parts(w):
            z = V @ w.reshape(q, k).T + offset
            return z, softmax(z, axis=1)

        def value(w):
            z, _ = parts(w)
            loss = logsumexp(z, axis=1) - (Y * z).sum(axis=1)
            return C * s @ loss + penalised @ w**2 / 2

        def gradient(w):
            _, P = parts(w)
            return C * (((P - Y) * s[:, None]).T @ V).ravel() + penalised * w

        def hessian(w):
            _, P = parts(w)
            H = np.zeros((q, k, q, k))
            for a in range(q):
                for c in range(q):
                    H[a, :, c, :] = V.T @ ((s * P[:, a] * ((a == c) - P[:, c]))[:, None] * V)
            return C * H.reshape(q * k, q * k) + np.diag(penalised)

        w = scipy.optimize.minimize(
            value, np.zeros(q * k), jac=gradient, hess=hessian, method="trust-exact", tol=1e-10
        ).x
        for _ in range(5):  # polish: Newton's steps converge quadratically here
            w = w - np.linalg.lstsq(hessian(w), gradient(w), rcond=1e-14)[0]
        W = w.reshape(q, k)
        return W[:, :d], W[:, d] if fit_intercept else np.zeros(q)

    return solve
