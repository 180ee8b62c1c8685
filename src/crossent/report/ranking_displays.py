"""Pictures of a ranking: scores with intervals, ranks, win probabilities, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.choice import Ranking
from crossent.choice.diagnostics import Calibration
from crossent.report._style import BLUE, GREY, GRID, INK, MUTED, axes_or_new, data_label

__all__ = ["RankIntervalDisplay", "ScoreDisplay", "WinCalibrationDisplay", "WinMatrixDisplay"]

_NAME_WIDTH = 26


def _item_axis(ax: Any, items: Sequence[Any]) -> None:
    """One line per item, the best on top."""
    ax.set_yticks(range(len(items)), [data_label(item, _NAME_WIDTH) for item in items])
    ax.set_ylim(len(items) - 0.4, -0.6)
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


@dataclass(eq=False)
class ScoreDisplay:
    """Forest plot: the score of each item and its interval.

    Parameters
    ----------
    ranking : Ranking
    top : int
        Items shown, from the best on.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from crossent.choice import BradleyTerry
    >>> model = BradleyTerry().fit([["a", "b"], ["b", "a"], ["a", "b"]])
    >>> display = ScoreDisplay(model.ranking()).plot(ax=Figure().add_subplot())
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['a', 'b']
    """

    ranking: Ranking
    top: int = 40
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    @property
    def figure_size(self) -> tuple[float, float]:
        """Width and height in inches."""
        return (5.4, 0.9 + 0.2 * min(self.top, len(self.ranking.items)))

    def plot(self, ax: Any = None) -> "ScoreDisplay":
        """Draw on `ax`, or on a new pyplot figure."""
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        ranking, of = self.ranking, slice(self.top)
        scores = ranking.scores[of]
        width = np.vstack([scores - ranking.low[of], ranking.high[of] - scores])
        _item_axis(self.ax_, ranking.items[of].tolist())
        self.ax_.errorbar(
            scores,
            np.arange(len(scores)),
            xerr=width,
            fmt="o",
            color=BLUE,
            markersize=4,
            elinewidth=1.2,
            capsize=2,
        )
        unit = "Elo points" if ranking.unit == "elo" else "logits"
        self.ax_.set_xlabel(f"score ({unit}) with {100 * ranking.level:g} % interval")
        return self


@dataclass(eq=False)
class RankIntervalDisplay:
    """The ranks that the data leave open for each item.

    Parameters
    ----------
    ranking : Ranking
    top : int

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from crossent.choice import BradleyTerry
    >>> model = BradleyTerry().fit([["a", "b"], ["b", "a"], ["a", "b"]])
    >>> display = RankIntervalDisplay(model.ranking()).plot(ax=Figure().add_subplot())
    >>> display.ax_.get_xlabel()
    'ranks that are possible, all at once with 95 %'
    """

    ranking: Ranking
    top: int = 40
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    @property
    def figure_size(self) -> tuple[float, float]:
        """Width and height in inches."""
        return (5.4, 0.9 + 0.2 * min(self.top, len(self.ranking.items)))

    def plot(self, ax: Any = None) -> "RankIntervalDisplay":
        """Draw on `ax`, or on a new pyplot figure."""
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        of = slice(self.top)
        low, high = self.ranking.rank_low[of], self.ranking.rank_high[of]
        _item_axis(self.ax_, self.ranking.items[of].tolist())
        places = np.arange(len(low))
        self.ax_.barh(places, high - low + 0.5, left=low - 0.25, height=0.62, color=BLUE, alpha=0.8)
        self.ax_.plot(places + 1, places, "|", color=INK, markersize=8)
        self.ax_.set_xlim(0.5, high.max() + 0.7)
        level = f"{100 * self.ranking.level:g} %"
        self.ax_.set_xlabel(f"ranks that are possible, all at once with {level}")
        return self


@dataclass(eq=False)
class WinMatrixDisplay:
    """Heat map of the probability that the row item wins against the column item.

    Parameters
    ----------
    probabilities : ndarray, shape (n, n)
        In the order in which items are to stand; NaN is left white. From
        ``BradleyTerry.win_matrix``, or divided by itself plus its transpose: given that one wins.
    items : sequence
    """

    probabilities: npt.NDArray[np.float64]
    items: Sequence[Any]
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    @property
    def figure_size(self) -> tuple[float, float]:
        """Width and height in inches."""
        side = 2.0 + 0.24 * len(self.items)
        return (side + 0.6, side)

    def plot(self, ax: Any = None) -> "WinMatrixDisplay":
        """Draw on `ax`, or on a new pyplot figure."""
        from matplotlib.colors import LinearSegmentedColormap

        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        n = len(self.items)
        # White where the two are even, so that colour means a favourite.
        colours = LinearSegmentedColormap.from_list("wins", ["#d55e00", "#ffffff", "#0072b2"])
        image = self.ax_.imshow(self.probabilities, cmap=colours, vmin=0, vmax=1)
        names = [data_label(item, 18) for item in self.items]
        self.ax_.set_yticks(range(n), names)
        self.ax_.set_xticks(range(n), names, rotation=90)
        self.ax_.tick_params(length=0)
        for side in self.ax_.spines.values():
            side.set_visible(False)
        if n <= 14:
            for i, j in np.ndindex(n, n):
                p = self.probabilities[i, j]
                if np.isfinite(p):
                    tone = "white" if abs(p - 0.5) > 0.38 else "#1b1f25"
                    words = {"ha": "center", "va": "center", "fontsize": 7, "color": tone}
                    self.ax_.text(j, i, f"{100 * p:.0f}", **words)
        bar = self.figure_.colorbar(image, ax=self.ax_, shrink=0.7, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label("P(row wins, if one of the two does)")
        return self


@dataclass(eq=False)
class WinCalibrationDisplay:
    """Predicted probability to win against the share of wins.

    Parameters
    ----------
    curve : Calibration
        From `crossent.choice.calibration`.
    """

    curve: Calibration
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    figure_size = (4.3, 4.4)

    def plot(self, ax: Any = None) -> "WinCalibrationDisplay":
        """Draw on `ax`, or on a new pyplot figure."""
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        curve = self.curve
        self.ax_.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1, label="what it should be")
        self.ax_.errorbar(
            curve.predicted,
            curve.observed,
            yerr=np.abs(np.vstack([curve.low, curve.high]) - curve.observed),
            fmt="o-",
            color=BLUE,
            markersize=4.5,
            linewidth=1.2,
            elinewidth=1,
            capsize=2.5,
            label="share of wins with 95 % interval",
        )
        share = 0.1 * curve.weight / curve.weight.max()
        self.ax_.bar(curve.predicted, share, width=0.02, color=GREY, label="share of the data")
        self.ax_.set(
            xlim=(0, 1.02),
            ylim=(0, 1.02),
            xlabel="predicted probability to win",
            ylabel="share of wins",
        )
        self.ax_.legend(
            frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=1, borderaxespad=0.3
        )
        return self
