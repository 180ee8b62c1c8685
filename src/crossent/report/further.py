"""Sections that take further fits: suspicious labels, the learning curve, sure coefficients."""

import math

import numpy as np

from crossent.inspection import ConfidentJoint, Summary, confident_joint, surprising_rows
from crossent.report import html
from crossent.report.facts import Facts
from crossent.report.learning import LearningCurveDisplay
from crossent.report.row_table import feature_names, row_table
from crossent.report.surprise import SurprisingRowsDisplay, row_images
from crossent.report.svg import display_svg

__all__ = ["coefficients", "learning_curve", "suspicious_labels"]

_SUSPECTS = 20
_PAIRS = 8
_CLASSES = 40
_FEATURES = 10


def suspicious_labels(facts: Facts, /) -> str:
    """Training rows whose labels models of the other rows do not believe."""
    rows = facts.out_of_fold
    if rows is None:
        return ""
    if rows.targets is not None:
        return ""
    joint = confident_joint(rows)
    found = surprising_rows(rows, k=_SUSPECTS, among=joint.suspects)
    share = joint.estimated_error_share
    text = (
        "<p>Each training row was given to a model that was fitted to the others. For "
        f"{html.integer(joint.suspects.size)} of {html.integer(rows.labels.size)} rows that model "
        "is confident of another class than the label says (as sure of it as it is, on average, "
        f"of rows with that label). From how often this happens, about {html.percent(share)} of "
        "the labels are estimated to be wrong; the mistakes of the model itself are in that "
        "number, so take it as an upper guess.</p>"
    )
    if not found:
        return html.section("Suspicious labels", text)
    text += (
        f"<p>These are the {len(found)} that surprise it most. Look at them before anything "
        "else: a wrong label costs more than a hard row.</p>"
    )
    listing = row_table(facts, found, facts.train_shown, soft=False) + _pairs(joint, facts)
    if facts.details.image_shape is None:
        return html.section("Suspicious labels", text + listing)
    images = row_images(facts.train_shown.features, found, facts.details.image_shape)
    listed = ", ".join(f"row {row.row}: {row.target}, not {row.predicted}" for row in found)
    svg = display_svg(SurprisingRowsDisplay(found, images), "suspicious", f"Images of {listed}.")
    how = "How to read it: “5, not 3” is a training row labelled 5 that looks like a 3."
    return html.section(
        "Suspicious labels",
        f"{text}<div class='pair'>{html.figure(svg, how)}<div>{listing}</div></div>",
    )


def _pairs(joint: ConfidentJoint, facts: Facts) -> str:
    """The most frequent pairs of label and confident class."""
    wrong = joint.counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    labels, classes = np.unravel_index(order, wrong.shape)
    lines = [
        [
            html.data(facts.names[i], 28),
            html.data(facts.names[j], 28),
            html.integer(float(wrong[i, j])),
            html.percent(float(joint.joint[i, j])),
        ]
        for i, j in zip(labels.tolist(), classes.tolist(), strict=True)
        if wrong[i, j] > 0
    ]
    if not lines:
        return ""
    header = ["labelled", "looks like", "rows", "estimated share of all"]
    return "<h3>Most frequent pairs</h3>" + html.table(header, lines, numbers=(2, 3))


def learning_curve(facts: Facts, /) -> str:
    """Whether more rows would help."""
    curve = facts.extras.learning_curve
    if curve is None:
        return ""
    values = ", ".join(
        f"{n} rows {one.cross_entropy:.3g} nats"
        for n, one in zip(curve.n_rows, curve.test, strict=True)
    )
    svg = display_svg(LearningCurveDisplay(curve), "learning", f"Test cross-entropy: {values}.")
    how = (
        "How to read it: where the blue line still falls at its right end, more rows would help; "
        "where it has met the grey one, a richer model might. The band is where 95 of 100 test "
        "sets of this size would have their loss."
    )
    lines = [
        [
            html.integer(n),
            _nats(one.cross_entropy),
            _nats(other.cross_entropy),
            html.percent(other.accuracy),
        ]
        for n, one, other in zip(curve.n_rows, curve.train, curve.test, strict=True)
    ]
    header = ["rows", "own loss", "test loss", "accuracy"]
    text = f"<p>{_gain(curve.last_gain, curve.last_gain_standard_error)}</p>"
    table = html.table(header, lines, numbers=range(4))
    return html.section(
        "Would more rows help?",
        f'<div class="pair">{html.figure(svg, how)}<div>{text}{table}</div></div>',
    )


