"""Choice models come back from files with all that they can do."""

import pickle

import numpy as np
import pytest

import crossent
from crossent.choice import BradleyTerry, ConditionalLogit, PlackettLuce

rng = np.random.default_rng(0)
LEFT = rng.integers(0, 4, 200)
X = np.array(list("abcd"))[np.column_stack([LEFT, (LEFT + rng.integers(1, 4, 200)) % 4])]
Y = np.array(["left", "right", "tie", "neither"])[rng.integers(0, 4, 200)]
STYLE, JUDGE = rng.normal(size=(200, 2)), rng.integers(0, 9, 200)
FEATURES, TRIP = rng.normal(size=(90, 2)), np.repeat(np.arange(30), 3)


def pairs():
    model = BradleyTerry(order_effect="global", half_life=30)
    return model.fit(X, Y, covariates=STYLE, clusters=JUDGE, dates=np.arange(200))


def rankings():
    order = [rng.permutation(list("abcd")).tolist() for _ in range(40)]
    return PlackettLuce().fit([*order, [("a", "b"), "c"]], clusters=np.arange(41) % 7)


def choices():
    chosen = np.tile([1, 0, 0, 0, 1, 0], 15)
    return ConditionalLogit(outside=True).fit(FEATURES, chosen, TRIP, clusters=TRIP % 7)


def again(model, tmp_path):
    crossent.save(model, tmp_path / "model.skops")
    return crossent.load(tmp_path / "model.skops")


@pytest.mark.parametrize("fit", [pairs, rankings, choices])
@pytest.mark.parametrize("kind", ["hessian", "sandwich", "clustered"])
def test_covariances_come_from_a_loaded_model_bit_for_bit(fit, kind, tmp_path):
    model = fit()
    expected = model.covariance(kind)

    assert expected.any()
    np.testing.assert_array_equal(again(model, tmp_path).covariance(kind), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).covariance(kind), expected)


def test_a_loaded_model_predicts_ranks_resamples_and_goes_on(tmp_path):
    model = pairs()
    loaded = again(model, tmp_path)

    np.testing.assert_array_equal(
        loaded.predict_proba(X[:9], covariates=STYLE[:9]),
        model.predict_proba(X[:9], covariates=STYLE[:9]),
    )
    assert loaded.ranking().items.tolist() == model.ranking().items.tolist()
    np.testing.assert_array_equal(loaded.bootstrap(20).scores, model.bootstrap(20).scores)
    for one in (model, loaded):
        one.partial_fit(X[:9], Y[:9], covariates=STYLE[:9], dates=np.arange(9) + 200)
    np.testing.assert_array_equal(loaded.scores_, model.scores_)
    assert loaded.certificate_.status is model.certificate_.status


def test_loaded_rankings_and_choices_predict(tmp_path):
    model = rankings()
    np.testing.assert_array_equal(
        again(model, tmp_path).predict_proba(["a", "c"]), model.predict_proba(["a", "c"])
    )
    model = choices()
    np.testing.assert_array_equal(
        again(model, tmp_path).predict_proba(FEATURES, TRIP), model.predict_proba(FEATURES, TRIP)
    )
