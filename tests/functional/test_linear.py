"""The linear layer: loss as composed by hand, derivatives by differences and by mpmath."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossent.functional import (
    linear_softmax_cross_entropy,
    softmax_cross_entropy,
    softmax_cross_entropy_gradient,
)

EPS = 2.0**-52


def problem(seed=0, n=5, d=3, q=4):
    rng = np.random.default_rng(seed)
    X, W, b = rng.normal(size=(n, d)), rng.normal(size=(q, d)), rng.normal(size=q)
    return X, W, b, rng.integers(q, size=n), rng.dirichlet(np.ones(q), size=n)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("intercept", [True, False])
def test_derivatives_are_those_of_the_loss(oracle, reduction, hard, intercept):
    X, W, b, labels, y = problem()
    options = {
        "reduction": reduction,
        "sample_weight": [0.5, 2.0, 1.0, 0.0, 3.0],
        "class_weight": [1.0, 2.0, 0.5, 1.5],
        "label_smoothing": 0.1,
    }
    if hard:
        labels[0] = -1
        options["ignore_index"] = -1
    target = labels if hard else y
    b = b if intercept else None

    result = linear_softmax_cross_entropy(X, W, b, target, **options)
    composed = softmax_cross_entropy(X @ W.T + (0 if b is None else b), target, **options)

    def loss(x=X, w=W, c=b):
        return linear_softmax_cross_entropy(x, w, c, target, **options).loss

    assert float(result.loss) == pytest.approx(float(composed), rel=40 * EPS, abs=0)
    # truncation h² / 6 · |X|³ ≤ 5e-10 and rounding 20 eps / h = 5e-10, times weights of up to 8
    for actual, expected in [
        (result.gradient_X, oracle.differences(lambda x: loss(x=x), X)),
        (result.gradient_W, oracle.differences(lambda w: loss(w=w), W)),
    ]:
        np.testing.assert_allclose(actual, expected, atol=1e-8, rtol=0)
        assert np.max(np.abs(actual)) > 0.05
    if intercept:
        expected = oracle.differences(lambda c: loss(c=c), b)
        np.testing.assert_allclose(result.gradient_b, expected, atol=1e-8, rtol=0)
        assert np.max(np.abs(result.gradient_b)) > 0.05
    else:
        assert result.gradient_b is None


@given(st.integers(0, 2**32 - 1))
def test_backward_is_the_adjoint_of_forward(seed):
    X, W, b, labels, _ = problem(seed)
    dX, dW, db, *_ = problem(seed + 1)
    result = linear_softmax_cross_entropy(X, W, b, labels)
    g = softmax_cross_entropy_gradient(X @ W.T + b, labels)

    by_arguments = (
        np.sum(result.gradient_X * dX) + np.sum(result.gradient_W * dW) + result.gradient_b @ db
    )
    by_logits = np.sum(g * (dX @ W.T + X @ dW.T + db))

    # about 60 products of numbers below 30
    assert by_arguments == pytest.approx(by_logits, abs=2000 * EPS)


def test_every_number_is_right_on_every_backend(backend, oracle):
    # Exact inputs and exact logits (small integers over 2), so that only the softmax rounds.
    X = [[1.0, 0.0], [0.5, -2.0], [2.0, 1.0]]
    W = [[1.0, 0.5], [-1.0, 0.0], [0.0, 2.0]]
    b = [0.0, 0.5, -1.0]
    labels = [0, 1, 2]
    logits = [
        [sum(w * x for w, x in zip(v, r, strict=True)) + c for v, c in zip(W, b, strict=True)]
        for r in X
    ]
    one_hot = [[float(j == k) for j in range(3)] for k in labels]
    g = [[e / 3 for e in oracle.gradient(z, y)] for z, y in zip(logits, one_hot, strict=True)]
    exact_loss = sum(oracle.loss(z, y) for z, y in zip(logits, one_hot, strict=True)) / 3

    result = linear_softmax_cross_entropy(
        backend.asarray(X), backend.asarray(W), backend.asarray(b), labels
    )

    eps = 30 * backend.eps  # (d + 3 q + 12) eps with d ≤ 6, and products with factors up to 2
    oracle.assert_within([backend.floats(result.loss)], [exact_loss], [eps], backend.dtype)
    for j in range(3):
        exact = [sum(g[i][j] * X[i][k] for i in range(3)) for k in range(2)]
        actual = backend.floats(result.gradient_W)[j]
        oracle.assert_within(actual, exact, [eps] * 2, backend.dtype)
        exact = [sum(g[j][k] * W[k][m] for k in range(3)) for m in range(2)]
        actual = backend.floats(result.gradient_X)[j]
        oracle.assert_within(actual, exact, [eps] * 2, backend.dtype)
    exact = [sum(g[i][j] for i in range(3)) for j in range(3)]
    oracle.assert_within(backend.floats(result.gradient_b), exact, [eps] * 3, backend.dtype)


def test_a_row_of_weight_zero_may_hold_anything():
    X, W, b, labels, _ = problem()
    X[2] = [math.nan, math.inf, 0.0]
    labels[2] = -100
    kept = labels != -100

    result = linear_softmax_cross_entropy(X, W, b, labels, ignore_index=-100)
    expected = linear_softmax_cross_entropy(X[kept], W, b, labels[kept])

    assert result.loss == expected.loss
    np.testing.assert_allclose(result.gradient_W, expected.gradient_W, atol=4 * EPS)
    np.testing.assert_array_equal(result.gradient_X[2], 0)


def test_an_intercept_of_minus_infinity_excludes_its_class():
    X, W, b, _, _ = problem()
    labels = np.asarray([0, 1, 2, 0, 1])

    result = linear_softmax_cross_entropy(X, W, [b[0], b[1], b[2], -math.inf], labels)
    expected = linear_softmax_cross_entropy(X, W[:3], b[:3], labels)

    assert float(result.loss) == pytest.approx(float(expected.loss), rel=8 * EPS, abs=0)
    np.testing.assert_allclose(result.gradient_W[:3], expected.gradient_W, atol=8 * EPS)
    assert not np.any(result.gradient_W[3])
    assert result.gradient_b[3] == 0


def test_sums_over_rows_are_accumulated_in_double_precision():
    # One gradient of 2^25/2 and 1000 of 1/2 with opposite sign cancel to -500 only in float64.
    X = np.ones((1002, 1), dtype=np.float32)
    X[0] = 2.0**25
    X[-1] = -(2.0**25)
    W = np.zeros((2, 1), dtype=np.float32)

    result = linear_softmax_cross_entropy(X, W, None, np.zeros(1002, dtype=int), reduction="sum")

    assert result.gradient_W.dtype == np.float32
    np.testing.assert_array_equal(result.gradient_W, [[-500.0], [500.0]])


def test_more_leading_axes_are_more_rows_and_each_gradient_keeps_its_shape_and_dtype():
    X, W, b, labels, _ = problem(n=6)
    X = X.astype(np.float32)

    flat = linear_softmax_cross_entropy(X, W, b, labels)
    shaped = linear_softmax_cross_entropy(X.reshape(2, 3, 3), W, b, labels.reshape(2, 3))

    assert shaped.gradient_X.shape == (2, 3, 3)
    np.testing.assert_array_equal(shaped.gradient_X.reshape(6, 3), flat.gradient_X)
    np.testing.assert_array_equal(shaped.gradient_W, flat.gradient_W)
    assert flat.gradient_X.dtype == np.float32
    assert flat.gradient_W.dtype == flat.loss.dtype == np.float64
