"""The entropy coder: lossless, at the promised length, one format in Python and compiled."""

import math

import constriction
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossent.coding import (
    decode_in_turn,
    decode_symbols,
    encode_symbols,
    ideal_bits,
    quantise,
    rans,
    symbols,
)
from crossent.errors import CodeError, InputError

OVERHEAD_BITS = 39  # the first state, and the filling of the last byte


def draws(rng, p):
    """One symbol from each row of probabilities."""
    return (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)


def sample(q=10, n=5000, sharpness=0.3, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(q, sharpness), size=n)
    return draws(rng, p), p


@st.composite
def messages(draw):
    """Counts with a row for each symbol and the symbols, over random alphabets."""
    q = draw(st.integers(1, 20))
    bits = draw(st.integers((q - 1).bit_length(), 28))
    n = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    p = rng.dirichlet(np.full(q, draw(st.sampled_from([0.01, 1.0, 100.0]))), size=n)
    counts = quantise(p, bits) if n else np.ones((0, q), dtype=np.uint32)
    return draw(st.lists(st.integers(0, q - 1), min_size=n, max_size=n)), counts


@given(message=messages())
@settings(deadline=None, max_examples=200)
def test_decoding_gives_back_what_was_encoded(message):
    values, counts = message
    coded = encode_symbols(values, counts)

    assert decode_symbols(coded, counts, count=len(values)).tolist() == values


@given(message=messages())
@settings(deadline=None, max_examples=100)
def test_the_compiled_coder_writes_and_reads_the_same_bytes(message):
    values, counts = message
    if not values:
        return
    bits = int(counts[0].sum(dtype=np.int64)).bit_length() - 1
    y = np.array(values, dtype=np.int64)
    plain = symbols.push(rans.START, y, counts, bits, compiled=False)
    compiled = symbols.push(rans.START, y, counts, bits, compiled=True)

    assert plain[0] == compiled[0]
    assert plain[1].tolist() == compiled[1].tolist()
    state, words, position = rans.state_and_words(rans.payload_of(plain[0], [plain[1]]))
    for choice in (False, True):
        found, last, end = symbols.pop(state, counts, bits, words, position, compiled=choice)
        assert found.tolist() == values
        assert (last, end) == (rans.START, len(words))


@pytest.mark.parametrize("bits", [4, 16, 20, 28])
@pytest.mark.parametrize("sharpness", [0.02, 0.3, 30.0])
def test_the_length_is_the_surprisal_and_a_few_bytes(bits, sharpness):
    y, p = sample(sharpness=sharpness)
    counts = quantise(p, bits)
    coded = encode_symbols(y, counts)
    ideal = ideal_bits(y, counts)

    by_hand = sum(-math.log2(counts[i, y[i]] / 2**bits) for i in range(len(y)))
    assert ideal == pytest.approx(by_hand, rel=1e-12)  # 5000 roundings of 2^-53
    assert 8 * len(coded) >= ideal - 32  # the decoder's last state is worth 31 bits of its own
    assert 8 * len(coded) <= ideal * 1.001 + OVERHEAD_BITS


@pytest.mark.parametrize(("bits", "excess"), [(16, 1e-7), (20, 1e-6), (28, 1e-4)])
def test_truncations_cost_next_to_nothing(bits, excess):
    y, p = sample(n=50_000)
    counts = quantise(p, bits)
    state, words = symbols.push(rans.START, y, counts, bits, compiled=True)

    information = math.log2(state) + 32 * len(words) - 31  # 31 bits were there before
    # A push of count f at state x adds up to f/x nats, x between 2^31 and 2^63 on a log scale:
    # in the mean 2^(b-31) / (32 log 2); its sign changes, which leaves far less.
    assert abs(information / ideal_bits(y, counts) - 1) < excess


def test_a_million_uniform_trits_take_less_than_1_5855_bits_each():
    trits = np.random.default_rng(0).integers(0, 3, size=1_000_000)
    counts = quantise([1 / 3, 1 / 3, 1 / 3])

    coded = encode_symbols(trits, counts)

    bits = 8 * len(coded) / len(trits)
    assert 1.58496 <= bits <= 1.5855  # log2 3 = 1.584963
    np.testing.assert_array_equal(decode_symbols(coded, counts, count=len(trits)), trits)


def test_a_rare_symbol_is_sent_at_its_price():
    rare = (np.random.default_rng(0).random(100_000) < 0.001).astype(np.int64)
    counts = quantise([0.999, 0.001])
    ideal = -math.log2(0.999) * (100_000 - rare.sum()) - math.log2(0.001) * rare.sum()

    coded = encode_symbols(rare, counts)

    assert rare.sum() == 90
    assert ideal == pytest.approx(1041.13, abs=0.01)
    assert ideal - 32 <= 8 * len(coded) <= 1.0005 * ideal + 64
    np.testing.assert_array_equal(decode_symbols(coded, counts, count=100_000), rare)


