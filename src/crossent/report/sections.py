"""The report's first half: verdict, key numbers, certificate, cross-entropy, accuracy."""

import math

import numpy as np

from crossent.inspection import Evaluation, certificate_in_words, confusion, verdict
from crossent.report import html
from crossent.report.facts import Facts

__all__ = ["accuracy", "cards", "certificate", "cross_entropy", "heading"]


def heading(facts: Facts, /) -> str:
    """Title, verdict and one line."""
    said = verdict(facts.certificate)
    result = facts.judged_result
    right = "are expected to be right" if result.soft_targets else "are right"
    line = (
        f"{html.percent(result.accuracy)} of the predictions for "
        f"{html.integer(result.n_rows)} {facts.judged_name} rows {right}; the cross-entropy is "
        f"{_nats(result.cross_entropy)}. {html.sentence(said.sentence)}"
    )
    mark = html.badge(said.badge, said.tone)
    return (
        f"<header><h1>{html.escaped(facts.title)}</h1>"
        f'<p class="lead">{mark}</p><p class="lead">{line}</p></header>'
    )


def cards(facts: Facts, /) -> str:
    """The key numbers."""
    result = facts.judged_result
    low, high = result.accuracy_interval
    name = facts.judged_name.capitalize()
    n, d = facts.shape
    found = [
        html.card(
            f"{name} accuracy",
            html.percent(result.accuracy),
            f"95 % interval {html.percent(low)} to {html.percent(high)}"
            if facts.test is not None
            else "of the rows it was fitted to",
        ),
        html.card(
            f"{name} cross-entropy",
            _nats(result.cross_entropy),
            f"{_bits(result.cross_entropy)}; with no knowledge {_bits(result.uniform_baseline)}",
        ),
        *_certificate_cards(facts),
        html.card(
            "Training rows",
            html.integer(n),
            f"{html.integer(d)} features, {len(facts.names)} classes",
        ),
    ]
    return f'<div class="cards">{"".join(found)}</div>'


def _certificate_cards(facts: Facts) -> list[str]:
    """How close to the optimum, and how long it took."""
    certificate = facts.certificate
    if certificate is None:
        seconds = facts.details.seconds
        return [] if seconds is None else [html.card("Fit", _seconds(seconds), "wall time")]
    if certificate.kind == "gap":
        value = html.scientific(certificate.relative_gap)
        bounded = math.isfinite(certificate.relative_gap)
        distance = html.card(
            "Relative gap",
            f"≤ {value}" if bounded else value,
            "proven distance to the best objective" if bounded else "nothing is proven",
        )
    else:
        distance = html.card(
            "Gradient norm",
            html.scientific(certificate.gradient_norm),
            "0 at the optimum; no bound",
        )
    time = html.card(
        "Fit", _seconds(certificate.seconds), f"{certificate.passes} passes over the rows"
    )
    return [distance, time]


def certificate(facts: Facts, /) -> str:
    """The certificate in words."""
    if facts.certificate is None:
        return html.section(
            "How close to the optimum?",
            "<p>This model carries no certificate: nothing is known about how far its coefficients "
            "are from the optimum. <code>crossent.SoftmaxRegression</code> proves it.</p>",
        )
    sentences = [
        f"<li>{html.sentence(sentence)}</li>"
        for sentence in certificate_in_words(facts.certificate)
    ]
    return html.section(
        "How close to the optimum?", f"<ul>{''.join(sentences)}{_remarks(facts)}</ul>"
    )


def _remarks(facts: Facts) -> str:
    """Classes without rows, and separable data."""
    found = []
    absent = np.atleast_1d(np.asarray(getattr(facts.model, "absent_classes_", ())))
    if absent.size:
        listed = ", ".join(html.data(name) for name in absent[:20].tolist())
        more = f" and {absent.size - 20} more" if absent.size > 20 else ""
        found.append(
            "<li>No training row has these classes, so they have probability 0: "
            f"{listed}{more}.</li>"
        )
    penalised = facts.certificate is not None and facts.certificate.kind == "gap"
    if penalised and getattr(facts.model, "separable_", None):
        found.append(
            "<li>Planes separate the classes of the training rows: only the penalty keeps the "
            "weights finite.</li>"
        )
    return "".join(found)


