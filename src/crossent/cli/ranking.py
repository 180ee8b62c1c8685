"""What ``crossent rank`` does: read, fit, print, report."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from crossent.choice import (
    BradleyTerry,
    Ranking,
    calibration,
    goodness_of_fit,
    likelihood_ratio_tests,
    surprising_results,
)
from crossent.choice.uncertainty import CovarianceKind
from crossent.cli.files import check_outputs
from crossent.cli.messages import Messages
from crossent.cli.outcome import ExitCode, shown_warnings
from crossent.cli.output import print_json, stdout
from crossent.cli.rank_request import RankRequest
from crossent.cli.rank_rows import Columns, read_words
from crossent.cli.summary import certificate_record
from crossent.errors import InputError
from crossent.report import require_matplotlib
from crossent.report.ranking import RankingFacts, write_ranking_report

__all__ = ["run_rank"]

_OPTIONS = {
    "penalty=…": "--penalty",
    "undefined='components'": "--undefined components",
    "undefined='drop'": "--undefined drop",
    "order_effect='global'": "--order-effect global",
    "half_life=None": "leave --half-life out",
    "Say what other values mean with outcomes={value: 'left', ...}.": "Rename it in the file.",
}
_ROW = re.compile(r"(^|\bin )row (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class _Data:
    """Rows, ready for `BradleyTerry.fit`."""

    X: npt.NDArray[Any]
    y: npt.NDArray[Any]
    options: dict[str, Any]
    columns: Columns
    left_out: int

    def place(self, row: int) -> str:
        """Where a row stands in the file, in words."""
        return f"{self.columns.unit} {self.columns.lines[row]}"


def run_rank(request: RankRequest, messages: Messages, /) -> ExitCode:
    """Fit, print and report."""
    request = request.completed()
    check_outputs({"--report": request.report}, {"FILE": str(request.file)})
    if request.report is not None:
        require_matplotlib()
    with messages.moving_line(f"reading {request.file}"), shown_warnings(messages):
        data = _read(request)
        model = _fit(request, data)
        kind: CovarianceKind = "clustered" if request.judge else "hessian"
        table = model.ranking(level=request.level, unit=request.unit, covariance=kind)
    if request.as_json:
        print_json(_record(request, data, model, table))
    else:
        _print(request, data, model, table)
    if request.report is not None:
        _report(request, data, model, table)
        messages.say(f"report written to {request.report}")
    return ExitCode.OK if model.certificate_.converged else ExitCode.NOT_CONVERGED


def _fit(request: RankRequest, data: _Data) -> BradleyTerry:
    """The fitted model; errors speak of options instead of parameters."""
    try:
        return BradleyTerry(**request.estimator).fit(data.X, data.y, **data.options)
    except InputError as error:
        message = _ROW.sub(lambda found: f"{found[1]}{data.place(int(found[2]))}", str(error))
        for parameter, option in _OPTIONS.items():
            message = message.replace(parameter, option)
        raise InputError(message) from error


def _read(request: RankRequest) -> _Data:
    """The columns that are asked for; rows without an outcome are left out and counted."""
    outcome = [request.outcome] if request.outcome else [request.left_score, request.right_score]
    others = [request.judge, request.date, request.neutral, *request.covariates]
    names = [request.left, request.right, *outcome, *(name for name in others if name)]
    columns = read_words(request.file, [name for name in dict.fromkeys(names) if name])
    y = _words(request, columns) if request.outcome else _scores(request, columns)
    known = np.array([word != "" for word in y.tolist()])
    columns = columns.rows(known)
    if not known.any():
        message = f"{request.file}: no row has an outcome."
        raise InputError(message)
    options: dict[str, Any] = {}
    if request.judge:
        options["clusters"] = columns.filled(request.judge)
    if request.estimator["half_life"] is not None:
        if request.date is None:
            message = "--half-life needs --date, the column of the dates."
            raise InputError(message)
        options["dates"] = columns.words[request.date]
    if request.neutral:
        options["order"] = 1.0 - columns.flags(request.neutral)
    if request.covariates:
        options["covariates"] = np.array([columns.numbers(c) for c in request.covariates]).T
    X = np.array([columns.filled(str(c)) for c in (request.left, request.right)], dtype=object).T
    return _Data(X, y[known], options, columns, int((~known).sum()))


def _scores(request: RankRequest, columns: Columns) -> npt.NDArray[Any]:
    """Outcomes from goals; "" where one is missing."""
    left, right = (columns.numbers(str(n)) for n in (request.left_score, request.right_score))
    return np.select([left > right, left < right, left == right], ["left", "right", "tie"], "")


def _words(request: RankRequest, columns: Columns) -> npt.NDArray[Any]:
    """Outcomes as they stand; the name of one of the two items means that it won."""
    names = (str(name) for name in (request.outcome, request.left, request.right))
    rows = zip(*([word.strip() for word in columns.words[name]] for name in names), strict=True)
    return np.array(
        ["left" if y == a else "right" if y == b else y for y, a, b in rows], dtype=object
    )


def _print(request: RankRequest, data: _Data, model: BradleyTerry, table: Ranking) -> None:
    """The table, and below it what else is known."""
    names = [name for name in ("wins", "losses", "ties", "neither") if table.counts[name].any()]
    digits = 0 if table.unit == "elo" else 3
    shown = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    shown.add_column("rank", justify="right")
    shown.add_column("item")
    for heading in ("score", f"{100 * table.level:g} % interval", *names):
        shown.add_column(heading, justify="right")
    for k in range(min(len(table.items), request.top)):
        low, high = int(table.rank_low[k]), int(table.rank_high[k])
        shown.add_row(
            str(low) if low == high else f"{low}-{high}",
            str(table.items[k]),
            f"{table.scores[k]:.{digits}f}",
            f"{table.low[k]:.{digits}f} to {table.high[k]:.{digits}f}",
            *(f"{table.counts[name][k]:g}" for name in names),
        )
    console = stdout()
    console.print(shown)
    rest = len(table.items) - request.top
    if rest > 0:
        console.print(f"… and {rest} more (--top {len(table.items)} shows all)")
    console.print()
    for sentence in _sentences(request, data, model):
        console.print(sentence)


def _sentences(request: RankRequest, data: _Data, model: BradleyTerry) -> list[str]:
    """The fit in a few lines."""
    n = model.n_comparisons_
    nats = -model.log_likelihood_ / n
    said = [f"{n:g} comparisons, {nats:.4f} nats ({nats / np.log(2):.4f} bits) each."]
    if data.left_out:
        said.append(f"{data.left_out} rows without an outcome were left out.")
    if model.tie_ is not None:
        p = np.exp(model.tie_) / (2 + np.exp(model.tie_))
        said.append(f"Ties: ν = {model.tie_:.4f}; two equal items tie with {100 * p:.1f} %.")
    if model.neither_ is not None:
        said.append(f"'Neither' has the score {model.neither_:+.4f} logits.")
    if isinstance(model.order_effect_, float):
        said.append(f"Order effect: {model.order_effect_:+.4f} logits for the left item.")
    for name, value in zip(request.covariates, model.coef_.tolist(), strict=True):
        said.append(f"{name}: {value:+.4f} logits for the left item.")
    certificate = model.certificate_
    known = (
        f"relative gap ≤ {certificate.relative_gap:.1e}"
        if certificate.kind == "gap"
        else f"the estimate exists; gradient {certificate.gradient_norm:.1e}"
    )
    said.append(f"Certificate: {certificate.kind}, {known}, {certificate.passes} passes.")
    clustered = f"clustered by {request.judge}" if request.judge else "from the exact Hessian"
    said.append(
        f"Standard errors {clustered}; ranks hold all at once with {100 * request.level:g} %."
    )
    return said


def _record(
    request: RankRequest, data: _Data, model: BradleyTerry, table: Ranking
) -> dict[str, Any]:
    """The same for programs."""
    items = [
        {
            "item": table.items[k],
            "score": table.scores[k],
            "standard_error": table.standard_errors[k],
            "low": table.low[k],
            "high": table.high[k],
            "rank_low": table.rank_low[k],
            "rank_high": table.rank_high[k],
            "component": table.component[k],
            **{name: of[k] for name, of in table.counts.items()},
        }
        for k in range(len(table.items))
    ]
    scored = set(table.items.tolist())
    return {
        "items": items,
        "without_score": [item for item in model.items_.tolist() if item not in scored],
        "unit": table.unit,
        "level": table.level,
        "comparisons": model.n_comparisons_,
        "rows_without_outcome": data.left_out,
        "log_likelihood": model.log_likelihood_,
        "tie": model.tie_,
        "neither": model.neither_,
        "order_effect": model.order_effect_,
        "covariates": dict(zip(request.covariates, model.coef_.tolist(), strict=True)),
        "certificate": _certificate(model),
    }


def _certificate(model: BradleyTerry) -> dict[str, Any]:
    """Its numbers, and sentences that speak of `penalty` where those of a regression speak of C."""
    record = certificate_record(model.certificate_)
    said = [sentence.replace("training rows", "comparisons") for sentence in record["in_words"]]
    if model.certificate_.kind == "stationary":
        said[-1] = (
            f"{model.certificate_.status.value} That the estimate exists was proven. For a proven "
            "distance to the optimum as well, give a `penalty` (--penalty) above 0."
        )
    return {**record, "in_words": said}


def _report(request: RankRequest, data: _Data, model: BradleyTerry, table: Ranking) -> None:
    given = {name: data.options[name] for name in ("order", "covariates") if name in data.options}
    notes = []
    if data.left_out:
        notes.append(f"{data.left_out} rows without an outcome were left out.")
    without = len(model.items_) - len(table.items)
    if without:
        notes.append(
            f"{without} items have no score: wins do not lead from them to the others and back."
        )
    facts = RankingFacts(
        title=f"Ranking from {request.file.name}",
        model=model,
        ranking=table,
        calibration=calibration(model),
        fit=goodness_of_fit(model),
        tests=likelihood_ratio_tests(model) if model.penalty_ == 0 else (),
        surprises=[
            replace(found, row=int(data.columns.lines[found.row]))
            for found in surprising_results(model, data.X, data.y, **given)
        ],
        row_name=data.columns.unit,
        notes=notes,
        standard_errors=(
            f"residuals clustered by {request.judge}" if request.judge else "the exact Hessian"
        ),
        command=request.command,
    )
    write_ranking_report(str(request.report), facts)
