"""The pairs of steps and gradients that L-BFGS remembers, and the direction that they make."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.solvers.line_search import Point
from crossent.typing import FloatArray, Metric

__all__ = ["Memory"]

_MAX_SCALE = 10.0
_LONG = 1_000_000  # coefficients; pairs of more are kept in float32
_PAIR_BYTES = 1.2e8  # a half takes more than twice the passes where classes overlap
_FEWEST_PAIRS = 5


@dataclass
class _Pair:
    """A step, the change of the gradient along it, their product, and the metric's ``H₀⁻¹ change``.

    The last is None for long vectors: solving again takes less than keeping it.
    """

    step: FloatArray
    change: FloatArray
    curvature: float
    solved: npt.NDArray[np.float64] | None = None


@dataclass
class Memory:
    """The last `size` pairs.

    Very long ones are kept in float32, and no more of them than fit `_PAIR_BYTES`: reading them
    would take longer than the pass. What they make is a direction, not a value.
    """

    size: int
    pairs: list[_Pair] = field(default_factory=list)
    solved: npt.NDArray[np.float64] | None = None  # of the last gradient that came to `direction`

    def remember(self, old: Point, new: Point) -> None:
        """Add the pair from one point to the next, if it shows any curvature."""
        step: FloatArray = new.w - old.w
        change: FloatArray = new.gradient - old.gradient
        curvature = float(step @ change)
        # Without measurable curvature the pair is rounding (the objective is convex).
        if curvature > 1e-14 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            kind = _kind(len(step))
            step, change = step.astype(kind, copy=False), change.astype(kind, copy=False)
            most = min(self.size, max(_FEWEST_PAIRS, int(_PAIR_BYTES / (2 * step.nbytes))))
            del self.pairs[: max(len(self.pairs) - most + 1, 0)]
            if most:
                self.pairs.append(_Pair(step, change, curvature))

    def forget(self) -> None:
        """Drop all pairs."""
        self.pairs.clear()

    def direction(
        self, gradient: npt.NDArray[np.float64], metric: Metric
    ) -> npt.NDArray[np.float64]:
        """``-H gradient`` with H the inverse Hessian of the recursion.

        Cost: one solve in the metric and 6·size·p flops; for long vectors, two solves.
        """
        if not self.pairs:
            solved = metric.solve(gradient)
            self.solved = None if _kind(len(gradient)) is np.float32 else solved
            return -solved
        kind = _kind(len(gradient))
        remainder: Any = gradient.astype(kind)
        shares = []
        for pair in reversed(self.pairs):
            share = float(pair.step @ remainder) / pair.curvature
            remainder -= kind(share) * pair.change
            shares.append(share)
        shares.reverse()
        result: Any = self._first_model(gradient, remainder, shares, metric)
        result = result.astype(kind, copy=False)
        for pair, share in zip(self.pairs, shares, strict=True):
            result += kind(share - float(pair.change @ result) / pair.curvature) * pair.step
        return -np.asarray(result, dtype=np.float64)

    def _first_model(
        self,
        gradient: npt.NDArray[np.float64],
        remainder: FloatArray,
        shares: list[float],
        metric: Metric,
    ) -> FloatArray:
        """The remainder solved for in the metric, in the scale of the last step.

        Shanno and Phua (Math. Program. 14, 1978) scale the identity so: half the line searches took
        a second pass without it.
        """
        newest = self.pairs[-1]
        if _kind(len(gradient)) is np.float32:
            wide = newest.change.astype(np.float64)
            along = float(wide @ metric.solve(wide))
            result = metric.solve(remainder.astype(np.float64))
        else:
            solved = metric.solve(gradient)
            if newest.solved is None and self.solved is not None:
                # `change` is this gradient less the last; so is what solves for it.
                newest.solved = solved - self.solved
            self.solved = solved
            result = solved.copy()
            for pair, share in zip(self.pairs, shares, strict=True):
                if pair.solved is None:
                    pair.solved = metric.solve(np.asarray(pair.change, dtype=np.float64))
                result -= share * pair.solved
            along = float(newest.change @ np.asarray(newest.solved))
        scale = newest.curvature / along if along > 0 else 1.0
        result *= min(max(scale, 1 / _MAX_SCALE), _MAX_SCALE)
        return result


def _kind(length: int) -> type[np.float32] | type[np.float64]:
    """Type in which pairs of this length are kept."""
    return np.float32 if length > _LONG else np.float64
