"""The networks of benchmarks/deep_fried.py: the paper's counts, and a small run of it all."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import deep_fried

SMALL = deep_fried.PROTOCOL | {
    "epochs": 2,
    "batch": 32,
    "train_rows": 192,
    "test_rows": 100,
    "dropout": 0.0,
}


def stripes(n, seed):
    """Images in [0, 1] with a bright bar across at one of ten heights: the label."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 10, n)
    X = rng.uniform(0.0, 0.3, (n, 28, 28)).astype(np.float32)
    for image, label in zip(X, y, strict=True):
        image[4 + 2 * label : 7 + 2 * label, 4:24] += 0.7
    return X.reshape(n, 784), y


@pytest.fixture
def data(monkeypatch):
    """`datasets.load` without files."""
    parts = (*stripes(192, 0), *stripes(100, 1))
    names = ("X_train", "y_train", "X_test", "y_test")
    found = SimpleNamespace(**dict(zip(names, parts, strict=True)))
    monkeypatch.setattr(deep_fried.datasets, "load", {"mnist": found}.get)


@pytest.mark.parametrize("name", deep_fried.WIDTHS)
def test_the_networks_have_the_weights_that_the_paper_counts(name):
    """20·25 + 50·20·25 + 800·500 + 500·10, and with 3·n + 10·n for the last two terms."""
    counted = {"dense 500": 430_500, "Fastfood 1024": 38_812, "Fastfood 2048": 52_124}

    assert deep_fried.weights(deep_fried.network(name, 0.5, 0)) == counted[name]


@pytest.mark.parametrize("name", deep_fried.WIDTHS)
def test_activations_keep_their_size_through_the_network(name):
    """Each layer before a ReLU doubles the mean square that the ReLU halves.

    Maxima over 2x2 of Gaussians raise it (by 1.5 at most, twice), hence the generous bounds.
    """
    model = deep_fried.network(name, 0.0, 0)
    with torch.no_grad():
        logits = model(torch.randn(500, 1, 28, 28))

    assert 0.5 < logits.square().mean().sqrt().item() < 8.0


def test_a_small_run_learns_goes_on_where_it_ended_and_makes_the_table(data, tmp_path, monkeypatch):
    path = tmp_path / "deep_fried.json"

    found = deep_fried.run(SMALL, path, resume=False)

    for record in found["networks"].values():
        assert len(record["history"]) == 2
        assert record["history"][1]["loss"] < 0.7 * record["history"][0]["loss"]
        assert record["test_error"] < 0.5  # 0.9 by chance
    again = json.loads(path.read_text("utf-8"))
    del again["networks"]["Fastfood 2048"]
    path.write_text(json.dumps(again), "utf-8")
    resumed = deep_fried.run(SMALL, path, resume=True)
    assert resumed["networks"]["dense 500"] == found["networks"]["dense 500"]
    assert resumed["networks"]["Fastfood 2048"]["test_error"] == pytest.approx(
        found["networks"]["Fastfood 2048"]["test_error"]
    )
    lines = deep_fried.table(resumed).splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:5]] == ["430,500", "38,812", "52,124"]
    with pytest.raises(SystemExit, match="another protocol"):
        deep_fried.run(SMALL | {"epochs": 3}, path, resume=True)


def test_a_network_that_was_interrupted_goes_on_as_if_it_had_not_been(data, tmp_path, monkeypatch):
    parts = deep_fried.mnist(SMALL)
    whole = deep_fried.trained("Fastfood 1024", parts, SMALL, tmp_path / "whole.pt")
    epoch = deep_fried.train_epoch

    def interrupted(*arguments):
        if arguments[-1] == 1:
            raise KeyboardInterrupt
        return epoch(*arguments)

    monkeypatch.setattr(deep_fried, "train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        deep_fried.trained("Fastfood 1024", parts, SMALL, tmp_path / "broken.pt")
    monkeypatch.setattr(deep_fried, "train_epoch", epoch)
    resumed = deep_fried.trained("Fastfood 1024", parts, SMALL, tmp_path / "broken.pt")

    assert len(resumed["history"]) == 2
    # Sums of float32 in another order, if threads share the work otherwise.
    assert resumed["history"][1]["loss"] == pytest.approx(whole["history"][1]["loss"], rel=1e-3)
