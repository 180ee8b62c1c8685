"""Colours and an empty figure for the claims' scenes."""

from typing import Any

from crossent.errors import CrossentError

__all__ = ["BLUE", "GREEN", "GREY", "ORANGE", "SKY", "new_figure"]

# Okabe and Ito's colours, which stay apart for every kind of colour blindness.
BLUE, ORANGE, GREEN, SKY, GREY = "#0072b2", "#d55e00", "#009e73", "#8cc5e3", "#6b7580"


def new_figure() -> tuple[Any, Any]:
    """A figure that pyplot does not know of, and its axes."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        message = "Pictures need matplotlib. Install it with `pip install 'crossent[report]'`."
        raise CrossentError(message) from error
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    ax = figure.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax
