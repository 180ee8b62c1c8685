"""The break-even map of structured layers on a GPU, with PyTorch.

    python -m benchmarks.structured_gpu [--quick]

writes benchmarks/results/structured_gpu.json (structured_gpu_quick.json), from which
``python -m benchmarks.structured_table`` makes a table and a picture. `StructuredLinear` beside
`torch.nn.functional.linear` on n x n matrices, in float32 (TF32 off) and bfloat16, forward pass
alone: microseconds by the device's clock, the least of several runs, each kernel launched from
Python as a user would.
"""

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from benchmarks.softmax_regression import machine
from benchmarks.structured_times import square_maps
from torch.nn.functional import linear

from crossent.linear_maps import make_map
from crossent.torch import StructuredLinear

RESULTS = Path(__file__).parent / "results"
SIZES = (256, 512, 1024, 2048, 4096, 8192)
BATCHES = (1, 16, 256, 4096, 16384)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ROUNDS = 20


def milliseconds(call):
    """The least by the device's clock; three rounds warm up."""
    found = []
    for _ in range(ROUNDS + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        found.append(start.elapsed_time(end))
    return min(found[3:])


def layers(n, dtype):
    """The maps of the break-even table as layers."""
    rng = np.random.default_rng(0)
    return {
        row: StructuredLinear(
            make_map(name, (n, n), rng=rng, **options), rng=rng, device="cuda", dtype=dtype
        )
        for row, (name, options) in square_maps(n).items()
    }


def column(made, n, batch, dtype):
    """Milliseconds of the dense product and of every layer."""
    X = torch.randn(batch, n, device="cuda", dtype=dtype)
    W = torch.randn(n, n, device="cuda", dtype=dtype) / n**0.5
    with torch.no_grad():
        found = {"dense": milliseconds(lambda: linear(X, W))}
        for row, layer in made.items():
            found[row] = milliseconds(lambda layer=layer: layer(X))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU here; the break-even map of CPUs is benchmarks.structured.")
    torch.backends.cuda.matmul.allow_tf32 = False
    cells = {}
    for name, dtype in DTYPES.items():
        for n in SIZES[::3] if options.quick else SIZES:
            made = layers(n, dtype)
            for batch in BATCHES[::3] if options.quick else BATCHES:
                cells[f"{name}; {n}, {batch}"] = column(made, n, batch, dtype)
                print(name, n, batch, flush=True)
    found = {
        "stamp": machine.describe(torch.get_num_threads())
        | {
            "date": machine.now(),
            "commit": machine.commit(),
            "gpu": torch.cuda.get_device_name(),
            "versions": {p: version(p) for p in ("crossent", "numpy", "torch")},
        },
        "break_even": cells,
    }
    path = RESULTS / ("structured_gpu_quick.json" if options.quick else "structured_gpu.json")
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
