"""Codes with the least expected length: Huffman's, over blocks too, and with limited lengths."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

from crossent.coding.exact import (
    check_radix,
    exact_probabilities,
    integer_weights,
    whole_number,
)
from crossent.coding.prefix_code import PrefixCode, canonical_code
from crossent.errors import InputError

__all__ = ["BlockCode", "block_huffman_code", "huffman_code", "length_limited_code"]

_MOST_BLOCKS = 2**20
"""Words of a block code: more take minutes and gigabytes."""


def huffman_code(probabilities: Any, /, *, radix: int = 2) -> PrefixCode:
    """A prefix code with the least expected length, for any number of digits.

    Repeatedly joins the `radix` least probable nodes into one. So that the last step joins exactly
    `radix` nodes, the alphabet is filled up with symbols of probability 0 until q - 1 is a multiple
    of radix - 1; their words are not used. Among equal probabilities the node made first is joined
    first, which keeps the longest word short, and of two symbols the later.

    Parameters
    ----------
    probabilities : sequence of Fraction, int or float
        As in `exact_probabilities`. A symbol of probability 0 gets a word too.
    radix : int, default 2
        Size of the channel's alphabet.

    Returns
    -------
    PrefixCode
        Canonical. One symbol alone has the empty word.

    Raises
    ------
    InputError
        If the probabilities or the radix cannot be used.

    Notes
    -----
    H ≤ expected length < H + 1 with the entropy H in digits, log to base `radix`; H + 1 itself
    where one symbol is certain (H = 0) and others of probability 0 have words too. Ties are decided
    on exact fractions, never on rounded sums. Cost: O(q log q).

    References
    ----------
    D. A. Huffman, "A method for the construction of minimum-redundancy codes", Proc. IRE 40 (1952),
    doi:10.1109/JRPROC.1952.273898.

    Examples
    --------
    >>> huffman_code([Fraction(1, 3)] * 3).strings
    ('0', '10', '11')
    >>> huffman_code([0.4, 0.2, 0.2, 0.1, 0.1], radix=3).strings
    ('0', '1', '20', '21', '22')
    """
    radix = check_radix(radix)
    weights = integer_weights(exact_probabilities(probabilities))
    return canonical_code(_huffman_lengths(weights, radix), radix=radix)


def length_limited_code(probabilities: Any, longest: int, /, *, radix: int = 2) -> PrefixCode:
    """A prefix code with the least expected length among those with no word above `longest`.

    The package-merge method. A word of length l is bought with one coin of each value radix^-1 …
    radix^-l. From the smallest value up, the `radix` cheapest coins of one value are packed into
    one of the next; what is bought in the end are the cheapest coins and packages of value
    radix^-1 that have the right sum.

    Parameters
    ----------
    probabilities : sequence of Fraction, int or float
        As in `exact_probabilities`.
    longest : int
        Digits of the longest word allowed.
    radix : int, default 2

    Returns
    -------
    PrefixCode

    Raises
    ------
    InputError
        ``radix ** longest`` is less than the number of symbols, or an argument cannot be used.

    Notes
    -----
    With no limit that matters the expected length is that of `huffman_code`. Cost:
    O(q · longest · log q).

    References
    ----------
    L. L. Larmore and D. S. Hirschberg, "A fast algorithm for optimal length-limited Huffman codes",
    J. ACM 37 (1990), doi:10.1145/79147.79150. The packages of `radix` coins are our extension.

    Examples
    --------
    >>> p = [Fraction(8, 15), Fraction(4, 15), Fraction(2, 15), Fraction(1, 15)]
    >>> huffman_code(p).lengths, length_limited_code(p, 2).lengths
    ((1, 2, 3, 3), (2, 2, 2, 2))
    """
    radix = check_radix(radix)
    weights = integer_weights(exact_probabilities(probabilities))
    longest = whole_number(longest, "longest", least=0)
    if radix**longest < len(weights):
        message = (
            f"{len(weights)} symbols do not fit into words of at most {longest} digits in radix "
            f"{radix}: there are only {radix**longest}. Allow longer words."
        )
        raise InputError(message)
    return canonical_code(_limited_lengths(weights, longest, radix), radix=radix)


@dataclass(frozen=True)
class BlockCode:
    """A prefix code for blocks of symbols.

    Attributes
    ----------
    code : PrefixCode
        Over blocks; a block is the number that its symbols are in base `n_symbols`, the first the
        most significant.
    block_length : int
        Symbols in a block, n.
    n_symbols : int
        Size of the source's alphabet, q.
    expected_digits : Fraction
        Expected digits per *symbol*, exact.
    """

    code: PrefixCode
    block_length: int
    n_symbols: int
    expected_digits: Fraction

    def encode(self, symbols: Iterable[int], /) -> list[int]:
        """Digits of the symbols, whose number must be a multiple of `block_length`."""
        values = [
            whole_number(symbol, "symbols", least=0, most=self.n_symbols - 1) for symbol in symbols
        ]
        if len(values) % self.block_length:
            message = (
                f"{len(values)} symbols are not a multiple of the block length "
                f"{self.block_length}. Fill up the last block."
            )
            raise InputError(message)
        starts = range(0, len(values), self.block_length)
        return self.code.encode(
            _number(values[start : start + self.block_length], self.n_symbols) for start in starts
        )

    def decode(self, digits: Iterable[int], /, *, count: int | None = None) -> list[int]:
        """The symbols; `count`, their number, is only needed for an alphabet of one symbol.

        Raises CodeError where the digits are not whole words.
        """
        blocks = None if count is None else count // self.block_length
        found = self.code.decode(digits, count=blocks)
        return [
            number // self.n_symbols**place % self.n_symbols
            for number in found
            for place in reversed(range(self.block_length))
        ]


def block_huffman_code(probabilities: Any, block_length: int, /, *, radix: int = 2) -> BlockCode:
    """Huffman's code for blocks of independent symbols.

    Parameters
    ----------
    probabilities : sequence of Fraction, int or float
        Of one symbol, as in `exact_probabilities`.
    block_length : int
        Symbols in a block, n.
    radix : int, default 2

    Returns
    -------
    BlockCode
        H ≤ expected_digits < H + 1/n, H the entropy of a symbol in digits (H + 1/n itself where one
        symbol is certain). The bound falls with n; expected_digits itself need not.

    Raises
    ------
    InputError
        There are more than 2^20 blocks, or an argument cannot be used.

    Notes
    -----
    Cost: O(qⁿ · n log q) in time, O(qⁿ) in memory.

    Examples
    --------
    >>> thirds = [Fraction(1, 3)] * 3
    >>> [str(block_huffman_code(thirds, n).expected_digits) for n in (1, 2, 3, 4, 5)]
    ['5/3', '29/18', '130/81', '130/81', '1931/1215']
    """
    exact = exact_probabilities(probabilities)
    block_length = whole_number(block_length, "block_length", least=1)
    if len(exact) ** block_length > _MOST_BLOCKS:
        message = (
            f"{len(exact)} symbols make {len(exact)}^{block_length} blocks of {block_length}; more "
            f"than {_MOST_BLOCKS} are refused. Use shorter blocks, or `encode_symbols`."
        )
        raise InputError(message)
    blocks = [prod(block) for block in product(integer_weights(exact), repeat=block_length)]
    radix = check_radix(radix)
    code = canonical_code(_huffman_lengths(blocks, radix), radix=radix)
    total = sum(blocks)
    length = sum(weight * digits for weight, digits in zip(blocks, code.lengths, strict=True))
    return BlockCode(code, block_length, len(exact), Fraction(length, total * block_length))


def _padding(n_symbols: int, radix: int) -> int:
    """Symbols of weight 0 that make n_symbols - 1 a multiple of radix - 1."""
    return -(n_symbols - 1) % (radix - 1)


def _huffman_lengths(weights: Sequence[int], radix: int) -> list[int]:
    """Word lengths of the leaves of Huffman's tree."""
    heap = [(0, -1 - spare) for spare in range(_padding(len(weights), radix))]
    heap += [(weight, leaf) for leaf, weight in enumerate(reversed(weights))]
    heapq.heapify(heap)
    children: dict[int, list[int]] = {}
    node = len(weights)
    while len(heap) > 1:
        joined = [heapq.heappop(heap) for _ in range(radix)]
        children[node] = [child for _, child in joined]
        heapq.heappush(heap, (sum(weight for weight, _ in joined), node))
        node += 1
    depth = {heap[0][1]: 0}
    for parent in reversed(children):
        depth.update(dict.fromkeys(children[parent], depth[parent] + 1))
    return [depth[leaf] for leaf in reversed(range(len(weights)))]


