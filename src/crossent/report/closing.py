"""The report's end: the model, the data, how to do it again, and the words used."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from crossent.report import html
from crossent.report.facts import Facts

__all__ = ["glossary", "model", "reproduction"]

_PACKAGES = ("crossent", "numpy", "scipy", "scikit-learn", "numba", "matplotlib")
_ROWS_SHOWN = 40

_WORDS = {
    "Row, class, feature": "an example; what it is; one of the numbers that describe it.",
    "Cross-entropy": "the mean of −log(probability that the model gave to the right class). "
    "0 is perfect.",
    "Nats and bits": "units of cross-entropy, from the natural and the binary logarithm. "
    "1 nat is 1.44 bits.",
    "Surprisal": "−log(probability of what happened): the cross-entropy of one row.",
    "Objective": "what the fit makes as small as it can: the cross-entropy of the training rows "
    "plus a penalty on large weights.",
    "Duality gap": "a number, computed from the solution, by which the objective could at most "
    "still fall. The relative gap is its share of the best possible objective.",
    "Kullback-Leibler divergence": "how many nats are lost by using one set of probabilities where "
    "another is right.",
    "Weights and logits": "a class’s logit is the sum of the features times its weights; softmax "
    "turns logits into probabilities.",
    "Pass": "one walk over all training rows.",
    "Calibration": "whether 80 % of the rows with confidence 80 % are right, and so on.",
    "Temperature": "a number that all logits are divided by: above 1 it makes a model less sure of "
    "itself, and changes no prediction.",
}


def model(facts: Facts, /) -> str:
    """Parameters, penalty, classes, features, schema, data."""
    found = [_facts_table(_model_lines(facts))]
    data = _data_lines(facts)
    if data:
        found = [f'<div class="pair"><div>{found[0]}</div><div>{_facts_table(data)}</div></div>']
    found.append(_folded("Parameters", _parameters(facts.model)))
    found.append(_folded("Classes", _classes(facts)))
    schema = getattr(facts.model, "schema_", None)
    if schema is not None:
        found.append(_folded("Features of the training rows", _schema(facts, schema)))
    return html.section("The model", "".join(found))


def _model_lines(facts: Facts) -> list[tuple[str, str]]:
    """Names and values, as HTML."""
    fitted = facts.model
    n, d = facts.shape
    lines = [
        ("type", f"<code>{html.escaped(type(fitted).__name__)}</code>"),
        ("training rows", html.integer(n)),
        ("features", html.integer(d)),
        ("classes", str(len(facts.names))),
    ]
    if hasattr(fitted, "coef_"):
        coefficients = np.size(fitted.coef_) + np.size(getattr(fitted, "intercept_", ()))
        lines.append(("coefficients", html.integer(float(coefficients))))
    parameters = fitted.get_params() if hasattr(fitted, "get_params") else {}
    if "C" in parameters:
        lines.append(("C", html.escaped(f"{parameters['C']:g}")))
    if getattr(fitted, "penalty_", None) is not None:
        lines.append(("penalty λ", html.scientific(float(fitted.penalty_))))
    if facts.calibrator is not None:
        lines.append(("calibrated by", html.escaped(facts.calibrator.method)))
    if facts.certificate is not None:
        lines.append(("objective", f"{facts.certificate.objective:.8g} nats"))
    return lines


def _data_lines(facts: Facts) -> list[tuple[str, str]]:
    """What the caller said about the data."""
    details = facts.details
    pairs = [
        ("data", details.data_name),
        ("description", details.description),
        ("preprocessing", details.preprocessing),
        ("test rows", details.test_rows),
        ("source", details.source),
        ("licence", details.licence),
    ]
    return [(name, html.data(value, 400)) for name, value in pairs if value]


def _parameters(fitted: Any) -> str:
    """Of the constructor."""
    parameters = fitted.get_params(deep=False) if hasattr(fitted, "get_params") else {}
    rows = [
        [f"<code>{html.escaped(name)}</code>", html.data(repr(value), 80)]
        for name, value in sorted(parameters.items())
    ]
    return html.table(["parameter", "value"], rows)


def _classes(facts: Facts) -> str:
    """Each class with its training rows."""
    weights = facts.train.sample_weight
    mass = (
        np.bincount(facts.train.labels, weights, minlength=len(facts.names))
        if facts.train.targets is None
        else weights @ facts.train.targets
    )
    rows = [
        [html.data(name), html.integer(float(held)), html.percent(float(held / mass.sum()))]
        for name, held in zip(facts.names, mass, strict=True)
    ]
    return html.table(["class", "training rows", "share"], rows, numbers=(1, 2))


def _schema(facts: Facts, schema: Any) -> str:
    """Names, types and ranges; the first of many."""
    names = facts.details.feature_names or schema.names
    d = len(schema.minimum)
    types = schema.dtypes if len(schema.dtypes) == d else tuple(schema.dtypes) * d
    rows = [
        [
            html.data(f"column {column}" if names is None else names[column]),
            html.escaped(types[column]),
            f"{float(schema.minimum[column]):.6g}",
            f"{float(schema.maximum[column]):.6g}",
        ]
        for column in range(min(d, _ROWS_SHOWN))
    ]
    low, high = float(np.min(schema.minimum)), float(np.max(schema.maximum))
    more = f"<p>The first {_ROWS_SHOWN} of {html.integer(d)}." if d > _ROWS_SHOWN else "<p>"
    span = f"{more} All values lie between {low:.6g} and {high:.6g}.</p>"
    return span + html.table(["feature", "type", "smallest", "largest"], rows, numbers=(2, 3))


def reproduction(facts: Facts, /) -> str:
    """Command, versions, date."""
    command = facts.details.command
    created = facts.details.created or datetime.now(UTC).astimezone()
    lines = [
        ("date", created.strftime("%Y-%m-%d %H:%M %Z").strip()),
        ("Python", platform.python_version()),
    ]
    lines += [(name, known) for name in _PACKAGES if (known := _version(name))]
    lines.append(("machine", f"{platform.system()} {platform.machine()}"))
    asked = (
        f'<p>Run</p><pre tabindex="0"><code>{html.escaped(command)}</code></pre>'
        if command
        else "<p>Fit the model with the parameters above on the same rows.</p>"
    )
    return html.section(
        "How to do it again", asked + _facts_table([(n, html.escaped(v)) for n, v in lines])
    )


def glossary() -> str:
    """The words that a newcomer may not know."""
    entries = "".join(
        f"<div><dt>{word}</dt><dd>{meaning}</dd></div>" for word, meaning in _WORDS.items()
    )
    return html.section("Words used here", f'<dl class="columns">{entries}</dl>')


def _facts_table(lines: list[tuple[str, str]]) -> str:
    """Two columns without a header."""
    rows = "".join(
        f'<tr><th scope="row" class="key">{name}</th><td>{value}</td></tr>' for name, value in lines
    )
    return f'<div class="scroll" tabindex="0"><table>{rows}</table></div>'


def _folded(name: str, body: str) -> str:
    """A part that opens on a click."""
    return f"<details><summary>{name}</summary>{body}</details>"


def _version(package: str) -> str | None:
    """Of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
