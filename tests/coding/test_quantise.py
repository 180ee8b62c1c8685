"""Counts from probabilities: whole, at least 1, of one sum, the same everywhere, and cheap."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

from crossent.coding import default_precision, quantisation_cost, quantise
from crossent.coding.quantise import quantise_rows
from crossent.errors import InputError


@st.composite
def distributions(draw, most=12):
    """Rows of 1 … most probabilities: random, tied, tiny, zero, almost certain."""
    q = draw(st.integers(1, most))
    kind = draw(st.sampled_from(["random", "tied", "certain", "steep"]))
    if kind == "tied":
        weights = draw(st.lists(st.sampled_from([1.0, 1.0, 2.0]), min_size=q, max_size=q))
    elif kind == "certain":
        weights = [1e-12] * q
        weights[draw(st.integers(0, q - 1))] = 1.0
    elif kind == "steep":
        weights = [10.0 ** -draw(st.integers(0, 300)) for _ in range(q)]
    else:
        weights = draw(st.lists(st.floats(0, 1), min_size=q, max_size=q))
    p = np.array(weights)
    p = p / p.sum() if p.sum() > 1e-3 else np.eye(q)[0]
    return p / p.sum()


def exact_counts(p, bits):
    """The definition in exact fractions: the sum is not rounded and neither are the shares."""
    values = [Fraction(x) for x in p.tolist()]
    free = 2**bits - len(values)
    shares = [value / sum(values) * free for value in values]
    whole = [int(share) for share in shares]
    order = sorted(range(len(values)), key=lambda j: (whole[j] - shares[j], -values[j], j))
    chosen = set(order[: free - sum(whole)])
    return [1 + whole[j] + (j in chosen) for j in range(len(values))]


@given(p=distributions(), bits=st.integers(4, 28))
@settings(deadline=None, max_examples=300)
def test_counts_are_at_least_one_and_have_their_sum(p, bits):
    counts = quantise(p, bits)

    assert counts.dtype == np.uint32
    assert counts.min() >= 1
    assert counts.sum(dtype=np.int64) == 2**bits


@given(p=distributions(), bits=st.integers(4, 28))
@settings(deadline=None, max_examples=300)
def test_a_larger_probability_never_has_the_smaller_count(p, bits):
    counts = quantise(p, bits).astype(np.int64)
    larger = p[:, None] > p[None, :]
    equal = p[:, None] == p[None, :]
    difference = counts[:, None] - counts[None, :]

    assert (difference[larger] >= 0).all()
    assert (np.abs(difference[equal]) <= 1).all()
    first = np.triu(equal, 1)
    assert (difference[first] >= 0).all()  # of equals the first is not behind


@given(p=distributions(), bits=st.integers(4, 28))
@settings(deadline=None, max_examples=300)
def test_counts_differ_from_exact_arithmetic_by_one_at_most(p, bits):
    # Rounding p/Σp·(T - q) moves a share by at most (q + 2) 2^-53 T < 2^-20, so that only a share
    # that close to a whole number, or two remainders that close, can be decided otherwise.
    difference = quantise(p, bits).astype(np.int64) - np.array(exact_counts(p, bits))

    assert np.abs(difference).max() <= 1
    dyadic = np.round(p * 2**20) / 2**20
    if dyadic.sum() == 1 and bits <= 20:  # nothing is rounded then
        assert quantise(dyadic, bits).tolist() == exact_counts(dyadic, bits)


@given(p=distributions(), bits=st.integers(4, 28))
@settings(deadline=None, max_examples=200)
def test_the_cost_is_the_divergence_and_within_its_bound(p, bits):
    counts = quantise(p, bits)
    cost = float(quantisation_cost(p, counts))
    q, total = len(p), 2**bits

    with mp.workdps(40):
        exact = mp.fsum(
            mp.mpf(x) * mp.log(mp.mpf(x) * total / int(c))
            for x, c in zip(p.tolist(), counts.tolist(), strict=True)
            if x > 0
        )
    # Σp is 1 up to q eps, which enters the sum above as it is and moves it by as much; the relative
    # error of kl_divergence is (q + 40) eps and ((q + 40) eps)^2 absolute.
    assert cost == pytest.approx(float(exact), rel=2e-14, abs=(q + 4) * 2.3e-16)
    if q < total:
        bound = -np.log1p(-q / total)
        # c > p (T - q) up to the rounding of a share, relative (q + 3) eps.
        assert 0 <= cost <= bound + (q + 3) * 2.3e-16


def test_a_certain_class_leaves_one_count_to_each_other():
    assert quantise([1 - 1e-12, 1e-12], 16).tolist() == [65535, 1]
    assert quantise([0.0, 1.0, 0.0], 8).tolist() == [1, 254, 1]


def test_two_known_cases():
    # Shares of 13: 6.5, 3.9, 2.6. One each, rounded down 6, 3, 2; two are left: to .9 and .6.
    assert quantise([0.5, 0.3, 0.2], 4).tolist() == [7, 5, 4]
    # Equal thirds of 16 - 3: 4 1/3 each; the one that is left goes to the first.
    assert quantise([1 / 3, 1 / 3, 1 / 3], 4).tolist() == [6, 5, 5]


def test_equal_remainders_go_to_the_larger_probability():
    # Shares of 2^4 - 4 = 12: 6.5, 0.5, 3.5, 1.5; 2 are left for four remainders of one half.
    p = np.array([13, 1, 7, 3]) / 24
    assert (p * 12 % 1 == 0.5).all()
    assert quantise(p, 4).tolist() == [8, 1, 5, 2]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("q", [8, 64])
def test_of_equal_remainders_the_larger_probabilities_go_up(q, compiled):
    # Half of p are 1/(2q) and half 3/(2q); shares of the free q are 1/2 and 3/2, and q/2 are left.
    k = np.random.default_rng(0).permutation([1, 3] * (q // 2))

    counts = quantise_rows(k[None] / (2 * q), (2 * q).bit_length() - 1, compiled=compiled)

    assert counts[0].tolist() == k.tolist()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("q", [6, 48])
def test_of_equal_probabilities_the_first_go_up(q, compiled):
    # Shares of 2^b - q among q: the same for all, and the remainder of 2^b by q is left.
    bits = (2 * q).bit_length()
    counts = quantise_rows(np.full((2, q), 1 / q), bits, compiled=compiled)

    low, more = divmod(2**bits, q)
    assert counts.tolist() == [[low + 1] * more + [low] * (q - more)] * 2


def test_one_class_has_all_counts():
    assert quantise([1.0], 20).tolist() == [2**20]
    assert quantise([1.0], 0).tolist() == [1]


def test_an_alphabet_of_65536_is_quantised():
    q = 65_536
    p = np.random.default_rng(0).dirichlet(np.full(q, 0.05))
    counts = quantise(p)

    assert default_precision(q) == 28
    assert counts.min() == 1
    assert counts.sum(dtype=np.int64) == 2**28
    assert 0 < float(quantisation_cost(p, counts)) < 2**-12
    assert quantise(np.full(q, 1 / q), 16).tolist() == [1] * q


@pytest.mark.parametrize(
    ("q", "bits"),
    [(1, 16), (2, 17), (3, 18), (10, 20), (16, 20), (17, 21), (4096, 28), (2**27, 28)],
)
def test_default_precision_keeps_the_cost_small(q, bits):
    assert default_precision(q) == bits


@pytest.mark.parametrize("bits", [8, 20, 28])
@pytest.mark.parametrize("q", [1, 2, 3, 10, 32, 33, 256, 3000])
@pytest.mark.parametrize("n", [1, 127, 128, 129, 300])
def test_the_compiled_quantiser_is_the_definition_to_the_bit(q, bits, n):
    bits = max(bits, (q - 1).bit_length())
    rng = np.random.default_rng(q * n)
    p = rng.dirichlet(np.full(q, 0.3), size=n)
    p[::3] = np.round(p[::3] * 16) / 16 + 1e-9  # many ties
    p[1::7] = rng.permutation(np.eye(q)[0])
    p[2::5] = 1 / q
    p /= p.sum(axis=1, keepdims=True)

    compiled = quantise_rows(p, bits, compiled=True)

    np.testing.assert_array_equal(compiled, quantise_rows(p, bits, compiled=False))


def test_many_rows_are_quantised_like_each_alone():
    p = np.random.default_rng(1).dirichlet(np.ones(8), size=(3, 2**16))  # enough to be compiled

    counts = quantise(p, 14)

    assert counts.shape == p.shape
    for place in [(0, 0), (1, 77), (2, 65_535)]:
        np.testing.assert_array_equal(counts[place], quantise(p[place], 14))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("off", [-9e-7, 9e-7])
@pytest.mark.parametrize("q", [3, 60])
def test_a_sum_within_the_tolerance_is_divided_out(compiled, off, q):
    p = np.random.default_rng(q).dirichlet(np.ones(q), size=2)
    right = quantise_rows(p, 28, compiled=False)

    counts = quantise_rows(p * (1 + off), 28, compiled=compiled)

    assert (counts.sum(axis=1, dtype=np.int64) == 2**28).all()
    # The same shares up to roundings; undivided they would be off by up to 9e-7 2^28 = 242.
    assert np.abs(counts.astype(np.int64) - right).max() <= 1


def test_float32_rows_are_taken_with_their_own_tolerance():
    p = np.random.default_rng(2).dirichlet(np.ones(1000)).astype(np.float32)
    assert abs(p.sum(dtype=np.float64) - 1) < 1e-4

    np.testing.assert_array_equal(quantise(p), quantise(p.astype(np.float64)))


@pytest.mark.parametrize(
    ("p", "bits", "words"),
    [
        ([0.5, 0.4], 8, "sums to 0.9"),
        ([1.5, -0.5], 8, "entry 1 is -0.5"),
        ([np.nan, 1.0], 8, "entry 0 is nan"),
        ([], 8, "no classes"),
        ([0.25] * 4, 1, "a sum of 2 cannot hold a count of 1 for each of 4 classes. .* least 2"),
        ([0.5, 0.5], 29, "`precision_bits` is 29; it must be a whole number from 0 to 28"),
        ([0.5, 0.5], 8.0, "`precision_bits` is 8.0"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_value(p, bits, words):
    with pytest.raises(InputError, match=words):
        quantise(p, bits)


@pytest.mark.parametrize("q", [3, 100])
@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (-1e-3, r"entry \(150, 1\) is -0.001"),
        (math.nan, r"entry \(150, 1\) is nan"),
        (math.inf, "row 150 sums to inf"),
        (0.5, "row 150 sums to"),
    ],
)
def test_the_compiled_quantiser_refuses_the_same(q, entry, words):
    p = np.full((200, q), 1 / q)
    p[150, 1] = entry

    with pytest.raises(InputError, match=words):
        quantise_rows(p, 20, compiled=True)


@pytest.mark.parametrize("p", [1.0, np.empty((3, 0))])
def test_what_has_no_classes_is_refused_whatever_the_bits(p):
    with pytest.raises(InputError, match=r"`probabilities` has shape .* no classes"):
        quantise(p)


@pytest.mark.parametrize("low", [0, -1])
def test_the_cost_of_counts_below_one_is_refused(low):
    with pytest.raises(InputError, match=f"`counts` holds {low}; every count must be at least 1"):
        quantisation_cost([0.5, 0.5], [4 - low, low])


def test_an_alphabet_out_of_range_has_no_default_precision():
    with pytest.raises(InputError, match="`n_symbols` is 134217729"):
        default_precision(2**27 + 1)
