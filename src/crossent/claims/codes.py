"""Exercises 2 and 3 and what the forum made of them: codes for three classes, and PAM-3."""

import itertools
import math
from fractions import Fraction

import numpy as np

from crossent.claims._expect import below, close, equal, refused
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.coding import (
    PAM3_SPARE,
    PrefixCode,
    block_huffman_code,
    canonical_code,
    digits_needed,
    expected_length,
    huffman_code,
    kraft_sum,
    pack_blocks,
    packing_efficiency,
    pam3_decode,
    pam3_encode,
    unpack_blocks,
)
from crossent.errors import CodeError
from crossent.functional import entropy

__all__ = ["CLAIMS"]

_THIRDS = (Fraction(1, 3),) * 3
_MEAN_LENGTHS = (
    "5/3",
    "29/18",
    "130/81",
    "130/81",
    "1931/1215",
    "6995/4374",
    "24335/15309",
    "41831/26244",
)


def _one_symbol() -> Numbers:
    triples = list(itertools.product(range(1, 5), repeat=3))
    allowed = [t for t in triples if sum(Fraction(1, 2**length) for length in t) <= 1]
    best = min(Fraction(sum(t), 3) for t in allowed)
    equal("least mean length of all triples", best, Fraction(5, 3))
    code = huffman_code(_THIRDS)
    equal("Huffman's lengths", sorted(code.lengths), [1, 2, 2])
    equal("Huffman's mean length", expected_length(_THIRDS, code.lengths), best)
    pairs = itertools.permutations(code.strings, 2)
    equal("words that begin another", sum(b.startswith(a) for a, b in pairs), 0)
    equal("Kraft sum of (1, 1, 2)", kraft_sum([1, 1, 2]), Fraction(5, 4))
    refused("a code of lengths (1, 1, 2)", lambda: canonical_code([1, 1, 2]))
    equal("bits of a fixed-length code", digits_needed(3), 2)
    bits = float(entropy([1 / 3] * 3, base=2))
    close("entropy in bits", bits, math.log2(3), rel=1e-14)
    return {
        "entropy, bits": bits,
        "best prefix code": list(code.strings),
        "its mean length": str(best),
        "Kraft sums of lengths (1, 2, 2) and (1, 1, 2)": [
            str(kraft_sum(code.lengths)),
            str(kraft_sum([1, 1, 2])),
        ],
        "fixed length": digits_needed(3),
    }


def _joint() -> Numbers:
    lengths = [block_huffman_code(_THIRDS, n).expected_digits for n in range(1, 9)]
    bits = float(entropy([1 / 3] * 3, base=2))
    close("entropy in bits", bits, math.log2(3), rel=1e-14)
    for n, length in enumerate(lengths, start=1):
        m = 3**n  # equally likely blocks: 2(m - 2^k) words of k + 1 bits, the others of k
        k = m.bit_length() - 1
        equal(f"bits a symbol, blocks of {n}", length, (k + Fraction(2 * (m - 2**k), m)) / n)
        below(f"entropy, below that of blocks of {n}", bits, length)
        below(f"which is below entropy + 1/{n}", length, bits + 1 / n)
    equal("as fractions", [str(length) for length in lengths], list(_MEAN_LENGTHS))
    fixed = [Fraction(digits_needed(3**n), n) for n in range(1, 9)]
    ceilings = (2, 4, 5, 7, 8, 10, 12, 13)
    equal("fixed length", fixed, [Fraction(c, n) for n, c in enumerate(ceilings, start=1)])
    trits = np.random.default_rng(0).integers(0, 3, size=1000)
    packed = pack_blocks(trits, 3, 5)
    equal("1000 trits in bytes", len(packed), 200)
    equal("unpacked", unpack_blocks(packed, 3, 5, count=1000).tolist(), trits.tolist())
    close("5 trits in a byte", packing_efficiency(3, 5), 5 * math.log2(3) / 8, rel=1e-14)
    return {
        "entropy log2 3": bits,
        "Huffman, bits a symbol, blocks of 1 to 8": [float(length) for length in lengths],
        "as fractions": [str(length) for length in lengths],
        "fixed length, blocks of 1 to 8": [float(length) for length in fixed],
        "5 trits in a byte use of its capacity": packing_efficiency(3, 5),
    }


