"""What PathDisplay draws: the numbers of the folds, at their C, with the choice marked."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer

from crossent import SoftmaxRegressionCV
from crossent.errors import InputError
from crossent.report import PathDisplay

CS = [0.01, 1.0, 100.0]
SCORES = np.array([[-1.0, -0.5, -0.8], [-1.4, -0.3, -0.6]])


def lines(display):
    return {line.get_label(): line for line in display.ax_.lines}


def test_the_mean_of_the_folds_is_drawn_as_cross_entropy(ax):
    display = PathDisplay(CS, SCORES, C=1.0, best_index=1).plot(ax=ax)

    mean = lines(display)["mean"]
    assert mean.get_xdata().tolist() == CS
    assert mean.get_ydata() == pytest.approx([1.2, 0.4, 0.7])
    assert "cross-entropy" in ax.get_ylabel()
    assert ax.get_xscale() == "log"
    assert display.figure_ is ax.figure


def test_every_fold_is_a_line(ax):
    display = PathDisplay(CS, SCORES, C=1.0, best_index=1).plot(ax=ax)

    folds = [line.get_ydata().tolist() for line in display.ax_.lines[:2]]
    assert folds == [[1.0, 0.5, 0.8], [1.4, 0.3, 0.6]]


def test_the_band_is_one_standard_error_wide(ax):
    PathDisplay(CS, SCORES, C=1.0, best_index=1).plot(ax=ax)

    corners = ax.collections[0].get_paths()[0].vertices
    at_first = corners[corners[:, 0] == 0.01, 1]
    # Scores 1.0 and 1.4: deviation 0.2·√2, error 0.2.
    assert (at_first.min(), at_first.max()) == pytest.approx((1.0, 1.4))


@pytest.mark.parametrize(("name", "sign"), [(None, 1.0), ("accuracy", -1.0)])
def test_the_limit_of_the_rule_lies_on_the_worse_side_of_the_best_mean(ax, name, sign):
    display = PathDisplay(CS, SCORES, C=1.0, best_index=1, score_name=name).plot(ax=ax)

    best = 0.4 if name is None else -0.4
    expected = best + sign * 0.1  # 0.5 and 0.3: error 0.1
    assert lines(display)["best ± one error"].get_ydata()[0] == pytest.approx(expected)


def test_the_chosen_C_is_marked_not_the_best(ax):
    display = PathDisplay(CS, SCORES, C=0.01, best_index=1).plot(ax=ax)

    mark = lines(display)["chosen: C = 0.01"]
    assert mark.get_xdata()[0] == 0.01
    assert mark.get_ydata()[0] == pytest.approx(1.2)


def test_other_scores_are_drawn_as_they_are(ax):
    display = PathDisplay(CS, SCORES, C=1.0, best_index=1, score_name="$x$ score").plot(ax=ax)

    assert lines(display)["mean"].get_ydata() == pytest.approx([-1.2, -0.4, -0.7])
    FigureCanvasAgg(ax.figure).draw()  # mathtext from a name would raise here or vanish
    assert "x" in ax.get_ylabel()


def test_no_penalty_stands_at_the_right_end(ax):
    Cs = [0.1, 1.0, np.inf]

    display = PathDisplay(Cs, SCORES, C=np.inf, best_index=2).plot(ax=ax)

    assert lines(display)["mean"].get_xdata().tolist() == [0.1, 1.0, 10.0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["10⁻¹", "1", "∞"]
    assert lines(display)["chosen: C = inf"].get_xdata()[0] == 10.0
    FigureCanvasAgg(ax.figure).draw()


def test_no_penalty_alone_can_be_drawn(ax):
    PathDisplay([np.inf], SCORES[:, :1], C=np.inf, best_index=0).plot(ax=ax)

    assert [t.get_text() for t in ax.get_xticklabels()] == ["∞"]


def test_one_fold_has_no_band(ax):
    display = PathDisplay(CS, SCORES[:1], C=1.0, best_index=1).plot(ax=ax)

    assert not ax.collections
    assert "best ± one error" not in lines(display)


def test_an_estimator_draws_its_own_scores(ax, iris):
    model = SoftmaxRegressionCV(Cs=CS, rule="1se").fit(*iris)

    display = PathDisplay.from_estimator(model, ax=ax)

    assert lines(display)["mean"].get_ydata() == pytest.approx(-model.mean_scores_)
    chosen = lines(display)[f"chosen: C = {model.C_:.4g}"]
    assert chosen.get_xdata()[0] == model.C_
    limit = -model.mean_scores_[model.best_index_] + model.standard_errors_[model.best_index_]
    assert lines(display)["best ± one error"].get_ydata()[0] == pytest.approx(limit)


def test_scorers_give_the_axis_their_name(iris):
    def share_right(truth, found):
        return float(np.mean(truth == found))

    for scoring, name in (("accuracy", "accuracy"), (make_scorer(share_right), "share_right")):
        model = SoftmaxRegressionCV(Cs=CS, scoring=scoring).fit(*iris)
        display = PathDisplay.from_estimator(model, ax=Figure().add_subplot())
        assert display.ax_.get_ylabel() == name


def test_an_estimator_without_folds_is_refused(iris):
    with pytest.raises(InputError, match="has no `scores_`"):
        PathDisplay.from_estimator(LogisticRegression(max_iter=500).fit(*iris))
    with pytest.raises(InputError, match="has no `scores_`"):
        PathDisplay.from_estimator(SoftmaxRegressionCV())


def test_without_axes_a_new_figure_is_made():
    display = PathDisplay(CS, SCORES, C=1.0, best_index=1).plot()

    assert display.figure_ is display.ax_.figure
    plt.close(display.figure_)
