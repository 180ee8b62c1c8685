"""How surprising each letter of a text is."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.errors import InputError
from crossent.report._style import BLUE, GREY, INK, MUTED, axes_or_new, data_label, split

__all__ = ["TextSurprisalDisplay"]

_LINE_BREAK = "¶"


@dataclass(eq=False)
class TextSurprisalDisplay:
    """Surprisal of each character along a passage, in bits, above the character itself.

    Where a reader could have guessed, the bars are low; they are high at the beginnings of words,
    and at what nobody expected. The area under them is the length of the coded passage.

    Parameters
    ----------
    text : str
        The passage. Line breaks are drawn as ¶.
    bits : array-like, shape (len(text),)
        -log₂ p of each character.
    width : int, default 64
        Characters a line.
    mean_bits : float, optional
        Drawn as a line for comparison, such as the mean over the whole text; the passage's own
        mean by default.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The place that was filled.
    axes_ : ndarray of matplotlib Axes
        One for each line of the passage.
    figure_ : matplotlib Figure

    Raises
    ------
    InputError
        There are not as many numbers as characters, one is negative, infinite or NaN, or the text
        is empty.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> display = TextSurprisalDisplay("abracadabra", [4, 4, 4, 1, 4, 1, 4, 1, 0, 0, 0], width=6)
    >>> [len(panel.patches) for panel in display.plot(ax=Figure().add_subplot()).axes_]
    [6, 5]
    """

    text: str
    bits: npt.ArrayLike
    width: int = 64
    mean_bits: float | None = None
    ax_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        values = np.asarray(self.bits, dtype=np.float64)
        if not self.text or values.shape != (len(self.text),):
            message = (
                f"`bits` has shape {values.shape} and `text` {len(self.text)} characters; there "
                "must be one number for each, and at least one."
            )
            raise InputError(message)
        bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
        if len(bad):
            message = f"`bits` entry {bad[0]} is {values[bad[0]]}; surprisals are finite and ≥ 0."
            raise InputError(message)
        if self.width < 1:
            message = f"`width` is {self.width}; a line holds at least one character."
            raise InputError(message)

    @property
    def figure_size(self) -> tuple[float, float]:
        """Width and height in inches."""
        longest = min(self.width, len(self.text))
        return (max(0.115 * longest + 0.8, 3.0), 1.05 * self._n_lines + 0.3)

    @property
    def _n_lines(self) -> int:
        return -(-len(self.text) // self.width)

    def plot(self, ax: Any = None) -> "TextSurprisalDisplay":
        """Draw in the place of `ax`, or on a new pyplot figure."""
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        self.axes_ = split(self.ax_, self._n_lines, 1, self._n_lines)
        values = np.asarray(self.bits, dtype=np.float64)
        mean = values.mean() if self.mean_bits is None else self.mean_bits
        for number, panel in enumerate(self.axes_):
            line = slice(number * self.width, (number + 1) * self.width)
            self._line(panel, self.text[line], values[line], float(mean))
            panel.set_ylim(0, 1.05 * max(values.max(), mean, 1.0))
        self.axes_[0].set_title("surprisal in bits", fontsize=9, color=INK, loc="left")
        return self

    def _line(self, panel: Any, text: str, bits: npt.NDArray[np.float64], mean: float) -> None:
        """Bars, letters below them, and the mean."""
        panel.axhline(mean, color=GREY, linewidth=0.8, zorder=1)
        panel.bar(np.arange(len(text)), bits, width=0.86, color=BLUE, alpha=0.85, zorder=2)
        letters = [_LINE_BREAK if c == "\n" else data_label(c, 1) for c in text]
        panel.set_xticks(np.arange(len(text)), letters, family="monospace", fontsize=9, color=INK)
        panel.set_xlim(-0.6, min(self.width, len(self.text)) - 0.4)
        panel.tick_params(axis="x", length=0, pad=2)
        panel.tick_params(axis="y", labelsize=7, colors=MUTED, length=2)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
