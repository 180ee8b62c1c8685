"""A fitted model as an ONNX graph that gives log-probabilities, probabilities and classes."""

import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from crossent import __version__
from crossent.errors import CrossentError, InputError
from crossent.export.linear import LinearModel, linear_model_of
from crossent.persistence import write_atomically

__all__ = ["onnx_model", "save_onnx"]

_OPSET, _ML_OPSET, _IR = 17, 3, 8  # of 2022: every runtime since then knows them
_TYPES = ("float32", "float64")


def save_onnx(model: Any, path: str | os.PathLike[str], /, *, dtype: str = "float32") -> None:
    """Write `onnx_model` to a file, whole or not at all.

    Raises
    ------
    InputError
        As `onnx_model`.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from crossent import SoftmaxRegression
    >>> model = SoftmaxRegression().fit(*load_iris(return_X_y=True))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "iris.onnx")
    ...     save_onnx(model, path)
    ...     path.stat().st_size < 2000
    True
    """
    write_atomically(path, onnx_model(model, dtype=dtype).SerializeToString())


def onnx_model(model: Any, /, *, dtype: str = "float32") -> Any:
    """The model as an ONNX graph.

    Parameters
    ----------
    model : classifier or pipeline
        See `linear_model_of`.
    dtype : {"float32", "float64"}
        Of inputs, weights and probabilities.

    Returns
    -------
    onnx.ModelProto
        Checked, with the operators of 2022 (opset 17, ai.onnx.ml 3). Without an encoder the input
        is ``X`` (n, d). Behind an encoder each column is an input (n, 1): numbers, booleans and
        years as numbers, NaN for what is missing; categories, months, weekdays and hours as
        stripped text, empty for what is missing. Columns that are left out are no inputs. Outputs
        are ``log_probabilities`` and ``probabilities`` (n, q), and ``label`` (n,): int64 if the
        classes are integers, else text. ``metadata_props`` has the classes, as JSON.

    Raises
    ------
    InputError
        The model has columns of text, whose TF-IDF ONNX cannot compute in the same way; or it
        is of a kind that cannot be exported.
    CrossentError
        onnx is not installed.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from crossent import SoftmaxRegression
    >>> model = SoftmaxRegression().fit(*load_iris(return_X_y=True))
    >>> [output.name for output in onnx_model(model).graph.output]
    ['log_probabilities', 'probabilities', 'label']
    """
    if dtype not in _TYPES:
        message = f"dtype is {dtype!r}; it must be float32 or float64."
        raise InputError(message)
    try:
        import onnx
    except ImportError as error:
        message = "ONNX needs onnx. Install it with `pip install 'crossent[onnx]'`."
        raise CrossentError(message) from error
    linear = linear_model_of(model)
    graph = _Graph(np.dtype(dtype))
    if linear.encoder is None:
        logits = graph.product(graph.input("X", linear.W.shape[1]), linear.W, linear.b)
    else:
        logits = _encoded_logits(graph, linear)
    graph.finish(logits, linear.classes)
    built = onnx.helper.make_model(
        graph.proto(),
        opset_imports=[
            onnx.helper.make_opsetid("", _OPSET),
            onnx.helper.make_opsetid("ai.onnx.ml", _ML_OPSET),
        ],
        ir_version=_IR,
        producer_name="crossent",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(built, {"classes": json.dumps(linear.classes.tolist())})
    onnx.checker.check_model(built, full_check=True)
    return built


@dataclass(frozen=True)
class _Graph:
    """Nodes, weights and inputs as they come; methods add some and return the name of an output."""

    dtype: np.dtype[Any]
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)

    def node(self, kind: str, inputs: list[str], name: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, values: npt.NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.weights)}"
        values = values.astype(self.dtype) if values.dtype.kind == "f" else values
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def input(self, name: str, width: int, *, text: bool = False) -> str:
        from onnx import TensorProto, helper

        kind = TensorProto.STRING if text else self._number_type()
        self.inputs.append(helper.make_tensor_value_info(name, kind, ["rows", width]))
        return name

    def _number_type(self) -> int:
        from onnx import helper

        return int(helper.np_dtype_to_tensor_dtype(self.dtype))

    def product(self, X: str, W: npt.NDArray[np.float64], b: npt.NDArray[np.float64] | None) -> str:
        """X Wᵀ + b."""
        inputs = [X, self.constant(W)] + ([] if b is None else [self.constant(b)])
        return self.node("Gemm", inputs, transB=1)

    def finish(self, logits: str, classes: npt.NDArray[Any]) -> None:
        """Log-probabilities, probabilities and the class."""
        from onnx import TensorProto, helper

        self.node("LogSoftmax", [logits], "log_probabilities", axis=1)
        self.node("Exp", ["log_probabilities"], "probabilities")
        number = self.node("ArgMax", ["log_probabilities"], axis=1, keepdims=0)
        integers = classes.dtype.kind in "iu"
        table = classes.astype(np.int64) if integers else classes.astype(str).astype(object)
        self.node("Gather", [self.constant(table), number], "label", axis=0)
        q = len(classes)
        kind = TensorProto.INT64 if integers else TensorProto.STRING
        for name in ("log_probabilities", "probabilities"):
            self.outputs.append(
                helper.make_tensor_value_info(name, self._number_type(), ["rows", q])
            )
        self.outputs.append(helper.make_tensor_value_info("label", kind, ["rows"]))

    def proto(self) -> Any:
        from onnx import helper

        return helper.make_graph(
            self.nodes, "softmax_regression", self.inputs, self.outputs, self.weights
        )


