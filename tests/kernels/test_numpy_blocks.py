"""The NumPy pass against its definition, evaluated row by row with 60 decimal digits."""

import dataclasses
import math

import mpmath
import numpy as np
import pytest
import scipy.sparse as sp

from crossent.kernels import NUMPY_BLOCKS, PassSums, probabilities
from crossent.typing import Block

D, Q = 3, 4
FIELDS = [field.name for field in dataclasses.fields(PassSums)]
excluded = -math.inf


def definition(block, W, b):
    """Every sum of PassSums, as written in its docstring; 60 digits, then float64."""
    X = block.X.toarray() if sp.issparse(block.X) else block.X
    Y = block.targets.toarray() if sp.issparse(block.targets) else block.targets
    Y = np.eye(len(W))[Y] if Y.ndim == 1 else Y
    q, d, n = len(W), X.shape[1], len(X)
    offset = np.zeros((n, q)) if block.offset is None else block.offset
    with mpmath.workdps(60):
        m = mpmath.mpf
        sums = {
            "gradient_W": np.full((q, d), m(0)),
            "gradient_b": np.full(q, m(0)),
            "loss": m(0),
            "mean_probability": np.full(q, m(0)),
            "second_moment": np.full((q, q), m(0)),
            "entropy": m(0),
            "row_curvature": np.full(block.first_row + n, m(0)),
        }
        for i in range(n):
            s, x = m(float(block.sample_weight[i])), [m(float(v)) for v in X[i]]
            z = [
                mpmath.fdot([m(float(v)) for v in W[j]], x)
                + m(float(b[j]))
                + m(float(offset[i, j]))
                for j in range(q)
            ]
            total = mpmath.fsum(mpmath.exp(v) for v in z)
            p = np.array([mpmath.exp(v) / total for v in z])
            y = np.array([m(float(v)) for v in Y[i]])
            sums["loss"] += s * mpmath.fsum(
                y[j] * (mpmath.log(total) - z[j]) for j in range(q) if y[j] > 0
            )
            sums["gradient_b"] += s * (p - y)
            sums["gradient_W"] += s * np.outer(p - y, x)
            sums["mean_probability"] += s * p
            sums["second_moment"] += s * np.outer(p, p)
            sums["entropy"] -= s * mpmath.fsum(v * mpmath.log(v) for v in p if v > 0)
            sums["row_curvature"][block.first_row + i] = 1 - mpmath.fsum(v * v for v in p)
        return {name: np.array(value, dtype=np.float64) for name, value in sums.items()}


def empty_sums(q, d, rows, start=0.0):
    return PassSums(
        gradient_W=np.full((q, d), start),
        gradient_b=np.full(q, start),
        loss=np.full((), start),
        mean_probability=np.full(q, start),
        second_moment=np.full((q, q), start),
        entropy=np.full((), start),
        row_curvature=np.full(rows, np.nan),
    )


def tolerances(block, W, b):
    """First-order rounding bounds.

    A logit is a sum of d + 2 terms: its error is δ = (d + 2)·u·(|W||x| + |b| + |offset|); W and b
    are rounded to the type of X as well, which doubles it. logsumexp and y·z are 1-Lipschitz: the
    loss moves by 2δ. A probability moves by the factor 1 ± 2δ. A sum of n terms adds n·u.
    """
    X = abs(block.X).toarray() if sp.issparse(block.X) else abs(block.X)
    u, n = float(np.finfo(X.dtype).eps), len(X)
    size = X.astype(float) @ abs(W).T + np.where(np.isfinite(b), abs(b), 0.0)
    size += 0 if block.offset is None else abs(block.offset)
    delta = 2 * (X.shape[1] + 2) * u * size.max(axis=1)
    s, row = block.sample_weight, 4 * delta + (n + 8) * u
    curvature = np.full(block.first_row + n, 0.0)
    curvature[block.first_row :] = 2 * row
    return {
        "gradient_W": 2 * (s * row) @ X,
        "gradient_b": 2 * (s @ row),
        "loss": s @ row * (1 + s @ size.max(axis=1)),
        "mean_probability": s @ row,
        "second_moment": 2 * (s @ row),
        "entropy": s @ row * (2 + math.log(len(W))),
        "row_curvature": curvature,
    }


