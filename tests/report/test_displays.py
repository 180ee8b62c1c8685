"""What the displays draw: numbers against scikit-learn or by hand, names as they are."""

import math
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, log_loss

from crossent.certificate import TracePoint
from crossent.errors import InputError
from crossent.inspection import Confusion, evaluate, predict_rows, reliability, top_losses
from crossent.report import (
    ClassWeightsDisplay,
    ConfusionDisplay,
    CrossEntropyDisplay,
    ReliabilityDisplay,
    SurprisingRowsDisplay,
    TraceDisplay,
)
from crossent.report._style import BLUE, ORANGE, clean, data_label, shortened

STRANGE = ["<b>&", "$x_1$ and $\\frac{", "_under\u202e日本"]


def drawn(figure):
    """All text of a figure after drawing it; a mathtext error would raise here."""
    FigureCanvasAgg(figure).draw()
    return [text.get_text() for text in figure.findobj(lambda item: hasattr(item, "get_text"))]


def test_confusion_cells_are_scikit_learns_counts_at_their_place(digits_model, digits, ax):
    X, y = digits[0][900:], digits[1][900:]

    display = ConfusionDisplay.from_estimator(digits_model, X, y, ax=ax)

    expected = confusion_matrix(y, digits_model.predict(X))
    found = np.zeros_like(expected)
    for text in display.ax_.texts:
        column, row = text.get_position()
        found[row, column] = int(text.get_text())
    assert np.array_equal(found, expected)
    assert display.figure_ is ax.figure
    assert [t.get_text() for t in ax.get_yticklabels()] == [str(c) for c in range(10)]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # class 0 on top


def test_confusion_from_predictions_draws_the_same(digits_model, digits):
    X, y = digits[0][900:], digits[1][900:]

    first = ConfusionDisplay.from_estimator(digits_model, X, y, ax=Figure().add_subplot())
    second = ConfusionDisplay.from_predictions(
        y,
        digits_model.predict_log_proba(X),
        classes=digits_model.classes_,
        ax=Figure().add_subplot(),
    )

    assert np.array_equal(first.table.counts, second.table.counts)


def test_errors_are_not_drawn_in_the_colour_of_right_predictions(ax):
    table = Confusion(np.array([[8.0, 2], [1, 9]]), np.array(["a", "b"]))

    colours = ConfusionDisplay(table).plot(ax=ax).ax_.collections[0].get_facecolor()

    # Cells in the order (0,0), (0,1), (1,0), (1,1); shares .8, .2, .1, .9.
    assert np.array_equal(colours[[0, 3], :3], [to_rgb(BLUE)] * 2)
    assert np.array_equal(colours[[1, 2], :3], [to_rgb(ORANGE)] * 2)
    assert colours[3, 3] > colours[0, 3] > 0.4  # 0.55 · 0.9 and 0.55 · 0.8
    assert colours[1, 3] > colours[2, 3] > 0


def test_many_classes_become_a_list_of_the_most_frequent_mistakes(ax):
    q = 150
    counts = np.diag(np.full(q, 20.0))
    counts[3, 7], counts[140, 2] = 9, 5
    names = [f"a long name of a class with number {i}" for i in range(q)]

    display = ConfusionDisplay(Confusion(counts, np.arange(q)), names).plot(ax=ax)

    assert display.kind_ == "pairs"
    # Rows of class 3: 29, of class 140: 25.
    texts = [text.get_text().strip() for text in ax.texts]
    assert texts[1::2] == ["9 (31 %)", "5 (20 %)"]
    assert "number 3 →" in texts[0]
    assert texts[0].endswith("number 7")
    assert [bar.get_width() for bar in ax.patches] == [9, 5]
    assert (
        ConfusionDisplay(Confusion(counts, np.arange(q)))
        .plot(ax=Figure().add_subplot(), kind="matrix")
        .kind_
        == "matrix"
    )


