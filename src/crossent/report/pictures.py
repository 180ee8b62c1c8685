"""The report's second half: what the pictures show, each with a sentence on how to read it."""

import math
from typing import Any

import numpy as np

from crossent.inspection import confusion, reliability, surprising_rows
from crossent.report import html
from crossent.report.confusion import ConfusionDisplay
from crossent.report.cross_entropy import CrossEntropyDisplay
from crossent.report.encoding import table_cells
from crossent.report.facts import Facts
from crossent.report.reliability import ReliabilityDisplay
from crossent.report.surprise import SurprisingRowsDisplay, row_images, take_rows
from crossent.report.svg import inline_svg, new_axes
from crossent.report.trace import TraceDisplay
from crossent.report.weights import ClassWeightsDisplay

__all__ = [
    "class_weights",
    "confusions",
    "cross_entropy_picture",
    "reliability_diagram",
    "surprising",
    "trace",
]

_SURPRISING_ROWS = 12  # three rows of four images
_SURPRISING_LINES = 10
_COLUMNS_SHOWN = 6  # of rows that are not images


def _svg(display: Any, prefix: str, label: str) -> str:
    """Draw on a figure of the display's own size."""
    drawn = display.plot(ax=new_axes(display.figure_size))
    return inline_svg(drawn.figure_, prefix=prefix, label=label)


