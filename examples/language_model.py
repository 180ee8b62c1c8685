"""A next-word model trained with and without the fused loss: the same curve, less memory.

    python -m examples.language_model                  # about ten minutes on two cores
    python -m examples.language_model --quick          # one minute: one book, a few steps
    python -m examples.language_model --table          # table and picture again, from the results

in the environment of ``make test-torch``, from the root of the repository. It reads the Project
Gutenberg books in ``$CROSSENT_DATA/gutenberg`` (or ``--books FOLDER``). Words and stops that occur
at least twice are classes, some 23,000 of them; all others are one class more. The model predicts
each from the four before it: their embeddings, one hidden layer, and the embedding once more as
the last layer. It is trained from the same start on the same batches

- with the logits in memory (``cross_entropy`` of ``linear``),
- with PyTorch's own loss in chunks (``torch.nn.functional.linear_cross_entropy``),
- with `crossent.torch.linear_cross_entropy`,

each in a process of its own, so that memory can be told apart. Memory is what a step takes beyond
parameters and the optimiser's state: resident memory at its highest on CPUs, what PyTorch allocated
on GPUs. A token is one prediction that was learnt from. Writes benchmarks/results/
language_model.json, the table of docs/linear_cross_entropy.md and docs/language_model.svg; with
``--quick`` only what ``--out`` names.
"""

import argparse
import collections
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from benchmarks.softmax_regression import machine
from benchmarks.softmax_regression.table import write_parts
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from crossent.torch import linear_cross_entropy

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "language_model.json"
DOCUMENT = ROOT / "docs" / "linear_cross_entropy.md"
FIGURE = ROOT / "docs" / "language_model.svg"
CONTEXT = 4
HELD_OUT = 0.03
WORDS = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[.,;:?!]")
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
Found = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What is trained; `books` is a pattern of file names."""

    books: str = "*.txt"
    features: int = 128
    hidden: int = 256
    batch: int = 2048
    steps: int = 400
    learning_rate: float = 3e-3
    device: str = "cpu"
    in_chunks: bool = True
    """Whether PyTorch's loss in chunks is among what is compared."""


QUICK = Settings(
    books="carroll-alice.txt", features=32, hidden=32, batch=512, steps=20, in_chunks=False
)


@dataclass(frozen=True)
class Text:
    """Contexts (n, 4) and the classes that follow them, (n,), to learn from and held out."""

    contexts: Tensor
    following: Tensor
    held_out_contexts: Tensor
    held_out_following: Tensor
    words: list[str]


def read_text(folder: Path, pattern: str) -> Text:
    """The books as class numbers; the last 3 % of each are held out, and choose no classes."""
    books = [
        WORDS.findall(path.read_text("latin-1").lower()) for path in sorted(folder.glob(pattern))
    ]
    if not books:
        message = f"There are no books {pattern} in {folder}; set CROSSENT_DATA or give --books."
        raise SystemExit(message)
    ends = [round((1.0 - HELD_OUT) * len(book)) for book in books]
    counts: collections.Counter[str] = collections.Counter()
    for book, end in zip(books, ends, strict=True):
        counts.update(book[:end])
    words = ["other", *(word for word, count in counts.most_common() if count > 1)]
    number = {word: i for i, word in enumerate(words[1:], 1)}
    learnt, tested = [], []
    for book, end in zip(books, ends, strict=True):
        windows = torch.tensor([number.get(word, 0) for word in book]).unfold(0, CONTEXT + 1, 1)
        learnt.append(windows[: end - CONTEXT])
        tested.append(windows[end - CONTEXT :])
    rows, test = torch.cat(learnt), torch.cat(tested)
    return Text(rows[:, :-1], rows[:, -1], test[:, :-1], test[:, -1], words)


