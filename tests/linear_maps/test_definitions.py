"""Every map against its matrix from the definition, its adjoint, its derivatives."""

import math

import numpy as np
import pytest
import scipy.linalg

from crossent.linear_maps import PHM, Fastfood, hadamard_transform, left_multiplications
from crossent.linear_maps.hadamard import hadamard_flops


@pytest.fixture
def rows(shape):
    rng = np.random.default_rng(2)
    return rng.normal(size=(6, shape[1])), rng.normal(size=(6, shape[0]))


def test_the_matrix_is_that_of_the_definition(linear_map, theta, definitions):
    W = definitions.matrix(linear_map, theta)
    assert np.abs(W).max() > 0.01
    # Sums of at most 64 terms of size ten, and transforms: some hundred roundings of 1e-16.
    np.testing.assert_allclose(
        linear_map.to_dense(theta), W, rtol=1e-12, atol=1e-13 * np.abs(W).max()
    )


def test_apply_and_adjoint_are_products_with_the_matrix(linear_map, theta, rows, definitions):
    X, G = rows
    W = definitions.matrix(linear_map, theta)
    image, back = linear_map.apply(theta, X), linear_map.adjoint(theta, G)
    # The scale of a row's rounding is the size of its terms, ‖x‖‖W‖, not of their sum.
    np.testing.assert_allclose(image, X @ W.T, rtol=1e-12, atol=1e-14 * np.linalg.norm(W) * 8)
    np.testing.assert_allclose(back, G @ W, rtol=1e-12, atol=1e-14 * np.linalg.norm(W) * 8)


def test_apply_and_adjoint_are_adjoint(linear_map, theta, rows):
    X, G = rows
    forward = np.vdot(linear_map.apply(theta, X), G)
    terms = np.linalg.norm(X) * np.linalg.norm(G) * np.linalg.norm(linear_map.to_dense(theta))
    assert np.vdot(X, linear_map.adjoint(theta, G)) == pytest.approx(forward, abs=1e-14 * terms)


def test_the_gradient_is_the_derivative(linear_map, theta, rows):
    X, G = rows
    found = linear_map.gradient(theta, X, G)
    assert found.shape == theta.shape
    if not linear_map.n_parameters:
        return
    # W is a polynomial of degree at most three in θ: along any direction Richardson's combination
    # of central differences is exact, and only rounding (1e-16 times terms / h) is left.
    rng, h = np.random.default_rng(3), 0.1
    for _ in range(4):
        direction = rng.normal(size=len(theta))

        def value(t, direction=direction):
            return np.vdot(linear_map.apply(theta + t * direction, X), G)

        near = (value(h) - value(-h)) / (2 * h)
        far = (value(2 * h) - value(-2 * h)) / (4 * h)
        terms = np.linalg.norm(found) * np.linalg.norm(direction)
        assert (4 * near - far) / 3 == pytest.approx(found @ direction, abs=1e-11 * terms)


def test_every_single_derivative_is_right_in_a_small_map(maps):
    X, G = np.random.default_rng(4).normal(size=(2, 3, 4))
    for kind, linear_map in maps((4, 4)).items():
        theta = np.random.default_rng(5).normal(size=linear_map.n_parameters)
        found = linear_map.gradient(theta, X, G)
        for k, unit in enumerate(np.eye(len(theta))):
            # Each parameter alone enters linearly, up to a PHM's A and S, so this is exact.
            up, down = (np.vdot(linear_map.apply(theta + s * unit, X), G) for s in (1, -1))
            assert (up - down) / 2 == pytest.approx(found[k], abs=1e-12), (kind, k)


def test_row_gradients_are_the_gradients_of_single_rows(linear_map, theta, rows):
    X, G = rows
    found = linear_map.row_gradients(theta, X, G)
    assert found.shape == (6, linear_map.n_parameters)
    for i in range(6):
        single = linear_map.gradient(theta, X[i : i + 1], G[i : i + 1])
        np.testing.assert_allclose(found[i], single, rtol=1e-10, atol=1e-12)


def test_linearity_in_the_parameters_is_as_said(linear_map, theta, is_convex):
    assert linear_map.is_linear_in_parameters == is_convex
    if not linear_map.n_parameters or min(linear_map.shape) == 1:
        return
    other = np.random.default_rng(6).normal(size=len(theta))
    sum_of_both = linear_map.to_dense(theta) + linear_map.to_dense(other)
    linear = np.allclose(linear_map.to_dense(theta + other), sum_of_both, atol=1e-9)
    assert linear == is_convex


def test_the_operator_norm_bounds_the_matrix_and_is_nearly_attained(linear_map, is_convex):
    if not is_convex:
        assert math.isinf(linear_map.operator_norm)
        return
    p = linear_map.n_parameters
    if not p:
        assert linear_map.operator_norm == 0
        return
    columns = np.array([linear_map.to_dense(unit).ravel() for unit in np.eye(p)])
    largest = np.linalg.norm(columns, 2)
    assert largest <= linear_map.operator_norm * (1 + 1e-12)
    slack = 12.0 if isinstance(linear_map, Fastfood) and linear_map.learn in "GB" else 1.5
    assert linear_map.operator_norm <= slack * largest


