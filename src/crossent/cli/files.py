"""Files that a command is going to write: what is wrong with them is found before the work."""

import os
from collections.abc import Mapping
from pathlib import Path

from crossent.errors import InputError
from crossent.persistence import check_writable

__all__ = ["check_outputs"]


def check_outputs(outputs: Mapping[str, Path | None], inputs: Mapping[str, str | None], /) -> None:
    """Refuse paths that cannot be written, or would overwrite something that is read or written.

    Parameters
    ----------
    outputs : mapping
        Path of each output by the option that names it; None if it is not wanted.
    inputs : mapping
        What is read, by the argument that names it; need not be a path.

    Raises
    ------
    InputError
        If two of them are the same file; the message names both.
    OSError
        If an output's folder is missing or may not be written to.
    """
    taken = {
        os.path.realpath(value): name
        for name, value in inputs.items()
        if value is not None and os.path.exists(value)
    }
    for option, path in outputs.items():
        if path is None:
            continue
        check_writable(path)
        other = taken.get(os.path.realpath(path))
        if other is not None:
            message = f"{option} {path} is the same file as {other}. Give another path."
            raise InputError(message)
        taken[os.path.realpath(path)] = option
