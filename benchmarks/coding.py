"""Labels and symbols coded: lengths, and speed beside constriction in the same run.

    python -m benchmarks.coding [--rounds 9] [--rows 1000000] [--print]

writes benchmarks/results/coding.json and the tables and the picture of docs/coding.md. One thread,
one process; what is compared takes turns, round after round, so that what else the machine does
hits all alike. MNIST and the books are in the folder that ``CROSSENT_DATA`` names; without it those
parts are left out. The books take minutes; ``--no-books`` keeps what was found of them before.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy loads; fits have threads of their own

import constriction
import numpy as np
from benchmarks.softmax_regression import machine
from benchmarks.softmax_regression.table import write_parts
from examples.text_coding import code_book, draw

import crossent
from crossent.coding import (
    block_huffman_code,
    decode_symbols,
    digits_needed,
    encode_symbols,
    ideal_bits,
    quantise,
)
from crossent.datasets import load
from crossent.labels import code_lengths

RESULTS = Path(__file__).parent / "results" / "coding.json"
DOCS = Path(__file__).parents[1] / "docs"
LOG2_3 = 1.584962500721156
BOOKS = {"carroll-alice": {"at_least": 3, "C": 1.0}, "austen-emma": {"at_least": 10, "C": 0.3}}
Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--print", action="store_true", help="print the tables, write nothing")
    parser.add_argument("--no-books", action="store_true", help="keep the former results of these")
    options = parser.parse_args()
    found = {
        "date": machine.now(),
        "commit": machine.commit(),
        "machine": machine.describe(1),
        "load": os.getloadavg()[0],
        "versions": {name: version(name) for name in ("constriction", "numba", "numpy")},
        "huffman": huffman(),
        "trits": trits(),
        "coder": [coder(options, q, n) for q, n in sizes(options.rows)],
        "mnist": mnist(options),
        "books": former_books() if options.no_books else books(options),
    }
    parts = {
        "coding-labels": labels_table(found),
        "coding-huffman": huffman_table(found),
        "coding-speed": speed_table(found),
        "coding-books": books_table(found),
    }
    print("\n\n".join(parts.values()))
    if not options.print:
        RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(f"wrote {RESULTS}")
        write_parts(DOCS / "coding.md", parts)


def in_turns(calls: dict[str, Callable[[], Any]], rounds: int, n: int) -> Found:
    """Microseconds a label of each call: least, median and quartiles over the rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if round_ > 0:
                seconds[name].append(time.perf_counter() - start)
    return {name: summary(np.array(values) / n * 1e6) for name, values in seconds.items()}


def summary(microseconds: np.ndarray) -> Found:
    low, middle, high = np.quantile(microseconds, [0.25, 0.5, 0.75])
    return {
        "least_us": float(microseconds.min()),
        "median_us": float(middle),
        "quartiles_us": [float(low), float(high)],
    }


def huffman() -> list[Found]:
    """Digits a trit of block codes for the uniform source, exact, beside fixed length."""
    from fractions import Fraction

    return [
        {
            "block": n,
            "huffman": str(block_huffman_code([Fraction(1, 3)] * 3, n).expected_digits),
            "fixed": str(Fraction(digits_needed(3**n), n)),
        }
        for n in range(1, 9)
    ]


def trits() -> Found:
    """A million uniform trits."""
    symbols = np.random.default_rng(0).integers(0, 3, size=1_000_000)
    counts = quantise([1 / 3, 1 / 3, 1 / 3])
    coded = encode_symbols(symbols, counts)
    if not (decode_symbols(coded, counts, count=len(symbols)) == symbols).all():
        raise AssertionError
    return {"bits_per_trit": 8 * len(coded) / len(symbols), "log2_3": LOG2_3}


