"""Start values, projections, state, counts, and what is refused."""

import re

import numpy as np
import pytest

from crossent.errors import InputError
from crossent.linear_maps import (
    MAP_NAMES,
    PHM,
    BlockDiagonal,
    Circulant,
    Dense,
    Fastfood,
    LowRank,
    Monarch,
    Toeplitz,
    ToeplitzLike,
    is_faster_than_dense,
    make_map,
)


@pytest.mark.parametrize("rms", [1.0, 0.3])
def test_inputs_of_rms_one_give_outputs_of_the_rms_asked_for(linear_map, rms):
    if not linear_map.n_parameters:
        return
    squares = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        W = linear_map.to_dense(linear_map.start(rng, rms=rms))
        X = rng.normal(size=(500, linear_map.shape[1]))
        squares.append(np.mean((X @ W.T) ** 2))
    # ‖W‖_F² = q·rms² exactly; what is left is the noise of 5000 rows, 2 % at worst (one output).
    assert np.sqrt(np.mean(squares)) == pytest.approx(rms, rel=0.05)


@pytest.mark.parametrize("shape", [(1024, 784), (64, 1000)], ids=str)
def test_every_output_of_a_wide_map_starts_with_about_the_same_rms(maps, shape):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, shape[1]))
    for kind, linear_map in maps(shape).items():
        if linear_map.n_parameters:
            image = linear_map.apply(linear_map.start(rng), X)
            each = np.sqrt(np.mean(image**2, axis=0))
            assert np.sqrt(np.mean(each**2)) == pytest.approx(1, abs=0.05), kind
            assert each.max() < 4, kind  # low-rank and Monarch rows vary most
            assert each.min() > 0.05, kind


def test_the_zero_start_gives_zero_logits_and_a_gradient_that_does_not_vanish(linear_map):
    rng = np.random.default_rng(1)
    theta = linear_map.zero_start(rng)
    if not linear_map.n_parameters:
        return  # nothing to start: W is as drawn
    assert not linear_map.to_dense(theta).any()
    X, G = rng.normal(size=(5, linear_map.shape[1])), rng.normal(size=(5, linear_map.shape[0]))
    parts = linear_map.unpack(linear_map.gradient(theta, X, G))
    assert np.linalg.norm(parts[linear_map.last_factor]) > 0.01
    for name, part in linear_map.unpack(theta).items():
        assert part.any() == (name != linear_map.last_factor)


def test_a_matrix_of_the_kind_is_its_own_projection(linear_map, theta, shape, is_convex):
    W = linear_map.to_dense(theta)
    if not linear_map.n_parameters:
        return
    found = linear_map.to_dense(linear_map.from_dense(W))
    error = np.linalg.norm(found - W) / np.linalg.norm(W)
    square = shape[0] == shape[1]
    padded_phm = isinstance(linear_map, PHM) and (shape[0] % 3 or shape[1] % 3)
    if isinstance(linear_map, Fastfood) and linear_map.learn == "SGB":
        return  # not to be expected: see the test of descent below
    if (isinstance(linear_map, ToeplitzLike) and not square) or (padded_phm and not is_convex):
        assert error < 0.9  # a local minimum, not zero
        return
    limit = 1e-4 if isinstance(linear_map, Fastfood) and linear_map.learn in "GB" else 1e-9
    assert error < limit


def test_the_projection_of_any_matrix_is_least_squares_where_that_is_linear(
    linear_map, shape, is_convex
):
    if not is_convex or not linear_map.n_parameters:
        return
    W = np.random.default_rng(2).normal(size=shape)
    p = linear_map.n_parameters
    columns = np.array([linear_map.to_dense(unit).ravel() for unit in np.eye(p)]).T
    best = np.linalg.lstsq(columns, W.ravel())[0]
    least = np.linalg.norm(columns @ best - W.ravel())
    found = np.linalg.norm(linear_map.to_dense(linear_map.from_dense(W)) - W)
    assert found == pytest.approx(least, rel=1e-4, abs=1e-7)


def test_the_low_rank_projection_leaves_the_smaller_singular_values():
    W = np.random.default_rng(3).normal(size=(7, 11))
    thin = LowRank((7, 11), 3)
    rest = np.linalg.norm(W - thin.to_dense(thin.from_dense(W)))
    assert rest == pytest.approx(np.linalg.norm(np.linalg.svd(W)[1][3:]))


def test_the_monarch_projection_is_the_best_rank_one_block_by_block():
    W = np.random.default_rng(4).normal(size=(6, 9))
    monarch = Monarch((6, 9), (3, 2))
    found = monarch.to_dense(monarch.from_dense(W))
    for j in range(2):
        for i in range(3):
            block = W[3 * j : 3 * j + 3, 3 * i : 3 * i + 3]
            rest = np.linalg.norm(block - found[3 * j : 3 * j + 3, 3 * i : 3 * i + 3])
            assert rest == pytest.approx(np.linalg.norm(np.linalg.svd(block)[1][1:]))


