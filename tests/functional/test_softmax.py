"""The softmax family against mpmath, within the bounds of the docstrings, and its identities."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crossent.functional import log_softmax, logsumexp, real_softmax, softmax, softmin

EPS = 2.0**-52
INF = math.inf

rows = hnp.arrays(
    np.float64,
    st.integers(1, 8),
    elements=st.floats(-700, 700) | st.sampled_from([0.0, -0.0, 1e-300, 700.0]),
)
integer_rows = hnp.arrays(np.float64, st.integers(1, 8), elements=st.integers(-800, 800))


def test_softmax_is_relatively_accurate_to_its_bound(case, oracle):
    backend, z, floats = case
    q = len(floats)

    exact = oracle.softmax(floats)
    bounds = [
        (d + q + 8) * backend.eps * e if e else 0
        for d, e in zip(oracle.distances(floats), exact, strict=True)
    ]

    oracle.assert_within(backend.floats(softmax(z)), exact, bounds, backend.dtype)


def test_log_softmax_is_relatively_accurate_to_its_bound_at_every_class(case, oracle):
    backend, z, floats = case
    relative = (oracle.runner_up(floats) + len(floats) + 8) * backend.eps

    exact = oracle.log_softmax(floats)
    bounds = [0 if math.isinf(e) else relative * abs(e) for e in exact]

    oracle.assert_within(backend.floats(log_softmax(z)), exact, bounds, backend.dtype)


def test_logsumexp_is_accurate_to_its_bound(case, oracle):
    backend, z, floats = case

    exact = oracle.logsumexp(floats)
    bound = (abs(exact) + len(floats) + 8) * backend.eps

    oracle.assert_within([backend.floats(logsumexp(z))], [exact], [bound], backend.dtype)


def test_temperature_divides_the_logits_without_rounding_them_first(case, oracle):
    for temperature in (0.125, 0.3, 7.0, 1e3):
        backend, z, floats = case
        q = len(floats)
        relative = (oracle.runner_up(floats, temperature) + q + 8) * backend.eps

        p = oracle.softmax(floats, temperature)
        d = oracle.distances(floats, temperature)
        p_bounds = [(a + q + 8) * backend.eps * b if b else 0 for a, b in zip(d, p, strict=True)]
        log_p = oracle.log_softmax(floats, temperature)
        log_bounds = [0 if math.isinf(e) else relative * abs(e) for e in log_p]

        actual = softmax(z, temperature=temperature)
        actual_log = log_softmax(z, temperature=temperature)

        oracle.assert_within(backend.floats(actual), p, p_bounds, backend.dtype)
        oracle.assert_within(backend.floats(actual_log), log_p, log_bounds, backend.dtype)


def test_real_softmax_and_softmin_are_accurate_to_their_bound(case, oracle):
    for sharpness in (0.01, 0.7, 3.0, 1e4):
        backend, z, floats = case
        n = len(floats)

        upper = oracle.logsumexp(floats, 1 / oracle.mpf(sharpness)) / oracle.mpf(sharpness)
        finite = [x for x in floats if not math.isinf(x)]  # -inf is the minimum, tested below
        lower = -oracle.logsumexp([-x for x in finite], 1 / oracle.mpf(sharpness)) / oracle.mpf(
            sharpness
        )
        upper_bound = (abs(upper) + (n + 8) / sharpness) * backend.eps
        lower_bound = (abs(lower) + (n + 8) / sharpness) * backend.eps

        high = real_softmax(z, inverse_temperature=sharpness)
        kept = backend.asarray(finite)
        low = real_softmax(kept, inverse_temperature=-sharpness)
        lowest = softmin(kept, inverse_temperature=sharpness)

        oracle.assert_within([backend.floats(high)], [upper], [upper_bound], backend.dtype)
        oracle.assert_within([backend.floats(low)], [lower], [lower_bound], backend.dtype)
        assert backend.floats(lowest) == backend.floats(low)


def test_what_other_libraries_round_to_zero_is_kept():
    # log(1 + exp(-40)) by mpmath, 4.2483542552915889863e-18, rounded
    assert float(log_softmax([0.0, -40.0])[0]) == -4.248354255291589e-18
    # claim S76: 4 e^-100 / (1 + 4 e^-100)
    almost_one = log_softmax([100.0, 0.0, 0.0, 0.0, 0.0])[0]
    assert -math.expm1(almost_one) == pytest.approx(1.4880303904083344e-43, rel=1e-13, abs=0)


# One table for the family: the module docstring of crossent.functional.softmax.
NAN = math.nan
EDGES = {
    "excluded": ([0.0, -INF], [1.0, 0.0], [0.0, -INF], 0.0),
    "nothing left": ([-INF, -INF], [NAN, NAN], [NAN, NAN], -INF),
    "one class, excluded": ([-INF], [NAN], [NAN], -INF),
    "plus infinity": ([INF, 0.0], [NAN, NAN], [NAN, NAN], INF),
    "two plus infinities": ([INF, INF], [NAN, NAN], [NAN, NAN], INF),
    "both infinities": ([INF, -INF], [NAN, NAN], [NAN, NAN], INF),
    "NaN": ([NAN, 0.0], [NAN, NAN], [NAN, NAN], NAN),
    "NaN beside infinity": ([INF, NAN], [NAN, NAN], [NAN, NAN], NAN),
    "NaN beside excluded": ([-INF, NAN], [NAN, NAN], [NAN, NAN], NAN),
}


@pytest.mark.parametrize("edge", EDGES)
def test_the_whole_family_follows_the_edge_table_without_warnings(backend, edge):
    row, p, log_p, log_partition = EDGES[edge]
    batch = backend.asarray([row, [0.0] * len(row)])  # the other row must not notice

    for function, expected in [(softmax, p), (log_softmax, log_p), (logsumexp, log_partition)]:
        actual = backend.floats(function(batch))
        np.testing.assert_array_equal(actual[0], expected)
        assert np.all(np.isfinite(actual[1]))
    for temperature in (0.5, 2.0):
        actual = backend.floats(softmax(batch, temperature=temperature))
        np.testing.assert_array_equal(actual[0], p)
    for sharpness in (0.5, 1.0, INF):
        high = real_softmax(batch, inverse_temperature=sharpness)
        low = real_softmax(-batch, inverse_temperature=-sharpness)
        np.testing.assert_array_equal(backend.floats(high)[0], log_partition)
        np.testing.assert_array_equal(-np.asarray(backend.floats(low)[0]), log_partition)


def test_no_rows_give_no_rows(backend):
    empty = backend.asarray(np.zeros((0, 3)))

    assert tuple(softmax(empty).shape) == (0, 3)
    assert tuple(log_softmax(empty).shape) == (0, 3)
    assert tuple(logsumexp(empty).shape) == (0,)


def test_sixteen_bits_are_accumulated_in_thirty_two():
    zeros = np.zeros(200_000, dtype=np.float16)

    # log(200000) = 12.206..., and 12.203125 is the nearest float16 (spacing 2^-7)
    assert float(logsumexp(zeros)) == 12.203125
    # 1/200000 = 5e-6 = 83.9 units of the smallest float16, 2^-24
    assert float(softmax(zeros)[0]) == 84 * 2.0**-24


@given(integer_rows, st.integers(-(10**6), 10**6))
def test_adding_a_number_to_all_logits_changes_nothing(z, shift):
    # Integers below 2^53: the shift itself is exact, so the results are equal to the last bit.
    assert np.array_equal(softmax(z), softmax(z + shift))
    assert np.array_equal(log_softmax(z), log_softmax(z + shift))


@given(integer_rows, st.integers(-(10**6), 10**6))
def test_logsumexp_moves_with_its_arguments(z, shift):
    # Each side is rounded once from the same log1p(tail): half a unit of each result.
    assert logsumexp(z + shift) == pytest.approx(
        logsumexp(z) + shift, abs=EPS * (abs(shift) + np.max(np.abs(z)) + 3)
    )


@given(rows)
def test_probabilities_sum_to_one_and_keep_the_order_of_the_logits(z):
    p = softmax(z)

    assert p.min() >= 0
    # q quotients of relative error ≤ 2 eps against the same denominator, itself off by q eps
    assert abs(math.fsum(p) - 1) <= (2 * len(z) + 2) * EPS
    order = np.argsort(z)
    assert np.all(np.diff(p[order]) >= 0)


@given(rows, st.randoms(use_true_random=False))
def test_classes_may_be_renumbered(z, random):
    order = list(range(len(z)))
    random.shuffle(order)

    # Sums in another order differ by at most q eps.
    np.testing.assert_allclose(softmax(z[order]), softmax(z)[order], rtol=2 * len(z) * EPS, atol=0)
    np.testing.assert_allclose(
        log_softmax(z[order]), log_softmax(z)[order], rtol=2 * len(z) * EPS, atol=0
    )


@given(rows)
def test_log_softmax_is_the_logarithm_of_softmax(z):
    # exp turns an absolute error of (|log p| + 2 q) eps into a relative one.
    log_p = log_softmax(z)
    for one, other in zip(np.exp(log_p), softmax(z), strict=True):
        assert one == pytest.approx(other, rel=(1500 + 2 * len(z)) * EPS, abs=1e-305)


@given(rows, st.floats(0.1, 10))
def test_real_softmax_lies_between_maximum_and_its_bound(z, sharpness):
    gap = math.log(len(z)) / sharpness
    rounding = EPS * (np.max(np.abs(z)) + (len(z) + 8) / sharpness)

    high = real_softmax(z, inverse_temperature=sharpness)
    low = softmin(z, inverse_temperature=sharpness)

    assert np.max(z) <= high <= np.max(z) + gap + rounding
    assert np.min(z) >= low >= np.min(z) - gap - rounding


@given(rows, rows)
def test_logsumexp_can_be_nested(first, second):
    whole = logsumexp(np.concatenate([first, second]))
    nested = logsumexp([logsumexp(first), logsumexp(second)])

    assert nested == pytest.approx(whole, abs=EPS * (4 * abs(whole) + 60))


@given(rows, rows.map(lambda z: z))
def test_logsumexp_is_convex(a, b):
    n = min(len(a), len(b))
    a, b = a[:n], b[:n]

    middle = logsumexp((a + b) / 2)

    assert middle <= (logsumexp(a) + logsumexp(b)) / 2 + EPS * (4 * abs(middle) + 2800)


@pytest.mark.parametrize(
    ("numbers", "sharpness", "expected"),
    [  # claims S40, S41, S42, S43, S44; by mpmath to 16 digits
        ([1.0, 1.0], 2.0, 1.3465735902799727),
        ([1.0, 1.0], -2.0, 0.6534264097200273),
        ([2.0, 4.0], 0.1, 9.981388693815918),
        ([2.0, 4.0], 1.0, 4.126928011042972),
        ([2.0, 4.0], 10.0, 4.000000000206115),
        ([2.0, 4.0], 1e5, 4.0),
        ([2.0, 4.0], INF, 4.0),
        ([2.0, 4.0], -1.0, 1.8730719889570275),
        ([2.0, 4.0], -10.0, 1.9999999997938847),
        ([2.0, 4.0], -INF, 2.0),
        ([4.0, 4.0], INF, 4.0),
        ([5.0] * 1000, 1.0, 5 + math.log(1000)),
        ([7.25], 0.3, 7.25),
        ([-INF, 1.0], -3.0, -INF),
        ([INF, 1.0], -INF, 1.0),
        ([INF, 0.0], -1.0, 0.0),
    ],
)
def test_real_softmax_reaches_maximum_and_minimum(numbers, sharpness, expected):
    # Half a unit of the printed number and one of ours: 2 eps relative.
    assert float(real_softmax(numbers, inverse_temperature=sharpness)) == pytest.approx(
        expected, rel=2 * EPS, abs=0
    )


def test_real_softmax_less_its_divergent_part_tends_to_the_mean():
    sharpness = 1e-3

    value = real_softmax([2.0, 4.0], inverse_temperature=sharpness) - math.log(2) / sharpness

    # claim S41: the mean, 3, plus λ (a - b)² / 8 = 5e-4; the next term is of order λ³
    assert value == pytest.approx(3.0005, abs=1e-9)


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [  # claims S58, S59, S60: P^(1/T), normalised over the support
        (2.0, [0.415446, 0.321803, 0.262751, 0.0]),
        (0.5, [25 / 38, 9 / 38, 4 / 38, 0.0]),
        (1e-4, [1.0, 0.0, 0.0, 0.0]),
        (1e6, [1 / 3, 1 / 3, 1 / 3, 0.0]),
    ],
)
def test_temperature_takes_a_power_of_the_probabilities_on_their_support(temperature, expected):
    with np.errstate(divide="ignore"):
        z = np.log([0.5, 0.3, 0.2, 0.0])

    # six printed digits
    np.testing.assert_allclose(softmax(z, temperature=temperature), expected, atol=6e-7, rtol=0)


def test_a_low_temperature_shares_the_mass_among_tied_classes():
    p = softmax(np.log([0.4, 0.4, 0.2]), temperature=1e-4)

    assert p.tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_any_axis_can_hold_the_classes(axis):
    z = np.random.default_rng(0).normal(size=(2, 3, 4))
    last = np.moveaxis(z, axis, -1)

    for function in (softmax, log_softmax):
        np.testing.assert_array_equal(np.moveaxis(function(z, axis=axis), axis, -1), function(last))
    for function in (logsumexp, real_softmax, softmin):
        np.testing.assert_array_equal(function(z, axis=axis), function(last))


def test_arguments_are_not_written_to():
    z = np.asarray([[1.0, 2.0], [3.0, -INF]])
    before = z.copy()
    z.setflags(write=False)

    for function in (softmax, log_softmax, logsumexp, real_softmax, softmin):
        function(z)

    np.testing.assert_array_equal(z, before)
