"""The file: complete, self-contained, escaped, in order, and written whole or not at all."""

import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from crossent import datasets
from crossent.certificate import Status
from crossent.errors import InputError
from crossent.inspection import top_losses
from crossent.report import ReportDetails, ensure_writable, render_report, write_report

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
EVIL = ["<script>alert(1)</script>", "$x_1$ & \"q\" 'p' $\\frac{", "_日本 </title>" + 300 * "long "]
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags in balance, text, headings, and everything that could reach outside."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.ids, self.headings, self.text = (
            [],
            [],
            [],
            [],
            [],
            "",
        )
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2"):
            self.headings.append("")
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "srcset", "action", "data", "xlink:href"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings[-1] += text
        if not {"style", "svg"} & set(self.open):
            self.text += text


def words(text):
    """Text with all white space the same."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def digits_page(digits, digits_model):
    X, y = digits
    details = ReportDetails.from_dataset(
        datasets.load("digits"), command="crossent fit digits --C 0.1", created=NOON
    )
    text = render_report(
        digits_model, train=(X[:900], y[:900]), test=(X[900:], y[900:]), details=details
    )
    return text, Page(text)


def test_the_sections_come_in_their_order(digits_page):
    assert digits_page[1].headings == [
        "LogisticRegression on digits",
        "How close to the optimum?",
        "Cross-entropy",
        "Accuracy",
        "Confusions of test rows",
        "Do the probabilities mean what they say?",
        "The most surprising rows",
        "What the model looks for",
        "The gap, pass by pass",
        "The model",
        "How to do it again",
        "Words used here",
    ]


def test_the_page_is_well_formed_and_asks_for_nothing_from_outside(digits_page):
    text, page = digits_page

    assert page.open == []
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert len(page.ids) == len(set(page.ids))


def test_the_key_numbers_are_there(digits_page, digits_model, digits):
    page = words(digits_page[1].text)
    X, y = digits[0][900:], digits[1][900:]
    accuracy = digits_model.score(X, y)
    p = digits_model.predict_proba(X)[np.arange(len(y)), y]

    assert f"{100 * accuracy:.1f} % of the predictions for 897 test rows are right" in page
    assert f"{-np.log(p).mean():.4g} nats" in page
    assert f"{-np.log2(p).mean():.3g} bits; with no knowledge 3.32 bits" in page
    assert "≤ 5.5×10⁻⁷" in page  # the certificate of conftest.py
    assert "1.2×10⁻⁷ nats" in page
    assert "certified" in page
    assert f"{-np.log2(p.min()):.1f} bits" in page  # the most surprising row
    assert "crossent fit digits --C 0.1" in page
    assert "2026-01-02 12:00 UTC" in page
    assert "Pixels are divided by 16." in page


def test_every_picture_has_a_label_and_a_sentence_on_how_to_read_it(digits_page):
    text, page = digits_page

    assert page.tags.count("svg") == 7
    assert len(re.findall(r'<svg [^>]*role="img" aria-label="[^"]{20,}"', text)) == 7
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text)
    assert len(captions) == 7
    assert all(caption.startswith("How to read it: ") for caption in captions)


def test_equal_input_gives_equal_bytes_and_leaves_no_pyplot_figure(
    digits_page, digits, digits_model
):
    X, y = digits
    plt.close("all")

    again = render_report(
        digits_model,
        train=(X[:900], y[:900]),
        test=(X[900:], y[900:]),
        details=ReportDetails.from_dataset(
            datasets.load("digits"), command="crossent fit digits --C 0.1", created=NOON
        ),
    )

    assert again == digits_page[0]
    assert plt.get_fignums() == []
    assert len(again) < 300_000


def test_everything_from_data_is_escaped_in_text_attributes_and_pictures(iris, certified):
    X, y = iris[0], np.array(EVIL, dtype=object)[iris[1]]
    model = certified(LogisticRegression(max_iter=500).fit(X, y))
    field = "</pre><script>alert(2)</script>\" onload='x' $a$ \u202e\x00"
    details = ReportDetails(
        title=field,
        data_name=field,
        description=field,
        source=field,
        licence=field,
        preprocessing=field,
        test_rows=field,
        feature_names=[f"{field}{i}" for i in range(4)],
        command=field,
        created=NOON,
    )

    text = render_report(model, train=(X, y), details=details)
    page = Page(text)  # also asserts: no on… attribute, tags in balance

    assert "script" not in page.tags
    assert text.count("<script") == 0
    assert "</pre><script>alert(2)</script>" in page.headings[0]
    assert "\u202e" not in text
    assert "\x00" not in text
    assert "alert(1)" in page.text
    assert "\\frac{" in page.text  # shown as written
    assert "日本" in page.text


def test_the_test_rows_are_compared_with_the_frequencies_of_the_training_rows(iris_model, iris):
    X, y = iris

    text = render_report(iris_model, train=(X[:110], y[:110]), test=(X[100:], y[100:]))

    # All test rows are of the class of 10 of the 110 training rows: log 11.
    assert "2.398 nats" in words(Page(text).text)


def test_display_names_replace_the_classes_everywhere(iris_model, iris):
    names = ["setosa", "versicolor", "virginica"]

    text = render_report(iris_model, train=iris, details=ReportDetails(class_names=names))

    # Axes of the matrix, its table, titles of the weights, list of the classes.
    assert all(text.count(name) >= 5 for name in names)
    with pytest.raises(InputError, match="has 2 names, but the model has 3 classes"):
        render_report(iris_model, train=iris, details=ReportDetails(class_names=names[:2]))


def test_without_test_rows_the_report_says_whose_rows_it_shows(iris_model, iris):
    page = Page(render_report(iris_model, train=iris))
    text = words(page.text)

    assert "Confusions of training rows" in page.headings
    assert "expect less on new ones" in text
    assert "95 % interval 9" not in text
    assert "test row" not in text


def test_a_fit_that_did_not_converge_is_marked_and_says_what_to_do(iris, certified):
    model = certified(LogisticRegression(max_iter=500).fit(*iris), Status.MAX_PASSES)

    text = render_report(model, train=iris)

    assert '<span class="badge warning">' in text
    assert '<span class="badge good">' not in text
    assert "not converged" in text
    assert "Raise <code>max_iter</code>" in text


def test_a_fit_without_penalty_is_never_said_to_have_a_gap(iris, certified):
    model = certified(LogisticRegression(max_iter=500).fit(*iris), Status.STATIONARY, "stationary")

    text = render_report(model, train=iris)
    page = Page(text)

    before_glossary = words(page.text.split("Words used here")[0])
    assert "gap" not in before_glossary.lower()
    assert "The gradient, pass by pass" in page.headings
    assert "3.5×10⁻⁹" in before_glossary


def test_soft_targets_are_named_and_their_floor_is_shown(iris_model, iris):
    y = 0.5 * np.eye(3)[iris[1]] + 0.5 / 3

    text = words(Page(render_report(iris_model, train=(iris[0], y))).text)

    # 2/3, 1/6, 1/6: entropy 0.8676 nats.
    assert "entropy of the targets" in text
    assert "0.8676 nats" in text
    assert "expected to be right" in text
    assert "66.7" in text  # the target's share


def test_any_classifier_can_be_reported_even_one_without_weights_or_certificate(iris):
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(*iris)
    dummy = DummyClassifier(strategy="most_frequent").fit(*iris)

    pages = [Page(render_report(model, train=iris)) for model in (pipeline, dummy)]

    for page in pages:
        assert "no certificate" in page.text
    explained = ["What the model looks for" in page.headings for page in pages]
    assert explained == [True, False]  # a pipeline is taken apart
    # The dummy gives two of the three classes probability 0.
    assert "infinite" in pages[1].text


def test_many_classes_stay_readable_and_small():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(150, 10))
    y = np.arange(1500) % 150
    X = centres[y] + 0.8 * rng.normal(size=(1500, 10))
    names = np.array([f"class of a rather long name {i}" for i in range(150)])
    model = LogisticRegression(C=0.1, tol=0.02)
    model.fit(X, names[y])

    text = render_report(model, train=(X, names[y]))

    assert "with 150 classes a matrix would be too small to read" in text
    assert text.count("→") >= 15
    assert len(text) < 400_000


@pytest.mark.parametrize(("name", "beside"), [("short", True), ("a_name_that_is_long", False)])
def test_long_names_of_classes_get_the_whole_width(iris, name, beside):
    X, y = iris
    model = LogisticRegression(max_iter=500).fit(X, np.array([name, "b", "c"])[y])

    page = render_report(model, train=(X, np.array([name, "b", "c"])[y]))

    confusions = page[page.index("<h2>Confusions") : page.index("<h2>Do the prob")]
    assert ('class="pair"' in confusions) == beside
    assert "most often taken for" in confusions


def test_a_name_for_each_row_stands_in_place_of_its_number(iris_model, iris):
    names = [f"flower {k}" for k in range(150)]
    page = render_report(iris_model, train=iris, details=ReportDetails(train_names=names))

    worst = top_losses(iris_model, *iris, k=1)[0].row
    assert f"<tbody><tr><td><bdi>flower {worst}</bdi></td>" in page
    assert "Rows are counted" not in page
    with pytest.raises(InputError, match="149 names for 150 rows"):
        render_report(iris_model, train=iris, details=ReportDetails(train_names=names[1:]))


def test_weights_of_rows_are_used(iris_model, iris):
    X, y = iris
    weight = np.where(y == 0, 1.0, 0.0)

    text = words(Page(render_report(iris_model, train=(X, y, weight))).text)

    assert "100 % of the predictions for 150 training rows" in text


def test_frames_sparse_rows_and_nested_lists_can_be_reported(digits, iris, iris_model):
    import pandas as pd
    from scipy import sparse

    X, y = digits
    table = sparse.csr_array(X[:300])
    model = LogisticRegression(C=0.1, tol=0.01).fit(table, y[:300])
    frame = pd.DataFrame(iris[0], columns=["one", "two", "three", "four"])
    framed = LogisticRegression(max_iter=500).fit(frame, iris[1])

    assert "<image" in render_report(
        model, train=(table, y[:300]), details=ReportDetails(image_shape=(8, 8))
    )
    assert render_report(framed, train=(frame, iris[1])).count(">three<") >= 4
    listed = render_report(
        iris_model, train=(iris[0].tolist(), iris[1].tolist()), details=ReportDetails(created=NOON)
    )
    assert listed == render_report(iris_model, train=iris, details=ReportDetails(created=NOON))


def test_scale_of_sparse_columns_is_that_of_dense_ones(digits):
    from scipy import sparse

    from crossent.report.facts import _standard_deviations

    # E x² − (E x)² against Σ(x − E x)²: both within some 10 eps of values of order 0.3.
    assert _standard_deviations(sparse.csr_array(digits[0])) == pytest.approx(
        digits[0].std(axis=0), abs=1e-9
    )


def test_the_file_is_written_whole_with_ordinary_permissions(tmp_path, iris_model, iris):
    path = tmp_path / "report.html"
    path.write_text("old")
    before = os.umask(0o022)
    try:
        write_report(path, iris_model, train=iris, details=ReportDetails(created=NOON))
    finally:
        os.umask(before)

    details = ReportDetails(created=NOON)
    assert path.read_text(encoding="utf-8") == render_report(
        iris_model, train=iris, details=details
    )
    assert os.listdir(tmp_path) == ["report.html"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_report_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path, iris_model, iris, monkeypatch
):
    path = tmp_path / "report.html"
    path.write_text("old")

    with pytest.raises(InputError, match="is a folder"):
        write_report(tmp_path, iris_model, train=iris)
    with pytest.raises(InputError, match="has class 9"):
        write_report(path, iris_model, train=iris, test=(iris[0][:2], [0, 9]))
    monkeypatch.setattr(Path, "replace", _no_space)
    with pytest.raises(OSError, match="no space"):
        write_report(path, iris_model, train=iris)

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def _no_space(*_):
    raise OSError(28, "no space")


def test_a_link_to_a_file_stays_a_link(tmp_path, iris_model, iris):
    target, link = tmp_path / "target.html", tmp_path / "link.html"
    target.write_text("old")
    link.symlink_to(target)

    write_report(link, iris_model, train=iris)

    assert link.is_symlink()
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_rows_must_be_given_as_a_tuple(iris_model, iris):
    with pytest.raises(InputError, match="`train` must be"):
        render_report(iris_model, train=iris[0])


def test_a_writable_path_is_accepted_and_left_as_it_was(tmp_path):
    (tmp_path / "old.html").write_text("old")

    ensure_writable(tmp_path / "new.html")
    ensure_writable(str(tmp_path / "old.html"))

    assert os.listdir(tmp_path) == ["old.html"]
    assert (tmp_path / "old.html").read_text() == "old"


def test_paths_that_cannot_be_written_are_refused_with_a_remedy(tmp_path):
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")

    for path, message in [
        (tmp_path, "is a folder. Give a file name"),
        (tmp_path / "absent" / "r.html", "does not exist. Create it first"),
        (tmp_path / "file" / "r.html", "cannot be a file name|does not exist"),
        (tmp_path / "pipe", "is not an ordinary file"),
        (tmp_path / ("x" * 300), "cannot be a file name"),
        ("bad\0name", "cannot be a file name"),
    ]:
        with pytest.raises(InputError, match=message):
            ensure_writable(path)


def test_a_folder_that_refuses_files_is_found_before_the_fit(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    # Permissions mean nothing to root, who may be running this.
    monkeypatch.setattr("crossent.report.writing.tempfile.TemporaryFile", refuse)

    with pytest.raises(InputError, match="Permission denied"):
        ensure_writable(tmp_path / "r.html")


def test_a_write_protected_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    path.write_text("kept")
    monkeypatch.setattr("crossent.report.writing.os.access", lambda *_: False)

    with pytest.raises(InputError, match="write-protected"):
        ensure_writable(path)


def test_details_of_a_data_set_can_be_changed():
    data = datasets.load("digits")

    details = ReportDetails.from_dataset(data, title="T")

    assert details == replace(ReportDetails.from_dataset(data), title="T")
    assert (details.data_name, details.image_shape) == ("digits", (8, 8))
    assert details.licence == data.licence
