"""Deep Fried Convnets on MNIST: LeNet's dense hidden layer replaced by Fastfood, in PyTorch.

    CROSSENT_DATA=... OMP_NUM_THREADS=2 python -m benchmarks.deep_fried [--resume] [--quick]
    python -m benchmarks.deep_fried --table     # the table again, from the results

in the environment of ``make test-torch``. Three networks share LeNet's convolutions (20 and 50
filters of 5x5, each followed by a maximum over 2x2 and a ReLU) and differ in the hidden layer of
their head: dense 800 -> 500, or an adaptive Fastfood 800 -> 1024 or 2048 (S, G and B learnt, one or
two blocks of 1024). There are no biases, so that what is learnt are exactly the weights that Yang
et al. (2015, arXiv 1412.7149) count.

Results go to benchmarks/results/deep_fried.json (deep_fried_quick.json) after every network, and
after every epoch its state goes beside them (*.pt), so that --resume goes on where a run ended. The
table is written between the marks of docs/structured.md.
"""

import argparse
import json
import math
import os
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from benchmarks.softmax_regression import machine
from benchmarks.softmax_regression.table import write_parts
from torch import nn

from crossent import datasets
from crossent.linear_maps import Fastfood
from crossent.torch import StructuredLinear, softmax_cross_entropy

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENT = ROOT / "docs" / "structured.md"
WIDTHS = {"dense 500": None, "Fastfood 1024": 1024, "Fastfood 2048": 2048}
# Test error in per cent, as the paper gives it. The weights are 430,500, 38,812 and 52,124; for the
# second the paper prints 38,821, but 25,500 + 3·1024 + 10·1024 is 38,812.
PAPER = {"dense 500": 0.87, "Fastfood 1024": 0.73, "Fastfood 2048": 0.72}
PROTOCOL = {
    "epochs": 10,
    "batch": 128,
    "learning_rate": 2e-3,
    "dropout": 0.5,
    "train_rows": 60_000,
    "test_rows": 10_000,
    "seed": 0,
}
QUICK = {"epochs": 2, "train_rows": 3000, "test_rows": 1000}
MEAN, DEVIATION = 0.1307, 0.3081  # of all training pixels, which are in [0, 1]
NORMAL = 1.96  # 95 %


def network(name, dropout, seed):
    """LeNet with one of the three hidden layers."""
    torch.manual_seed(seed)
    features, width = 50 * 4 * 4, WIDTHS[name]
    if width is None:
        hidden = nn.Linear(features, 500, bias=False)
    else:
        rng = np.random.default_rng(seed)
        linear_map = Fastfood.random((width, features), learn="SGB", rng=rng)
        # An rms of √2 goes through a ReLU with mean square 1 (He et al. 2015).
        hidden = StructuredLinear(linear_map, rms=math.sqrt(2.0), rng=rng)
    model = nn.Sequential(
        nn.Conv2d(1, 20, 5, bias=False), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(20, 50, 5, bias=False), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(),
        hidden, nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(width or 500, 10, bias=False),
    ).to(memory_format=torch.channels_last)  # fmt: skip
    for layer in (model[0], model[3], hidden):
        if layer is not hidden or width is None:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.kaiming_normal_(model[-1].weight, nonlinearity="linear")
    return model


def weights(model):
    """Numbers that are learnt."""
    return sum(parameter.numel() for parameter in model.parameters())


def images(X, y, rows):
    """The first rows as images (n, 1, 28, 28), standardised, and their labels."""
    pixels = torch.tensor((np.asarray(X[:rows], dtype=np.float32) - MEAN) / DEVIATION)
    labels = torch.tensor(np.asarray(y[:rows]).astype(np.int64))
    shaped = pixels.reshape(-1, 1, 28, 28)
    return shaped.contiguous(memory_format=torch.channels_last), labels


def mnist(protocol):
    """Training and test images."""
    data = datasets.load("mnist")
    train = images(data.X_train, data.y_train, protocol["train_rows"])
    return train, images(data.X_test, data.y_test, protocol["test_rows"])


def error_rate(model, X, y):
    """Share of wrong labels."""
    model.eval()
    with torch.no_grad():
        wrong = sum(
            int((model(rows).argmax(dim=1) != labels).sum())
            for rows, labels in zip(X.split(1000), y.split(1000), strict=True)
        )
    return wrong / len(y)


def train_epoch(model, optimiser, schedule, data, protocol, epoch):
    """One pass over the rows in an order of its own; the mean loss."""
    X, y = data
    torch.manual_seed(
        1000 * (protocol["seed"] + 1) + epoch
    )  # order and dropout, also after --resume
    model.train()
    total = 0.0
    for rows in torch.randperm(len(y)).split(protocol["batch"]):
        optimiser.zero_grad()
        loss = softmax_cross_entropy(model(X[rows]), y[rows])
        loss.backward()
        optimiser.step()
        schedule.step()
        total += loss.item() * len(rows)
    return total / len(y)


