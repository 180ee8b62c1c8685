"""What comes in: libraries, dtypes, devices, lists; one clear message for what cannot be used."""

import math
import warnings

import numpy as np
import pytest

from crossent import functional
from crossent.errors import InputError
from crossent.functional import (
    cross_entropy,
    entropy,
    js_divergence,
    kl_divergence,
    linear_softmax_cross_entropy,
    log_softmax,
    logsumexp,
    mutual_information,
    perplexity,
    real_softmax,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_gradient,
    softmax_cross_entropy_hessian,
    softmax_cross_entropy_hessian_vector,
    softmin,
    surprisal,
)

INF = math.inf
Z = [[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]]
P = [[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]
Q = [[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]]

# Every public function, called on two rows of three classes; `a` makes the arrays.
CALLS = {
    "softmax": lambda a: softmax(a(Z)),
    "softmax, temperature": lambda a: softmax(a(Z), temperature=0.7),
    "log_softmax": lambda a: log_softmax(a(Z)),
    "logsumexp": lambda a: logsumexp(a(Z)),
    "real_softmax": lambda a: real_softmax(a(Z), inverse_temperature=-2.0),
    "real_softmax, limit": lambda a: real_softmax(a(Z), inverse_temperature=INF),
    "softmin": lambda a: softmin(a(Z)),
    "loss, labels": lambda a: softmax_cross_entropy(a(Z), [2, 0]),
    "loss, rows": lambda a: softmax_cross_entropy(a(Z), [2, 0], reduction="none"),
    "loss, targets": lambda a: softmax_cross_entropy(a(Z), a(P), sample_weight=[1, 2]),
    "gradient": lambda a: softmax_cross_entropy_gradient(a(Z), [2, 0], class_weight=[1, 2, 3]),
    "gradient, smooth": lambda a: softmax_cross_entropy_gradient(a(Z), a(P), label_smoothing=0.1),
    "hessian": lambda a: softmax_cross_entropy_hessian(a(Z)),
    "hessian_vector": lambda a: softmax_cross_entropy_hessian_vector(a(Z), a(P)),
    "linear": lambda a: linear_softmax_cross_entropy(a(P), a(Z), a([0.0, 1.0]), [1, 0]).loss,
    "linear, by W": lambda a: linear_softmax_cross_entropy(a(P), a(Z), None, [1, 0]).gradient_W,
    "entropy": lambda a: entropy(a(P)),
    "entropy, logits": lambda a: entropy(a(Z), from_logits=True),
    "surprisal": lambda a: surprisal(a(P), base=2),
    "cross_entropy": lambda a: cross_entropy(a(P), a(Q)),
    "kl_divergence": lambda a: kl_divergence(a(P), a(Q)),
    "kl_divergence, logits": lambda a: kl_divergence(a(Z), a(P), from_logits=True),
    "js_divergence": lambda a: js_divergence(a(P), a(Q)),
    "js_divergence, logits": lambda a: js_divergence(a(Z), a(P), from_logits=True),
    "perplexity": lambda a: perplexity(a(P), a(Q)),
    "mutual_information": lambda a: mutual_information(a([[0.5, 0.25], [0.0, 0.25]])),
    "mutual_information, logits": lambda a: mutual_information(a(Z), from_logits=True),
}


def test_every_function_returns_library_dtype_and_device_that_it_was_given(backend):
    # All entries of Z, P and Q are short binary fractions, so 16 bits round results only.
    tolerance = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2e-6, "float64": 1e-14}
    for name, call in CALLS.items():
        result = call(backend.asarray)

        actual = backend.floats(result)  # asserts library and dtype
        assert result.device == backend.asarray([0.0]).device, name
        expected = np.asarray(call(lambda x: np.asarray(x, dtype=np.float64)))
        np.testing.assert_allclose(
            actual, expected, rtol=1.01 * tolerance[backend.dtype], err_msg=name
        )
        assert np.all(np.abs(expected) > 0.001)  # so that zeros fail


