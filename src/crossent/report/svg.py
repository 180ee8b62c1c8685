"""A matplotlib figure as an SVG element to stand inside an HTML page."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

from crossent.report._style import BLUE, GREY, GRID, INK, MUTED, ORANGE, require_matplotlib

__all__ = ["display_svg", "figure_style", "inline_svg", "new_axes"]

_THEMED = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GREY: "var(--grey)",
    GRID: "var(--grid)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
}
_STYLE = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",  # text stays text: small, selectable, read aloud
    "svg.hashsalt": "crossent",  # else ids differ from run to run
}
_PIXELS_PER_POINT = 96 / 72
_ENLARGED = 1.2  # at most, where the page is wide


@contextmanager
def figure_style() -> Iterator[None]:
    """Matplotlib's defaults with ours on top, whatever the user's settings are."""
    require_matplotlib()
    import matplotlib.style

    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        # The browser has the letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def new_axes(size: tuple[float, float], /) -> Any:
    """Axes of a new figure of `size` inches that pyplot does not know of."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").add_subplot()


def display_svg(display: Any, prefix: str, label: str, /) -> str:
    """A display drawn on a figure of its own size, as `inline_svg` writes it."""
    drawn = display.plot(ax=new_axes(display.figure_size))
    return inline_svg(drawn.figure_, prefix=prefix, label=label)


def inline_svg(figure: Any, /, *, prefix: str, label: str) -> str:
    """The figure as one ``<svg>`` element.

    Nothing in it points outside: metadata and namespaces are gone, pictures are data. Its ids
    begin with `prefix`, its colours follow the page's scheme, `label` is what a screen reader
    says.

    Parameters
    ----------
    figure : matplotlib Figure
    prefix : str
        Letters, digits and hyphens; different for each figure of a page.
    label : str
        Plain text; it is escaped here.

    Returns
    -------
    str
    """
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.04
    )
    root = ElementTree.fromstring(buffer.getvalue())
    _simplify(root, prefix)
    width = float(root.attrib["viewBox"].split()[2])
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("style", f"max-width: {_ENLARGED * _PIXELS_PER_POINT * width:.0f}px")
    return ElementTree.tostring(root, encoding="unicode")


def _simplify(element: Any, prefix: str) -> None:
    """Drop what a page does not need, and make ids and colours the page's own; in place."""
    element.tag = _local(element.tag)
    for name, value in list(element.attrib.items()):
        del element.attrib[name]
        element.set(_local(name), _rewritten(_local(name), value, prefix))
    for child in list(element):
        # matplotlib's <style> would hold for the whole page.
        if _local(child.tag) in ("metadata", "style"):
            element.remove(child)
        else:
            _simplify(child, prefix)


def _local(name: str) -> str:
    """The name without its namespace."""
    return name.rpartition("}")[2]


def _rewritten(name: str, value: str, prefix: str) -> str:
    """An attribute's value with the figure's own ids and the page's colours."""
    if name == "id":
        return f"{prefix}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{prefix}-{value[1:]}"
    linked = re.sub(r"url\(#", f"url(#{prefix}-", value)
    if name not in ("style", "fill", "stroke"):
        return linked
    for colour, variable in _THEMED.items():
        linked = linked.replace(colour, variable)
    return linked
