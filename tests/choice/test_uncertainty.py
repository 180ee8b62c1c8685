"""Covariances, intervals and the bootstrap against derivatives, formulae and simulation."""

import numpy as np
import pytest
import scipy.sparse as sp
from choice_definitions import arguments, numerical_hessian, pair_loss, random_rows

from crossent.choice import ELO_PER_LOGIT, BradleyTerry, rank_intervals
from crossent.choice.bootstrap import event_drawer
from crossent.errors import InputError


def fitted(seed=0, **options):
    rows = random_rows(seed, n=300)
    data, keywords = arguments(rows)
    return rows, data, keywords, BradleyTerry(**options).fit(*data, **keywords)


def anchored_inverse(hessian):
    """Inverse with the first score held at 0, as a matrix of all coefficients."""
    result = np.zeros_like(hessian)
    result[1:, 1:] = np.linalg.inv(hessian[1:, 1:])
    return result


def test_the_covariance_is_the_inverse_of_the_numerical_hessian():
    rows, _, _, model = fitted(anchor="ada")
    w = np.concatenate([model.scores_, [model.tie_, model.neither_]])
    hessian = numerical_hessian(lambda w: pair_loss(rows, w[:4], w[4], w[5]), w)

    # Differences with h = 1e-3 are good to h² = 1e-6 relative.
    np.testing.assert_allclose(model.covariance(), anchored_inverse(hessian), rtol=1e-4, atol=1e-7)


def gradients(rows, w, h=1e-5):
    """Gradient of every row's own loss."""

    def one(row, v):
        return pair_loss([row], v[:4], v[4], v[5])

    eye = h * np.eye(6)
    return np.array([[(one(r, w + e) - one(r, w - e)) / (2 * h) for e in eye] for r in rows])


def test_the_sandwich_is_that_of_single_rows():
    rows, _, _, model = fitted(anchor="ada")
    w = np.concatenate([model.scores_, [model.tie_, model.neither_]])
    u = gradients(rows, w)
    bread = anchored_inverse(numerical_hessian(lambda w: pair_loss(rows, w[:4], w[4], w[5]), w))

    expected = bread @ (u.T @ u) @ bread
    np.testing.assert_allclose(model.covariance("sandwich"), expected, rtol=1e-4, atol=1e-7)


def test_clustered_standard_errors_add_up_gradients_within_a_judge():
    rows, data, keywords, _ = fitted()
    judge = np.random.default_rng(1).integers(0, 25, len(rows))
    model = BradleyTerry(anchor="ada").fit(*data, **keywords, clusters=judge)
    w = np.concatenate([model.scores_, [model.tie_, model.neither_]])
    u = np.array([gradients(rows, w)[judge == g].sum(axis=0) for g in range(25)])
    bread = anchored_inverse(numerical_hessian(lambda w: pair_loss(rows, w[:4], w[4], w[5]), w))

    expected = bread @ (u.T @ u) @ bread * 25 / 24
    np.testing.assert_allclose(model.covariance("clustered"), expected, rtol=1e-4, atol=1e-7)


def test_half_ties_count_as_one_event_in_the_sandwich():
    rows = random_rows(3, n=200, outcomes=3)
    data, _ = arguments(rows)
    model = BradleyTerry(ties="half", anchor="ada").fit(*data)
    alone = BradleyTerry(ties="half", anchor="ada").fit(*data, clusters=np.arange(200))

    # Every row its own cluster: the factor G/(G - 1) is all that differs.
    np.testing.assert_allclose(
        model.covariance("sandwich"),
        alone.covariance("clustered") * 199 / 200,
        rtol=1e-9,
        atol=1e-15,
    )


def test_the_sandwich_of_half_ties_is_its_formula():
    # Two items: u = s - p with s in {1, 0, ½}, curvature p(1 - p) each.
    wins, losses, ties = 3, 2, 30
    y = ["left"] * wins + ["right"] * losses + ["tie"] * ties
    model = BradleyTerry(ties="half", anchor="a").fit([["b", "a"]] * 35, y)
    p = (wins + ties / 2) / 35
    meat = wins * (1 - p) ** 2 + losses * p**2 + ties * (0.5 - p) ** 2
    expected = meat / (35 * p * (1 - p)) ** 2

    assert model.covariance("sandwich")[1, 1] == pytest.approx(expected, rel=1e-9)
    scores = model.bootstrap(4000).scores
    # The delta method is off by some 1/35 in the variance, 4000 draws by 2 %.
    assert np.var(scores[:, 1] - scores[:, 0]) == pytest.approx(expected, rel=0.2)


