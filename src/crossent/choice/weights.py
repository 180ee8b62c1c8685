"""Weights of rows, checked."""

from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError

__all__ = ["read_weights"]


def read_weights(weight: Any, n: int) -> npt.NDArray[np.float64] | None:
    """Finite weights that are not negative, shape (n,); None stays None.

    Raises
    ------
    InputError
        The message names the row, the value and the remedy.
    """
    if weight is None:
        return None
    try:
        array = np.asarray(weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = f"sample_weight must be numbers: {error}"
        raise InputError(message) from error
    if array.shape != (n,):
        message = f"sample_weight has shape {array.shape}; expected ({n},), one for each row."
        raise InputError(message)
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        row = int(bad.argmax())
        message = (
            f"sample_weight is {array[row]} in row {row}; weights must be finite and not negative. "
            "Weight 0 leaves a row out."
        )
        raise InputError(message)
    if not array.any():
        message = "sample_weight is 0 in every row: nothing is left to fit."
        raise InputError(message)
    return array