class NextWord(nn.Module):
    """From four words to features of the next; the embedding is the last layer's weight too."""

    def __init__(self, frequencies: Tensor, settings: Settings) -> None:
        super().__init__()
        d = settings.features
        self.embedding = nn.Embedding(len(frequencies), d)
        nn.init.normal_(self.embedding.weight, std=d**-0.5)
        self.mix = nn.Sequential(
            nn.Linear(CONTEXT * d, settings.hidden), nn.GELU(), nn.Linear(settings.hidden, d)
        )
        # Starts as the frequencies of the words, which is where learning would first go.
        self.bias = nn.Parameter(frequencies.log())

    def forward(self, contexts: Tensor) -> Tensor:
        """Features, (n, d)."""
        return self.mix(self.embedding(contexts).flatten(1))


Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def in_memory(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(linear(x, weight, bias), y)


def in_chunks(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> Tensor:
    options = nn.LinearCrossEntropyOptions()
    return nn.functional.linear_cross_entropy(x, weight, y, linear_bias=bias, options=options)


def fused(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> Any:
    return linear_cross_entropy(x, weight, y, linear_bias=bias)


LOSSES: dict[str, Loss] = {"logits in memory": in_memory, "crossent": fused}
if hasattr(nn, "LinearCrossEntropyOptions"):  # from PyTorch 2.13 on
    LOSSES["PyTorch, in chunks"] = in_chunks


def batches(n: int, settings: Settings) -> Iterator[Tensor]:
    """Row numbers of each step: the text in random order, again and again; the same each time."""
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(n, generator=generator)
    for step in range(settings.steps):
        yield order[torch.arange(step * settings.batch, (step + 1) * settings.batch) % n]


def train(name: str, text: Text, settings: Settings) -> Found:
    """One training run: losses, seconds of each step, memory, and the loss held out."""
    loss_of = LOSSES[name]
    torch.manual_seed(0)
    device = torch.device(settings.device)
    counts = torch.bincount(text.following, minlength=len(text.words)) + 1.0
    model = NextWord(counts / counts.sum(), settings).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)

    def step(rows: Tensor) -> float:
        optimiser.zero_grad(set_to_none=True)
        x = model(text.contexts[rows].to(device))
        loss = loss_of(x, model.embedding.weight, model.bias, text.following[rows].to(device))
        loss.backward()
        optimiser.step()
        return loss.item()  # waits for the device

    rows = list(batches(len(text.following), settings))
    step(rows[0][:8])  # threads, code and the optimiser's state are there now
    optimiser.zero_grad(set_to_none=True)
    before = memory(device, again=True)
    curve, seconds = [], []
    for part in track(rows, description=f"{name:20s}", console=Console(stderr=True)):
        start = time.perf_counter()
        curve.append(step(part))
        seconds.append(time.perf_counter() - start)
    peak = memory(device)
    return {
        "losses": curve,
        "median_step_s": statistics.median(seconds),
        "tokens_per_s": settings.batch / statistics.median(seconds),
        "step_bytes": None if peak is None or before is None else peak - before,
        "held_out_loss": held_out_loss(model, text, device),
    }


def memory(device: torch.device, *, again: bool = False) -> int | None:
    """Highest memory so far, or since the last call with `again`, which gives the present one."""
    if device.type == "cuda":
        if again:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device)
    if not CLEAR.exists():
        return None
    if again:
        CLEAR.write_text("5")
    found = re.search(rf"{'VmRSS' if again else 'VmHWM'}:\s+(\d+) kB", STATUS.read_text())
    return None if found is None else 1024 * int(found[1])


def held_out_loss(model: NextWord, text: Text, device: torch.device) -> float:
    """Mean surprisal of the words that were not learnt from, in nats."""
    with torch.no_grad():
        x = model(text.held_out_contexts.to(device))
        weight = model.embedding.weight
        return fused(x, weight, model.bias, text.held_out_following.to(device)).item()


def compare(folder: Path, settings: Settings, threads: int) -> Found:
    """Every loss in a process of its own."""
    found: Found = {"stamp": stamp(threads, settings.device), "settings": asdict(settings)}
    text = read_text(folder, settings.books)
    found["classes"], found["tokens"] = len(text.words), len(text.following)
    found["runs"] = {}
    with tempfile.TemporaryDirectory() as scratch:
        names = [name for name in LOSSES if settings.in_chunks or LOSSES[name] is not in_chunks]
        for name in names:
            out = Path(scratch) / "run.json"
            given = {"name": name, "folder": str(folder), "threads": threads, **asdict(settings)}
            command = [sys.executable, "-m", "examples.language_model", "--one", json.dumps(given)]
            subprocess.run([*command, "--out", str(out)], check=True, cwd=ROOT)
            found["runs"][name] = json.loads(out.read_text("utf-8"))
    plain = found["runs"]["logits in memory"]["losses"]
    for run in found["runs"].values():
        pairs = zip(run["losses"], plain, strict=True)
        run["largest_relative_difference"] = max(abs(a - b) / b for a, b in pairs)
    found["stamp"]["load_at_end"] = list(os.getloadavg())
    return found


def run_one(given: Found, out: Path) -> None:
    """One run, in the process that was started for it."""
    name, folder, threads = (given.pop(key) for key in ("name", "folder", "threads"))
    torch.set_num_threads(threads)
    settings = Settings(**given)
    out.write_text(json.dumps(train(name, read_text(Path(folder), settings.books), settings)))


def stamp(threads: int, device: str) -> Found:
    where = {**machine.describe(threads), "date": machine.now(), "commit": machine.commit()}
    where["versions"] = {name: version(name) for name in ("crossent", "torch")}
    where["load"] = list(os.getloadavg())
    where["gpu"] = torch.cuda.get_device_name() if device == "cuda" else None
    return where


def table(found: Found) -> str:
    """The comparison in Markdown, and where it was made."""
    settings, where = found["settings"], found["stamp"]
    lines = [
        "| loss | memory of a step, MB | tokens/s | last loss, nats | held out, nats "
        "| largest difference of the curve |",
        "|---|---|---|---|---|---|",
    ]
    for name, run in found["runs"].items():
        size = "not measured" if run["step_bytes"] is None else f"{run['step_bytes'] / 1e6:.0f}"
        away = run["largest_relative_difference"]
        cells = [
            name,
            size,
            f"{run['tokens_per_s']:,.0f}",
            f"{run['losses'][-1]:.4f}",
            f"{run['held_out_loss']:.4f}",
            f"{away:.1e}" if away else "–",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    load = ", ".join(f"{x:.1f}" for x in where["load"])
    lines += [
        "",
        f"{found['classes']:,} classes, d = {settings['features']}, {settings['steps']} steps of "
        f"{settings['batch']} tokens; {where['gpu'] or where['cpu']}, {where['threads']} threads "
        f"of {where['cores']} cores; torch {where['versions']['torch']}; commit {where['commit']}, "
        f"{where['date']}; load before {load}. Tokens/s from the median step.",
    ]
    return "\n".join(lines)


def draw(found: Found, path: Path) -> None:
    """Loss curves, memory and tokens per second."""
    import matplotlib.pyplot as plt

    runs = found["runs"]
    with plt.rc_context({"svg.hashsalt": "crossent", "svg.fonttype": "none", "font.size": 8}):
        figure, axes = plt.subplots(1, 3, figsize=(9.0, 2.8), width_ratios=(2, 1, 1))
        for (name, run), style in zip(runs.items(), ("-", "--", ":"), strict=False):
            axes[0].plot(run["losses"], style, lw=2.4 if style == ":" else 1.2, label=name)
        axes[0].set(xlabel="step", ylabel="loss, nats", title="the same curve")
        axes[0].legend(frameon=False)
        sizes = [(run["step_bytes"] or math.nan) / 1e6 for run in runs.values()]
        rates = [run["tokens_per_s"] for run in runs.values()]
        parts = {"memory of a step, MB": (axes[1], sizes), "tokens/s": (axes[2], rates)}
        for what, (axis, values) in parts.items():
            bars = axis.bar(range(len(runs)), values, color=[f"C{i}" for i in range(len(runs))])
            axis.bar_label(bars, fmt="{:,.0f}")
            axis.set(title=what, xticks=[], ylim=(0.0, 1.15 * max(values)))
        for axis in axes:
            axis.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.environ.get("CROSSENT_DATA", "data")
    parser.add_argument("--books", type=Path, default=Path(data) / "gutenberg", help="a folder")
    parser.add_argument("--quick", action="store_true", help="one book, 20 small steps")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="where the results go, as JSON")
    parser.add_argument("--figure", type=Path, help="where the picture goes")
    parser.add_argument("--table", action="store_true", help="write table and picture only")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        run_one(given.one, given.out)
        return
    if given.table:
        found = json.loads((given.out or RESULTS).read_text("utf-8"))
    else:
        settings = asdict(QUICK if given.quick else Settings())
        settings |= {"steps": given.steps} if given.steps else {}
        settings |= {"device": "cuda" if torch.cuda.is_available() else "cpu"}
        found = compare(given.books, Settings(**settings), given.threads)
    write(found, given)


def write(found: Found, given: argparse.Namespace) -> None:
    """The table to the screen; results, page and picture where they belong."""
    print(table(found))
    out = given.out or (None if given.quick else RESULTS)
    if out is not None and not given.table:
        out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if given.figure is not None:
        draw(found, given.figure)
    elif not given.quick:
        draw(found, FIGURE)
        write_parts(DOCUMENT, {"language-model": table(found)})


if __name__ == "__main__":
    main()
