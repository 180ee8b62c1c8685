"""The rows that a classifier found hardest to believe, with their images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crossent.errors import InputError
from crossent.inspection import SurprisingRow, top_losses
from crossent.report._style import INK, ORANGE, axes_or_new, data_label, split

__all__ = ["SurprisingRowsDisplay", "row_images", "take_rows"]

_COLUMNS = 4


@dataclass(eq=False)
class SurprisingRowsDisplay:
    """The most surprising rows as images, or as bars where rows are not images.

    Parameters
    ----------
    rows : sequence of SurprisingRow
        From `crossent.inspection.top_losses`.
    images : ndarray, shape (k, height, width) or (k, height, width, 3), optional
        One for each of `rows`; see `row_images`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    axes_ : ndarray of Axes, shape (k,)
        One for each image; only the one axes for bars.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_digits(return_X_y=True)
    >>> model = LogisticRegression(C=1e-4, max_iter=200).fit(X, y)
    >>> display = SurprisingRowsDisplay.from_estimator(
    ...     model, X, y, k=2, image_shape=(8, 8), ax=Figure().add_subplot()
    ... )
    >>> len(display.axes_)
    2
    """

    rows: Sequence[SurprisingRow]
    images: Any = None
    ax_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        /,
        *,
        k: int = 12,
        sample_weight: Any = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> "SurprisingRowsDisplay":
        """Find the k most surprising rows and draw them.

        `image_shape` is (height, width) or (height, width, 3), if the columns of X are pixels.
        """
        rows = top_losses(estimator, X, y, k=k, sample_weight=sample_weight)
        images = None if image_shape is None else row_images(X, rows, image_shape)
        return cls(rows, images).plot(ax=ax)

    @property
    def figure_size(self) -> tuple[float, float]:
        """Width and height in inches."""
        if self.images is None:
            return (4.3, 0.8 + 0.28 * len(self.rows))
        return (4.3, 1.55 * math.ceil(len(self.rows) / _COLUMNS))

    def plot(self, ax: Any = None) -> "SurprisingRowsDisplay":
        """Draw in the place of `ax`, or on a new pyplot figure."""
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        if self.images is None:
            self.axes_ = np.array([self.ax_], dtype=object)
            self._bars()
        else:
            height = math.ceil(len(self.rows) / _COLUMNS)
            self.axes_ = split(self.ax_, max(height, 1), _COLUMNS, len(self.rows))
            self._tiles()
        return self

    def _tiles(self) -> None:
        """One image each, with what it is and what it was taken for."""
        grey = np.ndim(self.images) == 3
        low, high = (np.min(self.images), np.max(self.images)) if len(self.rows) else (0, 1)
        how = {"cmap": "gray_r", "vmin": low, "vmax": high} if grey else {}
        for panel, row, image in zip(self.axes_, self.rows, self.images, strict=True):
            panel.imshow(image if grey else _unit(image, low, high), interpolation="none", **how)
            panel.set_axis_off()
            title = f"{data_label(row.target, 12)}, not {data_label(row.predicted, 12)}"
            if row.target == row.predicted:
                title = data_label(row.target, 14)
            panel.set_title(title, fontsize=9, color=INK, pad=3)
            panel.text(
                0.5,
                -0.03,
                _bits(row),
                transform=panel.transAxes,
                ha="center",
                va="top",
                fontsize=8.5,
            )

    def _bars(self) -> None:
        """Excess surprisal of each row, in bits; an infinite one is written, without a bar."""
        bits = [row.excess_bits if math.isfinite(row.excess) else 0.0 for row in self.rows]
        self.ax_.barh(range(len(bits)), bits, color=ORANGE, alpha=0.85, height=0.62)
        names = [
            f"row {row.row}: {data_label(row.target, 12)}, not {data_label(row.predicted, 12)}"
            for row in self.rows
        ]
        self.ax_.set_yticks(range(len(bits)), names)
        longest = max(bits, default=0.0) or 1.0
        for place, row in enumerate(self.rows):
            self.ax_.text(bits[place] + 0.015 * longest, place, _bits(row), va="center", color=INK)
        self.ax_.set_xlim(0, 1.3 * longest)
        self.ax_.invert_yaxis()
        self.ax_.tick_params(axis="y", length=0)
        self.ax_.set_xlabel("surprisal in bits")


def take_rows(X: Any, numbers: Sequence[int], /) -> Any:
    """The rows of an array, a sparse matrix, a frame or nested lists, made dense."""
    if hasattr(X, "iloc"):
        return X.iloc[list(numbers)]
    table = (X if hasattr(X, "shape") else np.asarray(X))[list(numbers)]
    return table.toarray() if hasattr(table, "toarray") else table


def row_images(X: Any, rows: Sequence[SurprisingRow], image_shape: tuple[int, ...], /) -> Any:
    """The rows of X as images, shape (k, height, width) or (k, height, width, 3).

    Raises
    ------
    InputError
        `image_shape` does not hold as many pixels as X has columns.
    """
    dense = np.asarray(take_rows(X, [row.row for row in rows]), dtype=np.float64)
    if dense.ndim != 2 or dense.shape[1] != math.prod(image_shape):
        message = (
            f"`image_shape` is {image_shape}, which is {math.prod(image_shape)} pixels, but X has "
            f"{dense.shape[-1]} columns. Give (height, width) or (height, width, 3)."
        )
        raise InputError(message)
    return dense.reshape(-1, *image_shape)


def _bits(row: SurprisingRow) -> str:
    """What the row costs beyond its target's own entropy."""
    return f"{row.excess_bits:.1f} bits" if math.isfinite(row.excess) else "infinite"


def _unit(image: Any, low: float, high: float) -> Any:
    """Colours scaled to [0, 1]."""
    return (image - low) / (high - low or 1.0)