def assert_is_definition(block, W, b, sums):
    expected, bound = definition(block, W, b), tolerances(block, W, b)
    for name in FIELDS:
        error = abs(getattr(sums, name) - expected[name])
        assert (error <= bound[name])[np.isfinite(expected[name])].all(), (name, error, bound[name])
        # The bound must be able to tell the answer from zero.
        assert np.max(bound[name]) < 0.02 * np.max(abs(expected[name])), name


def make_block(rng, *, storage="dense", targets="labels", dtype="float64", offset=False, n=9):
    X = rng.normal(size=(n, D)).astype(dtype) * (rng.random((n, D)) < 0.7)
    labels = rng.integers(0, Q, n)
    Y = rng.dirichlet(np.full(Q, 0.4), n) * (rng.random((n, Q)) < 0.7) + 1e-3 * np.eye(Q)[labels]
    Y /= Y.sum(axis=1, keepdims=True)
    weight = rng.random(n)
    weight[2] = 0.0
    return Block(
        X={"dense": X, "fortran": np.asfortranarray(X), "csr": sp.csr_array(X)}[storage],
        targets={"labels": labels, "dense": Y, "csr": sp.csr_array(Y)}[targets],
        sample_weight=weight / weight.sum(),
        offset=rng.normal(size=(n, Q)) if offset else None,
        first_row=5,
    )


def run(block, W, b):
    sums = empty_sums(len(W), block.X.shape[1], block.first_row + block.X.shape[0])
    NUMPY_BLOCKS.accumulate(block, W, b, sums, None)
    sums.row_curvature[: block.first_row] = 0.0
    return sums


