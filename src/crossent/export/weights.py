"""The weights alone: tensors in safetensors, and all that gives them a meaning in JSON."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from crossent import __version__
from crossent.errors import CrossentError
from crossent.export.linear import linear_model_of
from crossent.inspection import classifier_of
from crossent.persistence import write_atomically

__all__ = ["save_weights", "weights_record"]


def save_weights(model: Any, path: str | os.PathLike[str], /, *, dtype: str = "float64") -> Path:
    """Write ``coef`` and ``intercept`` as safetensors, and a JSON file of the same name beside it.

    log p = log softmax(coef·x + intercept), with a row of ``coef`` for every class.

    Parameters
    ----------
    model : classifier or pipeline
        See `crossent.export.linear_model_of`.
    path : path-like
        By custom it ends in ``.safetensors``.
    dtype : {"float64", "float32"}

    Returns
    -------
    Path
        Of the JSON file; `weights_record` says what is in it.

    Raises
    ------
    InputError
        The model cannot be exported.
    CrossentError
        safetensors is not installed.
    OSError
        A file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from crossent import SoftmaxRegression
    >>> model = SoftmaxRegression().fit(*load_iris(return_X_y=True))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     record = json.loads(save_weights(model, f"{folder}/iris.safetensors").read_text())
    >>> record["classes"], record["shape"]
    ([0, 1, 2], [3, 4])
    """
    try:
        from safetensors.numpy import save
    except ImportError as error:
        message = "Weights need safetensors. Install it with `pip install 'crossent[safetensors]'`."
        raise CrossentError(message) from error
    linear = linear_model_of(model)
    tensors = {
        "coef": np.ascontiguousarray(linear.W, dtype=dtype),
        "intercept": np.ascontiguousarray(linear.b, dtype=dtype),
    }
    record = weights_record(model)
    beside = Path(path).with_suffix(".json")
    metadata = {"format": "crossent", "classes": json.dumps(record["classes"])}
    write_atomically(path, save(tensors, metadata=metadata))
    write_atomically(beside, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
    return beside


def weights_record(model: Any, /) -> dict[str, Any]:
    """What the weights mean, as JSON's own types.

    Returns
    -------
    dict
        ``crossent`` (version), ``formula``, ``shape`` of coef, ``classes``, ``feature_names`` (or
        null), ``columns`` of the encoded table (or an empty list), the method of calibration that
        is in the weights (``calibrated``, or null), and the ``certificate``'s numbers (or null),
        which are of the fit before calibration.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from crossent import SoftmaxRegression
    >>> weights_record(SoftmaxRegression().fit(*load_iris(return_X_y=True)))["formula"]
    'log_softmax(coef @ x + intercept)'
    """
    linear, classifier = linear_model_of(model), classifier_of(model)
    certificate = getattr(classifier, "certificate_", None)
    names = linear.feature_names
    return {
        "crossent": __version__,
        "formula": "log_softmax(coef @ x + intercept)",
        "shape": list(linear.W.shape),
        "classes": linear.classes.tolist(),
        "feature_names": None if names is None else list(names),
        "columns": [asdict(column) for column in getattr(linear.encoder, "columns_", ())],
        "calibrated": getattr(getattr(classifier, "calibrator_", None), "method", None),
        "certificate": None
        if certificate is None
        else {
            "kind": certificate.kind,
            "objective": certificate.objective,
            "relative_gap": _finite(certificate.relative_gap),
            "status": certificate.status.name.lower(),
        },
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
