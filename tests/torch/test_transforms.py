"""``torch.func`` and forward-mode: every transform against that of the definition."""

import pytest
import torch
from torch import func
from torch.autograd import forward_ad

from crossent.errors import InputError
from crossent.torch import linear_cross_entropy, softmax_cross_entropy

# PyTorch's compiler itself uses what PyTorch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")

CASES = {
    "labels": ("labels", {}),
    "rows": ("labels", {"reduction": "none"}),
    "targets": ("targets", {"label_smoothing": 0.1, "reduction": "sum"}),
    "options": ("top-k", {"z_loss": 0.1, "logit_softcap": 2.0, "temperature": 1.5}),
    "outputs": ("labels", {"compute": ("entropy", "log_partition", "row_loss"), "top_k": 2}),
}


def total_of(result):
    if isinstance(result, torch.Tensor):
        return result.square().sum()
    floats = [x for x in result if x is not None and x.is_floating_point()]
    return sum(x.nan_to_num().square().sum() for x in floats)


def scalar(given, **options):
    """A number made of all outputs, as a function of the layer."""

    def function(X, W, b):
        return total_of(
            linear_cross_entropy(X, W, given.target, linear_bias=b, **given.options, **options)
        )

    return function


def along(layer):
    """A direction for each tensor, without a generator, which no graph may make."""
    return tuple(
        (1.7 * torch.arange(x.numel(), dtype=x.dtype) + 1.0).sin().reshape(x.shape) for x in layer
    )


def of_first(f, layer):
    return lambda X: f(X, *layer[1:])


EVERY = (0, 1, 2)
TRANSFORMS = {
    "grad": lambda f, layer: func.grad_and_value(f, EVERY)(*layer),
    "vjp": lambda f, layer: func.vjp(f, *layer)[1](torch.tensor(-2.0, dtype=torch.float64)),
    "jvp": lambda f, layer: func.jvp(f, layer, along(layer)),
    "jvp of grad": lambda f, layer: func.jvp(func.grad(f, EVERY), layer, along(layer)),
    "grad of jvp": lambda f, layer: func.grad(
        lambda X: func.jvp(f, layer, along(layer))[1] + X.sum()
    )(layer[0]),
    "grad of grad": lambda f, layer: func.grad(
        lambda *x: sum(
            (g * v).sum() for g, v in zip(func.grad(f, EVERY)(*x), along(x), strict=True)
        ),
        EVERY,
    )(*layer),
    "hessian": lambda f, layer: func.hessian(of_first(f, layer))(layer[0]),
    "jacrev twice": lambda f, layer: func.jacrev(func.jacrev(of_first(f, layer)))(layer[0]),
    "vmap": lambda f, layer: func.vmap(of_first(f, layer))(torch.stack([layer[0], -layer[0]])),
    "vmap of grad": lambda f, layer: func.vmap(func.grad(of_first(f, layer)))(
        torch.stack([layer[0], -layer[0]])
    ),
    "grad of vmap": lambda f, layer: func.grad(
        lambda W: func.vmap(lambda X: f(X, W, layer[2]))(torch.stack([layer[0], -layer[0]])).sum()
    )(layer[1]),
}


def assert_same(found, expected):
    pairs = zip(
        torch.utils._pytree.tree_leaves(found),
        torch.utils._pytree.tree_leaves(expected),
        strict=True,
    )
    for one, other in pairs:
        assert other.any()
        # Sums of a few dozen terms in another order.
        scale = other.abs().amax().item()
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13 * max(scale, 1.0))


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES)
def test_a_transform_is_that_of_the_definition(problem, kind, options, transform):
    given = problem(kind, n=5, d=2, q=6, k=2)
    layer = tuple(x.detach() for x in given.layer)

    found = transform(scalar(given, **options), layer)

    assert_same(found, transform(scalar(given, path="reference", **options), layer))


