"""Cross-entropy beside what a model without knowledge pays."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from crossent.inspection import Evaluation, evaluate
from crossent.report._style import BLUE, GREY, INK, axes_or_new, data_label

__all__ = ["CrossEntropyDisplay"]


@dataclass(eq=False)
class CrossEntropyDisplay:
    """Bars of cross-entropy, in nats, over the two baselines of the last set of rows.

    Parameters
    ----------
    evaluations : mapping of str to Evaluation
        By the name of the rows, such as "training rows" and "test rows".

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=500).fit(X, y)
    >>> display = CrossEntropyDisplay.from_estimator(model, X, y, ax=Figure().add_subplot())
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['these rows', 'class frequencies', 'uniform']
    """

    evaluations: Mapping[str, Evaluation]
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    @property
    def figure_size(self) -> tuple[float, float]:
        """Width and height in inches."""
        return (4.3, 0.9 + 0.36 * (len(self.evaluations) + 2))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        /,
        *,
        sample_weight: Any = None,
        class_frequencies: npt.ArrayLike | None = None,
        name: str = "these rows",
        ax: Any = None,
    ) -> "CrossEntropyDisplay":
        """Evaluate a classifier with `crossent.inspection.evaluate` and draw the result."""
        result = evaluate(
            estimator, X, y, sample_weight=sample_weight, class_frequencies=class_frequencies
        )
        return cls({name: result}).plot(ax=ax)

    def plot(self, ax: Any = None) -> "CrossEntropyDisplay":
        """Draw on `ax`, or on a new pyplot figure. An infinite value is written, without a bar."""
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        last = list(self.evaluations.values())[-1]
        entries = [(name, item.cross_entropy, BLUE) for name, item in self.evaluations.items()]
        entries.append(("class frequencies", last.frequency_baseline, GREY))
        entries.append(("uniform", last.uniform_baseline, GREY))
        longest = max(value for _, value, _ in entries if math.isfinite(value))
        for place, (_, value, colour) in enumerate(entries):
            self._bar(place, value, colour, longest)
        self._floors()
        self.ax_.set_yticks(range(len(entries)), [data_label(name) for name, _, _ in entries])
        self.ax_.invert_yaxis()
        self.ax_.set_xlim(0, 1.55 * longest)  # room for the numbers behind the longest bar
        self.ax_.set_xlabel("cross-entropy in nats; shorter is better")
        self.ax_.tick_params(axis="y", length=0)
        return self

    def _bar(self, place: int, value: float, colour: str, longest: float) -> None:
        """One bar with its number behind it."""
        finite = math.isfinite(value)
        self.ax_.barh(place, value if finite else 0.0, height=0.62, color=colour, alpha=0.85)
        text = f"{value:#.3g} nats = {value / math.log(2):#.3g} bits" if finite else "infinite"
        self.ax_.text(
            (value if finite else 0.0) + 0.015 * longest, place, text, va="center", color=INK
        )

    def _floors(self) -> None:
        """The entropy of the targets, where they have any, as a tick across the bar."""
        for place, item in enumerate(self.evaluations.values()):
            if item.target_entropy > 0:
                self.ax_.plot([item.target_entropy] * 2, [place - 0.38, place + 0.38], color=INK)
