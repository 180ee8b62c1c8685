"""Whether probabilities mean what they say: before and after calibration, over all and by class."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from crossent.calibration import LossSplit, split_log_loss
from crossent.inspection import (
    Evaluation,
    Predictions,
    Reliability,
    calibration_errors,
    class_reliability,
    evaluation,
    reliability,
)
from crossent.report import html
from crossent.report.facts import Facts
from crossent.report.reliability import ClassReliabilityDisplay, ReliabilityDisplay
from crossent.report.svg import display_svg

__all__ = ["calibration"]

_FEW_ROWS = 200
_PANELS = 6
_FEWEST_TO_SPLIT = 25
_FEWEST_OF_A_CLASS = 5


def calibration(facts: Facts, /) -> str:
    """Reliability diagram, what calibration did or could do, and each class."""
    few = facts.judged_result.n_rows < _FEW_ROWS
    n_bins = 5 if few else 10
    curve = reliability(facts.judged, n_bins=n_bins, binning="equal-width")
    before = None
    if facts.uncalibrated is not None:
        before = reliability(facts.uncalibrated, n_bins=n_bins, binning="equal-width")
    label = (
        f"Reliability diagram in {len(curve.count)} bins; expected calibration error "
        f"{curve.expected_calibration_error:.3g}."
    )
    svg = display_svg(ReliabilityDisplay(curve, before), "reliability", label)
    how = (
        "How to read it: on the dashed line the model is right as often as it says it will be; "
        "points below the line mean that it is too sure of itself, points above that it could be "
        "surer."
    )
    text = _verdict(facts, curve)
    text += _comparison(facts, n_bins) if before is not None else _what_is_left(facts)
    if few:
        text += (
            '<p class="muted">With so few rows the points are uncertain, as their bars show.</p>'
        )
    return html.section(
        "Do the probabilities mean what they say?",
        f'<div class="pair">{html.figure(svg, how)}<div>{text}</div></div>'
        + _by_class(facts, n_bins),
    )


def _verdict(facts: Facts, curve: Reliability) -> str:
    """The error beside what chance would give."""
    error, chance = curve.expected_calibration_error, curve.chance_level
    verdict = (
        "which is no more than chance would give"
        if error <= 1.5 * chance
        else "which is more than chance would give"
    )
    return (
        f"<p>The {facts.judged_name} rows are sorted into {curve.n_bins} bins of equal width by "
        "the probability of the predicted class. The expected calibration error (the mean distance "
        "to the dashed line, weighted by the rows in each bin) is "
        f"<strong>{html.percent(error)}</strong>, {verdict}: even perfect probabilities would show "
        f"about {html.percent(chance)} with this many rows and these bins.</p>"
    )


def _comparison(facts: Facts, n_bins: int) -> str:
    """What the calibrator does, and both sets of numbers."""
    calibrator, before_rows = facts.calibrator, facts.uncalibrated
    assert before_rows is not None
    before, after = _numbers(before_rows, n_bins), _numbers(facts.judged, n_bins)
    rows = [
        [name, shown(before[name]), shown(after[name])]
        for name, shown in (
            ("cross-entropy", _nats),
            ("expected calibration error", html.percent),
            ("of each class, mean", html.percent),
            ("what chance would give", html.percent),
        )
    ]
    table = html.table([f"{facts.judged_name} rows", "before", "after"], rows, numbers=(1, 2))
    return f"<p>{_what_it_does(calibrator)}</p>{table}"


def _what_it_does(calibrator: Any) -> str:
    """The method and the temperature in words."""
    found = calibrator.temperature
    T = found.temperature
    if not math.isfinite(T):
        return "No temperature helped: all classes get the same logit before any further step."
    low, high = found.interval()
    known = ""
    if math.isfinite(low):
        known = f" (95 % interval {low:.3g} to {high:.3g})" if math.isfinite(high) else ""
    sure = "too sure" if T > 1 else "not sure enough"
    doubt = " That is no more than chance." if found.p_value > 0.05 else ""
    text = (
        f"The probabilities were calibrated: logits are divided by the temperature {T:.3g}{known}, "
        f"because the model was {sure} of itself.{doubt}"
    )
    if calibrator.method != "temperature":
        kept = any(calibrator.strengths)
        text += (
            f" {calibrator.method.capitalize()} scaling then corrects the classes one by one."
            if kept
            else f" Cross-validation found nothing more for {calibrator.method} scaling to mend."
        )
    return text


def _numbers(rows: Predictions, n_bins: int) -> dict[str, float]:
    """What the table compares."""
    errors = calibration_errors(rows, n_bins=n_bins, binning="equal-width")
    result: Evaluation = evaluation(rows)
    return {
        "cross-entropy": result.cross_entropy,
        "expected calibration error": errors.expected,
        "of each class, mean": errors.classwise,
        "what chance would give": errors.chance_expected,
    }


def _what_is_left(facts: Facts) -> str:
    """What a temperature would take off the cross-entropy."""
    parts = _split(facts)
    if parts is None or not math.isfinite(parts.temperature):
        return ""
    bits = parts.calibration / math.log(2)
    if bits < 0.01 * parts.log_loss / math.log(2):
        return (
            "<p>Dividing all logits by one temperature would gain nothing worth having: what is "
            "left of the cross-entropy is not a matter of calibration.</p>"
        )
    sure = "too sure" if parts.temperature > 1 else "not sure enough"
    return (
        f"<p>Dividing all logits by the temperature {parts.temperature:.3g} would save "
        f"{html.digits(bits, 2)} of {html.digits(parts.log_loss / math.log(2), 3)} bits a row "
        f"(cross-validated on the {facts.judged_name} rows): the model is {sure} of itself. "
        "<code>crossent fit --calibrate temperature</code> does so.</p>"
    )


def _split(facts: Facts) -> LossSplit | None:
    """Calibration and refinement of the judged rows, where there is something to split."""
    rows = facts.judged
    if rows.labels.size < _FEWEST_TO_SPLIT or not math.isfinite(facts.judged_result.cross_entropy):
        return None
    return split_log_loss(
        rows.log_probabilities,
        rows.labels if rows.targets is None else rows.targets,
        given="log_probabilities",
        sample_weight=rows.sample_weight,
    )


def _by_class(facts: Facts, n_bins: int) -> str:
    """Each class's own probabilities: the worst as panels, all in a table that opens on a click."""
    rows = facts.judged
    held = (
        np.bincount(rows.labels, minlength=rows.classes.size)
        if rows.targets is None
        else rows.targets.sum(axis=0)
    )
    curves = [
        class_reliability(_numbered(rows), label, n_bins=n_bins, binning="equal-width")
        for label in range(rows.classes.size)
    ]
    order = sorted(range(len(curves)), key=lambda k: -curves[k].expected_calibration_error)
    shown = [k for k in order if held[k] >= _FEWEST_OF_A_CLASS][:_PANELS]
    picture = _panels([replace(curves[k], label=facts.names[k]) for k in shown]) if shown else ""
    lines = [
        [
            html.data(facts.names[k], 28),
            html.integer(float(held[k])),
            html.percent(float(curves[k].weight @ curves[k].confidence)),
            html.percent(float(curves[k].weight @ curves[k].accuracy)),
            html.percent(curves[k].expected_calibration_error),
            html.percent(curves[k].chance_level),
        ]
        for k in order
    ]
    header = ["class", "rows", "mean probability", "share", "calibration error", "by chance"]
    table = html.table(header, lines, numbers=range(1, 6))
    return f"<details><summary>Each class</summary>{picture}{table}</details>"


def _panels(curves: list[Reliability]) -> str:
    """A small diagram for each of some classes."""
    names = ", ".join(str(curve.label) for curve in curves)
    label = f"Reliability of the classes {names}: probability against share."
    return html.figure(
        display_svg(ClassReliabilityDisplay(curves), "class-reliability", label),
        "How to read it: as above, for the probability of one class. Shown are the "
        f"{len(curves)} classes with the largest error.",
    )


def _numbered(rows: Predictions) -> Predictions:
    """The same rows, the classes named by their numbers."""
    return Predictions(
        rows.log_probabilities,
        np.arange(rows.classes.size),
        rows.labels,
        rows.targets,
        rows.sample_weight,
    )


def _nats(value: float) -> str:
    return f"{html.digits(value, 4)} nats" if math.isfinite(value) else "infinite"
