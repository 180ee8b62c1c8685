"""Calibration before and after, suspicious labels, the learning curve, and sure coefficients."""

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from crossent import SoftmaxRegression
from crossent.calibration import Calibrated
from crossent.errors import InputError
from crossent.inspection import (
    Predictions,
    class_reliability,
    confident_joint,
    learning_curve,
    out_of_fold_predictions,
    predict_rows,
    reliability,
    summary,
)
from crossent.report import (
    ClassReliabilityDisplay,
    ClassWeightsDisplay,
    LearningCurveDisplay,
    ReliabilityDisplay,
    ReportDetails,
    ReportExtras,
    render_report,
)


def words(text):
    """Text without tags, all white space the same."""
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


@pytest.fixture(scope="module")
def split(digits):
    X, y = digits
    X = X[:, X.std(axis=0) > 0.05]
    return (X[:600], y[:600]), (X[600:1400], y[600:1400])


@pytest.fixture(scope="module")
def bayes(split):
    return Calibrated(GaussianNB(var_smoothing=1e-3), given="log_probabilities").fit(*split[0])


@pytest.fixture(scope="module")
def calibrated_page(split, bayes):
    return render_report(bayes, train=split[0], test=split[1])


def test_a_calibrated_model_is_shown_before_and_after(split, bayes, calibrated_page):
    text = words(calibrated_page)
    plain = predict_rows(bayes.estimator_, *split[1])

    assert "Calibrated GaussianNB" in text
    assert "logits are divided by the temperature" in text
    assert "the model was too sure of itself" in text
    assert f"{bayes.calibrator_.temperature.temperature:.3g}" in text
    before = plain.surprisal.mean()
    after = predict_rows(bayes, *split[1]).surprisal.mean()
    assert f"cross-entropy {before:#.4g} nats {after:#.4g} nats" in text
    assert "before calibration" in calibrated_page  # a line of the diagram


def test_an_uncalibrated_model_is_told_what_a_temperature_would_save(split):
    page = words(
        render_report(GaussianNB(var_smoothing=1e-3).fit(*split[0]), train=split[0], test=split[1])
    )

    assert "Dividing all logits by the temperature" in page
    assert "crossent fit --calibrate temperature" in page
    fine = words(
        render_report(
            SoftmaxRegression(C=0.1).fit(*split[0]),
            train=split[0],
            test=split[1],
        )
    )
    assert ("would gain nothing worth having" in fine) != ("Dividing all logits by the" in fine)


def test_each_class_has_its_line_and_the_worst_their_panels(split, bayes, calibrated_page):
    details = calibrated_page[calibrated_page.index("<summary>Each class") :]
    table = details[details.index("<table") : details.index("</table>")]

    assert table.count("<tr>") == 11
    rows = predict_rows(bayes, *split[1])
    curve = class_reliability(rows, 3, n_bins=10, binning="equal-width")
    error = f"{100 * curve.expected_calibration_error:.1f}"
    assert re.search(rf"<bdi>3</bdi>.*?{error}", table)


def test_the_reliability_display_draws_both_curves(split, bayes, ax):
    before = reliability(predict_rows(bayes.estimator_, *split[1]), n_bins=5)
    after = reliability(predict_rows(bayes, *split[1]), n_bins=5)

    display = ReliabilityDisplay(after, before).plot(ax=ax)

    lines = [np.asarray(line.get_xydata()) for line in display.ax_.lines]
    for curve in (before, after):
        wanted = np.column_stack([curve.confidence, curve.accuracy])
        assert any(line.shape == wanted.shape and np.allclose(line, wanted) for line in lines)


def test_a_panel_of_a_class_shows_its_curve(split, bayes, ax):
    rows = predict_rows(bayes, *split[1])
    curves = [class_reliability(rows, label) for label in range(4)]

    display = ClassReliabilityDisplay(curves).plot(ax=ax)

    assert [panel.get_title() for panel in display.axes_] == ["0", "1", "2", "3"]
    drawn = [np.asarray(line.get_xydata()) for line in display.axes_[2].lines]
    wanted = np.column_stack([curves[2].confidence, curves[2].accuracy])
    assert any(line.shape == wanted.shape and np.allclose(line, wanted) for line in drawn)


def test_a_learning_curve_holds_nested_fits_and_is_drawn(split, ax):
    model = LogisticRegression(C=0.1, max_iter=300)

    curve = learning_curve(model, *split, shares=(0.1, 0.5, 1))

    assert curve.n_rows[-1] == 600
    last = LogisticRegression(C=0.1, max_iter=300).fit(*split[0])
    rows = predict_rows(last, *split[1])
    assert curve.test[-1].cross_entropy == pytest.approx(rows.surprisal.mean(), rel=1e-9)
    assert curve.train[-1].accuracy == pytest.approx(last.score(*split[0]), rel=1e-12)
    assert [one.n_rows for one in curve.train] == list(curve.n_rows)
    losses = [one.cross_entropy for one in curve.test]
    assert losses == sorted(losses, reverse=True)
    doublings = np.log2(curve.n_rows[2] / curve.n_rows[1])
    assert curve.last_gain == pytest.approx((losses[1] - losses[2]) / doublings, rel=1e-9)
    # Losses of one row under two similar models are close to each other.
    assert 0 < curve.last_gain_standard_error < curve.test[-1].cross_entropy_standard_error
    display = LearningCurveDisplay(curve).plot(ax=ax)
    assert display.ax_.lines[0].get_ydata().tolist() == losses
    assert display.ax_.lines[0].get_xdata().tolist() == list(curve.n_rows)


