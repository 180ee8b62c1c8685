"""What is read off X and y before a fit: ranges of columns, sorted classes."""

import numpy as np
import pytest

from crossent.linear_model import schema
from crossent.linear_model.schema import column_range
from crossent.linear_model.targets import read_targets


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (1000, 3), (77, 3001), (4001, 50)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_range_of_columns_is_the_same_by_any_way(shape, order, monkeypatch):
    monkeypatch.setattr(schema, "_LARGE_BYTES", 0)
    monkeypatch.setattr(schema, "_CACHE_BYTES", 10_000)
    X = np.asarray(np.random.default_rng(0).normal(size=shape), order=order)
    lowest, highest = column_range(X)
    np.testing.assert_array_equal(lowest, np.sort(X, axis=0)[0])
    np.testing.assert_array_equal(highest, np.sort(X, axis=0)[-1])


@pytest.mark.parametrize("row", [0, 1234, 3999, 4000])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_shows_in_the_range(row, value, monkeypatch):
    monkeypatch.setattr(schema, "_LARGE_BYTES", 0)
    monkeypatch.setattr(schema, "_CACHE_BYTES", 10_000)
    X = np.random.default_rng(0).normal(size=(4001, 50))
    X[row, 17] = value
    lowest, highest = column_range(X)
    bad = ~(np.isfinite(lowest) & np.isfinite(highest))
    np.testing.assert_array_equal(np.flatnonzero(bad), [17])


@pytest.mark.parametrize(
    "names",
    [
        np.array([3, -7, 3, 0, 5], np.int8),
        np.array([-128, 127] * 200, np.int8),
        np.array([255, 0, 7] * 100, np.uint8),
        np.array([2**63 - 1, -(2**63), 0]),
        np.array([2**64 - 1, 2**64 - 3] * 4, np.uint64),
        np.array([-(2**40), 2**40, 1]),
        np.array([True, False, True]),
        np.array(["b", "a", "b"]),
        np.array([1.0, 3.0, 1.0]),
    ],
)
def test_classes_are_sorted_and_rows_are_numbered_by_them(names):
    targets = read_targets(names, rows=len(names))
    assert targets.classes.tolist() == sorted(set(names.tolist()))
    assert targets.classes.dtype == names.dtype
    assert [targets.classes.tolist()[k] for k in targets.values] == names.tolist()