def _one_hot() -> Numbers:
    one_hot = PrefixCode(((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    short = PrefixCode(((0,), (1, 0), (1, 1)))
    three = expected_length(_THIRDS, one_hot.lengths)
    equal("bits of a one-hot word", three, Fraction(3))
    equal("its Kraft sum", kraft_sum(one_hot.lengths), Fraction(3, 8))
    equal("bits of the short code", expected_length(_THIRDS, short.lengths), Fraction(5, 3))
    symbols = np.random.default_rng(0).integers(0, 3, size=1000).tolist()
    sent = {name: code.encode(symbols) for name, code in (("one-hot", one_hot), ("short", short))}
    equal("short code, received", short.decode(sent["short"]), symbols)
    equal("one-hot code, received", one_hot.decode(sent["one-hot"]), symbols)
    counts = [symbols.count(k) for k in range(3)]
    equal("bits sent", [len(s) for s in sent.values()], [3000, 2000 - counts[0]])
    return {
        "one-hot: mean bits, Kraft sum": [str(three), str(kraft_sum(one_hot.lengths))],
        "in multiples of log2 3": 3 / math.log2(3),
        "code 0, 10, 11: mean bits": str(expected_length(_THIRDS, short.lengths)),
        "1000 random symbols, bits sent: one-hot, short": [len(s) for s in sent.values()],
    }


def _received(word: tuple[int, int]) -> str:
    """The number of a word of two levels, or the word "refused"."""
    try:
        return str(pam3_decode([word])[0])
    except CodeError:
        return "refused"


def _pam3() -> Numbers:
    levels = pam3_encode(range(8))
    equal("words", levels.tolist(), [[k // 3 - 1, k % 3 - 1] for k in range(8)])
    equal("received", pam3_decode(levels).tolist(), list(range(8)))
    equal("spare word", tuple(PAM3_SPARE), (1, 1))
    equal("the spare word received", _received(PAM3_SPARE), "refused")
    equal("sum of the eight words", levels.sum(axis=0).tolist(), [-1, -1])
    trits = [digits_needed(m, radix=3) for m in (8, 9, 10)]
    equal("trits for 8, 9, 10 values", trits, [2, 2, 3])
    carried, possible = float(entropy([1 / 8] * 8)), 2 * float(entropy([1 / 3] * 3))
    close("a number, and two trits, in nats", [carried, possible], np.log([8, 9]), rel=1e-14)
    efficiency = packing_efficiency(2, 3, radix=3)
    close("efficiency", efficiency, carried / possible, rel=1e-14)
    close("in bits and trits", efficiency, 3 / (2 * math.log2(3)), rel=1e-14)
    close("of 11 bits", packing_efficiency(2, 11, radix=3), 11 / (7 * math.log2(3)), rel=1e-14)
    return {
        "trits for 8, 9, 10 values": trits,
        "words of 0 to 7": levels.tolist(),
        "3 bits in 2 trits use of the capacity": efficiency,
        "11 bits in 7 trits": packing_efficiency(2, 11, radix=3),
    }


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="S51",
        topic="codes",
        statement="Three classes are equally likely. What is the problem with a binary code?",
        source="exercise 2.1; forum",
        verdict=Verdict.EXERCISE,
        answer=(
            "The entropy is log2 3 = 1.585 bits, which is no whole number, and no code that gives "
            "each class a word of its own can reach it.\n\n"
            "Two bits per class always do, but they have four words, so one is wasted. (The forum "
            "stopped there.) Better is a prefix code, in which no word begins another and words "
            "may differ in length: 0, 10, 11. Its mean length is (1 + 2 + 2)/3 = 5/3 = 1.667 bits, "
            "and nothing shorter exists: word lengths l of any decodable binary code satisfy "
            "Kraft's inequality Σ 2^-l ≤ 1, and among all triples that do, 5/3 is the least. "
            "Lengths (1, 1, 2), for example, have the sum 5/4: there is no such code.\n\n"
            "The remaining .08 bit is lost because 1/3 is not a power of 1/2. A word of l bits is "
            "exactly right for a probability of 2^-l, and only for that."
        ),
        check=_one_symbol,
    ),
    Claim(
        id="S52",
        topic="codes",
        statement=(
            "Can you design a better code? What happens if two observations, or n, are encoded "
            "together?"
        ),
        source="exercise 2.2; forum",
        verdict=Verdict.EXERCISE,
        answer=(
            "Yes. n independent observations form one of 3^n equally likely blocks. Give each of "
            "these a word by Huffman's method: the mean length is less than the block's entropy, n "
            "log2 3, plus one bit, so per observation\n\n    log2 3 ≤ L_n < log2 3 + 1/n,\n\n"
            "and the loss goes to 0. For n = 1, ..., 8: 5/3, 29/18, 130/81, 130/81, 1931/1215, "
            "6995/4374, 24335/15309, 41831/26244, that is 1.667, 1.611, 1.605, 1.605, 1.589, "
            "1.599, 1.590, 1.594 bits. Only the *bound* falls steadily; the lengths themselves go "
            "up and down. How good a block is depends on how close 3^n comes to a power of two: "
            "3^5 = 243 is close to 256 and 3^7 = 2187 to 2048, so blocks of five and of seven are "
            "good.\n\n"
            "For equally likely blocks even words of one fixed length come close: five trits in a "
            "byte take 1.6 bits each, 99.06 % of what a byte can hold. Blocks grow as 3^n, so "
            "nobody takes n = 1000; arithmetic coding and ANS come as close as one likes without "
            "listing any block (S50)."
        ),
        check=_joint,
    ),
    Claim(
        id="S53",
        topic="codes",
        statement=(
            "The one-hot words 100, 010, 001 are a better code: a binary code does not work for "
            "more than two categories, and 00 is nearer to 01 than to 11."
        ),
        source="forum, on exercise 2",
        verdict=Verdict.FALSE,
        answer=(
            "Two different things are both called a code. A one-hot *label* is a target for a "
            "model: a probability distribution that is certain of one class. There it is right "
            "that classes are equally far apart, and numbers 0, 1, 2 would suggest an order that "
            "does not exist. A *channel code* is a way to send classes as few bits as possible, "
            "and all that counts is that the receiver can read the message.\n\n"
            "As a channel code one-hot words cost 3 bits for each class, 1.89 times the entropy. "
            "Their Kraft sum is 3/8, so more than half of what could be said is never said. The "
            "code 0, 10, 11 takes 5/3 bits and is decoded without error. Binary words serve any "
            "number of classes: with q of them, ceil(log2 q) bits are enough. The distance between "
            "two words says nothing about the classes as long as no bit is corrupted on the way "
            "(against that there are error-correcting codes, another subject)."
        ),
        correction=(
            "One-hot vectors are targets for a model. To send classes, the code 0, 10, 11 with 5/3 "
            "bits beats them, and no single-symbol code beats that one."
        ),
        check=_one_hot,
    ),
    Claim(
        id="S54",
        topic="codes",
        statement=(
            "PAM-3 has the three levels -1, 0, 1. How many ternary units does a number from 0 to 7 "
            "need, and why may this be the better idea in electronics?"
        ),
        source="exercise 3; forum",
        verdict=Verdict.EXERCISE,
        answer=(
            "Two: 3 < 8 ≤ 3² = 9. With the levels shifted to be symmetric, k is sent as (k // 3 - "
            "1, k mod 3 - 1): 0 as (-1, -1), 4 as (0, 0), 7 as (1, 0). The ninth word, (1, 1), is "
            "left for control. (The forum's count is right.) Three bits in two trits use 3/(2 log2 "
            "3) = 94.6 % of what the trits could carry; 11 bits in 7 trits use 99.1 %.\n\n"
            "Why better: a ternary line is set twice where a binary line is set three times. So at "
            "the same bit rate the symbol rate, and with it the bandwidth that cable and circuit "
            "must pass, falls to 2/3. Levels on both sides of zero allow a line without direct "
            "current, and the level 0 needs no drive. The price: at the same total swing "
            "neighbouring levels are half as far apart, so less noise is tolerated. That a "
            "receiver can tell three voltages apart makes it *possible*; it is not what makes it "
            "better.\n\n"
            "The mapping above is not quite balanced: the eight words sum to (-1, -1). Leaving out "
            "(0, 0) instead of (1, 1) would balance them."
        ),
        check=_pam3,
    ),
)
