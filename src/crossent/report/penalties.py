"""How C was chosen, where a path of penalties was walked."""

import math
from typing import Any

import numpy as np

from crossent.report import html
from crossent.report.facts import Facts
from crossent.report.path import PathDisplay
from crossent.report.svg import inline_svg, new_axes

__all__ = ["path"]


def path(facts: Facts, /) -> str:
    """Picture and table of the held-out scores of each C; empty for models of one C."""
    fitted = facts.model
    if not hasattr(fitted, "mean_scores_"):
        return ""
    display = PathDisplay.from_estimator(fitted, ax=new_axes(PathDisplay.figure_size))
    loss = display.score_name is None
    folds = len(fitted.scores_)
    svg = inline_svg(
        display.figure_, prefix="path", label=f"Held-out score of {len(fitted.Cs_)} values of C."
    )
    how = (
        "How to read it: each grey line is a fold, the blue line their mean; "
        + ("lower is better" if loss else "higher is better")
        + ". On the left the penalty keeps the weights small, on the right they follow the rows."
    )
    text = (
        f"<p>The training rows were divided into {folds} folds. For each value of C the model was "
        "fitted to all folds but one, and judged on that one. "
        f"<strong>C = {fitted.C_:.4g}</strong> was chosen ({_rule(fitted.rule)}) and fitted to all "
        f"rows. {_ends(fitted)}</p>"
    )
    name = "cross-entropy, nats" if loss else html.escaped(display.score_name)
    header = ["C", name, "standard error", "largest relative gap"]
    table = html.table(header, _rows(fitted, -1 if loss else 1), numbers=range(4))
    return html.section(
        "How strong a penalty?",
        f'<div class="pair">{html.figure(svg, how)}<div>{text}{table}</div></div>',
    )


def _rows(fitted: Any, sign: int) -> list[list[str]]:
    """A line for each C; scores are multiplied by `sign`."""
    gaps = np.array([[c.relative_gap for c in fold] for fold in fitted.certificates_])
    found = zip(
        fitted.Cs_, fitted.mean_scores_, fitted.standard_errors_, gaps.max(axis=0), strict=True
    )
    return [
        [
            html.scientific(float(C)) + (" ←" if C == fitted.C_ else ""),
            html.digits(sign * float(mean), 4),
            html.digits(float(error), 2) if math.isfinite(error) and error > 0 else "–",
            html.scientific(float(gap)),
        ]
        for C, mean, error, gap in found
    ]


def _rule(rule: str) -> str:
    if rule == "1se":
        return "the strongest penalty within one standard error of the best"
    return "the best mean"


def _ends(fitted: Any) -> str:
    """A remark where the best C is the first or last of the grid."""
    index, last = int(fitted.best_index_), len(fitted.Cs_) - 1
    if index not in (0, last) or last == 0:
        return ""
    side = "weakest" if index == last else "strongest"
    return f"The best mean is that of the {side} penalty tried: a wider grid may find a better one."
