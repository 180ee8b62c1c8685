"""Every compiled kernel is the definition, on shapes around every edge and in every layout."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from kernel_definition import all_sums, answer, assert_close

from crossent.kernels import CATALOGUE, PassSums, dense, sparse
from crossent.typing import Block

ACCUMULATE = {"dense": dense.accumulate, "csr": sparse.accumulate}

float_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])
storages = pytest.mark.parametrize("storage", ["dense", "csr"])

# Rows: tiles of 4, blocks of 64 (CSR), 96 (d = 784, float32) and 256. Features: vectors of 2 to 16,
# panels of 80 vectors (1280 float32). Classes: tiles of 3 or 6, strips of 8 vectors.
SHAPES = [
    (1, 1, 2),
    (3, 1, 3),
    (4, 2, 2),
    (5, 15, 5),
    (63, 16, 7),
    (64, 17, 10),
    (65, 33, 16),
    (255, 31, 3),
    (256, 8, 26),
    (257, 49, 6),
    (95, 784, 4),
    (97, 783, 11),
    (20, 1281, 8),
    (40, 12, 64),
    (33, 20, 77),
    (30, 18, 300),
    (513, 5, 2),
    (1100, 19, 5),
]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Chunks of a few hundred rows, so that small problems have several."""
    monkeypatch.setattr(dense, "_CHUNK_WORK", 1e5)


def run(storage, block, W, b, n_threads=2, out=None):
    out = all_sums(block.X.shape[0], W.shape[1], len(b)) if out is None else out
    ACCUMULATE[storage](block, W, b, out, n_threads)
    return out


def expected(block, W, b, **options):
    return answer(block.X, block.targets, block.sample_weight, W, b, block.offset, **options)


@float_types
@storages
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pass_is_the_definition_on_every_shape(problem, shape, storage, dtype):
    kind = ("labels", "dense", "csr")[sum(shape) % 3]
    block, W, b = problem(*shape, dtype, kind=kind, offset=shape[0] % 2 == 0, csr=storage == "csr")
    assert_close(run(storage, block, W, b), expected(block, W, b))


@float_types
@storages
@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("kind", ["labels", "dense", "csr"])
def test_pass_is_the_definition_for_every_kind_of_target(problem, kind, offset, storage, dtype):
    block, W, b = problem(150, 21, 6, dtype, kind=kind, offset=offset, csr=storage == "csr")
    assert_close(run(storage, block, W, b), expected(block, W, b))


@float_types
@storages
@pytest.mark.parametrize("kind", ["labels", "dense", "csr"])
def test_later_blocks_of_a_chunk_meet_their_own_rows(problem, monkeypatch, kind, storage, dtype):
    # One chunk of three dense blocks (256 rows) or ten sparse ones (64).
    monkeypatch.setattr(dense, "_CHUNK_WORK", 1e12)
    monkeypatch.setattr(sparse, "_PARTS", 1)
    block, W, b = problem(600, 9, 4, dtype, kind=kind, offset=True, csr=storage == "csr")
    assert_close(run(storage, block, W, b), expected(block, W, b))


@float_types
@pytest.mark.parametrize("shape", [(300, 40, 7), (50, 16, 3), (35, 100, 12), (20, 3, 5)], ids=str)
def test_memory_order_does_not_matter(problem, shape, dtype):
    block, W, b = problem(*shape, dtype)
    truth = expected(block, W, b)
    X = block.X
    wide = np.zeros((X.shape[0], 2 * X.shape[1]), dtype)
    wide[:, ::2] = X
    room = np.zeros((X.shape[0], X.shape[1] + 3), dtype)
    room[:, :-3] = X
    layouts = {
        "C": X,
        "F": np.asfortranarray(X),
        "strided": wide[:, ::2],
        "rows with gaps": room[:, :-3],
        "columns with gaps": np.asfortranarray(np.repeat(X, 2, axis=0))[::2],
        "backwards": np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
        "backwards rows": np.ascontiguousarray(X[::-1])[::-1],
    }
    for name, layout in layouts.items():
        assert np.array_equal(layout, X), name
        assert_close(run("dense", dataclasses.replace(block, X=layout), W, b), truth)


