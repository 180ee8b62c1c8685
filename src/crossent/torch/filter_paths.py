"""The paths that leave classes out of gradients, for those who ask with ``filter=``."""

from dataclasses import replace

from torch import Tensor

from crossent.torch.call import Problem
from crossent.torch.cpu_paths import CPU_BLOCKS, CPU_RECOMPUTE
from crossent.torch.cpu_steps import filtered_steps, item_of, stored_item
from crossent.torch.cuda_blocks import Cut, whole_rows_cut
from crossent.torch.cuda_machine import cuda_seconds
from crossent.torch.cuda_paths import (
    CUDA_EXPONENTIALS,
    CUDA_RECOMPUTE,
    no_device,
    sizes_of_problem,
)
from crossent.torch.cuda_steps import cuda_filtered_steps
from crossent.torch.engine import Engine
from crossent.torch.filter_bound import FilterSizes, rows_at_a_time
from crossent.torch.machine import Tile, exponentiate, rates_of, seconds_of
from crossent.torch.path import Cost, Path, Step

__all__ = ["CPU_FILTERED", "CUDA_FILTERED"]

_CLASSES = 8192
"""Classes of a block that the trial multiplies: more are as fast."""


def no_filter(problem: Problem) -> str | None:
    """Why gradients of this problem cannot be filtered, or None."""
    options = problem.options
    if options.filter is None:
        return "`filter` was not asked for."
    if problem.needs_others:
        return "A gradient of targets or weights is wanted; only the definition has it."
    if problem.needs_gradient and options.reduction == "none":
        return "The bound of a filter is known only where the gradient from above is."
    return None


def can_leave_out(problem: Problem) -> bool:
    """Whether there is anything to filter; see `filtered.allows_filter`."""
    plain = problem.options.logit_softcap is None and not problem.has_targets
    return problem.needs_gradient and problem.n_features > 0 and plain


def _or_exact(own: Path, exact: tuple[Path, ...]) -> Path:
    """A path that takes the first of `exact` that serves where there is nothing to filter."""

    def taken(problem: Problem) -> tuple[Path, Problem]:
        if can_leave_out(problem):
            return own, problem
        whole = replace(problem, options=replace(problem.options, filter=None))
        return next(path for path in exact if path.refusal(whole) is None), whole

    def refusal(problem: Problem) -> str | None:
        reason = own.refusal(problem)
        if reason is None:
            taken(problem)  # which may find the workspace too small
        return reason

    def cost(problem: Problem) -> Cost:
        path, asked = taken(problem)
        return path.cost(asked)

    def steps(problem: Problem, cost: Cost) -> tuple[Step, ...]:
        path, asked = taken(problem)
        return path.steps(asked, cost)

    def seconds(problem: Problem, cost: Cost, steps: tuple[Step, ...]) -> float | None:
        path, asked = taken(problem)
        return None if path.seconds is None else path.seconds(asked, cost, steps)

    return replace(own, refusal=refusal, cost=cost, steps=steps, seconds=seconds)


def _cpu_refusal(problem: Problem) -> str | None:
    if problem.device != "cpu":
        return f"It serves CPUs, the tensors are on {problem.device}."
    refusal = no_filter(problem)
    if refusal is None and can_leave_out(problem):
        _cpu_rows(problem)
    return refusal


def _cpu_rows(problem: Problem) -> tuple[int, int]:
    sizes = FilterSizes(
        problem.n_rows,
        problem.n_features,
        problem.n_classes,
        item_of(problem),
        widens=stored_item(problem) < item_of(problem),
        entropy="entropy" in problem.options.compute,
    )
    return rows_at_a_time(sizes, problem.options.max_workspace_bytes)


def _cpu_cost(problem: Problem) -> Cost:
    """As if nothing could be left out; how much can is in the data."""
    rows, size = _cpu_rows(problem)
    products = 1.0 + problem.needs_input + problem.needs_weight
    return Cost(products, size, {"rows": rows, "classes": problem.n_classes})


def _cpu_seconds(problem: Problem, cost: Cost, steps: tuple[Step, ...]) -> float:
    """PyTorch divides a block among its threads."""
    width, classes = problem.n_features, min(problem.n_classes, _CLASSES)
    tile = Tile(cost.blocks["rows"], classes, width, item_of(problem), 0)
    logits = float(problem.n_rows) * problem.n_classes
    return seconds_of(steps, width, logits, rates_of(tile, _touch))


def _touch(tile: Tensor) -> None:
    """What the filter does with each logit beside the products."""
    from crossent.torch.filtering import select

    exponentiate(tile)
    select(tile, tile.new_ones(len(tile)), 0.5)


def _load_cpu() -> Engine:
    from crossent.torch.filtered import CPU_FILTER, FilteredEngine

    return FilteredEngine(CPU_FILTER)


def _cuda_cut(problem: Problem) -> Cut | None:
    """All rows in one block, or None."""
    sizes = sizes_of_problem(problem)
    # Masses and places of each row in every tile of classes, beside the sums.
    sizes = replace(sizes, sums=sizes.sums + 16)
    cut = whole_rows_cut(sizes, problem.options.max_workspace_bytes, per_logit=sizes.item)
    return cut if cut is not None and cut.rows >= problem.n_rows else None


def _cuda_refusal(problem: Problem) -> str | None:
    refusal = no_device(problem) or no_filter(problem)
    if refusal is None and problem.dtype not in ("bfloat16", "float32"):
        refusal = f"Exponentials of shifted logits do not fit {problem.dtype}."
    if refusal is None and can_leave_out(problem) and _cuda_cut(problem) is None:
        refusal = "The workspace is too small to keep exponentials of all rows."
    return refusal


def _cuda_cost(problem: Problem) -> Cost:
    cut = _cuda_cut(problem)
    if cut is None:
        message = "a path that refuses has no cost"
        raise AssertionError(message)
    products = 1.0 + problem.needs_input + problem.needs_weight
    return Cost(products, cut.bytes, {"rows": cut.rows, "classes": cut.classes})


def _load_cuda() -> Engine:
    from crossent.torch.cuda_filtered import CUDA_FILTER
    from crossent.torch.filtered import FilteredEngine

    return FilteredEngine(CUDA_FILTER)


_CPU = Path(
    "cpu-filtered",
    "A block of rows at a time; classes that no row of it needs are left out of both gradients, "
    "and replaced by a matrix of rank one: at most three products.",
    _cpu_refusal,
    _cpu_cost,
    _load_cpu,
    filtered_steps,
    gradients_at_once=True,
    seconds=_cpu_seconds,
    at_most=True,
)

_CUDA = Path(
    "cuda-filtered",
    "Exponentials of all rows stored; groups of rows leave classes out of the gradient of the "
    "input, tiles of classes leave rows out of that of the weight: at most three products.",
    _cuda_refusal,
    _cuda_cost,
    _load_cuda,
    cuda_filtered_steps,
    gradients_at_once=True,
    seconds=cuda_seconds,
    at_most=True,
)

CPU_FILTERED = _or_exact(_CPU, (CPU_BLOCKS, CPU_RECOMPUTE))
CUDA_FILTERED = _or_exact(_CUDA, (CUDA_EXPONENTIALS, CUDA_RECOMPUTE))
