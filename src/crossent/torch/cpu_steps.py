"""What a call on a CPU consists of: products, visits of logits, bytes moved; see `path.Step`.

The letters are those of the package: n rows, d features, q classes. i is the bytes of a number in
the arithmetic (4, or 8 for float64), s that of a number in X and W (2 in half precision), B the
number of blocks of rows. What a thread reads again while it is in its own cache is not counted: a
tile of logits, and the rows of W and ∂W that belong to it.
"""

import math
from dataclasses import replace

from crossent.torch.call import Problem
from crossent.torch.path import Cost, Step

__all__ = [
    "block_steps",
    "filtered_steps",
    "held_steps",
    "item_of",
    "recompute_steps",
    "reference_steps",
    "row_blocks",
    "stored_item",
]

_STORED = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


def stored_item(problem: Problem) -> int:
    """Bytes of a number in X and W, s."""
    return _STORED.get(problem.dtype, 4)


def item_of(problem: Problem) -> int:
    """Bytes of a number in the arithmetic, i."""
    return max(4, stored_item(problem))


def row_blocks(problem: Problem, cost: Cost) -> int:
    """Blocks of rows, B."""
    return max(1, math.ceil(problem.n_rows / max(1, cost.blocks.get("rows", problem.n_rows))))


def gradient_bytes(problem: Problem) -> tuple[int, int]:
    """∂X and ∂W in the arithmetic; 0 where not wanted."""
    n, d, q = problem.n_rows, problem.n_features, problem.n_classes
    item = item_of(problem)
    return n * d * item * problem.needs_input, q * d * item * problem.needs_weight


def _given_logits(problem: Problem) -> tuple[Step, ...]:
    """Read once for the sums; read again and ∂/∂logits written."""
    logits = problem.n_rows * problem.n_classes * stored_item(problem)
    sums = Step(visits=1.0, traffic=logits)
    if not problem.needs_gradient:
        return (sums,)
    return sums, Step(visits=1.0, traffic=2 * logits, new=logits)


def _sums_over_classes(problem: Problem, cost: Cost) -> Step:
    """X once and W for each block of rows, n·d·s + B·q·d·s; the logits stay in cache."""
    n, d, q = problem.n_rows, problem.n_features, problem.n_classes
    layer = (n + row_blocks(problem, cost) * q) * d * stored_item(problem)
    return Step(products=1.0, visits=1.0, traffic=layer, new=cost.workspace_bytes)


def block_steps(problem: Problem, cost: Cost) -> tuple[Step, ...]:
    """Of "cpu-blocks".

    Sums and ∂X: X and W as without gradients, the exponentials written, n·q·i, ∂X written, n·d·i.
    ∂W: the exponentials read, n·q·i; ∂W, q·d·i, written by each block, and read by each but the
    first. In half precision ∂W is rounded at the end: q·d·(i + s).
    """
    sums = _sums_over_classes(problem, cost)
    if not problem.needs_gradient:
        return (sums,)
    of_x, of_w = gradient_bytes(problem)
    kept = problem.n_rows * problem.n_classes * item_of(problem)
    forward = Step(
        1.0 + problem.needs_input, 1.0, sums.traffic + kept + of_x, cost.workspace_bytes + of_x
    )
    added = (2 * row_blocks(problem, cost) - 1) * of_w + _rounding(problem, of_w)
    weight = Step(float(problem.needs_weight), 0.0, kept + added, of_w)
    return forward, weight


def held_steps(problem: Problem, cost: Cost) -> tuple[Step, ...]:
    """Of "cpu-held".

    Sums: X and W, and the logits written, n·q·i. Gradients: the logits read, and W, X, ∂X and ∂W as
    in "cpu-recompute".
    """
    sums = _sums_over_classes(problem, cost)
    if not problem.needs_gradient:
        return (sums,)
    logits = problem.n_rows * problem.n_classes * item_of(problem)
    forward = replace(sums, traffic=sums.traffic + logits)
    again = recompute_steps(problem, cost)[1]
    return forward, replace(again, products=again.products - 1.0, traffic=again.traffic + logits)


