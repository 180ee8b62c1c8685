"""The kernel that stores exponentials against the library's product of the same matrices.

Of all tile shapes, the best time decides whether the path that stores exponentials, or the one on
the library's logits, comes first on this GPU, and which shape `crossent.kernels.triton_jit` should
name for it. Measure this before anything else.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
import triton
from triton.errors import TritonError

from crossent.kernels.triton_exponentials import Asked, exponentials
from crossent.kernels.triton_jit import TileShape, product_shape
from crossent.torch.cuda_blocks import padded_columns
from crossent.torch.engine import RowLogits

SHAPES = [
    TileShape(rows, classes, features, group, warps, stages, descriptors)
    for rows, classes, features, warps, stages in (
        (256, 128, 64, 8, 3),
        (256, 128, 64, 8, 4),
        (128, 256, 64, 8, 3),
        (128, 256, 64, 8, 4),
        (128, 128, 64, 4, 4),
        (128, 128, 64, 8, 4),
        (128, 128, 128, 8, 2),
    )
    for descriptors in (True, False)
    for group in (8, 32)
]
Timer = Callable[[dict[str, Callable[[], Any]], int], dict[str, dict[str, float]]]


def name_of(shape: TileShape) -> str:
    how = "descriptors" if shape.descriptors else "pointers"
    tile = f"{shape.rows}x{shape.classes}x{shape.features}"
    return f"{tile}, {shape.warps} warps, {shape.stages} stages, groups of {shape.group}, {how}"


def measure_kernel(X: Any, W: Any, y: Any, timer: Timer, rounds: int) -> dict[str, Any]:
    """Seconds of the library's product and of the kernel with every shape that compiles."""
    n, q, d = len(X), len(W), X.shape[1]
    Z = torch.empty(n, padded_columns(q), device=X.device, dtype=X.dtype)
    logits = RowLogits(X.detach(), W.detach(), None, None, 1.0)
    shift = torch.zeros(n, device=X.device)
    labels = y[:, None].contiguous()
    calls: dict[str, Callable[[], Any]] = {}
    refused: dict[str, str] = {}

    def library() -> None:
        torch.mm(logits.input, logits.weight.T, out=Z[:, :q])

    for shape in SHAPES:

        def kernel(shape: TileShape = shape) -> None:
            exponentials(logits, shift, Asked(labels), shape, stored=Z[:, :q])

        try:
            kernel()
            calls[name_of(shape)] = kernel
        except (TritonError, RuntimeError) as error:
            refused[name_of(shape)] = f"{type(error).__name__}: {error}"[:200]
    times = timer({"library": library, **calls}, rounds)
    seconds = {name: t["best_s"] for name, t in times.items() if name != "library"}
    best = min(seconds, key=seconds.__getitem__)
    built_in = name_of(product_shape(X))
    flop = 2.0 * n * d * q
    share = times["library"]["best_s"] / seconds[best]
    return {
        "shape": [n, d, q],
        "triton": triton.__version__,
        "times": times,
        "refused": refused,
        "best": best,
        "best_shape": asdict(SHAPES[[name_of(s) for s in SHAPES].index(best)]),
        "built_in": built_in,
        "library_tflops": flop / times["library"]["best_s"] / 1e12,
        "best_tflops": flop / seconds[best] / 1e12,
        "share_of_library": share,
        # Of three products, two are the library's; the other path reads and writes all logits
        # twice more, some 5 to 8 % of three products.
        "prefer": "cuda-exponentials" if share > 1.0 / 1.2 else "cuda-library",
    }
