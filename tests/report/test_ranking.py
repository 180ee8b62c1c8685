"""Pictures of rankings show the numbers they are given."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from crossent.choice import BradleyTerry, calibration, goodness_of_fit, likelihood_ratio_tests
from crossent.report.ranking import RankingFacts, render_ranking_report
from crossent.report.ranking_displays import (
    RankIntervalDisplay,
    ScoreDisplay,
    WinCalibrationDisplay,
    WinMatrixDisplay,
)

X = [["a", "b"]] * 5 + [["b", "a"]] * 3 + [["b", "c"]] * 6 + [["c", "b"]] * 2 + [["c", "a"]] * 2


@pytest.fixture
def model():
    return BradleyTerry().fit(X)


@pytest.fixture
def ax():
    return Figure().add_subplot()


def test_the_forest_has_the_scores_and_intervals_best_on_top(model, ax):
    table = model.ranking()
    display = ScoreDisplay(table).plot(ax=ax)

    assert [t.get_text() for t in ax.get_yticklabels()] == table.items.tolist()
    points = ax.containers[0].lines[0]
    np.testing.assert_allclose(points.get_xdata(), table.scores)
    segments = ax.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(
        [s[:, 0] for s in segments], np.column_stack([table.low, table.high])
    )
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert display.figure_ is ax.figure


def test_bars_cover_the_possible_ranks(model, ax):
    table = model.ranking()
    RankIntervalDisplay(table).plot(ax=ax)

    left = [bar.get_x() for bar in ax.patches]
    right = [bar.get_x() + bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(np.round(left), table.rank_low)
    np.testing.assert_allclose(np.round(right), table.rank_high)


def test_the_heat_map_holds_the_matrix(model):
    matrix = model.win_matrix()
    ax = Figure().add_subplot()
    WinMatrixDisplay(matrix, ["$a$", "b", "c"]).plot(ax=ax)

    np.testing.assert_array_equal(ax.images[0].get_array().filled(np.nan), matrix)
    assert ax.images[0].get_clim() == (0, 1)
    assert ax.get_yticklabels()[0].get_text() == r"\$a\$"
    assert ax.texts[0].get_text() == f"{100 * matrix[0, 1]:.0f}"


def test_calibration_draws_observed_over_predicted(model, ax):
    curve = calibration(model, n_bins=3)
    WinCalibrationDisplay(curve).plot(ax=ax)

    points = ax.containers[0].lines[0]
    np.testing.assert_allclose(points.get_xdata(), curve.predicted)
    np.testing.assert_allclose(points.get_ydata(), curve.observed)


def test_the_page_has_the_numbers_of_the_model(model):
    facts = RankingFacts(
        "Three & more",
        model,
        model.ranking(unit="elo"),
        calibration(model),
        goodness_of_fit(model),
        likelihood_ratio_tests(model),
    )
    text = render_ranking_report(facts)

    assert "<h1>Three &amp; more</h1>" in text
    nats = -model.log_likelihood_ / model.n_comparisons_
    assert f"{nats:.4f} nats" in text
    best = model.ranking(unit="elo").scores[0]
    assert f'<td class="number">{best:.0f}</td>' in text
    assert f"{likelihood_ratio_tests(model)[0].statistic:.1f}" in text
    assert "18 comparisons of 3 items" in text
