"""The paths on CPUs: three products, or four with next to no memory."""

import torch

from crossent.torch.blocks import (
    Blocks,
    Sizes,
    fused_blocks,
    held_blocks,
    needed_blocks,
    spare_tiles,
)
from crossent.torch.call import Problem
from crossent.torch.cpu_steps import block_steps, held_steps, item_of, recompute_steps
from crossent.torch.engine import Engine
from crossent.torch.machine import Tile, rates_of, seconds_of
from crossent.torch.path import Cost, Path, Step
from crossent.torch.products import products_for

__all__ = ["CPU_BLOCKS", "CPU_HELD", "CPU_RECOMPUTE"]


def _cpu_sizes(problem: Problem) -> Sizes:
    options = problem.options
    kind = torch.float64 if problem.dtype == "float64" else torch.float32
    capped = options.logit_softcap is not None
    keeps_logits = problem.has_targets or (capped and options.label_smoothing > 0.0)
    entropy = "entropy" in options.compute
    return Sizes(
        n_rows=problem.n_rows,
        n_features=problem.n_features,
        n_classes=problem.n_classes,
        item=8 if problem.dtype == "float64" else 4,
        converts=problem.dtype in ("bfloat16", "float16"),
        threads=torch.get_num_threads(),
        spare_tiles=spare_tiles(capped=capped, entropy=entropy, keeps_logits=keeps_logits),
        makes_results=problem.n_features > 0 and products_for(kind).makes_results,
    )


def _no_cpu_engine(problem: Problem) -> str | None:
    if problem.device != "cpu":
        return f"It serves CPUs, the tensors are on {problem.device}."
    if problem.options.filter is not None:
        return "It does not filter."
    if problem.needs_others:
        return "A gradient of targets or weights is wanted; only the definition has it."
    return None


def _cpu_blocks_refusal(problem: Problem) -> str | None:
    refusal = _no_cpu_engine(problem)
    if refusal is not None:
        return refusal
    if problem.n_features == 0:
        return "The logits are given; there are no products to save."
    if problem.needs_gradient and problem.options.reduction == "none":
        return "reduction='none' gives each row a gradient from above, which is not known yet."
    if fused_blocks(_cpu_sizes(problem), _budget(problem)) is None:
        budget = problem.options.max_workspace_bytes
        refusal = f"max_workspace_bytes = {budget} is too little to keep exponentials of one block."
    return refusal


def _cpu_held_refusal(problem: Problem) -> str | None:
    refusal = _no_cpu_engine(problem)
    if refusal is not None:
        return refusal
    if problem.n_features == 0:
        return "The logits are given; they need not be held."
    unasked = problem.options.path is None
    if unasked and not problem.needs_gradient:
        return "No gradient is wanted, for which logits would be held."
    if unasked and not problem.has_gradients_from_above:
        return "The gradient from above is one number; the forward pass makes both products."
    sizes, budget = _cpu_sizes(problem), _budget(problem)
    if (unasked and budget is None) or held_blocks(sizes, budget) is None:
        size = problem.n_rows * problem.n_classes * sizes.item
        return f"To hold the logits takes {size} bytes; max_workspace_bytes must allow more."
    return None


def _budget(problem: Problem) -> int | None:
    return problem.options.max_workspace_bytes


def _cpu_recompute_refusal(problem: Problem) -> str | None:
    refusal = _no_cpu_engine(problem)
    if refusal is None:
        needed_blocks(_cpu_sizes(problem), _budget(problem))
    return refusal


def _cost_of(problem: Problem, blocks: Blocks | None, products: float) -> Cost:
    if blocks is None:
        message = "a path that refuses has no cost"
        raise AssertionError(message)
    names = {"rows": blocks.rows, "classes": blocks.classes, "threads": blocks.threads}
    products = products if problem.needs_gradient else 1.0
    return Cost(products if problem.n_features else 0.0, blocks.bytes, names)


def _seconds(problem: Problem, cost: Cost, steps: tuple[Step, ...]) -> float:
    blocks, width = cost.blocks, problem.n_features
    tile = Tile(blocks["rows"], blocks["classes"], width, item_of(problem), blocks["threads"])
    logits = float(problem.n_rows) * problem.n_classes
    return seconds_of(steps, width, logits, rates_of(tile))


def _cpu_blocks_cost(problem: Problem) -> Cost:
    blocks = fused_blocks(_cpu_sizes(problem), _budget(problem))
    return _cost_of(problem, blocks, 1.0 + problem.needs_input + problem.needs_weight)


def _cpu_recompute_cost(problem: Problem) -> Cost:
    blocks = needed_blocks(_cpu_sizes(problem), _budget(problem))
    return _cost_of(problem, blocks, 2.0 + problem.needs_input + problem.needs_weight)


def _cpu_held_cost(problem: Problem) -> Cost:
    blocks = held_blocks(_cpu_sizes(problem), _budget(problem))
    return _cost_of(problem, blocks, 1.0 + problem.needs_input + problem.needs_weight)


def _load_cpu() -> Engine:
    from crossent.torch.cpu import CPU_ENGINE

    return CPU_ENGINE


CPU_BLOCKS = Path(
    "cpu-blocks",
    "A block of rows at a time, its exponentials or logits kept until both gradients have used "
    "them: three products.",
    _cpu_blocks_refusal,
    _cpu_blocks_cost,
    _load_cpu,
    block_steps,
    gradients_at_once=True,
    seconds=_seconds,
)

CPU_HELD = Path(
    "cpu-held",
    "The logits of all rows are held from the forward to the backward pass, for gradients from "
    "above that only the backward pass knows: three products.",
    _cpu_held_refusal,
    _cpu_held_cost,
    _load_cpu,
    held_steps,
    holds=True,
    seconds=_seconds,
)

CPU_RECOMPUTE = Path(
    "cpu-recompute",
    "Tile by tile, nothing kept but a few numbers per row; logits are made again for the "
    "gradients: four products.",
    _cpu_recompute_refusal,
    _cpu_recompute_cost,
    _load_cpu,
    recompute_steps,
    seconds=_seconds,
)