@float_types
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["labels", "dense"])
@pytest.mark.parametrize("shape", [(300, 40, 7), (131, 5, 23), (64, 16, 17), (1, 3, 4)], ids=str)
def test_tiled_pass_is_the_definition(problem, monkeypatch, shape, kind, order, dtype):
    # Superblocks of 64 rows and blocks of 32, so that small problems cross their edges.
    monkeypatch.setattr(dense, "_FUSED_BYTES", 0)
    monkeypatch.setattr(dense, "_SUPERBLOCK_BYTES", 0)
    monkeypatch.setattr(dense, "_LOGIT_BYTES", 0)
    block, W, b = problem(*shape, dtype, kind=kind, order=order, offset=True)
    assert_close(run("dense", block, W, b), expected(block, W, b))


def test_many_classes_are_tiled_and_are_the_definition(problem):
    block, W, b = problem(9, 280, 1900, np.float32)
    assert W.nbytes > dense._FUSED_BYTES
    out = PassSums(gradient_W=np.zeros(W.shape), gradient_b=np.zeros(1900))
    run("dense", block, W, b, out=out)
    assert_close(out, expected(block, W, b), names=("gradient_W", "gradient_b", "loss"))


@float_types
def test_superblocks_of_sparse_rows_add_up(problem, monkeypatch, dtype):
    monkeypatch.setattr(sparse, "_RESIDUAL_BYTES", 0)
    block, W, b = problem(201, 50, 9, dtype, csr=True)
    assert len(sparse._prepared_for(block.X, 64, np.dtype(dtype)).superblocks) == 4
    assert_close(run("csr", block, W, b), expected(block, W, b))


@storages
def test_index_type_of_csr_data_and_targets_does_not_matter(problem, storage):
    block, W, b = problem(60, 20, 5, np.float64, kind="csr", csr=storage == "csr")
    truth = expected(block, W, b)

    def widen(matrix):
        copy = matrix.copy()
        copy.indices, copy.indptr = copy.indices.astype(np.int64), copy.indptr.astype(np.int64)
        return copy

    X = widen(block.X) if storage == "csr" else block.X
    assert_close(
        run(storage, dataclasses.replace(block, X=X, targets=widen(block.targets)), W, b), truth
    )
    hard, _, _ = problem(60, 20, 5, np.float64, csr=storage == "csr")
    for kind in (np.int8, np.int32, np.uint64):
        block = dataclasses.replace(hard, targets=hard.targets.astype(kind))
        assert_close(run(storage, block, W, b), expected(hard, W, b))


@storages
def test_unsorted_and_repeated_entries_and_empty_rows_of_csr_targets_and_data(storage):
    data, indices = np.array([1.0, 2.0, 3.0, 0.5]), np.array([2, 0, 2, 1])
    X = sp.csr_array((data, indices, np.array([0, 3, 3, 4])), shape=(3, 4))
    y = sp.csr_array(
        (
            np.array([0.25, 0.5, 0.25, 1, 1, 0]),
            np.array([1, 0, 1, 0, 2, 1]),
            np.array([0, 3, 4, 6]),
        ),
        shape=(3, 3),
    )
    rng = np.random.default_rng(0)
    W, b = rng.standard_normal((3, 4)), rng.standard_normal(3)
    rows = X if storage == "csr" else X.toarray()
    block = Block(rows, y, np.array([0.2, 0.3, 0.5]), None, 0)
    assert_close(run(storage, block, W, b), expected(block, W, b))


