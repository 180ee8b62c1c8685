"""The end of a book, coded with a softmax over its letters: cross-entropy is the length of a file.

    python examples/text_coding.py alice.txt --at-least 3 --C 1 --figure alice.png
    python examples/text_coding.py emma.txt

A softmax regression learns from the first nine tenths of a book to predict each letter from the
one, two, ... six letters before it; a context is a feature if it occurred often enough. With its
probabilities the last tenth is coded and decoded again, letter by letter, as sender and receiver
would: the receiver knows only what it has decoded so far. gzip and zstd code the same letters.
The books are Project Gutenberg's; docs/coding.md has the results and the picture.

The model is not part of the message. That is fair beside zstd with the first nine tenths as its
dictionary, which both sides have then too; gzip and zstd alone know nothing beforehand.
"""

import argparse
import collections
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from crossent import SoftmaxRegression, entropy, softmax
from crossent.coding import decode_in_turn, digits_needed, encode_symbols, quantise
from crossent.coding.compressors import gzip_bytes, zstd_bytes
from crossent.report import TextSurprisalDisplay

PASSAGE = 320


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("book", type=Path, help="a text; Project Gutenberg has many")
    parser.add_argument("--held-out", type=float, default=0.1, help="share coded [0.1]")
    parser.add_argument("--order", type=int, default=6, help="longest context in letters [6]")
    parser.add_argument("--at-least", type=int, default=10, help="occurrences of a context [10]")
    parser.add_argument("--C", type=float, default=0.3)
    parser.add_argument("--figure", type=Path, help="where to draw the surprisal of a passage")
    options = parser.parse_args()
    result = code_book(
        options.book.read_bytes(),
        held_out=options.held_out,
        order=options.order,
        at_least=options.at_least,
        C=options.C,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    for name, bits in result["bits_per_letter"].items():
        print(f"{name:44s}{bits:8.4f} bits a letter")
    if options.figure is not None:
        draw(result, options.figure)


@dataclass(frozen=True)
class LetterModel:
    """Probabilities of the next letter.

    Attributes
    ----------
    alphabet : ndarray of int, shape (q,)
        Bytes, ascending.
    columns : dict
        The feature of each known context.
    order : int
        Letters of the longest context.
    regression : SoftmaxRegression
    """

    alphabet: np.ndarray
    columns: dict[bytes, int]
    order: int
    regression: SoftmaxRegression

    def counts_after(self, weights: np.ndarray, before: bytes) -> np.ndarray:
        """Quantised probabilities of what follows `before`.

        One row at a time, for sender and receiver alike: a product of whole matrices could round
        otherwise, and a single other count would make everything after it unreadable.
        """
        active = known_contexts(self.columns, before, self.order)
        logits = weights[active].sum(axis=0) + self.regression.intercept_
        return quantise(softmax(logits))


def known_contexts(columns: dict[bytes, int], before: bytes, order: int) -> list[int]:
    """Features that are 1: the last 1, 2, ... letters, as far as such contexts are known."""
    longest = min(order, len(before))
    contexts = (before[-k:] for k in range(1, longest + 1))
    return [columns[context] for context in contexts if context in columns]


def find_contexts(text: bytes, order: int, at_least: int) -> dict[bytes, int]:
    """The contexts that occur often enough, each with its column; single letters always do."""
    found: dict[bytes, int] = {}
    for k in range(1, order + 1):
        occurrences = collections.Counter(text[i - k : i] for i in range(k, len(text)))
        least = at_least if k > 2 else 1
        kept = sorted(context for context, n in occurrences.items() if n >= least)
        found.update({context: len(found) + place for place, context in enumerate(kept)})
    return found


def rows_of(text: bytes, columns: dict[bytes, int], order: int) -> sp.csr_array:
    """A row of zeros and ones for each letter: which contexts stand before it."""
    rows = [known_contexts(columns, text[max(i - order, 0) : i], order) for i in range(len(text))]
    ends = np.cumsum([0, *map(len, rows)])
    indices = np.concatenate([np.array(row, dtype=np.int32) for row in rows])
    ones = np.ones(len(indices), dtype=np.float32)
    return sp.csr_array((ones, indices, ends), shape=(len(text), len(columns)))


def fit_letters(text: bytes, alphabet: np.ndarray, order: int, at_least: int, C: float) -> Any:
    columns = find_contexts(text, order, at_least)
    regression = SoftmaxRegression(C=C, tol=0.05, classes=alphabet)
    letters = np.frombuffer(text, dtype=np.uint8).astype(int)
    regression.fit(rows_of(text, columns, order), letters)
    return LetterModel(alphabet, columns, order, regression)


def code_book(
    book: bytes, *, held_out: float, order: int, at_least: int, C: float, say: Any
) -> dict[str, Any]:
    """Fit on the beginning, code and decode the end, and compare."""
    cut = round((1 - held_out) * len(book))
    known, text = book[:cut], book[cut:]
    alphabet = np.unique(np.frombuffer(book, dtype=np.uint8)).astype(int)
    say(f"fitting {len(known):,} letters")
    start = time.perf_counter()
    model = fit_letters(known, alphabet, order, at_least, C)
    fitted = time.perf_counter()
    say(f"{model.regression.certificate_.status.value} {fitted - start:.0f} s; coding")

    weights = np.ascontiguousarray(model.regression.coef_.T)
    symbols = np.searchsorted(alphabet, np.frombuffer(text, dtype=np.uint8))
    counts = np.stack(
        [model.counts_after(weights, book[cut + i - order : cut + i]) for i in range(len(text))]
    )
    coded = encode_symbols(symbols, counts)
    encoded = time.perf_counter()
    if decode(model, weights, coded, known[-order:], len(text)) != text:
        message = "the text did not come back"
        raise AssertionError(message)
    say(f"{len(text):,} letters in {len(coded):,} bytes, and decoded again")
    bits = counts_bits(counts, symbols)
    return {
        "letters": {"fitted": len(known), "coded": len(text), "alphabet": len(alphabet)},
        "contexts": len(model.columns),
        "relative_gap": model.regression.certificate_.relative_gap,
        "seconds": {
            "fit": fitted - start,
            "encode": encoded - fitted,
            "decode": time.perf_counter() - encoded,
        },
        "bits_per_letter": others(text, known, bits, coded),
        "text": text,
        "bits": bits,
    }


def decode(model: LetterModel, weights: np.ndarray, coded: bytes, last: bytes, n: int) -> bytes:
    """The text again: every letter is predicted from those that were decoded before it."""
    letters = bytearray(last)

    def counts_after(symbols: Any) -> np.ndarray:
        if symbols:
            letters.append(model.alphabet[symbols[-1]])
        return model.counts_after(weights, bytes(letters[-model.order :]))

    symbols = decode_in_turn(coded, counts_after, count=n)
    return bytes(model.alphabet[symbols].astype(np.uint8))


def counts_bits(counts: np.ndarray, symbols: np.ndarray) -> np.ndarray:
    """Surprisal of each letter in bits, from the counts with which it was coded."""
    chosen = counts[np.arange(len(symbols)), symbols].astype(float)
    return math.log2(counts[0].sum()) - np.log2(chosen)


def others(text: bytes, known: bytes, bits: np.ndarray, coded: bytes) -> dict[str, float]:
    """Bits a letter of each way to send the text."""
    occurrences = np.bincount(np.frombuffer(text, dtype=np.uint8))
    sizes = {
        "softmax over letters, on the wire": 8 * len(coded),
        "softmax over letters, mean -log2 p": bits.sum(),
        "gzip -9": 8 * len(gzip_bytes(text)),
        "entropy of the letters' frequencies": len(text)
        * float(entropy(occurrences / len(text), base=2)),
        "fixed length": len(text) * digits_needed(len(set(known + text))),
    }
    alone, with_dictionary = zstd_bytes(text), zstd_bytes(text, dictionary=known)
    if alone is not None and with_dictionary is not None:
        sizes["zstd -19"] = 8 * len(alone)
        sizes["zstd -19, first nine tenths as dictionary"] = 8 * len(with_dictionary)
    return {name: float(size) / len(text) for name, size in sorted(sizes.items(), key=_size)}


def _size(item: tuple[str, float]) -> float:
    return item[1]


def draw(result: dict[str, Any], path: Path) -> None:
    """The surprisal of a passage from the middle of what was coded."""
    text = result["text"].decode("latin-1").replace("\r", "")
    middle = text.find(". ", len(text) // 2) + 2
    bits = result["bits"][middle : middle + PASSAGE]
    if len(text) != len(result["text"]):
        message = "a text with carriage returns is not drawn"
        raise SystemExit(message)
    display = TextSurprisalDisplay(
        text[middle : middle + PASSAGE], bits, width=80, mean_bits=float(result["bits"].mean())
    ).plot()
    display.figure_.savefig(path, dpi=120)
    print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