def test_a_penalty_is_not_counted_as_data():
    # H⁻¹ J H⁻¹ with H = J + penalty: a large penalty makes it small, and without data in one
    # direction there is no variance along it. For two items J = n p q (e_1 - e_2)(e_1 - e_2)ᵀ.
    model = BradleyTerry(penalty=2.0).fit([["a", "b"]] * 3 + [["b", "a"]])
    d = model.scores_[0] - model.scores_[1]
    information = 4 * np.exp(d) / (1 + np.exp(d)) ** 2
    # Along (1, -1)/√2: J = 2·information, H = 2·information + 2.
    variance = 2 * (2 * information) / (2 * information + 2) ** 2
    C = model.covariance()

    assert C[0, 0] + C[1, 1] - 2 * C[0, 1] == pytest.approx(variance, rel=1e-9)


def test_the_interval_of_a_win_probability_is_that_of_the_logit():
    model = BradleyTerry().fit([["a", "b"]] * 6 + [["b", "a"]] * 3)
    p, low, high = model.win_probability("a", "b")

    assert p == pytest.approx(2 / 3, rel=1e-9)
    half = 1.959963984540054 / np.sqrt(9 * 2 / 9)  # 1/√(n p q)
    assert np.log(high / (1 - high)) == pytest.approx(np.log(2) + half, rel=1e-8)
    assert np.log(low / (1 - low)) == pytest.approx(np.log(2) - half, rel=1e-8)


def test_elo_points_are_400_for_odds_of_ten_to_one():
    model = BradleyTerry().fit([["a", "b"]] * 10 + [["b", "a"]])
    table = model.ranking(unit="elo", centre=1000)

    assert table.items.tolist() == ["a", "b"]
    assert table.scores[0] - table.scores[1] == pytest.approx(400, rel=1e-9)
    assert table.scores.mean() == pytest.approx(1000)
    assert table.standard_errors[0] == pytest.approx(
        ELO_PER_LOGIT * model.ranking().standard_errors[0], rel=1e-12
    )
    assert table.counts["wins"].tolist() == [10, 1]
    assert table.counts["losses"].tolist() == [1, 10]


def test_rank_intervals_hold_all_at_once():
    # Independent scores: all true ranks lie in their intervals with probability ≥ 95 %. With 400
    # repetitions the share has a standard deviation of 1.1 %; 91.5 % is three below.
    rng = np.random.default_rng(0)
    truth = np.array([2.0, 1.5, 1.0, 0.0, -1.0])
    held = 0
    for _ in range(400):
        low, high = rank_intervals(truth + 0.3 * rng.standard_normal(5), 0.09 * np.eye(5))
        held += bool(((low <= np.arange(1, 6)) & (np.arange(1, 6) <= high)).all())
    assert held / 400 > 0.915
    # And they say something: the first is told from the last in every repetition.
    assert high[0] < 5


def test_ranks_are_told_apart_by_the_largest_of_all_contrasts():
    # Three independent scores: the studentised range, q(0.95; 3, ∞) = 3.314, divided by √2
    # (H. L. Harter, Ann. Math. Statist. 31, 1960). 2000 draws know the quantile to 0.035 (1 s.d.).
    q = 3.3145 / np.sqrt(2)
    for shared in (0.0, 5.0):  # what all scores share is in no contrast
        covariance = np.eye(3) + shared
        for gap, worst in ((q - 0.11, 3), (q + 0.11, 1)):
            scores = np.array([gap * np.sqrt(2), 0.0, 0.0])
            low, high = rank_intervals(scores, covariance)
            assert (low[0], high[0]) == (1, worst)


def test_what_two_scores_share_is_not_in_their_contrast():
    # SD of the contrast of the first two: √(2 - 2·0.99) = 0.14, so that 0.6 is far; the third is
    # out of reach whatever happens.
    covariance = np.array([[1, 0.99, 0], [0.99, 1, 0], [0, 0, 1]])
    low, high = rank_intervals(np.array([0.6, 0.0, -50.0]), covariance)
    assert (low.tolist(), high.tolist()) == ([1, 2, 3], [1, 2, 3])


def test_the_bootstrap_spreads_as_the_sandwich_does():
    _, _, _, model = fitted(5)
    data = arguments(random_rows(5, n=600, outcomes=3))[0]
    model = BradleyTerry().fit(*data)
    found = model.bootstrap(2000, seed=1)

    assert found.failed == 0
    spread = found.scores.std(axis=0)
    expected = np.sqrt(model.covariance("sandwich").diagonal()[:4])
    # Relative standard deviation of a standard deviation of 2000 draws: 1/√4000 = 1.6 %, and the
    # normal approximation of 600 comparisons costs a few per cent.
    np.testing.assert_allclose(spread, expected, rtol=0.08)
    np.testing.assert_allclose(found.scores.mean(axis=0), model.scores_, atol=0.03)