@pytest.mark.parametrize("offset", [False, True], ids=["no offset", "offset"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("targets", ["labels", "dense", "csr"])
@pytest.mark.parametrize("storage", ["dense", "fortran", "csr"])
def test_all_sums_equal_the_definition(storage, targets, dtype, offset):
    rng = np.random.default_rng(3)
    block = make_block(rng, storage=storage, targets=targets, dtype=dtype, offset=offset)
    W, b = rng.normal(size=(Q, D)), rng.normal(size=Q)
    assert_is_definition(block, W, b, run(block, W, b))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [30.0, 1000.0])
def test_saturated_logits_neither_overflow_nor_lose_the_sums(scale, dtype):
    rng = np.random.default_rng(4)
    block = make_block(rng, dtype=dtype, targets="dense")
    W = np.round(scale * rng.normal(size=(Q, D)) / 8) * 8
    block = dataclasses.replace(block, X=np.round(2 * block.X) / 2)  # logits are exact multiples
    sums, expected = run(block, W, np.zeros(Q)), definition(block, W, np.zeros(Q))
    u = float(np.finfo(dtype).eps)
    for name in ("loss", "gradient_W", "gradient_b", "mean_probability"):
        np.testing.assert_allclose(
            getattr(sums, name), expected[name], rtol=20 * u, atol=20 * u * abs(block.X).max()
        )


@pytest.mark.parametrize("targets", ["labels", "dense", "csr"])
def test_a_class_excluded_by_minus_infinity_has_no_share_in_any_sum(targets):
    rng = np.random.default_rng(5)
    block = make_block(rng, targets=targets)
    if targets == "labels":
        block = dataclasses.replace(block, targets=block.targets % (Q - 1))
    else:
        Y = block.targets.toarray() if sp.issparse(block.targets) else block.targets
        Y = Y[:, : Q - 1] + 1e-3
        Y = np.hstack([Y / Y.sum(axis=1, keepdims=True), np.zeros((len(Y), 1))])
        block = dataclasses.replace(block, targets=Y if targets == "dense" else sp.csr_array(Y))
    W, b = rng.normal(size=(Q, D)), np.array([0.3, -0.2, 0.5, excluded])
    sums = run(block, W, b)
    assert_is_definition(block, W, b, sums)
    assert not sums.gradient_W[-1].any()
    assert sums.mean_probability[-1] == 0


def test_a_row_of_an_excluded_class_has_infinite_loss():
    block = Block(np.ones((1, 1)), np.array([1]), np.ones(1), None, 0)
    assert run(block, np.zeros((3, 1)), np.array([0.0, excluded, 0.0])).loss == math.inf


@pytest.mark.parametrize("targets", ["label", "distribution"])
@pytest.mark.parametrize(("dtype", "margin"), [("float32", 20.0), ("float64", 40.0)])
def test_the_loss_of_a_certain_row_keeps_its_relative_accuracy(dtype, margin, targets):
    # Logits (margin, 0) are exact, so the loss log1p(exp(-margin)) = 2.06e-9 or 4.2e-18 must come
    # out to a few units of rounding of exp; 1 - p or log(softmax) would give 0.
    Y = np.array([0]) if targets == "label" else np.array([[1.0, 0.0]])
    block = Block(np.full((1, 1), margin, dtype), Y, np.ones(1), None, 0)
    sums = run(block, np.array([[1.0], [0.0]]), np.zeros(2))
    truth = float(mpmath.log1p(mpmath.exp(-margin)))
    assert sums.loss == pytest.approx(truth, rel=4 * float(np.finfo(dtype).eps), abs=0)
    if targets == "label":  # so does its gradient, -tail/(1 + tail)
        share = float(1 / (1 + mpmath.exp(mpmath.mpf(margin))))
        expected = [-share, share]
        np.testing.assert_allclose(sums.gradient_b, expected, rtol=4 * np.finfo(dtype).eps)
        np.testing.assert_allclose(
            sums.gradient_W[:, 0], margin * sums.gradient_b, rtol=4 * np.finfo(dtype).eps
        )


def test_the_pass_adds_to_what_is_there():
    rng = np.random.default_rng(6)
    block = make_block(rng)
    W, b = rng.normal(size=(Q, D)), rng.normal(size=Q)
    once, twice = run(block, W, b), empty_sums(Q, D, 14, start=7.0)
    NUMPY_BLOCKS.accumulate(block, W, b, twice, None)
    for name in FIELDS[:-1]:
        np.testing.assert_allclose(getattr(twice, name) - 7.0, getattr(once, name), atol=1e-14)


def test_optional_sums_are_left_out_where_they_are_not_wanted():
    rng = np.random.default_rng(7)
    block = make_block(rng)
    W, b = rng.normal(size=(Q, D)), rng.normal(size=Q)
    sums = PassSums(np.zeros((Q, D)), np.zeros(Q))
    NUMPY_BLOCKS.accumulate(block, W, b, sums, None)
    assert [getattr(sums, name) for name in FIELDS[3:]] == [None] * 4
    np.testing.assert_array_equal(sums.gradient_W, run(block, W, b).gradient_W)


@pytest.mark.parametrize("n", [2047, 2048, 2049, 4097])
@pytest.mark.parametrize("rows", [1000, NUMPY_BLOCKS.block_rows])
def test_the_sums_do_not_depend_on_where_blocks_end(n, rows):
    rng = np.random.default_rng(8)
    whole = dataclasses.replace(make_block(rng, n=n, offset=True), first_row=0)
    W, b = rng.normal(size=(Q, D)), rng.normal(size=Q)
    expected, sums = run(whole, W, b), empty_sums(Q, D, n)
    for start in range(0, n, rows):
        part = slice(start, start + rows)
        block = Block(
            whole.X[part], whole.targets[part], whole.sample_weight[part], whole.offset[part], start
        )
        NUMPY_BLOCKS.accumulate(block, W, b, sums, None)
    for name in FIELDS:  # each is a mean of terms of size ≤ 10: n·u of rounding at most
        np.testing.assert_allclose(
            getattr(sums, name), getattr(expected, name), rtol=0, atol=10 * n * 2.3e-16
        )


def test_rows_of_weight_zero_count_for_nothing():
    rng = np.random.default_rng(9)
    block = make_block(rng)
    W, b = rng.normal(size=(Q, D)), rng.normal(size=Q)
    X = block.X.copy()
    X[2] = 1e3  # the row whose weight is zero
    for name in FIELDS[:-1]:
        changed = run(dataclasses.replace(block, X=X), W, b)
        np.testing.assert_allclose(
            getattr(changed, name), getattr(run(block, W, b), name), rtol=1e-14, atol=1e-16
        )


def test_nothing_given_is_written_to():
    rng = np.random.default_rng(10)
    block = make_block(rng, targets="dense", offset=True)
    W, b = rng.normal(size=(Q, D)), rng.normal(size=Q)
    for array in (block.X, block.targets, block.sample_weight, block.offset, W, b):
        array.flags.writeable = False
    run(block, W, b)


def test_probabilities_are_the_softmax_of_the_logits():
    rng = np.random.default_rng(11)
    block = make_block(rng, offset=True)
    W, b = rng.normal(size=(Q, D)), np.array([0.1, excluded, -2.0, 0.0])
    z = block.X @ W.T + b + block.offset
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(block, W, b), expected, rtol=1e-14)
