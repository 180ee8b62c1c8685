"""What a call on a GPU consists of: products and bytes of its memory moved; see `path.Step`.

The letters are those of the package: n rows, d features, q classes. i is the bytes of a number in X
and W, w that of a number in sums (4, or 8 for float64), B the number of blocks of rows. Every
operation reads what it needs from the device's memory and writes its result there; within one step
it moves bytes while it multiplies. Numbers per row and per tile are too few to count.
"""

import math
from dataclasses import replace

from crossent.torch.call import Problem
from crossent.torch.path import Cost, Step

__all__ = [
    "cuda_filtered_steps",
    "cuda_held_steps",
    "exponentials_steps",
    "library_steps",
    "recomputed_steps",
]

_ITEM = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


class _Bytes:
    """Sizes in bytes of what is read and written.

    `x`, `w`, `logits` in the dtype of X; `wide_x`, `wide_w`, `wide_logits` in that of the sums.
    `blocks` is B, and `layer` what a product of X and W reads: X once, W for each block of rows.
    """

    def __init__(self, problem: Problem, cost: Cost) -> None:
        n, d, q = problem.n_rows, problem.n_features, problem.n_classes
        item, wide = _ITEM[problem.dtype], max(4, _ITEM[problem.dtype])
        self.x, self.w, self.logits = n * d * item, q * d * item, n * q * item
        self.wide_x, self.wide_w, self.wide_logits = n * d * wide, q * d * wide, n * q * wide
        self.blocks = max(1, math.ceil(n / max(1, cost.blocks["rows"])))
        self.class_blocks = max(1, math.ceil(q / max(1, cost.blocks["classes"])))
        self.layer = self.x + self.blocks * self.w


def _products_of_gradient(problem: Problem, size: _Bytes) -> list[Step]:
    """The two products of a stored gradient of the logits, and what their sums cost.

    ∂X: the gradient and W are read, a product in w bytes written: n·q·i + B·q·d·i + n·d·w. Then it
    is multiplied by the rows' scales, written to its place and rounded: 5·n·d·w + n·d·i.
    ∂W: the gradient and X are read, ∂W written: n·q·i + n·d·i + q·d·i. With more than one block ∂W
    is read and written by each, 2·B·q·d·w; or in half precision a product in w bytes is written and
    added, 4·B·q·d·w, and ∂W rounded at the end, q·d·(w + i).
    ∂b reads the gradient once more.
    """
    steps = []
    if problem.needs_input:
        traffic = size.logits + size.blocks * size.w + size.wide_x
        steps += [Step(1.0, traffic=traffic), Step(traffic=5 * size.wide_x + size.x)]
    if problem.needs_weight:
        steps += _weight_steps(problem, size)
    if problem.needs_bias:
        steps.append(Step(traffic=size.logits))
    return steps


def _weight_steps(problem: Problem, size: _Bytes) -> list[Step]:
    read, half = size.logits + size.x, problem.dtype in ("bfloat16", "float16")
    if size.blocks == 1 and problem.dtype != "float16":
        return [Step(1.0, traffic=read + size.w)]
    if not half:
        return [Step(1.0, traffic=read + 2 * size.blocks * size.wide_w)]
    added = 3 * size.blocks * size.wide_w + size.wide_w + size.w
    return [Step(1.0, traffic=read + size.blocks * size.wide_w), Step(traffic=added)]


def exponentials_steps(problem: Problem, cost: Cost) -> tuple[Step, ...]:
    """Of "cuda-exponentials".

    X and W are read; where gradients follow, the exponentials are written by the same kernel:
    n·d·i + B·q·d·i + n·q·i. Nothing reads them but the products.
    """
    size = _Bytes(problem, cost)
    if not problem.needs_gradient:
        return (Step(1.0, traffic=size.layer),)
    stored = Step(1.0, traffic=size.layer + size.logits)
    return (stored, *_products_of_gradient(problem, size))


def library_steps(problem: Problem, cost: Cost) -> tuple[Step, ...]:
    """Of "cuda-library".

    The library writes the logits, n·q·w; a kernel reads them for the sums, n·q·w; another reads
    them and writes their gradient, n·q·(w + i). Given logits are read for the sums, and read and
    written for the gradient.
    """
    size = _Bytes(problem, cost)
    if problem.n_features == 0:
        sums, gradient = Step(traffic=size.logits), Step(traffic=2 * size.logits)
        return (sums, gradient) if problem.needs_gradient else (sums,)
    logits = Step(1.0, traffic=size.layer + size.wide_logits)
    sums = Step(traffic=size.wide_logits)
    if not problem.needs_gradient:
        return logits, sums
    again = (logits,) if problem.options.reduction == "none" else ()
    gradient = Step(traffic=size.wide_logits + size.logits)
    return (logits, sums, *again, gradient, *_products_of_gradient(problem, size))


def cuda_held_steps(problem: Problem, cost: Cost) -> tuple[Step, ...]:
    """Of "cuda-held": as "cuda-library", whose logits are there in the backward pass too."""
    options = replace(problem.options, reduction="mean")
    return library_steps(replace(problem, options=options), cost)


def recomputed_steps(problem: Problem, cost: Cost) -> tuple[Step, ...]:
    """Of "cuda-recompute"; C is the number of blocks of classes.

    Sums: X and W are read, n·d·i + B·q·d·i. Gradient of the logits: X is read for each block of
    classes, W for each of rows, and the gradient written: C·n·d·i + B·q·d·i + n·q·i. ∂X: it is read
    with W, and a product in w bytes written for each block of classes, n·q·i + B·q·d·i + C·n·d·w,
    which is then added, 3·C·n·d·w. ∂W: it is read with X, and a product written, n·q·i + C·n·d·i +
    B·q·d·w, and added, 3·B·q·d·w; at the end divided and rounded.
    """
    size = _Bytes(problem, cost)
    if problem.n_features == 0:
        return library_steps(problem, cost)
    sums = Step(1.0, traffic=size.layer)
    if not problem.needs_gradient:
        return (sums,)
    of_x, of_w = size.class_blocks * size.x, size.blocks * size.w
    steps = [sums, Step(1.0, traffic=of_x + of_w + size.logits)]
    if problem.needs_input:
        product = size.class_blocks * size.wide_x
        steps += [Step(1.0, traffic=size.logits + of_w + product), Step(traffic=3 * product)]
    if problem.needs_weight:
        product = size.blocks * size.wide_w
        steps += [Step(1.0, traffic=size.logits + of_x + product)]
        steps += [Step(traffic=3 * product + 3 * size.wide_w + size.w)]
    if problem.needs_bias:
        steps.append(Step(traffic=size.logits))
    return tuple(steps)


def cuda_filtered_steps(problem: Problem, cost: Cost) -> tuple[Step, ...]:
    """Of "cuda-filtered", where nothing can be left out.

    As "cuda-exponentials", and the exponentials are read for the largest of each group of rows, and
    for the probability in each level: 2·n·q·i.
    """
    size = _Bytes(problem, cost)
    return (*exponentials_steps(problem, cost), Step(traffic=2 * size.logits))
