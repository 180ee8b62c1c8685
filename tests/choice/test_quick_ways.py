"""What was made quick gives what the plain way gives: names, cells, Hessians, last steps."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from crossent.choice import BradleyTerry
from crossent.choice.arrow_names import arrow_codes
from crossent.choice.names import factorise_together
from crossent.errors import InputError
from crossent.objectives.choice import ChoiceObjective
from crossent.objectives.choice_hessian import hessian_builder
from crossent.objectives.choice_metric import CholeskyMetric
from crossent.objectives.choice_sets import ChoiceSets, LocalRows
from crossent.solvers import minimise


def arrow_strings(values):
    pytest.importorskip("pyarrow")
    return pd.Series(values, dtype=pd.StringDtype("pyarrow"))


def names(seed, n, kinds):
    """Strings of several lengths, of which more appear the later the row."""
    rng = np.random.default_rng(seed)
    reach = 1 + np.arange(n) * kinds // n
    return [f"item {'x' * (k % 5)}{k}" for k in (rng.random(n) * reach).astype(int).tolist()]


@pytest.mark.parametrize(("n", "kinds"), [(1, 1), (7, 3), (200, 6), (3000, 900)])
def test_strings_in_arrow_get_the_numbers_of_a_dictionary(n, kinds):
    left, right = names(0, n, kinds), names(1, n, kinds)
    plain, expected = factorise_together([left, right], ["left", "right"])
    quick, items = factorise_together([arrow_strings(left), arrow_strings(right)], ["l", "r"])

    assert items.tolist() == expected.tolist() == sorted({*left, *right})
    for found, wanted, given in zip(quick, plain, (left, right), strict=True):
        np.testing.assert_array_equal(found, wanted)
        assert items[found].tolist() == given


def test_arrow_strings_come_in_order_of_first_appearance_and_may_be_missing():
    # The first eighth has one name only; the others come late, with a gap between them.
    first = arrow_strings(["b"] * 8 + ["d", None, "a"])
    (left, right), found = arrow_codes([first, arrow_strings([None, "c", "a", "b"])])

    assert found == ["b", "d", "a", "c"]
    assert left.tolist() == [0] * 8 + [1, -1, 2]
    assert right.tolist() == [-1, 3, 2, 0]


def test_a_missing_arrow_string_is_named_with_its_row():
    X = pd.DataFrame(
        {"left": arrow_strings(["a", "b", "a"]), "right": arrow_strings(["b", "a", None])}
    )
    with pytest.raises(InputError, match="right item is missing in row 2"):
        BradleyTerry().fit(X)
    with pytest.raises(InputError, match="y is missing in row 1"):
        BradleyTerry().fit([["a", "b"], ["b", "a"]], arrow_strings(["left", None]))


def test_columns_that_arrow_does_not_hold_are_left_to_others():
    assert arrow_codes([arrow_strings(["a"]), pd.Series([1])]) is None
    assert arrow_codes([["a"]]) is None


def neutral_matches():
    """400 rows of four teams, half of them on neutral ground, with judges."""
    rng = np.random.default_rng(4)
    i = rng.integers(0, 4, 400)
    j = (i + rng.integers(1, 4, 400)) % 4
    y = np.array(["left", "right", "tie"])[rng.integers(0, 3, 400)]
    return np.column_stack([i, j]), y, rng.integers(0, 2, 400), rng.integers(0, 20, 400)


@pytest.mark.parametrize("effect", ["global", "item"])
def test_on_neutral_ground_it_does_not_matter_who_stands_on_the_left(effect):
    X, y, order, judge = neutral_matches()
    turn = (order == 0) & (np.arange(400) % 2 == 0)
    turned = np.where(turn[:, None], X[:, ::-1], X)
    other = np.where(y == "left", "right", np.where(y == "right", "left", y))
    fits = [
        BradleyTerry(order_effect=effect).fit(rows, ends, order=order, clusters=judge)
        for rows, ends in ((X, y), (turned, np.where(turn, other, y)))
    ]

    # 12 ordered pairs at home, 6 pairs on neutral ground.
    assert [len(model._cells.left) for model in fits] == [18, 18]
    np.testing.assert_allclose(fits[0].scores_, fits[1].scores_, rtol=0, atol=1e-12)
    for kind in ("hessian", "sandwich", "clustered"):
        first, second = (model.covariance(kind) for model in fits)
        np.testing.assert_allclose(first, second, rtol=1e-9, atol=1e-12)


def test_clusters_are_found_on_neutral_ground():
    """The clustered covariance from each row's own gradient, by differences of its surprisal."""
    X, y, order, judge = neutral_matches()
    model = BradleyTerry(order_effect="global").fit(X, y, order=order, clusters=judge)
    theta, h, nu = model.scores_, model.order_effect_, model.tie_
    i, j = X.T
    z = np.stack([theta[i] + h * order, theta[j], nu + (theta[i] + theta[j] + h * order) / 2])
    p = np.exp(z) / np.exp(z).sum(axis=0)
    rows = np.zeros((3, 400, 6))  # four scores, the tie, the order effect
    at = np.arange(400)
    for k, (mine, yours, tie) in enumerate([(1, 0, 0), (0, 1, 0), (0.5, 0.5, 1)]):
        rows[k, at, i] += mine
        rows[k, at, j] += yours
        rows[k, :, 4], rows[k, :, 5] = tie, mine * order
    chosen = np.select([y == "left", y == "right"], [0, 1], 2)
    gradients = np.einsum("kn,knp->np", p, rows) - rows[chosen, at]
    sums = np.array([gradients[judge == g].sum(axis=0) for g in range(20)])
    centred = rows - np.einsum("kn,knp->np", p, rows)
    inverse = np.linalg.pinv(np.einsum("kn,knp,knq->pq", p, centred, centred))
    expected = inverse @ (sums.T @ sums) @ inverse * 20 / 19

    # The gradients at the optimum are exact; scores carry 1e-10 of rounding at most.
    np.testing.assert_allclose(model.covariance("clustered"), expected, rtol=1e-6, atol=1e-9)


