"""States of structured layers: saved and loaded exactly, refused where the size differs."""

import copy
import io

import numpy as np
import pytest
import torch

from crossent.linear_maps import (
    MAP_NAMES,
    PHM,
    BlockDiagonal,
    Circulant,
    Dense,
    Fastfood,
    LowRank,
    Monarch,
    ToeplitzLike,
    make_map,
)
from crossent.torch import StructuredLinear

every_map = pytest.mark.parametrize("name", MAP_NAMES)


def layer_of(linear_map, seed=7, **options):
    """A float64 layer with a start by its seed."""
    rng = np.random.default_rng(seed)
    return StructuredLinear(linear_map, rng=rng, dtype=torch.float64, **options)


def drawn(name, seed=5, **options):
    """A layer 20 to 37 whose map is drawn by the seed too."""
    return layer_of(make_map(name, (37, 20), rng=np.random.default_rng(seed)), seed, **options)


@every_map
def test_a_state_goes_around_with_permutations_and_signs_exactly(name):
    layer, other = drawn(name, bias=True), drawn(name, 99, bias=True)
    with torch.no_grad():
        layer.bias += 1.0
    X = torch.randn(4, 20, dtype=torch.float64)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)

    assert not torch.equal(other(X), layer(X))
    other.load_state_dict(torch.load(file))

    assert torch.equal(other(X), layer(X))
    for key, tensor in layer.state_dict().items():
        assert torch.equal(other.state_dict()[key], tensor)
        assert other.state_dict()[key].dtype == tensor.dtype


@every_map
def test_states_go_to_numpy_and_back(name):
    layer = drawn(name)

    linear_map, theta = layer.to_numpy()

    np.testing.assert_allclose(
        layer.to_dense().detach(), linear_map.to_dense(theta), rtol=0.0, atol=1e-12
    )
    other = drawn(name, 99)
    state = linear_map.state(theta)
    other.load_state_dict({key: torch.from_numpy(array) for key, array in state.items()})
    assert torch.equal(other.to_dense(), layer.to_dense())


def test_to_numpy_has_the_permutation_that_was_loaded():
    layer = layer_of(BlockDiagonal((4, 6), 2, np.array([5, 4, 3, 2, 1, 0])))
    other = layer_of(BlockDiagonal((4, 6), 2, np.arange(6)))

    other.load_state_dict(layer.state_dict())

    np.testing.assert_array_equal(other.to_numpy()[0].permutation, [5, 4, 3, 2, 1, 0])


def fried(shape, learn="SGB"):
    return Fastfood.random(shape, learn=learn, rng=np.random.default_rng(0))


OF_ANOTHER_SIZE = {
    "low rank": (LowRank((5, 7), 2), LowRank((5, 8), 2), "shape"),
    "rank": (LowRank((5, 7), 2), LowRank((5, 7), 3), "'U'"),
    # All tensors of these have equal shapes: only the buffer `shape` tells them apart.
    "fastfood": (fried((5, 9)), fried((5, 12)), "shape"),
    "learnt": (fried((5, 9)), fried((5, 9), "S"), "holds"),
    "generators": (ToeplitzLike((5, 7), 2), ToeplitzLike((6, 7), 2), "shape"),
    "kind": (Dense((5, 7)), LowRank((5, 7), 2), "holds"),
    "blocks": (Monarch((8, 8), (2, 4)), Monarch((8, 8), (4, 2)), "'L'"),
    "algebra": (PHM((8, 8), algebra="complex"), PHM((8, 8), algebra="quaternion"), "'S'"),
}


@pytest.mark.parametrize("case", OF_ANOTHER_SIZE)
def test_a_state_of_another_size_is_one_clear_error_and_changes_nothing(case):
    mine, foreign, named = OF_ANOTHER_SIZE[case]
    model = torch.nn.Sequential(torch.nn.ReLU(), layer_of(mine))
    state = torch.nn.Sequential(torch.nn.ReLU(), layer_of(foreign)).state_dict()
    before = copy.deepcopy(model.state_dict())

    with pytest.raises(RuntimeError, match=rf"1: the state.*{named}.*Load it into a map") as found:
        model.load_state_dict(state)

    assert str(found.value).count("Load it") == 1
    assert "size mismatch" not in str(found.value)
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[key])


def test_a_state_with_signs_that_are_none_is_refused():
    layer = layer_of(Circulant((3, 3)))
    state = layer.state_dict() | {"signs": torch.tensor([1, 0, 1], dtype=torch.int8)}

    with pytest.raises(RuntimeError, match="signs"):
        layer.load_state_dict(state)


def test_a_state_without_the_layer_is_missing_keys_or_with_strict_false_nothing():
    model = torch.nn.Sequential(layer_of(Dense((2, 3))))

    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({})
    found = model.load_state_dict({}, strict=False)

    assert set(found.missing_keys) == {"0.W", "0.shape"}
