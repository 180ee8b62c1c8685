import json

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from crossent import SoftmaxRegression, SoftmaxRegressionCV
from crossent.calibration import Calibrated
from crossent.errors import InputError
from crossent.export import onnx_model, save_onnx
from crossent.features import TableEncoder
from crossent.features.column_kinds import prepared

# A dot product of d terms of size z errs by less than d·eps·z, and log softmax adds about as much.
# Largest logits here are below 100, d below 100; what is seen is a tenth of this.
TOLERANCE = {"float32": 1e-3, "float64": 1e-12}


def session(model, dtype="float32"):
    return onnxruntime.InferenceSession(onnx_model(model, dtype=dtype).SerializeToString())


def run(model, X, dtype):
    """Log-probabilities, probabilities and labels that onnxruntime computes."""
    return session(model, dtype).run(
        ["log_probabilities", "probabilities", "label"], {"X": X.astype(dtype)}
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer], ids=["three", "two"])
def test_the_graph_gives_the_models_log_probabilities_and_classes(load, dtype):
    X, y = load(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = SoftmaxRegression().fit(X, y)

    log_p, p, label = run(model, X, dtype)

    assert log_p.dtype == p.dtype == np.dtype(dtype)
    np.testing.assert_allclose(log_p, model.predict_log_proba(X), atol=TOLERANCE[dtype])
    np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-6 if dtype == "float32" else 1e-14)
    np.testing.assert_array_equal(label, model.predict(X))
    assert label.dtype == np.int64


def test_names_of_classes_are_given_as_text():
    iris = load_iris()
    names = iris.target_names[iris.target]
    model = SoftmaxRegression().fit(iris.data, names)

    label = run(model, iris.data, "float64")[2]

    assert label.tolist() == model.predict(iris.data).tolist()


def test_a_class_that_no_row_had_has_probability_zero():
    X, y = load_iris(return_X_y=True)
    model = SoftmaxRegression(classes=[0, 1, 2, 3]).fit(X, y)

    log_p, p, _ = run(model, X, "float64")

    assert (p[:, 3] == 0).all()
    assert np.isneginf(log_p[:, 3]).all()
    np.testing.assert_allclose(p[:, :3], model.predict_proba(X)[:, :3], atol=1e-12)


def test_far_logits_keep_their_log_probabilities():
    X, y = load_iris(return_X_y=True)
    model = SoftmaxRegression(C=1e4).fit(X, y)

    log_p = run(model, 100 * X[:2], "float64")[0]

    with pytest.warns(UserWarning, match="far outside"):
        expected = model.predict_log_proba(100 * X[:2])
    assert expected.min() < -1900  # a probability of zero has lost them
    np.testing.assert_allclose(log_p, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "model", [LogisticRegression(max_iter=500), SoftmaxRegressionCV(Cs=[0.1, 1], cv=3)]
)
def test_other_linear_classifiers_are_exported_too(model):
    X, y = load_iris(return_X_y=True)
    model.fit(X, y)

    np.testing.assert_allclose(run(model, X, "float64")[1], model.predict_proba(X), atol=1e-12)