@pytest.mark.parametrize("name", CALLS)
def test_lists_give_double_precision_of_numpy(name):
    result = CALLS[name](lambda x: x)

    assert isinstance(result, np.ndarray | np.float64)
    assert result.dtype == np.float64


def test_integers_and_booleans_become_the_default_float_of_the_library(backend):
    default = backend.xp.asarray(0.0).dtype

    assert softmax(backend.xp.asarray([[1, 2, 3]])).dtype == default
    assert entropy(backend.xp.asarray([[True, False]])).dtype == default
    np.testing.assert_array_equal(softmax([1, 2, 3]), softmax([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(entropy([True, False]), 0.0)


def test_lists_beside_an_array_take_its_dtype_and_mixed_floats_the_wider():
    p = np.asarray([0.5, 0.5], dtype=np.float32)

    assert kl_divergence(p, [0.25, 0.75]).dtype == np.float32
    assert kl_divergence(p.astype(np.float16), [0.25, 0.75]).dtype == np.float16
    assert kl_divergence(p.astype(np.float64), [0.1, 0.9]) == kl_divergence([0.5, 0.5], [0.1, 0.9])
    assert kl_divergence(p, np.asarray([0.25, 0.75])).dtype == np.float64
    assert softmax_cross_entropy(p, np.asarray([0.25, 0.75])).dtype == np.float32
    assert softmax_cross_entropy(p, 0, sample_weight=np.float64(2.0)).dtype == np.float32


def test_one_hot_integers_are_distributions():
    z = np.asarray(Z)

    assert softmax_cross_entropy(z, [[0, 0, 1], [1, 0, 0]]) == softmax_cross_entropy(z, [2, 0])
    assert softmax_cross_entropy(z, np.eye(3, dtype=bool)[:2]) == softmax_cross_entropy(z, [0, 1])


def test_unsigned_and_short_labels_are_labels():
    for dtype in (np.uint8, np.int8, np.int32):
        labels = np.asarray([2, 0], dtype=dtype)
        assert softmax_cross_entropy(Z, labels) == softmax_cross_entropy(Z, [2, 0])


def test_frames_are_read_as_arrays():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")

    np.testing.assert_array_equal(softmax(pandas.DataFrame(Z)), softmax(Z))
    loss = softmax_cross_entropy(pandas.DataFrame(Z), pandas.Series([2, 0], index=[7, 8]))
    assert loss == softmax_cross_entropy(Z, [2, 0])


def test_rows_that_sum_to_one_within_the_tolerance_are_divided_by_their_sum():
    y = np.asarray([0.1, 0.2, 0.7])

    for factor in (1 - 9e-7, 1 + 9e-7):
        scaled = softmax_cross_entropy(Z[0], y * factor)
        assert scaled == pytest.approx(softmax_cross_entropy(Z[0], y), rel=1e-15, abs=0)
        assert entropy(y * factor) == pytest.approx(entropy(y), rel=1e-14, abs=0)
        assert kl_divergence(y * factor, y) == pytest.approx(0, abs=1e-28)
        assert cross_entropy(y, y * factor) == pytest.approx(entropy(y), rel=1e-14, abs=0)


@pytest.mark.parametrize(
    ("dtype", "inside", "outside"),
    [  # 1e-6; 1e-4; two epsilons of 2^-10
        (np.float64, 9e-7, 1.1e-6),
        (np.float32, 9e-5, 1.1e-4),
        (np.float16, 1.9e-3, 2.1e-3),
    ],
)
def test_the_tolerance_of_row_sums_goes_with_the_dtype_of_the_distribution(dtype, inside, outside):
    for excess, accepted in [(inside, True), (outside, False), (-inside, True), (-outside, False)]:
        # Halves and small numbers hold the excess to a few per cent of the tolerance in any dtype.
        p = np.asarray([0.5, 0.5 - 0.01, 0.01 + excess], dtype=dtype)
        if not accepted:
            with pytest.raises(InputError, match=r"sums to .* within"):
                entropy(p)
        else:
            assert entropy(p) > 0


def test_what_softmax_makes_in_sixteen_bits_is_accepted_back():
    p = softmax(np.random.default_rng(0).normal(size=(50, 2000)).astype(np.float16))

    assert np.all(entropy(p) > 6)


INVALID = {
    "labels too large": (
        lambda: softmax_cross_entropy(Z, [2, 3]),
        r"`y` entry 1 is 3; labels must be in 0…2\. .*`ignore_index`",
    ),
    "labels negative": (
        lambda: softmax_cross_entropy(Z, [-100, 0]),
        r"`y` entry 0 is -100; labels must be in 0…2",
    ),
    "other labels than the ignored": (
        lambda: softmax_cross_entropy(Z, [-1, -100], ignore_index=-100),
        r"`y` entry 0 is -1; .* only -100",
    ),
    "labels as floats": (
        lambda: softmax_cross_entropy(Z, [1.0, 0.0]),
        r"`y` has shape \(2,\) and dtype float64; labels must be integers",
    ),
    "too many labels": (
        lambda: softmax_cross_entropy(Z, [0, 1, 2]),
        r"`y` has shape \(3,\); it must have shape \(2,\), one label per row",
    ),
    "transposed targets": (
        lambda: softmax_cross_entropy(Z, np.full((3, 2), 0.5)),
        r"`y` has shape \(3, 2\); it must have shape \(2, 3\).* Transpose it",
    ),
    "targets of another number of classes": (
        lambda: softmax_cross_entropy(Z, np.full((2, 4), 0.25)),
        r"`y` has shape \(2, 4\); it must have shape \(2, 3\)",
    ),
    "target sums": (
        lambda: softmax_cross_entropy(Z, [[0.5, 0.25, 0.25], [0.5, 0.33, 0.1]]),
        r"`y` row 1 sums to 0\.93; rows must sum to 1 within 1e-06\. Normalise.* or pass labels",
    ),
    "target negative": (
        lambda: softmax_cross_entropy(Z, [[0.5, 0.25, 0.25], [1.5, -0.5, 0.0]]),
        r"`y` entry \(1, 1\) is -0\.5; probabilities must not be negative or NaN",
    ),
    "target NaN": (
        lambda: softmax_cross_entropy(Z, [[math.nan, 0.5, 0.5], [1.0, 0.0, 0.0]]),
        r"`y` entry \(0, 0\) is nan",
    ),
    "targets and ignore_index": (
        lambda: softmax_cross_entropy(Z, P, ignore_index=-100),
        r"`ignore_index` is -100, but `y` holds distributions",
    ),
    "nothing to average": (
        lambda: softmax_cross_entropy(Z, [-100, -100], ignore_index=-100),
        r"weights of the 2 rows sum to 0 .*mean does not exist.*reduction='sum'",
    ),
    "no rows to average": (
        lambda: softmax_cross_entropy(np.zeros((0, 3)), np.zeros(0, dtype=int)),
        r"weights of the 0 rows sum to 0",
    ),
    "nothing to average in a gradient": (
        lambda: softmax_cross_entropy_gradient(Z, [0, 1], sample_weight=[0, 0]),
        r"weights of the 2 rows sum to 0",
    ),
    "weights that overflow": (
        lambda: softmax_cross_entropy(Z, [0, 1], sample_weight=[1e308, 1e308]),
        r"sum to inf",
    ),
    "weight negative": (
        lambda: softmax_cross_entropy(Z, [0, 1], sample_weight=[1.0, -2.0]),
        r"`sample_weight` entry 1 is -2; weights must be finite and not negative",
    ),
    "weight NaN": (
        lambda: softmax_cross_entropy(Z, [0, 1], class_weight=[1.0, math.nan, 1.0]),
        r"`class_weight` entry 1 is nan",
    ),
    "weights too many": (
        lambda: softmax_cross_entropy(Z, [0, 1], sample_weight=[1.0, 1.0, 1.0]),
        r"`sample_weight` has shape \(3,\); it must have shape \(2,\), one per row",
    ),
    "class weight without labels": (
        lambda: softmax_cross_entropy_hessian(Z, class_weight=[1.0, 1.0, 1.0]),
        r"`class_weight` was given without `y`",
    ),
    "ignore_index without labels": (
        lambda: softmax_cross_entropy_hessian_vector(Z, Z, ignore_index=0),
        r"`ignore_index` is 0, but `y` is not given",
    ),
    "vector of another shape": (
        lambda: softmax_cross_entropy_hessian_vector(Z, [1.0, 2.0, 3.0]),
        r"`vector` has shape \(3,\); it must have shape \(2, 3\)",
    ),
    "reduction": (
        lambda: softmax_cross_entropy(Z, [0, 1], reduction="average"),
        r"`reduction` is 'average'; it must be one of 'mean', 'sum', 'none'",
    ),
    "reduction of a layer": (
        lambda: linear_softmax_cross_entropy(P, Z, None, [0, 1], reduction="none"),
        r"`reduction` is 'none'; it must be one of 'mean', 'sum'\.",
    ),
    "smoothing": (
        lambda: softmax_cross_entropy(Z, [0, 1], label_smoothing=1.5),
        r"`label_smoothing` is 1\.5; it must lie between 0 and 1",
    ),
    "features": (
        lambda: linear_softmax_cross_entropy(P, [[1.0, 2.0]], None, [0, 0]),
        r"`W` has shape \(1, 2\); it must have shape \(1, 3\)",
    ),
    "intercepts": (
        lambda: linear_softmax_cross_entropy(P, Z, [1.0, 2.0, 3.0], [0, 0]),
        r"`b` has shape \(3,\); it must have shape \(2,\), one intercept per class",
    ),
    "ragged": (
        lambda: softmax([[1.0, 2.0], [3.0]]),
        r"`logits` is not a rectangular array of numbers",
    ),
    "text": (lambda: softmax(["a", "b"]), r"`logits` has dtype <U1; it must hold numbers"),
    "complex": (lambda: softmax([1j, 2.0]), r"`logits` is complex \(complex128\)"),
    "a number": (lambda: softmax(1.0), r"`logits` has shape \(\) and no axis -1"),
    "no classes": (lambda: logsumexp(np.zeros((2, 0))), r"no classes along axis -1"),
    "axis": (lambda: softmax(Z, axis=2), r"`logits` has shape \(2, 3\) and no axis 2"),
    "temperature 0": (
        lambda: softmax(Z, temperature=0),
        r"`temperature` is 0; it must lie between",
    ),
    "temperature negative": (lambda: log_softmax(Z, temperature=-1), r"`temperature` is -1"),
    "temperature infinite": (lambda: softmax(Z, temperature=INF), r"`temperature` is inf"),
    "temperature NaN": (lambda: softmax(Z, temperature=math.nan), r"`temperature` is nan"),
    "temperature below float32": (
        lambda: softmax(np.zeros(2, dtype=np.float32), temperature=1e-40),
        r"`temperature` is 1e-40; .* the range of float32",
    ),
    "inverse temperature 0": (
        lambda: real_softmax(Z, inverse_temperature=0.0),
        r"`inverse_temperature` is 0, where the soft maximum has no limit.* mean",
    ),
    "inverse temperature NaN": (
        lambda: softmin(Z, inverse_temperature=math.nan),
        r"`inverse_temperature` is nan",
    ),
    "row sums": (
        lambda: entropy([[0.5, 0.5], [0.3, 0.3]]),
        r"`p` row 1 sums to 0\.6; rows must sum to 1 within 1e-06\. Normalise them, or pass logits",
    ),
    "row sums that print as 1": (lambda: entropy([1.0, 3e-6]), r"sums to 1\.000003"),
    "q": (lambda: kl_divergence([0.5, 0.5], [0.5, 0.6]), r"`q` sums to 1\.1"),
    "shapes": (
        lambda: kl_divergence([0.5, 0.5], [[0.5, 0.5]]),
        r"`q` has shape \(1, 2\); it must have shape \(2,\), that of `p`",
    ),
    "counts": (lambda: mutual_information([[3, 1], [2, 2]]), r"`joint` sums to 8"),
    "one axis": (
        lambda: mutual_information([0.5, 0.5]),
        r"`joint` has shape \(2,\) and no axis -2",
    ),
    "above 1": (lambda: surprisal([0.5, 1.5]), r"`p` entry 1 is 1\.5; probabilities must lie in"),
    "base": (lambda: entropy([1.0], base=1), r"`base` is 1; it must be finite and greater than 1"),
    "base below 1": (lambda: kl_divergence([1.0], [1.0], base=0.5), r"`base` is 0\.5"),
    "base infinite": (lambda: surprisal([1.0], base=INF), r"`base` is inf"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_input_raises_with_value_place_and_remedy(name):
    call, message = INVALID[name]

    with pytest.raises(InputError, match=message):
        call()


def test_arrays_of_two_libraries_are_refused_by_name():
    strict = pytest.importorskip("array_api_strict")

    with pytest.raises(
        InputError, match=r"`logits` is numpy.*`y` is array_api_strict.* one library"
    ):
        softmax_cross_entropy(np.asarray(Z), strict.asarray([0, 1]))
    with pytest.raises(InputError, match=r"`p` is array_api_strict.*`q` is numpy"):
        kl_divergence(strict.asarray(P), np.asarray(Q))


def test_arrays_on_two_devices_are_refused_by_name():
    strict = pytest.importorskip("array_api_strict")
    here = strict.asarray(P)
    there = strict.asarray(Q, device=strict.Device("device1"))

    with pytest.raises(InputError, match=r"`p` on .*CPU_DEVICE.*`q` on .*device1.* one device"):
        kl_divergence(here, there)
    assert softmax(there).device == there.device


def test_the_library_of_any_argument_is_that_of_the_result():
    strict = pytest.importorskip("array_api_strict")
    labels = strict.asarray([2, 0])

    for z, y, options in [
        (Z, labels, {}),
        (Z, [2, 0], {"sample_weight": strict.asarray([1.0, 1.0])}),
        (Z, [2, 0], {"class_weight": strict.asarray([1.0, 1.0, 1.0])}),
    ]:
        loss = softmax_cross_entropy(z, y, **options)
        assert isinstance(loss, type(labels))
        assert float(loss) == softmax_cross_entropy(Z, [2, 0])


def test_the_sum_over_no_rows_is_zero():
    assert softmax_cross_entropy(Z, [-1, -1], ignore_index=-1, reduction="sum") == 0
    assert not np.any(
        softmax_cross_entropy_gradient(Z, [0, 0], sample_weight=[0, 0], reduction="sum")
    )


def test_probabilities_given_as_logits_are_noticed():
    p = softmax(np.random.default_rng(0).normal(size=(5, 3)))

    with pytest.warns(UserWarning, match=r"look like probabilities.*cross_entropy\(y") as caught:
        softmax_cross_entropy(p, [0, 1, 2, 0, 1])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        softmax_cross_entropy(p[:1], [0])  # one row may sum to 1 by chance
        softmax_cross_entropy(p + 0.1, [0, 1, 2, 0, 1])
        softmax_cross_entropy(p - 1 / 3, [0, 1, 2, 0, 1])
        softmax_cross_entropy(np.log(p), [0, 1, 2, 0, 1])


def test_the_folder_offers_what_the_top_of_the_package_offers():
    import crossent

    for name in functional.__all__:
        if name != "LinearCrossEntropy":  # a result, not something to call
            assert getattr(crossent, name) is getattr(functional, name)
