"""The definition as a path; see `crossent.torch.reference`."""

from crossent.torch.call import Problem
from crossent.torch.cpu_steps import item_of, reference_steps
from crossent.torch.machine import Tile, rates_of, seconds_of
from crossent.torch.path import Cost, Path, Step

__all__ = ["REFERENCE"]

_ROWS, _CLASSES = 256, 4096


def _cost(problem: Problem) -> Cost:
    # Logits, log-probabilities, the target smoothed and not, its products with log-probabilities
    # and these with zeros masked live at the same time.
    logits = problem.n_rows * problem.n_classes * item_of(problem)
    layer = problem.n_features > 0
    products = 1.0 + problem.needs_input + problem.needs_weight if layer else 0.0
    return Cost(products, 6 * logits + logits // item_of(problem), {})


def _seconds(problem: Problem, cost: Cost, steps: tuple[Step, ...]) -> float | None:
    """On CPUs, whose threads PyTorch divides the work among."""
    del cost
    if problem.device != "cpu":
        return None
    n, d, q = problem.n_rows, problem.n_features, problem.n_classes
    tile = Tile(min(n, _ROWS), min(q, _CLASSES), d, item_of(problem), 0)
    rates = rates_of(tile, new=n * q * item_of(problem))
    return seconds_of(steps, d, float(n) * q, rates)


REFERENCE = Path(
    "reference",
    "Plain PyTorch operations with all logits in memory; what the other paths are tested against.",
    lambda problem: None if problem.options.filter is None else "It does not filter.",
    _cost,
    None,
    reference_steps,
    seconds=_seconds,
)
