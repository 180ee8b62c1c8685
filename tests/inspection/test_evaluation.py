"""Accuracy, cross-entropy, intervals, baselines: against closed forms, SciPy and scikit-learn."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.metrics import accuracy_score, log_loss

from crossent.errors import InputError
from crossent.inspection import (
    Predictions,
    class_frequencies,
    evaluate,
    evaluation,
    predict_rows,
    wilson_interval,
)

P = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5], [0.2, 0.4, 0.4]])
CLASSES = ["a", "b", "c"]


def rows_of(y, *, sample_weight=None, p=P):
    with np.errstate(divide="ignore"):
        return Predictions.from_log_probabilities(
            np.log(p), y, classes=CLASSES, sample_weight=sample_weight
        )


@pytest.fixture(scope="module")
def digits_model():
    X, y = load_digits(return_X_y=True)
    X = X / 16
    return LogisticRegression(C=0.1, tol=0.01).fit(X[:1000], y[:1000]), X, y


def test_cross_entropy_accuracy_and_weights_agree_with_scikit_learn(digits_model):
    model, X, y = digits_model
    weight = np.random.default_rng(0).uniform(0, 3, size=797)

    result = evaluate(model, X[1000:], y[1000:], sample_weight=weight)

    p = model.predict_proba(X[1000:])
    # Both sum 797 terms in float64: n·eps ≈ 2e-13 relative.
    assert result.cross_entropy == pytest.approx(
        log_loss(y[1000:], p, sample_weight=weight, labels=model.classes_), rel=1e-12
    )
    assert result.accuracy == pytest.approx(
        accuracy_score(y[1000:], model.predict(X[1000:]), sample_weight=weight), rel=1e-12
    )
    assert (result.n_rows, result.n_classes, result.soft_targets) == (797, 10, False)


def test_bits_are_nats_over_log_2_and_exact_for_powers_of_two():
    record = evaluation(rows_of(["a", "c"], p=P[:2])).as_dict()

    assert record["cross_entropy_bits"] == pytest.approx(2.0, rel=1e-15)  # (1 + 3) / 2
    assert record["uniform_baseline_bits"] == pytest.approx(math.log2(3), rel=1e-15)


def test_soft_targets_give_expected_accuracy_and_the_entropy_floor():
    y = np.array([[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]])

    result = evaluation(rows_of(y, p=P[:2]))

    # Most probable: a, then b; the targets' mass on them: 0.5 and 0.75.
    assert result.accuracy == pytest.approx(0.625, rel=1e-15)
    floor = (math.log(2) + stats.entropy([0.25, 0.75])) / 2
    assert result.target_entropy == pytest.approx(floor, rel=1e-14)
    divergence = (stats.entropy(y[0], P[0]) + stats.entropy(y[1], P[1])) / 2
    assert result.divergence == pytest.approx(divergence, rel=1e-13)
    assert result.cross_entropy == pytest.approx(floor + divergence, rel=1e-14)
    assert result.soft_targets


def test_soft_targets_equal_repeated_weighted_rows():
    y = np.array([[0.1, 0.2, 0.7], [0.0, 0.5, 0.5], [0.3, 0.3, 0.4], [1.0, 0.0, 0.0]])
    weight = np.array([1.0, 2.0, 0.5, 3.0])

    soft = evaluation(rows_of(y, sample_weight=weight))
    hard = evaluation(
        rows_of(
            np.tile(CLASSES, 4),
            p=np.repeat(P, 3, axis=0),
            sample_weight=(weight[:, None] * y).ravel(),
        )
    )

    assert soft.cross_entropy == pytest.approx(hard.cross_entropy, rel=1e-14)
    assert soft.accuracy == pytest.approx(hard.accuracy, rel=1e-14)
    assert soft.frequency_baseline == pytest.approx(hard.frequency_baseline, rel=1e-14)


def test_sparse_targets_and_frames_in_another_column_order_mean_the_same():
    y = np.array([[0.1, 0.2, 0.7], [0.0, 0.5, 0.5], [0.3, 0.3, 0.4], [1.0, 0.0, 0.0]])
    expected = evaluation(rows_of(y)).cross_entropy

    assert evaluation(rows_of(sparse.csr_array(y))).cross_entropy == expected
    frame = pd.DataFrame(y, columns=CLASSES)[["c", "a", "b"]]
    assert evaluation(rows_of(frame)).cross_entropy == expected
    assert evaluation(rows_of(pd.DataFrame(y))).cross_entropy == expected


def test_baselines_are_log_q_and_the_cross_entropy_of_the_given_frequencies():
    own = evaluation(rows_of(["a", "a", "b", "c"]))
    given_ones = evaluation(rows_of(["a", "a", "b", "c"]), class_frequencies=[1, 2, 1])

    assert own.uniform_baseline == pytest.approx(math.log(3), rel=1e-15)
    assert own.frequency_baseline == pytest.approx(stats.entropy([2, 1, 1]), rel=1e-14)
    assert own.frequencies_from == "these rows"
    expected = -(2 * math.log(0.25) + math.log(0.5) + math.log(0.25)) / 4
    assert given_ones.frequency_baseline == pytest.approx(expected, rel=1e-14)
    assert given_ones.frequencies_from == "training rows"


def test_a_class_that_the_training_rows_lack_makes_the_frequency_baseline_infinite():
    result = evaluation(rows_of(["a", "b", "c", "a"]), class_frequencies=[0.5, 0.5, 0])

    assert result.frequency_baseline == math.inf
    assert evaluation(
        rows_of(["a", "b", "a", "a"]), class_frequencies=[0.75, 0.25, 0]
    ).frequency_baseline == pytest.approx(stats.entropy([3, 1]), rel=1e-14)


def test_class_frequencies_are_weighted_shares():
    weighted = class_frequencies(["a", "c", "a"], classes=CLASSES, sample_weight=[1, 2, 1])
    soft = class_frequencies([[0.5, 0.5, 0], [0, 0, 1]], classes=CLASSES)

    assert weighted.tolist() == [0.5, 0, 0.5]
    assert soft.tolist() == [0.25, 0.25, 0.5]


def test_an_impossible_class_makes_the_cross_entropy_infinite_unless_its_weight_is_zero():
    p = np.array([[1.0, 0.0, 0.0], [0.5, 0.25, 0.25]])

    assert evaluation(rows_of(["b", "a"], p=p)).cross_entropy == math.inf
    assert math.isnan(evaluation(rows_of(["b", "a"], p=p)).cross_entropy_standard_error)
    left_out = evaluation(rows_of(["b", "a"], p=p, sample_weight=[0, 1]))
    assert left_out.cross_entropy == pytest.approx(math.log(2), rel=1e-15)
    soft = evaluation(rows_of([[1, 0, 0], [0, 0.5, 0.5]], p=p))  # 0 · ∞ = 0
    assert soft.cross_entropy == pytest.approx(math.log(4) / 2, rel=1e-15)


def test_the_standard_error_is_scipys_and_weights_count_as_repeated_sampling():
    rows = rows_of(["a", "a", "b", "c"])

    assert evaluation(rows).cross_entropy_standard_error == pytest.approx(
        stats.sem(rows.surprisal), rel=1e-13
    )
    # √(n/(n−1) Σ wᵢ² (xᵢ − mean)²) by hand: surprisals log 2 and log 8, weights 3/4 and 1/4.
    mean = (3 * math.log(2) + math.log(8)) / 4
    by_hand = math.hypot(0.75 * (math.log(2) - mean), 0.25 * (math.log(8) - mean)) * math.sqrt(2)
    weighted = evaluation(rows_of(["a", "a"], p=P[:2], sample_weight=[3, 1]))
    assert weighted.cross_entropy_standard_error == pytest.approx(by_hand, rel=1e-14)


@given(n=st.integers(1, 10_000), share=st.floats(0, 1), confidence=st.sampled_from([0.5, 0.95]))
@settings(max_examples=50, deadline=None)
def test_the_wilson_interval_is_scipys(n, share, confidence):
    k = round(share * n)
    reference = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")

    low, high = wilson_interval(k / n, n, confidence=confidence)

    # centre ± half cancels at k = 0, hence an absolute tolerance of a few eps.
    assert low == pytest.approx(reference.low, rel=1e-9, abs=1e-15)
    assert high == pytest.approx(reference.high, rel=1e-9)


def test_weights_widen_the_accuracy_interval_by_the_effective_number_of_rows():
    weighted = evaluation(rows_of(["a", "b", "c", "a"], sample_weight=[1, 1, 1, 3]))

    # Right: 0, 1, 2; effective rows (Σs)²/Σs² = 36/12 = 3.
    assert weighted.accuracy == pytest.approx(0.5, rel=1e-15)
    assert weighted.accuracy_interval == pytest.approx(wilson_interval(0.5, 3), rel=1e-14)


def test_an_unknown_class_is_named_with_its_first_row_and_a_remedy(digits_model):
    model, X, y = digits_model
    y = np.concatenate([y[:5], [77, 77]])

    with pytest.raises(InputError, match=r"row 5 has class 77, .*Leave out the 2 row\(s\)"):
        evaluate(model, X[:7], y)
    with pytest.raises(InputError, match=r"row 0 has class '0', .* knows 0, 1, 2"):
        evaluate(model, X[:1], ["0"])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([[0.5, 0.5, 0.0], [0.5, 0.43, 0.0]], "row 1 sums to 0.93; rows must sum to 1"),
        ([[0.5, 0.5, 0.0], [1.5, -0.5, 0.0]], "row 1 column 1 is -0.5"),
        ([[np.nan, 0.5, 0.5], [1, 0, 0]], "row 0 column 0 is nan"),
        ([[0.5, 0.5], [1, 0]], r"shape \(2, 2\).*\(n, 3\)"),
        (["a", "b", "c"], "X has 2 rows and y has 3"),
        (pd.DataFrame([[1, 0, 0]] * 2, columns=["a", "b", "x"]), "no column named 'c'"),
    ],
)
def test_targets_that_cannot_be_used_are_refused_with_row_and_value(y, message):
    with pytest.raises(InputError, match=message):
        rows_of(y, p=P[:2])


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, -2], "row 1 is -2.0"),
        ([np.inf, 1], "row 0 is inf"),
        ([0, 0], "0 in every row"),
        ([1], r"shape \(1,\)"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(weight, message):
    with pytest.raises(InputError, match=message):
        rows_of(["a", "b"], p=P[:2], sample_weight=weight)


def test_logits_and_probabilities_are_not_taken_for_log_probabilities():
    with pytest.raises(InputError, match=r"Row 0 .* not logits"):
        Predictions.from_log_probabilities([[3.0, 1.0, 0.5]], ["a"], classes=CLASSES)
    with pytest.raises(InputError, match="not 1"):
        Predictions.from_log_probabilities(P, ["a"] * 4, classes=CLASSES)
    with pytest.raises(InputError, match="sum to nan"):
        Predictions.from_log_probabilities([[np.nan] * 3], ["a"], classes=CLASSES)
    with pytest.raises(InputError, match="no rows"):
        Predictions.from_log_probabilities(np.empty((0, 3)), [], classes=CLASSES)


def test_float32_targets_may_be_off_by_float32_rounding_and_are_renormalised():
    y = np.array([[0.5, 0.5 + 5e-5, 0.0]], dtype=np.float32)

    rows = rows_of(y, p=P[:1])

    # An exact renormalisation leaves one rounding per entry.
    assert rows.targets.sum() == pytest.approx(1, abs=1e-15)
    with pytest.raises(InputError, match="sums to"):
        rows_of(y.astype(np.float64), p=P[:1])


def test_models_without_probabilities_or_not_fitted_are_refused():
    X, y = [[0.0], [1.0]], ["a", "b"]

    with pytest.raises(InputError, match=r"CalibratedClassifierCV"):
        evaluate(Perceptron().fit(X, y), X, y)
    with pytest.raises(InputError, match="Fit it first"):
        evaluate(LogisticRegression(), X, y)


def test_a_model_with_only_predict_proba_will_do():
    class Constant:
        classes_ = np.array(["a", "b", "c"])

        def predict_proba(self, X):
            return np.tile([0.5, 0.5, 0.0], (len(X), 1))

    rows = predict_rows(Constant(), [[1], [2]], ["a", "b"])

    assert rows.surprisal == pytest.approx([math.log(2)] * 2, rel=1e-15)
    assert evaluation(rows).accuracy == 0.5  # ties go to the first class


@pytest.mark.parametrize("n", [20, 49, 1000])
def test_an_accuracy_is_never_above_one(n):
    # 20 times 1/20 is 1 + 2.2e-16 in float64.
    rows = Predictions.from_log_probabilities(
        np.log(np.tile([0.75, 0.25], (n, 1))), np.zeros(n, dtype=int), classes=[0, 1]
    )

    found = evaluation(rows)
    assert found.accuracy == pytest.approx(1.0, rel=1e-15)
    assert found.accuracy <= 1.0
    assert found.accuracy_interval[1] == 1.0


def test_log_probabilities_are_asked_for_before_probabilities_lose_them():
    class Sure:
        classes_ = np.array(["a", "b"])

        def predict_log_proba(self, X):
            return np.tile([0.0, -800.0], (len(X), 1))  # exp(−800) is 0 in float64

        def predict_proba(self, X):
            return np.tile([1.0, 0.0], (len(X), 1))

    assert evaluate(Sure(), [[1]], ["b"]).cross_entropy == 800