def test_the_phm_projection_is_no_worse_than_any_that_descent_finds():
    W = np.random.default_rng(5).normal(size=(6, 9))
    phm = PHM((6, 9), 3)
    found = np.linalg.norm(W - phm.to_dense(phm.from_dense(W)))
    for seed in range(3):
        start = phm.start(np.random.default_rng(seed))
        other = phm.pack(phm._descended(W, start))
        assert found <= np.linalg.norm(W - phm.to_dense(other)) * (1 + 1e-6)
    assert found < np.linalg.norm(W)


@pytest.mark.parametrize("kind", ["Fastfood SGB", "Toeplitz-like", "Fastfood G"])
def test_projection_by_descent_ends_where_the_distance_is_stationary(kind, maps):
    linear_map = maps((6, 8))[kind]
    W = np.random.default_rng(6).normal(size=(6, 8))
    theta = linear_map.from_dense(W)
    rest = linear_map.to_dense(theta) - W
    slope = linear_map.gradient(theta, np.eye(8), rest.T)
    assert np.linalg.norm(rest) < 0.95 * np.linalg.norm(W)
    assert np.linalg.norm(slope) < 2e-2 * np.linalg.norm(W) ** 2


def test_the_state_brings_back_map_and_parameters_exactly(linear_map, theta, maps, kind, shape):
    other = maps(shape, seed=1)[kind]
    state = linear_map.state(theta)
    loaded, again = other.load_state(state)
    np.testing.assert_array_equal(again, theta)
    X = np.random.default_rng(7).normal(size=(3, shape[1]))
    np.testing.assert_array_equal(loaded.apply(again, X), linear_map.apply(theta, X))
    for name, array in linear_map.fixed.items():
        assert loaded.fixed[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded.fixed[name], array)


def test_permutations_and_signs_are_kept_as_integers(maps):
    made = maps((12, 12))
    assert made["shuffled blocks"].fixed["permutation"].dtype == np.int32
    assert made["circulant"].fixed["signs"].dtype == np.int8
    assert made["Fastfood S"].fixed["signs"].dtype == np.int8


def test_a_state_of_another_size_or_kind_is_refused(maps):
    small, large = maps((12, 12)), maps((8, 32))
    for kind, linear_map in small.items():
        state = linear_map.state(np.ones(linear_map.n_parameters))
        with pytest.raises(InputError, match=r"shape"):
            large[kind].load_state(state)
    with pytest.raises(InputError, match=r"holds \['U', 'V', 'shape'\].*needs \['L', 'R'"):
        small["Monarch"].load_state(small["low rank"].state(np.ones(72)))
    thinner = LowRank((12, 12), 2)
    with pytest.raises(InputError, match=r"'U' has shape \(12, 2\).*needs \(12, 3\)"):
        small["low rank"].load_state(thinner.state(np.ones(48)))


def test_packing_undoes_unpacking_and_padding_is_not_counted(linear_map, theta, definitions):
    np.testing.assert_array_equal(linear_map.pack(linear_map.unpack(theta)), theta)
    if not linear_map.n_parameters or isinstance(linear_map, Fastfood | PHM | ToeplitzLike):
        return
    # Every number is felt: no parameter stands for padding.
    for k in range(linear_map.n_parameters):
        other = theta.copy()
        other[k] += 1.0
        assert (linear_map.to_dense(other) != linear_map.to_dense(theta)).any(), k


def test_numbers_of_parameters_and_operations_are_those_of_the_formulae():
    rng = np.random.default_rng(0)
    counts = {
        Dense((10, 784)): (7840, 15680),
        LowRank((10, 784), 4): (3176, 6352),
        BlockDiagonal((10, 784), 4): (3 * 196 * 2 + 2 * 196 * 2, 3920),
        Monarch((1024, 784), (28, 28)): (50_624, 101_248),
        PHM((12, 784), 4): (64 + 2352, 18816),
        PHM((12, 784), algebra="quaternion"): (2352, 18816),
        Toeplitz((10, 784)): (793, None),
        Circulant((10, 784)): (784, None),
        ToeplitzLike((10, 784), 2): (4 * 784, None),
        # Two transforms of 2·1024·64 and two diagonals of 1024; then S.
        Fastfood.random((1024, 784), learn="SGB", rng=rng): (3072, 4 * 1024 * 64 + 2048 + 1024),
        Fastfood.random((10, 784), learn="S", rng=rng): (10, 4 * 1024 * 64 + 2048 + 10),
    }
    for linear_map, (parameters, flops) in counts.items():
        assert linear_map.n_parameters == parameters, linear_map
        if flops:
            assert linear_map.flops(1) == flops, linear_map
            assert linear_map.flops(7) == 7 * flops


def test_bytes_count_what_is_not_learnt_too():
    made = Fastfood.random((10, 784), learn="S", rng=np.random.default_rng(0))
    # S in float32; B as int8, G as float64 and the permutation as int32, 1024 of each.
    assert made.bytes(np.float32) == 4 * 10 + 1024 * (1 + 8 + 4)
    assert Dense((10, 784)).bytes(np.float64) == 8 * 7840


