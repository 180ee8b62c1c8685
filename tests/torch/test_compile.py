"""Inside torch.compile the call is one operator, and says the same to the last bit."""

import math

import pytest
import torch

from crossent.errors import InputError
from crossent.torch import linear_cross_entropy, softmax_cross_entropy
from crossent.torch.flat import DIFFERENTIABLE, output_names
from crossent.torch.operators import _call_of, _gradient_operator, _operator, _second_operator

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


def sharp():
    """A few classes are likely in a row, so that a filter has something to leave out."""
    generator = torch.Generator().manual_seed(4)
    X = torch.randn(70, 16, generator=generator)
    W = 1.9 * torch.randn(400, 16, generator=generator)
    b = -torch.arange(1.0, 401.0).log()
    y = torch.multinomial((X @ W.T + b).softmax(dim=1), 1, generator=generator)[:, 0]
    y[7] = -100
    return [x.requires_grad_() for x in (X, W, b)], y


FILTERED = [
    {},
    {"label_smoothing": 0.1, "reduction": "sum"},
    {"z_loss": 0.01, "temperature": 0.8, "compute": ("entropy", "row_loss"), "top_k": 2},
    {"logit_softcap": 5.0},
]


def assert_equal_gradients(found, expected, inputs):
    pairs = zip(
        torch.autograd.grad(found, inputs, retain_graph=True),
        torch.autograd.grad(expected, inputs, retain_graph=True),
        strict=True,
    )
    for one, other in pairs:
        assert torch.equal(one, other)


@torch._functorch.config.patch(donated_buffer=False)  # PyTorch's own condition for retaining
@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("options", FILTERED, ids=str)
def test_a_filter_gives_the_bits_and_the_bound_of_the_eager_call(options, dynamic):
    layer, y = sharp()

    def step(X, W, b):
        return linear_cross_entropy(X, W, y, linear_bias=b, filter=0.3, **options)

    torch.compiler.reset()
    compiled = torch.compile(step, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    found, expected = compiled(*layer), step(*layer)

    assert found.filter_bound.dtype == torch.float64
    assert not found.filter_bound.requires_grad
    assert (found.filter_bound[0] > 0) == ("logit_softcap" not in options)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        torch.testing.assert_close(one, other, rtol=0.0, atol=0.0, equal_nan=True)
    for _ in range(2):  # the graph is retained
        assert_equal_gradients(found.loss, expected.loss, layer)
    if "compute" in options:
        ours, theirs = (x.loss + x.entropy.nansum() for x in (found, expected))
        assert_equal_gradients(ours, theirs, layer)


def test_a_filter_is_refused_in_a_graph_where_it_is_refused_outside():
    layer, y = sharp()
    torch.compiler.reset()

    def rows(X, W, b):
        found = linear_cross_entropy(X, W, y, linear_bias=b, filter=0.3, reduction="none")
        return found.loss.sum()

    with pytest.raises(InputError, match="bound of a filter"):
        torch.compile(rows, backend="aot_eager")(*layer)


OPERATOR_CASES = {
    "mean": {},
    "rows": {"reduction": "none", "compute": "entropy,row_loss", "top_k": 2},
    "options": {"label_smoothing": 0.1, "z_loss": 0.1, "logit_softcap": 3.0, "temperature": 0.5},
    "filter": {"filter": 0.1, "compute": "accuracy"},
    "frozen": {"needs": [False, True, False]},
}


def arguments_of(problem, options):
    given = problem("labels", n=7, d=3, q=11, ignored=False)  # what is ignored is NaN
    usual = {
        "reduction": "mean",
        "ignore_index": -100,
        "label_smoothing": 0.0,
        "z_loss": 0.0,
        "logit_softcap": None,
        "temperature": 1.0,
        "compute": "",
        "top_k": 0,
        "filter": None,
        "max_workspace_bytes": None,
        "path": None,
        "needs": [True, True, True],
    }
    layer = [
        x.detach().requires_grad_(need)
        for x, need in zip(given.layer, options.get("needs", [True] * 3), strict=True)
    ]
    chosen = torch.tensor([[3], [0], [1], [1], [2], [10], [5]])
    rest = (given.target[:, None], None, None, None, None, chosen)
    return (*layer, *rest, *{**usual, **options}.values())


@pytest.mark.parametrize("options", OPERATOR_CASES.values(), ids=OPERATOR_CASES)
def test_the_operator_keeps_what_an_operator_must(problem, options):
    """PyTorch's own check: schema, fake form, autograd, dynamic shapes."""
    torch.library.opcheck(_operator, arguments_of(problem, options))


@pytest.mark.parametrize("options", OPERATOR_CASES.values(), ids=OPERATOR_CASES)
def test_so_do_the_operators_of_its_derivatives(problem, options):
    arguments = arguments_of(problem, options)
    call, needs = _call_of(arguments)
    names = output_names(call)
    found = [x.detach() for x in _operator(*arguments)]
    pairs = [(name, x) for name, x in zip(names, found, strict=False) if name in DIFFERENTIABLE]
    above = ",".join(name for name, _ in pairs)
    values = [torch.ones_like(x, requires_grad=True) for _, x in pairs]
    stored = found[len(names) :]
    along = [torch.ones_like(x) for x in arguments[:3]]

    wanted = ",".join(name for name, x in zip(needs._fields, needs, strict=True) if x)
    first = (stored, values, above, wanted, *arguments)
    torch.library.opcheck(_gradient_operator, first)
    plain = [x.detach() for x in values]
    frozen = [x.detach() if isinstance(x, torch.Tensor) else x for x in arguments]
    second = (stored, plain, above, along, "input,weight,bias", *frozen)
    torch.library.opcheck(_second_operator, second)


@pytest.mark.parametrize("options", OPERATOR_CASES.values(), ids=OPERATOR_CASES)
def test_outputs_share_no_memory(problem, options):
    arguments = arguments_of(problem, options)
    given = [x for x in arguments if isinstance(x, torch.Tensor)]
    found = [x for x in _operator(*arguments) if x.numel()]
    memories = [x.untyped_storage().data_ptr() for x in (*given, *found)]

    assert len(set(memories)) == len(memories)
    assert all(x.is_contiguous() for x in found)


@pytest.mark.parametrize("path", [None, "reference"])
def test_ignored_rows_are_nothing_in_a_graph_whatever_they_hold(problem, path):
    given = problem("labels", dtype=torch.float64)
    with torch.no_grad():
        given.input[2] = math.nan

    def step(X, W, b, y):
        options = {"compute": ("accuracy", "entropy", "row_loss"), "top_k": 2, "z_loss": 0.1}
        return linear_cross_entropy(X, W, y, linear_bias=b, path=path, **options)

    torch.compiler.reset()
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    found, expected = compiled(*given.layer, given.target), step(*given.layer, given.target)

    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.requires_grad == other.requires_grad
            torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-14, equal_nan=True)
    ours = torch.autograd.grad(found.loss + found.entropy.nansum(), given.layer)
    theirs = torch.autograd.grad(expected.loss + expected.entropy.nansum(), given.layer)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)
    nobody = compiled(*given.layer, torch.full_like(given.target, -100)).loss
    assert nobody.isnan()
    assert all(not x.any() for x in torch.autograd.grad(nobody, given.layer))