def recompute_steps(problem: Problem, cost: Cost) -> tuple[Step, ...]:
    """Of "cpu-recompute".

    Sums: X and W. Gradients, block of classes by block of classes: W and ∂W once, 2·q·d·i, and for
    each block of classes X, and ∂X read and written, (s + 2·i)·n·d. Logits stay in cache both
    times.
    """
    if problem.n_features == 0:
        return _given_logits(problem)
    sums = _sums_over_classes(problem, cost)
    if not problem.needs_gradient:
        return (sums,)
    of_x, of_w = gradient_bytes(problem)
    n, d, q = problem.n_rows, problem.n_features, problem.n_classes
    visits = math.ceil(q / cost.blocks["classes"])
    traffic = q * d * stored_item(problem) + of_w + _rounding(problem, of_w)
    traffic += visits * (n * d * stored_item(problem) + 2 * of_x)
    products = 1.0 + problem.needs_input + problem.needs_weight
    return sums, Step(products, 1.0, traffic, of_x + of_w)


def filtered_steps(problem: Problem, cost: Cost) -> tuple[Step, ...]:
    """Of "cpu-filtered", where nothing can be left out.

    X and W are widened in half precision: q·d·(s + i) and as much for X. A block of rows has all
    classes, more than a cache holds. Its logits are set to the shift (written), added to (read and
    written), exponentiated (read and written), summed (read), compared with the limit (read twice),
    and multiplied by W and by X (read twice): 9·n·q·i in all. W is read twice by each block of
    rows, and ∂W read and written.
    """
    n, d, q, item = problem.n_rows, problem.n_features, problem.n_classes, item_of(problem)
    count = row_blocks(problem, cost)
    of_x, of_w = gradient_bytes(problem)
    narrow = stored_item(problem) < item
    wide = (n + q) * d * item * narrow
    traffic = wide + (n + q) * d * stored_item(problem) * narrow
    traffic += n * d * item + count * q * d * item * (1 + problem.needs_input)
    traffic += (7 + problem.needs_input + problem.needs_weight) * n * q * item
    traffic += of_x + 2 * count * of_w + _rounding(problem, of_x + of_w)
    products = 1.0 + problem.needs_input + problem.needs_weight
    return (Step(products, 1.0, traffic, cost.workspace_bytes + of_x + of_w),)


def reference_steps(problem: Problem, cost: Cost) -> tuple[Step, ...]:
    """Of "reference", whose operations each write their whole result to new memory.

    Forward, in arrays of n·q·i: the logits are written; for their partition read, read and written
    shifted, exponentiated in place, read for the sum; log-probabilities read and written. The
    target is written as zeros, read and written with its probabilities, read for its weight, read
    and written smoothed, compared (read), multiplied by the log-probabilities (two reads, a write),
    masked (read and written), and summed (read): 13 reads and 9 writes, 8 of them to new memory.

    Backward: masked (written), times the target (two reads, a write), negated (read, written),
    summed (read); softmax as a difference and its exponential (two reads, two writes), times what
    comes from above (read, written), added (two reads, a write), and read by each product: 9 reads,
    and 7 writes to new memory.

    X and W are read by two products each, ∂X and ∂W written; autograd sums nothing up.
    """
    del cost
    n, d, q, item = problem.n_rows, problem.n_features, problem.n_classes, item_of(problem)
    logits, layer = n * q * item, (n + q) * d * stored_item(problem)
    forward = Step(float(d > 0), 0.0, 22 * logits + layer, 8 * logits)
    if not problem.needs_gradient and not problem.needs_others:
        return (forward,)
    of_x, of_w = gradient_bytes(problem)
    products = float(problem.needs_input) + problem.needs_weight if d else 0.0
    traffic = (16 + products) * logits + layer + of_x + of_w + _rounding(problem, of_x + of_w)
    return forward, Step(products, 0.0, traffic, 7 * logits + of_x + of_w)


def _rounding(problem: Problem, of_sums: int) -> int:
    """Sums in float32 read, and the gradient written in half precision."""
    item, stored = item_of(problem), stored_item(problem)
    return 0 if stored == item else of_sums * (item + stored) // item
