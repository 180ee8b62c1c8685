"""The examples run, and what they say is true."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def load_example(name):
    found = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def text_coding():
    # Not part of the copies that deliberate faults are tried on.
    if not EXAMPLES.is_dir():
        pytest.skip("the examples are not here")
    return load_example("text_coding")


def nursery_rhyme(n=6000):
    """Words drawn with given frequencies: a text whose entropy is known."""
    rng = np.random.default_rng(0)
    words = ["the ", "cat ", "sat ", "on ", "a ", "mat,\n"]
    p = np.array([8, 4, 2, 1, 1, 1]) / 17
    drawn = rng.choice(len(words), p=p, size=n)
    return "".join(words[k] for k in drawn).encode(), -float(np.sum(p * np.log2(p)))


def test_a_text_is_coded_near_its_entropy_and_comes_back(text_coding):
    text, bits_per_word = nursery_rhyme()
    result = text_coding.code_book(
        text, held_out=0.1, order=4, at_least=5, C=10.0, say=lambda _: None
    )
    found = result["bits_per_letter"]
    spaces = sum(result["text"].count(end) for end in (b" ", b"\n"))
    entropy = bits_per_word * spaces / len(result["text"])

    assert result["text"] == text[round(0.9 * len(text)) :]
    wire, mean = (
        found[f"softmax over letters, {name}"] for name in ("on the wire", "mean -log2 p")
    )
    # 600 words drawn: their mean surprisal strays by 1.3 bits / sqrt(600), 3 % of 2 bits.
    assert entropy * 0.9 < mean < entropy * 1.1
    assert mean - 0.01 < wire <= mean * 1.001 + 64 / len(result["text"])
    assert wire < found["zstd -19"]
    assert wire < found["gzip -9"] < found["fixed length"]
    letters = np.bincount(np.frombuffer(result["text"], dtype=np.uint8))
    p = letters[letters > 0] / letters.sum()
    assert found["entropy of the letters' frequencies"] == pytest.approx(-np.sum(p * np.log2(p)))
    assert found["fixed length"] == math.ceil(math.log2(len(set(text))))


def test_the_features_of_a_letter_are_the_contexts_before_it(text_coding):
    columns = text_coding.find_contexts(b"abababac", 3, 2)
    rows = text_coding.rows_of(b"xaba", columns, 3).toarray()

    # Followed by a letter: a 4 times, b 3; ab 3, ba 3; aba 3, bab 2. "ac" and "c" end the text.
    assert sorted(columns) == [b"a", b"ab", b"aba", b"b", b"ba", b"bab"]
    assert rows.sum(axis=1).tolist() == [0, 0, 1, 2]
    assert rows[3, columns[b"b"]] == rows[3, columns[b"ab"]] == 1


def test_a_passage_is_drawn(text_coding, tmp_path):
    text = b"It was the best of times. " * 40
    result = {"text": text, "bits": np.full(len(text), 1.5)}
    text_coding.draw(result, tmp_path / "a.png")

    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
