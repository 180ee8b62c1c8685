"""Figures inside a page: nothing from outside, no ids shared, text and colours as promised."""

import re
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from crossent.report import ClassWeightsDisplay, ReliabilityDisplay
from crossent.report.svg import figure_style, inline_svg, new_axes


@pytest.fixture
def drawing(digits_model, digits):
    def draw(prefix, label="a picture"):
        with figure_style():
            display = ReliabilityDisplay.from_estimator(
                digits_model, *digits, n_bins=4, ax=new_axes((4, 4))
            )
            return inline_svg(display.figure_, prefix=prefix, label=label)

    return draw


def test_nothing_in_a_figure_points_outside(drawing):
    svg = drawing("a")

    assert "http" not in svg
    assert "<style" not in svg
    assert "<metadata" not in svg
    for link in re.findall(r'href="([^"]*)"', svg):
        assert link.startswith(("#a-", "data:image/png;base64,"))


def test_every_link_has_its_target_and_two_figures_share_no_id(drawing):
    first, second = drawing("a"), drawing("b")

    ids = [set(re.findall(r'\bid="([^"]*)"', svg)) for svg in (first, second)]
    assert len(ids[0]) > 10
    assert not ids[0] & ids[1]
    for svg, known in zip((first, second), ids, strict=True):
        used = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', svg)
        assert used
        assert {a or b for a, b in used} <= known


def test_text_stays_text_and_colours_follow_the_page(drawing):
    svg = drawing("a")

    texts = [node.text for node in ElementTree.fromstring(svg).iter("text")]
    assert "confidence (probability of the predicted class)" in texts
    assert "var(--ink)" in svg
    assert "var(--blue)" in svg
    assert "#0072b2" not in svg


def test_the_label_for_screen_readers_is_escaped(drawing):
    svg = drawing("a", label='5 < 6 & "quotes" <script>')

    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == '5 < 6 & "quotes" <script>'
    assert root.get("role") == "img"
    assert "<script>" not in svg


def test_the_same_figure_is_the_same_text_whatever_the_users_settings(drawing):
    expected = drawing("a")

    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": True}):
        assert drawing("a") == expected


def test_pictures_are_data_with_one_value_for_each_pixel(digits_model):
    with figure_style():
        display = ClassWeightsDisplay.from_estimator(
            digits_model, image_shape=(8, 8), ax=new_axes((4, 3))
        )
        svg = inline_svg(display.figure_, prefix="w", label="weights")

    pictures = re.findall(r'href="data:image/png;base64,[^"]{60,}"', svg)
    assert len(pictures) >= 10
    assert len(svg) < 60_000
