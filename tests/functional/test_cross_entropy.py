"""The loss against mpmath, its edges, and the weighted mean by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crossent.functional import (
    entropy,
    log_softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_gradient,
    softmax_cross_entropy_hessian,
)

EPS = 2.0**-52
INF, NAN = math.inf, math.nan

logit_rows = hnp.arrays(np.float64, st.integers(1, 6), elements=st.floats(-300, 300))


def weighted_by_hand(z, y, s, c, smoothing, reduction):
    """The definition of DESIGN, one row at a time, in Python floats."""
    q = z.shape[1]
    losses, weights = [], []
    for row, target, weight in zip(z.tolist(), y.tolist(), s, strict=True):
        log_partition = math.log(sum(math.exp(x) for x in row))
        smooth = [(1 - smoothing) * t + smoothing / q for t in target]
        losses.append(sum(t * (log_partition - x) for t, x in zip(smooth, row, strict=True)))
        weights.append(weight * sum(a * b for a, b in zip(c, target, strict=True)))
    products = [a * b for a, b in zip(weights, losses, strict=True)]
    if reduction == "none":
        return products
    return sum(products) / sum(weights) if reduction == "mean" else sum(products)


# Accuracy


def test_the_loss_of_every_label_is_relatively_accurate_to_its_bound(case, oracle):
    backend, z, floats = case
    q = len(floats)
    relative = (oracle.runner_up(floats) + 3 * q + 12) * backend.eps
    labels = range(q) if q < 50 else (0, 7, q - 1)

    for label in labels:
        exact = oracle.loss(floats, [float(j == label) for j in range(q)])
        bound = 0 if math.isinf(exact) else relative * exact
        actual = softmax_cross_entropy(z, label)
        oracle.assert_within([backend.floats(actual)], [exact], [bound], backend.dtype)


def test_the_loss_of_a_distribution_is_relatively_accurate_to_its_bound(case, oracle):
    backend, z, floats = case
    y = oracle.soft_target(floats)

    exact = oracle.loss(floats, y)
    bound = (oracle.runner_up(floats) + 3 * len(floats) + 12) * backend.eps * exact
    reach = max(d for d, t in zip(oracle.distances(floats), y, strict=True) if t)
    if reach > oracle.HUGE[backend.working]:
        exact, bound = oracle.mpmath.inf, 0  # documented: the distance of two logits overflows

    actual = softmax_cross_entropy(z, backend.asarray(y))
    oracle.assert_within([backend.floats(actual)], [exact], [bound], backend.dtype)


def test_what_other_libraries_round_to_zero_is_kept():
    # mpmath: log1p(exp(-20)) = 2.0611536181902036e-9, within 3 eps of float32
    loss = softmax_cross_entropy(np.asarray([20, 0], dtype=np.float32), 0)
    assert loss.dtype == np.float32
    assert float(loss) == pytest.approx(2.0611536181902036e-09, rel=3 * 2.0**-23, abs=0)
    # p - 1 = -1 / (1 + e^40), which 1 - 1 loses
    gradient = softmax_cross_entropy_gradient([0.0, -40.0], 0)
    np.testing.assert_allclose(
        gradient, [-4.248354255291589e-18, 4.248354255291589e-18], rtol=4 * EPS
    )


# Edges


@pytest.mark.parametrize(
    ("logits", "y", "smoothing", "loss", "gradient"),
    [  # claims S18 and S37, and the table in crossent.functional.softmax
        ([0.0, -800.0], 1, 0.0, 800.0, [1.0, -1.0]),
        ([0.0, -800.0], 0, 0.0, 0.0, [0.0, 0.0]),
        ([0.0, -INF], 0, 0.0, 0.0, [0.0, 0.0]),
        ([0.0, -INF], 1, 0.0, INF, [1.0, -1.0]),
        ([0.0, -INF], [1.0, 0.0], 0.0, 0.0, [0.0, 0.0]),
        ([0.0, -INF], [0.5, 0.5], 0.0, INF, [0.5, -0.5]),
        ([0.0, 0.0, -INF], [0.25, 0.75, 0.0], 0.0, math.log(2), [0.25, -0.25, 0.0]),
        ([0.0, 0.0, -INF], 0, 0.25, INF, [0.5 - 10 / 12, 0.5 - 1 / 12, -1 / 12]),
        ([0.0, 0.0, -INF], 2, 1.0, INF, [1 / 6, 1 / 6, -1 / 3]),
        ([-INF, -INF], 0, 0.0, NAN, [NAN, NAN]),
        ([-INF, -INF], [0.5, 0.5], 0.0, NAN, [NAN, NAN]),
        ([INF, 0.0], 0, 0.0, NAN, [NAN, NAN]),
        ([INF, 0.0], 1, 0.0, NAN, [NAN, NAN]),
        ([INF, 0.0], [0.0, 1.0], 0.0, NAN, [NAN, NAN]),
        ([NAN, 0.0], [0.0, 1.0], 0.0, NAN, [NAN, NAN]),
    ],
)
def test_the_loss_and_its_gradient_follow_the_edge_table(
    backend, logits, y, smoothing, loss, gradient
):
    z = backend.asarray(logits)
    y = backend.asarray(y) if isinstance(y, list) else y
    tolerance = 4 * max(2.0**-52, 2.0**-10 if backend.working != backend.dtype else 2.0**-23)
    tolerance = 2.0**-5 if backend.dtype == "bfloat16" else tolerance

    actual = softmax_cross_entropy(z, y, label_smoothing=smoothing)
    actual_gradient = softmax_cross_entropy_gradient(z, y, label_smoothing=smoothing)

    np.testing.assert_allclose(backend.floats(actual), loss, rtol=tolerance, atol=0)
    np.testing.assert_allclose(
        backend.floats(actual_gradient), gradient, rtol=tolerance, atol=tolerance * 0.01
    )


def test_a_row_of_weight_zero_contributes_nothing_whatever_it_holds(backend):
    z = backend.asarray([[0.0, 1.0], [NAN, 0.0], [-INF, -INF], [0.0, -INF]])
    options = {"sample_weight": [1.0, 0.0, 0.0, 0.0]}

    alone = softmax_cross_entropy(z[:1, :], [1])
    assert backend.floats(softmax_cross_entropy(z, [1, 0, 0, 1], **options)) == backend.floats(
        alone
    )
    for reduction in ("mean", "none"):
        gradient = softmax_cross_entropy_gradient(z, [1, 0, 0, 1], reduction=reduction, **options)
        hessian = softmax_cross_entropy_hessian(z, reduction=reduction, **options)
        assert not np.any(backend.floats(gradient)[1:])
        assert not np.any(backend.floats(hessian)[1:])
        assert np.all(backend.floats(gradient)[0])
    losses = softmax_cross_entropy(z, [1, 0, 0, 1], reduction="none", **options)
    assert backend.floats(losses)[1:] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("seed", range(8))
def test_sums_over_rows_are_accumulated_in_double_precision(seed):
    # The float32 sum of 5000 numbers is off by a unit now and then, even added up in pairs.
    z = (np.random.default_rng(seed).normal(size=(5000, 3)) * 5).astype(np.float32)
    y = np.zeros(5000, dtype=int)
    losses = softmax_cross_entropy(z, y, reduction="none")

    exact = math.fsum(losses)

    assert softmax_cross_entropy(z, y, reduction="sum") == np.float32(exact)
    assert softmax_cross_entropy(z, y, reduction="mean") == np.float32(exact / 5000)


# Options


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weights", ["none", "rows", "classes", "both"])
@pytest.mark.parametrize("hard", [True, False])
def test_weights_smoothing_and_reduction_follow_the_definition(
    reduction, smoothing, weights, hard, oracle
):
    z, labels, y, s, c = oracle.random_problem()
    targets = np.eye(4)[labels] if hard else y
    s = s if weights in ("rows", "both") else np.ones(7)
    c = c if weights in ("classes", "both") else np.ones(4)

    expected = weighted_by_hand(z, targets, s, c, smoothing, reduction)
    actual = softmax_cross_entropy(
        z,
        labels if hard else y,
        sample_weight=s if weights in ("rows", "both") else None,
        class_weight=c if weights in ("classes", "both") else None,
        label_smoothing=smoothing,
        reduction=reduction,
    )

    # About 30 operations on numbers of one size, on both sides
    np.testing.assert_allclose(actual, expected, rtol=60 * EPS, atol=0)


@pytest.mark.parametrize("ignore_index", [-100, 2])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ignored_rows_are_left_out_of_loss_and_mean(reduction, ignore_index, oracle):
    z, labels, _, s, c = oracle.random_problem(3)
    labels[[1, 4]] = ignore_index
    kept = labels != ignore_index
    options = {"class_weight": c, "label_smoothing": 0.1, "reduction": reduction}

    actual = softmax_cross_entropy(z, labels, sample_weight=s, ignore_index=ignore_index, **options)
    expected = softmax_cross_entropy(z[kept], labels[kept], sample_weight=s[kept], **options)

    if reduction == "none":
        assert not np.any(actual[~kept])
        actual = actual[kept]
    np.testing.assert_allclose(actual, expected, rtol=8 * EPS, atol=0)


def test_an_integer_weight_is_a_repeated_row(oracle):
    z, labels, y, _, c = oracle.random_problem(1)
    times = np.asarray([1, 2, 3, 1, 2, 1, 4])
    repeat = np.repeat(np.arange(7), times)

    for target in (labels, y):
        weighted = softmax_cross_entropy(z, target, sample_weight=times, class_weight=c)
        repeated = softmax_cross_entropy(z[repeat], target[repeat], class_weight=c)
        np.testing.assert_allclose(weighted, repeated, rtol=20 * EPS)


def test_more_leading_axes_are_more_rows(oracle):
    z, labels, y, s, _ = oracle.random_problem(2, n=6)

    for target in (labels, y):
        flat = softmax_cross_entropy(z, target, sample_weight=s)
        shaped = softmax_cross_entropy(
            z.reshape(2, 3, 4),
            target.reshape(2, 3, *target.shape[1:]),
            sample_weight=s.reshape(2, 3),
        )
        assert shaped == flat


def test_the_smoothed_loss_has_the_floor_and_gap_of_the_claims():
    # claim S22: ε = 0.1, q = 10: floor .5002880350577578 at the logit gap log 91
    z = [math.log(91)] + [0.0] * 9

    assert softmax_cross_entropy(z, 0, label_smoothing=0.1) == pytest.approx(
        0.5002880350577578, rel=8 * EPS, abs=0
    )
    gradient = softmax_cross_entropy_gradient(z, 0, label_smoothing=0.1)
    np.testing.assert_allclose(gradient, 0, atol=8 * EPS)
    assert np.max(np.abs(softmax_cross_entropy_gradient(z, 0))) > 0.05


@pytest.mark.parametrize(
    ("logits", "y", "expected"),
    [  # claims S17, S19, S22, S81; mpmath
        ([[1.0, 2.0, 3.0]], [0], 2.40760596444438),
        ([[1.0, 2.0, 3.0]], [2], 0.4076059644443803),
        ([[1.0, 2.0, 3.0]], [[0.0, 1.0, 0.0]], 1.4076059644443804),
        ([[1.0, 2.0, 3.0]], [[0.1, 0.2, 0.7]], 0.8076059644443804),
        ([[0.0] * 3] * 8, [1] * 8, 1.0986122886681098),
        ([[0.0, 1.0], [2.0, 0.0]], [0, 1], 1.7200948492805977),
        ([[1000.0, 1001.0], [1002.0, 1000.0]], [0, 1], 1.7200948492805977),
        ([[2.0, 2.0, 1.0]], [0], 0.8619948040582511),
    ],
)
def test_known_losses(logits, y, expected):
    # The last digit printed, and one rounding of ours
    assert softmax_cross_entropy(logits, y) == pytest.approx(expected, rel=6 * EPS, abs=0)


# Derivatives by differences, in the reduced and weighted form


# Identities


@given(logit_rows, st.integers(0, 2**32 - 1))
def test_the_loss_is_the_expected_loss_of_a_drawn_label(z, seed):
    y = np.random.default_rng(seed).dirichlet(np.ones(len(z)))
    labels = [softmax_cross_entropy(z, j) for j in range(len(z))]

    assert softmax_cross_entropy(z, y) == pytest.approx(
        y @ labels, rel=(4 * len(z) + 10) * EPS, abs=0
    )


@given(logit_rows)
def test_a_one_hot_row_is_its_label(z):
    for label in range(len(z)):
        one_hot = np.eye(len(z))[label]
        assert softmax_cross_entropy(z, one_hot) == softmax_cross_entropy(z, label)
        np.testing.assert_array_equal(
            softmax_cross_entropy_gradient(z, one_hot), softmax_cross_entropy_gradient(z, label)
        )


@given(logit_rows, st.integers(0, 2**32 - 1))
def test_the_loss_is_never_less_than_the_entropy_of_the_target(z, seed):
    y = np.random.default_rng(seed).dirichlet(np.ones(len(z)))
    floor = entropy(y)

    assert softmax_cross_entropy(z, y) >= floor - 8 * len(z) * EPS * (1 + floor)
    assert softmax_cross_entropy(np.log(y + (y == 0)), y) == pytest.approx(floor, abs=1e-9)


@given(logit_rows)
def test_the_loss_of_a_label_is_its_negative_log_probability(z):
    for label in range(len(z)):
        assert softmax_cross_entropy(z, label) == -log_softmax(z)[label]
