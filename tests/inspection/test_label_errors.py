"""Out-of-fold surprisal and the confident joint: by their definitions, and on planted errors."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from crossent import SoftmaxRegression
from crossent.errors import InputError
from crossent.inspection import (
    Predictions,
    confident_joint,
    out_of_fold_predictions,
    surprising_rows,
    suspicious_labels,
)


@pytest.fixture(scope="module")
def planted():
    """Digits of which 40 labels are wrong, and out-of-fold predictions."""
    X, y = load_digits(return_X_y=True)
    X, given = X[:900] / 16, y[:900].copy()
    rng = np.random.default_rng(0)
    wrong = rng.choice(900, size=40, replace=False)
    given[wrong] = (given[wrong] + rng.integers(1, 10, size=40)) % 10
    rows = out_of_fold_predictions(LogisticRegression(C=0.3, max_iter=300), X, given)
    return X, given, np.isin(np.arange(900), wrong), rows


def joint_by_definition(rows, classes):
    """Counts by two loops over the rows."""
    p, y = np.exp(rows.log_probabilities), rows.labels
    t = [p[y == j, j].mean() if (y == j).any() else np.inf for j in range(classes)]
    counts, suspects = np.zeros((classes, classes)), []
    for i in range(len(y)):
        able = [j for j in range(classes) if p[i, j] >= t[j]]
        if able:
            best = max(able, key=lambda j: p[i, j])
            counts[y[i], best] += 1
            if best != y[i]:
                suspects.append(i)
    return counts, sorted(suspects, key=lambda i: p[i, y[i]])


def test_out_of_fold_predictions_are_scikit_learns(planted):
    X, given, _, rows = planted
    model = LogisticRegression(C=0.3, max_iter=300)

    expected = cross_val_predict(model, X, given, cv=5, method="predict_log_proba")

    assert rows.log_probabilities == pytest.approx(expected, rel=1e-9)
    assert (rows.classes[rows.labels] == given).all()


def test_the_confident_joint_is_what_its_definition_says(planted):
    *_, rows = planted

    found = confident_joint(rows)

    counts, suspects = joint_by_definition(rows, 10)
    assert (found.counts == counts).all()
    assert found.suspects.tolist() == suspects
    assert np.trace(counts) > 400  # else all of this is about nothing
    assert 20 < len(suspects) < 200


def test_planted_errors_are_found_and_counted(planted):
    _, _, wrong, rows = planted

    found = confident_joint(rows)

    assert roc_auc_score(wrong, rows.surprisal) > 0.98
    assert wrong[found.suspects[:20]].mean() > 0.9
    assert wrong[found.suspects].sum() >= 20  # thresholds are for the sure ones
    # 40 of 900; the model is itself wrong about some 5 % of the rows.
    assert 0.03 < found.estimated_error_share < 0.12


def test_the_joint_sums_to_one_with_the_labels_shares_as_margins(planted):
    _, given, _, rows = planted

    found = confident_joint(rows)

    assert found.joint.sum(axis=1) == pytest.approx(np.bincount(given) / 900, rel=1e-12)
    assert found.noise.sum(axis=0) == pytest.approx(1, rel=1e-12)
    assert found.noise == pytest.approx(found.joint / found.joint.sum(axis=0), rel=1e-12)
    ratio = found.joint[3] / found.counts[3].clip(1e-300)
    assert np.ptp(ratio[found.counts[3] > 0]) == pytest.approx(0, abs=1e-15)
    assert found.estimated_error_share == pytest.approx(1 - np.trace(found.joint), rel=1e-12)


def test_known_noise_is_estimated_where_the_probabilities_are_right():
    rng = np.random.default_rng(1)
    true = rng.integers(3, size=30000)
    noise = np.array([[0.9, 0.1, 0.0], [0.05, 0.8, 0.0], [0.05, 0.1, 1.0]])  # P(label | true)
    given = (noise.cumsum(axis=0)[:, true] < rng.uniform(size=30000)).sum(axis=0)
    p = np.full((30000, 3), 0.01)
    p[np.arange(30000), true] = 0.98

    found = confident_joint(Predictions.from_log_probabilities(np.log(p), given, classes=[0, 1, 2]))

    # 10,000 rows a class: a share of 0.1 is known to 0.003, four of which are allowed.
    assert found.noise == pytest.approx(noise, abs=0.012)


def test_suspicious_labels_are_the_most_surprising_of_the_suspects(planted):
    *_, rows = planted
    joint = confident_joint(rows)

    found = suspicious_labels(rows, k=15)

    assert [row.row for row in found] == joint.suspects[:15].tolist()
    assert all(row.predicted != row.target for row in found)
    assert [r.row for r in surprising_rows(rows, k=3, among=joint.suspects[5:])] == joint.suspects[
        5:8
    ].tolist()


def test_weights_count_rows_and_a_row_of_weight_zero_is_no_suspect(planted):
    *_, rows = planted
    first = confident_joint(rows).suspects[0]
    weight = np.ones(900)
    weight[first] = 0
    weighted = Predictions(rows.log_probabilities, rows.classes, rows.labels, None, weight)

    found = confident_joint(weighted)

    keep = weight > 0
    without = confident_joint(
        Predictions(
            rows.log_probabilities[keep], rows.classes, rows.labels[keep], None, np.ones(899)
        )
    )
    assert found.counts == pytest.approx(without.counts)
    assert first not in found.suspects
    assert found.thresholds == pytest.approx(without.thresholds, rel=1e-12)


def test_a_class_without_rows_is_nobodys_true_class():
    p = np.array([[0.6, 0.1, 0.3], [0.1, 0.2, 0.7], [0.2, 0.7, 0.1]])

    found = confident_joint(
        Predictions.from_log_probabilities(np.log(p), [0, 0, 1], classes=range(3))
    )

    assert found.thresholds[2] == np.inf
    assert found.counts[:, 2].tolist() == [0, 0, 0]
    assert found.noise[:, 2].tolist() == [0, 0, 0]
    assert np.isfinite(found.joint).all()


@pytest.mark.parametrize("n", [3, 6, 7, 10, 11])
def test_equal_probabilities_of_a_class_reach_their_own_mean(n):
    # The mean of n equal numbers may be rounded to above them; for one of these shares it is.
    for share in (0.1, 0.2, 0.3, 0.6, 0.7, 0.9):
        p = np.tile([share, 1 - share], (n, 1))
        rows = Predictions.from_log_probabilities(np.log(p), [0] * n, classes=[0, 1])

        assert confident_joint(rows).counts[0, 0] == n


def test_text_labels_weights_and_soft_targets_go_through():
    X, y = load_digits(return_X_y=True)
    X, y = X[:200] / 16, np.array([f"d{k}" for k in y[:200]])
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    weight = np.linspace(0.5, 1.5, 200)

    named = out_of_fold_predictions(SoftmaxRegression(), X, y, cv=folds, sample_weight=weight)
    soft = out_of_fold_predictions(
        SoftmaxRegression(), X, np.eye(10)[named.labels], cv=folds, sample_weight=weight
    )

    assert named.classes.tolist() == [f"d{k}" for k in range(10)]
    assert soft.targets.shape == (200, 10)
    # Proven to a relative gap of 1e-6 each.
    assert np.exp(soft.log_probabilities) == pytest.approx(
        np.exp(named.log_probabilities), abs=2e-3
    )
    with pytest.raises(InputError, match="needs labels"):
        confident_joint(soft)


def test_what_cannot_be_asked_is_refused():
    X, y = load_digits(return_X_y=True)

    with pytest.raises(InputError, match="takes no `sample_weight`"):
        out_of_fold_predictions(KNeighborsClassifier(), X, y, sample_weight=np.ones(len(y)))
    with pytest.raises(InputError, match="2 rows and y has 3"):
        out_of_fold_predictions(LogisticRegression(), X[:2], y[:3])
