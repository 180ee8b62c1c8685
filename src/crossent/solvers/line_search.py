"""A step length along a descent direction, from values and slopes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Point", "search"]

_ARMIJO = 1e-4  # Nocedal, Wright, Numerical Optimization, 2nd ed. 2006, section 3.1
_CURVATURE = 0.9  # the same, for quasi-Newton directions
_MAX_TRIALS = 20
_LONGEST = 10.0  # a first step that falls all the way may be stretched this much


@dataclass(frozen=True)
class Point:
    """A point with value and gradient."""

    w: npt.NDArray[np.float64]
    value: float
    gradient: npt.NDArray[np.float64]


def search(
    evaluate: Callable[[npt.NDArray[np.float64]], Point | None],
    here: Point,
    direction: npt.NDArray[np.float64],
    *,
    resolution: float,
) -> Point | None:
    """A point that satisfies the weak Wolfe conditions along `direction`; None if there is none.

    Where two values differ by less than `resolution`, rounding decides which is lower. There the
    first condition is replaced by one on the slopes alone, the "approximate Wolfe" condition.

    Parameters
    ----------
    evaluate : callable
        Point at w; None if no more evaluations are allowed.
    here : Point
    direction : ndarray, shape (p,)
        With gradient·direction < 0.
    resolution : float
        Rounding error of values near here.

    References
    ----------
    W. W. Hager, H. Zhang, A new conjugate gradient method with guaranteed descent and an efficient
    line search, SIAM J. Optim. 16(1), 2005, equation (4.1). Convexity makes the bracketing simple.
    """
    slope = float(here.gradient @ direction)
    low, low_slope, high = 0.0, slope, np.inf
    step, best, share = 1.0, None, 0.9
    for _ in range(_MAX_TRIALS):
        trial = evaluate(here.w + step * direction)
        if trial is None:
            return best
        trial_slope = float(trial.gradient @ direction)
        if _too_high(trial.value, trial_slope, here.value, slope, step, resolution):
            high = step
            step = _shorter(low, low_slope, step, trial_slope, share)
            share = 0.5  # where the slope is flat far out, its zero is misjudged: then halve
        elif trial_slope < _CURVATURE * slope and step < _LONGEST:
            best = trial
            low, old_low, old_slope, low_slope = step, low, low_slope, trial_slope
            step = _longer(old_low, old_slope, step, trial_slope, high)
        else:
            return trial
        if high - low <= 1e-10 * max(low, 1e-10):
            return best
    return best


def _too_high(
    value: float, trial_slope: float, start: float, slope: float, step: float, resolution: float
) -> bool:
    """Whether the trial violates both the Armijo and the approximate Wolfe condition."""
    if not np.isfinite(value):
        return True
    if value <= start + _ARMIJO * step * slope:
        return False
    near = value <= start + resolution
    return not (near and trial_slope <= (1 - 2 * _ARMIJO) * -slope)


def _shorter(
    low: float, low_slope: float, high: float, high_slope: float, largest_share: float
) -> float:
    """Where the slope would vanish if it were linear between the two, kept well inside."""
    width = high - low
    if np.isfinite(high_slope) and high_slope > 0:
        share = low_slope / (low_slope - high_slope)
        return low + width * min(max(share, 0.1), largest_share)
    return low + 0.25 * width


def _longer(before: float, before_slope: float, step: float, slope: float, high: float) -> float:
    """Extrapolate the slope to zero, two- to fourfold; inside a bracket bisect."""
    if np.isfinite(high):
        return 0.5 * (step + high)
    flattening = (slope - before_slope) / (step - before)
    target = step - slope / flattening if flattening > 0 else np.inf
    return float(min(max(target, 2 * step), 4 * step))
