"""From judged points to seconds at equal quality."""

import math
import statistics
from dataclasses import dataclass
from typing import Any

__all__ = ["Reach", "best_quality", "over_repeats", "reach"]

Run = dict[str, Any]


@dataclass(frozen=True)
class Reach:
    """Time to a level.

    Attributes
    ----------
    seconds : float
        Time, or a lower bound if `reached` is False; inf where the solver stopped by itself short
        of the level.
    reached : bool
    low, high : float
        Over the repeats.
    """

    seconds: float
    reached: bool
    low: float = math.nan
    high: float = math.nan


def reach(run: Run, level: float, cap_s: float) -> Reach:
    """Of one process: the cheapest point at each C that has the level, summed over all C."""
    total, reached = 0.0, True
    Cs = sorted({point["C"] for point in run["points"]})
    if not Cs:
        return Reach(cap_s if run["killed"] else math.inf, reached=False)
    for C in Cs:
        points = [point for point in run["points"] if point["C"] == C]
        times = [p["seconds"] for p in points if _counts(p, points, run, level)]
        if times:
            total += min(times)
            continue
        reached = False
        ends = [p for p in points if p["kind"] == "end"]
        if run["killed"] or any(end.get("capped") for end in ends):
            total += cap_s
        else:  # it stopped by itself: no time is enough; on a path, count what it took
            total += ends[0]["seconds"] if ends and len(Cs) > 1 else math.inf
    return Reach(total, reached)


def _counts(point: dict[str, Any], points: list[dict[str, Any]], run: Run, level: float) -> bool:
    """Whether the point has the level and may be charged for it.

    A solver's own values count if they are right to a tenth of the level. crossent is charged until
    it has proved a level: where it was fitted with that tolerance, what it reached on the way does
    not count.
    """
    if point["suboptimality"] > level or point["kind"] == "cold":
        return False
    ours = run["solver"].startswith("crossent")
    if point["kind"] != "stated":
        return not ours or point.get("tol", level) <= level
    if ours and any(p["kind"] == "fit" and p.get("tol") == level for p in points):
        return False
    return bool(point["off_by"] <= level / 10)


def over_repeats(runs: list[Run], level: float, cap_s: float) -> Reach:
    """Median over processes; the spread is that of single processes."""
    each = [reach(run, level, cap_s) for run in runs]
    seconds = [one.seconds for one in each if one.reached]
    if 2 * len(seconds) > len(each):
        return Reach(statistics.median(seconds), True, min(seconds), max(seconds))
    return Reach(min(one.seconds for one in each), reached=False)


def best_quality(runs: list[Run]) -> tuple[float, float]:
    """Smallest judged suboptimality (largest over C) of a run, and the seconds it took."""
    found = []
    for run in runs:
        Cs = {point["C"] for point in run["points"]}
        best = [min((p for p in run["points"] if p["C"] == C), key=_quality) for C in Cs]
        if best:
            found.append((max(map(_quality, best)), sum(point["seconds"] for point in best)))
    return min(found, default=(math.nan, math.nan))


def _quality(point: dict[str, Any]) -> float:
    if point["kind"] == "stated":
        return math.inf
    return float(point["suboptimality"])
