"""The paths on GPUs: exponentials stored by a kernel, the library's logits, or nothing stored."""

from collections.abc import Callable

import torch

from crossent.kernels.triton_found import has_triton, is_interpreting
from crossent.torch.call import Problem
from crossent.torch.cuda_blocks import (
    CudaSizes,
    Cut,
    held_bytes,
    held_cut,
    needed_cut,
    needed_rows_cut,
    whole_rows_cut,
)
from crossent.torch.cuda_machine import cuda_seconds
from crossent.torch.cuda_steps import (
    cuda_held_steps,
    exponentials_steps,
    library_steps,
    recomputed_steps,
)
from crossent.torch.engine import Engine
from crossent.torch.path import Cost, Path

__all__ = ["CUDA_EXPONENTIALS", "CUDA_HELD", "CUDA_LIBRARY", "CUDA_RECOMPUTE"]

_ITEM = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


def sizes_of_problem(problem: Problem) -> CudaSizes:
    """What the memory of a problem depends on."""
    return CudaSizes(
        n_rows=problem.n_rows,
        n_features=problem.n_features,
        n_classes=problem.n_classes,
        item=_ITEM[problem.dtype],
        wide=8 if problem.dtype == "float64" else 4,
        sums=5 + 2 * problem.options.top_k,
    )


def no_device(problem: Problem) -> str | None:
    """Why kernels cannot run on the tensors of this problem, or None."""
    if not has_triton():
        return "Triton is not installed."
    asked_for = problem.options.path is not None
    if problem.device == "cuda" or (problem.device == "cpu" and is_interpreting() and asked_for):
        return None
    return f"It serves GPUs, the tensors are on {problem.device}."


def _no_engine(problem: Problem) -> str | None:
    reason = no_device(problem)
    if reason is None and problem.options.filter is not None:
        reason = "It does not filter."
    if reason is None and problem.needs_others:
        reason = "A gradient of targets or weights is wanted; only the definition has it."
    return reason


def _no_exponentials(problem: Problem) -> str | None:
    """Why exponentials in the dtype of X cannot stand for the gradient, or None."""
    options = problem.options
    if problem.n_features == 0:
        return "The logits are given; there is no product to store exponentials of."
    if problem.dtype not in ("bfloat16", "float32"):
        return f"Exponentials of shifted logits do not fit {problem.dtype}."
    highest = torch.get_float32_matmul_precision() == "highest"
    exact = problem.dtype == "float32" and highest
    if exact and options.path is None:
        return "In full float32 the library's product is faster than the kernel's."
    if problem.needs_gradient and options.reduction == "none":
        return "reduction='none' gives each row a gradient from above, which is not known yet."
    if problem.needs_gradient and problem.has_targets:
        return "The difference to a target for every class would be rounded twice."
    capped = options.logit_softcap is not None and options.label_smoothing > 0.0
    if problem.needs_gradient and capped:
        return "A cap beside smoothing needs the logits a second time."
    return None


def _exponentials_cut(problem: Problem) -> Cut | None:
    sizes = sizes_of_problem(problem)
    budget = problem.options.max_workspace_bytes
    if not problem.needs_gradient:
        return needed_cut(sizes, budget)
    return whole_rows_cut(sizes, budget, per_logit=sizes.item)


def _exponentials_refusal(problem: Problem) -> str | None:
    refusal = _no_engine(problem) or _no_exponentials(problem)
    if refusal is None and _exponentials_cut(problem) is None:
        refusal = "The workspace is too small to keep exponentials of enough rows."
    return refusal


def _library_cut(problem: Problem) -> Cut | None:
    sizes = sizes_of_problem(problem)
    budget = problem.options.max_workspace_bytes
    # Given logits are there already, and their gradient is an output.
    per_logit = sizes.item + sizes.wide if problem.n_features else 0
    if problem.options.path is not None or problem.dtype == "float64":
        return needed_rows_cut(sizes, budget, per_logit)
    return whole_rows_cut(sizes, budget, per_logit)


def _library_refusal(problem: Problem) -> str | None:
    refusal = _no_engine(problem)
    by_choice = problem.options.path is None and problem.dtype != "float64"
    twice = problem.n_features > 0 and problem.options.reduction == "none"
    if refusal is None and by_choice and twice:
        refusal = "The logits are needed twice, and would be written and read both times."
    if refusal is None and _library_cut(problem) is None:
        refusal = "The workspace is too small to keep the logits of enough rows."
    return refusal


