"""Every kind of bad input has one clear error, with its row and what to do."""

import numpy as np
import pandas
import pytest

from crossent.choice import BradleyTerry, ConditionalLogit, PlackettLuce, elo_ratings
from crossent.errors import InputError

X = [["a", "b"], ["b", "a"], ["a", "b"]]
CASES = {
    "self-comparison": (([*X, ["c", "c"]],), {}, r"Row 3 compares 'c' with itself"),
    "unknown outcome": ((X, ["left", "won", "tie"]), {}, r"y is 'won' in row 1; .*outcomes="),
    "NaN weight": ((X, None, [1, np.nan, 1]), {}, r"sample_weight is nan in row 1"),
    "negative weight": ((X, None, [1, 1, -2]), {}, r"sample_weight is -2.0 in row 2"),
    "no weight": ((X, None, [0, 0, 0]), {}, r"0 in every row"),
    "one item of weight": (([["a", "b"]], None, [0.0]), {}, r"0 in every row"),
    "missing name": (([["a", "b"], [None, "a"]],), {}, r"left item is missing in row 1"),
    "NaN name": (([["a", "b"], ["b", np.nan]],), {}, r"right item is missing in row 1"),
    "no rows": ((np.empty((0, 2)),), {}, r"no rows"),
    "three columns": (([["a", "b", "c"]],), {}, r"3 columns; expected 2"),
    "ragged rows": (([*X, ["a"]],), {}, r"1 values in row 3 and 2 in row 0"),
    "lengths": ((X, ["left"]), {}, r"X has 3 rows and y has 1"),
    "negative count": ((X, [[1, 0], [0, -1], [1, 1]]), {}, r"y counts -1.0 .* in row 1"),
    "NaN covariate": ((X,), {"covariates": [0.0, 1.0, np.nan]}, r"covariates is nan in row 2"),
    "order without effect": ((X,), {"order": [1, 1, 0]}, r"order_effect='global'"),
    "one cluster": ((X,), {"clusters": [1, 1, 1]}, r"at least two clusters"),
}


@pytest.mark.parametrize("name", CASES)
def test_comparisons(name):
    positional, keywords, message = CASES[name]
    with pytest.raises(InputError, match=message):
        BradleyTerry().fit(*positional, **keywords)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ties": "both"}, "ties is 'both'"),
        ({"penalty": -1.0}, "penalty is -1.0"),
        ({"order_effect": "home"}, "order_effect is 'home'"),
        ({"half_life": "soon"}, "half_life is 'soon'"),
        ({"half_life": 30}, "half_life needs `dates`"),
        ({"anchor": "z"}, "anchor is 'z'"),
        ({"undefined": "guess"}, "undefined is 'guess'"),
        ({"outcomes": {"left": "up"}}, "must be one of"),
    ],
)
def test_parameters(options, message):
    with pytest.raises(InputError, match=message):
        BradleyTerry(**options).fit(X, ["left"] * 3)


def test_a_date_that_cannot_be_read_is_shown_with_its_row():
    with pytest.raises(InputError, match=r"dates is .*2024-13-45.* in row 1"):
        BradleyTerry(half_life="1y").fit(X, dates=["2024-01-01", "2024-13-45", "2024-01-03"])


def test_an_item_that_was_not_fitted_is_named():
    model = BradleyTerry().fit(X)
    with pytest.raises(InputError, match="'q' was fitted"):
        model.predict_proba([["a", "q"]])
    with pytest.raises(InputError, match="'q' is none"):
        model.win_probability("a", "q")


@pytest.mark.parametrize(
    ("rankings", "options", "message"),
    [
        ([["a", "b"], ["b", "a", "b"]], {}, r"Ranking 1 has 'b' twice"),
        ([["a", "b"], []], {}, r"Ranking 1 is empty"),
        ([["a", "b"], [("a", "b")]], {"max_tie": 1}, r"Ranking 1 gives 2 items the same rank"),
        (np.array([[1, 2], [1, 1]]), {"max_tie": 1}, r"Ranking 1 gives 2 items the same rank"),
        (np.array([[1, 2], [-1, 1]]), {}, r"Ranking 1 has a rank that is negative"),
        ([["a"], ["b"]], {}, r"nothing can be compared|never compared"),
        ([["a"]], {}, r"1 items; at least two"),
        ([["a", "b"], ["b", None]], {}, r"Ranking 1 has a missing item"),
        (["ab", "ba"], {}, r"X is text"),
        (np.array([[1, 2], [np.inf, 1]]), {}, r"Ranking 1 has a rank that is negative or inf"),
        (pandas.DataFrame({"a": [1, "x"], "b": [2, 1]}), {}, r"Ranks must be numbers"),
    ],
)
def test_rankings(rankings, options, message):
    with pytest.raises(InputError, match=message):
        PlackettLuce(**options).fit(rankings)


@pytest.mark.parametrize(
    ("y", "keywords", "message"),
    [
        ([1, 0, 0, 0], {}, r"Nothing was chosen from the set of row 2"),
        ([1, 0, 1, 0], {"available": [0, 1, 1, 1]}, r"Row 0 was chosen but was not available"),
        ([1, 0, 0, 0], {"available": [1, 1, 0, 0]}, r"set of row 2 is empty"),
        ([1, 0, np.nan, 0], {}, r"y is nan in row 2"),
        ([1, 0, 1, 0], {"sample_weight": [1, 1, np.nan, 1]}, r"sample_weight is nan in row 2"),
    ],
)
def test_choices(y, keywords, message):
    with pytest.raises(InputError, match=message):
        ConditionalLogit().fit([[1.0], [2.0], [2.0], [1.0]], y, [0, 0, 1, 1], **keywords)


def test_constants_need_kinds():
    with pytest.raises(InputError, match="need `alternatives`"):
        ConditionalLogit(intercepts=True).fit([[1.0], [2.0]], [1, 0], [0, 0])


def test_nothing_but_neither_is_no_comparison():
    with pytest.raises(InputError, match=r"Only 0 items .* positive weight"):
        BradleyTerry(neither="drop").fit(X, ["neither"] * 3)


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.ranking(level=95),
        lambda model: model.win_probability("a", "b", level=1.0),
        lambda model: model.bootstrap(0),
    ],
)
def test_questions_that_make_no_sense(ask):
    with pytest.raises(InputError, match=r"level is .*between 0 and 1|at least one"):
        ask(BradleyTerry().fit(X))


def test_clusters_of_rankings_are_checked():
    with pytest.raises(InputError, match="clusters has 1 rows"):
        PlackettLuce().fit([["a", "b"], ["b", "a"]], clusters=["x"])


def test_elo_has_no_neither():
    with pytest.raises(InputError, match="neither"):
        elo_ratings(X, ["left", "neither", "tie"])
