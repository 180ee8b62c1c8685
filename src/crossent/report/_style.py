"""How every picture looks, and the only way in which text from data reaches one.

matplotlib is imported when the first picture is drawn, not before.
"""

import unicodedata
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import CrossentError

__all__ = [
    "BLUE",
    "GREY",
    "GRID",
    "INK",
    "MUTED",
    "ORANGE",
    "axes_or_new",
    "clean",
    "data_label",
    "power_of_ten",
    "require_matplotlib",
    "shortened",
    "split",
]

# Okabe and Ito's blue and vermilion (https://jfly.uni-koeln.de/color/), which stay apart for
# every kind of colour blindness. The report swaps them all for the scheme of the page.
BLUE = "#0072b2"
ORANGE = "#d55e00"
INK = "#1b1f24"
MUTED = "#5b6570"
GREY = "#9aa3ad"
GRID = "#d9dde3"

# Embeddings, overrides and isolates: with them a name can be made to read as another.
_DIRECTION_MARKS = frozenset(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def require_matplotlib() -> None:
    """Raise a CrossentError that says what to install, if matplotlib is absent."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        message = "Pictures need matplotlib. Install it with `pip install 'crossent[report]'`."
        raise CrossentError(message) from error


def axes_or_new(ax: Any, size: tuple[float, float], /) -> Any:
    """The given axes, or the axes of a new pyplot figure of `size` inches."""
    if ax is not None:
        return ax
    require_matplotlib()
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def split(ax: Any, n_rows: int, n_columns: int, n_panels: int, /) -> npt.NDArray[np.object_]:
    """Hide `ax` and put a grid of panels in its place, row by row; shape (n_panels,)."""
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    ax.set_axis_off()
    grid = GridSpecFromSubplotSpec(n_rows, n_columns, subplot_spec=ax.get_subplotspec())
    panels = np.empty(n_panels, dtype=object)
    for number in range(n_panels):
        panels[number] = ax.figure.add_subplot(grid[divmod(number, n_columns)])
    return panels


def clean(text: object, /) -> str:
    r"""Text from data in one line, with characters that could disguise it made visible as �.

    White space is collapsed. Control characters, lone surrogates, and the marks that turn the
    direction of writing are replaced; joiners, which scripts need, stay.

    Examples
    --------
    >>> clean("two\n words\x00")
    'two words�'
    """
    joined = " ".join(str(text).split())
    return "".join(
        "�" if c in _DIRECTION_MARKS or unicodedata.category(c) in ("Cc", "Cs") else c
        for c in joined
    )


def shortened(text: object, width: int, /) -> str:
    """`clean` text of at most `width` characters; the middle goes, as names differ at their ends.

    Examples
    --------
    >>> shortened("intent number 116 about something", 16)
    'intent nu…ething'
    """
    line = clean(text)
    if len(line) <= width:
        return line
    head = 3 * width // 5
    return line[:head] + "…" + line[len(line) - (width - head - 1) :]


def data_label(text: object, /, width: int = 24) -> str:
    r"""Text from data, safe to hand to matplotlib: at most `width` characters, no mathtext.

    matplotlib turns an escaped dollar back into a dollar and then reads nothing as mathematics.

    Examples
    --------
    >>> print(data_label("$x$ and a very long rest", 12))
    \$x\$ and…rest
    """
    return shortened(text, width).replace("$", r"\$")


def power_of_ten(value: float, _position: object = None, /) -> str:
    """Tick label of a logarithmic axis.

    Examples
    --------
    >>> power_of_ten(1e-6), power_of_ten(1.0)
    ('10⁻⁶', '1')
    """
    exponent = round(float(np.log10(value)))
    return "1" if exponent == 0 else "10" + str(exponent).translate(_SUPERSCRIPTS)
