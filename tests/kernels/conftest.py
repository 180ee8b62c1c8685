import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from crossent.typing import Block

# Test folders are no packages: the reference is put where the test files can import it.
_spec = importlib.util.spec_from_file_location(
    "kernel_definition", Path(__file__).with_name("definition.py")
)
sys.modules["kernel_definition"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["kernel_definition"])


def make_targets(kind, n, q, rng):
    if kind == "labels":
        return rng.integers(0, q, n)
    y = rng.dirichlet(np.full(q, 0.3), n)
    if kind == "dense":
        return y
    y = np.where(y >= y.max(axis=1, keepdims=True) / 2, y, 0)
    return sp.csr_array(y / y.sum(axis=1, keepdims=True))


@pytest.fixture
def problem():
    """Make ``(block, W, b)`` with weights that differ, some of them 0."""

    def make(n, d, q, dtype, *, kind="labels", order="C", offset=False, csr=False, seed=0):
        rng = np.random.default_rng([n, d, q, seed])
        X = rng.standard_normal((n, d))
        if csr:
            X = sp.csr_array(np.where(rng.uniform(size=(n, d)) < 0.3, X, 0).astype(dtype))
        else:
            X = np.asarray(X, dtype, order=order)
        s = rng.exponential(size=n) * (rng.uniform(size=n) < 0.9)
        s[0] += 1e-3
        block = Block(
            X=X,
            targets=make_targets(kind, n, q, rng),
            sample_weight=s / s.sum(),
            offset=rng.standard_normal((n, q)) if offset else None,
            first_row=0,
        )
        W = rng.standard_normal((q, d)) * (3 / np.sqrt(d))
        return block, W, rng.standard_normal(q)

    return make