def test_one_class_takes_no_bits_of_its_own():
    coded = encode_symbols(np.zeros(100_000, dtype=int), quantise([1.0]))

    assert len(coded) == 4
    assert not decode_symbols(coded, quantise([1.0]), count=100_000).any()


def test_no_symbols_are_four_bytes():
    coded = encode_symbols([], quantise([0.5, 0.5]))

    assert coded == bytes.fromhex("80000000")
    assert decode_symbols(coded, quantise([0.5, 0.5]), count=0).tolist() == []
    assert decode_symbols(coded, np.ones((0, 4), dtype=np.uint32)).tolist() == []


def test_almost_certain_symbols_come_back_also_where_they_were_the_other_ones():
    n = 2000
    p = np.tile([1 - 1e-12, 1e-12], (n, 1))
    y = (np.arange(n) % 50 == 0).astype(np.int64)  # 40 that were thought impossible
    counts = quantise(p)

    coded = encode_symbols(y, counts)

    assert decode_symbols(coded, counts).tolist() == y.tolist()
    assert 8 * len(coded) <= 40 * 17 + n * 2e-5 + 40 + OVERHEAD_BITS  # 17 bits each: 1/2^17


def test_an_alphabet_of_65536_comes_back():
    q = 65_536
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.full(q, 0.01), size=5)
    y = np.array([0, q - 1, 12_345, int(p[3].argmax()), 63])
    counts = quantise(p)

    coded = encode_symbols(y, counts)  # 327,680 counts: the compiled coder

    assert decode_symbols(coded, counts).tolist() == y.tolist()
    assert 8 * len(coded) <= 1.001 * ideal_bits(y, counts) + OVERHEAD_BITS
    slow = symbols.push(rans.START, y, counts, 28, compiled=False)
    assert rans.payload_of(slow[0], [slow[1]]) == coded


def test_the_format_is_that_of_this_message():
    """Pins the bytes: 'The' as trits of a skewed source, by the formula with a pencil."""
    counts = np.array([3, 1], dtype=np.uint32)
    # x = 2^31; push 1: x·4 + 3; push 0 with f = 3: ⌊x/3⌋·4 + x mod 3.
    x = 2**31
    x = x * 4 + 3
    x = x // 3 * 4 + x % 3
    assert encode_symbols([0, 1], counts) == x.to_bytes(5, "big")


@pytest.mark.parametrize("compiled", [False, True])
def test_a_state_at_the_very_limit_sheds_its_word(compiled):
    # Two symbols of count 1 in 2^16, nothing before them: 2^31·2^16 = 2^47 is the limit itself.
    rows = np.array([[1, 65_535]] * 2, dtype=np.uint32)
    state, words = symbols.push(rans.START, np.array([0, 0]), rows, 16, compiled=compiled)

    assert words.tolist() == [0]
    assert state == (2**47 >> 32) << 16


def test_rate_is_that_of_constriction_or_better():
    # Both get the same rounded probabilities, so that the coders alone differ.
    y, p = sample(n=20_000)
    counts = quantise(p)
    family = constriction.stream.model.Categorical(perfect=False)
    peer = constriction.stream.stack.AnsCoder()
    peer.encode_reverse(y.astype(np.int32), family, (counts / counts.sum(axis=1, keepdims=True)))

    ours = 8 * len(encode_symbols(y, counts))

    assert ours <= peer.num_valid_bits() + 64
    assert peer.num_valid_bits() >= ideal_bits(y, counts) - 64  # neither beats the entropy
    assert abs(ours - ideal_bits(y, counts)) < 64


def test_blocks_of_rows_make_no_difference(monkeypatch):
    y, p = sample(n=3000)
    counts = quantise(p)
    whole = encode_symbols(y, counts)
    monkeypatch.setattr(symbols, "_ENTRIES_AT_ONCE", 170)

    assert encode_symbols(y, counts) == whole
    np.testing.assert_array_equal(decode_symbols(whole, counts), y)


def test_compiled_and_plain_coders_write_the_same_file(monkeypatch):
    y, p = sample(n=30_000)
    counts = quantise(p)
    compiled = encode_symbols(y, counts)  # 300,000 counts
    monkeypatch.setattr(symbols, "is_worth_compiling", lambda *_: False)

    assert encode_symbols(y, counts) == compiled
    np.testing.assert_array_equal(decode_symbols(compiled, counts), y)


