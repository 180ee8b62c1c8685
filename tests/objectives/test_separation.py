"""Separation on data where the answer can be seen with the naked eye."""

import numpy as np
import pytest
import scipy.sparse as sp

from crossent.objectives import separable, separates
from crossent.typing import Block

LINE = np.array([[-2.0], [-1.0], [1.0], [2.0]])


def block_of(X, targets, weight=None, offset=None):
    targets = targets if sp.issparse(targets) else np.asarray(targets)
    weight = np.ones(targets.shape[0]) if weight is None else np.asarray(weight, dtype=float)
    return Block(X, targets, weight / weight.sum(), offset, 0)


def ask(X, labels, q=2, **options):
    fit_intercept = options.pop("fit_intercept", True)
    return separable(block_of(X, labels, **options), n_classes=q, fit_intercept=fit_intercept)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_two_intervals_are_separable_and_two_mixtures_are_not(storage):
    assert ask(storage(LINE), [0, 0, 1, 1]) is True
    assert ask(storage(LINE), [0, 1, 0, 1]) is False


def test_classes_that_touch_in_a_point_are_quasi_separable():
    # Both classes have a row at 0; the direction (x) still keeps every row on its side.
    X = np.array([[-1.0], [0.0], [0.0], [1.0]])
    assert ask(X, [0, 0, 1, 1]) is True


def test_without_an_intercept_only_planes_through_the_origin_count():
    assert ask(LINE + 10, [0, 0, 1, 1]) is True
    assert ask(LINE + 10, [0, 0, 1, 1], fit_intercept=False) is False


def test_one_class_that_can_be_split_off_is_enough():
    # Classes 0 and 1 overlap; class 2 lies far away, so its logit may grow for ever.
    X = np.array([[-1.0], [0.5], [-0.5], [1.0], [50.0], [51.0]])
    assert ask(X, [0, 0, 1, 1, 2, 2], q=3) is True
    assert ask(X, [0, 1, 0, 1, 1, 0], q=2) is False


def test_three_classes_around_a_centre_that_overlap_are_not_separable():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    assert ask(X, rng.integers(0, 3, 60), q=3) is False
    angles = 2 * np.pi * np.arange(60) / 3
    X = X / 10 + np.column_stack([np.cos(angles), np.sin(angles)])
    assert ask(X, np.arange(60) % 3, q=3) is True


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_answer_does_not_depend_on_units(scale):
    assert ask(LINE * scale, [0, 0, 1, 1]) is True
    assert ask(LINE * scale, [0, 1, 0, 1]) is False


def test_rows_of_weight_zero_do_not_stand_in_the_way():
    X = np.array([[-2.0], [9.0], [-1.0], [1.0], [2.0]])
    assert ask(X, [0, 0, 0, 1, 1], weight=[1, 0, 1, 1, 1]) is True
    assert ask(X, [0, 0, 0, 1, 1]) is False
    assert ask(LINE, [0, 1, 0, 1], weight=[1, 0, 0, 1]) is True
    assert ask(LINE, [0, 1, 0, 1], weight=[1, 1, 0, 1]) is True  # 0 | 1, 1
    assert ask(LINE, [0, 1, 0, 1], weight=[1, 1, 1, 0]) is False


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_distributions_tie_the_classes_that_share_a_row(storage):
    # Rows that are half 0 and half 1 on both sides force equal logits: nothing can grow.
    Y = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    block = Block(LINE, storage(Y), np.full(4, 0.25), None, 0)
    assert separable(block, n_classes=2, fit_intercept=True) is False
    # A third class that no row has any share of may sink for ever.
    block = Block(LINE, storage(np.column_stack([Y, np.zeros(4)])), np.full(4, 0.25), None, 0)
    assert separable(block, n_classes=3, fit_intercept=True) is True


def test_a_program_that_is_too_large_is_left_undecided(monkeypatch):
    monkeypatch.setattr("crossent.objectives.separation._MAX_NONZEROS", 10)
    assert ask(LINE, [0, 0, 1, 1]) is None


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_coefficients_separate_where_every_own_logit_is_strictly_largest(storage):
    W, b = np.array([[-1.0], [1.0]]), np.zeros(2)
    block = block_of(storage(LINE), [0, 0, 1, 1])
    assert separates(block, W, b) is True
    assert separates(block, -W, b) is False
    assert separates(block, W, np.array([0.0, 5.0])) is False
    assert separates(block, 0 * W, b) is False  # a tie is not a separation


def test_an_offset_counts_when_coefficients_are_tried():
    offset = np.zeros((4, 2))
    offset[0, 1] = 100.0
    block = block_of(LINE, [0, 0, 1, 1], offset=offset)
    assert separates(block, np.array([[-1.0], [1.0]]), np.zeros(2)) is False


def test_shared_rows_are_never_separated_and_weightless_ones_do_not_matter():
    W, b = np.array([[-1.0], [1.0]]), np.zeros(2)
    Y = np.array([[1.0, 0], [0.9, 0.1], [0, 1], [0, 1]])
    assert separates(block_of(LINE, Y), W, b) is False
    assert separates(block_of(LINE, Y, weight=[1, 0, 1, 1]), W, b) is True
    assert separates(block_of(LINE, sp.csr_array(np.round(Y))), W, b) is True
    assert separates(block_of(LINE, [0, 1, 1, 1], weight=[1, 0, 1, 1]), W, b) is True
