"""Plackett-Luce with ties and conditional logit, against the models written out."""

import numpy as np
import pandas as pd
import pytest
from choice_definitions import (
    centred,
    log_softmax,
    logsumexp,
    minimiser,
    numerical_hessian,
    ranking_loss,
)

from crossent.choice import BradleyTerry, ConditionalLogit, PlackettLuce

TOLERANCE = 1e-7  # see test_bradley_terry.py


def random_rankings(seed, n=60, ties=False):
    """Full and partial rankings of items 0…4, as groups."""
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(n):
        order = rng.permutation(5)[: rng.integers(2, 6)].tolist()
        groups = [[i] for i in order]
        if ties and rng.random() < 0.5:
            at = int(rng.integers(0, len(groups) - 1))
            groups[at : at + 2] = [groups[at] + groups[at + 1]]
        if ties and len(groups) > 2 and rng.random() < 0.3:
            groups[-2:] = [groups[-2] + groups[-1]]
        result.append(groups)
    return result


def test_rankings_without_ties():
    rankings = random_rankings(0)
    weights = np.random.default_rng(1).choice([0.5, 1.0, 3.0], len(rankings))
    model = PlackettLuce().fit([[g[0] for g in r] for r in rankings], sample_weight=weights)

    loss = ranking_loss(rankings, weights=weights)
    w = minimiser(loss, 5)
    np.testing.assert_allclose(model.scores_, centred(w), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(model.log_likelihood_, -loss(w), rtol=1e-11)
    np.testing.assert_allclose(model.worths_, np.exp(w) / np.exp(w).sum(), rtol=0, atol=TOLERANCE)
    assert len(model.ties_) == 0


def test_rankings_with_ties_of_up_to_three():
    rankings = random_rankings(2, ties=True)
    largest = max(len(g) for r in rankings for g in r)
    assert largest == 3
    model = PlackettLuce().fit([[tuple(g) for g in r] for r in rankings])

    w = minimiser(ranking_loss(rankings, largest_tie=3), 7)
    np.testing.assert_allclose(model.scores_, centred(w[:5]), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(model.ties_, w[5:], rtol=0, atol=TOLERANCE)


def test_a_matrix_of_ranks_is_the_same_as_orderings():
    rankings = random_rankings(3, ties=True)
    ranks = np.zeros((len(rankings), 5))
    for row, groups in enumerate(rankings):
        for rank, group in enumerate(groups):
            ranks[row, group] = rank + 1
    orderings = PlackettLuce().fit([[tuple(g) for g in r] for r in rankings])

    np.testing.assert_allclose(PlackettLuce().fit(ranks).scores_, orderings.scores_, rtol=1e-10)
    frame = pd.DataFrame(np.where(ranks == 0, np.nan, ranks), columns=list("edcba"))
    turned = PlackettLuce().fit(frame)
    assert turned.items_.tolist() == list("abcde")
    np.testing.assert_allclose(turned.scores_[::-1], orderings.scores_, rtol=1e-10)


def test_unranked_items_may_come_last():
    top = [["a", "b"], ["b", "c"], ["c", "a"], ["a", "d"], ["d", "b"]]
    items = list("abcd")
    model = PlackettLuce(unranked="last").fit(top, items=items)

    def loss(w):
        total = 0.0
        for ranking in top:
            left = list(range(4))
            for name in ranking:
                i = items.index(name)
                total -= log_softmax([w[k] for k in left])[left.index(i)]
                left.remove(i)
        return total

    np.testing.assert_allclose(model.scores_, centred(minimiser(loss, 4)), rtol=0, atol=TOLERANCE)


def test_rankings_of_two_are_paired_comparisons():
    rng = np.random.default_rng(4)
    i = rng.integers(0, 6, 100)
    X = np.column_stack([i, (i + rng.integers(1, 6, 100)) % 6])
    pairs = BradleyTerry().fit(X)
    rankings = PlackettLuce().fit(X.tolist())

    np.testing.assert_allclose(rankings.scores_, pairs.scores_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        rankings.covariance("sandwich"), pairs.covariance("sandwich"), rtol=1e-7, atol=1e-10
    )


def test_davidson_is_davidson_luce_for_two_up_to_the_constant():
    # mean(θ_i, θ_j) + log δ₂ is the tie's logit in both models.
    X = [["a", "b"]] * 5 + [["b", "a"]] * 3 + [["a", "b"]] * 2
    pairs = BradleyTerry().fit(X, ["left"] * 8 + ["tie"] * 2)
    rankings = PlackettLuce().fit([["a", "b"]] * 5 + [["b", "a"]] * 3 + [[("a", "b")]] * 2)

    assert rankings.ties_[0] == pytest.approx(pairs.tie_, abs=1e-9)
    np.testing.assert_allclose(rankings.scores_, pairs.scores_, rtol=1e-9)


def trips(seed, n=120, outside=False):
    """Ragged choice sets of trains, cars and buses."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        kinds = rng.permutation(3)[: rng.integers(2, 4)]
        income = rng.normal()
        features = rng.normal(size=(len(kinds), 2))
        chosen = int(rng.integers(0, len(kinds) + outside))
        rows += [
            (number, ["bus", "car", "train"][k], *x, income, float(at == chosen))
            for at, (k, x) in enumerate(zip(kinds.tolist(), features.tolist(), strict=True))
        ]
    return pd.DataFrame(rows, columns=["trip", "mode", "price", "time", "income", "chosen"])


def choice_loss(data, columns, outside):
    """Summed loss as a function of the coefficients of columns written out by hand."""
    X = np.column_stack(columns)
    rows = [np.flatnonzero(data["trip"] == number) for number in data["trip"].unique()]
    chosen = data["chosen"].to_numpy()

    def loss(w):
        z = X @ w
        total = 0.0
        for of in rows:
            logits = np.append(z[of], 0.0) if outside else z[of]
            taken = z[of] @ chosen[of]  # 0, the outside option's logit, where nothing was
            total += logsumexp(logits) - taken
        return float(total)

    return loss


def test_conditional_logit_with_constants_chooser_and_specific_features():
    data = trips(5)
    model = ConditionalLogit(intercepts=True, specific=["time"]).fit(
        data[["price", "time"]],
        data["chosen"],
        data["trip"],
        alternatives=data["mode"],
        chooser=data[["income"]],
    )

    kind = {k: (data["mode"] == k).to_numpy(dtype=float) for k in ("bus", "car", "train")}
    columns = [data["price"], *(data["time"] * kind[k] for k in kind)]
    columns += [data["income"] * kind["car"], data["income"] * kind["train"]]
    loss = choice_loss(data, [*columns, kind["car"], kind["train"]], outside=False)
    w = minimiser(loss, 8)
    np.testing.assert_allclose(model.coef_, w, rtol=0, atol=TOLERANCE)
    assert model.feature_names_out_.tolist() == [
        "price", "time:bus", "time:car", "time:train", "income:car", "income:train",
        "intercept:car", "intercept:train",
    ]  # fmt: skip
    np.testing.assert_allclose(model.log_likelihood_, -loss(w), rtol=1e-11)
    # Differences of second order with h = 1e-3: error h² f'''' ≈ 1e-6 of the entries.
    np.testing.assert_allclose(
        np.linalg.inv(model.covariance()), numerical_hessian(loss, w), rtol=0, atol=1e-4
    )


def test_a_penalty_spares_the_constants():
    data = trips(8)
    model = ConditionalLogit(intercepts=True, penalty=5.0).fit(
        data[["price"]], data["chosen"], data["trip"], alternatives=data["mode"]
    )
    kind = [(data["mode"] == k).to_numpy(dtype=float) for k in ("car", "train")]
    loss = choice_loss(data, [data["price"], *kind], outside=False)

    w = minimiser(lambda w: loss(w) + 2.5 * w[0] ** 2, 3)
    np.testing.assert_allclose(model.coef_, w, rtol=0, atol=TOLERANCE)
    assert model.certificate_.kind == "gap"


def test_conditional_logit_with_an_outside_option_and_unavailable_rows():
    data = trips(6, outside=True)
    hidden = data.iloc[::7].assign(price=99.0, chosen=0.0)
    table = pd.concat([data, hidden]).sample(frac=1, random_state=0)
    available = table["price"].to_numpy() != 99.0
    model = ConditionalLogit(outside=True, intercepts=True).fit(
        table[["price", "time"]],
        table["chosen"],
        table["trip"],
        alternatives=table["mode"],
        available=available,
    )

    kind = [(data["mode"] == k).to_numpy(dtype=float) for k in ("bus", "car", "train")]
    loss = choice_loss(data, [data["price"], data["time"], *kind], outside=True)
    w = minimiser(loss, 5)
    np.testing.assert_allclose(model.coef_, w, rtol=0, atol=TOLERANCE)
    p = model.predict_proba(
        table[["price", "time"]], table["trip"], alternatives=table["mode"], available=available
    )
    assert (p[~available] == 0).all()
    sums = np.bincount(table["trip"], weights=p)
    assert (sums < 1).all()
    assert (sums > 0).all()
    first = data[data["trip"] == 0]
    constant = dict(zip(["bus", "car", "train"], w[2:], strict=True))
    z = [w[0] * r.price + w[1] * r.time + constant[r.mode] for r in first.itertuples()]
    expected = np.exp(log_softmax([*z, 0.0]))[:-1]
    mine = p[(table["trip"] == 0).to_numpy() & available]
    np.testing.assert_allclose(np.sort(mine), np.sort(expected), rtol=1e-6)


def test_bradley_terry_is_a_conditional_logit_of_indicators():
    rng = np.random.default_rng(7)
    i = rng.integers(0, 4, 80)
    j = (i + rng.integers(1, 4, 80)) % 4
    pairs = BradleyTerry(anchor=0).fit(np.column_stack([i, j]))
    rows = np.eye(4)[np.column_stack([i, j]).ravel()][:, 1:]
    model = ConditionalLogit().fit(rows, np.tile([1, 0], 80), np.repeat(np.arange(80), 2))

    np.testing.assert_allclose(model.coef_, pairs.scores_[1:], rtol=1e-8)
    for kind in ("hessian", "sandwich"):
        np.testing.assert_allclose(
            model.covariance(kind), pairs.covariance(kind)[1:, 1:], rtol=1e-6, atol=1e-10
        )
