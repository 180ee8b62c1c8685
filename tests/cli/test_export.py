import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file

import crossent


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_onnx_file_predicts_as_the_model(run, flower_model, dtype):
    X, _ = flower_model
    result = run("export", "flowers.skops", "f.onnx", "--dtype", dtype)

    assert result.exit_code == 0, result.stderr
    assert "written: f.onnx" in result.stderr
    session = onnxruntime.InferenceSession("f.onnx")
    log_p, _, label = session.run(None, {"X": X.astype(dtype)})
    model = crossent.load("flowers.skops")
    # 4 products of size below 10, and log softmax: some 20 roundings of numbers below 50.
    atol = 20 * 50 * np.finfo(dtype).eps
    np.testing.assert_allclose(log_p, model.predict_log_proba(X), atol=atol)
    assert label.tolist() == model.predict(X).tolist()


def test_weights_come_with_their_meaning(run, flower_model):
    run("export", "flowers.skops", "f.safetensors")

    record = json.loads(Path("f.json").read_text("utf-8"))
    assert record["classes"] == ["setosa", "versicolor", "virginica"]
    assert record["feature_names"][0] == "sepal length"
    np.testing.assert_array_equal(
        load_file("f.safetensors")["coef"], crossent.load("flowers.skops").coef_
    )


def test_a_card_may_have_the_scores_of_labelled_rows(run, run_json, flower_model):
    run("export", "flowers.skops", "card.md", "--data", "flowers.csv", "--licence", "cc0-1.0")

    card = Path("card.md").read_text("utf-8")
    accuracy = run_json("evaluate", "flowers.skops", "flowers.csv")["evaluation"]["accuracy"]
    assert f"{100 * accuracy:.2f} %" in card
    assert "150 rows of flowers" in card
    assert '"cc0-1.0"' in card


def test_an_export_does_not_overwrite_the_model(run, flower_model):
    Path("f.onnx").write_bytes(Path("flowers.skops").read_bytes())
    result = run("export", "f.onnx", "f.onnx")

    assert result.exit_code == 1
    assert "is the same file as MODEL" in result.stderr
