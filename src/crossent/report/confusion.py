"""Which classes are taken for which, readable for two classes and for hundreds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from crossent.inspection import ConfusedPair, Confusion, Predictions, confusion, predict_rows
from crossent.report._style import BLUE, INK, MUTED, ORANGE, axes_or_new, data_label

__all__ = ["ConfusionDisplay"]

_ANNOTATED_CLASSES = 16  # beyond, a number no longer fits into a cell
_MATRIX_CLASSES = 25  # beyond, a class name no longer fits beside a row
_MOST_OPAQUE = 0.55  # dark text stays readable on it on a white page, light text on a dark one


@dataclass(eq=False)
class ConfusionDisplay:
    """Confusion matrix, or the most frequent confusions where a matrix would be unreadable.

    Right predictions are blue, by their share of the true class; errors are orange, by their
    share relative to the largest share of errors, so that they show beside a strong diagonal.

    Parameters
    ----------
    table : Confusion
        From `crossent.inspection.confusion`.
    display_labels : sequence of str, optional
        Names of the classes.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    kind_ : {"matrix", "pairs"}
        What was drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> table = Confusion(np.array([[8.0, 2.0], [1.0, 9.0]]), np.array(["cat", "dog"]))
    >>> display = ConfusionDisplay(table).plot(ax=Figure().add_subplot())
    >>> sorted(text.get_text() for text in display.ax_.texts)
    ['1', '2', '8', '9']
    """

    table: Confusion
    display_labels: Sequence[Any] | None = None
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    kind_: Literal["matrix", "pairs"] = field(default="matrix", init=False, repr=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        /,
        *,
        sample_weight: Any = None,
        display_labels: Sequence[Any] | None = None,
        ax: Any = None,
    ) -> "ConfusionDisplay":
        """Predict with a classifier, count, draw."""
        table = confusion(predict_rows(estimator, X, y, sample_weight=sample_weight))
        return cls(table, display_labels).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y: Any,
        log_probabilities: Any,
        /,
        *,
        classes: Any,
        sample_weight: Any = None,
        display_labels: Sequence[Any] | None = None,
        ax: Any = None,
    ) -> "ConfusionDisplay":
        """Count from log-probabilities that are at hand, shape (n, q), and draw."""
        rows = Predictions.from_log_probabilities(
            log_probabilities, y, classes=classes, sample_weight=sample_weight
        )
        return cls(confusion(rows), display_labels).plot(ax=ax)

    @property
    def figure_size(self) -> tuple[float, float]:
        """Width and height in inches."""
        q = len(self.table.classes)
        side = 1.6 + 0.36 * q if q <= 8 else 4.5
        return (max(side, 3.2), max(side - 0.3, 2.8)) if q <= _MATRIX_CLASSES else (4.3, 5.4)

    def plot(
        self, ax: Any = None, *, kind: Literal["auto", "matrix", "pairs"] = "auto", top: int = 15
    ) -> "ConfusionDisplay":
        """Draw on `ax`, or on a new pyplot figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        kind : {"auto", "matrix", "pairs"}
            "auto" draws the matrix of at most 25 classes, else bars of the `top` confusions.
        top : int
        """
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        few = len(self.table.classes) <= _MATRIX_CLASSES
        self.kind_ = kind if kind != "auto" else "matrix" if few else "pairs"
        if self.kind_ == "matrix":
            self._matrix()
        else:
            self._pairs(self.table.most_confused()[:top])
        return self

    def _labels(self, width: int) -> list[str]:
        """Class names, ready for matplotlib."""
        names = self.table.classes if self.display_labels is None else self.display_labels
        return [data_label(name, width) for name in names]

    def _matrix(self) -> None:
        """Cells, numbers, names."""
        from matplotlib.collections import PatchCollection
        from matplotlib.patches import Rectangle

        q = len(self.table.classes)
        rows, columns = np.nonzero(self.table.counts)
        cells = [Rectangle((j - 0.5, i - 0.5), 1, 1) for i, j in zip(rows, columns, strict=True)]
        colours = _cell_colours(self.table.row_shares)[rows, columns]
        self.ax_.add_collection(PatchCollection(cells, facecolors=colours, edgecolors="none"))
        if q <= _ANNOTATED_CLASSES:
            self._annotate(rows, columns)
        labels = self._labels(14)
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        upright = max(map(len, labels)) <= max(2, 24 // q)
        named = q <= 2 * _MATRIX_CLASSES
        self.ax_.set_xticks(range(q) if named else [], labels if named else [])
        self.ax_.set_yticks(range(q) if named else [], labels if named else [])
        if not upright:
            self.ax_.tick_params(axis="x", labelrotation=45)
            for label in self.ax_.get_xticklabels():
                label.set(**turned)
        self.ax_.set(xlim=(-0.5, q - 0.5), ylim=(q - 0.5, -0.5), aspect="equal")
        self.ax_.set(xlabel="predicted class", ylabel="true class")
        self.ax_.tick_params(length=0)

    def _annotate(self, rows: Any, columns: Any) -> None:
        """Counts in the cells: whole numbers as such."""
        q = len(self.table.classes)
        size = 9.5 if q <= 8 else 8 if q <= 12 else 6.5
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
            text = _count(float(self.table.counts[i, j]))
            self.ax_.text(j, i, text, ha="center", va="center", fontsize=size, color=INK)

    def _pairs(self, pairs: Sequence[ConfusedPair]) -> None:
        """Bars of the most frequent confusions."""
        shown = dict(zip(self.table.classes.tolist(), self._labels(28), strict=True))
        longest = 1.25 * pairs[0].count if pairs else 1.0
        for place, pair in enumerate(pairs):
            self.ax_.barh(place + 0.2, pair.count, color=ORANGE, alpha=0.85, height=0.34)
            # Above the bar, where two long names have room.
            names = f"{shown[pair.true]} → {shown[pair.predicted]}"
            self.ax_.text(0, place - 0.08, names, va="bottom", fontsize=8.5, color=INK)
            text = f"{_count(pair.count)} ({100 * pair.share:.0f} %)"
            end = pair.count + 0.012 * longest
            self.ax_.text(end, place + 0.2, text, va="center", fontsize=8.5, color=INK)
        if not pairs:
            self.ax_.text(0.5, 0.5, "No errors", ha="center", color=MUTED)
        self.ax_.set_xlim(0, longest)
        self.ax_.spines["left"].set_visible(False)
        self.ax_.set_ylim(max(len(pairs), 1) - 0.4, -0.6)
        self.ax_.set_yticks([])
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        self.ax_.set_xlabel("rows (share of the true class)")


def _cell_colours(shares: Any) -> Any:
    """Red, green, blue and opacity of each cell, shape (q, q, 4)."""
    from matplotlib.colors import to_rgb

    q = shares.shape[0]
    right = np.eye(q, dtype=bool)
    worst = max(float(shares[~right].max(initial=0.0)), 1e-300)
    colours = np.empty((q, q, 4))
    colours[..., :3] = np.where(right[..., np.newaxis], to_rgb(BLUE), to_rgb(ORANGE))
    # The power keeps rare errors visible.
    colours[..., 3] = _MOST_OPAQUE * np.where(right, shares, (shares / worst) ** 0.7)
    return colours


def _count(value: float) -> str:
    """3 rather than 3.0, and 2.5 where weights or soft targets make parts of rows."""
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"
