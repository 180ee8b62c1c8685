"""Entropies and divergences against mpmath, within the bounds of the docstrings, and identities."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crossent.functional import (
    cross_entropy,
    entropy,
    js_divergence,
    kl_divergence,
    log_softmax,
    mutual_information,
    perplexity,
    softmax,
    surprisal,
)

EPS = 2.0**-52
INF, NAN = math.inf, math.nan

rng = np.random.default_rng(20262)
DISTRIBUTIONS = {
    "certain": [1.0, 0.0, 0.0],
    "one outcome": [1.0],
    "equal": [0.25] * 4,
    "claim S49": [0.5, 0.3, 0.2],
    "nearly certain": [1 - 2.0**-10, 2.0**-10, 0.0],
    "very nearly certain": [1 - 3.1e-6, 1e-7, 3e-6],
    "tiny": [1.0, 1e-30, 3e-38],
    "spread": list(rng.dirichlet(np.full(30, 0.1))),
    "many": list(rng.dirichlet(np.full(300, 3.0))),
}
# What the second distribution is made of: the first one and a relative change.
CHANGES = [0.0, 1e-12, 1e-9, 1e-6, 1e-3, 0.3, 0.6, 0.999, 1.7]

distributions = (
    st.integers(1, 6)
    .flatmap(
        lambda q: hnp.arrays(np.float64, q, elements=st.sampled_from([0.0, 1e-9, 0.2, 1.0, 3.0]))
    )
    .filter(lambda x: x.sum() > 0)
    .map(lambda x: x / x.sum())
)
pairs = st.tuples(st.integers(1, 6), st.integers(0, 2**32 - 1)).map(
    lambda key: np.random.default_rng(key[1]).dirichlet(np.full(key[0], 0.5), size=2)
)
logit_pairs = st.tuples(st.integers(1, 6), st.integers(0, 2**32 - 1)).map(
    lambda key: np.random.default_rng(key[1]).normal(size=(2, key[0])) * 5
)


def changed(p, change):
    """A distribution that differs from p by a relative change of alternating sign."""
    signs = [(-1) ** j if change < 1 else (j % 2) for j in range(len(p))]
    q = [x * (1 + change * s) for x, s in zip(p, signs, strict=True)]
    return [x / math.fsum(q) for x in q]


def within_row_tolerance(row, dtype):
    tolerance = {"float64": 1e-6, "float32": 1e-4, "float16": 2.0**-9, "bfloat16": 2.0**-6}
    return abs(math.fsum(row) - 1) <= tolerance[dtype]


# Accuracy from probabilities


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_entropy_is_accurate_to_its_bound(backend, oracle, name):
    p = backend.asarray(DISTRIBUTIONS[name])
    exact = oracle.entropy(oracle.plain(backend.floats(p)))
    bound = (len(DISTRIBUTIONS[name]) + 6) * (1 + exact) * backend.eps

    oracle.assert_within([backend.floats(entropy(p))], [exact], [bound], backend.dtype)
    bits = [exact / oracle.mpmath.log(2)]
    oracle.assert_within([backend.floats(entropy(p, base=2))], bits, [2 * bound], backend.dtype)
    oracle.assert_within(
        [backend.floats(perplexity(p))],
        [oracle.mpmath.exp(exact)],
        [(bound + 4 * backend.eps) * oracle.mpmath.exp(exact)],
        backend.dtype,
    )


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_divergences_are_accurate_to_their_bound_also_for_near_equal_ones(backend, oracle, name):
    for change in CHANGES:
        p = backend.asarray(DISTRIBUTIONS[name])
        q = backend.asarray(changed(DISTRIBUTIONS[name], change))
        exact_p, exact_q = oracle.plain(backend.floats(p)), oracle.plain(backend.floats(q))
        n = len(exact_p)
        relative = (n + 40) * backend.eps
        # Rows of 16-bit numbers sum to 1 + s; an error of eps s in all ratios is of second order.
        floor = (n + 40) ** 2 * backend.eps**2 * (1e-4 if backend.dtype == backend.working else 1)

        for function, exact in [
            (kl_divergence, oracle.kl(exact_p, exact_q)),
            (js_divergence, oracle.js(exact_p, exact_q)),
        ]:
            actual = backend.floats(function(p, q))
            bound = relative * exact + floor if exact < oracle.mpmath.inf else 0
            oracle.assert_within([actual], [exact], [bound], backend.dtype)
            assert actual >= 0

        exact = oracle.cross_entropy(exact_p, exact_q)
        bound = (n + 6) * (1 + exact) * backend.eps if exact < oracle.mpmath.inf else 0
        actual = backend.floats(cross_entropy(p, q))
        oracle.assert_within([actual], [exact], [bound], backend.dtype)


def test_the_divergence_of_distributions_that_agree_to_ten_digits_has_all_of_its_own():
    # KL((1/2, 1/2) ‖ (1/2 + h, 1/2 - h)) = -log(1 - 4 h²) / 2; h = 2^-34 is exact
    h = 2.0**-34
    expected = -math.log1p(-4 * h * h) / 2

    p, q = [0.5, 0.5], [0.5 + h, 0.5 - h]

    assert kl_divergence(p, q) == pytest.approx(expected, rel=20 * EPS, abs=0)
    assert js_divergence(p, q) == pytest.approx(
        expected / 4, rel=1e-9, abs=0
    )  # to higher orders of h
    naive = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert abs(naive - expected) > expected / 2  # what the textbook sum makes of it


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_surprisal_is_relatively_accurate(backend, oracle, name):
    p = backend.asarray(DISTRIBUTIONS[name])
    exact = [-oracle.mpmath.log(x) if x else oracle.mpmath.inf for x in backend.floats(p)]
    bounds = [4 * backend.eps * e if e < oracle.mpmath.inf else 0 for e in exact]

    oracle.assert_within(backend.floats(surprisal(p)), exact, bounds, backend.dtype)


# Accuracy from logits


def reach(oracle, *rows):
    """The largest distance of two logits of a row, plus q + 40."""
    finite = [[oracle.mpf(x) for x in row if not math.isinf(x)] for row in rows]
    return max(max(row) - min(row) for row in finite) + len(rows[0]) + 40


def test_entropy_and_surprisal_from_logits_are_relatively_accurate(case, oracle):
    backend, z, floats = case
    q = len(floats)
    finite = [x for x in floats if x > -INF]
    relative = (2 * (oracle.mpf(max(finite)) - min(finite)) + 3 * q + 20) * backend.eps
    exact = oracle.entropy(oracle.softmax(floats))
    surprisals = [-x for x in oracle.log_softmax(floats)]
    each = (oracle.runner_up(floats) + q + 10) * backend.eps
    bounds = [each * e if e < oracle.mpmath.inf else 0 for e in surprisals]

    actual = backend.floats(entropy(z, from_logits=True))

    oracle.assert_within([actual], [exact], [relative * exact], backend.dtype)
    actual = backend.floats(surprisal(z, from_logits=True))
    oracle.assert_within(actual, surprisals, bounds, backend.dtype)


def test_divergences_from_logits_are_accurate_to_their_bound(case, oracle):
    for change in (0.0, 1e-12, 1e-7, 0.01, 1.0, 30.0):
        backend, a, floats = case
        floats = floats[:40]  # mpmath takes its time over a thousand logarithms
        a = a[: len(floats)]
        b = backend.asarray([x + change * (j % 3) for j, x in enumerate(floats)])
        others = backend.floats(b)
        if max(abs(x) for x in floats if x > -INF) > oracle.HUGE[backend.working] / 4:
            continue  # the distance of two logits overflows; see the next test
        p, q = oracle.softmax(floats), oracle.softmax(others)
        distance = reach(oracle, floats, others)

        for function, exact in [(kl_divergence, oracle.kl(p, q)), (js_divergence, oracle.js(p, q))]:
            root = oracle.mpmath.sqrt(abs(exact))
            bound = distance * (20 * exact + 2 * root + distance * backend.eps) * backend.eps
            actual = backend.floats(function(a, b, from_logits=True))
            oracle.assert_within([actual], [exact], [bound], backend.dtype)
            assert actual >= 0
        exact = oracle.cross_entropy(p, q)
        bound = (2 * distance + 3 * len(floats)) * backend.eps * exact
        actual = backend.floats(cross_entropy(a, b, from_logits=True))
        oracle.assert_within([actual], [exact], [bound], backend.dtype)


@pytest.mark.parametrize(
    ("a", "b", "kl"),
    [  # closed forms: mass p on the far class, whose log-ratio is the distance
        ([0.0, -5.0], [0.0, -800.0], None),
        ([0.0, -800.0], [0.0, -5.0], math.log1p(math.exp(-5))),
        ([1.7e308, -1.7e308], [1.7e308, -1.7e308], 0.0),
        ([1.7e308, -1.7e308], [-1.7e308, -1.7e308], math.log(2)),
        ([0.0, -INF], [0.0, 0.0], math.log(2)),
        ([0.0, 0.0], [0.0, -INF], INF),
        ([0.0, -INF], [0.0, -INF], 0.0),
        ([0.0, -INF], [-INF, 0.0], INF),
        ([-INF, -INF], [0.0, 0.0], NAN),
        ([0.0, 0.0], [-INF, -INF], NAN),
        ([INF, 0.0], [0.0, 0.0], NAN),
        ([0.0, 0.0], [0.0, NAN], NAN),
    ],
)
def test_divergence_from_logits_at_the_edges(a, b, kl):
    if kl is None:
        p = math.exp(-5) / (1 + math.exp(-5))
        kl = p * (800 - 5) - math.log1p(math.exp(-5))

    assert float(kl_divergence(a, b, from_logits=True)) == pytest.approx(
        kl, rel=1e-13, abs=0, nan_ok=True
    )
    js = float(js_divergence(a, b, from_logits=True))
    assert math.isnan(js) == math.isnan(kl)
    assert math.isnan(js) or 0 <= js <= math.log(2) * (1 + 4 * EPS)


# Edges and units


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (entropy, ([1.0, 0.0],), 0.0),
        (entropy, ([0.0, 0.0, 1.0],), 0.0),
        (cross_entropy, ([0.0, 1.0], [0.0, 1.0]), 0.0),
        (cross_entropy, ([1.0, 0.0], [0.0, 1.0]), INF),
        (cross_entropy, ([0.5, 0.5, 0.0], [0.25, 0.75, 0.0]), math.log(16 / 3) / 2),
        (kl_divergence, ([1.0, 0.0], [0.5, 0.5]), math.log(2)),
        (kl_divergence, ([0.5, 0.5], [1.0, 0.0]), INF),
        (kl_divergence, ([0.0, 1.0], [0.0, 1.0]), 0.0),
        (kl_divergence, ([1e-320, 1.0], [0.5, 0.5]), math.log(2)),
        (kl_divergence, ([0.5, 0.5], [1e-320, 1.0]), 0.5 * 320 * math.log(10) - math.log(2)),
        (js_divergence, ([1.0, 0.0], [0.0, 1.0]), math.log(2)),
        (js_divergence, ([0.5, 0.5, 0.0], [0.5, 0.5, 0.0]), 0.0),
        (js_divergence, ([1.0, 0.0], [0.5, 0.5]), 0.75 * math.log(4 / 3)),
        (perplexity, ([1.0, 0.0],), 1.0),
        (perplexity, ([1.0, 0.0], [0.0, 1.0]), INF),
        (perplexity, ([0.5, 0.5], [0.25, 0.75]), 4 / math.sqrt(3)),
        (mutual_information, ([[0.5, 0.0], [0.0, 0.5]],), math.log(2)),
        (mutual_information, ([[0.25, 0.25], [0.25, 0.25]],), 0.0),
        (mutual_information, ([[1.0]],), 0.0),
        (mutual_information, ([[0.5, 0.5], [0.0, 0.0]],), 0.0),
        (mutual_information, ([[1e-200, 0.0], [0.0, 1.0]],), 461.5170185988091e-200),
    ],
)
def test_zeros_follow_one_rule_everywhere(function, arguments, expected):
    # 1e-320 is a subnormal: only eleven bits of it are left, 2^-11 of 320 log 10
    assert float(function(*arguments)) == pytest.approx(
        expected, rel=1e-6 if expected > 99 else 1e-14, abs=0
    )


def test_certain_outcomes_have_no_negative_zero():
    for value in (entropy([1.0, 0.0]), surprisal([1.0])[0], cross_entropy([1.0], [1.0])):
        assert math.copysign(1.0, float(value)) == 1.0


@pytest.mark.parametrize(
    ("function", "arguments", "options", "expected"),
    [  # claims S45, S46, S48, S49, S62, S72; printed digits
        (entropy, ([0.5, 0.3, 0.2],), {}, 1.0296530140645737),
        (entropy, ([0.5, 0.3, 0.2],), {"base": 2}, 1.4854752972273344),
        (entropy, ([0.25] * 4,), {"base": 4}, 1.0),
        (entropy, ([0.5, 0.5],), {"base": 2}, 1.0),
        (cross_entropy, ([0.5, 0.3, 0.2], [0.6, 0.3, 0.1]), {}, 1.0771217),
        (cross_entropy, ([0.6, 0.3, 0.1], [0.5, 0.3, 0.2]), {}, 0.9380239),
        (kl_divergence, ([0.5, 0.3, 0.2], [0.6, 0.3, 0.1]), {}, 0.0474687),
        (kl_divergence, ([0.6, 0.3, 0.1], [0.5, 0.3, 0.2]), {}, 0.0400782),
        (kl_divergence, ([0.5, 0.3, 0.2], [0.2, 0.3, 0.5]), {}, 0.274887),
        (surprisal, (0.001,), {}, 6.907755278982137),
        (surprisal, (0.999,), {"base": 2}, 0.0014434),
        (surprisal, (1 / 1024,), {"base": 2}, 10.0),
        (surprisal, (0.01,), {"base": 10}, 2.0),
    ],
)
def test_known_values(function, arguments, options, expected):
    digits = len(str(expected).split(".")[1])
    tolerance = 0.51 * 10.0**-digits if digits < 10 else 4 * EPS

    assert float(function(*arguments, **options)) == pytest.approx(
        expected, abs=max(tolerance, 4e-15)
    )


def test_units_are_a_division():
    p, q = [0.5, 0.3, 0.2], [0.6, 0.3, 0.1]
    table = [[0.4, 0.1], [0.2, 0.3]]

    for function, arguments in [
        (entropy, (p,)),
        (cross_entropy, (p, q)),
        (kl_divergence, (p, q)),
        (js_divergence, (p, q)),
        (mutual_information, (table,)),
    ]:
        nats = float(function(*arguments))
        assert float(function(*arguments, base=2)) == pytest.approx(
            nats / math.log(2), rel=4 * EPS, abs=0
        )
        assert nats > 0.01


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_any_axis_can_hold_the_outcomes(axis):
    a, b = rng.normal(size=(2, 3, 4))
    p, q = softmax(a, axis=axis), softmax(b, axis=axis)
    x, y, u, v = (np.moveaxis(array, axis, -1) for array in (p, q, a, b))

    for function in (entropy, perplexity):
        np.testing.assert_array_equal(function(p, axis=axis), function(x))
        np.testing.assert_array_equal(
            function(a, axis=axis, from_logits=True), function(u, from_logits=True)
        )
    for function in (cross_entropy, kl_divergence, js_divergence, perplexity):
        np.testing.assert_array_equal(function(p, q, axis=axis), function(x, y))
        np.testing.assert_array_equal(
            function(a, b, axis=axis, from_logits=True), function(u, v, from_logits=True)
        )
    np.testing.assert_array_equal(
        np.moveaxis(surprisal(a, axis=axis, from_logits=True), axis, -1), -log_softmax(u)
    )


# Identities


@given(distributions)
def test_entropy_lies_between_zero_and_that_of_equal_outcomes(p):
    assert 0 <= entropy(p) <= math.log(len(p)) + 8 * len(p) * EPS
    assert perplexity(p) == pytest.approx(math.exp(entropy(p)), rel=4 * EPS, abs=0)


@given(pairs)
def test_cross_entropy_is_entropy_and_divergence(pair):
    p, q = pair
    total = cross_entropy(p, q)

    assert entropy(p) + kl_divergence(p, q) == pytest.approx(total, rel=1e-13, abs=1e-14)
    assert total >= entropy(p) * (1 - 1e-14)  # Gibbs


@given(pairs)
def test_jensen_shannon_is_symmetric_bounded_and_made_of_two_divergences(pair):
    p, q = pair
    middle = (p + q) / 2
    js = js_divergence(p, q)

    assert js == pytest.approx(js_divergence(q, p), rel=1e-13, abs=1e-30)
    assert 0 <= js <= math.log(2) * (1 + 4 * EPS)
    parts = kl_divergence(p, middle) + kl_divergence(q, middle)
    assert js == pytest.approx(parts / 2, rel=1e-9, abs=1e-15)


@given(distributions)
def test_nothing_diverges_from_itself(p):
    assert kl_divergence(p, p) == 0
    assert js_divergence(p, p) == 0


@given(logit_pairs)
def test_logits_and_their_probabilities_tell_the_same(pair):
    a, b = pair
    p, q = softmax(a), softmax(b)

    for function in (cross_entropy, kl_divergence, js_divergence, perplexity):
        # Probabilities are rounded: 40 eps relative, first order in log-ratios up to 50.
        expected = function(p, q)
        actual = function(a, b, from_logits=True)
        assert actual == pytest.approx(expected, rel=1e-11, abs=1e-13)
    assert entropy(a, from_logits=True) == pytest.approx(entropy(p), rel=1e-11, abs=1e-13)
