"""Rows of mixed columns, encoded before the fit, and the pipeline that is saved after it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from crossent.cli.tables import cells_named
from crossent.datasets import Dataset
from crossent.features import TableEncoder

__all__ = ["Encoded", "encode", "remember"]


@dataclass(frozen=True)
class Encoded:
    """Data whose rows are numbers, and what made them so.

    Attributes
    ----------
    data : Dataset
        With arrays or CSR matrices for rows, and the names of their columns.
    encoder : TableEncoder or None
        None if the rows were numbers from the start.
    """

    data: Dataset
    encoder: TableEncoder | None

    def model(self, classifier: Any) -> Any:
        """What to save: the classifier, behind the encoder if there is one."""
        if self.encoder is None:
            return classifier
        return Pipeline([("encoder", self.encoder), ("classifier", classifier)])


def encode(data: Dataset, options: dict[str, Any], *, test_source: str) -> Encoded:
    """Learn the encoding from the training rows, and encode both sets of rows.

    Parameters
    ----------
    data : Dataset
    options : dict
        Arguments of `TableEncoder`.
    test_source : str
        File of the test rows, for errors.
    """
    if isinstance(data.X_train, np.ndarray):
        return Encoded(data, None)
    encoder = TableEncoder(**options)
    X_train = encoder.fit_transform(data.X_train)
    X_test = data.X_test
    if X_test is not None:
        with cells_named(test_source):
            X_test = encoder.transform(X_test)
    names = tuple(encoder.get_feature_names_out().tolist())
    sentence = (
        f"{len(data.feature_names)} columns were encoded as {len(names)} numbers: "
        f"{_counts(encoder)}."
    )
    encoded = replace(
        data, X_train=X_train, X_test=X_test, feature_names=names, preprocessing=sentence
    )
    return Encoded(encoded, encoder)


def _counts(encoder: TableEncoder) -> str:
    """So many columns of each kind."""
    kinds = [column.kind for column in encoder.columns_]
    words = {"drop": "left out", "category": "of categories", "text": "of text"}
    return ", ".join(
        f"{kinds.count(kind)} {words.get(kind, f'of {kind}s')}" for kind in dict.fromkeys(kinds)
    )


def remember(classifier: Any, encoded: Encoded) -> None:
    """Put into the model's schema what other tables will be compared with.

    TF-IDF lies between 0 and 1 whatever the text, so a word that no training row stressed as much
    is no cause for a warning.
    """
    schema = classifier.schema_
    low, high = schema.minimum.copy(), schema.maximum.copy()
    if encoded.encoder is not None:
        text = encoded.encoder.text_features()
        low[text], high[text] = 0, 1
    classifier.schema_ = replace(
        schema,
        names=encoded.data.feature_names,
        minimum=low,
        maximum=high,
        target=encoded.data.target,
        image_shape=encoded.data.image_shape,
    )
    if hasattr(classifier, "model_"):  # of SoftmaxRegressionCV: the one that predicts
        classifier.model_.schema_ = classifier.schema_
