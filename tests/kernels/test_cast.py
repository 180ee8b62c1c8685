"""Arithmetic in another type than X's: the sums are those of X cast beforehand, to the last bit."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from crossent.kernels import CATALOGUE, PassSums
from crossent.kernels import dense as dense_kernel
from crossent.typing import Block

KERNELS = {capability.kernel.name: capability.kernel for capability in CATALOGUE}


def block_of(X, q, seed=0):
    rng = np.random.default_rng(seed)
    n = X.shape[0]
    weight = rng.dirichlet(np.ones(n))
    return Block(X, rng.integers(0, q, n), weight, rng.normal(size=(n, q)), 0)


def sums_of(kernel, block, W, b, dtype=None):
    q, d = W.shape
    out = PassSums(
        np.zeros((q, d)),
        np.zeros(q),
        mean_probability=np.zeros(q),
        second_moment=np.zeros((q, q)),
        entropy=np.zeros(()),
        row_curvature=np.full(block.X.shape[0], np.nan),
    )
    kernel.accumulate(block, W, b, out, 2, dtype)
    return out


def rows(n, d, order):
    X = np.random.default_rng(1).normal(size=(n, d)).astype(np.float32)
    if order == "csr":
        X[np.abs(X) < 1] = 0
        return sp.csr_array(X)
    return np.asarray(X, order=order)


@pytest.mark.parametrize("q", [2, 5])
@pytest.mark.parametrize("shape", [(1, 1), (37, 3), (150, 40), (700, 17)])
@pytest.mark.parametrize(
    ("name", "order"),
    [("compiled-dense", "C"), ("compiled-dense", "F"), ("compiled-csr", "csr"), ("numpy", "C")],
)
def test_a_pass_in_float64_over_float32_rows_is_that_over_their_cast(
    name, order, shape, q, monkeypatch
):
    monkeypatch.setattr(dense_kernel, "_CAST_BYTES", 8 * 16 * shape[1])  # pieces of 16 rows
    kernel = KERNELS[name]
    X = rows(*shape, order)
    block = block_of(X, q)
    rng = np.random.default_rng(2)
    W, b = rng.normal(size=(q, shape[1])), rng.normal(size=q)
    found = sums_of(kernel, block, W, b, np.dtype(np.float64))
    # The casting way cuts rows into blocks at other places: only the order of sums may differ.
    wanted = sums_of(kernel, replace(block, X=X.astype(np.float64)), W, b)
    for field in vars(wanted):
        mine, theirs = getattr(found, field), getattr(wanted, field)
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-15, err_msg=field)
    in_float32 = sums_of(kernel, block, W, b)
    assert np.abs(in_float32.gradient_b - wanted.gradient_b).max() > 1e-12


def test_many_classes_are_tiled_in_float64_too():
    X = rows(70, 20, "C")
    q = 30_000
    block = replace(block_of(X, 7), offset=None)
    rng = np.random.default_rng(2)
    W, b = rng.normal(size=(q, 20)), rng.normal(size=q)
    kernel = KERNELS["compiled-dense"]
    outs = []
    for X_given, dtype in ((X, np.dtype(np.float64)), (X.astype(np.float64), None)):
        out = PassSums(np.zeros((q, 20)), np.zeros(q))
        kernel.accumulate(replace(block, X=X_given), W, b, out, 2, dtype)
        outs.append(out)
    np.testing.assert_array_equal(outs[0].gradient_W, outs[1].gradient_W)
    assert outs[0].loss == outs[1].loss
    assert np.abs(outs[0].gradient_W).max() > 0
