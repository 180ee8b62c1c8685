"""Codes: how many digits a symbol takes, and how to get down to its surprisal.

Huffman codes for any number of digits, over blocks and with limited lengths, with expected lengths
as exact fractions; fixed-length packing and PAM-3; and an entropy coder that spends -log₂ p bits on
a symbol whose probabilities a model gives, one distribution for each symbol.
"""

from crossent.coding.exact import exact_probabilities
from crossent.coding.huffman import (
    BlockCode,
    block_huffman_code,
    huffman_code,
    length_limited_code,
)
from crossent.coding.packing import (
    PAM3_SPARE,
    digits_needed,
    pack_blocks,
    packing_efficiency,
    pam3_decode,
    pam3_encode,
    unpack_blocks,
)
from crossent.coding.prefix_code import PrefixCode, canonical_code, expected_length, kraft_sum
from crossent.coding.quantise import default_precision, quantisation_cost, quantise
from crossent.coding.symbols import (
    decode_in_turn,
    decode_symbols,
    encode_symbols,
    ideal_bits,
)

__all__ = [
    "PAM3_SPARE",
    "BlockCode",
    "PrefixCode",
    "block_huffman_code",
    "canonical_code",
    "decode_in_turn",
    "decode_symbols",
    "default_precision",
    "digits_needed",
    "encode_symbols",
    "exact_probabilities",
    "expected_length",
    "huffman_code",
    "ideal_bits",
    "kraft_sum",
    "length_limited_code",
    "pack_blocks",
    "packing_efficiency",
    "pam3_decode",
    "pam3_encode",
    "quantisation_cost",
    "quantise",
    "unpack_blocks",
]