def _encoded_logits(graph: _Graph, linear: LinearModel) -> str:
    """Logits from the columns of a table: the encoder's steps, and W in parts that fit them."""
    transformer = linear.encoder.transformer_
    terms, start = [], 0
    for _, fitted, columns in transformer.transformers_:
        if isinstance(fitted, Pipeline):
            imputer, scaler = fitted.named_steps["impute"], fitted.named_steps["scale"]
            scale, shift = scaler.scale_, scaler.mean_
        elif isinstance(fitted, SimpleImputer):
            imputer, scale, shift = fitted, None, None
        elif isinstance(fitted, OneHotEncoder):
            for column, table in _category_tables(fitted, columns, linear.W[:, start:]):
                terms.append(_looked_up(graph, column, *table))
            start += fitted.get_feature_names_out().size
            continue
        else:
            message = (
                f"column {columns!r} is text: ONNX has no TF-IDF of characters within words, so "
                "what it computed would be another model. Use the .skops file, or leave the "
                "column out (--drop)."
            )
            raise InputError(message)
        width = len(columns) + len(imputer.indicator_.features_)
        terms.append(
            _numbers(graph, imputer, scale, shift, columns, linear.W[:, start : start + width])
        )
        start += width
    total = terms[0]
    for term in terms[1:]:
        total = graph.node("Add", [total, term])
    return graph.node("Add", [total, graph.constant(linear.b)])


def _numbers(
    graph: _Graph, imputer: Any, scale: Any, shift: Any, columns: list[str], W: Any
) -> str:
    """Filled, indicated and scaled numbers times their part of W."""
    inputs = [graph.input(column, 1) for column in columns]
    X = inputs[0] if len(inputs) == 1 else graph.node("Concat", inputs, axis=1)
    missing = graph.node("IsNaN", [X])
    fill = graph.constant(np.asarray(imputer.statistics_, dtype=np.float64)[None, :])
    filled = graph.node("Where", [missing, fill, X])
    indicated = np.asarray(imputer.indicator_.features_, dtype=np.int64)
    if indicated.size:
        from onnx import helper

        kind = int(helper.np_dtype_to_tensor_dtype(graph.dtype))
        chosen = graph.node("Gather", [missing, graph.constant(indicated)], axis=1)
        filled = graph.node("Concat", [filled, graph.node("Cast", [chosen], to=kind)], axis=1)
    if scale is not None:
        # Centred first, as scikit-learn does: years near 2000 keep their last digits in float32.
        filled = graph.node("Sub", [filled, graph.constant(shift[None, :])])
        filled = graph.node("Div", [filled, graph.constant(scale[None, :])])
    return graph.product(filled, W, None)


def _category_tables(encoder: OneHotEncoder, columns: list[str], W: npt.NDArray[np.float64]) -> Any:
    """For each column, its known values and a row of weights for each; the last is for others."""
    start = 0
    for column, known, rare in zip(
        columns, encoder.categories_, encoder.infrequent_categories_, strict=True
    ):
        pooled = set() if rare is None else set(rare.tolist())
        frequent = [value for value in known.tolist() if value not in pooled]
        width = len(frequent) + bool(pooled)
        part = W[:, start : start + width].T
        others = part[-1:] if pooled else np.zeros((1, W.shape[0]))
        keys = ["" if value is None else value for value in frequent]
        yield column, (keys, np.vstack([part[: len(frequent)], others]))
        start += width


def _looked_up(graph: _Graph, column: str, keys: list[str], weights: Any) -> str:
    """The row of weights that a category's value has."""
    text = graph.input(column, 1, text=True)
    number = graph.node(
        "LabelEncoder",
        [text],
        domain="ai.onnx.ml",
        keys_strings=keys,
        values_int64s=list(range(len(keys))),
        default_int64=len(keys),
    )
    flat = graph.node("Reshape", [number, graph.constant(np.array([-1], dtype=np.int64))])
    return graph.node("Gather", [graph.constant(weights), flat], axis=0)