def cross_entropy_picture(facts: Facts, /) -> str:
    """Bars of both sets of rows over the baselines."""
    results = {"training rows": facts.train_result}
    if facts.test_result is not None:
        results["test rows"] = facts.test_result
    values = ", ".join(f"{name} {item.cross_entropy:.3g} nats" for name, item in results.items())
    svg = _svg(
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
    svg = _svg(display, "confusion", _confusion_label(table, facts))
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
    return html.section(
        f"Confusions of {facts.judged_name} rows",
        f'<div class="pair">{picture}<div>{_by_class(table, facts)}</div></div>',
    )


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


def reliability_diagram(facts: Facts, /) -> str:
    """Confidence against accuracy."""
    few = facts.judged_result.n_rows < 200
    curve = reliability(facts.judged, n_bins=5 if few else 10, binning="equal-width")
    error, chance = curve.expected_calibration_error, curve.chance_level
    svg = _svg(
        ReliabilityDisplay(curve),
        "reliability",
        f"Reliability diagram in {len(curve.count)} bins; expected calibration error {error:.3g}.",
    )
    how = (
        "How to read it: on the dashed line the model is right as often as it says it will be; "
        "points below the line mean that it is too sure of itself, points above that it could be "
        "surer."
    )
    verdict = (
        "which is no more than chance would give"
        if error <= 1.5 * chance
        else "which is more than chance would give"
    )
    text = (
        f"<p>The {facts.judged_name} rows are sorted into {curve.n_bins} bins of equal width by "
        "the probability of the predicted class. The expected calibration error (the mean distance "
        "to the dashed line, weighted by the rows in each bin) is "
        f"<strong>{html.percent(error)}</strong>, {verdict}: even perfect probabilities would show "
        f"about {html.percent(chance)} with this many rows and these bins.</p>"
    )
    if few:
        text += (
            '<p class="muted">With so few rows the points are uncertain, as their bars show.</p>'
        )
    return html.section(
        "Do the probabilities mean what they say?",
        f'<div class="pair">{html.figure(svg, how)}<div>{text}</div></div>',
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
    listing = _surprising_table(facts, found)
    if facts.details.image_shape is None:
        return html.section("The most surprising rows", text + listing)
    images = row_images(facts.judged_features, found, facts.details.image_shape)
    listed = ", ".join(f"row {row.row}: {row.target}, not {row.predicted}" for row in found)
    svg = _svg(SurprisingRowsDisplay(found, images), "surprising", f"Images of {listed}.")
    how = "How to read it: “5, not 3” is a row of class 5 that the model took for 3."
    if any(row.target == row.predicted for row in found):
        how += " A single name means that the model was right, but not sure."
    return html.section(
        "The most surprising rows",
        f"{text}<div class='pair'>{html.figure(svg, how)}<div>{listing}</div></div>",
    )


def _surprising_table(facts: Facts, found: Any) -> str:
    """One line for each row; with its values where they are few."""
    soft = facts.judged_result.soft_targets
    header = ["row", "class", "taken for", "surprisal"]
    if soft:
        header = ["row", "class", "its target", "taken for", "excess"]
    names, cells = _cells(facts, found)
    lines = []
    for place, row in enumerate(found):
        bits = f"{row.excess_bits:.1f} bits" if math.isfinite(row.excess) else "infinite"
        lines.append(
            [
                str(row.row),
                _with_probability(row.target, row.target_probability),
                *([html.percent(row.target_mass)] if soft else []),
                "–"
                if row.target == row.predicted
                else _with_probability(row.predicted, row.predicted_probability),
                bits,
                *(cells[place] if cells else ()),
            ]
        )
    right = range(len(header) - 1, len(header) + (0 if facts.columns else len(names)))
    numbers = {0, *([2] if soft else []), *right}
    table = html.table([*header, *(html.data(name, 20) for name in names)], lines, numbers=numbers)
    note = "Behind each class stands the model’s probability of it. Rows are counted from 0."
    return f'{table}<p class="muted">{note}</p>'


def _with_probability(name: Any, probability: float) -> str:
    """A class, and the model's probability of it."""
    shown = html.percent(probability) if probability >= 1e-4 else html.scientific(probability)
    return f'{html.data(name, 28)} <span class="muted">({shown})</span>'


def _cells(facts: Facts, found: Any) -> tuple[list[str], list[list[str]]]:
    """Names and HTML of the cells of some rows, a list for each row; empty where they are many."""
    if facts.columns and facts.judged_table is not None:
        return table_cells(facts, [row.row for row in found])
    values = _few_values(facts, found)
    if values is None:
        return [], []
    names = _feature_names(facts, values.shape[1])
    return names, [[html.data(f"{value:.4g}") for value in row] for row in values]


def _few_values(facts: Facts, found: Any) -> Any:
    """The rows' own values, if they are few numbers."""
    if facts.details.image_shape is not None or facts.shape[1] > _COLUMNS_SHOWN:
        return None
    try:
        return np.asarray(
            take_rows(facts.judged_features, [row.row for row in found]), dtype=np.float64
        )
    except (TypeError, ValueError):
        return None  # words, not numbers: the table does without them


def _feature_names(facts: Facts, d: int) -> list[str]:
    """Names as given, or of the frame, or numbers."""
    given = facts.details.feature_names
    names = given if given is not None else getattr(facts.model, "feature_names_in_", None)
    return [f"column {number}" for number in range(d)] if names is None else list(names)


def class_weights(facts: Facts, /) -> str:
    """What a linear model looks for."""
    if not hasattr(facts.model, "coef_"):
        return ""
    shape = facts.details.image_shape
    weights = np.asarray(facts.model.coef_, dtype=np.float64)
    display = ClassWeightsDisplay(
        weights,
        facts.names,
        _feature_names(facts, weights.shape[1]),
        shape,
        None if shape is not None else facts.feature_scale,
    )
    what = "as images" if shape is not None else "with the largest effect"
    svg = _svg(display, "weights", f"Weights of {len(facts.names)} classes, {what}.")
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
    return html.section("What the model looks for", html.figure(svg, how + note))


def trace(facts: Facts, /) -> str:
    """How the gap fell."""
    if not facts.trace:
        return ""
    display = TraceDisplay(facts.trace, getattr(facts.model, "tol", None))
    name = "The gap, pass by pass"
    svg = _svg(display, "trace", f"Convergence over {facts.trace[-1].passes} passes, log scale.")
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
