"""The rows come out as they went in, whatever the size of the blocks."""

import numpy as np
import pytest
import scipy.sparse as sp

from crossent.sources import ArraySource

N, D, Q = 23, 4, 3


def make(storage="dense", targets="labels", offset=True, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)).astype(dtype) * (rng.random((N, D)) < 0.6)
    Y = rng.dirichlet(np.ones(Q), N)
    stored = {"dense": X, "fortran": np.asfortranarray(X), "csr": sp.csr_array(X)}[storage]
    return ArraySource(
        stored,
        {"labels": Y.argmax(axis=1), "dense": Y, "csr": sp.csr_array(Y)}[targets],
        rng.dirichlet(np.ones(N)),
        Q,
        rng.normal(size=(N, Q)) if offset else None,
        (X.min(axis=0), X.max(axis=0)),
    )


def dense(array):
    return array.toarray() if sp.issparse(array) else array


@pytest.mark.parametrize("rows", [1, 7, 22, 23, 24, None])
@pytest.mark.parametrize("targets", ["labels", "dense", "csr"])
@pytest.mark.parametrize("storage", ["dense", "fortran", "csr"])
def test_blocks_put_together_are_the_data(storage, targets, rows):
    source = make(storage, targets)
    blocks = list(source.blocks(rows))
    assert [block.first_row for block in blocks] == list(range(0, N, rows or N))
    assert all(block.X.shape[0] == (rows or N) for block in blocks[:-1])
    for name, whole in (
        ("X", source.X),
        ("targets", source.targets),
        ("sample_weight", source.sample_weight),
        ("offset", source.offset),
    ):
        joined = np.concatenate([dense(getattr(block, name)) for block in blocks])
        np.testing.assert_array_equal(joined, dense(whole))


@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_taken_rows_are_cast_to_the_type_asked_for(storage):
    source = make(storage, dtype=np.float32)
    assert source.dtype == np.float32
    for dtype in (np.float32, np.float64):
        block = source.take(slice(0, 5), dtype)
        assert block.X.dtype == dtype
        np.testing.assert_array_equal(dense(block.X), dense(source.X)[:5].astype(dtype))


def test_nothing_is_copied_where_nothing_is_to_be_cast():
    source = make()
    block = next(iter(source.blocks(None)))
    assert np.shares_memory(block.X, source.X)


@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_taken_rows_come_in_the_order_asked_for(storage):
    source, rows = make(storage), np.array([5, 0, 22, 5])
    block = source.take(rows, np.float64)
    assert block.first_row == 0
    np.testing.assert_array_equal(dense(block.X), dense(source.X)[rows])
    np.testing.assert_array_equal(block.targets, source.targets[rows])
    np.testing.assert_array_equal(block.sample_weight, source.sample_weight[rows])
    np.testing.assert_array_equal(block.offset, source.offset[rows])


def test_without_an_offset_there_is_none_and_its_width_is_zero():
    source = make(offset=False)
    assert next(iter(source.blocks(3))).offset is None
    assert source.offset_width == 0


def test_the_width_of_the_offset_is_the_widest_row():
    source = make()
    expected = max(max(row) - min(row) for row in source.offset.tolist())
    assert source.offset_width == pytest.approx(expected, rel=1e-15)
    assert expected > 1


def test_the_shape_is_told():
    source = make()
    assert (source.n_rows, source.n_features, source.n_classes) == (N, D, Q)
