"""From a temperature to a matrix in stages, each shrunk towards the one before.

    temperature      ζ = β z
    bias-corrected   ζ = (β + d) z + c
    vector           ζ = (β + d) ∘ z + c
    matrix           ζ = vector's ζ + M z + e

Every stage minimises the mean loss plus a ridge, (1 / 2CS) times the squares of what it adds. z is
measured in a unit that makes β z or z itself of size 1, whichever is the larger, and M has the unit
1/√q. At zero a stage is the one before, so no stage can have a larger loss on its rows; and since
the ridge is on all that is added, there is a minimum whatever the rows, also for classes that have
none.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from crossent.calibration.diagonal import DiagonalObjective
from crossent.calibration.rows import Rows
from crossent.calibration.temperature import Temperature, newton
from crossent.kernels import choose, problem_of
from crossent.objectives import SoftmaxObjective
from crossent.objectives.blas import blas_for
from crossent.solvers import Solution, minimise
from crossent.sources import ArraySource

__all__ = ["STAGES", "Map", "Method", "Stage", "add_stage", "choose_strength", "first_stage"]

Method: TypeAlias = Literal["temperature", "bias-corrected", "vector", "matrix"]

STAGES: dict[Method, tuple[Method, ...]] = {
    "temperature": (),
    "bias-corrected": ("bias-corrected",),
    "vector": ("vector",),
    "matrix": ("vector", "matrix"),
}
"""What follows the temperature, by method."""

_GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # three decades apart on 20 newsgroups and letter [measured]
_FOLDS = 5
_TOL = {"bias-corrected": 1e-10, "vector": 1e-10, "matrix": 1e-6}
_MAX_PASSES = 500


@dataclass(frozen=True)
class Map:
    """ζ = slope ∘ z + bias + mixing z, for logits z that sum to zero over the classes.

    Attributes
    ----------
    slope, bias : ndarray, shape (q,)
    mixing : ndarray, shape (q, q), or None
    """

    slope: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    mixing: npt.NDArray[np.float64] | None = None

    def logits(self, z: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """ζ, shape (n, q)."""
        plain = z * self.slope + self.bias
        return plain if self.mixing is None else plain + z @ self.mixing.T


@dataclass(frozen=True)
class Stage:
    """A map, how it was found, and the strength C of its ridge (0: the stage was left out)."""

    map: Map
    temperature: Temperature
    strengths: tuple[float, ...] = ()
    converged: bool = True


def first_stage(rows: Rows, /) -> Stage:
    """The temperature."""
    found = newton(rows)
    q = len(rows.classes)
    return Stage(Map(np.full(q, found.inverse_temperature), np.zeros(q)), found)


def add_stage(rows: Rows, before: Stage, kind: Method, /, *, C: float) -> Stage:
    """One stage more, with the ridge 1/(C S); with C = 0 it adds nothing."""
    left_out = replace(before, strengths=(*before.strengths, 0.0))
    if C == 0:
        return left_out
    unit = _unit(rows, before.temperature)
    if unit == 0:  # all logits are equal
        return left_out
    scaled = replace(rows, z=unit * rows.z)
    with blas_for(len(rows.classes)):
        fit = _matrix if kind == "matrix" else _diagonal
        found, solution = fit(scaled, before, kind, unit, 1 / (C * rows.total))
    if not rows.loss(found.logits(rows.z)) <= rows.loss(before.map.logits(rows.z)):
        return left_out  # nothing to gain: rounding decides
    converged = before.converged and solution.certificate.converged
    return Stage(found, before.temperature, (*before.strengths, C), converged)


def _unit(rows: Rows, temperature: Temperature) -> float:
    """What to multiply z by: β, or more where β z would say next to nothing."""
    size = math.sqrt(float(rows.weight @ np.square(rows.z).mean(axis=1)) / rows.total)
    return max(temperature.inverse_temperature, 1 / size) if size > 0 else 0.0


def _diagonal(
    scaled: Rows, before: Stage, kind: Method, unit: float, penalty: float
) -> tuple[Map, Solution]:
    """Biases, and slopes where asked for."""
    objective = DiagonalObjective(
        scaled,
        slope=before.temperature.inverse_temperature / unit,
        penalty=penalty,
        per_class=kind == "vector",
    )
    solution = _minimise(objective, kind, memory=0)
    slope, bias = objective.unpack(solution.w)
    return Map(unit * slope, bias.copy()), solution


def _matrix(
    scaled: Rows, before: Stage, kind: Method, unit: float, penalty: float
) -> tuple[Map, Solution]:
    """Softmax regression on the logits, with the stage before as offset."""
    q = len(scaled.classes)
    root = np.sqrt(q)
    X = np.column_stack([scaled.z / root, np.ones(len(scaled.z))])
    source = ArraySource(
        X,
        scaled.targets,
        scaled.weight / scaled.total,
        q,
        before.map.logits(scaled.z / unit),
        (X.min(axis=0), X.max(axis=0)),
    )
    objective = SoftmaxObjective(
        source, choose(problem_of(X, q)), penalty=penalty, fit_intercept=False
    )
    solution = _minimise(objective, kind, memory=20)
    W, _ = objective.unpack(solution.w)
    return replace(
        before.map, bias=before.map.bias + W[:, -1], mixing=W[:, :-1] * (unit / root)
    ), solution


def _minimise(
    objective: DiagonalObjective | SoftmaxObjective, kind: Method, *, memory: int
) -> Solution:
    """From zero, the stage before, to the tolerance of the stage."""
    return minimise(
        objective,
        np.zeros(objective.n_parameters),
        tol=_TOL[kind],
        max_passes=_MAX_PASSES,
        rng=np.random.default_rng(0),
        memory=memory,
    )


def choose_strength(
    rows: Rows, kinds: tuple[Method, ...], strengths: tuple[float, ...], /
) -> float:
    """C of the last of `kinds` with the smallest cross-validated loss; the smaller one of a tie.

    C = 0, the stage before, is among the candidates.

    Parameters
    ----------
    kinds : tuple of str
        The stages up to the one in question.
    strengths : tuple of float
        C of those before it.
    """
    fold = np.random.default_rng(0).permutation(len(rows.z)) % _FOLDS
    candidates = (0.0, *_GRID)
    total = np.zeros(len(candidates))
    for k in range(_FOLDS):
        fit, judged = rows.take(fold != k), rows.take(fold == k)
        if not (len(judged.z) and judged.total > 0 and fit.total > 0):
            continue
        stage = first_stage(fit)
        for kind, C in zip(kinds[:-1], strengths, strict=True):
            stage = add_stage(fit, stage, kind, C=C)
        for place, C in enumerate(candidates):
            found = add_stage(fit, stage, kinds[-1], C=C).map
            total[place] += judged.total * judged.loss(found.logits(judged.z))
    return candidates[int(np.argmin(total))]