@pytest.mark.parametrize("number", [7, 41_000, 70_000])
def test_resampled_counts_are_multinomial(number):
    # 7 of 65,536 leaves few bits to draw again, 41,000 a third, 70,000 takes the other way.
    whole = np.array([1.0, 2.0, number - 3.0])
    n_resamples = 4000
    draw = event_drawer(sp.csr_array(np.eye(3)), whole)

    drawn = draw(n_resamples, np.random.default_rng(3))

    p = whole / number
    np.testing.assert_array_equal(drawn.sum(axis=0), number)
    # Means within 5 standard errors; variances too: that of a variance is √(2/B) of it, and for
    # counts with a mean of one up to √(3/B), so 5·√(3/4000) = 14 %.
    error = np.sqrt(number * p * (1 - p) / n_resamples)
    assert (abs(drawn.mean(axis=1) - whole) < 5 * error).all()
    np.testing.assert_allclose(drawn.var(axis=1), number * p * (1 - p), rtol=0.14)


@pytest.mark.parametrize("outcomes", [2, 3])
def test_a_refit_is_the_fit_of_the_resampled_counts(outcomes):
    from crossent.choice.bootstrap import refit_resamples

    data = arguments(random_rows(6, n=200, outcomes=outcomes))[0]
    model = BradleyTerry().fit(*data)
    fit = model._fitted()
    cells = fit.cells
    rng = np.random.default_rng(0)
    counts = rng.poisson(2 * cells.counts[:outcomes] + 1).astype(float)
    one = counts.reshape(-1, 1)
    objective, w = fit.fitted.objective, fit.fitted.w
    found = refit_resamples(objective, w, lambda *_: one, 1, rng=rng)[0]
    pairs = np.column_stack([fit.kept_items[cells.left], fit.kept_items[cells.right]])
    direct = BradleyTerry().fit(pairs, counts.T)

    # The last step leaves at most 1e-10 of ½ eᵀHe, with curvatures of some 0.05: |e| ≤ 6e-5, less
    # than a thousandth of the standard errors.
    np.testing.assert_allclose(found[:4] - found[:4].mean(), direct.scores_, rtol=0, atol=1e-4)
    assert list(found[4:]) == pytest.approx([direct.tie_] * (outcomes - 2), abs=1e-4)


def test_resamples_without_an_estimate_are_counted_not_returned():
    model = BradleyTerry().fit([["a", "b"]] * 3 + [["b", "a"]])
    found = model.bootstrap(400)

    # All four draws alike: (3/4)⁴ + (1/4)⁴ = 32 %; standard deviation 2.3 %.
    assert found.failed / 400 == pytest.approx(0.3203, abs=0.07)
    assert np.isfinite(found.interval()).all()


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_cover_when_judges_are_alike_and_clustered_ones_when_they_are_not(clustered):
    """Twenty repetitions of 24 judges; `make bench` runs the long version."""
    rng = np.random.default_rng(2)
    truth = np.array([0.5, 0.0, -0.5])
    covered, width = [], []
    for _ in range(60):
        judge = np.repeat(np.arange(40), 30)
        effect = rng.normal(size=(40, 3))  # each judge has a taste of his own
        i = rng.integers(0, 3, judge.size)
        j = (i + rng.integers(1, 3, judge.size)) % 3
        taste, row = truth + effect[judge], np.arange(judge.size)
        z = taste[row, i] - taste[row, j]
        y = np.where(rng.random(judge.size) < 1 / (1 + np.exp(-z)), 1, 0)
        model = BradleyTerry().fit(np.column_stack([i, j]), y, clusters=judge)
        C = model.covariance("clustered" if clustered else "hessian")
        contrast = model.scores_[0] - model.scores_[1]
        error = np.sqrt(C[0, 0] + C[1, 1] - 2 * C[0, 1])
        # Tastes average out to a population contrast smaller than 0.5: about 0.5/√(1 + 2·0.346).
        covered.append(abs(contrast - 0.384) < 1.96 * error)
        width.append(error)
    if clustered:
        assert np.mean(covered) > 0.85  # 95 % less three standard deviations of 60
    else:
        assert np.mean(covered) < 0.85


def test_clusters_must_have_been_given():
    model = BradleyTerry().fit([["a", "b"], ["b", "a"]])
    with pytest.raises(InputError, match="Clusters are needed"):
        model.covariance("clustered")
    with pytest.raises(InputError, match="must be 'hessian'"):
        model.covariance("other")
