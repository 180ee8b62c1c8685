"""Every message names what was found, where, and what to do."""

import math

import pytest
import torch

from crossent.errors import InputError
from crossent.torch import LinearCrossEntropy, explain, linear_cross_entropy, softmax_cross_entropy

X, W = torch.ones(4, 3), torch.ones(5, 3)
y = torch.tensor([0, 1, 2, 3])
P = torch.full((4, 5), 0.2)
top = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 4]])
half = torch.full((4, 2), 0.5)


def labels(*values):
    return torch.tensor(values)


BAD = {
    "label too large": ((X, W, labels(0, 1, 5, 3)), {}, r"`target` row 2 is 5; .* 0…4 .*-100"),
    "label negative": ((X, W, labels(0, -1, 2, 3)), {}, r"row 1 is -1"),
    "label too large, top-k": (
        (X, W, top + torch.tensor([0, 1])),
        {"target_probabilities": half},
        r"row 3, entry 1 is 5",
    ),
    "class twice": (
        (X, W, torch.tensor([[0, 1], [1, 2], [3, 3], [0, 1]])),
        {"target_probabilities": half},
        "row 2 holds class 3 more than once",
    ),
    "no class": ((X, W, top[:, :0]), {"target_probabilities": half[:, :0]}, "at least 1"),
    "mixed dtypes": ((X, W.double(), y), {}, r"`input` torch.float32, `linear_weight` .*float64"),
    "integers": ((X.int(), W, y), {}, "must be one of float64, float32"),
    "no target": ((X, W, None), {}, "`target` is None; it must be a torch.Tensor"),
    "no weight": ((X, None, y), {}, "`linear_weight` is None; .*softmax_cross_entropy"),
    "one output as text": ((X, W, y), {"compute": "entropy"}, r"it must be .* \['entropy'\]"),
    "half a class": ((X, W, y), {"top_k": 1.5}, "`top_k` is 1.5; it must be an integer"),
    "half a step": ((X[None], W, y[None]), {"shift": 1.5}, "`shift` is 1.5; .* integer"),
    "text for a number": ((X, W, y), {"z_loss": "a"}, "`z_loss` is 'a'; it must be a number"),
    "no tensor": (([[1.0]], W, y), {}, "`input` is list"),
    "mixed devices": ((X, W.to("meta"), y), {}, "devices are mixed.*meta"),
    "target elsewhere": ((X, W, y.to("meta")), {}, "devices are mixed"),
    "features": ((X, W[:, :2], y), {}, "3 features and `linear_weight` 2"),
    "no classes": ((X, W[:0], y), {}, "must be at least one"),
    "bias": ((X, W, y), {"linear_bias": torch.ones(4)}, r"`linear_bias` has shape \(4,\).*\(5,\)"),
    "class weights": ((X, W, y), {"weight": torch.ones(4)}, r"`weight` has shape"),
    "negative class weight": (
        (X, W, y),
        {"weight": torch.tensor([1.0, 1, -1, 1, 1])},
        r"`weight`\[2\] is -1.0",
    ),
    "row weights": ((X, W, y), {"sample_weight": torch.ones(5)}, "a weight for each row"),
    "nan row weight": (
        (X, W, y),
        {"sample_weight": torch.tensor([1.0, math.nan, 1, 1])},
        r"`sample_weight`\[1\] is nan",
    ),
    "target shape": ((X, W, y[:3]), {}, r"`target` has shape \(3,\); it must be \(4,\)"),
    "probabilities shape": ((X, W, P[:, :4]), {}, r"must be \(4, 5\)"),
    "negative probability": ((X, W, P - 0.5), {}, r"`target`\[0, 0\] is -0.3"),
    "ignore_index with probabilities": ((X, W, P), {"ignore_index": 0}, "goes with class labels"),
    "boolean target": ((X, W, y > 1), {}, "must be integers"),
    "top-k without rows": ((X, W, y), {"target_probabilities": half}, "'k'"),
    "top-k shapes": ((X, W, top), {"target_probabilities": half[:, :1]}, "as the target"),
    "reduction": ((X, W, y), {"reduction": "average"}, "'mean', 'sum' or 'none'"),
    "smoothing": ((X, W, y), {"label_smoothing": 1.5}, "`label_smoothing` is 1.5"),
    "z-loss": ((X, W, y), {"z_loss": -1.0}, "`z_loss` is -1.0"),
    "temperature": ((X, W, y), {"temperature": 0.0}, "above 0"),
    "cap": ((X, W, y), {"logit_softcap": math.inf}, "finite number above 0"),
    "compute": ((X, W, y), {"compute": ["perplexity"]}, "'perplexity'; it may hold row_loss"),
    "top_k": ((X, W, y), {"top_k": 6}, "there are 5 classes"),
    "chosen shape": ((X, W, y), {"chosen": y}, r"must be \(4, 'm'\)"),
    "chosen": ((X, W, y), {"chosen": top + 1}, "`chosen` row 3, entry 1 is 5"),
    "shift": ((X, W, y), {"shift": 4}, "less than the length"),
    "shift of a target": ((X, W, y[:3]), {"shift": 1}, r"`target` has shape \(3,\)"),
    "classes range": ((X, W, y), {"classes": labels(0, 9)}, "`classes` holds 9"),
    "classes twice": ((X, W, y), {"classes": labels(0, 1, 2, 3, 3)}, "more than once"),
    "label not among classes": ((X, W, y), {"classes": labels(0, 1, 3)}, r"\[2\] is 2, which is"),
    "classes empty": ((X, W, y), {"classes": labels()}, "must be integers|m > 0"),
    "sparse": ((X.to_sparse(), W, y), {}, "`input` has layout torch.sparse_coo; make it dense"),
    "path": ((X, W, y), {"path": "fast"}, "the paths are .*cpu-blocks"),
    "filter": ((X, W, y), {"filter": 2.0}, "`filter` is 2.0"),
    "workspace": ((X, W, y), {"max_workspace_bytes": 50}, "one row at a time needs"),
    "workspace of a filter": (
        (X, W, y),
        {"filter": 0.1, "max_workspace_bytes": 39},
        "39; one row at a time needs 52",  # no gradient is asked for: nothing is filtered
    ),
    "input dimensions": ((X.sum(), W, y), {}, "`input` is a single number"),
    "weight dimensions": ((X, W[0], y), {}, r"must be \(q, d\)"),
}