def _limited_lengths(weights: Sequence[int], longest: int, radix: int) -> list[int]:
    """Word lengths by package-merge: how often coins of each symbol are bought.

    On each level the coins that are bought are the cheapest ones, so that it is enough to know how
    many of what is bought are coins, and how many packages, to go on with the level below.
    """
    leaves = sorted(range(len(weights)), key=lambda leaf: weights[leaf])
    spare = _padding(len(weights), radix)
    coins = [(0, False)] * spare + [(weights[leaf], False) for leaf in leaves]
    levels = [coins]
    for _ in range(longest - 1):
        below = [weight for weight, _ in levels[-1]]
        ends = range(radix, len(below) + 1, radix)
        packages = [(sum(below[end - radix : end]), True) for end in ends]
        levels.append(sorted(coins + packages))
    lengths = [0] * len(weights)
    bought = radix * (len(coins) - 1) // (radix - 1)
    for level in reversed(levels):
        packages_bought = sum(is_package for _, is_package in level[:bought])
        for leaf in leaves[: max(bought - packages_bought - spare, 0)]:
            lengths[leaf] += 1
        bought = radix * packages_bought
    return lengths


def _number(symbols: Sequence[int], base: int) -> int:
    """Symbols as the digits of one number, the first the most significant."""
    number = 0
    for symbol in symbols:
        number = number * base + symbol
    return number
