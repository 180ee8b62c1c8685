"""Gradient, Hessian and Hessian-vector product of the loss, against mpmath and by differences."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crossent.functional import (
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_gradient,
    softmax_cross_entropy_hessian,
    softmax_cross_entropy_hessian_vector,
)

EPS = 2.0**-52

logit_rows = hnp.arrays(np.float64, st.integers(1, 6), elements=st.floats(-300, 300))


def gradient_bounds(oracle, floats, y, eps, labels):
    q = len(floats)
    p = oracle.softmax(floats)
    top = max(floats)
    bounds = []
    for a, d, t, x in zip(p, oracle.distances(floats), y, floats, strict=True):
        distance = oracle.runner_up(floats) if x == top else d
        distance = 0 if distance == oracle.mpmath.inf else distance
        bounds.append(
            ((distance + q + 8) * min(a, 1 - a) + (0 if labels else q * t) + abs(a - t)) * eps
        )
    return bounds


def test_the_gradient_is_accurate_to_its_bound(case, oracle):
    backend, z, floats = case
    q = len(floats)
    label = floats.index(max(floats))  # where p - 1 cancels
    one_hot = [float(j == label) for j in range(q)]
    soft = oracle.soft_target(floats)

    by_label = softmax_cross_entropy_gradient(z, label)
    by_target = softmax_cross_entropy_gradient(z, backend.asarray(soft))

    for actual, y, hard in [(by_label, one_hot, True), (by_target, soft, False)]:
        exact = oracle.gradient(floats, y)
        bounds = gradient_bounds(oracle, floats, y, backend.eps, hard)
        oracle.assert_within(backend.floats(actual), exact, bounds, backend.dtype)


def test_the_hessian_is_relatively_accurate_to_its_bound(case, oracle):
    backend, z, floats = case
    floats = floats[:40]  # a million entries show nothing that a thousand do not
    z = z[: len(floats)]
    q = len(floats)
    top = max(floats)
    d = [
        oracle.runner_up(floats) if x == top else far
        for x, far in zip(floats, oracle.distances(floats), strict=True)
    ]

    exact = oracle.hessian(floats)
    actual = backend.floats(softmax_cross_entropy_hessian(z))

    for i in range(q):
        bounds = [
            (d[i] + d[j] + 2 * q + 20) * backend.eps * abs(exact[i][j]) if exact[i][j] else 0
            for j in range(q)
        ]
        oracle.assert_within(actual[i], exact[i], bounds, backend.dtype)


def test_the_hessian_vector_product_is_accurate_to_its_bound(case, oracle):
    backend, z, floats = case
    q = len(floats)
    v = [float((-1) ** j * (j % 5 + 1)) for j in range(q)]
    p = oracle.softmax(floats)
    d = oracle.distances(floats)
    mean = oracle.mpmath.fsum(a * b for a, b in zip(p, v, strict=True))
    exact = [a * (b - mean) for a, b in zip(p, v, strict=True)]
    ties = [b for b, x in zip(v, floats, strict=True) if x == max(floats)]
    u = [abs(oracle.mpf(b) - oracle.mpf(sum(ties)) / len(ties)) for b in v]
    scale = [e + 2 * q + 20 for e in d]
    total = oracle.mpmath.fsum(a * b for a, b in zip(p, u, strict=True))
    spread = oracle.mpmath.fsum(a * b * c for a, b, c in zip(p, u, scale, strict=True) if a)
    bounds = [
        a * (b * c + spread + e * total) * backend.eps if a else 0
        for a, b, c, e in zip(p, u, scale, d, strict=True)
    ]

    actual = softmax_cross_entropy_hessian_vector(z, backend.asarray(v))

    oracle.assert_within(backend.floats(actual), exact, bounds, backend.dtype)


def test_the_gradient_has_the_values_of_the_claims():
    # claims S20 and S83, seven printed digits
    for logits, y, expected in [
        ([1.0, 2.0, 3.0], 2, [0.0900306, 0.2447285, -0.3347590]),
        ([1.0, 2.0, 3.0], [0.1, 0.2, 0.7], [-0.0099694, 0.0447285, -0.0347590]),
        ([[0.0] * 3] * 3, [0, 0, 0], [[-2 / 9, 1 / 9, 1 / 9]] * 3),
        ([[0.0] * 3] * 2, [0, 2], [[-1 / 3, 1 / 6, 1 / 6], [1 / 6, 1 / 6, -1 / 3]]),
    ]:
        np.testing.assert_allclose(
            softmax_cross_entropy_gradient(logits, y), expected, atol=6e-8, rtol=0
        )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("hard", [True, False])
def test_the_gradient_is_the_derivative_of_the_reduced_loss(reduction, hard, oracle):
    z, labels, y, s, c = oracle.random_problem(5, n=4)
    labels[1] = 9
    target = labels if hard else y
    options = {
        "sample_weight": s,
        "class_weight": c,
        "label_smoothing": 0.2,
        "reduction": reduction,
    }
    options |= {"ignore_index": 9} if hard else {}

    expected = oracle.differences(lambda x: softmax_cross_entropy(x, target, **options), z)
    actual = softmax_cross_entropy_gradient(z, target, **options)

    # h² / 6 · |third derivative| ≤ 1.7e-11 · w, and rounding of the value by eps · 20 / h = 5e-10
    np.testing.assert_allclose(actual, expected, atol=2e-9, rtol=0)
    assert np.max(np.abs(actual)) > 0.05


def test_the_gradient_of_unreduced_losses_is_that_of_each_row(oracle):
    z, labels, _, s, c = oracle.random_problem(6, n=3)
    options = {"sample_weight": s, "class_weight": c, "reduction": "none"}

    jacobian = oracle.differences(lambda x: softmax_cross_entropy(x, labels, **options), z)
    actual = softmax_cross_entropy_gradient(z, labels, **options)

    for i in range(3):
        for k in range(3):
            np.testing.assert_allclose(jacobian[i, k], actual[i] * (i == k), atol=2e-9)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_hessian_is_the_derivative_of_the_gradient(reduction, oracle):
    z, labels, _, s, c = oracle.random_problem(7, n=3)
    options = {"sample_weight": s, "class_weight": c, "reduction": reduction, "ignore_index": 1}
    labels[1] = 1

    jacobian = oracle.differences(lambda x: softmax_cross_entropy_gradient(x, labels, **options), z)
    actual = softmax_cross_entropy_hessian(z, labels, **options)

    for i in range(3):
        np.testing.assert_allclose(actual[i], jacobian[i, :, i, :], atol=2e-9)
    assert np.max(np.abs(actual)) > 0.02


def test_the_hessian_is_the_covariance_of_the_label():
    # claims S26 and S27, by enumeration of the three labels
    p = softmax([1.0, 2.0, 3.0])
    covariance = sum(p[k] * np.outer(np.eye(3)[k] - p, np.eye(3)[k] - p) for k in range(3))

    np.testing.assert_allclose(
        softmax_cross_entropy_hessian([1.0, 2.0, 3.0]), covariance, rtol=20 * EPS
    )


@given(logit_rows, st.integers(0, 2**32 - 1))
def test_the_product_is_that_of_the_hessian_symmetric_and_a_variance(z, seed):
    u, v = np.random.default_rng(seed).normal(size=(2, len(z)))
    hessian = softmax_cross_entropy_hessian(z)
    product = softmax_cross_entropy_hessian_vector(z, v)
    rounding = 700 * len(z) * EPS * np.max(np.abs(v)) * max(1.0, np.max(np.abs(u)))

    np.testing.assert_allclose(product, hessian @ v, atol=rounding, rtol=0)
    assert u @ product == pytest.approx(
        softmax_cross_entropy_hessian_vector(z, u) @ v, abs=len(z) * rounding
    )
    assert v @ product >= -len(z) * rounding
    p = softmax(z)
    assert v @ product == pytest.approx(
        p @ (v - p @ v) ** 2, abs=3 * len(z) * rounding * np.max(np.abs(v))
    )


def test_the_product_takes_all_options(oracle):
    z, labels, _, s, c = oracle.random_problem(8)
    v = np.random.default_rng(8).normal(size=z.shape)
    for reduction in ("mean", "sum", "none"):
        options = {"sample_weight": s, "class_weight": c, "ignore_index": 0, "reduction": reduction}
        hessian = softmax_cross_entropy_hessian(z, labels, **options)

        actual = softmax_cross_entropy_hessian_vector(z, v, labels, **options)

        np.testing.assert_allclose(actual, np.einsum("nij,nj->ni", hessian, v), atol=40 * EPS)
        assert np.max(np.abs(actual)) > 0.01


@given(logit_rows)
def test_gradients_and_hessians_sum_to_zero_and_ignore_a_shift(z):
    label = len(z) - 1
    gradient = softmax_cross_entropy_gradient(z, label)
    hessian = softmax_cross_entropy_hessian(z)

    assert abs(math.fsum(gradient)) <= 8 * len(z) * EPS
    np.testing.assert_allclose(hessian.sum(axis=-1), 0, atol=8 * len(z) * EPS)
    np.testing.assert_array_equal(hessian, hessian.T)
    assert np.linalg.eigvalsh(hessian).min() >= -8 * len(z) * EPS
    constant = softmax_cross_entropy_hessian_vector(z, np.full(len(z), 3.0))
    np.testing.assert_array_equal(constant, 0)
