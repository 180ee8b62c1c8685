"""``crossent export``: a saved model as ONNX, as safetensors, or as a model card."""

from pathlib import Path

from crossent.cli.files import check_outputs
from crossent.cli.messages import Messages
from crossent.cli.models import labelled, load_classifier
from crossent.cli.outcome import shown_warnings
from crossent.cli.tables import cells_named
from crossent.datasets import Reading
from crossent.errors import InputError
from crossent.export import model_card, save_onnx, save_weights
from crossent.inspection import evaluate
from crossent.persistence import write_atomically

__all__ = ["run_export"]


def run_export(
    model_file: Path,
    output: Path,
    messages: Messages,
    *,
    dtype: str | None,
    data: str | None,
    licence: str | None,
) -> None:
    """Write the model in the form that the output's suffix asks for.

    Raises
    ------
    InputError
        The suffix is none of .onnx, .safetensors and .md; or the model cannot be exported.
    OSError
        The output cannot be written; found out before anything else.
    """
    kind = output.suffix.lower()
    if kind not in (".onnx", ".safetensors", ".md"):
        message = f"{output}: end the name in .onnx, .safetensors or .md to say what to write."
        raise InputError(message)
    beside = output.with_suffix(".json") if kind == ".safetensors" else None
    check_outputs({"OUTPUT": output, "the JSON file": beside}, {"MODEL": str(model_file)})
    with messages.moving_line(f"reading {model_file}"), shown_warnings(messages):
        model = load_classifier(model_file)
        if kind == ".onnx":
            save_onnx(model, output, dtype=dtype or "float32")
        elif kind == ".safetensors":
            save_weights(model, output, dtype=dtype or "float64")
        else:
            found = {}
            if data is not None:
                rows = labelled(model, data, Reading(), "auto")
                with cells_named(data):
                    found[rows.sentence] = evaluate(model, rows.X, rows.y)
            card = model_card(model, name=model_file.stem, evaluations=found, licence=licence)
            write_atomically(output, card.encode())
    messages.say(f"written: {output}" + (f" and {beside}" if beside is not None else ""))
