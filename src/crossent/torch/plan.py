"""Which path serves a call, why the others do not, and what it will cost.

A path is one entry of `PATHS`; the first that does not refuse is taken. To add a path, write an
`Engine` (see `crossent.torch.engine`) and put a `Path` before those that it should be preferred to.
"""

from dataclasses import dataclass, replace

from crossent.errors import InputError
from crossent.torch.call import Problem
from crossent.torch.cpu_paths import CPU_BLOCKS, CPU_HELD, CPU_RECOMPUTE
from crossent.torch.cpu_steps import row_blocks, stored_item
from crossent.torch.cuda_paths import (
    CUDA_EXPONENTIALS,
    CUDA_HELD,
    CUDA_LIBRARY,
    CUDA_RECOMPUTE,
)
from crossent.torch.filter_paths import CPU_FILTERED, CUDA_FILTERED
from crossent.torch.overhead import Run, overhead_seconds
from crossent.torch.path import Path
from crossent.torch.reference_path import REFERENCE

__all__ = ["PATHS", "Plan", "make_plan", "path_named", "timed_plan"]


@dataclass(frozen=True)
class Plan:
    """How a call will be computed; ``print(plan)`` says it in words.

    Attributes
    ----------
    path : str
        Name of the path that serves.
    reasons : dict of str to str
        Every path, and why it was taken or not.
    products : float
        Matrix products of forward and backward pass together, each of 2·n·d·q operations. On paths
        that make the loss's gradients in the forward pass, a gradient that comes to another output
        too takes up to three more.
    flops : float
        Their operations.
    workspace_bytes : int
        Memory beside inputs, outputs and gradients, at its highest.
    logits_bytes : int
        What the logits would have taken.
    traffic_bytes : int
        What moves between memory and processor: inputs, gradients and workspace, each time that
        they are read or written and are larger than the processor's own cache. On GPUs everything
        but tiles in registers counts.
    blocks : dict of str to int
        Sizes of the blocks that the path works in.
    ignored_rows : str
        What becomes of them.
    predicted_seconds : float or None
        Time of forward and backward pass together, from what this machine or GPU did in a short
        trial: operations, logits and bytes a second. Options add up to a tenth, which is not
        counted. On GPUs the device's time. None where nothing can be tried.
    at_most : bool
        Whether products, bytes and time are upper figures, because the data may let the path do
        with less.
    """

    path: str
    reasons: dict[str, str]
    products: float
    flops: float
    workspace_bytes: int
    logits_bytes: int
    blocks: dict[str, int]
    ignored_rows: str
    traffic_bytes: int = 0
    predicted_seconds: float | None = None
    at_most: bool = False

    def __str__(self) -> str:
        blocks = ", ".join(f"{name} {size}" for name, size in self.blocks.items())
        most = "at most " if self.at_most else ""
        lines = [
            f"path: {self.path}" + (f" ({blocks})" if blocks else ""),
            f"cost: {most}{self.products:g} matrix products, {self.flops:.3g} operations",
            f"time: {self._time()}",
            f"memory: {_megabytes(self.workspace_bytes)} beside inputs and gradients; "
            f"the logits would take {_megabytes(self.logits_bytes)}",
            f"traffic: {most}{_megabytes(self.traffic_bytes)} between memory and processor",
            f"ignored rows: {self.ignored_rows}",
        ]
        return "\n".join([*lines, *(f"  {name}: {why}" for name, why in self.reasons.items())])

    def _time(self) -> str:
        if self.predicted_seconds is None:
            return "not predicted; nothing could be tried where this would run"
        words = "at most about" if self.at_most else "about"
        return f"{words} {self.predicted_seconds:.2g} s, by a trial"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"


PATHS: tuple[Path, ...] = (
    CPU_HELD,
    CPU_BLOCKS,
    CPU_RECOMPUTE,
    CUDA_HELD,
    CUDA_EXPONENTIALS,
    CUDA_LIBRARY,
    CUDA_RECOMPUTE,
    CPU_FILTERED,
    CUDA_FILTERED,
    REFERENCE,
)
"""In order of preference; the last serves every call."""


def path_named(name: str) -> Path:
    """The path of this name, or an error that lists the names."""
    for path in PATHS:
        if path.name == name:
            return path
    message = f"`path` is {name!r}; the paths are {', '.join(path.name for path in PATHS)}."
    raise InputError(message)


def _refusal(path: Path, problem: Problem) -> str | None:
    wanted = problem.options.path
    if wanted is not None and wanted != path.name:
        return f"`path` asks for {wanted!r}."
    return path.refusal(problem)


def _no_path(problem: Problem, reasons: dict[str, str]) -> str:
    wanted = problem.options.path
    if wanted is not None:
        return f"`path` is {wanted!r}, which does not serve this call: {reasons[wanted]}"
    why = " ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return f"No path serves this call. {why}"


def _ignored_rows(problem: Problem, path: Path) -> str:
    if problem.has_targets:
        return "none; the target holds probabilities"
    if problem.device == "cpu":
        return "left out before the products"
    options = problem.options
    if options.ignore_index is None and options.filter is None and path.load is not None:
        return (
            "multiplied, without weight, so that nothing waits for the device; where "
            "`ignore_index` is given they are left out"
        )
    return "left out before the products; for their number the host waits once for the device"


def make_plan(problem: Problem) -> Plan:
    """The first path of `PATHS` that serves the problem, with reasons and cost.

    Raises
    ------
    InputError
        If ``options.path`` names no path, or one that refuses.
    """
    if problem.options.path is not None:
        path_named(problem.options.path)
    reasons: dict[str, str] = {}
    taken: Path | None = None
    for path in PATHS:
        refusal = _refusal(path, problem)
        if refusal is None and taken is None:
            taken = path
        reasons[path.name] = (
            refusal
            if refusal is not None
            else f"taken. {path.description}"
            if path is taken
            else "could serve, but a path before it does."
        )
    if taken is None:
        raise InputError(_no_path(problem, reasons))
    cost = taken.cost(problem)
    steps = taken.steps(problem, cost)
    flop = 2.0 * problem.n_rows * problem.n_features * problem.n_classes
    return Plan(
        path=taken.name,
        reasons=reasons,
        products=cost.products,
        flops=cost.products * flop,
        workspace_bytes=cost.workspace_bytes,
        logits_bytes=problem.n_rows * problem.n_classes * stored_item(problem),
        blocks=cost.blocks,
        ignored_rows=_ignored_rows(problem, taken),
        traffic_bytes=int(sum(step.traffic for step in steps)),
        at_most=taken.at_most,
    )


def timed_plan(problem: Problem, run: Run) -> Plan:
    """`make_plan`, with the time that a trial lets expect; `run` carries small calls out for it."""
    plan = make_plan(problem)
    path = path_named(plan.path)
    if path.seconds is None:
        return plan
    cost = path.cost(problem)
    seconds = path.seconds(problem, cost, path.steps(problem, cost))
    if seconds is not None and problem.device == "cpu":
        seconds += overhead_seconds(
            run,
            path.name,
            problem.dtype,
            blocks=row_blocks(problem, cost),
            rows=cost.blocks.get("rows", 1),
            filters=problem.options.filter is not None,
        )
    return replace(plan, predicted_seconds=seconds)
