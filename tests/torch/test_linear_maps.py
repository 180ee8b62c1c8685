"""Structured layers: the matrices of crossent.linear_maps, with PyTorch's gradients and states."""

import copy
import io

import numpy as np
import pytest
import torch

from crossent.errors import InputError
from crossent.linear_maps import (
    MAP_NAMES,
    Dense,
    Fastfood,
    LowRank,
    StructuredMap,
    make_map,
)
from crossent.torch import LinearCrossEntropy, StructuredLinear, product

SHAPES = ((7, 5), (5, 12), (8, 8), (37, 20))
every_map = pytest.mark.parametrize("name", MAP_NAMES)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def made(name, shape, **options):
    """A map with fixed draws."""
    return make_map(name, shape, rng=np.random.default_rng(5), **options)


def layer_of(linear_map, **options):
    """A float64 layer with a fixed start."""
    options = {"rng": np.random.default_rng(7), "dtype": torch.float64, **options}
    return StructuredLinear(linear_map, **options)


def close(found, expected, scale=1.0):
    """To 1e-12 of the size of the terms."""
    difference = np.abs(np.asarray(found.detach()) - expected).max()
    return difference <= 1e-12 * scale * max(1.0, np.abs(expected).max())


@every_map
@every_shape
def test_the_layer_multiplies_by_the_matrix_of_the_numpy_map(name, shape):
    linear_map = made(name, shape)
    theta = np.random.default_rng(1).standard_normal(linear_map.n_parameters)
    W = linear_map.to_dense(theta)
    layer = layer_of(linear_map, theta=theta)
    X = np.random.default_rng(2).standard_normal((9, shape[1]))

    assert np.abs(W).max() > 0.1
    assert close(layer.to_dense(), W)
    assert close(layer(torch.tensor(X)), X @ W.T)
    assert layer.to_dense().shape == shape


@every_map
@every_shape
def test_gradients_are_those_of_the_numpy_map(name, shape):
    linear_map = made(name, shape)
    rng = np.random.default_rng(1)
    theta = rng.standard_normal(linear_map.n_parameters)
    X, G = rng.standard_normal((9, shape[1])), rng.standard_normal((9, shape[0]))
    layer = layer_of(linear_map, theta=theta)
    input = torch.tensor(X, requires_grad=True)

    layer(input).backward(torch.tensor(G))

    expected = linear_map.gradient(theta, X, G)
    found = linear_map.pack({n: p.grad.numpy() for n, p in layer.named_parameters()})
    scale = np.abs(expected).max()
    assert scale > 0.1
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-12 * scale)
    assert close(input.grad, linear_map.adjoint(theta, G))


@every_map
def test_autograd_agrees_with_finite_differences(name):
    layer = layer_of(made(name, (5, 6)), bias=True)
    names = [n for n, _ in layer.named_parameters()]
    X = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def call(X, *parameters):
        given = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(layer, given, (X,))

    inputs = [X, *(p.detach() for p in layer.parameters())]
    inputs = [t.clone().requires_grad_() for t in inputs]

    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)


@every_map
def test_parts_and_fixed_arrays_have_their_names_and_the_start_of_numpy(name):
    linear_map = made(name, (37, 20))

    layer = layer_of(linear_map, rms=0.5)

    theta = linear_map.start(np.random.default_rng(7), rms=0.5)
    state = linear_map.state(theta)
    assert set(layer.state_dict()) == set(state)
    for key, tensor in layer.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state[key])
    assert [n for n, _ in layer.named_parameters()] == list(linear_map.parameter_shapes)


@every_map
@pytest.mark.parametrize("shape", [(512, 300), (40, 700)], ids=str)
def test_inputs_of_rms_one_give_outputs_of_the_wanted_rms(name, shape):
    """|W|_F^2 = q rms^2 exactly, so the mean square over white inputs is rms^2 in expectation.

    Its relative standard deviation over n Gaussian rows is at most sqrt(2 / n) (reached by a matrix
    of rank one); n = 20000 gives 1 % of the square and half of that of the rms: 5 % is 10 times it.
    """
    layer = StructuredLinear(made(name, shape), rms=2.0, rng=np.random.default_rng(3))
    generator = torch.Generator().manual_seed(11)

    with torch.no_grad():
        image = layer(torch.randn(20_000, shape[1], generator=generator))

    assert image.square().mean().sqrt().item() == pytest.approx(2.0, rel=0.05)


@every_map
def test_a_start_at_rms_zero_is_zero_and_has_a_gradient(name):
    layer = layer_of(made(name, (6, 10)), rms=0.0)
    X = torch.randn(4, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    image = layer(X)
    image.backward(torch.ones_like(image))

    assert torch.count_nonzero(image) == 0
    assert max(p.grad.abs().max().item() for p in layer.parameters()) > 0.1


def test_without_a_generator_the_start_follows_manual_seed():
    def start(seed):
        torch.manual_seed(seed)
        return StructuredLinear(Dense((3, 4))).W

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))


def fried(shape, learn="SGB"):
    return Fastfood.random(shape, learn=learn, rng=np.random.default_rng(0))


@every_map
def test_everything_the_layer_needs_moves_with_it(name):
    """The device "meta" has no numbers, and refuses tensors of other devices."""
    layer = layer_of(made(name, (37, 20)), bias=True).to("meta")

    image = layer(torch.empty(2, 3, 20, dtype=torch.float64, device="meta"))

    assert image.shape == (2, 3, 37)
    assert image.device.type == "meta"
    assert layer.to_dense().shape == (37, 20)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_map
