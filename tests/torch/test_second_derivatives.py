"""Second derivatives around and inside of graphs, and where they come from."""

import math

import pytest
import torch
from torch.autograd import gradgradcheck

from crossent.torch import linear_cross_entropy, softmax_cross_entropy

# PyTorch's compiler itself uses what PyTorch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")

CASES = {
    "labels": ("labels", {}),
    "rows": ("labels", {"reduction": "none"}),
    "targets": ("targets", {"label_smoothing": 0.1, "reduction": "sum"}),
    "options": ("top-k", {"z_loss": 0.1, "logit_softcap": 2.0, "temperature": 1.5}),
    "outputs": ("labels", {"compute": ("entropy", "log_partition", "row_loss"), "top_k": 2}),
    "filter": ("labels", {"filter": 0.0}),
}
HAS_GRADIENTS_IN_GRAPHS = hasattr(torch._dynamo.config, "trace_autograd_ops")
gradients_in_graphs = pytest.mark.skipif(
    not HAS_GRADIENTS_IN_GRAPHS, reason="this PyTorch takes no gradient inside a graph"
)


def scalar(given, **options):
    def function(X, W, b):
        found = linear_cross_entropy(X, W, given.target, linear_bias=b, **given.options, **options)
        if isinstance(found, torch.Tensor):
            return found.square().sum()
        wanted = [x for x in found if x is not None and x.requires_grad]
        return sum(x.nan_to_num().square().sum() for x in wanted)

    return function


def penalised(f):
    """A loss with the squared length of its own gradient added."""

    def function(*layer):
        loss = f(*layer)
        gradients = torch.autograd.grad(loss, layer, create_graph=True)
        return loss + sum(x.square().sum() for x in gradients)

    return function


def reference_of(given, options):
    options = {name: x for name, x in options.items() if name != "filter"}
    return scalar(given, path="reference", **options)


def assert_same_gradients(found, expected, layer):
    pairs = zip(
        torch.autograd.grad(found, layer), torch.autograd.grad(expected, layer), strict=True
    )
    for one, other in pairs:
        assert other.any()
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES)
def test_outside_of_a_graph_of_operators(problem, kind, options):
    given = problem(kind, n=6, d=3, q=7, k=2)
    torch.compiler.reset()
    step = torch.compile(scalar(given, **options), fullgraph=True, backend="eager")

    found = penalised(step)(*given.layer)

    expected = penalised(reference_of(given, options))(*given.layer)
    assert_same_gradients(found, expected, given.layer)


def test_the_operators_have_the_derivatives_of_finite_differences(problem):
    given = problem("labels", n=4, d=2, q=5)
    torch.compiler.reset()
    step = torch.compile(scalar(given, compute=("entropy",)), fullgraph=True, backend="eager")

    assert gradgradcheck(step, given.layer)


@gradients_in_graphs
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES)
def test_inside_of_a_graph(problem, kind, options, backend):
    given = problem(kind, n=6, d=3, q=7, k=2)
    torch.compiler.reset()
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        step = torch.compile(penalised(scalar(given, **options)), fullgraph=True, backend=backend)
        found = step(*given.layer)

    expected = penalised(reference_of(given, options))(*given.layer)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0.0)
    assert_same_gradients(found, expected, given.layer)


@gradients_in_graphs
def test_a_product_with_the_hessian_is_one_graph(problem):
    given = problem("labels", n=6, d=3, q=7)
    v = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def product(f):
        def function(X, W, b):
            (gradient,) = torch.autograd.grad(f(X, W, b), X, create_graph=True)
            return torch.autograd.grad((gradient * v).sum(), X)[0]

        return function

    torch.compiler.reset()
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        step = torch.compile(product(scalar(given)), fullgraph=True, backend="aot_eager")
        found = step(*given.layer)

    expected = product(scalar(given, path="reference"))(*given.layer)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-14)


def test_without_the_setting_that_it_needs_pytorch_names_it(problem):
    given = problem("labels", n=6)
    torch.compiler.reset()
    step = torch.compile(penalised(scalar(given)), fullgraph=True, backend="aot_eager")

    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"torch\.autograd\.grad"):
        step(*given.layer)


