import datetime
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import crossent
from crossent import SoftmaxRegression
from crossent.datasets import CellError
from crossent.errors import InputError
from crossent.features import TableEncoder


def encoded(frame, **options):
    """Columns of the encoding by their names."""
    encoder = TableEncoder(**options)
    X = encoder.fit_transform(frame)
    X = X.toarray() if hasattr(X, "toarray") else X
    return dict(zip(encoder.get_feature_names_out().tolist(), X.T, strict=True))


def test_numbers_are_standardised_after_the_median_fills_gaps_and_the_gaps_are_told():
    found = encoded(pl.DataFrame({"x": [1.0, 2.0, None, 6.0]}))

    filled = np.array([1.0, 2.0, 2.0, 6.0])  # the median of 1, 2 and 6
    expected = (filled - filled.mean()) / filled.std()
    np.testing.assert_allclose(found["x"], expected, rtol=1e-14)
    missing = np.array([0.0, 0.0, 1.0, 0.0])
    np.testing.assert_allclose(found["x: missing"], (missing - 0.25) / missing.std(), rtol=1e-14)


def test_booleans_are_zero_and_one_and_the_more_frequent_fills_gaps():
    found = encoded(pl.DataFrame({"b": [True, None, True, False]}))

    assert found["b"].tolist() == [1, 1, 1, 0]
    assert found["b: missing"].tolist() == [0, 1, 0, 0]


def test_each_category_gets_a_column_and_so_does_what_is_missing():
    found = encoded(pl.DataFrame({"c": ["red", None, "green", "red"]}), min_frequency=1)

    assert {name: column.tolist() for name, column in found.items()} == {
        "c = green": [0, 0, 1, 0],
        "c = red": [1, 0, 0, 1],
        "c: missing": [0, 1, 0, 0],
    }


def test_rare_and_new_categories_share_a_column():
    frame = pl.DataFrame({"c": ["a"] * 5 + ["b"] * 3 + ["d"]})
    encoder = TableEncoder(min_frequency=3).fit(frame)

    assert encoder.get_feature_names_out().tolist() == ["c = a", "c = b", "c: rare or new"]
    new = encoder.transform({"c": ["d", "never seen", None, "b"]})
    assert np.asarray(new).tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 0]]


def test_a_new_category_says_nothing_where_none_was_rare():
    encoder = TableEncoder(min_frequency=1).fit(pl.DataFrame({"c": ["a", "b"] * 3}))

    assert encoder.transform({"c": ["x"]}).tolist() == [[0, 0]]


def test_the_most_frequent_categories_are_kept_where_there_may_be_only_few():
    frame = pl.DataFrame({"c": ["a"] * 6 + ["b"] * 5 + ["d"] * 5 + ["e"] * 5})

    names = TableEncoder(max_categories=2).fit(frame).get_feature_names_out()

    assert names.tolist() == ["c = a", "c: rare or new"]


def test_dates_become_year_month_and_weekday_as_the_calendar_has_them():
    days = [datetime.date(1872, 11, 30), datetime.date(2024, 2, 29), datetime.date(2026, 1, 1)]
    encoder = TableEncoder(min_frequency=1).fit(pl.DataFrame({"d": days}))
    X = np.asarray(encoder.transform(pl.DataFrame({"d": days})))
    found = dict(zip(encoder.get_feature_names_out().tolist(), X.T, strict=True))

    # Days since 1970 over the mean year of the calendar; standardising keeps the proportions.
    year = np.array([1970 + (day - datetime.date(1970, 1, 1)).days / 365.2425 for day in days])
    np.testing.assert_allclose(found["d: year"], (year - year.mean()) / year.std(), rtol=1e-12)
    for row, day in enumerate(days):
        assert found[f"d: month = {day:%B}"][row] == 1
        assert found[f"d: weekday = {day:%A}"][row] == 1
    assert sum(column.sum() for name, column in found.items() if "month" in name) == 3


def test_times_add_the_hour_and_zones_are_brought_to_utc():
    moments = ["2024-03-01T23:30:00-02:00", "2024-03-01 07:00"]
    encoder = TableEncoder(kinds={"t": "time"}, min_frequency=1).fit(pl.DataFrame({"t": moments}))

    names = encoder.get_feature_names_out().tolist()

    assert [name for name in names if "hour" in name] == ["t: hour = 01", "t: hour = 07"]
    assert [name for name in names if "weekday" in name] == [
        "t: weekday = Friday",
        "t: weekday = Saturday",  # 23:30 two hours behind is half past one on the next day
    ]


