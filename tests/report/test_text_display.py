"""Surprisal along a text: every bar stands above its letter."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from crossent.errors import InputError
from crossent.report import TextSurprisalDisplay

TEXT = "It was $5,\nsaid she."
BITS = np.linspace(0.5, 8, len(TEXT))


def test_each_bar_has_its_letter_and_its_height(ax):
    panels = TextSurprisalDisplay(TEXT, BITS, width=8).plot(ax=ax).axes_

    assert len(panels) == 3
    heights = [bar.get_height() for panel in panels for bar in panel.patches]
    assert heights == BITS.tolist()
    centres = [bar.get_x() + bar.get_width() / 2 for bar in panels[1].patches]
    np.testing.assert_allclose(centres, panels[1].get_xticks(), atol=1e-12)
    letters = [label.get_text() for panel in panels for label in panel.get_xticklabels()]
    assert letters == [{" ": "", "\n": "¶", "$": r"\$"}.get(c, c) for c in TEXT]


def test_lines_share_their_scale_and_show_the_mean():
    display = TextSurprisalDisplay(TEXT, BITS, width=8)
    own = display.plot(ax=Figure().add_subplot())
    assert len({panel.get_ylim() for panel in own.axes_}) == 1
    assert own.axes_[0].get_ylim()[1] >= 8
    assert own.axes_[0].lines[0].get_ydata()[0] == pytest.approx(BITS.mean())

    given = TextSurprisalDisplay(TEXT, BITS, mean_bits=2.25).plot(ax=Figure().add_subplot())
    assert len(given.axes_) == 1
    assert given.axes_[0].lines[0].get_ydata()[0] == 2.25


def test_it_can_be_drawn_with_any_characters():
    text = "ä\t\x00\u202e§€"
    figure = Figure()
    TextSurprisalDisplay(text, np.ones(len(text))).plot(ax=figure.add_subplot())

    figure.canvas.draw()


def test_without_axes_a_figure_of_its_size_is_made():
    display = TextSurprisalDisplay("a" * 130, np.ones(130)).plot()

    assert tuple(display.figure_.get_size_inches()) == pytest.approx(display.figure_size)
    assert len(display.axes_) == 3


@pytest.mark.parametrize(
    ("text", "bits", "width", "words"),
    [
        ("abc", [1, 2], 8, "3 characters"),
        ("", [], 8, "0 characters"),
        ("ab", [1, -1], 8, "entry 1 is -1"),
        ("ab", [np.inf, 1], 8, "entry 0 is inf"),
        ("ab", [1, 1], 0, "`width` is 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(text, bits, width, words):
    with pytest.raises(InputError, match=words):
        TextSurprisalDisplay(text, bits, width)
