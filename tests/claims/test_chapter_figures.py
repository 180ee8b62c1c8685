"""The chapter's pictures: what is drawn is what the formulae say."""

import numpy as np
import pytest

from crossent.claims import chapter_figures

pytest.importorskip("matplotlib")


def points_of(figure):
    (ax,) = figure.axes
    return {line.get_label(): line.get_xydata() for line in ax.lines}


@pytest.mark.parametrize(("i", "j"), [(0, 1), (0, 2), (1, 2)])
def test_on_a_border_two_classes_are_tied_and_the_third_is_behind(i, j):
    start, end = chapter_figures.border(i, j)

    # The logits of S12, written out.
    def logits(x):
        return np.array([x[0] + 0.1, x[1] - 0.2, -x[0] - x[1] + 0.3])

    assert logits(start) == pytest.approx(logits(start)[0])
    for share in (0.1, 0.5, 1.0):
        z = logits(start + share * (end - start))
        assert z[i] == pytest.approx(z[j])
        assert z[3 - i - j] < z[i] - 0.1


def test_the_five_points_are_those_of_the_claim():
    points = points_of(chapter_figures.straight_borders())["the five points"]

    assert points.tolist() == [[-1, 0], [-0.5, 0.5], [0, 1], [0.5, 1.5], [1, 2]]


def test_the_soft_maximum_lies_above_max_and_for_negative_lambda_below_min():
    drawn = points_of(chapter_figures.soft_maximum())

    for sharpness in (1, 3, -1, -3):
        b, value = drawn[f"λ = {sharpness}"].T
        np.testing.assert_allclose(value, np.log1p(np.exp(sharpness * b)) / sharpness, rtol=1e-12)
        inside = value > np.maximum(0, b) if sharpness > 0 else value < np.minimum(0, b)
        assert inside.all()


def test_g_lies_under_its_chord_and_is_straight_along_ones():
    drawn = points_of(chapter_figures.convex_and_flat())
    t, bent = drawn["g from (1, 2, 3) to (3, 0, -1)"].T
    _, straight = drawn["g from (1, 2, 3) to (4, 5, 6)"].T

    wanted = np.log(np.exp(1 + 2 * t) + np.exp(2 - 2 * t) + np.exp(3 - 4 * t))
    np.testing.assert_allclose(bent, wanted, rtol=1e-12)
    assert (bent[1:-1] < bent[0] + t[1:-1] * (bent[-1] - bent[0]) - 1e-3).all()
    np.testing.assert_allclose(straight, straight[0] + 3 * t, rtol=1e-12)
