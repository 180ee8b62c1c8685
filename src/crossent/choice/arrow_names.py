"""Strings that Arrow holds, as numbers: each is hashed once, in one call for all columns.

pandas keeps strings in Arrow arrays where PyArrow is installed, so that it is there if one of them
comes in.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["arrow_codes"]

_SAMPLE = 8  # names in the first of so many parts are looked up; others are collected


def arrow_codes(columns: Sequence[Any], /) -> tuple[list[npt.NDArray[np.intp]], list[str]] | None:
    """Numbers of the strings of several columns, -1 where one is missing, and the strings.

    None unless every column is a pandas Series of strings in Arrow arrays of one type. The strings
    are in order of first appearance, column after column.
    """
    if not all(getattr(getattr(c, "dtype", None), "storage", "") == "pyarrow" for c in columns):
        return None
    import pyarrow

    arrays = [column.array.__arrow_array__() for column in columns]
    if any(array.type != arrays[0].type for array in arrays):  # 32 and 64 bits
        return None
    chunks = [chunk for array in arrays for chunk in array.chunks]
    codes, strings = _numbered(pyarrow.chunked_array(chunks, type=arrays[0].type))
    return np.split(codes, np.cumsum([len(array) for array in arrays[:-1]])), strings


def _numbered(strings: Any) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Numbers of all strings of a chunked array, and the strings."""
    from pyarrow import compute

    # Looking up is a third quicker than collecting, and most names of a table come early.
    known = strings.slice(0, len(strings) // _SAMPLE).unique().drop_null()
    numbers = compute.index_in(strings, value_set=known).combine_chunks()
    codes = _codes(numbers)
    names = known.to_pylist()
    if numbers.null_count:
        others = strings.filter(numbers.is_null()).dictionary_encode().combine_chunks()
        late = _codes(others.indices)
        codes[codes < 0] = np.where(late < 0, -1, late + len(names))
        names += others.dictionary.to_pylist()
    return codes, names


def _codes(numbers: Any) -> npt.NDArray[np.intp]:
    """The numbers of an Arrow array; -1 for its nulls."""
    filled = numbers.fill_null(-1) if numbers.null_count else numbers
    return np.array(filled.to_numpy(zero_copy_only=False), dtype=np.intp)
