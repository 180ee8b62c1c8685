"""Mutual information against mpmath, and as what the entropies leave."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossent.functional import entropy, mutual_information

tables = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1)).map(
    lambda key: (
        np.random.default_rng(key[2]).dirichlet(np.full(key[0] * key[1], 0.4)).reshape(key[:2])
    )
)


@given(tables)
def test_mutual_information_is_what_the_entropies_leave(joint):
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    expected = entropy(rows) + entropy(columns) - entropy(joint.ravel())
    information = mutual_information(joint)

    assert information >= 0
    assert information == pytest.approx(expected, abs=1e-13)
    assert information == pytest.approx(mutual_information(joint.T), rel=1e-12, abs=1e-28)
    with np.errstate(divide="ignore"):
        from_logits = mutual_information(np.log(joint) + 3, from_logits=True)
    assert from_logits == pytest.approx(information, rel=1e-11, abs=1e-25)
    # Chain rule: H(row, column) = H(row) + H(column | row)
    conditional = sum(
        weight * entropy(row / weight)
        for weight, row in zip(rows, joint, strict=True)
        if weight > 0
    )
    assert entropy(joint.ravel()) == pytest.approx(entropy(rows) + conditional, abs=1e-13)


def test_mutual_information_is_accurate_to_its_bound(backend, oracle):
    dependent = backend.asarray([[0.375, 0.125], [0.0625, 0.4375]])
    z = backend.asarray(
        [[[0.0, -3.0, 2.0], [1.0, 0.5, -math.inf]], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]
    )

    cells = backend.floats(dependent)
    exact = oracle.mutual_information([[oracle.mpf(x) for x in row] for row in cells])
    bound = 44 * (20 * exact + 2 * oracle.mpmath.sqrt(exact)) * backend.eps
    actual = backend.floats(mutual_information(dependent))
    oracle.assert_within([actual], [exact], [bound], backend.dtype)

    for table, actual in zip(
        backend.floats(z), backend.floats(mutual_information(z, from_logits=True)), strict=True
    ):
        p = oracle.softmax([x for row in table for x in row])
        exact = oracle.mutual_information([p[:3], p[3:]])
        root = oracle.mpmath.sqrt(abs(exact))
        bound = 52 * (20 * exact + 2 * root + 52 * backend.eps) * backend.eps
        oracle.assert_within([actual], [exact], [bound], backend.dtype)
        assert actual >= 0