def test_perfect_predictions_of_many_classes_say_so(ax):
    ConfusionDisplay(Confusion(np.eye(60), np.arange(60))).plot(ax=ax)

    assert [text.get_text() for text in ax.texts] == ["No errors"]


def test_the_reliability_display_draws_the_curve_with_its_intervals(digits_model, digits, ax):
    X, y = digits[0][900:], digits[1][900:]
    curve = reliability(predict_rows(digits_model, X, y), n_bins=6)

    display = ReliabilityDisplay.from_estimator(digits_model, X, y, n_bins=6, ax=ax)

    diagonal, points = display.ax_.lines[:2]
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert np.array_equal(points.get_xydata(), np.column_stack([curve.confidence, curve.accuracy]))
    (bars,) = ax.collections
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    # accuracy ± (distance to the end) rounds twice.
    assert ends == pytest.approx(curve.interval, abs=1e-15)
    from_log_p = ReliabilityDisplay.from_predictions(
        y,
        digits_model.predict_log_proba(X),
        classes=digits_model.classes_,
        n_bins=6,
        ax=Figure().add_subplot(),
    )
    assert np.array_equal(from_log_p.curve.accuracy, curve.accuracy)


def test_surprising_images_are_the_rows_pixels_under_their_names(digits_model, digits, ax):
    X, y = digits[0][900:], digits[1][900:]
    worst = top_losses(digits_model, X, y, k=5)

    display = SurprisingRowsDisplay.from_estimator(
        digits_model, X, y, k=5, image_shape=(8, 8), ax=ax
    )

    assert len(display.axes_) == 5
    for panel, row in zip(display.axes_, worst, strict=True):
        (image,) = panel.images
        assert np.array_equal(image.get_array(), X[row.row].reshape(8, 8))
        assert panel.get_title().startswith(f"{row.target}")
        assert panel.texts[0].get_text() == f"{row.surprisal / math.log(2):.1f} bits"
    wrong = [row for row in worst if row.target != row.predicted]
    assert wrong
    assert f"{wrong[0].target}, not {wrong[0].predicted}" in drawn(display.figure_)


def test_surprising_rows_without_images_are_bars_of_bits(iris_model, iris, ax):
    display = SurprisingRowsDisplay.from_estimator(iris_model, *iris, k=3, ax=ax)

    p = iris_model.predict_proba(iris[0])[np.arange(150), iris[1]]
    # −log₂ of the three smallest probabilities, from log-probabilities: a few roundings.
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(-np.log2(np.sort(p)[:3]))
    assert display.ax_.get_yticklabels()[0].get_text().startswith(f"row {np.argmin(p)}: ")


def test_colour_images_keep_their_colours(ax):
    X = np.linspace(0, 255, 2 * 12).reshape(2, 12)
    y = ["a", "b"]
    model = LogisticRegression().fit(X, y)

    display = SurprisingRowsDisplay.from_estimator(model, X, y, k=2, image_shape=(2, 2, 3), ax=ax)

    row = display.rows[0].row
    shown = np.asarray(display.axes_[0].images[0].get_array())
    assert shown == pytest.approx(X[row].reshape(2, 2, 3) / 255, rel=1e-12)


def test_an_image_shape_that_does_not_fit_is_refused(iris_model, iris, ax):
    with pytest.raises(InputError, match=r"is \(3, 3\), which is 9 pixels, but X has 4 columns"):
        SurprisingRowsDisplay.from_estimator(iris_model, *iris, image_shape=(3, 3), ax=ax)
    with pytest.raises(InputError, match="9 pixels, but there are 4 weights"):
        ClassWeightsDisplay.from_estimator(iris_model, image_shape=(3, 3), ax=ax)


def test_weight_images_are_the_coefficients_on_one_scale_symmetric_about_zero(digits_model, ax):
    display = ClassWeightsDisplay.from_estimator(digits_model, image_shape=(8, 8), ax=ax)

    limit = np.abs(digits_model.coef_).max()
    for number, panel in enumerate(display.axes_):
        image = panel.images[0]
        assert np.array_equal(image.get_array(), digits_model.coef_[number].reshape(8, 8))
        assert image.get_clim() == (-limit, limit)
        assert panel.get_title() == str(number)


