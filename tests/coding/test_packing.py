"""Fixed-length blocks and PAM-3, against whole-number arithmetic done by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossent.coding import (
    PAM3_SPARE,
    digits_needed,
    pack_blocks,
    packing_efficiency,
    pam3_decode,
    pam3_encode,
    unpack_blocks,
)
from crossent.errors import CodeError, InputError


@pytest.mark.parametrize(
    ("n_words", "radix", "digits"),
    [(1, 2, 0), (2, 2, 1), (3, 2, 2), (8, 2, 3), (9, 2, 4), (9, 3, 2), (10, 3, 3), (3**40, 3, 40)],
)
def test_digits_are_counted_without_logarithms(n_words, radix, digits):
    assert digits_needed(n_words, radix=radix) == digits


def test_fixed_length_blocks_of_trits_take_these_bits_a_trit():
    bits = [digits_needed(3**n) / n for n in range(1, 9)]

    assert bits == [2, 2, 5 / 3, 7 / 4, 8 / 5, 10 / 6, 12 / 7, 13 / 8]


@pytest.mark.parametrize(
    ("q", "n", "radix", "share"),
    [
        (3, 5, 2, 0.9906),
        (2, 11, 3, 0.99146),
        (2, 3, 3, 0.94639),
        (2, 8, 2, 1.0),
        (10, 3, 2, 0.99658),
    ],
)
def test_efficiency_is_information_over_capacity(q, n, radix, share):
    # For instance log2(243)/8 = 0.990602, 11/(7 log2 3) = 0.991460, 3/(2 log2 3) = 0.946395.
    assert packing_efficiency(q, n, radix=radix) == pytest.approx(share, abs=6e-6)


def test_five_trits_make_a_byte():
    assert pack_blocks([0, 0, 0, 0, 1, 1, 0, 0, 0, 0], 3, 5) == bytes([1, 81])
    assert len(pack_blocks([2] * 1000, 3, 5)) == 200


def test_words_that_are_no_bytes_follow_each_other_bit_by_bit():
    # 3 decimal digits in 10 bits: 999 = 0b1111100111, 005 = 0b0000000101, then four zero bits.
    packed = pack_blocks([9, 9, 9, 0, 0, 5], 10, 3)

    assert packed == int("111110011100000001010000", 2).to_bytes(3, "big")


@given(q=st.integers(2, 300), n=st.integers(1, 6), data=st.data())
@settings(deadline=None)
def test_unpacking_gives_back_what_was_packed(q, n, data):
    symbols = data.draw(st.lists(st.integers(0, q - 1), max_size=40))
    packed = pack_blocks(symbols, q, n)

    assert unpack_blocks(packed, q, n, count=len(symbols)).tolist() == symbols
    assert len(packed) == -(-(-(-len(symbols) // n) * math.ceil(round(n * math.log2(q), 9))) // 8)


def test_the_largest_block_that_is_served_comes_back():
    symbols = [2] * 39  # 3^39 < 2^62 < 3^40 < 2^64
    assert unpack_blocks(pack_blocks(symbols, 3, 39), 3, 39, count=39).tolist() == symbols
    with pytest.raises(InputError, match="needs 64 bits"):
        pack_blocks([2] * 40, 3, 40)


@pytest.mark.parametrize(
    ("data", "count", "words"),
    [
        (b"\x01\x01", 5, "take 1 bytes; there are 2"),
        (b"", 5, "take 1 bytes; there are 0"),
        (b"\xf3", 5, "word of block 0, 243, stands for no block"),
        (b"\x01", 4, "filling"),
    ],
)
def test_data_that_no_symbols_make_are_refused(data, count, words):
    with pytest.raises(CodeError, match=words):
        unpack_blocks(data, 3, 5, count=count)


def test_a_bit_set_after_the_last_word_is_refused():
    packed = bytearray(pack_blocks([1, 2], 3, 2))  # 4 bits, and 4 of filling
    packed[0] |= 1
    with pytest.raises(CodeError, match="filling"):
        unpack_blocks(bytes(packed), 3, 2, count=2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pack_blocks([0, 3], 3, 5), "symbol 1 is 3; it must be in 0…2"),
        (lambda: pack_blocks([0.5], 3, 5), "dtype float64"),
        (lambda: pack_blocks([[1]], 3, 5), r"shape \(1, 1\)"),
        (lambda: pack_blocks([0], 1, 5), "`n_symbols` is 1"),
        (lambda: packing_efficiency(3, 0), "`block_length` is 0"),
        (lambda: digits_needed(0), "`n_words` is 0"),
        (lambda: pam3_encode([8]), "symbol 0 is 8; it must be in 0…7"),
        (lambda: pam3_decode([1, 0]), r"it must be \(n, 2\)"),
        (lambda: pam3_decode([[0, 2]]), "symbol 1 is 2; it must be in -1…1"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_value(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_pam3_is_the_map_of_its_definition():
    levels = pam3_encode(range(8))

    assert levels.tolist() == [[k // 3 - 1, k % 3 - 1] for k in range(8)]
    assert pam3_decode(levels).tolist() == list(range(8))
    spare = set(itertools.product((-1, 0, 1), repeat=2)) - set(map(tuple, levels.tolist()))
    assert spare == {PAM3_SPARE}
    with pytest.raises(CodeError, match="pair 1 is"):
        pam3_decode([[0, 0], PAM3_SPARE])


def test_pam3_sends_random_bytes_and_decodes_them():
    values = np.random.default_rng(0).integers(0, 8, size=1000)

    np.testing.assert_array_equal(pam3_decode(pam3_encode(values)), values)
