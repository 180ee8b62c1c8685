import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline

from crossent import SoftmaxRegression
from crossent.errors import InputError
from crossent.features import TableEncoder
from crossent.inspection import predict_frame

IRIS = load_iris()
NAMES = IRIS.target_names[IRIS.target]
COLUMNS = {name: IRIS.data[:, j] for j, name in enumerate(IRIS.feature_names)}


@pytest.fixture(scope="module")
def model():
    return make_pipeline(TableEncoder(), SoftmaxRegression()).fit(COLUMNS, NAMES)


class OnlyArrow:
    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (pl.DataFrame, pl.DataFrame),
        (lambda c: pl.DataFrame(c).lazy(), pl.DataFrame),
        (pd.DataFrame, pd.DataFrame),
        (pa.table, pa.Table),
        (lambda c: OnlyArrow(pa.table(c)), pa.Table),
    ],
    ids=["polars", "lazy", "pandas", "arrow", "stream"],
)
def test_the_frame_is_of_the_library_that_the_rows_came_in(model, make, kind):
    found = predict_frame(model, make(COLUMNS))

    assert isinstance(found, kind)
    columns = found.column_names if kind is pa.Table else list(found.columns)
    assert columns == ["setosa", "versicolor", "virginica"]
    values = np.column_stack([np.asarray(found[name]) for name in columns])
    np.testing.assert_array_equal(values, model.predict_proba(COLUMNS))


def test_pandas_keeps_its_index(model):
    frame = pd.DataFrame(COLUMNS).iloc[[7, 120]]

    found = predict_frame(model, frame)

    assert found.index.tolist() == [7, 120]
    assert found.loc[120].idxmax() == "virginica"


def test_logarithms_are_those_of_the_model(model):
    frame = pl.DataFrame(COLUMNS)

    found = predict_frame(model, frame, logarithms=True)

    np.testing.assert_array_equal(found.to_numpy(), model.predict_log_proba(frame))


def test_what_is_no_frame_is_refused():
    fitted = SoftmaxRegression().fit(IRIS.data, NAMES)

    with pytest.raises(InputError, match="X is a ndarray, not a frame"):
        predict_frame(fitted, IRIS.data)
