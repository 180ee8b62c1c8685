"""What a linear classifier looks for: its weights as images, or its strongest features."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crossent.errors import InputError
from crossent.report._style import BLUE, INK, MUTED, ORANGE, axes_or_new, data_label, split

__all__ = ["ClassWeightsDisplay"]

_COLUMNS = 5
_MOST_IMAGES = 20
_MOST_BARS = 6
_FURTHEST = 2.5  # times the longest bar: where intervals are cut off


@dataclass(eq=False)
class ClassWeightsDisplay:
    """The weights of each class.

    With `image_shape` each class's weights are an image: blue where ink speaks for the class,
    orange where it speaks against it, and the same scale, symmetric about 0, for all classes.
    Without it, the features with the largest |weight × scale| of each class, ranked.

    Parameters
    ----------
    weights : ndarray, shape (q, d), or (1, d) for two classes
        Change of the logit for one unit of each feature; for two classes of the log-odds of the
        second class.
    classes : sequence, q names
    feature_names : sequence of str, optional
    image_shape : (height, width) or (height, width, channels), optional
        Channels are summed over.
    feature_scale : ndarray, shape (d,), optional
        The features' standard deviations. Weights are multiplied by it in the ranked bars, which
        makes features with different units comparable.
    errors : ndarray, shape of `weights`, optional
        Standard errors; bars get 95 % intervals.

    Attributes
    ----------
    ax_ : matplotlib Axes
    axes_ : ndarray of Axes
        One for each class shown.
    shown_ : ndarray of int
        Numbers of the rows of `weights` that were drawn, which are the largest if not all fit.
    clipped_ : bool
        Whether intervals are cut off at the edge, because they would hide the bars.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> data = load_iris()
    >>> model = LogisticRegression(max_iter=500).fit(data.data, data.target)
    >>> display = ClassWeightsDisplay.from_estimator(
    ...     model, feature_names=data.feature_names, ax=Figure().add_subplot()
    ... )
    >>> display.axes_[2].get_yticklabels()[0].get_text()
    'petal length (cm)'
    """

    weights: Any
    classes: Sequence[Any]
    feature_names: Sequence[str] | None = None
    image_shape: tuple[int, ...] | None = None
    feature_scale: Any = None
    errors: Any = None
    ax_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)
    shown_: Any = field(default=None, init=False, repr=False)
    clipped_: bool = field(default=False, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        /,
        *,
        classes: Sequence[Any] | None = None,
        feature_names: Sequence[str] | None = None,
        image_shape: tuple[int, ...] | None = None,
        feature_scale: Any = None,
        ax: Any = None,
    ) -> "ClassWeightsDisplay":
        """Draw ``coef_`` of a fitted linear classifier; `classes` are names to show."""
        if not hasattr(estimator, "coef_"):
            message = f"{type(estimator).__name__} has no `coef_`. Fit a linear classifier first."
            raise InputError(message)
        names = getattr(estimator, "feature_names_in_", None)
        return cls(
            np.asarray(estimator.coef_, dtype=np.float64),
            list(estimator.classes_) if classes is None else list(classes),
            feature_names if feature_names is not None else names,
            image_shape,
            feature_scale,
        ).plot(ax=ax)

    @property
    def figure_size(self) -> tuple[float, float]:
        """Width and height in inches."""
        n_classes, d = np.shape(self.weights)
        if self.image_shape is not None:
            n_rows = math.ceil(min(n_classes, _MOST_IMAGES) / _COLUMNS)
            return (4.5, 0.55 + 1.15 * n_rows)
        return (4.3, min(n_classes, _MOST_BARS) * (0.5 + 0.2 * min(d, 8)) + 0.4)

    def plot(self, ax: Any = None) -> "ClassWeightsDisplay":
        """Draw in the place of `ax`, or on a new pyplot figure."""
        self.ax_ = axes_or_new(ax, self.figure_size)
        self.figure_ = self.ax_.figure
        weights = np.asarray(self.weights, dtype=np.float64)
        if self.image_shape is not None:
            self._images(_as_images(weights, self.image_shape))
        else:
            scale = 1.0 if self.feature_scale is None else np.asarray(self.feature_scale)
            half = None if self.errors is None else 1.96 * np.asarray(self.errors) * scale
            self._bars(weights * scale, half)
        return self

    def _title(self, number: int, width: int) -> str:
        """Name of the class, or of both where one row of weights serves two classes."""
        if len(self.weights) == 1 and len(self.classes) == 2:
            first, second = (data_label(name, width) for name in self.classes)
            return f"{second}, against {first}"
        return data_label(self.classes[number], width)

    def _images(self, images: Any) -> None:
        """One tile for each class, and the colour bar."""
        from matplotlib.colors import LinearSegmentedColormap

        self.shown_ = _largest(images.reshape(len(images), -1), _MOST_IMAGES)
        limit = float(np.abs(images[self.shown_]).max()) or 1.0
        n_rows = math.ceil(len(self.shown_) / _COLUMNS)
        columns = min(_COLUMNS, len(self.shown_))
        self.axes_ = split(self.ax_, n_rows, columns, len(self.shown_))
        colours = LinearSegmentedColormap.from_list("against_for", [ORANGE, "#ffffff", BLUE])
        for panel, number in zip(self.axes_, self.shown_.tolist(), strict=True):
            picture = panel.imshow(
                images[number], cmap=colours, vmin=-limit, vmax=limit, interpolation="none"
            )
            panel.set_axis_off()
            panel.set_title(self._title(number, 14), fontsize=9, color=INK, pad=3)
        bar = self.figure_.colorbar(
            picture, ax=list(self.axes_), location="bottom", aspect=40, shrink=0.7, pad=0.03
        )
        bar.set_label("weight: against the class ← 0 → for the class")
        bar.outline.set_visible(False)

    def _bars(self, weights: Any, half: Any) -> None:
        """One panel for each class, its strongest features from the top."""
        self.shown_ = _largest(weights, _MOST_BARS)
        n_features = min(weights.shape[1], 8)
        limit = self._limit(weights, half, n_features)
        self.axes_ = split(self.ax_, len(self.shown_), 1, len(self.shown_))
        names = self.feature_names
        for panel, number in zip(self.axes_, self.shown_.tolist(), strict=True):
            row = weights[number]
            ranked = np.argsort(-np.abs(row), kind="stable")[:n_features]
            colours = [BLUE if row[column] > 0 else ORANGE for column in ranked]
            panel.barh(
                range(n_features),
                row[ranked],
                xerr=None if half is None else half[number, ranked],
                ecolor=INK,
                error_kw={"elinewidth": 0.9, "capsize": 2},
                color=colours,
                alpha=0.85,
                height=0.66,
            )
            labels = [f"column {c}" if names is None else data_label(names[c]) for c in ranked]
            panel.set_yticks(range(n_features), labels)
            panel.axvline(0, color=MUTED, linewidth=0.8)
            panel.set(xlim=(-1.05 * limit, 1.05 * limit))
            panel.set_title(self._title(number, 40), fontsize=9.5, loc="left", color=INK, pad=3)
            panel.invert_yaxis()
            panel.tick_params(axis="y", length=0)
            panel.tick_params(axis="x", labelbottom=panel is self.axes_[-1])
        unit = "weight" if self.feature_scale is None else "weight × standard deviation"
        self.axes_[-1].set_xlabel(f"{unit}: against the class ← 0 → for it")

    def _limit(self, weights: Any, half: Any, n_features: int) -> float:
        """Where the axis ends: at the longest interval, unless that would hide the bars."""
        longest = float(np.abs(weights[self.shown_]).max(initial=0.0)) or 1.0
        if half is None:
            return longest
        strongest = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, :n_features]
        reach = np.take_along_axis(np.abs(weights) + half, strongest, axis=1)
        furthest = float(reach[self.shown_].max(initial=0.0))
        self.clipped_ = furthest > _FURTHEST * longest
        return min(furthest, _FURTHEST * longest)


def _as_images(weights: Any, image_shape: tuple[int, ...]) -> Any:
    """Weights as (q, height, width); colour channels are summed."""
    if weights.shape[1] != math.prod(image_shape):
        message = (
            f"`image_shape` is {image_shape}, which is {math.prod(image_shape)} pixels, but there "
            f"are {weights.shape[1]} weights. Give (height, width) or (height, width, channels)."
        )
        raise InputError(message)
    images = weights.reshape(-1, *image_shape)
    return images if images.ndim == 3 else images.sum(axis=3)


def _largest(weights: Any, most: int) -> Any:
    """Numbers of the rows with the largest norm, in their own order."""
    norms = np.linalg.norm(weights, axis=1)
    return np.sort(np.argsort(-norms, kind="stable")[:most])
