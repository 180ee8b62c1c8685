"""What a report says about the data and the run, beside what the model itself knows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.datasets import Dataset

__all__ = ["ReportDetails"]


@dataclass(frozen=True)
class ReportDetails:
    """Everything a report can tell that is not in the model. All of it is optional.

    Attributes
    ----------
    title : str
        Default: made from the model's type and `data_name`.
    data_name, description, source, licence : str
    preprocessing : str
        One sentence: what was done to the values.
    test_rows : str
        One sentence: where the test rows come from.
    class_names : sequence, q names
        To show in place of ``model.classes_``, in their order.
    feature_names : sequence, d names
        To show in place of ``model.feature_names_in_``.
    image_shape : (height, width) or (height, width, channels)
        If every row is an image.
    train_names, test_names : sequence, a name or a number for each row
        To show in place of the rows' numbers: files, or numbers of rows in a file, from 0.
    seconds : float
        Wall time, where the model carries no certificate.
    command : str
        What was typed.
    created : datetime
        Default: now. Reports of equal content and date are equal to the byte.

    Examples
    --------
    >>> from crossent import datasets
    >>> ReportDetails.from_dataset(
    ...     datasets.load("digits"), command="crossent fit digits"
    ... ).image_shape
    (8, 8)
    """

    title: str | None = None
    data_name: str | None = None
    description: str | None = None
    source: str | None = None
    licence: str | None = None
    preprocessing: str | None = None
    test_rows: str | None = None
    class_names: Sequence[Any] | None = None
    feature_names: Sequence[str] | None = None
    image_shape: tuple[int, ...] | None = None
    train_names: Sequence[str] | npt.NDArray[np.intp] | None = None
    test_names: Sequence[str] | npt.NDArray[np.intp] | None = None
    seconds: float | None = None
    command: str | None = None
    created: datetime | None = None

    @classmethod
    def from_dataset(cls, dataset: Dataset, /, **changes: Any) -> "ReportDetails":
        """The data set's own words; `changes` are further fields, or replace some."""
        known = cls(
            data_name=dataset.name,
            description=dataset.description,
            source=dataset.source,
            licence=dataset.licence,
            preprocessing=dataset.preprocessing,
            class_names=dataset.class_names,
            feature_names=dataset.feature_names,
            image_shape=dataset.image_shape,
            train_names=dataset.names_train or dataset.rows_train,
            test_names=dataset.names_test or dataset.rows_test,
        )
        return replace(known, **changes)
