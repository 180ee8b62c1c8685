import datetime
import math

import polars as pl
import pytest

from crossent.datasets import (
    CellError,
    number_matrix,
    to_booleans,
    to_dates,
    to_names,
    to_numbers,
    to_text,
    typed_frame,
)
from crossent.errors import DatasetError, InputError


def series(*values, **options):
    return pl.Series("c", list(values), **options)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", " 2.5 ", "-3e2", "+4", ".5"], [1.0, 2.5, -300.0, 4.0, 0.5]),
        (["1", "", "NA", "n/a", "NaN", "null", "None", "?", "-"], [1.0, *[None] * 8]),
        ([1, None, 3], [1.0, None, 3.0]),
        ([1.5, math.nan], [1.5, None]),
        ([True, False], [1.0, 0.0]),
        ([datetime.timedelta(minutes=2)], [120.0]),
    ],
)
def test_numbers_of_any_spelling(cells, expected):
    assert to_numbers(series(*cells)).to_list() == expected


@pytest.mark.parametrize("cell", ["abc", "1_000", "1,5", "0x10", "inf", "1e999"])
def test_what_is_no_finite_number_is_refused_by_its_row(cell):
    with pytest.raises(CellError, match="row 1, column 'c'") as caught:
        to_numbers(series("1", cell, "2"))

    assert repr(cell) in str(caught.value)
    assert (caught.value.row, caught.value.column) == (1, "c")


def test_all_faulty_cells_are_counted():
    with pytest.raises(CellError, match="and 2 more such cells"):
        to_numbers(series("1", "a", "b", "2", "c"))


def test_booleans_may_be_words_or_numbers():
    assert to_booleans(series("TRUE", "false", "", "NA", "1", "0")).to_list() == [
        1, 0, None, None, 1, 0
    ]  # fmt: skip
    assert to_booleans(series(1, 0, None)).to_list() == [1, 0, None]
    with pytest.raises(CellError, match="neither true nor false"):
        to_booleans(series("true", "maybe"))


MOMENTS = [
    "2024-02-29",
    "1872-11-30",
    "2024-01-01T10:30:00+02:00",
    "2024-01-01 23:59:59.5",
    "2024-06-30T23:30Z",
    "1969-12-31 00:15:30-0930",
]


@pytest.mark.parametrize("text", MOMENTS)
def test_dates_are_those_of_pythons_own_reader(text):
    expected = datetime.datetime.fromisoformat(text)
    if expected.tzinfo is not None:
        expected = expected.astimezone(datetime.UTC).replace(tzinfo=None)

    assert to_dates(series(text, "")).to_list() == [expected, None]


def test_a_column_with_a_zone_is_brought_to_utc():
    moment = datetime.datetime(2024, 1, 1, 1, 0)
    local = pl.Series("c", [moment]).dt.replace_time_zone("Europe/Berlin")

    assert to_dates(local).to_list() == [datetime.datetime(2024, 1, 1, 0, 0)]


@pytest.mark.parametrize("text", ["2024-02-30", "30.2.2024", "2024-13-01", "2024-1-1", "soon"])
def test_what_is_no_date_is_refused(text):
    with pytest.raises(CellError, match="row 1, column 'c'"):
        to_dates(series("2024-01-01", text))


def test_names_are_stripped_and_numbers_written_alike():
    assert to_names(series(" a ", "", None)).to_list() == ["a", None, None]
    assert to_names(series(1.0, 2.5, math.nan, 1e20)).to_list() == ["1", "2.5", None, "1e+20"]
    assert to_names(series(True, False)).to_list() == ["true", "false"]
    assert to_text(series("a", None)).to_list() == ["a", ""]


def test_a_column_of_a_type_that_fits_nothing_is_refused():
    with pytest.raises(InputError, match="of type List"):
        to_names(series([1], [2]))
    with pytest.raises(InputError, match="as numbers"):
        to_numbers(series(datetime.date(2024, 1, 1)))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "NA"], pl.Float64),
        (["true", "FALSE", ""], pl.Boolean),
        (["2024-01-01", "2024-01-02T05:00", ""], pl.Datetime),
        (["2024-01-01", "later"], pl.String),
        (["01234", "2000"], pl.String),  # postal codes
        (["0.5", "0"], pl.Float64),
        (["A1", "2"], pl.String),  # half of the cells are numbers: codes
        (["a", "b"], pl.String),
        (["", ""], pl.String),
    ],
)
def test_a_text_column_is_what_all_of_its_cells_are(cells, kind):
    assert typed_frame(pl.DataFrame({"c": cells})).dtypes[0] == kind


def test_a_column_that_is_mostly_numbers_is_refused_with_the_first_other_cell():
    frame = pl.DataFrame({"c": ["1", "2", "three", "", "x"] + ["4"] * 5})

    with pytest.raises(CellError) as caught:
        typed_frame(frame)

    assert "row 2, column 'c' is 'three', but 7 of the column's 9 cells" in str(caught.value)
    assert "--as c=category" in str(caught.value)


def test_a_kind_that_is_given_decides():
    frame = pl.DataFrame({"c": ["1", "2"], "d": ["1", "0"], "e": ["1", "x"]})

    found = typed_frame(frame, kinds={"c": "category", "d": "boolean", "e": "text"})

    assert found.dtypes == [pl.String, pl.Boolean, pl.String]


def test_the_line_of_a_cell_is_named_in_csv_and_the_row_elsewhere(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("c,d\n1,2\n\n3,4\n5,x\n")
    error = CellError(1, "d", "is odd", "Mend it.")

    assert str(error.in_file(path)) == f"{path}: line 4, column 'd' is odd. Mend it."
    assert "line 5" in str(error.in_file(path, skipped=1))
    pl.DataFrame({"c": [1]}).write_parquet(tmp_path / "t.parquet")
    assert "row 1, column 'd'" in str(error.in_file(tmp_path / "t.parquet"))
    assert isinstance(error.in_file(path), DatasetError)


def test_a_matrix_of_numbers_has_the_columns_asked_for_and_no_gaps():
    frame = pl.DataFrame({"a": ["1", "2"], "b": [3, 4], "c": [None, 1.0]})

    assert number_matrix(frame, ["b", "a"]).tolist() == [[3, 1], [4, 2]]
    with pytest.raises(CellError, match="row 0, column 'c' is empty"):
        number_matrix(frame, ["a", "c"])