def test_text_is_tf_idf_with_sublinear_counts_of_words_and_characters():
    texts = ["pear pear fig", "fig plum", "plum pear"]
    found = encoded(
        pl.DataFrame({"t": texts}),
        kinds={"t": "text"},
        min_documents=1,
        word_ngrams=(1, 1),
        character_ngrams=(2, 2),
    )

    # Each word is in 2 of 3 texts: idf = log(4/3) + 1 for all, so it drops out of the length.
    weights = np.array([1 + math.log(2), 1.0])  # pear twice, fig once
    weights /= np.linalg.norm(weights)
    assert found["t: 'pear'"][0] == pytest.approx(weights[0], rel=1e-6)  # float32
    assert found["t: 'fig'"][0] == pytest.approx(weights[1], rel=1e-6)
    assert found["t: 'plum'"][0] == 0
    # Characters stay within words, with a space on each side.
    assert found["t: …' p'…"].min() > 0 or found["t: …' p'…"].tolist().count(0) == 0
    assert "t: …'r f'…" not in found
    squares = np.array([[v for k, v in found.items() if "…" in k]]) ** 2
    np.testing.assert_allclose(squares.sum(axis=1), 1, rtol=1e-6)


def test_sequences_in_too_few_rows_are_left_out():
    frame = pl.DataFrame({"t": ["alpha beta", "alpha gamma"]})

    names = TableEncoder(kinds={"t": "text"}).fit(frame).get_feature_names_out().tolist()

    assert "t: 'alpha'" in names
    assert "t: 'beta'" not in names


KINDS_FOUND = [
    ([1, 2, 3] * 12, "number"),
    ([1.5, None, 2.0] * 12, "number"),
    ([True, False] * 18, "boolean"),
    ([datetime.date(2024, 1, 2), datetime.date(2023, 1, 2)] * 18, "date"),
    ([datetime.datetime(2024, 1, 2, 3), datetime.datetime(2023, 1, 2)] * 18, "time"),
    (["red", "green"] * 18, "category"),
    (["FIFA World Cup", "Copa de America"] * 18, "category"),  # sentences that repeat
    ([f"where is card {i} of mine" for i in range(36)], "text"),
    ([f"fer{i:07d}.png" for i in range(36)], "drop"),
    (["same"] * 36, "drop"),
    ([None] * 36, "drop"),
]


@pytest.mark.parametrize(("values", "kind"), KINDS_FOUND)
def test_the_kind_is_read_off_type_and_values(values, kind):
    frame = pl.DataFrame({"other": range(36), "it": values})

    column = TableEncoder().fit(frame).columns_[1]

    assert (column.name, column.kind) == ("it", kind)
    assert column.reason
    assert column.missing == sum(value is None for value in values)


def test_what_the_user_says_goes_before_what_is_found():
    frame = pl.DataFrame({"zip": [12, 13, 12] * 4, "x": range(12), "name": ["a", "b", "c"] * 4})
    encoder = TableEncoder(kinds={"zip": "category"}, drop=["name"], min_frequency=1).fit(frame)

    assert [c.kind for c in encoder.columns_] == ["category", "number", "drop"]
    assert encoder.columns_[0].reason == "as told"
    assert encoder.get_feature_names_out().tolist() == ["x", "zip = 12", "zip = 13"]


MIXED = {
    "number": [1.0, None, 2.5, 4.0] * 5,
    "flag": [True, False, None, True] * 5,
    "colour": ["red", "green", None, "red"] * 5,
    "day": [datetime.date(2024, 1, d) for d in (1, 2, 3, 4)] * 5,
}


