"""Confusion matrix and surprising rows: against scikit-learn and by hand."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix

from crossent.errors import InputError
from crossent.inspection import (
    Confusion,
    Predictions,
    confusion,
    most_confused,
    predict_rows,
    surprising_rows,
    top_losses,
)

P = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5], [0.2, 0.5, 0.3]])
CLASSES = ["a", "b", "c"]


def rows_of(y, **kwargs):
    return Predictions.from_log_probabilities(np.log(P), y, classes=CLASSES, **kwargs)


@pytest.fixture(scope="module")
def fitted():
    X, y = load_digits(return_X_y=True)
    X, y = X / 16, y + 5  # class names are not class numbers
    return LogisticRegression(C=0.1, tol=0.01).fit(X[:900], y[:900]), X[900:], y[900:]


def test_the_confusion_matrix_is_scikit_learns(fitted):
    model, X, y = fitted
    weight = np.random.default_rng(1).integers(0, 4, size=len(y))

    counts = confusion(predict_rows(model, X, y, sample_weight=weight)).counts

    # Integer weights: sums are exact.
    assert np.array_equal(counts, confusion_matrix(y, model.predict(X), sample_weight=weight))


def test_soft_targets_spread_their_mass_over_the_true_classes():
    y = np.array([[0.5, 0.5, 0], [0, 1, 0], [0.25, 0, 0.75], [0, 0, 1]])

    counts = confusion(rows_of(y, sample_weight=[1, 1, 2, 1])).counts

    # Predicted: a, b, c, b.
    assert counts.tolist() == [[0.5, 0, 0.5], [0.5, 1, 0], [0, 1, 1.5]]


def test_row_shares_divide_by_the_true_class_and_leave_absent_classes_at_zero():
    table = Confusion(np.array([[3.0, 1], [0, 0]]), np.array(["a", "b"]))

    assert table.row_shares.tolist() == [[0.75, 0.25], [0, 0]]


def test_most_confused_lists_wrong_pairs_by_count_and_leaves_out_rare_ones(fitted):
    model, X, y = fitted
    table = confusion_matrix(y, model.predict(X))
    expected = sorted(
        ((table[i, j], i + 5, j + 5) for i in range(10) for j in range(10) if i != j),
        key=lambda entry: -entry[0],
    )

    pairs = most_confused(model, X, y, min_count=2)

    assert [(p.count, p.true, p.predicted) for p in pairs] == [e for e in expected if e[0] >= 2]
    assert len(pairs) > 3
    first = pairs[0]
    assert first.share == pytest.approx(first.count / table[first.true - 5].sum(), rel=1e-15)


def test_pairs_that_never_occur_are_not_listed_even_at_min_count_zero():
    assert Confusion(np.eye(3), np.arange(3)).most_confused(0) == ()


def test_the_most_surprising_rows_are_those_with_the_smallest_probability_of_their_class(fitted):
    model, X, y = fitted
    p = model.predict_proba(X)[np.arange(len(y)), y - 5]

    found = top_losses(model, X, y, k=7)

    assert [entry.row for entry in found] == np.argsort(p)[:7].tolist()
    worst = found[0]
    # exp and log of the same number: two roundings on a surprisal of order 5.
    assert worst.surprisal == pytest.approx(-math.log(p.min()), rel=1e-13)
    assert worst.surprisal_bits == pytest.approx(-math.log2(p.min()), rel=1e-13)
    assert worst.target_probability == pytest.approx(p.min(), rel=1e-12)
    assert worst.target == y[worst.row]
    assert worst.predicted == model.predict(X[[worst.row]])[0]
    assert worst.predicted_probability == pytest.approx(
        model.predict_proba(X[[worst.row]]).max(), rel=1e-12
    )


def test_ambiguous_targets_are_no_surprise():
    # Row 0 has the larger cross-entropy, all of it the target's own entropy but 0.0849 nats.
    y = np.array([[1 / 3, 1 / 3, 1 / 3], [0, 1, 0], [0, 0, 1], [0.2, 0.5, 0.3]])

    found = surprising_rows(rows_of(y), k=4)

    divergences = [stats.entropy(target, p) for target, p in zip(y, P, strict=True)]
    assert [entry.row for entry in found] == np.argsort(divergences)[::-1].tolist()
    assert [e.excess for e in found] == pytest.approx(sorted(divergences)[::-1], abs=1e-15)
    by_row = {entry.row: entry for entry in found}
    assert by_row[0].surprisal > by_row[2].surprisal
    # Target 1/3 each, p = (.5, .25, .25): log 3 less, and over log 2 for bits.
    assert by_row[0].excess_bits == pytest.approx(stats.entropy([1, 1, 1], P[0], base=2), rel=1e-12)
    assert by_row[3].target_mass == 0.5
    assert (by_row[3].target, by_row[3].target_probability) == ("b", pytest.approx(0.5))


def test_rows_of_weight_zero_are_left_out_and_ties_stay_in_order():
    rows = rows_of(["b", "a", "a", "c"], sample_weight=[1, 0, 1, 1])

    # Surprisals log 4, (log 8), log 4, log 1/0.3.
    assert [entry.row for entry in surprising_rows(rows, k=9)] == [0, 2, 3]


def test_a_negative_number_of_rows_is_refused():
    with pytest.raises(InputError, match="`k` is -1"):
        surprising_rows(rows_of(["a"] * 4), k=-1)
