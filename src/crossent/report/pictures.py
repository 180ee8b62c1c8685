"""The report's second half: what the pictures show, each with a sentence on how to read it."""

from typing import Any

import numpy as np

from crossent.inspection import confusion, surprising_rows
from crossent.report import html
from crossent.report.confusion import ConfusionDisplay
from crossent.report.cross_entropy import CrossEntropyDisplay
from crossent.report.facts import Facts
from crossent.report.row_table import feature_names, row_table
from crossent.report.surprise import SurprisingRowsDisplay, row_images
from crossent.report.svg import display_svg
from crossent.report.trace import TraceDisplay
from crossent.report.weights import ClassWeightsDisplay

__all__ = [
    "class_weights",
    "confusions",
    "cross_entropy_picture",
    "surprising",
    "trace",
]

_SURPRISING_ROWS = 12  # three rows of four images
_SURPRISING_LINES = 10
_SHORT_NAME = 12  # characters of a class, so that picture and table fit side by side


def cross_entropy_picture(facts: Facts, /) -> str:
    """Bars of both sets of rows over the baselines."""
    results = {"training rows": facts.train_result}
    if facts.test_result is not None:
        results["test rows"] = facts.test_result
    values = ", ".join(f"{name} {item.cross_entropy:.3g} nats" for name, item in results.items())
    svg = display_svg(
        CrossEntropyDisplay(results),
        "cross-entropy",
        f"Bar chart of cross-entropy: {values}; uniform baseline "
        f"{facts.judged_result.uniform_baseline:.3g} nats.",
    )
    how = "How to read it: the shorter a blue bar beside the grey ones, the more the model knows."
    if facts.test_result is not None:
        how += (
            " A test bar much longer than the training bar means that the model learned the "
            "training rows by heart."
        )
    return html.figure(svg, how)


def confusions(facts: Facts, /) -> str:
    """Matrix or most frequent confusions, and a line for each class."""
    table = confusion(facts.judged)
    display = ConfusionDisplay(table, facts.names)
    svg = display_svg(display, "confusion", _confusion_label(table, facts))
    if display.kind_ == "matrix":
        how = (
            "How to read it: a row holds the rows of one true class, a column those given one "
            "predicted class. Blue cells are right; the stronger the orange, the more often that "
            "mistake is made."
        )
    else:
        how = (
            f"How to read it: with {len(facts.names)} classes a matrix would be too small to read, "
            "so these are the most frequent mistakes, as true class → predicted class."
        )
    picture = html.figure(svg, how)
    body = picture + _by_class(table, facts)
    if max(map(len, facts.names)) <= _SHORT_NAME:
        body = f'<div class="pair">{picture}<div>{_by_class(table, facts)}</div></div>'
    return html.section(f"Confusions of {facts.judged_name} rows", body)


def _confusion_label(table: Any, facts: Facts) -> str:
    """What a screen reader says."""
    pairs = table.most_confused()[:3]
    listed = "; ".join(f"{p.true} taken for {p.predicted} {p.count:g} times" for p in pairs)
    return (
        f"Confusions of {len(facts.names)} classes. Most frequent mistakes: {listed}."
        if pairs
        else f"Confusions of {len(facts.names)} classes. There are no mistakes."
    )


def _by_class(table: Any, facts: Facts) -> str:
    """Accuracy of each class, the worst first where there are many."""
    totals, shares = table.counts.sum(axis=1), table.row_shares
    right = np.diag(shares)
    order = np.arange(len(totals))
    if len(order) > 12:
        order = np.lexsort((order, right, totals == 0))
    rows = []
    for number in order.tolist():
        wrong = shares[number].copy()
        wrong[number] = 0
        worst = int(np.argmax(wrong))
        rows.append(
            [
                html.data(facts.names[number], 28),
                html.integer(float(totals[number])),
                html.percent(float(right[number])) if totals[number] > 0 else "–",
                f"{html.data(facts.names[worst], 28)} ({html.percent(float(wrong[worst]))})"
                if wrong[worst] > 0
                else "–",
            ]
        )
    note = "“Right” is the share of the class’s rows that were recognised."
    if len(order) > 12:
        note += " Classes with the lowest share come first."
    return (
        html.table(["class", "rows", "right", "most often taken for"], rows, numbers=(1, 2))
        + f'<p class="muted">{note}</p>'
    )


