"""The report as one HTML file, whole or not at all."""

import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Any

from crossent.errors import InputError
from crossent.report import (
    calibration,
    closing,
    encoding,
    further,
    html,
    penalties,
    pictures,
    sections,
)
from crossent.report.details import ReportDetails
from crossent.report.extras import ReportExtras
from crossent.report.facts import gather
from crossent.report.svg import figure_style

__all__ = ["ensure_writable", "render_report", "write_report"]


def write_report(
    path: str | os.PathLike[str],
    model: Any,
    *,
    train: tuple[Any, ...],
    test: tuple[Any, ...] | None = None,
    details: ReportDetails | None = None,
    extras: ReportExtras | None = None,
) -> None:
    """Write one self-contained HTML file about a fitted classifier.

    The file needs no network and no other file, has a light and a dark scheme, and is written
    whole or not at all: an earlier file of that name stays until the new one is complete.

    Parameters
    ----------
    path : path-like
    model : classifier
        Fitted, with probabilities. ``certificate_``, ``trace_``, ``coef_`` and ``schema_`` are
        shown where it has them.
        A pipeline is taken apart: its last step is explained, with the names that the steps before
        give to the features, and the encoding of a table's columns is listed.
    train, test : tuple
        As the model takes them: ``(X, y)`` or ``(X, y, sample_weight)``. Without test rows the
        pictures are of the training rows, and say so.
    details : ReportDetails, optional
    extras : ReportExtras, optional
        Suspicious labels, the learning curve, intervals of the coefficients.

    Raises
    ------
    InputError
        The path cannot be written to, or the rows do not fit the model.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=500).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(f"{folder}/iris.html", model, train=(X, y))
    ...     Path(folder, "iris.html").read_text(encoding="utf-8")[:15]
    '<!DOCTYPE html>'
    """
    ensure_writable(path)
    text = render_report(model, train=train, test=test, details=details, extras=extras)
    _replace(Path(os.path.realpath(path)), text.encode("utf-8"))


def render_report(
    model: Any,
    *,
    train: tuple[Any, ...],
    test: tuple[Any, ...] | None = None,
    details: ReportDetails | None = None,
    extras: ReportExtras | None = None,
) -> str:
    """The HTML that `write_report` writes."""
    facts = gather(model, train, test, details or ReportDetails(), extras or ReportExtras())
    with figure_style():
        parts = [
            sections.heading(facts),
            sections.cards(facts),
            sections.certificate(facts),
            sections.cross_entropy(facts, pictures.cross_entropy_picture(facts)),
            sections.accuracy(facts),
            pictures.confusions(facts),
            calibration.calibration(facts),
            pictures.surprising(facts),
            further.suspicious_labels(facts),
            further.learning_curve(facts),
            pictures.class_weights(facts),
            further.coefficients(facts),
            pictures.trace(facts),
            penalties.path(facts),
            encoding.columns(facts),
            closing.model(facts),
            closing.reproduction(facts),
            closing.glossary(),
        ]
    return html.page(facts.title, "\n".join(parts))


def ensure_writable(path: str | os.PathLike[str], /) -> None:
    """Raise an InputError if a report cannot be written to `path`; leaves nothing behind.

    Meant to be called before a long fit.

    Examples
    --------
    >>> ensure_writable("no such folder/report.html")
    Traceback (most recent call last):
    ...
    crossent.errors.InputError: The folder 'no such folder' does not exist. Create it first, or \
write the report elsewhere.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:
        message = f"{os.fspath(path)!r} cannot be a file name: {error}. Choose another."
        raise InputError(message) from error
    if mode is not None:
        _check_existing(path, mode)
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        message = (
            f"The folder {str(Path(path).parent)!r} does not exist. Create it first, or write the "
            "report elsewhere."
        )
        raise InputError(message)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        message = (
            f"No file can be written in the folder {str(folder)!r}: {error.strerror}. Change its "
            "permissions, or write the report elsewhere."
        )
        raise InputError(message) from error


def _check_existing(path: str | os.PathLike[str], mode: int) -> None:
    """Refuse folders, devices and files that are write-protected."""
    name = os.fspath(path)
    if stat.S_ISDIR(mode):
        example = os.path.join(name, "report.html")
        message = f"{name!r} is a folder. Give a file name, such as {example!r}."
    elif not stat.S_ISREG(mode):
        message = f"{name!r} is not an ordinary file. Give the name of a file to write."
    elif not os.access(path, os.W_OK):
        message = f"{name!r} is write-protected. Remove it, or write the report elsewhere."
    else:
        return
    raise InputError(message)


def _replace(path: Path, content: bytes) -> None:
    """Write beside the target, then rename over it."""
    temporary = path.with_name(f".crossent-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