@float_types
@storages
@pytest.mark.parametrize("kind", ["labels", "dense", "csr"])
def test_saturated_logits_keep_small_losses_and_residuals(storage, dtype, kind):
    # Whole numbers: no logit is rounded. Losses from exp(-30) to 1e4.
    rng = np.random.default_rng(1)
    X = rng.integers(-3, 4, (80, 18)).astype(dtype)
    W = rng.integers(-2, 3, (6, 18)).astype(np.float64)
    X[:, 0] = 1
    X[10:20, 0] = 1000
    W[:, 0] = [10, -10, 0, 5, -5, 2]
    largest = (X.astype(float) @ W.T).argmax(axis=1)
    targets = np.where(np.arange(80) % 4 > 0, largest, rng.integers(0, 6, 80))
    if kind != "labels":
        targets = np.eye(6)[targets]
        targets = sp.csr_array(targets) if kind == "csr" else targets
    data = sp.csr_array(X) if storage == "csr" else X
    only_small = np.where(np.arange(80) % 4 > 0, 1.0, 0.0)
    for s in (np.ones(80), only_small):
        block = Block(data, targets, s / s.sum(), None, 0)
        got = run(storage, block, W, np.zeros(6))
        truth = expected(block, W, np.zeros(6), exact_logits=True)
        assert_close(got, truth)
        # Labels are the one kind whose residual is made without p - y.
        relative = np.finfo(dtype).eps * 300
        if kind == "labels" and s is only_small:
            assert np.abs(got.gradient_b / truth.value.gradient_b - 1).max() < relative


@float_types
@storages
def test_certain_rows_have_relatively_exact_loss_curvature_and_residual(storage, dtype):
    # Logits 0 and -z: loss log1p(exp(-z)), residual -+1/(1 + exp(z)), curvature 2 p (1 - p).
    for z in (1.0, 20.0, 60.0, 85.0):
        X = np.full((7, 1), z, dtype)
        X = sp.csr_array(X) if storage == "csr" else X
        block = Block(X, np.zeros(7, int), np.full(7, 1 / 7), None, 0)
        out = run(storage, block, np.array([[0.0], [-1.0]]), np.zeros(2))
        e = np.exp(-z)
        close = {"rtol": 8 * np.finfo(dtype).eps, "atol": 0}
        np.testing.assert_allclose(out.loss, np.log1p(e), **close)
        np.testing.assert_allclose(out.gradient_b, [-e / (1 + e), e / (1 + e)], **close)
        np.testing.assert_allclose(out.gradient_W[:, 0], z * out.gradient_b, **close)
        np.testing.assert_allclose(out.row_curvature, 2 * e / (1 + e) ** 2, **close)
        np.testing.assert_allclose(out.entropy, np.log1p(e) + z * e / (1 + e), **close)


@float_types
@storages
@pytest.mark.parametrize("kind", ["labels", "dense", "csr"])
def test_excluded_class_has_probability_zero_and_leaves_the_rest_alone(
    problem, storage, dtype, kind
):
    block, W, b = problem(70, 20, 5, dtype, kind=kind, csr=storage == "csr")
    targets = block.targets
    widened = dataclasses.replace(
        block,
        targets=targets + (targets >= 2)
        if kind == "labels"
        else sp.csr_array(np.insert(targets.toarray(), 2, 0, axis=1))
        if kind == "csr"
        else np.insert(targets, 2, 0, axis=1),
    )
    out = run(storage, widened, np.insert(W, 2, 0, axis=0), np.insert(b, 2, -np.inf))
    assert out.mean_probability[2] == 0
    assert np.all(out.gradient_W[2] == 0)
    kept = [0, 1, 3, 4, 5]
    reduced = PassSums(
        gradient_W=out.gradient_W[kept],
        gradient_b=out.gradient_b[kept],
        loss=out.loss,
        mean_probability=out.mean_probability[kept],
        second_moment=out.second_moment[np.ix_(kept, kept)],
        entropy=out.entropy,
        row_curvature=out.row_curvature,
    )
    assert_close(reduced, expected(block, W, b))


@storages
def test_target_in_an_excluded_class_costs_infinity_unless_its_weight_is_zero(storage):
    X = np.ones((2, 1))
    X = sp.csr_array(X) if storage == "csr" else X
    W, b = np.zeros((2, 1)), np.array([0.0, -np.inf])
    for y in (np.array([0, 1]), np.eye(2)):
        out = run(storage, Block(X, y, np.array([0.5, 0.5]), None, 0), W, b)
        assert out.loss == np.inf
        out = run(storage, Block(X, y, np.array([1.0, 0.0]), None, 0), W, b)
        assert out.loss == 0
        assert np.all(np.isfinite(out.gradient_W))