def test_the_estimate_of_what_is_faster_knows_the_clear_cases(maps):
    small, large = (10, 784), (2048, 2048)
    for rows in (1, 256, 4096):
        for kind, linear_map in maps((7, 20)).items():
            assert not is_faster_than_dense(linear_map, rows), kind
    rng = np.random.default_rng(0)
    for name in ("fastfood", "circulant", "toeplitz", "toeplitz_like", "quaternion", "phm"):
        assert not is_faster_than_dense(make_map(name, small, rng=rng), 256), name
    for name in ("fastfood", "circulant", "toeplitz", "monarch", "block_diagonal"):
        assert is_faster_than_dense(make_map(name, large, rng=rng), 256), name
    # What only saves parameters is never faster, and dense is not faster than dense.
    assert not is_faster_than_dense(PHM(large, 8), 4096)
    assert not is_faster_than_dense(Dense(large), 4096)


@pytest.mark.parametrize("name", MAP_NAMES)
@pytest.mark.parametrize("shape", [(10, 784), (3, 5), (150, 40), (2, 1)], ids=str)
def test_every_named_map_exists_in_every_size(name, shape):
    made = make_map(name, shape, rng=np.random.default_rng(0))
    W = made.to_dense(made.start(np.random.default_rng(1)))
    assert W.shape == shape
    assert np.linalg.norm(W) == pytest.approx(np.sqrt(shape[0]))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: PHM((10, 784), 4), "does not divide q = 10 and d = 784.*pad=True.*\\[1, 2\\]"),
        (lambda: PHM((10, 784)), "`n` of a PHM is None"),
        (lambda: PHM((8, 8), 2, algebra="quaternion"), "has dimension 4"),
        (lambda: PHM((8, 8), 2, algebra="sedenion"), "'learned', 'complex'"),
        (lambda: LowRank((10, 784), 11), "from 1 to 10"),
        (lambda: LowRank((10, 784), 2.0), "2.0; it must be an integer"),
        (lambda: ToeplitzLike((10, 784), 0), "from 1 to 10"),
        (lambda: BlockDiagonal((10, 784), 11), "from 1 to 10"),
        (lambda: BlockDiagonal((2, 3), 2, np.array([0, 0, 1])), "each of 0…2 once"),
        (lambda: Monarch((10, 784), (785, 2)), "from 1 to 784"),
        (lambda: Monarch((10, 784), (2, 11)), "from 1 to 10"),
        (lambda: Monarch((10, 784), (2, 3, 4)), "two \\(k, l\\)"),
        (lambda: Circulant((3, 4), np.array([1, 1, 2, 1])), "4 of ±1"),
        (lambda: Dense((0, 3)), "two positive integers"),
        (lambda: Fastfood.random((3, 4), learn="SX", rng=np.random.default_rng(0)), "'SX'"),
        (lambda: make_map("monarc", (3, 4), rng=np.random.default_rng(0)), "mean 'monarch'"),
        (lambda: make_map("", (3, 4), rng=np.random.default_rng(0)), "is no linear map"),
        (lambda: make_map("toeplitz", (3, 4), rng=np.random.default_rng(0), rank=1), "options"),
    ],
)  # fmt: skip
def test_sizes_and_names_that_cannot_be_are_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_rows_parameters_and_matrices_of_the_wrong_shape_are_refused(linear_map, theta, shape):
    q, d = shape
    X, G = np.ones((4, d)), np.ones((4, q))
    with pytest.raises(InputError, match=re.escape(f"needs (n, {d})")):
        linear_map.apply(theta, np.ones((4, d + 1)))
    with pytest.raises(InputError, match=re.escape(f"needs (n, {q})")):
        linear_map.adjoint(theta, np.ones((4, q + 1)))
    with pytest.raises(InputError, match="4 rows and `G` has 3"):
        linear_map.gradient(theta, X, G[:3])
    with pytest.raises(InputError, match=f"has {linear_map.n_parameters} parameters"):
        linear_map.apply(np.ones(linear_map.n_parameters + 1), X)
    with pytest.raises(InputError, match=r"shape \(\d+, \d+\); a \w+ of shape"):
        linear_map.from_dense(np.ones((q + 1, d)))
    with pytest.raises(InputError, match="not finite"):
        linear_map.from_dense(np.full((q, d), np.nan))


def test_fixed_arrays_of_the_wrong_shape_are_refused():
    made = Fastfood.random((3, 4), rng=np.random.default_rng(0))
    for name, bad, says in [
        ("gains", np.ones((1, 8)), r"shape \(1, 8\); it needs \(1, 4\)"),
        ("signs", np.zeros((1, 4)), "1 or -1"),
        ("permutation", np.zeros((1, 4)), "once in each row"),
    ]:
        arrays = {n: getattr(made, n) for n in ("signs", "gains", "permutation", "scales")}
        with pytest.raises(InputError, match=says):
            Fastfood((3, 4), **{**arrays, name: bad})
