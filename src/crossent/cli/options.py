"""Options that say how data are to be read, parsed."""

import shlex
import sys
from collections.abc import Sequence
from typing import Any

from sklearn.model_selection import StratifiedKFold

from crossent.datasets import Reading
from crossent.errors import InputError

__all__ = ["command_line", "image_size", "path_options", "read_options", "shuffled_folds"]


def read_options(
    target: str | None,
    target_columns: str | None = None,
    kinds: Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    *,
    drop_unlabelled: bool = False,
    size: str | None = None,
) -> Reading:
    """The options as a `Reading`.

    Raises
    ------
    InputError
        Both targets are given, or an option's value makes no sense.

    Examples
    --------
    >>> read_options(None, "neutral, happiness", ["zip=category"]).target_columns
    ('neutral', 'happiness')
    """
    if target is not None and target_columns is not None:
        message = "--target and --target-columns exclude each other. Give one of them."
        raise InputError(message)
    votes = tuple(name.strip() for name in (target_columns or "").split(",") if name.strip())
    if target_columns is not None and len(votes) < 2:
        message = f"--target-columns {target_columns!r}: name at least two columns: A,B."
        raise InputError(message)
    return Reading(
        target=target,
        target_columns=votes,
        kinds=dict(_kind(word) for word in kinds or ()),
        drop=tuple(drop or ()),
        drop_unlabelled=drop_unlabelled,
        image_size=None if size is None else image_size(size),
    )


def command_line() -> str:
    """What was typed, for the report."""
    return shlex.join(["crossent", *sys.argv[1:]])


def shuffled_folds(number: int, seed: int, /) -> StratifiedKFold:
    """Folds picked as test rows are: at random, of each class.

    Files are often sorted, by date or by group, and folds of neighbouring rows would then say how a
    model fares on rows of another kind than the test rows.
    """
    return StratifiedKFold(number, shuffle=True, random_state=seed)


def path_options(Cs: str, *, cv: int, rule: str, seed: int) -> dict[str, Any]:
    """Arguments of `SoftmaxRegressionCV`, or of `SoftmaxRegression` where there is one value of C.

    Examples
    --------
    >>> path_options("0.1,1", cv=5, rule="min", seed=7)["cv"]
    StratifiedKFold(n_splits=5, random_state=7, shuffle=True)
    >>> path_options("0.5,", cv=5, rule="min", seed=7)
    {'C': 0.5}
    """
    if rule not in ("min", "1se"):
        message = f"--rule {rule}: it must be min or 1se."
        raise InputError(message)
    try:
        values: Any = int(Cs)
    except ValueError:
        values = _numbers(Cs)
    if isinstance(values, list) and len(values) == 1:
        return {"C": values[0]}
    return {"Cs": values, "cv": shuffled_folds(cv, seed), "rule": rule}


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        message = f"--Cs {text}: give a number of values, or the values: 0.01,0.1,1."
        raise InputError(message) from None


def _kind(word: str) -> tuple[str, str]:
    name, sign, kind = word.rpartition("=")
    if not (sign and name and kind):
        message = f"--as {word!r} is not of the form COLUMN=KIND, such as zip=category."
        raise InputError(message)
    return name, kind


def image_size(text: str, /) -> tuple[int, int]:
    """Height and width from ``28`` or ``28x20``.

    Examples
    --------
    >>> image_size("28"), image_size("32x24")
    ((28, 28), (32, 24))
    """
    height, _, width = text.lower().partition("x")
    try:
        size = int(height), int(width or height)
    except ValueError:
        size = (0, 0)
    if not all(1 <= side <= 4096 for side in size):
        message = f"--image-size {text}: give a height, or HEIGHTxWIDTH, from 1 to 4096 pixels."
        raise InputError(message)
    return size
