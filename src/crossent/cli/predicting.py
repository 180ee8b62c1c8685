"""``crossent predict``: classes and probabilities of rows, a table's piece by piece."""

import csv
import io
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from crossent.cli.files import check_outputs
from crossent.cli.messages import Messages
from crossent.cli.models import (
    load_classifier,
    reading_for,
    wanted_of,
    whole_rows,
)
from crossent.cli.outcome import shown_warnings
from crossent.cli.output import plain
from crossent.cli.rows import Part
from crossent.cli.tables import Wanted, cells_named, rows_wanted
from crossent.datasets import (
    Reading,
    frame_columns,
    stream_frames,
    target_names,
    to_names,
)
from crossent.persistence import written_atomically

__all__ = ["Prediction", "run_predict"]

_PIECE_NUMBERS = 1 << 20  # probabilities that are held, and written, at a time


@dataclass(frozen=True)
class Prediction:
    """What a model says about some rows.

    Attributes
    ----------
    y : ndarray, shape (n,), or None
        The rows' own classes, where they are known.
    classes : ndarray, shape (q,)
    log_probabilities : ndarray, shape (n, q)
    surprisal : ndarray, shape (n,), or None
        In nats; None where the classes of the rows are not known, NaN where the model does not
        know a row's class.
    names : sequence of str or None
        Of the rows, such as the files of images.
    """

    y: npt.NDArray[Any] | None
    classes: npt.NDArray[Any]
    log_probabilities: npt.NDArray[np.float64]
    surprisal: npt.NDArray[np.float64] | None
    names: tuple[str, ...] | None = None


def run_predict(
    model_file: Path,
    data: str,
    messages: Messages,
    *,
    reading: Reading,
    part: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write class and probabilities of each row, and its surprisal where its class is known."""
    check_outputs({"--output": output}, {"MODEL": str(model_file), "DATA": data})
    rows = unknown = 0
    with messages.moving_line(f"reading {data}") as show, shown_warnings(messages):
        model = load_classifier(model_file)
        with _destination(output) as file:
            for piece in _predictions(model, data, reading, part):
                _write(piece, file, as_json=as_json, header=rows == 0)
                rows += len(piece.log_probabilities)
                unknown += 0 if piece.surprisal is None else int(np.isnan(piece.surprisal).sum())
                show(f"{rows} rows predicted")
    if unknown:
        messages.warn(
            f"{unknown} of {rows} rows have a class that the model does not know; their surprisal "
            "is left empty."
        )
    if output is not None:
        messages.say(f"{rows} rows of {Path(data).name}: written to {output}")


@contextmanager
def _destination(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears complete or not at all."""
    if output is None:
        yield sys.stdout
        return
    with written_atomically(output) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        yield text
        text.detach().flush()


def _predictions(model: Any, data: str, reading: Reading, part: str) -> Iterator[Prediction]:
    """Predictions of all rows, those of a table in pieces that fit into memory."""
    wanted = wanted_of(model, data)
    if wanted is None:
        yield _predicted(model, whole_rows(model, data, reading, part))
        return
    target = _target_in(model, data, reading, wanted)
    skipped = 0
    for frame in _pieces(data, len(model.classes_)):
        X = rows_wanted(frame, wanted, source=data, skipped=skipped)
        y = None if target is None else _classes(model, frame, target)
        with cells_named(data, skipped=skipped):
            yield _predicted(model, Part(X, y, data))
        skipped += len(frame)


def _pieces(data: str, n_classes: int) -> Iterator[Any]:
    """A table's frames, cut so that many classes take no more memory than few."""
    rows = max(1, _PIECE_NUMBERS // n_classes)
    for frame in stream_frames(data):
        for start in range(0, len(frame), rows):
            yield frame[start : start + rows]


def _target_in(model: Any, data: str, reading: Reading, wanted: Wanted) -> str | None:
    """Column of the table with the rows' classes; None if there is none."""
    columns = frame_columns(data)
    if reading.target is not None:
        return target_names(columns, reading, Path(data))[0]
    remembered = reading_for(model, reading)
    if remembered.target_columns:
        return None  # a row with votes has no class of which to tell the surprisal
    if remembered.target is not None:
        return remembered.target if remembered.target in columns else None
    return None if columns[-1] in wanted.names else columns[-1]


def _classes(model: Any, frame: Any, target: str) -> npt.NDArray[Any]:
    """Class of each row, as the model names it; the cell's text where it knows no such class."""
    names = to_names(frame.get_column(target)).fill_null("").to_list()
    known = {str(name): name for name in model.classes_.tolist()}
    known |= {name.lower(): value for name, value in known.items() if isinstance(value, bool)}
    return np.array([known.get(name, name) for name in names], dtype=object)


def _predicted(model: Any, rows: Part) -> Prediction:
    """Log-probabilities, and surprisal where the class is known to the model."""
    log_probabilities = model.predict_log_proba(rows.X)
    if rows.y is None or rows.y.ndim == 2:
        return Prediction(None, model.classes_, log_probabilities, None, rows.names)
    number_of = {name: number for number, name in enumerate(model.classes_.tolist())}
    labels = np.array([number_of.get(name, -1) for name in rows.y.tolist()])
    known = np.flatnonzero(labels >= 0)
    surprisal = np.full(len(labels), np.nan)
    surprisal[known] = -log_probabilities[known, labels[known]]
    return Prediction(rows.y, model.classes_, log_probabilities, surprisal, rows.names)


def _write(prediction: Prediction, file: TextIO, *, as_json: bool, header: bool) -> None:
    if as_json:
        for record in _records(prediction):
            file.write(json.dumps(plain(record), ensure_ascii=False, allow_nan=False) + "\n")
        return
    writer = csv.writer(file, lineterminator="\n")
    if header:
        named = ["file"] if prediction.names is not None else []
        extra = ["target", "surprisal"] if prediction.surprisal is not None else []
        probabilities = (f"probability_{name}" for name in prediction.classes)
        writer.writerow([*named, "class", *extra, *probabilities])
    for record in _records(prediction):
        values = record.pop("probabilities").values()
        writer.writerow([*record.values(), *values])


def _records(prediction: Prediction) -> Iterator[dict[str, Any]]:
    """One record a row; plain Python values, so that CSV holds the shortest exact decimals."""
    names = prediction.classes.tolist()
    texts = [str(name) for name in names]
    columns: dict[str, Sequence[Any]] = {}
    if prediction.names is not None:
        columns["file"] = prediction.names
    columns["class"] = [names[j] for j in prediction.log_probabilities.argmax(axis=1).tolist()]
    if prediction.surprisal is not None and prediction.y is not None:
        columns["target"] = prediction.y.tolist()
        surprisal = prediction.surprisal.tolist()
        columns["surprisal"] = [None if math.isnan(value) else value for value in surprisal]
    probabilities = np.exp(prediction.log_probabilities).tolist()
    for *values, row in zip(*columns.values(), probabilities, strict=True):
        record = dict(zip(columns, values, strict=True))
        yield record | {"probabilities": dict(zip(texts, row, strict=True))}
