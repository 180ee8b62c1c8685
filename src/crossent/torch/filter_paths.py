"""The paths that leave classes out of gradients, for those who ask with ``filter=``."""

from dataclasses import replace

from crossent.torch.call import Problem
from crossent.torch.cuda_blocks import Cut, whole_rows_cut
from crossent.torch.cuda_paths import no_device, sizes_of_problem
from crossent.torch.engine import Engine
from crossent.torch.filter_bound import rows_at_a_time
from crossent.torch.path import Cost, Path

__all__ = ["CPU_FILTERED", "CUDA_FILTERED"]


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


def _cpu_refusal(problem: Problem) -> str | None:
    if problem.device != "cpu":
        return f"It serves CPUs, the tensors are on {problem.device}."
    refusal = no_filter(problem)
    if refusal is None:
        _cpu_rows(problem)
    return refusal


def _cpu_rows(problem: Problem) -> tuple[int, int]:
    item = 8 if problem.dtype == "float64" else 4
    budget = problem.options.max_workspace_bytes
    return rows_at_a_time(problem.n_rows, problem.n_classes, item, budget)


def _cpu_cost(problem: Problem) -> Cost:
    """As if nothing could be left out; how much can is in the data."""
    rows, size = _cpu_rows(problem)
    products = 1.0 + problem.needs_input + problem.needs_weight
    return Cost(products, size, {"rows": rows, "classes": problem.n_classes})


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
    if refusal is None and _cuda_cut(problem) is None:
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


CPU_FILTERED = Path(
    "cpu-filtered",
    "A block of rows at a time; classes that no row of it needs are left out of both gradients, "
    "and replaced by a matrix of rank one: at most three products.",
    _cpu_refusal,
    _cpu_cost,
    _load_cpu,
    gradients_at_once=True,
)

CUDA_FILTERED = Path(
    "cuda-filtered",
    "Exponentials of all rows stored; groups of rows leave classes out of the gradient of the "
    "input, tiles of classes leave rows out of that of the weight: at most three products.",
    _cuda_refusal,
    _cuda_cost,
    _load_cuda,
    gradients_at_once=True,
)