class OnlyArrow:
    """Something that is known by its Arrow stream alone."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def cells(frame):
    """As a CSV file has it."""
    return frame.select(pl.all().cast(pl.String).fill_null(""))


@pytest.mark.parametrize(
    "make",
    [
        lambda f: f.to_pandas(),
        lambda f: f.to_arrow(),
        lambda f: OnlyArrow(f.to_arrow()),
        lambda f: f.lazy(),
        lambda f: f.to_dict(as_series=False),
        lambda f: f.select(reversed(f.columns)).with_columns(pl.lit(1).alias("unknown")),
        lambda f: f.with_columns(pl.col("colour").cast(pl.Categorical)),
        lambda f: f.to_pandas().astype({"colour": "category"}),
        cells,
    ],
    ids=["pandas", "arrow", "stream", "lazy", "dict", "reordered", "categorical", "cat", "csv"],
)
def test_the_same_rows_give_the_same_numbers_whatever_holds_them(make):
    frame = pl.DataFrame(MIXED)
    encoder = TableEncoder(min_frequency=1).fit(frame)

    np.testing.assert_array_equal(
        np.asarray(encoder.transform(make(frame))), np.asarray(encoder.transform(frame))
    )


@pytest.mark.parametrize("library", [pd.DataFrame, pa.table, pl.DataFrame])
def test_any_library_teaches_the_same_encoding(library):
    table = {name: MIXED[name] for name in ("number", "colour")}
    reference = TableEncoder(min_frequency=1).fit(pl.DataFrame(table))

    found = TableEncoder(min_frequency=1).fit(library(table))

    assert [(c.name, c.kind, c.missing) for c in found.columns_] == [
        (c.name, c.kind, c.missing) for c in reference.columns_
    ]
    np.testing.assert_array_equal(
        np.asarray(found.transform(table)), np.asarray(reference.transform(table))
    )


def test_numbers_of_any_type_are_the_same_category():
    encoder = TableEncoder(kinds={"c": "category"}, min_frequency=1).fit({"c": ["1", "2"]})

    for values in (["1"], [1], [1.0], [" 1 "]):
        assert encoder.transform({"c": values}).tolist() == [[1, 0]]


def test_wide_categories_give_a_sparse_matrix_and_dense_numbers_an_array():
    n = 200
    wide = TableEncoder(min_frequency=1).fit_transform({"c": [f"c{i % 50}" for i in range(n)]})
    dense = TableEncoder().fit_transform({"x": np.arange(n)})

    assert wide.format == "csr"
    assert wide.shape == (n, 50)
    assert isinstance(dense, np.ndarray)


def test_text_features_are_marked():
    encoder = TableEncoder(kinds={"t": "text"})
    encoder.fit({"t": ["one two", "one three", "one two"], "x": [1, 2, 3]})

    names = encoder.get_feature_names_out()
    assert encoder.text_features().tolist() == [name != "x" for name in names]


def test_scikit_learn_can_clone_it_and_set_its_parameters():
    encoder = clone(TableEncoder(min_frequency=2)).set_params(drop=["x"])

    assert encoder.get_params()["min_frequency"] == 2
    assert encoder.drop == ["x"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kinds": {"colr": "text"}}, ["'colr'", "did you mean 'colour'"]),
        ({"kinds": {"colour": "words"}}, ["'words'", "category"]),
        ({"drop": ["x"]}, ["no column 'x'"]),
        ({"drop": ["colour", "size"]}, ["no column is left", "as told"]),
        ({"min_frequency": 0}, ["min_frequency is 0"]),
        ({"min_documents": 1.5}, ["min_documents is 1.5"]),
        ({"kinds": {"size": "boolean"}}, ["'size'", "neither true nor false"]),
        ({"kinds": {"colour": "date"}}, ["'colour'", "ISO 8601"]),
        ({"kinds": {"colour": "text"}, "min_documents": 100}, ["min_documents"]),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    frame = pl.DataFrame({"colour": ["red", "green"] * 3, "size": [10, 20, 30] * 2})

    with pytest.raises(InputError) as caught:
        TableEncoder(**options).fit(frame)

    for word in words:
        assert word in str(caught.value)


def test_a_column_that_is_missing_in_new_rows_is_named():
    encoder = TableEncoder().fit({"x": [1, 2], "y": [3, 4]})

    with pytest.raises(InputError, match="no column 'y'; 1 of the 2 columns"):
        encoder.transform({"x": [1]})


def test_a_cell_that_is_no_number_is_named_in_new_rows():
    encoder = TableEncoder().fit({"x": [1.0, 2.0]})

    with pytest.raises(CellError, match="row 1, column 'x' is 'many', not a number"):
        encoder.transform({"x": ["1", "many"]})


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinite_numbers_are_refused(value):
    with pytest.raises(CellError, match=r"row 1, column 'x'.*infinite"):
        TableEncoder().fit({"x": [1.0, value]})


def test_columns_that_have_no_encoding_are_refused_and_can_be_left_out():
    frame = pl.DataFrame({"x": [1, 2], "list": [[1], [2, 3]]})

    with pytest.raises(InputError, match="'list' is of type List"):
        TableEncoder().fit(frame)
    assert TableEncoder(drop=["list"]).fit(frame).get_feature_names_out().tolist() == ["x"]


def test_two_columns_of_one_name_are_refused():
    frame = pd.DataFrame([[1, 2], [3, 4]], columns=["x", "x"])

    with pytest.raises(InputError, match="two columns called 'x'"):
        TableEncoder().fit(frame)


def test_a_pandas_column_of_several_types_is_refused():
    frame = pd.DataFrame({"x": [1, "two", 3.0]})

    with pytest.raises(InputError, match="cannot be read as a table"):
        TableEncoder().fit(frame)


def test_a_table_without_rows_is_refused():
    with pytest.raises(InputError, match="no rows"):
        TableEncoder().fit(pl.DataFrame({"x": []}))


def test_a_pipeline_with_it_is_saved_and_loaded_to_the_bit(tmp_path):
    frame = pl.DataFrame(MIXED | {"note": [f"note {i % 5} about card {i}" for i in range(20)]})
    y = ["a", "b", "c", "a"] * 5
    model = make_pipeline(TableEncoder(kinds={"note": "text"}), SoftmaxRegression()).fit(frame, y)

    crossent.save(model, tmp_path / "m.skops")
    again = crossent.load(tmp_path / "m.skops")

    np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))
    np.testing.assert_array_equal(again.predict_proba(cells(frame)), model.predict_proba(frame))
    assert again[0].columns_ == model[0].columns_
    assert model.score(frame, y) > 0.9
