"""Whether Triton is there, and whether it interprets; asked without loading it."""

import importlib.util
import os

__all__ = ["has_triton", "is_interpreting"]


def has_triton() -> bool:
    """Whether Triton is installed."""
    return importlib.util.find_spec("triton") is not None


def is_interpreting() -> bool:
    """Whether kernels would run on CPU tensors, in Triton's interpreter."""
    return os.environ.get("TRITON_INTERPRET") == "1"
