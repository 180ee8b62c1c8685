"""The classifier at the end of a pipeline, and the rows as it sees them."""

from typing import Any

__all__ = ["classifier_of", "encoded_rows", "encoder_of"]


def classifier_of(model: Any, /) -> Any:
    """The last step of a pipeline; any other model itself.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> classifier_of(make_pipeline(StandardScaler(), LogisticRegression()))
    LogisticRegression()
    """
    return model.steps[-1][1] if hasattr(model, "steps") else model


def encoder_of(model: Any, /) -> Any:
    """The step of a pipeline that knows the ``columns_`` of a table; None if there is none."""
    steps = [step for _, step in getattr(model, "steps", ())]
    return next((step for step in steps if hasattr(step, "columns_")), None)


def encoded_rows(model: Any, X: Any, /) -> Any:
    """Rows as the last step of a pipeline gets them; as they are for any other model.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> model = make_pipeline(StandardScaler(), LogisticRegression())
    >>> encoded_rows(model.fit([[0.0], [2.0]], [0, 1]), [[3.0]])
    array([[2.]])
    """
    return model[:-1].transform(X) if len(getattr(model, "steps", ())) > 1 else X
