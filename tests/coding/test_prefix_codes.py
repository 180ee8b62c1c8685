"""Huffman codes and their relatives, against enumeration and closed forms, in exact fractions."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crossent.coding import (
    PrefixCode,
    block_huffman_code,
    canonical_code,
    exact_probabilities,
    expected_length,
    huffman_code,
    kraft_sum,
    length_limited_code,
)
from crossent.errors import CodeError, InputError
from crossent.functional import entropy

THIRDS = [Fraction(1, 3)] * 3

weights = st.lists(st.integers(0, 40), min_size=1, max_size=9).filter(any)


def as_fractions(whole):
    return [Fraction(weight, sum(whole)) for weight in whole]


def shortest_by_enumeration(probabilities, longest, radix):
    """Least expected length over all lengths 1…longest whose Kraft sum is at most 1."""
    ordered = sorted(probabilities, reverse=True)  # then the best lengths do not fall
    return min(
        sum((p * length for p, length in zip(ordered, lengths, strict=True)), Fraction(0))
        for lengths in itertools.combinations_with_replacement(range(1, longest + 1), len(ordered))
        if sum(Fraction(1, radix**length) for length in lengths) <= 1
    )


@pytest.mark.parametrize("radix", [2, 3, 4, 7])
@given(whole=weights.filter(lambda w: 2 <= len(w) <= 6))
@settings(max_examples=40, deadline=None)
def test_huffman_is_as_short_as_the_best_of_all_codes(radix, whole):
    p = as_fractions(whole)
    code = huffman_code(p, radix=radix)

    # A best code needs no word longer than q - 1 digits.
    assert expected_length(p, code.lengths) == shortest_by_enumeration(p, len(p) - 1, radix)


@pytest.mark.parametrize("radix", [2, 3])
@given(whole=weights.filter(lambda w: 2 <= len(w) <= 6), spare=st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_a_length_limited_code_is_as_short_as_the_best_within_its_limit(radix, whole, spare):
    p = as_fractions(whole)
    longest = next(k for k in range(9) if radix**k >= len(p)) + spare
    code = length_limited_code(p, longest, radix=radix)

    assert max(code.lengths) <= longest
    assert expected_length(p, code.lengths) == shortest_by_enumeration(p, longest, radix)


@given(whole=weights, radix=st.integers(2, 5))
@settings(deadline=None)
def test_a_limit_that_does_not_matter_gives_huffmans_length(whole, radix):
    p = as_fractions(whole)
    limited = length_limited_code(p, len(p), radix=radix)

    assert expected_length(p, limited.lengths) == expected_length(
        p, huffman_code(p, radix=radix).lengths
    )


@example(whole=[0, 1], radix=2)
@given(whole=weights, radix=st.integers(2, 5))
@settings(deadline=None)
def test_huffman_lies_between_the_entropy_and_one_digit_more(whole, radix):
    p = as_fractions(whole)
    length = expected_length(p, huffman_code(p, radix=radix).lengths)
    digits = float(entropy(np.array(p, dtype=float), base=radix))

    # The entropy is rounded; its documented bound is (q + 6) (1 + H) eps < 1e-13.
    assert digits - 1e-13 <= length <= digits + 1
    # A digit more it takes only where one symbol is certain and others have words too.
    assert length < digits + 1 or max(p) == 1


@given(whole=weights, radix=st.integers(2, 5), data=st.data())
@settings(deadline=None)
def test_every_code_decodes_what_it_encodes(whole, radix, data):
    p = as_fractions(whole)
    symbols = data.draw(st.lists(st.integers(0, len(p) - 1), max_size=30))
    for code in (huffman_code(p, radix=radix), length_limited_code(p, 5, radix=radix)):
        assert code.decode(code.encode(symbols), count=len(symbols)) == symbols


@pytest.mark.parametrize(
    ("n", "per_symbol"),
    [*enumerate(
        ["5/3", "29/18", "130/81", "130/81", "1931/1215", "6995/4374", "24335/15309",
         "41831/26244"], start=1,
    )],
)  # fmt: skip
def test_blocks_of_a_uniform_trit_take_these_bits(n, per_symbol):
    # m equal words: m - 2^k of the words of length k are split, k = ⌊log₂ m⌋.
    m = 3**n
    k = m.bit_length() - 1
    closed_form = Fraction(k * m + 2 * (m - 2**k), m * n)

    found = block_huffman_code(THIRDS, n).expected_digits

    assert found == closed_form == Fraction(per_symbol)
    assert math.log2(3) <= found < math.log2(3) + 1 / n


def test_block_lengths_are_not_monotone():
    bits = [block_huffman_code(THIRDS, n).expected_digits for n in range(1, 9)]

    assert any(later > earlier for earlier, later in itertools.pairwise(bits))


def test_blocks_of_a_skewed_source_come_close_to_its_entropy():
    p = [Fraction(9, 10), Fraction(1, 10)]
    code = block_huffman_code(p, 8)

    # Each word's probability by the number of ones in the block, the most significant first.
    by_hand = (
        sum(
            Fraction(9, 10) ** (8 - ones) * Fraction(1, 10) ** ones * len(word)
            for number, word in enumerate(code.code.words)
            if (ones := number.bit_count()) >= 0
        )
        / 8
    )
    assert code.expected_digits == by_hand
    assert 0.4690 < code.expected_digits < 0.4690 + 1 / 8  # H(0.9, 0.1) = 0.46900 bits
    assert kraft_sum(code.code.lengths) == 1


def test_a_block_code_decodes_what_it_encodes():
    code = block_huffman_code([Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)], 3, radix=3)
    symbols = np.random.default_rng(0).choice(3, p=[1 / 2, 1 / 3, 1 / 6], size=300).tolist()

    digits = code.encode(symbols)

    assert code.decode(digits) == symbols
    assert set(digits) <= {0, 1, 2}


def test_a_block_code_of_one_symbol_sends_nothing():
    code = block_huffman_code([1], 4)

    assert code.expected_digits == 0
    assert code.encode([0] * 8) == []
    assert code.decode([], count=8) == [0] * 8


@pytest.mark.parametrize("radix", [2, 3, 5])
def test_the_kraft_sum_of_a_full_code_is_one(radix):
    # q - 1 a multiple of radix - 1: no spare symbols were needed.
    q = 1 + 4 * (radix - 1)
    p = exact_probabilities([Fraction(2 * i + 1, q * q) for i in range(q)])

    assert kraft_sum(huffman_code(p, radix=radix).lengths, radix=radix) == 1


def test_the_best_code_for_three_equal_classes_has_lengths_1_2_2():
    # Exercise: all triples of lengths up to 4 that a decodable code can have.
    best = shortest_by_enumeration(THIRDS, 4, 2)
    code = huffman_code(THIRDS)

    assert best == Fraction(5, 3) == expected_length(THIRDS, code.lengths)
    assert sorted(code.lengths) == [1, 2, 2]
    assert kraft_sum([1, 1, 2]) == Fraction(5, 4)
    with pytest.raises(InputError, match="Kraft sum 5/4"):
        canonical_code([1, 1, 2])


def test_one_hot_words_cost_three_digits():
    one_hot = PrefixCode(((1, 0, 0), (0, 1, 0), (0, 0, 1)))

    assert expected_length(THIRDS, one_hot.lengths) == 3
    assert kraft_sum(one_hot.lengths) == Fraction(3, 8)


def test_a_canonical_code_is_the_one_of_its_textbook_example():
    # The lengths of RFC 1951, section 3.2.2, and the words that it prints.
    code = canonical_code([3, 3, 3, 3, 3, 2, 4, 4])

    assert code.strings == ("010", "011", "100", "101", "110", "00", "1110", "1111")


def test_floats_are_taken_as_the_fractions_that_they_are():
    assert exact_probabilities([0.1, 0.9]) == exact_probabilities(np.array([0.1, 0.9]))
    exact = exact_probabilities([1 / 3, 1 / 3, 1 / 3])
    assert sum(exact) == 1
    assert exact[0] == Fraction(1, 3)  # three equal floats, divided by their exact sum


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: huffman_code([]), "empty"),
        (lambda: huffman_code([0.5, 0.6]), "sum to 1.1"),
        (lambda: huffman_code([Fraction(1, 2), Fraction(1, 3)]), "sum to 5/6"),
        (lambda: huffman_code([1.5, -0.5]), "entry 1 is -0.5"),
        (lambda: huffman_code([math.nan, 1]), "entry 0 is nan"),
        (lambda: huffman_code(["a", 1]), "entry 0 is 'a'"),
        (lambda: huffman_code([0.5, 0.5], radix=1), "`radix` is 1"),
        (lambda: huffman_code([0.5, 0.5], radix=2.5), "`radix` is 2.5"),
        (lambda: length_limited_code(THIRDS, 1), "3 symbols do not fit into words of at most 1"),
        (lambda: block_huffman_code(THIRDS, 0), "`block_length` is 0"),
        (lambda: block_huffman_code(THIRDS, 13), "more than 1048576"),
        (lambda: block_huffman_code(THIRDS, 2).encode([0]), "not a multiple of the block length 2"),
        (lambda: block_huffman_code(THIRDS, 2).encode([0, 3]), "from 0 to 2"),
        (lambda: expected_length(THIRDS, [1, 2]), "3 `probabilities` and 2 `lengths`"),
        (lambda: expected_length(THIRDS, [1, 2, -2]), "`lengths` is -2"),
        (lambda: kraft_sum([]), "`lengths` is empty"),
        (lambda: PrefixCode(()), "`words` is empty"),
        (lambda: PrefixCode(((0,), (0, 1))), "word of symbol 0 is the beginning of that of"),
        (lambda: PrefixCode(((0,), (2,))), r"`words\[1\]` is 2"),
        (lambda: huffman_code(THIRDS).encode([3]), "symbol 3 is not one of 0…2"),
        (lambda: huffman_code([1]).decode([]), "pass `count`"),
        (lambda: PrefixCode(((0,), (40,)), 41).strings, "radix 41 has no digits"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_value(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize(
    ("code", "digits", "count", "words"),
    [
        (huffman_code(THIRDS), [1, 1, 1], None, "1 digits at the end are no whole word"),
        (huffman_code(THIRDS), [1, 1], 2, "hold 1 symbols, and not 2"),
        (huffman_code([1]), [0], 3, "no whole word"),
        (PrefixCode(((0, 0), (1, 1))), [0, 0, 1, 0, 0, 0], None, "no whole word"),
    ],
)
def test_digits_that_are_no_words_are_refused(code, digits, count, words):
    with pytest.raises(CodeError, match=words):
        code.decode(digits, count=count)