def cross_entropy(facts: Facts, picture: str, /) -> str:
    """Both sets of rows beside the baselines."""
    results = {"training": facts.train_result}
    if facts.test_result is not None:
        results["test"] = facts.test_result
    soft = any(result.soft_targets for result in results.values())
    header = ["cross-entropy", *(f"{name} rows" for name in results)]
    rows = [
        _entropy_row("this model", results, "cross_entropy"),
        _entropy_row("class frequencies", results, "frequency_baseline"),
        _entropy_row("uniform", results, "uniform_baseline"),
    ]
    if soft:
        rows.append(_entropy_row("entropy of the targets, H(y)", results, "target_entropy"))
        rows.append(_entropy_row("this model above it, KL(y ‖ p)", results, "divergence"))
    error = facts.judged_result.cross_entropy_standard_error
    text = (
        f"<p>{_meaning(facts.judged_result, facts.judged_name)}</p>"
        f"{html.table(header, rows, numbers=range(1, len(header)))}"
        "<p class='muted'>“Class frequencies” gives every row the shares of the classes among the "
        "training rows; “uniform” gives every class the same probability."
        + (
            f" The standard error of the {facts.judged_name} value is {error:.2g} nats."
            if math.isfinite(error)
            else ""
        )
        + (
            " The targets are distributions; no model gets below their entropy (the tick "
            "across each bar)."
            if soft
            else ""
        )
        + "</p>"
    )
    return html.section("Cross-entropy", f'<div class="pair">{picture}<div>{text}</div></div>')


def _meaning(result: Evaluation, name: str) -> str:
    """What the number says to somebody who meets it for the first time."""
    if not math.isfinite(result.cross_entropy):
        return (
            f"The cross-entropy of the {name} rows is infinite: the model gives probability 0 to "
            "the class of at least one row."
        )
    return (
        f"To tell somebody the class of a {name} row takes {_bits(result.cross_entropy)} on "
        f"average if both sides know this model, and {_bits(result.uniform_baseline)} if they know "
        "nothing. Fewer bits mean better probabilities."
    )


def _entropy_row(name: str, results: dict[str, Evaluation], field: str) -> list[str]:
    """One line of the table: nats and bits for each set of rows."""
    values = [getattr(result, field) for result in results.values()]
    return [
        name,
        *(f"{_nats(value)}<br><span class='muted'>{_bits(value)}</span>" for value in values),
    ]


def accuracy(facts: Facts, /) -> str:
    """Accuracy of both sets with intervals."""
    results = [("training", facts.train_result)]
    if facts.test_result is not None:
        results.append(("test", facts.test_result))
    rows = [
        [
            f"{html.integer(result.n_rows)} {name}",
            html.percent(result.accuracy),
            " to ".join(html.percent(end) for end in result.accuracy_interval)
            if name == "test"
            else "–",
        ]
        for name, result in results
    ]
    largest = confusion(facts.judged).counts.sum(axis=1)
    share = float(largest.max() / largest.sum())
    text = (
        f"<p>Always saying the most frequent class would be right for {html.percent(share)} of the "
        f"{facts.judged_name} rows."
    )
    if facts.judged_result.soft_targets:
        text += (
            " The targets are distributions, so this is the expected accuracy: the mean share of "
            "the target on the predicted class."
        )
    text += (
        " If test rows were drawn again and again, 95 of 100 such (Wilson) intervals would "
        "hold the accuracy on all rows of their kind.</p>"
        if facts.test is not None
        else " The model was fitted to these rows; expect less on new ones.</p>"
    )
    header = ["rows", "accuracy", "95 % interval"]
    return html.section("Accuracy", html.table(header, rows, numbers=(1, 2)) + text)


def _nats(value: float) -> str:
    """Four digits."""
    return f"{html.digits(value, 4)} nats" if math.isfinite(value) else "infinite"


def _bits(value: float) -> str:
    """Three digits."""
    return f"{html.digits(value / math.log(2), 3)} bits" if math.isfinite(value) else "infinite"


def _seconds(value: float) -> str:
    """0.23 s, 2.1 s, 3 min 20 s."""
    if value < 60:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes} min {seconds} s"