@float_types
@storages
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, 37, 69])
def test_non_finite_x_is_seen_in_the_loss(problem, storage, dtype, bad, row):
    block, W, b = problem(70, 20, 5, dtype, csr=storage == "csr")
    block.sample_weight[row] = 0.1
    if storage == "csr":
        block.X.data[block.X.indptr[row]] = bad
    else:
        block.X[row, 19] = bad
    assert not np.isfinite(run(storage, block, W, b).loss)


@storages
def test_ties_for_the_largest_logit_are_counted_once(storage):
    X = np.ones((5, 2))
    X = sp.csr_array(X) if storage == "csr" else X
    out = run(storage, Block(X, np.arange(5) % 4, np.full(5, 0.2), None, 0), np.ones((4, 2)),
              np.zeros(4))  # fmt: skip
    np.testing.assert_allclose(out.loss, np.log(4), rtol=1e-15)
    np.testing.assert_allclose(out.entropy, np.log(4), rtol=1e-15)
    np.testing.assert_allclose(out.row_curvature, 0.75, rtol=1e-15)


@storages
def test_sums_are_added_to_what_is_there_and_unwanted_ones_are_left_out(problem, storage):
    block, W, b = problem(70, 20, 5, np.float64, csr=storage == "csr")
    once = run(storage, block, W, b)
    twice = run(storage, block, W, b, out=run(storage, block, W, b))
    for name in ("gradient_W", "gradient_b", "loss", "mean_probability", "second_moment"):
        np.testing.assert_allclose(getattr(twice, name), 2 * getattr(once, name), rtol=1e-15)
    np.testing.assert_array_equal(twice.row_curvature, once.row_curvature)
    bare = PassSums(gradient_W=np.zeros(W.shape), gradient_b=np.zeros(5))
    run(storage, block, W, b, out=bare)
    np.testing.assert_array_equal(bare.gradient_W, once.gradient_W)
    assert bare.entropy is bare.second_moment is bare.mean_probability is None


@storages
def test_blocks_add_up_to_the_whole_and_curvature_lands_at_its_rows(problem, storage):
    block, W, b = problem(130, 20, 5, np.float64, offset=True, csr=storage == "csr")
    out = all_sums(130, 20, 5)
    for start, stop in ((0, 1), (1, 100), (100, 130)):
        rows = slice(start, stop)
        part = Block(
            block.X[rows], block.targets[rows], block.sample_weight[rows], block.offset[rows], start
        )
        run(storage, part, W, b, out=out)
    assert_close(out, expected(block, W, b))


@storages
def test_tiny_weights_do_not_vanish_in_float32(problem, storage):
    # Weights of 1e-30 times residuals of 1e-9 are no float32 numbers; their ratios are.
    block, W, b = problem(40, 20, 5, np.float32, csr=storage == "csr")
    tiny = dataclasses.replace(block, sample_weight=block.sample_weight * 1e-38)
    got, truth = run(storage, tiny, W, b), run(storage, block, W, b)
    np.testing.assert_allclose(got.gradient_W * 1e38, truth.gradient_W, rtol=1e-12)
    np.testing.assert_allclose(got.loss * 1e38, truth.loss, rtol=1e-12)


@storages
def test_all_weights_zero_and_no_rows_add_nothing(problem, storage):
    block, W, b = problem(40, 20, 5, np.float32, csr=storage == "csr")
    none = dataclasses.replace(block, sample_weight=np.zeros(40))
    out = run(storage, none, W, b)
    assert out.loss == 0
    assert not np.any(out.gradient_W)
    empty = Block(block.X[:0], block.targets[:0], np.zeros(0), None, 0)
    out = run(storage, empty, W, b)
    assert not np.any(out.gradient_W)


def test_numpy_kernel_serves_the_same_calls(problem):
    # The same bound: its block is no larger than its rows, and 40 terms are fewer than 272.
    fallback = CATALOGUE[-1].kernel
    for csr in (False, True):
        for kind in ("labels", "dense", "csr"):
            block, W, b = problem(40, 20, 5, np.float64, kind=kind, offset=True, csr=csr)
            out = all_sums(40, 20, 5)
            fallback.accumulate(block, W, b, out, None)
            names = ("gradient_W", "gradient_b", "loss", "mean_probability", "second_moment")
            assert_close(out, expected(block, W, b), names=names)