def chain(n_sets=5000, seed=0):
    """Three alternatives in the columns of two of 40 items, one shared and one sparse column."""
    rng = np.random.default_rng(seed)
    left = np.sort(rng.integers(0, 39, n_sets))
    columns = np.stack([left, left + 1, np.full(n_sets, 40), 41 + (np.arange(n_sets) % 7)])
    values = np.round(rng.normal(size=(3, 4, n_sets)), 1)
    rows = np.zeros((3, n_sets, 48))
    np.put_along_axis(rows, columns.T[None], values.transpose(0, 2, 1), axis=2)
    return sp.csr_array(rows.reshape(-1, 48)), LocalRows(columns, values)


@pytest.mark.parametrize("n_sets", [1, 1999, 5000])
def test_local_hessians_in_blocks_and_runs_are_those_of_the_pairs(n_sets):
    rows, local = chain(n_sets)
    counts = np.ones((3, n_sets))
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(3), n_sets).T.ravel()
    totals = np.tile(rng.uniform(0.5, 3, n_sets), 3)

    quick = hessian_builder(ChoiceSets.uniform(rows, counts, local=local))(p, totals)
    plain = hessian_builder(ChoiceSets.uniform(rows, counts))(p, totals)

    # Sums of at most 5000 terms of both signs, none above 30.
    np.testing.assert_allclose(quick, plain, rtol=0, atol=1e-9)
    assert np.abs(plain).max() > 0.1


def objective(penalty=0.0):
    """Matches of eight items, with a gauge where there is no penalty."""
    i, j = np.array(list(itertools.combinations(range(8), 2))).T
    rows = sp.csr_array(np.vstack([np.eye(8)[i], np.eye(8)[j]]))
    counts = np.random.default_rng(0).integers(1, 9, (2, len(i)))
    sets = ChoiceSets.uniform(rows, counts)
    return ChoiceObjective(sets, penalty=penalty, gauge=np.ones((1, 8)))


def best_of(penalty):
    f = objective(penalty)
    draws = np.random.default_rng(0)
    return minimise(f, np.zeros(8), tol=1e-14, max_passes=50, rng=draws).w


@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_the_last_steps_use_a_metric_from_nearby_and_end_where_newton_does(penalty, monkeypatch):
    best = best_of(penalty)
    builds = []
    build = ChoiceObjective._new_metric
    monkeypatch.setattr(
        ChoiceObjective, "_new_metric", lambda self, w: builds.append(w) or build(self, w)
    )
    for distance, expected in ((1e-3, 1), (0.5, 2)):
        builds.clear()
        f = objective(penalty)
        shift = distance * np.array([1, -1, 0, 0, 0, 0, 0, 0.0])
        f.exact_metric(best + shift)
        w, gradient, certificate = f.certify(best + shift / 2)

        assert len(builds) == expected
        # ½δ² ≤ 1e-22 of the value 0.6 with curvatures of 0.03: |w - w*| ≤ 1e-10.
        np.testing.assert_allclose(w, best, rtol=0, atol=1e-9)
        assert np.linalg.norm(gradient) < 1e-10
        assert certificate.kind == ("gap" if penalty else "stationary")


def test_a_metric_from_elsewhere_loosens_the_proof_and_never_tightens_it():
    """`_nearby` holds how much larger the inverse Hessian can be than the metric's."""
    best = best_of(0.0)
    shift = 5e-3 * np.array([1, -1, 1, -1, 1, -1, 1, -1.0])
    f = objective()
    metric = f.exact_metric(best + shift)
    w, *_ = f.certify(best + shift / 3)
    at, kept, factor = f._nearby

    assert at is w
    assert kept is metric
    # The range over a pair of the step from the metric's point: 2·5e-3.
    assert factor == pytest.approx(np.exp(1e-2), rel=1e-3)
    here = CholeskyMetric(f.hessian(w), f.gauge).inverse()
    larger = factor * metric.inverse() - here
    assert np.linalg.eigvalsh(larger)[0] > -1e-10 * np.linalg.norm(here)


@pytest.mark.parametrize("gauged", [True, False])
def test_the_diagonal_of_the_inverse_is_the_diagonal_of_the_inverse(gauged):
    rng = np.random.default_rng(2)
    A = rng.normal(size=(12, 6))
    gauge = np.ones((1, 6)) if gauged else np.zeros((0, 6))
    if gauged:
        A -= A.mean(axis=1, keepdims=True)
    metric = CholeskyMetric(A.T @ A, gauge)

    expected = np.linalg.pinv(A.T @ A).diagonal()
    np.testing.assert_allclose(metric.inverse_diagonal(), expected, rtol=1e-10)
    np.testing.assert_allclose(metric.inverse().diagonal(), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("columns", "definite"),
    [([1.0, 1.0], True), ([1e6, 1e-6], True), ([1.0, 0.0], False)],
)
def test_flat_hessians_are_not_called_definite_whatever_the_units(columns, definite):
    A = np.random.default_rng(3).normal(size=(20, 2)) * columns
    none = np.zeros((0, 2))
    assert CholeskyMetric(A.T @ A, none).is_certainly_definite is definite
    same = np.column_stack([A[:, 0], 2 * A[:, 0]])
    assert not CholeskyMetric(same.T @ same, none).is_certainly_definite
