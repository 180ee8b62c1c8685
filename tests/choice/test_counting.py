"""The quick ways for small problems give what the general ones give."""

import numpy as np
import pytest

from crossent.choice.comparisons import Cells, read_comparisons, reduce_to_cells
from crossent.choice.existence import pair_components, strong_parts
from crossent.choice.outcomes import LEFT, RIGHT

OUTCOME_WORDS = np.array(["left", "right", "tie", "neither"])


def listed_cells(cells):
    """Every cell as a row of numbers, sorted."""
    columns = [cells.left, cells.right, cells.order, *cells.counts, *cells.squares]
    return sorted(zip(*[column.tolist() for column in columns], strict=True))


@pytest.mark.parametrize("ordered", [False, True])
def test_counting_all_rows_at_once_is_counting_them_with_weight_one(ordered):
    rng = np.random.default_rng(0)
    left = rng.integers(0, 6, 400)
    right = (left + rng.integers(1, 6, 400)) % 6
    X, y = np.column_stack([left, right]), OUTCOME_WORDS[rng.integers(0, 4, 400)]

    quick = reduce_to_cells(read_comparisons(X, y), ordered=ordered)
    general = reduce_to_cells(read_comparisons(X, y, np.ones(400)), ordered=ordered)

    assert listed_cells(quick) == listed_cells(general)
    assert quick.counts.sum() == 400


@pytest.mark.parametrize("seed", range(40))
def test_the_search_in_a_dense_matrix_agrees_with_scipy(seed):
    rng = np.random.default_rng(seed)
    n, edges = 12, int(rng.integers(12, 40))
    winner = rng.integers(0, n, edges)
    loser = (winner + rng.integers(1, n, edges)) % n
    counts = np.zeros((4, edges))
    counts[LEFT] = 1.0
    cells = Cells(winner, loser, np.ones(edges), None, counts, counts)

    found = pair_components(cells, n, (LEFT, RIGHT))
    expected = strong_parts(winner, loser, n)

    assert found.n == expected.n
    np.testing.assert_array_equal(found.label, expected.label)
    assert found.n_weak == expected.n_weak