def _gain(gain: float, error: float) -> str:
    """The slope at the end in words."""
    if not math.isfinite(gain):
        return "The loss was infinite on the way, so its slope says nothing."
    if gain <= 2 * error:
        return (
            "At the end, doubling the rows made no difference to the test cross-entropy that these "
            f"test rows could show: it fell by {html.scientific(gain)} nats, standard error "
            f"{html.scientific(error)}."
        )
    return (
        f"At the end, doubling the rows lowered the test cross-entropy by {html.scientific(gain)} "
        f"nats (standard error {html.scientific(error)}): more rows would help."
    )


def _nats(value: float) -> str:
    """Three digits."""
    return html.digits(value, 3) if math.isfinite(value) else "infinite"


def coefficients(facts: Facts, /) -> str:
    """A table of coefficients with intervals for each class, strongest first."""
    found = facts.extras.summary
    if found is None:
        return ""
    against = (
        "the mean of all classes" if found.base is None else f"class {html.data(found.base, 28)}"
    )
    percent = f"{100 * found.level:.3g}"
    text = (
        f"<p>Each class against {against}, features as they are. The errors come from the "
        f"{html.escaped(found.covariance_label)}; intervals hold {percent} % of the time if that "
        "is right. McFadden’s R² is "
        f"{html.digits(found.mcfadden, 3)}.</p>"
    )
    features = _shown_features(found, facts)
    blocks = [
        f"<details><summary>{html.data(name, 40)}</summary>"
        f"{_class_table(found, number, features)}</details>"
        for number, name in enumerate(_shown_classes(found, facts)[:_CLASSES])
    ]
    left = len(found.classes) - len(blocks)
    more = f'<p class="muted">and {left} more classes</p>' if left else ""
    return html.section(
        "How sure the coefficients are", text + _tests(found, features) + "".join(blocks) + more
    )


def _shown_classes(found: Summary, facts: Facts) -> list[str]:
    """Names as shown elsewhere in the report."""
    names = dict(zip(np.asarray(facts.model.classes_).tolist(), facts.names, strict=True))
    return [names.get(label, str(label)) for label in found.classes.tolist()]


def _shown_features(found: Summary, facts: Facts) -> list[str]:
    """Names as shown elsewhere in the report, the intercept's first where there is one."""
    first = [name for name in found.features[:1] if name == "(intercept)"]
    return first + feature_names(facts, len(found.features) - len(first))


def _class_table(found: Summary, number: int, features: list[str]) -> str:
    """The strongest coefficients of one class, by |z|."""
    order = np.argsort(-np.abs(found.z[number]), kind="stable")[:_FEATURES]
    lines = []
    for k in order.tolist():
        low, high = found.intervals[number, k]
        p = found.p_values[number, k]
        lines.append(
            [
                html.data(features[k], 40),
                f"{found.estimates[number, k]:.4g}",
                f"{low:.4g} to {high:.4g}",
                f"{found.z[number, k]:.2f}",
                "–" if math.isnan(p) else _p(float(p)),
            ]
        )
    left = len(found.features) - len(lines)
    more = f'<p class="muted">and {left} more features with smaller z</p>' if left else ""
    header = ["feature", "coefficient", "interval", "z", "p"]
    return html.table(header, lines, numbers=(1, 2, 3, 4)) + more


def _tests(found: Summary, features: list[str]) -> str:
    """Wald tests of the features over all classes, strongest first."""
    if not found.feature_tests:
        return ""
    named = zip(features[-len(found.feature_tests) :], found.feature_tests, strict=True)
    ranked = sorted(named, key=lambda pair: -pair[1].statistic)
    lines = [
        [
            html.data(name, 40),
            f"{test.statistic:.4g}",
            str(test.degrees),
            _p(test.p_value),
        ]
        for name, test in ranked[: 2 * _FEATURES]
    ]
    left = len(ranked) - len(lines)
    more = f'<p class="muted">and {left} more features with a smaller χ²</p>' if left else ""
    header = ["feature, over all classes", "χ² (Wald)", "degrees", "p"]
    return html.table(header, lines, numbers=(1, 2, 3)) + more


def _p(value: float) -> str:
    """Two digits, and no claim below what the normal approximation can mean."""
    return "below 10⁻¹⁶" if value < 1e-16 else html.scientific(value)