def test_a_gpu_gives_the_same_products(name):
    layer = layer_of(made(name, (37, 20)))
    X = torch.randn(4, 20, dtype=torch.float64)

    assert close(
        layer.cuda()(X.cuda()).cpu(), X.numpy() @ layer.to_dense().detach().cpu().numpy().T
    )


@every_map
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_other_precisions_keep_to_their_rounding(name, dtype):
    """At most some 40 products of relative error eps add up, so 40 eps of the largest output."""
    linear_map = made(name, (37, 20))
    layer = layer_of(linear_map).to(dtype)
    X = torch.randn(6, 20, generator=torch.Generator().manual_seed(0)).to(dtype)

    found = layer(X)

    assert found.dtype == dtype
    expected = X.double().numpy() @ linear_map.to_dense(layer.to_numpy()[1]).T
    error = np.abs(found.detach().double().numpy() - expected).max()
    assert error <= 40 * torch.finfo(dtype).eps * np.abs(expected).max()


def test_integers_stay_integers_under_any_cast():
    layer = layer_of(fried((37, 20), "G")).half()

    kinds = {name: buffer.dtype for name, buffer in layer.named_buffers()}

    assert kinds["permutation"] == torch.int32
    assert kinds["signs"] == torch.int8
    assert kinds["scales"] == torch.float16


def test_a_transform_is_exact_after_a_detour_through_half_precision():
    """Its constants are ±1 and powers of two, which every dtype holds."""
    linear_map = fried((32, 32), "S")
    layer = layer_of(linear_map)
    theta = linear_map.pack({"S": np.ones(32)})
    layer.half().double()
    with torch.no_grad():
        layer.S.fill_(1.0)
        layer.gains.copy_(torch.tensor(linear_map.gains))

    assert close(layer.to_dense(), linear_map.to_dense(theta))


@every_map
def test_padding_has_no_gradient(name):
    linear_map = made(name, (37, 20))
    layer = layer_of(linear_map)

    layer(torch.randn(4, 20, dtype=torch.float64)).square().sum().backward()

    for part, mask in linear_map.parameter_masks.items():
        assert torch.count_nonzero(getattr(layer, part).grad[torch.tensor(~mask)]) == 0


def test_the_bias_is_added_once_and_learnt():
    layer = layer_of(Dense((3, 2)), bias=True)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))

    image = layer(torch.zeros(2, 5, 2, dtype=torch.float64))
    image.sum().backward()

    assert torch.equal(image, layer.bias.expand(2, 5, 3))
    assert torch.equal(layer.bias.grad, torch.full((3,), 10.0, dtype=torch.float64))


def test_a_layer_before_the_loss_trains_from_zero_logits():
    torch.manual_seed(0)
    wide = StructuredLinear(fried((64, 20)), rms=1.0)
    head = LinearCrossEntropy(64, 3)
    X = torch.randn(90, 20)
    y = (X @ torch.randn(20, 3)).argmax(dim=1)
    optimiser = torch.optim.Adam([*wide.parameters(), *head.parameters()], lr=0.02)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = head(wide(X).relu(), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

    assert losses[-1] < 0.1 < 0.9 < losses[0]


# PyTorch's compiler itself uses what PyTorch has deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@every_map
def test_a_layer_is_traced_as_one_graph(name):
    layer = layer_of(made(name, (37, 20)), bias=True)
    X = torch.randn(4, 20, dtype=torch.float64)

    torch.compiler.reset()  # it gives up on a function after some classes of arguments
    traced = torch.compile(layer, backend="eager", fullgraph=True)

    assert torch.equal(traced(X), layer(X))


def test_copies_and_pickles_are_layers_of_their_own():
    layer = layer_of(made("monarch", (6, 8)))
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)

    for other in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
        assert torch.equal(other.to_dense(), layer.to_dense())
        other.L.data.zero_()
    assert layer.to_dense().abs().max() > 0.01


class Doubling(StructuredMap):
    """A map of one's own: W = 2 t I."""

    shape = (3, 3)
    parameter_shapes = {"t": ()}
    last_factor = "t"
    is_linear_in_parameters = True
    flops_per_row = 3

    def _apply(self, parts, X):
        return 2 * parts["t"] * X

    _adjoint = _apply

    def _gradients(self, parts, X, G, rows):
        raise NotImplementedError

    def _draw(self, rng):  # noqa: ARG002
        return {"t": np.array(1.0)}


def test_a_map_of_ones_own_needs_a_product_and_is_told_so():
    with pytest.raises(InputError, match=r"Doubling has no product.*product\.register"):
        layer_of(Doubling())

    @product.register
    def _(linear_map: Doubling, tensors, X):
        return 2 * tensors["t"] * X

    layer = layer_of(Doubling(), theta=np.array([3.0]))
    assert torch.equal(layer.to_dense(), 6 * torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: StructuredLinear("low_rank"), "`linear_map` is a str; it must be one of"),
        (lambda: layer_of(Dense((2, 3)), theta=np.ones(5)), "`theta` has shape"),
        (lambda: layer_of(Dense((2, 3)), rms=-1.0), "`rms` is -1.0"),
        (lambda: layer_of(Dense((2, 3)), rms=float("nan")), "`rms` is nan"),
        (lambda: layer_of(Dense((2, 3)))(torch.ones(4, 2)), r"needs \(\.\.\., 3\)"),
        (lambda: layer_of(Dense((2, 3)))(torch.tensor(1.0)), r"`input` has shape \(\)"),
    ],
)
def test_bad_input_is_told_what_to_do(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_the_layer_says_what_it_is():
    shown = repr(layer_of(LowRank((10, 784), 4), bias=True))

    assert "LowRank, in_features=784, out_features=10, n_parameters=3176, bias=True" in shown