def test_single_precision_stays_single_and_is_close(linear_map, theta, rows):
    X, G = rows
    single = linear_map.apply(theta, X.astype(np.float32))
    assert single.dtype == np.float32
    assert linear_map.adjoint(theta, G.astype(np.float32)).dtype == np.float32
    whole = linear_map.apply(theta, X)
    size = np.linalg.norm(linear_map.to_dense(theta)) * np.linalg.norm(X, axis=1).max()
    # 6e-8 per rounding, some ten of them in a row of each term.
    np.testing.assert_allclose(single, whole, atol=2e-6 * size)


def test_nothing_is_written_to_the_arguments(linear_map, theta, rows):
    X, G = rows
    before = [a.copy() for a in (theta, X, G)]
    for call in (linear_map.gradient, linear_map.row_gradients):
        call(theta, X, G)
    linear_map.apply(theta, X)
    linear_map.adjoint(theta, G)
    for now, then in zip((theta, X, G), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 64, 512, 2**15])
def test_the_hadamard_transform_is_the_product_with_scipys_matrix(n):
    X = np.random.default_rng(n).normal(size=(3, n))
    rows = np.array([X[:, k] for k in range(n)]).T
    if n <= 512:
        expected = rows @ scipy.linalg.hadamard(n) / np.sqrt(n)
    else:  # the butterfly, since the matrix has 8 GB
        expected, width = rows.copy(), 1
        while width < n:
            pairs = expected.reshape(3, -1, 2, width)
            expected = np.stack(
                [pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], 2
            )
            width *= 2
        expected = expected.reshape(3, n) / np.sqrt(n)
    found = hadamard_transform(X)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(hadamard_transform(found), X, atol=1e-12)


def test_the_hadamard_transform_keeps_float32_and_counts_its_products():
    X = np.eye(64, dtype=np.float32)
    assert hadamard_transform(X).dtype == np.float32
    assert hadamard_flops(64) == 2 * 64 * (8 + 8)
    assert hadamard_flops(2**15) == 2 * 2**15 * 96


def test_the_quaternion_map_is_hamiltons_product():
    a, b = np.random.default_rng(7).normal(size=(2, 4))
    # Hamilton 1843: (a0 + a)(b0 + b) = a0 b0 - a·b + a0 b + b0 a + a × b.
    scalar = a[0] * b[0] - a[1:] @ b[1:]
    vector = a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])
    found = PHM((4, 4), algebra="quaternion").apply(a, b[None])[0]
    np.testing.assert_allclose(found, [scalar, *vector], rtol=1e-14)


def test_the_complex_map_is_the_product_of_complex_matrices():
    rng = np.random.default_rng(8)
    S, X = rng.normal(size=(2, 3, 5)), rng.normal(size=(4, 10))
    found = PHM((6, 10), algebra="complex").apply(S.ravel(), X)
    product = (X[:, :5] + 1j * X[:, 5:]) @ (S[0] + 1j * S[1]).T
    np.testing.assert_allclose(found, np.hstack([product.real, product.imag]), rtol=1e-12)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_units_of_an_algebra_keep_lengths(n):
    A = left_multiplications(n)
    for i in range(n):
        np.testing.assert_array_equal(A[i] @ A[i].T, np.eye(n))
    x, y = np.random.default_rng(n).normal(size=(2, n))
    product = np.einsum("i,ikj,j->k", x, A, y)
    # |xy| = |x||y| holds in dimensions 1, 2, 4 and 8 only (Hurwitz 1898).
    assert np.linalg.norm(product) == pytest.approx(np.linalg.norm(x) * np.linalg.norm(y))


def test_octonions_do_not_associate():
    A = left_multiplications(8)
    e = np.eye(8)

    def times(x, y):
        return np.einsum("i,ikj,j->k", x, A, y)

    left, right = times(times(e[1], e[2]), e[4]), times(e[1], times(e[2], e[4]))
    np.testing.assert_array_equal(left, -right)
    assert np.abs(left).sum() == 1


def test_fastfoods_rows_have_one_length_and_its_gains_are_gaussian():
    made = Fastfood.random((64, 64), rng=np.random.default_rng(9))
    W = made.to_dense(made.scales)
    np.testing.assert_allclose(np.linalg.norm(W, axis=1), 1.0, rtol=1e-12)
    many = Fastfood.random((8192, 64), rng=np.random.default_rng(10)).gains
    assert abs(many.mean()) < 4 / np.sqrt(many.size)
    assert many.std() == pytest.approx(1, abs=4 / np.sqrt(2 * many.size))
