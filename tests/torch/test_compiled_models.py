"""torch.compile around what users write: modules, autocast, frozen parts, wrong arguments."""

import shutil

import pytest
import torch
import torch.distributed as dist
from torch.utils.checkpoint import checkpoint

from crossent.errors import InputError
from crossent.torch import (
    PATHS,
    LinearCrossEntropy,
    linear_cross_entropy,
    softmax_cross_entropy,
    vocabulary_parallel_linear_cross_entropy,
)

pytestmark = [
    # PyTorch's compiler itself uses what PyTorch has deprecated,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
    # and hides this warning of its own where warnings are no errors.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
]


def compiled(function, backend="aot_eager", **options):
    torch.compiler.reset()
    return torch.compile(function, fullgraph=True, backend=backend, **options)


def assert_same(found, expected, inputs, rtol=1e-13):
    torch.testing.assert_close(found, expected, rtol=rtol, atol=0.0)
    pairs = zip(
        torch.autograd.grad(found, inputs), torch.autograd.grad(expected, inputs), strict=True
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)
        assert other.any()


class Tied(torch.nn.Module):
    """A model whose embedding is its last layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.embedding = torch.nn.Embedding(13, 4, dtype=torch.float64)
        weight = self.embedding.weight
        self.head = LinearCrossEntropy(4, 13, bias=True, linear_weight=weight, shift=1, z_loss=0.1)
        self.head.double()

    def forward(self, tokens):
        return self.head(self.embedding(tokens).tanh(), tokens)


@pytest.mark.parametrize(
    "backend",
    [
        "aot_eager",
        pytest.param(
            "inductor",
            marks=pytest.mark.skipif(
                not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler"
            ),
        ),
    ],
)
def test_a_module_with_tied_weights_trains_the_same(backend):
    model, tokens = Tied(), torch.randint(13, (3, 7), generator=torch.Generator().manual_seed(5))

    found = compiled(model, backend)(tokens)

    assert_same(found, model(tokens), list(model.parameters()))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_autocast_inside_a_graph_takes_the_layers_type(problem, backend):
    given = problem("labels", dtype=torch.float32)

    def step(X, W, y):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return linear_cross_entropy(X, W, y)

    found = compiled(step, backend)(*given.layer[:2], given.target)
    expected = step(*given.layer[:2], given.target)

    assert torch.equal(found, expected)
    ours, theirs = (torch.autograd.grad(x, given.layer[:2]) for x in (found, expected))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_marked_number_of_rows_takes_one_graph(problem):
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph

    step = compiled(lambda X, W, y: linear_cross_entropy(X, W, y), backend)
    for n in (20, 31):
        given = problem("labels", n=n)
        for x in (given.input, given.target):
            torch._dynamo.mark_dynamic(x, 0)
        found = step(given.input, given.linear_weight, given.target)
        expected = linear_cross_entropy(given.input, given.linear_weight, given.target)
        assert_same(found, expected, given.layer[:2])

    assert len(graphs) == 1


def test_rows_that_a_graph_selects_itself_may_be_any_number(problem):
    given = problem("labels")

    def step(X, W, y):
        used = y != -100
        return linear_cross_entropy(X[used], W, y[used])

    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        found = compiled(step)(*given.layer[:2], given.target)

    assert_same(found, step(*given.layer[:2], given.target), given.layer[:2])


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_part_of_the_layer_alone_gets_its_gradient(problem, which):
    given = problem("labels")
    layer = [x.detach().requires_grad_(i == which) for i, x in enumerate(given.layer)]

    def step(X, W, b):
        return linear_cross_entropy(X, W, given.target, linear_bias=b, label_smoothing=0.1)

    assert_same(compiled(step)(*layer), step(*layer), [layer[which]])


def test_under_no_grad_and_inference_mode_there_is_the_loss_alone(problem):
    given = problem("labels")
    step = compiled(lambda X, W, y: linear_cross_entropy(X, W, y))
    expected = linear_cross_entropy(*given.layer[:2], given.target)

    with torch.no_grad():
        found = step(*given.layer[:2], given.target)
    with torch.inference_mode():
        again = step(*given.layer[:2], given.target)

    assert not found.requires_grad
    torch.testing.assert_close(found, expected.detach(), rtol=1e-14, atol=0.0)
    torch.testing.assert_close(again, expected.detach(), rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("path", ["cpu-recompute", "reference"])
def test_class_weights_and_targets_have_gradients_and_paths_are_taken(problem, path):
    given = problem("targets", weights=True)
    c, y = given.options["weight"].requires_grad_(), given.target.requires_grad_()
    W, b = given.layer[1:]

    def weighted(X, c, y):
        return linear_cross_entropy(X, W, y, linear_bias=b, weight=c)

    tensors = given.input, c, y
    assert_same(compiled(weighted)(*tensors), weighted(*tensors), tensors)

    def named(X):
        return linear_cross_entropy(X, W, y.detach(), linear_bias=b, path=path)

    assert_same(compiled(named)(given.input), named(given.input), [given.input])


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("path", [path.name for path in PATHS if path.load is not None])
def test_every_path_serves_a_graph(problem, path, reduction):
    given = problem("labels", n=9, d=4, q=40, dtype=torch.float32)
    options = {"path": path, "compute": ("log_partition", "accuracy"), "top_k": 2}
    options |= {"filter": 0.2} if path.endswith("filtered") else {}
    if reduction == "none" and "filter" in options:
        pytest.skip("the bound of a filter needs one number from above")

    def step(X, W, b):
        return linear_cross_entropy(
            X, W, given.target, linear_bias=b, reduction=reduction, **options
        )

    try:
        expected = step(*given.layer)
    except InputError as refusal:
        pytest.skip(str(refusal))
    found = compiled(step)(*given.layer)

    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6, equal_nan=True)
    ours, theirs = (
        torch.autograd.grad(x.loss.sum() + x.log_partition.nansum(), given.layer)
        for x in (found, expected)
    )
    for one, other in zip(ours, theirs, strict=True):
        # Rounding of float32: a held logit and one that is made again differ by it.
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda X, W: (X[:0], W),
        lambda X, W: (X[:1].expand(29, -1), W),
        lambda X, W: (X.repeat(1, 2)[:, ::2], W.T.contiguous().T),
    ],
    ids=["no rows", "expanded", "strided"],
)
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_any_layout_will_do(problem, change, backend):
    given = problem("labels", ignored=False)

    def step(X, W):
        X, W = change(X, W)
        return linear_cross_entropy(X, W, given.target[: len(X)], reduction="sum")

    layer = given.layer[:2]
    found, expected = compiled(step, backend)(*layer), step(*layer)

    assert torch.equal(found, expected)
    for one, other in zip(
        torch.autograd.grad(found, layer), torch.autograd.grad(expected, layer), strict=True
    ):
        assert torch.equal(one, other)


@torch._functorch.config.patch(donated_buffer=False)  # PyTorch's own condition for retaining
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_retained_graph_gives_the_same_again_and_a_freed_one_is_refused(problem, backend):
    given = problem("labels")
    X, W, b = given.layer

    def step(X, W, b):
        return linear_cross_entropy(X, W, given.target, linear_bias=b)

    loss = compiled(step, backend)(X, W, b)
    first = torch.autograd.grad(loss, given.layer, retain_graph=True)
    kept = [x.clone() for x in first]
    for x in first:
        x.zero_()  # in place: nothing that the graph holds may change
    second = torch.autograd.grad(loss, given.layer)

    assert all(torch.equal(one, other) for one, other in zip(kept, second, strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_what_was_written_to_in_between_is_noticed(problem, backend):
    given = problem("labels")
    s = torch.ones(29, dtype=torch.float64)

    def step(X, W, s):
        return linear_cross_entropy(X, W, given.target, sample_weight=s, reduction="none")

    loss = compiled(step, backend)(*given.layer[:2], s)
    s.zero_()

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.sum().backward()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_graph_may_compute_it_again_for_the_backward_pass(problem, backend):
    given = problem("labels")

    def step(X, W, b):
        def loss(X, W, b):
            return linear_cross_entropy(2.0 * X, W, given.target, linear_bias=b)

        return checkpoint(loss, X, W, b, use_reentrant=False)

    assert_same(compiled(step, backend)(*given.layer), step(*given.layer), given.layer)


def test_a_module_is_exported():
    head = LinearCrossEntropy(3, 5, dtype=torch.float64)
    X, y = torch.ones(4, 3, dtype=torch.float64), torch.tensor([0, 4, 1, -100])

    exported = torch.export.export(head, (X, y)).module()

    torch.testing.assert_close(exported(X, y), head(X, y), rtol=1e-14, atol=0.0)


def test_tensors_without_values_have_the_shapes_of_the_others(problem):
    given = problem("labels", dtype=torch.bfloat16)
    empty = [x.detach().to("meta").requires_grad_() for x in given.layer]
    options = {"compute": ("entropy",), "top_k": 2, "reduction": "none"}

    found = linear_cross_entropy(*empty[:2], given.target.to("meta"), **options)
    expected = linear_cross_entropy(*given.layer[:2], given.target, **options)

    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            assert one.requires_grad == other.requires_grad


WRONG = {
    "reduction": ({"reduction": "avg"}, "`reduction` is 'avg'"),
    "shape": ({"linear_bias": torch.zeros(3)}, r"`linear_bias` has .*; it must be"),
    "smoothing": ({"label_smoothing": 1.5}, "`label_smoothing` is 1.5; it must be"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_named_in_a_graph(problem, options, message):
    given = problem("labels", dtype=torch.float32)

    def step(X, W, y):
        return linear_cross_entropy(X, W, y, **options)

    tensors = (*given.layer[:2], given.target)
    # PyTorch wraps every error of what it traces where a graph must be whole, and quotes it.
    with pytest.raises(torch._dynamo.exc.Unsupported, match=message):
        compiled(step)(*tensors)
    torch.compiler.reset()
    with pytest.raises(InputError, match=message):
        torch.compile(step, backend="aot_eager")(*tensors)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"path": "nonsense"}, "the paths are"), ({"max_workspace_bytes": 3}, "max_workspace_bytes")],
    ids=["path", "workspace"],
)
def test_what_a_plan_finds_wrong_is_said_when_the_graph_runs(problem, options, message):
    given = problem("labels")

    def step(X, W, y):
        return linear_cross_entropy(X, W, y, **options)

    with pytest.raises(InputError, match=message):
        compiled(step)(*given.layer[:2], given.target)


def test_given_logits_have_every_output_in_a_graph(problem):
    given = problem("labels")
    z = given.logits().detach().requires_grad_()

    def step(z):
        found = softmax_cross_entropy(
            z, given.target, compute=("entropy", "accuracy"), z_loss=0.1, logit_softcap=4.0
        )
        return found.loss + found.entropy.nansum() + found.accuracy

    assert_same(compiled(step)(z), step(z), [z])


def test_classes_divided_among_processes_stay_outside_graphs_and_say_so(problem):
    given = problem("labels")

    def step(X, W, y):
        return 2.0 * vocabulary_parallel_linear_cross_entropy(X, W, y, num_classes=53)

    tensors = (*given.layer[:2], given.target)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        torch.compiler.reset()
        found = torch.compile(step, backend="aot_eager")(*tensors)
        assert_same(found, step(*tensors), given.layer[:2])
        with pytest.raises(torch._dynamo.exc.Unsupported, match="messages to other processes"):
            compiled(step)(*tensors)
    finally:
        dist.destroy_process_group()