@pytest.mark.parametrize(("tensors", "options", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_with_its_place(tensors, options, message):
    with pytest.raises(InputError, match=message):
        linear_cross_entropy(*tensors, **options)


def test_the_least_workspace_that_the_message_names_is_enough():
    Z = torch.randn(3, 1000)
    with pytest.raises(InputError, match="needs") as caught:
        linear_cross_entropy(Z, torch.randn(500, 1000), y[:3], max_workspace_bytes=1)
    least = int(str(caught.value).split("needs ")[1].split(".")[0])

    linear_cross_entropy(Z, torch.randn(500, 1000), y[:3], max_workspace_bytes=least)


def test_logits_are_called_logits():
    with pytest.raises(InputError, match="`logits` is list"):
        softmax_cross_entropy([1.0], y)


def test_a_path_that_refuses_says_why():
    with pytest.raises(InputError, match="gives each row a gradient from above"):
        linear_cross_entropy(X.clone().requires_grad_(), W, y, path="cpu-blocks", reduction="none")


def test_a_shared_weight_must_fit_the_layer():
    with pytest.raises(InputError, match=r"\(num_classes, in_features\)"):
        LinearCrossEntropy(3, 5, linear_weight=torch.nn.Parameter(torch.ones(3, 5)))


def test_dimensions_beyond_the_rows_go_without_a_subset():
    with pytest.raises(InputError, match="two dimensions"):
        linear_cross_entropy(X, torch.ones(5, 2, 3), y, classes=y)


def test_explain_refuses_what_shapes_show():
    with pytest.raises(InputError, match="features"):
        explain(X, W[:, :2], y)
