"""The comparisons themselves: each passes what is right and refuses what is not."""

import math

import numpy as np
import pytest

from crossent.claims._expect import ClaimError, below, close, equal, refused, zero
from crossent.errors import InputError

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("got", "want", "tolerances"),
    [
        (1.0, 1.0, {}),
        (1.0 + 1e-9, 1.0, {"rel": 2e-9}),
        (1e-9, 0.0, {"abs": 1e-9}),
        ([1.0, INF, -INF], [1.0, INF, -INF], {}),
        (np.ones((2, 2)), [[1, 1], [1, 1]], {}),
        (-2.0 - 1e-9, -2.0, {"rel": 1e-9}),
    ],
)
def test_close_accepts(got, want, tolerances):
    close("it", got, want, **tolerances)


@pytest.mark.parametrize(
    ("got", "want", "tolerances"),
    [
        (1.0 + 1e-15, 1.0, {}),
        (1.0 + 3e-9, 1.0, {"rel": 2e-9}),
        (2e-9, 0.0, {"abs": 1e-9, "rel": 1.0}),
        (NAN, NAN, {"rel": 1.0, "abs": 1.0}),
        (1.0, NAN, {"rel": 1.0, "abs": 1.0}),
        (NAN, 1.0, {"rel": 1.0, "abs": 1.0}),
        (1e308, INF, {"rel": 1.0, "abs": 1.0}),
        (INF, 1.0, {"rel": 1.0, "abs": 1.0}),
        (-INF, INF, {"rel": 1.0, "abs": 1.0}),
        ([1.0, 2.0], [1.0, 3.0], {"rel": 0.1}),
        ([1.0], 1.0, {"rel": 1.0}),
        ([1.0, 1.0], [1.0], {"rel": 1.0}),
    ],
)
def test_close_refuses_and_names_the_quantity(got, want, tolerances):
    with pytest.raises(ClaimError, match=r"^the entropy: "):
        close("the entropy", got, want, **tolerances)


def test_zero_is_an_absolute_comparison():
    zero("it", [[1e-16, -1e-16]], abs=1e-15)
    for wrong in ([0.0, 1e-14], -1e-14, NAN):
        with pytest.raises(ClaimError):
            zero("it", wrong, abs=1e-15)


def test_equal_compares_arrays_as_lists():
    equal("it", np.array([1, 2]), [1, 2])
    equal("it", (1, "a"), (1, "a"))
    for got, want in (([1, 2], [1, 3]), ([1], [1, 2]), (NAN, NAN), ("a", "b"), (1, None)):
        with pytest.raises(ClaimError, match="it: "):
            equal("it", got, want)


def test_below_is_strict_and_holds_for_every_entry():
    below("it", [1, 2], 3)
    below("it", 0.0, [1, 2])
    for got, bound in ((3, 3), ([1, 4], 3), (NAN, 3), (1, NAN)):
        with pytest.raises(ClaimError, match="is not below"):
            below("it", got, bound)


def test_refused_wants_an_input_error_with_its_words():
    def refuse():
        message = "row 17 sums to 2"
        raise InputError(message)

    assert refused("it", refuse, "row 17", "sums") == "row 17 sums to 2"
    with pytest.raises(ClaimError, match=r"without a word of \['row 18'\]"):
        refused("it", refuse, "row 17", "row 18")
    with pytest.raises(ClaimError, match="accepted, with the result 5"):
        refused("it", lambda: 5)
    with pytest.raises(ZeroDivisionError):
        refused("it", lambda: 1 / 0)


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ClaimError) as caught:
        close("it", np.arange(10_000.0), np.zeros(10_000))

    assert len(str(caught.value)) < 500
