"""Dependence of surprisals on order and groups, against SciPy, enumeration and simulation."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats as st

from crossent.errors import InputError
from crossent.inspection import row_dependence

P = np.array([0.5, 0.3, 0.2])
SURPRISALS = -np.log(P)


def test_the_statistics_are_those_of_scipy():
    s = np.random.default_rng(0).gamma(2.0, size=60).round(1)  # with ties
    groups = np.random.default_rng(1).integers(0, 7, size=60)
    found = row_dependence(s, groups=groups)

    ranks = st.rankdata(s)
    centred = ranks - ranks.mean()
    autocorrelation = sum(a * b for a, b in itertools.pairwise(centred)) / sum(centred**2)
    trend = st.spearmanr(s, np.arange(60)).statistic
    p_value = st.f_oneway(*(ranks[groups == g] for g in range(7))).pvalue
    assert found.autocorrelation == pytest.approx(autocorrelation, rel=1e-12)
    assert found.autocorrelation_z == pytest.approx(autocorrelation * math.sqrt(60), rel=1e-12)
    assert found.trend == pytest.approx(trend, rel=1e-12)
    assert found.trend_z == pytest.approx(trend * math.sqrt(59), rel=1e-12)
    # Both go through the F distribution's tail and a normal quantile: 1e-9 is their accuracy.
    assert found.group_z == pytest.approx(st.norm.isf(p_value), rel=1e-9)
    assert found.standard_error == pytest.approx(s.std(ddof=1) / math.sqrt(60), rel=1e-12)
    assert (found.n_rows, found.n_groups) == (60, 7)


def test_z_has_mean_zero_and_deviation_one_for_independent_rows():
    # The mean of 2000 numbers of deviation 1 strays by .022; -1/√n = -.07 is the statistic's own
    # mean over permutations. Their deviation strays by .016.
    rng = np.random.default_rng(2)
    groups = np.arange(200) % 25
    z = np.array(
        [
            (found.autocorrelation_z, found.trend_z, found.group_z)
            for found in (
                row_dependence(rng.choice(SURPRISALS, size=200, p=P), groups=groups)
                for _ in range(2000)
            )
        ]
    )

    assert np.abs(z.mean(axis=0) - [-1 / math.sqrt(200), 0.0, 0.0]).max() < 0.1
    assert np.abs(z.std(axis=0) - 1).max() < 0.08
    assert z.max() < 4.5


def test_independent_rows_are_silent_and_drift_and_groups_are_not():
    n = 3000
    independent = np.random.default_rng(1).choice(3, size=n, p=P)
    share = np.linspace(0, 1, n)[:, None]
    rows = ((1 - share) * P + share * P[::-1]).cumsum(axis=1)
    drifting = (np.random.default_rng(1).random(n)[:, None] > rows).sum(axis=1)
    groups = np.repeat(np.arange(n // 10), 10)
    grouped = np.random.default_rng(1).choice(3, size=n // 10, p=P)[groups]

    assert row_dependence(SURPRISALS[independent], groups=groups).found == ()
    assert row_dependence(SURPRISALS[drifting]).found == ("trend",)
    assert "neighbours" in row_dependence(SURPRISALS[grouped]).found
    scattered = np.random.default_rng(0).permutation(n)
    assert row_dependence(SURPRISALS[grouped][scattered]).found == ()
    named = row_dependence(SURPRISALS[grouped][scattered], groups=groups[scattered])
    assert named.found == ("groups",)
    assert named.group_share == 1.0


def test_alternating_rows_are_found_as_negative_correlation_of_neighbours():
    found = row_dependence([0.1, 2.0] * 50)

    assert found.found == ("neighbours",)
    assert found.autocorrelation == pytest.approx(-0.99, rel=1e-12)


def test_a_falling_trend_is_found_as_well_as_a_rising_one():
    falling = np.sort(np.random.default_rng(8).exponential(size=100))[::-1]

    assert "trend" in row_dependence(falling).found
    assert row_dependence(falling).trend == pytest.approx(-1.0, rel=1e-12)


def test_the_grouped_standard_error_is_the_spread_of_means_of_grouped_samples():
    # 400 groups of 5 equal rows: the mean of 2000 rows is a mean of 400 independent numbers. 400
    # repetitions estimate its spread within 1/√800 = 3.5 %; one sample's estimate adds as much.
    rng = np.random.default_rng(3)
    means, groups = [], np.repeat(np.arange(400), 5)
    for _ in range(400):
        found = row_dependence(rng.exponential(size=400)[groups], groups=groups)
        means.append(found.mean)

    assert found.grouped_standard_error == pytest.approx(np.std(means), rel=0.15)
    assert found.grouped_standard_error / found.standard_error == pytest.approx(
        math.sqrt(5), rel=0.01
    )


def test_groups_of_unequal_size_have_the_intraclass_correlation_of_their_model():
    # r = √ρ a_group + √(1-ρ) e has intraclass correlation ρ = .4; ranks of normal variables
    # correlate by 6/π asin(ρ/2) = .385. 3000 groups of 1 to 9 rows estimate it within .01.
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(3000), rng.integers(1, 10, size=3000))
    normal = math.sqrt(0.4) * rng.normal(size=3000)[groups]
    normal += math.sqrt(0.6) * rng.normal(size=len(groups))
    found = row_dependence(np.exp(normal), groups=groups)

    assert found.group_share == pytest.approx(6 / math.pi * math.asin(0.2), abs=0.03)


def test_one_impossible_row_does_not_hide_the_others():
    s = np.repeat(np.random.default_rng(5).exponential(size=300), 10)
    s[17] = math.inf
    found = row_dependence(s, groups=np.repeat(np.arange(300), 10))

    assert found.found == ("neighbours", "groups")
    assert found.mean == found.standard_error == found.grouped_standard_error == math.inf


def test_equal_surprisals_show_nothing_and_say_so():
    found = row_dependence([0.5] * 10, groups=[0, 1] * 5)

    assert found.found == ()
    assert math.isnan(found.trend_z)
    assert math.isnan(found.group_z)
    assert "show nothing" in found.in_words()


def test_the_words_name_what_was_found_and_what_cannot_be_seen():
    groups = np.repeat(np.arange(300), 10)
    grouped = np.random.default_rng(6).exponential(size=300)[groups]
    words = row_dependence(grouped, groups=groups).in_words()

    assert "Neighbouring rows are alike" in words
    assert "count groups, not rows" in words
    assert "more than 38 standard deviations" in words
    assert "proves nothing" in words
    silent = row_dependence(np.random.default_rng(7).exponential(size=300)).in_words()
    assert silent.startswith("The surprisals show no dependence on the order of the rows.")
    assert "Surprisal changes along the rows" in row_dependence(np.sort(grouped)).in_words()


@pytest.mark.parametrize(
    ("surprisals", "groups", "threshold", "words"),
    [
        ([0.1, 0.2], None, 4.0, "shape (2,)"),
        ([[0.1, 0.2, 0.3]], None, 4.0, "shape (1, 3)"),
        ([0.1, math.nan, 0.3], None, 4.0, "row 1 is nan"),
        ([0.1, 0.2, -0.3], None, 4.0, "row 2 is -0.3"),
        ([0.1, 0.2, 0.3], [1, 1], 4.0, "one name per row"),
        ([0.1, 0.2, 0.3], [1, 1, 1], 4.0, "names 1 groups"),
        ([0.1, 0.2, 0.3], [1, 2, 3], 4.0, "names 3 groups"),
        ([0.1, 0.2, 0.3], None, 0.0, "`threshold` is 0.0"),
        ([0.1, 0.2, 0.3], None, math.nan, "`threshold` is nan"),
    ],
)
def test_unusable_input_is_named(surprisals, groups, threshold, words):
    with pytest.raises(InputError) as caught:
        row_dependence(surprisals, groups=groups, threshold=threshold)

    assert words in str(caught.value)
