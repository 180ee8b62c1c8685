"""``crossent evaluate`` and ``crossent predict``: a saved model on other rows."""

import csv
import io
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from crossent.cli.files import check_outputs
from crossent.cli.messages import Messages
from crossent.cli.outcome import shown_warnings
from crossent.cli.output import plain, print_json, stdout
from crossent.cli.rows import Part, feature_names, part_of, select_features
from crossent.cli.summary import certificate_record, certificate_text, evaluation_table
from crossent.datasets import csv_columns, is_table, open_dataset, read_csv_features
from crossent.errors import InputError
from crossent.inspection import evaluate, predict_rows
from crossent.persistence import load, write_atomically

__all__ = ["Prediction", "run_evaluate", "run_predict"]


def run_evaluate(
    model_file: Path,
    data: str,
    messages: Messages,
    *,
    target: str | None,
    part: str,
    as_json: bool,
) -> None:
    """Print cross-entropy and accuracy of a saved model on labelled rows."""
    with messages.moving_line(f"reading {data}"), shown_warnings(messages):
        model = _classifier(model_file)
        rows = _labelled(model, data, target=target, part=part)
        evaluation = evaluate(model, rows.X, rows.y)
    certificate = getattr(model, "certificate_", None)
    if as_json:
        record = None if certificate is None else certificate_record(certificate)
        print_json(
            {"rows": rows.sentence, "evaluation": evaluation.as_dict(), "certificate": record}
        )
        return
    console = stdout()
    console.print(f"{model_file} on {rows.sentence}")
    console.print()
    console.print(evaluation_table({"": evaluation}))
    if certificate is not None and not certificate.converged:
        console.print()
        console.print(certificate_text(certificate))


def run_predict(
    model_file: Path,
    data: str,
    messages: Messages,
    *,
    target: str | None,
    part: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write class and probabilities of each row, and its surprisal where its class is known."""
    check_outputs({"--output": output}, {"MODEL": str(model_file), "DATA": data})
    with messages.moving_line(f"reading {data}"), shown_warnings(messages):
        model = _classifier(model_file)
        prediction = _predicted(model, _rows(model, data, target=target, part=part))
        unknown = 0 if prediction.surprisal is None else int(np.isnan(prediction.surprisal).sum())
        if unknown:
            messages.warn(
                f"{unknown} of {len(prediction.log_probabilities)} rows have a class that the "
                "model does not know; their surprisal is left empty."
            )
    if output is None:
        _write(prediction, sys.stdout, as_json=as_json)
        return
    text = io.StringIO(newline="")
    _write(prediction, text, as_json=as_json)
    write_atomically(output, text.getvalue().encode())
    messages.say(f"{prediction.rows.sentence}: written to {output}")


@dataclass(frozen=True)
class Prediction:
    """What a model says about some rows.

    Attributes
    ----------
    rows : Part
    classes : ndarray, shape (q,)
    log_probabilities : ndarray, shape (n, q)
    surprisal : ndarray, shape (n,), or None
        In nats; None where the classes of the rows are not known, NaN where the model does not
        know a row's class.
    """

    rows: Part
    classes: npt.NDArray[Any]
    log_probabilities: npt.NDArray[np.float64]
    surprisal: npt.NDArray[np.float64] | None


def _classifier(path: Path) -> Any:
    """The fitted classifier in a model file."""
    model = load(path)
    if not (hasattr(model, "classes_") and hasattr(model, "predict_log_proba")):
        message = (
            f"{path} holds a {type(model).__name__}, which is not a fitted classifier with "
            "probabilities. Give a model that `crossent fit` has written."
        )
        raise InputError(message)
    return model


def _labelled(model: Any, data: str, *, target: str | None, part: str) -> Part:
    """Rows with their classes, the columns in the model's order."""
    found = open_dataset(data, target=target)
    rows = part_of(found, part)
    rows = replace(rows, y=_in_the_models_terms(model, rows.y))
    return replace(rows, X=select_features(model, rows.X, found.feature_names, source=data))


def _rows(model: Any, data: str, *, target: str | None, part: str) -> Part:
    """Rows with their classes, or without where a table does not have them."""
    labelled = target is not None or not is_table(data)
    if labelled or not _is_feature(model, csv_columns(data)):
        return _labelled(model, data, target=target, part=part)
    X, names = read_csv_features(data)
    X = select_features(model, X, names, source=data)
    return Part(X, None, f"{len(X)} rows of {Path(data).name}")


def _is_feature(model: Any, columns: tuple[str, ...]) -> bool:
    """Whether the last column, by default the class, is one of the model's features."""
    names = feature_names(model)
    return len(columns) == model.n_features_in_ if names is None else columns[-1] in names


def _predicted(model: Any, rows: Part) -> Prediction:
    if rows.y is None:
        return Prediction(rows, model.classes_, model.predict_log_proba(rows.X), None)
    known = np.isin(rows.y, model.classes_)
    if known.all():
        found = predict_rows(model, rows.X, rows.y)
        return Prediction(rows, found.classes, found.log_probabilities, found.surprisal)
    log_probabilities = model.predict_log_proba(rows.X)
    surprisal = np.full(len(known), np.nan)
    if known.any():
        surprisal[known] = predict_rows(model, rows.X[known], rows.y[known]).surprisal
    return Prediction(rows, model.classes_, log_probabilities, surprisal)


def _in_the_models_terms(model: Any, y: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
    """Cells "True" and "False" as booleans, if the model's classes are."""
    if y is None or model.classes_.dtype != np.bool_ or not np.isin(y, ["True", "False"]).all():
        return y
    return np.asarray(y == "True")


def _write(prediction: Prediction, file: TextIO, *, as_json: bool) -> None:
    if as_json:
        for record in _records(prediction):
            file.write(json.dumps(plain(record), ensure_ascii=False, allow_nan=False) + "\n")
        return
    known = prediction.surprisal is not None
    writer = csv.writer(file, lineterminator="\n")
    extra = ["target", "surprisal"] if known else []
    writer.writerow(["class", *extra, *(f"probability_{name}" for name in prediction.classes)])
    for record in _records(prediction):
        probabilities = record.pop("probabilities").values()
        writer.writerow([*record.values(), *probabilities])


def _records(prediction: Prediction) -> Iterator[dict[str, Any]]:
    """One record a row; plain Python values, so that CSV holds the shortest exact decimals."""
    names = prediction.classes.tolist()
    chosen = prediction.log_probabilities.argmax(axis=1).tolist()
    probabilities = np.exp(prediction.log_probabilities)
    for row, label in enumerate(chosen):
        record: dict[str, Any] = {"class": names[label]}
        if prediction.surprisal is not None and prediction.rows.y is not None:
            record["target"] = prediction.rows.y[row].item()
            surprisal = prediction.surprisal[row].item()
            record["surprisal"] = None if math.isnan(surprisal) else surprisal
        values = probabilities[row].tolist()
        yield record | {"probabilities": dict(zip(map(str, names), values, strict=True))}
