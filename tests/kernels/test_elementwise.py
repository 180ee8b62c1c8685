"""exp and log1p of the compiled kernels against mpmath and extended precision."""

import mpmath
import numba
import numpy as np
import pytest

from crossent.kernels.elementwise import (
    EXP_COEFFICIENTS,
    SMALLEST_EXPONENT,
    exp_nonpositive,
    log1p_nonnegative,
)

float_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@numba.njit(error_model="numpy", fastmath={"contract"})
def exp_of(x, out):
    for i in range(x.size):
        out[i] = exp_nonpositive(x[i])


@numba.njit(error_model="numpy", fastmath={"contract"})
def log1p_of(x, out):
    for i in range(x.size):
        out[i] = log1p_nonnegative(x[i])


def apply(function, x):
    out = np.full_like(x, -7)
    function(x, out)
    return out


def units_in_last_place(value, exact):
    return np.abs(value - exact) / np.spacing(np.abs(exact).astype(value.dtype))


@pytest.mark.parametrize("bits", [32, 64])
def test_exp_coefficients_meet_exp_at_the_chebyshev_nodes(bits):
    given = EXP_COEFFICIENTS[bits]
    degree = len(given) - 1
    with mpmath.workdps(60):
        half = mpmath.log(2) / 2 * mpmath.mpf("1.001")
        nodes = [
            half * mpmath.cos(mpmath.pi * (2 * k + 1) / (2 * degree + 2)) for k in range(degree + 1)
        ]
        powers = mpmath.matrix([[x**j for j in range(degree + 1)] for x in nodes])
        solved = mpmath.lu_solve(powers, mpmath.matrix([mpmath.exp(x) for x in nodes]))
        assert [float(a) for a in solved] == list(given)


@float_types
def test_exp_is_within_2_units_in_the_last_place(dtype):
    rng = np.random.default_rng(0)
    low = SMALLEST_EXPONENT[np.dtype(dtype).itemsize * 8]
    x = np.concatenate(
        [
            -(10.0 ** rng.uniform(-12, 0, 20_000)),
            rng.uniform(low, 0, 60_000),
            np.log(2) * (np.arange(low / np.log(2) + 1, 0) + 0.5),  # where the exponent changes
            [0.0, -0.0, low],
        ]
    ).astype(dtype)
    x = x[x >= dtype(low)]
    assert units_in_last_place(apply(exp_of, x), np.exp(x.astype(np.longdouble))).max() < 2


@float_types
def test_exp_agrees_with_mpmath_at_a_few_points(dtype):
    # np.longdouble is no wider than float64 on some machines; mpmath is everywhere.
    x = np.array([-1e-3, -0.5, -1, -10.25, -80.125], dtype)
    exact = np.array([float(mpmath.exp(mpmath.mpf(float(v)))) for v in x])
    assert units_in_last_place(apply(exp_of, x), exact).max() < 2.5  # 0.5 for float(...)


@float_types
def test_exp_is_zero_where_it_is_not_normal_and_nan_for_nan(dtype):
    low = SMALLEST_EXPONENT[np.dtype(dtype).itemsize * 8]
    x = np.array([np.nextafter(dtype(low), dtype(-np.inf)), -1e4, -3e38, -np.inf], dtype)
    assert np.all(apply(exp_of, x) == 0)
    assert np.exp(np.float64(low)) < 1.001 * np.finfo(dtype).tiny
    assert np.isnan(apply(exp_of, np.array([np.nan], dtype)))[0]
    assert np.all(apply(exp_of, np.array([0.0, -0.0], dtype)) == 1)


@float_types
def test_log1p_is_within_4_units_in_the_last_place(dtype):
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            10.0 ** rng.uniform(-36, 20, 60_000),
            10.0 ** rng.uniform(-3, 1, 60_000),
            2.0 ** np.arange(-30, 30) * np.sqrt(2) - 1,
        ]
    )
    x = x[x > 0].astype(dtype)
    assert units_in_last_place(apply(log1p_of, x), np.log1p(x.astype(np.longdouble))).max() < 4


@float_types
def test_log1p_of_zero_is_zero_and_of_nan_is_nan(dtype):
    assert apply(log1p_of, np.array([0.0], dtype))[0] == 0
    assert np.isnan(apply(log1p_of, np.array([np.nan], dtype)))[0]
