"""A model card: what a model is, in Markdown, for people who only have the file."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from crossent import __version__
from crossent.inspection import Evaluation, certificate_in_words, classifier_of, encoder_of

__all__ = ["model_card"]

_CLASSES_SHOWN, _COLUMNS_SHOWN = 50, 100
_LOG_2 = math.log(2)


def model_card(
    model: Any,
    /,
    *,
    name: str = "model",
    evaluations: Mapping[str, Evaluation] | None = None,
    licence: str | None = None,
) -> str:
    """Markdown with the header that model hubs read.

    Parameters
    ----------
    model : classifier or pipeline
        Fitted.
    name : str
        Title of the card.
    evaluations : mapping of str to Evaluation, optional
        By the name of the rows; see `crossent.inspection.evaluate`.
    licence : str, optional
        Identifier for the header, such as "bsd-3-clause".

    Returns
    -------
    str
        What is known of the model: its classes, columns and their encoding, penalty, certificate,
        evaluations, and what it does with gaps and unknown values. No claims beyond that.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from crossent import SoftmaxRegression
    >>> card = model_card(SoftmaxRegression().fit(*load_iris(return_X_y=True)), name="iris")
    >>> card.splitlines()[0], "## Certificate" in card
    ('---', True)
    """
    classifier, encoder = classifier_of(model), encoder_of(model)
    parts = [
        _header(licence),
        f"# {_line(name)}\n\n{_what(classifier)}",
        _classes(classifier),
        _columns(encoder) if encoder is not None else _features(classifier),
        _certificate(classifier),
        _results(evaluations or {}),
        _limits(encoder),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(licence: str | None) -> str:
    lines = ["---", "library_name: crossent"]
    lines += [f"license: {json.dumps(_line(licence))}"] if licence else []
    return "\n".join([*lines, "tags:", "- softmax-regression", "- tabular-classification", "---"])


def _what(classifier: Any) -> str:
    inner = getattr(classifier, "estimator_", classifier)
    q, d = len(classifier.classes_), int(getattr(inner, "n_features_in_", 0))
    C = getattr(inner, "C_", None)
    C = C if C is not None else getattr(inner, "C", None)
    penalty = "" if C is None else f", C = {C:.6g}"
    return (
        f"A {type(inner).__name__} with {q} classes and {d} features{penalty}, fitted with "
        f"crossent {__version__}. It gives the probabilities softmax(W x + b)."
        + _calibration(classifier)
    )


def _calibration(classifier: Any) -> str:
    """A sentence, if the probabilities were calibrated."""
    calibrator = getattr(classifier, "calibrator_", None)
    if calibrator is None:
        return ""
    return (
        f" They were calibrated afterwards (method {calibrator.method}, temperature "
        f"{calibrator.temperature.temperature:.4g}), which changed the cross-entropy of the rows "
        f"calibrated on from {calibrator.log_loss_before:.4f} to {calibrator.log_loss_after:.4f} "
        "nats; the certificate below is of the fit before."
    )


def _classes(classifier: Any) -> str:
    names = [_cell(name) for name in classifier.classes_.tolist()]
    more = f" and {len(names) - _CLASSES_SHOWN} more" if len(names) > _CLASSES_SHOWN else ""
    absent = [_cell(name) for name in np.ravel(getattr(classifier, "absent_classes_", ()))]
    without = f"\n\nNo training row had {', '.join(absent)}: probability 0." if absent else ""
    return f"## Classes\n\n{', '.join(names[:_CLASSES_SHOWN])}{more}{without}"


def _features(classifier: Any) -> str:
    schema = getattr(classifier, "schema_", None)
    if schema is None:
        return ""
    if schema.image_shape is not None:
        size = " by ".join(map(str, schema.image_shape))
        return f"## Features\n\nPixels of images of {size}, from 0 to 1."
    names = schema.names or tuple(f"column {j}" for j in range(len(schema.minimum)))
    rows = [
        f"| {_cell(names[j])} | {schema.minimum[j]:.6g} | {schema.maximum[j]:.6g} |"
        for j in range(min(len(names), _COLUMNS_SHOWN))
    ]
    more = len(names) - len(rows)
    head = "## Features\n\n| feature | smallest | largest |\n|---|---|---|\n"
    return head + "\n".join(rows) + (f"\n\n{more} more." if more else "")


def _columns(encoder: Any) -> str:
    rows = [
        f"| {_cell(c.name)} | {'left out' if c.kind == 'drop' else c.kind} | {_cell(c.reason)} | "
        f"{c.missing} |"
        for c in encoder.columns_[:_COLUMNS_SHOWN]
    ]
    head = "## Columns\n\n| column | taken as | because | missing |\n|---|---|---|---|\n"
    more = len(encoder.columns_) - len(rows)
    return head + "\n".join(rows) + (f"\n\n{more} more." if more else "")


def _certificate(classifier: Any) -> str:
    certificate = getattr(classifier, "certificate_", None)
    if certificate is None:
        return "## Certificate\n\nNone: how far the weights are from the optimum is not known."
    sentences = "\n".join(f"- {sentence}" for sentence in certificate_in_words(certificate))
    return f"## Certificate\n\n{sentences}"


def _results(evaluations: Mapping[str, Evaluation]) -> str:
    if not evaluations:
        return "## Evaluation\n\nNone was made for this card."
    head = (
        "## Evaluation\n\n| rows | number | accuracy (95 % interval) | cross-entropy, bits | of "
        "the class frequencies, bits |\n|---|---|---|---|---|\n"
    )
    return head + "\n".join(
        f"| {_cell(name)} | {e.n_rows} | {100 * e.accuracy:.2f} % "
        f"({100 * e.accuracy_interval[0]:.2f} to {100 * e.accuracy_interval[1]:.2f}) | "
        f"{e.cross_entropy / _LOG_2:.4f} | {e.frequency_baseline / _LOG_2:.4f} |"
        for name, e in evaluations.items()
    )


def _limits(encoder: Any) -> str:
    lines = ["- It knows no class but those above, and always divides probability 1 among them."]
    if encoder is not None:
        lines += [
            "- A missing number counts as the training median, a missing boolean as the more "
            "frequent one, a missing category as a value of its own if training rows had such.",
            f"- Categories with fewer than {encoder.min_frequency} training rows, and new ones, "
            "share one weight if there were any such in training; otherwise new ones carry none.",
        ]
    else:
        lines.append("- It takes no missing values.")
    return "## What it does not do\n\n" + "\n".join(lines)


def _line(text: object) -> str:
    return " ".join(str(text).split())


def _cell(text: object) -> str:
    """Text from data in a table of Markdown: no line breaks, bars or tags."""
    line = _line(text).replace("\\", "\\\\").replace("|", "\\|")
    return line.replace("<", "&lt;").replace("`", "\\`")[:200]