@pytest.mark.parametrize("name", ["grad", "jvp of grad", "grad of grad", "hessian", "vmap"])
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_transform_in_a_graph_is_the_same(problem, name, backend):
    """PyTorch 2.13 itself gives zeros for a second derivative of a function with its own rules."""
    given = problem("labels", n=4, d=2, q=6)
    layer = tuple(x.detach() for x in given.layer)
    transform = TRANSFORMS[name]

    torch.compiler.reset()
    step = torch.compile(lambda *x: transform(scalar(given), x), fullgraph=True, backend=backend)

    assert_same(step(*layer), transform(scalar(given), layer))


def test_given_logits_and_forward_mode_without_transforms(problem):
    given = problem("labels")
    z = given.logits().detach()
    v = along([z])[0]

    def tangent(**options):
        with forward_ad.dual_level():
            loss = softmax_cross_entropy(forward_ad.make_dual(z, v), given.target, **options)
            return forward_ad.unpack_dual(loss).tangent

    z.requires_grad_()
    loss = softmax_cross_entropy(z, given.target, z_loss=0.1)
    (gradient,) = torch.autograd.grad(loss, z)

    torch.testing.assert_close(tangent(z_loss=0.1), (gradient * v).sum(), rtol=1e-12, atol=0.0)


def test_examples_may_have_labels_and_weights_of_their_own(problem):
    given = problem("labels", ignored=False)
    X, W, b = (x.detach() for x in given.layer)
    y = torch.stack([given.target, given.target.flip(0)])
    s = torch.rand(2, 29, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def loss(y, s):
        found = linear_cross_entropy(
            X, W, y, linear_bias=b, sample_weight=s, classes=torch.arange(53).flip(0), top_k=1
        )
        return found.loss, found.top_classes

    found = func.vmap(loss)(y, s)

    for number in range(2):
        for one, other in zip(found, loss(y[number], s[number]), strict=True):
            torch.testing.assert_close(one[number], other, rtol=1e-14, atol=0.0)


def test_gradients_of_weights_go_through_the_definition_or_say_that_they_must(problem):
    given = problem("labels", weights=True)
    X, W, _ = (x.detach() for x in given.layer)

    def loss(s, **options):
        return linear_cross_entropy(X, W, given.target, sample_weight=s, **options)

    s = given.options["sample_weight"]
    expected = torch.autograd.grad(loss(s.requires_grad_()), s)[0]
    s = s.detach()
    v = along([s])[0]

    assert_same(func.grad(loss)(s), expected)
    with pytest.raises(NotImplementedError, match="path='reference'"):
        func.jvp(loss, (s,), (v,))
    by_definition = func.jvp(lambda s: loss(s, path="reference"), (s,), (v,))[1]
    torch.testing.assert_close(by_definition, (expected * v).sum(), rtol=1e-11, atol=0.0)


def test_a_third_derivative_is_refused(problem):
    given = problem("labels", n=3)
    f = of_first(scalar(given), given.layer)

    def third(f):
        return func.grad(lambda x: func.grad(lambda x: func.grad(f)(x).square().sum())(x).sum())

    with pytest.raises(NotImplementedError, match="path='reference'"):
        third(f)(given.input.detach())


def test_a_filter_and_ignored_rows_are_served_and_bad_labels_named(problem):
    given = problem("labels")
    layer = tuple(x.detach() for x in given.layer)

    def filtered(X, W, b):
        found = linear_cross_entropy(X, W, given.target, linear_bias=b, filter=0.3)
        return found.loss, found.filter_bound

    gradients, bound = func.grad(filtered, EVERY, has_aux=True)(*layer)
    expected = linear_cross_entropy(
        given.input, given.linear_weight, given.target, linear_bias=given.linear_bias, filter=0.3
    )
    torch.testing.assert_close(bound, expected.filter_bound, rtol=0.0, atol=0.0)
    for one, other in zip(gradients, torch.autograd.grad(expected.loss, given.layer), strict=True):
        assert torch.equal(one, other)
    given.target[4] = 53
    with pytest.raises(InputError, match="row 4 is 53"):
        func.grad(scalar(given))(*layer)