@pytest.mark.parametrize("method", ["temperature", "bias-corrected", "vector", "matrix"])
@pytest.mark.parametrize(
    ("estimator", "given"),
    [
        (SoftmaxRegression(), "logits"),
        (SoftmaxRegressionCV(Cs=[0.1, 1], cv=3), "log_probabilities"),
        (LogisticRegression(max_iter=500), "probabilities"),
    ],
    ids=["softmax", "path", "logistic"],
)
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer], ids=["three", "two"])
def test_a_calibrated_linear_model_is_exported_as_what_it_says(load, estimator, given, method):
    X, y = load(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = Calibrated(estimator, given=given, method=method, cv=3, C=1.0).fit(X, y)
    assert abs(model.calibrator_.slope - 1).min() > 0.01  # so that the map cannot be left out

    log_p, p, label = run(model, X, "float64")

    np.testing.assert_allclose(p, model.predict_proba(X), atol=1e-12)
    assert label.tolist() == model.predict(X).tolist()
    assert np.isfinite(log_p).all()


def test_what_all_classes_share_does_not_reach_the_calibration():
    X, y = load_iris(return_X_y=True)
    fitted = LogisticRegression(max_iter=500).fit(X, y)
    fitted.coef_ += np.array([1.0, -2.0, 0.5, 3.0])  # changes no probability
    model = Calibrated(fitted, given="logits", method="vector", cv="prefit", C=10.0).fit(X, y)
    assert np.ptp(model.calibrator_.slope) > 0.1

    p = run(model, X, "float64")[1]

    np.testing.assert_allclose(p, model.predict_proba(X), atol=1e-12)


def test_a_class_without_rows_stays_impossible_after_calibration():
    X, y = load_iris(return_X_y=True)
    fitted = SoftmaxRegression(classes=[0, 1, 2, 3]).fit(X[::2], y[::2])
    model = Calibrated(fitted, given="logits", cv="prefit").fit(X[1::2], y[1::2])

    log_p, _, _ = run(model, X, "float64")

    assert np.isneginf(log_p[:, 3]).all()
    np.testing.assert_allclose(log_p[:, :3], model.predict_log_proba(X)[:, :3], atol=1e-11)


def test_models_that_are_not_a_softmax_of_their_coefficients_are_refused():
    X, y = load_iris(return_X_y=True)
    one_against_rest = SGDClassifier(loss="log_loss", random_state=0).fit(X, y)
    floored = Calibrated(SoftmaxRegression(), given="logits", floor=1e-3).fit(X, y)

    with pytest.raises(InputError, match=r"SGDClassifier are not softmax\(W x \+ b\)"):
        onnx_model(one_against_rest)
    with pytest.raises(InputError, match=r"floor=0\.001 is not linear"):
        onnx_model(floored)


TABLE = pl.DataFrame(
    {
        "age": [31.0, None, 22.0, 40.0, 28.0, 35.0] * 10,
        "tall": [True, False, None, True, True, False] * 10,
        "team": ["red", "blue", "red", None, "green", "red"] * 9 + ["rare"] * 6,
        "day": [f"2024-0{1 + i % 9}-1{i % 7}" for i in range(60)],
        "name": ["x"] * 60,
    }
)
NEW = pl.DataFrame(
    {
        "age": [None, 41.0, 31.0],
        "tall": [None, True, False],
        "team": ["never seen", "rare", None],
        "day": ["2024-09-14", "2024-05-13", ""],
        "name": ["y", "z", None],
    }
)


def feed(session, model, frame, dtype):
    """Each column as the graph's input of its name asks for."""
    columns = prepared(frame, [c for c in model[0].columns_ if c.kind != "drop"])
    return {
        wanted.name: (
            columns[wanted.name].fill_null("").to_numpy().astype(object)
            if wanted.type == "tensor(string)"
            else columns[wanted.name].to_numpy().astype(dtype)
        ).reshape(-1, 1)
        for wanted in session.get_inputs()
    }


@pytest.mark.parametrize("min_frequency", [1, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_encoder_of_a_table_is_part_of_the_graph(dtype, min_frequency):
    encoder = TableEncoder(kinds={"day": "date"}, min_frequency=min_frequency)
    y = np.array(["win", "loss", "draw"] * 20)
    model = make_pipeline(encoder, SoftmaxRegression(C=10)).fit(TABLE, y)
    graph = session(model, dtype)

    for frame in (TABLE, NEW):
        log_p, _, label = graph.run(None, feed(graph, model, frame, dtype))
        expected = model.predict_log_proba(frame)
        np.testing.assert_allclose(log_p, expected, atol=TOLERANCE[dtype])
        if dtype == "float64":
            assert label.tolist() == model.predict(frame).tolist()
    assert {i.name for i in graph.get_inputs()} == {
        "age", "tall", "team", "day: year", "day: month", "day: weekday",
    }  # fmt: skip


def test_the_file_holds_the_classes_and_passes_the_checker(tmp_path):
    X, y = load_iris(return_X_y=True)
    save_onnx(SoftmaxRegression().fit(X, y), tmp_path / "m.onnx", dtype="float64")

    found = onnx.load(tmp_path / "m.onnx")

    onnx.checker.check_model(found, full_check=True)
    properties = {entry.key: entry.value for entry in found.metadata_props}
    assert json.loads(properties["classes"]) == [0, 1, 2]
    assert [entry.version for entry in found.opset_import] == [17, 3]


def test_what_cannot_be_exported_is_refused():
    X, y = load_iris(return_X_y=True)
    scaled = make_pipeline(StandardScaler(), SoftmaxRegression()).fit(X, y)
    text = make_pipeline(TableEncoder(kinds={"t": "text"}), SoftmaxRegression()).fit(
        {"t": ["one word", "two words", "one word", "two words"]}, [0, 1, 0, 1]
    )

    with pytest.raises(InputError, match="StandardScaler cannot be exported"):
        onnx_model(scaled)
    with pytest.raises(InputError, match="column 't' is text"):
        onnx_model(text)
    with pytest.raises(InputError, match="without `coef_`"):
        onnx_model(StandardScaler())
    with pytest.raises(InputError, match="float16"):
        onnx_model(SoftmaxRegression().fit(X, y), dtype="float16")