def sizes(rows: int) -> list[tuple[int, int]]:
    """Numbers of classes and of rows."""
    most = max(rows, 1000)
    return [(2, most), (10, most), (256, most // 20), (50_257, min(most // 1000, 1000))]


def coder(options: argparse.Namespace, q: int, n: int) -> Found:
    """The coder alone, and from float probabilities, for n rows of q classes."""
    rng = np.random.default_rng(q)
    logits = rng.normal(size=(n, q)) * (3.0 if q < 1000 else 1.5)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    y = np.minimum((p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), q - 1)
    counts = quantise(p)
    coded = encode_symbols(y, counts)
    if not (decode_symbols(coded, counts) == y).all():
        raise AssertionError
    theirs = y.astype(np.int32)
    family = constriction.stream.model.Categorical(perfect=False)
    stack, queue = constriction.stream.stack.AnsCoder, constriction.stream.queue.RangeEncoder

    def ans() -> Any:
        peer = stack()
        peer.encode_reverse(theirs, family, p)
        return peer

    def range_coder() -> Any:
        peer = queue()
        peer.encode(theirs, family, p)
        return peer

    ans_words, range_words = ans().get_compressed(), range_coder().get_compressed()
    decoder = constriction.stream.queue.RangeDecoder
    calls = {
        "encode": lambda: encode_symbols(y, counts),
        "decode": lambda: decode_symbols(coded, counts),
        "quantise": lambda: quantise(p),
        "quantise and encode": lambda: encode_symbols(y, quantise(p)),
        "quantise and decode": lambda: decode_symbols(coded, quantise(p)),
        "constriction ANS, encode": ans,
        "constriction ANS, decode": lambda: stack(ans_words).decode(family, p),
        "constriction range coder, encode": range_coder,
        "constriction range coder, decode": lambda: decoder(range_words).decode(family, p),
    }
    return {
        "classes": q,
        "rows": n,
        "us": in_turns(calls, options.rounds, n),
        "bits_per_label": {
            "model": float(-np.log2(p[np.arange(n), y]).mean()),
            "counts": ideal_bits(y, counts) / n,
            "crossent": 8 * len(coded) / n,
            "constriction ANS": 32 * len(ans_words) / n,
            "constriction range coder": 32 * len(range_words) / n,
        },
    }


def mnist(options: argparse.Namespace) -> Found | None:
    """The test labels of MNIST with the C = 1 model, and the time to predict and code them."""
    if not os.environ.get("CROSSENT_DATA"):
        return None
    data = load("mnist")
    model = crossent.SoftmaxRegression(n_threads=1).fit(data.X_train, data.y_train)
    X, y = data.X_test, data.y_test
    found = code_lengths(model, X, y)
    coded = crossent.encode_labels(model, X, y)
    if not (crossent.decode_labels(model, X, coded) == y).all():
        raise AssertionError
    if found.payload_bits > 1.001 * found.rounded_bits + 64:
        message = f"{found.payload_bits} bits for {found.rounded_bits} that were asked for"
        raise AssertionError(message)
    calls = {
        "predict": lambda: model.predict_proba(X),
        "predict, quantise and encode": lambda: crossent.encode_labels(model, X, y),
        "predict, quantise and decode": lambda: crossent.decode_labels(model, X, coded),
    }
    return {
        "rows": [list(row) for row in found.rows()],
        "rounded_bits": found.rounded_bits,
        "payload_bits": found.payload_bits,
        "overhead_bits": found.payload_bits - found.rounded_bits,
        "relative_gap": model.certificate_.relative_gap,
        "n_labels": found.n_labels,
        "us": in_turns(calls, options.rounds, len(y)),
    }


def books(options: argparse.Namespace) -> dict[str, Found]:
    """The last tenth of each book, coded with a softmax over letters."""
    folder = os.environ.get("CROSSENT_DATA")
    found = {}
    for name, settings in BOOKS.items() if folder else ():
        book = Path(folder, "gutenberg", f"{name}.txt").read_bytes()
        result = code_book(book, held_out=0.1, order=6, say=print, **settings)
        if name == "carroll-alice" and not options.print:
            draw(result, DOCS / "surprisal.png")
        found[name] = {key: result[key] for key in result if key not in ("text", "bits")} | settings
    return found


def former_books() -> dict[str, Found]:
    """What the results say of the books."""
    former: dict[str, Found] = json.loads(RESULTS.read_text("utf-8"))["books"]
    return former


def books_table(found: Found) -> str:
    """Bits a letter of each way, a column for each book."""
    books = found["books"]
    if not books:
        return "The books were not at hand."
    names = next(iter(books.values()))["bits_per_letter"]
    heads = " | ".join(f"{name}, last {at['letters']['coded']:,}" for name, at in books.items())
    lines = [f"| bits a letter | {heads} |", "|---|" + "---|" * len(books)]
    for name in names:
        cells = " | ".join(f"{at['bits_per_letter'][name]:.3f}" for at in books.values())
        lines.append(f"| {name} | {cells} |")
    for name, at in books.items():
        seconds = at["seconds"]
        lines += [
            "",
            f"{name}: {at['letters']['fitted']:,} letters fitted with {at['contexts']:,} contexts "
            f"of up to six letters that occur {at['at_least']} times or more, C = {at['C']:g}, "
            f"relative gap {at['relative_gap']:.1g}; {seconds['fit']:.0f} s to fit, "
            f"{seconds['encode']:.0f} s to encode, {seconds['decode']:.0f} s to decode.",
        ]
    return "\n".join(lines)


def labels_table(found: Found) -> str:
    at = found["mnist"]
    if at is None:
        return "The labels of MNIST were not at hand."
    lines = ["| MNIST, 10,000 test labels | bits a label | bytes |", "|---|---|---|"]
    lines += [
        f"| {name} | {each:.4f} | {bits / 8:,.0f} |" for name, bits, each in at["rows"] if bits
    ]
    return "\n".join(
        [
            *lines,
            "",
            f"Asked of the coder, Σ -log₂ of the rounded probabilities: {at['rounded_bits']:.1f} "
            f"bits; written: {at['payload_bits']}, {at['overhead_bits']:.1f} more "
            f"({at['overhead_bits'] / at['rounded_bits']:.2%}). The model's relative gap is "
            f"{at['relative_gap']:.1g}. The file holds 74 bytes besides the coded labels.",
            "",
            stamp(found),
        ]
    )


def huffman_table(found: Found) -> str:
    lines = [
        "| block of n trits | Huffman, bits a trit | | fixed length | |",
        "|---|---|---|---|---|",
    ]
    for row in found["huffman"]:
        numbers = [*map(_value, (row["huffman"], row["fixed"]))]
        lines.append(
            f"| {row['block']} | {row['huffman']} | {numbers[0]:.5f} | {row['fixed']} | "
            f"{numbers[1]:.5f} |"
        )
    rate = found["trits"]["bits_per_trit"]
    lines.append(f"| rANS, a million trits | | {rate:.5f} | | |")
    lines.append(f"| log₂ 3 | | {LOG2_3:.5f} | | |")
    return "\n".join(lines)


def _value(fraction: str) -> float:
    top, _, bottom = fraction.partition("/")
    return int(top) / int(bottom or 1)


def speed_table(found: Found) -> str:
    """Median million labels a second."""
    cases = found["coder"]
    heads = " | ".join(f"q = {case['classes']:,}" for case in cases)
    lines = [f"| labels a second on one core | {heads} |", "|---|" + "---|" * len(cases)]
    for name in cases[0]["us"]:
        rates = " | ".join(_rate(case["us"][name]["median_us"]) for case in cases)
        lines.append(f"| {name} | {rates} |")
    lines += ["", f"| bits a label | {heads} |", "|---|" + "---|" * len(cases)]
    for name in cases[0]["bits_per_label"]:
        bits = " | ".join(f"{case['bits_per_label'][name]:.5f}" for case in cases)
        lines.append(f"| {_bits_name(name)} | {bits} |")
    if found["mnist"] is not None:
        lines += ["", "| MNIST's 10,000 test rows, 784 features | labels a second |", "|---|---|"]
        us = found["mnist"]["us"]
        lines += [f"| {name} | {_rate(us[name]['median_us'])} |" for name in us]
    spreads = [
        (each["quartiles_us"][1] - each["quartiles_us"][0]) / each["median_us"]
        for case in cases
        for each in case["us"].values()
    ]
    spread = f"Medians; the quartiles are {statistics.median(spreads):.0%} apart. "
    return "\n".join([*lines, "", spread + stamp(found)])


def _bits_name(name: str) -> str:
    return {"model": "mean -log₂ p", "counts": "mean -log₂ of the counts"}.get(name, name)


def _rate(microseconds: float) -> str:
    rate = 1 / microseconds
    return f"{rate:.1f} million" if rate >= 1 else f"{1e6 * rate:,.0f}"


def stamp(found: Found) -> str:
    at = found["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return (
        f"Measured {found['date'][:10]} on {at['cpu']}, {at['system']}, 1 thread, load "
        f"{found['load']:.1f}, commit {found['commit']}; {versions}."
    )


if __name__ == "__main__":
    main()
