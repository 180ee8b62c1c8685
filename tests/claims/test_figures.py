"""The write-up's plots: what is drawn is what the formulae say."""

import numpy as np
import pytest

from crossent.claims import all_claims, figures

pytest.importorskip("matplotlib")

DRAWN = {
    "S72": figures.surprisal_curve,
    "S74": figures.entropy_plus_divergence,
    "S78": figures.softmax_of_a_grid,
    "S80": figures.loss_of_every_label,
}


def lines_of(figure):
    """Points of every line with more than two of them, by its label."""
    (ax,) = figure.axes
    return {line.get_label(): line.get_xydata().T for line in ax.lines if len(line.get_xdata()) > 5}


def test_the_four_plots_are_the_scenes_of_their_claims():
    scenes = {claim.id: claim.scene for claim in all_claims() if claim.id in DRAWN}

    assert scenes == DRAWN


@pytest.mark.parametrize("draw", DRAWN.values())
def test_a_figure_can_be_saved_and_says_what_its_axes_are(draw, tmp_path):
    figure = draw()
    figure.savefig(tmp_path / "figure.svg")

    assert (tmp_path / "figure.svg").stat().st_size > 5000
    assert figure.axes[0].get_xlabel()
    assert figure.axes[0].get_ylabel()


def test_the_surprisal_curve_is_the_negative_logarithm():
    (curve,) = lines_of(figures.surprisal_curve()).values()

    np.testing.assert_allclose(np.exp(-curve[1]), curve[0], rtol=1e-13)  # exp undoes -log
    assert curve[0].min() == pytest.approx(0.001)
    assert curve[0].max() == pytest.approx(1.0)


def test_entropy_and_divergence_fill_the_cross_entropy_for_every_p():
    figure = figures.entropy_plus_divergence()
    p, line = lines_of(figure)["cross-entropy H(P, Q)"]
    bands = {band.get_label(): band for band in figure.axes[0].collections}
    top = bands["divergence KL(P ‖ Q)"].get_paths()[0].vertices

    np.testing.assert_allclose(line, p * np.log(4) + (1 - p) * np.log(4 / 3), rtol=1e-13)
    # Both edges of a band are in its outline; the cross-entropy must be the upper one everywhere.
    upper = [top[np.isclose(top[:, 0], x), 1].max() for x in p]
    np.testing.assert_allclose(upper, line, rtol=1e-12)
    assert set(bands) == {"entropy H(P)", "divergence KL(P ‖ Q)"}
    outline = bands["entropy H(P)"].get_paths()[0].vertices
    assert outline[:, 1].max() == pytest.approx(np.log(2))  # the hill of a fair coin
    assert p[0] == 0.0
    assert p[-1] == 1.0


def test_the_write_ups_formula_crosses_the_truth_only_at_one():
    lines = lines_of(figures.entropy_plus_divergence())
    p, cell = lines["the write-up's entropy_plus_kl"]
    truth = p * np.log(4) + (1 - p) * np.log(4 / 3)

    assert cell[-1] == pytest.approx(truth[-1])
    assert (cell[:-1] < truth[:-1] - 1e-3).all()


def test_the_sigmoid_stands_beside_the_softmax_of_two_grids():
    lines = lines_of(figures.softmax_of_a_grid())
    z, sigmoid = lines.pop("softmax of the pairs (z, 0): the sigmoid")

    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-z)), rtol=1e-13)
    assert [len(curve[0]) for curve in lines.values()] == [50, 500]
    for grid, curve in lines.values():
        assert curve.sum() == pytest.approx(1.0, rel=1e-13)
        np.testing.assert_allclose(np.diff(np.log(curve)), np.diff(grid), rtol=1e-9)


def test_the_loss_of_every_label_falls_by_one_for_each_unit_of_logit():
    (points,) = lines_of(figures.loss_of_every_label()).values()

    np.testing.assert_allclose(np.exp(-points[1]).sum(), 1.0, rtol=1e-13)
    np.testing.assert_allclose(np.diff(points[1]), -np.diff(points[0]), rtol=1e-9)