def test_bad_shares_are_refused(split):
    for shares in ((1.0,), (0.0, 1.0), (0.5, 2.0)):
        with pytest.raises(InputError, match="`shares` is"):
            learning_curve(GaussianNB(), *split, shares=shares)
    with pytest.raises(InputError, match="come to the same"):
        learning_curve(GaussianNB(), *split, shares=(0.9999, 1.0))


@pytest.fixture(scope="module")
def relabelled(digits):
    """Digits of which rows 5 to 14 have wrong labels."""
    X, y = digits
    y = y[:500].copy()
    y[5:15] = (y[5:15] + 3) % 10
    model = SoftmaxRegression(C=1.0).fit(X[:500], y)
    return X[:500], y, model, out_of_fold_predictions(model, X[:500], y)


def test_suspicious_labels_are_listed_with_thumbnails(relabelled):
    X, y, model, rows = relabelled

    page = render_report(
        model,
        train=(X, y),
        details=ReportDetails(image_shape=(8, 8)),
        extras=ReportExtras(out_of_fold=rows),
    )

    part = page[page.index("<h2>Suspicious labels") :]
    part = part[: part.index("</section>")]
    joint = confident_joint(rows)
    assert np.isin(joint.suspects[:5], np.arange(5, 15)).all()
    listed = min(20, joint.suspects.size)
    assert part.count("<image") == listed
    assert f"For {joint.suspects.size} of 500 rows" in part
    first = re.search(r"<tbody><tr><td[^>]*>(\d+)</td>", part)
    assert int(first[1]) == joint.suspects[0]
    assert f"row {joint.suspects[0]}: {y[joint.suspects[0]]}, not" in part


def test_suspicious_texts_are_shown_as_text():
    rng = np.random.default_rng(0)
    nouns = {"animal": ["cat", "dog", "cow"], "fruit": ["pear", "plum", "fig"]}
    labels = np.array(["animal", "fruit"] * 60)
    texts = [" ".join(rng.choice(nouns[name], 4)) for name in labels]
    texts[7] = "cat cat <b>dog</b> cow"  # labelled fruit
    model = make_pipeline(TfidfVectorizer(), SoftmaxRegression())
    rows = out_of_fold_predictions(model, texts, labels)
    model.fit(texts, labels)

    page = render_report(model, train=(texts, labels), extras=ReportExtras(out_of_fold=rows))

    part = page[page.index("<h2>Suspicious labels") :]
    assert "cat cat &lt;b&gt;dog&lt;/b&gt; cow" in part[: part.index("</section>")]


def test_coefficients_come_with_intervals_and_the_names_shown(ax):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 3))
    y = (X @ rng.normal(size=(3, 3)) + rng.gumbel(size=(300, 3))).argmax(axis=1)
    model = SoftmaxRegression(C=np.inf, tol=1e-10).fit(X, y)
    found = summary(model, X, y)

    page = render_report(
        model,
        train=(X, y),
        details=ReportDetails(feature_names=["a<", "b", "c"], class_names=["x", "y", "z"]),
        extras=ReportExtras(summary=found),
    )

    part = page[page.index("<h2>How sure the coefficients are") :]
    part = part[: part.index("</section>")]
    assert "a&lt;" in part
    assert "a<" not in re.sub(r"</?[a-z0-9]+[^>]*>", "", part)
    for row in found.rows():
        assert f"{row.estimate:.4g}" in part
        assert f"{row.low:.4g} to {row.high:.4g}" in part
    assert "The thin lines are 95 % intervals." in page
    display = ClassWeightsDisplay(model.coef_, ["x", "y", "z"], errors=found.standard_errors[:, 1:])
    panel = display.plot(ax=ax).axes_[0]
    (segments,) = [c.get_segments() for c in panel.collections if hasattr(c, "get_segments")]
    ranked = np.argsort(-np.abs(model.coef_[0]))
    ends = np.array([segment[:, 0] for segment in segments])
    half = 1.96 * found.standard_errors[0, 1:][ranked]
    assert ends == pytest.approx(
        np.column_stack([model.coef_[0][ranked] - half, model.coef_[0][ranked] + half])
    )


def test_all_of_it_stays_readable_and_small_with_150_classes():
    rng = np.random.default_rng(2)
    y = np.arange(1500) % 150
    X = np.eye(150)[y] + 0.4 * rng.normal(size=(1500, 150))
    names = [f"class number {k} with a long name" for k in range(150)]
    y = np.array(names)[y]
    model = Calibrated(SoftmaxRegression(C=0.3), given="logits", cv=3).fit(X[:1200], y[:1200])
    extras = ReportExtras(
        out_of_fold_predictions(model.estimator, X[:1200], y[:1200], cv=3),
        learning_curve(
            SoftmaxRegression(C=0.3), (X[:1200], y[:1200]), (X[1200:], y[1200:]), shares=(0.3, 1)
        ),
    )

    page = render_report(
        model, train=(X[:1200], y[:1200]), test=(X[1200:], y[1200:]), extras=extras
    )

    assert len(page) < 1_500_000
    assert page.count("<svg") <= 9


def test_predictions_of_other_classes_are_refused(relabelled):
    X, y, model, rows = relabelled
    other = replace(rows, classes=np.arange(1, 11))

    assert isinstance(other, Predictions)
    with pytest.raises(InputError, match="other classes than the model's"):
        render_report(model, train=(X, y), extras=ReportExtras(out_of_fold=other))