def test_ranked_weights_are_scaled_and_sorted_by_size(iris_model, iris, ax):
    scale = iris[0].std(axis=0)
    names = ["sepal length", "sepal width", "petal length", "petal width"]

    display = ClassWeightsDisplay.from_estimator(
        iris_model, feature_names=names, feature_scale=scale, ax=ax
    )

    effect = iris_model.coef_[1] * scale
    ranked = np.argsort(-np.abs(effect))
    panel = display.axes_[1]
    assert [t.get_text() for t in panel.get_yticklabels()] == [names[i] for i in ranked]
    assert [bar.get_width() for bar in panel.patches] == pytest.approx(effect[ranked])
    assert display.axes_[0].get_xlim() == display.axes_[2].get_xlim()
    assert display.axes_[0].get_xlim()[0] == -display.axes_[0].get_xlim()[1]


def test_two_classes_have_one_row_of_weights_that_names_both(iris, ax):
    X, y = iris[0][:100], np.array(["setosa", "versicolor"])[iris[1][:100]]

    display = ClassWeightsDisplay.from_estimator(LogisticRegression().fit(X, y), ax=ax)

    assert [panel.get_title(loc="left") for panel in display.axes_] == [
        "versicolor, against setosa"
    ]


def test_a_wide_interval_does_not_hide_the_bars(ax):
    weights = np.array([[0.2, 0.1, 0.01], [-0.2, -0.1, -0.01]])
    errors = np.array([[0.01, 0.01, 5.0], [0.01, 0.02, 0.01]])

    display = ClassWeightsDisplay(weights, ["a", "b"], errors=errors).plot(ax=ax)

    # 0.01 + 1.96 * 5 would leave the longest bar 2 % of the axis; 2.5 times 0.2 leaves it 40 %.
    assert display.clipped_
    assert display.axes_[0].get_xlim() == pytest.approx((-0.525, 0.525))
    errors[0, 2] = 0.01
    assert not ClassWeightsDisplay(weights, ["a", "b"], errors=errors).plot(ax=ax).clipped_


def test_of_many_classes_those_with_the_largest_weights_are_drawn(ax):
    weights = np.ones((40, 9)) * np.arange(40)[:, np.newaxis]

    display = ClassWeightsDisplay(weights, range(40), image_shape=(3, 3)).plot(ax=ax)

    assert display.shown_.tolist() == list(range(20, 40))
    assert display.axes_[0].get_title() == "20"


def test_the_trace_shows_the_gap_the_certified_point_and_the_tolerance(iris_model, ax):
    display = TraceDisplay.from_estimator(iris_model, ax=ax)

    line, certified, tolerance = display.ax_.lines
    # The first gap is infinite and left out.
    assert line.get_xydata().tolist() == [[2, 1e-1], [3, 1e-4], [4, 5.5e-7]]
    assert certified.get_xydata().tolist() == [[4, 5.5e-7]]
    assert set(tolerance.get_ydata()) == {1e-6}
    assert ax.get_yscale() == "log"
    assert ax.get_ylabel() == "relative gap"
    assert {"10⁻³", "10⁻⁵"} <= set(drawn(ax.figure))


def test_without_a_penalty_the_trace_shows_the_gradient_and_calls_nothing_certified(ax):
    trace = [TracePoint(k, k, 1.0, np.nan, 10.0**-k, k == 3) for k in (1, 2, 3)]

    display = TraceDisplay(trace, tolerance=1e-6).plot(ax=ax)

    (line,) = display.ax_.lines
    # 10.0**-k and the list are the same floats.
    assert line.get_ydata().tolist() == [10.0**-1, 10.0**-2, 10.0**-3]
    assert not display.shows_gap_
    text = " ".join([*drawn(ax.figure), ax.get_ylabel()])
    assert "gradient" in text
    assert "gap" not in text
    assert "certified" not in text