@pytest.mark.parametrize("inside", [1.0, 2.0])
@pytest.mark.parametrize("with_loss", [False, True])
def test_around_a_compiled_graph_they_are_refused_and_not_left_out(problem, inside, with_loss):
    """PyTorch compiles first derivatives only; what it must not do is to give zeros."""
    given = problem("labels", n=6)
    X, W, _ = given.layer

    def loss(X, W):
        return linear_cross_entropy(inside * X, W, given.target)

    torch.compiler.reset()
    step = torch.compile(loss, fullgraph=True, backend="aot_eager")
    value = step(X, W)
    gradients = torch.autograd.grad(value, (X, W), create_graph=True)
    total = sum(x.square().sum() for x in gradients)
    total = total + value if with_loss else total

    for wanted in ((X, W), (W,)):
        with pytest.raises(RuntimeError, match="does not currently support double backward"):
            torch.autograd.grad(total, wanted, retain_graph=True)


def test_products_with_the_hessian_by_two_backward_passes(problem):
    """Which derives what is linear in its vectors once more."""
    given = problem("labels", n=5)
    layer = tuple(x.detach() for x in given.layer)
    vectors = tuple(torch.randn_like(x) for x in layer)
    torch.compiler.reset()
    graph = torch.compile(scalar(given), fullgraph=True, backend="eager")
    _, expected = torch.autograd.functional.hvp(scalar(given, path="reference"), layer, vectors)

    for function in (scalar(given), graph):
        _, found = torch.autograd.functional.hvp(function, layer, vectors)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


def test_a_third_derivative_of_the_operators_is_refused(problem):
    given = problem("labels", n=3)
    torch.compiler.reset()
    step = torch.compile(scalar(given), fullgraph=True, backend="eager")
    first = torch.autograd.grad(step(*given.layer), given.layer, create_graph=True)
    second = torch.autograd.grad(first[0].square().sum(), given.layer, create_graph=True)

    with pytest.raises(NotImplementedError, match="path='reference'"):
        torch.autograd.grad(second[0].sum(), given.layer)


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_excluded_classes_have_none(problem, softcap):
    given = problem("labels")
    with torch.no_grad():
        given.linear_bias[[52, 7]] = -math.inf
    given.target[given.target == 52] = 3
    given.target[given.target == 7] = 3
    options = {"logit_softcap": softcap, "compute": ("entropy", "log_partition")}

    found = penalised(scalar(given, **options))(*given.layer)

    found = torch.autograd.grad(found, given.layer)
    expected = penalised(scalar(given, path="reference", **options))(*given.layer)
    expected = torch.autograd.grad(expected, given.layer)
    for one, other in zip(found[:2], expected[:2], strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    assert not found[1][7].any()


@pytest.mark.parametrize("path", ["cpu-recompute", "cuda-library"])
def test_ignored_rows_have_none_whether_left_out_or_silenced(problem, path):
    """The kernels' path silences them, because nobody named `ignore_index`."""
    given = problem("labels", n=9, d=4, q=20, dtype=torch.float32)
    with torch.no_grad():
        given.input[2] = math.nan

    found = penalised(scalar(given, path=path, z_loss=0.1))(*given.layer)

    found = torch.autograd.grad(found, given.layer)
    kept = given.target != -100
    assert not found[0][~kept].any()
    layer = [given.input[kept].double(), *(x.double() for x in given.layer[1:])]
    layer = [x.detach().requires_grad_() for x in layer]

    def loss(X, W, b):
        options = {"z_loss": 0.1, "path": "reference"}
        return linear_cross_entropy(X, W, given.target[kept], linear_bias=b, **options).square()

    expected = torch.autograd.grad(penalised(loss)(*layer), layer)
    for one, other in zip((found[0][kept], *found[1:]), expected, strict=True):
        # float32, and the kernels' products in TF32 where the device has it.
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-5)


def test_a_mean_over_no_rows_has_none(problem):
    given = problem("labels")
    nobody = torch.full_like(given.target, -100)
    loss = linear_cross_entropy(given.input, given.linear_weight, nobody)
    first = torch.autograd.grad(loss, given.layer[:2], create_graph=True)

    second = torch.autograd.grad(sum(x.square().sum() for x in first), given.layer[:2])

    assert loss.isnan()
    assert not any(x.any() for x in (*first, *second))


def test_half_precision_rounds_the_result_and_no_step_before(problem):
    given = problem("labels", dtype=torch.bfloat16)
    z = given.logits().detach().bfloat16().requires_grad_()
    v = torch.randn(z.shape, generator=torch.Generator().manual_seed(6)).bfloat16()

    loss = softmax_cross_entropy(z, given.target, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, z, create_graph=True)
    (product,) = torch.autograd.grad((gradient * v).float().sum(), z)

    p = z.detach().double().softmax(dim=1)
    expected = p * (v - (p * v).sum(dim=1, keepdim=True))
    expected[given.target == -100] = 0.0
    # One rounding to bfloat16 at the end; float32 before.
    torch.testing.assert_close(product.double(), expected, rtol=2.0**-8, atol=1e-6)