def surprising(facts: Facts, /) -> str:
    """Rows that the model found hardest to believe."""
    most = _SURPRISING_ROWS if facts.details.image_shape is not None else _SURPRISING_LINES
    found = surprising_rows(facts.judged, k=most)
    soft = facts.judged_result.soft_targets
    text = (
        f"<p>These are the {len(found)} {facts.judged_name} rows whose class the model found least "
        "probable. Look here first for wrong labels and for kinds of rows that the model has not "
        "learned. Surprisal is −log₂ of the probability of the right class: 1 bit for ½, 10 bits "
        "for about a thousandth.</p>"
    )
    if soft:
        text += (
            "<p>The targets are distributions: rows are ranked by the bits that they cost beyond "
            "the target’s own entropy, and the class is the target’s largest.</p>"
        )
    listing = row_table(facts, found, facts.judged_shown, soft=soft)
    if facts.details.image_shape is None:
        return html.section("The most surprising rows", text + listing)
    images = row_images(facts.judged_shown.features, found, facts.details.image_shape)
    listed = ", ".join(f"row {row.row}: {row.target}, not {row.predicted}" for row in found)
    svg = display_svg(SurprisingRowsDisplay(found, images), "surprising", f"Images of {listed}.")
    how = "How to read it: “5, not 3” is a row of class 5 that the model took for 3."
    if any(row.target == row.predicted for row in found):
        how += " A single name means that the model was right, but not sure."
    return html.section(
        "The most surprising rows",
        f"{text}<div class='pair'>{html.figure(svg, how)}<div>{listing}</div></div>",
    )


def class_weights(facts: Facts, /) -> str:
    """What a linear model looks for."""
    if not hasattr(facts.model, "coef_"):
        return ""
    shape = facts.details.image_shape
    weights = np.asarray(facts.model.coef_, dtype=np.float64)
    display = ClassWeightsDisplay(
        weights,
        facts.names,
        feature_names(facts, weights.shape[1]),
        shape,
        None if shape is not None else facts.feature_scale,
        _errors(facts, weights),
    )
    what = "as images" if shape is not None else "with the largest effect"
    svg = display_svg(display, "weights", f"Weights of {len(facts.names)} classes, {what}.")
    left_out = len(weights) - len(display.shown_)
    note = (
        f" Shown are the {len(display.shown_)} classes with the largest weights."
        if left_out
        else ""
    )
    how = (
        "How to read it: a large value in a blue pixel speaks for the class, in an orange pixel "
        "against it; white pixels do not matter. All pictures share one scale."
        if shape is not None
        else "How to read it: the longer a blue bar, the more a large value of that feature speaks "
        "for the class; orange bars speak against it. Each weight is multiplied by the feature’s "
        "standard deviation among the training rows, so that features with different units compare."
    )
    if display.errors is not None and shape is None:
        how += " The thin lines are 95 % intervals."
        how += " Those that reach the edge go on beyond it." if display.clipped_ else ""
    return html.section("What the model looks for", html.figure(svg, how + note))


def _errors(facts: Facts, weights: Any) -> Any:
    """Standard errors of the weights, if they are known and belong to these contrasts."""
    found = facts.extras.summary
    if found is None:
        return None
    errors = found.standard_errors[:, found.features[0] == "(intercept)" :]
    return errors if errors.shape == weights.shape else None


def trace(facts: Facts, /) -> str:
    """How the gap fell."""
    if not facts.trace:
        return ""
    display = TraceDisplay(facts.trace, getattr(facts.model, "tol", None))
    name = "The gap, pass by pass"
    svg = display_svg(
        display, "trace", f"Convergence over {facts.trace[-1].passes} passes, log scale."
    )
    how = (
        "How to read it: the lower, the closer to the best possible objective; the axis counts "
        "powers of ten. Only the diamonds are proven bounds; the other points come from the same "
        "formula before its conditions hold. Passes for which it is not finite are left out."
    )
    if not display.shows_gap_:
        name = "The gradient, pass by pass"
        how = (
            "How to read it: the gradient is zero at an optimum; the axis counts powers of ten. "
            "Without a penalty there is no proven bound."
        )
    return html.section(name, html.figure(svg, how))
