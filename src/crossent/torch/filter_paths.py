"""The paths that leave classes out of gradients, for those who ask with ``filter=``."""

from crossent.torch.call import Problem
from crossent.torch.engine import Engine
from crossent.torch.path import Cost, Path

__all__ = ["CPU_FILTERED"]


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
    return no_filter(problem)


def _cpu_cost(problem: Problem) -> Cost:
    """As if nothing could be left out; how much can is in the data."""
    item = 8 if problem.dtype == "float64" else 4
    rows = min(128, problem.n_rows)
    return Cost(
        1.0 + problem.needs_input + problem.needs_weight,
        item * rows * problem.n_classes * 2,
        {"rows": rows, "classes": problem.n_classes},
    )


def _load_cpu() -> Engine:
    from crossent.torch.filtered import FilteredEngine

    return FilteredEngine()


CPU_FILTERED = Path(
    "cpu-filtered",
    "A block of rows at a time; classes that no row of it needs are left out of both gradients, "
    "and replaced by a matrix of rank one: at most three products.",
    _cpu_refusal,
    _cpu_cost,
    _load_cpu,
    gradients_at_once=True,
)
