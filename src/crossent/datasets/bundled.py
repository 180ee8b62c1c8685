"""The small data sets that come with scikit-learn, so that examples need no network."""

import numpy as np

from crossent.datasets.catalogue import describe
from crossent.datasets.dataset import Dataset

__all__ = ["load_bundled"]


def load_bundled(name: str, /) -> Dataset:
    """One of digits, iris, wine and breast_cancer, without a test set."""
    # Imported here: the command line lists data sets and reads tables without scikit-learn's
    # import time.
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    facts = describe(name)
    X = np.asarray(bunch.data, dtype=np.float64)
    return Dataset(
        name=name,
        X_train=X / 16 if name == "digits" else X,
        y_train=np.asarray(bunch.target, dtype=np.int64),
        X_test=None,
        y_test=None,
        feature_names=tuple(str(feature) for feature in bunch.feature_names),
        class_names=facts.class_names,
        image_shape=facts.image_shape,
        preprocessing=facts.preprocessing,
        description=facts.summary,
        licence=facts.licence,
        source=facts.source,
    )
