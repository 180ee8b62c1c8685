"""Quality of what a process left behind, by `objective` alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.softmax_regression.data import Data
from benchmarks.softmax_regression.objective import (
    duality_gap,
    newton_step,
    objectives,
    optimal_intercept,
    rescaled_intercept,
)

__all__ = ["disagreements", "judged_points", "judged_reference", "memory"]

_BATCH_BYTES = 400_000_000
_MAX_NEWTON_CLASSES = 500
_MAX_NEWTON_SIZE = 800  # q·(d + 1)

Point = dict[str, Any]


def judged_points(folder: Path, data: Data, optima: dict[float, float]) -> list[Point]:
    """The points of a process with their relative suboptimality f/f* - 1.

    A point that has only the solver's own value says how far that was off at the end of the fit,
    ``"off_by"`` relative to f*.
    """
    points = _lines(folder)
    for C, optimum in optima.items():
        of_C = [point for point in points if point["C"] == C]
        _evaluate([point for point in of_C if "model" in point], folder, data, C)
        for point, off_by in zip(of_C, disagreements(of_C, optimum), strict=True):
            if "objective" in point:
                value = point["objective"]
            else:
                value, point["off_by"] = point["own_value"], off_by
            point["suboptimality"] = value / optimum - 1
    return [{k: v for k, v in point.items() if k != "model"} for point in points]


def judged_reference(folder: Path, data: Data, tol: float) -> list[dict[str, float]]:
    """For each C: the objective of the reference and the judge's own bound on its distance."""
    found = []
    for point in _lines(folder):
        C = point["C"]
        (W, b), polish = _model(folder / point["model"]), 0
        value, gap, residual = _judged(data, W, b, C)
        while not -tol <= gap / value <= tol and polish < 3 and W.size + b.size <= _MAX_NEWTON_SIZE:
            W, b = newton_step(data.X, data.targets, W, b, C)
            value, gap, residual = _judged(data, W, b, C)
            polish += 1
        if residual > 1e-14:
            few = len(b) <= _MAX_NEWTON_CLASSES
            b = (optimal_intercept if few else rescaled_intercept)(data.X, data.targets, W, b)
            value, gap, residual = _judged(data, W, b, C)
        found.append(
            {
                "C": C,
                "objective": value,
                "relative_gap": gap / (value - gap),
                "intercept_residual": residual,
                "gap_stated_by_crossent": point["certified_gap"],
                "newton_steps_of_the_judge": polish,
                "passes": point["passes"],
                "seconds": point["seconds"],
            }
        )
    return found


def _judged(data: Data, W: Any, b: Any, C: float) -> tuple[float, float, float]:
    """Objective, gap and residual of the intercept."""
    value = float(objectives(data.X, data.targets, [(W, b)], C)[0])
    return value, *duality_gap(data.X, data.targets, W, b, C)


def memory(folder: Path) -> dict[str, float] | None:
    """Resident memory before the fit, and the peak."""
    notes = [line["memory"] for line in _raw_lines(folder) if "memory" in line]
    return notes[0] if notes else None


def _raw_lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "points.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def _lines(folder: Path) -> list[Point]:
    return [line for line in _raw_lines(folder) if "memory" not in line]


def _model(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as file:
        return file["W"], file["b"]


def _evaluate(points: list[Point], folder: Path, data: Data, C: float) -> None:
    """Write the objective into each point."""
    if not points:
        return
    size = (folder / points[0]["model"]).stat().st_size
    step = int(np.clip(_BATCH_BYTES // size, 1, 16))
    for start in range(0, len(points), step):
        batch = points[start : start + step]
        models = [_model(folder / point["model"]) for point in batch]
        values = objectives(data.X, data.targets, models, C)
        for point, value in zip(batch, values, strict=True):
            point["objective"] = float(value)


def disagreements(points: list[Point], optimum: float) -> list[float]:
    """For each point, how far the solver's last stated value of that fit is from the judge's.

    A process may fit several times, in float32 and in float64 say. Stated values belong to the
    returned model that is recorded before them, or else to the first one.
    """
    ends = [k for k, p in enumerate(points) if p["kind"] in ("end", "fit") and "objective" in p]
    found = [1.0] * len(points)  # unknown
    if not ends:
        return found
    fits = [max((end for end in ends if end < k), default=ends[0]) for k in range(len(points))]
    for end in ends:
        stated = [k for k, fit in enumerate(fits) if fit == end and points[k]["kind"] == "stated"]
        if stated:
            off = abs(points[stated[-1]]["own_value"] - points[end]["objective"]) / optimum
            for k in stated:
                found[k] = off
    return found
