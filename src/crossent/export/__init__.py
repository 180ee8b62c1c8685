"""A fitted model for others: as an ONNX graph, as bare weights, as a card that describes it."""

from crossent.export.card import model_card
from crossent.export.linear import LinearModel, linear_model_of
from crossent.export.onnx_graph import onnx_model, save_onnx
from crossent.export.weights import save_weights, weights_record

__all__ = [
    "LinearModel",
    "linear_model_of",
    "model_card",
    "onnx_model",
    "save_onnx",
    "save_weights",
    "weights_record",
]
