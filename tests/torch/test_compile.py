"""Inside torch.compile the call is one operator, and says the same to the last bit."""

import pytest
import torch

from crossent.errors import InputError
from crossent.torch import linear_cross_entropy, softmax_cross_entropy
from crossent.torch.operators import _operator

# PyTorch's compiler itself uses what PyTorch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")

CASES = {
    "labels": ("labels", {}),
    "rows": ("labels", {"reduction": "none"}),
    "targets": ("targets", {"label_smoothing": 0.1, "logit_softcap": 3.0}),
    "top-k": ("top-k", {"z_loss": 0.1, "temperature": 0.5}),
    "outputs": (
        "labels",
        {"compute": ("row_loss", "entropy", "log_partition", "accuracy"), "top_k": 2},
    ),
    "workspace": ("labels", {"max_workspace_bytes": 40000}),
    "reference": ("labels", {"path": "reference"}),
}


def total_of(result):
    if isinstance(result, torch.Tensor):
        return result.sum()
    terms = [x.nan_to_num().sum() for x in result if x is not None and x.requires_grad]
    return torch.stack(terms).sum()


@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES)
def test_a_graph_without_breaks_gives_the_same(problem, kind, options):
    given = problem(kind, weights=True)

    def step(X, W, b):
        result = linear_cross_entropy(
            2.0 * X, W, given.target, linear_bias=b, **given.options, **options
        )
        return 3.0 * total_of(result)

    torch.compiler.reset()
    expected = step(*given.layer)
    found = torch.compile(step, fullgraph=True, backend="aot_eager")(*given.layer)

    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0.0)
    pairs = zip(
        torch.autograd.grad(found, given.layer),
        torch.autograd.grad(expected, given.layer),
        strict=True,
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-14)


def test_shifted_tokens_a_subset_of_classes_and_given_logits_compile(problem):
    given = problem("labels", n=24, ignored=False)
    classes = torch.arange(53).flip(0)

    def step(X, W, y):
        X, y = X.reshape(2, 12, 6), y.reshape(2, 12)
        loss = linear_cross_entropy(X, W, y, shift=1, classes=classes)
        return loss + softmax_cross_entropy(X @ W.T, y)

    torch.compiler.reset()
    tensors = given.input, given.linear_weight, given.target
    found = torch.compile(step, fullgraph=True, backend="aot_eager")(*tensors)

    torch.testing.assert_close(found, step(*tensors), rtol=1e-14, atol=0.0)


def test_the_number_of_rows_may_change_without_another_graph(problem):
    count = 0

    def backend(graph, _):
        nonlocal count
        count += 1
        return graph

    def loss(X, W, y):
        return linear_cross_entropy(X, W, y)

    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend=backend)
    for n in (20, 31, 47):
        given = problem("labels", n=n)
        tensors = given.input.detach(), given.linear_weight.detach(), given.target
        torch.testing.assert_close(compiled(*tensors), loss(*tensors), rtol=1e-14, atol=0.0)

    assert count == 1


def test_labels_out_of_range_are_noticed_when_the_graph_runs(problem):
    given = problem("labels")
    given.target[4] = 53

    def loss(X, W, y):
        return linear_cross_entropy(X, W, y)

    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    with pytest.raises(InputError, match="row 4 is 53"):
        compiled(given.input, given.linear_weight, given.target)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_the_operator_keeps_what_an_operator_must(problem, reduction):
    """PyTorch's own check: schema, fake form, autograd, dynamic shapes."""
    given = problem("labels", ignored=False)  # what is ignored is NaN
    tensors = (*given.layer, given.target[:, None], None, None, None, None, None)
    options = (
        reduction,
        -100,
        0.1,
        0.0,
        None,
        1.0,
        "entropy",
        2,
        None,
        None,
        None,
        [True, True, True],
    )

    torch.library.opcheck(_operator, (*tensors, *options))
