import json

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file
from scipy.special import log_softmax
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline

from crossent import SoftmaxRegression
from crossent.calibration import Calibrated
from crossent.errors import InputError
from crossent.export import model_card, save_weights
from crossent.features import TableEncoder
from crossent.inspection import evaluate


@pytest.mark.parametrize("load", [load_iris, load_breast_cancer], ids=["three", "two"])
def test_the_formula_with_the_tensors_gives_the_probabilities(tmp_path, load):
    X, y = load(return_X_y=True)
    model = SoftmaxRegression().fit(X, y)

    record = json.loads(save_weights(model, tmp_path / "m.safetensors").read_text())
    tensors = load_file(tmp_path / "m.safetensors")

    found = log_softmax(X @ tensors["coef"].T + tensors["intercept"], axis=1)
    np.testing.assert_allclose(found, model.predict_log_proba(X), atol=1e-10)
    assert record["classes"] == sorted(set(y.tolist()))
    assert record["shape"] == list(tensors["coef"].shape)
    assert record["certificate"]["relative_gap"] < 1e-6


def test_weights_may_be_float32(tmp_path):
    model = SoftmaxRegression().fit(*load_iris(return_X_y=True))
    save_weights(model, tmp_path / "m.safetensors", dtype="float32")

    assert load_file(tmp_path / "m.safetensors")["coef"].dtype == np.float32


def test_the_weights_of_a_pipeline_name_the_encoded_columns(tmp_path):
    frame = pl.DataFrame({"c": ["a", "b"] * 10, "x": range(20)})
    model = make_pipeline(TableEncoder(), SoftmaxRegression()).fit(frame, [0, 1] * 10)

    record = json.loads(save_weights(model, tmp_path / "m.safetensors").read_text())

    assert record["feature_names"] == ["x", "c = a", "c = b"]
    assert [column["kind"] for column in record["columns"]] == ["category", "number"]


def test_calibration_is_in_the_weights_and_named(tmp_path):
    X, y = load_iris(return_X_y=True)
    model = Calibrated(SoftmaxRegression(C=0.05), given="logits", method="vector", C=1.0).fit(X, y)

    record = json.loads(save_weights(model, tmp_path / "m.safetensors").read_text())
    tensors = load_file(tmp_path / "m.safetensors")
    card = model_card(model)

    found = log_softmax(X @ tensors["coef"].T + tensors["intercept"], axis=1)
    np.testing.assert_allclose(found, model.predict_log_proba(X), atol=1e-10)
    assert record["calibrated"] == "vector"
    temperature = model.calibrator_.temperature.temperature
    assert f"method vector, temperature {temperature:.4g}" in card
    assert "A SoftmaxRegression with 3 classes and 4 features, C = 0.05" in card


def test_a_card_says_what_is_known_and_no_more():
    iris = load_iris()
    model = SoftmaxRegression().fit(iris.data, iris.target_names[iris.target])
    result = evaluate(model, iris.data, iris.target_names[iris.target])

    card = model_card(model, name="irises", evaluations={"150 rows": result}, licence="cc0-1.0")

    assert card.startswith('---\nlibrary_name: crossent\nlicense: "cc0-1.0"\n')
    assert "# irises" in card
    assert "setosa, versicolor, virginica" in card
    assert "C = 1" in card
    assert f"{100 * result.accuracy:.2f} %" in card
    assert f"{result.cross_entropy / np.log(2):.4f}" in card
    assert "It is proven" in card
    assert "None was made" in model_card(model)


def test_a_card_of_a_pipeline_lists_the_columns_and_the_policy():
    frame = pl.DataFrame({"c": ["a", "b"] * 10, "x": range(20), "id": [f"r{i}" for i in range(20)]})
    model = make_pipeline(TableEncoder(min_frequency=3, drop=["id"]), SoftmaxRegression()).fit(
        frame, [0, 1] * 10
    )

    card = model_card(model)

    assert "| c | category | 2 different values | 0 |" in card
    assert "| id | left out | as told | 0 |" in card
    assert "fewer than 3 training rows" in card


def test_names_from_data_cannot_break_a_card():
    names = ["a|b", "<script>", "two\nlines"]
    X = np.eye(3).repeat(4, axis=0)
    model = SoftmaxRegression().fit(X, np.array(names).repeat(4))

    card = model_card(model, name="x\n# y")

    assert "<script>" not in card
    assert "a\\|b" in card
    assert "two lines" in card
    assert "\n# y" not in card


def test_a_model_without_weights_has_a_card_and_no_weights(tmp_path):
    model = DummyClassifier().fit([[0], [1]], ["a", "b"])

    assert "None: how far" in model_card(model)
    with pytest.raises(InputError, match="without `coef_`"):
        save_weights(model, tmp_path / "m.safetensors")
