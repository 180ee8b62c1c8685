"""The example examples/language_model.py: the same curve with and without the logits in memory."""

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
RHYME = "one two three four five six seven eight nine ten."


@pytest.fixture(scope="module")
def example():
    path = ROOT / "examples" / "language_model.py"
    # Not part of the copies that deliberate faults are tried on.
    if not path.is_file():
        pytest.skip("the examples are not here")
    before = list(sys.path)
    sys.path.insert(0, str(ROOT))  # it uses what the benchmarks write tables with
    found = importlib.util.spec_from_file_location("language_model", path)
    module = importlib.util.module_from_spec(found)
    sys.modules["language_model"] = module  # where dataclasses look for their types
    found.loader.exec_module(module)
    yield module
    sys.path[:] = before
    del sys.modules["language_model"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two books in which the four words before say which comes next, and one word occurs once."""
    folder = tmp_path_factory.mktemp("books")
    (folder / "a.txt").write_text("Unique " + f"{RHYME} " * 60, "utf-8")
    (folder / "b.txt").write_text(f"{RHYME} " * 40 + "end", "utf-8")
    return folder


def test_books_are_cut_into_contexts_and_what_follows_them(example, folder):
    text = example.read_text(folder, "*.txt")

    assert sorted(text.words) == sorted({"other", *RHYME[:-1].split(), "."})
    # 661 and 441 words and stops; of the first 641 and 428 all but four each have a context.
    assert len(text.following) == 641 - 4 + 428 - 4
    assert len(text.held_out_following) == 661 - 641 + 441 - 428
    words = [text.words[i] for i in (*text.contexts[0].tolist(), text.following[0].item())]
    assert words == ["other", "one", "two", "three", "four"]


def test_all_losses_give_one_curve_that_goes_down(example, folder):
    text = example.read_text(folder, "*.txt")
    settings = replace(
        example.QUICK, features=16, hidden=16, batch=64, steps=30, learning_rate=0.02
    )

    runs = {name: example.train(name, text, settings) for name in example.LOSSES}

    plain = runs["logits in memory"]
    # It starts at the entropy of eleven equally frequent words, and soon knows the rhyme.
    assert plain["losses"][0] == pytest.approx(math.log(11), rel=0.1)
    assert plain["losses"][-1] < 0.5 * plain["losses"][0]
    assert plain["held_out_loss"] < 0.5 * plain["losses"][0]
    for run in runs.values():
        # float32: 30 steps of rounding, each 6e-8 of a gradient, divided by Adam by its size; and
        # PyTorch takes small losses from the difference of logits of about 10, rounded to 1e-6.
        torch.testing.assert_close(run["losses"], plain["losses"], rtol=1e-4, atol=2e-6)
        assert run["held_out_loss"] == pytest.approx(plain["held_out_loss"], rel=1e-4, abs=2e-6)
        assert run["tokens_per_s"] == pytest.approx(64 / run["median_step_s"])


def test_table_and_picture_show_every_run(example, tmp_path):
    run = {"losses": [2.0, 1.5], "tokens_per_s": 1234.4, "step_bytes": 7e6, "held_out_loss": 1.75}
    found = {
        "runs": {
            "logits in memory": {**run, "largest_relative_difference": 0.0},
            "crossent": {**run, "step_bytes": None, "largest_relative_difference": 2e-7},
        },
        "settings": {"features": 8, "steps": 2, "batch": 4},
        "classes": 24000,
        "stamp": example.stamp(1, "cpu"),
    }
    found["stamp"]["commit"] = "abc"

    table = example.table(found)
    example.draw(found, tmp_path / "figure.svg")

    assert "| logits in memory | 7 | 1,234 | 1.5000 | 1.7500 | – |" in table
    assert "| crossent | not measured | 1,234 | 1.5000 | 1.7500 | 2.0e-07 |" in table
    assert "24,000 classes, d = 8, 2 steps of 4 tokens" in table
    assert "the same curve" in (tmp_path / "figure.svg").read_text("utf-8")