def _held_cut(problem: Problem) -> Cut | None:
    return held_cut(sizes_of_problem(problem), problem.options.max_workspace_bytes)


def _held_refusal(problem: Problem) -> str | None:
    refusal, options = _no_engine(problem), problem.options
    if refusal is not None:
        return refusal
    if problem.n_features == 0:
        return "The logits are given; they need not be held."
    if not problem.needs_gradient:
        return "No gradient is wanted, for which logits would be held."
    if options.path is None and not problem.has_gradients_from_above:
        return "The gradient from above is one number; the forward pass makes both products."
    unasked = options.max_workspace_bytes is None and options.path is None
    if unasked or _held_cut(problem) is None:
        size = held_bytes(sizes_of_problem(problem))
        return f"To hold the logits takes {size} bytes; max_workspace_bytes must allow more."
    return None


def _recompute_refusal(problem: Problem) -> str | None:
    refusal = _no_engine(problem)
    if refusal is None and problem.dtype == "float64":
        refusal = "Its kernel multiplies in float32."
    if refusal is None:
        needed_cut(sizes_of_problem(problem), problem.options.max_workspace_bytes)
    return refusal


def _cost(products: float, cut_of: Callable[[Problem], Cut | None]) -> Callable[[Problem], Cost]:
    """The cost with this many products of logits, and those of the gradients."""

    def cost(problem: Problem) -> Cost:
        cut = cut_of(problem)
        if cut is None:
            message = "a path that refuses has no cost"
            raise AssertionError(message)
        again = problem.needs_gradient and (products > 1 or problem.options.reduction == "none")
        count = 1.0 + again + problem.needs_input + problem.needs_weight
        count = count if problem.n_features else 0.0
        return Cost(count, cut.bytes, {"rows": cut.rows, "classes": cut.classes})

    return cost


def _recompute_cut(problem: Problem) -> Cut:
    return needed_cut(sizes_of_problem(problem), problem.options.max_workspace_bytes)


def _load_exponentials() -> Engine:
    from crossent.torch.cuda import EXPONENTIAL_ENGINE

    return EXPONENTIAL_ENGINE


def _held_cost(problem: Problem) -> Cost:
    cut = _held_cut(problem)
    if cut is None:
        message = "a path that refuses has no cost"
        raise AssertionError(message)
    products = 1.0 + problem.needs_input + problem.needs_weight
    return Cost(products, cut.bytes, {"rows": cut.rows, "classes": cut.classes})


def _load_held() -> Engine:
    from crossent.torch.cuda_held import HELD_ENGINE

    return HELD_ENGINE


def _load_library() -> Engine:
    from crossent.torch.cuda import LIBRARY_ENGINE

    return LIBRARY_ENGINE


CUDA_HELD = Path(
    "cuda-held",
    "The library's logits of all rows are held from the forward to the backward pass, for "
    "gradients from above that only the backward pass knows: three products.",
    _held_refusal,
    _held_cost,
    _load_held,
    cuda_held_steps,
    holds=True,
    seconds=cuda_seconds,
)

CUDA_EXPONENTIALS = Path(
    "cuda-exponentials",
    "A kernel stores exponentials in place of logits; the library makes both gradients of them: "
    "three products.",
    _exponentials_refusal,
    _cost(1, _exponentials_cut),
    _load_exponentials,
    exponentials_steps,
    gradients_at_once=True,
    seconds=cuda_seconds,
)

CUDA_LIBRARY = Path(
    "cuda-library",
    "The library makes the logits of a block of rows, kernels read them and write the gradient: "
    "three products.",
    _library_refusal,
    _cost(1, _library_cut),
    _load_library,
    library_steps,
    gradients_at_once=True,
    seconds=cuda_seconds,
)

CUDA_RECOMPUTE = Path(
    "cuda-recompute",
    "Nothing kept but a few numbers per row; logits are made again for the gradients, block of "
    "classes by block of classes: four products.",
    _recompute_refusal,
    _cost(2, _recompute_cut),
    _load_exponentials,
    recomputed_steps,
    seconds=cuda_seconds,
)