def trained(name, data, protocol, state_file):
    """Trains one network, from its saved state if there is one; the record of the results."""
    (X, y), test = data
    model = network(name, protocol["dropout"], protocol["seed"])
    optimiser = torch.optim.Adam(model.parameters(), lr=protocol["learning_rate"])
    steps = protocol["epochs"] * math.ceil(len(y) / protocol["batch"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    parts = {"model": model, "optimiser": optimiser, "schedule": schedule}
    history = []
    if state_file.exists():
        saved = torch.load(state_file)
        history = saved.pop("history")
        for key, part in parts.items():
            part.load_state_dict(saved[key])
    for epoch in range(len(history), protocol["epochs"]):
        started, cpu_started = time.perf_counter(), time.process_time()
        loss = train_epoch(model, optimiser, schedule, (X, y), protocol, epoch)
        record = {
            "loss": loss,
            "error": error_rate(model, *test),
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu_started,
            "load": os.getloadavg()[0],
        }
        history.append(record)
        torch.save({"history": history} | {k: p.state_dict() for k, p in parts.items()}, state_file)
        print(progress(name, record, len(history), protocol["epochs"]), flush=True)
    return {
        "weights": weights(model),
        "test_error": history[-1]["error"],
        "train_s": sum(epoch["seconds"] for epoch in history),
        "train_cpu_s": sum(epoch["cpu_seconds"] for epoch in history),
        "history": history,
    }


def progress(name, record, epoch, epochs):
    """One epoch in a line."""
    return (
        f"{name:14} epoch {epoch:2} of {epochs}: loss {record['loss']:.5f}, test error "
        f"{100 * record['error']:.2f} %, {record['seconds']:.1f} s "
        f"({record['cpu_seconds']:.1f} s of CPU), load {record['load']:.1f}"
    )


def run(protocol, path, *, resume):
    """The networks that the file does not have yet."""
    found = json.loads(path.read_text("utf-8")) if resume and path.exists() else {}
    if found and found["protocol"] != protocol:
        message = f"{path.name} was made with another protocol: {found['protocol']}"
        raise SystemExit(message)
    data = mnist(protocol)
    found["protocol"] = protocol
    networks = found.setdefault("networks", {})
    for name in WIDTHS:
        state_file = path.with_name(f"{path.stem}_{name.replace(' ', '_')}.pt")
        if not resume:
            state_file.unlink(missing_ok=True)
        if name not in networks:
            networks[name] = trained(name, data, protocol, state_file)
        found["stamp"] = stamp()
        path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        state_file.unlink(missing_ok=True)
    return found


def stamp():
    """Where, when and with what."""
    return machine.describe(torch.get_num_threads()) | {
        "date": machine.now(),
        "commit": machine.commit(),
        "versions": {p: version(p) for p in ("crossent", "numpy", "torch")},
    }


def table(found):
    """The networks in Markdown, beside the paper's, and how they were trained."""
    lines = [
        "| hidden layer | weights | test error | the paper's | training, CPU s |",
        "|---|---|---|---|---|",
    ]
    n = found["protocol"]["test_rows"]
    for name, record in found["networks"].items():
        error = record["test_error"]
        half = NORMAL * math.sqrt(error * (1 - error) / n)
        lines.append(
            f"| {name} | {record['weights']:,} | {100 * error:.2f} % ± {100 * half:.2f} "
            f"| {PAPER[name]:.2f} % | {record['train_cpu_s']:.0f} |"
        )
    return "\n".join([*lines, "", describe(found)])


def describe(found):
    """Protocol and machine in words."""
    p, at = found["protocol"], found["stamp"]
    loads = [epoch["load"] for r in found["networks"].values() for epoch in r["history"]]
    versions = ", ".join(f"{name} {number}" for name, number in at["versions"].items())
    return (
        f"Protocol, fixed before the first full run: {p['epochs']} epochs over {p['train_rows']:,} "
        f"standardised images, no augmentation, batches of {p['batch']}, Adam with learning rate "
        f"{p['learning_rate']:g} falling to 0 along a cosine, no weight decay, dropout "
        f"{p['dropout']:g} after the hidden layer, no biases, seed {p['seed']}; the test error is "
        f"that of the last epoch on {p['test_rows']:,} images, ± its binomial 95 % error. No "
        f"setting was tuned.\n\nMeasured {at['date'][:10]} on {at['cpu']}, "
        f"{at['cores']} cores, {at['threads']} thread(s), load average {min(loads):.1f} to "
        f"{max(loads):.1f}, commit {at['commit']}; {versions}."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3000 rows, 2 epochs: some seconds")
    parser.add_argument("--resume", action="store_true", help="go on where a run ended")
    parser.add_argument("--table", action="store_true", help="write the table only")
    options = parser.parse_args()
    path = RESULTS / ("deep_fried_quick.json" if options.quick else "deep_fried.json")
    if options.table:
        found = json.loads(path.read_text("utf-8"))
    else:
        found = run(PROTOCOL | (QUICK if options.quick else {}), path, resume=options.resume)
    print(table(found))
    if not options.quick:
        write_parts(DOCUMENT, {"structured-deep-fried": table(found)})


if __name__ == "__main__":
    main()
