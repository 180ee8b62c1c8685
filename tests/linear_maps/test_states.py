"""States that are damaged, not only of another size; and options that are taken or refused."""

import numpy as np
import pytest

from crossent.errors import InputError
from crossent.linear_maps import (
    MAP_NAMES,
    CostReport,
    Dense,
    LowRank,
    cost_report,
    make_map,
)
from crossent.linear_maps.cost import _break_even


def fixed_map(name):
    made = make_map(name, (6, 16), rng=np.random.default_rng(0))
    return made, made.state(made.start(np.random.default_rng(1)))


@pytest.mark.parametrize(
    ("name", "field", "bad", "says"),
    [
        ("low_rank", "U", lambda a: np.where(a == a[0, 0], np.nan, a), "finite numbers only"),
        ("low_rank", "V", lambda a: a * np.inf, "finite numbers only"),
        ("low_rank", "U", lambda a: a.astype(str), "finite numbers only"),
        ("low_rank", "shape", lambda a: a + 0.5, r"of a map of shape \(6.5, 16.5\)"),
        ("low_rank", "shape", lambda _: "6x16", r"of a map of shape \('6x16',\)"),
        ("low_rank", "shape", lambda _: None, r"of a map of shape \(None,\)"),
        ("fastfood", "permutation", lambda a: a + 0.4, "integers of type int32"),
        ("fastfood", "permutation", lambda a: a * 0, "once in each row"),
        ("fastfood", "permutation", lambda a: a.astype(np.int64) + 2**32, "integers of type int32"),
        ("fastfood", "signs", lambda a: a * 1.5, "integers of type int8"),
        ("fastfood", "signs", lambda a: a.astype(int) + 256, "integers of type int8"),
        ("fastfood", "gains", lambda a: a * np.nan, "finite numbers only"),
        ("circulant", "signs", lambda a: a * 1.5, "integers of type int8"),
        ("circulant", "signs", lambda a: a * 2, "of ±1"),
        ("block_diagonal", "permutation", lambda a: a + 0.4, "integers of type int32"),
        ("block_diagonal", "permutation", lambda a: a // 2, "once"),
    ],
)
def test_a_damaged_state_is_refused_and_not_rounded_to_something_else(name, field, bad, says):
    made, state = fixed_map(name)
    made.load_state(state)
    with pytest.raises(InputError, match=says):
        made.load_state(state | {field: bad(state[field])})


def test_what_is_no_state_is_refused():
    made, state = fixed_map("fastfood")
    for other in (None, [1, 2], "state"):
        with pytest.raises(InputError, match="must be a dict"):
            made.load_state(other)
    with pytest.raises(InputError, match="the state holds"):
        made.load_state({0: state["S"]})


def test_exact_integers_in_floats_are_taken_back_as_integers():
    made, state = fixed_map("fastfood")
    floats = {name: array.astype(np.float64) for name, array in state.items()}
    loaded, theta = made.load_state(floats)
    assert loaded.permutation.dtype == np.int32
    assert loaded.signs.dtype == np.int8
    np.testing.assert_array_equal(loaded.permutation, made.permutation)
    np.testing.assert_array_equal(theta, state["S"])


def test_a_loaded_state_is_a_copy():
    made, state = fixed_map("fastfood")
    loaded, theta = made.load_state(state)
    before = loaded.to_dense(theta)
    for array in state.values():
        array[...] = 0
    np.testing.assert_array_equal(loaded.to_dense(theta), before)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("toeplitz_like", {"rank": 11}, "`rank` of a ToeplitzLike is 11.* from 1 to 10"),
        ("low_rank", {"rank": 11}, "`rank` of a LowRank is 11.* from 1 to 10"),
        ("block_diagonal", {"blocks": 11}, "`blocks` of a BlockDiagonal is 11.* from 1 to 10"),
        ("monarch", {"blocks": 11}, "`blocks` of a Monarch is 11.* from 1 to 10"),
        ("phm", {"n": 785}, "`n` of a PHM is 785.* from 1 to 784"),
        ("phm", {"n": "4"}, "`n` of a PHM is '4'"),
        ("circulant", {"rank": 2}, "does not take these options"),
    ],
)
def test_an_option_that_a_size_cannot_have_is_refused_and_not_cut(name, options, says):
    with pytest.raises(InputError, match=says):
        make_map(name, (10, 784), rng=np.random.default_rng(0), **options)


@pytest.mark.parametrize("shape", [5, (3, 4, 5), (0, 5), (2.0, 3), "10x784", None])
@pytest.mark.parametrize("name", MAP_NAMES)
def test_a_shape_that_is_none_is_one_error_whatever_the_map(name, shape):
    with pytest.raises(InputError, match=r"two positive integers"):
        make_map(name, shape, rng=np.random.default_rng(0))


def test_the_break_even_batch_is_the_one_from_which_on_the_map_is_faster():
    def measured(*batches):
        return {rows: (1.0, 2.0) if rows in batches else (2.0, 1.0) for rows in (1, 4, 16, 64)}

    assert _break_even(measured(16, 64)) == 16
    assert _break_even(measured(1, 4, 16, 64)) == 1
    assert _break_even(measured(64)) == 64
    assert _break_even(measured(1, 16, 64)) == 16  # at 4 it loses again
    assert _break_even(measured(1, 4)) is None  # for large batches it does not pay
    assert _break_even(measured()) is None


def test_a_dense_map_does_not_break_even_with_itself():
    dense = Dense((30, 20))
    report = cost_report(dense, np.ones(600), batch=4)
    assert report.break_even_batch is None
    assert (report.parameters, report.bytes) == (report.dense_parameters, report.dense_bytes)
    assert str(report).endswith("nothing to gain or to lose.")


def test_a_report_of_a_map_that_never_wins_says_so():
    numbers = dict.fromkeys(
        ("batch", "parameters", "multiply_adds", "bytes", "milliseconds"), 2
    ) | dict.fromkeys(
        ("dense_parameters", "dense_multiply_adds", "dense_bytes", "dense_milliseconds"), 6
    )
    report = CostReport(kind="LowRank", shape=(2, 3), break_even_batch=None, **numbers)
    assert "Not faster from any batch on" in str(report)
    assert "3.00" in str(report)


def test_a_report_is_measured_in_the_type_that_is_asked_for():
    thin = LowRank((40, 50), 2)
    theta = thin.start(np.random.default_rng(0))
    single, double = (cost_report(thin, theta, batch=4, dtype=t) for t in (np.float32, np.float64))
    assert double.bytes == 2 * single.bytes == 8 * 2 * 90
    assert double.dense_bytes == 2 * single.dense_bytes == 8 * 2000
