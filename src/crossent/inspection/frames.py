"""Predictions as a frame with the names of the classes, in the library that the rows came in."""

from typing import Any

import narwhals as nw
import numpy as np

from crossent.errors import InputError

__all__ = ["predict_frame"]


def predict_frame(model: Any, X: Any, /, *, logarithms: bool = False) -> Any:
    """Probabilities of each row as a frame with a column for each class.

    Parameters
    ----------
    model : classifier or pipeline
        Fitted, with ``classes_`` and ``predict_proba``, or ``predict_log_proba`` for `logarithms`.
    X : frame
        Of pandas, polars, pyarrow or another library that narwhals knows, or anything with
        ``__arrow_c_stream__``.
    logarithms : bool, default=False
        Log-probabilities in nats instead.

    Returns
    -------
    frame
        Of the library of X, float64, in the order of the rows; the columns are called after the
        classes, as text. pandas keeps its index. A polars LazyFrame gives a DataFrame, and what
        is known by its Arrow stream alone a pyarrow Table.

    Raises
    ------
    InputError
        X is no frame; or two classes have the same text, such as 1 and "1".

    Examples
    --------
    >>> import polars
    >>> from sklearn.datasets import load_iris
    >>> from crossent import SoftmaxRegression
    >>> iris = load_iris()
    >>> frame = polars.DataFrame(iris.data, schema=iris.feature_names)
    >>> model = SoftmaxRegression().fit(frame, iris.target_names[iris.target])
    >>> predict_frame(model, frame[:2]).columns
    ['setosa', 'versicolor', 'virginica']
    """
    rows = nw.from_native(X, pass_through=True)
    if isinstance(rows, nw.LazyFrame):
        rows = rows.collect()
    elif not isinstance(rows, nw.DataFrame) and hasattr(X, "__arrow_c_stream__"):
        rows = nw.from_arrow(X, backend="pyarrow")
    if not isinstance(rows, nw.DataFrame):
        message = (
            f"X is a {type(X).__name__}, not a frame. Give one of pandas, polars or pyarrow, or "
            "use predict_proba."
        )
        raise InputError(message)
    names = [str(name) for name in model.classes_.tolist()]
    if len(set(names)) < len(names):
        message = f"two classes are both written {_twice(names)!r}; a frame cannot hold both."
        raise InputError(message)
    native = rows.to_native()
    predict = model.predict_log_proba if logarithms else model.predict_proba
    columns = dict(zip(names, np.ascontiguousarray(predict(native).T), strict=True))
    found = nw.from_dict(columns, backend=rows.implementation).to_native()
    if hasattr(native, "index") and hasattr(found, "set_index"):
        found.index = native.index
    return found


def _twice(names: list[str]) -> str:
    """The first name that comes twice."""
    return next(name for place, name in enumerate(names) if name in names[:place])
