"""The report of a ranking as one HTML file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossent.choice import BradleyTerry, Ranking
from crossent.choice.diagnostics import (
    Calibration,
    GoodnessOfFit,
    LikelihoodRatioTest,
    SurprisingResult,
)
from crossent.inspection import verdict
from crossent.persistence import write_atomically
from crossent.report import html
from crossent.report._style import clean
from crossent.report.ranking_displays import (
    RankIntervalDisplay,
    ScoreDisplay,
    WinCalibrationDisplay,
    WinMatrixDisplay,
)
from crossent.report.svg import figure_style, inline_svg, new_axes
from crossent.report.writing import ensure_writable

__all__ = ["RankingFacts", "render_ranking_report", "write_ranking_report"]

_MOST_ROWS = 500
_HEAT_ITEMS = 24


@dataclass(frozen=True)
class RankingFacts:
    """What a report of a ranking is written from.

    Attributes
    ----------
    title : str
    model : BradleyTerry
    ranking : Ranking
    calibration : Calibration
    fit : GoodnessOfFit
    tests : sequence of LikelihoodRatioTest
        Empty with a penalty.
    surprises : sequence of SurprisingResult
    row_name : str
        What the rows of `surprises` count: "row" (from 0) or "line" of a file.
    notes : sequence of str
        Sentences about the data: where from, what was left out.
    standard_errors : str
        What they come from, as words.
    command : str
        How to make the report again; empty if unknown.
    """

    title: str
    model: BradleyTerry
    ranking: Ranking
    calibration: Calibration
    fit: GoodnessOfFit
    tests: Sequence[LikelihoodRatioTest] = ()
    surprises: Sequence[SurprisingResult] = ()
    row_name: str = "row"
    notes: Sequence[str] = ()
    standard_errors: str = "the exact Hessian"
    command: str = ""


def write_ranking_report(path: str | os.PathLike[str], facts: RankingFacts, /) -> None:
    """Write one self-contained HTML file, whole or not at all.

    Raises
    ------
    InputError
        The path cannot be written to.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crossent.choice import BradleyTerry, calibration, goodness_of_fit
    >>> model = BradleyTerry().fit([["a", "b"], ["b", "a"], ["a", "b"]])
    >>> facts = RankingFacts(
    ...     "Two", model, model.ranking(), calibration(model), goodness_of_fit(model)
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "two.html")
    ...     write_ranking_report(path, facts)
    ...     "<h1>Two</h1>" in path.read_text(encoding="utf-8")
    True
    """
    ensure_writable(path)
    write_atomically(path, render_ranking_report(facts).encode("utf-8"))


def render_ranking_report(facts: RankingFacts, /) -> str:
    """The HTML that `write_ranking_report` writes."""
    with figure_style():
        parts = [
            _heading(facts),
            _cards(facts),
            _scores(facts),
            _table(facts),
            _heat_map(facts),
            _calibration(facts),
            _tests(facts),
            _surprises(facts),
            _closing(facts),
        ]
    return html.page(clean(facts.title), "\n".join(part for part in parts if part))


def _heading(facts: RankingFacts) -> str:
    model, ranking = facts.model, facts.ranking
    said = verdict(model.certificate_)
    first = int(np.count_nonzero(ranking.rank_low == 1))
    best = html.data(ranking.items[0])
    leader = (
        f"{best} is first, and the data tell it from all others."
        if first == 1
        else f"{best} has the highest score; {first} items could be first."
    )
    comparisons = html.integer(model.n_comparisons_)
    line = f"{leader} {comparisons} comparisons of {len(ranking.items)} items were fitted."
    notes = "".join(f'<p class="muted">{html.escaped(note)}</p>' for note in facts.notes)
    return (
        f"<header><h1>{html.escaped(facts.title)}</h1>"
        f'<p class="lead">{html.badge(said.badge, said.tone)}</p>'
        f'<p class="lead">{line}</p>{notes}</header>'
    )


def _cards(facts: RankingFacts) -> str:
    model = facts.model
    per = -model.log_likelihood_ / model.n_comparisons_
    uniform = float(np.log(len(model.outcomes_)))
    certificate = model.certificate_
    cards = [
        html.card(
            "Cross-entropy",
            f"{per:.4f} nats",
            f"per comparison; with no knowledge {uniform:.4f}",
        )
    ]
    if model.tie_ is not None:
        chance = np.exp(model.tie_) / (2 + np.exp(model.tie_))
        cards.append(html.card("Ties", html.percent(float(chance)), "between equal items"))
    if isinstance(model.order_effect_, float):
        odds = float(np.exp(model.order_effect_))
        cards.append(html.card("Order effect", f"× {odds:.3g}", "odds of the left item"))
    if certificate.kind == "gap":
        gap = html.scientific(certificate.relative_gap)
        cards.append(html.card("Relative gap", f"≤ {gap}", "proven distance to the best"))
    else:
        norm = html.scientific(certificate.gradient_norm)
        cards.append(html.card("Gradient norm", norm, "0 at the optimum; the optimum exists"))
    seconds = f"{1000 * certificate.seconds:.0f} ms"
    cards.append(html.card("Fit", seconds, f"{certificate.passes} passes over the counts"))
    return f'<div class="cards">{"".join(cards)}</div>'


def _scores(facts: RankingFacts) -> str:
    n = len(facts.ranking.items)
    which = "" if n <= ScoreDisplay(facts.ranking).top else f" The best 40 of {n} are shown."
    forest = _picture(ScoreDisplay(facts.ranking), "scores", "Scores of the items with intervals.")
    ranks = _picture(RankIntervalDisplay(facts.ranking), "ranks", "Interval of ranks of each item.")
    how = (
        "How to read it: the score of an item alone, with its own interval. Overlap of two "
        f"intervals does not mean that two items are equal.{which}"
    )
    unit = (
        " 400 Elo points are odds of 10 to 1."
        if facts.ranking.unit == "elo"
        else " A difference of one logit is odds of 2.72 to 1."
    )
    held = (
        "How to read it: the bar covers every rank that the data leave open; the tick is the rank "
        "of the score. All bars are right at once with the stated probability."
    )
    return html.section("Scores", html.figure(forest, how + unit)) + html.section(
        "Ranks", html.figure(ranks, held)
    )


def _table(facts: RankingFacts) -> str:
    ranking = facts.ranking
    names = [name for name in ("wins", "losses", "ties", "neither") if ranking.counts[name].any()]
    digits = 0 if ranking.unit == "elo" else 3
    rows = []
    for k in range(min(len(ranking.items), _MOST_ROWS)):
        low, high = int(ranking.rank_low[k]), int(ranking.rank_high[k])
        rows.append(
            [
                str(low) if low == high else f"{low} to {high}",
                html.data(ranking.items[k], 40),
                f"{ranking.scores[k]:.{digits}f}",
                f"{ranking.low[k]:.{digits}f} to {ranking.high[k]:.{digits}f}",
                *(html.integer(float(ranking.counts[name][k])) for name in names),
            ]
        )
    header = ["rank", "item", "score", f"{100 * ranking.level:g} % interval", *names]
    body = html.table(header, rows, numbers={0, *range(2, len(header))})
    note = f'<p class="muted">Standard errors are from {html.escaped(facts.standard_errors)}.</p>'
    return html.section("All items", body + note)


def _heat_map(facts: RankingFacts) -> str:
    model, items = facts.model, facts.ranking.items[:_HEAT_ITEMS].tolist()
    if model.coef_.size:
        return ""
    number = {item: k for k, item in enumerate(model.items_.tolist())}
    order = [number[item] for item in items]
    outright = model.win_matrix()[np.ix_(order, order)]
    display = WinMatrixDisplay(outright / (outright + outright.T), items)
    svg = _picture(display, "wins", "Probability that the row item wins against the column item.")
    rest = len(facts.ranking.items) - len(items)
    which = f" The best {len(items)} items are shown." if rest else ""
    how = (
        "How to read it: blue means that the item of the row wins against the item of the column, "
        f"orange that it loses, if one of the two does; on neutral ground.{which}"
    )
    # On a narrow screen it keeps its size and is moved sideways: the names would be too small.
    inner = f'<div style="min-width: 40rem">{svg}</div>'
    wide = f'<div class="scroll" style="max-height: none" tabindex="0">{inner}</div>'
    return html.section("Who beats whom", html.figure(wide, how))


def _calibration(facts: RankingFacts) -> str:
    svg = _picture(
        WinCalibrationDisplay(facts.calibration), "calibration", "Predicted against observed wins."
    )
    how = (
        "How to read it: points on the dashed line mean that what was predicted with 70 % happened "
        "70 times out of 100. Of the data that were fitted, so a good fit is expected here."
    )
    return html.section("Calibration", html.figure(svg, how))


def _tests(facts: RankingFacts) -> str:
    rows = [
        [html.escaped(t.name), f"{t.statistic:.1f}", str(t.degrees), _p_value(t.p_value)]
        for t in facts.tests
    ]
    header = ["part of the model", "2 × log-likelihood ratio", "degrees", "p"]
    body = html.table(header, rows, numbers={1, 2, 3}) if rows else ""
    fit = facts.fit
    body += (
        f"<p>Against a free probability for every pair the deviance is {fit.deviance:.0f} on "
        f"{fit.degrees} degrees of freedom (p {_p_value(fit.p_value)}), with "
        f"{fit.mean_count:.1f} comparisons a pair; the p-value needs some ten.</p>"
    )
    if fit.triads:
        body += (
            f"<p>{html.integer(fit.cyclic)} of {html.integer(fit.triads)} triples of items go round"
            f" in a circle ({html.percent(fit.cyclic / fit.triads)}; 25\xa0% by chance).</p>"
        )
    return html.section("Does one scale do?", body)


def _surprises(facts: RankingFacts) -> str:
    if not facts.surprises:
        return ""
    rows = [
        [
            str(s.row),
            html.data(s.left, 28),
            html.data(s.right, 28),
            html.data(s.outcome, 20),
            html.percent(s.probability) if s.probability > 1e-4 else html.scientific(s.probability),
            f"{s.bits:.1f}",
        ]
        for s in facts.surprises
    ]
    header = [facts.row_name, "left", "right", "outcome", "probability", "bits"]
    counted = "Rows are counted from 0. " if facts.row_name == "row" else ""
    note = f'<p class="muted">{counted}Bits are −log₂ of the probability.</p>'
    return html.section(
        "Most surprising results", html.table(header, rows, numbers={0, 4, 5}) + note
    )


def _closing(facts: RankingFacts) -> str:
    model = facts.model
    said = (
        "<p>A comparison is a softmax over its outcomes; the logits are the scores of the two "
        "items, and for a tie their mean plus a constant. "
        + (
            f"The summed loss carries {model.penalty_:g}/2 times the sum of the squared scores."
            if model.penalty_
            else "There is no penalty; that the maximum likelihood estimate exists was proven."
        )
        + "</p>"
    )
    if facts.command:
        said += f"<p>Made with <code>{html.escaped(facts.command)}</code></p>"
    return html.section("The model", said)


def _picture(display: Any, prefix: str, label: str) -> str:
    drawn = display.plot(ax=new_axes(display.figure_size))
    return inline_svg(drawn.figure_, prefix=prefix, label=label)


def _p_value(p: float) -> str:
    return "&lt; 10⁻⁶" if p < 1e-6 else html.scientific(p)
