"""``crossent code``: labels into a file and out of it, with a saved model."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from crossent._arrays import check_choice
from crossent.cli.files import check_outputs
from crossent.cli.messages import Messages
from crossent.cli.models import labelled, load_classifier, rows_alone
from crossent.cli.outcome import shown_warnings
from crossent.cli.output import plain, print_json, stdout
from crossent.cli.tables import cells_named
from crossent.datasets import Reading
from crossent.errors import CodeError
from crossent.labels import CodeLengths, code_lengths, decode_labels
from crossent.labels.transmission import encode
from crossent.persistence import write_atomically

__all__ = ["run_decode", "run_encode"]

_PARTS = ("auto", "train", "test", "all")


def run_encode(
    model_file: Path,
    data: str,
    messages: Messages,
    *,
    output: Path | None,
    target: str | None,
    part: str,
    as_json: bool,
) -> None:
    """Code the classes of rows, write them if `output` is given, and print what they take."""
    check_choice(part, "--part", _PARTS)
    check_outputs({"--output": output}, {"MODEL": str(model_file), "DATA": data})
    with messages.moving_line(f"reading {data}"), shown_warnings(messages):
        model = load_classifier(model_file)
        rows = labelled(model, data, Reading(target=target), part)
        with cells_named(data):
            encoded = encode(model, rows.X, rows.y)
            lengths = code_lengths(model, rows.X, rows.y, encoded=encoded)
    if output is not None:
        write_atomically(output, encoded.data)
        messages.say(f"{len(encoded.data)} bytes written to {output}")
    if as_json:
        print_json({"rows": rows.sentence, "file": output, "lengths": asdict(lengths)})
        return
    console = stdout()
    console.print(f"Classes of {rows.sentence}, coded with {model_file}")
    console.print()
    console.print(_table(lengths))
    if lengths.zstd_bits is None:
        messages.say("zstd is not installed: pip install 'crossent[cli]'")


def run_decode(
    model_file: Path,
    data: str,
    label_file: Path,
    messages: Messages,
    *,
    output: Path | None,
    part: str,
    as_json: bool,
) -> None:
    """Write the classes that a file of coded labels holds."""
    check_choice(part, "--part", _PARTS)
    inputs = {"MODEL": str(model_file), "DATA": data, "LABELS": str(label_file)}
    check_outputs({"--output": output}, inputs)
    with messages.moving_line(f"reading {data}"), shown_warnings(messages):
        coded = label_file.read_bytes()
        model = load_classifier(model_file)
        X = rows_alone(model, data, part)
        try:
            with cells_named(data):
                classes = decode_labels(model, X, coded)
        except CodeError as error:
            message = f"{label_file}: {error}"
            raise CodeError(message) from error
    lines = _json_lines(classes) if as_json else _csv(classes)
    if output is None:
        sys.stdout.writelines(lines)
        return
    write_atomically(output, "".join(lines).encode())
    messages.say(f"{len(classes)} classes written to {output}")


def _table(lengths: CodeLengths) -> Table:
    """Bytes, bits, and bits a label of each way to send the labels."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("")
    for heading in ("bits a label", "bits", "bytes"):
        table.add_column(heading, justify="right")
    for name, bits, each in lengths.rows():
        if bits is None:
            continue
        per_label = "" if each is None else f"{each:.4f}"
        whole = f"{bits:.1f}" if isinstance(bits, float) else str(bits)
        table.add_row(name, per_label, whole, f"{bits / 8:.0f}" if np.isfinite(bits) else "inf")
    return table


def _json_lines(classes: npt.NDArray[Any]) -> Iterator[str]:
    for name in classes.tolist():
        yield json.dumps(plain({"class": name}), ensure_ascii=False, allow_nan=False) + "\n"


def _csv(classes: npt.NDArray[Any]) -> Iterator[str]:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class"])
    writer.writerows([name] for name in classes.tolist())
    yield text.getvalue()