def test_a_model_without_a_trace_or_weights_is_refused(iris, ax):
    with pytest.raises(InputError, match="no `trace_`"):
        TraceDisplay.from_estimator(LogisticRegression(max_iter=500).fit(*iris), ax=ax)
    with pytest.raises(InputError, match="no `coef_`"):
        ClassWeightsDisplay.from_estimator(LogisticRegression(), ax=ax)


def test_cross_entropy_bars_have_the_length_of_the_values(iris_model, iris, ax):
    CrossEntropyDisplay.from_estimator(iris_model, *iris, name="training rows", ax=ax)

    value = log_loss(iris[1], iris_model.predict_proba(iris[0]))
    # Classes of equal frequency: both baselines are log 3.
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(
        [value, math.log(3), math.log(3)], rel=1e-12
    )
    assert ax.texts[0].get_text() == f"{value:#.3g} nats = {value / math.log(2):#.3g} bits"


def test_an_infinite_cross_entropy_is_written_and_a_floor_is_marked(iris_model, iris, ax):
    soft = np.full((150, 3), 1 / 3)
    evaluations = {
        "a": evaluate(iris_model, iris[0], soft, class_frequencies=[0.5, 0.5, 0]),
    }

    CrossEntropyDisplay(evaluations).plot(ax=ax)

    assert [text.get_text() for text in ax.texts][1] == "infinite"
    assert [bar.get_width() for bar in ax.patches][1] == 0
    assert ax.lines[0].get_xdata() == pytest.approx([math.log(3)] * 2)


@pytest.mark.parametrize("draw", ["confusion", "pairs", "weights", "bars", "tiles"])
@pytest.mark.filterwarnings("ignore:Glyph .* missing")
def test_strange_names_are_drawn_as_they_are_never_as_mathematics(draw, iris):
    figure = Figure(figsize=(8, 8))
    ax = figure.add_subplot()
    X, y = iris[0], np.array(STRANGE, dtype=object)[iris[1]]
    model = LogisticRegression(max_iter=500).fit(X, y)
    if draw in ("confusion", "pairs"):
        table = Confusion(np.arange(9.0).reshape(3, 3), np.array(STRANGE, dtype=object))
        ConfusionDisplay(table).plot(ax=ax, kind="matrix" if draw == "confusion" else "pairs")
    elif draw == "weights":
        ClassWeightsDisplay.from_estimator(model, feature_names=[*STRANGE, "z"], ax=ax)
    else:
        shape = (2, 2) if draw == "tiles" else None
        SurprisingRowsDisplay.from_estimator(model, X, y, image_shape=shape, ax=ax)

    shown = "".join(drawn(figure))

    # matplotlib holds the dollars escaped and draws them plain.
    assert r"\$x_1\$" in shown
    assert "\u202e" not in shown
    assert all(text.get_parse_math() is False or _is_plain(text) for text in figure.findobj(_texts))


def _texts(item):
    return hasattr(item, "get_parse_math")


def _is_plain(text):
    return text._preprocess_math(text.get_text())[1] is False


def test_labels_are_cleaned_shortened_in_the_middle_and_escaped():
    assert clean("a\tb\n\n c\x07\ud800") == "a b c��"
    assert shortened("0123456789", 10) == "0123456789"
    assert shortened("0123456789abc", 10) == "012345…abc"
    assert len(shortened("x" * 500, 24)) == 24
    assert data_label("\\$5$") == "\\\\$5\\$"


def test_without_axes_a_pyplot_figure_is_made_and_with_axes_none(iris_model, iris):
    plt.close("all")
    TraceDisplay.from_estimator(iris_model, ax=Figure().add_subplot())
    assert plt.get_fignums() == []

    display = TraceDisplay.from_estimator(iris_model)

    assert plt.get_fignums() == [display.figure_.number]
    plt.close("all")


def test_matplotlib_is_loaded_by_the_first_picture_only():
    script = "import sys, crossent.report; sys.exit('matplotlib' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
