"""Where no estimate exists it is said, with names; where one exists it is found."""

import warnings

import numpy as np
import pytest

from crossent.choice import BradleyTerry, ConditionalLogit, PlackettLuce, UndefinedScoreWarning
from crossent.errors import InputError


def healthy(seed=0, n=600):
    """Random matches of ten items, everybody wins and loses."""
    rng = np.random.default_rng(seed)
    i = rng.integers(0, 10, n)
    j = (i + rng.integers(1, 10, n)) % 10
    return [[f"item {a}", f"item {b}"] for a, b in zip(i.tolist(), j.tolist(), strict=True)]


def test_one_lost_match_of_a_new_item_is_refused_by_name():
    X = [*healthy(), ["item 3", "new"]]
    with pytest.raises(InputError, match=r"'new' never won.*penalty.*components.*drop"):
        BradleyTerry().fit(X)


def test_dropping_leaves_the_others_as_they_were_and_no_number_for_the_new_item():
    X = healthy()
    alone = BradleyTerry().fit(X)
    with pytest.warns(UndefinedScoreWarning, match="'new'"):
        model = BradleyTerry(undefined="drop").fit([*X, ["item 3", "new"]])

    assert np.isnan(model.scores_[model.items_.tolist().index("new")])
    np.testing.assert_allclose(model.scores_[:10], alone.scores_, rtol=0, atol=1e-9)
    assert np.isnan(model.predict_proba([["item 3", "new"]])).all()


def test_an_unbeaten_item_is_named():
    with pytest.raises(InputError, match="'star' never lost"):
        BradleyTerry().fit([*healthy(), ["star", "item 1"], ["star", "item 2"]])


def test_groups_without_a_match_between_them_are_named():
    X = [["a", "b"], ["b", "a"], ["c", "d"], ["d", "c"], ["a", "b"]]
    with pytest.raises(InputError, match=r"2 groups were never compared, such as 'a', 'b'"):
        BradleyTerry().fit(X)


def test_each_component_gets_its_own_scores():
    X = [["a", "b"], ["b", "a"], ["c", "d"], ["d", "c"], ["a", "b"], ["a", "c"]]
    with pytest.warns(UndefinedScoreWarning, match="2 groups"):
        model = BradleyTerry(undefined="components").fit(X)

    # Within {a, b}: 2 to 1; within {c, d}: even. "a beat c" crosses and is left out.
    np.testing.assert_allclose(
        model.scores_, [np.log(2) / 2, -np.log(2) / 2, 0, 0], rtol=0, atol=1e-9
    )
    assert model.component_[0] == model.component_[1] != model.component_[2] == model.component_[3]
    assert np.isnan(model.predict_proba([["a", "c"]])).all()
    with pytest.raises(InputError, match="cannot be compared"):
        model.win_probability("a", "c")


def test_ties_and_wins_of_one_item_over_the_other_have_no_estimate():
    # p(win) = p(tie) = 1/2 is approached, never reached: θ_a - θ_b = 2ν → ∞. Counting the tie in
    # both directions the graph is strongly connected, so only the linear program can tell.
    with pytest.raises(InputError, match=r"does not exist: .*'a'.*would rise"):
        BradleyTerry().fit([["a", "b"], ["a", "b"]], ["left", "tie"])


def test_an_order_effect_that_always_wins_has_no_estimate():
    X = [["a", "b"], ["b", "a"], ["a", "c"], ["c", "a"], ["b", "c"], ["c", "b"]]
    assert np.isfinite(BradleyTerry().fit(X).scores_).all()
    with pytest.raises(InputError, match="the order effect would rise"):
        BradleyTerry(order_effect="global").fit(X)
    # Scores with a penalty cannot grow, so that they are not to blame.
    with pytest.raises(InputError, match="does not exist: the order effect would rise without"):
        BradleyTerry(order_effect="global", penalty=1.0).fit([*X, ["a", "b"], ["a", "c"]])


def test_a_covariate_that_separates_is_named():
    X = [["a", "b"], ["b", "a"], ["a", "b"], ["b", "a"]]
    with pytest.raises(InputError, match="covariate '0' would rise"):
        BradleyTerry().fit(X, covariates=[[1.0], [2.0], [1.0], [0.5]])


def test_a_constant_difference_is_not_determined():
    X = [["a", "b"], ["b", "a"], ["a", "b"]]
    with pytest.raises(InputError, match="do not determine the covariate '1'"):
        BradleyTerry().fit(X, [1, 0.5, 0], covariates=[[1.0, 2.0], [2.0, 4.0], [0.3, 0.6]])


def test_never_neither_is_no_estimate_when_it_is_asked_for():
    with pytest.raises(InputError, match="'neither'"):
        BradleyTerry(neither="own").fit(healthy())


def test_rankings_name_the_item_that_is_always_last():
    with pytest.raises(InputError, match="'z' never won"):
        PlackettLuce().fit([["a", "b", "z"], ["b", "a", "z"]])
    model = PlackettLuce(undefined="drop").fit([["a", "b", "z"], ["b", "a", "z"]])
    np.testing.assert_allclose(model.scores_[:2], 0, atol=1e-12)
    assert np.isnan(model.scores_[2])


def test_a_feature_that_decides_every_choice_is_named():
    with pytest.raises(InputError, match="the coefficient of '0' would fall"):
        ConditionalLogit().fit([[1.0], [2.0], [1.0], [3.0]], [1, 0, 1, 0], [0, 0, 1, 1])


def test_healthy_data_never_raise_and_never_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(5):
            X = healthy(seed, 200)
            y = np.random.default_rng(seed).choice(["left", "right", "tie"], 200)
            assert np.isfinite(BradleyTerry(order_effect="global").fit(X, y).scores_).all()
