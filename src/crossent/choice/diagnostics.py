"""Does the model of paired comparisons fit? Calibration, tests, cycles and surprises."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from crossent.choice.bradley_terry import BradleyTerry
from crossent.choice.fitting import Model, fit_choices
from crossent.choice.names import as_columns
from crossent.choice.outcomes import LEFT, RIGHT
from crossent.choice.pair_fit import PairFit
from crossent.errors import InputError

__all__ = [
    "Calibration",
    "GoodnessOfFit",
    "LikelihoodRatioTest",
    "SurprisingResult",
    "calibration",
    "goodness_of_fit",
    "likelihood_ratio_tests",
    "surprising_results",
]

_Z = 1.959963984540054  # two-sided 95 %


@dataclass(frozen=True)
class Calibration:
    """Predicted and observed shares of wins, in bins of equal weight.

    Attributes
    ----------
    predicted, observed, low, high : ndarray, shape (bins,)
        Mean probability, share of wins, and its 95 % interval (Wilson).
    weight : ndarray, shape (bins,)
        Weight of the comparisons; each counts half for either item.
    """

    predicted: npt.NDArray[np.float64]
    observed: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]


@dataclass(frozen=True)
class LikelihoodRatioTest:
    """Twice the log-likelihood that a part of the model is worth, against chi-squared."""

    name: str
    statistic: float
    degrees: int
    p_value: float


@dataclass(frozen=True)
class GoodnessOfFit:
    """The model against free probabilities for every pair.

    Attributes
    ----------
    deviance, degrees, p_value
        Large deviances speak against one scale for all. The chi-squared law needs some ten
        comparisons a pair: see `mean_count`.
    mean_count : float
        Comparisons per cell.
    triads, cyclic : int
        Triples of items that were all compared with a clear majority, and those that go round in a
        circle; a quarter would by chance.
    """

    deviance: float
    degrees: int
    p_value: float
    mean_count: float
    triads: int
    cyclic: int


@dataclass(frozen=True)
class SurprisingResult:
    """An outcome that the model thought unlikely."""

    row: int
    left: Any
    right: Any
    outcome: str
    probability: float
    bits: float


def calibration(model: BradleyTerry, /, *, n_bins: int = 10) -> Calibration:
    """How often items won to which the model gave about the same probability.

    Every comparison is seen from both of its items; ties and "neither" count as not won.
    """
    fit = model._fitted()
    p = fit.fitted.objective.probabilities(fit.fitted.w).reshape(len(fit.design.outcomes), -1)
    counts = fit.fitted.model.sets.counts.reshape(p.shape)
    totals = counts.sum(axis=0)
    chance = np.concatenate([p[LEFT], p[RIGHT]])
    won = np.concatenate([counts[LEFT], counts[RIGHT]])
    weight = np.concatenate([totals, totals])
    order = np.argsort(chance, kind="stable")
    share = (np.cumsum(weight[order]) - weight[order] / 2) / weight.sum()
    number = np.minimum((share * n_bins).astype(int), n_bins - 1)
    in_bin = np.bincount(number, weights=weight[order])
    used = in_bin > 0
    mass = in_bin[used]
    predicted = np.bincount(number, weights=(weight * chance)[order])[used] / mass
    observed = np.bincount(number, weights=won[order])[used] / mass
    n = mass / 2
    middle = (observed + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    width = _Z * np.sqrt(observed * (1 - observed) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return Calibration(predicted, observed, middle - width, middle + width, n)


def likelihood_ratio_tests(model: BradleyTerry, /) -> tuple[LikelihoodRatioTest, ...]:
    """What each part of the model is worth: the fit without it, and Wilks' chi-squared.

    Parts: all scores equal; ν = 0 (a tie as likely as either win between equals); no order effect;
    each covariate.

    Raises
    ------
    InputError
        The fit has a penalty: then the statistic is not chi-squared.
    """
    fit = model._fitted()
    if fit.fitted.model.penalty > 0:
        message = "Likelihood ratio tests need a fit without a penalty. Set penalty=0."
        raise InputError(message)
    return tuple(_test(model, fit, name, columns) for name, columns in _parts(model, fit))


def _parts(model: BradleyTerry, fit: PairFit) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
    """Name and columns of each part that can be left out."""
    design = fit.design
    if design.neither is None:
        yield "items differ", np.arange(design.n_items)
    if design.tie is not None:
        yield "ties (ν = 0)", np.array([design.tie])
    if design.order_effect is not None:
        yield "order effect", np.arange(design.order.start, design.order.stop)
    for j, name in enumerate(model._covariate_names):
        yield f"covariate {name}", np.array([design.covariates.start + j])


def _test(
    model: BradleyTerry, fit: PairFit, name: str, columns: npt.NDArray[np.intp]
) -> LikelihoodRatioTest:
    full = fit.fitted.model
    kept = np.setdiff1d(np.arange(fit.design.n_parameters), columns)
    degrees = len(columns)
    if len(columns) == fit.design.n_items and columns[0] == 0:
        degrees -= len(full.gauge)
        gauge = np.zeros((0, len(kept)))
    else:
        gauge = full.gauge[:, kept]
    if len(kept):
        sets = full.sets
        smaller = type(sets)(sets.rows[:, kept], sets.layers, sets.counts, sets.offset)
        reduced = Model(
            smaller,
            0.0,
            full.penalised[kept],
            gauge,
            True,
        )
        without = fit_choices(
            reduced,
            lambda: [f"coefficient {j}" for j in kept],
            start=fit.fitted.w[kept],
            tol=model.tol,
            max_passes=model.max_iter,
        ).log_likelihood
    else:
        totals = full.sets.counts.sum()
        without = -float(totals * np.log(len(fit.design.outcomes)))
    statistic = max(2 * (fit.fitted.log_likelihood - without), 0.0)
    return LikelihoodRatioTest(name, statistic, degrees, float(chdtrc(degrees, statistic)))


def goodness_of_fit(model: BradleyTerry, /) -> GoodnessOfFit:
    """Deviance against one free distribution per cell, and the share of circular triads."""
    fit = model._fitted()
    p = fit.fitted.objective.probabilities(fit.fitted.w).reshape(len(fit.design.outcomes), -1)
    counts = fit.fitted.model.sets.counts.reshape(p.shape)
    totals = counts.sum(axis=0)
    happened = counts > 0
    expected = (totals * p)[happened]
    deviance = 2 * float(np.sum(counts[happened] * np.log(counts[happened] / expected)))
    free = counts.size - counts.shape[1]
    degrees = max(free - (fit.design.n_parameters - len(fit.fitted.model.gauge)), 1)
    beats = _majorities(fit)
    paired = beats + beats.T
    triads = round(float(np.sum((paired @ paired) * paired)) / 6)
    cyclic = round(float(np.sum((beats @ beats) * beats.T)) / 3)
    p_value = float(chdtrc(degrees, deviance))
    return GoodnessOfFit(deviance, degrees, p_value, float(totals.mean()), triads, cyclic)


def _majorities(fit: PairFit) -> npt.NDArray[np.float64]:
    """1 where the row item beat the column item more often than the other way round."""
    n = fit.n_items
    wins = np.zeros((n, n))
    np.add.at(wins, (fit.cells.left, fit.cells.right), fit.cells.counts[LEFT])
    np.add.at(wins, (fit.cells.right, fit.cells.left), fit.cells.counts[RIGHT])
    return (wins > wins.T).astype(np.float64)


def surprising_results(
    model: BradleyTerry,
    X: Any,
    y: Any,
    /,
    *,
    order: Any = None,
    covariates: Any = None,
    n: int = 10,
) -> tuple[SurprisingResult, ...]:
    """The n rows with the largest surprisal -log₂ p(outcome), most surprising first.

    Rows whose items have no common scale are left out. One outcome a row.
    """
    nats = model.surprisal(X, y, order=order, covariates=covariates)
    known = np.where(np.isfinite(nats), nats, -1.0)
    left, right = (list(c) for c in as_columns(X, "X", width=2))
    found = np.argsort(-known, kind="stable")[:n]
    words = np.asarray(y)
    return tuple(
        SurprisingResult(
            int(row),
            left[row],
            right[row],
            str(words[row]),
            float(np.exp(-nats[row])),
            float(nats[row] / np.log(2)),
        )
        for row in found
        if known[row] >= 0
    )