@pytest.mark.parametrize("compiled", [False, True])
def test_data_that_were_cut_off_are_refused_and_never_read_beyond(monkeypatch, compiled):
    monkeypatch.setattr(symbols, "is_worth_compiling", lambda *_: compiled)
    y, p = sample(n=400)
    counts = quantise(p)
    coded = encode_symbols(y, counts)

    for end in range(len(coded)):
        with pytest.raises(CodeError):
            decode_symbols(coded[:end], counts)
    for more in (b"\0", b"\0" * 4, b"\x80\0\0\0"):
        with pytest.raises(CodeError):
            decode_symbols(coded + more, counts)
        with pytest.raises(CodeError):
            decode_symbols(more + coded, counts)


def test_other_counts_do_not_lead_back_to_the_first_state():
    y, p = sample(n=400)
    counts = quantise(p)

    with pytest.raises(CodeError, match=r"other counts|too early"):
        decode_symbols(encode_symbols(y, counts), quantise(p[::-1]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: encode_symbols([2], [3, 1]), "symbol 0 is 2; it must be in 0…1"),
        (lambda: encode_symbols([0], [3, 2]), "row 0 sums to 5"),
        (lambda: encode_symbols([0, 0], [[3, 1], [4, 4]]), "row 1 sums to 8"),
        (lambda: encode_symbols([0], [4, 0]), "row 0 holds 0"),
        (lambda: encode_symbols([0], [0.5, 0.5]), "dtype float64"),
        (lambda: encode_symbols([0], [2**28, 2**28]), r"at most 2\^28"),
        (lambda: encode_symbols([0, 1], [[3, 1]]), "2 symbols and 1 rows"),
        (lambda: encode_symbols([0], np.ones((1, 0), dtype=int)), r"shape \(1, 0\)"),
        (lambda: decode_symbols(b"", [3, 1]), "pass `count`"),
        (lambda: decode_symbols(b"", [[3, 1]], count=2), "2 symbols and 1 rows"),
        (lambda: decode_symbols(b"", [3, 1], count=-1), "`count` is -1"),
        (lambda: decode_symbols(b"", [3, 1], count=2.5), "`count` is 2.5"),
        (lambda: decode_symbols("80000000", [3, 1], count=0), "`data` is a str; it must be bytes"),
        (lambda: decode_in_turn(b"\x80\0\0\0", None, count=-2), "`count` is -2"),
        (
            lambda: decode_in_turn(b"\x80\0\0\0", lambda _: [[3, 1], [3, 1]], count=1),
            "1 symbols and 2 rows",
        ),
        # 2^64 + 4 in 64 bits is 4.
        (lambda: encode_symbols([0], np.array([2**64 - 1, 3, 2], "u8")), f"sums to {2**64 + 4}"),
        (lambda: encode_symbols([0], [2**62, 2**62, 2**62, 2**62 + 4]), f"sums to {2**64 + 4}"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_value(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_a_text_comes_back_letter_by_letter_from_what_came_before():
    table = np.random.default_rng(4).dirichlet(np.ones(5), size=25)  # of the last two letters
    rng = np.random.default_rng(5)

    def place(before):
        return 5 * (before[-2] if len(before) > 1 else 0) + (before[-1] if before else 0)

    text = []
    for _ in range(300):
        text.append(int(rng.choice(5, p=table[place(text)])))
    rows = quantise(table[[place(text[:i]) for i in range(300)]])
    coded = encode_symbols(text, rows)

    found = decode_in_turn(coded, lambda before: quantise(table[place(before)]), count=300)

    assert found.tolist() == text
    assert decode_in_turn(encode_symbols([], [1, 1]), None, count=0).tolist() == []
    with pytest.raises(CodeError):
        decode_in_turn(coded, lambda before: quantise(table[-1 - place(before)]), count=300)
    with pytest.raises(InputError, match="sums to 3"):
        decode_in_turn(coded, lambda _: [1, 2], count=300)


def test_bad_rows_are_found_among_many():
    counts = quantise(np.full((40_000, 8), 1 / 8))  # enough for the compiled check
    y = np.zeros(40_000, dtype=int)
    for row, count, words in [(39_999, 0, "holds 0"), (17, 1, "sums to"), (0, 5, "sums to")]:
        bad = counts.copy()
        bad[row, 0] = count
        with pytest.raises(InputError, match=f"`counts` row {row} {words}"):
            encode_symbols(y, bad)
        with pytest.raises(InputError, match=f"`counts` row {row} {words}"):
            decode_symbols(b"", bad.astype(np.int64))


def test_a_state_that_no_coder_makes_is_refused():
    with pytest.raises(CodeError, match="too early"):
        rans.state_and_words(b"")
    with pytest.raises(CodeError, match="begin as they must"):
        rans.state_and_words(b"\0" + bytes.fromhex("80000000"))
