"""A certificate and evaluations, as text for people and as records for JSON."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from crossent.certificate import Certificate
from crossent.inspection import Evaluation, certificate_in_words, verdict

__all__ = [
    "certificate_record",
    "certificate_text",
    "columns_table",
    "evaluation_table",
    "path_record",
    "path_table",
]

_LOG_2 = math.log(2)


def certificate_record(certificate: Certificate, /) -> dict[str, Any]:
    """The certificate's numbers, its status by name, and its sentences."""
    return asdict(certificate) | {
        "status": certificate.status.name.lower(),
        "converged": certificate.converged,
        "in_words": list(certificate_in_words(certificate)),
    }


def certificate_text(certificate: Certificate, /) -> Group:
    """Badge and effort, and below them a sentence to a line."""
    short = verdict(certificate)
    style = {"good": "bold green", "warning": "bold yellow", "neutral": "bold"}[short.tone]
    effort = f", {certificate.passes} passes over the data, {certificate.seconds:.2f} s"
    sentences = (Text(sentence) for sentence in certificate_in_words(certificate))
    return Group(
        Text.assemble("Certificate: ", (short.badge, style), effort),
        *(Padding(sentence, (0, 0, 0, 2), expand=False) for sentence in sentences),
    )


def columns_table(encoder: Any, /) -> Table:
    """What each column of a table was taken for, and why."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("column", "taken as", "because", "missing"):
        table.add_column(heading, justify="right" if heading == "missing" else "left")
    for column in encoder.columns_:
        kind = "left out" if column.kind == "drop" else column.kind
        table.add_row(column.name, kind, column.reason, str(column.missing or ""))
    return table


def path_table(model: Any, /) -> Table:
    """Each C with its held-out score, and which one was chosen."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    loss = model.scoring in (None, "neg_log_loss")
    for heading in ("C", "held-out cross-entropy, nats" if loss else "held-out score", "± error"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for C, mean, error in zip(model.Cs_, model.mean_scores_, model.standard_errors_, strict=True):
        chosen = "chosen" if model.C_ == C else ""
        table.add_row(f"{C:.4g}", _short(-mean if loss else mean), f"{error:.2g}", chosen)
    return table


def path_record(model: Any, /) -> dict[str, Any]:
    """The path of C for JSON; nothing where none was walked."""
    if not hasattr(model, "mean_scores_"):
        return {}
    return {
        "path": {
            "C": model.C_,
            "Cs": model.Cs_,
            "mean_scores": model.mean_scores_,
            "standard_errors": model.standard_errors_,
            "largest_relative_gap": max(
                certificate.relative_gap for fold in model.certificates_ for certificate in fold
            ),
        }
    }


def evaluation_table(evaluations: Mapping[str, Evaluation], /) -> Table:
    """Cross-entropy beside its baselines and accuracy, a column for each set of rows."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=any(evaluations))
    table.add_column("")
    for name in evaluations:
        table.add_column(name, justify="right")
    columns = [_cells(evaluation) for evaluation in evaluations.values()]
    for label in columns[0]:
        table.add_row(label, *(column.get(label, "") for column in columns))
    return table


def _cells(evaluation: Evaluation) -> dict[str, str]:
    """Text of each row of the table."""
    low, high = evaluation.accuracy_interval
    nats = evaluation.cross_entropy
    cells = {
        "rows": str(evaluation.n_rows),
        "cross-entropy, nats": _short(nats),
        "cross-entropy, bits": _short(nats / _LOG_2),
        "  of the class frequencies, nats": _short(evaluation.frequency_baseline),
        "  of knowing nothing, nats": _short(evaluation.uniform_baseline),
        "accuracy": f"{100 * evaluation.accuracy:.2f} %",
        "  95 % interval": f"{100 * low:.2f} to {100 * high:.2f} %",
    }
    if evaluation.soft_targets:
        cells["  of the targets themselves, nats"] = _short(evaluation.target_entropy)
        cells["  above that: KL divergence, nats"] = _short(evaluation.divergence)
    return cells


def _short(entropy: float) -> str:
    """Four decimals, or two digits of what is too small for them."""
    return f"{entropy:.4f}" if entropy == 0 or entropy >= 1e-3 else f"{entropy:.2g}"
